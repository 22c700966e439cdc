#include "sim/planning/stack_search.h"

#include "sim/engine/parallel.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_multimin.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The loss: see stack_fit.h. */
const double FIT_ROBUST_LOG_ERROR = 0.3;
static const double beyond_weight = 0.25;
/* A simplex set up anew must gain this share to be worth another. */
static const double worth_going_on = 1e-3;
/* The simplex, in shares of the parameters' ranges. */
static const double first_size = 0.15, last_size = 2e-4;
static const double starts[] = {0.05, 0.25, 0.6};
enum { STARTS = 3, MOST_ITERATIONS = 160, MOST_RESTARTS = 3 };

/* ---- rows --------------------------------------------------------------------------------------
 */

static double *field_of(Scenario *scenario, int parameter)
{
    return (double *)((char *)&scenario->training + FIT_PARAMETER_SPECS[parameter].offset);
}

static void note_stated(FitRow *row)
{
    char key[96];
    for (int i = 0; i < FIT_PARAMETERS; i++) {
        const FitParameterSpec *spec = &FIT_PARAMETER_SPECS[i];
        snprintf(key, sizeof key, "training.%s%s%s", spec->group, spec->group[0] != '\0' ? "." : "",
                 spec->key);
        row->stated[i] = measured_base_has_fact(row->base, key);
    }
}

/* What a row's stack does not do, which is to overlap, stays off. */
static int is_off(int parameter, double value)
{
    return (parameter == FIT_TENSOR_OVERLAP || parameter == FIT_EXPERT_OVERLAP) && !(value > 0);
}

static void put_parameters(const FitRow *row, const int *active, const double *value,
                           Scenario *scenario)
{
    for (int i = 0; i < FIT_PARAMETERS; i++) {
        double *field = field_of(scenario, i);
        if (active[i] != 0 && row->stated[i] == 0 && !is_off(i, *field))
            *field = value[i];
    }
}

static void put_neutral(const FitRow *row, Scenario *scenario)
{
    for (int i = 0; i < FIT_PARAMETERS; i++) {
        double *field = field_of(scenario, i);
        if (row->stated[i] == 0 && !is_off(i, *field))
            *field = FIT_PARAMETER_SPECS[i].neutral;
    }
}

/* Rows that cannot be predicted are those that a validation skips. */
static Status prepare_row(void *context, size_t index, size_t worker, Error *error)
{
    FitSearch *search = context;
    FitRow *row = &search->rows[index];
    MeasuredStep *step = search->steps[worker];
    Error reason = {0};
    DefaultsTaken defaults;
    const unsigned long long seed = search->options->seed;
    Status status = measured_scenario(row->base, row->row, &step->scenario, &defaults, &reason);
    note_stated(row);
    put_neutral(row, &step->scenario);
    if (status == STATUS_OK)
        status = measured_tokens_per_s(search->rules, row->row, &step->scenario, &row->measured,
                                       &defaults, &reason);
    if (status == STATUS_OK)
        status = measured_step_penalty(step, seed, &row->penalty_share, &reason);
    if (status == STATUS_ENVIRONMENT)
        *error = reason;
    if (status != STATUS_OK)
        return status == STATUS_ENVIRONMENT ? status : STATUS_OK;
    row->scenario = malloc(sizeof *row->scenario);
    if (row->scenario == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    *row->scenario = step->scenario;
    return STATUS_OK;
}

Status fit_search_prepare(FitSearch *search, Error *error)
{
    size_t kept = 0;
    Status status = parallel_for(search->row_count, search->threads, prepare_row, search, error);
    for (size_t i = 0; i < search->row_count; i++)
        if (search->rows[i].scenario != NULL) {
            const FitRow row = search->rows[i];
            search->rows[i].scenario = NULL;
            search->rows[kept++] = row;
        }
    search->row_count = kept;
    return status;
}

void fit_search_release(FitSearch *search, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(search->rows[i].scenario);
    memset(search->rows, 0, count * sizeof *search->rows);
}

static Status predict_row(void *context, size_t index, size_t worker, Error *error)
{
    FitSearch *search = context;
    FitRow *row = &search->rows[index];
    MeasuredStep *step = search->steps[worker];
    double rate;
    step->scenario = *row->scenario;
    put_parameters(row, search->active, search->value, &step->scenario);
    Status status =
        measured_step_rate(step, search->options->seed, row->penalty_share, &rate, error);
    if (status == STATUS_OK)
        row->log_error = log(rate / row->measured);
    return status;
}

static double robust(double log_error)
{
    const double size = fabs(log_error);
    return fmin(size, FIT_ROBUST_LOG_ERROR) + beyond_weight * fmax(0, size - FIT_ROBUST_LOG_ERROR);
}

/* In shares of the ranges, squared, of all parameters. */
static double away_from_centre(const FitSearch *search)
{
    double sum = 0;
    for (int i = 0; i < FIT_PARAMETERS; i++) {
        const FitParameterSpec *spec = &FIT_PARAMETER_SPECS[i];
        const double away = (search->value[i] - search->centre[i]) / (spec->high - spec->low);
        sum += search->active[i] != 0 ? away * away : 0;
    }
    return sum;
}

Status fit_search_evaluate(FitSearch *search, double *loss, Error *error)
{
    Status status = parallel_for(search->row_count, search->threads, predict_row, search, error);
    double weights = 0;
    *loss = 0;
    for (size_t i = 0; status == STATUS_OK && i < search->row_count; i++) {
        *loss += search->rows[i].weight * robust(search->rows[i].log_error);
        weights += search->rows[i].weight;
    }
    if (status == STATUS_OK && weights > 0)
        *loss =
            *loss / weights + search->pull * away_from_centre(search) / (double)search->row_count;
    const ForecastOptions *options = search->options;
    if (status == STATUS_OK && options->progress != NULL &&
        options->progress(options->progress_context, search->done, search->total) != 0)
        status = error_set(error, STATUS_INTERRUPTED, "interrupted after %zu of %zu stacks",
                           search->done, search->total);
    return status;
}

/* ---- search ------------------------------------------------------------------------------------
 */

static double clamp(double value, double low, double high)
{
    return fmin(fmax(value, low), high);
}

/* Positions are shares of the parameters' ranges; outside of them the loss climbs. */
static double loss_at(const gsl_vector *position, void *context)
{
    static const double wall = 1, failed = 1e3;
    FitSearch *search = context;
    double outside = 0, loss = failed;
    size_t at = 0;
    for (int i = 0; i < FIT_PARAMETERS; i++) {
        if (search->active[i] == 0)
            continue;
        const FitParameterSpec *spec = &FIT_PARAMETER_SPECS[i];
        const double share = gsl_vector_get(position, at++), inside = clamp(share, 0, 1);
        outside += fabs(share - inside);
        search->value[i] = spec->low + inside * (spec->high - spec->low);
    }
    if (search->status == STATUS_OK)
        search->status = fit_search_evaluate(search, &loss, &search->error);
    return search->status == STATUS_OK ? loss + wall * outside : failed;
}

static void share_of_range(const FitSearch *search, const double *value, gsl_vector *position)
{
    size_t at = 0;
    for (int i = 0; i < FIT_PARAMETERS; i++) {
        const FitParameterSpec *spec = &FIT_PARAMETER_SPECS[i];
        if (search->active[i] != 0)
            gsl_vector_set(position, at++, (value[i] - spec->low) / (spec->high - spec->low));
    }
}

/* One simplex from `best`, which it replaces when it finds better. The first corner points into the
 * range, whichever end it starts from. */
static Status descend(FitSearch *search, gsl_multimin_fminimizer *minimizer, gsl_vector *position,
                      gsl_vector *sizes, FitOptimum *best, Error *error)
{
    gsl_multimin_function function = {.f = loss_at, .n = position->size, .params = search};
    share_of_range(search, best->value, position);
    for (size_t i = 0; i < position->size; i++)
        gsl_vector_set(sizes, i, gsl_vector_get(position, i) > 0.5 ? -first_size : first_size);
    int code = gsl_multimin_fminimizer_set(minimizer, &function, position, sizes);
    for (int i = 0; i < MOST_ITERATIONS && code == GSL_SUCCESS; i++) {
        code = gsl_multimin_fminimizer_iterate(minimizer);
        if (gsl_multimin_fminimizer_size(minimizer) < last_size)
            break;
    }
    const double loss = search->status == STATUS_OK ? loss_at(minimizer->x, search) : 0;
    if (search->status != STATUS_OK) {
        if (error != NULL)
            *error = search->error;
        return search->status;
    }
    if (loss < best->loss) {
        best->loss = loss;
        memcpy(best->value, search->value, sizeof best->value);
    }
    return STATUS_OK;
}

/* The least loss over the active parameters, from `start` and, with `widely`, from the fixed
 * starts; the simplex is set up anew where it ended until that gains nothing. */
static Status descend_widely(FitSearch *search, const double *start, int widely, FitOptimum *best,
                             Error *error)
{
    size_t dimensions = 0;
    for (int i = 0; i < FIT_PARAMETERS; i++)
        dimensions += search->active[i] != 0;
    memcpy(best->value, start, sizeof best->value);
    memcpy(search->value, start, sizeof best->value);
    Status status = fit_search_evaluate(search, &best->loss, error);
    if (status != STATUS_OK || dimensions == 0)
        return status;

    gsl_vector *position = gsl_vector_alloc(dimensions), *sizes = gsl_vector_alloc(dimensions);
    gsl_multimin_fminimizer *minimizer =
        gsl_multimin_fminimizer_alloc(gsl_multimin_fminimizer_nmsimplex2, dimensions);
    if (position == NULL || sizes == NULL || minimizer == NULL)
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
    for (int s = 0; widely && status == STATUS_OK && s < STARTS; s++) {
        FitOptimum tried = {.loss = HUGE_VAL};
        for (int i = 0; i < FIT_PARAMETERS; i++) {
            const FitParameterSpec *spec = &FIT_PARAMETER_SPECS[i];
            tried.value[i] = search->active[i] != 0
                                 ? spec->low + starts[s] * (spec->high - spec->low)
                                 : start[i];
        }
        status = descend(search, minimizer, position, sizes, &tried, error);
        if (status == STATUS_OK && tried.loss < best->loss)
            *best = tried;
    }
    for (int restart = 0; status == STATUS_OK && restart < MOST_RESTARTS; restart++) {
        const double before = best->loss;
        status = descend(search, minimizer, position, sizes, best, error);
        if (best->loss > before * (1 - worth_going_on))
            break;
    }
    if (minimizer != NULL)
        gsl_multimin_fminimizer_free(minimizer);
    if (sizes != NULL)
        gsl_vector_free(sizes);
    if (position != NULL)
        gsl_vector_free(position);
    return status;
}

Status fit_search_run(FitSearch *search, FitOptimum *best, Error *error)
{
    return descend_widely(search, search->centre, 1, best, error);
}

Status fit_search_refine(FitSearch *search, const double *start, FitOptimum *best, Error *error)
{
    return descend_widely(search, start, 0, best, error);
}
