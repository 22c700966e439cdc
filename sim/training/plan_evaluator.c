#include "sim/training/plan_evaluator.h"

#include "models/architecture.h"
#include "models/plan_check.h"
#include "sim/training/block_table.h"
#include "sim/training/feasible.h"
#include "sim/training/step.h"
#include "sim/training/step_input.h"

#include <stdlib.h>

struct PlanEvaluator {
    Scenario scenario; /* the base, with the plan under way */
    Plan base;
    unsigned long long seed;
    Status checked;   /* what all plans have in common */
    ModelFlops flops; /* of one token */
    BlockTable *blocks;
    StepSimulator *simulator;
    StepInput input;
};

PlanEvaluator *plan_evaluator_create(const Scenario *base, unsigned long long seed, Error *error)
{
    PlanEvaluator *evaluator = calloc(1, sizeof *evaluator);
    if (evaluator == NULL) {
        error_set(error, STATUS_ENVIRONMENT, "out of memory");
        return NULL;
    }
    evaluator->scenario = *base;
    evaluator->base = (Plan){.parallel = base->training.parallel,
                             .gradient_precision = base->training.gradient_precision,
                             .batch_tokens = base->training.batch_tokens};
    evaluator->seed = seed;
    evaluator->checked = plan_check_base(base, NULL);
    evaluator->flops = model_flops_per_token(&base->model, base->training.sequence_length);
    evaluator->blocks = block_table_create(error);
    if (evaluator->blocks != NULL)
        evaluator->simulator = step_simulator_create(error);
    if (evaluator->simulator == NULL) {
        plan_evaluator_destroy(evaluator);
        return NULL;
    }
    return evaluator;
}

void plan_evaluator_destroy(PlanEvaluator *evaluator)
{
    if (evaluator == NULL)
        return;
    block_table_destroy(evaluator->blocks);
    step_simulator_destroy(evaluator->simulator);
    free(evaluator);
}

Plan plan_evaluator_base(const PlanEvaluator *evaluator)
{
    return evaluator->base;
}

static void set_plan(PlanEvaluator *evaluator, const Plan *plan)
{
    TrainingSpec *training = &evaluator->scenario.training;
    training->parallel = plan->parallel;
    training->gradient_precision = plan->gradient_precision;
    training->batch_tokens = plan->batch_tokens;
    evaluator->scenario.hardware.gpus = plan_gpus(&plan->parallel);
}

/* Every phase of a course is a plan of its own. */
static Status check(const PlanEvaluator *evaluator)
{
    if (evaluator->scenario.course_count > 0)
        return plan_check(&evaluator->scenario, NULL);
    return evaluator->checked != STATUS_OK ? evaluator->checked
                                           : plan_check_parallel(&evaluator->scenario, NULL);
}

Status plan_evaluate(PlanEvaluator *evaluator, const Plan *plan, PlanResult *result)
{
    const Scenario *scenario = &evaluator->scenario;
    *result = (PlanResult){0};
    set_plan(evaluator, plan);
    result->gpus = scenario->hardware.gpus;
    Status status = check(evaluator);
    if (status != STATUS_OK)
        return status;

    const MemoryParts parts = memory_parts(scenario);
    MemoryPlan memory;
    memory_worst(&parts, &memory);
    result->memory = memory.worst;
    result->worst_stage = memory.worst_stage;
    result->capacity_bytes = memory.capacity_bytes;
    result->fits = memory.fits;
    if (!memory.fits)
        return STATUS_NO;

    const BlockSet *blocks;
    StepResult step;
    if (plan_older_share(scenario) > 0.0) { /* two generations of GPUs: nothing is kept */
        status = step_input(scenario, evaluator->seed, 0, &evaluator->input, NULL);
    } else {
        status = block_table_find(evaluator->blocks, scenario, evaluator->seed, 0, &blocks, NULL);
        if (status == STATUS_OK)
            status = step_input_of_blocks(scenario, &parts, blocks, NULL, &evaluator->flops,
                                          &evaluator->input, NULL);
    }
    if (status == STATUS_OK)
        status = step_fold(evaluator->simulator, &evaluator->input, &step, NULL);
    if (status != STATUS_OK)
        return status;
    result->step_seconds = step.seconds;
    result->makespan_s = step.makespan_s;
    result->bubble_fraction = step.bubble_fraction;
    result->tokens = step.tokens;
    result->mfu = step.mfu;
    result->hfu = step.hfu;
    result->tokens_per_s_per_gpu = step.tokens_per_s_per_gpu;
    return STATUS_OK;
}

Status plan_explain(PlanEvaluator *evaluator, const Plan *plan, Error *error)
{
    MemoryPlan memory = {0};
    set_plan(evaluator, plan);
    if (plan_fits(&evaluator->scenario, &memory))
        return STATUS_OK;
    return plan_refuse(&evaluator->scenario, &memory, error);
}
