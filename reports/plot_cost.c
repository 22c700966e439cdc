/* Cost against days: every draw, the band that holds nine tenths of them, and what was published.
 */
#include "reports/plots.h"

#include "reports/format.h"
#include "reports/gnuplot.h"
#include "reports/terminal.h"

#include <math.h>
#include <stdlib.h>

enum { BINS = 48, MAX_TICS = 12 };

typedef struct Frame {
    double x_low, x_high, y_low, y_high; /* days, millions of dollars */
} Frame;

static void widen(double *low, double *high, double value)
{
    *low = fmin(*low, value);
    *high = fmax(*high, value);
}

/* Room around all draws and the published figures. */
static Frame frame_of(const PlotInput *input, const Summary *days, const Summary *cost)
{
    Frame frame = {days->minimum, days->maximum, cost->minimum / 1e6, cost->maximum / 1e6};
    if (input->days.has) {
        widen(&frame.x_low, &frame.x_high, input->days.low);
        widen(&frame.x_low, &frame.x_high, input->days.high);
    }
    if (input->cost_usd.has) {
        widen(&frame.y_low, &frame.y_high, input->cost_usd.low / 1e6);
        widen(&frame.y_low, &frame.y_high, input->cost_usd.high / 1e6);
    }
    double width = fmax(frame.x_high - frame.x_low, 0.02 * frame.x_high);
    double height = fmax(frame.y_high - frame.y_low, 0.02 * frame.y_high);
    frame.x_low = fmax(0, frame.x_low - 0.06 * width);
    frame.x_high += 0.06 * width;
    frame.y_low = fmax(0, frame.y_low - 0.28 * height); /* the histogram's room */
    frame.y_high += 0.10 * height;
    return frame;
}

/* How many draws fall on each slice of days; returns the fullest slice. */
static size_t put_histogram(FILE *data, const Metric *days, const Summary *summary)
{
    size_t counts[BINS] = {0}, most = 0;
    double width = (summary->maximum - summary->minimum) / BINS;
    fprintf(data, "\n\n# days, draws in a slice of %.6g days\nNaN NaN\n", width);
    if (!(width > 0))
        return 0;
    for (size_t i = 0; i < days->count; i++) {
        size_t bin = (size_t)((days->values[i] - summary->minimum) / width);
        counts[bin < BINS ? bin : BINS - 1]++;
    }
    for (size_t bin = 0; bin < BINS; bin++) {
        fprintf(data, "%.9g %zu\n", summary->minimum + ((double)bin + 0.5) * width, counts[bin]);
        most = counts[bin] > most ? counts[bin] : most;
    }
    return most;
}

/* MFU times days is the same for every draw of one peak, so the upper axis is the lower one, bent:
 * days = constant / MFU. */
static void put_mfu_axis(FILE *script, const Metric *mfu, const Metric *days, const Frame *frame,
                         const char *convention)
{
    static const double steps[] = {0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2};
    double low = 1, high = 0, product = 0;
    for (size_t i = 0; i < days->count; i++) {
        double one = metrics_value(mfu, i) * days->values[i];
        product += one / (double)days->count;
        low = i == 0 ? one : fmin(low, one);
        high = i == 0 ? one : fmax(high, one);
    }
    if (!(product > 0) || high - low > 0.01 * product)
        return; /* draws differ in peak or in work: no common axis */
    double smallest = product / frame->x_high;
    double largest = frame->x_low > 0 ? product / frame->x_low : 1;
    size_t chosen = 0;
    while (chosen + 1 < sizeof steps / sizeof *steps &&
           (largest - smallest) / steps[chosen] > MAX_TICS)
        chosen++;
    double step = steps[chosen];
    fprintf(script,
            "set x2range [%.9g:%.9g]\nset x2label 'effective MFU (%s)' offset 0,-0.4\n"
            "set x2tics scale 0.6 (",
            frame->x_low, frame->x_high, convention);
    int first = 1;
    /* the left of the axis is crowded by the bend: tics closer than 4% of the width are left out */
    double last = HUGE_VAL;
    for (double at = ceil(smallest / step) * step; at <= largest + 1e-12; at += step) {
        double position = product / at;
        if (position < frame->x_low || last - position < 0.04 * (frame->x_high - frame->x_low))
            continue;
        fprintf(script, "%s'%.*f%%%%' %.9g", first ? "" : ", ", step < 0.01 ? 1 : 0, at * 100,
                position);
        last = position;
        first = 0;
    }
    fprintf(script, ")\nset border 7\n");
}

/* The box that holds the middle nine tenths of days and of cost. */
static void put_band(FILE *script, const Summary *days, const Summary *cost)
{
    fprintf(script,
            "set object 1 rectangle from %.9g,%.9g to %.9g,%.9g behind "
            "fillcolor rgb '" COLOR_MAIN "' fillstyle solid 0.12 border rgb '" COLOR_LIGHT "'\n",
            days->p5, cost->p5 / 1e6, days->p95, cost->p95 / 1e6);
}

/* The draws rise from the lower left to the upper right, so the upper left corner is free for
 * words. */
static void put_words(FILE *script, const PlotInput *input, const Summary *days,
                      const Summary *cost)
{
    char text[256], from_days[96], from_cost[96];
    format_quantity(days->p50, "days", from_days, sizeof from_days);
    format_quantity(cost->p50, "USD", from_cost, sizeof from_cost);
    snprintf(text, sizeof text, "simulated median: %s, %s", from_days, from_cost);
    fprintf(script, "set label 10 ");
    gnuplot_quote(script, text);
    fprintf(script, " at graph 0.02,0.93 left textcolor rgb '" COLOR_MAIN "'\n");
    const Metric *failures = metrics_find(&input->forecast->metrics, "cost.items_usd.failures");
    Summary lost;
    if (failures != NULL && metrics_summary(failures, &lost, NULL) == STATUS_OK && lost.mean > 0) {
        format_quantity(lost.mean, "USD", from_cost, sizeof from_cost);
        snprintf(text, sizeof text, "of the mean cost, failures and saves are %s (%.0f%%)",
                 from_cost, 100 * lost.mean / cost->mean);
        fprintf(script, "set label 12 ");
        gnuplot_quote(script, text);
        fprintf(script, " at graph 0.42,0.93 left front textcolor rgb '" COLOR_LOSS "'\n");
    }
    if (!input->days.has || !input->cost_usd.has)
        return;
    double x = (input->days.low + input->days.high) / 2;
    double y = (input->cost_usd.low + input->cost_usd.high) / 2e6;
    if (input->days.low < input->days.high)
        snprintf(text, sizeof text, "published: %.6g .. %.6g days, $%.6gM", input->days.low,
                 input->days.high, y);
    else
        snprintf(text, sizeof text, "published: %.6g days, $%.6gM", input->days.low, y);
    fprintf(script, "set label 11 ");
    gnuplot_quote(script, text);
    fprintf(script,
            " at graph 0.02,0.86 left textcolor rgb '" COLOR_LOSS "'\n"
            "set arrow 11 from graph 0.06,0.83 to %.9g,%.9g nohead back linecolor rgb '" COLOR_LOSS
            "' linewidth 1 dashtype 3\n",
            x, y);
}

Status plot_cost(const PlotInput *input, FILE *script, FILE *data, Error *error)
{
    const MetricSet *metrics = &input->forecast->metrics;
    const Metric *days = metrics_find(metrics, "run.days");
    const Metric *cost = metrics_find(metrics, "cost.usd");
    const Metric *mfu = metrics_find(metrics, "run.mfu_effective_6nd");
    const char *convention = "6ND";
    Summary day_summary, cost_summary;
    char title[512], subtitle[384], origin[160], low[64], high[64];
    if (mfu == NULL) {
        mfu = metrics_find(metrics, "run.mfu_effective");
        convention = "exact count";
    }
    if (days == NULL || cost == NULL || mfu == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "the run has no days, cost or MFU to draw");
    Status status = metrics_summary(days, &day_summary, error);
    if (status == STATUS_OK)
        status = metrics_summary(cost, &cost_summary, error);
    if (status != STATUS_OK)
        return status;

    Frame frame = frame_of(input, &day_summary, &cost_summary);
    fprintf(data, "# days, cost in millions of dollars, effective MFU: one line a draw\n");
    for (size_t i = 0; i < days->count; i++)
        fprintf(data, "%.9g %.9g %.9g\n", days->values[i], metrics_value(cost, i) / 1e6,
                metrics_value(mfu, i));
    size_t most = put_histogram(data, days, &day_summary);
    fprintf(data, "\n\n# the medians\n%.9g %.9g\n", day_summary.p50, cost_summary.p50 / 1e6);
    if (input->days.has && input->cost_usd.has)
        fprintf(
            data,
            "\n\n# published: days, cost, and the ends of both\n%.9g %.9g %.9g %.9g %.9g %.9g\n",
            (input->days.low + input->days.high) / 2,
            (input->cost_usd.low + input->cost_usd.high) / 2e6, input->days.low, input->days.high,
            input->cost_usd.low / 1e6, input->cost_usd.high / 1e6);

    snprintf(low, sizeof low, "%.0f", day_summary.p5);
    snprintf(high, sizeof high, "%.0f", day_summary.p95);
    QuantityScale scale = quantity_scale(cost_summary.p50, "USD");
    char cost_low[64], cost_high[64];
    format_scaled(cost_summary.p5, &scale, cost_low, sizeof cost_low);
    scale.prefix = "";
    format_scaled(cost_summary.p95, &scale, cost_high, sizeof cost_high);
    snprintf(title, sizeof title, "Nine runs in ten take %s to %s days and cost %s to %s%s", low,
             high, cost_low, cost_high, scale.suffix);
    plot_origin(input, origin, sizeof origin);
    snprintf(subtitle, sizeof subtitle, "%.90s; %s", input->provenance->scenario, origin);
    gnuplot_begin(script, "cost-days", title, subtitle);
    fprintf(script,
            "set tmargin 8.5\nset bmargin 6.5\nset lmargin 9\nset rmargin 3\n"
            "set xrange [%.9g:%.9g]\nset yrange [%.9g:%.9g]\nset y2range [0:%zu]\n"
            "set xlabel 'days from start to end'\nset ylabel 'cost, millions of US dollars'\n"
            "set grid ytics linecolor rgb '#dddddd'\nunset y2tics\n"
            "set key at screen 0.53,0.05 center horizontal samplen 2\n",
            frame.x_low, frame.x_high, frame.y_low, frame.y_high, most > 0 ? 5 * most : 1);
    put_mfu_axis(script, mfu, days, &frame, convention);
    put_band(script, &day_summary, &cost_summary);
    put_words(script, input, &day_summary, &cost_summary);
    fprintf(
        script,
        "plot 'cost-days.dat' index 1 using 1:2 axes x1y2 with boxes fillstyle solid 0.35 "
        "noborder linecolor rgb '" COLOR_GREY "' title 'density of draws', \\\n"
        "     '' index 0 using 1:2 with points pointtype 6 pointsize 0.6 linecolor rgb "
        "'" COLOR_LIGHT "' title 'one draw', \\\n"
        "     keyentry with boxes fillstyle solid 0.12 border linecolor rgb '" COLOR_LIGHT
        "' title 'p5 .. p95', \\\n"
        "     '' index 2 using 1:2 with points pointtype 7 pointsize 1.6 linecolor rgb '" COLOR_MAIN
        "' title 'median'");
    if (input->days.has && input->cost_usd.has)
        fprintf(
            script,
            ", \\\n     '' index 3 using 1:2:3:4:5:6 with xyerrorbars pointtype 13 pointsize 1.8 "
            "linewidth 2 linecolor rgb '" COLOR_LOSS "' title 'published'");
    fprintf(script, "\n");
    gnuplot_end(script);
    return STATUS_OK;
}
