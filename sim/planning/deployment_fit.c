#include "sim/planning/deployment_fit.h"

#include "sim/engine/parallel.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const DeploymentParameter DEPLOYMENT_PARAMETER[] = {
    {"step_overhead", offsetof(ServingSpec, step_overhead_s), 2e-4, 0, 0.1, 1},
    {"sequence_overhead", offsetof(ServingSpec, sequence_overhead_s), 5e-6, 0, 1e-3, 1},
    {"request_overhead", offsetof(ServingSpec, request_overhead_s), 1e-2, 0, 1, 1},
    {"request_intake", offsetof(ServingSpec, request_intake_s), 1e-3, 0, 0.1, 1},
    {"layer_host", offsetof(ServingSpec, layer_host_s), 1e-4, 0, 1e-2, 1},
    {"expert_layer_host", offsetof(ServingSpec, expert_layer_host_s), 5e-4, 0, 2e-2, 1},
    {"expert_layer_overhead", offsetof(ServingSpec, expert_layer_overhead_s), 2e-5, 0, 1e-3, 1},
    {"compute_overhead", offsetof(ServingSpec, compute_overhead), 0.05, 0, 2, 0},
    {"expert_overhead", offsetof(ServingSpec, expert_overhead), 0.2, -0.5, 3, 0},
    {"kernel_overhead", offsetof(ServingSpec, kernel_overhead), 0.02, 0, 1, 0},
    {"kernel_launch", offsetof(ServingSpec, kernel_launch), 0.5, 0.05, 3, 0},
    {"collective_start", offsetof(ServingSpec, collective_start), 0.5, 0.05, 3, 0},
};
const size_t DEPLOYMENT_PARAMETERS = sizeof DEPLOYMENT_PARAMETER / sizeof DEPLOYMENT_PARAMETER[0];

enum { SWEEPS_A_STEP = 6, COARSE_ROWS = 40, FINE_ROWS = 120 };
/* Steps from this on look at COARSE_ROWS rows, those below at FINE_ROWS, spread over the table. */
static const double coarse_step = 0.2;
static const double least_gain = 1e-4;
/* An error beyond a factor of e has a cause that no constant mends; what a fit pulls at is Cauchy's
 * loss, in which an error weighs less the further it is beyond `robust`. */
static const double most_a_row = 1, robust = 0.15;

/* The numbers of one row of the table. */
typedef struct Trial {
    size_t first, count;
    Status status;
    double predicted[MOST_TOGETHER];
} Trial;

/* A search for one engine that leaves one fold out. */
typedef struct Search {
    const ServingRows *rows;
    const ForecastOptions *options;
    const char *engine;
    int left_out;
    size_t left;       /* rows of the table that are not left out */
    size_t every;      /* of these, which are looked at */
    Scenario *scratch; /* one a thread */
    size_t threads;
    Trial *trials; /* room for every row */
    const double *tried;
    size_t evaluations;
    int interrupted;
    double values[MOST_DEPLOYMENT_PARAMETERS];
    double loss;
} Search;

/* Of some rows under some values. */
typedef struct Goodness {
    double loss;  /* what the search makes small */
    double error; /* mean |ln(predicted / measured)|, as it is told */
} Goodness;

static double *parameter(Scenario *scenario, size_t index)
{
    char *const serving = (char *)&scenario->serving;
    return (double *)(void *)(serving + DEPLOYMENT_PARAMETER[index].offset);
}

/* Predicts one trial with the values under test. */
static Status predict(void *context, size_t index, size_t worker, Error *error)
{
    const Search *search = context;
    Trial *trial = &search->trials[index];
    const ServingRow *row = &search->rows->rows[trial->first];
    Scenario *scenario = &search->scratch[worker];
    (void)error; /* a row that cannot be predicted counts for nothing */
    *scenario = *row->scenario;
    for (size_t i = 0; i < DEPLOYMENT_PARAMETERS; i++)
        *parameter(scenario, i) = search->tried[i];
    trial->status = serving_rows_predict(row, trial->count, scenario, trial->predicted, NULL);
    return STATUS_OK;
}

/* Predicts the rows of `fold` (-1: every `every`-th of those that are not left out). */
static size_t run_trials(Search *search, const double *values, int fold)
{
    size_t seen = 0, trials = 0, together;
    for (size_t i = 0; i < search->rows->count; i += together) {
        const ServingRow *row = &search->rows->rows[i];
        together = serving_rows_together(search->rows, i);
        if (strcmp(row->engine, search->engine) == 0 &&
            (fold >= 0 ? row->fold == fold
                       : row->fold != search->left_out && seen++ % search->every == 0))
            search->trials[trials++] = (Trial){.first = i, .count = together};
    }
    search->tried = values;
    parallel_for(trials, search->threads, predict, search, NULL);
    return trials;
}

static Goodness goodness(Search *search, const double *values)
{
    Goodness sum = {0};
    size_t numbers = 0;
    const size_t trials = run_trials(search, values, -1);
    for (size_t i = 0; i < trials; i++) {
        const Trial *trial = &search->trials[i];
        const ServingRow *row = &search->rows->rows[trial->first];
        for (size_t j = 0; j < trial->count && trial->status == STATUS_OK; j++)
            if (trial->predicted[j] > 0) {
                const double error = log(trial->predicted[j] / row[j].measured) / robust;
                sum.loss += log1p(error * error);
                sum.error += fmin(most_a_row, fabs(error) * robust);
                numbers++;
            }
    }
    if (numbers == 0)
        return (Goodness){HUGE_VAL, HUGE_VAL};
    return (Goodness){sum.loss / (double)numbers, sum.error / (double)numbers};
}

/* Says how far the search is; sets `interrupted`. */
static void report(Search *search)
{
    /* Most sweeps end early: what is left is not known. */
    const size_t most = 4 * SWEEPS_A_STEP * MOST_DEPLOYMENT_PARAMETERS;
    const ForecastOptions *options = search->options;
    search->evaluations++;
    if (options->progress != NULL &&
        options->progress(options->progress_context, search->evaluations % most, most) != 0)
        search->interrupted = 1;
}

static void count_left(Search *search)
{
    size_t together;
    search->left = 0;
    for (size_t i = 0; i < search->rows->count; i += together) {
        const ServingRow *row = &search->rows->rows[i];
        together = serving_rows_together(search->rows, i);
        search->left += strcmp(row->engine, search->engine) == 0 && row->fold != search->left_out;
    }
}

/* Takes values that are better. */
static int take_better(Search *search, const double *values)
{
    report(search);
    const double loss = goodness(search, values).loss;
    if (!(loss < search->loss - least_gain))
        return 0;
    search->loss = loss;
    memcpy(search->values, values, sizeof search->values);
    return 1;
}

static double within(const DeploymentParameter *what, double value)
{
    return fmin(what->maximum, fmax(what->minimum, value));
}

/* One parameter, a step up, one down, or all the way down; the first that is better is kept. */
static int improve(Search *search, size_t index, double step)
{
    const DeploymentParameter *what = &DEPLOYMENT_PARAMETER[index];
    const double value = search->values[index];
    const double move = step * fmax(value, what->unit);
    const double tries[] = {value + move, value - move, what->minimum};
    int better = 0;
    for (size_t i = 0; i < sizeof tries / sizeof tries[0] && !better && !search->interrupted; i++) {
        double values[MOST_DEPLOYMENT_PARAMETERS];
        memcpy(values, search->values, sizeof values);
        values[index] = within(what, tries[i]);
        if (values[index] != search->values[index])
            better = take_better(search, values);
    }
    return better;
}

/* Once more as far in the direction of a whole sweep (Hooke and Jeeves 1961). */
static int go_on(Search *search, const double *from)
{
    double values[MOST_DEPLOYMENT_PARAMETERS] = {0};
    for (size_t i = 0; i < DEPLOYMENT_PARAMETERS; i++)
        values[i] = within(&DEPLOYMENT_PARAMETER[i], 2 * search->values[i] - from[i]);
    return take_better(search, values);
}

static void descend(Search *search, const double *steps, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const size_t most = steps[i] >= coarse_step ? COARSE_ROWS : FINE_ROWS;
        search->every = (search->left + most - 1) / most;
        search->loss = goodness(search, search->values).loss;
        int better = 1;
        for (size_t sweep = 0; sweep < SWEEPS_A_STEP && better && !search->interrupted; sweep++) {
            double from[MOST_DEPLOYMENT_PARAMETERS];
            memcpy(from, search->values, sizeof from);
            better = 0;
            for (size_t j = 0; j < DEPLOYMENT_PARAMETERS; j++)
                better |= improve(search, j, steps[i]);
            while (better && !search->interrupted && go_on(search, from))
                ;
        }
    }
}

/* Relative errors of the rows of a fold, by kind of number. */
typedef struct Judged {
    double *errors[3];
    size_t counts[3];
} Judged;

/* -1: in no kind. */
static int kind_of(const ServingRow *row)
{
    if (row->metric == METRIC_TTFT_MEAN_S)
        return row->queued ? -1 : 0;
    return row->metric == METRIC_TPOT_MEAN_S ? 1 : 2;
}

static void judge(Search *search, int fold, Judged *judged)
{
    const size_t trials = run_trials(search, search->values, fold);
    for (size_t i = 0; i < trials; i++) {
        const Trial *trial = &search->trials[i];
        const ServingRow *row = &search->rows->rows[trial->first];
        for (size_t j = 0; j < trial->count && trial->status == STATUS_OK; j++) {
            const int kind = kind_of(&row[j]);
            if (kind >= 0)
                judged->errors[kind][judged->counts[kind]++] =
                    trial->predicted[j] / row[j].measured - 1;
        }
    }
}

static Status cross_validate(Search *fitted, DeploymentFit *fit, Error *error)
{
    /* From the fit to all but the first fold: smaller steps do. */
    static const double steps[] = {0.3, 0.1};
    Judged judged = {0};
    Status status = STATUS_OK;
    for (size_t kind = 0; kind < 3 && status == STATUS_OK; kind++) {
        judged.errors[kind] = calloc(fitted->rows->count + 1, sizeof(double));
        if (judged.errors[kind] == NULL)
            status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
    }
    for (int fold = 0; fold < SERVING_FOLDS && status == STATUS_OK; fold++) {
        Search search = *fitted;
        search.left_out = fold;
        count_left(&search);
        if (fold != fitted->left_out)
            descend(&search, steps, sizeof steps / sizeof steps[0]);
        judge(&search, fold, &judged);
        fitted->evaluations = search.evaluations;
        fitted->interrupted = search.interrupted;
    }
    for (size_t kind = 0; kind < 3; kind++) {
        if (status == STATUS_OK && judged.counts[kind] > 0)
            fit->crossed[kind] = error_statistics(judged.errors[kind], judged.counts[kind]);
        free(judged.errors[kind]);
    }
    return status;
}

Status deployment_fit(const ServingRows *rows, const char *engine, int crossed,
                      const ForecastOptions *options, DeploymentFit *fit, Error *error)
{
    static const double steps[] = {0.6, 0.3, 0.1, 0.05};
    Search search = {.rows = rows,
                     .options = options,
                     .engine = engine,
                     .every = 1,
                     .threads = parallel_threads(options->threads)};
    Status status = STATUS_OK;
    size_t together;
    memset(fit, 0, sizeof *fit);
    strncpy(fit->engine, engine, sizeof fit->engine - 1);
    search.scratch = calloc(search.threads, sizeof *search.scratch);
    search.trials = calloc(rows->count + 1, sizeof *search.trials);
    if (search.scratch == NULL || search.trials == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    for (size_t i = 0; i < rows->count; i += together) {
        const ServingRow *row = &rows->rows[i];
        together = serving_rows_together(rows, i);
        if (strcmp(row->engine, engine) != 0 || row->held_back)
            continue;
        fit->rows++;
        *search.scratch = *row->scenario;
        for (size_t j = 0; j < DEPLOYMENT_PARAMETERS; j++)
            search.values[j] = *parameter(search.scratch, j);
    }
    if (fit->rows == 0) {
        status =
            error_set(error, STATUS_INVALID, "the engine %.60s has no row to be fitted to", engine);
        goto cleanup;
    }
    count_left(&search);
    double begun[MOST_DEPLOYMENT_PARAMETERS];
    memcpy(begun, search.values, sizeof begun);
    const Goodness before = goodness(&search, search.values);
    descend(&search, steps, sizeof steps / sizeof steps[0]);
    search.every = 1;
    Goodness after = goodness(&search, search.values);
    if (after.loss > before.loss) { /* better on the rows that were looked at, not on all */
        memcpy(search.values, begun, sizeof begun);
        after = before;
    }
    fit->before = before.error;
    fit->after = after.error;
    memcpy(fit->values, search.values, sizeof fit->values);
    if (crossed)
        status = cross_validate(&search, fit, error);
    if (status == STATUS_OK && search.interrupted)
        status = error_set(error, STATUS_INTERRUPTED, "interrupted after %zu tries of the fit",
                           search.evaluations);
cleanup:
    free(search.scratch);
    free(search.trials);
    return status;
}
