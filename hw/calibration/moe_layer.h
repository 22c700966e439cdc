/* The reference mixture-of-experts layer that calibration measures: what every implementation
 * computes, in one interface.
 *
 * Forward, for T tokens x[T, D], E experts, k experts a token, F the width of an expert:
 *   logits[t, e]  = x[t, :] . router[e, :] + router_bias[e]
 *   chosen        = the k largest logits of a token, ties to the lower expert
 *   weight[t, j]  = softmax over the k chosen logits (as Mixtral: top-k before the softmax)
 *   copy (t, j)   takes the next row of its expert, in the order of t * k + j; under a capacity
 *                 factor c an expert takes the first C = ceil(c T k / E) copies and drops the rest
 *   plain MLP:  h = gelu(x w_in[e]^T), gelu(z) = z Phi(z) exactly       w_in  [E, F, D]
 *   gated MLP:  h = silu(x w_gate[e]^T) * (x w_up[e]^T)                 w_in  [E, 2 F, D], gate
 * first y[t, :]     = sum over the kept copies of weight[t, j] * h w_out[e]^T   w_out [E, D, F]
 *   aux_loss    = aux_weight * E * sum_e f_e P_e; f_e the share of the T k copies that chose e
 *                 (before drops), P_e the mean over tokens of the softmax over all E logits
 *                 (Switch Transformer, Fedus et al. 2021, eq. 4-6)
 * Backward, for the loss  sum(y * dy) + aux_loss:  dx, d_router, d_w_in, d_w_out. The choice of
 * experts and f_e are constants in it. An expert without a copy has zero gradients.
 *
 * Matrices are row-major. Inputs are floats that the shape's dtype can hold exactly
 * (moe_round_to_dtype); an implementation computes in its own precision. Outputs are doubles
 * whatever they were computed in.
 */
#ifndef HW_CALIBRATION_MOE_LAYER_H
#define HW_CALIBRATION_MOE_LAYER_H

#include "configs/reader/error.h"

#include <stddef.h>
#include <stdint.h>

/* Bounds that the kernels rely on: one warp sorts a token's choices, one block its experts. */
enum { MOE_MAX_EXPERTS = 1024, MOE_MAX_TOP_K = 32 };

/* No tensor of a layer may have more elements: byte offsets then fit in 64 bits with room. */
#define MOE_MAX_ELEMENTS ((size_t)1 << 36)

typedef enum MoeDtype { MOE_FP32, MOE_BF16, MOE_FP16, MOE_DTYPES } MoeDtype;
extern const char *const MOE_DTYPE_NAMES[MOE_DTYPES];

typedef struct MoeShape {
    size_t tokens, hidden, ffn, experts, top_k;
    int gated;
    double capacity_factor; /* 0: dropless */
    double aux_weight;
    MoeDtype dtype;
} MoeShape;

typedef struct MoeInputs {
    const float *x;           /* [T, D] */
    const float *router;      /* [E, D] */
    const float *router_bias; /* [E]; what skews the load */
    const float *w_in;        /* [E, F or 2 F, D] */
    const float *w_out;       /* [E, D, F] */
    const float *dy;          /* [T, D]; NULL: forward only */
} MoeInputs;

/* Where results go; a NULL pointer is not wanted. When dy is given, the four gradients must all
 * have a place. */
typedef struct MoeOutputs {
    double *y;                /* [T, D] */
    double *dx;               /* [T, D] */
    double *d_router;         /* [E, D] */
    double *d_w_in, *d_w_out; /* as w_in and w_out */
    uint32_t *expert_of;      /* [T, k], best first */
    double *weight_of;        /* [T, k] */
    size_t *copies_of;        /* [E], before drops */
    double aux_loss;
    size_t dropped; /* copies beyond their expert's capacity */
} MoeOutputs;

/* Stages that are timed apart. `sync` is what the host waits for the loads, where it must. */
typedef enum MoeStage {
    MOE_STAGE_ROUTER,
    MOE_STAGE_TOP_K,
    MOE_STAGE_SORT,
    MOE_STAGE_SYNC,
    MOE_STAGE_PERMUTE,
    MOE_STAGE_GEMM_IN,
    MOE_STAGE_ACTIVATION,
    MOE_STAGE_GEMM_OUT,
    MOE_STAGE_COMBINE,
    MOE_STAGE_BACKWARD,
    MOE_STAGES
} MoeStage;
extern const char *const MOE_STAGE_NAMES[MOE_STAGES];

typedef struct MoeStageTimes {
    double seconds[MOE_STAGES];
} MoeStageTimes;

/* STATUS_INVALID, naming the value, when a dimension is zero, top_k exceeds experts, a bound above
 * is passed, a product overflows, or the factors are not finite and non-negative. Zero tokens are
 * refused: there is nothing to measure. */
Status moe_shape_check(const MoeShape *shape, Error *error);

/* Elements of each tensor of a checked shape. */
size_t moe_w_in_rows(const MoeShape *shape); /* F or 2 F */
size_t moe_w_in_elements(const MoeShape *shape);
size_t moe_w_out_elements(const MoeShape *shape);

/* Bytes of the inputs, outputs and workspace of the C reference, all together. */
double moe_reference_bytes(const MoeShape *shape);

/* C of the header's comment; T k when dropless. */
size_t moe_capacity(const MoeShape *shape);

/* The nearest value that the dtype holds, ties to even; values beyond fp16's range become
 * infinite. */
float moe_round_to_dtype(float value, MoeDtype dtype);

/* What fails at run time: STATUS_INVALID "logit of token 3, expert 5 is not a number" (or
 * infinite), STATUS_ENVIRONMENT without memory. `times` may be NULL. */
typedef Status (*MoeRun)(const MoeShape *shape, const MoeInputs *inputs, MoeOutputs *outputs,
                         MoeStageTimes *times, Error *error);

/* The definition: plain loops in double precision, straight from the formulas above. */
Status moe_reference_run(const MoeShape *shape, const MoeInputs *inputs, MoeOutputs *outputs,
                         MoeStageTimes *times, Error *error);

#endif
