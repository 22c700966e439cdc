#include "sim/serving/latency_histogram.h"

#include <math.h>
#include <stddef.h>

/* Bin 0 is below the first bound, the last one above the last bound. */
static const double first_bound_s = 1e-6;
static const double bins_per_e = 200; /* ratio exp(1 / 200) */

static double bound_s(size_t bin)
{
    return first_bound_s * exp((double)bin / bins_per_e);
}

void histogram_add(LatencyHistogram *histogram, double seconds)
{
    const double at = 1 + floor(bins_per_e * log(fmax(seconds, 1e-300) / first_bound_s));
    const size_t bin = (size_t)fmin(fmax(at, 0), LATENCY_BINS - 1);
    histogram->bins[bin]++;
    histogram->sum_s += seconds;
    histogram->least_s = histogram->count == 0 ? seconds : fmin(histogram->least_s, seconds);
    histogram->most_s = histogram->count == 0 ? seconds : fmax(histogram->most_s, seconds);
    histogram->count++;
}

void histogram_merge(LatencyHistogram *into, const LatencyHistogram *from)
{
    if (from->count == 0)
        return;
    into->least_s = into->count == 0 ? from->least_s : fmin(into->least_s, from->least_s);
    into->most_s = into->count == 0 ? from->most_s : fmax(into->most_s, from->most_s);
    into->count += from->count;
    into->sum_s += from->sum_s;
    for (size_t bin = 0; bin < LATENCY_BINS; bin++)
        into->bins[bin] += from->bins[bin];
}

double histogram_quantile(const LatencyHistogram *histogram, double quantile)
{
    const double wanted = quantile * (double)histogram->count;
    double below = 0;
    for (size_t bin = 0; bin < LATENCY_BINS; bin++) {
        const double here = (double)histogram->bins[bin];
        if (here > 0 && below + here >= wanted) {
            const double low = bin == 0 ? 0 : bound_s(bin - 1);
            const double high = bin + 1 == LATENCY_BINS ? histogram->most_s : bound_s(bin);
            const double value = low + (high - low) * (wanted - below) / here;
            return fmin(histogram->most_s, fmax(histogram->least_s, value));
        }
        below += here;
    }
    return histogram->most_s;
}

double histogram_mean(const LatencyHistogram *histogram)
{
    return histogram->count > 0 ? histogram->sum_s / (double)histogram->count : 0;
}
