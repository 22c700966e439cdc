#include "hw/calibration/moe_layer.h"

#include <math.h>
#include <string.h>

const char *const MOE_DTYPE_NAMES[MOE_DTYPES] = {"fp32", "bf16", "fp16"};
const char *const MOE_STAGE_NAMES[MOE_STAGES] = {
    "router",  "top_k",      "sort",     "sync",    "permute",
    "gemm_in", "activation", "gemm_out", "combine", "backward",
};

static Status check_count(const char *name, size_t value, size_t limit, Error *error)
{
    if (value >= 1 && value <= limit)
        return STATUS_OK;
    return error_set(error, STATUS_INVALID, "%s = %zu; allowed: 1..%zu", name, value, limit);
}

/* a * b * c elements, refused before anything can overflow. */
static Status check_elements(const char *name, size_t a, size_t b, size_t c, Error *error)
{
    if (a <= MOE_MAX_ELEMENTS / b && a * b <= MOE_MAX_ELEMENTS / c)
        return STATUS_OK;
    return error_set(error, STATUS_INVALID, "%s of %zu x %zu x %zu has more than %zu elements",
                     name, a, b, c, MOE_MAX_ELEMENTS);
}

Status moe_shape_check(const MoeShape *shape, Error *error)
{
    const struct {
        const char *name;
        size_t value, limit;
    } counts[] = {
        {"tokens", shape->tokens, (size_t)1 << 31}, {"hidden", shape->hidden, (size_t)1 << 24},
        {"ffn", shape->ffn, (size_t)1 << 24},       {"experts", shape->experts, MOE_MAX_EXPERTS},
        {"top_k", shape->top_k, MOE_MAX_TOP_K},
    };
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; ++i) {
        Status status = check_count(counts[i].name, counts[i].value, counts[i].limit, error);
        if (status != STATUS_OK)
            return status;
    }
    if (shape->top_k > shape->experts)
        return error_set(error, STATUS_INVALID, "top_k = %zu is more than the %zu experts",
                         shape->top_k, shape->experts);
    if (!(shape->capacity_factor >= 0 && shape->capacity_factor <= 1e6))
        return error_set(error, STATUS_INVALID,
                         "capacity_factor = %g; allowed: 0 (dropless) .. 1e6",
                         shape->capacity_factor);
    if (!(fabs(shape->aux_weight) <= 1e6))
        return error_set(error, STATUS_INVALID, "aux_weight = %g; allowed: -1e6 .. 1e6",
                         shape->aux_weight);
    if (shape->dtype < 0 || shape->dtype >= MOE_DTYPES)
        return error_set(error, STATUS_INVALID, "dtype number %d is none of fp32, bf16, fp16",
                         (int)shape->dtype);
    const size_t width = shape->hidden > 2 * shape->ffn ? shape->hidden : 2 * shape->ffn;
    Status status = check_elements("w_in", shape->experts, 2 * shape->ffn, shape->hidden, error);
    if (status == STATUS_OK)
        status = check_elements("the permuted tokens", shape->tokens, shape->top_k, width, error);
    if (status == STATUS_OK)
        status = check_elements("the logits", shape->tokens, shape->experts, 1, error);
    return status;
}

size_t moe_w_in_rows(const MoeShape *shape)
{
    return shape->gated ? 2 * shape->ffn : shape->ffn;
}

size_t moe_w_in_elements(const MoeShape *shape)
{
    return shape->experts * moe_w_in_rows(shape) * shape->hidden;
}

size_t moe_w_out_elements(const MoeShape *shape)
{
    return shape->experts * shape->hidden * shape->ffn;
}

double moe_reference_bytes(const MoeShape *shape)
{
    const double tokens = (double)shape->tokens, hidden = (double)shape->hidden;
    const double copies = tokens * (double)shape->top_k, experts = (double)shape->experts;
    const double weights =
        (double)moe_w_in_elements(shape) + (double)moe_w_out_elements(shape) + experts * hidden;
    /* Weights as floats with gradients as doubles; x, dy as floats, y, dx as doubles; logits,
     * probabilities and their gradients; choices. */
    return weights * 12 + tokens * hidden * 24 + tokens * experts * 24 + copies * 24;
}

size_t moe_capacity(const MoeShape *shape)
{
    const size_t copies = shape->tokens * shape->top_k;
    if (shape->capacity_factor <= 0)
        return copies;
    const double rows = ceil(shape->capacity_factor * (double)copies / (double)shape->experts);
    return rows >= (double)copies ? copies : (size_t)rows;
}

static float round_to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (isnan(value) || isinf(value))
        return value;
    bits += 0x7fffU + ((bits >> 16) & 1U);
    bits &= 0xffff0000U;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* fp16 has 11 bits of mantissa down to 2^-14 and steps of 2^-24 below; largest 65504. */
static float round_to_fp16(float value)
{
    const double limit = 65520, smallest_normal = 0x1p-14;
    const double magnitude = fabs((double)value);
    if (!(magnitude < limit))
        return isnan(value) ? value : copysignf(HUGE_VALF, value);
    int exponent = 0;
    if (magnitude >= smallest_normal)
        (void)frexp(magnitude, &exponent);
    const int step = magnitude >= smallest_normal ? exponent - 11 : -24;
    return copysignf((float)ldexp(nearbyint(ldexp(magnitude, -step)), step), value);
}

float moe_round_to_dtype(float value, MoeDtype dtype)
{
    static float (*const ROUND[MOE_DTYPES])(float) = {
        [MOE_BF16] = round_to_bf16,
        [MOE_FP16] = round_to_fp16,
    };
    return ROUND[dtype] != NULL ? ROUND[dtype](value) : value;
}
