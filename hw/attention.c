#include "hw/attention.h"

#include <math.h>

/* FLOPs of the parts of fused attention, in units of the forward's two products: the backward makes
 * five (Dao 2023, section 2.3: it computes the scores again). */
static const double backward_over_forward = 5.0 / 2;

/* The kernel asked for, else the newest older one that the GPU has, else the oldest newer one. */
static const AttentionFit *available(const GpuSpec *gpu, AttentionKernel kernel)
{
    const AttentionFit *const by_age[] = {&gpu->attention_unfused, &gpu->attention_flash1,
                                          &gpu->attention_flash2, &gpu->attention_flash3};
    const int count = (int)(sizeof by_age / sizeof by_age[0]);
    for (int i = (int)kernel; i >= 0; i--)
        if (by_age[i]->flops_per_s > 0)
            return by_age[i];
    for (int i = (int)kernel + 1; i < count; i++)
        if (by_age[i]->flops_per_s > 0)
            return by_age[i];
    return NULL;
}

/* The fits in configs/hw are of heads this wide. */
static const double fitted_head_dim = 128;

/* Tensor cores take operands whose rows are a multiple of this; queries, keys and values of unfused
 * attention have rows of a head's width. Fused kernels load tiles and pad them. */
static const double aligned_bytes = 16, element_bytes = 2;

/* Time of a head of another width, against FLOPs in proportion. Fused kernels take their time for
 * FLOPs. Unfused attention writes and reads the scores, whose bytes do not depend on the width;
 * only its products do, over the whole square, twice the FLOPs that causal attention counts. */
static double by_head_width(const GpuSpec *gpu, const AttentionFit *fit, double head_dim)
{
    if (fit != &gpu->attention_unfused)
        return 1;
    const double efficiency = gpu->gemm_bf16.compute_efficiency;
    const double peak = gpu->peak_bf16_flops_per_s;
    const double products = fmin(1, 2 * fit->flops_per_s / (efficiency * peak));
    const int unaligned = fmod(head_dim * element_bytes, aligned_bytes) != 0;
    const double slower =
        unaligned && gpu->unaligned_flops_per_s > 0 ? peak / gpu->unaligned_flops_per_s : 1;
    return products * slower + (1 - products) * fitted_head_dim / head_dim;
}

double gpu_attention_forward_seconds(const GpuSpec *gpu, AttentionKernel kernel, double batch,
                                     double length, double heads, double head_dim)
{
    if (batch <= 0 || length <= 0 || heads <= 0 || head_dim <= 0)
        return 0;
    /* QK^T and PV, 2 FLOPs each for every pair of tokens and channel, half of them masked. */
    const double flops = 2 * batch * length * length * heads * head_dim;
    const AttentionFit *fit = available(gpu, kernel);
    if (fit == NULL)
        return flops / gpu->peak_bf16_flops_per_s;
    return flops * (length + fit->half_length) / (fit->flops_per_s * length) *
           by_head_width(gpu, fit, head_dim);
}

double gpu_attention_backward_seconds(const GpuSpec *gpu, AttentionKernel kernel, double batch,
                                      double length, double heads, double head_dim)
{
    return backward_over_forward *
           gpu_attention_forward_seconds(gpu, kernel, batch, length, heads, head_dim);
}

static double decode_compute_s(const GpuSpec *gpu, const DecodeAttention *decode)
{
    const double flops = 2 * decode->sequences * decode->heads * decode->context *
                         (decode->key_dim + decode->value_dim);
    const double product_flops_per_s =
        gpu->gemm_bf16.compute_efficiency * gpu->peak_bf16_flops_per_s;
    if (decode->latent)
        return flops /
               (gpu->decode_flops_per_s > 0 ? gpu->decode_flops_per_s : product_flops_per_s);
    if (decode->by_query_head && gpu->decode_pairs_per_s > 0)
        return decode->sequences * decode->heads * decode->context / gpu->decode_pairs_per_s;
    return 0;
}

double gpu_decode_seconds(const GpuSpec *gpu, const DecodeAttention *decode)
{
    if (decode->sequences <= 0 || decode->context <= 0)
        return 0;
    const double rows = decode->sequences * (decode->latent ? 1 : decode->kv_heads);
    const double elements = decode->latent ? decode->key_dim : decode->key_dim + decode->value_dim;
    const double bytes = rows * decode->context * elements * decode->kv_element_bytes;
    const double memory_s = bytes / (gpu->memory_bytes_per_s * gpu->decode_memory_efficiency);
    const double blocks_s = rows / gpu->sms * gpu->decode_block_s;
    const double compute_s = decode_compute_s(gpu, decode);
    const double largest = fmax(compute_s, fmax(memory_s, blocks_s));
    const double p = gpu->decode_exponent;
    return gpu->decode_launch_s +
           largest * pow(pow(memory_s / largest, p) + pow(blocks_s / largest, p) +
                             pow(compute_s / largest, p),
                         1 / p);
}

double gpu_attention_decode_seconds(const GpuSpec *gpu, double sequences, double context,
                                    double kv_heads, double heads, double head_dim,
                                    double kv_element_bytes)
{
    const DecodeAttention decode = {.sequences = sequences,
                                    .context = context,
                                    .kv_heads = kv_heads,
                                    .heads = heads,
                                    .key_dim = head_dim,
                                    .value_dim = head_dim,
                                    .kv_element_bytes = kv_element_bytes};
    return gpu_decode_seconds(gpu, &decode);
}
