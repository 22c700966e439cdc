/* Do the numbers of a scenario go together (heads by tensor ways, GPUs by the product of ways,
 * ...)? A schema checks one value at a time; this checks them against each other. */
#ifndef MODELS_PLAN_CHECK_H
#define MODELS_PLAN_CHECK_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"

/* Whole microbatches of one replica in one step: batch_tokens / (sequence * data * micro_batch),
 * rounded to the nearest, at least 1. */
double plan_microbatches(const TrainingSpec *training);
double
plan_step_tokens(const TrainingSpec *training); /* tokens that such a step really trains on */

/* STATUS_INVALID with the offending keys and the rule when they contradict each other. */
Status plan_check(const Scenario *scenario, Error *error);

#endif
