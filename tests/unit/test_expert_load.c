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
    scenario.model.d_model = scenario.model.d_ff = 1024;
    scenario.model.heads = scenario.model.kv_heads = 8;
    scenario.model.head_dim = 128;
    scenario.training.sequence_length = 4096;
    scenario.training.expert_load = (ExpertLoadSpec){
        .model = sigma > 0 ? EXPERT_LOAD_LOGNORMAL : EXPERT_LOAD_BALANCED, .sigma = sigma};
    scenario.training.parallel = (ParallelSpec){
        .tensor = 1, .pipeline = 1, .data = ranks, .expert = ranks, .micro_batch = 1};
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
    assert_int_equal(load.samples, MAX_LOAD_SAMPLES);
    double most = 0, most_of_ranks = 0;
    for (size_t draw = 0; draw < load.draws; draw++)
        for (size_t sample = 0; sample < load.samples; sample++) {
            const double *share = expert_load_share(&load, draw, sample);
            const double weight = 1.0 / (double)(load.draws * load.samples);
            double sum = 0;
            for (size_t i = 0; i < load.experts; i++) {
                assert_true(share[i] >= 0 && share[i] <= 1.0 / 8 * (1 + 1e-12));
                sum += share[i];
            }
            assert_true(fabs(sum - 1) < 1e-12);
            assert_true(expert_load_worst(&load, draw, sample) > 1);
            most += weight * expert_load_most(share, load.experts, load.experts);
            most_of_ranks += weight * expert_load_worst(&load, draw, sample);
        }
    assert_true(fabs(load.max_over_mean / most - 1) < 1e-12);
    assert_true(fabs(load.rank_max_over_mean / most_of_ranks - 1) < 1e-12);
    assert_true(fabs(load.dropped) <= 0);
    expert_load_free(&load);
}

static void test_balanced(void **state)
{
    (void)state;
    const Scenario scenario = scenario_of(64, 8, 16, 0);
    ExpertLoad load = load_of(&scenario);
    assert_int_equal(load.draws, 1);
    assert_true(fabs(expert_load_worst(&load, 0, 0) - 1) < 1e-12);
    expert_load_free(&load);
}

/* Black and Scholes' formula: for X lognormal with mean 1, E max(0, X - c) = Phi(d) - c Phi(d - s)
 * with d = (s^2 / 2 - ln c) / s. */
static void test_capacity_drops(void **state)
{
    (void)state;
    const double sigma = 0.8;
    for (double factor = 0.75; factor <= 2; factor += 0.25) {
        Scenario scenario = scenario_of(4096, 1, 8, sigma);
        scenario.training.sequence_length = 1 << 22; /* rows enough that chance adds little */
        scenario.training.capacity_factor = factor;
        ExpertLoad load = load_of(&scenario);
        const double d = (sigma * sigma / 2 - log(factor)) / sigma;
        const double expected = gsl_cdf_ugaussian_P(d) - factor * gsl_cdf_ugaussian_P(d - sigma);
        print_message("  factor %.2f: %.4f dropped, expected %.4f\n", factor, load.dropped,
                      expected);
        assert_true(fabs(load.dropped - expected) < 0.01);
        assert_int_equal(load.draws, 1);
        assert_true(fabs(expert_load_worst(&load, 0, 0) - 1) < 1e-12);
        expert_load_free(&load);
    }
}

/* A layer keeps its popularity: its microbatches differ by chance alone, by more with drift. */
static void test_microbatches_of_a_layer(void **state)
{
    (void)state;
    double spread[2] = {0};
    for (int drifts = 0; drifts < 2; drifts++) {
        Scenario scenario = scenario_of(32, 4, 8, 0.5);
        scenario.training.expert_load.drift = drifts != 0 ? 0.3 : 0;
        ExpertLoad load = load_of(&scenario);
        for (size_t draw = 0; draw < load.draws; draw++)
            for (size_t i = 0; i < load.experts; i++) {
                const double first = expert_load_share(&load, draw, 0)[i];
                spread[drifts] += fabs(expert_load_share(&load, draw, 1)[i] / first - 1) /
                                  (double)(load.draws * load.experts);
            }
        expert_load_free(&load);
    }
    /* 32,768 tokens, 4,096 rows of a mean expert: sqrt(2 / 4096) * sqrt(2 / pi) = 1.8% apart, more
     * for small experts; drift of 0.3: sqrt(2) * 0.3 * sqrt(2 / pi) = 34% of logarithm */
    print_message("  apart: %.4f by chance, %.4f with drift\n", spread[0], spread[1]);
    assert_true(spread[0] > 0.01 && spread[0] < 0.03);
    assert_true(spread[1] > 0.2 && spread[1] < 0.45);
}

/* Equal popularity: the busiest of 8 ranks of 2 experts, 16 experts, top 2, 32 tokens each of 8
 * sources, simulated apart: 1.175 (configs/measurements/expert_loads.csv's table, 256 tokens). */
static void test_uniform_is_chance(void **state)
{
    (void)state;
    Scenario scenario = scenario_of(16, 2, 8, 0);
    scenario.training.expert_load.model = EXPERT_LOAD_UNIFORM;
    scenario.training.sequence_length = 32;
    double mean = 0;
    for (unsigned long long replication = 0; replication < 200; replication++) {
        ExpertLoad load;
        assert_int_equal(expert_load_draw(&scenario, 3, replication, &load, NULL), STATUS_OK);
        mean += load.rank_max_over_mean / 200;
        expert_load_free(&load);
    }
    assert_true(fabs(mean - 1.175) < 0.005);
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
        cmocka_unit_test(test_shares_sum_to_one), cmocka_unit_test(test_balanced),
        cmocka_unit_test(test_capacity_drops),    cmocka_unit_test(test_microbatches_of_a_layer),
        cmocka_unit_test(test_uniform_is_chance), cmocka_unit_test(test_draws_follow_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
