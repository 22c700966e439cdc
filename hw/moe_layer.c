#include "hw/moe_layer.h"

#include "hw/gemm.h"

static const double activation_bytes = 2;

/* The GPU as the layer's grouped products see it. */
static GpuSpec grouped_gpu(const GpuSpec *gpu, const MoeLayerFit *layer, Precision precision)
{
    GpuSpec grouped = *gpu;
    GemmFit *fit = &grouped.gemm_bf16;
    if (precision == PRECISION_FP8 && gpu->gemm_fp8.compute_efficiency > 0) {
        grouped = gpu_with_quantised_operands(gpu);
        fit = &grouped.gemm_fp8;
    }
    fit->compute_efficiency *= layer->compute_efficiency;
    fit->memory_efficiency *= layer->memory_efficiency;
    fit->overlap_exponent = layer->overlap_exponent;
    return grouped;
}

/* One grouped product of the layer, by the tiles of its kernels. */
static double grouped_seconds(const GpuSpec *grouped, const MoeLayerFit *fit,
                              const MoeLayerShape *shape, const double *rows, size_t experts,
                              double n, double k)
{
    const int few = shape->tokens <= (double)experts && fit->few_tile_rows > 0;
    const GemmTile tile = {.rows = few ? fit->few_tile_rows : fit->tile_rows,
                           .columns = few ? fit->few_tile_columns : fit->tile_columns,
                           .traffic = fit->tile_traffic};
    if (tile.rows > 0 && tile.columns > 0)
        return gpu_grouped_gemm_tile_seconds(grouped, shape->precision, &tile, rows, experts, n, k);
    return gpu_grouped_gemm_seconds(grouped, shape->precision, rows, experts, n, k);
}

double gpu_moe_layer_seconds(const GpuSpec *gpu, const MoeLayerFit *fit, const MoeLayerShape *shape,
                             const double *rows, size_t experts)
{
    double all_rows = 0;
    for (size_t expert = 0; expert < experts; expert++)
        all_rows += rows[expert] > 0 ? rows[expert] : 0;
    if (!(fit->launch_s > 0) || !(all_rows > 0))
        return 0;
    const GpuSpec grouped = grouped_gpu(gpu, fit, shape->precision);
    const double products_s =
        grouped_seconds(&grouped, fit, shape, rows, experts, (shape->gated ? 2 : 1) * shape->inter,
                        shape->hidden) +
        grouped_seconds(&grouped, fit, shape, rows, experts, shape->hidden, shape->inter);
    const double row_width = 2 * shape->hidden + (shape->gated ? 3 : 2) * shape->inter;
    const double moved_bytes =
        activation_bytes * (fit->row_passes * all_rows * row_width +
                            fit->token_passes * 2 * shape->tokens * shape->hidden);
    return fit->launch_s + products_s + moved_bytes / gpu->memory_bytes_per_s;
}
