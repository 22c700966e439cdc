#include "reports/terminal_parts.h"

#include "reports/ascii.h"
#include "reports/format.h"

#include <math.h>
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

void terminal_drivers(FILE *out, const char *what, const Driver *drivers, size_t count)
{
    char line[LINE_BYTES];
    size_t shown = count < SHOWN_DRIVERS ? count : SHOWN_DRIVERS;
    if (count == 0) {
        ascii_linef(out, "%s moves with no uncertain input", what);
        return;
    }
    /* as much of the keys as fits on the line */
    for (size_t parts = 3; parts > 0; parts--) {
        int used = snprintf(line, sizeof line, "%s moves with", what);
        for (size_t i = 0; i < shown && used > 0 && (size_t)used < sizeof line; i++)
            used += snprintf(line + used, sizeof line - (size_t)used, "%s %s (%+.2f)",
                             i > 0 ? "," : "", path_tail(drivers[i].input, parts), drivers[i].rho);
        if (used <= SCREEN_COLUMNS)
            break;
    }
    ascii_line(out, line);
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
