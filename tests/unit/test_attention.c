/* Attention: published throughput and decode times, and the rule for kernels that a GPU lacks. */
#include "tests/unit/shipped.h"

#include "hw/attention.h"

static AttentionKernel kernel_named(const char *text)
{
    return strcmp(text, "unfused") == 0 ? ATTENTION_UNFUSED : ATTENTION_FLASH2;
}

static void published_figures(void **state)
{
    (void)state;
    struct {
        const char *gpu, *kind;
        size_t rows;
        double bound;
        ErrorSummary summary;
    } groups[] = {
        {"a100-sxm-80g", "unfused", 5, 0.02, {.name = "A100 PyTorch, forward + backward"}},
        {"a100-sxm-80g", "flash2", 6, 0.012, {.name = "A100 FlashAttention-2, forward + backward"}},
        {"h100-sxm", "flash2", 6, 0.012, {.name = "H100 FlashAttention-2, forward + backward"}},
        {"a100-sxm-80g", "decode", 80, 0.22, {.name = "A100 decode"}},
        {"h100-sxm", "decode", 80, 0.09, {.name = "H100 decode"}},
        {"h200-sxm", "decode", 80, 0.08, {.name = "H200 decode"}},
    };
    const size_t group_count = sizeof groups / sizeof groups[0];
    GpuSpec gpus[sizeof groups / sizeof groups[0]];
    for (size_t i = 0; i < group_count; i++) {
        gpus[i] = shipped_gpu(groups[i].gpu);
        /* The decode rows are isolated kernels: the upper end of the range. */
        gpus[i].decode_launch_s = gpus[i].decode_launch_s + 3e-6;
    }

    FILE *file = shipped_measurements("attention_sample.csv");
    char line[512];
    while (fgets(line, sizeof line, file) != NULL) {
        char gpu[32], kind[16];
        double sequences, length, heads, kv_heads, head_dim, measured;
        assert_int_equal(sscanf(line, "%31[^,],%15[^,],%lf,%lf,%lf,%lf,%lf,%lf", gpu, kind,
                                &sequences, &length, &heads, &kv_heads, &head_dim, &measured),
                         8);
        for (size_t i = 0; i < group_count; i++) {
            if (strcmp(gpu, groups[i].gpu) != 0 || strcmp(kind, groups[i].kind) != 0)
                continue;
            if (strcmp(kind, "decode") == 0) {
                summary_add(&groups[i].summary,
                            gpu_attention_decode_seconds(&gpus[i], sequences, length, kv_heads,
                                                         heads, head_dim, 2),
                            measured);
                continue;
            }
            /* The bars count 3.5 times the forward's causal FLOPs for forward and backward. */
            const double flops = 3.5 * 2 * sequences * length * length * heads * head_dim;
            const AttentionKernel kernel = kernel_named(kind);
            const double seconds = gpu_attention_forward_seconds(&gpus[i], kernel, sequences,
                                                                 length, heads, head_dim) +
                                   gpu_attention_backward_seconds(&gpus[i], kernel, sequences,
                                                                  length, heads, head_dim);
            summary_add(&groups[i].summary, flops / seconds / 1e12, measured);
        }
    }
    fclose(file);
    for (size_t i = 0; i < group_count; i++)
        summary_check(&groups[i].summary, groups[i].rows, groups[i].bound);
}

static void training_in_closed_form(void **state)
{
    (void)state;
    const GpuSpec gpu = {.peak_bf16_flops_per_s = 1e15,
                         .attention_flash2 = {.flops_per_s = 100e12, .half_length = 1000}};
    /* 2 x 3 sequences x 1000^2 x 8 heads x 128 = 6.144e9 FLOPs at half of 100e12. */
    assert_near(gpu_attention_forward_seconds(&gpu, ATTENTION_FLASH2, 3, 1000, 8, 128),
                6.144e9 / 50e12, 1e-15);
    assert_near(gpu_attention_backward_seconds(&gpu, ATTENTION_FLASH2, 3, 1000, 8, 128),
                2.5 * 6.144e9 / 50e12, 1e-15);
    assert_near(gpu_attention_forward_seconds(&gpu, ATTENTION_FLASH2, 0, 1000, 8, 128), 0, 0);
}

static void missing_kernels(void **state)
{
    (void)state;
    GpuSpec gpu = {.peak_bf16_flops_per_s = 1e15,
                   .attention_unfused = {.flops_per_s = 10e12},
                   .attention_flash2 = {.flops_per_s = 100e12}};
    const double flops = 2.0 * 1024 * 1024 * 128;
    /* Version 3 is not there: the newest older one. Version 1 is not there: unfused. */
    assert_near(gpu_attention_forward_seconds(&gpu, ATTENTION_FLASH3, 1, 1024, 1, 128),
                flops / 100e12, 1e-15);
    assert_near(gpu_attention_forward_seconds(&gpu, ATTENTION_FLASH1, 1, 1024, 1, 128),
                flops / 10e12, 1e-15);
    /* Nothing older: the oldest newer one; nothing at all: the peak. */
    gpu.attention_unfused.flops_per_s = 0;
    assert_near(gpu_attention_forward_seconds(&gpu, ATTENTION_UNFUSED, 1, 1024, 1, 128),
                flops / 100e12, 1e-15);
    gpu.attention_flash2.flops_per_s = 0;
    assert_near(gpu_attention_forward_seconds(&gpu, ATTENTION_UNFUSED, 1, 1024, 1, 128),
                flops / 1e15, 1e-15);
}

static void kernels_in_order_of_age(void **state)
{
    (void)state;
    const GpuSpec a100 = shipped_gpu("a100-sxm-80g");
    const GpuSpec h100 = shipped_gpu("h100-sxm");
    double before = 1e9;
    for (int kernel = ATTENTION_UNFUSED; kernel <= ATTENTION_FLASH2; kernel++) {
        const double seconds =
            gpu_attention_forward_seconds(&a100, (AttentionKernel)kernel, 1, 8192, 21, 128);
        assert_true(seconds < before);
        before = seconds;
    }
    assert_true(gpu_attention_forward_seconds(&h100, ATTENTION_FLASH3, 1, 8192, 21, 128) <
                gpu_attention_forward_seconds(&h100, ATTENTION_FLASH2, 1, 8192, 21, 128));
}

static void decode_in_closed_form(void **state)
{
    (void)state;
    const GpuSpec gpu = {.memory_bytes_per_s = 1e12,
                         .sms = 100,
                         .decode_launch_s = 10e-6,
                         .decode_memory_efficiency = 0.5,
                         .decode_block_s = 0,
                         .decode_exponent = 2};
    /* 2 x 32 sequences x 1 head x 8192 x 128 x 2 bytes at half of 1e12. */
    const double bytes = 2.0 * 32 * 8192 * 128 * 2;
    assert_near(gpu_attention_decode_seconds(&gpu, 32, 8192, 1, 21, 128, 2), 10e-6 + bytes / 0.5e12,
                1e-12);
    /* Half the bytes an element, half the time; no sequences, no time. */
    assert_near(gpu_attention_decode_seconds(&gpu, 32, 8192, 1, 21, 128, 1), 10e-6 + bytes / 1e12,
                1e-12);
    assert_near(gpu_attention_decode_seconds(&gpu, 0, 8192, 1, 21, 128, 2), 0, 0);

    const GpuSpec a100 = shipped_gpu("a100-sxm-80g");
    for (double context = 64; context < 40000; context *= 2)
        assert_true(gpu_attention_decode_seconds(&a100, 64, 2 * context, 1, 21, 128, 2) >
                    gpu_attention_decode_seconds(&a100, 64, context, 1, 21, 128, 2));
}

/* Scores do not grow with the head's width: twice the width costs unfused attention what its
 * products take more, here 2 x 35.1 / (0.8349 x 312) = 27% of it at a width of 128. Fused kernels
 * take their time for FLOPs. */
static void head_width(void **state)
{
    (void)state;
    const GpuSpec gpu = shipped_gpu("a100-sxm-80g");
    const double narrow = gpu_attention_forward_seconds(&gpu, ATTENTION_UNFUSED, 1, 2048, 16, 128);
    const double wide = gpu_attention_forward_seconds(&gpu, ATTENTION_UNFUSED, 1, 2048, 16, 256);
    assert_near(wide / narrow, 1 + 2 * 35.1 / (0.8349 * 312), 1e-9);
    const double fused = gpu_attention_forward_seconds(&gpu, ATTENTION_FLASH2, 1, 2048, 16, 128);
    assert_near(gpu_attention_forward_seconds(&gpu, ATTENTION_FLASH2, 1, 2048, 16, 256), 2 * fused,
                1e-12 * fused);
}

/* Rows of 108 elements are 216 bytes, no multiple of 16: the products leave the tensor cores, 312 /
 * 19.5 = 16 times slower, and the bytes of the scores stay. Where the rate is not known, and in
 * fused kernels, nothing happens. */
static void unaligned_heads(void **state)
{
    (void)state;
    GpuSpec gpu = shipped_gpu("a100-sxm-80g");
    const double products = 2 * 35.1 / (0.8349 * 312), width = 108;
    const double of_128 = gpu_attention_forward_seconds(&gpu, ATTENTION_UNFUSED, 1, 2048, 16, 128);
    const double odd = gpu_attention_forward_seconds(&gpu, ATTENTION_UNFUSED, 1, 2048, 16, width);
    assert_near(odd / of_128, products * (312 / 19.5) * width / 128 + (1 - products), 1e-9);
    const double even = gpu_attention_forward_seconds(&gpu, ATTENTION_UNFUSED, 1, 2048, 16, 104);
    assert_true(even < of_128);
    const double fused = gpu_attention_forward_seconds(&gpu, ATTENTION_FLASH2, 1, 2048, 16, 128);
    assert_near(gpu_attention_forward_seconds(&gpu, ATTENTION_FLASH2, 1, 2048, 16, width),
                width / 128 * fused, 1e-12 * fused);
    gpu.unaligned_flops_per_s = 0;
    assert_near(gpu_attention_forward_seconds(&gpu, ATTENTION_UNFUSED, 1, 2048, 16, width) / of_128,
                products * width / 128 + (1 - products), 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_figures),     cmocka_unit_test(head_width),
        cmocka_unit_test(unaligned_heads),       cmocka_unit_test(training_in_closed_form),
        cmocka_unit_test(missing_kernels),       cmocka_unit_test(kernels_in_order_of_age),
        cmocka_unit_test(decode_in_closed_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
