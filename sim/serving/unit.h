/* What a load is spread over: one engine replica that reads prompts and answers them, or a group of
 * replicas of which some read and some answer (serving.disaggregated). Everything above it (loads,
 * fleets, validation) speaks to a unit and need not know what it is made of.
 *
 * The caller moves time, as with a replica: advance to a request's arrival, offer it, advance to
 * the next. A unit may be offered a request from inside `sink->finished` (closed loops). */
#ifndef SIM_SERVING_UNIT_H
#define SIM_SERVING_UNIT_H

#include "sim/serving/disaggregated.h"

typedef struct ServingUnit ServingUnit;

/* FLOP/s of its GPUs together, each in the precision of its weights. */
double unit_peak_flops_per_s(const Scenario *scenario);

/* STATUS_NO with the reason when not one sequence fits in memory. `step_by_step`: no closed forms
 * (for tests; the same times). */
Status unit_create(const Scenario *scenario, const LaneSink *sink, int step_by_step,
                   ServingUnit **unit, Error *error);

/* A disaggregated one whose other side takes no time and no room: how much a side could do. */
Status unit_create_side(const Scenario *scenario, ServingSide side, const LaneSink *sink,
                        ServingUnit **unit, Error *error);
void unit_destroy(ServingUnit *unit);

/* Of what is drawn inside the unit (accepted drafts); before the first request. */
void unit_seed(ServingUnit *unit, uint64_t seed);

/* Beginnings that requests share; as replica_share. */
Status unit_share(ServingUnit *unit, const PrefixTree *tree, Error *error);

/* Writes down what its replicas have in memory and in line over time, side by side (a replica that
 * does both: as the decode side); before the first request. */
void unit_watch(ServingUnit *unit, OccupancySeries series[SERVING_SIDES]);

/* A request arrives at `request->arrival_s`, not before the time that was advanced to. STATUS_NO
 * when it can never fit, or when more than MAX_WAITING wait: the unit is then past its load. */
Status unit_offer(ServingUnit *unit, const QueuedRequest *request, Error *error);

/* Ends what ends until then and starts what starts before then. HUGE_VAL: until nothing is left. */
Status unit_advance(ServingUnit *unit, double until_s, Error *error);

/* From inside `sink->finished`: the advance under way ends no later than then. */
void unit_hold(ServingUnit *unit, double until_s);

double unit_now(const ServingUnit *unit); /* end of the last iteration that was run */
size_t unit_waiting(const ServingUnit *unit);
const ReplicaMemory *unit_memory(const ServingUnit *unit); /* of a replica that answers */
ReplicaCounters unit_counters(const ServingUnit *unit);    /* of all its replicas */

/* A replica that does both counts as the decode side; there is no other side then. */
SideUse unit_side(const ServingUnit *unit, ServingSide side);
const TransferUse *unit_transfers(const ServingUnit *unit); /* NULL: one replica does both */

#endif
