/* Fits a few bounded constants of a kernel's form to timings.
 *
 * The loss is the mean over rows of |log(predicted / measured)|, so that short and long kernels
 * weigh the same and single rows do not rule. It is minimised by Nelder and Mead's simplex (GSL
 * nmsimplex2) from a fixed start, set up anew where it ended until that gains nothing. Positions
 * are shares of the constants' ranges, of their logarithms where a range says so; outside of them
 * the loss climbs. */
#ifndef SIM_PLANNING_KERNEL_FIT_H
#define SIM_PLANNING_KERNEL_FIT_H

#include "configs/reader/error.h"
#include "sim/engine/forecast_options.h"

#include <stddef.h>

enum { KERNEL_FIT_PARAMETERS = 12 };

typedef struct KernelParameter {
    const char *key;  /* in its group of a file */
    size_t offset;    /* in the group's struct, of a double */
    double low, high; /* equal: not fitted; the value is what the caller gives */
    int logarithmic;  /* low > 0 then */
    double start;
    double unit; /* of the number that is written */
    const char *suffix;
    int needed; /* the file has to have it, 0 or not */
} KernelParameter;

typedef struct KernelFitProblem {
    const KernelParameter *parameters;
    size_t parameter_count; /* <= KERNEL_FIT_PARAMETERS */
    size_t row_count;
    /* Seconds that the row is predicted and measured with; called from several threads. */
    double (*predict)(const void *context, const double *values, size_t row);
    double (*measured)(const void *context, size_t row);
    const void *context;
} KernelFitProblem;

/* `values` holds the constants that are not fitted, and gets those of the least loss. Progress
 * counts evaluations against the most that there may be. */
Status kernel_fit(const KernelFitProblem *problem, const ForecastOptions *options, double *values,
                  double *loss, Error *error);

#endif
