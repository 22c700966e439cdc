#include "sim/training/step.h"

#include "sim/engine/random.h"
#include "sim/training/pipeline.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>

struct StepSimulator {
    Pipeline *pipeline;
    double *factors; /* [replica][stage] */
    size_t factors_capacity;
};

StepSimulator *step_simulator_create(Error *error)
{
    StepSimulator *simulator = calloc(1, sizeof *simulator);
    if (simulator == NULL) {
        error_set(error, STATUS_ENVIRONMENT, "out of memory");
        return NULL;
    }
    simulator->pipeline = pipeline_create(error);
    if (simulator->pipeline == NULL) {
        free(simulator);
        return NULL;
    }
    return simulator;
}

void step_simulator_destroy(StepSimulator *simulator)
{
    if (simulator == NULL)
        return;
    pipeline_destroy(simulator->pipeline);
    free(simulator->factors);
    free(simulator);
}

void step_result_free(StepResult *result)
{
    free(result->spans);
    result->spans = NULL;
    result->span_count = 0;
}

/* One microbatch on the mean stage, forward and backward, and the ideal pipeline of such stages:
 * (m + p - 1)(f + b), of which (p - 1)(f + b) is bubble. */
static double ideal_breakdown(const StepInput *input, StepBreakdown *breakdown)
{
    double microbatches = (double)input->microbatches, stages = (double)input->stages;
    *breakdown = (StepBreakdown){0};
    for (size_t i = 0; i < input->stages; i++) {
        const StagePhase *phases[] = {&input->stage[i].forward, &input->stage[i].backward};
        for (size_t j = 0; j < 2; j++) {
            double share = microbatches / stages;
            breakdown->compute_s += phases[j]->compute_s * share;
            breakdown->recompute_s += phases[j]->recompute_s * share;
            breakdown->tensor_s += phases[j]->tensor_s * share;
            breakdown->expert_s += phases[j]->expert_s * share;
            breakdown->expert_imbalance_s += phases[j]->expert_imbalance_s * share;
            breakdown->data_parallel_s += phases[j]->sharding_s * share;
        }
    }
    double work_s = breakdown->compute_s + breakdown->recompute_s + breakdown->tensor_s +
                    breakdown->expert_s + breakdown->expert_imbalance_s +
                    breakdown->data_parallel_s;
    breakdown->bubble_s = work_s * (stages - 1.0) / microbatches;
    return work_s + breakdown->bubble_s;
}

/* Causes are added one after the other and each simulated on one replica; differences of neighbours
 * sum to the whole exactly. The run with everything also has the makespan of the run that ends
 * before the collectives, since nothing that follows acts back on the pipeline. */
static Status folded_step(StepSimulator *simulator, const StepInput *input, StepSpan *spans,
                          StepResult *result, PipelineOutcome *everything, Error *error)
{
    Pipeline *pipeline = simulator->pipeline;
    PipelineCase whole = {.replicas = 1,
                          .send_s = input->send_s,
                          .data_parallel = true,
                          .optimizer = true,
                          .spans = spans};
    PipelineCase without_optimizer = {
        .replicas = 1, .send_s = input->send_s, .data_parallel = true};
    PipelineCase without_sends = {.replicas = 1};
    PipelineOutcome communicating, instant;

    Status status = pipeline_simulate(pipeline, input, &whole, everything, error);
    if (status == STATUS_OK)
        status = pipeline_simulate(pipeline, input, &without_optimizer, &communicating, error);
    if (status == STATUS_OK)
        status = pipeline_simulate(pipeline, input, &without_sends, &instant, error);
    if (status != STATUS_OK)
        return status;

    StepBreakdown *breakdown = &result->breakdown;
    double ideal_s = ideal_breakdown(input, breakdown);
    breakdown->stage_imbalance_s = instant.makespan_s - ideal_s;
    breakdown->pipeline_send_s = everything->makespan_s - instant.makespan_s;
    breakdown->data_parallel_s += communicating.seconds - everything->makespan_s;
    breakdown->optimizer_s = everything->seconds - communicating.seconds;
    result->events += everything->events + communicating.events + instant.events;
    return STATUS_OK;
}

/* Idle share of the stages' time until the last backward ends. */
static double bubble_fraction(const StepInput *input, double makespan_s)
{
    double work_s = 0.0;
    for (size_t i = 0; i < input->stages; i++)
        work_s += input->stage[i].forward.total_s + input->stage[i].backward.total_s;
    double capacity_s = makespan_s * (double)input->stages;
    return capacity_s > 0.0 ? fmax(0.0, 1.0 - work_s * (double)input->microbatches / capacity_s)
                            : 0.0;
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

Status step_simulate(StepSimulator *simulator, const StepInput *input, SimulationDetail detail,
                     unsigned long long seed, unsigned long long replication, int want_spans,
                     StepResult *result, Error *error)
{
    *result = (StepResult){0};
    Status status = check_input(input, error);
    if (status != STATUS_OK)
        return status;

    size_t span_count = 2 * input->stages * input->microbatches;
    if (want_spans != 0 && span_count > 0 &&
        input->microbatches <= STEP_MAX_TASKS / input->stages) {
        result->spans = calloc(span_count, sizeof *result->spans);
        if (result->spans == NULL)
            return error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu spans", span_count);
    }

    PipelineOutcome folded;
    status = folded_step(simulator, input, result->spans, result, &folded, error);
    if (status != STATUS_OK)
        goto cleanup;
    result->span_count = folded.spans;
    result->seconds = folded.seconds;
    result->makespan_s = folded.makespan_s;
    result->bubble_fraction = bubble_fraction(input, folded.makespan_s);

    if (detail != DETAIL_FOLDED) {
        PipelineOutcome full;
        status = draw_factors(simulator, input, detail, seed, replication, error);
        if (status != STATUS_OK)
            goto cleanup;
        PipelineCase every_replica = {.replicas = input->replicas,
                                      .send_s = input->send_s,
                                      .data_parallel = true,
                                      .optimizer = true,
                                      .factors = simulator->factors};
        status = pipeline_simulate(simulator->pipeline, input, &every_replica, &full, error);
        if (status != STATUS_OK)
            goto cleanup;
        result->breakdown.jitter_s = full.seconds - folded.seconds;
        result->seconds = full.seconds;
        result->events += full.events;
    }
    derive_rates(input, result);

cleanup:
    if (status != STATUS_OK)
        step_result_free(result);
    return status;
}
