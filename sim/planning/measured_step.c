#include "sim/planning/measured_step.h"

#include "sim/training/expert_load.h"
#include "sim/training/jitter_penalty.h"

#include <math.h>
#include <stdlib.h>

MeasuredStep **measured_steps_create(size_t count, Error *error)
{
    MeasuredStep **steps = calloc(count, sizeof(MeasuredStep *));
    int complete = steps != NULL;
    for (size_t i = 0; complete && i < count; i++) {
        steps[i] = calloc(1, sizeof(MeasuredStep));
        if (steps[i] != NULL)
            steps[i]->simulator = step_simulator_create(error);
        if (steps[i] != NULL)
            steps[i]->loads = expert_load_memo_create(error);
        complete = steps[i] != NULL && steps[i]->simulator != NULL && steps[i]->loads != NULL;
    }
    if (complete)
        return steps;
    measured_steps_free(steps, count);
    error_set(error, STATUS_ENVIRONMENT, "out of memory");
    return NULL;
}

void measured_steps_free(MeasuredStep **steps, size_t count)
{
    for (size_t i = 0; steps != NULL && i < count; i++)
        if (steps[i] != NULL) {
            step_simulator_destroy(steps[i]->simulator);
            expert_load_memo_destroy(steps[i]->loads);
            free(steps[i]);
        }
    free(steps);
}

Status measured_step_penalty(MeasuredStep *step, unsigned long long seed, double *share,
                             Error *error)
{
    JitterPenalty penalty;
    const StepInput *input = &step->input;
    *share = 0;
    Status status = step_input_sharing(&step->scenario, seed, 0, step->loads, &step->input, error);
    if (status == STATUS_OK)
        status = jitter_penalty_measure(input, DETAIL_REPLICAS, seed, 1, input->jitter, 0, &penalty,
                                        error);
    if (status == STATUS_OK)
        *share = jitter_penalty_at(&penalty, input->jitter);
    if (status == STATUS_OK && penalty.compute_s > 0)
        *share += penalty.expert_s / penalty.compute_s;
    return status;
}

Status measured_step_rate(MeasuredStep *step, unsigned long long seed, double penalty_share,
                          double *tokens_per_s, Error *error)
{
    StepResult folded;
    const StepInput *input = &step->input;
    *tokens_per_s = 0;
    Status status = step_input_sharing(&step->scenario, seed, 0, step->loads, &step->input, error);
    if (status == STATUS_OK)
        status = step_simulate(step->simulator, input, DETAIL_FOLDED, seed, 0, 0, &folded, error);
    if (status != STATUS_OK)
        return status;
    const double computed_s = folded.breakdown.compute_s + folded.breakdown.recompute_s;
    const double seconds = folded.seconds + penalty_share * computed_s;
    *tokens_per_s = input->tokens / (seconds * input->gpus);
    if (!isfinite(*tokens_per_s) || *tokens_per_s <= 0)
        return error_set(error, STATUS_INVALID, "the simulated step takes no finite time");
    return STATUS_OK;
}
