/* How well a mean or a quantile is known after so many replications: 95% intervals. */
#ifndef SIM_ENGINE_CONFIDENCE_H
#define SIM_ENGINE_CONFIDENCE_H

#include <stddef.h>

typedef enum Statistic { STATISTIC_MEAN, STATISTIC_P5, STATISTIC_P50, STATISTIC_P95 } Statistic;
enum { STATISTIC_COUNT = STATISTIC_P95 + 1 };

typedef struct ConfidenceInterval {
    double low, high;
} ConfidenceInterval;

/* `sorted` ascending, at least one value. The mean by the normal law of means; a quantile between
 * the order statistics whose ranks a binomial variable of n trials at q falls between (Hahn &
 * Meeker 1991, section 5.2), which holds for any law of the values. With so few values that a rank
 * lies outside, the end is -HUGE_VAL or HUGE_VAL; equal values are known exactly. */
ConfidenceInterval confidence_interval(Statistic statistic, const double *sorted, size_t count);

/* A target: `statistic` of `metric` known to `relative` of itself (half the interval). */
enum { PRECISION_METRIC_BYTES = 96, PRECISION_MAX_REPS = 1000000 };
typedef struct PrecisionTarget {
    char metric[PRECISION_METRIC_BYTES]; /* "": no target */
    Statistic statistic;
    double relative;
} PrecisionTarget;

#endif
