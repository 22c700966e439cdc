#include "configs/reader/scenario_field.h"

#include "configs/reader/schema.h"
#include "configs/reader/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The field at a dotted path of groups, and its offset in Scenario. */
static const Field *locate(const char *path, size_t *offset)
{
    const Schema *schema = &SCENARIO_SCHEMA;
    const Field *field = NULL;
    *offset = 0;
    while (schema != NULL) {
        char key[64];
        size_t length = strcspn(path, ".");
        if (length >= sizeof key)
            return NULL;
        snprintf(key, sizeof key, "%.*s", (int)length, path);
        field = schema_field(schema, key);
        if (field == NULL)
            return NULL;
        *offset += field->offset;
        path += length;
        if (*path == '\0')
            return field;
        path++;
        schema = field->kind == FIELD_GROUP ? field->group : NULL;
    }
    return NULL;
}

int scenario_has_field(const char *path)
{
    size_t offset;
    return locate(path, &offset) != NULL;
}

Status scenario_set_number(Scenario *scenario, const char *path, double value, Error *error)
{
    size_t offset;
    const Field *field = locate(path, &offset);
    if (field == NULL || field->kind != FIELD_NUMBER)
        return error_set(error, STATUS_INVALID, "there is no number '%s'", path);
    if (!isfinite(value) || value < field->minimum || value > field->maximum ||
        ((field->flags & FIELD_WHOLE) != 0 && floor(value) != value))
        return error_set(error, STATUS_INVALID, "%s = %g is outside %g to %g", path, value,
                         field->minimum, field->maximum);
    *(double *)(void *)((char *)scenario + offset) = value;
    return STATUS_OK;
}

Status scenario_set_word(Scenario *scenario, const char *path, const char *word, Error *error)
{
    size_t offset;
    char brief[TEXT_BRIEF_BYTES];
    const Field *field = locate(path, &offset);
    if (field == NULL || field->kind != FIELD_WORD)
        return error_set(error, STATUS_INVALID, "there is no '%s'", path);
    for (int i = 0; field->words[i] != NULL; i++)
        if (strcmp(field->words[i], word) == 0) {
            *(int *)(void *)((char *)scenario + offset) = i;
            return STATUS_OK;
        }
    return error_set(error, STATUS_INVALID, "%s: '%s' is not simulated", path,
                     text_brief(brief, word));
}
