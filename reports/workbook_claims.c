/* The Claims sheet: every published claim, the simulation beside it, the verdict and why. */
#include "reports/workbook_book.h"

#include <math.h>

enum {
    COLUMN_ID,
    COLUMN_TOPIC,
    COLUMN_CLAIM,
    COLUMN_LOW,
    COLUMN_HIGH,
    COLUMN_UNIT,
    COLUMN_P5,
    COLUMN_MEDIAN,
    COLUMN_P95,
    COLUMN_MEAN,
    COLUMN_VERDICT, /* K, which the Summary sheet counts */
    COLUMN_REASON,
    COLUMN_SOURCE,
    COLUMN_COUNT
};

static const double widths[COLUMN_COUNT] = {6, 10, 38, 15, 15, 19, 14, 14, 14, 14, 15, 84, 17};

static void put_numbers(Book *book, lxw_worksheet *sheet, lxw_row_t row, const ClaimResult *result)
{
    const Claim *claim = result->claim;
    const Summary *simulated = &result->simulated;
    const double published[] = {claim->has_low ? claim->low : (double)NAN,
                                claim->has_high ? claim->high : (double)NAN};
    /* of a statement the simulation gives the share of draws in which it holds */
    int statement = claim->holds[0] != '\0';
    const double values[] = {simulated->p5,   simulated->p50, simulated->p95,
                             simulated->mean, published[0],   published[1]};
    size_t first = result->has_simulated && !statement ? 0 : 4;
    const char *format = number_format_of(claim->unit, values + first, 6 - first);
    lxw_format *stated = book_number_format(book, CELL_PUBLISHED, format);
    book_number(book, sheet, row, COLUMN_LOW, published[0], stated);
    book_number(book, sheet, row, COLUMN_HIGH, published[1], stated);
    if (!result->has_simulated)
        return;
    lxw_format *shown = book_number_format(book, CELL_SIMULATED, statement ? "0%" : format);
    if (statement) {
        book_number(book, sheet, row, COLUMN_MEAN, simulated->mean, shown);
        return;
    }
    for (size_t i = 0; i < 4; i++)
        book_number(book, sheet, row, (lxw_col_t)(COLUMN_P5 + i), values[i], shown);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

void book_claims(Book *book, lxw_worksheet *sheet)
{
    static const char *const titles[COLUMN_COUNT] = {
        "Id",     "Topic", "Claim", "Published low", "Published high", "Unit",  "Simulated p5",
        "Median", "p95",   "Mean",  "Verdict",       "Reason",         "Source"};
    enum { HEAD_ROW = 2 };
    size_t count = book->audit->file->claim_count;
    book_widths(book, sheet, widths, COLUMN_COUNT);
    book_text(book, sheet, 0, 0, "Published claims against the simulation", book->formats.title);
    book_text(book, sheet, 1, 0,
              "Of a statement without a number, Mean is the share of simulated draws in which it "
              "holds.",
              book->formats.note);
    book_heads(book, sheet, HEAD_ROW, 0, titles, "lllrrirrrrill");
    for (size_t i = 0; i < count; i++) {
        const ClaimResult *result = &book->audit->claims[i];
        const Claim *claim = result->claim;
        lxw_row_t row = HEAD_ROW + 1 + (lxw_row_t)i;
        book_text(book, sheet, row, COLUMN_ID, claim->id, book->formats.text);
        book_text(book, sheet, row, COLUMN_TOPIC, claim->topic, book->formats.text);
        book_text(book, sheet, row, COLUMN_CLAIM, claim->claim, book->formats.wrapped);
        book_text(book, sheet, row, COLUMN_UNIT, claim->unit, book->formats.unit);
        put_numbers(book, sheet, row, result);
        book_text(book, sheet, row, COLUMN_VERDICT, verdict_name(result->verdict),
                  book->formats.verdict[result->verdict]);
        book_text(book, sheet, row, COLUMN_REASON, result->reason, book->formats.wrapped);
        book_text(book, sheet, row, COLUMN_SOURCE, claim->source, book->formats.wrapped);
        size_t lines = larger(book_lines(claim->claim, widths[COLUMN_CLAIM]),
                              book_lines(result->reason, widths[COLUMN_REASON]));
        book_row_lines(book, sheet, row,
                       larger(lines, book_lines(claim->source, widths[COLUMN_SOURCE])));
    }
    book_keep_in_view(book, sheet, HEAD_ROW + 1, COLUMN_CLAIM + 1);
    if (book->status == STATUS_OK && count > 0)
        worksheet_autofilter(sheet, HEAD_ROW, 0, HEAD_ROW + (lxw_row_t)count, COLUMN_COUNT - 1);
}
