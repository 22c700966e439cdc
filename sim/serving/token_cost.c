#include "sim/serving/token_cost.h"

#include "hw/collective.h"
#include "hw/expert_dispatch.h"
#include "hw/gemm.h"
#include "hw/moe_layer.h"
#include "models/architecture.h"
#include "sim/serving/expert_rank.h"

#include <math.h>

enum { ACTIVATION_BYTES = 2 };

double stage_attention_groups(double attention_data, double tensor)
{
    return fmin(fmax(1, attention_data), fmax(1, tensor));
}

double stage_attention_ways(double attention_data, double tensor)
{
    return fmax(1, tensor / stage_attention_groups(attention_data, tensor));
}

static double groups_of(const StageCostKey *key)
{
    return stage_attention_groups(key->attention_data, key->tensor);
}

static double attention_ways(const StageCostKey *key)
{
    return stage_attention_ways(key->attention_data, key->tensor);
}

/* Books a product of `seconds` for m tokens with `count` weights: reading them as such, and the
 * rest.
 */
static void add_product(const GpuSpec *gpu, const StoredWeights *weights, double seconds, double m,
                        double count, LayerCost *cost)
{
    const double bytes = count * stored_traffic_bytes(weights, m);
    const double reading = fmin(seconds, stored_read_seconds(gpu, weights, bytes));
    cost->weights_s += reading;
    cost->compute_s += seconds - reading;
    cost->weights_bytes += bytes;
}

static void add_gemm(const StageCostKey *key, double m, double n, double k, LayerCost *cost)
{
    const GpuSpec *gpu = &key->hardware.gpu;
    const double seconds = stored_gemm_seconds(gpu, &key->matrices, m, n, k);
    add_product(gpu, &key->matrices, seconds, m, n * k, cost);
}

/* Norms, residual additions, rotary embedding, activation, and for experts gathering rows and
 * adding the results up: each reads and writes its elements once. */
static void add_memory_bound(const StageCostKey *key, double tokens, const double *elements,
                             size_t count, LayerCost *cost)
{
    for (size_t i = 0; i < count; i++)
        if (elements[i] > 0)
            cost->compute_s += gpu_memory_bound_seconds(&key->hardware.gpu,
                                                        tokens * elements[i] * ACTIVATION_BYTES);
}

/* Among `ways` neighbouring GPUs. */
static double collective_s(const StageCostKey *key, Collective collective, double bytes,
                           double ways)
{
    if (ways <= 1)
        return 0;
    return collective_seconds(&key->hardware, collective, bytes, ways,
                              fmin(ways, key->hardware.node.gpus));
}

/* ---- attention ---------------------------------------------------------------------------------
 */

/* Queries, keys and values of `tokens` tokens; returns the width of what rotary embedding and
 * scaling touch. */
static double add_projections(const StageCostKey *key, double tokens, LayerCost *cost)
{
    const ModelSpec *model = &key->model;
    const double d = model->d_model;
    const double ways = attention_ways(key);
    const double heads = ceil(model->heads / ways);

    if (!model_has_latent_attention(model)) {
        const double kv_heads = fmax(1, ceil(model->kv_heads / ways));
        const double gates = model->gated_attention ? heads : 0;
        const double qkv_width = (heads + gates + 2 * kv_heads) * model->head_dim;
        add_gemm(key, tokens, qkv_width, d, cost);
        add_gemm(key, tokens, d, heads * model->head_dim, cost);
        return qkv_width;
    }
    /* Latent attention (DeepSeek-V2, section 2.1). Products down to the latents are whole on every
     * rank. Decoding absorbs the matrices that lead up from the latent: queries are multiplied
     * with those of the keys, results with those of the values; a prompt multiplies its latents
     * with both. Either way it is a token times heads x (nope + v) x latent. */
    const double q_width = heads * model_query_head_dim(model);
    const double kv_latent = model->kv_lora_rank + model->rope_head_dim;
    if (model->q_lora_rank > 0) {
        add_gemm(key, tokens, model->q_lora_rank + kv_latent, d, cost);
        add_gemm(key, tokens, q_width, model->q_lora_rank, cost);
    } else {
        add_gemm(key, tokens, q_width + kv_latent, d, cost);
    }
    add_gemm(key, tokens, heads * (model->nope_head_dim + model->v_head_dim), model->kv_lora_rank,
             cost);
    add_gemm(key, tokens, d, heads * model->v_head_dim, cost);
    /* Every rank chooses the same tokens: the indexer is not cut. */
    if (model->sparse_keys > 0) {
        add_gemm(key, tokens, model->index_heads * model->index_head_dim, model->q_lora_rank, cost);
        add_gemm(key, tokens, model->index_head_dim + model->index_heads, d, cost);
    }
    return q_width + kv_latent;
}

/* A gated delta rule instead: a product in, a convolution, a norm and a gate of the results, a
 * product out; heads are cut. What it does with its state is priced apart (add_linear in
 * serve_stage.c). */
static LayerCost linear_cost(const StageCostKey *key, double tokens)
{
    const ModelSpec *model = &key->model;
    const double d = model->d_model, ways = attention_ways(key);
    const double columns = ceil(model_linear_columns(model) / ways);
    const double values = ceil(model->linear_value_heads / ways) * model->linear_head_dim;
    const double elements[] = {2 * d, 2 * columns, 3 * values, 3 * d};
    LayerCost cost = {0};
    add_gemm(key, tokens, columns, d, &cost);
    add_gemm(key, tokens, d, values, &cost);
    add_memory_bound(key, tokens, elements, sizeof elements / sizeof elements[0], &cost);
    cost.collective_s =
        collective_s(key, COLLECTIVE_ALL_REDUCE, tokens * d * ACTIVATION_BYTES, ways);
    return cost;
}

/* `tokens` of one group. */
static LayerCost attention_cost(const StageCostKey *key, double tokens)
{
    const ModelSpec *model = &key->model;
    const double d = model->d_model;
    const double ways = attention_ways(key);
    LayerCost cost = {0};
    const double width = add_projections(key, tokens, &cost);
    const double elements[] = {
        2 * d,     /* norm */
        2 * width, /* rotary embedding */
        3 * d,     /* residual */
    };
    add_memory_bound(key, tokens, elements, sizeof elements / sizeof elements[0], &cost);

    /* The ranks add up their parts of the hidden state. */
    cost.collective_s =
        collective_s(key, COLLECTIVE_ALL_REDUCE, tokens * d * ACTIVATION_BYTES, ways);
    /* KV cut by sequences: queries go to the rank that has the sequence, results come back
     * (Pope et al. 2022, section 3.3). */
    if (key->kv_sharding == KV_BY_BATCH)
        cost.collective_s += 2 * collective_s(key, COLLECTIVE_ALL_TO_ALL,
                                              tokens * ceil(model->heads / ways) *
                                                  model_value_head_dim(model) * ACTIVATION_BYTES,
                                              ways);
    const double linear = model_linear_share(model);
    if (linear <= 0)
        return cost;
    const LayerCost other = linear_cost(key, tokens);
    return layer_cost_between(&cost, &other, linear);
}

/* ---- MLP ---------------------------------------------------------------------------------------
 */

/* A gated or plain MLP, or several side by side, with attention's ways; `own` is the width on this
 * rank. */
static void add_mlp(const StageCostKey *key, double tokens, double own, LayerCost *cost)
{
    add_gemm(key, tokens, (key->model.gated_mlp ? 2 : 1) * own, key->model.d_model, cost);
    add_gemm(key, tokens, key->model.d_model, own, cost);
}

/* Elements of the activation function for `width` channels: read, with the gate, and written. */
static double activation_elements(const ModelSpec *model, double width)
{
    return (model->gated_mlp ? 3 : 2) * width;
}

/* One MLP, `tokens` of one group. */
static LayerCost dense_cost(const StageCostKey *key, double tokens)
{
    const ModelSpec *model = &key->model;
    const double d = model->d_model;
    const double ways = attention_ways(key);
    /* A layer without experts in a model that has them is one MLP; a dense model may have shared
     * ones beside it. */
    const double shared = model->experts > 1 ? 0 : model_shared_width(model);
    const double own = ceil(model->d_ff / ways) + ceil(shared / ways);
    const double elements[] = {2 * d, activation_elements(model, own), 3 * d};
    LayerCost cost = {0};
    add_mlp(key, tokens, own, &cost);
    add_memory_bound(key, tokens, elements, sizeof elements / sizeof elements[0], &cost);
    cost.collective_s =
        collective_s(key, COLLECTIVE_ALL_REDUCE, tokens * d * ACTIVATION_BYTES, ways);
    return cost;
}

/* ---- experts -----------------------------------------------------------------------------------
 */

/* The fit of the engine's kernels on this GPU; one that was not fitted (launch 0) counts as none.
 */
static const MoeLayerFit *layer_fit(const StageCostKey *key)
{
    const GpuSpec *gpu = &key->hardware.gpu;
    const int fp8 = key->experts.products == PRECISION_FP8;
    if (key->experts.widened || key->experts.products == PRECISION_INT8)
        return NULL;
    const MoeLayerFit *const fits[][2] = {
        [MOE_KERNELS_GROUPED] = {NULL, NULL},
        [MOE_KERNELS_CUTLASS] = {&gpu->moe_cutlass_bf16, &gpu->moe_cutlass_fp8},
        [MOE_KERNELS_CUTLASS_BLOCK] = {&gpu->moe_cutlass_bf16, &gpu->moe_cutlass_fp8_block},
        [MOE_KERNELS_TRITON] = {&gpu->moe_triton_bf16, NULL},
        [MOE_KERNELS_TRITON_TUNED] = {&gpu->moe_triton_tuned_bf16, NULL},
    };
    const MoeLayerFit *fit = fits[key->moe_kernels][fp8];
    return fit != NULL && fit->launch_s > 0 ? fit : NULL;
}

/* One kernel of the routed experts: a grouped product of n columns and k deep, or, with a fit, the
 * whole layer, from the router to the sum, whose experts are `n` wide. */
typedef struct RoutedKernel {
    const MoeLayerFit *fit;
    double n, k;
    double matrices; /* n x k of one expert */
} RoutedKernel;

/* `touched` experts of the rank, a whole number. */
static double kernel_seconds(const StageCostKey *key, const RoutedKernel *kernel, double tokens,
                             const ExpertRank *rank, size_t touched)
{
    const GpuSpec *gpu = &key->hardware.gpu;
    double each[MAX_EXPERT_ROWS];
    expert_rank_rows(key, rank, tokens, touched, each);
    if (kernel->fit == NULL)
        return stored_grouped_gemm_seconds(gpu, &key->experts, each, touched, kernel->n, kernel->k);
    const MoeLayerShape shape = {.precision = key->experts.products,
                                 .tokens =
                                     groups_of(key) > 1 ? tokens / expert_rank_ways(key) : tokens,
                                 .hidden = key->model.d_model,
                                 .inter = kernel->n,
                                 .gated = key->model.gated_mlp};
    return gpu_moe_layer_seconds(gpu, kernel->fit, &shape, each, touched);
}

/* Between two whole numbers of experts the time is in proportion. */
static void add_routed(const StageCostKey *key, const ExpertChoice *choice,
                       const RoutedKernel *kernel, double tokens, LayerCost *cost)
{
    const size_t deals = expert_rank_deals(key, choice);
    double seconds = 0, touched = 0;

    for (size_t deal = 0; deal < deals; deal++) {
        const ExpertRank rank = expert_rank_fullest(key, choice, tokens, deal);
        const double below = floor(rank.touched);
        const double share = rank.touched - below;
        double one_s = kernel_seconds(key, kernel, tokens, &rank, (size_t)below);
        if (share > 0)
            one_s +=
                share * (kernel_seconds(key, kernel, tokens, &rank, (size_t)below + 1) - one_s);
        seconds += one_s / (double)deals;
        touched += rank.touched / (double)deals;
    }
    /* Kernels of experts widen the weights themselves: no tokens for which they are unpacked. */
    add_product(&key->hardware.gpu, &key->experts, seconds, 0,
                touched * kernel->matrices * kernel->n * kernel->k, cost);
}

/* Tokens of all groups to the ranks that have their experts, and back. Where one engine could do
 * either, the quicker way is taken: kernels that know the routing, or every token to every rank and
 * the sums scattered. Activations go out in the precision of the products and come back in 16 bits.
 */
static double exchange_s(const StageCostKey *key, double tokens)
{
    const ModelSpec *model = &key->model;
    const double groups = groups_of(key);
    const double hidden_bytes = tokens * model->d_model;
    const double out_bytes = key->experts.products == PRECISION_FP8 ? 1 : ACTIVATION_BYTES;
    const double node = key->hardware.node.gpus;
    if (groups <= 1)
        return 0;
    const double to_all =
        collective_s(key, COLLECTIVE_ALL_GATHER, hidden_bytes * out_bytes, key->tensor) +
        collective_s(key, COLLECTIVE_REDUCE_SCATTER, hidden_bytes * ACTIVATION_BYTES, key->tensor);
    const double ways = expert_rank_ways(key);
    if (ways <= 1)
        return to_all;
    ExpertExchange exchange = {.token_bytes = hidden_bytes * out_bytes / key->tensor,
                               .copies = fmin(model->experts_per_token, model->experts),
                               .ranks = ways,
                               .ranks_per_node = fmin(ways, node),
                               .node_limit = model->routed_groups,
                               .sms = fmax(1, key->hardware.node.collective_sms)};
    ExpertExchange back = exchange;
    back.token_bytes = hidden_bytes * ACTIVATION_BYTES / key->tensor;
    const double low_latency =
        expert_low_latency_seconds(&key->hardware, EXPERT_DISPATCH, &exchange) +
        expert_low_latency_seconds(&key->hardware, EXPERT_COMBINE, &back);
    const double normal = expert_exchange_seconds(&key->hardware, EXPERT_DISPATCH, &exchange) +
                          expert_exchange_seconds(&key->hardware, EXPERT_COMBINE, &back);
    return fmin(to_all, fmin(low_latency, normal));
}

/* Beside the routed experts: norm, router, shared experts; `tokens` of one group. */
static LayerCost shared_cost(const StageCostKey *key, double tokens)
{
    const ModelSpec *model = &key->model;
    const double d = model->d_model;
    const double ways = attention_ways(key);
    const double shared = ceil(model_shared_width(model) / ways);
    const double elements[] = {2 * d, activation_elements(model, shared), 3 * d};
    LayerCost cost = {0};
    if (layer_fit(key) == NULL)
        add_gemm(key, tokens, model->experts, d, &cost);
    if (shared > 0)
        add_mlp(key, tokens, shared, &cost);
    add_memory_bound(key, tokens, elements, sizeof elements / sizeof elements[0], &cost);
    /* In one group the ranks add up the parts of all experts; in several those of shared ones. */
    if (groups_of(key) <= 1 || shared > 0)
        cost.collective_s =
            collective_s(key, COLLECTIVE_ALL_REDUCE, tokens * d * ACTIVATION_BYTES, ways);
    return cost;
}

/* `tokens` of all groups. */
static LayerCost routed_cost(const StageCostKey *key, const ExpertChoice *choice, double tokens)
{
    const ModelSpec *model = &key->model;
    const double d = model->d_model;
    const double groups = groups_of(key), ways = expert_rank_ways(key);
    const double used = fmin(model->experts_per_token, model->experts);
    /* An expert on one rank: whole, or its share of the tensor ways that are left. */
    const double width = ceil(model_expert_width(model) / fmax(1, key->tensor / ways));
    const MoeLayerFit *fit = layer_fit(key);
    LayerCost cost = {.exchange_s = exchange_s(key, tokens)};

    if (fit != NULL) {
        const RoutedKernel layer = {fit, width, d, model->gated_mlp ? 3 : 2};
        add_routed(key, choice, &layer, tokens, &cost);
        return cost;
    }
    const double up = (model->gated_mlp ? 2 : 1) * width;
    const RoutedKernel products[] = {{NULL, up, d, 1}, {NULL, d, width, 1}};
    for (size_t i = 0; i < sizeof products / sizeof products[0]; i++)
        add_routed(key, choice, &products[i], tokens, &cost);
    /* Rows that a rank moves: its share where whole experts have tokens of their own sent to them,
     * else all. */
    const double moved = groups > 1 ? tokens / ways : tokens;
    const double row_width =
        groups > 1 ? width : ceil(model_expert_width(model) / fmax(1, key->tensor));
    const double elements[] = {
        activation_elements(model, used * row_width), 2 * used * d, /* gather rows by expert */
        (used + 1) * d, /* weighted sum of the results */
    };
    add_memory_bound(key, moved, elements, sizeof elements / sizeof elements[0], &cost);
    return cost;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static double send_s(const StageCostKey *key, double tokens)
{
    if (key->pipeline <= 1)
        return 0;
    const int same_node = key->tensor * key->pipeline <= key->hardware.node.gpus;
    return p2p_seconds(&key->hardware, tokens * key->model.d_model * ACTIVATION_BYTES, same_node);
}

TokenCost token_cost(const StageCostKey *key, const ExpertChoice *choice, double tokens)
{
    const ModelSpec *model = &key->model;
    const double own_tokens = tokens / groups_of(key), ways = attention_ways(key);
    const double expert_layers = model_expert_layers(model);
    TokenCost cost = {0};

    if (tokens <= 0)
        return cost;
    cost.attention = attention_cost(key, own_tokens);
    if (expert_layers < model->layers)
        cost.mlp[LAYER_DENSE] = dense_cost(key, own_tokens);
    if (expert_layers > 0) {
        cost.mlp[LAYER_EXPERTS] = shared_cost(key, own_tokens);
        cost.routed = routed_cost(key, choice, tokens);
    }
    cost.send_s = send_s(key, own_tokens);

    /* The head's weights are read once for the pass; the logits of all ranks are gathered. */
    const double vocabulary = ceil(model->vocab_size / ways);
    const GpuSpec *gpu = &key->hardware.gpu;
    const double columns = model->d_model;
    add_product(gpu, &key->tables,
                stored_gemm_seconds(gpu, &key->tables, own_tokens, vocabulary, columns), own_tokens,
                vocabulary * columns, &cost.head);
    cost.head.collective_s = collective_s(key, COLLECTIVE_ALL_GATHER,
                                          own_tokens * model->vocab_size * ACTIVATION_BYTES, ways);
    return cost;
}

LayerCost layer_cost_between(const LayerCost *a, const LayerCost *b, double t)
{
    return (LayerCost){
        .weights_s = a->weights_s + t * (b->weights_s - a->weights_s),
        .compute_s = a->compute_s + t * (b->compute_s - a->compute_s),
        .collective_s = a->collective_s + t * (b->collective_s - a->collective_s),
        .exchange_s = a->exchange_s + t * (b->exchange_s - a->exchange_s),
        .weights_bytes = a->weights_bytes + t * (b->weights_bytes - a->weights_bytes),
    };
}

TokenCost token_cost_between(const TokenCost *a, const TokenCost *b, double t)
{
    TokenCost cost = {
        .attention = layer_cost_between(&a->attention, &b->attention, t),
        .routed = layer_cost_between(&a->routed, &b->routed, t),
        .head = layer_cost_between(&a->head, &b->head, t),
        .send_s = a->send_s + t * (b->send_s - a->send_s),
    };
    for (size_t kind = 0; kind < LAYER_KINDS; kind++)
        cost.mlp[kind] = layer_cost_between(&a->mlp[kind], &b->mlp[kind], t);
    return cost;
}
