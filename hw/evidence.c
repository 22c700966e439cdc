#include "hw/evidence.h"

const char *const EVIDENCE_NAMES[] = {"datasheet", "published measurement", "measured here"};
const char *const EVIDENCE_KIND_KEYS[EVIDENCE_KINDS] = {"gemm",      "gemm_fp8",  "moe_gemm",
                                                        "moe_layer", "attention", "copy"};
const char *const EVIDENCE_KIND_NAMES[EVIDENCE_KINDS] = {
    "matrix products", "8-bit products", "expert products", "MoE layers", "attention", "copies"};

static int has_moe_layers(const GpuSpec *gpu)
{
    return gpu->moe_cutlass_bf16.launch_s > 0 || gpu->moe_triton_bf16.launch_s > 0 ||
           gpu->moe_triton_tuned_bf16.launch_s > 0 || gpu->moe_cutlass_fp8.launch_s > 0 ||
           gpu->moe_cutlass_fp8_block.launch_s > 0;
}

static int has_attention(const GpuSpec *gpu)
{
    return gpu->attention_unfused.flops_per_s > 0 || gpu->attention_flash1.flops_per_s > 0 ||
           gpu->attention_flash2.flops_per_s > 0 || gpu->attention_flash3.flops_per_s > 0;
}

int gpu_evidence_of(const GpuSpec *gpu, EvidenceKind kind, EvidenceTier *tier)
{
    const CalibrationSpec *profile = &gpu->calibration;
    const int products = gpu->gemm_bf16.compute_efficiency > 0;
    const struct {
        int measured, published;
    } kinds[EVIDENCE_KINDS] = {
        [EVIDENCE_GEMM] = {profile->gemm.bytes_per_s > 0, products},
        [EVIDENCE_GEMM_FP8] = {0, gpu->gemm_fp8.compute_efficiency > 0},
        [EVIDENCE_EXPERTS] = {profile->moe_gemm.bytes_per_s > 0, products},
        [EVIDENCE_MOE_LAYER] = {profile->moe_layer.products.bytes_per_s > 0, has_moe_layers(gpu)},
        [EVIDENCE_ATTENTION] = {0, has_attention(gpu)},
        [EVIDENCE_COPY] = {profile->copy.bytes_per_s > 0, 0},
    };
    *tier = kinds[kind].measured    ? profile->tier
            : kinds[kind].published ? TIER_PUBLISHED
                                    : TIER_DATASHEET;
    return kind != EVIDENCE_GEMM_FP8 || gpu->peak_fp8_flops_per_s > 0;
}

EvidenceTier gpu_evidence(const GpuSpec *gpu)
{
    if (gpu->calibration.gpu[0] != '\0')
        return gpu->calibration.tier;
    return gpu->gemm_bf16.compute_efficiency > 0 ? TIER_PUBLISHED : TIER_DATASHEET;
}
