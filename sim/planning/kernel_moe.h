/* Published timings of MoE layers on one GPU, the fullest of an expert-parallel group, one a row.
 *
 * Two tables are recognised from their headers; columns may stand in any order, others are ignored.
 *   gpu, dtype, tokens, hidden, topk, experts, n_gpus_ep, inter, distribution, time_us and
 *       kind (moe_layer_latency), notes ("kernel NAME", "moe_tp=8"), source, model_shape
 *   gpu, dtype, tokens, hidden, top_k, experts, ep, ffn, skew, time_us and
 *       kernel, tp, notes, flag, source
 * `tokens` counts those of the whole group. A row that its table flags is skipped. */
#ifndef SIM_PLANNING_KERNEL_MOE_H
#define SIM_PLANNING_KERNEL_MOE_H

#include "sim/planning/kernel_cases.h"

/* STATUS_INVALID when a needed column is missing. Free the cases whatever happens. */
Status kernel_moe_read(const ConfigPaths *paths, const CsvTable *table, const char *const *sets,
                       size_t set_count, KernelCases *cases, Error *error);

/* The constants of a group of kernel_forms.csv ("moe_triton_bf16") in a GPU; NULL: no such group.
 */
const MoeLayerFit *kernel_moe_constants(const GpuSpec *gpu, const char *group);

#endif
