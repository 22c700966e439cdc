/* Predicted against measured, one point a row, log-log: a line where both are equal and lines 10%
 * to each side. */
#ifndef REPORTS_PLOT_SCATTER_H
#define REPORTS_PLOT_SCATTER_H

#include "configs/reader/error.h"

#include <stddef.h>

enum { SCATTER_SERIES = 8, SCATTER_LABEL_BYTES = 160, SCATTER_ID_BYTES = 96 };

typedef struct ScatterPoint {
    double measured, predicted; /* above 0 */
    double error;               /* predicted / measured - 1 */
    char id[SCATTER_ID_BYTES];  /* for who reads the data */
    size_t series;              /* SCATTER_SERIES: not drawn */
} ScatterPoint;

typedef struct Scatter {
    const char *title, *subtitle; /* the finding, and the data behind it */
    const char *quantity;         /* "s", "tokens/s/GPU" */
    int powers;                   /* ticks as powers of ten */
    double point_size;
    size_t series_count; /* filled by scatter_name */
    size_t series_rows[SCATTER_SERIES];
    char series[SCATTER_SERIES][SCATTER_LABEL_BYTES];
    size_t count;
    ScatterPoint *points; /* the caller's */
} Scatter;

/* Adds a series for a group of `rows`; those that find no series of their own share the last one.
 */
void scatter_name(Scatter *scatter, const char *label, size_t rows);

/* The series of the group that was named as the `index`-th. */
size_t scatter_series(size_t index);

/* validation.gp, .dat, .svg, .png. STATUS_ENVIRONMENT with one clear line when gnuplot is missing
 * (script and data are written). */
Status plot_scatter(const char *directory, const Scatter *scatter, Error *error);

#endif
