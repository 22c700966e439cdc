#include "models/vision.h"

#include <math.h>

static int has_vision(const ModelSpec *model)
{
    return model->vision.cross_every > 0 || model->vision.layers > 0;
}

double model_image_tokens(const ModelSpec *model)
{
    const VisionSpec *vision = &model->vision;
    return vision->image_tokens > 0 ? vision->image_tokens : vision->patches;
}

double model_image_width(const ModelSpec *model)
{
    const VisionSpec *vision = &model->vision;
    return vision->image_width > 0 ? vision->image_width : vision->d_model;
}

double model_cross_kv_width(const ModelSpec *model)
{
    const double heads = model->vision.cross_kv_heads;
    return (heads > 0 ? heads : model->heads) * model->head_dim;
}

double model_seen_image_tokens(const ModelSpec *model)
{
    const VisionSpec *vision = &model->vision;
    const double seen =
        vision->seen_images > 0 ? fmin(vision->seen_images, vision->images) : vision->images;
    return seen * model_image_tokens(model);
}

double model_cross_layers_before(const ModelSpec *model, double layers)
{
    const double every = model->vision.cross_every;
    return every > 0 ? floor(layers / every) : 0;
}

double model_cross_layers(const ModelSpec *model)
{
    return model_cross_layers_before(model, model->layers);
}

/* Matrices of one cross-attention layer: those that a token passes, and those of the images. */
static double cross_token_matrices(const ModelSpec *model)
{
    const double d = model->d_model;
    const double mlp = (model->gated_mlp ? 3 : 2) * d * model->vision.cross_d_ff;
    return 2 * d * model->heads * model->head_dim + mlp;
}

static double cross_image_matrices(const ModelSpec *model)
{
    return 2 * model_image_width(model) * model_cross_kv_width(model);
}

/* A plain layer of width d: Q, K, V and output, and an MLP of two matrices. */
static double encoder_layer_matrices(const VisionSpec *vision)
{
    return 4 * vision->d_model * vision->d_model + 2 * vision->d_model * vision->d_ff;
}

int model_sees(const ModelSpec *model)
{
    return model->vision.layers > 0 || model->vision.cross_every > 0;
}

VisionParameters vision_parameters(const ModelSpec *model)
{
    const VisionSpec *vision = &model->vision;
    VisionParameters count = {0};
    if (!has_vision(model))
        return count;
    count.encoder = vision->layers * (encoder_layer_matrices(vision) + 2 * vision->d_model);
    if (vision->cross_every > 0)
        count.cross_per_layer =
            cross_token_matrices(model) + cross_image_matrices(model) + 2 * model->d_model;
    count.cross = model_cross_layers(model) * count.cross_per_layer;
    return count;
}

VisionFlops vision_flops_per_token(const ModelSpec *model, double context)
{
    const VisionSpec *vision = &model->vision;
    VisionFlops flops = {0};
    if (!has_vision(model) || !(context > 0))
        return flops;
    const double images = vision->images / context; /* for each token */
    const double layers = model_cross_layers(model);
    const double cross_images = layers * cross_image_matrices(model) * model_image_tokens(model);
    const double encoder = vision->layers * encoder_layer_matrices(vision) * vision->patches;
    flops.matmul = 2 * (layers * cross_token_matrices(model) + images * (cross_images + encoder));

    /* QK^T and PV: 2 products of 2 FLOPs for each channel and each pair of vectors. */
    const double cross =
        4 * layers * model->heads * model->head_dim * model_seen_image_tokens(model);
    const double self = 4 * vision->layers * vision->d_model * vision->patches * vision->patches;
    flops.attention = cross + images * self;
    return flops;
}
