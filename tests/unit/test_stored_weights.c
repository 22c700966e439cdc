/* Weights in 16, 8 and 4 bits: their bytes, the time of products with them, memory, speed and the
 * utilisation that a served model is counted with; shipped formats and what is refused. */
#include "hw/gemm.h"
#include "hw/stored_weights.h"
#include "models/architecture.h"
#include "models/plan_check.h"
#include "models/weight_format.h"
#include "sim/serving/serve_memory.h"
#include "sim/serving/stage_cost.h"
#include "tests/unit/serving_scenario.h"
#include "tests/unit/shipped.h"

#include <math.h>

static WeightFormat shipped_format(const char *name)
{
    return shipped_part("calibration", name).serving.weights;
}

static StoredWeights stored(const GpuSpec *gpu, Precision precision, const WeightFormat *format)
{
    return gpu_stored_weights(gpu, precision, stored_weight_bytes(precision, format), format);
}

static void bytes_count_scales(void **state)
{
    (void)state;
    WeightFormat format = {0};
    assert_near(stored_weight_bytes(PRECISION_INT4, &format), 0.5, 0);
    format = (WeightFormat){.group = 128, .group_bits = 32};
    assert_near(stored_weight_bytes(PRECISION_INT4, &format), 4.25 / 8, 1e-15);
    format.group = 64;
    assert_near(stored_weight_bytes(PRECISION_INT4, &format), 4.5 / 8, 1e-15);
    assert_near(stored_weight_bytes(PRECISION_INT8, &format), 8.5 / 8, 1e-15);
    /* Of formats with a scale by block of their own, and of none. */
    assert_near(stored_weight_bytes(PRECISION_FP4, &format), 4.25 / 8, 0);
    assert_near(stored_weight_bytes(PRECISION_BF16, &format), 2, 0);
    format = shipped_format("weights-int4-gptq");
    assert_near(stored_weight_bytes(PRECISION_INT4, &format), 4.125 / 8, 1e-15);
    format = shipped_format("weights-int4-awq");
    assert_near(stored_weight_bytes(PRECISION_INT4, &format), (4 + 20.0 / 128) / 8, 1e-15);
}

/* One token takes the time of reading the stored bytes; very many that of 16-bit arithmetic. */
static void weight_only(void **state)
{
    (void)state;
    const GpuSpec gpu = shipped_gpu("h100-sxm");
    const double n = 65536, k = 65536, many = 65536;
    const double bandwidth = gpu.memory_bytes_per_s * gpu.gemm_bf16.memory_efficiency;
    const double wide_s = gpu_gemm_seconds(&gpu, PRECISION_BF16, many, n, k);

    WeightFormat format = {.group = 128, .group_bits = 32};
    StoredWeights weights = stored(&gpu, PRECISION_INT4, &format);
    const double read_s = n * k * 4.25 / 8 / bandwidth;
    assert_near(stored_gemm_seconds(&gpu, &weights, 1, n, k), read_s, 0.02 * read_s);
    assert_near(stored_read_seconds(&gpu, &weights, n * k * 4.25 / 8), read_s, 1e-12);
    assert_near(stored_gemm_seconds(&gpu, &weights, many, n, k), wide_s, 0.01 * wide_s);
    assert_near(stored_traffic_bytes(&weights, many), 4.25 / 8, 0);

    /* Kernels that lose bandwidth and arithmetic by widening. */
    format.wide_read = 0.5;
    format.wide_rate = 0.6;
    weights = stored(&gpu, PRECISION_INT4, &format);
    assert_near(stored_gemm_seconds(&gpu, &weights, 1, n, k), 2 * read_s, 0.03 * read_s);
    assert_near(stored_gemm_seconds(&gpu, &weights, many, n, k), wide_s / 0.6, 0.01 * wide_s);

    /* Unpacked before the product from 256 tokens on: to the byte. */
    format.unpack_tokens = 256;
    weights = stored(&gpu, PRECISION_INT4, &format);
    const double unpack_s = gpu_memory_bound_seconds(&gpu, n * k * (4.25 / 8 + 2));
    assert_near(stored_gemm_seconds(&gpu, &weights, 256, n, k),
                unpack_s + gpu_gemm_seconds(&gpu, PRECISION_BF16, 256, n, k), 1e-15);
    const double fused_s = stored_gemm_seconds(&gpu, &weights, 255, n, k);
    weights.unpack_tokens = 0;
    assert_near(fused_s, stored_gemm_seconds(&gpu, &weights, 255, n, k), 0);
    weights.unpack_tokens = 256;
    assert_near(stored_traffic_bytes(&weights, 256), 4.25 / 8 + 4, 0);
    assert_near(stored_traffic_bytes(&weights, 255), 4.25 / 8, 0);
    /* Experts are not. */
    const double rows[] = {many};
    assert_near(stored_grouped_gemm_seconds(&gpu, &weights, rows, 1, n, k), wide_s / 0.6,
                0.01 * wide_s);
}

/* W8A8 halves the bytes and doubles the rate where there are such tensor cores, and pays for
 * quantising its inputs; weight-only int8 never beats 16 bits on many tokens. */
static void eight_bit_integers(void **state)
{
    (void)state;
    const char *const names[] = {"a100-sxm-80g", "h100-sxm"};
    const double many = 16384, n = 16384, k = 16384;
    for (size_t i = 0; i < 2; i++) {
        const GpuSpec gpu = shipped_gpu(names[i]);
        const WeightFormat narrow = shipped_format("weights-int8-w8a8");
        const WeightFormat wide = shipped_format("weights-int8-wide");
        const StoredWeights w8a8 = stored(&gpu, PRECISION_INT8, &narrow);
        const StoredWeights w8a16 = stored(&gpu, PRECISION_INT8, &wide);
        const double sixteen_s = gpu_gemm_seconds(&gpu, PRECISION_BF16, many, n, k);
        const double eight_s = stored_gemm_seconds(&gpu, &w8a8, many, n, k);
        print_message("  %s: W8A8 %.2f times 16 bits at 16384^3\n", names[i], sixteen_s / eight_s);
        assert_true(eight_s > sixteen_s / 2 * 0.9 && eight_s < 0.65 * sixteen_s);
        assert_true(stored_gemm_seconds(&gpu, &w8a16, many, n, k) > sixteen_s);
        const double one_s = gpu_gemm_seconds(&gpu, PRECISION_BF16, 1, n, k);
        assert_true(stored_gemm_seconds(&gpu, &w8a8, 1, n, k) < 0.65 * one_s);
        assert_true(stored_gemm_seconds(&gpu, &w8a16, 1, n, k) < 0.75 * one_s);
        assert_int_equal(w8a8.products, PRECISION_INT8);
        assert_int_equal(w8a16.products, PRECISION_BF16);
    }
    /* Without a fit of fp8 a quantising pass over A is added: 3 bytes an element. */
    GpuSpec gpu = shipped_gpu("a100-sxm-80g");
    const double with_s = gpu_gemm_seconds(&gpu, PRECISION_INT8, many, n, k);
    GpuSpec twice = gpu;
    twice.memory_bytes_per_s *= 1e6;
    const double without_s = gpu_gemm_seconds(&twice, PRECISION_INT8, many, n, k);
    assert_near(with_s - without_s, 3 * many * k / gpu.memory_bytes_per_s, 0.1 * with_s);
    assert_near(gpu_peak_flops_per_s(&gpu, PRECISION_INT8), 624e12, 1);
    gpu.peak_int8_flops_per_s = 0;
    assert_near(gpu_peak_flops_per_s(&gpu, PRECISION_INT8), 312e12, 1);
}

/* fp8 on a GPU without it is read in 8 bits and multiplied in 16. */
static void fp8_without_tensor_cores(void **state)
{
    (void)state;
    const WeightFormat none = {0};
    const GpuSpec a100 = shipped_gpu("a100-sxm-80g"), h100 = shipped_gpu("h100-sxm");
    StoredWeights weights = stored(&a100, PRECISION_FP8, &none);
    assert_int_equal(weights.products, PRECISION_BF16);
    const double one_s = gpu_gemm_seconds(&a100, PRECISION_BF16, 1, 16384, 16384);
    assert_near(stored_gemm_seconds(&a100, &weights, 1, 16384, 16384), one_s / 2, 0.05 * one_s);
    weights = stored(&h100, PRECISION_FP8, &none);
    assert_near(stored_gemm_seconds(&h100, &weights, 64, 4096, 4096),
                gpu_gemm_seconds(&h100, PRECISION_FP8, 64, 4096, 4096), 0);
    const WeightFormat wide = {.products = PRODUCTS_WIDE};
    weights = stored(&h100, PRECISION_FP8, &wide);
    assert_int_equal(weights.products, PRECISION_BF16);
}

/* A dense model on one node: every precision in its bytes of memory, and of tables by their own. */
static void memory_of_a_model(void **state)
{
    (void)state;
    Scenario scenario;
    ServeMemory memory;
    serving_scenario(&scenario);
    scenario.hardware.gpu.memory_bytes = 4000e9;
    const ModelParameters count = model_parameters(&scenario.model);
    const double tables = 2 * scenario.model.vocab_size * scenario.model.d_model;
    scenario.serving.pipeline = 1;
    scenario.serving.tensor = 1;
    const struct {
        Precision precision;
        WeightFormat format;
        double bytes, table_bytes;
    } rows[] = {
        {PRECISION_FP16, {.group = 0}, 2, 2},
        {PRECISION_FP8, {.group = 0}, 1, 1},
        {PRECISION_INT8, {.wide_tables = 1}, 1, 2},
        {PRECISION_FP4, {.group = 0}, 4.25 / 8, 4.25 / 8},
        {PRECISION_INT4, {.group = 128, .group_bits = 32}, 4.25 / 8, 4.25 / 8},
        {PRECISION_INT4, {.group = 64, .group_bits = 32, .wide_tables = 1}, 4.5 / 8, 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scenario.serving.weight_precision = rows[i].precision;
        scenario.serving.weights = rows[i].format;
        serve_memory(&scenario, &memory);
        const double expected =
            (count.total - tables) * rows[i].bytes + tables * rows[i].table_bytes;
        /* The last norm is in no stage. */
        assert_near(memory.weights_bytes, expected, 1e-8 * expected);
    }
    /* Experts in MXFP4 keep their own format. */
    scenario.serving.expert_precision = EXPERTS_FP4;
    assert_near(serving_expert_bytes(&scenario.serving), 4.25 / 8, 0);
    assert_near(serving_matrix_bytes(&scenario.serving), 4.5 / 8, 0);
}

/* Decoding few sequences is faster by the bytes saved; reading a long prompt is not with weights
 * alone, and is with W8A8. */
static void stage_times(void **state)
{
    (void)state;
    Scenario scenario;
    serving_scenario(&scenario);
    scenario.model.experts = scenario.model.experts_per_token = 1;
    scenario.hardware.gpu.peak_int8_flops_per_s = 624e12;
    scenario.serving.layer_overhead_s = scenario.serving.step_overhead_s = 0;
    const ServeStageTime wide = serve_stage_time(&scenario, 8, 1, 100, 0, 0);
    const ServeStageTime wide_prompt = serve_stage_time(&scenario, 8, 0, 0, 8192, 4096);
    scenario.serving.weight_precision = PRECISION_INT4;
    scenario.serving.weights = (WeightFormat){.group = 128, .group_bits = 32};
    const ServeStageTime four = serve_stage_time(&scenario, 8, 1, 100, 0, 0);
    const ServeStageTime four_prompt = serve_stage_time(&scenario, 8, 0, 0, 8192, 4096);
    assert_near(four.weights_s / wide.weights_s, 4.25 / 16, 0.01);
    assert_near(four.kv_s, wide.kv_s, 1e-12);
    assert_near(four_prompt.total_s / wide_prompt.total_s, 1, 0.02);
    scenario.serving.weights.wide_rate = 0.6;
    const ServeStageTime slow_prompt = serve_stage_time(&scenario, 8, 0, 0, 8192, 4096);
    assert_true(slow_prompt.total_s > 1.3 * wide_prompt.total_s);
    scenario.serving.weight_precision = PRECISION_INT8;
    scenario.serving.weights = (WeightFormat){0};
    const ServeStageTime eight_prompt = serve_stage_time(&scenario, 8, 0, 0, 8192, 4096);
    assert_true(eight_prompt.total_s < 0.8 * wide_prompt.total_s);
}

static void utilisation_counts_against_the_products(void **state)
{
    (void)state;
    const GpuSpec gpu = shipped_gpu("h100-sxm");
    ServingSpec serving = {.weight_precision = PRECISION_INT8};
    assert_near(gpu_served_peak_flops_per_s(&gpu, &serving), 1979e12, 1);
    serving.weights.products = PRODUCTS_WIDE;
    assert_near(gpu_served_peak_flops_per_s(&gpu, &serving), 989.4e12, 1);
    serving = (ServingSpec){.weight_precision = PRECISION_INT4};
    assert_near(gpu_served_peak_flops_per_s(&gpu, &serving), 989.4e12, 1);
    serving.weight_precision = PRECISION_FP8;
    assert_near(gpu_served_peak_flops_per_s(&gpu, &serving), 1979e12, 1);
}

static void refused(const Scenario *scenario, const char *message, const char *hint)
{
    Error error = {0};
    assert_int_equal(plan_check(scenario, &error), STATUS_INVALID);
    if (strstr(error.message, message) == NULL || strstr(error.hint, hint) == NULL)
        fail_msg("'%s' (%s) lacks '%s' or '%s'", error.message, error.hint, message, hint);
}

static void bad_formats(void **state)
{
    (void)state;
    Scenario scenario;
    Error error = {0};
    serving_scenario(&scenario);
    assert_int_equal(plan_check(&scenario, &error), STATUS_OK);
    scenario.serving.weight_precision = PRECISION_INT8;
    refused(&scenario, "without 8-bit integer tensor cores", "weights-int8-wide");
    scenario.serving.weights.products = PRODUCTS_WIDE;
    assert_int_equal(plan_check(&scenario, &error), STATUS_OK);
    scenario.serving.weight_precision = PRECISION_INT4;
    refused(&scenario, "int4 needs serving.weights", "weights-int4-gptq");
    scenario.serving.weights = shipped_format("weights-int4-gptq");
    assert_int_equal(plan_check(&scenario, &error), STATUS_OK);
    scenario.serving.weight_precision = PRECISION_FP8;
    refused(&scenario, "a format of int4, and serving.weight_precision is fp8",
            "serving.weight_precision: int4");
    scenario.serving.weight_precision = PRECISION_INT4;
    scenario.serving.weights.group_bits = 0;
    refused(&scenario, "serving.weights.group_bits is 0", "scale");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_count_scales),
        cmocka_unit_test(weight_only),
        cmocka_unit_test(eight_bit_integers),
        cmocka_unit_test(fp8_without_tensor_cores),
        cmocka_unit_test(memory_of_a_model),
        cmocka_unit_test(stage_times),
        cmocka_unit_test(utilisation_counts_against_the_products),
        cmocka_unit_test(bad_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
