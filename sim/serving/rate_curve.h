/* A rate of requests that changes in steps and repeats. */
#ifndef SIM_SERVING_RATE_CURVE_H
#define SIM_SERVING_RATE_CURVE_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"

#include <stdint.h>

enum { MAX_CURVE_STEPS = 2016 }; /* a week of five minutes */

typedef struct RateCurve {
    double step_s;
    size_t count;
    double relative[MAX_CURVE_STEPS]; /* mean 1 over the period */
} RateCurve;

/* Of a region, by fleet time: its curve by the hour, or 10-minute means of its swing.
 * STATUS_INVALID for a curve that is missing, unordered or always 0. */
Status rate_curve_of_region(const FleetSpec *fleet, const RegionSpec *region, RateCurve *curve,
                            Error *error);

/* Where a process on the curve stands: the step, and what was delivered before it. */
typedef struct RateCursor {
    uint64_t step;
    double units;
} RateCursor;

/* The time at which a mean rate on this curve has delivered `units`, which never fall. Moves the
 * cursor: all calls together take as long as the steps passed. */
double rate_curve_time(const RateCurve *curve, double rate_per_s, RateCursor *cursor, double units);

#endif
