/* The time of a kernel as a function of its work, fitted to measured points.
 *
 *   t = alpha + ((bytes / bw)^q + (flops / P)^q)^(1/q)
 *
 * alpha the launch, bw and P what the kernel reaches of bandwidth and throughput, q >= 1 how far
 * the two overlap: 1 adds them, large takes the larger. The smooth maximum stands between the
 * additive and the roofline form (Williams, Waterman and Patterson, CACM 52(4), 2009). A MoE layer
 * that was published whole has two terms more (hw/moe_layer.h):
 *
 *   + moved_bytes / row_bandwidth + reread_share * reread_bytes / bw
 *
 * Least squares of log(model / measured) by GSL's trust-region solver (gsl_multifit_nlinear), bw
 * and P kept below the datasheet, from several starts, then reweighted (Cauchy) so that a few rows
 * that are wrong do not bend the curve; the errors reported are those of all rows. The standard
 * errors are those of the natural parameters at the solution, of the points alone; one whose error
 * exceeds its value is not identified: other points would be needed, not better ones.
 *
 * Where the points do not tell, a prior does; it weighs as much as one point of a model that is
 * right within 10 %:
 *   row_bandwidth  as bw, within a factor e
 *   reread_share   a half; the log of its odds within 1.5
 *   a sibling      (the same kernels in another precision) reaches the same launch within 30 %, the
 *                  same shares of the datasheet, the log of their odds within 1.2, and the same
 *                  q - 1 within a factor e
 * A kernel that was measured by itself has none of them.
 */
#ifndef HW_CALIBRATION_FIT_H
#define HW_CALIBRATION_FIT_H

#include "hw/calibration/import.h"

typedef enum CalParameter {
    CAL_ALPHA,     /* s */
    CAL_BANDWIDTH, /* bytes/s */
    CAL_PEAK,      /* FLOP/s */
    CAL_OVERLAP,   /* q */
    CAL_ROWS,      /* row_bandwidth, bytes/s */
    CAL_REREAD,    /* reread_share, 0 to 1 */
    CAL_PARAMETERS
} CalParameter;
extern const char *const CAL_PARAMETER_NAMES[CAL_PARAMETERS];

typedef struct CalCurve {
    double value[CAL_PARAMETERS]; /* 0: the work has nothing that this is about */
} CalCurve;

typedef struct CalWork {
    double flops, bytes;
    double moved_bytes, reread_bytes; /* of whole layers only */
} CalWork;

CalWork cal_point_work(const CalPoint *point);
double cal_curve_seconds(const CalCurve *curve, const CalWork *work);

typedef struct CalObservation {
    CalWork work;
    double seconds;
} CalObservation;

/* Of relative errors, model over measured less one. */
typedef struct CalErrors {
    size_t n;
    double median_abs, mean_abs, p90_abs, max_abs, bias;
} CalErrors;

typedef struct CalFit {
    CalOp op;
    char device[CAL_NAME_BYTES], impl[CAL_NAME_BYTES], dtype[CAL_NAME_BYTES];
    MoeTiles tiles;   /* of whole layers: those that its kernels keep to */
    CalLimits limits; /* 0: none known */
    CalCurve curve;
    double error[CAL_PARAMETERS];                      /* standard error, in the parameter's unit */
    int used[CAL_PARAMETERS];                          /* the work has what this is about */
    int identified[CAL_PARAMETERS];                    /* error below the value */
    double covariance[CAL_PARAMETERS][CAL_PARAMETERS]; /* of alpha, log bw, log P, q,
                                                          log row_bandwidth, reread_share */
    double scatter; /* standard deviation of log(model / measured) */
    double flops_low, flops_high, bytes_low, bytes_high; /* range covered */
    CalErrors errors;                                    /* of the points fitted */
    CalErrors held_out; /* leaving one model out at a time; n 0: one model only */
    CalErrors uneven;   /* published rows of uneven load, predicted; n 0: none */
    char solver[CAL_NAME_BYTES];
} CalFit;

/* `limits` and `sibling` may be NULL. STATUS_NO: fewer points than parameters of the first four and
 * one; `fit` then holds nothing. STATUS_ENVIRONMENT without memory. */
Status cal_fit_curve(const CalObservation *observations, size_t count, const CalLimits *limits,
                     const CalFit *sibling, CalFit *fit, Error *error);

/* Standard error of log of the curve at a piece of work, from the covariance. */
double cal_fit_log_error(const CalFit *fit, const CalWork *work);

void cal_errors_of(const double *errors, size_t count, CalErrors *result); /* 0 without memory */

/* One fit for each (device, op, impl, dtype, tiles) of the points that may be fitted, and which fit
 * each point belongs to. Published layers have a sibling: the fit to the same kernels in the
 * precision with most points. */
typedef struct CalFits {
    size_t count;
    CalFit *fits;
    size_t *fit_of;    /* [points]: index, or CAL_NO_FIT */
    double *predicted; /* [points]: seconds; 0: not predicted */
    size_t too_few;    /* groups with too few points for a fit */
} CalFits;

#define CAL_NO_FIT ((size_t)-1)

Status cal_fit_points(const CalPoints *points, const CalCatalogue *catalogue, CalFits *fits,
                      Error *error);
void cal_fits_free(CalFits *fits);

/* The fit of an operator on a device; NULL: none. `dtype` and `impl` NULL: any, the one with most
 * points. */
const CalFit *cal_fits_find(const CalFits *fits, CalOp op, const char *device, const char *impl,
                            const char *dtype);

#endif
