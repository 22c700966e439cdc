#include "configs/reader/canonical.h"

#include <jansson.h>
#include <sha2.h>
#include <stdlib.h>
#include <string.h>

static json_t *group_json(const Schema *schema, const char *target);

static json_t *number_json(double value)
{
    return json_real(value == 0 ? 0.0 : value); /* -0 is no other number */
}

static json_t *list_json(const Field *field, const char *at, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; list != NULL && i < count; i++) {
        const char *item = at + i * field->item_bytes;
        json_t *entry = field->group != NULL ? group_json(field->group, item) : json_string(item);
        if (json_array_append_new(list, entry) != 0) { /* also when entry is NULL */
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *field_json(const Field *field, const char *target)
{
    const char *at = target + field->offset;
    size_t count = 0;
    double number;
    int index;
    switch (field->kind) {
    case FIELD_NUMBER:
        memcpy(&number, at, sizeof number);
        return number_json(number);
    case FIELD_WORD:
        memcpy(&index, at, sizeof index);
        return field->words == BOOL_WORDS ? json_boolean(index) : json_string(field->words[index]);
    case FIELD_TEXT:
        return json_string(at);
    case FIELD_GROUP:
        return group_json(field->group, at);
    case FIELD_LIST:
    case FIELD_NAMED_LIST:
    case FIELD_TEXT_LIST:
        memcpy(&count, target + field->count, sizeof count);
        return list_json(field, at, count);
    }
    return NULL;
}

static json_t *group_json(const Schema *schema, const char *target)
{
    json_t *object = json_object();
    for (size_t i = 0; object != NULL && i < schema->field_count; i++) {
        const Field *field = &schema->fields[i];
        int present = 1;
        if (field->flags & FIELD_OPTIONAL)
            memcpy(&present, target + field->count, sizeof present);
        if (!present || (field->flags & FIELD_LABEL))
            continue;
        if (json_object_set_new(object, field->key, field_json(field, target)) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

/* The ranges by path, which sorts them: the order in which keys were written does not count. */
static json_t *uncertain_json(const Scenario *scenario)
{
    static const char *const DISTRIBUTIONS[] = {"uniform", "log-uniform", "normal", "lognormal",
                                                "choice"};
    json_t *object = json_object();
    for (size_t i = 0; object != NULL && i < scenario->uncertain_count; i++) {
        const UncertainInput *input = &scenario->uncertain[i];
        json_t *choices = json_array();
        for (size_t c = 0; c < input->choice_count; c++)
            json_array_append_new(choices, number_json(input->choices[c]));
        json_t *entry =
            json_pack("{s:s, s:f, s:f, s:o}", "distribution", DISTRIBUTIONS[input->distribution],
                      "low", input->low, "high", input->high, "choices", choices);
        if (json_object_set_new(object, input->path, entry) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

char *canonical_text(const Schema *schema, const void *target, const Scenario *uncertain)
{
    char *text = NULL;
    json_t *root = group_json(schema, target);
    if (root == NULL)
        return NULL;
    bool complete = json_object_set_new(root, "schema", json_integer(1)) == 0;
    if (uncertain != NULL)
        complete =
            json_object_set_new(root, "uncertain", uncertain_json(uncertain)) == 0 && complete;
    char *line =
        complete ? json_dumps(root, JSON_SORT_KEYS | JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(root);
    if (line == NULL)
        return NULL;
    size_t bytes = strlen(line);
    text = realloc(line, bytes + 2);
    if (text == NULL) {
        free(line);
        return NULL;
    }
    text[bytes] = '\n';
    text[bytes + 1] = '\0';
    return text;
}

void canonical_sha256(const char *text, char sha256[SHA256_HEX_BYTES])
{
    SHA256Data((const uint8_t *)text, strlen(text), sha256);
}

Status scenario_canonical(const Scenario *scenario, char **text, Error *error)
{
    *text = canonical_text(&SCENARIO_SCHEMA, scenario, scenario);
    return *text != NULL ? STATUS_OK : error_set(error, STATUS_ENVIRONMENT, "out of memory");
}
