/* Published points of deployments under a closed loop (InferenceX, aiconfigurator's silicon
 * sample): one row is an engine, a model, a GPU, a layout and a number of clients, with the mean
 * time to the first token and the mean time per further token that were measured.
 *
 * Columns, in any order: needed are id, backend, model_path, system, isl and osl, and of
 * silicon_ttft_ms and silicon_tpot_ms at least one; known besides are backend_version, precision,
 * mode, gemm_quant_mode, moe_quant_mode, batch_size, concurrency, tp_size, pp_size,
 * attention_dp_size, moe_tp_size, moe_ep_size and measured (a date), and of a deployment whose
 * prompts are read by engines of their own (mode: disagg) num_workers and the cells of a layout of
 * either side, as in prefill_tp_size, decode_num_workers. What the words in them stand for says the
 * shipped table serving_deployments.csv (column, pattern -> name), whose first matching line
 * counts: system      -> a file of configs/hw            engine  "backend version model" -> an
 * engine model_path  -> a file of configs/models        gemm, moe, kv -> a precision id          ->
 * `shortest`: lengths are uniform between this share of isl and osl and the whole `name`
 * multiplied: see undo_product in the source mode        -> `name` disaggregated mode, run
 * "model_path backend_version measured" -> only to skip
 *
 * A row with both times gives three numbers: first token, time per token, and by Little's law the
 * rate of answer tokens: clients * length / (TTFT + (length - 1) * TPOT), over the GPUs. */
#ifndef SIM_PLANNING_SERVING_POINTS_H
#define SIM_PLANNING_SERVING_POINTS_H

#include "sim/planning/serving_rows.h"

/* As serving_rows_read. One row in five groups is held back: a group is a deployment with its
 * lengths, whatever the number of clients. */
Status serving_points_read(const ConfigPaths *paths, const CsvTable *table, const char *const *sets,
                           size_t set_count, ServingRows *rows, Error *error);

#endif
