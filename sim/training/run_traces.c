#include "sim/training/run_traces.h"

#include "configs/reader/csv.h"

#include <stdio.h>
#include <stdlib.h>

static const double HOUR_S = 3600.0;

/* The cell says where the problem is. */
static Status bad_cell(const CsvTable *table, const CsvCell *cell, Error *error)
{
    error_set(error, STATUS_INVALID,
              "time_h = '%.40s' is not a number of hours that is at least the one before",
              cell->text);
    snprintf(error->file, sizeof error->file, "%s", table->file);
    error->line = cell->line;
    error->column = cell->column;
    return STATUS_INVALID;
}

static Status read_trace(const char *path, double **times_s, size_t *count, Error *error)
{
    CsvTable table = {0};
    double hours = 0.0, before = 0.0;
    Status status = csv_read(path, &table, error);
    if (status != STATUS_OK)
        return status;
    int column = csv_column(&table, "time_h");
    if (column < 0) {
        status = error_set(error, STATUS_INVALID, "%s has no column 'time_h'", path);
        error_hint(error, "hours since the start of the run, in order");
        goto cleanup;
    }
    *times_s = calloc(table.row_count + 1, sizeof **times_s);
    if (*times_s == NULL) {
        status =
            error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu failures", table.row_count);
        goto cleanup;
    }
    for (size_t i = 0; i < table.row_count; i++) {
        const CsvCell *cell = &table.rows[i].cells[column];
        if (csv_number(cell->text, &hours) == 0 || hours < before) {
            status = bad_cell(&table, cell, error);
            goto cleanup;
        }
        before = hours;
        (*times_s)[i] = hours * HOUR_S;
    }
    *count = table.row_count;

cleanup:
    csv_free(&table);
    return status;
}

Status run_traces_read(const ReliabilitySpec *reliability, RunTraces *traces, Error *error)
{
    Status status = STATUS_OK;
    size_t count = reliability_class_count(reliability);
    for (size_t i = 0; status == STATUS_OK && i < count && i < MAX_FAILURE_CLASSES; i++) {
        const char *path = reliability_class(reliability, i)->trace;
        if (path[0] != '\0')
            status = read_trace(path, &traces->times_s[i], &traces->count[i], error);
    }
    return status;
}

void run_traces_free(RunTraces *traces)
{
    for (size_t i = 0; i < MAX_FAILURE_CLASSES; i++)
        free(traces->times_s[i]);
    *traces = (RunTraces){0};
}

void run_traces_attach(const RunTraces *traces, RunInput *input)
{
    for (size_t i = 0; i < input->class_count; i++) {
        input->classes[i].trace_s = traces->times_s[i];
        input->classes[i].trace_count = traces->count[i];
    }
}
