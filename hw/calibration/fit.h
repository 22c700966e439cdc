/* The time of a kernel as a function of its work, fitted to measured points.
 *
 *   t = alpha + ((bytes / bw)^q + (flops / P)^q)^(1/q)
 *
 * alpha the launch, bw and P what the kernel reaches of bandwidth and throughput, q >= 1 how far
 * the two overlap: 1 adds them, large takes the larger. The smooth maximum stands between the
 * additive and the roofline form (Williams, Waterman and Patterson, CACM 52(4), 2009).
 *
 * Least squares of log(model / measured) by GSL's trust-region solver (gsl_multifit_nlinear), bw
 * and P kept below the datasheet, from several starts, then reweighted (Cauchy) so that a few rows
 * that are wrong do not bend the curve; the errors reported are those of all rows. The standard
 * errors are those of the natural parameters at the solution; one whose error exceeds its value is
 * not identified: other points would be needed, not better ones.
 */
#ifndef HW_CALIBRATION_FIT_H
#define HW_CALIBRATION_FIT_H

#include "hw/calibration/import.h"

typedef enum CalParameter {
    CAL_ALPHA,     /* s */
    CAL_BANDWIDTH, /* bytes/s */
    CAL_PEAK,      /* FLOP/s */
    CAL_OVERLAP,   /* q */
    CAL_PARAMETERS
} CalParameter;
extern const char *const CAL_PARAMETER_NAMES[CAL_PARAMETERS];

typedef struct CalCurve {
    double value[CAL_PARAMETERS]; /* bandwidth or peak 0: the work has none of it */
} CalCurve;

double cal_curve_seconds(const CalCurve *curve, double flops, double bytes);

typedef struct CalObservation {
    double flops, bytes, seconds;
} CalObservation;

/* Of relative errors, model over measured less one. */
typedef struct CalErrors {
    size_t n;
    double median_abs, mean_abs, p90_abs, max_abs, bias;
} CalErrors;

typedef struct CalFit {
    CalOp op;
    char device[CAL_NAME_BYTES], impl[CAL_NAME_BYTES], dtype[CAL_NAME_BYTES];
    CalCurve curve;
    double error[CAL_PARAMETERS];                      /* standard error, in the parameter's unit */
    int used[CAL_PARAMETERS];                          /* the work has what this is about */
    int identified[CAL_PARAMETERS];                    /* error below the value */
    double covariance[CAL_PARAMETERS][CAL_PARAMETERS]; /* of alpha, log bw, log P, q */
    double scatter; /* standard deviation of log(model / measured) */
    double flops_low, flops_high, bytes_low, bytes_high; /* range covered */
    CalErrors errors;                                    /* of the points fitted */
    CalErrors held_out; /* leaving one model out at a time; n 0: one model only */
    CalErrors uneven;   /* published rows of uneven load, predicted; n 0: none */
    char solver[CAL_NAME_BYTES];
} CalFit;

/* STATUS_NO: fewer points than parameters and one; `fit` then holds nothing. STATUS_ENVIRONMENT
 * without memory. */
Status cal_fit_curve(const CalObservation *observations, size_t count, const CalLimits *limits,
                     CalFit *fit, Error *error);

/* Standard error of log of the curve at a piece of work, from the covariance. */
double cal_fit_log_error(const CalFit *fit, double flops, double bytes);

void cal_errors_of(const double *errors, size_t count, CalErrors *result); /* 0 without memory */

/* One fit for each (device, op, impl, dtype) of the points that may be fitted, and which fit each
 * point belongs to. */
typedef struct CalFits {
    size_t count;
    CalFit *fits;
    size_t *fit_of;    /* [points]: index, or CAL_NO_FIT */
    double *predicted; /* [points]: seconds; 0: not predicted */
    size_t too_few;    /* groups with too few points for a fit */
} CalFits;

#define CAL_NO_FIT ((size_t)-1)

Status cal_fit_points(const CalPoints *points, CalLimitsOf limits, void *context, CalFits *fits,
                      Error *error);
void cal_fits_free(CalFits *fits);

/* The fit of an operator on a device; NULL: none. `dtype` and `impl` NULL: any, the one with most
 * points. */
const CalFit *cal_fits_find(const CalFits *fits, CalOp op, const char *device, const char *impl,
                            const char *dtype);

#endif
