/* Fuzz target of tables of kernels: any bytes give rows, skipped rows or one located error. */
#include "sim/planning/kernel_gemm.h"
#include "sim/planning/kernel_moe.h"

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
    csv_free(&table);
    return 0;
}
