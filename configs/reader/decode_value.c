/* One value: a number with its unit, a word, a text; plain, with its source, or as a range. */
#include "configs/reader/decode.h"

#include "configs/reader/sample.h"
#include "configs/reader/suggest.h"
#include "configs/reader/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void decode_record(Decoder *decoder, const char *path, const char *value, const Node *node,
                   bool is_range)
{
    ResolvedList *list = decoder->resolved;
    if (list == NULL)
        return;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity < 64 ? 64 : 2 * list->capacity; /* bounded by the schema */
        ResolvedValue *values = realloc(list->values, capacity * sizeof *values);
        if (values == NULL) {
            report_no_memory(decoder->errors);
            return;
        }
        list->values = values;
        list->capacity = capacity;
    }
    ResolvedValue *entry = &list->values[list->count++];
    *entry = (ResolvedValue){.is_default = node == NULL, .is_range = is_range};
    snprintf(entry->path, sizeof entry->path, "%s", path);
    snprintf(entry->value, sizeof entry->value, "%s", value);
    if (node == NULL)
        snprintf(entry->origin, sizeof entry->origin, "default");
    else if (node->place.is_override)
        snprintf(entry->origin, sizeof entry->origin, "--set");
    else
        snprintf(entry->origin, sizeof entry->origin, "%s:%d:%d", node->place.file,
                 node->place.line, node->place.column);
    if (node != NULL && node->source != NULL)
        snprintf(entry->source, sizeof entry->source, "%s", node->source);
    text_make_printable(entry->value);
    text_make_printable(entry->origin);
    text_make_printable(entry->source);
}

void resolved_list_free(ResolvedList *list)
{
    free(list->values);
    *list = (ResolvedList){0};
}

/* What a problem is called: an entry of the file has a place, a default has none. */
static void report_value(const Decoder *decoder, const Node *node, const char *path,
                         const Error *problem)
{
    report(decoder->errors, node != NULL ? &node->place : NULL, problem->hint, "%s: %s", path,
           problem->message);
}

/* ---- single values: text -> double ------------------------------------------------------------
 */

static bool parse_number(const Field *field, const char *text, double *value, Error *problem)
{
    if (!units_parse(field->dimension, field->usual_unit, text, value, problem))
        return false;
    char brief[TEXT_BRIEF_BYTES];
    text_brief(brief, text);
    if (*value < field->minimum || *value > field->maximum) {
        char low[UNITS_TEXT_BYTES];
        char high[UNITS_TEXT_BYTES];
        units_format(field->dimension, field->minimum, low);
        units_format(field->dimension, field->maximum, high);
        error_set(problem, STATUS_INVALID, "'%s' is out of range", brief);
        error_hint(problem, "allowed: %s to %s", low, high);
        return false;
    }
    if ((field->flags & FIELD_WHOLE) && *value != floor(*value)) {
        error_set(problem, STATUS_INVALID, "'%s' is not a whole number", brief);
        error_hint(problem, "%s", field->help);
        return false;
    }
    return true;
}

static bool parse_word(const Field *field, const char *text, double *value, Error *problem)
{
    Suggestion nearest = {.word = text};
    char allowed[256] = "";
    for (size_t i = 0; field->words[i] != NULL; i++) {
        if (strcmp(field->words[i], text) == 0) {
            *value = (double)i;
            return true;
        }
        suggest_offer(&nearest, field->words[i]);
        size_t used = strlen(allowed);
        snprintf(allowed + used, sizeof allowed - used, "%s%s", i > 0 ? ", " : "", field->words[i]);
    }
    char brief[TEXT_BRIEF_BYTES];
    error_set(problem, STATUS_INVALID, "'%s' is none of the allowed words",
              text_brief(brief, text));
    if (nearest.best != NULL)
        error_hint(problem, "did you mean '%s'? allowed: %s", nearest.best, allowed);
    else
        error_hint(problem, "allowed: %s", allowed);
    return false;
}

static bool parse_single(const Field *field, const char *text, double *value, Error *problem)
{
    return field->kind == FIELD_WORD ? parse_word(field, text, value, problem)
                                     : parse_number(field, text, value, problem);
}

/* A scalar node as a value of the field; reports and returns false when it is none. */
static bool single_node(const Decoder *decoder, const Field *field, const Node *node,
                        const char *path, double *value)
{
    Error problem = {.status = STATUS_INVALID};
    if (node->kind != NODE_SCALAR) {
        error_set(&problem, STATUS_INVALID, "one value is needed here, not a %s",
                  node->kind == NODE_MAPPING ? "mapping" : "list");
        error_hint(&problem, "%s", field->help);
    } else if (node->text[0] == '\0' && !node->quoted) {
        error_set(&problem, STATUS_INVALID, "has no value");
        error_hint(&problem, "%s", field->help);
    } else if (parse_single(field, node->text, value, &problem)) {
        return true;
    }
    report_value(decoder, node, path, &problem);
    return false;
}

/* As `show` prints it; empty when nobody asks, since it takes a while. */
static void format_single(const Decoder *decoder, const Field *field, double value,
                          char text[UNITS_TEXT_BYTES])
{
    text[0] = '\0';
    if (decoder->resolved == NULL)
        return;
    if (field->kind == FIELD_WORD)
        snprintf(text, UNITS_TEXT_BYTES, "%s", field->words[(size_t)value]);
    else
        units_format(field->dimension, value, text);
}

static void store(Decoder *decoder, const Field *field, size_t offset, double value)
{
    char *at = (char *)decoder->target + offset;
    if (field->kind == FIELD_WORD) {
        int index = (int)value;
        memcpy(at, &index, sizeof index);
    } else {
        memcpy(at, &value, sizeof value);
    }
}

/* ---- ranges ------------------------------------------------------------------------------------
 */

static const char *const VALUE_KEYS[] = {"value", "low",    "high",   "p5",  "p95",
                                         "scale", "one_of", "source", "note"};

static bool check_value_keys(const Decoder *decoder, const Node *mapping, const char *path)
{
    size_t total_before = decoder->errors->total;
    for (size_t i = 0; i < mapping->count; i++) {
        const Node *key = mapping->items[2 * i];
        Suggestion nearest = {.word = key->text};
        bool known = false;
        for (size_t k = 0; k < sizeof VALUE_KEYS / sizeof VALUE_KEYS[0]; k++) {
            known = known || strcmp(VALUE_KEYS[k], key->text) == 0;
            suggest_offer(&nearest, VALUE_KEYS[k]);
        }
        if (known)
            continue;
        char brief[TEXT_BRIEF_BYTES];
        char hint[ERROR_TEXT_BYTES];
        if (nearest.best != NULL)
            snprintf(hint, sizeof hint, "did you mean '%s'?", nearest.best);
        else
            snprintf(hint, sizeof hint,
                     "a value has: value, or low and high, or p5 and p95, or one_of; scale, "
                     "source, note");
        report(decoder->errors, &key->place, hint, "unknown key '%s' in '%s'",
               text_brief(brief, key->text), path);
    }
    for (size_t i = 0; i < 2; i++) {
        const Node *text = mapping_find(mapping, i == 0 ? "source" : "note");
        if (text != NULL && !decode_is_text_or_texts(text))
            report(decoder->errors, &text->place, NULL, "'%s' must be a text or a list of texts",
                   i == 0 ? "source" : "note");
    }
    return decoder->errors->total == total_before;
}

/* {one_of: [a, b]} */
static bool read_choices(const Decoder *decoder, const Field *field, const Node *list,
                         const char *path, UncertainInput *input, char *shown, size_t shown_bytes)
{
    if (list->kind != NODE_SEQUENCE || list->count == 0 || list->count > MAX_CHOICES) {
        report(decoder->errors, &list->place, NULL, "%s: one_of must be a list of 1 to %d values",
               path, MAX_CHOICES);
        return false;
    }
    input->distribution = DRAW_CHOICE;
    input->choice_count = list->count;
    for (size_t i = 0; i < list->count; i++) {
        if (!single_node(decoder, field, list->items[i], path, &input->choices[i]))
            return false;
        for (size_t j = 0; j < i; j++)
            if (input->choices[j] == input->choices[i]) {
                report(decoder->errors, &list->items[i]->place, NULL, "%s: the same choice twice",
                       path);
                return false;
            }
        char one[UNITS_TEXT_BYTES];
        format_single(decoder, field, input->choices[i], one);
        size_t used = strlen(shown);
        snprintf(shown + used, shown_bytes - used, "%s%s", i > 0 ? ", " : "{one_of: [", one);
    }
    size_t used = strlen(shown);
    snprintf(shown + used, shown_bytes - used, "]}");
    return true;
}

/* {low, high} or {p5, p95}, with scale: log */
static bool read_interval(const Decoder *decoder, const Field *field, const Node *mapping,
                          const char *path, UncertainInput *input, char *shown, size_t shown_bytes)
{
    bool quantiles = mapping_find(mapping, "p5") != NULL || mapping_find(mapping, "p95") != NULL;
    const Node *low = mapping_find(mapping, quantiles ? "p5" : "low");
    const Node *high = mapping_find(mapping, quantiles ? "p95" : "high");
    const Node *scale = mapping_find(mapping, "scale");
    if (low == NULL || high == NULL) {
        report(decoder->errors, &mapping->place, NULL, "%s: a range needs both %s", path,
               quantiles ? "p5 and p95" : "low and high");
        return false;
    }
    if (field->kind == FIELD_WORD || (field->flags & FIELD_STEPPED)) {
        report(decoder->errors, &mapping->place, "list the choices: {one_of: [...]}",
               "%s: has no values between two others to draw from", path);
        return false;
    }
    bool log_scale = false;
    if (scale != NULL) {
        bool is_text = scale->kind == NODE_SCALAR;
        log_scale = is_text && strcmp(scale->text, "log") == 0;
        if (!log_scale && !(is_text && strcmp(scale->text, "linear") == 0)) {
            report(decoder->errors, &scale->place, "allowed: linear, log", "%s: unknown scale",
                   path);
            return false;
        }
    }
    bool both = single_node(decoder, field, low, path, &input->low);
    both = single_node(decoder, field, high, path, &input->high) && both;
    if (!both)
        return false;
    if (input->low > input->high) {
        report(decoder->errors, &low->place, NULL, "%s: %s '%s' is above %s '%s'", path,
               quantiles ? "p5" : "low", low->text, quantiles ? "p95" : "high", high->text);
        return false;
    }
    if (log_scale && input->low <= 0) {
        report(decoder->errors, &low->place, NULL, "%s: a range on a log scale must be above 0",
               path);
        return false;
    }
    input->distribution = quantiles ? (log_scale ? DRAW_LOGNORMAL : DRAW_NORMAL)
                                    : (log_scale ? DRAW_LOG_UNIFORM : DRAW_UNIFORM);
    char from[UNITS_TEXT_BYTES];
    char to[UNITS_TEXT_BYTES];
    format_single(decoder, field, input->low, from);
    format_single(decoder, field, input->high, to);
    snprintf(shown, shown_bytes, "{%s: %s, %s: %s%s}", quantiles ? "p5" : "low", from,
             quantiles ? "p95" : "high", to, log_scale ? ", scale: log" : "");
    return true;
}

static void decode_range(Decoder *decoder, const Field *field, const Node *mapping, size_t offset,
                         const char *path)
{
    if (decoder->uncertain == NULL || (field->flags & FIELD_FIXED)) {
        report(decoder->errors, &mapping->place, field->help,
               "%s: one value is needed here, not a range", path);
        return;
    }
    UncertainInput input = {.offset = offset,
                            .is_integer_enum = field->kind == FIELD_WORD,
                            .is_whole = (field->flags & FIELD_WHOLE) != 0,
                            .minimum = field->minimum,
                            .maximum = field->maximum};
    snprintf(input.path, sizeof input.path, "%s", path);
    char shown[sizeof((ResolvedValue *)0)->value] = "";
    const Node *choices = mapping_find(mapping, "one_of");
    bool read = choices != NULL
                    ? read_choices(decoder, field, choices, path, &input, shown, sizeof shown)
                    : read_interval(decoder, field, mapping, path, &input, shown, sizeof shown);
    if (!read)
        return;
    store(decoder, field, offset, uncertain_middle(&input));
    bool single = choices != NULL ? input.choice_count == 1 : input.low == input.high;
    if (single) { /* nothing to draw */
        char only[UNITS_TEXT_BYTES];
        format_single(decoder, field, uncertain_middle(&input), only);
        decode_record(decoder, path, only, mapping, false);
        return;
    }
    if (decoder->uncertain->uncertain_count == MAX_UNCERTAIN) {
        report(decoder->errors, &mapping->place, NULL, "%s: more than %d uncertain inputs", path,
               MAX_UNCERTAIN);
        return;
    }
    decoder->uncertain->uncertain[decoder->uncertain->uncertain_count++] = input;
    decode_record(decoder, path, shown, mapping, true);
}

/* ---- entry -------------------------------------------------------------------------------------
 */

static void decode_default(Decoder *decoder, const Field *field, size_t offset, const char *path)
{
    if (field->kind == FIELD_TEXT) {
        text_copy((char *)decoder->target + offset, field->text_bytes, field->fallback);
        decode_record(decoder, path, field->fallback, NULL, false);
        return;
    }
    /* Defaults may lie outside the bounds: "0" for an interval that is not used. */
    Field unbounded = *field;
    unbounded.minimum = -HUGE_VAL;
    unbounded.maximum = HUGE_VAL;
    double value;
    Error problem;
    if (!parse_single(&unbounded, field->fallback, &value, &problem)) {
        report_value(decoder, NULL, path, &problem);
        return;
    }
    store(decoder, field, offset, value);
    decode_record(decoder, path, field->fallback, NULL, false);
}

static void decode_text(Decoder *decoder, const Field *field, const Node *node, size_t offset,
                        const char *path)
{
    if (node->kind != NODE_SCALAR || (node->text[0] == '\0' && !node->quoted)) {
        report(decoder->errors, &node->place, field->help, "%s: a text is needed here", path);
        return;
    }
    if (!text_copy((char *)decoder->target + offset, field->text_bytes, node->text)) {
        report(decoder->errors, &node->place, NULL,
               "%s: the text has %zu bytes (allowed: at most %zu)", path, strlen(node->text),
               field->text_bytes - 1);
        return;
    }
    decode_record(decoder, path, node->text, node, false);
}

void decode_value(Decoder *decoder, const Field *field, const Node *node, size_t offset,
                  const char *path)
{
    if (node == NULL) {
        decode_default(decoder, field, offset, path);
        return;
    }
    if (node->kind == NODE_MAPPING && !check_value_keys(decoder, node, path))
        return;
    const Node *inner = node->kind == NODE_MAPPING ? mapping_find(node, "value") : node;
    if (inner != NULL && inner != node) {
        static const char *const RANGE_KEYS[] = {"low", "high", "p5", "p95", "scale", "one_of"};
        for (size_t i = 0; i < sizeof RANGE_KEYS / sizeof RANGE_KEYS[0]; i++)
            if (mapping_find(node, RANGE_KEYS[i]) != NULL) {
                report(decoder->errors, &node->place, "give one or the other",
                       "%s: has both 'value' and '%s'", path, RANGE_KEYS[i]);
                return;
            }
    }
    if (field->kind == FIELD_TEXT) {
        decode_text(decoder, field, inner != NULL ? inner : node, offset, path);
        return;
    }
    if (inner == NULL) {
        static const char *const FORMS[] = {"one_of", "low", "p5"};
        static const char *const PARTNERS[] = {"one_of", "high", "p95"};
        size_t forms = 0;
        for (size_t i = 0; i < 3; i++)
            forms +=
                mapping_find(node, FORMS[i]) != NULL || mapping_find(node, PARTNERS[i]) != NULL;
        if (forms > 1) {
            report(decoder->errors, &node->place, "one of: {low, high}, {p5, p95}, {one_of}",
                   "%s: two kinds of range at once", path);
            return;
        }
        decode_range(decoder, field, node, offset, path);
        return;
    }
    double value;
    if (!single_node(decoder, field, inner, path, &value))
        return;
    store(decoder, field, offset, value);
    char shown[UNITS_TEXT_BYTES];
    format_single(decoder, field, value, shown);
    decode_record(decoder, path, shown, node, false);
}
