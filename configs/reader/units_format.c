/* Numbers back to text. */
#include "configs/reader/units_table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* One way of writing a value. */
typedef struct Candidate {
    char text[UNITS_TEXT_BYTES];
    double scale;
    bool above_one; /* the number in front of the unit is at least 1 */
} Candidate;

enum { MAX_CANDIDATES = 64 };

enum { USUAL_DIGITS = 12, MOST_DIGITS = 21 };

/* value / scale in so many digits; true when it is read back as the same double. */
static bool write_digits(Dimension dimension, double value, const char *unit, int digits,
                         Candidate *candidate)
{
    const char *dollar = DIMENSION_RULES[dimension].dollars ? "$" : "";
    double number = value / candidate->scale;
    double magnitude = fabs(number);
    bool plain =
        magnitude >= 1e-3 && magnitude < 1e7; /* reads better than an exponent while short */
    int before = plain && magnitude >= 1 ? (int)floor(log10(magnitude)) + 1 : 1;
    int after = digits > before ? digits - before : 0;
    int length =
        plain
            ? snprintf(candidate->text, UNITS_TEXT_BYTES, "%s%.*f%s", dollar, after, number, unit)
            : snprintf(candidate->text, UNITS_TEXT_BYTES, "%s%.*g%s", dollar, digits, number, unit);
    double back;
    Error ignored;
    return length > 0 && length < UNITS_TEXT_BYTES &&
           units_parse(dimension, NULL, candidate->text, &back, &ignored) && back == value;
}

/* The shortest text of value / scale that is read back as the same double; false when there is none
 * of at most `most` digits. */
static bool write_candidate(Dimension dimension, double value, Scale scale, const char *unit,
                            int most, Candidate *candidate)
{
    candidate->scale = scale.above / scale.below * pow(10, scale.exponent);
    candidate->above_one = fabs(value / candidate->scale) >= 1;
    if (!write_digits(dimension, value, unit, most, candidate)) /* fewer would not do either */
        return false;
    int digits =
        most > USUAL_DIGITS ? USUAL_DIGITS + 1 : 1; /* a second pass: few were not enough */
    while (!write_digits(dimension, value, unit, digits, candidate))
        digits++;
    return true;
}

/* All ways that the tables have; `all`: also the units that are not shown by preference. */
static size_t write_candidates(Dimension dimension, double value, bool all,
                               Candidate candidates[MAX_CANDIDATES])
{
    const DimensionRule *rule = &DIMENSION_RULES[dimension];
    size_t count = 0;
    for (const Unit *unit = rule->units; unit->name != NULL; unit++) {
        bool prefixed = unit_takes_prefixes(unit);
        const Unit *lists[] = {
            NO_PREFIX, rule->decimal_prefixes && prefixed ? DECIMAL_PREFIXES : NULL,
            rule->binary_prefixes && prefixed && unit->name[0] != '\0' ? BINARY_PREFIXES : NULL};
        for (size_t l = 0; l < 3; l++)
            for (const Unit *prefix = lists[l]; prefix != NULL && prefix->name != NULL; prefix++)
                for (const Unit *per = rule->per != NULL ? rule->per : NO_PREFIX; per->name != NULL;
                     per++) {
                    if (count == MAX_CANDIDATES ||
                        !(all || (unit->shown && prefix->shown && per->shown)))
                        continue;
                    char name[UNITS_TEXT_BYTES];
                    snprintf(name, sizeof name, "%s%s%s%s", prefix->name, unit->name,
                             rule->per != NULL ? "/" : "", per->name);
                    Scale scale = scale_divide(scale_combine(prefix, unit), per);
                    count += write_candidate(dimension, value, scale, name,
                                             all ? MOST_DIGITS : USUAL_DIGITS, &candidates[count]);
                }
    }
    return count;
}

void units_format(Dimension dimension, double value, char text[UNITS_TEXT_BYTES])
{
    const DimensionRule *rule = &DIMENSION_RULES[dimension];
    if (value == 0) {
        snprintf(text, UNITS_TEXT_BYTES, "0");
        return;
    }
    Candidate candidates[MAX_CANDIDATES];
    size_t count = write_candidates(dimension, value, false, candidates);
    if (count == 0)
        count = write_candidates(dimension, value, true, candidates);
    const Candidate *best = NULL;
    for (size_t i = 0; i < count; i++)
        if (best == NULL || strlen(candidates[i].text) < strlen(best->text))
            best = &candidates[i];
    size_t shortest = best != NULL ? strlen(best->text) : 0;
    for (size_t i = 0; i < count && rule->favourite != NULL; i++)
        if (strstr(candidates[i].text, rule->favourite) != NULL &&
            strlen(candidates[i].text) <= shortest + 2)
            best = &candidates[i];
    /* Where a unit is obligatory, the largest that leaves a number above one reads better than the
     * shortest text: 15min, not 900s. Bare numbers stay bare: 24960, not 24.96k. */
    for (size_t i = 0; i < count && !rule->bare; i++)
        if (candidates[i].above_one && strlen(candidates[i].text) <= shortest + 1 &&
            (!best->above_one || candidates[i].scale > best->scale))
            best = &candidates[i];
    snprintf(text, UNITS_TEXT_BYTES, "%s", best != NULL ? best->text : "?");
}
