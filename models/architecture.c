#include "models/architecture.h"

#include <math.h>

/* Experts that one token uses besides the shared ones; a dense model has one MLP. */
static double routed_experts(const ModelSpec *model)
{
    return model->experts > 1 ? fmin(model->experts_per_token, model->experts) : 1;
}

ModelParameters model_parameters(const ModelSpec *model)
{
    const double layers = model->layers;
    const double d = model->d_model;
    const double query_width = model->heads * model->head_dim;
    const double kv_width = model->kv_heads * model->head_dim;
    ModelParameters count = {0};

    /* Q: d x query width; K and V: d x KV width each; output: query width x d. */
    count.attention_per_layer = d * query_width + 2 * d * kv_width + query_width * d;
    count.expert_per_layer = (model->gated_mlp ? 3 : 2) * d * model->d_ff;

    /* The router is one row of d weights an expert; a layer has two norms of d weights. */
    const double router_per_layer = model->experts > 1 ? d * model->experts : 0;
    const double norms_per_layer = 2 * d;
    count.other_per_layer = router_per_layer + norms_per_layer;

    count.attention = layers * count.attention_per_layer;
    count.mlp_per_expert = layers * count.expert_per_layer;
    count.mlp = (model->experts + model->shared_experts) * count.mlp_per_expert;
    count.router = layers * router_per_layer;
    count.norms = layers * norms_per_layer + d;
    count.embedding = model->vocab_size * d * (model->tied_embeddings ? 1 : 2);

    const double always = count.attention + count.router + count.norms + count.embedding;
    const double used_experts = routed_experts(model) + model->shared_experts;
    count.total = always + count.mlp;
    count.active = always + used_experts * count.mlp_per_expert;
    return count;
}

ModelFlops model_flops_per_token(const ModelSpec *model, double context)
{
    const ModelParameters count = model_parameters(model);
    const double used_experts = routed_experts(model) + model->shared_experts;
    const double head = model->vocab_size * model->d_model;
    ModelFlops flops;

    /* 2 FLOPs a token for each weight of a matrix that the token is multiplied with. */
    flops.matmul =
        2 * (count.attention + count.router + used_experts * count.mlp_per_expert + head);

    /* QK^T and PV: 2 products of 2 FLOPs for each query channel and each token of context. */
    flops.attention_full = 4 * model->layers * model->heads * model->head_dim * context;
    flops.attention_causal = flops.attention_full / 2;
    flops.forward = flops.matmul + flops.attention_causal;
    flops.training = 3 * flops.forward;
    return flops;
}

double model_flops_6nd(const ModelSpec *model)
{
    return 6 * model_parameters(model).active;
}

double model_flops_palm(const ModelSpec *model, double context)
{
    /* PaLM, appendix B: 6 N + 12 L H Q T. */
    return model_flops_6nd(model) + 12 * model->layers * model->heads * model->head_dim * context;
}

double model_flops_megatron(const ModelSpec *model, double context)
{
    /* Equation 3 without recomputation, 72 l h^2 (1 + s/(6h) + V/(12 l h)) a token, is 6 FLOPs for
     * each of the 12 l h^2 + V h weights and 3 times the full square of attention. */
    const ModelFlops flops = model_flops_per_token(model, context);
    return 3 * (flops.matmul + flops.attention_full);
}

double model_kv_heads_on_rank(const ModelSpec *model, double tensor)
{
    return fmax(1, model->kv_heads / tensor);
}

double model_kv_bytes_per_token(const ModelSpec *model, double bytes_per_element)
{
    return 2 * model->layers * model->kv_heads * model->head_dim * bytes_per_element;
}

double model_experts_touched(const ModelSpec *model, double tokens)
{
    if (tokens <= 0)
        return 0;
    if (model->experts <= 1)
        return 1;
    const double missed = 1 - routed_experts(model) / model->experts;
    return model->experts * (1 - pow(missed, tokens));
}

double precision_bytes(Precision precision)
{
    static const double bytes[] = {
        [PRECISION_BF16] = 2, [PRECISION_FP8] = 1, [PRECISION_FP16] = 2, [PRECISION_FP32] = 4};
    return bytes[precision];
}
