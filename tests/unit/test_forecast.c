/* Forecasts of the shipped scenario: what must hold draw by draw, for any threads, and when nothing
 * fits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "configs/reader/reader.h"
#include "sim/training/forecast.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const unsigned long long SEED = 7;

static Scenario *shipped_scenario(const char *name)
{
    ConfigPaths paths;
    Error error = {0};
    ErrorList *errors = calloc(1, sizeof *errors);
    Scenario *scenario = calloc(1, sizeof *scenario);
    assert_non_null(errors);
    assert_non_null(scenario);
    assert_int_equal(config_paths_find(NULL, &paths, &error), STATUS_OK);
    if (scenario_read(&paths, name, NULL, 0, scenario, NULL, NULL, errors) != STATUS_OK)
        fail_msg("%s", errors->errors[0].message);
    free(errors);
    return scenario;
}

static Status forecast_with(const Scenario *scenario, size_t reps, size_t threads,
                            SimulationDetail detail, TrainForecast **forecast, Error *error)
{
    ForecastOptions options = {.seed = SEED, .reps = reps, .threads = threads, .detail = detail};
    *forecast = calloc(1, sizeof **forecast);
    assert_non_null(*forecast);
    memset(error, 0, sizeof *error);
    return train_forecast(scenario, &options, *forecast, error);
}

static void discard(TrainForecast *forecast)
{
    train_forecast_free(forecast);
    free(forecast);
}

static double value(const TrainForecast *forecast, const char *name, size_t replication)
{
    const Metric *metric = metrics_find(&forecast->metrics, name);
    if (metric == NULL)
        fail_msg("no metric %s", name);
    return metrics_value(metric, replication);
}

static void assert_near(double got, double expected, double relative)
{
    if (!(fabs(got - expected) <= relative * fmax(fabs(expected), 1e-300)))
        fail_msg("%.17g, expected %.17g within %g", got, expected, relative);
}

static double sum_of(const TrainForecast *forecast, const char *prefix, size_t replication)
{
    double sum = 0;
    for (size_t i = 0; i < forecast->metrics.count; i++)
        if (strncmp(forecast->metrics.metrics[i].name, prefix, strlen(prefix)) == 0)
            sum += metrics_value(&forecast->metrics.metrics[i], replication);
    return sum;
}

static void test_every_draw_adds_up(void **state)
{
    (void)state;
    enum { REPS = 60 };
    Error error;
    TrainForecast *forecast;
    Scenario *scenario = shipped_scenario("gpt4-a100");
    assert_int_equal(forecast_with(scenario, REPS, 2, DETAIL_REPLICAS, &forecast, &error),
                     STATUS_OK);

    for (size_t i = 0; i < REPS; i++) {
        double wall_s = value(forecast, "run.wall_s", i), days = value(forecast, "run.days", i);
        assert_near(sum_of(forecast, "step.breakdown_s.", i), value(forecast, "step.seconds", i),
                    1e-12);
        assert_near(days * 86400, wall_s, 1e-12);
        assert_near(value(forecast, "run.goodput", i) * wall_s +
                        3600 * sum_of(forecast, "run.lost_hours.", i),
                    wall_s, 1e-9);
        assert_near(value(forecast, "run.gpu_hours", i), 24960 * days * 24, 1e-12);
        assert_near(sum_of(forecast, "cost.items_usd.", i), value(forecast, "cost.usd", i), 1e-12);
        assert_near(value(forecast, "run.flops_6nd", i),
                    6 * value(forecast, "model.params_active", i) * 13e12, 1e-12);
        /* MFU of the run = MFU of a step times the share of the time that is useful, stragglers
         * apart */
        double slowdown = value(forecast, "input.reliability.slowdown", i);
        assert_near(value(forecast, "run.mfu_effective", i),
                    value(forecast, "step.mfu", i) * (1 - slowdown) *
                        value(forecast, "run.goodput", i),
                    1e-5);
        assert_true(value(forecast, "step.hfu", i) > value(forecast, "step.mfu", i));
        assert_true(value(forecast, "step.breakdown_s.jitter", i) > 0);
    }
    for (size_t i = 0; i < forecast->metrics.count; i++)
        for (size_t j = 0; j < forecast->metrics.metrics[i].count; j++)
            assert_true(isfinite(forecast->metrics.metrics[i].values[j]));
    assert_near(value(forecast, "step.bubble_closed_form", 0), 14.0 / (35 + 14), 1e-12);
    assert_int_equal(forecast->step.span_count, 2 * 15 * 35);
    assert_true(forecast->memory.fits);
    discard(forecast);
    free(scenario);
}

/* Draw by draw the simulated goodput scatters about the closed form of the same inputs. */
static void test_goodput_against_closed_form(void **state)
{
    (void)state;
    enum { REPS = 300 };
    Error error;
    TrainForecast *forecast;
    Scenario *scenario = shipped_scenario("gpt4-a100");
    assert_int_equal(forecast_with(scenario, REPS, 2, DETAIL_FOLDED, &forecast, &error), STATUS_OK);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < REPS; i++) {
        double ratio =
            value(forecast, "run.ettr_closed_form", i) / value(forecast, "run.goodput", i);
        sum += ratio;
        squares += ratio * ratio;
        assert_near(value(forecast, "step.breakdown_s.jitter", i), 0, 0);
    }
    double mean = sum / REPS, error_of_mean = sqrt((squares / REPS - mean * mean) / (REPS - 1));
    printf("closed form over simulated: %.6f +- %.6f\n", mean, error_of_mean);
    assert_true(fabs(mean - 1) < 4 * error_of_mean);
    discard(forecast);
    free(scenario);
}

static void assert_same_metrics(const TrainForecast *a, const TrainForecast *b)
{
    assert_int_equal(a->metrics.count, b->metrics.count);
    for (size_t i = 0; i < a->metrics.count; i++) {
        const Metric *x = &a->metrics.metrics[i], *y = &b->metrics.metrics[i];
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->count, y->count);
        assert_memory_equal(x->values, y->values, x->count * sizeof *x->values);
    }
}

static void test_threads_do_not_matter(void **state)
{
    (void)state;
    Error error;
    TrainForecast *one, *three;
    Scenario *scenario = shipped_scenario("gpt4-a100");
    assert_int_equal(forecast_with(scenario, 25, 1, DETAIL_REPLICAS, &one, &error), STATUS_OK);
    assert_int_equal(forecast_with(scenario, 25, 3, DETAIL_REPLICAS, &three, &error), STATUS_OK);
    assert_same_metrics(one, three);
    discard(one);
    discard(three);
    free(scenario);
}

/* The first draws of a longer forecast are those of a shorter one; a price moves no other input and
 * no day. */
static void test_common_random_numbers(void **state)
{
    (void)state;
    Error error;
    TrainForecast *short_one, *long_one, *dearer;
    Scenario *scenario = shipped_scenario("gpt4-a100");
    assert_int_equal(forecast_with(scenario, 5, 1, DETAIL_FOLDED, &short_one, &error), STATUS_OK);
    assert_int_equal(forecast_with(scenario, 12, 2, DETAIL_FOLDED, &long_one, &error), STATUS_OK);
    scenario->prices.gpu_hour_usd *= 3;
    assert_int_equal(forecast_with(scenario, 5, 1, DETAIL_FOLDED, &dearer, &error), STATUS_OK);
    for (size_t i = 0; i < 5; i++) {
        assert_near(value(long_one, "run.wall_s", i), value(short_one, "run.wall_s", i), 0);
        assert_near(value(dearer, "run.wall_s", i), value(short_one, "run.wall_s", i), 0);
        assert_near(value(dearer, "cost.items_usd.gpus", i),
                    3 * value(short_one, "cost.items_usd.gpus", i), 1e-12);
    }
    discard(short_one);
    discard(long_one);
    discard(dearer);
    free(scenario);
}

/* Without recomputation 15 microbatches of activations are far over 80 GB: only `full` is left. */
static void test_choices_that_do_not_fit(void **state)
{
    (void)state;
    Error error;
    TrainForecast *forecast;
    Scenario *scenario = shipped_scenario("gpt4-a100");
    assert_int_equal(forecast_with(scenario, 20, 2, DETAIL_FOLDED, &forecast, &error), STATUS_OK);
    assert_true(forecast->dropped_choices >= 1);
    assert_non_null(strstr(forecast->dropped_note, "training.parallel.recompute: none needs "));
    assert_non_null(strstr(forecast->dropped_note, " GB on stage "));
    for (size_t i = 0; i < 20; i++)
        assert_near(value(forecast, "input.training.parallel.recompute", i), RECOMPUTE_FULL, 0);
    discard(forecast);
    free(scenario);
}

static void test_plan_that_does_not_fit(void **state)
{
    (void)state;
    Error error;
    TrainForecast *forecast;
    Scenario *scenario = shipped_scenario("gpt4-a100");
    scenario->hardware.gpu.memory_bytes = 40e9;
    assert_int_equal(forecast_with(scenario, 5, 1, DETAIL_FOLDED, &forecast, &error), STATUS_NO);
    assert_non_null(strstr(error.message, "GB"));
    assert_non_null(metrics_find(&forecast->metrics, "model.params_total"));
    assert_near(value(forecast, "memory.fits", 0), 0, 0);
    assert_true(value(forecast, "memory.total_bytes", 0) > 40e9);
    assert_null(metrics_find(&forecast->metrics, "run.days"));
    discard(forecast);
    free(scenario);
}

static int interrupt_after_four(void *context, size_t done, size_t total)
{
    size_t *seen = context;
    *seen = done;
    return total > 4 && done >= 4;
}

static void test_interruption(void **state)
{
    (void)state;
    Error error = {0};
    size_t seen = 0;
    Scenario *scenario = shipped_scenario("gpt4-a100");
    TrainForecast *forecast = calloc(1, sizeof *forecast);
    assert_non_null(forecast);
    ForecastOptions options = {.seed = SEED,
                               .reps = 1000,
                               .threads = 1,
                               .detail = DETAIL_FOLDED,
                               .progress = interrupt_after_four,
                               .progress_context = &seen};
    assert_int_equal(train_forecast(scenario, &options, forecast, &error), STATUS_INTERRUPTED);
    assert_int_equal(seen, 4);
    discard(forecast);
    free(scenario);
}

/* A job that cannot fail: the step time times the steps, and the saves. */
static void test_no_failures(void **state)
{
    (void)state;
    Error error;
    TrainForecast *forecast;
    Scenario *scenario = shipped_scenario("gpt4-a100");
    scenario->reliability.class_count = 0;
    scenario->reliability.interval_rule = INTERVAL_OPTIMAL;
    size_t kept = 0;
    for (size_t i = 0; i < scenario->uncertain_count; i++)
        if (strncmp(scenario->uncertain[i].path, "reliability.", 12) != 0)
            scenario->uncertain[kept++] = scenario->uncertain[i];
    scenario->uncertain_count = kept;
    scenario->reliability.slowdown = 0;
    assert_int_equal(forecast_with(scenario, 6, 2, DETAIL_FOLDED, &forecast, &error), STATUS_OK);
    for (size_t i = 0; i < 6; i++) {
        assert_near(value(forecast, "run.wall_s", i),
                    value(forecast, "step.seconds", i) * value(forecast, "run.steps", i), 1e-12);
        assert_near(value(forecast, "run.goodput", i), 1, 1e-12);
        assert_near(value(forecast, "run.failures", i), 0, 0);
    }
    assert_null(metrics_find(&forecast->metrics, "run.mtbf_hours"));
    discard(forecast);
    free(scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_draw_adds_up),
        cmocka_unit_test(test_goodput_against_closed_form),
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_common_random_numbers),
        cmocka_unit_test(test_choices_that_do_not_fit),
        cmocka_unit_test(test_plan_that_does_not_fit),
        cmocka_unit_test(test_interruption),
        cmocka_unit_test(test_no_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
