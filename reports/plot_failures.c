/* The map of failures: goodput over failure rate and restart time, one panel for each save time,
 * and the lines on which a published utilisation would lie. */
#include "reports/plots.h"

#include "reports/format.h"
#include "reports/gnuplot.h"
#include "reports/terminal.h"
#include "sim/planning/failure_map.h"

#include <math.h>
#include <stdlib.h>

/* Panels stand side by side on one axis of log10(rate). */
static const double panel_gap = 0.12;

/* MFU of steps without failures for which lines are drawn, and goodputs where nothing was
 * published. */
static const double needed_mfu[] = {0.34, 0.36, 0.38, 0.40, 0.45, 0.55};
static const double levels[] = {0.95, 0.9, 0.8, 0.7, 0.5, 0.3};
static const double dark_words = 0.72; /* goodput above which the map is light */
enum { LINES = 6, LINE_POINTS = 120 };

static double panel_x(const FailureMap *map, size_t panel, double rate)
{
    const double width = log10(map->rate[MAP_RATES - 1] / map->rate[0]);
    return (double)panel * (width + panel_gap) + log10(rate / map->rate[0]);
}

static double minutes_log10(double seconds)
{
    return log10(seconds / 60);
}

static void put_grid(FILE *data, const FailureMap *map, size_t panel)
{
    fprintf(data, "%s# save of %g s: x, log10(minutes of a restart), goodput\n",
            panel > 0 ? "\n\n" : "", map->save_s[panel]);
    for (size_t y = 0; y < MAP_RESTARTS; y++) {
        for (size_t x = 0; x < MAP_RATES; x++)
            fprintf(data, "%.6f %.6f %.6f\n", panel_x(map, panel, map->rate[x]),
                    minutes_log10(map->restart_s[y]), map->goodput[panel][y][x]);
        fprintf(data, "\n");
    }
}

/* One line of equal goodput through all panels; where it leaves a panel it is broken. */
static void put_line(FILE *data, const FailureMap *map, double goodput)
{
    fprintf(data, "\n\n# goodput %.4f: x, log10(minutes of a restart)\n", goodput);
    for (size_t panel = 0; panel < MAP_SAVES; panel++) {
        size_t drawn = 0;
        for (size_t i = 0; i < LINE_POINTS; i++) {
            const double share = (double)i / (LINE_POINTS - 1);
            const double rate = map->rate[0] * pow(map->rate[MAP_RATES - 1] / map->rate[0], share);
            const double restart_s = failure_map_restart_s(
                map->clock, failure_map_mtbf_s(map, rate), map->save_s[panel], goodput);
            if (restart_s < map->restart_s[0] || restart_s > map->restart_s[MAP_RESTARTS - 1])
                continue;
            fprintf(data, "%.6f %.6f\n", panel_x(map, panel, rate), minutes_log10(restart_s));
            drawn++;
        }
        fprintf(data, drawn > 0 ? "\n" : "NaN NaN\n\n");
    }
}

/* The panel of the save time nearest to the run's own, on a logarithmic scale. */
static size_t own_panel(const FailureMap *map)
{
    size_t nearest = 0;
    for (size_t i = 1; i < MAP_SAVES; i++)
        if (fabs(log(map->save_s[i] / map->own_save_s)) <
            fabs(log(map->save_s[nearest] / map->own_save_s)))
            nearest = i;
    return nearest;
}

static void put_axes(FILE *script, const FailureMap *map)
{
    static const double rates[] = {1, 2, 4, 8, 16};
    static const double minutes[] = {1, 2, 5, 10, 20, 60, 120};
    fprintf(script, "set xtics scale 0.5 (");
    for (size_t panel = 0; panel < MAP_SAVES; panel++)
        for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
            fprintf(script, "%s'%g' %.6f", panel + i > 0 ? ", " : "", rates[i],
                    panel_x(map, panel, rates[i]));
    fprintf(script, ")\nset ytics scale 0.5 (");
    for (size_t i = 0; i < sizeof minutes / sizeof *minutes; i++)
        fprintf(script, "%s'%g' %.6f", i > 0 ? ", " : "", minutes[i], log10(minutes[i]));
    fprintf(script, ")\n");
    for (size_t panel = 0; panel < MAP_SAVES; panel++)
        fprintf(
            script,
            "set label %zu 'a save stops training for %g s' at %.6f,%.6f center font ',11' "
            "textcolor rgb '" COLOR_INK "'\n",
            20 + panel, map->save_s[panel],
            (panel_x(map, panel, map->rate[0]) + panel_x(map, panel, map->rate[MAP_RATES - 1])) / 2,
            minutes_log10(map->restart_s[MAP_RESTARTS - 1]) + 0.09);
}

/* Each line is named where it enters a panel from the left, or comes in from above. */
static void put_line_names(FILE *script, const FailureMap *map, const double *goodputs,
                           const char *const *names, size_t count)
{
    for (size_t panel = 0; panel < MAP_SAVES; panel++)
        for (size_t i = 0; i < count; i++) {
            if (!(goodputs[i] < 1))
                continue;
            for (size_t point = 0; point < LINE_POINTS; point++) {
                const double share = (double)point / (LINE_POINTS - 1);
                const double rate =
                    map->rate[0] * pow(map->rate[MAP_RATES - 1] / map->rate[0], share);
                const double restart_s = failure_map_restart_s(
                    map->clock, failure_map_mtbf_s(map, rate), map->save_s[panel], goodputs[i]);
                if (restart_s <= map->restart_s[0] * 1.1)
                    break;
                if (restart_s > map->restart_s[MAP_RESTARTS - 1] * 0.8)
                    continue;
                fprintf(script,
                        "set label %zu '%s' at %.6f,%.6f left offset 0.2,0.5 front font ',10' "
                        "textcolor rgb '%s'\n",
                        100 + panel * LINES + i, names[i], panel_x(map, panel, rate),
                        minutes_log10(restart_s), goodputs[i] > dark_words ? COLOR_INK : "white");
                break;
            }
        }
}

static void describe(const PlotInput *input, const FailureMap *map, char *title, size_t title_bytes)
{
    const double own = map->fault_free_mfu_6nd;
    const double low = input->mfu.low, high = input->mfu.high;
    if (!input->mfu.has)
        snprintf(title, title_bytes,
                 "What failures leave: without them steps reach %.1f%% MFU (6ND)", 100 * own);
    else if (own < low)
        snprintf(
            title, title_bytes,
            "No failure rate explains %.0f-%.0f%% MFU: steps without failures reach %.1f%% here",
            100 * low, 100 * high, 100 * own);
    else
        snprintf(title, title_bytes,
                 "%.0f-%.0f%% MFU takes a goodput of %.0f-%.0f%% at steps of %.1f%%", 100 * low,
                 100 * high, 100 * low / own, 100 * fmin(1, high / own), 100 * own);
}

Status plot_failures(const PlotInput *input, FILE *script, FILE *data, Error *error)
{
    char title[256], subtitle[512], origin[160], names[LINES][24];
    const char *name_of[LINES];
    double goodputs[LINES];
    FailureMap *map = calloc(1, sizeof *map);
    if (map == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    if (!failure_map(input->scenario, input->forecast, map)) {
        free(map);
        return error_set(error, STATUS_ENVIRONMENT, "the run has no failures to map");
    }
    for (size_t i = 0; i < LINES; i++) {
        goodputs[i] = input->mfu.has ? input->mfu.low / needed_mfu[i] : levels[i];
        snprintf(names[i], sizeof names[i], "%.0f%%",
                 100 * (input->mfu.has ? needed_mfu[i] : levels[i]));
        name_of[i] = names[i];
    }

    for (size_t panel = 0; panel < MAP_SAVES; panel++)
        put_grid(data, map, panel);
    for (size_t i = 0; i < LINES; i++)
        put_line(data, map, goodputs[i]);
    /* The published cost on the map of one of these lines: dollars go with the time. */
    const double paid_mfu = needed_mfu[LINES / 2 - 1];
    const int cost_line = input->mfu.has && input->cost_usd.has && map->fault_free_usd > 0;
    const double at_cost =
        cost_line ? map->fault_free_mfu_6nd * map->fault_free_usd / input->cost_usd.high / paid_mfu
                  : 0;
    if (cost_line)
        put_line(data, map, at_cost);
    const int own = map->own_rate >= map->rate[0] && map->own_rate <= map->rate[MAP_RATES - 1] &&
                    map->own_restart_s >= map->restart_s[0] &&
                    map->own_restart_s <= map->restart_s[MAP_RESTARTS - 1] && map->own_save_s > 0;
    if (own)
        fprintf(data, "\n\n# the run as simulated\n%.6f %.6f\n",
                panel_x(map, own_panel(map), map->own_rate), minutes_log10(map->own_restart_s));

    describe(input, map, title, sizeof title);
    plot_origin(input, origin, sizeof origin);
    snprintf(subtitle, sizeof subtitle, "%.90s; %s", input->provenance->scenario, origin);
    gnuplot_begin(script, "failure-map", title, subtitle);
    if (input->mfu.has)
        fprintf(script,
                "set label 1002 'On a white line, steps of so much MFU (6ND) without failures give "
                "%.0f%% in the end (times %.3g: %.0f%%)",
                100 * input->mfu.low, input->mfu.high / input->mfu.low, 100 * input->mfu.high);
    else
        fprintf(script, "set label 1002 'White lines: share of the time that work is done in");
    fprintf(script, "' at screen 0.02,0.862 left font ',11' textcolor rgb '#666666'\n");
    fprintf(script,
            "set tmargin 7.5\nset bmargin 6.5\nset lmargin 8\nset rmargin 11\n"
            "set xrange [%.6f:%.6f]\nset yrange [%.6f:%.6f]\n"
            "set xlabel 'failures in 1000 node-days'\nset ylabel 'minutes from a failure to work "
            "again'\n"
            "set cbrange [0:1]\nset cblabel 'share of the time that work is done in' offset 1\n"
            "set palette defined (0 '#3b0f70', 0.35 '#8c2981', 0.6 '#de4968', 0.8 '#fe9f6d', 1 "
            "'#fcfdbf')\nset cbtics scale 0.4\n"
            "set border 0\nset key at screen 0.45,0.035 center horizontal samplen 2\n",
            panel_x(map, 0, map->rate[0]), panel_x(map, MAP_SAVES - 1, map->rate[MAP_RATES - 1]),
            minutes_log10(map->restart_s[0]), minutes_log10(map->restart_s[MAP_RESTARTS - 1]));
    put_axes(script, map);
    put_line_names(script, map, goodputs, name_of, LINES);
    fprintf(script, "plot ");
    for (size_t panel = 0; panel < MAP_SAVES; panel++)
        fprintf(script, "%s index %zu using 1:2:3 with image notitle, \\\n     ",
                panel == 0 ? "'failure-map.dat'" : "''", panel);
    for (size_t i = 0; i < LINES; i++)
        fprintf(script, "'' index %d using 1:2 with lines linewidth 1.6 linecolor rgb 'white' %s%s",
                MAP_SAVES + (int)i, "notitle", i + 1 < LINES ? ", \\\n     " : "");
    int index = MAP_SAVES + LINES;
    if (cost_line) {
        char cost[64];
        format_quantity(input->cost_usd.high, "USD", cost, sizeof cost);
        fprintf(script,
                ", \\\n     '' index %d using 1:2 with lines linewidth 2 dashtype 2 linecolor rgb "
                "'" COLOR_GAIN "' title '%s at steps of %.0f%%'",
                index++, cost, 100 * paid_mfu);
    }
    if (own)
        fprintf(script,
                ", \\\n     '' index %d using 1:2 with points pointtype 7 pointsize 1.4 linecolor "
                "rgb '" COLOR_LIGHT "' title 'this run, medians'",
                index);
    fprintf(script, "\n");
    gnuplot_end(script);
    free(map);
    return STATUS_OK;
}
