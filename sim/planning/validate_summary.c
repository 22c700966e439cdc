#include "sim/planning/validate_summary.h"

#include <ctype.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const GROUP_KIND_NAMES[GROUP_KINDS] = {[GROUP_GPU] = "gpu",
                                                   [GROUP_SOURCE] = "source",
                                                   [GROUP_STACK] = "stack",
                                                   [GROUP_MODEL] = "model",
                                                   [GROUP_PRECISION] = "precision"};

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

ErrorStatistics error_statistics(double *errors, size_t count)
{
    ErrorStatistics statistics = {.n = count};
    if (count == 0)
        return statistics;
    for (size_t i = 0; i < count; i++)
        statistics.bias += errors[i] / (double)count;
    for (size_t i = 0; i < count; i++)
        errors[i] = fabs(errors[i]);
    qsort(errors, count, sizeof *errors, compare_doubles);
    for (size_t i = 0; i < count; i++)
        statistics.mean_abs += errors[i] / (double)count;
    statistics.median_abs = gsl_stats_quantile_from_sorted_data(errors, 1, count, 0.5);
    statistics.p90_abs = gsl_stats_quantile_from_sorted_data(errors, 1, count, 0.9);
    statistics.max_abs = errors[count - 1];
    return statistics;
}

/* ---- groups ------------------------------------------------------------------------------------
 */

typedef struct Labelled {
    char label[GROUP_LABEL_BYTES];
    size_t index; /* of the row: keeps the order of equal labels */
    double error;
} Labelled;

/* The family of a source is what an id starts with: "nar21-t1-03" is of nar21. */
static void group_label(const ValidatedRow *row, GroupKind kind, char label[GROUP_LABEL_BYTES])
{
    const char *text = row->hardware;
    if (kind == GROUP_STACK)
        text = strncmp(row->stack, "stack-", 6) == 0 ? row->stack + 6 : row->stack;
    if (kind == GROUP_MODEL)
        text = measured_has(row->row->experts) && row->row->experts > 1 ? "moe" : "dense";
    if (kind == GROUP_PRECISION)
        text = row->row->precision[0] != '\0' ? row->row->precision : "not stated";
    if (kind == GROUP_SOURCE)
        text = row->row->id;
    size_t length = kind == GROUP_SOURCE ? strcspn(text, "-") : strlen(text);
    snprintf(label, GROUP_LABEL_BYTES, "%.*s", (int)(length < 63 ? length : 63), text);
}

static int compare_labels(const void *a, const void *b)
{
    const Labelled *x = a, *y = b;
    int order = strcmp(x->label, y->label);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

/* `errors` is room for all rows. */
static size_t put_groups(const ValidationResult *result, GroupKind kind, Labelled *labelled,
                         double *errors, ErrorGroup *groups)
{
    size_t count = 0;
    for (size_t i = 0; i < result->row_count; i++) {
        group_label(&result->rows[i], kind, labelled[i].label);
        labelled[i].index = i;
        labelled[i].error = result->rows[i].error;
    }
    if (result->row_count > 0)
        qsort(labelled, result->row_count, sizeof *labelled, compare_labels);
    for (size_t first = 0, next; first < result->row_count; first = next) {
        for (next = first;
             next < result->row_count && strcmp(labelled[next].label, labelled[first].label) == 0;
             next++)
            errors[next - first] = labelled[next].error;
        ErrorGroup *group = &groups[count++];
        group->kind = kind;
        memcpy(group->label, labelled[first].label, sizeof group->label);
        group->statistics = error_statistics(errors, next - first);
    }
    return count;
}

/* ---- reasons -----------------------------------------------------------------------------------
 */

/* Character by character, any run of digits and points equal to any other. */
static int compare_reasons(const char *a, const char *b)
{
    while (*a != '\0' && *b != '\0') {
        int a_digit = isdigit((unsigned char)*a), b_digit = isdigit((unsigned char)*b);
        if (a_digit && b_digit) {
            a += strspn(a, "0123456789.e+");
            b += strspn(b, "0123456789.e+");
            continue;
        }
        if (*a != *b)
            return (unsigned char)*a - (unsigned char)*b;
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

static int compare_skipped(const void *a, const void *b)
{
    const char *x = ((const SkipCount *)a)->example, *y = ((const SkipCount *)b)->example;
    int order = compare_reasons(x, y);
    return order != 0 ? order : (x > y) - (x < y); /* both lie in one array, in the file's order */
}

static int compare_counts(const void *a, const void *b)
{
    const SkipCount *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return strcmp(x->example, y->example);
}

Status skip_counts(const SkippedRow *skipped, size_t count, SkipCount **kinds, size_t *kind_count,
                   Error *error)
{
    size_t distinct = 0;
    SkipCount *all = calloc(count + 1, sizeof *all);
    if (all == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    for (size_t i = 0; i < count; i++)
        all[i] = (SkipCount){1, skipped[i].reason};
    if (count > 0)
        qsort(all, count, sizeof *all, compare_skipped);
    for (size_t i = 0; i < count; i++) {
        if (distinct > 0 && compare_reasons(all[distinct - 1].example, all[i].example) == 0)
            all[distinct - 1].count++;
        else
            all[distinct++] = all[i];
    }
    if (distinct > 0)
        qsort(all, distinct, sizeof *all, compare_counts);
    *kinds = all;
    *kind_count = distinct;
    return STATUS_OK;
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

Status validation_summarise(ValidationResult *result, Error *error)
{
    size_t rows = result->row_count;
    double *errors = malloc((rows + 1) * sizeof *errors);
    Labelled *labelled = malloc((rows + 1) * sizeof *labelled);
    Status status = STATUS_OK;
    result->groups = calloc(GROUP_KINDS * rows + 1, sizeof *result->groups);
    if (errors == NULL || labelled == NULL || result->groups == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    for (size_t i = 0; i < rows; i++)
        errors[i] = result->rows[i].error;
    result->summary = error_statistics(errors, rows);
    for (int kind = 0; kind < GROUP_KINDS; kind++)
        result->group_count += put_groups(result, (GroupKind)kind, labelled, errors,
                                          result->groups + result->group_count);
    status = skip_counts(result->skipped, result->skipped_count, &result->skip_kinds,
                         &result->skip_kind_count, error);
cleanup:
    free(errors);
    free(labelled);
    return status;
}

size_t validation_worst(const ValidationResult *result, size_t *indices, size_t limit)
{
    size_t count = 0;
    for (size_t i = 0; i < result->row_count; i++) { /* insertion into a short sorted list */
        double size = fabs(result->rows[i].error);
        size_t at = count;
        while (at > 0 && fabs(result->rows[indices[at - 1]].error) < size)
            at--;
        if (at >= limit)
            continue;
        count += count < limit;
        memmove(indices + at + 1, indices + at, (count - at - 1) * sizeof *indices);
        indices[at] = i;
    }
    return count;
}
