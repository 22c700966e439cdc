/* The sheet of a load over time: one row a part of the time and a side. */
#include "reports/load_over_time.h"
#include "reports/workbook_book.h"

static lxw_row_t put_side(Book *book, lxw_worksheet *sheet, lxw_row_t row, ServingSide side)
{
    LoadPart parts[OCCUPANCY_PARTS];
    const LoadForecast *load = book->run.load;
    const size_t count = load_over_time(load, side, parts);
    static const char *const units[] = {"s", "blocks", "", "sequences", "requests"};
    for (size_t i = 0; i < count; i++, row++) {
        const double values[] = {parts[i].end_s, parts[i].kv_blocks, parts[i].kv_occupancy,
                                 parts[i].running, parts[i].waiting};
        book_text(book, sheet, row, 0, load->disaggregated ? SERVING_SIDE_WORDS[side] : "both",
                  book->formats.text);
        for (size_t c = 0; c < sizeof values / sizeof *values; c++)
            book_number(book, sheet, row, (lxw_col_t)(1 + c), values[c],
                        book_number_format(book, CELL_SIMULATED,
                                           number_format_of(units[c], &values[c], 1)));
    }
    return row;
}

void book_over_time(Book *book, lxw_worksheet *sheet)
{
    static const double widths[] = {12, 14, 16, 16, 14, 14};
    static const char *const titles[] = {"Side",    "Until (s)", "KV blocks", "KV share in use",
                                         "Running", "Waiting"};
    lxw_row_t row = 0;
    book_widths(book, sheet, widths, sizeof widths / sizeof *widths);
    book_text(book, sheet, row++, 0, "In memory and in line over time", book->formats.title);
    book_text(book, sheet, row++, 0, "Means since the row before, of all replicas of a side.",
              book->formats.note);
    row++;
    book_heads(book, sheet, row++, 0, titles, "lrrrrr");
    book_keep_in_view(book, sheet, row, 1);
    for (int side = 0; side < SERVING_SIDES; side++)
        row = put_side(book, sheet, row, (ServingSide)side);
}
