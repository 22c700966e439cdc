#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "configs/reader/sample.h"

#include <math.h>

static UncertainInput input(Distribution distribution, double low, double high)
{
    return (UncertainInput){.path = "training.tokens",
                            .offset = offsetof(Scenario, training.tokens),
                            .distribution = distribution,
                            .low = low,
                            .high = high,
                            .minimum = -1e18,
                            .maximum = 1e18};
}

static void near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-9 * fabs(expected)))
        fail_msg("%.12g is not %.12g", value, expected);
}

/* Quantiles that follow from the definitions: p5 and p95 come back, the median is the mean of the
 * ends (on the log scale their geometric mean), and a normal's p84.134 lies one sigma = (p95 - p5)
 * / 3.28971 above the mean. */
static void quantiles(void **state)
{
    (void)state;
    UncertainInput uniform = input(DRAW_UNIFORM, 10, 30);
    near(uncertain_draw(&uniform, 0.25), 15);
    near(uncertain_middle(&uniform), 20);
    UncertainInput log_uniform = input(DRAW_LOG_UNIFORM, 1, 10000);
    near(uncertain_draw(&log_uniform, 0.25), 10);
    near(uncertain_middle(&log_uniform), 100);
    UncertainInput normal = input(DRAW_NORMAL, 90, 100);
    near(uncertain_draw(&normal, 0.05), 90);
    near(uncertain_draw(&normal, 0.95), 100);
    near(uncertain_middle(&normal), 95);
    near(uncertain_draw(&normal, 0.8413447460685429), 95 + 10 / (2 * 1.6448536269514722));
    UncertainInput lognormal = input(DRAW_LOGNORMAL, 4, 25);
    near(uncertain_draw(&lognormal, 0.05), 4);
    near(uncertain_draw(&lognormal, 0.95), 25);
    near(uncertain_middle(&lognormal), 10);
}

static void choices(void **state)
{
    (void)state;
    UncertainInput choice = input(DRAW_CHOICE, 0, 0);
    choice.choice_count = 3;
    choice.choices[0] = 2;
    choice.choices[1] = 0;
    choice.choices[2] = 7;
    near(uncertain_draw(&choice, 0.3), 2);
    assert_true(uncertain_draw(&choice, 0.34) == 0);
    near(uncertain_draw(&choice, 0.67), 7);
    near(uncertain_draw(&choice, 1.0), 7);
    near(uncertain_middle(&choice), 2); /* the first, not the middle one */
}

static void clipped_and_whole(void **state)
{
    (void)state;
    UncertainInput normal = input(DRAW_NORMAL, 90, 100);
    normal.minimum = 92;
    normal.maximum = 96;
    near(uncertain_draw(&normal, 1e-6), 92);
    near(uncertain_draw(&normal, 1 - 1e-6), 96);
    assert_true(isfinite(uncertain_draw(&normal, 0)));
    assert_true(isfinite(uncertain_draw(&normal, 1)));
    UncertainInput layers = input(DRAW_UNIFORM, 10, 20);
    layers.is_whole = 1;
    near(uncertain_draw(&layers, 0.26), 13); /* 12.6 */
}

static void whole_scenarios(void **state)
{
    (void)state;
    Scenario scenario = {.uncertain_count = 2};
    Scenario drawn;
    scenario.uncertain[0] = input(DRAW_UNIFORM, 0, 100);
    scenario.uncertain[1] =
        (UncertainInput){.offset = offsetof(Scenario, training.parallel.recompute),
                         .is_integer_enum = 1,
                         .distribution = DRAW_CHOICE,
                         .choice_count = 2,
                         .choices = {RECOMPUTE_FULL, RECOMPUTE_NONE}};
    scenario.training.batch_tokens = 42;
    const double uniforms[] = {0.75, 0.9};
    scenario_sample(&scenario, uniforms, &drawn);
    near(drawn.training.tokens, 75);
    assert_int_equal(drawn.training.parallel.recompute, RECOMPUTE_NONE);
    near(drawn.training.batch_tokens, 42);
    assert_int_equal(drawn.uncertain_count, 0);
    assert_int_equal(scenario.uncertain_count, 2);
    near(scenario_field(&drawn, &scenario.uncertain[0]), 75);
    scenario_midpoint(&scenario, &drawn);
    near(drawn.training.tokens, 50);
    assert_int_equal(drawn.training.parallel.recompute, RECOMPUTE_FULL);
    scenario_midpoint(&scenario, &scenario); /* in place */
    near(scenario.training.tokens, 50);
    assert_int_equal(scenario.uncertain_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles),
        cmocka_unit_test(choices),
        cmocka_unit_test(clipped_and_whole),
        cmocka_unit_test(whole_scenarios),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
