#include "sim/planning/kernel_fit.h"

#include "sim/engine/parallel.h"

#include <gsl/gsl_multimin.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The simplex, in shares of the parameters' ranges. */
static const double first_size = 0.1, last_size = 1e-4;
static const double least_gain = 1e-3; /* of the loss, for another simplex */
static const double wall = 1;          /* loss per share of a range outside of it */
static const double foot = 1e-4;       /* of a range */
/* Starts: each range's own, and to either side of it by turns, in shares of the range. */
static const double sides[] = {0, 0.1, -0.1};
enum { STARTS = 3, MOST_ITERATIONS = 600, MOST_SIMPLEXES = 6, ROWS_A_BLOCK = 64 };

typedef struct Fitting {
    const KernelFitProblem *problem;
    const ForecastOptions *options;
    size_t threads;
    size_t free_count; /* parameters that are fitted, and which */
    size_t free_index[KERNEL_FIT_PARAMETERS];
    double values[KERNEL_FIT_PARAMETERS];
    double *block_loss; /* of each block of rows, so that the sum does not depend on threads */
    size_t evaluations;
    Status status; /* of an evaluation inside the simplex */
    Error error;
} Fitting;

static size_t block_count(const KernelFitProblem *problem)
{
    return (problem->row_count + ROWS_A_BLOCK - 1) / ROWS_A_BLOCK;
}

static Status block_loss(void *context, size_t block, size_t worker, Error *error)
{
    Fitting *fitting = context;
    const KernelFitProblem *problem = fitting->problem;
    const size_t first = block * ROWS_A_BLOCK;
    (void)worker;
    (void)error;
    double sum = 0;
    for (size_t row = first; row < first + ROWS_A_BLOCK && row < problem->row_count; row++)
        sum += fabs(log(problem->predict(problem->context, fitting->values, row) /
                        problem->measured(problem->context, row)));
    fitting->block_loss[block] = sum;
    return STATUS_OK;
}

static Status evaluate(Fitting *fitting, double *loss, Error *error)
{
    const KernelFitProblem *problem = fitting->problem;
    const ForecastOptions *options = fitting->options;
    const size_t blocks = block_count(problem);
    Status status = parallel_for(blocks, fitting->threads, block_loss, fitting, error);
    *loss = 0;
    for (size_t i = 0; i < blocks; i++)
        *loss += fitting->block_loss[i] / (double)problem->row_count;
    fitting->evaluations++;
    if (status == STATUS_OK && options->progress != NULL &&
        options->progress(options->progress_context, fitting->evaluations,
                          2 * (size_t)STARTS * MOST_SIMPLEXES * MOST_ITERATIONS) != 0)
        return error_set(error, STATUS_INTERRUPTED, "interrupted after %zu evaluations of a fit",
                         fitting->evaluations);
    return status;
}

/* ---- shares of ranges --------------------------------------------------------------------------
 */

static double value_at(const KernelParameter *parameter, double share)
{
    if (parameter->logarithmic)
        return parameter->low * pow(parameter->high / parameter->low, share);
    return parameter->low + share * (parameter->high - parameter->low);
}

static double share_of(const KernelParameter *parameter, double value)
{
    if (parameter->logarithmic)
        return log(value / parameter->low) / log(parameter->high / parameter->low);
    return (value - parameter->low) / (parameter->high - parameter->low);
}

static double loss_at(const gsl_vector *position, void *context)
{
    static const double failed = 1e3;
    Fitting *fitting = context;
    double outside = 0, loss = failed;
    for (size_t i = 0; i < fitting->free_count; i++) {
        const size_t which = fitting->free_index[i];
        const double share = gsl_vector_get(position, i), inside = fmin(fmax(share, 0), 1);
        outside += fabs(share - inside);
        fitting->values[which] = value_at(&fitting->problem->parameters[which], inside);
    }
    if (fitting->status == STATUS_OK)
        fitting->status = evaluate(fitting, &loss, &fitting->error);
    return fitting->status == STATUS_OK && loss < failed ? loss + wall * outside : failed;
}

/* ---- search ------------------------------------------------------------------------------------
 */

/* One simplex from `values`, which it replaces when it finds better. */
static Status descend(Fitting *fitting, gsl_multimin_fminimizer *minimizer, gsl_vector *position,
                      gsl_vector *sizes, double *values, double *best, Error *error)
{
    const KernelFitProblem *problem = fitting->problem;
    gsl_multimin_function function = {.f = loss_at, .n = position->size, .params = fitting};
    for (size_t i = 0; i < position->size; i++) {
        const size_t which = fitting->free_index[i];
        const double share = share_of(&problem->parameters[which], values[which]);
        gsl_vector_set(position, i, share);
        gsl_vector_set(sizes, i, share > 0.5 ? -first_size : first_size);
    }
    int code = gsl_multimin_fminimizer_set(minimizer, &function, position, sizes);
    for (int i = 0; i < MOST_ITERATIONS && code == 0 && fitting->status == STATUS_OK; i++) {
        code = gsl_multimin_fminimizer_iterate(minimizer);
        if (gsl_multimin_fminimizer_size(minimizer) < last_size)
            break;
    }
    const double loss = loss_at(minimizer->x, fitting);
    if (fitting->status != STATUS_OK) {
        if (error != NULL)
            *error = fitting->error;
        return fitting->status;
    }
    if (loss < *best) {
        *best = loss;
        memcpy(values, fitting->values, problem->parameter_count * sizeof *values);
    }
    return STATUS_OK;
}

/* From one start; `values` and `loss` get the better of what they hold and what is found. */
static Status search(Fitting *fitting, gsl_multimin_fminimizer *minimizer, gsl_vector *position,
                     gsl_vector *sizes, size_t start, double *values, double *loss, Error *error)
{
    double found[KERNEL_FIT_PARAMETERS], least = HUGE_VAL;
    memcpy(found, fitting->values, sizeof found);
    for (size_t i = 0; i < fitting->free_count; i++) {
        const size_t which = fitting->free_index[i];
        const KernelParameter *parameter = &fitting->problem->parameters[which];
        const double share = share_of(parameter, parameter->start);
        const double side = i % 2 == 0 ? sides[start] : -sides[start];
        found[which] = value_at(parameter, fmin(fmax(share + side, 0), 1));
    }
    for (int i = 0; i < MOST_SIMPLEXES; i++) {
        const double before = least;
        Status status = descend(fitting, minimizer, position, sizes, found, &least, error);
        if (status != STATUS_OK)
            return status;
        if (least > before * (1 - least_gain))
            break;
    }
    /* A value at the foot of its range is there exactly: what is left of it is the simplex's. */
    for (size_t i = 0; i < fitting->free_count; i++) {
        const KernelParameter *parameter = &fitting->problem->parameters[fitting->free_index[i]];
        double *value = &found[fitting->free_index[i]];
        if (share_of(parameter, *value) < foot)
            *value = parameter->low;
    }
    if (least < *loss) {
        *loss = least;
        memcpy(values, found, fitting->problem->parameter_count * sizeof *values);
    }
    return STATUS_OK;
}

Status kernel_fit(const KernelFitProblem *problem, const ForecastOptions *options, double *values,
                  double *loss, Error *error)
{
    Fitting fitting = {
        .problem = problem, .options = options, .threads = parallel_threads(options->threads)};
    if (problem->row_count == 0 || problem->parameter_count > KERNEL_FIT_PARAMETERS)
        return error_set(error, STATUS_INVALID, "nothing to fit: %zu rows for %zu constants",
                         problem->row_count, problem->parameter_count);
    for (size_t i = 0; i < problem->parameter_count; i++) {
        const KernelParameter *parameter = &problem->parameters[i];
        const int is_free = parameter->high > parameter->low;
        fitting.values[i] = is_free ? parameter->start : values[i];
        if (is_free)
            fitting.free_index[fitting.free_count++] = i;
    }
    const size_t dimensions = fitting.free_count;
    if (dimensions == 0)
        return error_set(error, STATUS_INVALID, "all constants are fixed");
    Status status = STATUS_OK;
    gsl_vector *position = gsl_vector_alloc(dimensions), *sizes = gsl_vector_alloc(dimensions);
    gsl_multimin_fminimizer *minimizer =
        gsl_multimin_fminimizer_alloc(gsl_multimin_fminimizer_nmsimplex2, dimensions);
    fitting.block_loss = calloc(block_count(problem), sizeof *fitting.block_loss);
    if (position == NULL || sizes == NULL || minimizer == NULL || fitting.block_loss == NULL)
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
    *loss = HUGE_VAL;
    for (size_t start = 0; status == STATUS_OK && start < STARTS; start++)
        status = search(&fitting, minimizer, position, sizes, start, values, loss, error);
    free(fitting.block_loss);
    if (minimizer != NULL)
        gsl_multimin_fminimizer_free(minimizer);
    if (sizes != NULL)
        gsl_vector_free(sizes);
    if (position != NULL)
        gsl_vector_free(position);
    return status;
}
