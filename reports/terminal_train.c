#include "reports/terminal.h"

#include "models/architecture.h"
#include "reports/ascii.h"
#include "reports/format.h"
#include "reports/terminal_parts.h"
#include "sim/training/course_run.h"

#include <string.h>

enum { SHOWN_PARTS = 7, SHOWN_LEDGER = 11, DROPPED_BYTES = 156 };

static void print_answer(FILE *out, const MetricSet *metrics)
{
    static const struct {
        const char *label, *metric;
    } rows[] = {
        {"duration", "run.days"},
        {"cost", "cost.usd"},
        {"effective MFU", "run.mfu_effective"},
        {"effective MFU (6ND)", "run.mfu_effective_6nd"},
        {"goodput", "run.goodput"},
        {"failures", "run.failures"},
        {"energy", "cost.energy_kwh"},
    };
    ascii_linef(out, "  %-22s %s", "", "median [p5 .. p95]");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[160];
        if (metrics_find(metrics, rows[i].metric) == NULL)
            continue;
        terminal_metric(metrics, rows[i].metric, text, sizeof text);
        ascii_linef(out, "  %-22s %s", rows[i].label, text);
    }
}

static void print_memory(FILE *out, const MemoryPlan *memory)
{
    char need[64], have[64], weights[64], gradients[64], optimizer[64], activations[64];
    format_quantity(memory->worst.total_bytes, "bytes", need, sizeof need);
    format_quantity(memory->capacity_bytes, "bytes", have, sizeof have);
    format_quantity(memory->worst.weights_bytes, "bytes", weights, sizeof weights);
    format_quantity(memory->worst.gradients_bytes, "bytes", gradients, sizeof gradients);
    format_quantity(memory->worst.optimizer_bytes, "bytes", optimizer, sizeof optimizer);
    format_quantity(memory->worst.activations_bytes, "bytes", activations, sizeof activations);
    ascii_linef(out, "memory: stage %zu of %zu needs %s of %s per GPU", memory->worst_stage + 1,
                memory->stages, need, have);
    ascii_linef(out, "        weights %s, gradients %s, optimizer %s", weights, gradients,
                optimizer);
    ascii_linef(out, "        activations %s, the rest framework and buffers", activations);
}

static void print_step(FILE *out, const TrainForecast *forecast)
{
    const StepResult *step = &forecast->step;
    char seconds[64], tokens[64];
    format_quantity(step->seconds, "s", seconds, sizeof seconds);
    format_quantity(step->tokens, "tokens", tokens, sizeof tokens);
    ascii_linef(out, "step: %s for %s, MFU %.1f%%, HFU %.1f%%", seconds, tokens, step->mfu * 100,
                step->hfu * 100);
    ascii_linef(out, "      %.0f TFLOP/s per GPU, pipeline idle %.1f%%; where the time goes:",
                step->tflops_per_gpu, step->bubble_fraction * 100);
    terminal_step_bars(out, forecast, SHOWN_PARTS);
}

static void print_lost_hours(FILE *out, const MetricSet *metrics)
{
    static const char prefix[] = "run.lost_hours.";
    char line[LINE_BYTES];
    int used = snprintf(line, sizeof line, "hours lost (mean):");
    size_t shown = 0;
    for (size_t i = 0; i < metrics->count && shown < SHOWN_LEDGER; i++) {
        const Metric *metric = &metrics->metrics[i];
        Summary summary;
        if (strncmp(metric->name, prefix, sizeof prefix - 1) != 0 ||
            metrics_summary(metric, &summary, NULL) != STATUS_OK || !(summary.mean > 0))
            continue;
        if (used > 0 && (size_t)used < sizeof line)
            used += snprintf(line + used, sizeof line - (size_t)used, "%s %s %.0f",
                             shown > 0 ? "," : "", metric->name + sizeof prefix - 1, summary.mean);
        shown++;
    }
    for (char *c = line; *c != '\0'; c++)
        if (*c == '_')
            *c = ' ';
    if (shown > 0)
        ascii_wrap(out, line, 0);
}

/* One line a phase: what it trains, how fast, and what it takes. */
static void print_course(FILE *out, const Scenario *scenario, const MetricSet *metrics)
{
    static const char *const columns[] = {"tokens", "batch_tokens", "step_s",
                                          "gpus",   "days",         "cost_usd"};
    enum { COLUMNS = sizeof columns / sizeof *columns };
    if (scenario->course_count == 0)
        return;
    ascii_linef(out, "%-24s %8s %8s %8s %7s %8s %8s", "phase (medians)", "tokens", "batch", "step",
                "GPUs", "days", "cost");
    for (size_t i = 0; i < scenario->course_count; i++) {
        char text[COLUMNS][64], name[METRIC_NAME_BYTES], label[NAME_BYTES];
        for (size_t c = 0; c < COLUMNS; c++) {
            Summary summary;
            course_metric_name(&scenario->course[i], columns[c], name, sizeof name);
            const Metric *metric = metrics_find(metrics, name);
            snprintf(text[c], sizeof text[c], "-");
            if (metric == NULL || metrics_summary(metric, &summary, NULL) != STATUS_OK)
                continue;
            if (strcmp(columns[c], "days") == 0)
                snprintf(text[c], sizeof text[c], "%.1f", summary.p50);
            else if (strcmp(columns[c], "gpus") == 0)
                snprintf(text[c], sizeof text[c], "%.0f", summary.p50);
            else
                format_quantity(summary.p50,
                                strcmp(columns[c], "step_s") == 0 ? "s"
                                : c == COLUMNS - 1                ? "USD"
                                                                  : "",
                                text[c], sizeof text[c]);
        }
        ascii_copy(scenario->course[i].name, label, sizeof label);
        ascii_linef(out, "%-24.24s %8.8s %8.8s %8.8s %7.7s %8.8s %8.8s", label, text[0], text[1],
                    text[2], text[3], text[4], text[5]);
    }
}

/* Means, since only means of the lines add up to the mean of the whole. */
static void print_cost_lines(FILE *out, const MetricSet *metrics)
{
    static const char prefix[] = "cost.items_usd.";
    char line[LINE_BYTES], amount[64];
    const Metric *all = metrics_find(metrics, "cost.usd");
    Summary summary, total;
    size_t shown = 0;
    if (all == NULL || metrics_summary(all, &total, NULL) != STATUS_OK || !(total.mean > 0))
        return;
    format_quantity(total.mean, "USD", amount, sizeof amount);
    int used = snprintf(line, sizeof line, "cost (mean) %s:", amount);
    for (size_t i = 0; i < metrics->count; i++) {
        const Metric *metric = &metrics->metrics[i];
        if (strncmp(metric->name, prefix, sizeof prefix - 1) != 0 ||
            metrics_summary(metric, &summary, NULL) != STATUS_OK || !(summary.mean > 0))
            continue;
        format_quantity(summary.mean, "USD", amount, sizeof amount);
        if (used > 0 && (size_t)used < sizeof line)
            used += snprintf(line + used, sizeof line - (size_t)used, "%s %s %s (%.0f%%)",
                             shown > 0 ? "," : "", metric->name + sizeof prefix - 1, amount,
                             100 * summary.mean / total.mean);
        shown++;
    }
    ascii_wrap(out, line, 0);
}

/* What was left out of the draws, cut to a few lines: JSON has all of it. */
static void print_dropped(FILE *out, const TrainForecast *forecast)
{
    char line[DROPPED_BYTES];
    if (forecast->dropped_choices == 0)
        return;
    int length = snprintf(line, sizeof line, "left out of the draws: %s", forecast->dropped_note);
    if (length >= (int)sizeof line)
        memcpy(line + sizeof line - 4, "...", 4);
    char text[DROPPED_BYTES];
    ascii_copy(line, text, sizeof text);
    ascii_wrap(out, text, 0);
}

void terminal_train(FILE *out, const Scenario *scenario, const TrainForecast *forecast,
                    const Provenance *provenance, TerminalStyle style)
{
    Driver drivers[MAX_DRIVERS];
    char title[TITLE_BYTES], gpus[48];
    size_t driver_count = drivers_find(&forecast->metrics, "run.days", drivers, MAX_DRIVERS);
    format_count(scenario->hardware.gpus, gpus, sizeof gpus);
    ascii_copy(scenario->title[0] != '\0' ? scenario->title : scenario->name, title, sizeof title);
    fputs(style_code(STYLE_STRONG, style.color), out);
    ascii_line(out, title);
    fputs(style_code(STYLE_PLAIN, style.color), out);
    ascii_linef(out, "%s GPUs %s: TP %.0f x PP %.0f x DP %.0f, %zu microbatches", gpus,
                scenario->hardware.gpu.name, scenario->training.parallel.tensor,
                scenario->training.parallel.pipeline, scenario->training.parallel.data,
                forecast->step_input.microbatches);
    terminal_evidence(out, &scenario->hardware.gpu);
    print_answer(out, &forecast->metrics);
    print_step(out, forecast);
    print_course(out, scenario, &forecast->metrics);
    print_lost_hours(out, &forecast->metrics);
    print_cost_lines(out, &forecast->metrics);
    print_memory(out, &forecast->memory);
    print_dropped(out, forecast);
    terminal_drivers(out, "duration", scenario, drivers, driver_count);
    terminal_provenance(out, provenance, style);
    ascii_linef(out, "next: flopcast show %s | flopcast train %s --report --out DIR",
                provenance->scenario, provenance->scenario);
}
