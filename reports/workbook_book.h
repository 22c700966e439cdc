/* Inside the workbook: one writer, its formats, and cells that guard what the library does not. */
#ifndef REPORTS_WORKBOOK_BOOK_H
#define REPORTS_WORKBOOK_BOOK_H

#include "reports/files.h"
#include "sim/serving/serve_load.h"

#include <xlsxwriter.h>

/* What a number is, which decides how its cell looks. */
typedef enum CellStyle {
    CELL_FORMULA,   /* computed on the sheet: upright black */
    CELL_SIMULATED, /* from the simulation: italic */
    CELL_PUBLISHED, /* from a claim */
    CELL_INPUT,     /* may be changed: blue on pale yellow */
    CELL_AS_GIVEN,  /* an input that only a new simulation can change: blue, to the left */
    CELL_TOTAL,     /* a formula that closes a block: bold under a line */
    CELL_CHECK,     /* a difference that must be zero: bold green */
    CELL_STYLE_COUNT
} CellStyle;

enum { MAX_NUMBER_FORMATS = 96 };

typedef struct NumberFormat {
    CellStyle style;
    const char *format; /* of static storage */
    lxw_format *made;
} NumberFormat;

typedef struct BookFormats {
    lxw_format *title, *head, *head_right, *head_indented, *section, *text, *unit, *bold, *wrapped,
        *given, *note, *note_wrapped, *verdict[VERDICT_COUNT];
    size_t number_count;
    NumberFormat numbers[MAX_NUMBER_FORMATS]; /* made when first asked for */
} BookFormats;

/* The run that the sheets are about. */
typedef struct BookRun {
    const char *name; /* that claims call its scenario by, or NULL */
    const Scenario *scenario;
    const TrainForecast *train; /* NULL: a serving scenario, or no run that fits */
    const MetricSet *metrics;
    const LoadForecast *load; /* of a serving scenario under a load, or NULL */
} BookRun;

typedef struct Book {
    lxw_workbook *workbook;
    BookFormats formats;
    const char *title;
    BookRun run;
    const AuditResult *audit;   /* claims and their scenarios, or NULL */
    const ResolvedList *inputs; /* of the run's scenario */
    size_t driver_count;
    Driver drivers[MAX_DRIVERS]; /* of the run's days, strongest first */
    const Provenance *provenance;
    int wrong_caches; /* tests: every cached result is 999, so that only a recalculation gives
                         numbers */
    Status status;    /* the first failure; later calls do nothing */
    Error *error;
} Book;

/* Formats. */
void book_make_formats(Book *book);
lxw_format *book_number_format(Book *book, CellStyle style, const char *format);

/* The number format that shows `values` of one row in `unit`, chosen by their largest magnitude;
 * values that are not finite are passed over. Cells keep the full number under it. */
const char *number_format_of(const char *unit, const double *values, size_t count);

/* A cell name such as A100, TP8 or R1C1 is no name: Excel would ask to repair the file, and the
 * library lets it pass. Sheet names have rules of their own. */
int workbook_name_is_safe(const char *name);
int workbook_sheet_name_is_safe(const char *name);

/* Sheets and names; after a failure they return NULL or do nothing. Sheets print on landscape A4,
 * one page wide; with one_page also one page high. */
lxw_worksheet *book_sheet(Book *book, const char *name, int one_page);
void book_define(Book *book, const char *name, const char *sheet, lxw_row_t row, lxw_col_t column);
void book_widths(Book *book, lxw_worksheet *sheet, const double *widths, size_t count);

/* Keeps the rows above `rows` and the columns before `columns` in view, and repeats the rows on
 * every printed page. */
void book_keep_in_view(Book *book, lxw_worksheet *sheet, lxw_row_t rows, lxw_col_t columns);

/* Cells. Text is written as ASCII and never as a formula; a number that is not finite leaves the
 * cell empty. */
void book_text(Book *book, lxw_worksheet *sheet, lxw_row_t row, lxw_col_t column, const char *text,
               lxw_format *format);
void book_number(Book *book, lxw_worksheet *sheet, lxw_row_t row, lxw_col_t column, double value,
                 lxw_format *format);
void book_formula(Book *book, lxw_worksheet *sheet, lxw_row_t row, lxw_col_t column,
                  const char *formula, double value, lxw_format *format);

/* A row of column heads from `column` on; `sides` has one of 'l', 'r' or 'i'
 * (left, off the numbers before it) for each. */
void book_heads(Book *book, lxw_worksheet *sheet, lxw_row_t row, lxw_col_t column,
                const char *const *titles, const char *sides);

/* Lines that `text` takes in a wrapped cell of a column `width` wide, and a row high enough for
 * `lines`: not every program that opens the file fits rows to wrapped text by itself. */
size_t book_lines(const char *text, double width);
void book_row_lines(Book *book, lxw_worksheet *sheet, lxw_row_t row, size_t lines);

/* A note over the first `count` columns, of these widths, on as many lines as it takes. */
void book_wide_text(Book *book, lxw_worksheet *sheet, lxw_row_t row, const double *columns,
                    size_t count, const char *text);

/* A metric by name: 0 when there is none. */
int book_metric(const MetricSet *metrics, const char *name, Summary *summary);

enum { JOULES_PER_KWH = 3600000 };

/* The Inputs sheet: rows whose cells have names, under heads that stay in view, then everything
 * that the scenario says. */
enum {
    INPUT_COLUMN_NAME,
    INPUT_COLUMN_VALUE,
    INPUT_COLUMN_UNIT,
    INPUT_COLUMN_LOW,
    INPUT_COLUMN_HIGH,
    INPUT_COLUMN_ORIGIN,
    INPUT_COLUMN_SOURCE, /* last and wide: some sources are sentences */
    INPUT_COLUMN_COUNT
};

typedef struct InputRow {
    const char *label, *name; /* `name` is defined for the value's cell */
    double value;
    const char *unit;
    const char *path;   /* of the scenario's value, NULL: none */
    double to_unit;     /* SI value times this is in `unit` */
    const char *source; /* where `path` names none */
} InputRow;

lxw_row_t book_inputs_begin(Book *book, lxw_worksheet *sheet, const char *note);
void book_input_rows(Book *book, lxw_worksheet *sheet, lxw_row_t *row, CellStyle style,
                     const char *title, const InputRow *rows, size_t count);
void book_inputs_all(Book *book, lxw_worksheet *sheet, lxw_row_t row);

/* An input's median over the draws; its value when it is not drawn. */
double book_input_median(const Book *book, const char *path, double fixed, double to_unit);

/* The sheets. book_inputs fills what the cost sheet's cached results are computed from. */
typedef struct CostInputs {
    int present;    /* no training scenario: no cost sheet to fill */
    double days[3]; /* median, p5, p95 */
    double gpus, gpu_hour_usd, peak_flops_per_s, flops_exact, flops_6nd;
    double node_gpus, node_power_w, pue, energy_usd_per_kwh, co2_kg_per_kwh, energy_included;
    double claim_gpus, claim_flops;                         /* published, else simulated */
    double claim_days_low, claim_days_high, claim_cost_usd; /* NaN when nothing was published */
} CostInputs;

void book_summary(Book *book, lxw_worksheet *sheet);
void book_inputs(Book *book, lxw_worksheet *sheet, CostInputs *inputs);
void book_cost(Book *book, lxw_worksheet *sheet, const CostInputs *inputs);
/* All sheets of a serving scenario. */
void book_over_time(Book *book, lxw_worksheet *sheet);
void book_serving(Book *book);

void book_claims(Book *book, lxw_worksheet *sheet); /* of an audit */
void book_provenance(Book *book, lxw_worksheet *sheet);

/* What workbook_audit and workbook_train say of the book, and how it is written. */
Book book_of_audit(const AuditResult *audit, const ResolvedList *inputs,
                   const Provenance *provenance);
Book book_of_train(const Scenario *scenario, const TrainForecast *forecast,
                   const ResolvedList *inputs, const Provenance *provenance);
Book book_of_serve(const Scenario *scenario, const MetricSet *metrics, const ResolvedList *inputs,
                   const Provenance *provenance);
Status book_write(Book *book, const char *directory, const char *name, Error *error);

#endif
