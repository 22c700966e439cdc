#include "hw/stored_weights.h"

#include "hw/gemm.h"

static const double wide_bytes = 2;

static int runs_narrow(const GpuSpec *gpu, Precision stored, const WeightFormat *format)
{
    if (format->products == PRODUCTS_WIDE)
        return 0;
    return (stored == PRECISION_FP8 && gpu->peak_fp8_flops_per_s > 0) ||
           (stored == PRECISION_INT8 && gpu->peak_int8_flops_per_s > 0);
}

static int is_wide(Precision stored)
{
    return stored == PRECISION_BF16 || stored == PRECISION_FP16 || stored == PRECISION_FP32;
}

StoredWeights gpu_stored_weights(const GpuSpec *gpu, Precision stored, double bytes,
                                 const WeightFormat *format)
{
    StoredWeights weights = {.products = stored, .bytes = bytes, .rate = 1, .read = 1};
    if (is_wide(stored) || runs_narrow(gpu, stored, format))
        return weights;
    weights.products = PRECISION_BF16;
    weights.widened = 1;
    if (format->wide_rate > 0)
        weights.rate = format->wide_rate;
    if (format->wide_read > 0)
        weights.read = format->wide_read;
    weights.unpack_tokens = format->unpack_tokens;
    return weights;
}

static int is_unpacked(const StoredWeights *weights, double m)
{
    return weights->widened && weights->unpack_tokens > 0 && m >= weights->unpack_tokens;
}

/* Reading at a share of the bandwidth is reading so many more bytes. */
static GemmMachine fused_machine(const GpuSpec *gpu, const StoredWeights *weights)
{
    GemmMachine machine = gemm_machine(gpu, PRECISION_INT4);
    machine.weight_bytes = weights->bytes / weights->read;
    machine.sm_flops_per_s *= weights->rate;
    return machine;
}

double stored_gemm_seconds(const GpuSpec *gpu, const StoredWeights *weights, double m, double n,
                           double k)
{
    if (is_unpacked(weights, m))
        return gpu_memory_bound_seconds(gpu, (weights->bytes + wide_bytes) * n * k) +
               gpu_gemm_seconds(gpu, PRECISION_BF16, m, n, k);
    if (weights->widened)
        return stored_grouped_gemm_seconds(gpu, weights, &m, 1, n, k);
    return gpu_gemm_seconds(gpu, weights->products, m, n, k);
}

double stored_grouped_gemm_seconds(const GpuSpec *gpu, const StoredWeights *weights,
                                   const double *rows, size_t experts, double n, double k)
{
    if (!weights->widened)
        return gpu_grouped_gemm_seconds(gpu, weights->products, rows, experts, n, k);
    const GemmMachine machine = fused_machine(gpu, weights);
    return gemm_machine_seconds(&machine, rows, experts, n, k);
}

double stored_traffic_bytes(const StoredWeights *weights, double m)
{
    return weights->bytes + (is_unpacked(weights, m) ? 2 * wide_bytes : 0);
}

double stored_read_seconds(const GpuSpec *gpu, const StoredWeights *weights, double bytes)
{
    const GemmMachine machine = gemm_machine(gpu, weights->products);
    return bytes / (weights->read * machine.memory_bytes_per_s);
}

double gpu_served_peak_flops_per_s(const GpuSpec *gpu, const ServingSpec *serving)
{
    const Precision stored = serving->weight_precision;
    const int narrow = runs_narrow(gpu, stored, &serving->weights);
    return gpu_peak_flops_per_s(gpu, narrow ? stored : PRECISION_BF16);
}
