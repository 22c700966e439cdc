#include "hw/moe_layer.h"

#include "hw/gemm.h"

#include <math.h>

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

double moe_tiled_rows(const MoeTiles *tiles, double tokens, double experts, double rows)
{
    const int few = tokens <= experts && tiles->few_rows > 0;
    const double height = few ? tiles->few_rows : tiles->rows;
    return height > 0 ? height * ceil(rows / height) : rows;
}

MoeLayerWork moe_layer_work(const MoeLayerShape *shape, const MoeTiles *tiles, double element_bytes,
                            double rows, double tiled_rows, double touched)
{
    const double in = (shape->gated ? 2 : 1) * shape->inter;
    const double weights = shape->hidden * (in + shape->inter);
    const double tokens_bytes = activation_bytes * shape->tokens * shape->hidden;
    const double missed = tokens_bytes > 0 ? fmax(0, 1 - tiles->cache_bytes / tokens_bytes) : 0;
    const int tiled = tiles->rows > 0 && tiles->columns > 0 && tiles->cache_bytes > 0;
    return (MoeLayerWork){
        .flops = 2 * tiled_rows * weights,
        .bytes = element_bytes * touched * weights,
        .moved_bytes = activation_bytes * rows * (4 * shape->hidden + 2 * in + 2 * shape->inter) +
                       2 * tokens_bytes,
        .reread_bytes =
            tiled ? missed * activation_bytes * rows * shape->hidden * in / tiles->columns : 0};
}

double gpu_whole_layer_seconds(const MeasuredLayerKernels *layer, const MoeLayerWork *work)
{
    const MeasuredKernel *products = &layer->products;
    const double moved_bytes_per_s =
        layer->moved_bytes_per_s > 0 ? layer->moved_bytes_per_s : products->bytes_per_s;
    return gpu_measured_seconds(products, work->flops, work->bytes) +
           work->moved_bytes / moved_bytes_per_s +
           layer->reread_share * work->reread_bytes / products->bytes_per_s;
}

static double measured_whole_seconds(const MeasuredLayerKernels *layer, const MoeLayerShape *shape,
                                     const double *rows, size_t experts)
{
    double all_rows = 0, tiled_rows = 0, touched = 0;
    for (size_t expert = 0; expert < experts; expert++)
        if (rows[expert] > 0) {
            all_rows += rows[expert];
            tiled_rows +=
                moe_tiled_rows(&layer->tiles, shape->tokens, (double)experts, rows[expert]);
            touched++;
        }
    const MoeLayerWork work = moe_layer_work(shape, &layer->tiles, layer->products.element_bytes,
                                             all_rows, tiled_rows, touched);
    return gpu_whole_layer_seconds(layer, &work);
}

double gpu_moe_layer_seconds(const GpuSpec *gpu, const MoeLayerFit *fit, const MoeLayerShape *shape,
                             const double *rows, size_t experts)
{
    double all_rows = 0;
    for (size_t expert = 0; expert < experts; expert++)
        all_rows += rows[expert] > 0 ? rows[expert] : 0;
    if (gpu->calibration.moe_layer.products.bytes_per_s > 0 && shape->precision != PRECISION_FP8 &&
        all_rows > 0)
        return measured_whole_seconds(&gpu->calibration.moe_layer, shape, rows, experts);
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

/* Grouped product of all experts: weights of those that have rows. */
static double measured_products_seconds(const MeasuredKernel *kernel, double rows, double touched,
                                        double n, double k)
{
    return gpu_measured_seconds(kernel, 2 * rows * n * k,
                                kernel->element_bytes * (touched * n * k + rows * (n + k)));
}

double gpu_measured_layer_seconds(const CalibrationSpec *profile, const MeasuredLayer *layer,
                                  const double *rows, size_t experts)
{
    const MeasuredKernel *activation =
        layer->gated ? &profile->activation : &profile->activation_plain;
    const MeasuredKernel *const needed[] = {&profile->moe_gemm, &profile->router, &profile->permute,
                                            &profile->combine, activation};
    double all_rows = 0, touched = 0;
    for (size_t expert = 0; expert < experts; expert++)
        if (rows[expert] > 0) {
            all_rows += rows[expert];
            touched++;
        }
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (!(needed[i]->bytes_per_s > 0) || !(all_rows > 0))
            return 0;
    const double word = profile->moe_gemm.element_bytes, tokens = layer->tokens;
    const double width = layer->hidden, inter = layer->inter, all = (double)experts;
    const double in = (layer->gated ? 2 : 1) * inter;

    const double router_s =
        gpu_measured_seconds(&profile->router, 2 * tokens * all * width,
                             word * (tokens * width + all * width + 2 * tokens * all));
    const double permute_s =
        gpu_measured_seconds(&profile->permute, 0, word * (all_rows + tokens) * width);
    const double activation_s = gpu_measured_seconds(activation, 0, word * (in + inter) * all_rows);
    const double combine_s =
        gpu_measured_seconds(&profile->combine, 0, word * (all_rows + tokens) * width);
    const double products_s =
        measured_products_seconds(&profile->moe_gemm, all_rows, touched, in, width) +
        measured_products_seconds(&profile->moe_gemm, all_rows, touched, width, inter);
    const double forward_s = router_s + permute_s + activation_s + combine_s + products_s;
    if (!layer->backward)
        return forward_s;

    /* Backward reads the incoming gradient and the rows, and writes their gradients; the
     * activation reads and writes 2 (in) + inter; gradients of experts without rows are set to 0.
     */
    const double combine_back_s =
        gpu_measured_seconds(&profile->combine, 0, word * (3 * all_rows + tokens) * width);
    const double activation_back_s =
        gpu_measured_seconds(activation, 0, word * (2 * in + inter) * all_rows);
    const double permute_back_s =
        gpu_measured_seconds(&profile->permute, 0, word * (all_rows + tokens) * width);
    const double clear_s =
        profile->copy.bytes_per_s > 0
            ? word * (all - touched) * width * (in + inter) / profile->copy.bytes_per_s
            : 0;
    return forward_s + 2 * products_s + 2 * router_s + combine_back_s + activation_back_s +
           permute_back_s + clear_s;
}
