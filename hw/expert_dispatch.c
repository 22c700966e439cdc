#include "hw/expert_dispatch.h"

#include "hw/collective.h"

#include <math.h>

double expert_places(double places, double copies)
{
    return places > 1 ? places * (1 - pow(1 - 1 / places, copies)) : 1;
}

static const ExpertNodeFit *inside_fit(const HardwareSpec *hardware, ExpertDirection direction)
{
    return direction == EXPERT_DISPATCH ? &hardware->node.expert_dispatch
                                        : &hardware->node.expert_combine;
}

static const ExpertFabricFit *across_fit(const HardwareSpec *hardware, ExpertDirection direction)
{
    return direction == EXPERT_DISPATCH ? &hardware->fabric.expert_dispatch
                                        : &hardware->fabric.expert_combine;
}

/* How an exchange falls on nodes and ranks. */
typedef struct Spread {
    double per_node, nodes;
    double nodes_of_token; /* expected number of nodes with experts of a token, its own included */
    double ranks_of_token; /* the same of ranks */
} Spread;

static Spread spread_of(const HardwareSpec *hardware, const ExpertExchange *exchange)
{
    Spread spread = {.per_node = fmax(1, fmin(fmin(exchange->ranks_per_node, hardware->node.gpus),
                                              exchange->ranks))};
    spread.nodes = exchange->ranks / spread.per_node;
    const double reached =
        exchange->node_limit > 0 ? fmin(spread.nodes, exchange->node_limit) : spread.nodes;
    spread.nodes_of_token = expert_places(reached, exchange->copies);
    spread.ranks_of_token = expert_places(reached * spread.per_node, exchange->copies);
    return spread;
}

/* ---- normal mode -------------------------------------------------------------------------------
 */

/* NVLink is the bound when many multiprocessors copy. */
static double copied_bytes_per_s(const HardwareSpec *hardware, double sm_bytes_per_s, double sms)
{
    return fmin(fmax(1, sms) * sm_bytes_per_s, hardware->node.all_to_all.bytes_per_s);
}

/* t = start + X / (SMs * b) + sqrt(c X), X the bytes to distinct other ranks. */
static double inside_seconds(const HardwareSpec *hardware, const ExpertNodeFit *fit,
                             const ExpertExchange *exchange, const Spread *spread)
{
    const double bytes =
        exchange->token_bytes * spread->ranks_of_token * (spread->per_node - 1) / spread->per_node;
    return fit->start_s + bytes / copied_bytes_per_s(hardware, fit->sm_bytes_per_s, exchange->sms) +
           sqrt(fit->chunk_s2_per_byte * bytes);
}

/* t = start + hop log2(N) + max(X / (eta ports), Y / (SMs * b)) + sqrt(c X): X the bytes to
 * distinct other nodes through this GPU's ports, Y what its multiprocessors pass on to distinct
 * ranks of the node meanwhile. With few nodes the second is the slower one. */
static double across_seconds(const HardwareSpec *hardware, const ExpertFabricFit *fit,
                             const ExpertExchange *exchange, const Spread *spread)
{
    const double remote_bytes =
        exchange->token_bytes * spread->nodes_of_token * (spread->nodes - 1) / spread->nodes;
    const double passed_bytes =
        exchange->token_bytes * spread->ranks_of_token * (spread->per_node - 1) / spread->per_node;
    const double network_s = remote_bytes / (fit->efficiency * port_bytes_per_s_of_gpu(hardware));
    const double passed_s =
        fit->sm_bytes_per_s > 0
            ? passed_bytes / copied_bytes_per_s(hardware, fit->sm_bytes_per_s, exchange->sms)
            : 0;
    return fit->start_s + fit->hop_s * log2(spread->nodes) + fmax(network_s, passed_s) +
           sqrt(fit->chunk_s2_per_byte * remote_bytes);
}

/* Once over the network for each other node, every copy over NVLink meanwhile. */
static double all_to_all_seconds(const HardwareSpec *hardware, const ExpertExchange *exchange,
                                 const Spread *spread)
{
    const double all_bytes = exchange->token_bytes * exchange->copies;
    if (spread->nodes <= 1)
        return collective_seconds(hardware, COLLECTIVE_ALL_TO_ALL, all_bytes, exchange->ranks,
                                  spread->per_node);
    const double inside_s = collective_seconds(hardware, COLLECTIVE_ALL_TO_ALL, all_bytes,
                                               spread->per_node, spread->per_node);
    const double across_s = collective_seconds(hardware, COLLECTIVE_ALL_TO_ALL,
                                               exchange->token_bytes * spread->nodes_of_token,
                                               exchange->ranks, spread->per_node);
    return fmax(inside_s, across_s);
}

double expert_exchange_seconds(const HardwareSpec *hardware, ExpertDirection direction,
                               const ExpertExchange *exchange)
{
    if (exchange->ranks <= 1 || exchange->token_bytes <= 0)
        return 0;
    const Spread spread = spread_of(hardware, exchange);
    const ExpertNodeFit *inside = inside_fit(hardware, direction);
    const ExpertFabricFit *across = across_fit(hardware, direction);
    if (spread.nodes <= 1 && inside->sm_bytes_per_s > 0)
        return inside_seconds(hardware, inside, exchange, &spread);
    if (spread.nodes > 1 && across->efficiency > 0)
        return across_seconds(hardware, across, exchange, &spread);
    return all_to_all_seconds(hardware, exchange, &spread);
}

/* ---- low-latency mode --------------------------------------------------------------------------
 */

/* t = start + hop log2(N) + X / b. Inside a node X is every copy; between nodes those that leave
 * the node, which take longer than the others. */
double expert_low_latency_seconds(const HardwareSpec *hardware, ExpertDirection direction,
                                  const ExpertExchange *exchange)
{
    if (exchange->ranks <= 1 || exchange->token_bytes <= 0)
        return 0;
    const Spread spread = spread_of(hardware, exchange);
    const double all_bytes = exchange->token_bytes * exchange->copies;
    const ExpertNodeFit *inside = inside_fit(hardware, direction);
    const ExpertFabricFit *across = across_fit(hardware, direction);
    if (spread.nodes <= 1 && inside->low_latency_bytes_per_s > 0)
        return inside->low_latency_start_s +
               all_bytes /
                   fmin(inside->low_latency_bytes_per_s, hardware->node.all_to_all.bytes_per_s);
    if (spread.nodes > 1 && across->low_latency_efficiency > 0)
        return across->low_latency_start_s + across->low_latency_hop_s * log2(spread.nodes) +
               all_bytes * (spread.nodes - 1) / spread.nodes /
                   (across->low_latency_efficiency * port_bytes_per_s_of_gpu(hardware));
    return collective_seconds(hardware, COLLECTIVE_ALL_TO_ALL, all_bytes, exchange->ranks,
                              spread.per_node);
}
