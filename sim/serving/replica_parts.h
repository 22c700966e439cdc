/* The parts of a replica: how it is set up (replica_create.c), what a pass costs and what is
 * counted of it (replica_pass.c), and its events (replica.c). Nobody else includes it. */
#ifndef SIM_SERVING_REPLICA_PARTS_H
#define SIM_SERVING_REPLICA_PARTS_H

#include "sim/serving/iteration_time.h"
#include "sim/serving/replica.h"

/* What a lane is doing. */
typedef struct LaneClock {
    int running;
    double at_s;      /* running: its end; else when it is free to start */
    uint64_t repeats; /* of the iterations under way */
    PassLoad load;    /* of the first of them */
    double started_s;
    /* what they cost */
    double busy_s, swap_s;
    double prefill_s, bytes;
    ServeStageTime slowest;
    double watched_s; /* its memory and places are in the series up to here */
} LaneClock;

struct Replica {
    StageCost cost;
    StageLayout layout;
    IterationTime time;
    DraftCost draft;
    ReplicaMemory memory;
    LaneLimits limits;
    LaneSink sink;
    WaitingLine line;
    size_t lane_count, lane_room;
    Lane *lanes;
    LaneClock *clocks;
    uint32_t *running; /* lanes at work, a ring in the order of their starts and ends */
    size_t running_first, running_count;
    uint32_t *idle; /* the others */
    size_t idle_count;
    uint64_t blocks_used; /* of all lanes, but for what the one that ends an iteration changes */
    const Lane *ending;   /* NULL: none does */
    uint64_t ending_blocks;
    double stage_free_s[MAX_STAGES];
    double stage_s[MAX_STAGES];
    double swap_s_per_token; /* of a GPU's share of its keys and values, one way */
    double now_s;
    double until_s;                  /* of the advance under way */
    uint64_t most_repeats;           /* of a run of like iterations */
    double matmul_flops, pair_flops; /* of a token, and of a pair of tokens that attend */
    double layers, ranks;            /* of the model; GPUs that share a layer */
    int step_by_step;
    int prefix_cache;
    ReplicaCounters counters;
    OccupancySeries *series; /* NULL: nobody wants it */
    double line_watched_s;
};

/* Sends one iteration through the stages; returns its end. */
double replica_pass(Replica *replica, LaneClock *clock);

/* Iterations of decoding alone on one stage, the last of which ends at or behind until_s; returns
 * its end. */
double replica_run(Replica *replica, LaneClock *clock, uint64_t repeats, double until_s);

/* Counts what has ended. `given`: tokens that decoding sequences got; `blocks`: in use meanwhile.
 */
void replica_count(Replica *replica, const LaneClock *clock, double given, double blocks);

#endif
