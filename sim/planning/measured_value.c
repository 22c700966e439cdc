/* Published values in tokens/s/GPU. */
#include "configs/reader/text.h"
#include "hw/gemm.h"
#include "sim/planning/flop_convention.h"
#include "sim/planning/measured_scenario.h"

#include <stdio.h>
#include <string.h>

/* FLOP/s of one GPU that a row prints, from TFLOP/s or from a share of a peak. */
static double printed_flops_per_s(const Measurement *row, const Scenario *scenario,
                                  const ConventionRule *rule)
{
    const GpuSpec *gpu = &scenario->hardware.gpu;
    if (row->metric == METRIC_TFLOPS_PER_GPU)
        return row->value * 1e12;
    double peak = gpu->peak_bf16_flops_per_s;
    if (strcmp(rule->peak, "own") == 0)
        peak = gpu_peak_flops_per_s(gpu, scenario->training.precision);
    else if (strcmp(rule->peak, "fp8") == 0)
        peak = gpu->peak_fp8_flops_per_s;
    return row->value / 100.0 * peak;
}

Status measured_tokens_per_s(const MeasuredRules *rules, const Measurement *row,
                             const Scenario *scenario, double *tokens_per_s,
                             DefaultsTaken *defaults, Error *error)
{
    const double length = scenario->training.sequence_length, gpus = scenario->hardware.gpus;
    ConventionRule rule = {"", "", 0};
    char brief[TEXT_BRIEF_BYTES];
    *tokens_per_s = row->tokens_per_s_per_gpu;
    if (measured_has(*tokens_per_s))
        return STATUS_OK;
    if (row->metric == METRIC_TOKENS_PER_S_PER_GPU) {
        *tokens_per_s = row->value;
        return STATUS_OK;
    }
    if (row->metric == METRIC_ITER_SECONDS && measured_has(row->batch_sequences)) {
        *tokens_per_s = row->batch_sequences * length / (row->value * gpus);
        return STATUS_OK;
    }
    if (row->metric == METRIC_TOKENS_PER_S || row->metric == METRIC_SAMPLES_PER_S) {
        *tokens_per_s = row->value / gpus * (row->metric == METRIC_SAMPLES_PER_S ? length : 1);
        return STATUS_OK;
    }
    if (row->metric != METRIC_TFLOPS_PER_GPU && row->metric != METRIC_MFU)
        return error_set(
            error, STATUS_INVALID, "metric %s without the tokens it was measured over (%s)",
            MEASURED_METRIC_WORDS[row->metric],
            row->metric == METRIC_ITER_SECONDS ? "global_batch_seqs" : "tokens_per_s_per_gpu");
    if (row->convention[0] == '\0' && row->metric == METRIC_TFLOPS_PER_GPU &&
        scenario->training.parallel.recompute == RECOMPUTE_FULL)
        return error_set(error, STATUS_INVALID,
                         "mfu_convention is not stated, and layers are computed twice: "
                         "tflops_per_gpu may count that or not");
    if (!rules_convention(rules, row, &rule))
        return error_set(error, STATUS_INVALID, "mfu_convention is none of those named: '%s'",
                         text_brief(brief, row->convention));
    if (rule.assumed)
        default_take(defaults, DEFAULT_CONVENTION);
    if (row->mfu_is_share)
        default_take(defaults, DEFAULT_SHARE);
    FlopConvention count = flop_convention(rule.convention);
    if (count == NULL)
        return error_set(error, STATUS_INVALID, "conventions.csv names '%s', which is none",
                         rule.convention);
    *tokens_per_s = printed_flops_per_s(row, scenario, &rule) / count(&scenario->model, length);
    return STATUS_OK;
}
