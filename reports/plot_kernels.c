/* Predicted against measured times of kernels, one point a row; a line where both are equal and
 * lines 10% to each side. */
#include "reports/files.h"
#include "reports/gnuplot.h"
#include "reports/kernel_validation.h"

#include <math.h>
#include <string.h>

enum { SERIES_MAX = 8 };

static const struct {
    const char *color;
    int shape;
} STYLES[SERIES_MAX] = {
    {COLOR_MAIN, 7},   {COLOR_LOSS, 5}, {COLOR_GAIN, 9}, {COLOR_WARN, 13},
    {COLOR_LIGHT, 11}, {COLOR_INK, 6},  {COLOR_GREY, 4}, {COLOR_LOSS, 8},
};

static int is_of(const KernelRow *row, const KernelGroup *group)
{
    return strcmp(row->group[group->kind], group->label) == 0;
}

/* The groups of the first kind in alphabetical order; those beyond the last style share it. */
static size_t put_series(FILE *data, const KernelValidation *result,
                         const KernelGroup *groups[SERIES_MAX])
{
    size_t series = 0;
    for (size_t g = 0; g < result->group_count && result->groups[g].kind == 0; g++) {
        const KernelGroup *group = &result->groups[g];
        if (series < SERIES_MAX) {
            fprintf(data, "%s# measured s, predicted s, error\n", series > 0 ? "\n\n" : "");
            groups[series++] = group;
        }
        for (size_t i = 0; i < result->row_count; i++) {
            const KernelRow *row = &result->rows[i];
            if (is_of(row, group))
                fprintf(data, "%.9g %.9g %.9g\n", row->measured_s, row->predicted_s, row->error);
        }
    }
    return series;
}

static void put_script(FILE *script, const KernelValidation *result, const Provenance *provenance,
                       const KernelGroup *const groups[SERIES_MAX], size_t series)
{
    char title[256], subtitle[320];
    double low = HUGE_VAL, high = 0;
    for (size_t i = 0; i < result->row_count; i++) {
        low = fmin(low, fmin(result->rows[i].measured_s, result->rows[i].predicted_s));
        high = fmax(high, fmax(result->rows[i].measured_s, result->rows[i].predicted_s));
    }
    low = pow(10, floor(log10(low) * 2) / 2);
    high = pow(10, ceil(log10(high) * 2) / 2);
    snprintf(title, sizeof title,
             "%zu published timings of %s: half are predicted within %.1f%%, nine in ten within "
             "%.0f%%",
             result->summary.n, result->what, 100 * result->summary.median_abs,
             100 * result->summary.p90_abs);
    snprintf(subtitle, sizeof subtitle, "%.90s; %zu rows skipped; flopcast %s",
             provenance->scenario, result->skipped_count, PROGRAM_VERSION);
    gnuplot_begin(script, "validation", title, subtitle);
    fprintf(script,
            "set tmargin 6\nset bmargin 4.5\nset lmargin 13\nset rmargin 4\n"
            "set logscale xy\nset format xy '%%.0e'\nset xrange [%.9g:%.9g]\n"
            "set yrange [%.9g:%.9g]\n"
            "set xlabel 'measured, s'\nset ylabel 'predicted, s'\n"
            "set grid xtics ytics linecolor rgb '#dddddd'\n"
            "set key at graph 0.02,0.97 left top reverse Left samplen 1\n"
            "plot x with lines linewidth 1.2 linecolor rgb '" COLOR_INK "' title 'equal', \\\n"
            "     1.1*x with lines dashtype 2 linecolor rgb '" COLOR_GREY "' title '+-10%%', \\\n"
            "     x/1.1 with lines dashtype 2 linecolor rgb '" COLOR_GREY "' notitle",
            low, high, low, high);
    for (size_t s = 0; s < series; s++) {
        char label[KERNEL_LABEL_BYTES + 64];
        snprintf(label, sizeof label, "%s (%zu rows)", groups[s]->label, groups[s]->all.n);
        fprintf(script,
                ", \\\n     'validation.dat' index %zu using 1:2 with points pointtype %d "
                "pointsize 0.4 linecolor rgb '%s' title ",
                s, STYLES[s].shape, STYLES[s].color);
        gnuplot_quote(script, label);
    }
    fputc('\n', script);
    gnuplot_end(script);
}

Status plot_kernel_validation(const char *directory, const KernelValidation *result,
                              const Provenance *provenance, Error *error)
{
    const KernelGroup *groups[SERIES_MAX] = {0};
    TextFile script = {0}, data = {0};
    int missing = 0;
    Status status = files_begin(&script, error);
    if (status == STATUS_OK)
        status = files_begin(&data, error);
    if (status != STATUS_OK)
        goto cleanup;
    const size_t series = put_series(data.out, result, groups);
    put_script(script.out, result, provenance, groups, series);
    status = files_finish(&data, directory, "validation.dat", error);
    if (status == STATUS_OK)
        status = files_finish(&script, directory, "validation.gp", error);
    if (status == STATUS_OK)
        status = gnuplot_run(directory, "validation", &missing, error);
    if (missing)
        status = error_set(error, STATUS_ENVIRONMENT,
                           "gnuplot not found: 1 figure skipped (apt-get install gnuplot-nox)");
cleanup:
    files_abandon(&script);
    files_abandon(&data);
    return status;
}
