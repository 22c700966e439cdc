/* The simulation behind serve_simulate, with scratch that a worker keeps between replications. */
#ifndef SIM_SERVING_SIMULATE_H
#define SIM_SERVING_SIMULATE_H

#include "sim/serving/serve_outcome.h"

typedef struct ServeScratch {
    StageCost cost;
    ServeCounters counters;
} ServeScratch; /* zeroed before its first use; some 110 kB: allocate it */

Status serve_simulate_with(Engine *engine, ServeScratch *scratch, const Scenario *scenario,
                           unsigned long long seed, unsigned long long replication,
                           ServeOutcome *outcome, Error *error);

#endif
