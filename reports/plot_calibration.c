/* Time against rows of one kernel: points with their spread, the fitted curve at each shape and the
 * band of two standard errors around it. */
#include "reports/calibration.h"
#include "reports/files.h"
#include "reports/gnuplot.h"

#include <math.h>
#include <string.h>

enum { SHAPES = 5, CURVE_STEPS = 60 };

static const char *const COLORS[SHAPES] = {COLOR_MAIN, COLOR_LOSS, COLOR_GAIN, COLOR_WARN,
                                           COLOR_LIGHT};
static const double s_per_us = 1e-6;

/* What stands under one curve: points that differ in their rows only. */
typedef struct Shape {
    double n, k, experts;
    size_t first; /* a point of it */
    double low, high;
} Shape;

/* The kernel with most points: matrix products before layers. */
static size_t choose_fit(const Calibration *calibration)
{
    static const CalOp PREFERRED[] = {CAL_GEMM, CAL_LAYER, CAL_MOE_GEMM};
    for (size_t p = 0; p < sizeof PREFERRED / sizeof PREFERRED[0]; p++) {
        const CalFit *best = cal_fits_find(&calibration->fits, PREFERRED[p], NULL, NULL, NULL);
        if (best != NULL)
            return (size_t)(best - calibration->fits.fits);
    }
    return 0;
}

static int is_of(const Calibration *calibration, size_t point, size_t fit)
{
    const CalPoint *each = &calibration->points.samples[point].point;
    return calibration->fits.fit_of[point] == fit && each->role == CAL_FIT &&
           each->pass == CAL_FORWARD;
}

static size_t find_shapes(const Calibration *calibration, size_t fit, Shape shapes[SHAPES])
{
    size_t count = 0;
    for (size_t i = 0; i < calibration->points.count; i++) {
        const CalPoint *point = &calibration->points.samples[i].point;
        size_t s = 0;
        if (!is_of(calibration, i, fit))
            continue;
        while (s < count && (shapes[s].n != point->n || shapes[s].k != point->k ||
                             shapes[s].experts != point->experts))
            s++;
        if (s == count && count == SHAPES)
            continue;
        if (s == count)
            shapes[count++] = (Shape){point->n, point->k, point->experts, i, point->m, point->m};
        shapes[s].low = fmin(shapes[s].low, point->m);
        shapes[s].high = fmax(shapes[s].high, point->m);
    }
    return count;
}

/* Work of the shape at other rows: between its own points, by the straight line through the two
 * nearest in rows. */
static CalWork work_at(const Calibration *calibration, size_t fit, const Shape *shape, double rows)
{
    const CalPoint *below = NULL, *above = NULL;
    for (size_t i = 0; i < calibration->points.count; i++) {
        const CalPoint *point = &calibration->points.samples[i].point;
        if (!is_of(calibration, i, fit) || point->n != shape->n || point->k != shape->k ||
            point->experts != shape->experts)
            continue;
        if (point->m <= rows && (below == NULL || point->m > below->m))
            below = point;
        if (point->m >= rows && (above == NULL || point->m < above->m))
            above = point;
    }
    below = below != NULL ? below : above;
    above = above != NULL ? above : below;
    if (below == NULL)
        return (CalWork){0};
    const CalWork low = cal_point_work(below), high = cal_point_work(above);
    const double share = above->m > below->m ? (rows - below->m) / (above->m - below->m) : 0;
    return (CalWork){.flops = low.flops + share * (high.flops - low.flops),
                     .bytes = low.bytes + share * (high.bytes - low.bytes),
                     .moved_bytes = low.moved_bytes + share * (high.moved_bytes - low.moved_bytes),
                     .reread_bytes =
                         low.reread_bytes + share * (high.reread_bytes - low.reread_bytes)};
}

static void put_shape(FILE *data, const Calibration *calibration, size_t fit_index,
                      const Shape *shape)
{
    const CalFit *fit = &calibration->fits.fits[fit_index];
    fputs("# rows, seconds, 10th and 90th percentile\n", data);
    for (size_t i = 0; i < calibration->points.count; i++) {
        const CalPoint *point = &calibration->points.samples[i].point;
        if (!is_of(calibration, i, fit_index) || point->n != shape->n || point->k != shape->k ||
            point->experts != shape->experts)
            continue;
        const double low = point->us_p10 > 0 ? point->us_p10 : point->us_med;
        const double high = point->us_p90 > 0 ? point->us_p90 : point->us_med;
        fprintf(data, "%.9g %.9g %.9g %.9g\n", point->m, s_per_us * point->us_med, s_per_us * low,
                s_per_us * high);
    }
    fputs("\n\n# rows, fitted seconds, two standard errors below and above\n", data);
    for (int step = 0; step <= CURVE_STEPS; step++) {
        const double rows = shape->low * pow(shape->high / shape->low, step / (double)CURVE_STEPS);
        const CalWork work = work_at(calibration, fit_index, shape, rows);
        const double seconds = cal_curve_seconds(&fit->curve, &work);
        const double spread = exp(fmin(2 * cal_fit_log_error(fit, &work), 10));
        fprintf(data, "%.9g %.9g %.9g %.9g\n", rows, seconds, seconds / spread, seconds * spread);
    }
    fputs("\n\n", data);
}

static void put_script(FILE *script, const CalFit *fit, const Calibration *calibration,
                       const Provenance *provenance, const Shape *shapes, size_t count)
{
    char title[256], subtitle[320];
    snprintf(title, sizeof title, "%s by %.28s in %.12s: median error %.1f%% of %zu points",
             CAL_OP_NAMES[fit->op], fit->impl, fit->dtype, 100 * fit->errors.median_abs,
             fit->errors.n);
    snprintf(subtitle, sizeof subtitle,
             "%.80s; band: two standard errors; sha256 %.12s; flopcast %s",
             calibration->points.measured ? calibration->points.provenance.device : fit->device,
             provenance->sha256, PROGRAM_VERSION);
    gnuplot_begin(script, "calibration", title, subtitle);
    fputs("set tmargin 6\nset bmargin 4.5\nset lmargin 13\nset rmargin 4\n"
          "set logscale xy\nset format y '%.0e'\nset xlabel 'rows'\nset ylabel 'time, s'\n"
          "set grid xtics ytics linecolor rgb '#dddddd'\n"
          "set style fill transparent solid 0.2 noborder\n"
          "set key at graph 0.02,0.97 left top reverse Left samplen 1\nplot ",
          script);
    for (size_t s = 0; s < count; s++) {
        char label[96];
        if (shapes[s].experts > 0)
            snprintf(label, sizeof label, "n %g k %g, %g experts", shapes[s].n, shapes[s].k,
                     shapes[s].experts);
        else
            snprintf(label, sizeof label, "n %g k %g", shapes[s].n, shapes[s].k);
        fprintf(script,
                "%s'calibration.dat' index %zu using 1:3:4 with filledcurves linecolor rgb '%s' "
                "notitle, \\\n     '' index %zu using 1:2 with lines linewidth 1.5 linecolor rgb "
                "'%s' notitle, \\\n     '' index %zu using 1:2:3:4 with yerrorbars pointtype 7 "
                "pointsize 0.5 linecolor rgb '%s' title ",
                s > 0 ? ", \\\n     " : "", 2 * s + 1, COLORS[s], 2 * s + 1, COLORS[s], 2 * s,
                COLORS[s]);
        gnuplot_quote(script, label);
    }
    fputc('\n', script);
    gnuplot_end(script);
}

Status plot_calibration(const char *directory, const Calibration *calibration,
                        const Provenance *provenance, Error *error)
{
    Shape shapes[SHAPES];
    TextFile script = {0}, data = {0};
    const size_t fit = choose_fit(calibration);
    const size_t count = find_shapes(calibration, fit, shapes);
    if (count == 0)
        return error_set(error, STATUS_NO, "no kernel has points to draw");
    Status status = files_begin(&script, error);
    if (status == STATUS_OK)
        status = files_begin(&data, error);
    if (status != STATUS_OK)
        goto cleanup;
    for (size_t s = 0; s < count; s++)
        put_shape(data.out, calibration, fit, &shapes[s]);
    put_script(script.out, &calibration->fits.fits[fit], calibration, provenance, shapes, count);
    status = files_finish(&data, directory, "calibration.dat", error);
    if (status == STATUS_OK)
        status = files_finish(&script, directory, "calibration.gp", error);
    if (status == STATUS_OK)
        status = gnuplot_figure(directory, "calibration", error);
cleanup:
    files_abandon(&script);
    files_abandon(&data);
    return status;
}
