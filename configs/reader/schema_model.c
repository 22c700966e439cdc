/* Keys of a model. The bounds are those of what fits into a double without overflow, far beyond any
 * architecture that exists. */
#include "configs/reader/schema.h"

#define COUNT(KEY, MEMBER, MAXIMUM, HELP)                                                          \
    NUMBER_FIELD(KEY, ModelSpec, MEMBER, DIMENSION_COUNT, 1, MAXIMUM, NULL, FIELD_WHOLE, HELP)
/* A feature that the plain transformer lacks: zero. */
#define EXTRA(KEY, MEMBER, MAXIMUM, HELP)                                                          \
    NUMBER_FIELD(KEY, ModelSpec, MEMBER, DIMENSION_COUNT, 0, MAXIMUM, "0", FIELD_WHOLE, HELP)

#define VISION(KEY, MEMBER, MAXIMUM, HELP)                                                         \
    NUMBER_FIELD(KEY, VisionSpec, MEMBER, DIMENSION_COUNT, 0, MAXIMUM, "0", FIELD_WHOLE, HELP)

static const Field VISION_FIELDS[] = {
    VISION("layers", layers, 10000, "encoder layers"),
    VISION("d_model", d_model, 1e6, "width of the encoder"),
    VISION("d_ff", d_ff, 1e7, "hidden width of the encoder's MLP"),
    VISION("heads", heads, 10000, "heads of the encoder"),
    VISION("patches", patches, 1e6, "of one image"),
    VISION("image_tokens", image_tokens, 1e6, "of one image that the decoder sees; 0: its patches"),
    VISION("image_width", image_width, 1e6, "of each of them; 0: the encoder's width"),
    VISION("cross_every", cross_every, 10000,
           "a cross-attention layer beside every n-th decoder layer"),
    VISION("cross_kv_heads", cross_kv_heads, 10000, "of a cross-attention layer; 0: all heads"),
    VISION("cross_d_ff", cross_d_ff, 1e7, "MLP of a cross-attention layer; 0: it has none"),
    VISION("images", images, 1e5, "in one training sequence"),
    VISION("seen_images", seen_images, 1e5, "of these that one token attends to; 0: all"),
    NUMBER_FIELD("bytes", VisionSpec, bytes, DIMENSION_BYTES, 0, 1e12, "0", 0,
                 "of one image as it is loaded"),
};
static const Schema VISION_SCHEMA = {.name = "vision", GROUP_FIELDS(VISION_FIELDS)};

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
    EXTRA("expert_d_ff", expert_d_ff, 1e7, "hidden width of a routed expert; 0: d_ff"),
    EXTRA("shared_d_ff", shared_d_ff, 1e7, "hidden width of a shared expert; 0: as a routed one"),
    EXTRA("dense_layers", dense_layers, 10000, "first layers without experts"),
    EXTRA("moe_every", moe_every, 10000, "every n-th layer has experts; 0 and 1: all"),
    EXTRA("kv_lora_rank", kv_lora_rank, 1e6, "latent attention: width of the latent; 0: none"),
    EXTRA("q_lora_rank", q_lora_rank, 1e6, "latent attention: width of the query's latent"),
    EXTRA("rope_head_dim", rope_head_dim, 65536, "latent attention: rotary channels of a head"),
    EXTRA("nope_head_dim", nope_head_dim, 65536, "latent attention: other channels of a head"),
    EXTRA("v_head_dim", v_head_dim, 65536, "latent attention: value channels of a head"),
    NUMBER_FIELD("attention_window", ModelSpec, attention_window, DIMENSION_TOKENS, 0, 1e8, "0",
                 FIELD_WHOLE, "tokens that a token looks back; 0: all"),
    EXTRA("window_layers", window_layers, 10000,
          "layers that attention_window holds for, the others look at all; 0: every layer"),
    NUMBER_FIELD("sparse_keys", ModelSpec, sparse_keys, DIMENSION_TOKENS, 0, 1e8, "0", FIELD_WHOLE,
                 "tokens that an indexer chooses for a token to look at; 0: all"),
    EXTRA("index_heads", index_heads, 65536, "the indexer's queries of a token"),
    EXTRA("index_head_dim", index_head_dim, 65536, "their channels, and those of its one key"),
    EXTRA("linear_layers", linear_layers, 10000,
          "layers with a gated delta rule (linear attention) instead; a state of constant size"),
    EXTRA("linear_key_heads", linear_key_heads, 65536, "linear layers: heads of queries and keys"),
    EXTRA("linear_value_heads", linear_value_heads, 65536, "linear layers: heads of values"),
    EXTRA("linear_head_dim", linear_head_dim, 65536, "linear layers: channels of a head"),
    WORD_FIELD("gated_attention", ModelSpec, gated_attention, BOOL_WORDS, "false",
               "the query's product gives a gate of attention's results, too"),
    GROUP_FIELD("vision", ModelSpec, vision, &VISION_SCHEMA, NULL, FIELD_MAY_MISS,
                "an image encoder and its cross-attention layers"),
    EXTRA("routed_groups", routed_groups, 10000,
          "groups of experts (nodes) that a token's copies go to at most; 0: any"),
    EXTRA("learned_positions", learned_positions, 1e8, "rows of a position table; 0: none"),
};

const Schema MODEL_SCHEMA = {.name = "model", GROUP_FIELDS(MODEL_FIELDS)};
