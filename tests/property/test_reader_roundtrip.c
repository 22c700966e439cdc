/* Properties of the reader over random inputs. The seed is fixed and printed with every failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "configs/reader/sample.h"
#include "configs/reader/units.h"
#include "tests/unit/reader_text.h"

#include <math.h>
#include <stdlib.h>

static const uint64_t SEED = 20240611;

/* SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static double next_uniform(uint64_t *state)
{
    return ((double)(next_random(state) >> 11) + 0.5) * 0x1p-53;
}

/* What is written is read back as the same double, in every dimension, for round and for ragged
 * values. */
static void numbers_come_back(void **state)
{
    (void)state;
    uint64_t random = SEED;
    for (int dimension = 0; dimension < DIMENSION_NUMBER_OF; dimension++)
        for (int i = 0; i < 400; i++) {
            double value = pow(10, 36 * next_uniform(&random) - 18);
            if (i % 3 == 0)
                value = round(1000 * next_uniform(&random)) / 100; /* few digits */
            if (dimension == DIMENSION_FRACTION)
                value = next_uniform(&random);
            char text[UNITS_TEXT_BYTES];
            double back = nan("");
            Error error = {0};
            units_format((Dimension)dimension, value, text);
            if (!units_parse((Dimension)dimension, NULL, text, &back, &error) || back != value)
                fail_msg("seed %llu, dimension %d: %.17g is written '%s', read %.17g %s",
                         (unsigned long long)SEED, dimension, value, text, back, error.message);
        }
}

/* Setting every value to what `show` prints of it changes nothing: the same hash. */
static void shown_values_come_back(void **state)
{
    (void)state;
    static Reading first, second;
    static const char *const BASES[] = {"gpt4-a100", "gpt4-h100-fp8", "gpt4-serve-a100"};
    for (size_t b = 0; b < sizeof BASES / sizeof BASES[0]; b++) {
        char text[64];
        snprintf(text, sizeof text, "schema: 1\nbase: %s\n", BASES[b]);
        read_scenario(&first, text, NULL, 0);
        assert_int_equal(first.status, STATUS_OK);
        size_t count = first.resolved.count;
        char(*sets)[400] = calloc(count, sizeof *sets);
        const char **pointers = calloc(count, sizeof *pointers);
        size_t used = 0;
        assert_true(sets != NULL && pointers != NULL);
        for (size_t i = 0; i < count; i++) {
            const ResolvedValue *value = &first.resolved.values[i];
            if (strcmp(value->value, "") == 0 || value->is_default)
                continue;
            snprintf(sets[used], sizeof sets[used], "%s=%s", value->path, value->value);
            pointers[used] = sets[used];
            used++;
        }
        read_scenario(&second, text, pointers, used);
        if (second.status != STATUS_OK)
            fail_msg("%s: %s", BASES[b], first_problem(&second));
        assert_string_equal(first.sha256, second.sha256);
        assert_int_equal(first.scenario.uncertain_count, second.scenario.uncertain_count);
        free(sets);
        free(pointers);
        resolved_list_free(&first.resolved);
        resolved_list_free(&second.resolved);
    }
}

/* The order of sections, blank lines and comments do not change the hash. */
static void order_does_not_matter(void **state)
{
    (void)state;
    static Reading reading;
    static const char *const SECTIONS[] = {READER_HEAD, READER_TRAINING, READER_RELIABILITY,
                                           READER_PRICES};
    static const char *const NOISE[] = {"", "\n", "# comment\n", "\n# two\n\n", "---\n"};
    char expected[SHA256_HEX_BYTES] = "";
    uint64_t random = SEED;
    for (int round_index = 0; round_index < 50; round_index++) {
        size_t order[] = {0, 1, 2, 3};
        char text[4096] = "";
        for (size_t i = 3; i > 0; i--) {
            size_t j = next_random(&random) % (i + 1);
            size_t kept = order[i];
            order[i] = order[j];
            order[j] = kept;
        }
        for (size_t i = 0; i < 4; i++) {
            strcat(text, NOISE[next_random(&random) % (i == 0 ? 5 : 4)]);
            strcat(text, SECTIONS[order[i]]);
        }
        read_scenario(&reading, text, NULL, 0);
        if (reading.status != STATUS_OK)
            fail_msg("seed %llu: %s in\n%s", (unsigned long long)SEED, first_problem(&reading),
                     text);
        if (expected[0] == '\0')
            memcpy(expected, reading.sha256, sizeof expected);
        assert_string_equal(reading.sha256, expected);
        resolved_list_free(&reading.resolved);
    }
}

/* Damaged files are refused with a place, or read; never anything else. */
static void damage_is_survived(void **state)
{
    (void)state;
    static Reading reading;
    static const char BYTES[] = "{}[]:,#'\"-$%/\n \t0123456789aeinmGkTB\x80\xff";
    uint64_t random = SEED;
    size_t refused = 0;
    for (int i = 0; i < 600; i++) {
        char text[4096] = READER_SCENARIO;
        size_t length = strlen(text);
        size_t changes = 1 + next_random(&random) % 4;
        for (size_t c = 0; c < changes; c++)
            text[next_random(&random) % length] = BYTES[next_random(&random) % (sizeof BYTES - 1)];
        if (i % 5 == 0)
            text[next_random(&random) % length] = '\0'; /* cut short */
        read_scenario(&reading, text, NULL, 0);
        bool ok = reading.status == STATUS_OK;
        assert_true(ok == (reading.errors.total == 0));
        assert_true(ok || reading.status == STATUS_INVALID);
        for (size_t e = 0; e < reading.errors.count; e++)
            if (reading.errors.errors[e].line < 1 || reading.errors.errors[e].message[0] == '\0')
                fail_msg("seed %llu, case %d: no place: %s", (unsigned long long)SEED, i,
                         reading.errors.errors[e].message);
        refused += !ok;
        resolved_list_free(&reading.resolved);
    }
    assert_true(refused > 300); /* most damage is seen; changed digits cannot be */
}

/* Draws lie within the range and the bounds, grow with the uniform, and meet the median at one
 * half. */
static void draws_keep_their_range(void **state)
{
    (void)state;
    static Reading reading;
    static Scenario drawn;
    read_scenario(&reading, "schema: 1\nbase: gpt4-a100\n", NULL, 0);
    assert_int_equal(reading.status, STATUS_OK);
    uint64_t random = SEED;
    for (size_t i = 0; i < reading.scenario.uncertain_count; i++) {
        const UncertainInput *input = &reading.scenario.uncertain[i];
        assert_true(scenario_field(&reading.scenario, input) == uncertain_middle(input));
        for (int n = 0; n < 200; n++) {
            double u = next_uniform(&random);
            double v = u * next_uniform(&random);
            double value = uncertain_draw(input, u);
            if (input->distribution == DRAW_CHOICE)
                continue;
            bool bounded =
                input->distribution == DRAW_UNIFORM || input->distribution == DRAW_LOG_UNIFORM;
            double slack = 1e-12 * fabs(input->high);
            if (value < input->minimum || value > input->maximum ||
                (bounded && (value < input->low - slack || value > input->high + slack)))
                fail_msg("seed %llu: %s drew %g", (unsigned long long)SEED, input->path, value);
            assert_true(uncertain_draw(input, v) <= value);
        }
    }
    scenario_midpoint(&reading.scenario, &drawn);
    for (size_t i = 0; i < reading.scenario.uncertain_count; i++)
        assert_true(scenario_field(&drawn, &reading.scenario.uncertain[i]) ==
                    scenario_field(&reading.scenario, &reading.scenario.uncertain[i]));
    resolved_list_free(&reading.resolved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_come_back),      cmocka_unit_test(shown_values_come_back),
        cmocka_unit_test(order_does_not_matter),  cmocka_unit_test(damage_is_survived),
        cmocka_unit_test(draws_keep_their_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
