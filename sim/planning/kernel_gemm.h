/* Published timings of matrix products (C[M,N] = A[M,K] B[K,N]), one a row.
 *
 * The table is recognised from its header; columns may stand in any order, others are ignored.
 *   needed:   gpu, dtype, M, N, K, time_us
 *   optional: source, notes, op (gemm; grouped_gemm with M rows in each of groups_or_batch) */
#ifndef SIM_PLANNING_KERNEL_GEMM_H
#define SIM_PLANNING_KERNEL_GEMM_H

#include "sim/planning/kernel_cases.h"

/* STATUS_INVALID when a needed column is missing. Free the cases whatever happens. */
Status kernel_gemm_read(const ConfigPaths *paths, const CsvTable *table, const char *const *sets,
                        size_t set_count, KernelCases *cases, Error *error);

#endif
