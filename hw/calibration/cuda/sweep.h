/* What a calibration of a GPU measures: tables of sizes, so that a test can run the same sweep
 * small. */
#ifndef HW_CALIBRATION_CUDA_SWEEP_H
#define HW_CALIBRATION_CUDA_SWEEP_H

#ifdef __cplusplus
extern "C" {
#endif

#include "hw/calibration/moe_layer.h"
#include "hw/calibration/records.h"

#include <stdint.h>
#include <stdio.h>

typedef struct CudaGemmShape {
    size_t n, k;
} CudaGemmShape;

/* Expert e is drawn as often as (e + 1)^-exponent; one_empty: the last one never. */
typedef struct CudaSkew {
    const char *name;
    double exponent;
    int one_empty;
} CudaSkew;
extern const CudaSkew CUDA_SKEWS[];

typedef struct CudaLayerCase {
    size_t hidden, ffn, experts, top_k;
    int gated;
    size_t tokens;
    int skew; /* of CUDA_SKEWS */
    MoeDtype dtype;
    CalRole role; /* of the parts; a whole layer is always a check */
} CudaLayerCase;

/* Rows of products are the powers of two from 1 to rows_max, of backward products from 128. */
typedef struct CudaSweep {
    const CudaGemmShape *shapes;
    size_t shape_count, rows_max, other_types_rows;
    const CudaLayerCase *layers;
    size_t layer_count;
    size_t copy_bytes_max, context_max, sentinel_size, collective_bytes_max;
    size_t warm_ups, least_samples, graph_launches;
    double warm_up_s, enough_s;
} CudaSweep;
extern const CudaSweep CUDA_SWEEP_FULL, CUDA_SWEEP_QUICK;

/* Opens device number `device` of this process and describes it. STATUS_NO without a usable device
 * or driver, or with no device of that number. */
Status cuda_device_open(int device, CalProvenance *provenance, Error *error);

/* Runs a layer small enough for the reference on the device and compares: what a GPU computes must
 * be right before its time means anything. STATUS_INVALID when it is wrong. */
Status cuda_self_check(Error *error);

/* Writes progress and points; *points counts them. */
Status cuda_sweep_run(const CudaSweep *sweep, uint64_t seed, FILE *out, size_t *points,
                      Error *error);

#ifdef __cplusplus
}
#endif

#endif
