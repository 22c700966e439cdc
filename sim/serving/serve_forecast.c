#include "sim/serving/serve_forecast.h"

#include "configs/reader/sample.h"
#include "hw/price.h"
#include "hw/stored_weights.h"
#include "models/architecture.h"
#include "models/expert_choice.h"
#include "models/serving_side.h"
#include "sim/engine/parallel.h"
#include "sim/engine/random.h"
#include "sim/serving/closed_load.h"

#include <math.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Draws that do not fit in memory are drawn again this often; then the midpoint stands in. */
enum { MOST_ATTEMPTS = 16 };

/* All numbers of one draw that become metrics. */
typedef struct ServeDraw {
    ServeOutcome outcome;
    ServeMemory memory;
    double output_tokens_per_s, input_tokens_per_s, requests_per_s; /* all replicas */
    double per_stage, tokens_per_expert, tokens_per_expert_global, experts_touched;
    double kv_bytes_per_gpu, total_bytes;
    double tokens_per_s_per_user;
    double usd_per_hour, usd_per_gpu_hour;
    double peak_flops_per_s;
} ServeDraw;

typedef struct Column {
    const char *name, *unit;
    size_t offset; /* of a double in ServeDraw */
} Column;

#define COLUMN(NAME, UNIT, MEMBER)                                                                 \
    {                                                                                              \
        NAME, UNIT, offsetof(ServeDraw, MEMBER)                                                    \
    }

/* Known without a simulation, feasible or not. */
static const Column MEMORY_COLUMNS[] = {
    COLUMN("kv.bytes_per_token", "bytes", memory.kv_bytes_per_token),
    COLUMN("kv.bytes_per_token_mha", "bytes", memory.kv_bytes_per_token_mha),
    COLUMN("kv.bytes_per_token_gpu", "bytes", memory.kv_bytes_per_token_gpu),
    COLUMN("kv.capacity_tokens", "tokens", memory.kv_capacity_tokens),
    COLUMN("kv.max_sequences", "sequences", memory.max_sequences),
    COLUMN("kv.max_sequences_mean", "sequences", memory.max_sequences_mean),
    COLUMN("memory.weights_bytes_per_gpu", "bytes", memory.weights_bytes),
    COLUMN("memory.reserved_bytes", "bytes", memory.reserved_bytes),
    COLUMN("memory.kv_bytes_per_gpu", "bytes", kv_bytes_per_gpu),
    COLUMN("memory.total_bytes", "bytes", total_bytes),
    COLUMN("memory.capacity_bytes", "bytes", memory.capacity_bytes),
    COLUMN("hardware.peak_flops_per_s", "FLOP/s", peak_flops_per_s),
    COLUMN("cost.usd_per_gpu_hour", "USD/h", usd_per_gpu_hour),
};

static const Column OUTCOME_COLUMNS[] = {
    COLUMN("throughput.input_tokens_per_s", "tokens/s", input_tokens_per_s),
    COLUMN("throughput.output_tokens_per_s", "tokens/s", output_tokens_per_s),
    COLUMN("throughput.requests_per_s", "1/s", requests_per_s),
    COLUMN("latency.ttft_s.p50", "s", outcome.ttft_s[0]),
    COLUMN("latency.ttft_s.p90", "s", outcome.ttft_s[1]),
    COLUMN("latency.ttft_s.p99", "s", outcome.ttft_s[2]),
    COLUMN("latency.tpot_s.p50", "s", outcome.tpot_s[0]),
    COLUMN("latency.tpot_s.p90", "s", outcome.tpot_s[1]),
    COLUMN("latency.tpot_s.p99", "s", outcome.tpot_s[2]),
    COLUMN("latency.e2e_s.p50", "s", outcome.e2e_s[0]),
    COLUMN("latency.e2e_s.p90", "s", outcome.e2e_s[1]),
    COLUMN("latency.e2e_s.p99", "s", outcome.e2e_s[2]),
    COLUMN("capacity.tokens_per_s_per_user", "tokens/s", tokens_per_s_per_user),
    COLUMN("utilisation.mfu", "", outcome.mfu),
    COLUMN("utilisation.mbu", "", outcome.mbu),
    COLUMN("batch.sequences", "sequences", outcome.batch),
    COLUMN("batch.decoding", "sequences", outcome.decode_batch),
    COLUMN("batch.per_stage", "sequences", per_stage),
    COLUMN("batch.pass_tokens", "tokens", outcome.pass_tokens),
    COLUMN("batch.tokens_per_expert", "tokens", tokens_per_expert),
    COLUMN("batch.tokens_per_expert_global", "tokens", tokens_per_expert_global),
    COLUMN("batch.experts_touched", "experts", experts_touched),
    COLUMN("stage.weights_s", "s", outcome.stage.weights_s),
    COLUMN("stage.kv_s", "s", outcome.stage.kv_s),
    COLUMN("stage.compute_s", "s", outcome.stage.compute_s),
    COLUMN("stage.collective_s", "s", outcome.stage.collective_s),
    COLUMN("stage.overhead_s", "s", outcome.stage.overhead_s),
    COLUMN("stage.drafts_s", "s", outcome.stage.drafts_s),
    COLUMN("stage.total_s", "s", outcome.stage.total_s),
    COLUMN("cost.usd_per_1k_tokens", "USD", outcome.usd_per_1k_tokens),
    COLUMN("cost.usd_per_1k_output_tokens", "USD", outcome.usd_per_1k_output_tokens),
    COLUMN("cost.usd_per_1k_decode_only", "USD", outcome.usd_per_1k_decode_only),
    COLUMN("cost.usd_per_1m_input", "USD", outcome.usd_per_1m_input),
    COLUMN("cost.usd_per_1m_output", "USD", outcome.usd_per_1m_output),
    COLUMN("cost.floor_usd_per_1k_at_peak", "USD", outcome.floor_usd_per_1k_at_peak),
    COLUMN("cost.usd_per_hour", "USD/h", usd_per_hour),
};

enum {
    MEMORY_COUNT = sizeof MEMORY_COLUMNS / sizeof MEMORY_COLUMNS[0],
    OUTCOME_COUNT = sizeof OUTCOME_COLUMNS / sizeof OUTCOME_COLUMNS[0],
    COLUMN_COUNT = MEMORY_COUNT + OUTCOME_COUNT
};

static const Column *column_at(size_t i)
{
    return i < MEMORY_COUNT ? &MEMORY_COLUMNS[i] : &OUTCOME_COLUMNS[i - MEMORY_COUNT];
}

static double column_value(const ServeDraw *draw, const Column *column)
{
    double value;
    memcpy(&value, (const char *)draw + column->offset, sizeof value);
    return value;
}

typedef struct Worker {
    ServeScratch scratch;
    Scenario sampled;
    ExpertChoice choice;
    ServeDraw draw;
} Worker;

typedef struct Job {
    const Scenario *scenario;
    const Scenario *midpoint;
    const ForecastOptions *options;
    Worker *workers;
    double *columns;      /* COLUMN_COUNT rows of reps */
    double *inputs;       /* uncertain_count rows of reps */
    double *first_fitted; /* reps */
    atomic_size_t done;
    atomic_int interrupted;
} Job;

/* What follows from outcome and memory. */
static void derive(const Scenario *scenario, ExpertChoice *choice, ServeDraw *draw)
{
    const ModelSpec *model = &scenario->model;
    const ServingSpec *serving = &scenario->serving;
    const ServeOutcome *outcome = &draw->outcome;
    const ServeMemory *memory = &draw->memory;
    const double mean_length =
        fmin(serving->prompt_tokens + serving->output_tokens, serving->context_limit);
    const double chosen =
        model->experts > 1 ? fmin(1, model->experts_per_token / model->experts) : 1;

    draw->output_tokens_per_s = serving->replicas * outcome->output_tokens_per_s;
    draw->input_tokens_per_s = serving->replicas * outcome->input_tokens_per_s;
    draw->requests_per_s = serving->replicas * outcome->requests_per_s;
    draw->usd_per_hour = 3600 * serving->replicas * outcome->usd_per_s;
    draw->usd_per_gpu_hour = price_gpu_hour_usd(scenario, serving->tensor * serving->pipeline);
    draw->peak_flops_per_s = gpu_served_peak_flops_per_s(&scenario->hardware.gpu, serving);

    /* In flight: what runs, or, when nothing fits, the one full sequence that was asked for. */
    const double tokens = memory->fits
                              ? fmin(memory->kv_capacity_tokens, outcome->batch * mean_length)
                              : serving->context_limit;
    draw->kv_bytes_per_gpu = tokens * memory->kv_bytes_per_token_gpu;
    draw->total_bytes = memory->weights_bytes + memory->reserved_bytes + draw->kv_bytes_per_gpu;
    if (outcome->microbatches <= 0)
        return;
    draw->per_stage = outcome->batch / outcome->microbatches;
    draw->tokens_per_expert = draw->per_stage * chosen;
    draw->tokens_per_expert_global = outcome->batch * chosen;
    expert_choice_prepare(choice, &serving->expert_load, model);
    draw->experts_touched = expert_choice_touched(choice, model, draw->per_stage);
    draw->tokens_per_s_per_user = outcome->tpot_s[0] > 0 ? 1 / outcome->tpot_s[0] : 0;
}

static Status simulate_draw(Worker *worker, const Scenario *scenario, unsigned long long seed,
                            unsigned long long replication, Error *error)
{
    ServeDraw *draw = &worker->draw;
    const Status status =
        serve_simulate_with(&worker->scratch, scenario, seed, replication, &draw->outcome, error);
    if (status != STATUS_OK)
        return status;
    serve_memory(scenario, &draw->memory);
    derive(scenario, &worker->choice, draw);
    return STATUS_OK;
}

void serve_sample(const Scenario *scenario, unsigned long long seed, unsigned long long replication,
                  Scenario *sampled)
{
    double uniforms[MAX_UNCERTAIN];
    for (size_t i = 0; i < scenario->uncertain_count; i++) {
        RandomStream stream = random_stream(seed, scenario->uncertain[i].path, replication);
        uniforms[i] = random_uniform_open(&stream);
    }
    scenario_sample(scenario, uniforms, sampled);
}

static Status report_progress(Job *job, size_t worker, Error *error)
{
    const size_t done = atomic_fetch_add(&job->done, 1) + 1;
    const ForecastOptions *options = job->options;

    /* One thread reports, so that the caller's function needs no lock. */
    if (options->progress && worker == 0 &&
        options->progress(options->progress_context, done, options->reps))
        atomic_store(&job->interrupted, 1);
    if (atomic_load(&job->interrupted))
        return error_set(error, STATUS_INTERRUPTED, "interrupted after %zu of %zu replications",
                         done, options->reps);
    return STATUS_OK;
}

static Status run_replication(void *context, size_t index, size_t worker_index, Error *error)
{
    Job *job = context;
    Worker *worker = &job->workers[worker_index];
    const size_t reps = job->options->reps;
    Status status = STATUS_NO;

    for (size_t attempt = 0; attempt < MOST_ATTEMPTS && status == STATUS_NO; attempt++) {
        serve_sample(job->scenario, job->options->seed, index + attempt * reps, &worker->sampled);
        status = simulate_draw(worker, &worker->sampled, job->options->seed, index, error);
        if (attempt == 0)
            job->first_fitted[index] = status == STATUS_OK;
    }
    if (status == STATUS_NO) {
        worker->sampled = *job->midpoint;
        status = simulate_draw(worker, &worker->sampled, job->options->seed, index, error);
    }
    if (status != STATUS_OK)
        return status;

    for (size_t i = 0; i < COLUMN_COUNT; i++)
        job->columns[i * reps + index] = column_value(&worker->draw, column_at(i));
    for (size_t i = 0; i < job->scenario->uncertain_count; i++)
        job->inputs[i * reps + index] =
            scenario_field(&worker->sampled, &job->scenario->uncertain[i]);
    return report_progress(job, worker_index, error);
}

/* A quantity that no draw moves is a scalar. */
static Status add_samples(MetricSet *metrics, const char *name, const char *unit,
                          const double *values, size_t count, Error *error)
{
    size_t same = 1;
    while (same < count && values[same] == values[0])
        same++;
    if (same == count)
        return metrics_set(metrics, name, unit, values[0], error);
    return metrics_set_samples(metrics, name, unit, values, count, error);
}

static Status add_model_metrics(MetricSet *metrics, const Scenario *scenario,
                                const ServeMemory *memory, Error *error)
{
    const ModelSpec *model = &scenario->model;
    const ServingSpec *serving = &scenario->serving;
    const ModelParameters count = model_parameters(model);
    const struct {
        const char *name, *unit;
        double value;
    } rows[] = {
        {"feasible", "", memory->fits},
        {"memory.fits", "", memory->fits},
        {"model.params_total", "parameters", count.total},
        {"model.params_active", "parameters", count.active},
        {"model.params_per_expert", "parameters", count.mlp_per_expert},
        {"model.params_attention", "parameters", count.attention},
        {"model.params_per_node", "parameters", memory->params_per_node},
        {"model.layers", "layers", model->layers},
        {"model.experts", "experts", model->experts},
        {"model.experts_per_token", "experts", model->experts_per_token},
        {"model.kv_heads", "heads", model->kv_heads},
        {"plan.gpus", "GPUs", serving->tensor * serving->pipeline * serving->replicas},
        {"plan.tensor", "ways", serving->tensor},
        {"plan.pipeline", "ways", serving->pipeline},
        {"plan.replicas", "clusters", serving->replicas},
        {"hardware.memory_bytes_per_s", "bytes/s", scenario->hardware.gpu.memory_bytes_per_s},
    };
    Status status = STATUS_OK;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && status == STATUS_OK; i++)
        status = metrics_set(metrics, rows[i].name, rows[i].unit, rows[i].value, error);
    return status;
}

static Status add_memory_metrics(MetricSet *metrics, const ServeDraw *draw, Error *error)
{
    Status status = STATUS_OK;
    for (size_t i = 0; i < MEMORY_COUNT && status == STATUS_OK; i++)
        status = metrics_set(metrics, MEMORY_COLUMNS[i].name, MEMORY_COLUMNS[i].unit,
                             column_value(draw, &MEMORY_COLUMNS[i]), error);
    return status;
}

static Status add_draw_metrics(MetricSet *metrics, const Job *job, Error *error)
{
    const size_t reps = job->options->reps;
    const Scenario *scenario = job->scenario;
    double fitted = 0;
    Status status = STATUS_OK;

    for (size_t i = 0; i < COLUMN_COUNT && status == STATUS_OK; i++)
        status = add_samples(metrics, column_at(i)->name, column_at(i)->unit,
                             &job->columns[i * reps], reps, error);
    for (size_t i = 0; i < scenario->uncertain_count && status == STATUS_OK; i++) {
        char name[METRIC_NAME_BYTES];
        const int length = snprintf(name, sizeof name, "input.%s", scenario->uncertain[i].path);
        if (length < 0 || (size_t)length >= sizeof name)
            return error_set(error, STATUS_INVALID, "the key %s is too long for a metric",
                             scenario->uncertain[i].path);
        status = metrics_set_samples(metrics, name, "", &job->inputs[i * reps], reps, error);
    }
    for (size_t i = 0; i < reps; i++)
        fitted += job->first_fitted[i];
    if (status == STATUS_OK)
        status = metrics_set(metrics, "feasible_share", "", fitted / (double)reps, error);
    return status;
}

Status serve_forecast(const Scenario *scenario, const ForecastOptions *options,
                      ServeForecast *forecast, Error *error)
{
    const size_t reps = options->reps;
    const size_t threads = parallel_threads(options->threads);
    Scenario *midpoint = NULL;
    Job job = {.scenario = scenario, .options = options};
    Status status = STATUS_OK;

    memset(forecast, 0, sizeof *forecast);
    metrics_init(&forecast->metrics);
    if (reps == 0)
        return error_set(error, STATUS_USAGE, "a forecast needs at least one replication");

    midpoint = malloc(sizeof *midpoint);
    job.workers = calloc(threads, sizeof *job.workers);
    job.columns = calloc(reps, COLUMN_COUNT * sizeof *job.columns);
    job.inputs = calloc(reps, (scenario->uncertain_count + 1) * sizeof *job.inputs);
    job.first_fitted = calloc(reps, sizeof *job.first_fitted);
    if (!midpoint || !job.workers || !job.columns || !job.inputs || !job.first_fitted) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu replications", reps);
        goto cleanup;
    }
    scenario_midpoint(scenario, midpoint);
    job.midpoint = midpoint;
    forecast->reps = reps;

    Worker *first = &job.workers[0];
    serve_memory(midpoint, &forecast->memory);
    status = add_model_metrics(&forecast->metrics, midpoint, &forecast->memory, error);
    if (status != STATUS_OK)
        goto cleanup;
    /* One replica of both kinds of work is no part of a disaggregated cluster: refused below. */
    if (!forecast->memory.fits && !serving_is_disaggregated(&midpoint->serving)) {
        first->draw.memory = forecast->memory;
        derive(midpoint, &first->choice, &first->draw);
        status = add_memory_metrics(&forecast->metrics, &first->draw, error);
        goto cleanup;
    }

    status = simulate_draw(first, midpoint, options->seed, 0, error);
    if (status != STATUS_OK)
        goto cleanup;
    forecast->nominal = first->draw.outcome;
    forecast->stage = forecast->nominal.stage;

    atomic_init(&job.done, 0);
    atomic_init(&job.interrupted, 0);
    status = parallel_for(reps, threads, run_replication, &job, error);
    if (status == STATUS_OK)
        status = add_draw_metrics(&forecast->metrics, &job, error);

cleanup:
    free(job.first_fitted);
    free(job.inputs);
    free(job.columns);
    for (size_t i = 0; job.workers != NULL && i < threads; i++)
        serve_scratch_free(&job.workers[i].scratch);
    free(job.workers);
    free(midpoint);
    if (status != STATUS_OK)
        serve_forecast_free(forecast);
    return status;
}

void serve_forecast_free(ServeForecast *forecast)
{
    metrics_free(&forecast->metrics);
    forecast->reps = 0;
}
