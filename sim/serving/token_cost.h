/* What the tokens of one pass cost on one GPU besides reading keys and values: matrix products,
 * experts, memory-bound operators and collectives of a layer, the output head, and the send. All
 * depend on the number of tokens alone.
 *
 * Layers come in two kinds, with one MLP and with experts; attention is the same in both. Under
 * attention data parallelism `tensor` GPUs form `attention_data` groups: each has the attention
 * weights, cut over the GPUs of the group, and the sequences of its own share of the requests;
 * dense MLPs and shared experts go with attention, routed experts lie on all GPUs (SGLang and
 * TensorRT-LLM: data-parallel attention). */
#ifndef SIM_SERVING_TOKEN_COST_H
#define SIM_SERVING_TOKEN_COST_H

#include "configs/reader/scenario.h"
#include "hw/stored_weights.h"
#include "models/expert_choice.h"

typedef enum LayerKind { LAYER_DENSE, LAYER_EXPERTS, LAYER_KINDS } LayerKind;

/* A part of one layer. */
typedef struct LayerCost {
    double weights_s;     /* reading weights */
    double compute_s;     /* matrix products beyond that, and memory-bound operators */
    double collective_s;  /* of tensor-parallel ranks */
    double exchange_s;    /* tokens to their experts and back, or to all ranks and back */
    double weights_bytes; /* on one GPU that the tokens use */
} LayerCost;

typedef struct TokenCost {
    LayerCost attention;
    LayerCost mlp[LAYER_KINDS]; /* with experts: norm, router and shared experts */
    LayerCost routed;           /* the experts, and the way there and back */
    LayerCost head; /* output head on the last stage: product, and gather of the logits */
    double send_s;  /* activations to the next stage */
} TokenCost;

/* The part of a scenario that these costs depend on; two scenarios with equal keys share a grid. */
typedef struct StageCostKey {
    ModelSpec model;
    HardwareSpec hardware;
    double tensor, pipeline;
    double expert;         /* ways that share whole experts; at most 1: experts are cut by tensor */
    double attention_data; /* groups of attention; at most 1: one */
    double redundant_experts;
    ExpertLoadSpec expert_load;
    MoeKernels moe_kernels;
    StoredWeights matrices, experts, tables; /* of layers; routed experts; the output head */
    KvSharding kv_sharding;
} StageCostKey;

/* `tokens` of all groups of attention together, spread evenly. In groups that differ, `routed` is
 * that of all tokens, and everything else that of the fullest group's tokens times the groups.
 * `choice` is that of the key's model and load. */
TokenCost token_cost(const StageCostKey *key, const ExpertChoice *choice, double tokens);

/* a + t (b - a) of every part. */
LayerCost layer_cost_between(const LayerCost *a, const LayerCost *b, double t);
TokenCost token_cost_between(const TokenCost *a, const TokenCost *b, double t);

/* Groups of attention, and GPUs of one. */
double stage_attention_groups(double attention_data, double tensor);
double stage_attention_ways(double attention_data, double tensor);

#endif
