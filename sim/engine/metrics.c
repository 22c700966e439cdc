#include "sim/engine/metrics.h"

#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* --- the set ------------------------------------------------------------------------------- */

void metrics_init(MetricSet *set)
{
    *set = (MetricSet){.count = 0};
}

void metrics_free(MetricSet *set)
{
    for (size_t i = 0; i < set->count; i++)
        free(set->metrics[i].values);
    free(set->metrics);
    metrics_init(set);
}

static size_t find(const MetricSet *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->metrics[i].name, name) == 0)
            return i;
    return set->count;
}

const Metric *metrics_find(const MetricSet *set, const char *name)
{
    size_t i = find(set, name);
    return i < set->count ? &set->metrics[i] : NULL;
}

double metrics_value(const Metric *metric, size_t replication)
{
    if (metric->count == 1)
        return metric->values[0];
    return replication < metric->count ? metric->values[replication] : nan("");
}

/* Parts between dots become keys of JSON objects and headers of CSV columns: none may be empty, and
 * no character may need quoting there. */
static bool is_name(const char *name)
{
    for (const char *c = name; *c != 0; c++) {
        bool is_part_start = c == name || c[-1] == '.';
        if (*c <= ' ' || *c > '~' || strchr("\"'\\,", *c) != NULL || (*c == '.' && is_part_start))
            return false;
    }
    return *name != 0 && name[strlen(name) - 1] != '.';
}

static Status check(const char *name, const char *unit, const double *values, size_t count,
                    Error *error)
{
    if (strlen(name) >= METRIC_NAME_BYTES)
        return error_set(error, STATUS_INVALID,
                         "the name of metric %.40s... is longer than %d bytes", name,
                         METRIC_NAME_BYTES - 1);
    if (!is_name(name))
        return error_set(error, STATUS_INVALID, "\"%s\" cannot be the name of a metric", name);
    if (strlen(unit) >= METRIC_UNIT_BYTES)
        return error_set(error, STATUS_INVALID, "the unit of metric %s is longer than %d bytes",
                         name, METRIC_UNIT_BYTES - 1);
    if (count == 0)
        return error_set(error, STATUS_INVALID, "metric %s has no values", name);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return error_set(error, STATUS_INVALID, "metric %s is %g in replication %zu", name,
                             values[i], i);
    return STATUS_OK;
}

static bool make_room(MetricSet *set)
{
    if (set->count < set->capacity)
        return true;
    size_t capacity = set->capacity > 0 ? set->capacity * 2 : 32;
    if (capacity > SIZE_MAX / sizeof *set->metrics)
        return false;
    Metric *metrics = realloc(set->metrics, capacity * sizeof *metrics);
    if (metrics == NULL)
        return false;
    set->metrics = metrics;
    set->capacity = capacity;
    return true;
}

static double *copy_of(const double *values, size_t count)
{
    if (count > SIZE_MAX / sizeof *values)
        return NULL;
    double *copy = malloc(count * sizeof *copy);
    if (copy != NULL)
        memcpy(copy, values, count * sizeof *copy);
    return copy;
}

Status metrics_set_samples(MetricSet *set, const char *name, const char *unit, const double *values,
                           size_t count, Error *error)
{
    Status status = check(name, unit, values, count, error);
    if (status != STATUS_OK)
        return status;
    double *copy = copy_of(values, count);
    if (copy == NULL || !make_room(set)) {
        free(copy);
        return error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu values of metric %s",
                         count, name);
    }

    size_t place = find(set, name);
    if (place == set->count)
        set->count++;
    else
        free(set->metrics[place].values);
    Metric *metric = &set->metrics[place];
    *metric = (Metric){.count = count, .values = copy};
    memcpy(metric->name, name, strlen(name));
    memcpy(metric->unit, unit, strlen(unit));
    return STATUS_OK;
}

Status metrics_set(MetricSet *set, const char *name, const char *unit, double value, Error *error)
{
    return metrics_set_samples(set, name, unit, &value, 1, error);
}

/* --- statistics ---------------------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static Status check_values(const double *values, size_t count, const char *what, Error *error)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return error_set(error, STATUS_INVALID, "%s of a value that is %g", what, values[i]);
    return STATUS_OK;
}

Status statistics_summary(const double *values, size_t count, Summary *summary, Error *error)
{
    if (count == 0)
        return error_set(error, STATUS_INVALID, "summary of no values");
    Status status = check_values(values, count, "summary", error);
    if (status != STATUS_OK)
        return status;
    double *sorted = copy_of(values, count);
    if (sorted == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory to sort %zu values", count);

    qsort(sorted, count, sizeof *sorted, compare_doubles);
    *summary = (Summary){
        .mean = gsl_stats_mean(sorted, 1, count),
        .p5 = gsl_stats_quantile_from_sorted_data(sorted, 1, count, 0.05),
        .p50 = gsl_stats_quantile_from_sorted_data(sorted, 1, count, 0.50),
        .p95 = gsl_stats_quantile_from_sorted_data(sorted, 1, count, 0.95),
        .minimum = sorted[0],
        .maximum = sorted[count - 1],
        .count = count,
    };
    for (int i = 0; i < STATISTIC_COUNT; i++)
        summary->known[i] = confidence_interval((Statistic)i, sorted, count);
    free(sorted);
    return STATUS_OK;
}

Status metrics_summary(const Metric *metric, Summary *summary, Error *error)
{
    return statistics_summary(metric->values, metric->count, summary, error);
}

typedef struct Ranked {
    double value;
    size_t place;
} Ranked;

static int compare_ranked(const void *a, const void *b)
{
    return compare_doubles(&((const Ranked *)a)->value, &((const Ranked *)b)->value);
}

/* Ranks from 1; equal values share the mean of the ranks that they take up. */
static void average_ranks(const double *values, size_t count, Ranked *scratch, double *ranks)
{
    for (size_t i = 0; i < count; i++)
        scratch[i] = (Ranked){values[i], i};
    qsort(scratch, count, sizeof *scratch, compare_ranked);
    for (size_t first = 0; first < count;) {
        size_t end = first + 1;
        while (end < count && scratch[end].value == scratch[first].value)
            end++;
        double rank = ((double)(first + 1) + (double)end) / 2;
        for (size_t i = first; i < end; i++)
            ranks[scratch[i].place] = rank;
        first = end;
    }
}

Status statistics_rank_correlation(const double *a, const double *b, size_t count, double *rho,
                                   Error *error)
{
    if (count < 3)
        return error_set(error, STATUS_INVALID, "rank correlation of %zu values, needs 3", count);
    Status status = check_values(a, count, "rank correlation", error);
    if (status == STATUS_OK)
        status = check_values(b, count, "rank correlation", error);
    if (status != STATUS_OK)
        return status;

    double *ranks_a = calloc(count, sizeof *ranks_a);
    double *ranks_b = calloc(count, sizeof *ranks_b);
    Ranked *scratch = calloc(count, sizeof *scratch);
    if (ranks_a == NULL || ranks_b == NULL || scratch == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory to rank %zu values", count);
        goto cleanup;
    }
    average_ranks(a, count, scratch, ranks_a);
    average_ranks(b, count, scratch, ranks_b);

    /* rho = sum (ra - m)(rb - m) / sqrt(sum (ra - m)^2 sum (rb - m)^2), m = (n + 1) / 2 */
    double mean = ((double)count + 1) / 2, aa = 0, bb = 0, ab = 0;
    for (size_t i = 0; i < count; i++) {
        double da = ranks_a[i] - mean, db = ranks_b[i] - mean;
        aa += da * da;
        bb += db * db;
        ab += da * db;
    }
    *rho = aa > 0 && bb > 0 ? ab / (sqrt(aa) * sqrt(bb)) : 0;

cleanup:
    free(ranks_a);
    free(ranks_b);
    free(scratch);
    return status;
}
