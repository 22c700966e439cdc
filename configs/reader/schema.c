#include "configs/reader/schema.h"

#include "configs/reader/suggest.h"
#include "configs/reader/text.h"

#include <stdio.h>
#include <string.h>

const char *const BOOL_WORDS[] = {"false", "true", NULL};

const Part PARTS[] = {
    {"model", "models", "model", &MODEL_SCHEMA, offsetof(Scenario, model)},
    {"hardware", "hw", "hardware", &HARDWARE_SCHEMA, offsetof(Scenario, hardware)},
    {"gpu", "hw", "hardware.gpu", &GPU_SCHEMA, offsetof(Scenario, hardware.gpu)},
    {"node", "hw", "hardware.node", &NODE_SCHEMA, offsetof(Scenario, hardware.node)},
    {"fabric", "hw", "hardware.fabric", &FABRIC_SCHEMA, offsetof(Scenario, hardware.fabric)},
    {"calibration", "calibration", "hardware.gpu.calibration", &CALIBRATION_SCHEMA,
     offsetof(Scenario, hardware.gpu.calibration)},
    {"stack", "calibration", "training", &TRAINING_SCHEMA, offsetof(Scenario, training)},
    {"failures", "hw/failures", "reliability.failures", &FAILURES_SCHEMA,
     offsetof(Scenario, reliability.failures)},
    {"rent", "hw", "prices.rent", &RENT_SCHEMA, offsetof(Scenario, prices.rent)},
    {"own", "hw", "prices.own", &OWN_SCHEMA, offsetof(Scenario, prices.own)},
    {"law", "calibration", "law", &LAW_SCHEMA, offsetof(Scenario, law)},
    {"engine", "calibration", "serving", &SERVING_SCHEMA, offsetof(Scenario, serving)},
    {"weights", "calibration", "serving.weights", &WEIGHTS_SCHEMA,
     offsetof(Scenario, serving.weights)},
    {"scenario", "scenarios", "", &SCENARIO_SCHEMA, 0},
};
const size_t PART_COUNT = sizeof PARTS / sizeof PARTS[0];

const Part *schema_part(const char *word)
{
    for (size_t i = 0; i < PART_COUNT; i++)
        if (strcmp(PARTS[i].word, word) == 0)
            return &PARTS[i];
    return NULL;
}

const Field *schema_field(const Schema *schema, const char *key)
{
    for (size_t i = 0; i < schema->field_count; i++)
        if (strcmp(schema->fields[i].key, key) == 0)
            return &schema->fields[i];
    return NULL;
}

/* Offers every key below `schema` and writes down the group that holds the best. */
static void offer_below(const Schema *schema, const char *path, Suggestion *nearest, char *where,
                        size_t where_bytes)
{
    for (size_t i = 0; i < schema->field_count; i++) {
        const Field *field = &schema->fields[i];
        const char *before = nearest->best;
        size_t distance_before = nearest->distance;
        suggest_offer(nearest, field->key);
        if (nearest->best != before || nearest->distance != distance_before)
            snprintf(where, where_bytes, "%s", path);
        if (field->group != NULL) {
            char below[128];
            text_join_path(below, sizeof below, path, field->key);
            offer_below(field->group, below, nearest, where, where_bytes);
        }
    }
}

void schema_suggest(const Schema *root, const Schema *schema, const char *key, char *hint,
                    size_t hint_bytes)
{
    hint[0] = '\0';
    Suggestion sibling = {.word = key};
    for (size_t i = 0; i < schema->field_count; i++)
        suggest_offer(&sibling, schema->fields[i].key);
    if (sibling.best != NULL) {
        snprintf(hint, hint_bytes, "did you mean '%s'?", sibling.best);
        return;
    }
    Suggestion anywhere = {.word = key};
    char where[128] = "";
    offer_below(root, "", &anywhere, where, sizeof where);
    if (anywhere.best != NULL && where[0] != '\0')
        snprintf(hint, hint_bytes, "'%s' exists under '%s'", anywhere.best, where);
    else if (anywhere.best != NULL)
        snprintf(hint, hint_bytes, "'%s' exists at the top level", anywhere.best);
}
