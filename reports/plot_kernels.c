/* Predicted against measured times of kernels: a series for each group of the first kind. */
#include "reports/kernel_validation.h"
#include "reports/plot_scatter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Groups in alphabetical order; those beyond the last series share it. */
static size_t series_of(const KernelValidation *result, const KernelRow *row)
{
    for (size_t g = 0; g < result->group_count && result->groups[g].kind == 0; g++)
        if (strcmp(row->group[0], result->groups[g].label) == 0)
            return scatter_series(g);
    return SCATTER_SERIES;
}

static void name_series(const KernelValidation *result, Scatter *scatter)
{
    for (size_t g = 0; g < result->group_count && result->groups[g].kind == 0; g++)
        scatter_name(scatter, result->groups[g].label, result->groups[g].all.n);
}

Status plot_kernel_validation(const char *directory, const KernelValidation *result,
                              const Provenance *provenance, Error *error)
{
    char title[256], subtitle[320];
    Scatter scatter = {.title = title,
                       .subtitle = subtitle,
                       .quantity = "s",
                       .powers = 1,
                       .point_size = 0.4,
                       .points = calloc(result->row_count + 1, sizeof *scatter.points)};
    if (scatter.points == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    snprintf(title, sizeof title,
             "%zu published timings of %s: half are predicted within %.1f%%, nine in ten within "
             "%.0f%%",
             result->summary.n, result->what, 100 * result->summary.median_abs,
             100 * result->summary.p90_abs);
    snprintf(subtitle, sizeof subtitle, "%.90s; %zu rows skipped; flopcast %s",
             provenance->scenario, result->skipped_count, PROGRAM_VERSION);
    name_series(result, &scatter);
    for (; scatter.count < result->row_count; scatter.count++) {
        const KernelRow *row = &result->rows[scatter.count];
        ScatterPoint *point = &scatter.points[scatter.count];
        *point = (ScatterPoint){row->measured_s, row->predicted_s, row->error, "",
                                series_of(result, row)};
        snprintf(point->id, sizeof point->id, "%.90s", row->id);
    }
    const Status status = plot_scatter(directory, &scatter, error);
    free(scatter.points);
    return status;
}
