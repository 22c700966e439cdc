#include "hw/calibration/fit.h"

#include <gsl/gsl_blas.h>
#include <gsl/gsl_linalg.h>
#include <gsl/gsl_multifit_nlinear.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const CAL_PARAMETER_NAMES[CAL_PARAMETERS] = {"launch", "bandwidth", "peak",
                                                         "overlap_exponent"};

enum { MOST_ITERATIONS = 200, STARTS = 6, ROUNDS = 6 };

/* Of the smallest time, and q - 1. */
static const double START_ALPHA[STARTS] = {0.5, 0.1, 0.5, 0.02, 0.9, 0.1};
static const double START_OVERLAP[STARTS] = {0.1, 0.1, 1, 1, 3, 5};

static const double tolerance = 1e-10, step = 1e-6, least_alpha_s = 1e-12;
/* Cauchy weights 1 / (1 + (r / (c s))^2), c for 95 % efficiency on normal errors; s the median
 * absolute residual over that of a unit normal (Holland and Welsch 1977). */
static const double cauchy = 2.385, normal_median = 0.6745;
static const double most_overlap = 99; /* q - 1: a maximum in all but name */
static const double line_share = 1e-3; /* of bytes, that a line may miss them by */
static const double singular = 1e-7;   /* of the largest singular value of scaled columns */

double cal_curve_seconds(const CalCurve *curve, double flops, double bytes)
{
    const double move_s = curve->value[CAL_BANDWIDTH] > 0 ? bytes / curve->value[CAL_BANDWIDTH] : 0;
    const double compute_s = curve->value[CAL_PEAK] > 0 ? flops / curve->value[CAL_PEAK] : 0;
    const double larger = fmax(move_s, compute_s), smaller = fmin(move_s, compute_s);
    const double q = curve->value[CAL_OVERLAP];
    if (!(larger > 0))
        return curve->value[CAL_ALPHA];
    if (!(smaller > 0))
        return curve->value[CAL_ALPHA] + larger;
    return curve->value[CAL_ALPHA] + larger * pow(1 + pow(smaller / larger, q), 1 / q);
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

/* log alpha, log or bounded log of bw and P, log(q - 1); only those that are used. */
typedef struct Problem {
    const CalObservation *observations;
    size_t count;
    int used[CAL_PARAMETERS];
    double limit[CAL_PARAMETERS]; /* 0: none */
} Problem;

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

static CalCurve curve_at(const Problem *problem, const gsl_vector *x)
{
    CalCurve curve = {.value = {[CAL_OVERLAP] = 1}};
    size_t at = 0;
    for (int p = 0; p < CAL_PARAMETERS; ++p) {
        if (!problem->used[p])
            continue;
        const double each = gsl_vector_get(x, at++);
        if (p == CAL_ALPHA)
            curve.value[p] = exp(fmin(each, 30));
        else if (p == CAL_OVERLAP)
            curve.value[p] = 1 + fmin(exp(fmin(each, 30)), most_overlap);
        else
            curve.value[p] = bounded(each, problem->limit[p]);
    }
    return curve;
}

static int residuals(const gsl_vector *x, void *context, gsl_vector *f)
{
    const Problem *problem = context;
    const CalCurve curve = curve_at(problem, x);
    for (size_t i = 0; i < problem->count; ++i) {
        const CalObservation *each = &problem->observations[i];
        const double model = cal_curve_seconds(&curve, each->flops, each->bytes);
        const double residual = log(fmax(model, 1e-300) / each->seconds);
        if (!isfinite(residual))
            return GSL_EDOM;
        gsl_vector_set(f, i, residual);
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
        bandwidth = fmax(bandwidth, each->bytes / each->seconds);
        peak = fmax(peak, each->flops / each->seconds);
    }
    const double begin[CAL_PARAMETERS] = {fmax(START_ALPHA[start] * least_s, least_alpha_s),
                                          1.2 * bandwidth, 1.2 * peak, START_OVERLAP[start]};
    for (int p = 0; p < CAL_PARAMETERS; ++p)
        if (problem->used[p])
            gsl_vector_set(x, at++,
                           p == CAL_ALPHA || p == CAL_OVERLAP
                               ? log(begin[p])
                               : unbounded(begin[p], problem->limit[p]));
}

/* ---- standard errors ---------------------------------------------------------------------------
 */

/* Derivative of log of the curve by alpha, log bw, log P, q. */
static void gradient(const CalCurve *curve, const int *used, double flops, double bytes,
                     double row[CAL_PARAMETERS])
{
    const double base = cal_curve_seconds(curve, flops, bytes);
    for (int p = 0; p < CAL_PARAMETERS; ++p) {
        CalCurve moved = *curve;
        row[p] = 0;
        if (!used[p])
            continue;
        if (p == CAL_ALPHA) {
            row[p] = 1 / base;
            continue;
        }
        if (p == CAL_OVERLAP)
            moved.value[p] += step;
        else
            moved.value[p] *= 1 + step;
        row[p] = (log(cal_curve_seconds(&moved, flops, bytes)) - log(base)) / step;
    }
}

/* Covariance s^2 (J^T J)^-1 by the singular values of J with columns of unit length. A direction
 * that the points do not see makes every parameter in it unidentified. */
static Status covariance(const Problem *problem, CalFit *fit, Error *error)
{
    size_t columns = 0, which[CAL_PARAMETERS];
    for (int p = 0; p < CAL_PARAMETERS; ++p)
        if (problem->used[p])
            which[columns++] = (size_t)p;
    gsl_matrix *jacobian = gsl_matrix_calloc(problem->count, columns);
    gsl_matrix *v = gsl_matrix_calloc(columns, columns);
    gsl_vector *s = gsl_vector_calloc(columns), *work = gsl_vector_calloc(columns);
    double length[CAL_PARAMETERS] = {0};
    Status status = STATUS_OK;
    if (jacobian == NULL || v == NULL || s == NULL || work == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory for a fit");
        goto cleanup;
    }
    for (size_t i = 0; i < problem->count; ++i) {
        double row[CAL_PARAMETERS];
        gradient(&fit->curve, problem->used, problem->observations[i].flops,
                 problem->observations[i].bytes, row);
        for (size_t c = 0; c < columns; ++c) {
            gsl_matrix_set(jacobian, i, c, row[which[c]]);
            length[c] += row[which[c]] * row[which[c]];
        }
    }
    for (size_t c = 0; c < columns; ++c) {
        gsl_vector_view column = gsl_matrix_column(jacobian, c);
        length[c] = sqrt(length[c]);
        if (length[c] > 0)
            gsl_vector_scale(&column.vector, 1 / length[c]);
    }
    if (gsl_linalg_SV_decomp(jacobian, v, s, work) != GSL_SUCCESS) {
        status = error_set(error, STATUS_INVALID, "the fit's Jacobian has no singular values");
        goto cleanup;
    }
    const double largest = gsl_vector_get(s, 0);
    for (size_t a = 0; a < columns; ++a)
        for (size_t b = 0; b < columns; ++b) {
            double sum = 0;
            for (size_t d = 0; d < columns; ++d) {
                const double seen = fmax(gsl_vector_get(s, d), singular * largest);
                sum += gsl_matrix_get(v, a, d) * gsl_matrix_get(v, b, d) / (seen * seen);
            }
            const double scale = length[a] * length[b];
            fit->covariance[which[a]][which[b]] =
                scale > 0 ? fit->scatter * fit->scatter * sum / scale : HUGE_VAL;
        }
cleanup:
    gsl_matrix_free(jacobian);
    gsl_matrix_free(v);
    gsl_vector_free(s);
    gsl_vector_free(work);
    return status;
}

/* A sweep at one shape: all work on one line bytes = a + b flops. The launch is then told from the
 * a bytes of the weights by nothing, and without a the movement from the arithmetic by nothing;
 * noise may pretend that the curvature of q does. */
static void judge_line(const Problem *problem, CalFit *fit)
{
    double least = HUGE_VAL, most = -HUGE_VAL, bytes_low = 0, bytes_high = 0, largest = 0;
    for (size_t i = 0; i < problem->count; ++i) {
        const CalObservation *each = &problem->observations[i];
        if (each->flops < least)
            least = each->flops, bytes_low = each->bytes;
        if (each->flops > most)
            most = each->flops, bytes_high = each->bytes;
        largest = fmax(largest, each->bytes);
    }
    const double slope = most > least ? (bytes_high - bytes_low) / (most - least) : 0;
    const double intercept = bytes_low - slope * least;
    for (size_t i = 0; i < problem->count; ++i) {
        const CalObservation *each = &problem->observations[i];
        if (fabs(intercept + slope * each->flops - each->bytes) > line_share * each->bytes)
            return;
    }
    fit->identified[CAL_BANDWIDTH] = 0;
    if (intercept > line_share * largest)
        fit->identified[CAL_ALPHA] = 0;
    else
        fit->identified[CAL_PEAK] = 0;
}

static void judge(const Problem *problem, CalFit *fit)
{
    for (int p = 0; p < CAL_PARAMETERS; ++p) {
        fit->used[p] = problem->used[p];
        if (!problem->used[p])
            continue;
        const int logarithmic = p == CAL_BANDWIDTH || p == CAL_PEAK;
        const double value = fit->curve.value[p];
        fit->error[p] = sqrt(fit->covariance[p][p]) * (logarithmic ? value : 1);
        fit->identified[p] = fit->error[p] <= value;
    }
    if (problem->used[CAL_OVERLAP])
        judge_line(problem, fit);
}

double cal_fit_log_error(const CalFit *fit, double flops, double bytes)
{
    double row[CAL_PARAMETERS], variance = 0;
    gradient(&fit->curve, fit->used, flops, bytes, row);
    for (int a = 0; a < CAL_PARAMETERS; ++a)
        for (int b = 0; b < CAL_PARAMETERS; ++b)
            if (fit->used[a] && fit->used[b])
                variance += row[a] * row[b] * fit->covariance[a][b];
    return sqrt(fmax(variance, 0));
}

/* ---- one fit -----------------------------------------------------------------------------------
 */

static size_t used_parameters(Problem *problem, const CalLimits *limits)
{
    int moves = 0, computes = 0;
    for (size_t i = 0; i < problem->count; ++i) {
        moves |= problem->observations[i].bytes > 0;
        computes |= problem->observations[i].flops > 0;
    }
    problem->used[CAL_ALPHA] = 1;
    problem->used[CAL_BANDWIDTH] = moves;
    problem->used[CAL_PEAK] = computes;
    problem->used[CAL_OVERLAP] = moves && computes;
    if (limits != NULL) {
        problem->limit[CAL_BANDWIDTH] = limits->bytes_per_s;
        problem->limit[CAL_PEAK] = limits->flops_per_s;
    }
    size_t count = 0;
    for (int p = 0; p < CAL_PARAMETERS; ++p)
        count += problem->used[p] != 0;
    return count;
}

/* Minimises the weighted squares from x, which gets the solution. The sum of weighted squares, or
 * infinity. */
static double solve(const Problem *problem, gsl_multifit_nlinear_workspace *solver,
                    const gsl_vector *weights, gsl_vector *x, CalFit *fit)
{
    gsl_multifit_nlinear_fdf function = {
        .f = residuals, .n = problem->count, .p = x->size, .params = (void *)problem};
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

/* Weights from the residuals at x, so that a few rows that are wrong do not bend the curve.
 * 0: the residuals have no spread. */
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
    gsl_multifit_nlinear_workspace *solver = gsl_multifit_nlinear_alloc(
        gsl_multifit_nlinear_trust, &options, problem->count, parameters);
    gsl_vector *x = gsl_vector_alloc(parameters), *best = gsl_vector_alloc(parameters);
    gsl_vector *weights = gsl_vector_alloc(problem->count), *f = gsl_vector_alloc(problem->count);
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
    fit->scatter = sqrt(least / (double)(problem->count - parameters));
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
        fit->flops_low = fmin(fit->flops_low, each->flops);
        fit->flops_high = fmax(fit->flops_high, each->flops);
        fit->bytes_low = fmin(fit->bytes_low, each->bytes);
        fit->bytes_high = fmax(fit->bytes_high, each->bytes);
        if (errors != NULL)
            errors[i] =
                cal_curve_seconds(&fit->curve, each->flops, each->bytes) / each->seconds - 1;
    }
    cal_errors_of(errors, errors != NULL ? problem->count : 0, &fit->errors);
    free(errors);
}

Status cal_fit_curve(const CalObservation *observations, size_t count, const CalLimits *limits,
                     CalFit *fit, Error *error)
{
    Problem problem = {.observations = observations, .count = count};
    const size_t parameters = used_parameters(&problem, limits);
    *fit = (CalFit){.curve = {.value = {[CAL_OVERLAP] = 1}}};
    if (count < parameters + 1)
        return error_set(error, STATUS_NO, "%zu points are too few for %zu parameters", count,
                         parameters);
    Status status = search(&problem, parameters, fit, error);
    if (status == STATUS_OK)
        status = covariance(&problem, fit, error);
    if (status == STATUS_OK) {
        judge(&problem, fit);
        describe(&problem, fit);
    }
    return status;
}
