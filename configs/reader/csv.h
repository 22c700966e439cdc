/* Tables of text: RFC 4180 (quoted cells, "" for a quote, line ends in quotes, LF or CRLF),
 * bounded.
 *
 * One bad line does not spoil a table: a record with too few or too many cells, or with text behind
 * a closing quote, is kept with `problem` set, and the next record is read. Only what leaves the
 * rest of the file without meaning (a quote that never closes, NUL bytes, a bound exceeded) fails.
 */
#ifndef CONFIGS_READER_CSV_H
#define CONFIGS_READER_CSV_H

#include "configs/reader/reader.h"

#include <stddef.h>

enum {
    CSV_MAX_BYTES = 64 << 20,
    CSV_MAX_ROWS = 1000000,
    CSV_MAX_COLUMNS = 256,
    CSV_PROBLEM_BYTES = 96
};

typedef struct CsvCell {
    const char *text; /* NUL-terminated, unquoted; "" when the record ends before this column */
    int line, column; /* of its first byte, from 1; columns count bytes */
} CsvCell;

typedef struct CsvRow {
    int line;
    const CsvCell *cells;            /* `columns` of the table */
    char problem[CSV_PROBLEM_BYTES]; /* empty: none */
} CsvRow;

typedef struct CsvTable {
    char file[ERROR_PATH_BYTES];
    char sha256[SHA256_HEX_BYTES]; /* of the text as it was read */
    size_t columns;
    const CsvCell *header;
    size_t row_count;
    CsvRow *rows;
    /* what the above point into */
    char *buffer;
    CsvCell *cells;
} CsvTable;

/* STATUS_INVALID with file, line and column, or STATUS_ENVIRONMENT; `table` is then empty. */
Status csv_read(const char *path, CsvTable *table, Error *error);

/* Same from text in memory, which is copied; `label` stands for the file name in errors. */
Status csv_read_text(const char *label, const char *text, size_t bytes, CsvTable *table,
                     Error *error);
void csv_free(CsvTable *table);

/* Index of a header's cell, or -1. */
int csv_column(const CsvTable *table, const char *name);

/* A finite number that fills the whole cell (blanks around it are allowed); 0 when it is none. */
int csv_number(const char *text, double *value);

#endif
