/* The folded step of many plans for one model on one hardware, as fast as a search needs it: what
 * `train` says of the midpoint of a scenario without jitter, number by number, since both call the
 * same functions; what plans have in common is worked out once and kept.
 *
 * An evaluator is one thread's. It allocates when it is created, when it meets the layers of a plan
 * (tensor, context, expert ways, micro batch, ...) for the first time, and when a pipeline is
 * larger than all before it; never for a plan as such. Results do not depend on what was asked
 * before. */
#ifndef SIM_TRAINING_PLAN_EVALUATOR_H
#define SIM_TRAINING_PLAN_EVALUATOR_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"
#include "models/memory.h"

/* What a search varies; the job has plan_gpus(&parallel) GPUs. */
typedef struct Plan {
    ParallelSpec parallel;
    Precision gradient_precision;
    double batch_tokens;
} Plan;

typedef struct PlanResult {
    double gpus;
    /* Of the stage that needs most, where the plan is consistent. */
    StageMemory memory;
    size_t worst_stage;
    double capacity_bytes;
    int fits;
    /* Where it fits: the fields of StepResult with the same names. */
    double step_seconds, makespan_s, bubble_fraction;
    double tokens, mfu, hfu, tokens_per_s_per_gpu;
} PlanResult;

typedef struct PlanEvaluator PlanEvaluator;

/* `base`: a checked training scenario without uncertain inputs (its midpoint); copied. Expert loads
 * are drawn from the stream (seed, "expert load", 0). */
PlanEvaluator *plan_evaluator_create(const Scenario *base, unsigned long long seed, Error *error);
void plan_evaluator_destroy(PlanEvaluator *evaluator);

/* The plan that `base` came with. */
Plan plan_evaluator_base(const PlanEvaluator *evaluator);

/* STATUS_OK: the plan fits, `result` is full. STATUS_NO: it does not fit; memory and worst_stage
 * are filled. STATUS_INVALID: its numbers contradict each other. No text is written: plan_explain
 * gives the reason. */
Status plan_evaluate(PlanEvaluator *evaluator, const Plan *plan, PlanResult *result);

/* Why not, in the words of `train`; STATUS_OK when the plan fits. Looks for a remedy, which takes
 * many times as long as evaluating. */
Status plan_explain(PlanEvaluator *evaluator, const Plan *plan, Error *error);

#endif
