#include "reports/plots.h"

#include "reports/claim_lookup.h"
#include "reports/format.h"
#include "reports/gnuplot.h"

#include <string.h>

static const struct {
    const char *name;
    PlotFigure figure;
} figures[] = {
    {"step-waterfall", plot_waterfall},
    {"step-timeline", plot_timeline},
    {"cost-days", plot_cost},
    {"failure-map", plot_failures},
};
enum { FIGURE_COUNT = sizeof figures / sizeof *figures };

void plot_origin(const PlotInput *input, char *text, size_t text_bytes)
{
    char runs[48];
    format_count((double)input->forecast->reps, runs, sizeof runs);
    snprintf(text, text_bytes, "%s run%s, seed %llu, sha256 %.12s, flopcast %s", runs,
             input->forecast->reps == 1 ? "" : "s", input->provenance->seed,
             input->provenance->sha256, PROGRAM_VERSION);
}

/* Script and data of one figure. */
static Status write_figure(const char *directory, size_t index, const PlotInput *input,
                           Error *error)
{
    TextFile script = {0}, data = {0};
    char name[64];
    Status status = files_begin(&script, error);
    if (status == STATUS_OK)
        status = files_begin(&data, error);
    if (status == STATUS_OK)
        status = figures[index].figure(input, script.out, data.out, error);
    if (status != STATUS_OK)
        goto cleanup;
    snprintf(name, sizeof name, "%s.dat", figures[index].name);
    status = files_finish(&data, directory, name, error);
    if (status != STATUS_OK)
        goto cleanup;
    snprintf(name, sizeof name, "%s.gp", figures[index].name);
    status = files_finish(&script, directory, name, error);
cleanup:
    files_abandon(&script);
    files_abandon(&data);
    return status;
}

/* All scripts and data are written even where gnuplot is missing or fails; the first failure is
 * reported. */
static Status make(const char *directory, const PlotInput *input, size_t *made, Error *error)
{
    Status worst = STATUS_OK;
    int missing = 0;
    Error problem;
    *made = 0;
    for (size_t i = 0; i < FIGURE_COUNT; i++) {
        Status status = write_figure(directory, i, input, &problem);
        if (status == STATUS_OK && !missing)
            status = gnuplot_run(directory, figures[i].name, &missing, &problem);
        if (status == STATUS_OK && !missing)
            (*made)++;
        if (status != STATUS_OK && worst == STATUS_OK) {
            worst = status;
            if (error != NULL)
                *error = problem;
        }
    }
    Status table =
        csv_failure_map(directory, input->scenario, input->forecast, input->provenance, &problem);
    if (table != STATUS_OK && worst == STATUS_OK) {
        worst = table;
        if (error != NULL)
            *error = problem;
    }
    if (missing)
        return error_set(error, STATUS_ENVIRONMENT,
                         "gnuplot not found: %d figures skipped (apt-get install gnuplot-nox)",
                         FIGURE_COUNT - (int)*made);
    return worst;
}

Status plots_train(const char *directory, const Scenario *scenario, const TrainForecast *forecast,
                   const Provenance *provenance, size_t *made, Error *error)
{
    const PlotInput input = {.scenario = scenario, .forecast = forecast, .provenance = provenance};
    *made = 0;
    if (!(forecast->step.seconds > 0))
        return STATUS_OK; /* the plan does not fit: there is no step to draw */
    return make(directory, &input, made, error);
}

static PublishedRange published(const AuditResult *audit, const char *metric)
{
    const ClaimResult *result = claim_about(audit, audit->headline->spec->name, metric);
    PublishedRange range = {0};
    if (result == NULL || (!result->claim->has_low && !result->claim->has_high))
        return range;
    range.has = 1;
    range.low = result->claim->has_low ? result->claim->low : result->claim->high;
    range.high = result->claim->has_high ? result->claim->high : result->claim->low;
    return range;
}

Status plots_audit(const char *directory, const AuditResult *audit, const Provenance *provenance,
                   size_t *made, Error *error)
{
    const AuditScenario *headline = audit->headline;
    *made = 0;
    if (headline == NULL || headline->scenario.kind != SCENARIO_TRAINING || headline->infeasible)
        return STATUS_OK;
    Provenance own = *provenance; /* the pictures show the headline's runs */
    own.scenario = headline->spec->scenario;
    snprintf(own.sha256, sizeof own.sha256, "%s", headline->sha256);
    const PlotInput input = {
        .scenario = &headline->scenario,
        .forecast = &headline->train,
        .provenance = &own,
        .days = published(audit, "run.days"),
        .cost_usd = published(audit, "cost.usd"),
        .mfu = published(audit, "run.mfu_effective_6nd"),
    };
    return make(directory, &input, made, error);
}
