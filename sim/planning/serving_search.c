#include "sim/planning/serving_search.h"

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

static Status try_replicas(Search *search, double replicas, int *holds, Error *error)
{
    search->scenario->serving.replicas = replicas;
    const Status status = serve_load(search->scenario, search->options, search->forecast, error);
    if (status != STATUS_OK)
        return status;
    const ServingTrial trial = trial_of(search, &search->forecast->point);
    *holds = trial.holds;
    keep(search->result, &trial, fewer_gpus);
    return STATUS_OK;
}

/* The fewest replicas of one layout; `most` are no longer of interest. */
static Status fewest_replicas(Search *search, double most, Error *error)
{
    LoadOptions alone = *search->options;
    alone.requests = 0; /* the stable maximum only */
    alone.trace = NULL;
    search->scenario->serving.replicas = 1;
    Status status = serve_load(search->scenario, &alone, search->forecast, error);
    if (status != STATUS_OK)
        return status;
    double low =
        fmax(1, ceil(search->options->rate_per_s / search->forecast->stable_maximum_per_s));
    double high = low, step = 1;
    int holds = 0;
    if (low > most)
        return STATUS_OK;
    while (status == STATUS_OK) {
        status = try_replicas(search, high, &holds, error);
        if (status != STATUS_OK || holds || high >= most)
            break;
        low = high + 1;
        high = fmin(most, high + step);
        step *= 2;
    }
    while (status == STATUS_OK && holds && low < high) {
        const double middle = floor((low + high) / 2);
        int there = 0;
        status = try_replicas(search, middle, &there, error);
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
    Search search = {.given = given, .options = options, .result = result};
    Status status = open_search(&search, error);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        serving_laid_out(given, &layouts[i], 0, search.scenario);
        const double gpus = serving_gpus(&search.scenario->serving);
        const double most = result->found ? floor(result->best.gpus / gpus) : MAX_LOAD_REPLICAS;
        status = fewest_replicas(&search, fmin(MAX_LOAD_REPLICAS, most), error);
        if (status == STATUS_NO) {
            refuse(result, error);
            status = STATUS_OK;
        }
    }
    return close_search(&search, status, error);
}

/* ---- the lowest price ---------------------------------------------------------------------------
 */

Status search_price(const Scenario *given, const LoadOptions *options, ServingSearch *result,
                    Error *error)
{
    ServingLayout layouts[MAX_SERVING_LAYOUTS];
    const size_t count = serving_layouts(given, layouts);
    LoadOptions largest = *options;
    Search search = {.given = given, .options = options, .result = result};
    Status status = open_search(&search, error);
    largest.find_rate = 1;
    if (options->trace == NULL && options->requests > PRICE_REQUESTS)
        largest.requests = PRICE_REQUESTS;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        double batch = 0, cheapest = HUGE_VAL;
        for (int halving = 0; halving < MOST_BATCHES && status == STATUS_OK; halving++) {
            serving_laid_out(given, &layouts[i], batch, search.scenario);
            status = serve_load(search.scenario, &largest, search.forecast, error);
            if (status == STATUS_NO) {
                refuse(result, error);
                status = STATUS_OK;
                break;
            }
            if (status != STATUS_OK)
                break;
            const ServingTrial trial = trial_of(&search, &search.forecast->point);
            keep(result, &trial, cheaper);
            /* Below the batch from which tokens get dearer again they only get dearer still. */
            if (trial.holds && trial.usd_per_1k_tokens > 1.02 * cheapest)
                break;
            if (trial.holds)
                cheapest = fmin(cheapest, trial.usd_per_1k_tokens);
            batch = floor(search.scenario->serving.max_batch / 2);
            if (batch < search.scenario->serving.pipeline)
                break; /* less than one sequence for each stage */
        }
    }
    return close_search(&search, status, error);
}
