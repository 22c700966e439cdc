/* A fleet's day: what is asked, how many replicas answer, how full their KV memory is. */
#include "reports/files.h"
#include "reports/fleet.h"
#include "reports/format.h"
#include "reports/gnuplot.h"

#include <math.h>
#include <stdio.h>

static const char *const COLORS[] = {COLOR_MAIN, COLOR_WARN,  COLOR_GAIN,
                                     COLOR_LOSS, COLOR_LIGHT, COLOR_GREY};
enum { COLOR_COUNT = sizeof COLORS / sizeof *COLORS };

static void put_data(FILE *data, const FleetResult *result)
{
    fprintf(data, "# hour");
    for (size_t i = 0; i < result->cluster_count; i++)
        fprintf(data, ", of %zu: requests/s, replicas, KV memory in use (%%)", i + 1);
    fputc('\n', data);
    for (size_t bin = 0; bin < FLEET_BINS; bin++) {
        fprintf(data, "%.9g", ((double)bin + 0.5) * result->bin_s / 3600);
        for (size_t i = 0; i < result->cluster_count; i++) {
            const FleetBin *at = &result->clusters[i].bins[bin];
            fprintf(data, " %.9g %.9g %.9g", at->asked / result->bin_s, at->ready,
                    100 * at->kv_occupancy);
        }
        fputc('\n', data);
    }
}

static double largest(const FleetResult *result, size_t panel)
{
    double most = 0;
    for (size_t i = 0; i < result->cluster_count; i++)
        for (size_t bin = 0; bin < FLEET_BINS; bin++) {
            const FleetBin *at = &result->clusters[i].bins[bin];
            const double values[] = {at->asked / result->bin_s, at->ready, 100 * at->kv_occupancy};
            most = fmax(most, values[panel]);
        }
    return most;
}

static void put_panel(FILE *script, const FleetResult *result, size_t panel, double bottom,
                      double top, const char *label)
{
    fprintf(script,
            "set tmargin at screen %.3f\nset bmargin at screen %.3f\nset ylabel '%s'\n"
            "set yrange [0:*]\nset ytics %.9g\nplot ",
            top, bottom, label, gnuplot_tick(largest(result, panel)));
    for (size_t i = 0; i < result->cluster_count; i++) {
        fprintf(script,
                "%s'fleet-day.dat' using 1:%zu with %s linewidth 2 linecolor rgb '%s' title ",
                i > 0 ? ", \\\n     " : "", 2 + 3 * i + panel, panel == 1 ? "steps" : "lines",
                COLORS[i % COLOR_COUNT]);
        gnuplot_quote(script, panel == 0 ? result->clusters[i].name : "");
    }
    fputc('\n', script);
}

static void put_panels(FILE *script, const void *context)
{
    const FleetResult *const result = context;
    fprintf(script,
            "set multiplot\nset lmargin at screen 0.09\nset rmargin at screen 0.97\n"
            "set key at screen 0.97,0.89 right horizontal samplen 2\n"
            "set xrange [0:%.9g]\nset xtics format ''\n\n",
            result->seconds / 3600);
    put_panel(script, result, 0, 0.62, 0.84, "requests/s");
    fprintf(script, "unset key\nunset label 1000\nunset label 1001\n");
    put_panel(script, result, 1, 0.36, 0.57, "replicas");
    fprintf(script, "set xtics format '%%g'\nset xlabel 'hours of fleet time'\n");
    put_panel(script, result, 2, 0.13, 0.31, "KV in use, %");
    fprintf(script, "unset multiplot\n");
}

Status plot_fleet(const char *directory, const Scenario *scenario, const FleetResult *result,
                  const Provenance *provenance, Error *error)
{
    TextFile script = {0}, data = {0};
    char title[256], subtitle[384], with[64], without[64];
    const ClusterResult *all = &result->all;
    Status status = files_begin(&script, error);
    if (status == STATUS_OK)
        status = files_begin(&data, error);
    if (status != STATUS_OK)
        goto cleanup;
    format_quantity(all->usd_per_1k_tokens, "USD", with, sizeof with);
    format_quantity(all->usd_per_1k_without_reuse, "USD", without, sizeof without);
    snprintf(title, sizeof title, "1k tokens cost %s; %s if idle replicas were not lent", with,
             without);
    snprintf(subtitle, sizeof subtitle,
             "%.80s; %.0f requests; seed %llu, sha256 %.12s, flopcast %s", scenario->title,
             result->asked, provenance->seed, provenance->sha256, PROGRAM_VERSION);
    put_data(data.out, result);
    gnuplot_panels(script.out, "fleet-day", title, subtitle, put_panels, result);
    status = files_finish(&data, directory, "fleet-day.dat", error);
    if (status == STATUS_OK)
        status = files_finish(&script, directory, "fleet-day.gp", error);
    if (status == STATUS_OK)
        status = gnuplot_figure(directory, "fleet-day", error);
cleanup:
    files_abandon(&script);
    files_abandon(&data);
    return status;
}
