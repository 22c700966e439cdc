/* The cost of a serving pass for models and layouts beyond plain layers on tensor ranks. */
#include "hw/attention.h"
#include "hw/collective.h"
#include "hw/gemm.h"
#include "models/plan_check.h"
#include "sim/serving/serve_memory.h"
#include "sim/serving/stage_cost.h"
#include "tests/unit/serving_scenario.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_near(double value, double expected, double relative)
{
    if (!(fabs(value - expected) <= relative * fabs(expected)))
        fail_msg("%.17g is not within %g of %.17g", value, relative, expected);
}

/* DeepSeek-V3's shape on one stage of eight GPUs. */
static void latent_scenario(Scenario *scenario)
{
    serving_scenario(scenario);
    scenario->model = (ModelSpec){.layers = 61,
                                  .d_model = 7168,
                                  .d_ff = 18432,
                                  .heads = 128,
                                  .kv_heads = 128,
                                  .head_dim = 128,
                                  .vocab_size = 129280,
                                  .experts = 256,
                                  .experts_per_token = 8,
                                  .shared_experts = 1,
                                  .expert_d_ff = 2048,
                                  .dense_layers = 3,
                                  .kv_lora_rank = 512,
                                  .q_lora_rank = 1536,
                                  .rope_head_dim = 64,
                                  .nope_head_dim = 128,
                                  .v_head_dim = 128,
                                  .gated_mlp = 1};
    scenario->hardware.gpu.memory_bytes = 400e9;
    scenario->serving.pipeline = 1;
}

static void test_latent_is_whole_on_each_rank(void **state)
{
    (void)state;
    Scenario scenario;
    ServeMemory memory;
    latent_scenario(&scenario);
    serve_memory(&scenario, &memory);
    /* (512 + 64) elements of 2 bytes in 61 layers, whatever the tensor ways */
    assert_true(memory.kv_bytes_per_token == 61 * 576 * 2.0);
    assert_true(memory.kv_bytes_per_token_gpu == 61 * 576 * 2.0);
    assert_true(memory.kv_bytes_per_token_mha == 61 * 128 * (128 + 64 + 128) * 2.0);
}

static void test_groups_of_attention_share_the_requests(void **state)
{
    (void)state;
    Scenario scenario;
    ServeMemory one, eight;
    latent_scenario(&scenario);
    serve_memory(&scenario, &one);
    scenario.serving.attention_data = 8;
    scenario.serving.expert = 8;
    serve_memory(&scenario, &eight);
    /* Attention, dense MLPs, shared experts and both tables are there eight times. */
    const double attention =
        7168 * (1536 + 576) + 1536.0 * 128 * 192 + 512.0 * 128 * 256 + 128.0 * 128 * 7168;
    const double cut = 61 * (attention - 7168 * (1536.0 + 576)) + 3 * 3 * 7168 * 18432.0 +
                       58 * 3 * 7168 * 2048.0 + 2 * 129280 * 7168.0;
    assert_near(eight.weights_bytes - one.weights_bytes, 2 * cut * 7 / 8, 1e-12);
    assert_true(eight.kv_bytes_per_token_gpu == 61 * 576 * 2.0 / 8);
    const double left = scenario.hardware.gpu.memory_bytes * 0.95 - 4e9;
    assert_near(eight.kv_capacity_tokens, 8 * (left - eight.weights_bytes) / (61 * 576 * 2.0),
                1e-6);
}

/* Buffers of all prompts' hidden states are taken from what keys and values may have. */
static void test_buffers_of_prompts_cost_room(void **state)
{
    (void)state;
    Scenario scenario;
    ServeMemory none, some;
    latent_scenario(&scenario);
    scenario.serving.max_batch = 16;
    scenario.serving.prompt_tokens = 1000;
    scenario.serving.prefill_chunk_tokens = 1e8;
    serve_memory(&scenario, &none);
    scenario.serving.stream_buffers = 8;
    serve_memory(&scenario, &some);
    const double bytes = 8 * 16 * 1000 * 7168 * 2.0;
    assert_near(none.kv_capacity_tokens - some.kv_capacity_tokens, bytes / (61 * 576 * 2.0), 1e-4);
    scenario.serving.prefill_chunk_tokens = 4000; /* no more than one pass reads */
    serve_memory(&scenario, &some);
    assert_near(none.kv_capacity_tokens - some.kv_capacity_tokens, bytes / 4 / (61 * 576 * 2.0),
                1e-3);
}

static void test_latent_attention_reads_each_latent_once(void **state)
{
    (void)state;
    Scenario scenario;
    latent_scenario(&scenario);
    GpuSpec *gpu = &scenario.hardware.gpu;
    DecodeAttention decode = {.sequences = 64,
                              .context = 4096,
                              .kv_heads = 128,
                              .heads = 128,
                              .key_dim = 576,
                              .value_dim = 512,
                              .kv_element_bytes = 2,
                              .latent = 1};
    gpu->decode_block_s = 0;
    gpu->decode_exponent = 50; /* the larger of the two times */
    gpu->decode_flops_per_s = 1e30;
    const double memory_s = 64.0 * 4096 * 576 * 2 / (2.039e12 * 0.69);
    assert_near(gpu_decode_seconds(gpu, &decode), 11e-6 + memory_s, 1e-9);
    gpu->decode_flops_per_s = 100e12;
    const double compute_s = 2.0 * 64 * 128 * 4096 * (576 + 512) / 100e12;
    assert_true(compute_s > 2 * memory_s);
    assert_near(gpu_decode_seconds(gpu, &decode), 11e-6 + compute_s, 1e-9);
    /* Without a rate of its own the kernel does what products do. */
    gpu->decode_flops_per_s = 0;
    assert_near(gpu_decode_seconds(gpu, &decode), 11e-6 + compute_s * 100 / (0.83 * 312), 1e-6);
}

static void test_kernels_by_query_head_wait_for_their_arithmetic(void **state)
{
    (void)state;
    Scenario scenario;
    serving_scenario(&scenario);
    GpuSpec *gpu = &scenario.hardware.gpu;
    DecodeAttention decode = {.sequences = 64,
                              .context = 2048,
                              .kv_heads = 1,
                              .heads = 29,
                              .key_dim = 64,
                              .value_dim = 64,
                              .kv_element_bytes = 2};
    const double grouped_s = gpu_decode_seconds(gpu, &decode);
    gpu->decode_pairs_per_s = 20e9;
    assert_true(gpu_decode_seconds(gpu, &decode) == grouped_s);
    decode.by_query_head = 1;
    assert_true(gpu_decode_seconds(gpu, &decode) >= 11e-6 + 64.0 * 29 * 2048 / 20e9);
    assert_true(gpu_decode_seconds(gpu, &decode) > 3 * grouped_s);

    /* An engine whose grouped kernel is for 8 heads of 128 runs others by query head. */
    scenario.hardware.gpu.decode_pairs_per_s = 1e7;
    scenario.model.kv_heads = 21;
    const double any_s = serve_stage_time(&scenario, 8, 64, 1000, 0, 0).kv_s;
    scenario.serving.grouped_heads = 8;
    scenario.serving.grouped_head_dim = 128;
    assert_true(serve_stage_time(&scenario, 8, 64, 1000, 0, 0).kv_s == any_s);
    scenario.serving.grouped_head_dim = 64;
    assert_true(serve_stage_time(&scenario, 8, 64, 1000, 0, 0).kv_s > 10 * any_s);
}

/* A stage's time is that of its layers by kind: dense ones first, every n-th with experts. */
static void test_kinds_of_layers_add_up(void **state)
{
    (void)state;
    Scenario mixed, dense, experts;
    latent_scenario(&mixed);
    dense = experts = mixed;
    dense.model.experts = 1;
    dense.model.shared_experts = 0;
    dense.model.dense_layers = 0;
    experts.model.dense_layers = 0;
    const double mixed_s = serve_stage_time(&mixed, 61, 64, 2000, 0, 0).total_s;
    const double dense_s = serve_stage_time(&dense, 3, 64, 2000, 0, 0).total_s;
    const double experts_s = serve_stage_time(&experts, 58, 64, 2000, 0, 0).total_s;
    /* both have the overhead of a step */
    assert_near(mixed_s, dense_s + experts_s - mixed.serving.step_overhead_s, 1e-9);

    mixed.model.dense_layers = 0;
    mixed.model.moe_every = 2;
    StageLayout layout;
    StageCost *cost = calloc(1, sizeof *cost);
    double stage_s[MAX_STAGES];
    ServeStageTime slowest;
    assert_non_null(cost);
    mixed.model.layers = 60;
    mixed.model.vocab_size = 8;
    stage_layout(&mixed.model, 4, &layout);
    stage_cost_prepare(cost, &mixed);
    stage_cost_pipeline(cost, &layout, &(PassLoad){.decode = 64, .context = 2000}, stage_s,
                        &slowest);
    /* 15 layers a stage: 7 with experts on the first, 8 on the second */
    assert_true(stage_s[1] > stage_s[0]);
    assert_near(stage_s[2], stage_s[0], 1e-12);
    free(cost);
}

static double sum_of_parts(const ServeStageTime *time)
{
    return time->weights_s + time->kv_s + time->compute_s + time->collective_s + time->overhead_s +
           time->drafts_s;
}

/* The slowest stage is told with its parts: one in the middle, or the last with the output head. */
static void test_parts_of_the_slowest_stage_add_up(void **state)
{
    (void)state;
    Scenario scenario;
    StageLayout layout;
    double stage_s[MAX_STAGES];
    ServeStageTime middle, last;
    const PassLoad load = {.decode = 64, .context = 2000, .prefill = 500, .prefill_context = 250};
    StageCost *cost = calloc(1, sizeof *cost);
    assert_non_null(cost);
    serving_scenario(&scenario);
    scenario.serving.kernel_overhead = 0.1;
    scenario.model.layers = 32;
    scenario.model.vocab_size = 8;
    stage_layout(&scenario.model, 4, &layout);
    stage_cost_prepare(cost, &scenario);
    stage_cost_pipeline(cost, &layout, &load, stage_s, &middle);
    assert_near(sum_of_parts(&middle), middle.total_s, 1e-12);
    assert_near(middle.total_s, stage_s[1], 1e-12);
    assert_near(stage_cost_time(cost, 8, &load).total_s, stage_s[1], 1e-12);

    scenario.model.vocab_size = 1e6;
    stage_cost_prepare(cost, &scenario);
    stage_cost_pipeline(cost, &layout, &load, stage_s, &last);
    assert_near(sum_of_parts(&last), last.total_s, 1e-12);
    assert_near(last.total_s, stage_s[3], 1e-12);
    assert_true(stage_s[3] > stage_s[1]);
    /* A million rows of 10,752 in 16 bits, cut by 8, at 0.7 of 2.039 TB/s and a tenth more. */
    assert_near(last.weights_s - middle.weights_s, 1.1 * 2 * 1e6 / 8 * 10752 / (0.7 * 2.039e12),
                1e-9);
    free(cost);
}

/* One prompt is read by one group: seven others wait for it. */
static void test_a_pass_takes_as_long_as_its_fullest_group(void **state)
{
    (void)state;
    Scenario scenario;
    latent_scenario(&scenario);
    scenario.serving.attention_data = scenario.serving.expert = 8;
    const double one_s = serve_stage_time(&scenario, 61, 0, 0, 4096, 2048).total_s;
    const double eight_s = serve_stage_time(&scenario, 61, 0, 0, 8 * 4096, 2048).total_s;
    const double spread_s = serve_stage_time(&scenario, 61, 0, 0, 4096, 256).total_s;
    assert_true(eight_s < 4 * one_s); /* only the experts have eight times the work */
    assert_true(spread_s < one_s);
}

static void test_graphs_spare_the_host(void **state)
{
    (void)state;
    Scenario scenario;
    serving_scenario(&scenario);
    scenario.serving.layer_host_s = 1e-3;
    scenario.serving.expert_layer_host_s = 2e-2; /* all its layers have experts */
    scenario.serving.layer_overhead_s = 0;
    const double host_s = 8 * 2e-2 + scenario.serving.step_overhead_s;
    const ServeStageTime waits = serve_stage_time(&scenario, 8, 64, 1000, 0, 0);
    assert_true(waits.total_s >= host_s && waits.total_s < host_s * 1.05);
    scenario.serving.graph_sequences = 64;
    assert_true(serve_stage_time(&scenario, 8, 64, 1000, 0, 0).total_s < host_s / 2);
    /* too many, or prompts among them */
    assert_true(serve_stage_time(&scenario, 8, 65, 1000, 0, 0).total_s >= host_s);
    assert_true(serve_stage_time(&scenario, 8, 64, 1000, 10, 5).total_s >= host_s);
}

/* Sparse attention: as long as every token is looked at only the indexer is added; behind that the
 * keys and values that are read stay as many, and the indexer's keys alone grow. */
static void test_chosen_keys_stay_as_many(void **state)
{
    (void)state;
    Scenario scenario;
    latent_scenario(&scenario);
    Scenario sparse = scenario;
    sparse.model.sparse_keys = 2048;
    sparse.model.index_heads = 64;
    sparse.model.index_head_dim = 128;
    const double dense_s[] = {serve_stage_time(&scenario, 61, 64, 2000, 0, 0).kv_s,
                              serve_stage_time(&scenario, 61, 64, 64000, 0, 0).kv_s};
    const double sparse_s[] = {serve_stage_time(&sparse, 61, 64, 2000, 0, 0).kv_s,
                               serve_stage_time(&sparse, 61, 64, 64000, 0, 0).kv_s};
    assert_true(sparse_s[0] > dense_s[0] && sparse_s[0] < 2 * dense_s[0]);
    assert_true(sparse_s[1] < dense_s[1] / 3 && sparse_s[1] > sparse_s[0]);
    /* Prompts: of 64,000 tokens most pairs are scored by the indexer alone. Tensor ways cut heads
     * and not the indexer: groups of attention are where it pays. */
    sparse.serving.attention_data = scenario.serving.attention_data = 8;
    const double prompt_s = serve_stage_time(&sparse, 61, 0, 0, 8192, 32000).compute_s;
    assert_true(prompt_s < serve_stage_time(&scenario, 61, 0, 0, 8192, 32000).compute_s);

    StageCost *cost = calloc(1, sizeof *cost);
    assert_non_null(cost);
    const PassLoad load = {.decode = 1, .context = 10000};
    sparse.serving.attention_data = 1;
    stage_cost_prepare(cost, &sparse);
    assert_near(stage_cost_kv_bytes(cost, &load), 2048 * 576 * 2 + 10000 * 132, 1e-6);
    free(cost);
    ServeMemory memory;
    serve_memory(&sparse, &memory);
    assert_near(memory.kv_bytes_per_token, 61 * (576 * 2.0 + 132), 1e-6);
}

/* Linear attention: a state of constant size. Contexts cost a quarter of what they do where all
 * layers look back, and what is left is the state, read and written. */
static void test_state_stays_as_large(void **state)
{
    (void)state;
    Scenario scenario;
    serving_scenario(&scenario);
    scenario.model.layers = 60;
    scenario.model.heads = 32;
    scenario.model.kv_heads = 8;
    scenario.model.head_dim = 128;
    Scenario linear = scenario;
    linear.model.linear_layers = 45;
    linear.model.linear_key_heads = 16;
    linear.model.linear_value_heads = 64;
    linear.model.linear_head_dim = 128;
    const double short_s = serve_stage_time(&linear, 60, 64, 1000, 0, 0).kv_s;
    const double long_s = serve_stage_time(&linear, 60, 64, 100000, 0, 0).kv_s;
    const double plain_short_s = serve_stage_time(&scenario, 60, 64, 1000, 0, 0).kv_s;
    const double plain_long_s = serve_stage_time(&scenario, 60, 64, 100000, 0, 0).kv_s;
    assert_near(long_s - short_s, (plain_long_s - plain_short_s) / 4, 1e-9);
    /* 64 sequences, 8 of 64 heads a GPU, both ways */
    const double state_bytes = 2.0 * 64 * 8 * 128 * 128 * 4;
    assert_near(short_s - plain_short_s / 4,
                45 * gpu_memory_bound_seconds(&scenario.hardware.gpu, state_bytes), 1e-9);

    ServeMemory memory;
    serve_memory(&linear, &memory);
    assert_near(memory.kv_bytes_per_token, 15 * 2 * 8 * 128 * 2, 1e-6);
    StageCost *cost = calloc(1, sizeof *cost);
    assert_non_null(cost);
    const PassLoad load = {.decode = 1, .context = 1000};
    stage_cost_prepare(cost, &linear);
    assert_near(stage_cost_kv_bytes(cost, &load),
                (1000.0 * 2 * 128 * 2) / 4 + 0.75 * 2 * 8 * 128 * 128 * 4, 1e-6);
    free(cost);
}

/* Of layers with experts alone, in graphs as well. */
static void test_experts_have_an_overhead_of_their_own(void **state)
{
    (void)state;
    Scenario scenario;
    serving_scenario(&scenario);
    scenario.serving.graph_sequences = 64;
    const double before_s = serve_stage_time(&scenario, 8, 64, 1000, 0, 0).total_s;
    scenario.serving.expert_layer_overhead_s = 7e-5;
    const double after_s = serve_stage_time(&scenario, 8, 64, 1000, 0, 0).total_s;
    assert_near(after_s - before_s, 8 * 7e-5, 1e-12);
    scenario.model.experts = scenario.model.experts_per_token = 1;
    const double dense_s = serve_stage_time(&scenario, 8, 64, 1000, 0, 0).total_s;
    scenario.serving.expert_layer_overhead_s = 0;
    assert_near(serve_stage_time(&scenario, 8, 64, 1000, 0, 0).total_s, dense_s, 1e-15);
}

/* With two halves of a batch the exchange hides behind the other half's work, weights are read
 * twice. */
static void test_two_batch_overlap_hides_exchanges(void **state)
{
    (void)state;
    Scenario scenario;
    latent_scenario(&scenario);
    scenario.serving.attention_data = scenario.serving.expert = 8;
    const ServeStageTime plain = serve_stage_time(&scenario, 61, 0, 0, 65536, 2048);
    scenario.serving.two_batch_overlap = 1;
    const ServeStageTime overlapped = serve_stage_time(&scenario, 61, 0, 0, 65536, 2048);
    assert_true(overlapped.collective_s < plain.collective_s / 10);
    assert_true(overlapped.total_s < plain.total_s);
    const ServeStageTime few = serve_stage_time(&scenario, 61, 64, 100, 0, 0);
    scenario.serving.two_batch_overlap = 0;
    assert_true(few.weights_s > 1.5 * serve_stage_time(&scenario, 61, 64, 100, 0, 0).weights_s);
}

static void test_plans_that_groups_do_not_fit(void **state)
{
    (void)state;
    Scenario scenario;
    Error error = {0};
    latent_scenario(&scenario);
    scenario.serving.attention_data = 8;
    scenario.serving.expert = 8;
    assert_int_equal(plan_check(&scenario, &error), STATUS_OK);
    scenario.serving.attention_data = 3;
    assert_int_equal(plan_check(&scenario, &error), STATUS_INVALID);
    scenario.serving.attention_data = 8;
    scenario.serving.expert = 5;
    assert_int_equal(plan_check(&scenario, &error), STATUS_INVALID);
    scenario.serving.expert = 8;
    scenario.serving.kv_sharding = KV_BY_BATCH;
    assert_int_equal(plan_check(&scenario, &error), STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_latent_is_whole_on_each_rank),
        cmocka_unit_test(test_groups_of_attention_share_the_requests),
        cmocka_unit_test(test_buffers_of_prompts_cost_room),
        cmocka_unit_test(test_latent_attention_reads_each_latent_once),
        cmocka_unit_test(test_kernels_by_query_head_wait_for_their_arithmetic),
        cmocka_unit_test(test_kinds_of_layers_add_up),
        cmocka_unit_test(test_parts_of_the_slowest_stage_add_up),
        cmocka_unit_test(test_a_pass_takes_as_long_as_its_fullest_group),
        cmocka_unit_test(test_graphs_spare_the_host),
        cmocka_unit_test(test_experts_have_an_overhead_of_their_own),
        cmocka_unit_test(test_chosen_keys_stay_as_many),
        cmocka_unit_test(test_state_stays_as_large),
        cmocka_unit_test(test_two_batch_overlap_hides_exchanges),
        cmocka_unit_test(test_plans_that_groups_do_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
