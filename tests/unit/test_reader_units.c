#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "configs/reader/units.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Expected values are the definitions of the units, written as C arithmetic. */
static void known_values(void **state)
{
    (void)state;
    static const struct {
        Dimension dimension;
        const char *text;
        double value;
    } CASES[] = {
        {DIMENSION_NUMBER, "1.5", 1.5},
        {DIMENSION_NUMBER, "-2e-3", -2e-3},
        {DIMENSION_NUMBER, ".5", 0.5},
        {DIMENSION_NUMBER, "1_000_000.25", 1000000.25},
        {DIMENSION_COUNT, "25k", 25000},
        {DIMENSION_COUNT, "8192", 8192},
        {DIMENSION_COUNT, "8Ki", 8192},
        {DIMENSION_COUNT, "13T", 13e12},
        {DIMENSION_COUNT, "1E2", 100},
        {DIMENSION_TOKENS, "60M tokens", 60e6},
        {DIMENSION_FIGURE, "3%", 0.03},
        {DIMENSION_FIGURE, "2.15e25", 2.15e25},
        {DIMENSION_FRACTION, "3%", 0.03},
        {DIMENSION_FRACTION, "0.03", 0.03},
        {DIMENSION_FRACTION, "150%", 1.5},
        {DIMENSION_RATIO, "120%", 1.2},
        {DIMENSION_RATIO, "7", 7},
        {DIMENSION_BYTES, "80GB", 80e9},
        {DIMENSION_BYTES, "80 GiB", 80.0 * 1024 * 1024 * 1024},
        {DIMENSION_BYTES_PER_S, "400Gb/s", 50e9},
        {DIMENSION_BYTES_PER_S, "400Gbps", 50e9},
        {DIMENSION_BYTES_PER_S, "2TB/s", 2e12},
        {DIMENSION_FLOPS_PER_S, "312T", 312e12},
        {DIMENSION_FLOPS_PER_S, "312TFLOP/s", 312e12},
        {DIMENSION_FLOPS_PER_S, "312 TFLOPS", 312e12},
        {DIMENSION_SECONDS, "1.5us", 1.5e-6},
        {DIMENSION_SECONDS, "90d", 7776000},
        {DIMENSION_SECONDS, "20 min", 1200},
        {DIMENSION_SECONDS, "2w", 1209600},
        {DIMENSION_SECONDS, "1 year", 8760 * 3600},
        {DIMENSION_SECONDS, "1month", 730 * 3600},
        {DIMENSION_SECONDS, "0", 0},
        {DIMENSION_PER_SECOND, "6.5e-3/d", 6.5e-3 / 86400},
        {DIMENSION_PER_SECOND, "2/year", 2.0 / 31536000},
        {DIMENSION_WATTS, "6.5kW", 6500},
        {DIMENSION_USD_PER_HOUR, "$1/h", 1},
        {DIMENSION_USD_PER_HOUR, "$2.50 / GPU-hour", 2.5},
        {DIMENSION_USD_PER_HOUR, "3 USD/h", 3},
        {DIMENSION_USD_PER_J, "$0.08/kWh", 0.08 / 3.6e6},
        {DIMENSION_USD_PER_J, "$80/MWh", 80 / 3.6e9},
        {DIMENSION_KG_PER_J, "0.4kg/kWh", 0.4 / 3.6e6},
        {DIMENSION_KG_PER_J, "400g/kWh", 0.4 / 3.6e6},
        {DIMENSION_S2_PER_BYTE, "0.08us2/kB", 0.08e-15},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        double value = nan("");
        Error error = {0};
        if (!units_parse(CASES[i].dimension, NULL, CASES[i].text, &value, &error))
            fail_msg("'%s' refused: %s", CASES[i].text, error.message);
        if (!(fabs(value - CASES[i].value) <= 1e-15 * fabs(CASES[i].value)))
            fail_msg("'%s' is %.17g, not %.17g", CASES[i].text, value, CASES[i].value);
    }
}

/* Different spellings of one number are one double, or hashes would differ. */
static void spellings_agree(void **state)
{
    (void)state;
    static const struct {
        Dimension dimension;
        const char *a, *b;
    } PAIRS[] = {
        {DIMENSION_SECONDS, "880ns", "0.88us"},
        {DIMENSION_SECONDS, "0.88us", "8.8e-7s"},
        {DIMENSION_SECONDS, "0.5h", "30min"},
        {DIMENSION_FRACTION, "48.7%", "0.487"},
        {DIMENSION_BYTES, "3.9GB", "3900MB"},
        {DIMENSION_FLOPS_PER_S, "312T", "0.312PFLOP/s"},
        {DIMENSION_BYTES_PER_S, "25GB/s", "200Gb/s"},
        {DIMENSION_COUNT, "1_000", "1e3"},
        {DIMENSION_NUMBER, "-0", "0"},
    };
    for (size_t i = 0; i < sizeof PAIRS / sizeof PAIRS[0]; i++) {
        double a = nan("");
        double b = nan("");
        Error error;
        assert_true(units_parse(PAIRS[i].dimension, NULL, PAIRS[i].a, &a, &error));
        assert_true(units_parse(PAIRS[i].dimension, NULL, PAIRS[i].b, &b, &error));
        if (memcmp(&a, &b, sizeof a) != 0)
            fail_msg("%s = %.17g but %s = %.17g", PAIRS[i].a, a, PAIRS[i].b, b);
    }
}

static void refused_with_hint(void **state)
{
    (void)state;
    static const struct {
        Dimension dimension;
        const char *usual_unit;
        const char *text;
        const char *message, *hint; /* parts that must occur */
    } CASES[] = {
        {DIMENSION_SECONDS, "d", "90", "has no unit", "'90d'"},
        {DIMENSION_SECONDS, NULL, "5m", "ambiguous", "min or M?"},
        {DIMENSION_COUNT, NULL, "5m", "ambiguous", "'5M'"},
        {DIMENSION_FRACTION, NULL, "3", "more than the whole", "'3%'"},
        {DIMENSION_BYTES, NULL, "80Gb", "unknown unit 'Gb'", "'80GB'"},
        {DIMENSION_BYTES, NULL, "90s", "is a time, not an amount of bytes", "80GB"},
        {DIMENSION_SECONDS, NULL, "5GB", "is an amount of bytes, not a time", "90d"},
        {DIMENSION_USD_PER_HOUR, NULL, "1", "has no unit", "'$1/h'"},
        {DIMENSION_USD_PER_HOUR, NULL, "$1", "amount of money", "$1/h"},
        {DIMENSION_USD_PER_HOUR, NULL, "1/h", "is a rate in time", "$1/h"},
        {DIMENSION_FLOPS_PER_S, NULL, "312", "has no unit", "'312T'"},
        {DIMENSION_NUMBER, NULL, "1,000", "comma", "1_000"},
        {DIMENSION_NUMBER, NULL, "nan", "not a finite number", "1.5"},
        {DIMENSION_NUMBER, NULL, "-inf", "not a finite number", ""},
        {DIMENSION_NUMBER, NULL, "1e999", "not a finite number", ""},
        {DIMENSION_COUNT, NULL, "1e308T", "not a finite number", ""},
        {DIMENSION_NUMBER, NULL, "1__0", "underscore", ""},
        {DIMENSION_NUMBER, NULL, "_1", "not a number", ""},
        {DIMENSION_NUMBER, NULL, "", "not a number", ""},
        {DIMENSION_NUMBER, NULL, "5%", "is a share", ""},
        {DIMENSION_COUNT, NULL, "0x1F", "no unit", ""},
        {DIMENSION_COUNT, NULL, "12 apples", "'apples' is no unit of a count", ""},
        {DIMENSION_SECONDS, NULL, "5 s s", "no unit", ""},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        double value;
        Error error = {0};
        if (units_parse(CASES[i].dimension, CASES[i].usual_unit, CASES[i].text, &value, &error))
            fail_msg("'%s' was taken as %g", CASES[i].text, value);
        if (strstr(error.message, CASES[i].message) == NULL)
            fail_msg("'%s': message '%s' lacks '%s'", CASES[i].text, error.message,
                     CASES[i].message);
        if (strstr(error.hint, CASES[i].hint) == NULL)
            fail_msg("'%s': hint '%s' lacks '%s'", CASES[i].text, error.hint, CASES[i].hint);
    }
}

static void written_in_the_same_family(void **state)
{
    (void)state;
    static const struct {
        Dimension dimension;
        double value;
        const char *text;
    } CASES[] = {
        {DIMENSION_SECONDS, 1200, "20min"},
        {DIMENSION_SECONDS, 7776000, "90d"},
        {DIMENSION_SECONDS, 3.43e-6, "3.43us"},
        {DIMENSION_SECONDS, 1047, "1047s"},
        {DIMENSION_COUNT, 24960, "24960"},
        {DIMENSION_COUNT, 13e12, "13T"},
        {DIMENSION_BYTES, 80e9, "80GB"},
        {DIMENSION_BYTES, 80 * 0x1p30, "80GiB"},
        {DIMENSION_BYTES_PER_S, 25e9, "25GB/s"},
        {DIMENSION_FLOPS_PER_S, 312e12, "312TFLOP/s"},
        {DIMENSION_FRACTION, 0.1, "10%"},
        {DIMENSION_USD_PER_HOUR, 2.5, "$2.5/h"},
        {DIMENSION_PER_SECOND, 1.04 / 86400, "1.04/d"},
        {DIMENSION_WATTS, 0, "0"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char text[UNITS_TEXT_BYTES];
        units_format(CASES[i].dimension, CASES[i].value, text);
        assert_string_equal(text, CASES[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(spellings_agree),
        cmocka_unit_test(refused_with_hint),
        cmocka_unit_test(written_in_the_same_family),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
