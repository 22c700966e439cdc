/* Prompts read by some replicas, answers given by others (disaggregated prefill and decode), and
 * keys and values that travel between them.
 *
 * A request goes to the prefill replica with the fewest prompt tokens to read; when its prompt is
 * read, to the decode replica with the fewest requests. There it waits until an iteration begins
 * with room for it, is given blocks, and its keys and values are sent: whole blocks, as the decode
 * side stores them, over the ports of both replicas, which transfers share max-min fairly
 * (sim/network/flows.h). Both sides hold blocks until the transfer ends; then it decodes. A request
 * thrown out of a decode replica's memory is read again there. One token of answer comes from the
 * prefill side alone.
 *
 * With overlap: by_layer the decode side gives blocks before the prompt is read, and what the ports
 * can move in the time of reading has gone by its end, but for the last layer. */
#ifndef SIM_SERVING_DISAGGREGATED_H
#define SIM_SERVING_DISAGGREGATED_H

#include "models/serving_side.h"
#include "sim/serving/latency_histogram.h"
#include "sim/serving/replica.h"

/* One side alone has the other take no time and no room. */
typedef enum GroupPart { GROUP_WHOLE, GROUP_PREFILL_ALONE, GROUP_DECODE_ALONE } GroupPart;

typedef struct SideUse {
    double replicas, gpus;    /* gpus: of one replica */
    ReplicaMemory memory;     /* of one replica */
    ReplicaCounters counters; /* of all replicas */
} SideUse;

/* From the end of a prompt until its keys and values are where the answer is given: waiting for
 * blocks, and on the way. */
typedef struct TransferUse {
    double count, bytes;
    double ports_bytes_per_s[SERVING_SIDES]; /* of one replica */
    LatencyHistogram wait_s, network_s, total_s;
} TransferUse;

typedef struct DisaggregatedGroup DisaggregatedGroup;

/* As the calls of replica.h. */
Status group_create(const Scenario *scenario, const LaneSink *sink, int step_by_step,
                    GroupPart part, DisaggregatedGroup **group, Error *error);
void group_destroy(DisaggregatedGroup *group);
void group_seed(DisaggregatedGroup *group, uint64_t seed);
Status group_share(DisaggregatedGroup *group, const PrefixTree *tree, Error *error);
/* series[side]: of all replicas of a side together. */
void group_watch(DisaggregatedGroup *group, OccupancySeries series[SERVING_SIDES]);
Status group_offer(DisaggregatedGroup *group, const QueuedRequest *request, Error *error);
Status group_advance(DisaggregatedGroup *group, double until_s, Error *error);
/* From inside a callback: the advance under way ends no later than then. */
void group_hold(DisaggregatedGroup *group, double until_s);
double group_now(const DisaggregatedGroup *group);
size_t group_waiting(const DisaggregatedGroup *group);
SideUse group_side(const DisaggregatedGroup *group, ServingSide side);
const ReplicaMemory *group_memory(const DisaggregatedGroup *group, ServingSide side);
const TransferUse *group_transfers(const DisaggregatedGroup *group);

#endif
