/* The fewest GPUs, and the lowest price, at which a service level objective holds.
 *
 * options->threads work on layouts side by side (and, where there are fewer layouts, on loads that
 * a search may ask for next); what is tried and told is the same for any number of them.
 *
 * Every trial simulates the same requests (same seed, same lengths, gaps scaled to the rate), so
 * that two trials differ by what was changed. */
#ifndef SIM_PLANNING_SERVING_SEARCH_H
#define SIM_PLANNING_SERVING_SEARCH_H

#include "sim/planning/serving_layouts.h"
#include "sim/serving/serve_load.h"

enum { MAX_TRIALS = 320 };

typedef struct ServingTrial {
    double tensor, pipeline, max_batch, replicas, gpus;
    double rate_per_s;
    int stable, holds;
    double worst; /* largest latency over its limit; below 1: the objective holds */
    double ttft_p99_s, tpot_p99_s;
    double usd_per_1k_tokens, usd_per_1m_input, usd_per_1m_output;
} ServingTrial;

typedef struct ServingSearch {
    int found;
    ServingTrial best; /* not found: the nearest miss */
    size_t trial_count;
    ServingTrial trials[MAX_TRIALS]; /* in the order of trying */
    size_t refused;                  /* layouts that do not fit in memory */
    char refusal[256];               /* of the last of them */
} ServingSearch;                     /* some 40 kB */

/* The fewest GPUs that hold options->slo at options->rate_per_s, over the scenario's layouts: for
 * each the fewest replicas, from what the stable maximum allows upwards in growing steps, then by
 * bisection (more replicas never do worse: each gets a smaller share of the same requests). */
Status search_gpus(const Scenario *scenario, const LoadOptions *options, ServingSearch *search,
                   Error *error);

/* The lowest cost of 1,000 tokens that holds options->slo, over layouts and limits of the batch
 * (max_batch, its half, quarter, ..., until tokens get dearer by 2%): for each the largest load
 * that holds, at which the rent is shared by the most tokens; 5,000 drawn requests a trial. */
Status search_price(const Scenario *scenario, const LoadOptions *options, ServingSearch *search,
                    Error *error);

#endif
