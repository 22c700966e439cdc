#include "sim/planning/serving_table.h"

#include "configs/reader/sample.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Status rules_read(const ConfigPaths *paths, const char *name, CsvTable *table, Error *error)
{
    char path[ERROR_PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/measurements/%s.csv", paths->root, name);
    return csv_read(path, table, error);
}

Status serving_names_read(const ConfigPaths *paths, ServingRows *rows, Error *error)
{
    const Status status = rules_read(paths, "serving_spellings", &rows->spellings, error);
    return status == STATUS_OK ? rules_read(paths, "serving_engines", &rows->engines, error)
                               : status;
}

const char *rule_cell(const CsvTable *table, size_t row, const char *column)
{
    const int index = csv_column(table, column);
    return index >= 0 ? table->rows[row].cells[index].text : "";
}

double rule_number(const CsvTable *table, size_t row, const char *column)
{
    double value;
    return csv_number(rule_cell(table, row, column), &value) ? value : 0;
}

size_t rule_find(const CsvTable *table, const char *column, const char *text)
{
    for (size_t i = 0; i < table->row_count; i++)
        if (strcmp(rule_cell(table, i, "column"), column) == 0 &&
            fnmatch(rule_cell(table, i, "pattern"), text, 0) == 0)
            return i;
    return table->row_count;
}

Status serving_scenario_read(const ConfigPaths *paths, const char *text, const char *const *sets,
                             size_t set_count, Scenario *scenario, char *reason,
                             size_t reason_bytes)
{
    ErrorList *errors = calloc(1, sizeof *errors);
    Scenario *read = calloc(1, sizeof *read);
    Status status = STATUS_ENVIRONMENT;
    if (errors != NULL && read != NULL) {
        status = scenario_read_text(paths, "measured row", text, strlen(text), sets, set_count,
                                    read, NULL, NULL, errors);
        if (status == STATUS_OK)
            scenario_midpoint(read, scenario);
        else
            snprintf(reason, reason_bytes, "%.140s", errors->errors[0].message);
    }
    free(read);
    free(errors);
    return status;
}

Status serving_rows_reserve(ServingRows *rows, size_t table_rows, size_t numbers, Error *error)
{
    rows->capacity = numbers * table_rows;
    rows->rows = calloc(rows->capacity + 1, sizeof *rows->rows);
    rows->skipped = calloc(table_rows + 1, sizeof *rows->skipped);
    rows->scenarios = calloc(table_rows + 1, sizeof *rows->scenarios);
    return rows->rows != NULL && rows->skipped != NULL && rows->scenarios != NULL
               ? STATUS_OK
               : error_set(error, STATUS_ENVIRONMENT, "out of memory");
}

void serving_rows_push(ServingRows *rows, const ServingRow *row)
{
    if (rows->count < rows->capacity)
        rows->rows[rows->count++] = *row;
}

void serving_rows_skip(ServingRows *rows, int line, const char *id, const char *reason)
{
    SkippedRow *skipped = &rows->skipped[rows->skipped_count++];
    skipped->line = line;
    skipped->id = id;
    snprintf(skipped->reason, sizeof skipped->reason, "%.100s", reason);
}

void serving_rows_free(ServingRows *rows)
{
    for (size_t i = 0; i < rows->scenario_count; i++)
        free(rows->scenarios[i]);
    free(rows->scenarios);
    free(rows->rows);
    free(rows->skipped);
    csv_free(&rows->names);
    csv_free(&rows->mixes);
    csv_free(&rows->runs);
    csv_free(&rows->spellings);
    csv_free(&rows->engines);
    *rows = (ServingRows){0};
}
