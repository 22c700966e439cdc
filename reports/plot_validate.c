/* Predicted against measured throughput of training steps: a series for each GPU. */
#include "reports/plot_scatter.h"
#include "reports/validation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* GPUs in alphabetical order; those beyond the last series share it. */
static size_t series_of(const ValidationResult *result, const ValidatedRow *row)
{
    size_t series = 0;
    for (size_t g = 0; g < result->group_count; g++) {
        const ErrorGroup *group = &result->groups[g];
        if (group->kind != GROUP_GPU)
            continue;
        if (strncmp(row->hardware, group->label, GROUP_LABEL_BYTES - 1) == 0)
            return scatter_series(series);
        series++;
    }
    return SCATTER_SERIES;
}

static void name_series(const ValidationResult *result, Scatter *scatter)
{
    for (size_t g = 0; g < result->group_count; g++)
        if (result->groups[g].kind == GROUP_GPU)
            scatter_name(scatter, result->groups[g].label, result->groups[g].statistics.n);
}

Status plot_validation(const char *directory, const ValidationResult *result,
                       const Provenance *provenance, Error *error)
{
    char title[256], subtitle[320];
    Scatter scatter = {.title = title,
                       .subtitle = subtitle,
                       .quantity = "tokens/s/GPU",
                       .point_size = 0.7,
                       .points = calloc(result->row_count + 1, sizeof *scatter.points)};
    if (scatter.points == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    snprintf(title, sizeof title,
             "%zu published training steps: half are predicted within %.1f%%, nine in ten within "
             "%.0f%%",
             result->summary.n, 100 * result->summary.median_abs, 100 * result->summary.p90_abs);
    snprintf(subtitle, sizeof subtitle,
             "%.90s; each from its configuration alone; %zu rows skipped; flopcast %s",
             provenance->scenario, result->skipped_count, PROGRAM_VERSION);
    name_series(result, &scatter);
    for (; scatter.count < result->row_count; scatter.count++) {
        const ValidatedRow *row = &result->rows[scatter.count];
        ScatterPoint *point = &scatter.points[scatter.count];
        *point =
            (ScatterPoint){row->measured, row->predicted, row->error, "", series_of(result, row)};
        snprintf(point->id, sizeof point->id, "%s", row->row->id);
    }
    const Status status = plot_scatter(directory, &scatter, error);
    free(scatter.points);
    return status;
}
