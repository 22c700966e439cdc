#include "reports/ascii.h"
#include "reports/validation.h"

#include <math.h>
#include <string.h>

enum { WORST_ROWS = 15, CHOICES_SHOWN = 5, SKIP_KINDS_SHOWN = 20, WRAP_INDENT = 2 };

static void print_worst(FILE *out, const ValidationResult *result)
{
    size_t worst[WORST_ROWS];
    size_t count = validation_worst(result, worst, WORST_ROWS);
    char id[64];
    ascii_linef(out, "%-19s %-12s %5s %-19s %7s %7s %5s", "worst rows", "hardware", "GPUs",
                "layout", "meas.", "pred.", "error");
    for (size_t i = 0; i < count; i++) {
        const ValidatedRow *row = &result->rows[worst[i]];
        int decimals = row->measured < 1000 ? 1 : 0;
        ascii_copy(row->row->id, id, sizeof id);
        ascii_linef(out, "%-19.19s %-12.12s %5.0f %-19.19s %7.*f %7.*f %+4.0f%%", id, row->hardware,
                    row->setup[SETUP_GPUS], row->layout, decimals, row->measured, decimals,
                    row->predicted, 100 * row->error);
    }
}

static void print_statistics(FILE *out, const char *label, const ErrorStatistics *statistics)
{
    char text[64];
    ascii_copy(label, text, sizeof text);
    ascii_linef(out, "%-28.28s %6zu %7.1f%% %7.1f%% %7.1f%% %7.1f%% %+7.1f%%", text, statistics->n,
                100 * statistics->median_abs, 100 * statistics->mean_abs, 100 * statistics->p90_abs,
                100 * statistics->max_abs, 100 * statistics->bias);
}

static void print_groups(FILE *out, const ValidationResult *result)
{
    static const char *const TITLES[GROUP_KINDS] = {[GROUP_GPU] = "by hardware",
                                                    [GROUP_SOURCE] = "by source",
                                                    [GROUP_STACK] = "by stack",
                                                    [GROUP_MODEL] = "by model",
                                                    [GROUP_PRECISION] = "by precision"};
    ascii_linef(out, "%-28s %6s %8s %8s %8s %8s %8s", "errors", "rows", "median", "mean", "p90",
                "max", "bias");
    print_statistics(out, "all", &result->summary);
    for (int kind = 0; kind < GROUP_KINDS; kind++) {
        ascii_line(out, TITLES[kind]);
        for (size_t i = 0; i < result->group_count; i++)
            if (result->groups[i].kind == (GroupKind)kind) {
                char label[GROUP_LABEL_BYTES + 4];
                snprintf(label, sizeof label, "  %s", result->groups[i].label);
                print_statistics(out, label, &result->groups[i].statistics);
            }
    }
}

/* What is common to rows of one table cancels in their ratio. */
static void print_ratios(FILE *out, const ValidationResult *result)
{
    if (result->ratio_count == 0)
        return;
    ascii_linef(out, "%-28s %6s %8s %8s %8s %8s %8s", "ratios inside a table", "pairs", "median",
                "mean", "p90", "max", "bias");
    print_statistics(out, "all", &result->ratio_summary);
    for (int kind = 0; kind < RATIO_KINDS; kind++) {
        char label[32];
        if (result->ratio_kinds[kind].n == 0)
            continue;
        snprintf(label, sizeof label, "  %s", RATIO_KIND_NAMES[kind]);
        print_statistics(out, label, &result->ratio_kinds[kind]);
    }
    fputc('\n', out);
}

/* How much slower than the fastest measured layout of a job the one is that ranks first here. */
static void print_choices(FILE *out, const ValidationResult *result)
{
    if (result->choice_count == 0)
        return;
    ascii_linef(out, "regret of the layout ranked first: %.1f%% on average over %zu jobs, worst",
                100 * result->mean_regret, result->choice_count);
    for (size_t i = 0; i < result->choice_count && i < CHOICES_SHOWN; i++) {
        const LayoutChoice *choice = &result->choices[i];
        const ValidatedRow *picked = &result->rows[choice->picked];
        const ValidatedRow *best = &result->rows[choice->best];
        char picked_id[32], best_id[32];
        ascii_copy(picked->row->id, picked_id, sizeof picked_id);
        ascii_copy(best->row->id, best_id, sizeof best_id);
        ascii_linef(out, "  %5.1f%% of %2zu layouts: %-16.16s %7.5g, best %-16.16s %7.5g",
                    100 * choice->regret, choice->layouts, picked_id, choice->picked_measured,
                    best_id, choice->best_measured);
    }
    fputc('\n', out);
}

static void print_defaults(FILE *out, const ValidationResult *result)
{
    char text[1024] = "Taken from documented defaults (rows): ";
    int any = 0;
    for (int d = 0; d < MEASURED_DEFAULTS; d++) {
        size_t count = 0, used = strlen(text);
        for (size_t i = 0; i < result->row_count; i++)
            count += default_taken(&result->rows[i].defaults, (MeasuredDefault)d) != 0;
        if (count > 0)
            snprintf(text + used, sizeof text - used, "%s%s %zu", any ? ", " : "",
                     MEASURED_DEFAULT_NAMES[d], count);
        any = any || count > 0;
    }
    if (any)
        ascii_wrap(out, text, 0);
}

/* Rows that ran, so they must fit: each that is judged not to is a fault to be seen. */
static void print_not_fitting(FILE *out, const ValidationResult *result)
{
    char text[2048];
    if (result->not_fitting == 0)
        return;
    snprintf(text, sizeof text,
             "Ran, but judged not to fit in memory, %zu rows:", result->not_fitting);
    for (size_t i = 0; i < result->row_count; i++) {
        const ValidatedRow *row = &result->rows[i];
        size_t used = strlen(text);
        if (row->fits || used + 64 > sizeof text)
            continue;
        snprintf(text + used, sizeof text - used, " %.40s (%.0f of %.0f GB)", row->row->id,
                 row->memory_bytes / 1e9, row->capacity_bytes / 1e9);
    }
    ascii_wrap(out, text, 0);
}

static void print_skipped(FILE *out, const ValidationResult *result)
{
    if (result->skipped_count == 0)
        return;
    ascii_linef(out, "%zu rows skipped:", result->skipped_count);
    for (size_t i = 0; i < result->skip_kind_count && i < SKIP_KINDS_SHOWN; i++) {
        char line[SKIP_REASON_BYTES + 32], reason[SKIP_REASON_BYTES];
        ascii_copy(result->skip_kinds[i].example, reason, sizeof reason);
        snprintf(line, sizeof line, "%zu x %s", result->skip_kinds[i].count, reason);
        ascii_wrap(out, line, WRAP_INDENT);
    }
    if (result->skip_kind_count > SKIP_KINDS_SHOWN)
        ascii_linef(out, "  and %zu other reasons (--json lists every row)",
                    result->skip_kind_count - SKIP_KINDS_SHOWN);
}

void terminal_validation(FILE *out, const ValidationResult *result, const Provenance *provenance,
                         TerminalStyle style)
{
    print_worst(out, result);
    fputc('\n', out);
    print_groups(out, result);
    fputc('\n', out);
    print_ratios(out, result);
    print_choices(out, result);
    print_defaults(out, result);
    print_not_fitting(out, result);
    print_skipped(out, result);
    fputs(style_code(STYLE_FAINT, style.color), out);
    ascii_linef(out, "tokens/s/GPU; seed %llu, sha256 %.12s, flopcast %s%s", provenance->seed,
                provenance->sha256, PROGRAM_VERSION,
                provenance->set_count > 0 ? ", with --set" : "");
    fputs(style_code(STYLE_PLAIN, style.color), out);
}
