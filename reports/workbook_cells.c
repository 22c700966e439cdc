#include "reports/workbook_book.h"

#include "reports/ascii.h"

#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>

enum { CACHE_THAT_IS_WRONG = 999, MAX_NAME = 255, MAX_SHEET_NAME = 31, CELL_TEXT = 8192 };
enum { MAX_COLUMN_LETTERS = 3 }; /* columns end at XFD */
enum { PAPER_A4 = 9 };

/* Letters and then digits with nothing behind: A1 .. XFD1048576, and more than that on the safe
 * side. */
static int looks_like_cell(const char *name)
{
    size_t letters = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    size_t digits = strspn(name + letters, "0123456789");
    return letters >= 1 && letters <= MAX_COLUMN_LETTERS && digits >= 1 &&
           name[letters + digits] == '\0';
}

/* R, C, R1, C5, R1C1: the other way to write cells. */
static int looks_like_row_column(const char *name)
{
    const char *at = name;
    int any = 0;
    if (*at == 'R' || *at == 'r') {
        at++;
        at += strspn(at, "0123456789");
        any = 1;
    }
    if (*at == 'C' || *at == 'c') {
        at++;
        at += strspn(at, "0123456789");
        any = 1;
    }
    return any && *at == '\0';
}

int workbook_name_is_safe(const char *name)
{
    if (!isalpha((unsigned char)name[0]) && name[0] != '_')
        return 0;
    if (strlen(name) > MAX_NAME)
        return 0;
    for (const char *c = name; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '.')
            return 0;
    return !looks_like_cell(name) && !looks_like_row_column(name) &&
           strcasecmp(name, "true") != 0 && strcasecmp(name, "false") != 0;
}

int workbook_sheet_name_is_safe(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= MAX_SHEET_NAME && strpbrk(name, "[]:*?/\\") == NULL &&
           name[0] != '\'' && name[length - 1] != '\'' && strcasecmp(name, "history") != 0;
}

static void check(Book *book, lxw_error code)
{
    if (code != LXW_NO_ERROR && book->status == STATUS_OK)
        book->status = error_set(book->error, STATUS_ENVIRONMENT, "cannot build the workbook: %s",
                                 lxw_strerror(code));
}

lxw_worksheet *book_sheet(Book *book, const char *name, int one_page)
{
    if (book->status != STATUS_OK)
        return NULL;
    lxw_worksheet *sheet =
        workbook_sheet_name_is_safe(name) ? workbook_add_worksheet(book->workbook, name) : NULL;
    if (sheet == NULL) {
        book->status = error_set(book->error, STATUS_ENVIRONMENT,
                                 "cannot add sheet '%s' to the workbook", name);
        return NULL;
    }
    worksheet_gridlines(sheet, LXW_HIDE_ALL_GRIDLINES);
    worksheet_set_landscape(sheet);
    worksheet_set_paper(sheet, PAPER_A4);
    worksheet_fit_to_pages(sheet, 1, one_page ? 1 : 0);
    worksheet_set_margins(sheet, 0.4, 0.4, 0.5, 0.6);
    check(book, worksheet_set_footer(sheet, "&L&F, &A&RPage &P of &N"));
    return sheet;
}

void book_widths(Book *book, lxw_worksheet *sheet, const double *widths, size_t count)
{
    for (size_t i = 0; i < count && book->status == STATUS_OK; i++)
        check(book, worksheet_set_column(sheet, (lxw_col_t)i, (lxw_col_t)i, widths[i], NULL));
}

void book_keep_in_view(Book *book, lxw_worksheet *sheet, lxw_row_t rows, lxw_col_t columns)
{
    if (book->status != STATUS_OK)
        return;
    worksheet_freeze_panes(sheet, rows, columns);
    check(book, worksheet_repeat_rows(sheet, 0, rows - 1));
}

void book_define(Book *book, const char *name, const char *sheet, lxw_row_t row, lxw_col_t column)
{
    char formula[128];
    if (book->status != STATUS_OK)
        return;
    if (!workbook_name_is_safe(name)) {
        book->status =
            error_set(book->error, STATUS_ENVIRONMENT, "'%s' cannot be a name in a workbook", name);
        return;
    }
    snprintf(formula, sizeof formula, "=%s!$%c$%u", sheet, 'A' + column, row + 1);
    check(book, workbook_define_name(book->workbook, name, formula));
}

void book_text(Book *book, lxw_worksheet *sheet, lxw_row_t row, lxw_col_t column, const char *text,
               lxw_format *format)
{
    char ascii[CELL_TEXT];
    if (book->status != STATUS_OK)
        return;
    ascii_copy(text, ascii, sizeof ascii);
    check(book, ascii[0] != '\0' ? worksheet_write_string(sheet, row, column, ascii, format)
                                 : worksheet_write_blank(sheet, row, column, format));
}

void book_number(Book *book, lxw_worksheet *sheet, lxw_row_t row, lxw_col_t column, double value,
                 lxw_format *format)
{
    if (book->status != STATUS_OK)
        return;
    check(book, isfinite(value) ? worksheet_write_number(sheet, row, column, value, format)
                                : worksheet_write_blank(sheet, row, column, format));
}

void book_formula(Book *book, lxw_worksheet *sheet, lxw_row_t row, lxw_col_t column,
                  const char *formula, double value, lxw_format *format)
{
    if (book->status != STATUS_OK)
        return;
    double cached = book->wrong_caches ? CACHE_THAT_IS_WRONG : value;
    if (isfinite(cached))
        check(book, worksheet_write_formula_num(sheet, row, column, formula, format, cached));
    else
        check(book, worksheet_write_blank(sheet, row, column, format));
}

void book_heads(Book *book, lxw_worksheet *sheet, lxw_row_t row, lxw_col_t column,
                const char *const *titles, const char *sides)
{
    for (size_t i = 0; sides[i] != '\0'; i++)
        book_text(book, sheet, row, (lxw_col_t)(column + i), titles[i],
                  sides[i] == 'r'   ? book->formats.head_right
                  : sides[i] == 'i' ? book->formats.head_indented
                                    : book->formats.head);
}

/* A width counts digits of the default font, Calibri, whose letters take 0.83 of one on average;
 * a wider replacement font must fit too. */
static const double characters_of_width = 1.1;

size_t book_lines(const char *text, double width)
{
    size_t room = (size_t)fmax(1, width * characters_of_width), lines = 1, used = 0;
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (used > 0 && used + 1 + word > room) {
            lines++;
            used = 0;
        }
        used += word + (used > 0);
        for (; used > room; used -= room)
            lines++;
        text += word + strspn(text + word, " ");
    }
    return lines;
}

void book_wide_text(Book *book, lxw_worksheet *sheet, lxw_row_t row, const double *columns,
                    size_t count, const char *text)
{
    double width = 0;
    for (size_t i = 0; i < count; i++)
        width += columns[i];
    if (book->status == STATUS_OK)
        check(book, worksheet_merge_range(sheet, row, 0, row, (lxw_col_t)(count - 1), "",
                                          book->formats.note_wrapped));
    book_text(book, sheet, row, 0, text, book->formats.note_wrapped);
    book_row_lines(book, sheet, row, book_lines(text, width));
}

void book_row_lines(Book *book, lxw_worksheet *sheet, lxw_row_t row, size_t lines)
{
    static const double line_points = 15, most_points = 409; /* what Excel takes */
    if (book->status == STATUS_OK)
        check(book,
              worksheet_set_row(sheet, row, fmin(most_points, line_points * (double)lines), NULL));
}

int book_metric(const MetricSet *metrics, const char *name, Summary *summary)
{
    const Metric *metric = metrics != NULL ? metrics_find(metrics, name) : NULL;
    return metric != NULL && metrics_summary(metric, summary, NULL) == STATUS_OK;
}
