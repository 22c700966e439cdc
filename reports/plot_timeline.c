/* The pipeline of one step: what every stage does when, and when it does nothing. */
#include "reports/plots.h"

#include "reports/gnuplot.h"
#include "sim/training/schedule.h"

#include <math.h>

static const char *const block_names[] = {"idle", "forward", "backward", "data-parallel",
                                          "optimizer"};

static void put_span(FILE *data, unsigned stage, double start_s, double end_s)
{
    fprintf(data, "%u %.9g %.9g\n", stage, start_s, end_s);
}

static void begin_block(FILE *data, int block)
{
    fprintf(data, "%s# %s\nNaN NaN NaN\n", block > 0 ? "\n\n" : "", block_names[block]);
}

static void put_data(FILE *data, const StepResult *step, size_t stages)
{
    double reduced_s = step->makespan_s + step->breakdown.data_parallel_s;
    double end_s = reduced_s + step->breakdown.optimizer_s;
    fprintf(data, "# stage, start, end (seconds); idle lies behind the work\n");
    begin_block(data, 0);
    for (unsigned stage = 0; stage < stages; stage++)
        put_span(data, stage, 0, step->makespan_s);
    for (int backward = 0; backward < 2; backward++) {
        begin_block(data, 1 + backward);
        for (size_t i = 0; i < step->span_count; i++)
            if ((step->spans[i].backward != 0) == backward)
                put_span(data, step->spans[i].stage, step->spans[i].start_s, step->spans[i].end_s);
    }
    begin_block(data, 3);
    for (unsigned stage = 0; stage < stages && reduced_s > step->makespan_s; stage++)
        put_span(data, stage, step->makespan_s, reduced_s);
    begin_block(data, 4);
    for (unsigned stage = 0; stage < stages && end_s > reduced_s; stage++)
        put_span(data, stage, reduced_s, end_s);
}

Status plot_timeline(const PlotInput *input, FILE *script, FILE *data, Error *error)
{
    const StepResult *step = &input->forecast->step;
    const StepInput *plan = &input->forecast->step_input;
    char title[256], subtitle[384], origin[160];
    (void)error;
    double p = (double)plan->stages;
    double bubble = step_bubble_closed_form(plan->schedule, p, (double)plan->virtual_stages,
                                            (double)plan->microbatches);
    double end_s = step->makespan_s + step->breakdown.data_parallel_s + step->breakdown.optimizer_s;
    put_data(data, step, plan->stages);

    int length =
        snprintf(title, sizeof title, "%.1f%% of stage time is idle", step->bubble_fraction * 100);
    if (bubble >= 0.0)
        snprintf(title + length, sizeof title - (size_t)length,
                 "; equal stages without sends would idle %.1f%%", bubble * 100);
    plot_origin(input, origin, sizeof origin);
    snprintf(subtitle, sizeof subtitle, "%.60s: %zu stages x %zu microbatches, one replica; %s",
             input->provenance->scenario, plan->stages, plan->microbatches, origin);
    gnuplot_begin(script, "step-timeline", title, subtitle);
    fprintf(script,
            "set tmargin 5\nset bmargin 6.5\nset lmargin 8\nset rmargin 3\n"
            "set xrange [0:%.9g]\nset yrange [%.1f:-0.6]\n"
            "set xlabel 'seconds since the step began'\nset ylabel 'pipeline stage'\n"
            "set ytics %d scale 0\nset key at screen 0.5,0.035 center horizontal samplen 2\n"
            "set style fill solid border\n",
            end_s * 1.01, p - 0.4, plan->stages > 24 ? (int)ceil(p / 16) : 1);
    /* above some two thousand boxes a border would be all that is seen */
    const char *border = step->span_count > 2500 ? "noborder" : "border rgb 'white'";
    static const struct {
        const char *title, *color, *fill;
    } looks[] = {
        {"idle", "#777777", "pattern 4 noborder"},
        {"forward", COLOR_LIGHT, NULL},
        {"backward", COLOR_MAIN, NULL},
        {"data-parallel", COLOR_WARN, "solid noborder"},
        {"optimizer", COLOR_GAIN, "solid noborder"},
    };
    const int shown[] = {1, 1, 1, step->breakdown.data_parallel_s > 0,
                         step->breakdown.optimizer_s > 0};
    fprintf(script, "plot ");
    for (size_t i = 0; i < sizeof looks / sizeof *looks; i++) {
        if (!shown[i])
            continue;
        fprintf(script,
                "%s'%s' index %zu using (($2+$3)/2):1:2:3:($1-0.42):($1+0.42) with boxxyerror "
                "fillstyle %s%s linecolor rgb '%s' linewidth 0.4 title '%s'",
                i > 0 ? ", \\\n     " : "", i > 0 ? "" : "step-timeline.dat", i,
                looks[i].fill != NULL ? looks[i].fill : "solid ",
                looks[i].fill != NULL ? "" : border, looks[i].color, looks[i].title);
    }
    fprintf(script, "\n");
    gnuplot_end(script);
    return STATUS_OK;
}
