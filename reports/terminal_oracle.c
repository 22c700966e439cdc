#include "reports/ascii.h"
#include "reports/oracle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_SHOWN = 8, FAILED_SHOWN = 30, NOTES_SHOWN = 20, WRAP_INDENT = 2 };

static void row_header(FILE *out, const char *title)
{
    ascii_linef(out, "%-8s %-20s %12s %8s %11s %8s %6s", title, "model", "value", "error",
                "simulated", "+-", "z");
}

static void print_row(FILE *out, const OracleRow *row)
{
    char id[64], simulated[16] = "-", deviation[16] = "-", z[16] = "-";
    ascii_copy(row->id, id, sizeof id);
    if (row->has_simulation) {
        snprintf(simulated, sizeof simulated, "%.6g", row->simulated);
        snprintf(deviation, sizeof deviation, "%.2g", row->standard_error);
        snprintf(z, sizeof z, fabs(row->z) < 1e3 ? "%+.2f" : "%+.0e", row->z);
    }
    ascii_linef(out, "%-8.8s %-20.20s %12.9g %8.1e %11s %8s %6s", id, row->model, row->expected,
                row->error, simulated, deviation, z);
}

/* The row whose simulation is furthest from the value, in standard errors, of those that come after
 * `last` in that order (NULL: of all). */
static const OracleRow *next_largest(const OracleResult *result, const OracleRow *last)
{
    const OracleRow *largest = NULL;
    for (size_t i = 0; i < result->row_count; i++) {
        const OracleRow *row = &result->rows[i];
        int after = last == NULL || fabs(row->z) < fabs(last->z) ||
                    (fabs(row->z) >= fabs(last->z) && fabs(row->z) <= fabs(last->z) && row > last);
        if (row->has_simulation && after && (largest == NULL || fabs(row->z) > fabs(largest->z)))
            largest = row;
    }
    return largest;
}

static void print_largest(FILE *out, const OracleResult *result)
{
    const OracleRow *row = next_largest(result, NULL);
    if (row == NULL)
        return;
    row_header(out, "largest");
    for (int i = 0; i < LARGEST_SHOWN && row != NULL; i++) {
        print_row(out, row);
        row = next_largest(result, row);
    }
    fputc('\n', out);
}

static void print_failed(FILE *out, const OracleResult *result)
{
    size_t failed = result->row_count - result->ok, shown = 0;
    if (failed == 0)
        return;
    row_header(out, "NOT OK");
    for (size_t i = 0; i < result->row_count && shown < FAILED_SHOWN; i++) {
        if (result->rows[i].ok)
            continue;
        print_row(out, &result->rows[i]);
        shown++;
    }
    if (shown < failed)
        ascii_linef(out, "  and %zu more (--json lists every row)", failed - shown);
    fputc('\n', out);
}

static void print_groups(FILE *out, const OracleResult *result)
{
    ascii_linef(out, "%-24s %6s %6s %12s %10s %10s", "model", "rows", "ok", "max error",
                "simulated", "largest z");
    for (size_t i = 0; i < result->group_count; i++) {
        const OracleGroup *group = &result->groups[i];
        char z[16] = "-";
        if (group->simulated > 0)
            snprintf(z, sizeof z, "%.2f", group->max_abs_z);
        ascii_linef(out, "%-24s %6zu %6zu %12.1e %10zu %10s", group->model, group->rows, group->ok,
                    group->max_abs_error, group->simulated, z);
    }
    ascii_linef(out, "%-24s %6zu %6zu %12.1e %10zu %10.2f", "all", result->row_count, result->ok,
                result->summary.max_abs, result->simulated, result->max_abs_z);
    fputc('\n', out);
}

/* Rows that are ok only because their parameters are printed with few digits. */
static void print_rounded(FILE *out, const OracleResult *result)
{
    char text[1024] = "";
    size_t rounded = 0;
    for (size_t i = 0; i < result->row_count; i++) {
        const OracleRow *row = &result->rows[i];
        size_t used = strlen(text);
        if (!(row->ok && fabs(row->error) > ORACLE_RELATIVE))
            continue;
        if (used + 100 < sizeof text)
            snprintf(text + used, sizeof text - used, " %.40s (%.0e of %.0e)", row->id,
                     fabs(row->error), row->allowed_error);
        rounded++;
    }
    if (rounded > 0) {
        ascii_linef(out,
                    "Within what the rounding of their parameters leaves open, %zu rows:", rounded);
        ascii_wrap(out, text + 1, WRAP_INDENT);
    }
}

static void print_notes(FILE *out, const OracleResult *result)
{
    size_t shown = 0;
    for (size_t i = 0; i < result->row_count && shown < NOTES_SHOWN; i++) {
        const OracleRow *row = &result->rows[i];
        char line[ORACLE_NOTE_BYTES + 80], id[64], note[ORACLE_NOTE_BYTES];
        if (row->note[0] == '\0')
            continue;
        ascii_copy(row->id, id, sizeof id);
        ascii_copy(row->note, note, sizeof note);
        snprintf(line, sizeof line, "%s: %s", id, note);
        ascii_wrap(out, line, WRAP_INDENT);
        shown++;
    }
    if (shown < result->not_simulated)
        ascii_linef(out, "  and %zu more that were not simulated", result->not_simulated - shown);
}

static void print_skipped(FILE *out, const OracleResult *result)
{
    size_t shown = 0;
    if (result->skipped_count > 0)
        ascii_linef(out, "%zu rows skipped:", result->skipped_count);
    for (; shown < result->skipped_count && shown < NOTES_SHOWN; shown++) {
        const SkippedRow *row = &result->skipped[shown];
        char line[SKIP_REASON_BYTES + 96], id[64], reason[SKIP_REASON_BYTES];
        ascii_copy(row->id, id, sizeof id);
        ascii_copy(row->reason, reason, sizeof reason);
        snprintf(line, sizeof line, "line %d (%s): %s", row->line, id, reason);
        ascii_wrap(out, line, WRAP_INDENT);
    }
    if (shown < result->skipped_count)
        ascii_linef(out, "  and %zu more (--json lists every row)", result->skipped_count - shown);
}

void terminal_oracle(FILE *out, const OracleResult *result, const Provenance *provenance,
                     TerminalStyle style)
{
    int good = result->ok == result->row_count;
    fputs(style_code(good ? STYLE_GOOD : STYLE_BAD, style.color), out);
    ascii_linef(out, "%zu of %zu rows ok: closed form within %.0e, simulation within %.0f s.e.",
                result->ok, result->row_count, ORACLE_RELATIVE, ORACLE_STANDARD_ERRORS);
    fputs(style_code(STYLE_PLAIN, style.color), out);
    fputc('\n', out);
    print_failed(out, result);
    print_largest(out, result);
    print_groups(out, result);
    print_rounded(out, result);
    print_notes(out, result);
    print_skipped(out, result);
    fputs(style_code(STYLE_FAINT, style.color), out);
    ascii_linef(out, "mean z^2 %.2f; %zu replications a row, seed %llu, sha256 %.12s, flopcast %s",
                result->mean_z2, result->replications, provenance->seed, provenance->sha256,
                PROGRAM_VERSION);
    fputs(style_code(STYLE_PLAIN, style.color), out);
}
