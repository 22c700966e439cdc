#include "configs/reader/document.h"

#include "configs/reader/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void document_free(Document *document)
{
    pool_free(&document->pool);
}

/* ---- sources -----------------------------------------------------------------------------------
 */

/* The text of `source:`, lists joined. NULL: none. */
static const char *source_text(Document *document, const Node *source)
{
    if (source == NULL)
        return NULL;
    if (source->kind == NODE_SCALAR)
        return source->text;
    char joined[sizeof((ResolvedValue *)0)->source] = "";
    for (size_t i = 0; source->kind == NODE_SEQUENCE && i < source->count; i++) {
        size_t used = strlen(joined);
        if (source->items[i]->kind == NODE_SCALAR)
            snprintf(joined + used, sizeof joined - used, "%s%s", used > 0 ? "; " : "",
                     source->items[i]->text);
    }
    return joined[0] != '\0' ? pool_text(&document->pool, joined) : NULL;
}

/* Every node learns its source before files are mixed, so that it keeps the one of its own file. */
void document_spread_sources(Document *document, Node *node, const char *inherited)
{
    const char *own = source_text(document, mapping_find(node, "source"));
    node->source = own != NULL ? own : inherited;
    if (node->kind == NODE_SEQUENCE)
        for (size_t i = 0; i < node->count; i++)
            document_spread_sources(document, node->items[i], node->source);
    if (node->kind == NODE_MAPPING)
        for (size_t i = 0; i < node->count; i++)
            document_spread_sources(document, node->items[2 * i + 1], node->source);
}

/* ---- merging -----------------------------------------------------------------------------------
 */

/* What belongs to the job stays when a named part takes the place of another. */
static void keep_of_job(const Schema *schema, const Node *under, Node *over, Document *document)
{
    for (size_t i = 0; i < schema->field_count; i++) {
        const Field *field = &schema->fields[i];
        Node *kept = (field->flags & FIELD_OF_JOB) ? mapping_find(under, field->key) : NULL;
        if (kept != NULL && mapping_find(over, field->key) == NULL &&
            !mapping_append(over, mapping_key(under, field->key), kept))
            report_no_memory(document->errors);
    }
}

Node *document_merge(Document *document, const Schema *schema, Node *under, Node *over)
{
    if (under == NULL || under->kind != NODE_MAPPING || over->kind != NODE_MAPPING ||
        schema == NULL)
        return over;
    if (over->replaces) {
        keep_of_job(schema, under, over, document);
        return over;
    }
    for (size_t i = 0; i < over->count; i++) {
        Node *key = over->items[2 * i];
        Node *value = over->items[2 * i + 1];
        const Field *field = schema_field(schema, key->text);
        const Schema *below = field != NULL && field->kind == FIELD_GROUP ? field->group : NULL;
        value = document_merge(document, below, mapping_find(under, key->text), value);
        if (!mapping_put(under, key, value))
            report_no_memory(document->errors);
    }
    under->place = over->place;
    return under;
}

/* ---- files -------------------------------------------------------------------------------------
 */

bool document_check_header(Document *document, const Part *part, Node *root)
{
    char known[ERROR_TEXT_BYTES];
    snprintf(known, sizeof known, "this program reads `schema: %d`", SCHEMA_VERSION);
    const Node *key = mapping_key(root, "schema");
    const Node *version = mapping_take(root, "schema");
    char expected[16];
    snprintf(expected, sizeof expected, "%d", SCHEMA_VERSION);
    char brief[TEXT_BRIEF_BYTES];
    if (version == NULL) {
        report(document->errors, &root->place, known, "missing key 'schema'");
    } else if (version->kind != NODE_SCALAR || strcmp(version->text, expected) != 0) {
        bool scalar = version->kind == NODE_SCALAR;
        report(document->errors, &version->place, known,
               "schema: '%s' is not a version that can be read",
               scalar ? text_brief(brief, version->text) : key->text);
    }
    bool whole = part == NULL || part->schema == &SCENARIO_SCHEMA;
    if (whole)
        return true;
    char needed[ERROR_TEXT_BYTES];
    snprintf(needed, sizeof needed, "a file that stands for a %s holds `part: %s`", part->word,
             part->word);
    const Node *word = mapping_take(root, "part");
    if (word == NULL) {
        report(document->errors, &root->place, needed, "missing key 'part'");
        return false;
    }
    if (word->kind != NODE_SCALAR || strcmp(word->text, part->word) != 0) {
        report(document->errors, &word->place, needed, "this file is not a %s", part->word);
        return false;
    }
    return true;
}

/* The name of a file without folder and ending, as `name:` unless there is one. */
static void add_name(Document *document, Node *root)
{
    if (mapping_find(root, "name") != NULL)
        return;
    const char *slash = strrchr(root->place.file, '/');
    const char *start = slash != NULL ? slash + 1 : root->place.file;
    const char *dot = strrchr(start, '.');
    size_t bytes = dot != NULL && dot != start ? (size_t)(dot - start) : strlen(start);
    Place place = {.file = root->place.file, .line = 1, .column = 1};
    Node *key = pool_scalar(&document->pool, &place, "name", 4);
    Node *value =
        pool_scalar(&document->pool, &place, start, bytes < NAME_BYTES ? bytes : NAME_BYTES - 1);
    if (key == NULL || value == NULL || !mapping_append(root, key, value)) {
        report_no_memory(document->errors);
        return;
    }
    text_make_printable(value->text);
    value->quoted = true;
}

/* Lays `root` over the files that its `base:` names. */
static Node *include_bases(Document *document, const Part *part, Node *root)
{
    const Node *base = mapping_take(root, "base");
    if (base == NULL)
        return root;
    bool is_list = base->kind == NODE_SEQUENCE;
    size_t count = is_list ? base->count : 1;
    Node *under = NULL;
    for (size_t i = 0; i < count; i++) {
        const Node *name = is_list ? base->items[i] : base;
        Node *file = document_named(document, part, name);
        if (file != NULL)
            under = document_merge(document, part->schema, under, file);
    }
    return document_merge(document, part->schema, under, root);
}

/* Replaces the values of groups that stand for parts, below `root`. */
static void expand_parts(Document *document, const Schema *schema, Node *root)
{
    for (size_t i = 0; i < schema->field_count; i++) {
        const Field *field = &schema->fields[i];
        Node *value = field->group != NULL ? mapping_find(root, field->key) : NULL;
        if (value == NULL || (field->part == NULL && field->kind != FIELD_GROUP))
            continue;
        if (field->part == NULL) { /* a plain group may hold parts */
            if (value->kind == NODE_MAPPING)
                expand_parts(document, field->group, value);
            continue;
        }
        Node *expanded = document_expand(document, schema_part(field->part), value);
        if (expanded != value && expanded != NULL)
            mapping_put(root, mapping_key(root, field->key), expanded);
        else if (expanded == NULL)
            mapping_take(root, field->key); /* reported: nothing more to say about it */
    }
}

Node *document_expand(Document *document, const Part *part, Node *node)
{
    if (node->kind == NODE_SCALAR) {
        if (node->text[0] == '\0' && !node->quoted) {
            report(document->errors, &node->place, "a name or a mapping", "%s: has no value",
                   part->word);
            document->incomplete = true;
            return NULL;
        }
        Node *file = document_named(document, part, node);
        if (file != NULL)
            file->replaces = true;
        return file;
    }
    if (node->kind != NODE_MAPPING)
        return node; /* the decoder says what is wrong */
    bool has_base = mapping_find(node, "base") != NULL;
    expand_parts(document, part->schema, node);
    Node *merged = include_bases(document, part, node);
    merged->replaces = has_base;
    return merged;
}

/* What a file and a text have in common. */
static Node *assemble(Document *document, const Part *part, const char *label, const char *text,
                      size_t bytes)
{
    const char *file = pool_text(&document->pool, label);
    if (file == NULL) {
        report_no_memory(document->errors);
        return NULL;
    }
    Node *root = tree_parse(&document->pool, file, text, bytes, document->errors);
    if (root == NULL)
        return NULL;
    if (root->kind != NODE_MAPPING) {
        report(document->errors, &root->place, "it starts with `schema: 1`",
               "a configuration must be a mapping of keys and values");
        return NULL;
    }
    document_spread_sources(document, root, NULL);
    if (!document_check_header(document, part, root))
        return NULL;
    add_name(document, root);
    expand_parts(document, part->schema, root);
    root = include_bases(document, part, root);
    root->replaces = false;
    return root;
}

Node *document_text(Document *document, const Part *part, const char *label, const char *text,
                    size_t bytes)
{
    return assemble(document, part, label, text, bytes);
}

static void report_at(Document *document, const Place *asked, const Error *error)
{
    Error placed = *error;
    if (asked != NULL) {
        snprintf(placed.file, sizeof placed.file, "%s", asked->file);
        placed.line = asked->line;
        placed.column = asked->column;
        placed.width = asked->width;
        if (asked->is_override && placed.status == STATUS_INVALID)
            placed.status = STATUS_USAGE;
    }
    text_make_printable(placed.file);
    text_make_printable(placed.message);
    text_make_printable(placed.hint);
    error_list_add(document->errors, &placed);
}

Node *document_file(Document *document, const Part *part, const char *path, const Place *asked)
{
    Error error = {.status = STATUS_INVALID};
    FileText text = {0};
    Node *root = NULL;
    if (document->files >= MAX_FILES) {
        error_set(&error, STATUS_INVALID, "more than %d files included", MAX_FILES);
        report_at(document, asked, &error);
        return NULL;
    }
    document->files++;
    if (document->depth > MAX_BASE_DEPTH) {
        error_set(&error, STATUS_INVALID, "files include each other more than %d deep",
                  MAX_BASE_DEPTH);
        report_at(document, asked, &error);
        return NULL;
    }
    if (file_read(path, &text, &error) != STATUS_OK) {
        report_at(document, asked, &error);
        return NULL;
    }
    for (size_t i = 0; i < document->depth; i++)
        if (document->open_files[i].device == text.device &&
            document->open_files[i].inode == text.inode) {
            error_set(&error, STATUS_INVALID, "'%s' includes itself", path);
            error_hint(&error, "a `base:` or a named part leads back to it");
            report_at(document, asked, &error);
            goto cleanup;
        }
    document->open_files[document->depth].device = text.device;
    document->open_files[document->depth].inode = text.inode;
    document->depth++;
    root = assemble(document, part, path, text.bytes, text.count);
    document->depth--;

cleanup:
    free(text.bytes);
    return root;
}

static Node *named_file(Document *document, const Part *part, const Node *name)
{
    char brief[TEXT_BRIEF_BYTES];
    if (name->kind != NODE_SCALAR || name->text[0] == '\0') {
        report(document->errors, &name->place, NULL,
               "the name of a shipped %s, or a path, is needed here", part->word);
        return NULL;
    }
    char path[ERROR_PATH_BYTES];
    Error error = {.status = STATUS_INVALID};
    if (config_locate(document->paths, part->folder, name->text, path, sizeof path, &error) !=
        STATUS_OK) {
        report_at(document, &name->place, &error);
        return NULL;
    }
    /* A relative path in a file counts from the folder of that file. */
    bool is_path = strcmp(path, name->text) == 0;
    const char *slash = strrchr(name->place.file, '/');
    if (is_path && path[0] != '/' && slash != NULL && !name->place.is_override) {
        int length = snprintf(path, sizeof path, "%.*s/%s", (int)(slash - name->place.file),
                              name->place.file, name->text);
        if (length < 0 || (size_t)length >= sizeof path) {
            report(document->errors, &name->place, NULL, "the path '%s' is too long",
                   text_brief(brief, name->text));
            return NULL;
        }
    }
    return document_file(document, part, path, &name->place);
}

Node *document_named(Document *document, const Part *part, const Node *name)
{
    Node *file = named_file(document, part, name);
    document->incomplete = document->incomplete || file == NULL;
    return file;
}
