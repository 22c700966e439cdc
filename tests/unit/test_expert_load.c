/* Loads of experts: shares, ranks, and what a capacity factor drops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/training/expert_load.h"

#include <gsl/gsl_cdf.h>
#include <math.h>

static Scenario scenario_of(double experts, double top, double ranks, double sigma)
{
    Scenario scenario = {.kind = SCENARIO_TRAINING};
    scenario.model.layers = 16;
    scenario.model.experts = experts;
    scenario.model.experts_per_token = top;
    scenario.training.expert_load_sigma = sigma;
    scenario.training.parallel.expert = ranks;
    return scenario;
}

static ExpertLoad load_of(const Scenario *scenario)
{
    ExpertLoad load;
    Error error = {0};
    if (expert_load_draw(scenario, 7, 0, &load, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    return load;
}

static void test_shares_sum_to_one(void **state)
{
    (void)state;
    const Scenario scenario = scenario_of(64, 8, 16, 1.05);
    ExpertLoad load = load_of(&scenario);
    assert_int_equal(load.draws, MAX_LOAD_DRAWS);
    for (size_t draw = 0; draw < load.draws; draw++) {
        double sum = 0;
        for (size_t i = 0; i < load.experts; i++) {
            const double share = expert_load_share(&load, draw)[i];
            assert_true(share > 0 && share <= 1.0 / 8 * (1 + 1e-12));
            sum += share;
        }
        assert_true(fabs(sum - 1) < 1e-12);
        assert_true(expert_load_worst(&load, draw) > 1);
    }
    assert_true(fabs(load.dropped) <= 0);
    expert_load_free(&load);
}

static void test_balanced(void **state)
{
    (void)state;
    const Scenario scenario = scenario_of(64, 8, 16, 0);
    ExpertLoad load = load_of(&scenario);
    assert_int_equal(load.draws, 1);
    assert_true(fabs(expert_load_worst(&load, 0) - 1) < 1e-12);
    expert_load_free(&load);
}

/* Black and Scholes' formula: for X lognormal with mean 1, E max(0, X - c) = Phi(d) - c Phi(d - s)
 * with d = (s^2 / 2 - ln c) / s. */
static void test_capacity_drops(void **state)
{
    (void)state;
    const double sigma = 0.8;
    for (double factor = 0.75; factor <= 2; factor += 0.25) {
        Scenario scenario = scenario_of(8192, 1, 8, sigma);
        scenario.training.capacity_factor = factor;
        ExpertLoad load = load_of(&scenario);
        const double d = (sigma * sigma / 2 - log(factor)) / sigma;
        const double expected = gsl_cdf_ugaussian_P(d) - factor * gsl_cdf_ugaussian_P(d - sigma);
        print_message("  factor %.2f: %.4f dropped, expected %.4f\n", factor, load.dropped,
                      expected);
        assert_true(fabs(load.dropped - expected) < 0.01);
        assert_int_equal(load.draws, 1);
        assert_true(fabs(expert_load_worst(&load, 0) - 1) < 1e-12);
        expert_load_free(&load);
    }
}

/* Only layers that have experts are drawn. */
static void test_draws_follow_layers(void **state)
{
    (void)state;
    Scenario scenario = scenario_of(8, 2, 8, 0.5);
    scenario.model.dense_layers = 3;
    scenario.model.moe_every = 2;
    ExpertLoad load = load_of(&scenario);
    assert_int_equal(load.draws, 6);
    expert_load_free(&load);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares_sum_to_one),
        cmocka_unit_test(test_balanced),
        cmocka_unit_test(test_capacity_drops),
        cmocka_unit_test(test_draws_follow_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
