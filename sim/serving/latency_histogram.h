/* Quantiles of any number of durations in fixed memory: bins of equal ratio between 1 us and 1e7 s,
 * each 0.5% wide, linear within a bin. The mean is exact. */
#ifndef SIM_SERVING_LATENCY_HISTOGRAM_H
#define SIM_SERVING_LATENCY_HISTOGRAM_H

#include <stdint.h>

enum { LATENCY_BINS = 6002 };

typedef struct LatencyHistogram {
    uint64_t count;
    double sum_s, least_s, most_s;
    uint64_t bins[LATENCY_BINS];
} LatencyHistogram; /* zero-initialised */

void histogram_add(LatencyHistogram *histogram, double seconds);

void histogram_merge(LatencyHistogram *into, const LatencyHistogram *from);

/* The share `quantile` of the durations is at most this; 0 when there are none. */
double histogram_quantile(const LatencyHistogram *histogram, double quantile);
double histogram_mean(const LatencyHistogram *histogram);

#endif
