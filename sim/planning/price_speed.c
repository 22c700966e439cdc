#include "sim/planning/price_speed.h"

#include "sim/engine/parallel.h"
#include "sim/planning/serving_layouts.h"
#include "sim/serving/serve_load.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { REQUESTS = 1000 };

typedef struct Job {
    const Scenario *scenario;
    unsigned long long seed;
    PriceSpeedPoint *points;
} Job;

static Status simulate(void *context, size_t index, size_t worker, Error *error)
{
    Job *job = context;
    PriceSpeedPoint *point = &job->points[index];
    const ServingLayout layout = {point->tensor, point->pipeline};
    const LoadOptions options = {.requests = REQUESTS, .seed = job->seed};
    Scenario *scenario = malloc(sizeof *scenario);
    LoadForecast *forecast = malloc(sizeof *forecast);
    Status status = STATUS_OK;
    (void)worker;
    if (scenario == NULL || forecast == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    serving_laid_out(job->scenario, &layout, point->max_batch, scenario);
    scenario->serving.replicas = 1;
    scenario->serving.utilisation = scenario->serving.reader_load;
    scenario->serving.diurnal_swing = 0;
    point->gpus = serving_gpus(&scenario->serving);
    status = serve_load(scenario, &options, forecast, error);
    if (status == STATUS_NO) { /* does not fit: no point */
        point->gpus = 0;
        status = STATUS_OK;
        goto cleanup;
    }
    if (status != STATUS_OK)
        goto cleanup;
    const LoadPoint *load = &forecast->point;
    const double tpot_s = load->latency_s[LATENCY_TPOT][LATENCY_MEAN];
    const double usd_per_s = load->economics.usd_per_hour / 3600;
    /* What the replica could sell is told at its maximum: a window of finished requests has noise
     * that the maximum of a line that is never empty has not. */
    const double could_sell = scenario->serving.reader_load * forecast->stable_maximum_per_s;
    const double sold = could_sell / load->requests_per_s;
    point->decoding = load->decoding * point->pipeline;
    point->tokens_per_s = tpot_s > 0 ? 1 / tpot_s : 0;
    point->requests_per_s = could_sell;
    point->usd_per_1k_tokens =
        1e3 * usd_per_s / (sold * (load->input_tokens_per_s + load->output_tokens_per_s));
    point->usd_per_1k_output = 1e3 * usd_per_s / (sold * load->output_tokens_per_s);
cleanup:
    free(forecast);
    free(scenario);
    return status;
}

static void list_points(const Scenario *scenario, PriceSpeed *curve)
{
    static const double SHARES[] = {0.25, 0.5, 1, 2};
    const ServingSpec *serving = &scenario->serving;
    for (size_t i = 0; i < sizeof SHARES / sizeof *SHARES; i++) {
        const double stages = serving->pipeline * SHARES[i];
        if (floor(stages) != stages || stages < 1 ||
            stages > fmin(MAX_STAGES, scenario->model.layers))
            continue;
        for (double batch = stages; curve->count < MAX_PRICE_SPEED_POINTS;
             batch = fmin(2 * batch, serving->max_batch)) {
            curve->points[curve->count++] = (PriceSpeedPoint){
                .tensor = serving->tensor, .pipeline = stages, .max_batch = batch};
            if (batch >= serving->max_batch)
                break;
        }
    }
}

size_t price_speed_cheapest(const PriceSpeed *curve, double tokens_per_s)
{
    size_t best = curve->count;
    for (size_t i = 0; i < curve->count; i++)
        if (curve->points[i].tokens_per_s >= tokens_per_s &&
            (best == curve->count ||
             curve->points[i].usd_per_1k_tokens < curve->points[best].usd_per_1k_tokens))
            best = i;
    return best;
}

static size_t fastest_at(const PriceSpeed *curve, double usd_per_1k)
{
    size_t best = curve->count;
    for (size_t i = 0; i < curve->count; i++)
        if (curve->points[i].usd_per_1k_tokens <= usd_per_1k &&
            (best == curve->count ||
             curve->points[i].tokens_per_s > curve->points[best].tokens_per_s))
            best = i;
    return best;
}

Status price_speed(const Scenario *scenario, unsigned long long seed, size_t threads,
                   PriceSpeed *curve, Error *error)
{
    Job job = {.scenario = scenario, .seed = seed, .points = curve->points};
    memset(curve, 0, sizeof *curve);
    if (!(scenario->serving.reader_load > 0 && scenario->serving.reader_load < 1))
        return error_set(error, STATUS_INVALID,
                         "serving.reader_load is %g: more than 0 and less than 1 is needed",
                         scenario->serving.reader_load);
    curve->wanted_usd_per_1k = scenario->prices.wanted_per_1k_usd;
    curve->slow_tokens_per_s = scenario->serving.reader_slow;
    curve->fast_tokens_per_s = scenario->serving.reader_fast;
    curve->load = scenario->serving.reader_load;
    list_points(scenario, curve);
    const Status status = parallel_for(curve->count, threads, simulate, &job, error);
    if (status != STATUS_OK)
        return status;
    size_t kept = 0;
    for (size_t i = 0; i < curve->count; i++)
        if (curve->points[i].gpus > 0)
            curve->points[kept++] = curve->points[i];
    curve->count = kept;
    if (kept == 0)
        return error_set(error, STATUS_NO, "the model fits on no pipeline of %.0f to %.0f stages",
                         scenario->serving.pipeline / 4, scenario->serving.pipeline * 2);
    curve->cheapest_slow = price_speed_cheapest(curve, curve->slow_tokens_per_s);
    curve->cheapest_fast = price_speed_cheapest(curve, curve->fast_tokens_per_s);
    curve->fastest_at_price = fastest_at(curve, curve->wanted_usd_per_1k);
    return STATUS_OK;
}
