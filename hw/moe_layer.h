/* Time of one MoE layer on one GPU: the experts that it holds, for the tokens that are routed to
 * them. What goes between GPUs (dispatch, combine) is not in it. Form and constants: fits to
 * published kernel timings, see configs/hw. */
#ifndef HW_MOE_LAYER_H
#define HW_MOE_LAYER_H

#include "configs/reader/scenario.h"

typedef struct MoeLayerShape {
    Precision precision; /* of the products; activations are moved in 16 bits */
    double tokens;       /* that the layer is given, whoever's experts they go to */
    double hidden;
    double inter; /* width of an expert on this GPU */
    int gated;    /* two products into the expert */
} MoeLayerShape;

/* t = launch + up + down + (row_passes * R (2 hidden + 3 inter) 2 + token_passes * 4 T hidden) / BW
 *
 * up and down are gpu_grouped_gemm_seconds of rows[e] rows of each expert e < experts, with the
 * layer's own efficiencies and overlap exponent, or by the tile that its kernels keep to; R is the
 * sum of rows, T the tokens; without a gate 2 inter instead of 3. 8-bit operands come quantised:
 * token_passes has that. 0 when the GPU has no such kernels (launch 0) or no rows. */
double gpu_moe_layer_seconds(const GpuSpec *gpu, const MoeLayerFit *fit, const MoeLayerShape *shape,
                             const double *rows, size_t experts);

/* What a layer that is measured or published whole has to do:
 *
 *   flops         of the products, of every row of their tiles, full or not
 *   bytes         weights of the experts that have rows
 *   moved_bytes   by the other kernels, one after another: rows written, read, written by the
 * second product and read by the combination; the first product's results and the activation's
 * written and read; tokens in and out reread_bytes  tiles of the first product read the tokens once
 * for each column of tiles; the share of them that a cache of C bytes cannot hold, 1 - C / (T
 * hidden 2), comes from the memory each time (0: the kernels choose their tiles)
 */
typedef struct MoeLayerWork {
    double flops, bytes, moved_bytes, reread_bytes;
} MoeLayerWork;

/* `rows` in all, `tiled_rows` with those that fill the tiles, on `touched` experts. */
MoeLayerWork moe_layer_work(const MoeLayerShape *shape, const MoeTiles *tiles, double element_bytes,
                            double rows, double tiled_rows, double touched);

/* Rows of one expert with those that fill its last tile. */
double moe_tiled_rows(const MoeTiles *tiles, double tokens, double experts, double rows);

/* t = launch + ((bytes / B)^q + (flops / P)^q)^(1/q) + moved / M + reread_share * reread / B */
double gpu_whole_layer_seconds(const MeasuredLayerKernels *layer, const MoeLayerWork *work);

/* A layer of a device with a profile (GpuSpec.calibration), from the parts that were measured one
 * by one: router, permutation, two grouped products, activation, combination; in the backward pass
 * each product twice more (for its inputs and its weights), and the rest by what it moves. */
typedef struct MeasuredLayer {
    double tokens, hidden, inter;
    int gated, backward;
} MeasuredLayer;

/* rows[e] of each expert. 0 when the profile lacks a part or there are no rows. */
double gpu_measured_layer_seconds(const CalibrationSpec *profile, const MeasuredLayer *layer,
                                  const double *rows, size_t experts);

#endif
