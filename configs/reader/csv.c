#include "configs/reader/csv.h"

#include "configs/reader/canonical.h"
#include "configs/reader/file.h"
#include "configs/reader/text.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where reading stands. Cells are unquoted in place: a cell never grows. */
typedef struct Cursor {
    char *at, *end;
    const char *line_start;
    int line;
} Cursor;

typedef enum CellEnd { CELL_ENDS, RECORD_ENDS, QUOTE_OPEN } CellEnd;

static int column_of(const Cursor *cursor)
{
    return (int)(cursor->at - cursor->line_start) + 1;
}

static void next_line(Cursor *cursor, const char *start)
{
    cursor->line++;
    cursor->line_start = start;
}

/* Steps over the separator or the line end at the cursor, after the cell has been read. */
static CellEnd step_over_end(Cursor *cursor)
{
    if (cursor->at == cursor->end)
        return RECORD_ENDS;
    if (*cursor->at == ',') {
        cursor->at++;
        return CELL_ENDS;
    }
    if (*cursor->at == '\r' && cursor->at + 1 < cursor->end)
        cursor->at++;
    cursor->at++;
    next_line(cursor, cursor->at);
    return RECORD_ENDS;
}

static bool at_cell_end(const Cursor *cursor)
{
    const char *at = cursor->at;
    return at == cursor->end || *at == ',' || *at == '\n' ||
           (*at == '\r' && (at + 1 == cursor->end || at[1] == '\n'));
}

static CellEnd read_plain(Cursor *cursor, CsvCell *cell, bool *broken)
{
    cell->text = cursor->at;
    while (!at_cell_end(cursor)) {
        *broken = *broken || *cursor->at == '"';
        cursor->at++;
    }
    char *stop = cursor->at;
    CellEnd end = step_over_end(cursor);
    *stop = '\0';
    return end;
}

static CellEnd read_quoted(Cursor *cursor, CsvCell *cell, bool *broken)
{
    char *write = cursor->at;
    cell->text = write;
    cursor->at++;
    for (;; cursor->at++) {
        if (cursor->at == cursor->end)
            return QUOTE_OPEN;
        if (*cursor->at == '\n')
            next_line(cursor, cursor->at + 1);
        if (*cursor->at == '"') {
            cursor->at++;
            if (cursor->at == cursor->end || *cursor->at != '"')
                break;
        }
        *write++ = *cursor->at;
    }
    *broken = !at_cell_end(cursor);
    while (!at_cell_end(cursor))
        cursor->at++;
    CellEnd end = step_over_end(cursor);
    *write = '\0'; /* at or before the separator just read */
    return end;
}

static bool blank_line(Cursor *cursor)
{
    if (*cursor->at != '\n' && !(*cursor->at == '\r' && at_cell_end(cursor)))
        return false;
    step_over_end(cursor);
    return true;
}

/* One record into `cells` (CSV_MAX_COLUMNS of them); *count tells how many it has, which may be
 * more than were kept. */
static Status read_record(const CsvTable *table, Cursor *cursor, CsvCell *cells, size_t *count,
                          char problem[CSV_PROBLEM_BYTES], Error *error)
{
    CellEnd end = CELL_ENDS;
    *count = 0;
    problem[0] = '\0';
    while (end == CELL_ENDS) {
        CsvCell cell = {.line = cursor->line, .column = column_of(cursor)};
        bool broken = false;
        bool quoted = cursor->at < cursor->end && *cursor->at == '"';
        end = quoted ? read_quoted(cursor, &cell, &broken) : read_plain(cursor, &cell, &broken);
        if (end == QUOTE_OPEN) {
            error_set(error, STATUS_INVALID, "a quote is opened here and never closed");
            if (error != NULL) {
                snprintf(error->file, sizeof error->file, "%s", table->file);
                error->line = cell.line;
                error->column = cell.column;
                error->width = 1;
            }
            return STATUS_INVALID;
        }
        if (broken && problem[0] == '\0')
            snprintf(problem, CSV_PROBLEM_BYTES, "a quote inside the cell at column %d",
                     cell.column);
        if (*count < CSV_MAX_COLUMNS)
            cells[*count] = cell;
        (*count)++;
    }
    return STATUS_OK;
}

static Status fail_at(const CsvTable *table, int line, Error *error, const char *message)
{
    error_set(error, STATUS_INVALID, "%s", message);
    if (error != NULL) {
        snprintf(error->file, sizeof error->file, "%s", table->file);
        error->line = line;
        error->column = 1;
    }
    return STATUS_INVALID;
}

/* Room for one more row. Cells are addressed through their index until all are read. */
static bool reserve(CsvTable *table, size_t *capacity)
{
    if (table->row_count < *capacity)
        return true;
    size_t wanted = *capacity == 0 ? 256 : 2 * *capacity;
    CsvRow *rows = realloc(table->rows, wanted * sizeof *rows);
    if (rows == NULL)
        return false;
    table->rows = rows;
    CsvCell *cells = realloc(table->cells, (wanted + 1) * table->columns * sizeof *cells);
    if (cells == NULL)
        return false;
    table->cells = cells;
    *capacity = wanted;
    return true;
}

static Status read_header(CsvTable *table, Cursor *cursor, CsvCell *record, Error *error)
{
    char problem[CSV_PROBLEM_BYTES];
    while (cursor->at < cursor->end && blank_line(cursor))
        continue;
    if (cursor->at == cursor->end)
        return fail_at(table, 1, error, "the file is empty");
    int line = cursor->line;
    Status status = read_record(table, cursor, record, &table->columns, problem, error);
    if (status != STATUS_OK)
        return status;
    if (table->columns > CSV_MAX_COLUMNS)
        return fail_at(table, line, error, "more columns than the 256 that are allowed");
    if (problem[0] != '\0')
        return fail_at(table, line, error, problem);
    for (size_t i = 0; i < table->columns; i++)
        for (size_t j = 0; j < i; j++)
            if (record[i].text[0] != '\0' && strcmp(record[i].text, record[j].text) == 0) {
                char brief[TEXT_BRIEF_BYTES], message[ERROR_TEXT_BYTES];
                snprintf(message, sizeof message, "column '%s' appears twice",
                         text_brief(brief, record[i].text));
                return fail_at(table, line, error, message);
            }
    return STATUS_OK;
}

static Status read_rows(CsvTable *table, Cursor *cursor, CsvCell *record, Error *error)
{
    size_t capacity = 0;
    Status status = STATUS_OK;
    if (!reserve(table, &capacity))
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    memcpy(table->cells, record, table->columns * sizeof *record);
    while (cursor->at < cursor->end && status == STATUS_OK) {
        if (blank_line(cursor))
            continue;
        if (table->row_count == CSV_MAX_ROWS)
            return fail_at(table, cursor->line, error, "more rows than the 1,000,000 allowed");
        if (!reserve(table, &capacity))
            return error_set(error, STATUS_ENVIRONMENT, "out of memory");
        CsvRow *row = &table->rows[table->row_count];
        CsvCell *cells = table->cells + (table->row_count + 1) * table->columns;
        size_t count = 0;
        row->line = cursor->line;
        status = read_record(table, cursor, record, &count, row->problem, error);
        if (status != STATUS_OK)
            return status;
        if (count != table->columns && row->problem[0] == '\0')
            snprintf(row->problem, sizeof row->problem, "%zu cells where the header has %zu", count,
                     table->columns);
        for (size_t i = 0; i < table->columns; i++)
            cells[i] = i < count ? record[i] : (CsvCell){"", row->line, 1};
        table->row_count++;
    }
    return STATUS_OK;
}

Status csv_read_text(const char *label, const char *text, size_t bytes, CsvTable *table,
                     Error *error)
{
    *table = (CsvTable){0};
    CsvCell *record = NULL;
    Status status = STATUS_OK;
    snprintf(table->file, sizeof table->file, "%s", label);
    if (bytes > CSV_MAX_BYTES)
        return fail_at(table, 1, error, "the file has more than the 64 MiB that are allowed");
    if (memchr(text, '\0', bytes) != NULL)
        return fail_at(table, 1, error, "the file holds NUL bytes: it is no table of text");
    table->buffer = malloc(bytes + 1);
    record = malloc(CSV_MAX_COLUMNS * sizeof *record);
    if (table->buffer == NULL || record == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    memcpy(table->buffer, text, bytes);
    table->buffer[bytes] = '\0';
    canonical_sha256(table->buffer, table->sha256);
    Cursor cursor = {.at = table->buffer, .end = table->buffer + bytes, .line = 1};
    if (bytes >= 3 && memcmp(cursor.at, "\xEF\xBB\xBF", 3) == 0)
        cursor.at += 3; /* the byte order mark that spreadsheets write */
    cursor.line_start = cursor.at;
    status = read_header(table, &cursor, record, error);
    if (status == STATUS_OK)
        status = read_rows(table, &cursor, record, error);

cleanup:
    free(record);
    if (status != STATUS_OK) {
        csv_free(table);
        return status;
    }
    table->header = table->cells;
    for (size_t i = 0; i < table->row_count; i++)
        table->rows[i].cells = table->cells + (i + 1) * table->columns;
    return STATUS_OK;
}

Status csv_read(const char *path, CsvTable *table, Error *error)
{
    FileText text = {0};
    *table = (CsvTable){0};
    Status status = file_read_bounded(path, CSV_MAX_BYTES, &text, error);
    if (status != STATUS_OK)
        return status;
    status = csv_read_text(path, text.bytes, text.count, table, error);
    free(text.bytes);
    return status;
}

void csv_free(CsvTable *table)
{
    free(table->buffer);
    free(table->cells);
    free(table->rows);
    *table = (CsvTable){0};
}

int csv_column(const CsvTable *table, const char *name)
{
    for (size_t i = 0; i < table->columns; i++)
        if (strcmp(table->header[i].text, name) == 0)
            return (int)i;
    return -1;
}

int csv_number(const char *text, double *value)
{
    /* strtod also takes hexadecimal, nan and infinity: none of them is a measurement. */
    for (const char *at = text; *at != '\0'; at++)
        if (!isdigit((unsigned char)*at) && strchr("+-.eE \t", *at) == NULL)
            return 0;
    char *end;
    double number = strtod(text, &end);
    if (end == text || !isfinite(number))
        return 0;
    while (*end == ' ' || *end == '\t')
        end++;
    if (*end != '\0')
        return 0;
    *value = number;
    return 1;
}
