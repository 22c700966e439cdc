#include "sim/planning/serving_search.h"

#include "sim/engine/parallel.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BATCHES = 10, PRICE_REQUESTS = 5000 };

/* What a search needs beside its result. */
typedef struct Search {
    const Scenario *given;
    const LoadOptions *options;
    ServingSearch *result;
    Scenario *scenario;     /* of the trial */
    LoadForecast *forecast; /* of the trial */
} Search;

static double worst_ratio(const LoadPoint *point, const Slo *slo)
{
    double worst = 0;
    for (size_t i = 0; i < slo->count; i++)
        worst = fmax(worst, point->latency_s[slo->limits[i].kind][slo->limits[i].statistic] /
                                slo->limits[i].limit_s);
    return point->stable ? worst : HUGE_VAL;
}

static ServingTrial trial_of(const Search *search, const LoadPoint *point)
{
    const ServingSpec *serving = &search->scenario->serving;
    return (ServingTrial){.tensor = serving->tensor,
                          .pipeline = serving->pipeline,
                          .max_batch = serving->max_batch,
                          .replicas = serving->replicas,
                          .gpus = serving_gpus(serving) * serving->replicas,
                          .rate_per_s = point->rate_per_s,
                          .stable = point->stable,
                          .holds = point->holds,
                          .worst = worst_ratio(point, &search->options->slo),
                          .ttft_p99_s = point->latency_s[LATENCY_TTFT][LATENCY_P99],
                          .tpot_p99_s = point->latency_s[LATENCY_TPOT][LATENCY_P99],
                          .usd_per_1k_tokens = point->economics.usd_per_1k_tokens,
                          .usd_per_1m_input = point->economics.usd_per_1m_input,
                          .usd_per_1m_output = point->economics.usd_per_1m_output};
}

/* Keeps a trial; `better` compares two that hold. */
static void keep(ServingSearch *result, const ServingTrial *trial,
                 int (*better)(const ServingTrial *, const ServingTrial *))
{
    const int first = result->trial_count == 0;
    if (result->trial_count < MAX_TRIALS)
        result->trials[result->trial_count++] = *trial;
    const int wins = first || (trial->holds && (!result->found || better(trial, &result->best))) ||
                     (!trial->holds && !result->found && trial->worst < result->best.worst);
    if (wins)
        result->best = *trial;
    result->found |= trial->holds;
}

static int fewer_gpus(const ServingTrial *a, const ServingTrial *b)
{
    return a->gpus < b->gpus || (a->gpus <= b->gpus && a->usd_per_1k_tokens < b->usd_per_1k_tokens);
}

static int cheaper(const ServingTrial *a, const ServingTrial *b)
{
    return a->usd_per_1k_tokens < b->usd_per_1k_tokens;
}

static void refuse(ServingSearch *result, const Error *error)
{
    result->refused++;
    snprintf(result->refusal, sizeof result->refusal, "%.255s", error->message);
}

static Status open_search(Search *search, Error *error)
{
    memset(search->result, 0, sizeof *search->result);
    search->scenario = malloc(sizeof *search->scenario);
    search->forecast = malloc(sizeof *search->forecast);
    return search->scenario != NULL && search->forecast != NULL
               ? STATUS_OK
               : error_set(error, STATUS_ENVIRONMENT, "out of memory");
}

/* Nothing fits is an answer with its reason. */
static Status close_search(Search *search, Status status, Error *error)
{
    free(search->scenario);
    free(search->forecast);
    if (status == STATUS_OK && search->result->trial_count == 0)
        status = error_set(error, STATUS_NO, "%s",
                           search->result->refused > 0 ? search->result->refusal : "no layout");
    return status;
}

/* ---- the fewest GPUs ----------------------------------------------------------------------------
 */

/* What each layout is asked first, whatever the others give: its stable maximum and the load on as
 * many replicas as that leaves. */
typedef struct FirstTrial {
    Status status;
    Error error;
    double replicas;
    int tried;
    ServingTrial trial;
} FirstTrial;

typedef struct FirstTrials {
    const Search *search;
    const ServingLayout *layouts;
    int with_load; /* not only the stable maximum */
    FirstTrial *firsts;
} FirstTrials;

static Status first_replicas(const Search *search, Scenario *scenario, LoadForecast *forecast,
                             double *replicas, Error *error)
{
    LoadOptions alone = *search->options;
    alone.requests = 0; /* the stable maximum only */
    alone.trace = NULL;
    alone.progress = NULL;
    scenario->serving.replicas = 1;
    const Status status = serve_load(scenario, &alone, forecast, error);
    if (status == STATUS_OK)
        *replicas = fmax(1, ceil(search->options->rate_per_s / forecast->stable_maximum_per_s));
    return status;
}

static Status try_first(void *context, size_t index, size_t worker, Error *error)
{
    const FirstTrials *job = context;
    FirstTrial *first = &job->firsts[index];
    LoadOptions options = *job->search->options;
    Search own = *job->search;
    if (worker != 0)
        options.progress = NULL; /* one thread reports */
    own.options = &options;
    own.scenario = malloc(sizeof *own.scenario);
    own.forecast = malloc(sizeof *own.forecast);
    Status status = own.scenario == NULL || own.forecast == NULL
                        ? error_set(error, STATUS_ENVIRONMENT, "out of memory")
                        : STATUS_OK;
    if (status != STATUS_OK)
        goto cleanup;
    serving_laid_out(own.given, &job->layouts[index], 0, own.scenario);
    first->status =
        first_replicas(&own, own.scenario, own.forecast, &first->replicas, &first->error);
    if (first->status != STATUS_OK || !job->with_load || first->replicas > MAX_LOAD_REPLICAS)
        goto cleanup;
    own.scenario->serving.replicas = first->replicas;
    status = serve_load(own.scenario, &options, own.forecast, error);
    first->tried = status == STATUS_OK;
    if (first->tried)
        first->trial = trial_of(&own, &own.forecast->point);
    else if (status != STATUS_INTERRUPTED)
        status = STATUS_OK; /* it fails when it is asked for */
cleanup:
    free(own.scenario);
    free(own.forecast);
    return status;
}

static Status try_replicas(Search *search, const FirstTrial *first, double replicas, int *holds,
                           Error *error)
{
    ServingTrial trial = first->trial;
    if (!first->tried || replicas != first->replicas) {
        search->scenario->serving.replicas = replicas;
        const Status status =
            serve_load(search->scenario, search->options, search->forecast, error);
        if (status != STATUS_OK)
            return status;
        trial = trial_of(search, &search->forecast->point);
    }
    *holds = trial.holds;
    keep(search->result, &trial, fewer_gpus);
    return STATUS_OK;
}

/* The fewest replicas of one layout; `most` are no longer of interest. */
static Status fewest_replicas(Search *search, const FirstTrial *first, double most, Error *error)
{
    double low = first->replicas;
    double high = low, step = 1;
    int holds = 0;
    Status status = first->status;
    if (status != STATUS_OK)
        *error = first->error;
    if (low > most)
        return status;
    while (status == STATUS_OK) {
        status = try_replicas(search, first, high, &holds, error);
        if (status != STATUS_OK || holds || high >= most)
            break;
        low = high + 1;
        high = fmin(most, high + step);
        step *= 2;
    }
    while (status == STATUS_OK && holds && low < high) {
        const double middle = floor((low + high) / 2);
        int there = 0;
        status = try_replicas(search, first, middle, &there, error);
        if (there)
            high = middle;
        else
            low = middle + 1;
    }
    return status;
}

Status search_gpus(const Scenario *given, const LoadOptions *options, ServingSearch *result,
                   Error *error)
{
    ServingLayout layouts[MAX_SERVING_LAYOUTS];
    const size_t count = serving_layouts(given, layouts);
    const size_t threads = options->threads > 1 ? options->threads : 1;
    Search search = {.given = given, .options = options, .result = result};
    Status status = open_search(&search, error);
    FirstTrials job = {.search = &search, .layouts = layouts, .with_load = threads > 1};
    job.firsts = calloc(count, sizeof *job.firsts);
    if (status == STATUS_OK && job.firsts == NULL)
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
    if (status == STATUS_OK)
        status = parallel_for(count, threads, try_first, &job, error);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        serving_laid_out(given, &layouts[i], 0, search.scenario);
        const double gpus = serving_gpus(&search.scenario->serving);
        const double most = result->found ? floor(result->best.gpus / gpus) : MAX_LOAD_REPLICAS;
        status = fewest_replicas(&search, &job.firsts[i], fmin(MAX_LOAD_REPLICAS, most), error);
        if (status == STATUS_NO) {
            refuse(result, error);
            status = STATUS_OK;
        }
    }
    free(job.firsts);
    return close_search(&search, status, error);
}

/* ---- the lowest price ---------------------------------------------------------------------------
 */

/* What one layout gave. */
typedef struct LayoutTrials {
    size_t count;
    ServingTrial trials[MOST_BATCHES];
    int refused;
    Error refusal;
} LayoutTrials;

typedef struct PriceJob {
    const Search *search;
    const ServingLayout *layouts;
    size_t threads; /* of each */
    LayoutTrials *found;
} PriceJob;

static Status price_layout(const PriceJob *job, size_t index, Search *own, Error *error)
{
    LayoutTrials *found = &job->found[index];
    double batch = 0, cheapest = HUGE_VAL;
    while (found->count < MOST_BATCHES) {
        serving_laid_out(own->given, &job->layouts[index], batch, own->scenario);
        const Status status = serve_load(own->scenario, own->options, own->forecast, error);
        if (status == STATUS_NO) {
            found->refused = 1;
            found->refusal = *error;
            return STATUS_OK;
        }
        if (status != STATUS_OK)
            return status;
        const ServingTrial trial = trial_of(own, &own->forecast->point);
        found->trials[found->count++] = trial;
        /* Below the batch from which tokens get dearer again they only get dearer still. */
        if (trial.holds && trial.usd_per_1k_tokens > 1.02 * cheapest)
            return STATUS_OK;
        if (trial.holds)
            cheapest = fmin(cheapest, trial.usd_per_1k_tokens);
        batch = floor(own->scenario->serving.max_batch / 2);
        if (batch < own->scenario->serving.pipeline)
            return STATUS_OK; /* less than one sequence for each stage */
    }
    return STATUS_OK;
}

static Status try_layout(void *context, size_t index, size_t worker, Error *error)
{
    const PriceJob *job = context;
    LoadOptions options = *job->search->options;
    Search own = *job->search;
    options.find_rate = 1;
    options.threads = job->threads;
    if (worker != 0)
        options.progress = NULL; /* one thread reports */
    if (options.trace == NULL && options.requests > PRICE_REQUESTS)
        options.requests = PRICE_REQUESTS;
    own.options = &options;
    own.scenario = malloc(sizeof *own.scenario);
    own.forecast = malloc(sizeof *own.forecast);
    const Status status = own.scenario == NULL || own.forecast == NULL
                              ? error_set(error, STATUS_ENVIRONMENT, "out of memory")
                              : price_layout(job, index, &own, error);
    free(own.scenario);
    free(own.forecast);
    return status;
}

Status search_price(const Scenario *given, const LoadOptions *options, ServingSearch *result,
                    Error *error)
{
    ServingLayout layouts[MAX_SERVING_LAYOUTS];
    const size_t count = serving_layouts(given, layouts);
    const size_t threads = options->threads > 1 ? options->threads : 1;
    Search search = {.given = given, .options = options, .result = result};
    PriceJob job = {.search = &search, .layouts = layouts, .threads = threads / count};
    Status status = open_search(&search, error);
    job.found = calloc(count, sizeof *job.found);
    if (status == STATUS_OK && job.found == NULL)
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
    if (status == STATUS_OK)
        status = parallel_for(count, threads, try_layout, &job, error);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        const LayoutTrials *found = &job.found[i];
        for (size_t k = 0; k < found->count; k++)
            keep(result, &found->trials[k], cheaper);
        if (found->refused)
            refuse(result, &found->refusal);
    }
    free(job.found);
    return close_search(&search, status, error);
}
