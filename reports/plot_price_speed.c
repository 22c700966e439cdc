/* What 1,000 tokens cost against how fast a reader gets them, with the two wishes as lines. */
#include "reports/files.h"
#include "reports/format.h"
#include "reports/gnuplot.h"
#include "reports/serving_search.h"

#include <math.h>
#include <stdio.h>

static const char *const COLORS[] = {COLOR_MAIN, COLOR_WARN, COLOR_GAIN, COLOR_LIGHT};
enum { COLOR_COUNT = sizeof COLORS / sizeof *COLORS };

/* One block a pipeline, from the largest batch to the smallest. */
static size_t put_data(FILE *data, const PriceSpeed *curve, double *stages)
{
    size_t blocks = 0;
    fprintf(data, "# tokens/s of a reader, USD per 1k tokens, batch\n");
    for (size_t i = 0; i < curve->count; i++) {
        const PriceSpeedPoint *point = &curve->points[i];
        if (i == 0 || point->pipeline > curve->points[i - 1].pipeline ||
            point->pipeline < curve->points[i - 1].pipeline) {
            fprintf(data, "%s", blocks > 0 ? "\n\n" : "");
            stages[blocks++] = point->pipeline;
        }
        fprintf(data, "%.9g %.9g %.0f\n", point->tokens_per_s, point->usd_per_1k_tokens,
                point->max_batch);
    }
    return blocks;
}

static void put_wishes(FILE *script, const PriceSpeed *curve)
{
    const double speeds[] = {curve->slow_tokens_per_s, curve->fast_tokens_per_s};
    for (size_t i = 0; i < 2; i++)
        if (speeds[i] > 0)
            fprintf(script,
                    "set arrow %zu from %.9g, graph 0 to %.9g, graph 1 nohead linewidth 1.5 "
                    "dashtype 2 linecolor rgb '" COLOR_LOSS "'\n"
                    "set label %zu '%.3g tokens/s' at %.9g, graph 1.03 center textcolor "
                    "rgb '" COLOR_LOSS "'\n",
                    i + 1, speeds[i], speeds[i], i + 1, speeds[i], speeds[i]);
    if (curve->wanted_usd_per_1k > 0)
        fprintf(script,
                "set arrow 3 from graph 0, first %.9g to graph 1, first %.9g nohead linewidth 1.5 "
                "dashtype 2 linecolor rgb '" COLOR_LOSS "'\n"
                "set label 3 '$%.4g per 1k tokens' at graph 0.99, first %.9g right offset 0,0.6 "
                "textcolor rgb '" COLOR_LOSS "'\n",
                curve->wanted_usd_per_1k, curve->wanted_usd_per_1k, curve->wanted_usd_per_1k,
                curve->wanted_usd_per_1k);
}

static void put_title(const PriceSpeed *curve, char *title, size_t title_bytes)
{
    char price[64];
    format_quantity(curve->wanted_usd_per_1k, "USD", price, sizeof price);
    if (!(curve->wanted_usd_per_1k > 0))
        snprintf(title, title_bytes, "Price against reading speed");
    else if (curve->fastest_at_price < curve->count)
        snprintf(title, title_bytes, "At %s per 1k tokens a reader gets %.3g tokens/s at most",
                 price, curve->points[curve->fastest_at_price].tokens_per_s);
    else
        snprintf(title, title_bytes, "No batch and no pipeline reaches %s per 1k tokens", price);
}

Status plot_price_speed(const char *directory, const SearchReport *report, Error *error)
{
    const PriceSpeed *curve = report->curve;
    TextFile script = {0}, data = {0};
    char title[256], subtitle[384];
    double stages[MAX_PRICE_SPEED_POINTS];
    Status status = files_begin(&script, error);
    if (status == STATUS_OK)
        status = files_begin(&data, error);
    if (status != STATUS_OK)
        goto cleanup;
    const size_t blocks = put_data(data.out, curve, stages);
    put_title(curve, title, sizeof title);
    snprintf(subtitle, sizeof subtitle,
             "%.80s; a point a batch; seed %llu, sha256 %.12s, flopcast %s",
             report->scenario->title, report->provenance->seed, report->provenance->sha256,
             PROGRAM_VERSION);
    gnuplot_begin(script.out, "price-speed", title, subtitle);
    fprintf(script.out,
            "set tmargin 6\nset bmargin 5\nset lmargin 13\nset rmargin 4\n"
            "set logscale xy\nset xlabel 'tokens/s that a reader gets'\n"
            "set ylabel 'USD per 1k tokens, prompts and answers'\n"
            "set key at graph 0.99,0.30 right top samplen 2\nset xrange [*:%.9g]\n",
            fmax(1, 1.6 * curve->fast_tokens_per_s));
    put_wishes(script.out, curve);
    fprintf(script.out, "plot ");
    for (size_t i = 0; i < blocks; i++) {
        char name[64];
        snprintf(name, sizeof name, "%.0f stages of %.0f GPUs", stages[i], curve->points[0].tensor);
        fprintf(script.out,
                "%s'%s' index %zu using 1:2 with linespoints linewidth 2 pointtype 7 pointsize 0.6 "
                "linecolor rgb '%s' title '%s'",
                i > 0 ? ", \\\n     " : "", i > 0 ? "" : "price-speed.dat", i,
                COLORS[i % COLOR_COUNT], name);
    }
    fputc('\n', script.out);
    gnuplot_end(script.out);
    status = files_finish(&data, directory, "price-speed.dat", error);
    if (status == STATUS_OK)
        status = files_finish(&script, directory, "price-speed.gp", error);
    if (status == STATUS_OK)
        status = gnuplot_figure(directory, "price-speed", error);
cleanup:
    files_abandon(&script);
    files_abandon(&data);
    return status;
}
