/* Time of matrix products on one GPU. Form and constants: fits to published kernel timings, see
 * configs/hw and the table in README.md. */
#ifndef HW_GEMM_H
#define HW_GEMM_H

#include "configs/reader/scenario.h"

/* Seconds of C[m,n] = A[m,k] B[k,n] in `precision`. bf16 serves fp16; fp8 or int8 on a GPU without
 * it takes bf16; fp4 is bf16 whose B is read in 4 bits and its scales. No timings of int8 products
 * were found: they have their own peak and the constants of fp8, on a GPU without fp8 those of bf16
 * and a pass over A that quantises it. (Other stored weights: stored_weights.h.) */
double gpu_gemm_seconds(const GpuSpec *gpu, Precision precision, double m, double n, double k);

/* A grouped product: for each e < experts C_e[rows_e, n] = A_e[rows_e, k] B_e[k, n] in one launch.
 * Rows are padded to tiles expert by expert; experts with no rows cost nothing. */
double gpu_grouped_gemm_seconds(const GpuSpec *gpu, Precision precision, const double *rows,
                                size_t experts, double n, double k);

/* A GPU at one precision, with what all of its products share worked out: for many of them. */
enum { GEMM_TILES = 14 };
typedef struct GemmMachine {
    const GpuSpec *gpu;
    const GemmFit *fit;
    Precision precision;
    double sm_flops_per_s;
    double memory_bytes_per_s;
    double hbm_bytes_per_s;
    double sms;
    double operand_bytes;          /* of an element of A */
    double weight_bytes;           /* of B */
    double quantise_bytes;         /* moved for each element of A to quantise it */
    double tile_flops[GEMM_TILES]; /* for each element of k, penalty included */
} GemmMachine;
GemmMachine gemm_machine(const GpuSpec *gpu, Precision precision);

/* gpu_grouped_gemm_seconds */
double gemm_machine_seconds(const GemmMachine *machine, const double *rows, size_t experts,
                            double n, double k);

/* The same by a kernel that keeps to one tile, whatever the shape: no choice of a better one, no
 * split of k, and `traffic` of the tiles' operands come from HBM besides. */
typedef struct GemmTile {
    double rows, columns;
    double traffic;
} GemmTile;
double gpu_grouped_gemm_tile_seconds(const GpuSpec *gpu, Precision precision, const GemmTile *tile,
                                     const double *rows, size_t experts, double n, double k);

/* A GPU whose 8-bit products are given operands in 8 bits: they launch as in 16 bits, and nothing
 * is quantised on the way. */
GpuSpec gpu_with_quantised_operands(const GpuSpec *gpu);

double gpu_peak_flops_per_s(const GpuSpec *gpu, Precision precision);

/* What of the above is the quantisation of `rows` x `k` operands to fp8; 0 in other precisions. */
double gpu_quantise_seconds(const GpuSpec *gpu, Precision precision, double rows, double k);

/* Operators that only move bytes (norms, activations, residuals, router, permutation). */
double gpu_memory_bound_seconds(const GpuSpec *gpu, double bytes);

/* A kernel that was measured (GpuSpec.calibration): launch + ((bytes / B)^q + (flops / P)^q)^(1/q).
 * A profile's gemm, moe_gemm and copy take the place of the catalogue's constants in the functions
 * above, except in fp8. */
double gpu_measured_seconds(const MeasuredKernel *kernel, double flops, double bytes);

#endif
