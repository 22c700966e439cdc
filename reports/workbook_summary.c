/* The Summary sheet: the answer beside what was published, the verdicts, where the time goes. */
#include "reports/workbook_book.h"

#include "reports/claim_lookup.h"
#include "reports/format.h"
#include "reports/losses.h"

#include <math.h>
#include <string.h>

static const double widths[] = {31, 17, 17, 17, 13, 19, 19, 19};
enum { COLUMN_COUNT = sizeof widths / sizeof *widths };
enum { DRIVER_COLUMN = 4, RHO_COLUMN = 7 };

static int summarized(const MetricSet *metrics, const char *name, Summary *summary,
                      const char **unit)
{
    if (!book_metric(metrics, name, summary))
        return 0;
    *unit = metric_display_unit(metrics_find(metrics, name));
    return 1;
}

static void answer_row(Book *book, lxw_worksheet *sheet, lxw_row_t row, const char *label,
                       const char *unit, const Summary *summary, const ClaimResult *claim)
{
    double published[2] = {(double)NAN, (double)NAN};
    if (claim != NULL && claim->claim->has_low)
        published[0] = claim->claim->low;
    if (claim != NULL && claim->claim->has_high)
        published[1] = claim->claim->high;
    const double values[] = {summary->p50, summary->p5, summary->p95, published[0], published[1]};
    const char *format = number_format_of(unit, values, sizeof values / sizeof *values);
    lxw_format *simulated = book_number_format(book, CELL_SIMULATED, format);
    lxw_format *stated = book_number_format(book, CELL_PUBLISHED, format);
    book_text(book, sheet, row, 0, label, book->formats.text);
    for (lxw_col_t i = 0; i < 3; i++)
        book_number(book, sheet, row, (lxw_col_t)(1 + i), values[i], simulated);
    book_text(book, sheet, row, 4, unit, book->formats.unit);
    book_number(book, sheet, row, 5, published[0], stated);
    book_number(book, sheet, row, 6, published[1], stated);
    if (claim != NULL)
        book_text(book, sheet, row, 7, verdict_name(claim->verdict),
                  book->formats.verdict[claim->verdict]);
}

/* The answer: the run's quantities, as simulated, beside what was published. */
static lxw_row_t put_answer(Book *book, lxw_worksheet *sheet, lxw_row_t row)
{
    static const char *const titles[] = {"Quantity",      "Median",         "p5",     "p95", "Unit",
                                         "Published low", "Published high", "Verdict"};
    static const struct {
        const char *label, *metric;
    } rows[] = {
        {"Duration", "run.days"},
        {"Cost", "cost.usd"},
        {"Effective MFU (6ND)", "run.mfu_effective_6nd"},
        {"Effective MFU (exact FLOPs)", "run.mfu_effective"},
        {"Goodput", "run.goodput"},
        {"GPU-hours", "run.gpu_hours"},
        {"Failures", "run.failures"},
        {"Energy", "cost.energy_kwh"},
    };
    if (book->run.train == NULL)
        return row;
    /* nothing was published about a scenario of one's own */
    book_heads(book, sheet, row++, 0, titles, book->audit != NULL ? "lrrrirri" : "lrrri");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Summary summary;
        const char *unit;
        if (summarized(book->run.metrics, rows[i].metric, &summary, &unit))
            answer_row(book, sheet, row++, rows[i].label, unit, &summary,
                       book->audit != NULL
                           ? claim_about(book->audit, book->run.name, rows[i].metric)
                           : NULL);
    }
    return row + 1;
}

/* The scenarios that are published plans and not variants of one, by their medians. */
static lxw_row_t put_scenarios(Book *book, lxw_worksheet *sheet, lxw_row_t row)
{
    static const char *const titles[] = {
        "Scenario (medians)", "Days", "Cost", "$ per 1k tokens", "Fits", "Plan", "", ""};
    static const char *const metrics[] = {"run.days", "cost.usd", "cost.usd_per_1k_tokens"};
    lxw_row_t first = row + 1;
    book_heads(book, sheet, row++, 0, titles, "lrrrilll");
    for (size_t i = 0; i < book->audit->scenario_count; i++) {
        const AuditScenario *entry = &book->audit->scenarios[i];
        if (entry->spec->set_count > 0)
            continue;
        book_text(book, sheet, row, 0, entry->spec->name, book->formats.text);
        for (size_t m = 0; m < sizeof metrics / sizeof *metrics; m++) {
            Summary summary;
            const char *unit;
            if (!entry->infeasible && summarized(entry->metrics, metrics[m], &summary, &unit))
                book_number(book, sheet, row, (lxw_col_t)(1 + m), summary.p50,
                            book_number_format(book, CELL_SIMULATED,
                                               number_format_of(unit, &summary.p50, 1)));
        }
        book_text(book, sheet, row, 5, entry->scenario.title, book->formats.text);
        book_text(book, sheet, row++, 4, entry->infeasible ? "no" : "yes", book->formats.unit);
    }
    return row > first ? row + 1 : row;
}

static lxw_row_t put_verdicts(Book *book, lxw_worksheet *sheet, lxw_row_t row)
{
    static const char *const titles[] = {"Verdict", "Claims", "Meaning", "", "", "", "", ""};
    static const char *const meanings[VERDICT_COUNT] = {
        [VERDICT_REPRODUCED] =
            "the published range holds the simulated median, or overlaps p5 .. p95",
        [VERDICT_EXPLAINED] = "another stated reading of the published figure is reproduced",
        [VERDICT_CONTRADICTED] = "neither: the reason on the Claims sheet says by what factor",
        [VERDICT_UNTESTABLE] = "nothing that is simulated can say",
    };
    book_heads(book, sheet, row++, 0, titles, "irilllll");
    lxw_row_t first = row;
    lxw_format *count = book_number_format(book, CELL_FORMULA, "#,##0");
    size_t total = 0;
    char formula[64];
    for (int v = 0; v < VERDICT_COUNT; v++, row++) {
        /* counted on the sheet, so that the two cannot part */
        book_text(book, sheet, row, 0, verdict_name((Verdict)v), book->formats.verdict[v]);
        snprintf(formula, sizeof formula, "=COUNTIF(Claims!K:K,A%u)", row + 1);
        book_formula(book, sheet, row, 1, formula, (double)book->audit->verdicts[v], count);
        book_text(book, sheet, row, 2, meanings[v], book->formats.unit);
        total += book->audit->verdicts[v];
    }
    book_text(book, sheet, row, 0, "All claims", book->formats.bold);
    snprintf(formula, sizeof formula, "=SUM(B%u:B%u)", first + 1, row);
    book_formula(book, sheet, row, 1, formula, (double)total,
                 book_number_format(book, CELL_TOTAL, "#,##0"));
    return row + 2;
}

/* Where one step's time goes, with shares that add up live. */
static void put_step(Book *book, lxw_worksheet *sheet, lxw_row_t row)
{
    static const char *const titles[] = {"Where one step's time goes", "Seconds", "Share"};
    Loss losses[MAX_LOSSES];
    if (book->run.train == NULL)
        return;
    size_t count = losses_of_step(book->run.train, losses);
    double total_s = 0;
    char formula[64];
    book_heads(book, sheet, row++, 0, titles, "lrr");
    lxw_row_t first = row, last = row + (lxw_row_t)count;
    lxw_format *seconds = book_number_format(book, CELL_SIMULATED, "#,##0.00");
    lxw_format *share = book_number_format(book, CELL_FORMULA, "0.0%");
    for (size_t i = 0; i < count; i++)
        total_s += losses[i].seconds;
    for (size_t i = 0; i < count; i++, row++) {
        book_text(book, sheet, row, 0, losses[i].label, book->formats.text);
        book_number(book, sheet, row, 1, losses[i].seconds, seconds);
        snprintf(formula, sizeof formula, "=B%u/B$%u", row + 1, last + 1);
        book_formula(book, sheet, row, 2, formula, losses[i].seconds / total_s, share);
    }
    book_text(book, sheet, row, 0, "Step", book->formats.bold);
    snprintf(formula, sizeof formula, "=SUM(B%u:B%u)", first + 1, last);
    book_formula(book, sheet, row, 1, formula, total_s,
                 book_number_format(book, CELL_TOTAL, "#,##0.00"));
    snprintf(formula, sizeof formula, "=SUM(C%u:C%u)", first + 1, last);
    book_formula(book, sheet, row, 2, formula, 1, book_number_format(book, CELL_TOTAL, "0.0%"));
}

static void put_drivers(Book *book, lxw_worksheet *sheet, lxw_row_t row)
{
    static const char *const titles[] = {"What moves the duration", "", "", "Spearman rho"};
    if (book->driver_count == 0)
        return;
    lxw_format *rho = book_number_format(book, CELL_SIMULATED, "+0.00;-0.00;0.00");
    book_heads(book, sheet, row++, DRIVER_COLUMN, titles, "lllr");
    for (size_t i = 0; i < book->driver_count; i++, row++) {
        book_text(book, sheet, row, DRIVER_COLUMN, book->drivers[i].input, book->formats.text);
        book_number(book, sheet, row, RHO_COLUMN, book->drivers[i].rho, rho);
    }
}

void book_summary(Book *book, lxw_worksheet *sheet)
{
    const BookRun *run = &book->run;
    char note[640];
    lxw_row_t row = 0;
    book_widths(book, sheet, widths, COLUMN_COUNT);
    book_text(book, sheet, row++, 0, book->title, book->formats.title);
    if (run->train != NULL) {
        snprintf(note, sizeof note, "%s; median and p5 .. p95 of %zu simulated runs",
                 run->scenario->title, run->train->reps);
        book_text(book, sheet, row++, 0, note, book->formats.note);
    }
    if (run->train != NULL && run->train->dropped_note[0] != '\0') {
        snprintf(note, sizeof note, "left out of the draws: %s", run->train->dropped_note);
        book_wide_text(book, sheet, row++, widths, COLUMN_COUNT, note);
    }
    row++;
    row = put_answer(book, sheet, row);
    if (book->audit != NULL) {
        row = put_verdicts(book, sheet, row);
        row = put_scenarios(book, sheet, row);
    }
    put_step(book, sheet, row);
    put_drivers(book, sheet, row);
    book_keep_in_view(book, sheet, 1, 1);
}
