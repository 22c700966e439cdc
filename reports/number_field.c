#include "reports/number_field.h"

double number_at(const void *base, const NumberField *field)
{
    return *(const double *)(const void *)((const char *)base + field->offset);
}

void json_put_numbers(JsonBuilder *builder, json_t *object, const NumberField *fields, size_t count,
                      const void *base)
{
    for (size_t i = 0; i < count; i++)
        json_put(builder, object, fields[i].key, json_number(number_at(base, &fields[i])));
}

void csv_put_numbers(FILE *out, const NumberField *fields, size_t count, const void *base)
{
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s%.17g", i > 0 ? "," : "", number_at(base, &fields[i]));
}

void csv_put_names(FILE *out, const NumberField *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s%s", i > 0 ? "," : "", fields[i].key);
}
