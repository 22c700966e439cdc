/* What an architecture costs: parameters, FLOPs, KV bytes. Pure arithmetic on a ModelSpec. */
#ifndef MODELS_ARCHITECTURE_H
#define MODELS_ARCHITECTURE_H

#include "configs/reader/scenario.h"

/* Parameters by part. Norms are counted (2 d_model a layer, those of attention latents, 1 final
 * norm), biases are not.
 */
typedef struct ModelParameters {
    double attention;      /* all layers */
    double mlp_per_expert; /* one routed expert, all layers that have it; dense: the MLP */
    double mlp;            /* all experts and dense MLPs, all layers */
    double router;
    double norms;
    double embedding; /* input and, unless tied, output; positions that are learned */
    double vision;    /* image encoder and cross-attention layers */
    double total;
    double active; /* used by one token: top-k and shared experts */
    double attention_per_layer, expert_per_layer, other_per_layer; /* other: router and norms */
    double moe_layers;                                             /* 0: dense */
    double dense_mlp_per_layer;                                    /* of a layer without experts */
    double shared_per_layer; /* all shared experts of a layer with experts */
    double router_per_layer; /* of a layer with experts */
    double norms_per_layer;
    double matrices_active; /* of all layers: matrices that one token is multiplied with */
} ModelParameters;

/* Whether layer `index` (from 0) has experts: not among the first `dense_layers`, and every n-th of
 * the others. */
int model_layer_has_experts(const ModelSpec *model, double index);
double model_expert_layers(const ModelSpec *model);                      /* how many have */
double model_expert_layers_before(const ModelSpec *model, double index); /* of the first `index` */

/* Widths that zero in the model leaves to another width. */
double model_expert_width(const ModelSpec *model);
double model_shared_width(const ModelSpec *model); /* of all shared experts together */

/* Query and value channels of one head in the attention core. Latent attention without absorption
 * (training): a query of nope + rope channels, a value of v channels. */
/* Sparse attention: weights of one layer's indexer (queries from the query's latent, one key and a
 * weight for each query from the stream), and bytes of the key that it keeps of a token in a layer:
 * 8 bits a channel and a 32-bit scale for 128 of them (DeepSeek-V3.2-Exp, 2025). 0: none. */
double model_indexer_weights(const ModelSpec *model);
double model_index_key_bytes(const ModelSpec *model);

/* Linear attention (gated delta rule: Yang et al. 2024, arXiv 2412.06464): share of the layers;
 * columns of the product that gives queries, keys, values, their gate and two numbers a value head;
 * elements of the state, a matrix of keys by values for each value head, that a layer keeps of a
 * sequence however long it is. 0: none. */
double model_linear_share(const ModelSpec *model);
double model_linear_columns(const ModelSpec *model);
double model_linear_state(const ModelSpec *model);

int model_has_latent_attention(const ModelSpec *model);
double model_query_head_dim(const ModelSpec *model);
double model_value_head_dim(const ModelSpec *model);

/* Share of the layers in which a window limits how far back a token looks. */
double model_windowed_share(const ModelSpec *model);

/* Pairs of query and key, over those of a causal square of `length` tokens: below 1 when a window
 * limits how far back a token looks. */
double model_window_share(const ModelSpec *model, double length);

ModelParameters model_parameters(const ModelSpec *model);

/* Forward FLOPs of one token, averaged over a causal sequence of `context` tokens.
 * matmul: 2 FLOPs per active matrix parameter (embedding look-up costs none, the output projection
 * does). attention: QK^T and PV over all `context` tokens (full) or as many as a window's share of
 * them; causal halves the square. */
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

/* Bytes of keys and values that one token leaves behind, whole model; latent attention leaves the
 * latent and the rotary key. */
double model_kv_bytes_per_token(const ModelSpec *model, double bytes_per_element);

/* Expected number of distinct experts that `tokens` tokens touch, each choosing k of E uniformly:
 * E (1 - (1 - k/E)^tokens). */
double model_experts_touched(const ModelSpec *model, double tokens);

double precision_bytes(Precision precision); /* of one element; of int8, int4 without scales */

#endif
