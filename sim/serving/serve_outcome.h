/* What a replica whose batch is kept full gives (closed_load.h): rates, latencies and prices. */
#ifndef SIM_SERVING_SERVE_OUTCOME_H
#define SIM_SERVING_SERVE_OUTCOME_H

#include "sim/serving/replica.h"

enum { MAX_LATENCY_SAMPLES = 4096 };

typedef struct LatencySamples {
    size_t count; /* later samples than there is room for are left out */
    double values[MAX_LATENCY_SAMPLES];
} LatencySamples;

typedef struct ServeOutcome {
    double output_tokens_per_s, input_tokens_per_s, requests_per_s; /* one cluster, full load */
    double batch;                                                   /* requests in flight */
    double decode_batch;                                            /* of these past their prompt */
    double microbatches;                                            /* that circulate */
    double pass_tokens; /* tokens of one microbatch in one pass, mean: decode and prompt */
    double decode_only_output_tokens_per_s; /* the same batch with prompts read elsewhere */
    double mfu, mbu;
    double ttft_s[3], tpot_s[3], e2e_s[3]; /* p50, p90, p99; counted from when a place is free */
    double usd_per_s;                      /* of the cluster */
    double usd_per_1k_tokens; /* prompt and output tokens together, at the utilisation given */
    double usd_per_1k_output_tokens;
    double usd_per_1k_decode_only;              /* output tokens, prompts read elsewhere */
    double usd_per_1m_input, usd_per_1m_output; /* split by the time that each kind takes */
    double floor_usd_per_1k_at_peak; /* if every GPU ran at peak FLOP/s all the time: no price can
                                        be lower */
    ServeStageTime stage;            /* the slowest stage, mean of the passes measured */
    double finished;                 /* requests behind the percentiles */
} ServeOutcome;

/* What was counted in the measured window. */
typedef struct ServeWindow {
    double seconds, finished; /* finished: requests */
    double users;             /* requests in flight */
    double microbatches;
    double decode_only_tokens_per_s; /* the same batch, all of it decoding */
    ReplicaCounters counters;
} ServeWindow;

typedef struct ServeLatencies {
    LatencySamples ttft, tpot, e2e;
} ServeLatencies;

void latency_add(LatencySamples *samples, double value);

/* Seconds between two passes of a microbatch: every stage serves all microbatches once, or, when
 * these are too few to keep a stage busy, one microbatch goes through all stages. */
double serve_cycle_s(const double *stage_s, size_t stages, double microbatches);

/* Of one copy of the cluster: rent of all its GPUs, and energy of their share of nodes. */
double serve_usd_per_s(const Scenario *scenario);

/* Moves the samples about. */
void serve_outcome_fill(const Scenario *scenario, const ServeWindow *window,
                        ServeLatencies *latencies, ServeOutcome *outcome);

#endif
