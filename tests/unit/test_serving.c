/* Serving: memory and stage time against values worked out by hand. */
#include "models/architecture.h"
#include "sim/serving/serve_memory.h"
#include "sim/serving/stage_cost.h"
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
    scenario.serving.pipeline = 15; /* eight layers each */
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
