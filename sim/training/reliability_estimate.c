/* What replications may spend, and from what they saw to a number and its standard error. */
#include "sim/training/reliability_process.h"

#include <math.h>

int process_can_spend(const ReliabilityReplication *draw, double events, double most)
{
    const double about = 2.0;
    return events <= about * draw->events || events * (double)draw->replications <= most;
}

static double estimate(ReliabilityEstimator estimator, const ReliabilitySums *sums)
{
    double mean = sums->a / sums->b;
    if (estimator == ESTIMATE_MEAN)
        return mean;
    return sqrt(fmax(0.0, sums->c / sums->b - mean * mean));
}

void reliability_estimate(ReliabilityEstimator estimator, const ReliabilitySums *sums, size_t count,
                          double *mean, double *standard_error)
{
    ReliabilitySums all = {0};
    for (size_t i = 0; i < count; i++) {
        all.a += sums[i].a;
        all.b += sums[i].b;
        all.c += sums[i].c;
    }
    /* Quenouille 1956, Tukey 1958: the estimate without one replication, for each of them */
    double whole = estimate(estimator, &all), average = 0.0, squares = 0.0, n = (double)count;
    for (size_t i = 0; i < count; i++) {
        ReliabilitySums rest = {all.a - sums[i].a, all.b - sums[i].b, all.c - sums[i].c};
        double without = estimate(estimator, &rest) - whole;
        average += without / n;
        squares += without * without;
    }
    *mean = whole - (n - 1.0) * average;
    *standard_error = sqrt(fmax(0.0, (n - 1.0) / n * (squares - n * average * average)));
}
