/* What a run costs, line by line. Inside sim/training only. */
#ifndef SIM_TRAINING_RUN_COST_H
#define SIM_TRAINING_RUN_COST_H

#include "configs/reader/scenario.h"

/* How long how much of the cluster was paid for. */
typedef struct PaidTime {
    double wall_s;
    double gpu_s, node_s;               /* GPUs and nodes of the job, summed over the wall clock */
    double useful_gpu_s, useful_node_s; /* of these while work was done that was kept */
    double useful_s;
} PaidTime;

/* Lines add up to `usd`: it is their sum. Each but the last is what retained work took; `failures`
 * is everything that was paid for in the rest of the time (lost work, saves, detection,
 * replacement, restarts), and spare nodes from the first second to the last. */
typedef struct RunCost {
    double gpus_usd, network_usd, facility_usd, storage_usd, energy_usd, staff_usd, failures_usd;
    double usd;
    double spares_usd; /* of the failures */
    double energy_j;   /* all of it */
} RunCost;

RunCost run_cost(const Scenario *scenario, const PaidTime *paid);

#endif
