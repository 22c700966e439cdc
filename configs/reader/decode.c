/* Groups and lists; decode_value.c has the values. */
#include "configs/reader/decode.h"

#include "configs/reader/text.h"

#include <stdio.h>
#include <string.h>

bool decode_is_text_or_texts(const Node *node)
{
    if (node->kind == NODE_MAPPING)
        return false;
    for (size_t i = 0; node->kind == NODE_SEQUENCE && i < node->count; i++)
        if (node->items[i]->kind != NODE_SCALAR)
            return false;
    return true;
}

static void report_unknown_keys(const Decoder *decoder, const Schema *schema, const Node *mapping,
                                const char *path)
{
    for (size_t i = 0; i < mapping->count; i++) {
        const Node *key = mapping->items[2 * i];
        const Node *value = mapping->items[2 * i + 1];
        if (strcmp(key->text, "source") == 0 || strcmp(key->text, "note") == 0) {
            if (!decode_is_text_or_texts(value))
                report(decoder->errors, &value->place, NULL,
                       "'%s' must be a text or a list of texts", key->text);
            continue;
        }
        const Field *field = schema_field(schema, key->text);
        if (field != NULL && !(field->flags & FIELD_FROM_KEY))
            continue;
        char hint[ERROR_TEXT_BYTES] = "";
        if (decoder->errors->count < MAX_ERRORS)
            schema_suggest(decoder->root, schema, key->text, hint, sizeof hint);
        char brief[TEXT_BRIEF_BYTES];
        report(decoder->errors, &key->place, hint, "unknown key '%s' %s%s%s",
               text_brief(brief, key->text), path[0] != '\0' ? "in '" : "at the top level", path,
               path[0] != '\0' ? "'" : "");
    }
}

/* Two entries of a list with the same text in a FIELD_UNIQUE field. */
static void report_twins(const Decoder *decoder, const Field *list, const Node *sequence,
                         const char *path)
{
    for (size_t f = 0; f < list->group->field_count; f++) {
        const Field *field = &list->group->fields[f];
        if (!(field->flags & FIELD_UNIQUE))
            continue;
        for (size_t i = 0; i < sequence->count; i++) {
            const Node *late = mapping_find(sequence->items[i], field->key);
            for (size_t j = 0; late != NULL && late->kind == NODE_SCALAR && j < i; j++) {
                const Node *early = mapping_find(sequence->items[j], field->key);
                if (early == NULL || early->kind != NODE_SCALAR ||
                    strcmp(early->text, late->text) != 0)
                    continue;
                char brief[TEXT_BRIEF_BYTES];
                report(decoder->errors, &late->place, NULL,
                       "%s: '%s' is already used at line %d as %s of another", path,
                       text_brief(brief, late->text), early->place.line, field->key);
                break;
            }
        }
    }
}

static void decode_list(Decoder *decoder, const Field *field, const Node *node, size_t offset,
                        const char *path)
{
    bool named = field->kind == FIELD_NAMED_LIST;
    if (node->kind != (named ? NODE_MAPPING : NODE_SEQUENCE)) {
        report(decoder->errors, &node->place, field->help, "'%s' must be a %s", path,
               named ? "mapping from names to groups" : "list");
        return;
    }
    if (node->count > field->capacity) {
        report(decoder->errors, &node->place, NULL, "'%s' has %zu entries (allowed: at most %zu)",
               path, node->count, field->capacity);
        return;
    }
    if (!named)
        report_twins(decoder, field, node, path);
    for (size_t i = 0; i < node->count; i++) {
        const Node *item = named ? node->items[2 * i + 1] : node->items[i];
        const Node *key = named ? node->items[2 * i] : NULL;
        size_t item_offset = offset + i * field->item_bytes;
        char number[24];
        char below[FIELD_PATH_BYTES];
        snprintf(number, sizeof number, "%zu", i);
        text_join_path(below, sizeof below, path, named ? key->text : number);
        if (named) { /* the first field holds the name */
            const Field *name = &field->group->fields[0];
            decode_value(decoder, name, key, item_offset + name->offset, below);
        }
        decode_group(decoder, field->group, item, item_offset, below);
    }
    memcpy((char *)decoder->target + offset - field->offset + field->count, &node->count,
           sizeof node->count);
}

static void decode_texts(Decoder *decoder, const Field *field, const Node *node, size_t offset,
                         const char *path)
{
    if (node->kind != NODE_SEQUENCE || !decode_is_text_or_texts(node)) {
        report(decoder->errors, &node->place, field->help, "'%s' must be a list of texts", path);
        return;
    }
    if (node->count > field->capacity) {
        report(decoder->errors, &node->place, NULL, "'%s' has %zu entries (allowed: at most %zu)",
               path, node->count, field->capacity);
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        const Node *item = node->items[i];
        if (!text_copy((char *)decoder->target + offset + i * field->item_bytes, field->item_bytes,
                       item->text))
            report(decoder->errors, &item->place, NULL, "%s: a text of at most %zu bytes is needed",
                   path, field->item_bytes - 1);
    }
    memcpy((char *)decoder->target + offset - field->offset + field->count, &node->count,
           sizeof node->count);
}

/* Is it an error that this field is not there? */
static bool is_missing(const Decoder *decoder, const Field *field)
{
    unsigned may_miss = FIELD_MAY_MISS | FIELD_OPTIONAL | FIELD_FROM_KEY;
    if (decoder->part_only)
        may_miss |= FIELD_OF_JOB;
    return !decoder->incomplete && field->fallback == NULL && !(field->flags & may_miss);
}

static void decode_field(Decoder *decoder, const Field *field, const Node *mapping, size_t offset,
                         const char *path)
{
    const Node *node = mapping_find(mapping, field->key);
    size_t at = offset + field->offset;
    char below[FIELD_PATH_BYTES];
    text_join_path(below, sizeof below, path, field->key);
    if (field->flags & FIELD_FROM_KEY)
        return;
    /* A group that consists of defaults only (`parallel`) may be left out like each of its keys. */
    if (node == NULL && mapping != NULL && is_missing(decoder, field))
        report(decoder->errors, &mapping->place, field->help, "missing key '%s'%s%s%s", field->key,
               path[0] != '\0' ? " in '" : "", path, path[0] != '\0' ? "'" : "");
    switch (field->kind) {
    case FIELD_GROUP:
        decode_group(decoder, field->group, node, at, below);
        return;
    case FIELD_LIST:
    case FIELD_NAMED_LIST:
        if (node != NULL)
            decode_list(decoder, field, node, at, below);
        return;
    case FIELD_TEXT_LIST:
        if (node != NULL)
            decode_texts(decoder, field, node, at, below);
        return;
    case FIELD_NUMBER:
    case FIELD_WORD:
    case FIELD_TEXT:
        break;
    }
    if (node == NULL && field->fallback == NULL)
        return;
    size_t count_before = decoder->errors->total;
    /* What is left out as a whole is no part of what `show` prints. */
    ResolvedList *resolved = decoder->resolved;
    if (mapping == NULL)
        decoder->resolved = NULL;
    decode_value(decoder, field, node, at, below);
    decoder->resolved = resolved;
    if (node != NULL && (field->flags & FIELD_OPTIONAL) && decoder->errors->total == count_before) {
        int present = 1;
        memcpy((char *)decoder->target + offset + field->count, &present, sizeof present);
    }
}

void decode_group(Decoder *decoder, const Schema *schema, const Node *mapping, size_t offset,
                  const char *path)
{
    if (mapping != NULL && mapping->kind != NODE_MAPPING) {
        char brief[TEXT_BRIEF_BYTES];
        char hint[ERROR_TEXT_BYTES];
        snprintf(hint, sizeof hint, "its keys are like '%s:'",
                 schema->fields[schema->field_count > 1].key);
        report(decoder->errors, &mapping->place, hint,
               "%s%s%s must be a mapping of keys and values%s%s%s",
               path[0] != '\0' ? "'" : "a configuration", path, path[0] != '\0' ? "'" : "",
               mapping->kind == NODE_SCALAR ? ", not '" : "",
               mapping->kind == NODE_SCALAR ? text_brief(brief, mapping->text) : "",
               mapping->kind == NODE_SCALAR ? "'" : "");
        mapping = NULL;
    }
    for (size_t i = 0; i < schema->field_count; i++)
        decode_field(decoder, &schema->fields[i], mapping, offset, path);
    if (mapping == NULL)
        return;
    report_unknown_keys(decoder, schema, mapping, path);
    if (schema->has_place) {
        memcpy((char *)decoder->target + offset + schema->line, &mapping->place.line, sizeof(int));
        memcpy((char *)decoder->target + offset + schema->column, &mapping->place.column,
               sizeof(int));
    }
}
