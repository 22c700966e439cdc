/* What the readers of serving tables (serving_rows.h, serving_points.h) share: small tables of
 * rules, scenarios written as text, and the growing list of rows. */
#ifndef SIM_PLANNING_SERVING_TABLE_H
#define SIM_PLANNING_SERVING_TABLE_H

#include "sim/planning/serving_rows.h"

/* configs/measurements/NAME.csv. */
Status rules_read(const ConfigPaths *paths, const char *name, CsvTable *table, Error *error);

/* The tables of serving_names.h. */
Status serving_names_read(const ConfigPaths *paths, ServingRows *rows, Error *error);

/* The cell of a column; "" when the table has no such column. */
const char *rule_cell(const CsvTable *table, size_t row, const char *column);

/* The same as a number; an empty cell counts as 0. */
double rule_number(const CsvTable *table, size_t row, const char *column);

/* The first row whose `column` cell is `column` and whose `pattern` matches the text (fnmatch);
 * the table's row count when there is none. */
size_t rule_find(const CsvTable *table, const char *column, const char *text);

/* The midpoint of a scenario that is given as text; the first error as a reason to skip a row. */
Status serving_scenario_read(const ConfigPaths *paths, const char *text, const char *const *sets,
                             size_t set_count, Scenario *scenario, char *reason,
                             size_t reason_bytes);

/* Room for `rows` rows of a table with up to `numbers` measured values each. */
Status serving_rows_reserve(ServingRows *rows, size_t table_rows, size_t numbers, Error *error);

/* Rows beyond the room are left out. */
void serving_rows_push(ServingRows *rows, const ServingRow *row);

/* `id` points into the table. */
void serving_rows_skip(ServingRows *rows, int line, const char *id, const char *reason);

#endif
