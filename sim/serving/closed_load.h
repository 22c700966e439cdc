/* A replica whose batch is kept full: as many users as it has places and memory for, each of whom
 * sends the next request when the last one is answered, so that throughput is the capacity; paying
 * load is capacity * utilisation.
 *
 * It is met in the middle of its work: most requests are at a random point of their answers, the
 * rest wait for their prompts to be read, in the proportion that Little's law asks for. So a short
 * warm-up does, and latencies of requests that were under way count from where they began. Static
 * batches and disaggregated clusters are simulated under a load only.
 */
#ifndef SIM_SERVING_CLOSED_LOAD_H
#define SIM_SERVING_CLOSED_LOAD_H

#include "sim/serving/serve_outcome.h"

/* A request that was under way when the simulation began: what lies before. */
typedef struct EarlierRequest {
    int decodes;
    double placed_s; /* when its next token comes, or the first pass leaves */
    double given;    /* answer tokens */
    double passes_waited;
} EarlierRequest;

typedef struct ServeScratch {
    Replica *replica; /* of the last replication */
    EarlierRequest *earlier;
    size_t earlier_room;
    ServeLatencies latencies;
} ServeScratch; /* zeroed before its first use; some 100 kB: allocate it */

void serve_scratch_free(ServeScratch *scratch);

/* One replication: simulates until enough requests have finished (after a warm-up). Lengths come
 * from the stream (seed, "request lengths", replication). prefill_chunk_tokens == 0 means that
 * prompts are read elsewhere and sequences arrive with their KV. STATUS_NO with the reason when not
 * one sequence fits in memory; STATUS_INVALID for a utilisation or a count that is not positive. */
Status serve_simulate(const Scenario *scenario, unsigned long long seed,
                      unsigned long long replication, ServeOutcome *outcome, Error *error);

/* The same with scratch that a worker keeps between replications. */
Status serve_simulate_with(ServeScratch *scratch, const Scenario *scenario, unsigned long long seed,
                           unsigned long long replication, ServeOutcome *outcome, Error *error);

#endif
