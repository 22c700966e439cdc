/* Serving: memory, stage time and the simulation against values worked out by hand. */
#include "models/architecture.h"
#include "sim/serving/stage_cost.h"
#include "sim/serving/steady_state.h"
#include "tests/unit/serving_scenario.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_near(double value, double expected, double relative)
{
    if (!(fabs(value - expected) <= relative * fabs(expected)))
        fail_msg("%.17g is not within %g of %.17g", value, relative, expected);
}

static Status simulate(const Scenario *scenario, ServeOutcome *outcome, Error *error)
{
    Engine *engine = engine_create(64, error);
    assert_non_null(engine);
    const Status status = serve_simulate(engine, scenario, 7, 0, outcome, error);
    engine_destroy(engine);
    return status;
}

/* Stage times that do not depend on contexts and stages that are all equal: eight layers on each of
 * 15 stages; no head to speak of; KV read in no time. */
static void make_uniform(Scenario *scenario)
{
    serving_scenario(scenario);
    scenario->serving.pipeline = 15;
    scenario->model.vocab_size = 8;
    scenario->hardware.gpu.decode_memory_efficiency = 1e30;
    scenario->serving.length_sigma = 0;
    scenario->serving.prefill_chunk_tokens = 0;
    scenario->serving.max_batch = 15 * 64;
}

static void test_kv_bytes_of_multi_query_attention(void **state)
{
    (void)state;
    Scenario scenario;
    ServeMemory memory;

    serving_scenario(&scenario);
    serve_memory(&scenario, &memory);
    /* keys and values, 120 layers, one head of 128, 2 bytes */
    assert_true(memory.kv_bytes_per_token == 2.0 * 120 * 128 * 2);
    assert_true(memory.kv_bytes_per_token == 61440);
    assert_true(memory.kv_bytes_per_token_mha == 61440.0 * 168);
    /* 120 layers on 16 stages: 8 on the most loaded, a whole copy on each rank */
    assert_true(memory.kv_bytes_per_token_gpu == 2.0 * 8 * 128 * 2);

    scenario.serving.kv_sharding = KV_BY_BATCH;
    serve_memory(&scenario, &memory);
    assert_true(memory.kv_bytes_per_token_gpu == 2.0 * 8 * 128 * 2 / 8);
}

static void test_kv_of_a_large_multi_head_model(void **state)
{
    (void)state;
    Scenario scenario;
    ServeMemory memory;

    /* Pope et al. 2022: a 540B model with multi-head attention, batch 512, context 2048: 3 TB. */
    serving_scenario(&scenario);
    scenario.model.layers = 118;
    scenario.model.heads = scenario.model.kv_heads = 48;
    scenario.model.head_dim = 128;
    serve_memory(&scenario, &memory);
    assert_near(memory.kv_bytes_per_token * 512 * 2048, 3e12, 0.02);
}

static void test_weights_and_capacity_by_hand(void **state)
{
    (void)state;
    Scenario scenario;
    ServeMemory memory;

    serving_scenario(&scenario);
    serve_memory(&scenario, &memory);

    /* A layer on one of 8 ranks: Q and output projections 2 d h and 16 experts of 2 d d_ff, cut by
     * 8; the K and V projections of the one head 2 d 128, the router 16 d and two norms, whole. 8
     * layers, 2 bytes. */
    const double d = 10752, q = 168 * 128, ff = 43008;
    const double layer = (2 * d * q + 16 * 2 * d * ff) / 8 + 2 * d * 128 + 16 * d + 2 * d;
    assert_near(memory.weights_bytes, 2 * 8 * layer, 1e-12);

    const double left = 80e9 * 0.95 - 4e9 - memory.weights_bytes;
    assert_true(memory.kv_capacity_tokens == floor(left / 4096));
    assert_true(memory.max_sequences == floor(memory.kv_capacity_tokens / 8192));
    assert_true(memory.max_sequences_mean == floor(memory.kv_capacity_tokens / (1155 + 211)));
    assert_true(memory.fits);
    assert_string_equal(memory.reason, "");
    assert_true(memory.max_sequences < 4096);
    assert_non_null(strstr(memory.limit, "sequences of 8192 tokens"));
}

static void test_long_context_in_40_gb(void **state)
{
    (void)state;
    Scenario scenario;
    ServeMemory memory;
    ServeOutcome outcome;
    Error error;

    serving_scenario(&scenario);
    scenario.hardware.gpu.memory_bytes = 40e9;
    scenario.serving.context_limit = 32768;
    serve_memory(&scenario, &memory);
    assert_true(memory.fits);
    /* 38 GB usable - 4 reserved - 30.57 of weights leave 3.43 GB: 25 x 32768 x 4096 bytes, not two
     * sequences for each stage */
    assert_true(memory.max_sequences == 25);
    assert_non_null(strstr(memory.limit, "max_batch is 4096"));

    /* With keys and values for each query head not one such sequence fits, and the reason says by
     * how much: 21 heads on a rank, 8 layers: 86,016 bytes a token, 2.82 GB a sequence. */
    scenario.model.kv_heads = 168;
    serve_memory(&scenario, &memory);
    assert_false(memory.fits);
    assert_non_null(strstr(memory.reason, "2.82 GB"));
    assert_int_equal(simulate(&scenario, &outcome, &error), STATUS_NO);
    assert_string_equal(error.message, memory.reason);
}

static void test_weights_that_do_not_fit(void **state)
{
    (void)state;
    Scenario scenario;
    ServeMemory memory;

    serving_scenario(&scenario);
    scenario.serving.pipeline = 4;
    serve_memory(&scenario, &memory);
    assert_false(memory.fits);
    assert_true(memory.kv_capacity_tokens == 0);
    assert_non_null(strstr(memory.reason, "weights need"));
    /* 120 layers at fp8 are 57 GB a GPU on 4 stages: that is the change that helps. */
    assert_non_null(strstr(memory.reason, "fp8 weights and KV would fit"));
}

static void test_stage_parts_and_weight_reads(void **state)
{
    (void)state;
    Scenario scenario;
    const double d = 10752, q = 168 * 128, ff = 43008;
    const double dense = (q / 8 + 2 * 128) * d + d * q / 8 + 16 * d;

    serving_scenario(&scenario);
    /* One token uses 2 of 16 experts, many tokens use all. */
    const ServeStageTime one = serve_stage_time(&scenario, 8, 1, 1000, 0, 0);
    const ServeStageTime many = serve_stage_time(&scenario, 8, 256, 1000, 0, 0);
    const double rate = 2.039e12 * 0.7;
    assert_near(one.weights_s, 8 * 2 * (dense + 2 * 2 * d * ff / 8) / rate, 1e-9);
    assert_near(many.weights_s, 8 * 2 * (dense + 16 * 2 * d * ff / 8) / rate, 1e-6);
    assert_near(many.overhead_s, 8 * 50e-6 + 1e-3, 1e-12);

    const ServeStageTime mixed = serve_stage_time(&scenario, 8, 256, 1000, 700, 350);
    assert_near(mixed.total_s,
                mixed.weights_s + mixed.kv_s + mixed.compute_s + mixed.collective_s +
                    mixed.overhead_s,
                1e-12);
    assert_true(mixed.compute_s > many.compute_s && mixed.collective_s > many.collective_s);
    assert_true(mixed.kv_s == many.kv_s);

    /* Twice the layers: twice everything but the step and the send. */
    const ServeStageTime twice = serve_stage_time(&scenario, 16, 256, 1000, 0, 0);
    assert_near(twice.weights_s, 2 * many.weights_s, 1e-12);
    assert_near(twice.overhead_s - 1e-3, 2 * (many.overhead_s - 1e-3), 1e-12);
    assert_true(twice.collective_s < 2 * many.collective_s);
}

/* Layers with a window read what it spans, the others all: half of each is their mean; and a window
 * as long as the context changes nothing. */
static void test_windowed_layers(void **state)
{
    Scenario scenario;
    (void)state;
    serving_scenario(&scenario);
    make_uniform(&scenario);
    const ServeStageTime all = serve_stage_time(&scenario, 8, 64, 4000, 500, 2000);
    const ServeStageTime near = serve_stage_time(&scenario, 8, 64, 128, 500, 128);
    scenario.model.attention_window = 128;
    const ServeStageTime windowed = serve_stage_time(&scenario, 8, 64, 4000, 500, 2000);
    assert_near(windowed.kv_s, near.kv_s, 1e-9);
    assert_near(windowed.compute_s, near.compute_s, 1e-9);
    scenario.model.window_layers = scenario.model.layers / 2;
    const ServeStageTime half = serve_stage_time(&scenario, 8, 64, 4000, 500, 2000);
    assert_near(half.kv_s, (all.kv_s + near.kv_s) / 2, 1e-9);
    assert_near(half.compute_s, (all.compute_s + near.compute_s) / 2, 1e-9);
    scenario.model.attention_window = 1e6;
    const ServeStageTime wide = serve_stage_time(&scenario, 8, 64, 4000, 500, 2000);
    assert_near(wide.kv_s, all.kv_s, 1e-9);

    /* In memory: a sequence of full length keeps 128 of 4,000 tokens in half the layers. */
    ServeMemory before, after;
    scenario.model.attention_window = 0;
    scenario.serving.context_limit = 4000;
    serve_memory(&scenario, &before);
    scenario.model.attention_window = 128;
    serve_memory(&scenario, &after);
    assert_near(after.kv_bytes_per_token_gpu,
                before.kv_bytes_per_token_gpu * (0.5 + 0.5 * 128 / 4000), 1e-9);
}

/* Routed experts in 4 bits: their bytes and the time to read them fall to 4.25 of 16, nothing else.
 * Constants of an engine scale the part that they name. */
static void test_expert_precision_and_overheads(void **state)
{
    Scenario scenario;
    ServeMemory before, after;
    (void)state;
    serving_scenario(&scenario);
    make_uniform(&scenario);
    serve_memory(&scenario, &before);
    const ServeStageTime plain = serve_stage_time(&scenario, 8, 64, 1000, 0, 0);
    scenario.serving.expert_precision = EXPERTS_FP4;
    serve_memory(&scenario, &after);
    const ModelParameters count = model_parameters(&scenario.model);
    const double layers = scenario.model.layers / scenario.serving.pipeline;
    const double saved = layers * scenario.model.experts * count.expert_per_layer /
                         scenario.serving.tensor * (2 - 4.25 / 8);
    assert_near(before.weights_bytes - after.weights_bytes, saved, 1e-6);
    const ServeStageTime four = serve_stage_time(&scenario, 8, 64, 1000, 0, 0);
    assert_true(four.weights_s < plain.weights_s);
    assert_near(four.kv_s, plain.kv_s, 1e-12);
    assert_near(four.collective_s, plain.collective_s, 1e-12);
    scenario.serving.expert_precision = EXPERTS_AS_WEIGHTS;

    scenario.serving.compute_overhead = 0.25;
    const ServeStageTime slow = serve_stage_time(&scenario, 8, 64, 1000, 0, 0);
    assert_near(slow.compute_s, 1.25 * plain.compute_s, 1e-9);
    assert_near(slow.weights_s, plain.weights_s, 1e-12);
    scenario.serving.compute_overhead = 0;
    scenario.serving.expert_overhead = 1;
    const ServeStageTime twice = serve_stage_time(&scenario, 8, 64, 1000, 0, 0);
    assert_true(twice.weights_s > plain.weights_s && twice.weights_s < 2 * plain.weights_s);
    scenario.model.experts = scenario.model.experts_per_token = 1;
    const ServeStageTime dense = serve_stage_time(&scenario, 8, 64, 1000, 0, 0);
    scenario.serving.expert_overhead = 0;
    const ServeStageTime same = serve_stage_time(&scenario, 8, 64, 1000, 0, 0);
    assert_near(dense.total_s, same.total_s, 1e-12);
}

static void test_time_per_token_is_stages_times_stage_time(void **state)
{
    (void)state;
    Scenario scenario;
    ServeOutcome outcome;
    Error error;

    make_uniform(&scenario);
    assert_int_equal(simulate(&scenario, &outcome, &error), STATUS_OK);
    const ServeStageTime stage = serve_stage_time(&scenario, 8, 64, 1000, 0, 0);
    for (size_t i = 0; i < 3; i++)
        assert_near(outcome.tpot_s[i], 15 * stage.total_s, 1e-9);
    assert_near(outcome.output_tokens_per_s, 64 / stage.total_s, 1e-9);
    assert_near(outcome.decode_only_output_tokens_per_s, 64 / stage.total_s, 1e-9);
    assert_near(outcome.stage.total_s, stage.total_s, 1e-9);
    assert_true(outcome.batch == 15 * 64);
    assert_true(outcome.input_tokens_per_s == 0);
}

static void test_uneven_stages_go_at_the_slowest(void **state)
{
    (void)state;
    Scenario scenario;
    ServeOutcome outcome;
    Error error;

    make_uniform(&scenario);
    scenario.serving.pipeline = 16; /* 8 stages of 7 layers, 8 of 8 */
    scenario.serving.max_batch = 16 * 64;
    assert_int_equal(simulate(&scenario, &outcome, &error), STATUS_OK);
    const ServeStageTime slowest = serve_stage_time(&scenario, 8, 64, 1000, 0, 0);
    assert_near(outcome.tpot_s[0], 16 * slowest.total_s, 1e-9);
}

static void test_one_sequence_goes_through_all_stages(void **state)
{
    (void)state;
    Scenario scenario;
    ServeOutcome outcome;
    Error error;

    /* Fourteen stages send, the last does not; its head of 8 words is one small product a token. */
    make_uniform(&scenario);
    scenario.serving.max_batch = 1;
    scenario.serving.output_tokens = 50;
    assert_int_equal(simulate(&scenario, &outcome, &error), STATUS_OK);
    const ServeStageTime stage = serve_stage_time(&scenario, 8, 1, 1000, 0, 0);
    assert_true(outcome.tpot_s[0] > 14 * stage.total_s);
    assert_true(outcome.tpot_s[0] < 15.1 * stage.total_s);
    assert_near(outcome.output_tokens_per_s, 1 / outcome.tpot_s[0], 1e-9);
}

static void test_request_alone_on_one_stage(void **state)
{
    (void)state;
    Scenario scenario;
    ServeOutcome outcome;
    Error error;
    StageLayout layout;
    double prefill_s, decode_s;
    ServeStageTime slowest;

    /* One request at a time: a pass for each chunk of the prompt, then one for each further token.
     */
    make_uniform(&scenario);
    scenario.serving.pipeline = 1;
    scenario.model.layers = 8;
    scenario.serving.max_batch = 1;
    scenario.serving.prompt_tokens = 512;
    scenario.serving.prefill_chunk_tokens = 512;
    scenario.serving.output_tokens = 100;
    assert_int_equal(simulate(&scenario, &outcome, &error), STATUS_OK);

    StageCost *cost = calloc(1, sizeof *cost);
    assert_non_null(cost);
    stage_cost_prepare(cost, &scenario);
    stage_layout(&scenario.model, 1, &layout);
    stage_cost_pipeline(cost, &layout, &(PassLoad){.prefill = 512, .prefill_context = 256},
                        &prefill_s, &slowest);
    stage_cost_pipeline(cost, &layout, &(PassLoad){.decode = 1, .context = 600}, &decode_s,
                        &slowest);
    free(cost);
    assert_near(outcome.ttft_s[0], prefill_s, 1e-9);
    assert_near(outcome.tpot_s[0], decode_s, 1e-9);
    assert_near(outcome.e2e_s[0], prefill_s + 99 * decode_s, 1e-9);
    assert_near(outcome.requests_per_s, 1 / outcome.e2e_s[0], 0.05);
}

static void test_no_token_is_lost(void **state)
{
    (void)state;
    const double chunks[] = {0, 100, 512, 4096};
    const double batches[] = {1, 5, 300, 4096};
    Scenario scenario;
    ServeOutcome outcome;
    Error error;

    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 4; j++) {
            serving_scenario(&scenario);
            scenario.serving.prefill_chunk_tokens = chunks[i];
            scenario.serving.max_batch = batches[j];
            assert_int_equal(simulate(&scenario, &outcome, &error), STATUS_OK);
            const ServeLedger *ledger = &outcome.ledger;
            assert_true(ledger->output_processed > 0);
            assert_true(ledger->output_processed ==
                        ledger->output_finished + ledger->output_under_way);
            assert_true(ledger->input_processed ==
                        ledger->input_finished + ledger->input_under_way);
        }
}

static void test_fixed_lengths_come_out(void **state)
{
    (void)state;
    Scenario scenario;
    ServeOutcome outcome;
    Error error;

    serving_scenario(&scenario);
    scenario.serving.length_sigma = 0;
    assert_int_equal(simulate(&scenario, &outcome, &error), STATUS_OK);
    /* Tokens and requests are counted at different events; over the window they agree. */
    assert_near(outcome.output_tokens_per_s / outcome.requests_per_s, 211, 0.1);
    assert_near(outcome.input_tokens_per_s / outcome.requests_per_s, 1155, 0.1);
}

static void test_prices(void **state)
{
    (void)state;
    Scenario scenario;
    ServeOutcome at_one, at_half, powered, idle;
    Error error;

    serving_scenario(&scenario);
    assert_int_equal(simulate(&scenario, &at_one, &error), STATUS_OK);
    assert_near(at_one.usd_per_s, 128.0 / 3600, 1e-12);
    assert_near(at_one.usd_per_1k_tokens,
                1e3 * 128 / 3600 / (0.5 * (at_one.input_tokens_per_s + at_one.output_tokens_per_s)),
                1e-12);
    /* What input and output cost apart is what the cluster costs. */
    assert_near(0.5e-6 * (at_one.usd_per_1m_input * at_one.input_tokens_per_s +
                          at_one.usd_per_1m_output * at_one.output_tokens_per_s),
                at_one.usd_per_s, 1e-9);
    assert_true(at_one.usd_per_1k_tokens > at_one.floor_usd_per_1k_at_peak);
    /* 2 x 280e9 active parameters x 1000 on 128 x 312 TFLOP/s take 14 ms of 128 USD an hour. */
    assert_near(at_one.floor_usd_per_1k_at_peak, 2 * 280e9 * 1e3 / (128 * 312e12) * 128 / 3600,
                0.01);

    scenario.prices.gpu_hour_usd = 0.5;
    assert_int_equal(simulate(&scenario, &at_half, &error), STATUS_OK);
    assert_near(at_half.usd_per_1k_tokens, at_one.usd_per_1k_tokens / 2, 1e-12);
    assert_near(at_half.usd_per_1m_output, at_one.usd_per_1m_output / 2, 1e-12);

    /* 16 nodes of 5 kW at PUE 1.2 and 0.1 USD/kWh */
    scenario.prices.energy_included = 0;
    scenario.prices.energy_usd_per_j = 0.1 / 3.6e6;
    assert_int_equal(simulate(&scenario, &powered, &error), STATUS_OK);
    assert_near(powered.usd_per_s - at_half.usd_per_s, 16 * 5000 * 1.2 * 0.1 / 3.6e6, 1e-9);

    scenario.serving.utilisation = 0.25;
    assert_int_equal(simulate(&scenario, &idle, &error), STATUS_OK);
    assert_near(idle.usd_per_1k_tokens, 2 * powered.usd_per_1k_tokens, 1e-12);
}

static void test_nonsense_is_refused(void **state)
{
    (void)state;
    Scenario scenario;
    ServeOutcome outcome;
    Error error;

    serving_scenario(&scenario);
    scenario.serving.utilisation = 0;
    assert_int_equal(simulate(&scenario, &outcome, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "utilisation"));

    serving_scenario(&scenario);
    scenario.serving.output_tokens = 0;
    assert_int_equal(simulate(&scenario, &outcome, &error), STATUS_INVALID);

    serving_scenario(&scenario);
    scenario.serving.pipeline = 121; /* more stages than layers */
    assert_int_equal(simulate(&scenario, &outcome, &error), STATUS_INVALID);
}

static void test_single_token_answers(void **state)
{
    (void)state;
    Scenario scenario;
    ServeOutcome outcome;
    Error error;

    serving_scenario(&scenario);
    scenario.serving.output_tokens = 1;
    scenario.serving.length_sigma = 0;
    scenario.serving.max_batch = 64;
    assert_int_equal(simulate(&scenario, &outcome, &error), STATUS_OK);
    assert_near(outcome.e2e_s[0], outcome.ttft_s[0], 1e-9);
    assert_near(outcome.input_tokens_per_s, 1155 * outcome.output_tokens_per_s, 0.1);
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
        cmocka_unit_test(test_kv_bytes_of_multi_query_attention),
        cmocka_unit_test(test_kv_of_a_large_multi_head_model),
        cmocka_unit_test(test_weights_and_capacity_by_hand),
        cmocka_unit_test(test_long_context_in_40_gb),
        cmocka_unit_test(test_weights_that_do_not_fit),
        cmocka_unit_test(test_stage_parts_and_weight_reads),
        cmocka_unit_test(test_windowed_layers),
        cmocka_unit_test(test_expert_precision_and_overheads),
        cmocka_unit_test(test_time_per_token_is_stages_times_stage_time),
        cmocka_unit_test(test_uneven_stages_go_at_the_slowest),
        cmocka_unit_test(test_one_sequence_goes_through_all_stages),
        cmocka_unit_test(test_request_alone_on_one_stage),
        cmocka_unit_test(test_no_token_is_lost),
        cmocka_unit_test(test_fixed_lengths_come_out),
        cmocka_unit_test(test_prices),
        cmocka_unit_test(test_nonsense_is_refused),
        cmocka_unit_test(test_single_token_answers),
        cmocka_unit_test(test_forecast),
        cmocka_unit_test(test_forecast_of_what_does_not_fit),
        cmocka_unit_test(test_forecast_draws_again),
        cmocka_unit_test(test_forecast_can_be_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
