/* Time of the attention core (softmax(QK^T)V) on one GPU. */
#ifndef HW_ATTENTION_H
#define HW_ATTENTION_H

#include "configs/reader/scenario.h"

/* Training, causal, `batch` sequences of `length` tokens, `heads` query heads on this GPU. Forward
 * is 2/7 of forward + backward FLOPs (backward recomputes the scores: 5 products against 2). A
 * kernel that the GPU lacks falls back to the newest older one. */
double gpu_attention_forward_seconds(const GpuSpec *gpu, AttentionKernel kernel, double batch,
                                     double length, double heads, double head_dim);
double gpu_attention_backward_seconds(const GpuSpec *gpu, AttentionKernel kernel, double batch,
                                      double length, double heads, double head_dim);

/* Decode: one new token for each of `sequences`, contexts of `context` tokens. */
typedef struct DecodeAttention {
    double sequences, context;
    double kv_heads, heads;    /* on this GPU */
    double key_dim, value_dim; /* channels of a head in the two products */
    double kv_element_bytes;
    int latent;        /* values are part of the keys, which all heads share (multi-head latent
                          attention, absorbed): key_dim elements a token are read, once */
    int by_query_head; /* a kernel that gives each query head its own multiprocessor and no matrix
                          units, whatever heads share keys */
} DecodeAttention;

/* t = launch + (memory^p + blocks^p + compute^p)^(1/p)
 *   memory   KV bytes / (bandwidth * efficiency)
 *   blocks   rows / SMs * tau, a row being the keys and values of one KV head of one sequence
 *   compute  latent: 2 (key_dim + value_dim) context FLOPs for each query head, at the rate of such
 *            kernels (FlashMLA); by query head: a pair of head and token costs its sums and its
 *            exponential, whatever the width; grouped kernels wait for memory */
double gpu_decode_seconds(const GpuSpec *gpu, const DecodeAttention *decode);

/* The same of plain heads by a grouped kernel. */
double gpu_attention_decode_seconds(const GpuSpec *gpu, double sequences, double context,
                                    double kv_heads, double heads, double head_dim,
                                    double kv_element_bytes);

#endif
