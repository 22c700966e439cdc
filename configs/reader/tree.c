#include "configs/reader/tree.h"

#include "configs/reader/text.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

static int to_int(size_t value)
{
    return value < INT_MAX ? (int)value : INT_MAX;
}

/* The byte that makes a text unfit: control characters mean that this is no text (YAML 1.2 forbids
 * most of them), and directives have no use here and cost libyaml quadratic time. NULL: the text is
 * fit. */
static const char *unfit_character(const unsigned char *at, size_t length, bool line_start)
{
    if (length == 0)
        return "is not valid UTF-8";
    bool c1 = length == 2 && at[0] == 0xc2 && at[1] < 0xa0;
    bool blank = *at == '\t' || *at == '\n' || *at == '\r';
    if (c1 || (length == 1 && ((*at < 0x20 && !blank) || *at == 0x7f)))
        return "is a control character: is this a binary file?";
    if (line_start && *at == '%')
        return "begins a YAML directive, which is not supported";
    return NULL;
}

static bool check_characters(const char *file, const char *text, size_t bytes, ErrorList *errors)
{
    static const char SEPARATORS[] =
        "\xe2\x80\xa8\xe2\x80\xa9"; /* U+2028, U+2029: line ends to libyaml */
    Place place = {.file = file, .line = 1, .column = 1, .width = 1};
    bool line_start = true;
    for (size_t i = 0; i < bytes;) {
        const unsigned char *at = (const unsigned char *)text + i;
        size_t length = text_sequence_bytes(at, bytes - i);
        const char *problem = unfit_character(at, length, line_start);
        if (problem != NULL) {
            report(errors, &place, "a configuration is YAML in UTF-8", "byte 0x%02x %s", *at,
                   problem);
            return false;
        }
        bool separator =
            length == 3 && (memcmp(at, SEPARATORS, 3) == 0 || memcmp(at, SEPARATORS + 3, 3) == 0);
        line_start = *at == '\n' || *at == '\r' || separator;
        place.column++;
        if (*at == '\n') {
            place.line++;
            place.column = 1;
        }
        i += length;
    }
    return true;
}

typedef struct Builder {
    NodePool *pool;
    const char *file;
    ErrorList *errors;
    size_t nodes;
    size_t depth;
    Node *stack[TREE_MAX_DEPTH]; /* open collections */
    Node *keys[TREE_MAX_DEPTH];  /* of a mapping: the key that waits for its value */
    Node *root;
    size_t duplicates; /* keys given twice: reported, and reading goes on */
} Builder;

static Place event_place(const Builder *builder, const yaml_event_t *event)
{
    Place place = {.file = builder->file,
                   .line = to_int(event->start_mark.line + 1),
                   .column = to_int(event->start_mark.column + 1),
                   .width = 1};
    bool one_line = event->start_mark.line == event->end_mark.line;
    if (one_line && event->end_mark.column > event->start_mark.column)
        place.width = to_int(event->end_mark.column - event->start_mark.column);
    return place;
}

/* Hangs a finished scalar or a just opened collection into what is open. */
static bool attach(Builder *builder, Node *node)
{
    if (builder->depth == 0) {
        builder->root = node;
        return true;
    }
    Node *parent = builder->stack[builder->depth - 1];
    Node **key = &builder->keys[builder->depth - 1];
    if (parent->kind == NODE_SEQUENCE) {
        if (sequence_append(parent, node))
            return true;
        report_no_memory(builder->errors);
        return false;
    }
    if (*key == NULL) {
        if (node->kind != NODE_SCALAR) {
            report(builder->errors, &node->place, "write KEY: VALUE", "a key must be a plain text");
            return false;
        }
        if (parent->count >= TREE_MAX_KEYS) {
            report(builder->errors, &node->place, NULL, "more than %d keys in one mapping",
                   TREE_MAX_KEYS);
            return false;
        }
        const Node *twin = mapping_key(parent, node->text);
        if (twin != NULL) {
            char brief[TEXT_BRIEF_BYTES];
            report(builder->errors, &node->place, "keep one of the two",
                   "key '%s' is already given at %s:%d:%d", text_brief(brief, node->text),
                   twin->place.file, twin->place.line, twin->place.column);
            builder->duplicates++;
        }
        *key = node;
        return true;
    }
    bool appended = mapping_append(parent, *key, node);
    *key = NULL;
    if (!appended)
        report_no_memory(builder->errors);
    return appended;
}

static bool refuse_extras(Builder *builder, const Place *place, const yaml_char_t *anchor,
                          const yaml_char_t *tag)
{
    if (anchor != NULL) {
        report(builder->errors, place, "write the value out, or use `base:`",
               "anchors are not supported");
        return true;
    }
    if (tag != NULL) {
        report(builder->errors, place, "leave the tag out: each key knows its type",
               "tags are not supported");
        return true;
    }
    return false;
}

static bool add_node(Builder *builder, Node *node, const Place *place)
{
    if (node != NULL && builder->nodes < TREE_MAX_NODES) {
        builder->nodes++;
        return attach(builder, node);
    }
    if (node != NULL) {
        report(builder->errors, place, NULL, "more than %d values in one file", TREE_MAX_NODES);
        return false;
    }
    if (builder->pool->count >= TREE_MAX_POOL_NODES)
        report(builder->errors, place, NULL, "more than %d values in all included files",
               TREE_MAX_POOL_NODES);
    else
        report_no_memory(builder->errors);
    return false;
}

static bool add_scalar(Builder *builder, const yaml_event_t *event)
{
    Place place = event_place(builder, event);
    const char *text = (const char *)event->data.scalar.value;
    size_t bytes = event->data.scalar.length;
    if (refuse_extras(builder, &place, event->data.scalar.anchor, event->data.scalar.tag))
        return false;
    for (size_t i = 0; i < bytes; i++) { /* from escapes such as "\0" */
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f) {
            report(builder->errors, &place, NULL, "control character 0x%02x in a text", c);
            return false;
        }
    }
    Node *node = pool_scalar(builder->pool, &place, text, bytes);
    if (node != NULL)
        node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return add_node(builder, node, &place);
}

static bool open_collection(Builder *builder, const yaml_event_t *event, NodeKind kind)
{
    Place place = event_place(builder, event);
    const yaml_char_t *anchor =
        kind == NODE_MAPPING ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    const yaml_char_t *tag =
        kind == NODE_MAPPING ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    if (refuse_extras(builder, &place, anchor, tag))
        return false;
    if (builder->depth >= TREE_MAX_DEPTH) {
        report(builder->errors, &place, NULL, "nested more than %d deep", TREE_MAX_DEPTH);
        return false;
    }
    Node *node = pool_collection(builder->pool, kind, &place);
    if (!add_node(builder, node, &place))
        return false;
    builder->stack[builder->depth] = node;
    builder->keys[builder->depth] = NULL;
    builder->depth++;
    return true;
}

/* One event; false stops the reading. */
static bool take_event(Builder *builder, const yaml_event_t *event)
{
    Place place = event_place(builder, event);
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (builder->root == NULL)
            return true;
        report(builder->errors, &place, "put it into a file of its own",
               "a second document in one file");
        return false;
    case YAML_ALIAS_EVENT:
        report(builder->errors, &place, "write the value out, or use `base:`",
               "aliases are not supported");
        return false;
    case YAML_SCALAR_EVENT:
        return add_scalar(builder, event);
    case YAML_MAPPING_START_EVENT:
        return open_collection(builder, event, NODE_MAPPING);
    case YAML_SEQUENCE_START_EVENT:
        return open_collection(builder, event, NODE_SEQUENCE);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        builder->depth--;
        return true;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return true;
    }
    return true;
}

static void report_parser(const yaml_parser_t *parser, const char *file, ErrorList *errors)
{
    if (parser->error == YAML_MEMORY_ERROR) {
        report_no_memory(errors);
        return;
    }
    Place place = {.file = file,
                   .line = to_int(parser->problem_mark.line + 1),
                   .column = to_int(parser->problem_mark.column + 1),
                   .width = 1};
    char context[128] = "";
    if (parser->context != NULL)
        snprintf(context, sizeof context, ", %s that began in line %zu", parser->context,
                 parser->context_mark.line + 1);
    report(errors, &place, "this is not YAML", "%s%s",
           parser->problem != NULL ? parser->problem : "cannot be read", context);
}

Node *tree_parse(NodePool *pool, const char *file, const char *text, size_t bytes,
                 ErrorList *errors)
{
    Place start = {.file = file, .line = 1, .column = 1};
    if (bytes > TREE_MAX_BYTES) {
        report(errors, &start, NULL, "%zu bytes are more than a configuration may have (%d)", bytes,
               TREE_MAX_BYTES);
        return NULL;
    }
    static const char BYTE_ORDER_MARK[] =
        "\xef\xbb\xbf"; /* some editors begin UTF-8 files with it */
    size_t mark = sizeof BYTE_ORDER_MARK - 1;
    if (bytes >= mark && memcmp(text, BYTE_ORDER_MARK, mark) == 0) {
        text += mark;
        bytes -= mark;
    }
    if (!check_characters(file, text, bytes, errors))
        return NULL;
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        report_no_memory(errors);
        return NULL;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, bytes);

    size_t total_before = errors->total;
    Builder builder = {.pool = pool, .file = file, .errors = errors};
    bool reading = true;
    while (reading) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            report_parser(&parser, file, errors);
            break;
        }
        bool last = event.type == YAML_STREAM_END_EVENT;
        reading = take_event(&builder, &event) && !last;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    /* With duplicates only, the tree is whole: the decoder finds the other problems too. */
    if (errors->total > total_before + builder.duplicates)
        return NULL;
    if (builder.root == NULL)
        report(errors, &start, NULL, "the file is empty");
    return builder.root;
}
