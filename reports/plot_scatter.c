#include "reports/plot_scatter.h"

#include "reports/files.h"
#include "reports/gnuplot.h"

#include <math.h>

static const struct {
    const char *color;
    int shape;
} STYLES[SCATTER_SERIES] = {
    {COLOR_MAIN, 7},   {COLOR_LOSS, 5}, {COLOR_GAIN, 9}, {COLOR_WARN, 13},
    {COLOR_LIGHT, 11}, {COLOR_INK, 6},  {COLOR_GREY, 4}, {COLOR_LOSS, 8},
};

void scatter_name(Scatter *scatter, const char *label, size_t rows)
{
    const int shared = scatter->series_count == SCATTER_SERIES;
    const size_t at = scatter_series(scatter->series_count);
    scatter->series_count = at + 1;
    scatter->series_rows[at] += rows;
    snprintf(scatter->series[at], SCATTER_LABEL_BYTES, "%.96s (%zu rows)",
             shared ? "all others" : label, scatter->series_rows[at]);
}

size_t scatter_series(size_t index)
{
    return index < SCATTER_SERIES ? index : SCATTER_SERIES - 1;
}

static void put_id(FILE *data, const char *id)
{
    fputc('"', data);
    for (const char *c = id; *c != '\0'; c++)
        fputc(*c <= ' ' || *c > '~' || *c == '"' ? '_' : *c, data);
    fputc('"', data);
}

static void put_data(FILE *data, const Scatter *scatter)
{
    for (size_t s = 0; s < scatter->series_count; s++) {
        fprintf(data, "%s# %s: measured, predicted in %s, error, id\n", s > 0 ? "\n\n" : "",
                scatter->series[s], scatter->quantity);
        for (size_t i = 0; i < scatter->count; i++) {
            const ScatterPoint *point = &scatter->points[i];
            if (point->series != s)
                continue;
            fprintf(data, "%.9g %.9g %.9g ", point->measured, point->predicted, point->error);
            put_id(data, point->id);
            fputc('\n', data);
        }
    }
}

static void put_script(FILE *script, const Scatter *scatter)
{
    const double ticks_per_decade = 4; /* where the axes may end */
    double low = HUGE_VAL, high = 0;
    for (size_t i = 0; i < scatter->count; i++) {
        low = fmin(low, fmin(scatter->points[i].measured, scatter->points[i].predicted));
        high = fmax(high, fmax(scatter->points[i].measured, scatter->points[i].predicted));
    }
    low = pow(10, floor(log10(low) * ticks_per_decade) / ticks_per_decade);
    high = pow(10, ceil(log10(high) * ticks_per_decade) / ticks_per_decade);
    gnuplot_begin(script, "validation", scatter->title, scatter->subtitle);
    fprintf(script,
            "set tmargin 6\nset bmargin 4.5\nset lmargin 13\nset rmargin 4\n"
            "set logscale xy\n%sset xrange [%.9g:%.9g]\nset yrange [%.9g:%.9g]\n"
            "set xlabel 'measured, %s'\nset ylabel 'predicted, %s'\n"
            "set grid xtics ytics linecolor rgb '#dddddd'\n"
            "set key at graph 0.02,0.97 left top reverse Left samplen 1\n"
            "plot x with lines linewidth 1.2 linecolor rgb '" COLOR_INK "' title 'equal', \\\n"
            "     1.1*x with lines dashtype 2 linecolor rgb '" COLOR_GREY "' title '+-10%%', \\\n"
            "     x/1.1 with lines dashtype 2 linecolor rgb '" COLOR_GREY "' notitle",
            scatter->powers ? "set format xy '%.0e'\n" : "", low, high, low, high,
            scatter->quantity, scatter->quantity);
    for (size_t s = 0; s < scatter->series_count; s++) {
        fprintf(script,
                ", \\\n     'validation.dat' index %zu using 1:2 with points pointtype %d "
                "pointsize %.2g linecolor rgb '%s' title ",
                s, STYLES[s].shape, scatter->point_size, STYLES[s].color);
        gnuplot_quote(script, scatter->series[s]);
    }
    fputc('\n', script);
    gnuplot_end(script);
}

Status plot_scatter(const char *directory, const Scatter *scatter, Error *error)
{
    TextFile script = {0}, data = {0};
    Status status = files_begin(&script, error);
    if (status == STATUS_OK)
        status = files_begin(&data, error);
    if (status != STATUS_OK)
        goto cleanup;
    put_data(data.out, scatter);
    put_script(script.out, scatter);
    status = files_finish(&data, directory, "validation.dat", error);
    if (status == STATUS_OK)
        status = files_finish(&script, directory, "validation.gp", error);
    if (status == STATUS_OK)
        status = gnuplot_figure(directory, "validation", error);
cleanup:
    files_abandon(&script);
    files_abandon(&data);
    return status;
}
