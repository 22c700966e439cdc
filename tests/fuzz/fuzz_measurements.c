/* Fuzz target of measurement tables: any bytes give rows, skipped rows or one located error. */
#include "configs/reader/measurements.h"

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
    if (status == STATUS_OK)
        measurements_free(&file);
    return 0;
}
