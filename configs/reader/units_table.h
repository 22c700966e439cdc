/* The units of each dimension, shared by reading and writing numbers. */
#ifndef CONFIGS_READER_UNITS_TABLE_H
#define CONFIGS_READER_UNITS_TABLE_H

#include "configs/reader/units.h"

/* One unit is factor * 10^exponent base units. Keeping the power of ten apart makes 880ns, 0.88us
 * and 8.8e-7s the same double, as they are the same number; the factors are exact. */
typedef struct Unit {
    const char *name;
    double factor;
    int exponent;
    bool shown; /* units_format may use it */
} Unit;

/* A written unit is a prefix (where the dimension takes them) and a name of the first list, and,
 * where there is a second list, '/' and a name of that. An empty name stands for the bare number.
 */
typedef struct DimensionRule {
    const char *noun;
    const char *example;
    const char *usual_unit;
    const char *favourite; /* ending that units_format prefers; NULL: none */
    const Unit *units;
    const Unit *per; /* NULL: nothing after a slash beyond what the names say */
    bool binary_prefixes;
    bool decimal_prefixes;
    bool dollars; /* "$1" and "1 USD" */
    bool bare;    /* a number without unit has a meaning */
} DimensionRule;

/* Base units in one written unit: above / below * 10^exponent. above 0: there is no such unit. */
typedef struct Scale {
    double above, below;
    int exponent;
} Scale;

/* Lists end with a NULL name. NO_PREFIX holds the empty prefix alone. */
extern const Unit NO_PREFIX[];
extern const Unit DECIMAL_PREFIXES[];
extern const Unit BINARY_PREFIXES[];
extern const DimensionRule DIMENSION_RULES[DIMENSION_NUMBER_OF];

bool unit_takes_prefixes(const Unit *unit);
Scale scale_combine(const Unit *prefix, const Unit *unit);
Scale scale_divide(Scale above, const Unit *per);

/* What a written unit (without spaces and dollar sign) stands for in a dimension. */
Scale unit_scale(const DimensionRule *rule, const char *unit);
bool unit_exists(const DimensionRule *rule, const char *unit);

#endif
