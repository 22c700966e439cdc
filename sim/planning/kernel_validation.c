#include "sim/planning/kernel_validation.h"

#include "sim/engine/random.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- which rows --------------------------------------------------------------------------------
 */

int kernel_held_back(const char *key)
{
    enum { ONE_IN = 5 };
    return random_hash(key) % ONE_IN == 0;
}

int kernel_part_has(KernelPart part, int held_back)
{
    return part == KERNEL_ALL || (part == KERNEL_HELD_BACK) == (held_back != 0);
}

Status kernel_part_named(const char *name, KernelPart *part, Error *error)
{
    static const char *const NAMES[] = {"all", "fitted", "held-back"};
    *part = KERNEL_ALL;
    if (name == NULL)
        return STATUS_OK;
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++)
        if (strcmp(name, NAMES[i]) == 0) {
            *part = (KernelPart)i;
            return STATUS_OK;
        }
    error_set(error, STATUS_USAGE, "--split: '%.60s' is no part of a table of kernels", name);
    error_hint(error, "allowed: all, fitted, held-back");
    return STATUS_USAGE;
}

/* ---- rows --------------------------------------------------------------------------------------
 */

Status kernel_validation_start(KernelValidation *result, const char *what,
                               const char *const *group_names, size_t capacity, Error *error)
{
    *result = (KernelValidation){.what = what, .capacity = capacity};
    for (size_t i = 0; i < KERNEL_GROUP_KINDS && group_names[i] != NULL; i++)
        result->group_names[i] = group_names[i];
    result->rows = calloc(capacity + 1, sizeof *result->rows);
    result->skipped = calloc(capacity + 1, sizeof *result->skipped);
    if (result->rows == NULL || result->skipped == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    return STATUS_OK;
}

void kernel_validation_free(KernelValidation *result)
{
    free(result->rows);
    free(result->skipped);
    free(result->groups);
    free(result->skip_kinds);
    *result = (KernelValidation){0};
}

void kernel_validation_add(KernelValidation *result, const KernelRow *row)
{
    if (result->row_count >= result->capacity)
        return;
    KernelRow *added = &result->rows[result->row_count++];
    *added = *row;
    added->error = row->predicted_s / row->measured_s - 1;
}

void kernel_validation_skip(KernelValidation *result, int line, const char *id, const char *format,
                            ...)
{
    va_list values;
    if (result->skipped_count >= result->capacity)
        return;
    SkippedRow *skipped = &result->skipped[result->skipped_count++];
    skipped->line = line;
    skipped->id = id;
    va_start(values, format);
    vsnprintf(skipped->reason, sizeof skipped->reason, format, values);
    va_end(values);
}

/* ---- summary -----------------------------------------------------------------------------------
 */

typedef struct Labelled {
    const char *label;
    size_t index; /* of the row: keeps the order of equal labels */
} Labelled;

static int compare_labels(const void *a, const void *b)
{
    const Labelled *x = a, *y = b;
    int order = strcmp(x->label, y->label);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

/* Errors of the `count` rows that `labelled` starts with. `scratch` is room for all rows. */
static ErrorStatistics part_statistics(const KernelValidation *result, const Labelled *labelled,
                                       size_t count, KernelPart part, double *scratch)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const KernelRow *row = &result->rows[labelled[i].index];
        if (kernel_part_has(part, row->held_back))
            scratch[kept++] = row->error;
    }
    return error_statistics(scratch, kept);
}

static size_t put_groups(const KernelValidation *result, size_t kind, Labelled *labelled,
                         double *scratch, KernelGroup *groups)
{
    size_t rows = 0, count = 0;
    for (size_t i = 0; i < result->row_count; i++)
        if (result->rows[i].group[kind][0] != '\0')
            labelled[rows++] = (Labelled){result->rows[i].group[kind], i};
    if (rows > 0)
        qsort(labelled, rows, sizeof *labelled, compare_labels);
    for (size_t first = 0, next; first < rows; first = next) {
        for (next = first; next < rows && strcmp(labelled[next].label, labelled[first].label) == 0;)
            next++;
        KernelGroup *group = &groups[count++];
        group->kind = kind;
        snprintf(group->label, sizeof group->label, "%s", labelled[first].label);
        group->all = part_statistics(result, labelled + first, next - first, KERNEL_ALL, scratch);
        group->held_back =
            part_statistics(result, labelled + first, next - first, KERNEL_HELD_BACK, scratch);
    }
    return count;
}

static Status no_row(const KernelValidation *result, const char *file, Error *error)
{
    error_set(error, STATUS_INVALID, "no row of %zu can be predicted",
              result->row_count + result->skipped_count);
    if (result->skipped_count > 0)
        error_hint(error, "the first (line %d): %s", result->skipped[0].line,
                   result->skipped[0].reason);
    if (error != NULL)
        snprintf(error->file, sizeof error->file, "%s", file);
    return STATUS_INVALID;
}

Status kernel_validation_summarise(KernelValidation *result, const char *file, Error *error)
{
    const size_t rows = result->row_count;
    double *scratch = malloc((rows + 1) * sizeof *scratch);
    Labelled *labelled = malloc((rows + 1) * sizeof *labelled);
    Status status = STATUS_OK;
    result->groups = calloc(KERNEL_GROUP_KINDS * rows + 1, sizeof *result->groups);
    if (scratch == NULL || labelled == NULL || result->groups == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    for (size_t i = 0; i < rows; i++)
        labelled[i] = (Labelled){"", i};
    result->summary = part_statistics(result, labelled, rows, KERNEL_ALL, scratch);
    result->held_back = part_statistics(result, labelled, rows, KERNEL_HELD_BACK, scratch);
    for (size_t kind = 0; kind < KERNEL_GROUP_KINDS && result->group_names[kind] != NULL; kind++)
        result->group_count +=
            put_groups(result, kind, labelled, scratch, result->groups + result->group_count);
    status = skip_counts(result->skipped, result->skipped_count, &result->skip_kinds,
                         &result->skip_kind_count, error);
    if (status == STATUS_OK && rows == 0)
        status = no_row(result, file, error);
cleanup:
    free(scratch);
    free(labelled);
    return status;
}

size_t kernel_validation_worst(const KernelValidation *result, size_t *indices, size_t limit)
{
    size_t count = 0;
    for (size_t i = 0; i < result->row_count; i++) { /* insertion into a short sorted list */
        const double size = fabs(result->rows[i].error);
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
