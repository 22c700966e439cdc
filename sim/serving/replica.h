/* One engine replica: schedulers, stages and a line of waiting requests, event by event.
 *
 * Events are the starts and ends of iterations. An iteration passes the stages of the pipeline one
 * behind the other; a stage serves one iteration at a time. Between two changes of the batch a
 * replica without a pipeline runs its iterations in closed form (iteration_time.h), so that cost
 * grows with requests and not with tokens. After replica_create nothing is allocated but for a
 * longer line.
 *
 * The caller moves time: advance to a request's arrival, offer it, advance to the next.
 */
#ifndef SIM_SERVING_REPLICA_H
#define SIM_SERVING_REPLICA_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"
#include "sim/serving/lane.h"
#include "sim/serving/occupancy.h"
#include "sim/serving/serve_memory.h"

enum { MAX_WAITING = 1 << 20 };

typedef struct Replica Replica;

/* Memory of one GPU of the most loaded stage, term by term, and the blocks it leaves. */
typedef struct ReplicaMemory {
    double capacity_bytes, weights_bytes, reserved_bytes, kv_bytes;
    double draft_weights_bytes;          /* speculation: of the draft model */
    double kv_bytes_per_token_gpu;       /* the draft's keys and values included */
    double draft_kv_bytes_per_token_gpu; /* these alone */
    double blocks, block_tokens;         /* whole replica */
    double sequences;                    /* admission limit */
} ReplicaMemory;

typedef struct ReplicaCounters {
    double input_tokens, output_tokens; /* processed; prompts read again count again */
    double preempted;
    double swapped, swap_s; /* of these to host memory; time of moving both ways, first stage */
    double iterations;
    double busy_s;              /* of the first stage */
    ServeStageTime slowest;     /* of the stage that takes longest: what its time went to */
    double prefill_s;           /* part of that which prompts added to answers */
    double flops;               /* of the model, as counted by models/architecture.h */
    double bytes;               /* read from the memory of all its GPUs: weights and KV */
    double block_seconds;       /* blocks in use, summed over time */
    double sequence_iterations; /* decoding sequences, summed over iterations */
    double largest_line;
    double cache_asked, cache_hit; /* prompt tokens, and of these the ones that were there */
    double rounds, round_tokens;   /* speculation: of a sequence, and tokens that they gave */
} ReplicaCounters;

/* STATUS_NO with the reason when not one sequence fits in memory. `step_by_step`: no closed forms
 * (for tests; the same times). */
Status replica_create(const Scenario *scenario, const LaneSink *sink, int step_by_step,
                      Replica **replica, Error *error);

/* The same in the memory of `*replica`, one that is no longer wanted (NULL: none): costs that do
 * not depend on what has changed are not worked out again. After an error it is destroyed and NULL.
 */
Status replica_renew(const Scenario *scenario, const LaneSink *sink, int step_by_step,
                     Replica **replica, Error *error);
void replica_destroy(Replica *replica);

/* Of what is drawn inside the replica (accepted drafts); before the first request. */
void replica_seed(Replica *replica, uint64_t seed);

/* Beginnings that requests share (QueuedRequest.prefix), kept where the scenario has a prefix
 * cache; before the first request. The tree may grow between offers. STATUS_INVALID when a piece is
 * not whole blocks. */
Status replica_share(Replica *replica, const PrefixTree *tree, Error *error);

/* Writes down what is in memory and in line over time; before the first request. `series` outlives
 * the replica. Of a run of like iterations the blocks that it opens count from its end. */
void replica_watch(Replica *replica, OccupancySeries *series);

/* A request arrives at `request->arrival_s`, not before the time that was advanced to. STATUS_NO
 * when it can never fit, or when more than MAX_WAITING wait: the replica is then past its load. */
Status replica_offer(Replica *replica, const QueuedRequest *request, Error *error);

/* Ends what ends until then and starts what starts before then. HUGE_VAL: until nothing is left. */
Status replica_advance(Replica *replica, double until_s, Error *error);

/* From inside a callback: the advance under way ends no later than then (a request will arrive). */
void replica_hold(Replica *replica, double until_s);

/* Below: for several replicas that move keys and values between each other (unit.h), in the order
 * of time over all of them. */

/* STATUS_NO when such a request can never fit. */
Status replica_can_hold(const Replica *replica, const QueuedRequest *request, Error *error);

/* When the next iteration ends or (`starts`) begins; HUGE_VAL: nothing to do. */
double replica_next_s(const Replica *replica, int *starts);

/* Starts what may start at that time or before; runs of like iterations end behind until_s. All
 * that ends until then has been ended by replica_advance. */
Status replica_start(Replica *replica, double at_s, double until_s, Error *error);

/* As replica_offer, while a run of iterations is under way that was to last longer. */
Status replica_offer_early(Replica *replica, const QueuedRequest *request, Error *error);

/* For what the sink was told of as kept (with the request's `prefix`) and placed; it has been so
 * since since_s. */
void replica_release(Replica *replica, size_t lane, uint64_t blocks, uint32_t prefix,
                     double since_s, double now_s);
void replica_deliver(Replica *replica, size_t lane, uint64_t place, double since_s, double now_s);

/* Below: for a replica that is met in the middle of its work and kept full (closed_load.h). */

size_t replica_lane_count(const Replica *replica);
const Lane *replica_lane(const Replica *replica, size_t index);

/* Seconds of each stage for one pass, drafting included, and the parts of the slowest. */
void replica_price(Replica *replica, const PassLoad *load, double *stage_s,
                   ServeStageTime *slowest);
uint64_t replica_blocks_used(const Replica *replica); /* of all lanes */

/* As lane_resume. */
void replica_resume(Replica *replica, size_t lane, const QueuedRequest *request);

/* Works until so many further iterations have ended. STATUS_NO when there is nothing left to do. */
Status replica_iterate(Replica *replica, uint64_t iterations, Error *error);

/* Forgets what has been counted so far. */
void replica_count_anew(Replica *replica);

double replica_now(const Replica *replica); /* end of the last iteration that was run */
size_t replica_waiting(const Replica *replica);
const ReplicaMemory *replica_memory(const Replica *replica);
ReplicaCounters replica_counters(const Replica *replica);
void replica_counters_add(ReplicaCounters *sum, const ReplicaCounters *counters);

#endif
