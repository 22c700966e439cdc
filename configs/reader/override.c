/* `--set key=value`: one value of the tree replaced, its kind and unit decided by the schema. */
#include "configs/reader/document.h"

#include "configs/reader/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SET_BYTES = 4096, MAX_SEGMENTS = 8, SEGMENT_BYTES = 64 };

typedef struct Override {
    Document *document;
    Place place;
    char key[256];
    const char *value;
    size_t segments;
    char segment[MAX_SEGMENTS][SEGMENT_BYTES];
} Override;

/* "a.b=c" into its segments and value. */
static bool split(Override *override, const char *set)
{
    ErrorList *errors = override->document->errors;
    static const char FORM[] =
        "write --set KEY=VALUE, for example --set training.parallel.recompute=full";
    const char *equals = strchr(set, '=');
    char brief[TEXT_BRIEF_BYTES];
    if (equals == NULL || equals == set) {
        report(errors, &override->place, FORM, "'%s' has no %s", text_brief(brief, set),
               equals == NULL ? "'='" : "key");
        return false;
    }
    size_t key_bytes = (size_t)(equals - set);
    if (key_bytes >= sizeof override->key || strlen(set) >= MAX_SET_BYTES) {
        report(errors, &override->place, FORM, "'%s' is too long", text_brief(brief, set));
        return false;
    }
    memcpy(override->key, set, key_bytes);
    override->key[key_bytes] = '\0';
    override->value = equals + 1;
    if (override->value[0] == '\0') {
        report(errors, &override->place, FORM, "'%s' has no value", text_brief(brief, set));
        return false;
    }
    const char *at = override->key;
    for (;;) {
        size_t bytes = strcspn(at, ".");
        if (bytes == 0 || bytes >= SEGMENT_BYTES || override->segments == MAX_SEGMENTS) {
            report(errors, &override->place, FORM, "'%s' is not a dotted key",
                   text_brief(brief, override->key));
            return false;
        }
        memcpy(override->segment[override->segments], at, bytes);
        override->segment[override->segments++][bytes] = '\0';
        if (at[bytes] == '\0')
            return true;
        at += bytes + 1;
    }
}

/* The value as a node: YAML flow where it looks like it, the bare text otherwise. */
static Node *value_node(Override *override, const Field *field)
{
    Document *document = override->document;
    const char *text = override->value;
    size_t bytes = strlen(text);
    bool flow = strchr("{[\"'", text[0]) != NULL &&
                !(field->kind == FIELD_TEXT && strchr("{[", text[0]) != NULL);
    if (!flow) {
        for (size_t i = 0; i < bytes;) {
            size_t length = text_sequence_bytes((const unsigned char *)text + i, bytes - i);
            if (length == 0 || (unsigned char)text[i] < 0x20) {
                report(document->errors, &override->place, NULL, "the value is not UTF-8 text");
                return NULL;
            }
            i += length;
        }
        Node *node = pool_scalar(&document->pool, &override->place, text, bytes);
        if (node == NULL)
            report_no_memory(document->errors);
        return node;
    }
    size_t kept_before = document->errors->count;
    const Node *first_before = document->pool.first;
    Node *node = tree_parse(&document->pool, override->place.file, text, bytes, document->errors);
    for (size_t i = kept_before; i < document->errors->count;
         i++) { /* columns count inside the value: say nothing */
        Error *error = &document->errors->errors[i];
        if (error->status == STATUS_INVALID)
            error->status = STATUS_USAGE;
        error->line = error->column = error->width = 0;
    }
    for (Node *made = document->pool.first; made != first_before; made = made->next)
        made->place = override->place;
    if (node != NULL)
        document_spread_sources(document, node, NULL);
    return node;
}

static void report_unknown(const Override *override, const Schema *schema, size_t segment)
{
    char hint[ERROR_TEXT_BYTES];
    schema_suggest(&SCENARIO_SCHEMA, schema, override->segment[segment], hint, sizeof hint);
    char path[256] = "";
    for (size_t i = 0; i < segment; i++) {
        char longer[256];
        text_join_path(longer, sizeof longer, path, override->segment[i]);
        snprintf(path, sizeof path, "%s", longer);
    }
    char brief[TEXT_BRIEF_BYTES];
    report(override->document->errors, &override->place, hint, "unknown key '%s' %s%s%s",
           text_brief(brief, override->segment[segment]), segment > 0 ? "in '" : "at the top level",
           path, segment > 0 ? "'" : "");
}

/* The mapping under `key`, made when there is none; NULL when something else stands there. */
static Node *enter_group(Override *override, Node *mapping, const char *key)
{
    Document *document = override->document;
    Node *below = mapping_find(mapping, key);
    if (below != NULL && below->kind == NODE_MAPPING)
        return below;
    if (below != NULL) {
        report(document->errors, &override->place, NULL, "'%s' is not a group in the file (%s:%d)",
               key, below->place.file, below->place.line);
        return NULL;
    }
    Node *name = pool_scalar(&document->pool, &override->place, key, strlen(key));
    below = pool_collection(&document->pool, NODE_MAPPING, &override->place);
    if (name == NULL || below == NULL || !mapping_append(mapping, name, below)) {
        report_no_memory(document->errors);
        return NULL;
    }
    return below;
}

/* The entry of a list that "0", "1", ... stands for. */
static Node *enter_list(Override *override, const Node *mapping, const Field *field,
                        const char *index)
{
    const Node *list = mapping_find(mapping, field->key);
    size_t count = list != NULL && list->kind == NODE_SEQUENCE ? list->count : 0;
    char *end;
    unsigned long at = strtoul(index, &end, 10);
    bool number = index[0] >= '0' && index[0] <= '9' && *end == '\0';
    if (number && at < count && list->items[at]->kind == NODE_MAPPING)
        return list->items[at];
    char brief[TEXT_BRIEF_BYTES];
    char hint[ERROR_TEXT_BYTES];
    if (count > 0)
        snprintf(hint, sizeof hint, "its entries are 0 to %zu", count - 1);
    else
        snprintf(hint, sizeof hint, "the list is empty");
    report(override->document->errors, &override->place, hint, "'%s' has no entry '%s'", field->key,
           text_brief(brief, index));
    return NULL;
}

static void put(Override *override, Node *mapping, const Field *field, Node *value)
{
    Document *document = override->document;
    if (field->part != NULL)
        value = document_expand(document, schema_part(field->part), value);
    if (value == NULL)
        return;
    const Schema *group = field->kind == FIELD_GROUP ? field->group : NULL;
    value = document_merge(document, group, mapping_find(mapping, field->key), value);
    Node *key = pool_scalar(&document->pool, &override->place, field->key, strlen(field->key));
    if (key == NULL || !mapping_put(mapping, key, value))
        report_no_memory(document->errors);
}

void document_override(Document *document, Node *root, const char *set)
{
    char label[MAX_SET_BYTES + 16];
    char printable[TEXT_BRIEF_BYTES];
    snprintf(label, sizeof label, "--set %s", text_brief(printable, set));
    const char *file = pool_text(&document->pool, label);
    if (file == NULL) {
        report_no_memory(document->errors);
        return;
    }
    Override override = {.document = document, .place = {.file = file, .is_override = true}};
    if (!split(&override, set))
        return;

    const Schema *schema = &SCENARIO_SCHEMA;
    Node *mapping = root;
    for (size_t i = 0;; i++) {
        const Field *field = schema_field(schema, override.segment[i]);
        if (field == NULL) {
            report_unknown(&override, schema, i);
            return;
        }
        bool last = i + 1 == override.segments;
        if (last) {
            Node *value = value_node(&override, field);
            if (value != NULL)
                put(&override, mapping, field, value);
            return;
        }
        if (field->group == NULL) {
            report(document->errors, &override.place, "a range is written {low: ..., high: ...}",
                   "'%s' is one value: it has no '%s'", field->key, override.segment[i + 1]);
            return;
        }
        mapping = field->kind == FIELD_LIST
                      ? enter_list(&override, mapping, field, override.segment[++i])
                      : enter_group(&override, mapping, field->key);
        if (mapping == NULL)
            return;
        schema = field->group;
        if (i + 1 == override.segments) {
            report(document->errors, &override.place, "name one of its keys",
                   "'%s' is an entry, not a value", override.key);
            return;
        }
    }
}
