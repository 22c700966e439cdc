#include "hw/collective.h"

#include <math.h>

/* Wire bytes of one rank for each byte of the message, times n / (n - 1). */
static const double wire_multiple[] = {
    [COLLECTIVE_ALL_REDUCE] = 2,
    [COLLECTIVE_ALL_GATHER] = 1,
    [COLLECTIVE_REDUCE_SCATTER] = 1,
    [COLLECTIVE_ALL_TO_ALL] = 1,
};

double collective_wire_factor(Collective collective, double ranks)
{
    return ranks > 1 ? wire_multiple[collective] * (ranks - 1) / ranks : 0;
}

static const CollectiveFit *fit_of(const NodeSpec *node, Collective collective)
{
    const CollectiveFit *const fits[] = {
        [COLLECTIVE_ALL_REDUCE] = &node->all_reduce,
        [COLLECTIVE_ALL_GATHER] = &node->all_gather,
        [COLLECTIVE_REDUCE_SCATTER] = &node->reduce_scatter,
        [COLLECTIVE_ALL_TO_ALL] = &node->all_to_all,
    };
    return fits[collective];
}

/* Short messages: t = base + per_rank (n - 1) + sqrt(c' W). A low-latency protocol sends flags with
 * the data and opens more channels as messages grow, which the root stands for. NCCL's tuner
 * (src/graph/tuning.cc) decides by the message's bytes. */
static double short_seconds(const CollectiveFit *fit, double wire_bytes, double ranks)
{
    return fit->base_s + fit->per_rank_s * (ranks - 1) +
           sqrt(fit->short_chunk_s2_per_byte * wire_bytes);
}

/* Long messages: t = base + per_rank (n - 1) + W / B_n + sqrt(c W), W = wire factor * bytes. The
 * root is what the best chunk size of a pipeline leaves. A rank also moves its own nth of the
 * message, (n - 1) times less than goes over the wire: 1 / B_n = (1 + (1 / phi - 1) / (n - 1)) / B,
 * phi the share of B that two ranks reach. */
static double long_seconds(const CollectiveFit *fit, double wire_bytes, double ranks)
{
    const double two = fit->two_rank_bandwidth > 0 ? fit->two_rank_bandwidth : 1;
    const double own = 1 + (1 / two - 1) / (ranks - 1);
    return fit->base_s + fit->long_start_s + fit->per_rank_s * (ranks - 1) +
           own * wire_bytes / fit->bytes_per_s + sqrt(fit->chunk_s2_per_byte * wire_bytes);
}

/* A tuner that switches early makes a message just above the switch slower than the longest short
 * one, never faster. */
static double inside_node_seconds(const CollectiveFit *fit, double factor, double bytes,
                                  double ranks)
{
    if (bytes <= fit->short_bytes)
        return short_seconds(fit, factor * bytes, ranks);
    const double long_s = long_seconds(fit, factor * bytes, ranks);
    return fit->short_bytes > 0 ? fmax(long_s, short_seconds(fit, factor * fit->short_bytes, ranks))
                                : long_s;
}

double port_bytes_per_s_of_gpu(const HardwareSpec *hardware)
{
    const NodeSpec *node = &hardware->node;
    return node->nics * node->nic_bytes_per_s / node->gpus / hardware->fabric.oversubscription;
}

/* The steps one after the other that a message makes. A ring passes every rank (twice for an
 * all-reduce): a hop into each other node, and the hops inside nodes. An all-reduce takes a tree
 * over the nodes where the fabric has one, as NCCL does for all but the largest messages. */
static double latency_across_seconds(const HardwareSpec *hardware, Collective collective,
                                     const CollectiveFit *fit, double ranks, double per_node)
{
    const FabricSpec *fabric = &hardware->fabric;
    const double nodes = ranks / per_node;
    if (collective == COLLECTIVE_ALL_TO_ALL)
        return fabric->ring_hop_s;
    if (collective == COLLECTIVE_ALL_REDUCE && fabric->tree_hop_s > 0)
        return log2(nodes) * fabric->tree_hop_s + fit->per_rank_s * (per_node - 1);
    return wire_multiple[collective] * (nodes - 1) * fabric->ring_hop_s +
           fit->per_rank_s * (ranks - nodes);
}

/* bus bandwidth = min(B of NVLink, eta * ports * kappa). A ring leaves a node over the ports of all
 * k members. An all-to-all runs at one member's share of the ports: published ones on 4 nodes reach
 * 24 and 48 GB/s with one 200 and 400 Gb/s port a GPU. kappa is 1 on a ring; between two nodes each
 * sends its own half-reduced vector only once, 2 (n - 1) / n times less than on a ring. */
static double bus_bytes_per_s(const HardwareSpec *hardware, Collective collective,
                              const CollectiveFit *fit, double ranks, double per_node)
{
    const int two_nodes = ranks <= 2 * per_node;
    const double kappa = collective == COLLECTIVE_ALL_REDUCE && two_nodes
                             ? collective_wire_factor(collective, ranks)
                             : 1;
    const double ports = collective == COLLECTIVE_ALL_TO_ALL ? 1 : per_node;
    const double network =
        hardware->fabric.efficiency * ports * port_bytes_per_s_of_gpu(hardware) * kappa;
    return per_node > 1 ? fmin(network, fit->bytes_per_s) : network;
}

/* What one group gets of the links between segments; infinite inside one. `per_node` of its
 * members are on a node. */
static double segment_bytes_per_s(const HardwareSpec *hardware, Collective collective, double ranks,
                                  double per_node, double extent)
{
    const FabricSpec *fabric = &hardware->fabric;
    const double node_gpus = hardware->node.gpus;
    if (!(fabric->segment_gpus > 0) || !(fabric->segment_bytes_per_s > 0) ||
        extent <= fabric->segment_gpus)
        return HUGE_VAL;
    const double of_a_node = fabric->segment_bytes_per_s * per_node / node_gpus;
    if (collective == COLLECTIVE_ALL_TO_ALL) {
        const double elsewhere = 1 - fabric->segment_gpus / extent;
        return of_a_node / per_node / elsewhere;
    }
    if (fabric->segment_rings == RINGS_SCATTERED)
        return of_a_node;
    const double groups = fmax(1, extent / ranks);
    return fabric->segment_gpus / node_gpus * fabric->segment_bytes_per_s / groups;
}

/* A message in chunks through d steps costs d times the time of a chunk and the overhead of each
 * chunk; the best chunk size leaves 2 sqrt(d * overhead * time), so that c grows with the depth
 * log2(N) of an all-reduce's tree. Where the fabric has no c of its own, and for the other
 * collectives, the node's counts as it is. */
static double chunk_across(const HardwareSpec *hardware, Collective collective,
                           const CollectiveFit *fit, double nodes)
{
    const double chunk = hardware->fabric.chunk_s2_per_byte;
    if (collective != COLLECTIVE_ALL_REDUCE || chunk <= 0)
        return fit->chunk_s2_per_byte;
    return chunk * fmax(1, log2(nodes));
}

double collective_seconds(const HardwareSpec *hardware, Collective collective, double bytes,
                          double ranks, double ranks_per_node)
{
    return collective_seconds_of(hardware, collective, bytes, ranks, ranks_per_node, 0);
}

CollectiveGroup collective_group(const HardwareSpec *hardware, Collective collective, double ranks,
                                 double ranks_per_node, double extent)
{
    const NodeSpec *node = &hardware->node;
    const CollectiveFit *fit = fit_of(node, collective);
    const double per_node = fmax(1, fmin(fmin(ranks_per_node, node->gpus), ranks));
    CollectiveGroup group = {.fit = fit,
                             .ranks = ranks,
                             .in_node = per_node >= ranks,
                             .launch_s = node->eager_launch_s,
                             .wire_factor = collective_wire_factor(collective, ranks)};
    if (ranks <= 1 || group.in_node)
        return group;
    group.latency_s = node->eager_launch_s + hardware->fabric.base_s +
                      latency_across_seconds(hardware, collective, fit, ranks, per_node);
    group.bytes_per_s = fmin(bus_bytes_per_s(hardware, collective, fit, ranks, per_node),
                             segment_bytes_per_s(hardware, collective, ranks, per_node, extent));
    group.chunk_s2_per_byte = chunk_across(hardware, collective, fit, ranks / per_node);
    return group;
}

double collective_group_seconds(const CollectiveGroup *group, double bytes)
{
    if (group->ranks <= 1 || bytes <= 0)
        return 0;
    if (group->in_node)
        return group->launch_s +
               inside_node_seconds(group->fit, group->wire_factor, bytes, group->ranks);
    const double wire_bytes = group->wire_factor * bytes;
    return group->latency_s + wire_bytes / group->bytes_per_s +
           sqrt(group->chunk_s2_per_byte * wire_bytes);
}

double collective_seconds_of(const HardwareSpec *hardware, Collective collective, double bytes,
                             double ranks, double ranks_per_node, double extent)
{
    if (ranks <= 1 || bytes <= 0)
        return 0;
    const CollectiveGroup group =
        collective_group(hardware, collective, ranks, ranks_per_node, extent);
    return collective_group_seconds(&group, bytes);
}

double collective_bus_bytes_per_s(const HardwareSpec *hardware, Collective collective, double ranks,
                                  double ranks_per_node)
{
    const CollectiveFit *fit = fit_of(&hardware->node, collective);
    const double per_node = fmax(1, fmin(fmin(ranks_per_node, hardware->node.gpus), ranks));
    return per_node >= ranks ? fit->bytes_per_s
                             : bus_bytes_per_s(hardware, collective, fit, ranks, per_node);
}

double p2p_seconds(const HardwareSpec *hardware, double bytes, int same_node)
{
    return p2p_seconds_of(hardware, bytes, same_node, 0);
}

double p2p_seconds_of(const HardwareSpec *hardware, double bytes, int same_node, double extent)
{
    if (bytes <= 0)
        return 0;
    const CollectiveFit *inside = &hardware->node.all_gather;
    const FabricSpec *fabric = &hardware->fabric;
    const int crosses = fabric->segment_gpus > 0 && fabric->segment_bytes_per_s > 0 &&
                        extent > fabric->segment_gpus;
    const double across = crosses ? fabric->segment_bytes_per_s / hardware->node.gpus : HUGE_VAL;
    if (same_node)
        return inside->base_s + bytes / inside->bytes_per_s;
    return fabric->p2p_latency_s +
           bytes / fmin(fabric->p2p_efficiency * port_bytes_per_s_of_gpu(hardware), across);
}
