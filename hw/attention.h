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

/* Decode: one new token for each of `sequences`, contexts of `context` tokens, `kv_heads` on this
 * GPU, kv_bytes per element. */
double gpu_attention_decode_seconds(const GpuSpec *gpu, double sequences, double context,
                                    double kv_heads, double heads, double head_dim,
                                    double kv_element_bytes);

#endif
