#include "configs/reader/measured_cell.h"

#include "configs/reader/csv.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_BYTES = 64 };

/* ---- names -------------------------------------------------------------------------------------
 */

static const char *fold(const char *text, int split_numbers, char *out, size_t out_bytes)
{
    size_t used = 0;
    int blank = 0;
    unsigned char last = 0;
    for (const char *at = text; *at != '\0' && used + 2 < out_bytes; at++) {
        const unsigned char c = (unsigned char)*at;
        if (!isalnum(c)) {
            blank = 1;
            continue;
        }
        if (split_numbers && isdigit(c) && isalpha(last))
            blank = 1;
        if (blank && used > 0)
            out[used++] = ' ';
        out[used++] = (char)tolower(c);
        blank = 0;
        last = c;
    }
    out[used] = '\0';
    return out;
}

const char *cell_words(const char *text, char *out, size_t out_bytes)
{
    return fold(text, 0, out, out_bytes);
}

const char *cell_name_words(const char *text, char *out, size_t out_bytes)
{
    return fold(text, 1, out, out_bytes);
}

static bool is_one_of(const char *words, const char *const *list)
{
    for (size_t i = 0; list[i] != NULL; i++)
        if (strcmp(words, list[i]) == 0)
            return true;
    return false;
}

bool cell_is_empty(const char *text)
{
    static const char *const EMPTY[] = {"",           "n a",          "na",       "nan",
                                        "null",       "nil",          "unknown",  "unstated",
                                        "not stated", "not reported", "not said", "not given",
                                        "tbd",        "unspecified",  "missing",  NULL};
    char words[WORDS_BYTES];
    return is_one_of(cell_words(text, words, sizeof words), EMPTY);
}

/* ---- numbers -----------------------------------------------------------------------------------
 */

/* The number without what does not change it: separators between thousands, a note in brackets
 * behind it, a unit behind it that the column has anyway. */
static bool bare_number(const char *text, char unit, char *out, size_t out_bytes)
{
    size_t used = 0;
    const char *at = text + strspn(text, " \t");
    while (*at != '\0' && *at != '(' && used + 1 < out_bytes) {
        const bool separates = (*at == ',' || *at == '_') && used > 0 &&
                               isdigit((unsigned char)at[-1]) && isdigit((unsigned char)at[1]) &&
                               isdigit((unsigned char)at[2]) && isdigit((unsigned char)at[3]) &&
                               !isdigit((unsigned char)at[4]);
        if (!separates)
            out[used++] = *at;
        at++;
    }
    if (*at == '(' && (at == text || at[strlen(at) - 1] != ')'))
        return false;
    while (used > 0 && (out[used - 1] == ' ' || out[used - 1] == '\t'))
        used--;
    if (unit != '\0' && used > 1 && tolower((unsigned char)out[used - 1]) == unit)
        used--;
    out[used] = '\0';
    return used > 0 && (*at == '\0' || *at == '(');
}

typedef struct WordValue {
    const char *words;
    double value;
} WordValue;

static const WordValue SWITCHES[] = {
    {"true", 1}, {"yes", 1}, {"on", 1},       {"enabled", 1}, {"y", 1}, {"t", 1},    {"false", 0},
    {"no", 0},   {"off", 0}, {"disabled", 0}, {"n", 0},       {"f", 0}, {"none", 0}, {NULL, 0}};
static const WordValue ACTIVATIONS[] = {
    {"swiglu", 1}, {"geglu", 1}, {"gated", 1},        {"silu", 1},    {"gelu", 0},
    {"relu", 0},   {"relu2", 0}, {"squared relu", 0}, {"ungated", 0}, {NULL, 0}};
static const WordValue SHARDINGS[] = {
    {"none", 0},     {"no", 0},         {"ddp", 0},           {"distributed optimizer", 1},
    {"dist opt", 1}, {"fsdp", 3},       {"fsdp1", 3},         {"fsdp2", 3},
    {"hsdp", 3},     {"full shard", 3}, {"full sharding", 3}, {"fully sharded", 3},
    {NULL, 0}};

static bool word_value(const char *words, const WordValue *list, double *value)
{
    for (size_t i = 0; list[i].words != NULL; i++)
        if (strcmp(words, list[i].words) == 0) {
            *value = list[i].value;
            return true;
        }
    return false;
}

/* "ZeRO-2", "zero stage 2", "Stage2". */
static bool zero_stage(const char *words, double *value)
{
    const size_t length = strlen(words);
    char name[WORDS_BYTES];
    if (length < 2 || !isdigit((unsigned char)words[length - 1]))
        return false;
    snprintf(name, sizeof name, "%.*s", (int)(length - 1), words);
    for (size_t end = strlen(name); end > 0 && name[end - 1] == ' '; end--)
        name[end - 1] = '\0';
    if (strcmp(name, "zero") != 0 && strcmp(name, "stage") != 0 && strcmp(name, "zero stage") != 0)
        return false;
    *value = words[length - 1] - '0';
    return true;
}

/* The one number of four digits. */
static bool year_in(const char *text, double *value)
{
    size_t found = 0;
    for (const char *at = text; *at != '\0';) {
        const size_t digits = strspn(at, "0123456789");
        if (digits == 4) {
            *value = strtod(at, NULL);
            found++;
        }
        at += digits > 0 ? digits : 1;
    }
    if (found != 1)
        *value = nan("");
    return found == 1;
}

bool cell_number(const char *text, CellWords kind, double *value)
{
    char number[WORDS_BYTES], words[WORDS_BYTES];
    const double tokens_of_k = 1024; /* as sequence lengths are named */
    *value = nan("");
    cell_words(text, words, sizeof words);
    if (cell_is_empty(text) && strpbrk(text, "0123456789") == NULL)
        return true;
    const char unit = kind == CELL_MEASURED ? '%' : '\0';
    if (kind == CELL_MEASURED)
        text += strspn(text, " ~");
    if (bare_number(text, unit, number, sizeof number) && csv_number(number, value)) {
        if (kind == CELL_ABSENT && *value == 0)
            *value = nan("");
        return true;
    }
    *value = nan("");
    if (kind == CELL_ABSENT && strcmp(words, "none") == 0)
        return true;
    if (kind == CELL_YEAR)
        return year_in(text, value);
    if (kind == CELL_TOKENS && bare_number(text, 'k', number, sizeof number) &&
        csv_number(number, value)) {
        *value *= tokens_of_k;
        return true;
    }
    if ((kind == CELL_SWITCH || kind == CELL_GATED) && word_value(words, SWITCHES, value))
        return true;
    if (kind == CELL_GATED && word_value(words, ACTIVATIONS, value))
        return true;
    return kind == CELL_SHARDING &&
           (word_value(words, SHARDINGS, value) || zero_stage(words, value));
}
