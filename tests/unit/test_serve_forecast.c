/* Forecasts of serving at full load: draws of the uncertain inputs and their metrics. */
#include "sim/serving/serve_forecast.h"
#include "tests/unit/serving_scenario.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_near(double value, double expected, double relative)
{
    if (!(fabs(value - expected) <= relative * fabs(expected)))
        fail_msg("%.17g is not within %g of %.17g", value, relative, expected);
}

static const Metric *metric(const ServeForecast *forecast, const char *name)
{
    const Metric *found = metrics_find(&forecast->metrics, name);
    if (!found)
        fail_msg("no metric %s", name);
    return found;
}

static void add_uncertain_price_and_precision(Scenario *scenario)
{
    scenario->uncertain_count = 2;
    scenario->uncertain[0] = (UncertainInput){.path = "prices.gpu_hour",
                                              .offset = offsetof(Scenario, prices.gpu_hour_usd),
                                              .distribution = DRAW_UNIFORM,
                                              .low = 1,
                                              .high = 3,
                                              .minimum = 0,
                                              .maximum = 100};
    scenario->uncertain[1] = (UncertainInput){.path = "serving.kv_sharding",
                                              .offset = offsetof(Scenario, serving.kv_sharding),
                                              .is_integer_enum = 1,
                                              .distribution = DRAW_CHOICE,
                                              .maximum = 1,
                                              .choice_count = 2,
                                              .choices = {KV_REPLICATED, KV_BY_BATCH}};
}

static void test_forecast(void **state)
{
    (void)state;
    static const char *const names[] = {
        "feasible",
        "throughput.input_tokens_per_s",
        "throughput.output_tokens_per_s",
        "throughput.requests_per_s",
        "latency.ttft_s.p50",
        "latency.tpot_s.p90",
        "latency.e2e_s.p99",
        "utilisation.mfu",
        "utilisation.mbu",
        "kv.bytes_per_token",
        "kv.bytes_per_token_mha",
        "kv.capacity_tokens",
        "kv.max_sequences",
        "kv.max_sequences_mean",
        "memory.weights_bytes_per_gpu",
        "memory.capacity_bytes",
        "memory.total_bytes",
        "memory.fits",
        "model.params_total",
        "model.params_active",
        "model.params_per_node",
        "model.params_per_expert",
        "model.params_attention",
        "model.layers",
        "model.experts",
        "batch.sequences",
        "batch.per_stage",
        "batch.tokens_per_expert",
        "batch.experts_touched",
        "stage.total_s",
        "cost.usd_per_1k_tokens",
        "cost.usd_per_1k_output_tokens",
        "cost.usd_per_1k_decode_only",
        "cost.usd_per_1m_input",
        "cost.usd_per_1m_output",
        "cost.floor_usd_per_1k_at_peak",
        "cost.usd_per_hour",
        "cost.usd_per_gpu_hour",
        "capacity.tokens_per_s_per_user",
        "plan.gpus",
        "hardware.memory_bytes_per_s",
        "input.prices.gpu_hour",
        "input.serving.kv_sharding",
    };
    Scenario scenario;
    ServeForecast one, three;
    Error error;
    ForecastOptions options = {.seed = 3, .reps = 12, .threads = 1};

    serving_scenario(&scenario);
    add_uncertain_price_and_precision(&scenario);
    assert_int_equal(serve_forecast(&scenario, &options, &one, &error), STATUS_OK);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        metric(&one, names[i]);
    assert_int_equal(metric(&one, "cost.usd_per_1k_tokens")->count, 12);
    assert_int_equal(metric(&one, "kv.bytes_per_token")->count, 1);
    assert_true(metrics_value(metric(&one, "plan.gpus"), 0) == 128);
    assert_true(metrics_value(metric(&one, "batch.tokens_per_expert_global"), 0) == 512);
    for (size_t i = 0; i < 12; i++) {
        const double price = metrics_value(metric(&one, "input.prices.gpu_hour"), i);
        assert_true(price >= 1 && price <= 3);
        assert_near(metrics_value(metric(&one, "cost.usd_per_hour"), i), 128 * price, 1e-12);
    }

    /* The same bytes on any number of threads. */
    options.threads = 3;
    assert_int_equal(serve_forecast(&scenario, &options, &three, &error), STATUS_OK);
    assert_int_equal(one.metrics.count, three.metrics.count);
    for (size_t i = 0; i < one.metrics.count; i++) {
        const Metric *a = &one.metrics.metrics[i], *b = &three.metrics.metrics[i];
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->count, b->count);
        assert_memory_equal(a->values, b->values, a->count * sizeof a->values[0]);
    }
    serve_forecast_free(&one);
    serve_forecast_free(&three);
}

static void test_forecast_of_what_does_not_fit(void **state)
{
    (void)state;
    Scenario scenario;
    ServeForecast forecast;
    Error error;
    const ForecastOptions options = {.seed = 3, .reps = 4, .threads = 1};

    serving_scenario(&scenario);
    scenario.serving.pipeline = 4;
    assert_int_equal(serve_forecast(&scenario, &options, &forecast, &error), STATUS_OK);
    assert_true(metrics_value(metric(&forecast, "feasible"), 0) == 0);
    assert_true(metrics_value(metric(&forecast, "memory.fits"), 0) == 0);
    assert_true(metrics_value(metric(&forecast, "kv.max_sequences"), 0) == 0);
    assert_true(metrics_value(metric(&forecast, "memory.total_bytes"), 0) >
                metrics_value(metric(&forecast, "memory.capacity_bytes"), 0));
    assert_null(metrics_find(&forecast.metrics, "cost.usd_per_1k_tokens"));
    assert_true(strlen(forecast.memory.reason) > 0);
    serve_forecast_free(&forecast);
}

/* Half of the draws do not fit: they are drawn again, and the share is told. */
static void test_forecast_draws_again(void **state)
{
    (void)state;
    Scenario scenario;
    ServeForecast forecast;
    Error error;
    const ForecastOptions options = {.seed = 3, .reps = 20, .threads = 2};

    serving_scenario(&scenario);
    scenario.serving.pipeline = 6;
    scenario.serving.weight_precision = PRECISION_FP8;
    scenario.uncertain_count = 1;
    scenario.uncertain[0] = (UncertainInput){.path = "serving.weight_precision",
                                             .offset = offsetof(Scenario, serving.weight_precision),
                                             .is_integer_enum = 1,
                                             .distribution = DRAW_CHOICE,
                                             .maximum = 3,
                                             .choice_count = 2,
                                             .choices = {PRECISION_FP8, PRECISION_BF16}};
    assert_int_equal(serve_forecast(&scenario, &options, &forecast, &error), STATUS_OK);
    const double share = metrics_value(metric(&forecast, "feasible_share"), 0);
    assert_true(share > 0.1 && share < 0.9);
    for (size_t i = 0; i < 20; i++)
        assert_true(metrics_value(metric(&forecast, "input.serving.weight_precision"), i) ==
                    PRECISION_FP8);
    serve_forecast_free(&forecast);
}

static int stop_at_once(void *context, size_t done, size_t total)
{
    (void)context;
    (void)done;
    (void)total;
    return 1;
}

static void test_forecast_can_be_interrupted(void **state)
{
    (void)state;
    Scenario scenario;
    ServeForecast forecast;
    Error error;
    const ForecastOptions options = {.seed = 3, .reps = 50, .threads = 1, .progress = stop_at_once};

    serving_scenario(&scenario);
    assert_int_equal(serve_forecast(&scenario, &options, &forecast, &error), STATUS_INTERRUPTED);
    assert_int_equal(forecast.metrics.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forecast),
        cmocka_unit_test(test_forecast_of_what_does_not_fit),
        cmocka_unit_test(test_forecast_draws_again),
        cmocka_unit_test(test_forecast_can_be_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
