/* Fuzz target of tables of kernels and of deployments: any bytes give rows, skipped rows or one
 * located error. */
#include "sim/planning/kernel_gemm.h"
#include "sim/planning/kernel_moe.h"
#include "sim/planning/serving_points.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef Status (*Reader)(const ConfigPaths *paths, const CsvTable *table, const char *const *sets,
                         size_t set_count, KernelCases *cases, Error *error);

/* A broken promise of the reader must look like a crash. */
static void require(bool promise)
{
    if (!promise)
        abort();
}

static void validate(const ConfigPaths *paths, const CsvTable *table, Reader read)
{
    static KernelCases cases;
    const ForecastOptions options = {.seed = 1, .threads = 1};
    KernelValidation result = {0};
    Error error = {0};
    Status status = read(paths, table, NULL, 0, &cases, &error);
    if (status == STATUS_OK) {
        status = kernel_cases_validate(&cases, KERNEL_ALL, "fuzz.csv", &options, &result, &error);
        require(result.row_count + result.skipped_count == table->row_count);
        for (size_t i = 0; i < result.row_count; i++)
            require(isfinite(result.rows[i].error));
    }
    require(status == STATUS_OK || error.message[0] != '\0');
    kernel_validation_free(&result);
    kernel_cases_free(&cases);
}

static void read_points(const ConfigPaths *paths, const CsvTable *table)
{
    ServingRows rows;
    Error error = {0};
    const Status status = serving_points_read(paths, table, NULL, 0, &rows, &error);
    require(status == STATUS_OK || error.message[0] != '\0');
    for (size_t i = 0; i < rows.count; i++)
        require(isfinite(rows.rows[i].measured) && rows.rows[i].measured > 0 &&
                rows.rows[i].batch >= 1 && rows.rows[i].gpus >= 1);
    if (status == STATUS_OK)
        require(rows.scenario_count + rows.skipped_count == table->row_count);
    serving_rows_free(&rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char NOTHING[] = "";
    const char *text = size > 0 ? (const char *)data : NOTHING;
    ConfigPaths paths;
    CsvTable table;
    Error error = {0};
    require(config_paths_find(NULL, &paths, &error) == STATUS_OK);
    if (csv_read_text("fuzz.csv", text, size, &table, &error) != STATUS_OK)
        return 0;
    validate(&paths, &table, kernel_gemm_read);
    validate(&paths, &table, kernel_moe_read);
    read_points(&paths, &table);
    csv_free(&table);
    return 0;
}
