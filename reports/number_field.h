/* Tables of the doubles in a struct by the names under which reports write them. */
#ifndef REPORTS_NUMBER_FIELD_H
#define REPORTS_NUMBER_FIELD_H

#include "reports/json_build.h"

#include <stddef.h>

typedef struct NumberField {
    const char *key;
    size_t offset; /* of a double */
} NumberField;

double number_at(const void *base, const NumberField *field);

/* Each as `key` below `object`. */
void json_put_numbers(JsonBuilder *builder, json_t *object, const NumberField *fields, size_t count,
                      const void *base);

/* A row of a CSV file, and the row of names above it: with commas between, none at the ends. */
void csv_put_numbers(FILE *out, const NumberField *fields, size_t count, const void *base);
void csv_put_names(FILE *out, const NumberField *fields, size_t count);

#endif
