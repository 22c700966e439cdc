#include "models/architecture.h"

#include "models/vision.h"

#include <math.h>

/* Experts that one token uses besides the shared ones; a dense model has one MLP. */
static double routed_experts(const ModelSpec *model)
{
    return model->experts > 1 ? fmin(model->experts_per_token, model->experts) : 1;
}

/* ---- which layers are of which kind ---- */

int model_layer_has_experts(const ModelSpec *model, double index)
{
    if (model->experts <= 1 || index < model->dense_layers)
        return 0;
    const double every = fmax(1, model->moe_every);
    return fmod(index - model->dense_layers + 1, every) == 0;
}

double model_expert_layers(const ModelSpec *model)
{
    return model_expert_layers_before(model, model->layers);
}

double model_expert_layers_before(const ModelSpec *model, double index)
{
    if (model->experts <= 1)
        return 0;
    return floor(fmax(0, index - model->dense_layers) / fmax(1, model->moe_every));
}

/* ---- widths ---- */

double model_expert_width(const ModelSpec *model)
{
    return model->expert_d_ff > 0 ? model->expert_d_ff : model->d_ff;
}

double model_shared_width(const ModelSpec *model)
{
    const double one = model->shared_d_ff > 0 ? model->shared_d_ff : model_expert_width(model);
    return model->shared_experts * one;
}

int model_has_latent_attention(const ModelSpec *model)
{
    return model->kv_lora_rank > 0;
}

double model_query_head_dim(const ModelSpec *model)
{
    return model_has_latent_attention(model) ? model->nope_head_dim + model->rope_head_dim
                                             : model->head_dim;
}

double model_value_head_dim(const ModelSpec *model)
{
    return model_has_latent_attention(model) ? model->v_head_dim : model->head_dim;
}

double model_linear_share(const ModelSpec *model)
{
    return model->linear_layers > 0 ? fmin(1, model->linear_layers / model->layers) : 0;
}

double model_linear_columns(const ModelSpec *model)
{
    return 2 * model->linear_key_heads * model->linear_head_dim +
           2 * model->linear_value_heads * (model->linear_head_dim + 1);
}

double model_linear_state(const ModelSpec *model)
{
    return model->linear_layers > 0
               ? model->linear_value_heads * model->linear_head_dim * model->linear_head_dim
               : 0;
}

double model_indexer_weights(const ModelSpec *model)
{
    if (model->sparse_keys <= 0)
        return 0;
    return model->q_lora_rank * model->index_heads * model->index_head_dim +
           model->d_model * (model->index_head_dim + model->index_heads);
}

double model_index_key_bytes(const ModelSpec *model)
{
    static const double channels_of_a_scale = 128, scale_bytes = 4;
    if (model->sparse_keys <= 0)
        return 0;
    return model->index_head_dim + scale_bytes * ceil(model->index_head_dim / channels_of_a_scale);
}

double model_windowed_share(const ModelSpec *model)
{
    if (model->attention_window <= 0)
        return 0;
    return model->window_layers > 0 ? fmin(1, model->window_layers / model->layers) : 1;
}

double model_window_share(const ModelSpec *model, double length)
{
    /* A chosen part of the tokens before costs what the last of them would. */
    const double looking = 1 - model_linear_share(model);
    const int sparse = model->sparse_keys > 0;
    const double window = sparse ? model->sparse_keys : model->attention_window;
    if (window <= 0 || window >= length)
        return looking;
    const double windowed = sparse ? 1 : model_windowed_share(model);
    /* The first tokens of a window see a triangle of w^2 / 2, the other s - w see w each; a causal
     * square has s^2 / 2. */
    return looking * (1 - windowed + windowed * window * (2 * length - window) / (length * length));
}

/* ---- parameters ---- */

/* Q: d x query width; K and V: d x KV width each; output: query width x d. */
static double plain_attention(const ModelSpec *model)
{
    const double d = model->d_model;
    const double query_width = model->heads * model->head_dim;
    const double kv_width = model->kv_heads * model->head_dim;
    const double gate = model->gated_attention ? d * query_width : 0;
    return d * query_width + gate + 2 * d * kv_width + query_width * d;
}

/* One product in, a convolution over four tokens, one product out. */
static double linear_attention(const ModelSpec *model)
{
    const double d = model->d_model, dim = model->linear_head_dim, taps = 4;
    const double value_width = model->linear_value_heads * dim;
    return d * model_linear_columns(model) +
           taps * (2 * model->linear_key_heads * dim + value_width) + value_width * d;
}

/* DeepSeek-V2 (2405.04434), section 2.1 and appendix C: the stream goes down to a latent of keys
 * and values and to a rotary key that all heads share, the latent up to each head's key and value;
 * the query likewise, if it has a latent. */
static double latent_attention(const ModelSpec *model)
{
    const double d = model->d_model;
    const double query_width = model->heads * model_query_head_dim(model);
    const double query =
        model->q_lora_rank > 0 ? model->q_lora_rank * (d + query_width) : d * query_width;
    const double down = d * (model->kv_lora_rank + model->rope_head_dim);
    const double up =
        model->kv_lora_rank * model->heads * (model->nope_head_dim + model->v_head_dim);
    return query + down + up + model->heads * model->v_head_dim * d + model_indexer_weights(model);
}

ModelParameters model_parameters(const ModelSpec *model)
{
    const double layers = model->layers;
    const double d = model->d_model;
    const double matrices = model->gated_mlp ? 3 : 2;
    const int dense = model->experts <= 1;
    ModelParameters count = {.moe_layers = model_expert_layers(model)};
    const double dense_layers = layers - count.moe_layers;

    count.attention_per_layer =
        model_has_latent_attention(model) ? latent_attention(model) : plain_attention(model);
    const double linear = model_linear_share(model);
    if (linear > 0)
        count.attention_per_layer =
            (1 - linear) * count.attention_per_layer + linear * linear_attention(model);
    /* A dense layer is one MLP and, if a model has that, shared ones beside it. */
    count.dense_mlp_per_layer = matrices * d * model->d_ff;
    count.expert_per_layer =
        dense ? count.dense_mlp_per_layer : matrices * d * model_expert_width(model);
    count.shared_per_layer = matrices * d * model_shared_width(model);
    if (dense)
        count.dense_mlp_per_layer += count.shared_per_layer;

    /* The router is one row of d weights an expert; a layer has two norms of d weights, and latents
     * one each. */
    count.router_per_layer = dense ? 0 : d * model->experts;
    count.norms_per_layer = 2 * d;
    if (model_has_latent_attention(model))
        count.norms_per_layer += model->kv_lora_rank + model->q_lora_rank;
    count.other_per_layer = count.router_per_layer + count.norms_per_layer;

    const double dense_mlps = dense_layers * count.dense_mlp_per_layer;
    count.attention = layers * count.attention_per_layer;
    count.mlp_per_expert = (dense ? layers : count.moe_layers) * count.expert_per_layer;
    count.mlp = dense_mlps + count.moe_layers *
                                 (model->experts * count.expert_per_layer + count.shared_per_layer);
    count.router = count.moe_layers * count.router_per_layer;
    count.norms = layers * count.norms_per_layer + d;
    count.embedding =
        model->vocab_size * d * (model->tied_embeddings ? 1 : 2) + model->learned_positions * d;

    const double used_mlp =
        dense_mlps + count.moe_layers *
                         (routed_experts(model) * count.expert_per_layer + count.shared_per_layer);
    const VisionParameters vision = vision_parameters(model);
    count.vision = vision.encoder + vision.cross;
    const double always =
        count.attention + count.router + count.norms + count.embedding + count.vision;
    count.matrices_active = count.attention + count.router + used_mlp;
    count.total = always + count.mlp;
    count.active = always + used_mlp;
    return count;
}

/* ---- FLOPs ---- */

ModelFlops model_flops_per_token(const ModelSpec *model, double context)
{
    const ModelParameters count = model_parameters(model);
    const double head = model->vocab_size * model->d_model;
    ModelFlops flops;

    /* 2 FLOPs a token for each weight of a matrix that the token is multiplied with. */
    const VisionFlops vision = vision_flops_per_token(model, context);
    flops.matmul = 2 * (count.matrices_active + head) + vision.matmul;

    /* QK^T and PV: 2 products of 2 FLOPs for each channel and each token of context. */
    const double channels =
        model->heads * (model_query_head_dim(model) + model_value_head_dim(model));
    flops.attention_full =
        2 * model->layers * channels * context * model_window_share(model, context);
    flops.attention_causal = flops.attention_full / 2 + vision.attention;
    flops.attention_full += vision.attention;
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
    const double channels = (model_query_head_dim(model) + model_value_head_dim(model)) / 2;
    return model_flops_6nd(model) + 12 * model->layers * model->heads * channels * context;
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
    if (model_has_latent_attention(model))
        return model->layers * ((model->kv_lora_rank + model->rope_head_dim) * bytes_per_element +
                                model_index_key_bytes(model));
    return 2 * (model->layers - model->linear_layers) * model->kv_heads * model->head_dim *
           bytes_per_element;
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
        [PRECISION_BF16] = 2,
        [PRECISION_FP8] = 1,
        [PRECISION_FP16] = 2,
        [PRECISION_FP32] = 4,
        [PRECISION_INT8] = 1,
        [PRECISION_INT4] = 0.5,
        /* MXFP4 (OCP Microscaling Formats 1.0): 32 values of 4 bits share 8 bits of scale */
        [PRECISION_FP4] = 4.25 / 8};
    return bytes[precision];
}
