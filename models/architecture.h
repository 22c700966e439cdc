/* What an architecture costs: parameters, FLOPs, KV bytes. Pure arithmetic on a ModelSpec. */
#ifndef MODELS_ARCHITECTURE_H
#define MODELS_ARCHITECTURE_H

#include "configs/reader/scenario.h"

/* Parameters by part. Norms and biases are counted (2 d_model a layer + 1 final norm, no biases).
 */
typedef struct ModelParameters {
    double attention;      /* all layers */
    double mlp_per_expert; /* one expert, all layers */
    double mlp;            /* all experts, all layers */
    double router;
    double norms;
    double embedding; /* input and, unless tied, output */
    double total;
    double active; /* used by one token: top-k and shared experts */
    double attention_per_layer, expert_per_layer, other_per_layer; /* other: router and norms */
} ModelParameters;

ModelParameters model_parameters(const ModelSpec *model);

/* Forward FLOPs of one token, averaged over a causal sequence of `context` tokens.
 * matmul: 2 FLOPs per active matrix parameter (embedding look-up costs none, the output projection
 * does). attention: QK^T and PV over all `context` tokens (full); causal halves the square. */
typedef struct ModelFlops {
    double matmul;
    double attention_causal;
    double attention_full;
    double forward;  /* matmul + attention_causal */
    double training; /* 3 * forward (backward costs twice the forward) */
} ModelFlops;

ModelFlops model_flops_per_token(const ModelSpec *model, double context);

/* The literature's conventions, by name (training FLOPs per token). */
double model_flops_6nd(const ModelSpec *model); /* 6 * active parameters */
/* PaLM (Chowdhery et al. 2022), appendix B: 6N + 12 L H Q T. */
double model_flops_palm(const ModelSpec *model, double context);
/* Narayanan et al. 2021, eq. 3, without recomputation: 72 B s l h^2 (1 + s/6h + V/12lh),
 * generalised. */
double model_flops_megatron(const ModelSpec *model, double context);

/* Key-value heads on one of `tensor` ranks: cut while there is at least one for each, else copied.
 */
double model_kv_heads_on_rank(const ModelSpec *model, double tensor);

/* Bytes of keys and values that one token leaves behind, whole model. */
double model_kv_bytes_per_token(const ModelSpec *model, double bytes_per_element);

/* Expected number of distinct experts that `tokens` tokens touch, each choosing k of E uniformly:
 * E (1 - (1 - k/E)^tokens). */
double model_experts_touched(const ModelSpec *model, double tokens);

double precision_bytes(Precision precision); /* of one element */

#endif
