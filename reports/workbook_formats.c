/* How cells look: styles by what a number is, number formats by its unit and size. */
#include "reports/workbook_book.h"

#include <math.h>
#include <string.h>

static lxw_format *make_format(Book *book)
{
    lxw_format *format = workbook_add_format(book->workbook);
    if (format == NULL) {
        if (book->status == STATUS_OK)
            book->status = error_set(book->error, STATUS_ENVIRONMENT, "out of memory");
        return NULL;
    }
    format_set_font_name(format, "Calibri");
    format_set_align(format, LXW_ALIGN_VERTICAL_TOP);
    return format;
}

static void make_heads(BookFormats *formats)
{
    lxw_format *const heads[] = {formats->head, formats->head_right, formats->head_indented};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        format_set_bold(heads[i]);
        format_set_bg_color(heads[i], 0xDDE6F0);
        format_set_bottom(heads[i], LXW_BORDER_THIN);
    }
    format_set_align(formats->head_right, LXW_ALIGN_RIGHT);
    format_set_indent(formats->head_indented, 1);
    format_set_bold(formats->title);
    format_set_font_size(formats->title, 14);
    format_set_bold(formats->section);
    format_set_font_color(formats->section, 0x1F3864);
}

void book_make_formats(Book *book)
{
    /* dark on pale of one hue, the spreadsheet programs' own good, neutral and bad */
    static const struct {
        Verdict verdict;
        lxw_color_t ink, ground;
    } verdicts[] = {
        {VERDICT_REPRODUCED, 0x006100, 0xC6EFCE},
        {VERDICT_EXPLAINED, 0x7F6000, 0xFFEB9C},
        {VERDICT_CONTRADICTED, 0x9C0006, 0xFFC7CE},
        {VERDICT_UNTESTABLE, 0x595959, 0xEDEDED},
    };
    BookFormats *formats = &book->formats;
    lxw_format **const plain[] = {
        &formats->title, &formats->head, &formats->head_right,   &formats->section,
        &formats->text,  &formats->unit, &formats->bold,         &formats->wrapped,
        &formats->given, &formats->note, &formats->note_wrapped, &formats->head_indented};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        *plain[i] = make_format(book);
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++)
        formats->verdict[verdicts[i].verdict] = make_format(book);
    if (book->status != STATUS_OK)
        return;
    make_heads(formats);
    format_set_indent(formats->unit, 1); /* off the number to its left */
    format_set_bold(formats->bold);
    format_set_top(formats->bold, LXW_BORDER_THIN);
    format_set_text_wrap(formats->wrapped);
    format_set_font_color(formats->given, 0x0000FF);
    format_set_text_wrap(formats->note_wrapped);
    lxw_format *const notes[] = {formats->note, formats->note_wrapped};
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
        format_set_italic(notes[i]);
        format_set_font_color(notes[i], 0x595959);
    }
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++) {
        format_set_font_color(formats->verdict[verdicts[i].verdict], verdicts[i].ink);
        format_set_bg_color(formats->verdict[verdicts[i].verdict], verdicts[i].ground);
        format_set_indent(formats->verdict[verdicts[i].verdict], 1);
    }
}

/* Inputs are blue on pale yellow, as in the financial models that planners keep (FAST standard). */
static void apply_style(lxw_format *format, CellStyle style)
{
    if (style == CELL_SIMULATED)
        format_set_italic(format);
    if (style == CELL_INPUT || style == CELL_AS_GIVEN)
        format_set_font_color(format, 0x0000FF);
    if (style == CELL_INPUT)
        format_set_bg_color(format, 0xFFFFE0);
    if (style == CELL_AS_GIVEN)
        format_set_align(format, LXW_ALIGN_LEFT);
    if (style == CELL_TOTAL || style == CELL_CHECK)
        format_set_bold(format);
    if (style == CELL_TOTAL)
        format_set_top(format, LXW_BORDER_THIN);
    if (style == CELL_CHECK)
        format_set_font_color(format, 0x006100);
}

lxw_format *book_number_format(Book *book, CellStyle style, const char *format)
{
    BookFormats *formats = &book->formats;
    if (book->status != STATUS_OK)
        return NULL;
    for (size_t i = 0; i < formats->number_count; i++)
        if (formats->numbers[i].style == style && strcmp(formats->numbers[i].format, format) == 0)
            return formats->numbers[i].made;
    if (formats->number_count == MAX_NUMBER_FORMATS) {
        book->status =
            error_set(book->error, STATUS_ENVIRONMENT,
                      "the workbook has more than %d number formats", MAX_NUMBER_FORMATS);
        return NULL;
    }
    lxw_format *made = make_format(book);
    if (made == NULL)
        return NULL;
    format_set_num_format(made, format);
    apply_style(made, style);
    formats->numbers[formats->number_count++] = (NumberFormat){style, format, made};
    return made;
}

/* Commas behind the last digit divide by thousands on the screen alone. */
typedef struct NumberRule {
    const char *unit;
    double from; /* smallest magnitude that takes this rule; the first that fits is taken */
    const char *format;
} NumberRule;

static const NumberRule number_rules[] = {
    {"days", 0, "#,##0.0"},
    {"USD", 1000, "$#,##0"},
    {"USD", 1, "$#,##0.00"},
    {"USD", 0, "$0.00000"},
    {"USD/h", 0, "$#,##0.00"},
    {"USD/kWh", 0, "$0.0000"},
    {"USD per 1k tokens", 0, "$0.00000"},
    {"fraction", 0, "0.0%"},
    {"s", 1, "#,##0.00"},
    {"s", 0, "0.0000"},
    {"h", 0, "#,##0.0"},
    {"FLOPs", 0, "0.00E+00"},
    {"FLOP/s", 0, "0.00E+00"},
    {"bytes", 1e12, "#,##0.00,,,,\" TB\""},
    {"bytes", 1e9, "#,##0.0,,,\" GB\""},
    {"bytes", 1e6, "#,##0.0,,\" MB\""},
    {"bytes", 0, "#,##0"},
    {"bit/s", 1e9, "#,##0,,,\" Gb/s\""},
    {"bit/s", 0, "#,##0"},
    {"parameters", 1e12, "#,##0.00,,,,\" T\""},
    {"parameters", 1e9, "#,##0.0,,,\" B\""},
    {"parameters", 0, "#,##0"},
    {"tokens", 1e12, "#,##0.00,,,,\" T\""},
    {"tokens", 1e9, "#,##0.0,,,\" B\""},
    {"tokens/s", 100, "#,##0"},
    {"tokens/s", 0, "0.00"},
    {"GPU-hours", 0, "#,##0"},
    {"failures", 0, "#,##0"},
    {"kWh", 0, "#,##0"},
    {"kg", 0, "#,##0"},
    {"kg/kWh", 0, "0.000"},
    {"W", 0, "#,##0"},
    {"ratio", 0, "0.00"},
};

const char *number_format_of(const char *unit, const double *values, size_t count)
{
    double magnitude = 0;
    int whole = 1;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            continue;
        magnitude = fmax(magnitude, fabs(values[i]));
        whole = whole && fabs(values[i] - nearbyint(values[i])) <= 1e-9 * fabs(values[i]);
    }
    for (size_t i = 0; i < sizeof number_rules / sizeof *number_rules; i++)
        if (strcmp(number_rules[i].unit, unit) == 0 && magnitude >= number_rules[i].from)
            return number_rules[i].format;
    /* everything that is counted, and plain numbers */
    if (magnitude >= 1e15)
        return "0.00E+00";
    if (whole || magnitude >= 1e4)
        return "#,##0";
    if (magnitude >= 1)
        return unit[0] != '\0' ? "#,##0.00" : "#,##0.0###";
    return magnitude >= 1e-3 ? "0.0###" : "0.00E+00";
}
