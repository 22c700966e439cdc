/* The kernels around the expert products: choice of experts, counting sort of the copies, permute,
 * activation, combine, auxiliary loss, and their gradients. The formulas are those of
 * hw/calibration/moe_layer.h.
 *
 * No sum depends on the order in which threads arrive: atomics only count, so the same input gives
 * the same bits on every run.
 *
 * A copy is t * k + j; a row is a copy's place behind the sort; NO_ROW marks a copy that its
 * expert's capacity dropped. Sizes known only on the device (rows in all, rows of an expert) are
 * read from first_row[E + 1].
 */
#ifndef HW_CALIBRATION_CUDA_MOE_KERNELS_CUH
#define HW_CALIBRATION_CUDA_MOE_KERNELS_CUH

#include "hw/calibration/cuda/devport.h"

#include <float.h>
#include <math.h>

namespace moe
{

const unsigned FULL_WARP = 0xffffffffU;
const uint32_t NO_ROW = 0xffffffffU;
const unsigned long long NO_BAD_LOGIT = ~0ULL;

enum {
    WARP = 32,
    ROUTER_THREADS = 128, /* a warp a token */
    SORT_THREADS = 256,
    SORT_CHUNK = 1024, /* copies that a block of the sort counts and places */
    ROW_THREADS = 128, /* a block a row or token */
    ELEMENT_THREADS = 256,
    AUX_TOKENS = 128, /* tokens that a block of the auxiliary loss sums */
    AUX_THREADS = 256,
    EXPERTS_MAX = 1024
};

static __device__ __forceinline__ float warp_sum(float value)
{
    for (int step = WARP / 2; step > 0; step /= 2)
        value += __shfl_xor_sync(FULL_WARP, value, step);
    return value;
}

/* ------------------------------------------------------------------------------------ routing */

/* A warp a token. The experts of a token in falling order of (logit, -id): pass j takes the first
 * behind the one taken last, so no mark of what is taken is kept, and ties go to the lower id.
 * `bad` ends as the first t * E + e whose logit is not finite. */
__global__ void __launch_bounds__(ROUTER_THREADS)
    top_k_kernel(const float *bias, float *logits, uint32_t tokens, int experts, int top_k,
                 uint32_t *expert_of, float *weight_of, float *probabilities,
                 unsigned long long *bad)
{
    const int lane = (int)(threadIdx.x % WARP);
    const uint32_t t = blockIdx.x * (ROUTER_THREADS / WARP) + threadIdx.x / WARP;
    if (t >= tokens)
        return; /* whole warps leave */
    float *row = logits + (size_t)t * experts;
    for (int e = lane; e < experts; e += WARP) {
        row[e] += bias[e];
        if (!(fabsf(row[e]) <= FLT_MAX))
            atomicMin(bad, (unsigned long long)t * experts + e);
    }

    float last = HUGE_VALF, mine = -HUGE_VALF, largest = 0;
    int last_id = -1;
    for (int j = 0; j < top_k; ++j) {
        float best = -HUGE_VALF;
        int best_id = experts;
        for (int e = lane; e < experts; e += WARP) {
            const float value = row[e];
            const bool behind = value < last || (value == last && e > last_id);
            if (behind && (best_id == experts || value > best)) {
                best = value;
                best_id = e;
            }
        }
        for (int step = WARP / 2; step > 0; step /= 2) {
            const float other = __shfl_xor_sync(FULL_WARP, best, step);
            const int other_id = __shfl_xor_sync(FULL_WARP, best_id, step);
            const bool lower = PLANTED(1) ? other_id > best_id : other_id < best_id;
            if (other > best || (other == best && lower)) {
                best = other;
                best_id = other_id;
            }
        }
        if (best_id >= experts)
            best_id = experts - 1; /* only where a logit is no number: the host refuses the run */
        last = best;
        last_id = best_id;
        if (j == 0)
            largest = best;
        if (lane == j)
            mine = best;
        if (lane == 0)
            expert_of[(size_t)t * top_k + j] = (uint32_t)best_id;
    }

    const float power = lane < top_k ? expf(mine - largest) : 0.0F;
    const float sum_of_chosen = warp_sum(power);
    if (lane < top_k)
        weight_of[(size_t)t * top_k + lane] = power / sum_of_chosen;

    float sum = 0;
    for (int e = lane; e < experts; e += WARP)
        sum += expf(row[e] - largest);
    sum = warp_sum(sum);
    for (int e = lane; e < experts; e += WARP)
        probabilities[(size_t)t * experts + e] = expf(row[e] - largest) / sum;
}

/* ------------------------------------------------------------------------------- counting sort */

/* block_counts[b, e]: copies of expert e in chunk b. */
__global__ void __launch_bounds__(SORT_THREADS)
    count_kernel(const uint32_t *expert_of, uint32_t copies, int experts, uint32_t *block_counts)
{
    MOE_SHARED(unsigned, counts, EXPERTS_MAX);
    for (int e = (int)threadIdx.x; e < experts; e += SORT_THREADS)
        counts[e] = 0;
    if (!PLANTED(2))
        __syncthreads();
    const uint64_t first = (uint64_t)blockIdx.x * SORT_CHUNK;
    for (uint64_t i = first + threadIdx.x; i < first + SORT_CHUNK && i < copies; i += SORT_THREADS)
        atomicAdd(&counts[expert_of[i]], 1U);
    __syncthreads();
    for (int e = (int)threadIdx.x; e < experts; e += SORT_THREADS)
        block_counts[(size_t)blockIdx.x * experts + e] = counts[e];
}

/* Sums over threads 0..this one, in place; all threads of the block take part. */
static __device__ __forceinline__ unsigned block_scan(unsigned *values)
{
    for (unsigned step = 1; step < blockDim.x; step *= 2) {
        const unsigned before = threadIdx.x >= step ? values[threadIdx.x - step] : 0;
        if (!PLANTED(3))
            __syncthreads();
        values[threadIdx.x] += before;
        __syncthreads();
    }
    return values[threadIdx.x];
}

/* One block, a thread an expert. Turns block_counts into the copies before each chunk; first_row
 * and first_tile [E + 1] start each expert's rows and, in tiles of tile_rows, its share of a
 * grouped product. */
__global__ void __launch_bounds__(EXPERTS_MAX)
    scan_kernel(uint32_t *block_counts, uint32_t blocks, int experts, uint32_t capacity,
                uint32_t tile_rows, uint32_t *copies_of, uint32_t *first_row, uint32_t *first_tile)
{
    MOE_SHARED(unsigned, rows, EXPERTS_MAX);
    MOE_SHARED(unsigned, tiles, EXPERTS_MAX);
    const int e = (int)threadIdx.x;
    uint32_t count = 0, kept = 0;
    if (e < experts) {
        for (uint32_t b = 0; b < blocks; ++b) {
            const uint32_t here = block_counts[(size_t)b * experts + e];
            block_counts[(size_t)b * experts + e] = count;
            count += here;
        }
        copies_of[e] = count;
        kept = count < capacity ? count : capacity;
    }
    rows[e] = kept;
    tiles[e] = (kept + tile_rows - 1) / tile_rows;
    __syncthreads();
    const unsigned row_end = block_scan(rows), tile_end = block_scan(tiles);
    if (e < experts) {
        first_row[e + 1] = row_end;
        first_tile[e + 1] = tile_end;
    }
    if (e == 0)
        first_row[0] = first_tile[0] = 0;
}

/* Gives each copy its row, in the order of the copies: warps of a block take their turns, and
 * inside a warp a copy stands behind the lower lanes with the same expert. */
__global__ void __launch_bounds__(SORT_THREADS)
    place_kernel(const uint32_t *expert_of, uint32_t copies, int experts, uint32_t capacity,
                 const uint32_t *block_counts, const uint32_t *first_row, uint32_t *row_of,
                 uint32_t *copy_of)
{
    MOE_SHARED(unsigned, next, EXPERTS_MAX);
    const unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    for (int e = (int)threadIdx.x; e < experts; e += SORT_THREADS)
        next[e] = block_counts[(size_t)blockIdx.x * experts + e];
    __syncthreads();
    for (int start = 0; start < SORT_CHUNK; start += SORT_THREADS) {
        const uint64_t copy = (uint64_t)blockIdx.x * SORT_CHUNK + start + threadIdx.x;
        const bool real = copy < copies;
        const uint32_t expert = real ? expert_of[copy] : NO_ROW;
        const unsigned real_lanes = __ballot_sync(FULL_WARP, real);
        const unsigned peers = __match_any_sync(FULL_WARP, expert);
        const unsigned rank = (unsigned)__popc(peers & ((1U << lane) - 1U));
        uint32_t place = 0;
        for (unsigned turn = 0; turn < SORT_THREADS / WARP; ++turn) {
            if (warp == turn && real) {
                place = next[expert] + rank;
                __syncwarp(real_lanes); /* all have read before one writes */
                if (rank == 0)
                    next[expert] = place + (unsigned)__popc(peers);
            }
            if (!PLANTED(4))
                __syncthreads();
        }
        if (!real)
            continue; /* nothing below meets other threads before the next turn */
        const bool kept = PLANTED(9) ? place <= capacity : place < capacity;
        row_of[copy] = kept ? first_row[expert] + place : NO_ROW;
        if (kept)
            copy_of[first_row[expert] + place] = (uint32_t)copy;
    }
}

/* ------------------------------------------------------------------- rows, activation, combine */

/* rows_in[row, :] = x[t, :]; a block a row. */
template <typename T>
__global__ void __launch_bounds__(ROW_THREADS)
    permute_kernel(const Eight<T> *x, const uint32_t *copy_of, const uint32_t *rows_in_all,
                   uint32_t top_k, int eights, Eight<T> *rows_in)
{
    const uint32_t row = blockIdx.x;
    if (row >= *rows_in_all)
        return;
    const size_t t = copy_of[row] / top_k;
    for (int i = (int)threadIdx.x; i < eights; i += ROW_THREADS)
        rows_in[(size_t)row * eights + i] = x[t * eights + i];
}

static __device__ __forceinline__ float sigmoid(float z)
{
    return 1.0F / (1.0F + expf(-z));
}

/* gelu(z) = z Phi(z); the normal distribution by its error function */
static __device__ __forceinline__ float normal_below(float z)
{
    return 0.5F * erfcf(-z * 0.70710678F);
}

/* hidden = gelu(pre), or silu(gate) * up with gate rows before up rows. */
template <typename T>
__global__ void __launch_bounds__(ELEMENT_THREADS)
    activation_kernel(const Eight<T> *pre, const uint32_t *rows_in_all, int eights, bool gated,
                      Eight<T> *hidden)
{
    const size_t count = (size_t)*rows_in_all * eights;
    const size_t i = (size_t)blockIdx.x * ELEMENT_THREADS + threadIdx.x;
    if (i >= count)
        return;
    const size_t row = i / eights, column = i % eights;
    const Eight<T> z = pre[gated ? row * 2 * eights + column : i];
    Eight<T> h;
    if (gated) {
        const Eight<T> up = pre[row * 2 * eights + eights + column];
        for (int n = 0; n < 8; ++n) {
            const float gate = to_float(z.v[n]);
            h.v[n] = from_float<T>(gate * sigmoid(gate) * to_float(up.v[n]));
        }
    } else {
        for (int n = 0; n < 8; ++n)
            h.v[n] = from_float<T>(to_float(z.v[n]) * normal_below(to_float(z.v[n])));
    }
    hidden[i] = h;
}

/* silu'(z) = s (1 + z (1 - s)), s = sigmoid(z); gelu'(z) = Phi(z) + z phi(z) */
template <typename T>
__global__ void __launch_bounds__(ELEMENT_THREADS)
    activation_backward_kernel(const Eight<T> *pre, const Eight<T> *d_hidden,
                               const uint32_t *rows_in_all, int eights, bool gated, Eight<T> *d_pre)
{
    const size_t count = (size_t)*rows_in_all * eights;
    const size_t i = (size_t)blockIdx.x * ELEMENT_THREADS + threadIdx.x;
    if (i >= count)
        return;
    const size_t row = i / eights, column = i % eights;
    const size_t gate_at = gated ? row * 2 * eights + column : i, up_at = gate_at + eights;
    const Eight<T> z8 = pre[gate_at], d8 = d_hidden[i];
    Eight<T> d_gate, d_up;
    if (gated) {
        const Eight<T> up8 = pre[up_at];
        for (int n = 0; n < 8; ++n) {
            const float z = to_float(z8.v[n]), d = to_float(d8.v[n]), s = sigmoid(z);
            const float slope =
                PLANTED(10) ? s * (1.0F - z * (1.0F - s)) : s * (1.0F + z * (1.0F - s));
            d_gate.v[n] = from_float<T>(d * to_float(up8.v[n]) * slope);
            d_up.v[n] = from_float<T>(d * z * s);
        }
        d_pre[up_at] = d_up;
    } else {
        for (int n = 0; n < 8; ++n) {
            const float z = to_float(z8.v[n]), d = to_float(d8.v[n]);
            const float density = 0.39894228F * expf(-0.5F * z * z);
            d_gate.v[n] = from_float<T>(d * (normal_below(z) + z * density));
        }
    }
    d_pre[gate_at] = d_gate;
}

/* y[t, :] = sum over the kept copies of weight * rows_out; with no weights the plain sum, which is
 * how dx is gathered. A block a token. */
template <typename T>
__global__ void __launch_bounds__(ROW_THREADS)
    combine_kernel(const Eight<T> *rows_out, const uint32_t *row_of, const float *weight_of,
                   int top_k, int eights, Eight<T> *y)
{
    const size_t t = blockIdx.x;
    for (int i = (int)threadIdx.x; i < eights; i += ROW_THREADS) {
        float sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        for (int j = 0; j < top_k; ++j) {
            const uint32_t row = row_of[t * top_k + j];
            if (row == NO_ROW)
                continue;
            const float weight = weight_of == NULL ? 1.0F : weight_of[t * top_k + j];
            const Eight<T> out = rows_out[(size_t)row * eights + i];
            for (int n = 0; n < 8; ++n)
                sum[n] += weight * to_float(out.v[n]);
        }
        Eight<T> total;
        for (int n = 0; n < 8; ++n)
            total.v[n] = from_float<T>(sum[n]);
        y[t * eights + i] = total;
    }
}

/* d_rows_out = weight * dy, d_weight = dy . rows_out (0 for a dropped copy); a block a copy. */
template <typename T>
__global__ void __launch_bounds__(ROW_THREADS)
    combine_backward_kernel(const Eight<T> *dy, const Eight<T> *rows_out, const uint32_t *row_of,
                            const float *weight_of, uint32_t top_k, int eights,
                            Eight<T> *d_rows_out, float *d_weight_of)
{
    MOE_SHARED(float, partial, ROW_THREADS / WARP);
    const uint32_t copy = blockIdx.x;
    const uint32_t row = row_of[copy];
    if (row == NO_ROW) {
        if (threadIdx.x == 0 && !PLANTED(11))
            d_weight_of[copy] = 0;
        return; /* the whole block */
    }
    const size_t t = copy / top_k;
    const float weight = weight_of[copy];
    float dot = 0;
#pragma unroll 1 /* unrolled, it spills */
    for (int i = (int)threadIdx.x; i < eights; i += ROW_THREADS) {
        const Eight<T> d8 = dy[t * eights + i], out = rows_out[(size_t)row * eights + i];
        Eight<T> scaled;
        for (int n = 0; n < 8; ++n) {
            dot += to_float(d8.v[n]) * to_float(out.v[n]);
            scaled.v[n] = from_float<T>(weight * to_float(d8.v[n]));
        }
        d_rows_out[(size_t)row * eights + i] = scaled;
    }
    dot = warp_sum(dot);
    if (threadIdx.x % WARP == 0)
        partial[threadIdx.x / WARP] = dot;
    if (!PLANTED(5))
        __syncthreads();
    if (threadIdx.x == 0) {
        float sum = 0;
        for (int warp = 0; warp < ROW_THREADS / WARP; ++warp)
            sum += partial[warp];
        d_weight_of[copy] = sum;
    }
}

/* ------------------------------------------------------------------ auxiliary loss, router */

/* partial[b, e]: probabilities of expert e summed over the tokens of block b. */
__global__ void __launch_bounds__(AUX_THREADS)
    aux_partial_kernel(const float *probabilities, uint32_t tokens, int experts, float *partial)
{
    const uint64_t first = (uint64_t)blockIdx.x * AUX_TOKENS;
    for (int e = (int)threadIdx.x; e < experts; e += AUX_THREADS) {
        float sum = 0;
        for (uint64_t t = first; t < first + AUX_TOKENS && t < tokens; ++t)
            sum += probabilities[t * experts + e];
        partial[(size_t)blockIdx.x * experts + e] = sum;
    }
}

/* *loss = scale * sum_e copies_of[e] * (probabilities of e summed over tokens); one block. */
__global__ void __launch_bounds__(AUX_THREADS)
    aux_loss_kernel(const float *partial, uint32_t blocks, int experts, const uint32_t *copies_of,
                    double scale, double *loss)
{
    MOE_SHARED(double, sums, AUX_THREADS);
    double sum = 0;
    for (int e = (int)threadIdx.x; e < experts; e += AUX_THREADS) {
        double probability = 0;
        for (uint32_t b = 0; b < blocks; ++b)
            probability += partial[(size_t)b * experts + e];
        sum += copies_of[e] * probability;
    }
    sums[threadIdx.x] = sum;
    __syncthreads();
    for (unsigned half = AUX_THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half)
            sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0)
        *loss = scale * sums[0];
}

/* d_logits of both softmaxes (moe_reference.c, logits_backward); a warp a token. */
template <typename T>
__global__ void __launch_bounds__(ROUTER_THREADS)
    router_backward_kernel(const float *probabilities, const float *weight_of,
                           const float *d_weight_of, const uint32_t *expert_of,
                           const uint32_t *copies_of, uint32_t tokens, int experts, int top_k,
                           float aux_scale, T *d_logits)
{
    const int lane = (int)(threadIdx.x % WARP);
    const uint32_t t = blockIdx.x * (ROUTER_THREADS / WARP) + threadIdx.x / WARP;
    if (t >= tokens)
        return;
    const float *p = probabilities + (size_t)t * experts;
    const float per_copy = 1.0F / ((float)tokens * (float)top_k);
    float share = 0;
    for (int e = lane; e < experts; e += WARP)
        share += p[e] * (float)copies_of[e] * per_copy;
    share = warp_sum(share);

    /* Lane j holds copy j. */
    const size_t copy = (size_t)t * top_k + lane;
    const bool real = lane < top_k;
    const float w = real ? weight_of[copy] : 0.0F, g = real ? d_weight_of[copy] : 0.0F;
    const uint32_t chosen = real ? expert_of[copy] : NO_ROW;
    const float mean = warp_sum(real ? w * g : 0.0F);
    const float through_choice = PLANTED(12) ? w * g : w * (g - mean);

    for (int first = 0; first < experts; first += WARP) {
        const int e = first + lane;
        float d = 0;
        if (e < experts)
            d = aux_scale * p[e] * ((float)copies_of[e] * per_copy - share);
        for (int j = 0; j < top_k; ++j) {
            const uint32_t of = __shfl_sync(FULL_WARP, chosen, j);
            const float more = __shfl_sync(FULL_WARP, through_choice, j);
            if (of == (uint32_t)e)
                d += more;
        }
        if (e < experts)
            d_logits[(size_t)t * experts + e] = from_float<T>(d);
    }
}

} // namespace moe

#endif
