#include "sim/planning/serving_names.h"

#include "configs/reader/suggest.h"
#include "sim/planning/serving_table.h"

#include <ctype.h>
#include <fnmatch.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 40, FAMILY_HOPS = 4 };
static const double first_year = 2015, last_year = 2099;

void name_plain(const char *text, char *plain, size_t bytes)
{
    size_t at = 0;
    for (; *text != '\0' && at + 1 < bytes; text++)
        if (isalnum((unsigned char)*text) || *text == '.')
            plain[at++] = (char)tolower((unsigned char)*text);
    plain[at] = '\0';
}

void assume(char assumed[ASSUMED_BYTES], const char *format, ...)
{
    char what[ASSUMED_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    const size_t used = strlen(assumed), separator = used > 0 ? 2 : 0;
    if (used + separator + strlen(what) + 1 > ASSUMED_BYTES)
        return;
    if (separator > 0)
        memcpy(assumed + used, "; ", separator);
    memcpy(assumed + used + separator, what, strlen(what) + 1);
}

/* The nearest name that a rule of the column gives. */
static const char *nearest_name(const CsvTable *spellings, const char *column, const char *plain)
{
    Suggestion suggestion = {.word = plain};
    for (size_t i = 0; i < spellings->row_count; i++)
        if (strcmp(rule_cell(spellings, i, "column"), column) == 0)
            suggest_offer(&suggestion, rule_cell(spellings, i, "name"));
    return suggestion.best;
}

const char *spelled(const CsvTable *spellings, const char *column, const char *cell,
                    const char *text, char *reason, size_t reason_bytes)
{
    char plain[NAME_TEXT_BYTES];
    name_plain(text, plain, sizeof plain);
    if (plain[0] == '\0') {
        snprintf(reason, reason_bytes, "%s is empty", cell);
        return NULL;
    }
    const size_t rule = rule_find(spellings, column, plain);
    if (rule == spellings->row_count) {
        const char *near = nearest_name(spellings, column, plain);
        snprintf(reason, reason_bytes, "%s: '%.*s' is not known%s%.40s", cell, (int)SHOWN, text,
                 near != NULL ? "; the nearest is " : "", near != NULL ? near : "");
        return NULL;
    }
    const char *name = rule_cell(spellings, rule, "name");
    if (name[0] != '\0')
        return name;
    snprintf(reason, reason_bytes, "%s: '%.*s': %.100s", cell, (int)SHOWN, text,
             rule_cell(spellings, rule, "skip"));
    return NULL;
}

const char *name_by_rules(const CsvTable *names, const CsvTable *spellings, const char *column,
                          const char *spelling, const char *cell, const char *text,
                          char assumed[ASSUMED_BYTES], char *reason, size_t reason_bytes)
{
    const size_t rule = rule_find(names, column, text);
    if (rule < names->row_count && rule_cell(names, rule, "name")[0] != '\0')
        return rule_cell(names, rule, "name");
    if (rule < names->row_count) {
        snprintf(reason, reason_bytes, "%s: %s", cell, rule_cell(names, rule, "skip"));
        return NULL;
    }
    const char *name = spelled(spellings, spelling, cell, text, reason, reason_bytes);
    if (name != NULL)
        assume(assumed, "%s: '%.40s' taken for %.60s", cell, text, name);
    return name;
}

const char *weights_format(const char *precision, char assumed[ASSUMED_BYTES])
{
    if (strcmp(precision, "int4") != 0)
        return NULL;
    assume(assumed, "precision: int4 as weights-int4-gptq");
    return "weights-int4-gptq";
}

double year_in(const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (!isdigit((unsigned char)*at) || (at > text && isdigit((unsigned char)at[-1])))
            continue;
        char *end;
        const double year = strtod(at, &end);
        const size_t digits = strspn(at, "0123456789");
        if (digits == 4 && year >= first_year && year <= last_year)
            return floor(year);
    }
    return 0;
}

/* "0.5.3" is 0.005003: parts of three digits. */
static double version_at(const char *text)
{
    double version = 0, unit = 1;
    for (int part = 0; part < 3 && isdigit((unsigned char)*text); part++) {
        char *end;
        version += fmin(999, (double)strtol(text, &end, 10)) * unit;
        unit /= 1000;
        text = end;
        if (*text != '.')
            break;
        text++;
    }
    return version;
}

/* The version behind a word of a plain text: at once ("vllm0.13", "sglangv0.5"), or the next that
 * is written "v0.9"; -1: none. */
static double version_behind(const char *text)
{
    const char *at = strncmp(text, "version", 7) == 0 ? text + 7 : *text == 'v' ? text + 1 : text;
    if (isdigit((unsigned char)*at))
        return version_at(at);
    for (at = text; (at = strchr(at, 'v')) != NULL; at++)
        if (isdigit((unsigned char)at[1]) &&
            strchr(at + 1, '.') == at + 1 + strspn(at + 1, "0123456789"))
            return version_at(at + 1);
    return -1;
}

/* What the families of a text are, where its version begins, and how it is written. */
typedef struct Family {
    const char *name, *word;
    const char *behind; /* in the plain text */
} Family;

static int find_family(const CsvTable *engines, const char *plain, Family *family)
{
    for (size_t i = 0; i < engines->row_count; i++) {
        const char *word = rule_cell(engines, i, "word");
        const char *at = word[0] != '\0' ? strstr(plain, word) : NULL;
        if (at == NULL)
            continue;
        *family = (Family){rule_cell(engines, i, "family"), word, at + strlen(word)};
        return 1;
    }
    return 0;
}

/* The family that stands for one without engines of its own; NULL: it has some. */
static const char *stands_for(const CsvTable *engines, const char *family)
{
    for (size_t i = 0; i < engines->row_count; i++)
        if (strcmp(rule_cell(engines, i, "family"), family) == 0 &&
            rule_cell(engines, i, "as")[0] != '\0')
            return rule_cell(engines, i, "as");
    return NULL;
}

/* The newest line of the family whose `column` is at most `limit`; where all are above it, the
 * oldest. The table's row count: it has none. */
static size_t newest(const CsvTable *engines, const char *family, const char *column, double limit)
{
    size_t best = engines->row_count;
    double best_value = 0;
    for (size_t i = 0; i < engines->row_count; i++) {
        const char *text = rule_cell(engines, i, column);
        if (strcmp(rule_cell(engines, i, "family"), family) != 0 || text[0] == '\0' ||
            rule_cell(engines, i, "name")[0] == '\0')
            continue;
        const double value =
            strcmp(column, "version") == 0 ? version_at(text) : rule_number(engines, i, column);
        const int older =
            best_value > limit ? value < best_value : value <= limit && value >= best_value;
        if (best < engines->row_count && !older)
            continue;
        best = i;
        best_value = value;
    }
    return best;
}

const char *engine_nearest(const CsvTable *engines, const char *text, double year,
                           char assumed[ASSUMED_BYTES])
{
    char plain[NAME_TEXT_BYTES];
    Family family;
    name_plain(text, plain, sizeof plain);
    if (!find_family(engines, plain, &family))
        return NULL;
    double version = version_behind(family.behind);
    const char *name = family.name;
    for (int hops = 0; hops < FAMILY_HOPS; hops++) {
        const char *other = stands_for(engines, name);
        if (other == NULL)
            break;
        name = other;
        version = -1; /* of another program */
    }
    const size_t line = version >= 0 ? newest(engines, name, "version", version)
                        : year > 0   ? newest(engines, name, "year", year)
                                     : newest(engines, name, "year", last_year);
    if (line == engines->row_count)
        return NULL;
    const char *file = rule_cell(engines, line, "name");
    assume(assumed, "engine: '%.*s' taken for %.60s", (int)SHOWN, text, file);
    return file;
}
