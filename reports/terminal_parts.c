#include "reports/terminal_parts.h"

#include "hw/evidence.h"
#include "reports/ascii.h"
#include "reports/format.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BAR_COLUMNS = 30, SHOWN_DRIVERS = 3, HASH_DIGITS = 12 };

void terminal_bar(FILE *out, const char *label, const char *amount, double share, double largest)
{
    char bar[BAR_COLUMNS + 1];
    double length = largest > 0 ? share / largest * BAR_COLUMNS : 0;
    size_t columns = length > 0 ? (size_t)fmin(BAR_COLUMNS, floor(length + 0.5)) : 0;
    memset(bar, '#', columns);
    bar[columns] = '\0';
    ascii_linef(out, "  %-24s %10s %6.1f%%  %s", label, amount, share * 100, bar);
}

void terminal_step_bars(FILE *out, const TrainForecast *forecast, size_t limit)
{
    Loss losses[MAX_LOSSES];
    size_t count = losses_of_step(forecast, losses);
    for (size_t i = 1; i < count; i++) { /* insertion sort, largest first, stable */
        Loss moved = losses[i];
        size_t at = i;
        for (; at > 0 && losses[at - 1].share < moved.share; at--)
            losses[at] = losses[at - 1];
        losses[at] = moved;
    }
    for (size_t i = 0; i < count && i < limit; i++) {
        char amount[64];
        format_quantity(losses[i].seconds, "s", amount, sizeof amount);
        terminal_bar(out, losses[i].label, amount, losses[i].share, losses[0].share);
    }
}

/* The last `parts` parts of a dotted path. */
static const char *path_tail(const char *path, size_t parts)
{
    const char *at = path + strlen(path);
    while (at > path && !(at[-1] == '.' && --parts == 0))
        at--;
    return at;
}

static size_t driver_line(const char *what, const Driver *drivers, const size_t *parts,
                          size_t count, char *line, size_t line_bytes)
{
    int used = snprintf(line, line_bytes, "%s moves with", what);
    for (size_t i = 0; i < count && used > 0 && (size_t)used < line_bytes; i++)
        used += snprintf(line + used, line_bytes - (size_t)used, "%s %s (%+.2f)", i > 0 ? "," : "",
                         path_tail(drivers[i].input, parts[i]), drivers[i].rho);
    return used > 0 ? (size_t)used : 0;
}

/* "reliability.classes.0.rate" -> "reliability.classes.node.rate" */
static void name_class(const Scenario *scenario, Driver *driver)
{
    static const char prefix[] = "reliability.classes.";
    const size_t length = sizeof prefix - 1;
    char *end = NULL, rest[METRIC_NAME_BYTES];
    if (strncmp(driver->input, prefix, length) != 0)
        return;
    unsigned long index = strtoul(driver->input + length, &end, 10);
    if (end == driver->input + length || *end != '.' || index >= scenario->reliability.class_count)
        return;
    snprintf(rest, sizeof rest, "%s", end);
    snprintf(driver->input + length, sizeof driver->input - length, "%.30s%.40s",
             scenario->reliability.classes[index].name, rest);
}

void terminal_drivers(FILE *out, const char *what, const Scenario *scenario, const Driver *found,
                      size_t count)
{
    char line[LINE_BYTES];
    Driver drivers[SHOWN_DRIVERS];
    size_t parts[SHOWN_DRIVERS] = {1, 1, 1};
    size_t shown = count < SHOWN_DRIVERS ? count : SHOWN_DRIVERS;
    if (count == 0) {
        ascii_linef(out, "%s moves with no uncertain input", what);
        return;
    }
    for (size_t i = 0; i < shown; i++) {
        drivers[i] = found[i];
        name_class(scenario, &drivers[i]);
    }
    /* The last word of each key, then as much more as the line has room for, shortest name first:
     * "rate" says less than "kernel_overhead" does. */
    for (int round = 0; round < 3; round++) {
        size_t extended[SHOWN_DRIVERS] = {0};
        for (size_t turn = 0; turn < shown; turn++) {
            size_t shortest = shown;
            for (size_t i = 0; i < shown; i++)
                if (!extended[i] &&
                    (shortest == shown ||
                     strlen(path_tail(drivers[i].input, parts[i])) <
                         strlen(path_tail(drivers[shortest].input, parts[shortest]))))
                    shortest = i;
            extended[shortest] = 1;
            parts[shortest]++;
            if (driver_line(what, drivers, parts, shown, line, sizeof line) > SCREEN_COLUMNS)
                parts[shortest]--;
        }
    }
    driver_line(what, drivers, parts, shown, line, sizeof line);
    ascii_line(out, line);
}

void terminal_quantity(FILE *out, const char *label, double value, const char *unit)
{
    char text[64];
    format_quantity(value, unit, text, sizeof text);
    ascii_linef(out, "  %-26s %s", label, text);
}

void terminal_midpoints(FILE *out, const Scenario *scenario)
{
    if (scenario->uncertain_count > 0)
        ascii_linef(out, "%zu uncertain inputs stand at their midpoints",
                    scenario->uncertain_count);
}

void terminal_provenance(FILE *out, const Provenance *provenance, TerminalStyle style)
{
    fputs(style_code(STYLE_FAINT, style.color), out);
    ascii_linef(out, "%zu runs, seed %llu, sha256 %.*s, flopcast %s%s", provenance->reps,
                provenance->seed, HASH_DIGITS, provenance->sha256, PROGRAM_VERSION,
                provenance->set_count > 0 ? ", with --set" : "");
    fputs(style_code(STYLE_PLAIN, style.color), out);
}

void terminal_metric(const MetricSet *metrics, const char *name, char *text, size_t text_bytes)
{
    const Metric *metric = metrics_find(metrics, name);
    Summary summary;
    if (metric == NULL || metrics_summary(metric, &summary, NULL) != STATUS_OK)
        snprintf(text, text_bytes, "-");
    else
        format_summary(&summary, metric_display_unit(metric), text, text_bytes);
}

/* "matrix products, copies": the kinds of one tier. 0: none. */
static int list_kinds(const GpuSpec *gpu, EvidenceTier wanted, char *text, size_t text_bytes)
{
    size_t length = 0;
    text[0] = '\0';
    for (int kind = 0; kind < EVIDENCE_KINDS; kind++) {
        EvidenceTier tier;
        if (!gpu_evidence_of(gpu, (EvidenceKind)kind, &tier) || tier != wanted)
            continue;
        const int written = snprintf(text + length, text_bytes - length, "%s%s",
                                     length > 0 ? ", " : "", EVIDENCE_KIND_NAMES[kind]);
        if (written < 0 || (size_t)written >= text_bytes - length)
            break;
        length += (size_t)written;
    }
    return length > 0;
}

void terminal_evidence(FILE *out, const GpuSpec *gpu)
{
    const CalibrationSpec *profile = &gpu->calibration;
    char kinds[160];
    if (profile->gpu[0] == '\0')
        return;
    ascii_linef(out, "times of one GPU rest on: %s, profile %s (%s)",
                EVIDENCE_NAMES[gpu_evidence(gpu)], profile->name, profile->device);
    for (int tier = TIER_MEASURED; tier >= TIER_DATASHEET; tier--)
        if (list_kinds(gpu, (EvidenceTier)tier, kinds, sizeof kinds))
            ascii_linef(out, "  %s: %s", EVIDENCE_NAMES[tier], kinds);
}
