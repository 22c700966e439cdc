#include "configs/reader/units.h"

#include "configs/reader/text.h"
#include "configs/reader/units_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- the number in front ------------------------------------------------------------------- */

typedef enum NumberScan {
    NUMBER_OK,
    NUMBER_MISSING,
    NUMBER_BAD_UNDERSCORE,
    NUMBER_TOO_LARGE,
    NUMBER_TOO_LONG
} NumberScan;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

enum { DIGITS_BYTES = 400, MAX_EXPONENT = 9999 };

/* A decimal number taken apart: sign and digits with their dot, and the power of ten. */
typedef struct Number {
    char digits[DIGITS_BYTES];
    size_t count;
    int exponent;
} Number;

/* Digits with single underscores between them, copied without these. */
static NumberScan scan_digits(const char **at, Number *number, size_t *found)
{
    *found = 0;
    while (is_digit(**at) || (**at == '_' && *found > 0)) {
        if (**at == '_') {
            if (!is_digit((*at)[1]))
                return NUMBER_BAD_UNDERSCORE;
        } else {
            if (number->count + 2 > DIGITS_BYTES)
                return NUMBER_TOO_LONG;
            number->digits[number->count++] = **at;
            (*found)++;
        }
        (*at)++;
    }
    number->digits[number->count] = '\0';
    return NUMBER_OK;
}

/* Decimal only: what strtod would take beside (hex, nan, inf) is no number here. Moves *at past it.
 */
static NumberScan scan_number(const char **at, Number *number)
{
    size_t whole = 0;
    size_t fraction = 0;
    const char *start = *at;
    *number = (Number){0};
    if (**at == '-' || **at == '+')
        number->digits[number->count++] = *(*at)++;
    NumberScan scan = scan_digits(at, number, &whole);
    if (scan == NUMBER_OK && **at == '.') {
        if (number->count + 2 > DIGITS_BYTES)
            return NUMBER_TOO_LONG;
        number->digits[number->count++] = *(*at)++;
        scan = scan_digits(at, number, &fraction);
    }
    if (scan != NUMBER_OK)
        return scan;
    if (whole + fraction == 0) {
        *at = start;
        return NUMBER_MISSING;
    }
    const char *e = *at;
    bool is_signed = (*e == 'e' || *e == 'E') && (e[1] == '-' || e[1] == '+');
    if ((*e == 'e' || *e == 'E') && is_digit(e[is_signed ? 2 : 1])) {
        for (*at = e + (is_signed ? 2 : 1); is_digit(**at); (*at)++)
            if (number->exponent <= MAX_EXPONENT) /* more overflows all the same */
                number->exponent = 10 * number->exponent + (**at - '0');
        if (e[1] == '-')
            number->exponent = -number->exponent;
    }
    return NUMBER_OK;
}

/* number * scale, rounded once or twice: the powers of ten are added before the digits become a
 * double. */
static double scaled(const Number *number, Scale scale)
{
    char text[DIGITS_BYTES + 16];
    snprintf(text, sizeof text, "%se%d", number->digits, number->exponent + scale.exponent);
    return strtod(text, NULL) * scale.above /
           scale.below; /* the locale is never set: the mark is a dot */
}

/* Number and unit text taken apart. */
typedef struct Written {
    Number number;
    char number_text[UNITS_TEXT_BYTES];
    char unit[UNITS_TEXT_BYTES]; /* without spaces and dollar signs */
    bool dollars;
} Written;

static NumberScan take_apart(const char *text, Written *written)
{
    *written = (Written){0};
    text += strspn(text, " ");
    if (*text == '$') {
        written->dollars = true;
        text++;
        text += strspn(text, " ");
    }
    const char *start = text;
    NumberScan scan = scan_number(&text, &written->number);
    if (scan != NUMBER_OK)
        return scan;
    snprintf(written->number_text, sizeof written->number_text, "%.*s", (int)(text - start), start);
    size_t count = 0;
    for (; *text != '\0'; text++) {
        if (*text == ' ' || *text == '\t')
            continue;
        if (count + 1 >= sizeof written->unit)
            return NUMBER_TOO_LONG;
        written->unit[count++] = *text;
    }
    if (!written->dollars && strncmp(written->unit, "USD", 3) == 0) {
        written->dollars = true;
        memmove(written->unit, written->unit + 3, strlen(written->unit + 3) + 1);
    }
    return NUMBER_OK;
}

/* ---- what went wrong ----------------------------------------------------------------------- */

/* Is there a unit of `rule` that differs from `unit` in case only? Then `right` holds it. */
static bool differs_in_case(const DimensionRule *rule, const char *unit, char *right,
                            size_t right_bytes)
{
    const Unit *prefixes[] = {DECIMAL_PREFIXES, BINARY_PREFIXES};
    for (const Unit *name = rule->units; name->name != NULL; name++) {
        snprintf(right, right_bytes, "%s", name->name);
        if (strcasecmp(right, unit) == 0 && unit_exists(rule, right))
            return true;
        for (size_t l = 0; l < 2; l++)
            for (const Unit *prefix = prefixes[l]; prefix->name != NULL; prefix++) {
                snprintf(right, right_bytes, "%s%s", prefix->name, name->name);
                if (strcasecmp(right, unit) == 0 && unit_exists(rule, right))
                    return true;
            }
    }
    return false;
}

static void explain_unit(Dimension dimension, const char *usual_unit, const char *brief,
                         const Written *written, Error *error)
{
    const DimensionRule *rule = &DIMENSION_RULES[dimension];
    const char *dollar = rule->dollars ? "$" : "";
    char right[UNITS_TEXT_BYTES];
    if (written->unit[0] == '\0' && !(rule->bare || written->dollars)) {
        error_set(error, STATUS_INVALID, "'%s' has no unit", brief);
        error_hint(error, "did you mean '%s%s%s'?", dollar, written->number_text,
                   usual_unit != NULL ? usual_unit : rule->usual_unit);
        return;
    }
    if (dimension == DIMENSION_SECONDS && strcmp(written->unit, "m") == 0) {
        error_set(error, STATUS_INVALID, "'%s': 'm' alone is ambiguous", brief);
        error_hint(error, "min or M? minutes are '%smin'", written->number_text);
        return;
    }
    if (strcmp(written->unit, "m") == 0 && (rule->decimal_prefixes || rule->bare)) {
        error_set(error, STATUS_INVALID, "'%s': 'm' alone is ambiguous", brief);
        error_hint(error, "min or M? millions are '%sM'", written->number_text);
        return;
    }
    if (written->unit[0] == ',') {
        error_set(error, STATUS_INVALID, "'%s' has a comma", brief);
        error_hint(error, "write thousands as 1_000 and decimals with a dot");
        return;
    }
    if (written->dollars == rule->dollars &&
        differs_in_case(rule, written->unit, right, sizeof right)) {
        error_set(error, STATUS_INVALID, "'%s': unknown unit '%s'", brief, written->unit);
        error_hint(error, "case matters; did you mean '%s%s%s'?", dollar, written->number_text,
                   right);
        return;
    }
    for (int other = 0; other < DIMENSION_NUMBER_OF; other++) {
        const DimensionRule *that = &DIMENSION_RULES[other];
        bool money_only = that->dollars && written->unit[0] == '\0';
        if (other == DIMENSION_FIGURE || that->dollars != written->dollars ||
            !(money_only || unit_exists(that, written->unit)))
            continue;
        error_set(error, STATUS_INVALID, "'%s' is %s, not %s", brief,
                  money_only ? "an amount of money" : that->noun, rule->noun);
        error_hint(error, "write it like %s", rule->example);
        return;
    }
    error_set(error, STATUS_INVALID, "'%s': '%s' is no unit of %s", brief, written->unit,
              rule->noun);
    error_hint(error, "write it like %s", rule->example);
}

static void explain_number(const DimensionRule *rule, NumberScan scan, const char *brief,
                           Error *error)
{
    static const char *const PROBLEMS[] = {[NUMBER_OK] = "",
                                           [NUMBER_MISSING] = "is not a number",
                                           [NUMBER_BAD_UNDERSCORE] = "has a stray underscore",
                                           [NUMBER_TOO_LARGE] = "is not a finite number",
                                           [NUMBER_TOO_LONG] = "is too long for a number"};
    const char *bare = brief + (*brief == '-' || *brief == '+' || *brief == '.');
    bool not_finite = strncasecmp(bare, "nan", 3) == 0 || strncasecmp(bare, "inf", 3) == 0;
    error_set(error, STATUS_INVALID, "'%s' %s", brief,
              not_finite ? PROBLEMS[NUMBER_TOO_LARGE] : PROBLEMS[scan]);
    error_hint(error, "%s is written like %s", rule->noun, rule->example);
}

bool units_parse(Dimension dimension, const char *usual_unit, const char *text, double *value,
                 Error *error)
{
    const DimensionRule *rule = &DIMENSION_RULES[dimension];
    char brief[TEXT_BRIEF_BYTES];
    text_brief(brief, text);
    Written written;
    NumberScan scan = take_apart(text, &written);
    if (scan != NUMBER_OK) {
        explain_number(rule, scan, brief, error);
        return false;
    }
    text_make_printable(written.unit);
    Scale scale =
        written.dollars == rule->dollars ? unit_scale(rule, written.unit) : (Scale){0, 1, 0};
    double number = scaled(&written.number, (Scale){1, 1, 0});
    bool zero =
        number == 0 && written.unit[0] == '\0' && !written.dollars; /* the same in every unit */
    if (scale.above <= 0 && !zero) {
        explain_unit(dimension, usual_unit, brief, &written, error);
        return false;
    }
    if (dimension == DIMENSION_FRACTION && written.unit[0] == '\0' && fabs(number) > 1) {
        error_set(error, STATUS_INVALID, "'%s' is more than the whole", brief);
        error_hint(error, "did you mean '%s%%'?", written.number_text);
        return false;
    }
    double result = zero ? 0 : scaled(&written.number, scale);
    if (!isfinite(result)) {
        explain_number(rule, NUMBER_TOO_LARGE, brief, error);
        return false;
    }
    *value =
        result == 0 ? 0 : result; /* no negative zero: it would print and hash as another number */
    return true;
}
