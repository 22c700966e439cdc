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
