/* The Provenance sheet: what the results were made of, and how to make them again. */
#include "reports/workbook_book.h"

#include <string.h>

enum { TEXT_BYTES = 4096 };

static void put_line(Book *book, lxw_worksheet *sheet, lxw_row_t *row, const char *label,
                     const char *text)
{
    book_text(book, sheet, *row, 0, label, book->formats.text);
    book_text(book, sheet, (*row)++, 1, text, book->formats.text);
}

/* Appends as much of `text` as there is room for. */
static void append(char *buffer, const char *text)
{
    size_t used = strlen(buffer);
    snprintf(buffer + used, TEXT_BYTES - used, "%s", text);
}

static void put_program(Book *book, lxw_worksheet *sheet, lxw_row_t *row)
{
    const Provenance *provenance = book->provenance;
    char text[TEXT_BYTES];
    put_line(book, sheet, row, "Program", "flopcast");
    put_line(book, sheet, row, "Version", PROGRAM_VERSION);
    snprintf(text, sizeof text, "%d", RESULT_SCHEMA_VERSION);
    put_line(book, sheet, row, "Result schema", text);
    put_line(book, sheet, row, "Verb", provenance->verb);
    put_line(book, sheet, row, "Input", provenance->scenario);
    put_line(book, sheet, row, "Input SHA-256", provenance->sha256);
    snprintf(text, sizeof text, "%llu", provenance->seed);
    put_line(book, sheet, row, "Seed", text);
    snprintf(text, sizeof text, "%zu", provenance->reps);
    put_line(book, sheet, row, "Replications", text);
    for (size_t i = 0; i < provenance->set_count; i++)
        put_line(book, sheet, row, "--set", provenance->sets[i]);
    snprintf(text, sizeof text, "flopcast %s %s --seed %llu --reps %zu", provenance->verb,
             provenance->scenario, provenance->seed, provenance->reps);
    for (size_t i = 0; i < provenance->set_count; i++) {
        append(text, " --set '");
        append(text, provenance->sets[i]);
        append(text, "'");
    }
    put_line(book, sheet, row, "The same results again", text);
}

static const double widths[] = {24, 20, 13, 9, 72, 90};

static void put_scenario(Book *book, lxw_worksheet *sheet, lxw_row_t row,
                         const AuditScenario *entry)
{
    char text[TEXT_BYTES] = "";
    size_t reps = entry->scenario.kind == SCENARIO_TRAINING ? entry->train.reps : entry->serve.reps;
    book_text(book, sheet, row, 0, entry->spec->name, book->formats.text);
    book_text(book, sheet, row, 1, entry->spec->scenario, book->formats.text);
    if (!entry->infeasible)
        book_number(book, sheet, row, 2, (double)reps,
                    book_number_format(book, CELL_FORMULA, "#,##0"));
    book_text(book, sheet, row, 3, entry->infeasible ? "no" : "yes", book->formats.unit);
    book_text(book, sheet, row, 4, entry->sha256, book->formats.text);
    for (size_t s = 0; s < entry->spec->set_count; s++) {
        append(text, s > 0 ? ", " : "");
        append(text, entry->spec->sets[s]);
    }
    if (entry->infeasible) {
        append(text, text[0] != '\0' ? "; does not fit: " : "does not fit: ");
        append(text, entry->reason);
    }
    if (entry->train.dropped_note[0] != '\0') {
        append(text, text[0] != '\0' ? "; left out of the draws: " : "left out of the draws: ");
        append(text, entry->train.dropped_note);
    }
    book_text(book, sheet, row, 5, text, book->formats.wrapped);
    book_row_lines(book, sheet, row, book_lines(text, widths[5]));
}

static void put_legend(Book *book, lxw_worksheet *sheet, lxw_row_t row)
{
    book_text(book, sheet, row++, 0, "How numbers look", book->formats.section);
    book_text(book, sheet, row, 0, "Input to change", book_number_format(book, CELL_INPUT, "@"));
    book_text(book, sheet, row++, 1, "the Cost sheet follows at once", book->formats.text);
    book_text(book, sheet, row, 0, "Simulated", book->formats.note);
    book_text(book, sheet, row++, 1,
              "a value that only a new simulation can change; p5, median and p95 are over its "
              "replications",
              book->formats.text);
    book_text(book, sheet, row, 0, "Formula or published", book->formats.text);
    book_text(book, sheet, row, 1,
              "formulas are live; every cell holds full precision under its number format",
              book->formats.text);
}

static lxw_row_t put_scenarios(Book *book, lxw_worksheet *sheet, lxw_row_t row)
{
    static const char *const titles[] = {"Scenario", "File",    "Replications",
                                         "Fits",     "SHA-256", "Overrides and notes"};
    book_heads(book, sheet, row++, 0, titles, "llrill");
    for (size_t i = 0; i < book->audit->scenario_count; i++)
        put_scenario(book, sheet, row++, &book->audit->scenarios[i]);
    return row + 1;
}

void book_provenance(Book *book, lxw_worksheet *sheet)
{
    lxw_row_t row = 0;
    book_widths(book, sheet, widths, sizeof widths / sizeof *widths);
    book_text(book, sheet, row++, 0, "What these results were made of", book->formats.title);
    row++;
    put_program(book, sheet, &row);
    if (book->status == STATUS_OK) /* seed and counts are text here: no warning signs */
        worksheet_ignore_errors(sheet, LXW_IGNORE_NUMBER_STORED_AS_TEXT, "B1:B200");
    row++;
    if (book->audit != NULL)
        row = put_scenarios(book, sheet, row);
    put_legend(book, sheet, row);
    book_keep_in_view(book, sheet, 1, 1);
}
