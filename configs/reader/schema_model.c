/* Keys of a model. The bounds are those of what fits into a double without overflow, far beyond any
 * architecture that exists. */
#include "configs/reader/schema.h"

#define COUNT(KEY, MEMBER, MAXIMUM, HELP)                                                          \
    NUMBER_FIELD(KEY, ModelSpec, MEMBER, DIMENSION_COUNT, 1, MAXIMUM, NULL, FIELD_WHOLE, HELP)

static const Field MODEL_FIELDS[] = {
    TEXT_FIELD("name", ModelSpec, name, "custom", FIELD_LABEL, "label in reports"),
    COUNT("layers", layers, 10000, "decoder layers"),
    COUNT("d_model", d_model, 1e6, "width of the residual stream"),
    COUNT("d_ff", d_ff, 1e7, "hidden width of one MLP (of one expert)"),
    COUNT("heads", heads, 10000, "query heads"),
    COUNT("kv_heads", kv_heads, 10000, "key and value heads; 1 is multi-query"),
    COUNT("head_dim", head_dim, 65536, "width of one head"),
    COUNT("vocab_size", vocab_size, 1e8, "rows of the embedding"),
    NUMBER_FIELD("experts", ModelSpec, experts, DIMENSION_COUNT, 1, 10000, "1", FIELD_WHOLE,
                 "experts of one layer; 1 is dense"),
    NUMBER_FIELD("experts_per_token", ModelSpec, experts_per_token, DIMENSION_COUNT, 1, 10000, "1",
                 FIELD_WHOLE, "experts that each token is sent to"),
    NUMBER_FIELD("shared_experts", ModelSpec, shared_experts, DIMENSION_COUNT, 0, 10000, "0",
                 FIELD_WHOLE, "experts that all tokens pass"),
    WORD_FIELD("gated_mlp", ModelSpec, gated_mlp, BOOL_WORDS, NULL,
               "three matrices a MLP (SwiGLU) instead of two"),
    WORD_FIELD("tied_embeddings", ModelSpec, tied_embeddings, BOOL_WORDS, NULL,
               "input and output embedding share one matrix"),
};

const Schema MODEL_SCHEMA = {.name = "model", GROUP_FIELDS(MODEL_FIELDS)};
