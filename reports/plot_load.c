/* A load over time: how full KV memory is, how many sequences run, how many requests wait. */
#include "reports/files.h"
#include "reports/gnuplot.h"
#include "reports/load_over_time.h"
#include "reports/terminal.h"

#include <math.h>
#include <stdio.h>

/* Columns of the data: the time, then these of each side. */
enum { PANEL_KV, PANEL_RUNNING, PANEL_WAITING, PANELS };

typedef struct LoadPlot {
    const LoadForecast *forecast;
    ServingSide sides[SERVING_SIDES]; /* those that there are, each a block of the data */
    size_t side_count;
    double seconds, most[PANELS];
} LoadPlot;

/* The middle of each part; one block of data a side. */
static void put_data(FILE *data, LoadPlot *plot)
{
    LoadPart parts[OCCUPANCY_PARTS];
    fprintf(data, "# seconds, KV memory in use (%%), running, waiting\n");
    for (size_t s = 0; s < plot->side_count; s++) {
        const size_t count = load_over_time(plot->forecast, plot->sides[s], parts);
        double begin_s = 0;
        for (size_t i = 0; i < count; i++) {
            const double values[PANELS] = {100 * parts[i].kv_occupancy, parts[i].running,
                                           parts[i].waiting};
            fprintf(data, "%.9g %.9g %.9g %.9g\n", (begin_s + parts[i].end_s) / 2, values[0],
                    values[1], values[2]);
            begin_s = parts[i].end_s;
            for (size_t panel = 0; panel < PANELS; panel++)
                plot->most[panel] = fmax(plot->most[panel], values[panel]);
        }
        plot->seconds = fmax(plot->seconds, begin_s);
        fputs("\n\n", data);
    }
}

static void put_panel(FILE *script, const LoadPlot *plot, size_t panel, double bottom, double top,
                      const char *label)
{
    static const char *const COLORS[SERVING_SIDES] = {COLOR_WARN, COLOR_MAIN};
    fprintf(script,
            "set tmargin at screen %.3f\nset bmargin at screen %.3f\nset ylabel '%s'\n"
            "set yrange [0:*]\nset ytics %.9g\nplot ",
            top, bottom, label, gnuplot_tick(plot->most[panel]));
    for (size_t s = 0; s < plot->side_count; s++)
        fprintf(script,
                "%s'load-over-time.dat' index %zu using 1:%zu with lines linewidth 2 linecolor rgb "
                "'%s' title '%s'",
                s > 0 ? ", \\\n     " : "", s, 2 + panel, COLORS[plot->sides[s]],
                panel == 0 && plot->side_count > 1 ? SERVING_SIDE_WORDS[plot->sides[s]] : "");
    fputc('\n', script);
}

static void put_panels(FILE *script, const void *context)
{
    const LoadPlot *const plot = context;
    fprintf(script,
            "set multiplot\nset lmargin at screen 0.10\nset rmargin at screen 0.97\n"
            "set key at screen 0.97,0.89 right horizontal samplen 2\n"
            "set xrange [0:%.9g]\nset xtics format ''\n\n",
            plot->seconds);
    put_panel(script, plot, PANEL_KV, 0.62, 0.84, "KV in use, %");
    fprintf(script, "unset key\nunset label 1000\nunset label 1001\n");
    put_panel(script, plot, PANEL_RUNNING, 0.36, 0.57, "running");
    fprintf(script, "set xtics format '%%g'\nset xlabel 'seconds'\n");
    put_panel(script, plot, PANEL_WAITING, 0.13, 0.31, "waiting");
    fprintf(script, "unset multiplot\n");
}

Status plot_load_over_time(const char *directory, const Scenario *scenario,
                           const LoadForecast *forecast, const Provenance *provenance, Error *error)
{
    LoadPlot plot = {.forecast = forecast};
    TextFile script = {0}, data = {0};
    char title[256], subtitle[384], rate[64], part[64];
    Status status = files_begin(&script, error);
    if (status == STATUS_OK)
        status = files_begin(&data, error);
    if (status != STATUS_OK)
        goto cleanup;
    for (int side = 0; side < SERVING_SIDES; side++)
        if (occupancy_count(&forecast->over_time[side]) > 0)
            plot.sides[plot.side_count++] = (ServingSide)side;
    put_data(data.out, &plot);
    format_quantity(forecast->point.rate_per_s, "requests/s", rate, sizeof rate);
    format_quantity(forecast->over_time[SIDE_DECODE].part_s, "s", part, sizeof part);
    snprintf(title, sizeof title,
             "At %s KV memory is at most %.3g%% full, and at most %.3g requests wait", rate,
             plot.most[PANEL_KV], plot.most[PANEL_WAITING]);
    snprintf(subtitle, sizeof subtitle,
             "%.80s; means over %s; seed %llu, sha256 %.12s, flopcast %s", scenario->title, part,
             provenance->seed, provenance->sha256, PROGRAM_VERSION);
    gnuplot_panels(script.out, "load-over-time", title, subtitle, put_panels, &plot);
    status = files_finish(&data, directory, "load-over-time.dat", error);
    if (status == STATUS_OK)
        status = files_finish(&script, directory, "load-over-time.gp", error);
    if (status == STATUS_OK)
        status = gnuplot_figure(directory, "load-over-time", error);
cleanup:
    files_abandon(&script);
    files_abandon(&data);
    return status;
}
