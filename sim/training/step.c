#include "sim/training/step.h"

#include "sim/engine/random.h"
#include "sim/training/fold.h"
#include "sim/training/pipeline.h"
#include "sim/training/step_end.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>

struct StepSimulator {
    Pipeline *pipeline;
    Fold *fold;
    double *factors;      /* [replica][stage] */
    double *expert_noise; /* see PipelineCase */
    size_t factors_capacity, noise_capacity;
};

StepSimulator *step_simulator_create(Error *error)
{
    StepSimulator *simulator = calloc(1, sizeof *simulator);
    if (simulator == NULL) {
        error_set(error, STATUS_ENVIRONMENT, "out of memory");
        return NULL;
    }
    simulator->pipeline = pipeline_create(error);
    simulator->fold = simulator->pipeline != NULL ? fold_create(error) : NULL;
    if (simulator->fold == NULL) {
        step_simulator_destroy(simulator);
        return NULL;
    }
    return simulator;
}

void step_simulator_destroy(StepSimulator *simulator)
{
    if (simulator == NULL)
        return;
    pipeline_destroy(simulator->pipeline);
    fold_destroy(simulator->fold);
    free(simulator->factors);
    free(simulator->expert_noise);
    free(simulator);
}

void step_result_free(StepResult *result)
{
    free(result->spans);
    result->spans = NULL;
    result->span_count = 0;
}

/* What the mean stage works in one step, cause by cause. */
static void work_breakdown(const StepInput *input, StepBreakdown *breakdown)
{
    *breakdown = (StepBreakdown){0};
    double share = (double)input->microbatches / (double)input->stages;
    for (size_t i = 0; i < input->stages; i++) {
        const StagePhase *phases[] = {&input->stage[i].forward, &input->stage[i].backward};
        for (size_t j = 0; j < 2; j++) {
            breakdown->compute_s += phases[j]->compute_s * share;
            breakdown->recompute_s += phases[j]->recompute_s * share;
            breakdown->tensor_s += phases[j]->tensor_s * share;
            breakdown->expert_s += phases[j]->expert_s * share;
            breakdown->expert_imbalance_s += phases[j]->expert_imbalance_s * share;
            breakdown->data_parallel_s += phases[j]->sharding_s * share;
        }
    }
}

static double work_seconds(const StepBreakdown *breakdown)
{
    return breakdown->compute_s + breakdown->recompute_s + breakdown->tensor_s +
           breakdown->expert_s + breakdown->expert_imbalance_s + breakdown->data_parallel_s;
}

/* Communication that an overlapped forward and backward hide in each other is not exposed: each
 * kind loses its share. */
static void hide_communication(double hidden_s, StepBreakdown *breakdown)
{
    double *parts[] = {&breakdown->tensor_s, &breakdown->expert_s, &breakdown->data_parallel_s};
    double all_s = breakdown->tensor_s + breakdown->expert_s + breakdown->data_parallel_s;
    if (!(hidden_s > 0.0) || !(all_s > 0.0))
        return;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        *parts[i] *= 1.0 - fmin(1.0, hidden_s / all_s);
}

/* Causes are added one after the other, each to one replica; differences of neighbours sum to the
 * whole exactly. Nothing that follows the pipeline acts back on it, so one run with sends and one
 * without them are enough. */
static Status folded_step(StepSimulator *simulator, const StepInput *input, FoldDetail detail,
                          StepSpan *spans, StepResult *result, Error *error)
{
    FoldOutcome fold;
    Status status = fold_evaluate(simulator->fold, input, detail, spans, &fold, error);
    if (status != STATUS_OK)
        return status;

    double communicated_s;
    double seconds = step_end_seconds(&fold.shape, input, &fold.ends, &communicated_s);
    result->seconds = seconds;
    result->makespan_s = fold.makespan_s;
    result->span_count = fold.spans;
    if (fold.makespan_s > 0.0)
        result->bubble_fraction = fmax(0.0, 1.0 - fold.work_s / fold.makespan_s);
    if (detail != FOLD_CAUSES)
        return STATUS_OK;

    StepBreakdown *breakdown = &result->breakdown;
    work_breakdown(input, breakdown);
    hide_communication(fold.hidden_s, breakdown);
    breakdown->bubble_s = fold.ideal_s - fold.ideal_work_s;
    breakdown->stage_imbalance_s = fold.instant_s - work_seconds(breakdown) - breakdown->bubble_s;
    breakdown->pipeline_send_s = fold.makespan_s - fold.instant_s;
    breakdown->data_parallel_s += communicated_s - fold.makespan_s;
    breakdown->optimizer_s = seconds - communicated_s;
    return STATUS_OK;
}

/* Lognormal with mean 1: exp(s z - s^2 / 2), s^2 = ln(1 + sd^2); positive whatever the noise. It
 * rises with z, so the slowest of t ranks has the largest z; that maximum has the distribution
 * Phi(z)^t, hence z = Phi^-1(u^(1/t)) from one uniform u. */
static Status draw_factors(StepSimulator *simulator, const StepInput *input,
                           SimulationDetail detail, unsigned long long seed,
                           unsigned long long replication, Error *error)
{
    size_t workers = input->stages * input->replicas;
    if (workers > simulator->factors_capacity) {
        free(simulator->factors);
        simulator->factors_capacity = 0;
        simulator->factors = calloc(workers, sizeof *simulator->factors);
        if (simulator->factors == NULL)
            return error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu pipeline stages",
                             workers);
        simulator->factors_capacity = workers;
    }

    RandomStream stream = random_stream(seed, "jitter", replication);
    double ranks = fmax(1.0, round(input->gpus / (double)workers));
    double sigma = sqrt(log1p(input->jitter * input->jitter));
    for (size_t i = 0; i < workers; i++) {
        double z = -HUGE_VAL;
        if (detail == DETAIL_GPUS) {
            for (size_t rank = 0; (double)rank < ranks; rank++)
                z = fmax(z, random_normal(&stream));
        } else {
            z = gsl_cdf_ugaussian_Pinv(pow(random_uniform_open(&stream), 1.0 / ranks));
        }
        simulator->factors[i] = exp(sigma * z - 0.5 * sigma * sigma);
    }
    return STATUS_OK;
}

double step_expert_deviation_s(const StepInput *input)
{
    double sum_s = 0.0;
    for (size_t i = 0; i < input->stages; i++)
        sum_s += sqrt(input->stage[i].forward.expert_variance_s2) +
                 sqrt(input->stage[i].backward.expert_variance_s2);
    return sum_s / (double)input->stages;
}

static Status draw_expert_noise(StepSimulator *simulator, const StepInput *input,
                                unsigned long long seed, unsigned long long replication,
                                PipelineCase *pipeline_case, Error *error)
{
    ScheduleShape shape;
    Status status = step_shape(input, input->replicas, &shape, error);
    if (status != STATUS_OK)
        return status;
    const size_t together = input->expert_group_replicas > 0 ? input->expert_group_replicas : 1;
    const size_t groups = (input->replicas + together - 1) / together;
    const size_t count = groups * shape.stages * shape.rounds * shape.chunks;
    status = pipeline_reserve((void **)&simulator->expert_noise, &simulator->noise_capacity, count,
                              sizeof *simulator->expert_noise, error);
    if (status != STATUS_OK)
        return status;
    RandomStream stream = random_stream(seed, "expert noise", (replication + 1) / 2);
    const double sign = replication % 2 == 0 ? 1.0 : -1.0;
    for (size_t i = 0; i < count; i++)
        simulator->expert_noise[i] = sign * random_normal(&stream);
    pipeline_case->expert_noise = simulator->expert_noise;
    pipeline_case->group_replicas = together;
    return STATUS_OK;
}

/* All replicas, event by event: with the noise of the experts alone, then of every GPU as well. */
static Status full_step(StepSimulator *simulator, const StepInput *input, SimulationDetail detail,
                        unsigned long long seed, unsigned long long replication, StepResult *result,
                        Error *error)
{
    PipelineCase every_replica = {.replicas = input->replicas, .send_s = input->send_s};
    PipelineOutcome full;
    Status status = STATUS_OK;
    if (step_expert_deviation_s(input) > 0.0) {
        status = draw_expert_noise(simulator, input, seed, replication, &every_replica, error);
        if (status == STATUS_OK)
            status = pipeline_simulate(simulator->pipeline, input, &every_replica, &full, error);
        if (status != STATUS_OK)
            return status;
        double seconds = step_end_seconds(&full.shape, input, &full.ends, NULL);
        result->breakdown.expert_jitter_s = seconds - result->seconds;
        result->seconds = seconds;
        result->events = full.events;
    }
    status = draw_factors(simulator, input, detail, seed, replication, error);
    every_replica.factors = simulator->factors;
    if (status == STATUS_OK)
        status = pipeline_simulate(simulator->pipeline, input, &every_replica, &full, error);
    if (status != STATUS_OK)
        return status;
    double seconds = step_end_seconds(&full.shape, input, &full.ends, NULL);
    result->breakdown.jitter_s = seconds - result->seconds;
    result->seconds = seconds;
    result->events += full.events;
    return STATUS_OK;
}

static Status check_input(const StepInput *input, Error *error)
{
    if (input->stages == 0 || input->stages > MAX_STAGES || input->microbatches == 0 ||
        input->replicas == 0)
        return error_set(error, STATUS_INVALID,
                         "a step needs 1 to %d stages, microbatches and replicas", MAX_STAGES);
    if (input->replicas > STEP_MAX_TASKS / input->stages)
        return error_set(error, STATUS_INVALID,
                         "a step of %zu replicas x %zu stages is too large to simulate",
                         input->replicas, input->stages);
    double numbers[] = {input->jitter, input->send_s, input->gpus, input->peak_flops_per_s};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (!isfinite(numbers[i]) || numbers[i] < 0.0)
            return error_set(error, STATUS_INVALID,
                             "a step needs finite, non-negative jitter, send time, GPUs and peak");
    return STATUS_OK;
}

static void derive_rates(const StepInput *input, StepResult *result)
{
    double seconds = result->seconds;
    result->tokens = input->tokens;
    if (seconds <= 0.0 || input->gpus <= 0.0 || input->peak_flops_per_s <= 0.0)
        return;
    result->mfu = input->model_flops / (seconds * input->peak_flops_per_s);
    result->hfu = input->hardware_flops / (seconds * input->peak_flops_per_s);
    result->tflops_per_gpu = input->model_flops / (seconds * input->gpus) / 1e12;
    result->tokens_per_s_per_gpu = input->tokens / (seconds * input->gpus);
}

Status step_fold(StepSimulator *simulator, const StepInput *input, StepResult *result, Error *error)
{
    *result = (StepResult){0};
    Status status = check_input(input, error);
    if (status == STATUS_OK)
        status = folded_step(simulator, input, FOLD_ENDS, NULL, result, error);
    if (status == STATUS_OK)
        derive_rates(input, result);
    return status;
}

Status step_simulate(StepSimulator *simulator, const StepInput *input, SimulationDetail detail,
                     unsigned long long seed, unsigned long long replication, int want_spans,
                     StepResult *result, Error *error)
{
    *result = (StepResult){0};
    Status status = check_input(input, error);
    if (status != STATUS_OK)
        return status;

    if (want_spans != 0) {
        ScheduleShape shape;
        status = step_shape(input, 1, &shape, error);
        if (status != STATUS_OK)
            return status;
        result->spans = calloc(shape.stages * shape.tasks, sizeof *result->spans);
        if (result->spans == NULL)
            return error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu spans",
                             shape.stages * shape.tasks);
    }
    status = folded_step(simulator, input, FOLD_CAUSES, result->spans, result, error);
    if (status != STATUS_OK)
        goto cleanup;

    if (detail != DETAIL_FOLDED)
        status = full_step(simulator, input, detail, seed, replication, result, error);
    if (status != STATUS_OK)
        goto cleanup;
    derive_rates(input, result);

cleanup:
    if (status != STATUS_OK)
        step_result_free(result);
    return status;
}
