/* The workbook: opening, formats, the plain sheets (Summary, Claims, Provenance), saving. */
#include "reports/workbook_book.h"

#include "reports/claim_lookup.h"
#include "reports/losses.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 2020-01-01: a workbook's creation date is part of its bytes, so it must not be the time of the
 * run. */
static const long long default_created = 1577836800;

enum { PATH_BYTES = 4096 };

static lxw_format *make_format(Book *book, const char *number_format)
{
    lxw_format *format = workbook_add_format(book->workbook);
    if (format == NULL) {
        if (book->status == STATUS_OK)
            book->status = error_set(book->error, STATUS_ENVIRONMENT, "out of memory");
        return NULL;
    }
    format_set_font_name(format, "Calibri");
    format_set_align(format, LXW_ALIGN_VERTICAL_TOP);
    if (number_format != NULL)
        format_set_num_format(format, number_format);
    return format;
}

/* Inputs are blue on pale yellow, as in the financial models that planners keep (FAST standard). */
static void make_formats(Book *book)
{
    static const struct {
        Verdict verdict;
        lxw_color_t color;
    } verdict_colors[] = {
        {VERDICT_REPRODUCED, 0x006100},
        {VERDICT_EXPLAINED, 0x9C5700},
        {VERDICT_CONTRADICTED, 0x9C0006},
        {VERDICT_UNTESTABLE, 0x7F7F7F},
    };
    BookFormats *formats = &book->formats;
    formats->title = make_format(book, NULL);
    formats->head = make_format(book, NULL);
    formats->text = make_format(book, NULL);
    formats->wrapped = make_format(book, NULL);
    formats->note = make_format(book, NULL);
    formats->number = make_format(book, "#,##0.00");
    formats->percent = make_format(book, "0.0%");
    formats->money = make_format(book, "$#,##0");
    formats->input = make_format(book, "General");
    formats->input_text = make_format(book, NULL);
    formats->simulated = make_format(book, "General");
    for (size_t i = 0; i < sizeof verdict_colors / sizeof *verdict_colors; i++)
        formats->verdict[verdict_colors[i].verdict] = make_format(book, NULL);
    if (book->status != STATUS_OK)
        return;
    format_set_bold(formats->title);
    format_set_font_size(formats->title, 14);
    format_set_bold(formats->head);
    format_set_bottom(formats->head, LXW_BORDER_THIN);
    format_set_text_wrap(formats->wrapped);
    format_set_italic(formats->note);
    format_set_font_color(formats->note, 0x7F7F7F);
    format_set_font_color(formats->input, 0x0000FF);
    format_set_bg_color(formats->input, 0xFFFFE0);
    format_set_font_color(formats->input_text, 0x0000FF);
    format_set_italic(formats->simulated);
    for (size_t i = 0; i < sizeof verdict_colors / sizeof *verdict_colors; i++)
        format_set_font_color(formats->verdict[verdict_colors[i].verdict], verdict_colors[i].color);
}

static void heads(Book *book, lxw_worksheet *sheet, lxw_row_t row, const char *const *titles,
                  size_t count)
{
    for (size_t i = 0; i < count; i++)
        book_text(book, sheet, row, (lxw_col_t)i, titles[i], book->formats.head);
}

static void put_claim_figures(Book *book, lxw_worksheet *sheet, lxw_row_t row, lxw_col_t column,
                              const Claim *claim)
{
    book_number(book, sheet, row, column, claim->has_low ? claim->low : (double)NAN,
                book->formats.simulated);
    book_number(book, sheet, row, (lxw_col_t)(column + 1),
                claim->has_high ? claim->high : (double)NAN, book->formats.simulated);
}

/* The answer: the headline's quantities, as simulated, beside what was published. */
static lxw_row_t summary_answer(Book *book, lxw_worksheet *sheet, lxw_row_t row)
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
    if (book->headline == NULL)
        return row;
    heads(book, sheet, row++, titles, sizeof titles / sizeof *titles);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const Metric *metric = metrics_find(book->headline->metrics, rows[i].metric);
        const ClaimResult *claim =
            claim_about(book->audit, book->headline->spec->name, rows[i].metric);
        Summary summary;
        if (metric == NULL || metrics_summary(metric, &summary, NULL) != STATUS_OK)
            continue;
        book_text(book, sheet, row, 0, rows[i].label, book->formats.text);
        book_number(book, sheet, row, 1, summary.p50, book->formats.simulated);
        book_number(book, sheet, row, 2, summary.p5, book->formats.simulated);
        book_number(book, sheet, row, 3, summary.p95, book->formats.simulated);
        book_text(book, sheet, row, 4, metric->unit[0] != '\0' ? metric->unit : "fraction",
                  book->formats.text);
        if (claim != NULL) {
            put_claim_figures(book, sheet, row, 5, claim->claim);
            book_text(book, sheet, row, 7, verdict_name(claim->verdict),
                      book->formats.verdict[claim->verdict]);
        }
        row++;
    }
    return row + 1;
}

/* Where one step's time goes, with shares that add up live. */
static lxw_row_t summary_step(Book *book, lxw_worksheet *sheet, lxw_row_t row)
{
    static const char *const titles[] = {"Where one step's time goes", "Seconds", "Share"};
    Loss losses[MAX_LOSSES];
    if (book->headline == NULL)
        return row;
    size_t count = losses_of_step(&book->headline->train, losses);
    double total_s = 0;
    heads(book, sheet, row++, titles, sizeof titles / sizeof *titles);
    lxw_row_t first = row, last = row + (lxw_row_t)count;
    for (size_t i = 0; i < count; i++)
        total_s += losses[i].seconds;
    for (size_t i = 0; i < count; i++, row++) {
        char formula[64];
        book_text(book, sheet, row, 0, losses[i].label, book->formats.text);
        book_number(book, sheet, row, 1, losses[i].seconds, book->formats.simulated);
        snprintf(formula, sizeof formula, "=B%u/B$%u", row + 1, last + 1);
        book_formula(book, sheet, row, 2, formula, losses[i].seconds / total_s,
                     book->formats.percent);
    }
    char formula[64];
    book_text(book, sheet, row, 0, "Step", book->formats.head);
    snprintf(formula, sizeof formula, "=SUM(B%u:B%u)", first + 1, last);
    book_formula(book, sheet, row, 1, formula, total_s, book->formats.head);
    return row + 2;
}

void book_summary(Book *book, lxw_worksheet *sheet)
{
    lxw_row_t row = 0;
    worksheet_set_column(sheet, 0, 0, 30, NULL);
    worksheet_set_column(sheet, 1, 7, 15, NULL);
    book_text(book, sheet, row++, 0, book->audit->file->title, book->formats.title);
    if (book->headline != NULL)
        book_text(book, sheet, row++, 0, book->headline->scenario.title, book->formats.note);
    row++;
    row = summary_answer(book, sheet, row);
    book_text(book, sheet, row, 0, "Verdicts", book->formats.head);
    book_text(book, sheet, row++, 1, "Claims", book->formats.head);
    for (int v = 0; v < VERDICT_COUNT; v++, row++) {
        /* counted on the sheet, so that the two cannot part */
        char formula[64];
        book_text(book, sheet, row, 0, verdict_name((Verdict)v), book->formats.verdict[v]);
        snprintf(formula, sizeof formula, "=COUNTIF(Claims!K:K,A%u)", row + 1);
        book_formula(book, sheet, row, 1, formula, (double)book->audit->verdicts[v],
                     book->formats.text);
    }
    row++;
    row = summary_step(book, sheet, row);
    if (book->audit->driver_count == 0)
        return;
    book_text(book, sheet, row, 0, "What moves the duration", book->formats.head);
    book_text(book, sheet, row++, 1, "Spearman rho", book->formats.head);
    for (size_t i = 0; i < book->audit->driver_count; i++, row++) {
        book_text(book, sheet, row, 0, book->audit->drivers[i].input, book->formats.text);
        book_number(book, sheet, row, 1, book->audit->drivers[i].rho, book->formats.number);
    }
}

void book_claims(Book *book, lxw_worksheet *sheet)
{
    static const char *const titles[] = {"Id",      "Topic",  "Claim",  "Low", "High",
                                         "Unit",    "p5",     "Median", "p95", "Mean",
                                         "Verdict", "Reason", "Source"};
    static const double widths[] = {6, 10, 36, 12, 12, 12, 12, 12, 12, 12, 13, 90, 16};
    size_t count = book->audit->file->claim_count;
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        worksheet_set_column(sheet, (lxw_col_t)i, (lxw_col_t)i, widths[i], NULL);
    heads(book, sheet, 0, titles, sizeof titles / sizeof *titles);
    for (size_t i = 0; i < count; i++) {
        const ClaimResult *result = &book->audit->claims[i];
        const Claim *claim = result->claim;
        lxw_row_t row = (lxw_row_t)i + 1;
        book_text(book, sheet, row, 0, claim->id, book->formats.text);
        book_text(book, sheet, row, 1, claim->topic, book->formats.text);
        book_text(book, sheet, row, 2, claim->claim, book->formats.wrapped);
        put_claim_figures(book, sheet, row, 3, claim);
        book_text(book, sheet, row, 5, claim->unit, book->formats.text);
        if (result->has_simulated) {
            const Summary *simulated = &result->simulated;
            book_number(book, sheet, row, 6, simulated->p5, book->formats.simulated);
            book_number(book, sheet, row, 7, simulated->p50, book->formats.simulated);
            book_number(book, sheet, row, 8, simulated->p95, book->formats.simulated);
            book_number(book, sheet, row, 9, simulated->mean, book->formats.simulated);
        }
        book_text(book, sheet, row, 10, verdict_name(result->verdict),
                  book->formats.verdict[result->verdict]);
        book_text(book, sheet, row, 11, result->reason, book->formats.wrapped);
        book_text(book, sheet, row, 12, claim->source, book->formats.wrapped);
    }
    if (book->status == STATUS_OK && count > 0) {
        worksheet_freeze_panes(sheet, 1, 1);
        worksheet_autofilter(sheet, 0, 0, (lxw_row_t)count, 12);
    }
}

static void provenance_row(Book *book, lxw_worksheet *sheet, lxw_row_t *row, const char *label,
                           const char *text)
{
    book_text(book, sheet, *row, 0, label, book->formats.text);
    book_text(book, sheet, (*row)++, 1, text, book->formats.text);
}

void book_provenance(Book *book, lxw_worksheet *sheet)
{
    const Provenance *provenance = book->provenance;
    char text[512];
    lxw_row_t row = 0;
    worksheet_set_column(sheet, 0, 0, 24, NULL);
    worksheet_set_column(sheet, 1, 1, 80, NULL);
    book_text(book, sheet, row++, 0, "What these results were made of", book->formats.title);
    provenance_row(book, sheet, &row, "Program", "flopcast");
    provenance_row(book, sheet, &row, "Version", PROGRAM_VERSION);
    snprintf(text, sizeof text, "%d", RESULT_SCHEMA_VERSION);
    provenance_row(book, sheet, &row, "Result schema", text);
    provenance_row(book, sheet, &row, "Verb", provenance->verb);
    provenance_row(book, sheet, &row, "Input", provenance->scenario);
    provenance_row(book, sheet, &row, "Input SHA-256", provenance->sha256);
    snprintf(text, sizeof text, "%llu", provenance->seed);
    provenance_row(book, sheet, &row, "Seed", text);
    snprintf(text, sizeof text, "%zu", provenance->reps);
    provenance_row(book, sheet, &row, "Replications", text);
    for (size_t i = 0; i < provenance->set_count; i++)
        provenance_row(book, sheet, &row, "--set", provenance->sets[i]);
    row++;
    book_text(book, sheet, row, 0, "Scenario", book->formats.head);
    book_text(book, sheet, row++, 1, "File, SHA-256, overrides", book->formats.head);
    for (size_t i = 0; i < book->audit->scenario_count; i++) {
        const AuditScenario *entry = &book->audit->scenarios[i];
        int used = snprintf(text, sizeof text, "%s, %s", entry->spec->scenario, entry->sha256);
        for (size_t s = 0; s < entry->spec->set_count && used > 0 && (size_t)used < sizeof text;
             s++)
            used += snprintf(text + used, sizeof text - (size_t)used, ", %s", entry->spec->sets[s]);
        provenance_row(book, sheet, &row, entry->spec->name, text);
    }
}

static void set_properties(Book *book)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    char title[TITLE_BYTES];
    char author[] = "flopcast";
    long long created = epoch != NULL ? strtoll(epoch, NULL, 10) : default_created;
    snprintf(title, sizeof title, "%s", book->audit->file->title);
    lxw_doc_properties properties = {.title = title,
                                     .author = author,
                                     .created = (time_t)(created > 0 ? created : default_created)};
    if (book->status == STATUS_OK)
        workbook_set_properties(book->workbook, &properties);
}

static void fill(Book *book)
{
    CostInputs inputs = {0};
    lxw_worksheet *summary = book_sheet(book, "Summary", 1);
    lxw_worksheet *entries = book_sheet(book, "Inputs", 1);
    lxw_worksheet *cost = book_sheet(book, "Cost", 1);
    lxw_worksheet *claims = book_sheet(book, "Claims", 1);
    lxw_worksheet *provenance = book_sheet(book, "Provenance", 1);
    if (book->status != STATUS_OK)
        return;
    book_summary(book, summary);
    book_inputs(book, entries, &inputs);
    book_cost(book, cost, &inputs);
    book_claims(book, claims);
    book_provenance(book, provenance);
}

/* The library reports a file that it cannot write on stderr; finding that out first keeps it
 * silent. */
static Status probe(const char *temporary, Error *error)
{
    int descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor < 0)
        return error_set(error, STATUS_ENVIRONMENT, "cannot write the workbook '%s'", temporary);
    close(descriptor);
    return STATUS_OK;
}

Status workbook_write(const char *directory, const char *name, const AuditResult *audit,
                      const ResolvedList *inputs, const Provenance *provenance, int wrong_caches,
                      Error *error)
{
    char temporary[PATH_BYTES];
    Status status = files_temporary(directory, name, temporary, sizeof temporary, error);
    if (status == STATUS_OK)
        status = probe(temporary, error);
    if (status != STATUS_OK)
        return status;
    Book book = {.audit = audit,
                 .inputs = inputs,
                 .provenance = provenance,
                 .wrong_caches = wrong_caches,
                 .error = error};
    const AuditScenario *headline = audit->headline;
    if (headline != NULL && headline->scenario.kind == SCENARIO_TRAINING && !headline->infeasible)
        book.headline = headline;
    book.workbook = workbook_new(temporary);
    if (book.workbook == NULL) {
        files_discard(temporary);
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    }
    make_formats(&book);
    set_properties(&book);
    if (book.status == STATUS_OK)
        fill(&book);
    /* closing also frees: it must happen after a failure too */
    lxw_error code = workbook_close(book.workbook);
    if (book.status == STATUS_OK && code != LXW_NO_ERROR)
        book.status = error_set(error, STATUS_ENVIRONMENT, "cannot write the workbook: %s",
                                lxw_strerror(code));
    if (book.status != STATUS_OK) {
        files_discard(temporary);
        return book.status;
    }
    return files_commit(directory, name, temporary, error);
}

Status workbook_audit(const char *directory, const char *name, const AuditResult *audit,
                      const ResolvedList *inputs, const Provenance *provenance, Error *error)
{
    return workbook_write(directory, name, audit, inputs, provenance, 0, error);
}
