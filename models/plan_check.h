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

/* Ways that zero leaves to the other ways. */
double plan_context_ways(const ParallelSpec *parallel);
double plan_expert_tensor_ways(const ParallelSpec *parallel);
double plan_gradient_ranks(const ParallelSpec *parallel); /* data * context */
double plan_shard_ranks(const ParallelSpec *parallel);    /* among which ZeRO divides */
double plan_gpus(const ParallelSpec *parallel);           /* tensor * context * pipeline * data */

double plan_older_share(const Scenario *scenario); /* of the GPUs that are of the older kind */

/* Experts are laid out on the GPUs otherwise than the rest of a layer (over expert-parallel ranks,
 * or with fewer tensor ways), and how many copies of one are there then: Megatron-Core folds expert
 * tensor, expert and expert-data ways into tensor * context * data ranks. */
int plan_experts_are_spread(const ParallelSpec *parallel);
double plan_expert_copies(const ParallelSpec *parallel);

/* Data-parallel replicas whose tokens meet at one set of experts, at least 1. */
double plan_expert_group_replicas(const ParallelSpec *parallel);

/* STATUS_INVALID with the offending keys and the rule when they contradict each other. */
Status plan_check(const Scenario *scenario, Error *error);

/* The same in two parts, for many plans of one training scenario without a course: what does not
 * depend on training.parallel, and the rest. */
Status plan_check_base(const Scenario *scenario, Error *error);
Status plan_check_parallel(const Scenario *scenario, Error *error);

#endif
