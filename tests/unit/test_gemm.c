/* Matrix products: limits that no product can beat, the grouped form, and one tile by hand.
 * Published timings: test_kernel_gemm.c. */
#include "tests/unit/shipped.h"

#include "hw/gemm.h"

#include <math.h>

/* By hand, from the form: one 128 x 256 tile a multiprocessor and nothing else. */
static void one_full_wave_in_closed_form(void **state)
{
    (void)state;
    GpuSpec gpu = {.peak_bf16_flops_per_s = 100e12,
                   .memory_bytes_per_s = 1e15,
                   .sms = 128,
                   .gemm_bf16 = {.launch_s = 3e-6,
                                 .compute_efficiency = 0.8,
                                 .memory_efficiency = 1,
                                 .k_overhead = 100,
                                 .split_k_cost = 1,
                                 .overlap_exponent = 50}};
    /* 2 x 128 x 256 x (4096 + 100) FLOPs at 100e12 x 0.8 / 128 FLOP/s. */
    const double tile_s = 2.0 * 128 * 256 * (4096 + 100) / (100e12 * 0.8 / 128);
    assert_near(gpu_gemm_seconds(&gpu, PRECISION_BF16, 2048, 2048, 4096), 3e-6 + tile_s,
                1e-9 * tile_s);
    /* Twice the rows: two waves. One row more: with lambda 1 a third wave, with lambda 0 hardly
     * more. */
    assert_near(gpu_gemm_seconds(&gpu, PRECISION_BF16, 4096, 2048, 4096), 3e-6 + 2 * tile_s,
                1e-9 * tile_s);
    gpu.gemm_bf16.tile_penalty = 30; /* keeps small tiles from filling the gap */
    const double persistent = gpu_gemm_seconds(&gpu, PRECISION_BF16, 4097, 2048, 4096);
    gpu.gemm_bf16.wave_quantisation = 1;
    assert_true(gpu_gemm_seconds(&gpu, PRECISION_BF16, 4097, 2048, 4096) > persistent);

    /* Without arithmetic to speak of, the time is the bytes'. */
    gpu.peak_bf16_flops_per_s = 1e21;
    gpu.memory_bytes_per_s = 1e12;
    gpu.gemm_bf16.memory_efficiency = 0.5;
    const double bytes = 2.0 * (8.0 * 4096 + 4096.0 * 4096 + 8.0 * 4096);
    assert_near(gpu_gemm_seconds(&gpu, PRECISION_BF16, 8, 4096, 4096), 3e-6 + bytes / 0.5e12, 1e-9);
    /* Quantising A moves bytes of its own at the full rate. */
    gpu.gemm_bf16.quantise_cost = 10;
    assert_near(gpu_gemm_seconds(&gpu, PRECISION_BF16, 8, 4096, 4096),
                3e-6 + bytes / 0.5e12 + 10.0 * 8 * 4096 / 1e12, 1e-9);
}

/* No product beats the peak or the memory, none gets faster by growing twofold, fp8 helps large
 * ones. */
static void limits(void **state)
{
    (void)state;
    static const char *const names[] = {"a100-sxm-40g", "a100-sxm-80g", "h100-sxm", "h200-sxm"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const GpuSpec gpu = shipped_gpu(names[i]);
        for (double m = 1; m <= 32768; m *= 8)
            for (double n = 64; n <= 65536; n *= 4)
                for (double k = 64; k <= 65536; k *= 4) {
                    const double seconds = gpu_gemm_seconds(&gpu, PRECISION_BF16, m, n, k);
                    assert_true(seconds > 2 * m * n * k / gpu.peak_bf16_flops_per_s);
                    assert_true(seconds > 2 * (m * k + k * n + m * n) / gpu.memory_bytes_per_s);
                    assert_true(gpu_gemm_seconds(&gpu, PRECISION_BF16, 2 * m, n, k) >= seconds);
                    assert_true(gpu_gemm_seconds(&gpu, PRECISION_BF16, m, n, 2 * k) >= seconds);
                    assert_true(gpu_gemm_seconds(&gpu, PRECISION_BF16, m, 2 * n, k) >= seconds);
                }
    }
    const GpuSpec h100 = shipped_gpu("h100-sxm");
    const double bf16 = gpu_gemm_seconds(&h100, PRECISION_BF16, 8192, 8192, 8192);
    const double fp8 = gpu_gemm_seconds(&h100, PRECISION_FP8, 8192, 8192, 8192);
    assert_true(fp8 < 0.75 * bf16 && fp8 > 0.4 * bf16);
}

static void precisions(void **state)
{
    (void)state;
    const GpuSpec a100 = shipped_gpu("a100-sxm-80g");
    const GpuSpec h100 = shipped_gpu("h100-sxm");
    assert_near(gpu_peak_flops_per_s(&a100, PRECISION_BF16), 312e12, 1);
    assert_near(gpu_peak_flops_per_s(&a100, PRECISION_FP16), 312e12, 1);
    assert_near(gpu_peak_flops_per_s(&h100, PRECISION_FP8), 1979e12, 1);
    /* A GPU without fp8 computes in bf16. */
    assert_near(gpu_peak_flops_per_s(&a100, PRECISION_FP8), 312e12, 1);
    assert_near(gpu_gemm_seconds(&a100, PRECISION_FP8, 512, 512, 512),
                gpu_gemm_seconds(&a100, PRECISION_BF16, 512, 512, 512), 0);
}

/* Weights in 4 bits: with few rows the time is that of their bytes, with many that of 16 bits. */
static void four_bits(void **state)
{
    (void)state;
    const GpuSpec gpu = shipped_gpu("h100-sxm");
    const double n = 65536, k = 65536;
    const double read_s =
        n * k * 4.25 / 8 / (gpu.memory_bytes_per_s * gpu.gemm_bf16.memory_efficiency);
    assert_near(gpu_gemm_seconds(&gpu, PRECISION_FP4, 1, n, k), read_s, 0.02 * read_s);
    const double many = gpu_gemm_seconds(&gpu, PRECISION_BF16, 65536, n, k);
    assert_near(gpu_gemm_seconds(&gpu, PRECISION_FP4, 65536, n, k), many, 0.01 * many);
    assert_near(gpu_peak_flops_per_s(&gpu, PRECISION_FP4), gpu.peak_bf16_flops_per_s, 0);
}

static void grouped(void **state)
{
    (void)state;
    const GpuSpec gpu = shipped_gpu("a100-sxm-80g");
    const double one[] = {777};
    assert_near(gpu_grouped_gemm_seconds(&gpu, PRECISION_BF16, one, 1, 5376, 10752),
                gpu_gemm_seconds(&gpu, PRECISION_BF16, 777, 5376, 10752), 0);

    /* Experts without rows cost nothing, wherever they stand; none at all: no launch. */
    const double gaps[] = {0, 777, 0, 0};
    assert_near(gpu_grouped_gemm_seconds(&gpu, PRECISION_BF16, gaps, 4, 5376, 10752),
                gpu_gemm_seconds(&gpu, PRECISION_BF16, 777, 5376, 10752), 0);
    assert_near(gpu_grouped_gemm_seconds(&gpu, PRECISION_BF16, gaps, 1, 5376, 10752), 0, 0);

    /* Many rows: as one product of all rows, within the padding of 16 experts. Few rows: the
     * weights of every touched expert are read. */
    double even[16], few[16];
    for (size_t i = 0; i < 16; i++) {
        even[i] = 1024;
        few[i] = 1;
    }
    const double together = gpu_gemm_seconds(&gpu, PRECISION_BF16, 16384, 5376, 10752);
    const double apart = gpu_grouped_gemm_seconds(&gpu, PRECISION_BF16, even, 16, 5376, 10752);
    assert_true(apart >= together && apart < 1.1 * together);
    const double weights_s = 16 * 2.0 * 5376 * 10752 / gpu.memory_bytes_per_s;
    assert_true(gpu_grouped_gemm_seconds(&gpu, PRECISION_BF16, few, 16, 5376, 10752) > weights_s);
}

/* A kernel that keeps to 64 x 64: by hand, from the form. */
static void one_tile(void **state)
{
    (void)state;
    const GpuSpec gpu = {.peak_bf16_flops_per_s = 100e12,
                         .memory_bytes_per_s = 1e15,
                         .sms = 100,
                         .gemm_bf16 = {.launch_s = 3e-6,
                                       .compute_efficiency = 0.8,
                                       .memory_efficiency = 1,
                                       .k_overhead = 100,
                                       .overlap_exponent = 50}};
    GemmTile tile = {.rows = 64, .columns = 64};
    /* 65 rows are two tiles, none are none; 400 tiles on 100 multiprocessors are four waves. */
    const double rows[] = {65, 0, 64, 1};
    const double tile_s = 2.0 * 64 * 64 * (4096 + 100) / (100e12 * 0.8 / 100);
    const double n = 64 * 100;
    assert_near(gpu_grouped_gemm_tile_seconds(&gpu, PRECISION_BF16, &tile, rows, 4, n, 4096),
                3e-6 + 4 * tile_s, 1e-9 * tile_s);
    /* Below one wave the time is that of a tile. */
    assert_near(gpu_grouped_gemm_tile_seconds(&gpu, PRECISION_BF16, &tile, rows + 3, 1, 64, 4096),
                3e-6 + tile_s, 1e-9 * tile_s);
    tile.traffic = 0.5; /* of 400 tiles x 128 rows and columns x 4096 x 2 bytes */
    assert_near(gpu_grouped_gemm_tile_seconds(&gpu, PRECISION_BF16, &tile, rows, 4, n, 4096),
                3e-6 + 4 * tile_s + 0.5 * 400 * 128 * 4096 * 2 / 1e15, 1e-9 * tile_s);
    assert_near(gpu_grouped_gemm_tile_seconds(&gpu, PRECISION_BF16, &tile, rows + 1, 1, n, 4096), 0,
                0);
}

/* Operands that come in 8 bits cost neither the second launch nor the bytes of quantising. */
static void quantised_operands(void **state)
{
    (void)state;
    const GpuSpec gpu = shipped_gpu("h100-sxm");
    const GpuSpec given = gpu_with_quantised_operands(&gpu);
    const double quantise_s = gpu.gemm_fp8.quantise_cost * 8192 * 8192 / gpu.memory_bytes_per_s;
    assert_near(gpu_gemm_seconds(&gpu, PRECISION_FP8, 8192, 8192, 8192) -
                    gpu_gemm_seconds(&given, PRECISION_FP8, 8192, 8192, 8192),
                gpu.gemm_fp8.launch_s - gpu.gemm_bf16.launch_s + quantise_s, 1e-12);
    assert_near(gpu_gemm_seconds(&given, PRECISION_BF16, 8192, 8192, 8192),
                gpu_gemm_seconds(&gpu, PRECISION_BF16, 8192, 8192, 8192), 0);
}

static void memory_bound(void **state)
{
    (void)state;
    const GpuSpec gpu = {
        .memory_bytes_per_s = 2e12, .stream_efficiency = 0.5, .elementwise_launch_s = 2e-6};
    assert_near(gpu_memory_bound_seconds(&gpu, 1e9), 2e-6 + 1e-3, 1e-12);
    assert_near(gpu_memory_bound_seconds(&gpu, 0), 0, 0);
}

/* What a product in fp8 takes for quantising its rows, and nothing in other precisions. */
static void quantisation(void **state)
{
    (void)state;
    const GpuSpec gpu = shipped_gpu("h100-sxm");
    const double kernels_s = gpu.gemm_fp8.launch_s - gpu.gemm_bf16.launch_s;
    const double bytes = gpu.gemm_fp8.quantise_cost * 4096 * 8192;
    const double seconds = gpu_quantise_seconds(&gpu, PRECISION_FP8, 4096, 8192);
    assert_near(seconds, kernels_s + bytes / gpu.memory_bytes_per_s, 1e-12);
    assert_true(seconds < gpu_gemm_seconds(&gpu, PRECISION_FP8, 4096, 8192, 8192));
    assert_near(gpu_quantise_seconds(&gpu, PRECISION_BF16, 4096, 8192), 0, 0);
    assert_near(gpu_quantise_seconds(&gpu, PRECISION_FP8, 0, 8192), 0, 0);
    const GpuSpec older = shipped_gpu("a100-sxm-80g");
    assert_near(gpu_quantise_seconds(&older, PRECISION_FP8, 4096, 8192), 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_full_wave_in_closed_form),
        cmocka_unit_test(limits),
        cmocka_unit_test(precisions),
        cmocka_unit_test(quantisation),
        cmocka_unit_test(four_bits),
        cmocka_unit_test(grouped),
        cmocka_unit_test(one_tile),
        cmocka_unit_test(quantised_operands),
        cmocka_unit_test(memory_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
