#include "sim/engine/confidence.h"

#include <gsl/gsl_statistics_double.h>
#include <math.h>

static const double Z = 1.959963984540054; /* of a normal law, 95% lie within */

static ConfidenceInterval of_mean(const double *sorted, size_t count)
{
    double mean = gsl_stats_mean(sorted, 1, count);
    if (!(sorted[count - 1] > sorted[0]))
        return (ConfidenceInterval){mean, mean};
    double half = Z * gsl_stats_sd(sorted, 1, count) / sqrt((double)count);
    return (ConfidenceInterval){mean - half, mean + half};
}

static ConfidenceInterval of_quantile(double q, const double *sorted, size_t count)
{
    double n = (double)count, half = Z * sqrt(n * q * (1.0 - q));
    double low = floor(n * q - half), high = ceil(n * q + half) + 1.0; /* ranks from 1 */
    if (!(sorted[count - 1] > sorted[0]))
        return (ConfidenceInterval){sorted[0], sorted[0]};
    return (ConfidenceInterval){low >= 1.0 ? sorted[(size_t)low - 1] : -HUGE_VAL,
                                high <= n ? sorted[(size_t)high - 1] : HUGE_VAL};
}

ConfidenceInterval confidence_interval(Statistic statistic, const double *sorted, size_t count)
{
    static const double quantiles[] = {
        [STATISTIC_P5] = 0.05, [STATISTIC_P50] = 0.50, [STATISTIC_P95] = 0.95};
    return statistic == STATISTIC_MEAN ? of_mean(sorted, count)
                                       : of_quantile(quantiles[statistic], sorted, count);
}
