/* Shared by the readers of the two forms, import.c (JSON lines) and import_csv.c (tables). */
#ifndef HW_CALIBRATION_IMPORT_INTERNAL_H
#define HW_CALIBRATION_IMPORT_INTERNAL_H

#include "configs/reader/csv.h"
#include "hw/calibration/import.h"

typedef struct CalImport {
    CalPoints *points;
    CalCatalogue catalogue;
    Error *error;
} CalImport;

void cal_reject(CalImport *import, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Checks the sample against its device and keeps it, or rejects it. STATUS_ENVIRONMENT without
 * memory, STATUS_INVALID beyond CAL_MAX_POINTS. */
Status cal_keep(CalImport *import, CalClass device_class, const CalSample *sample);

/* Index of a name in a list of names, or -1. */
int cal_name_index(const char *const *names, int count, const char *name);

Status cal_import_table(CalImport *import, const CsvTable *table);

#endif
