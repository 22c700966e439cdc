/* The model of a Scenario: a decoder-only transformer, dense or with experts, maybe with an image
 * encoder. */
#ifndef CONFIGS_READER_SCENARIO_MODEL_H
#define CONFIGS_READER_SCENARIO_MODEL_H

#include "configs/reader/scenario_common.h"

/* An image encoder beside the decoder, whose output the decoder reads through cross-attention
 * layers of its own (Flamingo, Alayrac et al. 2022; Llama 3, Grattafiori et al. 2024, section 7).
 * All zero: text only. */
typedef struct VisionSpec {
    double layers, d_model, d_ff, heads; /* of the encoder: a plain transformer over patches */
    double patches;                      /* of one image, whole tiles together */
    double image_tokens;   /* vectors of one image that the decoder sees; 0: as many as patches */
    double image_width;    /* of each of them; 0: d_model */
    double cross_every;    /* a cross-attention layer beside every n-th layer of the decoder */
    double cross_kv_heads; /* 0: as many as query heads */
    double cross_d_ff;     /* hidden width of the MLP of a cross-attention layer; 0: it has none */
    double images;         /* in one training sequence */
    double seen_images;    /* of these that one token attends to; 0: all */
    double bytes;          /* of one image as it is loaded */
} VisionSpec;

/* A decoder-only transformer. Dense when experts == 1. */
typedef struct ModelSpec {
    char name[NAME_BYTES];
    double layers;
    double d_model;
    double d_ff;     /* hidden width of one MLP (of one expert) */
    double heads;    /* query heads */
    double kv_heads; /* 1: multi-query; heads: multi-head */
    double head_dim; /* heads * head_dim need not equal d_model */
    double vocab_size;
    double experts;           /* 1: dense */
    double experts_per_token; /* top-k */
    double shared_experts;
    int gated_mlp;       /* 0: two matrices a MLP; 1: three (SwiGLU) */
    int gated_attention; /* 1: the query's product gives a gate of its results, too */
    int tied_embeddings; /* 1: input and output embedding share one matrix */
    /* Zero in each of these is the plain transformer. */
    double expert_d_ff;      /* width of a routed expert where it is not d_ff */
    double shared_d_ff;      /* width of a shared expert; 0: as a routed one */
    double dense_layers;     /* the first so many layers of an MoE model have one MLP of d_ff */
    double moe_every;        /* of the layers behind them every n-th has experts; 0 and 1: all */
    double kv_lora_rank;     /* multi-head latent attention (DeepSeek-V2, section 2.1); 0: none */
    double q_lora_rank;      /* latent attention: 0: queries come straight from the stream */
    double rope_head_dim;    /* latent attention: rotary channels of a head, one key for all */
    double nope_head_dim;    /* latent attention: the other query and key channels of a head */
    double v_head_dim;       /* latent attention: value channels of a head */
    double attention_window; /* tokens that a token looks back at most; 0: all */
    double window_layers;    /* layers that the window holds for; 0: all */
    double sparse_keys;      /* of those before it that an indexer chooses for a token (DeepSeek
                                sparse attention, on latent attention alone); 0: all */
    double index_heads;      /* of the indexer's queries */
    double index_head_dim;   /* channels of these and of its one key a token */
    double linear_layers; /* with a gated delta rule (linear attention) in the place of attention */
    double linear_key_heads; /* queries and keys of such a layer */
    double linear_value_heads;
    double linear_head_dim;   /* channels of each of these heads */
    double routed_groups;     /* of experts that one token's copies go to at most; 0: any */
    double learned_positions; /* rows of a table of positions; 0: none (rotary or none) */
    VisionSpec vision;
} ModelSpec;

#endif
