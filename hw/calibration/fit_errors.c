/* Standard errors of a fit, and what its points do not identify. */
#include "hw/calibration/fit_errors.h"

#include <gsl/gsl_linalg.h>
#include <math.h>

static const double step = 1e-6;
static const double line_share = 1e-3; /* of bytes, that a line may miss them by */
static const double singular = 1e-7;   /* of the largest singular value of scaled columns */

static int is_logarithmic(int parameter)
{
    return parameter == CAL_BANDWIDTH || parameter == CAL_PEAK || parameter == CAL_ROWS;
}

/* Derivative of log of the curve by the parameters, or their logarithms. */
static void gradient(const CalCurve *curve, const int *used, const CalWork *work,
                     double row[CAL_PARAMETERS])
{
    const double base = cal_curve_seconds(curve, work);
    for (int p = 0; p < CAL_PARAMETERS; ++p) {
        CalCurve moved = *curve;
        row[p] = 0;
        if (!used[p])
            continue;
        if (p == CAL_ALPHA) {
            row[p] = 1 / base;
            continue;
        }
        if (is_logarithmic(p))
            moved.value[p] *= 1 + step;
        else
            moved.value[p] += step;
        row[p] = (log(cal_curve_seconds(&moved, work)) - log(base)) / step;
    }
}

/* Covariance s^2 (J^T J)^-1 by the singular values of J with columns of unit length. A direction
 * that the points do not see makes every parameter in it unidentified. */
static Status covariance(const CalObservation *observations, size_t count, CalFit *fit,
                         Error *error)
{
    size_t columns = 0, which[CAL_PARAMETERS];
    for (int p = 0; p < CAL_PARAMETERS; ++p)
        if (fit->used[p])
            which[columns++] = (size_t)p;
    gsl_matrix *jacobian = gsl_matrix_calloc(count > columns ? count : columns, columns);
    gsl_matrix *v = gsl_matrix_calloc(columns, columns);
    gsl_vector *s = gsl_vector_calloc(columns), *work = gsl_vector_calloc(columns);
    double length[CAL_PARAMETERS] = {0};
    Status status = STATUS_OK;
    if (jacobian == NULL || v == NULL || s == NULL || work == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory for a fit");
        goto cleanup;
    }
    for (size_t i = 0; i < count; ++i) {
        double row[CAL_PARAMETERS];
        gradient(&fit->curve, fit->used, &observations[i].work, row);
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
static void judge_line(const CalObservation *observations, size_t count, CalFit *fit)
{
    double least = HUGE_VAL, most = -HUGE_VAL, bytes_low = 0, bytes_high = 0, largest = 0;
    for (size_t i = 0; i < count; ++i) {
        const CalWork *each = &observations[i].work;
        if (each->flops < least)
            least = each->flops, bytes_low = each->bytes;
        if (each->flops > most)
            most = each->flops, bytes_high = each->bytes;
        largest = fmax(largest, each->bytes);
    }
    const double slope = most > least ? (bytes_high - bytes_low) / (most - least) : 0;
    const double intercept = bytes_low - slope * least;
    for (size_t i = 0; i < count; ++i) {
        const CalWork *each = &observations[i].work;
        if (fabs(intercept + slope * each->flops - each->bytes) > line_share * each->bytes)
            return;
    }
    fit->identified[CAL_BANDWIDTH] = fit->identified[CAL_ROWS] = 0;
    if (intercept > line_share * largest)
        fit->identified[CAL_ALPHA] = 0;
    else
        fit->identified[CAL_PEAK] = 0;
}

static void judge(const CalObservation *observations, size_t count, CalFit *fit)
{
    for (int p = 0; p < CAL_PARAMETERS; ++p) {
        if (!fit->used[p])
            continue;
        const double value = fit->curve.value[p];
        fit->error[p] = sqrt(fit->covariance[p][p]) * (is_logarithmic(p) ? value : 1);
        fit->identified[p] = fit->error[p] <= value;
    }
    if (fit->used[CAL_OVERLAP])
        judge_line(observations, count, fit);
}

double cal_fit_log_error(const CalFit *fit, const CalWork *work)
{
    double row[CAL_PARAMETERS], variance = 0;
    gradient(&fit->curve, fit->used, work, row);
    for (int a = 0; a < CAL_PARAMETERS; ++a)
        for (int b = 0; b < CAL_PARAMETERS; ++b)
            if (fit->used[a] && fit->used[b])
                variance += row[a] * row[b] * fit->covariance[a][b];
    return sqrt(fmax(variance, 0));
}

Status cal_standard_errors(const CalObservation *observations, size_t count, CalFit *fit,
                           Error *error)
{
    const Status status = covariance(observations, count, fit, error);
    if (status == STATUS_OK)
        judge(observations, count, fit);
    return status;
}
