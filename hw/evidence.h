/* What the times of one device rest on, kind of work by kind of work. */
#ifndef HW_EVIDENCE_H
#define HW_EVIDENCE_H

#include "configs/reader/scenario.h"

typedef enum EvidenceKind {
    EVIDENCE_GEMM,      /* matrix products in 16 and 32 bits */
    EVIDENCE_GEMM_FP8,  /* in 8 bits */
    EVIDENCE_EXPERTS,   /* products of all experts of a layer */
    EVIDENCE_MOE_LAYER, /* what surrounds them, or the layer as a whole */
    EVIDENCE_ATTENTION,
    EVIDENCE_COPY, /* norms, activations, residuals */
    EVIDENCE_KINDS
} EvidenceKind;
extern const char *const EVIDENCE_KIND_KEYS[EVIDENCE_KINDS];  /* "gemm_fp8" */
extern const char *const EVIDENCE_KIND_NAMES[EVIDENCE_KINDS]; /* "8-bit products" */
extern const char *const EVIDENCE_NAMES[]; /* by EvidenceTier: "published measurement" */

/* The profile's tier where it has this kind (never in 8 bits, which none measures), else published
 * where the catalogue has a fit, else the datasheet. 0: the device does no such work. */
int gpu_evidence_of(const GpuSpec *gpu, EvidenceKind kind, EvidenceTier *tier);

/* At best: the profile's, else published where products have a fit, else the datasheet. */
EvidenceTier gpu_evidence(const GpuSpec *gpu);

#endif
