/* The failures of one published run, by class. */
#include "sim/planning/oracle.h"

#include <stdio.h>
#include <string.h>

static const double DAY_S = 86400.0;

enum { MIX_CLASS, MIX_GPUS_PER_UNIT, MIX_FAILURES, MIX_GPUS, MIX_DAYS, MIX_COLUMNS };

static Status read_class(const CsvTable *table, const CsvRow *row, const int *columns,
                         FailureMixClass *class, Error *error)
{
    double numbers[MIX_COLUMNS] = {0};
    for (int i = MIX_GPUS_PER_UNIT; i < MIX_COLUMNS; i++) {
        const CsvCell *cell = &row->cells[columns[i]];
        if (csv_number(cell->text, &numbers[i]) && numbers[i] > 0.0)
            continue;
        error_set(error, STATUS_INVALID, "'%.40s' is not a number above 0", cell->text);
        snprintf(error->file, sizeof error->file, "%s", table->file);
        error->line = cell->line;
        error->column = cell->column;
        return STATUS_INVALID;
    }
    snprintf(class->name, sizeof class->name, "%.47s", row->cells[columns[MIX_CLASS]].text);
    class->gpus_per_unit = numbers[MIX_GPUS_PER_UNIT];
    class->rate_per_unit_s = numbers[MIX_FAILURES] / (numbers[MIX_GPUS] / class->gpus_per_unit) /
                             (numbers[MIX_DAYS] * DAY_S);
    return STATUS_OK;
}

Status oracle_read_mix(const ConfigPaths *paths, FailureMix *mix, Error *error)
{
    static const char *const COLUMNS[MIX_COLUMNS] = {"class", "gpus_per_unit", "failures", "gpus",
                                                     "days"};
    char path[2 * ERROR_PATH_BYTES];
    int columns[MIX_COLUMNS];
    CsvTable table;
    *mix = (FailureMix){0};
    snprintf(path, sizeof path, "%s/measurements/reliability_classes.csv", paths->root);
    Status status = csv_read(path, &table, error);
    if (status != STATUS_OK)
        return status;
    for (int i = 0; i < MIX_COLUMNS && status == STATUS_OK; i++) {
        columns[i] = csv_column(&table, COLUMNS[i]);
        if (columns[i] < 0)
            status = error_set(error, STATUS_INVALID, "%.80s has no column '%s'", table.file,
                               COLUMNS[i]);
    }
    if (status == STATUS_OK && (table.row_count == 0 || table.row_count > RELIABILITY_MAX_LIST))
        status = error_set(error, STATUS_INVALID, "%.80s holds no or more than %d classes",
                           table.file, RELIABILITY_MAX_LIST);
    for (size_t i = 0; i < table.row_count && status == STATUS_OK; i++)
        status = read_class(&table, &table.rows[i], columns, &mix->classes[mix->count++], error);
    csv_free(&table);
    return status;
}
