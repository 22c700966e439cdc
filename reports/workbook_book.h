/* Inside the workbook: one writer, its formats, and cells that guard what the library does not. */
#ifndef REPORTS_WORKBOOK_BOOK_H
#define REPORTS_WORKBOOK_BOOK_H

#include "reports/files.h"

#include <xlsxwriter.h>

typedef struct BookFormats {
    lxw_format *title, *head, *text, *wrapped, *number, *percent, *money, *input, *input_text,
        *simulated, *note, *verdict[VERDICT_COUNT];
} BookFormats;

typedef struct Book {
    lxw_workbook *workbook;
    BookFormats formats;
    const AuditResult *audit;
    const AuditScenario *headline; /* a training scenario that fits, or NULL */
    const ResolvedList *inputs;
    const Provenance *provenance;
    int wrong_caches; /* tests: every cached result is 999, so that only a recalculation gives
                         numbers */
    Status status;    /* the first failure; later calls do nothing */
    Error *error;
} Book;

/* A cell name such as A100, TP8 or R1C1 is no name: Excel would ask to repair the file, and the
 * library lets it pass. Sheet names have rules of their own. */
int workbook_name_is_safe(const char *name);
int workbook_sheet_name_is_safe(const char *name);

/* Sheets and names; after a failure they return NULL or do nothing. */
lxw_worksheet *book_sheet(Book *book, const char *name, int landscape_wide);
void book_define(Book *book, const char *name, const char *sheet, lxw_row_t row, lxw_col_t column);

/* Cells. Text is written as ASCII and never as a formula; a number that is not finite leaves the
 * cell empty. */
void book_text(Book *book, lxw_worksheet *sheet, lxw_row_t row, lxw_col_t column, const char *text,
               lxw_format *format);
void book_number(Book *book, lxw_worksheet *sheet, lxw_row_t row, lxw_col_t column, double value,
                 lxw_format *format);
void book_formula(Book *book, lxw_worksheet *sheet, lxw_row_t row, lxw_col_t column,
                  const char *formula, double value, lxw_format *format);

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
void book_claims(Book *book, lxw_worksheet *sheet);
void book_provenance(Book *book, lxw_worksheet *sheet);

/* workbook_audit with its caches made wrong on demand. */
Status workbook_write(const char *directory, const char *name, const AuditResult *audit,
                      const ResolvedList *inputs, const Provenance *provenance, int wrong_caches,
                      Error *error);

#endif
