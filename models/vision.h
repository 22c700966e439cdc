/* Images beside text: an encoder, and cross-attention layers of the decoder that read what it makes
 * of them (Flamingo, Alayrac et al. 2022, section 2; Llama 3, Grattafiori et al. 2024, section 7).
 * Everything is 0 for a model without vision. */
#ifndef MODELS_VISION_H
#define MODELS_VISION_H

#include "configs/reader/scenario.h"

/* Norms are counted as in the decoder; patch embedding, positions and gates are not (0.1%). */
typedef struct VisionParameters {
    double encoder;
    double cross_per_layer, cross; /* all cross-attention layers */
} VisionParameters;

/* Does the model have an encoder or cross-attention layers at all? */
int model_sees(const ModelSpec *model);

VisionParameters vision_parameters(const ModelSpec *model);

/* Vectors of one image that the decoder sees, their width, and the width of keys (or values). */
double model_image_tokens(const ModelSpec *model);
double model_image_width(const ModelSpec *model);
double model_cross_kv_width(const ModelSpec *model);

/* Image vectors that one token attends to. */
double model_seen_image_tokens(const ModelSpec *model);

/* Cross-attention layers beside the first `layers` layers of the decoder. */
double model_cross_layers_before(const ModelSpec *model, double layers);
double model_cross_layers(const ModelSpec *model);

/* Forward FLOPs for each of the `context` tokens of a sequence: encoder and keys and values once an
 * image, the rest of the cross-attention layers once a token. Attention over images is no causal
 * square. */
typedef struct VisionFlops {
    double matmul, attention;
} VisionFlops;
VisionFlops vision_flops_per_token(const ModelSpec *model, double context);

#endif
