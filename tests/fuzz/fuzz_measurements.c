/* Fuzz target of measurement tables: any bytes give rows, skipped rows or one located error; a row
 * gives a scenario that can be simulated, or a reason. */
#include "models/memory.h"
#include "sim/planning/measured_scenario.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A broken promise of the reader must look like a crash. */
static void require(bool promise)
{
    if (!promise)
        abort();
}

enum { MOST_ROWS = 8 };

/* Rows over the shipped tables. */
static void lay_rows(const MeasurementFile *file)
{
    static ConfigPaths paths;
    static MeasuredRules rules; /* read once for all inputs */
    static int is_read;
    Error error = {0};
    if (!is_read) {
        require(config_paths_find(NULL, &paths, &error) == STATUS_OK);
        require(measured_rules_read(&paths, &rules, &error) == STATUS_OK);
        is_read = 1;
    }
    MeasuredBases bases = {.paths = &paths, .rules = &rules};
    Scenario *scenario = malloc(sizeof *scenario);
    for (size_t i = 0; scenario != NULL && i < file->count && i < MOST_ROWS; i++) {
        const MeasuredBase *base = NULL;
        DefaultsTaken defaults = {0};
        double rate = 0;
        error = (Error){0};
        Status status = measured_base(&bases, &file->rows[i], &base, &error);
        if (status == STATUS_OK)
            status = measured_scenario(base, &file->rows[i], scenario, &defaults, &error);
        require(status == STATUS_OK || error.message[0] != '\0');
        if (status != STATUS_OK)
            continue;
        MemoryPlan memory;
        memory_plan(scenario, &memory);
        require(isfinite(memory.worst.total_bytes) && memory.worst.total_bytes > 0);
        status = measured_tokens_per_s(&rules, &file->rows[i], scenario, &rate, &defaults, &error);
        require(status == STATUS_OK ? rate > 0 : error.message[0] != '\0');
    }
    free(scenario);
    measured_bases_free(&bases);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char NOTHING[] = "";
    const char *text = size > 0 ? (const char *)data : NOTHING;
    CsvTable table;
    Error error = {0};
    if (csv_read_text("fuzz.csv", text, size, &table, &error) == STATUS_OK) {
        for (size_t row = 0; row < table.row_count; row++)
            for (size_t column = 0; column < table.columns; column++) {
                double value = 0;
                const CsvCell *cell = &table.rows[row].cells[column];
                require(cell->text != NULL);
                require(!csv_number(cell->text, &value) || isfinite(value));
            }
        csv_free(&table);
    } else {
        require(error.message[0] != '\0' && table.rows == NULL);
    }

    MeasurementFile file;
    error = (Error){0};
    Status status = measurements_read_text("fuzz.csv", text, size, &file, &error);
    require(status == STATUS_OK || error.message[0] != '\0');
    if (status == STATUS_OK) {
        lay_rows(&file);
        measurements_free(&file);
    }
    return 0;
}
