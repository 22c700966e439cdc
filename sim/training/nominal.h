/* Metrics of the midpoint scenario that need no simulation. Inside sim/training only. */
#ifndef SIM_TRAINING_NOMINAL_H
#define SIM_TRAINING_NOMINAL_H

#include "models/memory.h"
#include "sim/engine/metrics.h"

/* model.*, memory.*, plan.* and step.{tokens,bubble_closed_form} of a checked scenario. */
Status nominal_metrics(const Scenario *midpoint, const MemoryPlan *memory, MetricSet *metrics,
                       Error *error);

#endif
