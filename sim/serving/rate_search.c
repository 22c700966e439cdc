/* The largest load that holds an objective: bisection on the logarithm of the rate, the same
 * requests at every rate. With several threads the loads that the next step may ask for are
 * simulated beside the one that this step does; which of them count, and all that is told of them,
 * is the same. */
#include "sim/engine/parallel.h"
#include "sim/serving/load_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BISECTIONS = 14, MOST_AHEAD = 3 };
static const double lowest_share = 0.01; /* of the stable maximum: where the search begins */
static const double highest_share = 0.995;

/* A load that was simulated, or of which that failed. */
typedef struct RateTrial {
    double rate_per_s; /* 0: none */
    LoadRun run;
    LoadPoint point;
    LoadForecast seen; /* of a trace: the rows that were passed over */
    Status status;
    Error error;
} RateTrial;

typedef struct RateSearch {
    const LoadRun *run;
    double recorded_per_s, maximum_per_s;
    size_t ahead;
    RateTrial *trials; /* MOST_AHEAD */
} RateSearch;

static Status simulate(void *context, size_t index, size_t worker, Error *error)
{
    const RateSearch *search = context;
    RateTrial *trial = &search->trials[index];
    (void)worker;
    (void)error;
    trial->status = load_simulate_point(
        &trial->run, trial->rate_per_s, search->recorded_per_s / trial->rate_per_s,
        search->maximum_per_s, &trial->seen, &trial->point, &trial->error);
    return STATUS_OK; /* it fails when it is asked for */
}

/* The rate of this step, and those of the next one: if it holds, if it does not. */
static size_t rates_ahead(size_t step, double low, double high, double rates[MOST_AHEAD])
{
    const double middle = sqrt(low * high);
    if (step < 2) {
        const double first[MOST_AHEAD] = {low, high, middle};
        memcpy(rates, &first[step], (MOST_AHEAD - step) * sizeof rates[0]);
        return MOST_AHEAD - step;
    }
    rates[0] = middle;
    rates[1] = sqrt(middle * high);
    rates[2] = sqrt(low * middle);
    return MOST_AHEAD;
}

/* The trial of the step's rate, simulated now or before. */
static Status trial_of_step(const RateSearch *search, size_t step, double low, double high,
                            const RateTrial **found, Error *error)
{
    double rates[MOST_AHEAD];
    size_t count = rates_ahead(step, low, high, rates);
    for (size_t i = 0; i < MOST_AHEAD; i++)
        if (search->trials[i].rate_per_s == rates[0]) {
            *found = &search->trials[i];
            return STATUS_OK;
        }
    count = count < search->ahead ? count : search->ahead;
    for (size_t i = 0; i < MOST_AHEAD; i++) {
        RateTrial *trial = &search->trials[i];
        memset(trial, 0, sizeof *trial);
        trial->run.scenario = search->run->scenario;
        trial->run.options = search->run->options;
        trial->run.shared = search->run->shared;
        trial->run.overhead_s = search->run->overhead_s;
        trial->run.unit_count = search->run->unit_count;
        trial->rate_per_s = i < count ? rates[i] : 0;
    }
    *found = &search->trials[0];
    return parallel_for(count, search->ahead, simulate, (void *)search, error);
}

static void keep(const RateTrial *trial, LoadForecast *forecast)
{
    forecast->point = trial->point;
    forecast->rows_skipped = trial->seen.rows_skipped;
    memcpy(forecast->over_time, trial->run.over_time, sizeof forecast->over_time);
}

static Status report_progress(const LoadOptions *options, size_t done, Error *error)
{
    if (options->progress != NULL && options->progress(options->progress_context, done, BISECTIONS))
        return error_set(error, STATUS_INTERRUPTED, "interrupted after %zu of %d loads", done,
                         (int)BISECTIONS);
    return STATUS_OK;
}

Status load_find_rate(LoadRun *run, double recorded_per_s, LoadForecast *forecast, Error *error)
{
    const LoadOptions *options = run->options;
    const double maximum = forecast->stable_maximum_per_s;
    double low = lowest_share * maximum, high = highest_share * maximum;
    /* Beginnings that prompts share are learnt from a trace while it is read: one at a time. */
    const int learns = options->trace != NULL && run->scenario != NULL &&
                       serving_keeps_prefixes(&run->scenario->serving);
    const size_t threads = options->threads > 1 && !learns ? options->threads : 1;
    RateSearch search = {.run = run,
                         .recorded_per_s = recorded_per_s,
                         .maximum_per_s = maximum,
                         .ahead = threads < MOST_AHEAD ? threads : MOST_AHEAD};
    Status status = STATUS_OK;
    search.trials = calloc(MOST_AHEAD, sizeof *search.trials);
    if (search.trials == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    for (size_t i = 0; i < BISECTIONS && status == STATUS_OK; i++) {
        const RateTrial *trial = NULL;
        status = report_progress(options, i, error);
        if (status == STATUS_OK)
            status = trial_of_step(&search, i, low, high, &trial, error);
        if (status == STATUS_OK && trial->status != STATUS_OK) {
            *error = trial->error;
            status = trial->status;
        }
        if (status != STATUS_OK)
            break;
        const double rate = trial->rate_per_s;
        forecast->tried[forecast->tried_count++] = trial->point;
        const int holds = trial->point.holds;
        if (holds && (i == 0 || rate > low || !forecast->found)) {
            forecast->found = 1;
            keep(trial, forecast);
            low = rate;
        } else {
            high = rate;
        }
        if (i == 0 && !holds) {
            keep(trial, forecast);
            break;
        }
        if (i == 1 && holds)
            break;
    }
    free(search.trials);
    return status;
}
