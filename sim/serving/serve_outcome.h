/* What a simulation counts while it runs, and how that becomes an outcome with latencies and
 * prices. */
#ifndef SIM_SERVING_SERVE_OUTCOME_H
#define SIM_SERVING_SERVE_OUTCOME_H

#include "sim/serving/stage_cost.h"
#include "sim/serving/steady_state.h"

enum { MAX_LATENCY_SAMPLES = 4096 };

typedef struct LatencySamples {
    size_t count; /* later samples than there is room for are left out */
    double values[MAX_LATENCY_SAMPLES];
} LatencySamples;

/* Sums over the passes that ended within the measured window. */
typedef struct ServeCounters {
    double window_s;
    double passes;
    double decode_tokens, prefill_tokens, finished;
    double sequences, decoding; /* summed pass by pass, for the means */
    double attended_tokens;     /* tokens of context that decode and prompt tokens attended to */
    double bytes_read;          /* by all GPUs: weights and KV */
    double slowest_s;           /* time of the slowest stage */
    double slowest_prefill_s;   /* part of it that prompts added */
    ServeStageTime stage;       /* parts of the slowest stage */
    LatencySamples ttft, tpot, e2e;
} ServeCounters;

void latency_add(LatencySamples *samples, double value);

/* One microbatch of `load` in each of `microbatches`: tokens per second of decoding alone. */
double serve_decode_rate(StageCost *cost, const StageLayout *layout, double microbatches,
                         const PassLoad *load);

/* Seconds between two passes of a microbatch: every stage serves all microbatches once, or, when
 * these are too few to keep a stage busy, one microbatch goes through all stages. */
double serve_cycle_s(const double *stage_s, size_t stages, double microbatches);

/* Of one copy of the cluster: rent of all its GPUs, and energy of their share of nodes. */
double serve_usd_per_s(const Scenario *scenario);

/* Fills everything of `outcome` but the ledger and the number of events. Sorts the samples. */
void serve_outcome_fill(const Scenario *scenario, StageCost *cost, const StageLayout *layout,
                        double microbatches, ServeCounters *counters, ServeOutcome *outcome);

#endif
