#include "reports/terminal.h"

#include "reports/ascii.h"
#include "reports/claim_lookup.h"
#include "reports/format.h"
#include "reports/terminal_parts.h"

#include <string.h>

enum { MAX_ROWS = 8, MAX_HIGHLIGHTS = 3, SHOWN_PARTS = 5 };

/* One line of the first screen's table. */
typedef struct Row {
    char label[64];
    Summary simulated;
    char unit[METRIC_UNIT_BYTES];
    const ClaimResult *claim; /* NULL: nothing was published about it */
} Row;

typedef struct Quantity {
    const char *metric, *label;
} Quantity;

/* What the headline scenario is asked first; of two conventions of one quantity, the one that a
 * claim is about, else the first. */
static const Quantity duration[] = {{"run.days", "duration"}};
static const Quantity cost[] = {{"cost.usd", "cost"}};
static const Quantity mfu[] = {{"run.mfu_effective_6nd", "effective MFU (6ND)"},
                               {"run.mfu_effective", "effective MFU"}};
static const Quantity goodput[] = {{"run.goodput", "goodput"}};
static const struct {
    const Quantity *choices;
    size_t count;
} headline_rows[] = {{duration, 1}, {cost, 1}, {mfu, 2}, {goodput, 1}};

/* What is shown of other scenarios where a claim is about it. */
static const Quantity other_rows[] = {
    {"run.days", "duration"}, {"cost.usd", "cost"}, {"cost.usd_per_1k_tokens", "$/1k tokens"}};

static const StyleRole verdict_roles[VERDICT_COUNT] = {
    [VERDICT_REPRODUCED] = STYLE_GOOD,
    [VERDICT_EXPLAINED] = STYLE_WARN,
    [VERDICT_CONTRADICTED] = STYLE_BAD,
    [VERDICT_UNTESTABLE] = STYLE_FAINT,
};

static int fill_row(const AuditScenario *entry, const Quantity *quantity, const char *prefix,
                    const ClaimResult *claim, Row *row)
{
    const Metric *metric =
        entry->metrics != NULL ? metrics_find(entry->metrics, quantity->metric) : NULL;
    if (metric == NULL || metrics_summary(metric, &row->simulated, NULL) != STATUS_OK)
        return 0;
    snprintf(row->label, sizeof row->label, "%s%s%s", prefix, prefix[0] != '\0' ? " " : "",
             quantity->label);
    snprintf(row->unit, sizeof row->unit, "%s", metric_display_unit(metric));
    row->claim = claim;
    return 1;
}

static size_t headline_table(const AuditResult *audit, Row *rows)
{
    const AuditScenario *entry = audit->headline;
    size_t count = 0;
    for (size_t i = 0; i < sizeof headline_rows / sizeof *headline_rows; i++) {
        const Quantity *chosen = NULL;
        const ClaimResult *claim = NULL;
        for (size_t c = 0; c < headline_rows[i].count && claim == NULL; c++) {
            const Quantity *choice = &headline_rows[i].choices[c];
            claim = claim_about(audit, entry->spec->name, choice->metric);
            int known =
                entry->metrics != NULL && metrics_find(entry->metrics, choice->metric) != NULL;
            if (claim != NULL || (chosen == NULL && known))
                chosen = choice;
        }
        if (chosen != NULL)
            count += (size_t)fill_row(entry, chosen, "", claim, &rows[count]);
    }
    return count;
}

static size_t other_table(const AuditResult *audit, Row *rows, size_t count)
{
    for (size_t i = 0; i < audit->scenario_count; i++) {
        const AuditScenario *entry = &audit->scenarios[i];
        for (size_t q = 0; q < sizeof other_rows / sizeof *other_rows; q++) {
            const ClaimResult *claim = claim_about(audit, entry->spec->name, other_rows[q].metric);
            if (entry != audit->headline && claim != NULL && count < MAX_ROWS)
                count +=
                    (size_t)fill_row(entry, &other_rows[q], entry->spec->name, claim, &rows[count]);
        }
    }
    return count;
}

/* A claim file about anything else: its first claims that have a number. */
static size_t first_claims(const AuditResult *audit, Row *rows)
{
    size_t count = 0;
    for (size_t i = 0; i < audit->file->claim_count && count < MAX_ROWS; i++) {
        const ClaimResult *result = &audit->claims[i];
        if (!result->has_simulated)
            continue;
        Row *row = &rows[count++];
        snprintf(row->label, sizeof row->label, "%s %.40s", result->claim->id,
                 result->claim->claim);
        snprintf(row->unit, sizeof row->unit, "%.*s", (int)sizeof row->unit - 1,
                 result->claim->unit);
        row->simulated = result->simulated;
        row->claim = result;
    }
    return count;
}

static void print_row(FILE *out, const Row *row, TerminalStyle style)
{
    char simulated[160], published[160] = "-", label[64], line[LINE_BYTES];
    format_summary(&row->simulated, row->unit, simulated, sizeof simulated);
    if (row->claim != NULL)
        format_claim_range(row->claim->claim, published, sizeof published);
    ascii_copy(row->label, label, sizeof label);
    snprintf(line, sizeof line, "%-22.22s %-29.29s %-14.14s", label, simulated, published);
    if (row->claim == NULL)
        ascii_line(out, line);
    else
        fprintf(out, "%s %s%s%s\n", line,
                style_code(verdict_roles[row->claim->verdict], style.color),
                verdict_name(row->claim->verdict), style_code(STYLE_PLAIN, style.color));
}

static void print_where_time_goes(FILE *out, const AuditResult *audit)
{
    const AuditScenario *entry = audit->headline;
    if (entry == NULL || entry->scenario.kind != SCENARIO_TRAINING || entry->infeasible)
        return;
    char seconds[64];
    format_quantity(entry->train.step.seconds, "s", seconds, sizeof seconds);
    ascii_linef(out, "where one step's %s go (inputs at the middle of their ranges)", seconds);
    terminal_step_bars(out, &entry->train, SHOWN_PARTS);
}

/* Values that a claim asks to be seen at once, under the answer that they explain. */
static void print_highlights(FILE *out, const AuditResult *audit)
{
    size_t printed = 0;
    for (size_t i = 0; i < audit->file->claim_count; i++) {
        const ClaimResult *result = &audit->claims[i];
        for (size_t e = 0; e < result->claim->evidence_count; e++) {
            const ClaimEvidence *evidence = &result->claim->evidence[e];
            char value[160];
            if (!evidence->on_screen || printed == MAX_HIGHLIGHTS)
                continue;
            format_summary(&result->evidence[e], evidence->unit, value, sizeof value);
            ascii_linef(out, "  %s: %s", evidence->label, value);
            printed++;
        }
    }
}

static void print_verdicts(FILE *out, const AuditResult *audit, TerminalStyle style)
{
    fprintf(out, "%zu claims:", audit->file->claim_count);
    for (int v = 0; v < VERDICT_COUNT; v++)
        fprintf(out, "%s %zu %s%s%s", v > 0 ? "," : "", audit->verdicts[v],
                style_code(verdict_roles[v], style.color), verdict_name((Verdict)v),
                style_code(STYLE_PLAIN, style.color));
    fputc('\n', out);
}

static void print_title(FILE *out, const char *title, TerminalStyle style)
{
    fputs(style_code(STYLE_STRONG, style.color), out);
    ascii_line(out, title);
    fputs(style_code(STYLE_PLAIN, style.color), out);
}

void terminal_audit_screen(FILE *out, const AuditResult *audit, const Provenance *provenance,
                           TerminalStyle style)
{
    Row rows[MAX_ROWS];
    size_t count = 0;
    print_title(out, audit->file->title, style);
    if (audit->headline != NULL)
        count = other_table(audit, rows, headline_table(audit, rows));
    if (count == 0)
        count = first_claims(audit, rows);
    if (audit->headline != NULL && audit->headline->infeasible)
        ascii_linef(out, "%s does not fit: %s", audit->headline->spec->scenario,
                    audit->headline->reason);
    ascii_linef(out, "%-22s %-29s %-14s %s", "", "simulated p50 [p5 .. p95]", "published",
                "verdict");
    for (size_t i = 0; i < count; i++)
        print_row(out, &rows[i], style);
    print_highlights(out, audit);
    print_where_time_goes(out, audit);
    print_verdicts(out, audit, style);
    if (audit->headline != NULL && audit->headline->scenario.kind == SCENARIO_TRAINING)
        terminal_drivers(out, "duration", &audit->headline->scenario, audit->drivers,
                         audit->driver_count);
    terminal_provenance(out, provenance, style);
    if (audit->headline != NULL)
        ascii_linef(out, "next: flopcast %s %s | flopcast audit %s --json",
                    audit->headline->scenario.kind == SCENARIO_TRAINING ? "train" : "serve",
                    audit->headline->spec->scenario, provenance->scenario);
}

static void print_claim(FILE *out, const ClaimResult *result, TerminalStyle style)
{
    const Claim *claim = result->claim;
    char text[REASON_BYTES], published[160];
    snprintf(text, sizeof text, "%s  %s", claim->id, claim->claim);
    fputs(style_code(STYLE_STRONG, style.color), out);
    ascii_line(out, text);
    fputs(style_code(STYLE_PLAIN, style.color), out);
    format_claim_range(claim, published, sizeof published);
    ascii_linef(out, "     published: %s%s%s%s", published, claim->source[0] != '\0' ? "  (" : "",
                claim->source, claim->source[0] != '\0' ? ")" : "");
    if (result->has_simulated) {
        char simulated[160];
        /* a statement is held by the share of draws in which it is true */
        const char *unit = claim->holds[0] != '\0' ? "fraction" : claim->unit;
        format_summary(&result->simulated, unit, simulated, sizeof simulated);
        ascii_linef(out, "     simulated: %s%s", simulated,
                    claim->holds[0] != '\0' ? " of draws in which it holds" : "");
    }
    fprintf(out, "     verdict:   %s%s%s\n",
            style_code(verdict_roles[result->verdict], style.color), verdict_name(result->verdict),
            style_code(STYLE_PLAIN, style.color));
    ascii_copy(result->reason, text, sizeof text);
    ascii_wrap(out, text, 5);
    fputc('\n', out);
}

static int topic_seen(const AuditResult *audit, size_t claim)
{
    for (size_t i = 0; i < claim; i++)
        if (strcmp(audit->claims[i].claim->topic, audit->claims[claim].claim->topic) == 0)
            return 1;
    return 0;
}

void terminal_audit_full(FILE *out, const AuditResult *audit, const Provenance *provenance,
                         TerminalStyle style)
{
    print_title(out, audit->file->title, style);
    print_verdicts(out, audit, style);
    terminal_provenance(out, provenance, style);
    for (size_t i = 0; i < audit->scenario_count; i++) {
        const AuditScenario *entry = &audit->scenarios[i];
        ascii_linef(out, "scenario %s = %s, sha256 %.12s%s", entry->spec->name,
                    entry->spec->scenario, entry->sha256,
                    entry->infeasible ? ", does not fit" : "");
        for (size_t s = 0; s < entry->spec->set_count; s++)
            ascii_linef(out, "    --set %s", entry->spec->sets[s]);
    }
    fputc('\n', out);
    for (size_t first = 0; first < audit->file->claim_count; first++) {
        const char *topic = audit->claims[first].claim->topic;
        if (topic_seen(audit, first))
            continue;
        ascii_linef(out, "== %s ==", topic[0] != '\0' ? topic : "claims");
        fputc('\n', out);
        for (size_t i = first; i < audit->file->claim_count; i++)
            if (strcmp(audit->claims[i].claim->topic, topic) == 0)
                print_claim(out, &audit->claims[i], style);
    }
    if (audit->driver_count > 0)
        ascii_line(out, "Uncertain inputs by how strongly they move the duration (Spearman):");
    for (size_t i = 0; i < audit->driver_count; i++)
        ascii_linef(out, "  %+.2f  %s", audit->drivers[i].rho, audit->drivers[i].input);
}
