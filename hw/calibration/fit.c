#include "hw/calibration/fit.h"

#include "hw/calibration/fit_errors.h"

#include <gsl/gsl_blas.h>
#include <gsl/gsl_multifit_nlinear.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const CAL_PARAMETER_NAMES[CAL_PARAMETERS] = {
    "launch", "bandwidth", "peak", "overlap_exponent", "row_bandwidth", "reread_share"};

enum { MOST_ITERATIONS = 200, STARTS = 6, ROUNDS = 6 };

/* Of the smallest time, and q - 1. */
static const double START_ALPHA[STARTS] = {0.5, 0.1, 0.5, 0.02, 0.9, 0.1};
static const double START_OVERLAP[STARTS] = {0.1, 0.1, 1, 1, 3, 5};

static const double tolerance = 1e-10, least_alpha_s = 1e-12, least_overlap = 1e-3;
/* The scatter of a model that is right, and how far the priors reach, in the solver's parameters:
 * see fit.h. */
static const double model_scatter = 0.1;
static const double SIBLING_DEVIATION[CAL_PARAMETERS] = {0.3, 1.2, 1.2, 1, 0, 0};
static const double row_deviation = 1, reread_deviation = 1.5;
/* Cauchy weights 1 / (1 + (r / (c s))^2), c for 95 % efficiency on normal errors; s the median
 * absolute residual over that of a unit normal (Holland and Welsch 1977). */
static const double cauchy = 2.385, normal_median = 0.6745;
static const double most_overlap = 99; /* q - 1: a maximum in all but name */

double cal_curve_seconds(const CalCurve *curve, const CalWork *work)
{
    const double bandwidth = curve->value[CAL_BANDWIDTH], peak = curve->value[CAL_PEAK];
    const double move_s = bandwidth > 0 ? work->bytes / bandwidth : 0;
    const double compute_s = peak > 0 ? work->flops / peak : 0;
    const double larger = fmax(move_s, compute_s), smaller = fmin(move_s, compute_s);
    const double q = curve->value[CAL_OVERLAP];
    double seconds = curve->value[CAL_ALPHA];
    if (smaller > 0)
        seconds += larger * pow(1 + pow(smaller / larger, q), 1 / q);
    else
        seconds += fmax(larger, 0);
    if (curve->value[CAL_ROWS] > 0)
        seconds += work->moved_bytes / curve->value[CAL_ROWS];
    if (bandwidth > 0)
        seconds += curve->value[CAL_REREAD] * work->reread_bytes / bandwidth;
    return seconds;
}

/* ---- errors ------------------------------------------------------------------------------------
 */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const double *sorted, size_t count, double share)
{
    const double place = share * (double)(count - 1);
    const size_t below = (size_t)place, above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (place - (double)below) * (sorted[above] - sorted[below]);
}

void cal_errors_of(const double *errors, size_t count, CalErrors *result)
{
    *result = (CalErrors){0};
    double *sizes = count > 0 ? malloc(count * sizeof *sizes) : NULL;
    if (sizes == NULL)
        return;
    for (size_t i = 0; i < count; ++i) {
        sizes[i] = fabs(errors[i]);
        result->mean_abs += sizes[i] / (double)count;
        result->bias += errors[i] / (double)count;
    }
    qsort(sizes, count, sizeof *sizes, by_value);
    result->n = count;
    result->median_abs = quantile(sizes, count, 0.5);
    result->p90_abs = quantile(sizes, count, 0.9);
    result->max_abs = sizes[count - 1];
    free(sizes);
}

/* ---- the parameters that the solver sees -------------------------------------------------------
 */

/* log alpha, log or logit of bw and P, log(q - 1), log(row_bandwidth / bw), logit of reread_share;
 * only those that are used. The residuals of the priors stand behind those of the points. */
typedef struct Problem {
    const CalObservation *observations;
    size_t count;
    int used[CAL_PARAMETERS];
    double limit[CAL_PARAMETERS];                           /* 0: none */
    double mean[CAL_PARAMETERS], deviation[CAL_PARAMETERS]; /* of the prior; deviation 0: none */
} Problem;

static size_t prior_count(const Problem *problem)
{
    size_t count = 0;
    for (int p = 0; p < CAL_PARAMETERS; ++p)
        count += problem->used[p] && problem->deviation[p] > 0;
    return count;
}

static double bounded(double x, double limit)
{
    return limit > 0 ? limit / (1 + exp(-x)) : exp(fmin(x, 300));
}

static double unbounded(double value, double limit)
{
    if (!(limit > 0))
        return log(value);
    const double share = fmin(fmax(value / limit, 1e-6), 0.999);
    return log(share / (1 - share));
}

static double value_of(const Problem *problem, const CalCurve *curve, int parameter, double x)
{
    const double bandwidth = curve->value[CAL_BANDWIDTH], limit = problem->limit[parameter];
    switch ((CalParameter)parameter) {
    case CAL_ALPHA:
        return exp(fmin(x, 30));
    case CAL_OVERLAP:
        return 1 + fmin(exp(fmin(x, 30)), most_overlap);
    case CAL_ROWS:
        return fmin(bandwidth * exp(fmin(x, 30)), limit > 0 ? limit : HUGE_VAL);
    case CAL_BANDWIDTH:
    case CAL_PEAK:
    case CAL_REREAD:
    case CAL_PARAMETERS:
        break;
    }
    return bounded(x, limit);
}

/* The solver's parameter of a value; of row_bandwidth with that of bw. */
static double parameter_of(double value, double bandwidth, int parameter, double limit)
{
    if (parameter == CAL_ALPHA)
        return log(fmax(value, least_alpha_s));
    if (parameter == CAL_OVERLAP)
        return log(fmax(value - 1, least_overlap));
    return parameter == CAL_ROWS ? log(value / bandwidth) : unbounded(value, limit);
}

static CalCurve curve_at(const Problem *problem, const gsl_vector *x)
{
    CalCurve curve = {.value = {[CAL_OVERLAP] = 1}};
    size_t at = 0;
    for (int p = 0; p < CAL_PARAMETERS; ++p)
        if (problem->used[p])
            curve.value[p] = value_of(problem, &curve, p, gsl_vector_get(x, at++));
    return curve;
}

static int residuals(const gsl_vector *x, void *context, gsl_vector *f)
{
    const Problem *problem = context;
    const CalCurve curve = curve_at(problem, x);
    size_t row = 0, at = 0;
    for (; row < problem->count; ++row) {
        const CalObservation *each = &problem->observations[row];
        const double model = cal_curve_seconds(&curve, &each->work);
        const double residual = log(fmax(model, 1e-300) / each->seconds);
        if (!isfinite(residual))
            return GSL_EDOM;
        gsl_vector_set(f, row, residual);
    }
    for (int p = 0; p < CAL_PARAMETERS; ++p) {
        if (problem->used[p] && problem->deviation[p] > 0)
            gsl_vector_set(f, row++,
                           model_scatter * (gsl_vector_get(x, at) - problem->mean[p]) /
                               problem->deviation[p]);
        at += problem->used[p] != 0;
    }
    return GSL_SUCCESS;
}

static void put_start(const Problem *problem, int start, gsl_vector *x)
{
    double least_s = HUGE_VAL, bandwidth = 0, peak = 0;
    size_t at = 0;
    for (size_t i = 0; i < problem->count; ++i) {
        const CalObservation *each = &problem->observations[i];
        least_s = fmin(least_s, each->seconds);
        bandwidth = fmax(bandwidth, each->work.bytes / each->seconds);
        peak = fmax(peak, each->work.flops / each->seconds);
    }
    const double begin[CAL_PARAMETERS] = {START_ALPHA[start] * least_s, 1.2 * bandwidth, 1.2 * peak,
                                          1 + START_OVERLAP[start],     1.2 * bandwidth, 0.5};
    for (int p = 0; p < CAL_PARAMETERS; ++p)
        if (problem->used[p])
            gsl_vector_set(x, at++,
                           parameter_of(begin[p], begin[CAL_BANDWIDTH], p, problem->limit[p]));
}

/* ---- one fit -----------------------------------------------------------------------------------
 */

static size_t used_parameters(Problem *problem, const CalLimits *limits)
{
    int moves = 0, computes = 0, rows = 0, rereads = 0;
    for (size_t i = 0; i < problem->count; ++i) {
        const CalWork *work = &problem->observations[i].work;
        moves |= work->bytes > 0;
        computes |= work->flops > 0;
        rows |= work->moved_bytes > 0;
        rereads |= work->reread_bytes > 0;
    }
    problem->used[CAL_ALPHA] = 1;
    problem->used[CAL_BANDWIDTH] = moves;
    problem->used[CAL_PEAK] = computes;
    problem->used[CAL_OVERLAP] = moves && computes;
    problem->used[CAL_ROWS] = moves && rows;
    problem->used[CAL_REREAD] = moves && rereads;
    problem->limit[CAL_REREAD] = 1;
    if (limits != NULL) {
        problem->limit[CAL_BANDWIDTH] = problem->limit[CAL_ROWS] = limits->bytes_per_s;
        problem->limit[CAL_PEAK] = limits->flops_per_s;
    }
    size_t count = 0;
    for (int p = 0; p < CAL_PARAMETERS; ++p)
        count += problem->used[p] != 0;
    return count;
}

static void put_priors(Problem *problem, const CalFit *sibling)
{
    problem->deviation[CAL_ROWS] = row_deviation;
    problem->deviation[CAL_REREAD] = reread_deviation;
    for (int p = 0; sibling != NULL && p < CAL_PARAMETERS; ++p) {
        const double limit = p == CAL_BANDWIDTH ? sibling->limits.bytes_per_s
                             : p == CAL_PEAK    ? sibling->limits.flops_per_s
                                                : 0;
        /* without a datasheet on either side, a value says nothing of another precision's */
        const int same = p == CAL_ALPHA || p == CAL_OVERLAP || (limit > 0 && problem->limit[p] > 0);
        if (!(SIBLING_DEVIATION[p] > 0) || !sibling->used[p] || !same)
            continue;
        problem->mean[p] = parameter_of(sibling->curve.value[p], 0, p, limit);
        problem->deviation[p] = SIBLING_DEVIATION[p];
    }
}

/* Minimises the weighted squares from x, which gets the solution. The sum of weighted squares, or
 * infinity. */
static double solve(const Problem *problem, gsl_multifit_nlinear_workspace *solver,
                    const gsl_vector *weights, gsl_vector *x, CalFit *fit)
{
    gsl_multifit_nlinear_fdf function = {
        .f = residuals, .n = weights->size, .p = x->size, .params = (void *)problem};
    int info = 0;
    double sum = HUGE_VAL;
    if (gsl_multifit_nlinear_winit(x, weights, &function, solver) != GSL_SUCCESS)
        return HUGE_VAL;
    const int code = gsl_multifit_nlinear_driver(MOST_ITERATIONS, tolerance, tolerance, tolerance,
                                                 NULL, NULL, &info, solver);
    const gsl_vector *f = gsl_multifit_nlinear_residual(solver); /* weighted */
    gsl_blas_ddot(f, f, &sum);
    gsl_vector_memcpy(x, gsl_multifit_nlinear_position(solver));
    snprintf(fit->solver, sizeof fit->solver, "%s",
             code == GSL_SUCCESS ? (info == 1 ? "small step" : "small gradient")
                                 : gsl_strerror(code));
    return isfinite(sum) ? sum : HUGE_VAL;
}

/* Weights of the points from their residuals at x, so that a few rows that are wrong do not bend
 * the curve. 0: the residuals have no spread. */
static int reweight(const Problem *problem, const gsl_vector *x, gsl_vector *f, double *sizes,
                    gsl_vector *weights)
{
    if (residuals(x, (void *)problem, f) != GSL_SUCCESS)
        return 0;
    for (size_t i = 0; i < problem->count; ++i)
        sizes[i] = fabs(gsl_vector_get(f, i));
    qsort(sizes, problem->count, sizeof *sizes, by_value);
    const double spread = quantile(sizes, problem->count, 0.5) / normal_median;
    if (!(spread > 1e-9))
        return 0;
    for (size_t i = 0; i < problem->count; ++i) {
        const double share = gsl_vector_get(f, i) / (cauchy * spread);
        gsl_vector_set(weights, i, 1 / (1 + share * share));
    }
    return 1;
}

/* The best of several starts, then reweighted. */
static Status search(const Problem *problem, size_t parameters, CalFit *fit, Error *error)
{
    gsl_multifit_nlinear_parameters options = gsl_multifit_nlinear_default_parameters();
    options.trs = gsl_multifit_nlinear_trs_lmaccel;
    const size_t rows = problem->count + prior_count(problem);
    gsl_multifit_nlinear_workspace *solver =
        gsl_multifit_nlinear_alloc(gsl_multifit_nlinear_trust, &options, rows, parameters);
    gsl_vector *x = gsl_vector_alloc(parameters), *best = gsl_vector_alloc(parameters);
    gsl_vector *weights = gsl_vector_alloc(rows), *f = gsl_vector_alloc(rows);
    double *sizes = malloc(problem->count * sizeof *sizes), least = HUGE_VAL;
    Status status = STATUS_OK;
    if (solver == NULL || x == NULL || best == NULL || weights == NULL || f == NULL ||
        sizes == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory for a fit");
        goto cleanup;
    }
    gsl_vector_set_all(weights, 1);
    for (int start = 0; start < STARTS; ++start) {
        put_start(problem, start, x);
        const double sum = solve(problem, solver, weights, x, fit);
        if (sum < least) {
            least = sum;
            gsl_vector_memcpy(best, x);
        }
    }
    if (!(least < HUGE_VAL)) {
        status = error_set(error, STATUS_INVALID, "no start of the fit led anywhere");
        goto cleanup;
    }
    for (int round = 0; round < ROUNDS && reweight(problem, best, f, sizes, weights); ++round) {
        gsl_vector_memcpy(x, best);
        const double sum = solve(problem, solver, weights, x, fit);
        if (!(sum < HUGE_VAL))
            break;
        least = sum;
        gsl_vector_memcpy(best, x);
    }
    fit->curve = curve_at(problem, best);
    const double spare = problem->count > parameters ? (double)(problem->count - parameters) : 1;
    fit->scatter = sqrt(least / spare);
cleanup:
    if (solver != NULL)
        gsl_multifit_nlinear_free(solver);
    gsl_vector_free(x);
    gsl_vector_free(best);
    gsl_vector_free(weights);
    gsl_vector_free(f);
    free(sizes);
    return status;
}

static void describe(const Problem *problem, CalFit *fit)
{
    fit->flops_low = fit->bytes_low = HUGE_VAL;
    double *errors = malloc(problem->count * sizeof *errors);
    for (size_t i = 0; i < problem->count; ++i) {
        const CalObservation *each = &problem->observations[i];
        fit->flops_low = fmin(fit->flops_low, each->work.flops);
        fit->flops_high = fmax(fit->flops_high, each->work.flops);
        fit->bytes_low = fmin(fit->bytes_low, each->work.bytes);
        fit->bytes_high = fmax(fit->bytes_high, each->work.bytes);
        if (errors != NULL)
            errors[i] = cal_curve_seconds(&fit->curve, &each->work) / each->seconds - 1;
    }
    cal_errors_of(errors, errors != NULL ? problem->count : 0, &fit->errors);
    free(errors);
}

Status cal_fit_curve(const CalObservation *observations, size_t count, const CalLimits *limits,
                     const CalFit *sibling, CalFit *fit, Error *error)
{
    Problem problem = {.observations = observations, .count = count};
    const size_t parameters = used_parameters(&problem, limits);
    const size_t without_prior = parameters < CAL_ROWS ? parameters : CAL_ROWS;
    *fit = (CalFit){.curve = {.value = {[CAL_OVERLAP] = 1}}};
    if (limits != NULL)
        fit->limits = *limits;
    memcpy(fit->used, problem.used, sizeof fit->used);
    if (count < without_prior + 1)
        return error_set(error, STATUS_NO, "%zu points are too few for %zu parameters", count,
                         without_prior);
    put_priors(&problem, sibling);
    Status status = search(&problem, parameters, fit, error);
    if (status == STATUS_OK)
        status = cal_standard_errors(observations, count, fit, error);
    if (status == STATUS_OK)
        describe(&problem, fit);
    return status;
}
