/* Time of collectives inside an NVLink domain and across nodes. Form and constants: fits to
 * published nccl-tests rows. */
#ifndef HW_COLLECTIVE_H
#define HW_COLLECTIVE_H

#include "configs/reader/scenario.h"

typedef enum Collective {
    COLLECTIVE_ALL_REDUCE,
    COLLECTIVE_ALL_GATHER,
    COLLECTIVE_REDUCE_SCATTER,
    COLLECTIVE_ALL_TO_ALL
} Collective;

/* `bytes` is the message as nccl-tests counts it: the whole vector that every rank ends or starts
 * with (all-gather: output; reduce-scatter: input; all-to-all: what one rank sends, itself
 * included). `ranks` members, `ranks_per_node` of them in each NVLink domain. A group that has k of
 * a node's G GPUs may use k/G of the node's network ports. Wire factor: 2(n-1)/n all-reduce, else
 * (n-1)/n. Short messages take the low-latency protocol where the node has one. The node's eager
 * launch cost is added: a caller whose collectives are captured in a
 * graph passes hardware with node.eager_launch_s = 0. */
double collective_seconds(const HardwareSpec *hardware, Collective collective, double bytes,
                          double ranks, double ranks_per_node);

/* Bytes/s on the wire of each rank when the message is large. */
double collective_bus_bytes_per_s(const HardwareSpec *hardware, Collective collective, double ranks,
                                  double ranks_per_node);

/* The same of one of many such groups that lie among each other on `extent` neighbouring GPUs. When
 * these are more than a segment of the fabric holds, the groups share what leads out of a segment:
 * ordered rings cross it once each, so the links of all its nodes are shared by extent / ranks
 * groups; scattered ones send over a node's link from every node. In an all-to-all the share of
 * the members that lie in other segments is reached over them. */
double collective_seconds_of(const HardwareSpec *hardware, Collective collective, double bytes,
                             double ranks, double ranks_per_node, double extent);

/* One collective of one such group, for messages of any size. */
typedef struct CollectiveGroup {
    const CollectiveFit *fit; /* of the node */
    double ranks;
    int in_node;
    double launch_s;
    double wire_factor;
    /* Across nodes: what does not depend on the message, what passes in a second, and the c of
     * sqrt(c W), W on the wire. */
    double latency_s, bytes_per_s, chunk_s2_per_byte;
} CollectiveGroup;

/* Parameters as those of collective_seconds_of, whose values collective_group_seconds gives;
 * `hardware` must outlive it. */
CollectiveGroup collective_group(const HardwareSpec *hardware, Collective collective, double ranks,
                                 double ranks_per_node, double extent);
double collective_group_seconds(const CollectiveGroup *group, double bytes);

/* A send between neighbouring pipeline stages on different nodes (or inside one: `same_node`).
 * Every GPU of a node sends at once, so each has its share of the ports. */
double p2p_seconds(const HardwareSpec *hardware, double bytes, int same_node);

/* The same between stages of which some neighbours lie in different segments, when `extent`
 * neighbouring GPUs are more than a segment holds: the slowest send sets the pace. */
double p2p_seconds_of(const HardwareSpec *hardware, double bytes, int same_node, double extent);

/* What the network ports give to one GPU of a node, large messages, one direction. */
double port_bytes_per_s_of_gpu(const HardwareSpec *hardware);

/* Bytes that one rank puts on the wire for each byte of the message. */
double collective_wire_factor(Collective collective, double ranks);

#endif
