/* A MoE layer on one GPU: by hand, and limits that no layer can beat. Published timings:
 * test_kernel_moe.c. */
#include "tests/unit/shipped.h"

#include "hw/gemm.h"
#include "hw/moe_layer.h"

/* With neutral constants the layer is its two grouped products and the bytes beside them. */
static void by_hand(void **state)
{
    (void)state;
    const GpuSpec gpu = shipped_gpu("h100-sxm");
    MoeLayerFit fit = {.launch_s = 20e-6,
                       .compute_efficiency = 1,
                       .memory_efficiency = 1,
                       .overlap_exponent = gpu.gemm_bf16.overlap_exponent};
    MoeLayerShape shape = {
        .precision = PRECISION_BF16, .tokens = 4096, .hidden = 4096, .inter = 1536, .gated = 1};
    const double rows[] = {700, 0, 33, 1500};
    const double up = gpu_grouped_gemm_seconds(&gpu, PRECISION_BF16, rows, 4, 3072, 4096);
    const double down = gpu_grouped_gemm_seconds(&gpu, PRECISION_BF16, rows, 4, 4096, 1536);
    assert_near(gpu_moe_layer_seconds(&gpu, &fit, &shape, rows, 4), 20e-6 + up + down, 1e-12);

    fit.row_passes = 2;
    fit.token_passes = 0.5;
    const double bytes = 2 * 2 * 2233.0 * (2 * 4096 + 3 * 1536) + 0.5 * 2 * 2 * 4096.0 * 4096;
    assert_near(gpu_moe_layer_seconds(&gpu, &fit, &shape, rows, 4),
                20e-6 + up + down + bytes / gpu.memory_bytes_per_s, 1e-12);

    /* Without a gate: one product into the expert, and less to move. */
    shape.gated = 0;
    fit.row_passes = fit.token_passes = 0;
    const double plain = gpu_grouped_gemm_seconds(&gpu, PRECISION_BF16, rows, 4, 1536, 4096);
    assert_near(gpu_moe_layer_seconds(&gpu, &fit, &shape, rows, 4), 20e-6 + plain + down, 1e-12);

    /* No kernels, or nothing routed here. */
    assert_near(gpu_moe_layer_seconds(&gpu, &fit, &shape, rows + 1, 1), 0, 0);
    fit.launch_s = 0;
    assert_near(gpu_moe_layer_seconds(&gpu, &fit, &shape, rows, 4), 0, 0);
}

/* A kernel that keeps to its tile pads every expert to it, and to the small one while tokens are
 * few. */
static void tiles(void **state)
{
    (void)state;
    const GpuSpec gpu = shipped_gpu("a100-sxm-80g");
    const MoeLayerFit *fit = &gpu.moe_triton_bf16;
    assert_near(fit->tile_rows, 64, 0);
    MoeLayerShape shape = {
        .precision = PRECISION_BF16, .tokens = 256, .hidden = 4096, .inter = 1536, .gated = 1};
    double ones[128], full[128];
    for (size_t i = 0; i < 128; i++) {
        ones[i] = 32;
        full[i] = 64;
    }
    MoeLayerFit compute = *fit;
    compute.overlap_exponent = 100; /* the maximum of the two times */
    compute.memory_efficiency = 1000;
    const double half = gpu_moe_layer_seconds(&gpu, &compute, &shape, ones, 128);
    assert_near(gpu_moe_layer_seconds(&gpu, &compute, &shape, full, 128), half, 1e-6 * half);
    shape.tokens = 128; /* 16-row tiles: 32 rows take half as many as 64 */
    assert_true(gpu_moe_layer_seconds(&gpu, &compute, &shape, ones, 128) <
                0.6 * gpu_moe_layer_seconds(&gpu, &compute, &shape, full, 128));
}

/* No layer beats the peak or the reading of its experts, and none gets faster by more rows. */
static void limits(void **state)
{
    (void)state;
    const GpuSpec gpu = shipped_gpu("h100-sxm");
    const struct {
        const MoeLayerFit *fit;
        Precision precision;
        double peak, bytes;
    } kernels[] = {
        {&gpu.moe_cutlass_bf16, PRECISION_BF16, gpu.peak_bf16_flops_per_s, 2},
        {&gpu.moe_cutlass_fp8, PRECISION_FP8, gpu.peak_fp8_flops_per_s, 1},
        {&gpu.moe_cutlass_fp8_block, PRECISION_FP8, gpu.peak_fp8_flops_per_s, 1},
        {&gpu.moe_triton_bf16, PRECISION_BF16, gpu.peak_bf16_flops_per_s, 2},
        {&gpu.moe_triton_tuned_bf16, PRECISION_BF16, gpu.peak_bf16_flops_per_s, 2},
    };
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++)
        for (double inter = 256; inter <= 16384; inter *= 8)
            for (size_t experts = 1; experts <= 128; experts *= 2) {
                double before = 0;
                for (double each = 1; each <= 16384; each *= 4) {
                    const MoeLayerShape shape = {.precision = kernels[i].precision,
                                                 .tokens = 1e5,
                                                 .hidden = 4096,
                                                 .inter = inter,
                                                 .gated = 1};
                    double rows[128];
                    for (size_t e = 0; e < experts; e++)
                        rows[e] = each;
                    const double seconds =
                        gpu_moe_layer_seconds(&gpu, kernels[i].fit, &shape, rows, experts);
                    const double weights = 3.0 * 4096 * inter * (double)experts;
                    assert_true(seconds > 2 * weights * each / kernels[i].peak);
                    assert_true(seconds > weights * kernels[i].bytes / gpu.memory_bytes_per_s);
                    assert_true(seconds >= before);
                    before = seconds;
                }
            }
}

/* A layer that was measured whole, by hand: two rows of tiles, half of the tokens in the cache. */
static void whole_by_hand(void **state)
{
    (void)state;
    const MoeTiles tiles = {.rows = 64, .columns = 32, .few_rows = 16, .cache_bytes = 1e5};
    const MoeLayerShape shape = {.tokens = 1000, .hidden = 100, .inter = 48, .gated = 1};
    assert_near(moe_tiled_rows(&tiles, 1000, 4, 65), 128, 0);
    assert_near(moe_tiled_rows(&tiles, 4, 4, 17), 32, 0);
    assert_near(moe_tiled_rows(&(MoeTiles){0}, 4, 4, 17), 17, 0);
    const MoeLayerWork work = moe_layer_work(&shape, &tiles, 1, 2000, 2048, 3);
    assert_near(work.flops, 2.0 * 2048 * 100 * (96 + 48), 0);
    assert_near(work.bytes, 3.0 * 100 * (96 + 48), 0);
    assert_near(work.moved_bytes, 2 * 2000.0 * (4 * 100 + 2 * 96 + 2 * 48) + 4 * 1000.0 * 100, 0);
    /* 2e5 bytes of tokens, of which 1e5 stay; 96 / 32 columns of tiles read 4e5 bytes of rows */
    assert_near(work.reread_bytes, 0.5 * 4e5 * 3, 1e-6);
    MeasuredLayerKernels layer = {.products = {.launch_s = 1,
                                               .bytes_per_s = 1e3,
                                               .flops_per_s = 1e6,
                                               .overlap_exponent = 1,
                                               .element_bytes = 1},
                                  .tiles = tiles};
    const double products_s = 1 + work.bytes / 1e3 + work.flops / 1e6;
    assert_near(gpu_whole_layer_seconds(&layer, &work), products_s + work.moved_bytes / 1e3, 1e-9);
    layer.moved_bytes_per_s = 1e2;
    layer.reread_share = 0.25;
    assert_near(gpu_whole_layer_seconds(&layer, &work),
                products_s + work.moved_bytes / 1e2 + 0.25 * work.reread_bytes / 1e3, 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(tiles),
        cmocka_unit_test(whole_by_hand),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
