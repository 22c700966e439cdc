/* Published measurements of training throughput: one configuration and one measured value a row.
 *
 * The table is recognised from its header; columns may stand in any order, others are ignored.
 *   needed:   id, gpu, metric, value
 *   optional: split, source, source_locator, year, model, dense_or_moe, stack, schedule, n_layers,
 *             d_model, n_heads, n_kv_heads, head_dim, d_ff, gated_mlp, n_experts, top_k,
 *             n_shared_experts, moe_layer_every, vocab, seq_len, params_total_b, params_active_b,
 *             n_gpus, gpus_per_node, inter_node_gbps_per_gpu, tp, pp, vpp, dp, ep, cp,
 *             global_batch_seqs, sequence_parallel, zero_stage, recompute, micro_batch, precision,
 *             mfu_convention, notes, tokens_per_s_per_gpu
 *
 * Cells are read as people write them (configs/reader/measured_cell.h): "1,024", "8 (assumed)",
 * "n/a", "true", "ZeRO-3", "8k" tokens, "46%", "tok/s/GPU". A row that cannot be a measurement
 * (text in a number, an impossible value, no value) is listed as skipped with its reason, and the
 * file goes on.
 */
#ifndef CONFIGS_READER_MEASUREMENTS_H
#define CONFIGS_READER_MEASUREMENTS_H

#include "configs/reader/csv.h"

enum { SKIP_REASON_BYTES = 160 };

typedef enum MeasuredMetric {
    METRIC_TOKENS_PER_S_PER_GPU,
    METRIC_ITER_SECONDS,
    METRIC_TFLOPS_PER_GPU,
    METRIC_MFU,
    METRIC_DAYS,
    METRIC_GPU_HOURS,
    METRIC_MEMORY_GIB,    /* of the fullest GPU */
    METRIC_TOKENS_PER_S,  /* of all GPUs */
    METRIC_SAMPLES_PER_S, /* sequences, of all GPUs */
    MEASURED_METRICS
} MeasuredMetric;

extern const char *const MEASURED_METRIC_WORDS[MEASURED_METRICS];

/* A number that the row leaves out is not finite (measured_has). Texts point into the file. */
typedef struct Measurement {
    int line;
    const char *id, *split, *source, *locator, *model, *kind, *gpu, *stack, *schedule, *recompute,
        *precision, *convention, *notes;
    MeasuredMetric metric;
    double value;                /* in the metric's own unit; mfu in per cent */
    int mfu_is_share;            /* it was printed as a share of 1 */
    double tokens_per_s_per_gpu; /* as the table converts it */
    double year, params_total_b, params_active_b;
    double layers, d_model, heads, kv_heads, head_dim, d_ff, gated_mlp, experts, top_k,
        shared_experts, moe_every, vocab, sequence_length;
    double gpus, gpus_per_node, nic_gbps;
    double tensor, pipeline, virtual_stages, data, expert, context, sequence_parallel, zero_stage,
        micro_batch, batch_sequences;
} Measurement;

typedef struct SkippedRow {
    int line;
    const char *id; /* "line 17" has no id: then empty */
    char reason[SKIP_REASON_BYTES];
} SkippedRow;

typedef struct MeasurementFile {
    CsvTable table;
    size_t count;
    Measurement *rows;
    size_t skipped_count;
    SkippedRow *skipped;
} MeasurementFile;

/* STATUS_INVALID when the file is no such table or holds no usable row. */
Status measurements_read(const char *path, MeasurementFile *file, Error *error);
Status measurements_read_text(const char *label, const char *text, size_t bytes,
                              MeasurementFile *file, Error *error);
void measurements_free(MeasurementFile *file);

int measured_has(double value);

#endif
