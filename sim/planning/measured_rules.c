#include "sim/planning/measured_rules.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

/* ---- reading -----------------------------------------------------------------------------------
 */

static Status read_table(const ConfigPaths *paths, const char *name, const char *const *columns,
                         CsvTable *table, Error *error)
{
    char path[ERROR_PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/measurements/%s", paths->root, name);
    Status status = csv_read(path, table, error);
    for (size_t i = 0; status == STATUS_OK && columns[i] != NULL; i++)
        if (csv_column(table, columns[i]) < 0)
            status =
                error_set(error, STATUS_INVALID, "'%.200s' has no column '%s'", path, columns[i]);
    for (size_t i = 0; status == STATUS_OK && i < table->row_count; i++)
        if (table->rows[i].problem[0] != '\0')
            status = error_set(error, STATUS_INVALID, "%.200s:%d: %s", path, table->rows[i].line,
                               table->rows[i].problem);
    return status;
}

Status measured_rules_read(const ConfigPaths *paths, MeasuredRules *rules, Error *error)
{
    static const char *const GPUS[] = {"gpu", "hw", "assumed", NULL};
    static const char *const STACKS[] = {"id", "source", "from", "to", "zero_stage", "stack", NULL};
    static const char *const FACTS[] = {"id", "source", "model", "zero_stage", "set", NULL};
    static const char *const CONVENTIONS[] = {"mfu_convention", "convention", "peak", "assumed",
                                              NULL};
    *rules = (MeasuredRules){0};
    Status status = read_table(paths, "gpus.csv", GPUS, &rules->gpus, error);
    if (status == STATUS_OK)
        status = read_table(paths, "stacks.csv", STACKS, &rules->stacks, error);
    if (status == STATUS_OK)
        status = read_table(paths, "facts.csv", FACTS, &rules->facts, error);
    if (status == STATUS_OK)
        status = read_table(paths, "conventions.csv", CONVENTIONS, &rules->conventions, error);
    if (status != STATUS_OK)
        measured_rules_free(rules);
    return status;
}

void measured_rules_free(MeasuredRules *rules)
{
    csv_free(&rules->gpus);
    csv_free(&rules->stacks);
    csv_free(&rules->facts);
    csv_free(&rules->conventions);
}

/* ---- matching ----------------------------------------------------------------------------------
 */

static const char *cell(const CsvTable *table, size_t row, const char *column)
{
    int index = csv_column(table, column);
    return index >= 0 ? table->rows[row].cells[index].text : "";
}

static int matches(const CsvTable *table, size_t row, const char *column, const char *text)
{
    const char *pattern = cell(table, row, column);
    return pattern[0] == '\0' || fnmatch(pattern, text, 0) == 0;
}

/* A row without a year is of any. */
static int year_matches(const CsvTable *table, size_t row, double year)
{
    double bound;
    if (!measured_has(year))
        return 1;
    if (csv_number(cell(table, row, "from"), &bound) && year < bound)
        return 0;
    return !csv_number(cell(table, row, "to"), &bound) || year <= bound;
}

enum { ZERO_STAGE_BYTES = 16 };

/* Empty when it is not stated. */
static void write_zero_stage(const Measurement *row, char text[ZERO_STAGE_BYTES])
{
    text[0] = '\0';
    if (measured_has(row->zero_stage))
        snprintf(text, ZERO_STAGE_BYTES, "%g", row->zero_stage);
}

const char *rules_hardware(const MeasuredRules *rules, const Measurement *row, int *assumed)
{
    *assumed = 0;
    for (size_t i = 0; i < rules->gpus.row_count; i++)
        if (matches(&rules->gpus, i, "gpu", row->gpu)) {
            *assumed = cell(&rules->gpus, i, "assumed")[0] != '\0';
            return cell(&rules->gpus, i, "hw");
        }
    return NULL;
}

const char *rules_stack(const MeasuredRules *rules, const Measurement *row, int *assumed)
{
    const CsvTable *table = &rules->stacks;
    char zero_stage[ZERO_STAGE_BYTES];
    *assumed = 0;
    if (row->stack[0] != '\0')
        return row->stack;
    write_zero_stage(row, zero_stage);
    for (size_t i = 0; i < table->row_count; i++) {
        if (!matches(table, i, "id", row->id) || !matches(table, i, "source", row->source) ||
            !matches(table, i, "zero_stage", zero_stage) || !year_matches(table, i, row->year))
            continue;
        *assumed = cell(table, i, "id")[0] == '\0' && cell(table, i, "source")[0] == '\0';
        return cell(table, i, "stack");
    }
    return NULL;
}

size_t rules_facts(const MeasuredRules *rules, const Measurement *row, const char *facts[MAX_FACTS])
{
    const CsvTable *table = &rules->facts;
    size_t count = 0;
    char zero_stage[ZERO_STAGE_BYTES];
    write_zero_stage(row, zero_stage);
    for (size_t i = 0; i < table->row_count && count < MAX_FACTS; i++)
        if (matches(table, i, "id", row->id) && matches(table, i, "zero_stage", zero_stage) &&
            matches(table, i, "source", row->source) && matches(table, i, "model", row->model))
            facts[count++] = cell(table, i, "set");
    return count;
}

int rules_convention(const MeasuredRules *rules, const Measurement *row, ConventionRule *rule)
{
    const CsvTable *table = &rules->conventions;
    for (size_t i = 0; i < table->row_count; i++)
        if (matches(table, i, "mfu_convention", row->convention)) {
            rule->convention = cell(table, i, "convention");
            rule->peak = cell(table, i, "peak");
            rule->assumed = cell(table, i, "assumed")[0] != '\0';
            return 1;
        }
    return 0;
}
