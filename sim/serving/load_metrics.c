#include "sim/serving/load_metrics.h"

#include "configs/reader/sample.h"
#include "hw/price.h"
#include "sim/engine/parallel.h"
#include "sim/serving/serve_forecast.h"
#include "sim/serving/serve_load.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Medians over some dozen draws need no more requests a draw. */
enum { MOST_ATTEMPTS = 16, REQUESTS = 6000 };

/* What one replication leaves behind, in the order of METRICS. */
typedef struct LoadSample {
    double stable_maximum_per_s, rate_per_s;
    double input_tokens_per_s, output_tokens_per_s;
    double requests_per_s;
    double ttft_s, tpot_s, e2e_s, tpot_mean_s, e2e_mean_s, ttft_p99_s, tpot_p99_s, e2e_p99_s;
    double mfu, mbu, kv_occupancy, decoding, preempted;
    double usd_per_1k_tokens, usd_per_1m_input, usd_per_1m_output, usd_per_hour;
    double gpus, usd_per_gpu_hour, grid_w;
    /* speculation */
    double tokens_per_round, best_speedup, best_batch, best_length, helps_from, helps_to;
    double largest_batch, largest_speedup;
} LoadSample;

typedef struct LoadMetric {
    const char *name, *unit;
    size_t offset;
    int of_speculation;
} LoadMetric;

#define METRIC(NAME, UNIT, MEMBER, SPECULATION)                                                    \
    {                                                                                              \
        NAME, UNIT, offsetof(LoadSample, MEMBER), SPECULATION                                      \
    }

static const LoadMetric METRICS[] = {
    METRIC("load.stable_maximum_per_s", "1/s", stable_maximum_per_s, 0),
    METRIC("load.rate_per_s", "1/s", rate_per_s, 0),
    METRIC("load.preempted", "", preempted, 0),
    METRIC("throughput.input_tokens_per_s", "tokens/s", input_tokens_per_s, 0),
    METRIC("throughput.output_tokens_per_s", "tokens/s", output_tokens_per_s, 0),
    METRIC("throughput.requests_per_s", "1/s", requests_per_s, 0),
    METRIC("latency.ttft_s.p50", "s", ttft_s, 0),
    METRIC("latency.tpot_s.p50", "s", tpot_s, 0),
    METRIC("latency.e2e_s.p50", "s", e2e_s, 0),
    METRIC("latency.tpot_s.mean", "s", tpot_mean_s, 0),
    METRIC("latency.e2e_s.mean", "s", e2e_mean_s, 0),
    METRIC("latency.ttft_s.p99", "s", ttft_p99_s, 0),
    METRIC("latency.tpot_s.p99", "s", tpot_p99_s, 0),
    METRIC("latency.e2e_s.p99", "s", e2e_p99_s, 0),
    METRIC("utilisation.mfu", "", mfu, 0),
    METRIC("utilisation.mbu", "", mbu, 0),
    METRIC("kv.occupancy", "", kv_occupancy, 0),
    METRIC("batch.decoding", "sequences", decoding, 0),
    METRIC("cost.usd_per_1k_tokens", "USD", usd_per_1k_tokens, 0),
    METRIC("cost.usd_per_1m_input", "USD", usd_per_1m_input, 0),
    METRIC("cost.usd_per_1m_output", "USD", usd_per_1m_output, 0),
    METRIC("cost.usd_per_hour", "USD/h", usd_per_hour, 0),
    METRIC("cost.usd_per_gpu_hour", "USD/h", usd_per_gpu_hour, 0),
    METRIC("plan.gpus", "GPUs", gpus, 0),
    METRIC("power.grid_w", "W", grid_w, 0),
    METRIC("speculation.tokens_per_round", "tokens", tokens_per_round, 1),
    METRIC("speculation.best_speedup", "", best_speedup, 1),
    METRIC("speculation.best_batch", "sequences", best_batch, 1),
    METRIC("speculation.best_length", "tokens", best_length, 1),
    METRIC("speculation.helps_from", "sequences", helps_from, 1),
    METRIC("speculation.helps_to", "sequences", helps_to, 1),
    METRIC("speculation.largest_batch", "sequences", largest_batch, 1),
    METRIC("speculation.largest_speedup", "", largest_speedup, 1),
};
enum { METRIC_COUNT = sizeof METRICS / sizeof METRICS[0] };

typedef struct Worker {
    Scenario sampled;
    LoadForecast forecast;
} Worker;

typedef struct Job {
    const Scenario *scenario;
    const ForecastOptions *options;
    Worker *workers;
    LoadSample *samples; /* reps */
} Job;

static LoadSample sample_of(const Scenario *scenario, const LoadForecast *forecast)
{
    const LoadPoint *point = &forecast->point;
    const SpeculationMap *map = &forecast->speculation;
    LoadSample sample = {
        .stable_maximum_per_s = forecast->stable_maximum_per_s,
        .rate_per_s = point->rate_per_s,
        .input_tokens_per_s = point->input_tokens_per_s,
        .output_tokens_per_s = point->output_tokens_per_s,
        .requests_per_s = point->requests_per_s,
        .ttft_s = point->latency_s[LATENCY_TTFT][LATENCY_P50],
        .tpot_s = point->latency_s[LATENCY_TPOT][LATENCY_P50],
        .e2e_s = point->latency_s[LATENCY_E2E][LATENCY_P50],
        .tpot_mean_s = point->latency_s[LATENCY_TPOT][LATENCY_MEAN],
        .e2e_mean_s = point->latency_s[LATENCY_E2E][LATENCY_MEAN],
        .ttft_p99_s = point->latency_s[LATENCY_TTFT][LATENCY_P99],
        .tpot_p99_s = point->latency_s[LATENCY_TPOT][LATENCY_P99],
        .e2e_p99_s = point->latency_s[LATENCY_E2E][LATENCY_P99],
        .mfu = point->mfu,
        .mbu = point->mbu,
        .kv_occupancy = point->kv_occupancy,
        .decoding = point->decoding,
        .preempted = point->preempted,
        .usd_per_1k_tokens = point->economics.usd_per_1k_tokens,
        .usd_per_1m_input = point->economics.usd_per_1m_input,
        .usd_per_1m_output = point->economics.usd_per_1m_output,
        .usd_per_hour = point->economics.usd_per_hour,
        .usd_per_gpu_hour = price_gpu_hour_usd(scenario, point->served.gpus),
        .gpus = point->served.gpus,
        .grid_w = point->economics.watts,
        .tokens_per_round = map->tokens_per_round,
        .helps_from = map->helps_from,
        .helps_to = map->helps_to,
    };
    for (size_t i = 0; i < map->count; i++) {
        const SpeculationPoint *at = &map->points[i];
        if (at->best_speedup > sample.best_speedup) {
            sample.best_speedup = at->best_speedup;
            sample.best_batch = at->batch;
            sample.best_length = at->best_length;
        }
        sample.largest_batch = at->batch;
        sample.largest_speedup = at->speedup;
    }
    return sample;
}

static Status run_replication(void *context, size_t index, size_t worker_index, Error *error)
{
    Job *job = context;
    Worker *worker = &job->workers[worker_index];
    const ForecastOptions *options = job->options;
    const LoadOptions load = {.requests = REQUESTS, .seed = options->seed + index};
    Status status = STATUS_NO;
    for (size_t attempt = 0; attempt < MOST_ATTEMPTS && status == STATUS_NO; attempt++) {
        serve_sample(job->scenario, options->seed, index + attempt * options->reps,
                     &worker->sampled);
        status = serve_load(&worker->sampled, &load, &worker->forecast, error);
    }
    if (status == STATUS_NO)
        status = serve_load(job->scenario, &load, &worker->forecast, error);
    if (status == STATUS_OK)
        job->samples[index] = sample_of(&worker->sampled, &worker->forecast);
    return status;
}

static Status add_metrics(const Job *job, double *column, MetricSet *metrics, Error *error)
{
    const size_t reps = job->options->reps;
    Status status = STATUS_OK;
    for (size_t i = 0; i < METRIC_COUNT && status == STATUS_OK; i++) {
        if (METRICS[i].of_speculation && job->scenario->serving.speculation.length <= 0)
            continue;
        for (size_t r = 0; r < reps; r++)
            memcpy(&column[r], (const char *)&job->samples[r] + METRICS[i].offset, sizeof *column);
        status =
            metrics_set_samples(metrics, METRICS[i].name, METRICS[i].unit, column, reps, error);
    }
    return status;
}

Status load_metrics(const Scenario *scenario, const ForecastOptions *options, MetricSet *metrics,
                    Error *error)
{
    const size_t threads = parallel_threads(options->threads);
    Job job = {.scenario = scenario, .options = options};
    job.workers = calloc(threads, sizeof *job.workers);
    job.samples = calloc(options->reps, sizeof *job.samples);
    double *column = calloc(options->reps, sizeof *column);
    Status status = job.workers == NULL || job.samples == NULL || column == NULL
                        ? error_set(error, STATUS_ENVIRONMENT, "out of memory")
                        : parallel_for(options->reps, threads, run_replication, &job, error);
    if (status == STATUS_OK)
        status = add_metrics(&job, column, metrics, error);
    free(column);
    free(job.samples);
    free(job.workers);
    return status;
}

Status load_metrics_of(const Scenario *scenario, const LoadForecast *forecast, MetricSet *metrics,
                       Error *error)
{
    Scenario *middle = malloc(sizeof *middle);
    if (middle == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    scenario_midpoint(scenario, middle); /* as the load was simulated */
    const ForecastOptions once = {.reps = 1};
    LoadSample sample = sample_of(middle, forecast);
    const Job job = {.scenario = middle, .options = &once, .samples = &sample};
    double column;
    const Status status = add_metrics(&job, &column, metrics, error);
    free(middle);
    return status;
}
