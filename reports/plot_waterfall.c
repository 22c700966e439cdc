/* From peak FLOP/s to effective MFU: bars that add up exactly, one under the other so that every
 * name has room. */
#include "reports/plots.h"

#include "reports/gnuplot.h"
#include "reports/losses.h"

#include <math.h>

enum { MAX_BARS = 2 * MAX_LOSSES + 4 };

typedef enum BarKind { BAR_TOTAL, BAR_LOSS, BAR_GAIN, BAR_KINDS } BarKind;

typedef struct Bar {
    const char *label;
    BarKind kind;
    double from, to; /* percent of peak */
} Bar;

static size_t add_losses(Bar *bars, size_t count, const Loss *losses, size_t loss_count,
                         double *level)
{
    for (size_t i = 0; i < loss_count; i++) {
        double next = *level - losses[i].share * 100;
        BarKind kind = losses[i].share >= 0 ? BAR_LOSS : BAR_GAIN;
        bars[count++] = (Bar){losses[i].label, kind, *level, next};
        *level = next;
    }
    return count;
}

static size_t make_bars(const LossLadder *ladder, Bar *bars)
{
    size_t count = 0;
    double level = 100;
    bars[count++] = (Bar){"peak", BAR_TOTAL, 0, 100};
    count = add_losses(bars, count, ladder->step, ladder->step_count, &level);
    bars[count++] = (Bar){"MFU of a step", BAR_TOTAL, 0, ladder->step_mfu * 100};
    level = ladder->step_mfu * 100;
    count = add_losses(bars, count, ladder->run, ladder->run_count, &level);
    bars[count++] = (Bar){"effective MFU", BAR_TOTAL, 0, ladder->effective_mfu * 100};
    return count;
}

static void put_data(FILE *data, const Bar *bars, size_t count)
{
    static const char *const kinds[BAR_KINDS] = {"totals", "losses", "gains"};
    fprintf(data, "# percent of peak FLOP/s: position, from, to, change\n");
    for (int kind = 0; kind < BAR_KINDS; kind++) {
        fprintf(data, "%s# %s\n", kind > 0 ? "\n\n" : "", kinds[kind]);
        fprintf(data, "NaN NaN NaN NaN\n"); /* an empty block would shift the numbers of the next */
        for (size_t i = 0; i < count; i++)
            if (bars[i].kind == (BarKind)kind)
                fprintf(data, "%zu %.17g %.17g %.17g\n", i, fmin(bars[i].from, bars[i].to),
                        fmax(bars[i].from, bars[i].to), bars[i].to - bars[i].from);
    }
    /* connectors: from each bar's end down to the next bar */
    fprintf(data, "\n\n# connectors\nNaN NaN\n");
    for (size_t i = 0; i + 1 < count; i++)
        fprintf(data, "%.17g %.17g\n%.17g %.17g\n\n", bars[i].to, (double)i + 0.4, bars[i].to,
                (double)i + 0.6);
}

/* Values behind the bars. Bars that are too small to see keep their number too. */
static void put_values(FILE *script, const Bar *bars, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double change = bars[i].to - bars[i].from;
        const char *sign = bars[i].kind == BAR_TOTAL ? "" : change < 0 ? "-" : "+";
        fprintf(script, "set label %zu '%s%.*f' at %.6f,%zu left font ',11' textcolor rgb '%s'\n",
                i + 1, sign, fabs(change) < 0.05 ? 2 : 1, fabs(change),
                fmax(bars[i].from, bars[i].to) + 0.7, i, COLOR_INK);
    }
}

Status plot_waterfall(const PlotInput *input, FILE *script, FILE *data, Error *error)
{
    Bar bars[MAX_BARS];
    LossLadder ladder;
    char title[256], subtitle[384], origin[160];
    Status status = losses_ladder(input->forecast, &ladder, error);
    if (status != STATUS_OK)
        return status;
    size_t count = make_bars(&ladder, bars);
    put_data(data, bars, count);

    snprintf(title, sizeof title, "Of 100%% peak, %.1f%% is left in a step and %.1f%% over the run",
             ladder.step_mfu * 100, ladder.effective_mfu * 100);
    plot_origin(input, origin, sizeof origin);
    snprintf(subtitle, sizeof subtitle, "%.90s; %s", input->provenance->scenario, origin);
    gnuplot_begin(script, "step-waterfall", title, subtitle);
    fprintf(script,
            "set tmargin 5\nset bmargin 4\nset lmargin 25\nset rmargin 3\n"
            "set xrange [0:106]\nset yrange [%.1f:-0.6]\n"
            "set xlabel 'percent of peak FLOP/s'\nset xtics 20 format '%%.0f%%%%'\n"
            "set grid xtics linecolor rgb '#dddddd'\nunset key\n"
            "set ytics scale 0 (",
            (double)count - 0.4);
    for (size_t i = 0; i < count; i++) {
        fprintf(script, "%s", i > 0 ? ", " : "");
        gnuplot_quote(script, bars[i].label);
        fprintf(script, " %zu", i);
    }
    fprintf(script, ")\n");
    put_values(script, bars, count);
    fprintf(script,
            "plot 'step-waterfall.dat' index 3 using 1:2 with lines linecolor rgb '" COLOR_GREY
            "' linewidth 1");
    static const char *const colors[BAR_KINDS] = {COLOR_MAIN, COLOR_LOSS, COLOR_GAIN};
    for (int kind = 0; kind < BAR_KINDS; kind++)
        fprintf(script,
                ", \\\n     '' index %d using (($2+$3)/2):1:2:3:($1-0.4):($1+0.4) with boxxyerror "
                "fillstyle solid noborder linecolor rgb '%s'",
                kind, colors[kind]);
    fprintf(script, "\n");
    gnuplot_end(script);
    return STATUS_OK;
}
