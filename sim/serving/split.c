#include "sim/serving/split.h"

#include "configs/reader/sample.h"
#include "sim/engine/parallel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double limit_share = 0.95;

const char *split_limit(double together_per_s, double prefill_per_s, double decode_per_s)
{
    if (together_per_s < limit_share * fmin(prefill_per_s, decode_per_s))
        return "transfer";
    return SERVING_SIDE_WORDS[prefill_per_s < decode_per_s ? SIDE_PREFILL : SIDE_DECODE];
}

typedef struct Job {
    const Scenario *midpoint;
    const LoadOptions *options;
    SplitTable *table;
} Job;

static Status try_split(void *context, size_t index, size_t worker, Error *error)
{
    const Job *job = context;
    SplitPoint *point = &job->table->points[index];
    LoadOptions options = *job->options;
    Scenario *scenario = malloc(sizeof *scenario);
    LoadForecast *forecast = malloc(sizeof *forecast);
    Status status = STATUS_OK;
    if (scenario == NULL || forecast == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    *scenario = *job->midpoint;
    scenario->serving.disaggregated.prefill.replicas = point->prefill;
    scenario->serving.disaggregated.decode.replicas = point->decode;
    options.find_rate = 1;
    options.threads = 1; /* the splits have them */
    if (worker != 0)
        options.progress = NULL; /* one thread reports */
    status = serve_load(scenario, &options, forecast, error);
    if (status == STATUS_NO) {
        status = STATUS_OK; /* does not fit */
        goto cleanup;
    }
    if (status != STATUS_OK)
        goto cleanup;
    point->fits = 1;
    point->stable_maximum_per_s = forecast->stable_maximum_per_s;
    point->found = forecast->found;
    point->rate_per_s = forecast->found ? forecast->point.rate_per_s : 0;
    point->limit =
        split_limit(forecast->stable_maximum_per_s, forecast->sides[SIDE_PREFILL].maximum_per_s,
                    forecast->sides[SIDE_DECODE].maximum_per_s);
cleanup:
    free(forecast);
    free(scenario);
    return status;
}

static int better(const SplitPoint *a, const SplitPoint *b)
{
    return a->rate_per_s > b->rate_per_s || (a->rate_per_s == b->rate_per_s && a->gpus < b->gpus);
}

static Status list_splits(const ServingSpec *serving, SplitTable *table, Error *error)
{
    const double prefill_gpus = serving_side_gpus(serving, SIDE_PREFILL);
    const double decode_gpus = serving_side_gpus(serving, SIDE_DECODE);
    table->gpus = serving_gpus(serving);
    for (double prefill = 1;; prefill++) {
        const double decode = floor((table->gpus - prefill * prefill_gpus) / decode_gpus);
        if (decode < 1)
            return STATUS_OK;
        if (table->count == MAX_SPLITS)
            return error_set(error, STATUS_INVALID, "%.0f GPUs have more than %d splits",
                             table->gpus, (int)MAX_SPLITS);
        table->points[table->count++] =
            (SplitPoint){.prefill = prefill,
                         .decode = decode,
                         .gpus = prefill * prefill_gpus + decode * decode_gpus};
    }
}

Status serve_splits(const Scenario *scenario, const LoadOptions *options, size_t threads,
                    SplitTable *table, Error *error)
{
    memset(table, 0, sizeof *table);
    if (!serving_is_disaggregated(&scenario->serving))
        return error_set(error, STATUS_INVALID,
                         "splits are of scenarios with serving.disaggregated");
    Status status = list_splits(&scenario->serving, table, error);
    if (status != STATUS_OK)
        return status;
    Scenario *midpoint = malloc(sizeof *midpoint);
    if (midpoint == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    scenario_midpoint(scenario, midpoint);
    Job job = {midpoint, options, table};
    status = parallel_for(table->count, threads, try_split, &job, error);
    free(midpoint);
    for (size_t i = 0; i < table->count && status == STATUS_OK; i++) {
        if (!table->points[i].found)
            continue;
        if (!table->found || better(&table->points[i], &table->points[table->best]))
            table->best = i;
        table->found = 1;
    }
    return status;
}
