/* The fewest GPUs, the lowest price, and price against speed. */
#include "tests/unit/serving_scenario.h"

#include "sim/planning/price_speed.h"
#include "sim/planning/serving_search.h"
#include "tests/unit/shipped.h"

#include <math.h>

/* One request at a time for `answer` ms: M/D/1. */
static Scenario *single_servers(double answer)
{
    Scenario *scenario = malloc(sizeof *scenario);
    assert_non_null(scenario);
    single_server_scenario(scenario);
    ServingSpec *serving = &scenario->serving;
    serving->prompt_tokens = 1;
    serving->output_tokens = answer;
    serving->length_sigma = 0;
    return scenario;
}

static const LoadOptions mean_wait = {
    .requests = 20000, .seed = 3, .slo = {.count = 1, .limits = {{LATENCY_TTFT, LATENCY_MEAN, 0}}}};

/* Replicas in turn see every n-th arrival: Erlang gaps, less wait than Poisson's. So the answer
 * lies between the capacity bound and what Poisson arrivals would need. */
static void the_fewest_gpus_are_found(void **state)
{
    Scenario *scenario = single_servers(100);
    ServingSearch *search = malloc(sizeof *search);
    LoadOptions options = mean_wait;
    Error error = {0};
    (void)state;
    assert_non_null(search);
    options.rate_per_s = 55; /* 5.5 servers */
    options.slo.limits[0].limit_s = 0.02;
    assert_int_equal(search_gpus(scenario, &options, search, &error), STATUS_OK);
    assert_true(search->found && search->best.holds);
    assert_true(search->best.gpus >= 6 && search->best.gpus <= 55 / 2.5);
    /* One replica fewer misses: it was tried, or the capacity forbids it. */
    int proven = search->best.replicas <= 6;
    for (size_t i = 0; i < search->trial_count; i++)
        proven |=
            !search->trials[i].holds && search->trials[i].replicas == search->best.replicas - 1;
    assert_true(proven);

    options.slo.limits[0].limit_s = 0.0005; /* less than one token takes */
    assert_int_equal(search_gpus(scenario, &options, search, &error), STATUS_OK);
    assert_false(search->found);
    assert_true(search->best.worst > 1 && isfinite(search->best.worst));
    free(search);
    free(scenario);
}

static void layouts_are_all_combinations(void **state)
{
    Scenario *scenario = single_servers(10);
    ServingLayout layouts[MAX_SERVING_LAYOUTS];
    (void)state;
    assert_int_equal(serving_layouts(scenario, layouts), 1);
    scenario->uncertain_count = 2;
    scenario->uncertain[0] = (UncertainInput){.path = "serving.tensor",
                                              .distribution = DRAW_CHOICE,
                                              .choice_count = 2,
                                              .choices = {1, 2}};
    scenario->uncertain[1] = (UncertainInput){.path = "serving.pipeline",
                                              .distribution = DRAW_CHOICE,
                                              .choice_count = 3,
                                              .choices = {1, 2, 4}};
    assert_int_equal(serving_layouts(scenario, layouts), 6);
    assert_near(layouts[4].tensor, 2, 0);
    assert_near(layouts[4].pipeline, 2, 0);
    free(scenario);
}

/* At load rho a server of $1 an hour sells rho / S requests a second of 1 + answer tokens; the
 * largest rho that holds a mean wait W: rho S / (2 (1 - rho)) = W. */
static void the_lowest_price_is_that_of_the_largest_load(void **state)
{
    enum { ANSWER = 100 };
    Scenario *scenario = single_servers(ANSWER);
    ServingSearch *search = malloc(sizeof *search);
    LoadOptions options = mean_wait;
    Error error = {0};
    (void)state;
    assert_non_null(search);
    options.slo.limits[0].limit_s = 0.05 + 1e-3;
    assert_int_equal(search_price(scenario, &options, search, &error), STATUS_OK);
    assert_true(search->found);
    const double service_s = ANSWER * 1e-3, load = 2 * 0.05 / (service_s + 2 * 0.05);
    const double tokens_per_s = load / service_s * (1 + ANSWER);
    assert_near(search->best.usd_per_1k_tokens / (1e3 / 3600 / tokens_per_s), 1, 0.08);
    free(search);
    free(scenario);
}

/* Iterations of 1 ms whatever the batch: a reader gets 1,000 tokens/s at any batch, and the price
 * falls with it. */
static void price_falls_with_the_batch(void **state)
{
    Scenario *scenario = single_servers(200);
    PriceSpeed *curve = malloc(sizeof *curve), *again = malloc(sizeof *again);
    Error error = {0};
    (void)state;
    assert_non_null(curve);
    assert_non_null(again);
    scenario->serving.max_batch = 16;
    scenario->prices.wanted_per_1k_usd = 1e-3;
    scenario->serving.reader_slow = 500;
    scenario->serving.reader_fast = 5000;
    scenario->serving.reader_load = 0;
    assert_int_equal(price_speed(scenario, 1, 1, curve, &error), STATUS_INVALID);
    scenario->serving.reader_load = 0.9;
    assert_int_equal(price_speed(scenario, 1, 1, curve, &error), STATUS_OK);
    assert_true(curve->count >= 5);
    for (size_t i = 0; i < curve->count && curve->points[i].pipeline < 2; i++) {
        const PriceSpeedPoint *point = &curve->points[i];
        assert_near(point->tokens_per_s, 1000, 10);
        const double full = 1e3 / 3600 / (point->max_batch * 1000 * 201 / 200.0);
        assert_near(point->usd_per_1k_tokens * 0.9 / full, 1, 0.1);
    }
    assert_true(curve->cheapest_slow < curve->count);
    assert_int_equal(curve->cheapest_fast, curve->count);
    assert_int_equal(price_speed(scenario, 1, 3, again, &error), STATUS_OK);
    assert_memory_equal(curve->points, again->points, curve->count * sizeof *curve->points);
    free(again);
    free(curve);
    free(scenario);
}

/* Whatever the number of threads: all that was tried, in its order, and all that is told of it. */
static void threads_change_nothing(void **state)
{
    Scenario *scenario = single_servers(100);
    ServingSearch *one = malloc(sizeof *one), *more = malloc(sizeof *more);
    LoadForecast *first = malloc(sizeof *first), *other = malloc(sizeof *other);
    Error error = {0};
    (void)state;
    assert_true(one != NULL && more != NULL && first != NULL && other != NULL);
    scenario->uncertain_count = 1;
    scenario->uncertain[0] = (UncertainInput){.path = "serving.pipeline",
                                              .offset = offsetof(Scenario, serving.pipeline),
                                              .distribution = DRAW_CHOICE,
                                              .choice_count = 3,
                                              .choices = {1, 2, 4}};
    scenario->model.layers = 4;
    scenario->serving.max_batch = 8;
    static const size_t THREADS[] = {2, 7};
    for (size_t i = 0; i < 2; i++) {
        LoadOptions options = mean_wait;
        options.requests = 400;
        options.slo.limits[0].limit_s = 0.005;
        options.rate_per_s = 55;
        options.threads = 1;
        memset(one, 0, sizeof *one);
        memset(more, 0, sizeof *more);
        assert_int_equal(search_gpus(scenario, &options, one, &error), STATUS_OK);
        options.threads = THREADS[i];
        assert_int_equal(search_gpus(scenario, &options, more, &error), STATUS_OK);
        assert_true(one->trial_count > 1);
        assert_memory_equal(one, more, sizeof *one);

        options.rate_per_s = 0;
        options.slo.limits[0].limit_s = 0.05;
        options.threads = 1;
        assert_int_equal(search_price(scenario, &options, one, &error), STATUS_OK);
        options.threads = THREADS[i];
        assert_int_equal(search_price(scenario, &options, more, &error), STATUS_OK);
        assert_true(one->trial_count > 3);
        assert_memory_equal(one, more, sizeof *one);

        /* A limit in the middle, one that nothing holds, one that everything holds. */
        static const double LIMITS_S[] = {0.05, 1e-6, 1e6};
        for (size_t k = 0; k < 3; k++) {
            options.find_rate = options.over_time = 1;
            options.slo.limits[0].limit_s = LIMITS_S[k];
            options.threads = 1;
            assert_int_equal(serve_load(scenario, &options, first, &error), STATUS_OK);
            options.threads = THREADS[i];
            assert_int_equal(serve_load(scenario, &options, other, &error), STATUS_OK);
            assert_int_equal(first->tried_count, k == 0 ? 14 : k);
            assert_memory_equal(first, other, sizeof *first);
        }
    }
    free(other);
    free(first);
    free(more);
    free(one);
    free(scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fewest_gpus_are_found),
        cmocka_unit_test(layouts_are_all_combinations),
        cmocka_unit_test(the_lowest_price_is_that_of_the_largest_load),
        cmocka_unit_test(price_falls_with_the_batch),
        cmocka_unit_test(threads_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
