#include "configs/reader/units_table.h"

#include <string.h>

#define END_OF_UNITS                                                                               \
    {                                                                                              \
        NULL, 0, 0, false                                                                          \
    }
#define KIBI     0x1p10
#define MEBI     0x1p20
#define GIBI     0x1p30
#define TEBI     0x1p40
#define BIT      0.125 /* bytes */
#define MINUTE_S 60
#define HOUR_S   3600
#define DAY_S    86400
#define WEEK_S   604800
#define MONTH_S  2628000  /* 730 h */
#define YEAR_S   31536000 /* 8760 h */

const Unit NO_PREFIX[] = {{"", 1, 0, true}, END_OF_UNITS};
const Unit DECIMAL_PREFIXES[] = {{"k", 1, 3, true},  {"M", 1, 6, true},  {"G", 1, 9, true},
                                 {"T", 1, 12, true}, {"P", 1, 15, true}, {"E", 1, 18, false},
                                 END_OF_UNITS};
const Unit BINARY_PREFIXES[] = {{"Ki", KIBI, 0, false},
                                {"Mi", MEBI, 0, false},
                                {"Gi", GIBI, 0, true},
                                {"Ti", TEBI, 0, false},
                                END_OF_UNITS};

static const Unit NO_UNITS[] = {{"", 1, 0, true}, END_OF_UNITS};
static const Unit TOKEN_UNITS[] = {
    {"", 1, 0, true}, {"tokens", 1, 0, false}, {"token", 1, 0, false}, END_OF_UNITS};
static const Unit SHARE_UNITS[] = {{"", 1, 0, true}, {"%", 1, -2, true}, END_OF_UNITS};
static const Unit RATIO_UNITS[] = {{"", 1, 0, true}, {"%", 1, -2, false}, END_OF_UNITS};
static const Unit BYTE_UNITS[] = {{"B", 1, 0, true}, {"bytes", 1, 0, false}, END_OF_UNITS};
static const Unit BIT_AND_BYTE_RATES[] = {{"B/s", 1, 0, true},      {"b/s", BIT, 0, false},
                                          {"bit/s", BIT, 0, false}, {"bps", BIT, 0, false},
                                          {"Bps", 1, 0, false},     END_OF_UNITS};
static const Unit FLOP_RATES[] = {{"FLOP/s", 1, 0, true},
                                  {"FLOPs/s", 1, 0, false},
                                  {"FLOPS", 1, 0, false},
                                  {"flop/s", 1, 0, false},
                                  {"flops", 1, 0, false},
                                  {"", 1, 0, false},
                                  END_OF_UNITS};
static const Unit TIMES[] = {{"s", 1, 0, true},
                             {"ms", 1, -3, true},
                             {"us", 1, -6, true},
                             {"\xc2\xb5s", 1, -6, false}, /* micro sign */
                             {"ns", 1, -9, true},
                             {"min", MINUTE_S, 0, true},
                             {"h", HOUR_S, 0, true},
                             {"d", DAY_S, 0, true},
                             {"w", WEEK_S, 0, false},
                             {"sec", 1, 0, false},
                             {"hour", HOUR_S, 0, false},
                             {"hours", HOUR_S, 0, false},
                             {"day", DAY_S, 0, false},
                             {"days", DAY_S, 0, false},
                             {"week", WEEK_S, 0, false},
                             {"weeks", WEEK_S, 0, false},
                             {"month", MONTH_S, 0, false},
                             {"months", MONTH_S, 0, false},
                             {"year", YEAR_S, 0, false},
                             {"years", YEAR_S, 0, false},
                             END_OF_UNITS};
static const Unit TIMES_BELOW[] = {
    {"s", 1, 0, true},          {"min", MINUTE_S, 0, true}, {"h", HOUR_S, 0, true},
    {"hour", HOUR_S, 0, false}, {"d", DAY_S, 0, true},      {"day", DAY_S, 0, false},
    {"w", WEEK_S, 0, false},    {"week", WEEK_S, 0, false}, {"month", MONTH_S, 0, false},
    {"year", YEAR_S, 0, true},  {"y", YEAR_S, 0, false},    END_OF_UNITS};
static const Unit WATT_UNITS[] = {{"W", 1, 0, true}, END_OF_UNITS};
static const Unit RENT_HOURS[] = {
    {"h", 1, 0, true},         {"hour", 1, 0, false},     {"hr", 1, 0, false},
    {"GPU-h", 1, 0, false},    {"GPU-hour", 1, 0, false}, {"gpu-h", 1, 0, false},
    {"gpu-hour", 1, 0, false}, {"GPUh", 1, 0, false},     END_OF_UNITS};
static const Unit ENERGIES[] = {{"kWh", HOUR_S, 3, true}, {"MWh", HOUR_S, 6, false},
                                {"Wh", HOUR_S, 0, false}, {"J", 1, 0, false},
                                {"MJ", 1, 6, false},      END_OF_UNITS};
static const Unit MASSES[] = {
    {"kg", 1, 0, true}, {"g", 1, -3, false}, {"t", 1, 3, false}, END_OF_UNITS};
static const Unit SQUARED_TIMES[] = {{"us2", 1, -12, true},
                                     {"s2", 1, 0, true},
                                     {"ms2", 1, -6, false},
                                     {"ns2", 1, -18, false},
                                     END_OF_UNITS};
static const Unit STORED_BYTES[] = {{"GB", 1, 9, true},
                                    {"TB", 1, 12, true},
                                    {"PB", 1, 15, true},
                                    {"TiB", TEBI, 0, false},
                                    END_OF_UNITS};
static const Unit BYTES_BELOW[] = {
    {"B", 1, 0, true},       {"kB", 1, 3, true},      {"MB", 1, 6, false}, {"GB", 1, 9, false},
    {"KiB", KIBI, 0, false}, {"MiB", MEBI, 0, false}, END_OF_UNITS};

const DimensionRule DIMENSION_RULES[DIMENSION_NUMBER_OF] = {
    [DIMENSION_NUMBER] = {.noun = "a plain number",
                          .example = "1.5",
                          .units = NO_UNITS,
                          .bare = true},
    [DIMENSION_COUNT] = {.noun = "a count",
                         .example = "8192, 25k",
                         .units = NO_UNITS,
                         .decimal_prefixes = true,
                         .binary_prefixes = true,
                         .bare = true},
    [DIMENSION_TOKENS] = {.noun = "a number of tokens",
                          .example = "8192, 60M, 13T",
                          .units = TOKEN_UNITS,
                          .decimal_prefixes = true,
                          .binary_prefixes = true,
                          .bare = true},
    [DIMENSION_FIGURE] = {.noun = "a number",
                          .example = "1.8e12, 25k, 3%",
                          .units = RATIO_UNITS,
                          .decimal_prefixes = true,
                          .bare = true},
    [DIMENSION_FRACTION] = {.noun = "a share",
                            .example = "3%, 0.03",
                            .favourite = "%",
                            .units = SHARE_UNITS,
                            .bare = true},
    [DIMENSION_RATIO] = {.noun = "a ratio",
                         .example = "1.2, 120%",
                         .units = RATIO_UNITS,
                         .bare = true},
    [DIMENSION_BYTES] = {.noun = "an amount of bytes",
                         .example = "80GB, 40GiB",
                         .usual_unit = "GB",
                         .units = BYTE_UNITS,
                         .decimal_prefixes = true,
                         .binary_prefixes = true},
    [DIMENSION_BYTES_PER_S] = {.noun = "a bandwidth",
                               .example = "2TB/s, 400Gb/s",
                               .usual_unit = "GB/s",
                               .units = BIT_AND_BYTE_RATES,
                               .decimal_prefixes = true,
                               .binary_prefixes = true},
    [DIMENSION_FLOPS_PER_S] = {.noun = "a rate of FLOPs",
                               .example = "312T, 312TFLOP/s",
                               .usual_unit = "T",
                               .units = FLOP_RATES,
                               .decimal_prefixes = true},
    [DIMENSION_SECONDS] = {.noun = "a time",
                           .example = "1.5us, 20min, 90d",
                           .usual_unit = "s",
                           .units = TIMES},
    [DIMENSION_PER_SECOND] = {.noun = "a rate in time",
                              .example = "6.5e-3/d, 2/year",
                              .usual_unit = "/d",
                              .units = NO_UNITS,
                              .per = TIMES_BELOW},
    [DIMENSION_WATTS] = {.noun = "a power",
                         .example = "400W, 6.5kW",
                         .usual_unit = "W",
                         .units = WATT_UNITS,
                         .decimal_prefixes = true},
    [DIMENSION_USD_PER_HOUR] = {.noun = "a price of an hour",
                                .example = "$1/h, $2.50/GPU-hour",
                                .usual_unit = "/h",
                                .units = NO_UNITS,
                                .per = RENT_HOURS,
                                .dollars = true},
    [DIMENSION_USD] = {.noun = "an amount of money",
                       .example = "$270k, $1.5M",
                       .usual_unit = "",
                       .units = NO_UNITS,
                       .decimal_prefixes = true,
                       .dollars = true},
    [DIMENSION_USD_PER_BYTE] = {.noun = "a price of storage",
                                .example = "$250k/PB, $250/TB",
                                .usual_unit = "/TB",
                                .units = NO_UNITS,
                                .per = STORED_BYTES,
                                .decimal_prefixes = true,
                                .dollars = true},
    [DIMENSION_USD_PER_J] = {.noun = "a price of energy",
                             .example = "$0.08/kWh",
                             .usual_unit = "/kWh",
                             .units = NO_UNITS,
                             .per = ENERGIES,
                             .dollars = true},
    [DIMENSION_KG_PER_J] = {.noun = "a carbon intensity",
                            .example = "0.4kg/kWh",
                            .usual_unit = "kg/kWh",
                            .units = MASSES,
                            .per = ENERGIES},
    [DIMENSION_S2_PER_BYTE] = {.noun = "squared time per byte",
                               .example = "0.08us2/kB",
                               .usual_unit = "us2/kB",
                               .units = SQUARED_TIMES,
                               .per = BYTES_BELOW},
};

static const Scale NO_SCALE = {0, 1, 0};

Scale scale_combine(const Unit *prefix, const Unit *unit)
{
    return (Scale){.above = prefix->factor * unit->factor,
                   .below = 1,
                   .exponent = prefix->exponent + unit->exponent};
}

bool unit_takes_prefixes(const Unit *unit)
{
    return strcmp(unit->name, "%") != 0;
}

/* prefix + name within [text, text + bytes) */
static Scale find_unit(const DimensionRule *rule, const char *text, size_t bytes)
{
    for (const Unit *unit = rule->units; unit->name != NULL; unit++) {
        size_t name_bytes = strlen(unit->name);
        if (name_bytes > bytes || memcmp(text + bytes - name_bytes, unit->name, name_bytes) != 0)
            continue;
        size_t prefix_bytes = bytes - name_bytes;
        if (prefix_bytes == 0 &&
            (name_bytes > 0 || rule->bare || rule->dollars || rule->per != NULL))
            return scale_combine(&NO_PREFIX[0], unit);
        if (prefix_bytes == 0 || !unit_takes_prefixes(unit))
            continue;
        const Unit *lists[] = {rule->decimal_prefixes ? DECIMAL_PREFIXES : NULL,
                               rule->binary_prefixes ? BINARY_PREFIXES : NULL};
        for (size_t l = 0; l < 2; l++)
            for (const Unit *prefix = lists[l]; prefix != NULL && prefix->name != NULL; prefix++)
                if (strlen(prefix->name) == prefix_bytes &&
                    memcmp(text, prefix->name, prefix_bytes) == 0)
                    return scale_combine(prefix, unit);
    }
    return NO_SCALE;
}

Scale scale_divide(Scale above, const Unit *per)
{
    return (Scale){
        .above = above.above, .below = per->factor, .exponent = above.exponent - per->exponent};
}

/* What `unit` (without spaces) stands for in this dimension. */
Scale unit_scale(const DimensionRule *rule, const char *unit)
{
    if (rule->per == NULL)
        return find_unit(rule, unit, strlen(unit));
    const char *slash = strchr(unit, '/');
    Scale above = slash != NULL ? find_unit(rule, unit, (size_t)(slash - unit)) : NO_SCALE;
    for (const Unit *per = rule->per; slash != NULL && per->name != NULL; per++)
        if (strcmp(slash + 1, per->name) == 0)
            return scale_divide(above, per);
    return NO_SCALE;
}

bool unit_exists(const DimensionRule *rule, const char *unit)
{
    return unit_scale(rule, unit).above > 0;
}
