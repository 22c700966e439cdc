/* Named results of a simulation: one number, or one number a replication.
 *
 * Everything that is reported, plotted, stored or held against a claim is a metric here, under a
 * dotted name ("run.days"). A scalar stands for a vector whose entries are all equal, so that
 * arithmetic between metrics of one scenario goes element by element over replications.
 */
#ifndef SIM_ENGINE_METRICS_H
#define SIM_ENGINE_METRICS_H

#include "configs/reader/error.h"
#include "sim/engine/confidence.h"

#include <stddef.h>

enum { METRIC_NAME_BYTES = 96, METRIC_UNIT_BYTES = 24 };

typedef struct Metric {
    char name[METRIC_NAME_BYTES];
    char unit[METRIC_UNIT_BYTES];
    size_t count; /* 1, or the number of replications */
    double *values;
} Metric;

typedef struct MetricSet {
    size_t count, capacity;
    Metric *metrics; /* in the order of being added */
} MetricSet;

/* mean and quantiles (linear interpolation between order statistics, Hyndman & Fan type 7). */
typedef struct Summary {
    double mean, p5, p50, p95, minimum, maximum;
    size_t count;
    ConfidenceInterval known[STATISTIC_COUNT]; /* 95% intervals of mean, p5, p50, p95 */
} Summary;

void metrics_init(MetricSet *set);
void metrics_free(MetricSet *set);

/* Adds or replaces a metric. A vector is copied. Fails on a name that is too long, on a value that
 * is not finite, or when memory is short. */
Status metrics_set(MetricSet *set, const char *name, const char *unit, double value, Error *error);
Status metrics_set_samples(MetricSet *set, const char *name, const char *unit, const double *values,
                           size_t count, Error *error);
const Metric *metrics_find(const MetricSet *set, const char *name); /* NULL when absent */
double metrics_value(const Metric *metric, size_t replication);     /* a scalar answers for all */

/* Sorts a copy. A scalar gives five equal numbers. */
Status metrics_summary(const Metric *metric, Summary *summary, Error *error);
Status statistics_summary(const double *values, size_t count, Summary *summary, Error *error);

/* Spearman rank correlation of two vectors of `count` >= 3, ties averaged; 0 when either is
 * constant. */
Status statistics_rank_correlation(const double *a, const double *b, size_t count, double *rho,
                                   Error *error);

#endif
