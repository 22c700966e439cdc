/* Matrix products of inference, with weights as they are stored.
 *
 * Weights of 8 bits are multiplied in 8 bits where the GPU can. Others of few bits are widened to
 * 16 bits by the product's own kernel ("fused"), which reads their bytes and computes at the 16-bit
 * rate or less:
 *
 *   t = that of a 16-bit product (gemm.h) whose B has `bytes` an element, read at `read` of its
 *       bandwidth, on tensor cores of `rate` times the FLOP/s
 *
 * or, in products of many tokens, by a kernel before it ("unpacked"), as vLLM's AWQ does from 256
 * tokens on and DeepSpeed-Inference for all:
 *
 *   t = (bytes + 2) n k / streaming bandwidth + t of the 16-bit product
 */
#ifndef HW_STORED_WEIGHTS_H
#define HW_STORED_WEIGHTS_H

#include "configs/reader/scenario.h"

typedef struct StoredWeights {
    Precision products;
    double bytes; /* of one weight, its share of a scale included */
    int widened;
    double rate, read;
    double unpack_tokens; /* 0: never */
} StoredWeights;

/* `bytes` of a weight in `stored` precision; `format` may be all zero. fp8 on a GPU without it is
 * widened; so is int8, which plan_check refuses unless it is asked for. */
StoredWeights gpu_stored_weights(const GpuSpec *gpu, Precision stored, double bytes,
                                 const WeightFormat *format);

/* Seconds of A[m,k] B[k,n]. */
double stored_gemm_seconds(const GpuSpec *gpu, const StoredWeights *weights, double m, double n,
                           double k);

/* Of gpu_grouped_gemm_seconds; experts are widened by the product's kernel, however many tokens. */
double stored_grouped_gemm_seconds(const GpuSpec *gpu, const StoredWeights *weights,
                                   const double *rows, size_t experts, double n, double k);

/* Bytes that the memory moves for one weight of a product of m tokens, and the seconds that moving
 * `bytes` of them takes at the rate of large products. */
double stored_traffic_bytes(const StoredWeights *weights, double m);
double stored_read_seconds(const GpuSpec *gpu, const StoredWeights *weights, double bytes);

/* FLOP/s that a model's utilisation is counted against: of its products. */
double gpu_served_peak_flops_per_s(const GpuSpec *gpu, const ServingSpec *serving);

#endif
