/* The operators that one rank executes for one decoder layer (and for embedding and head), with the
 * shapes that their time depends on. models knows no seconds; hw turns these into time. */
#ifndef MODELS_OPERATORS_H
#define MODELS_OPERATORS_H

#include "configs/reader/scenario.h"

#include <stddef.h>

typedef enum OperatorKind {
    OPERATOR_GEMM,         /* m, n, k */
    OPERATOR_GROUPED_GEMM, /* rows over `groups` experts, n, k */
    OPERATOR_ATTENTION,    /* batch, length, heads, head_dim, passes, share */
    OPERATOR_MEMORY,       /* bytes */
    OPERATOR_ALL_REDUCE,   /* bytes over the tensor-parallel group */
    OPERATOR_ALL_GATHER,
    OPERATOR_REDUCE_SCATTER,
    OPERATOR_ALL_TO_ALL,        /* bytes over the expert-parallel group */
    OPERATOR_EXPERT_ALL_GATHER, /* bytes over the tensor ways of one expert */
    OPERATOR_EXPERT_REDUCE_SCATTER
} OperatorKind;

typedef struct Operator {
    const char *name; /* static text: "qkv", "attention", "expert up", ... */
    OperatorKind kind;
    double m, n, k; /* GEMM shape; attention: m = sequences, n = length, k = heads on this rank */
    /* Attention only. Context parallelism (Liu et al. 2023, ring attention, with the causal load
     * balanced: a rank has two chunks, one from either end) cuts a sequence over c ranks; keys and
     * values of the others arrive in c - 1 passes beside the work on those that are there. Each of
     * the c rounds costs as much as a causal square of n = length / c tokens. */
    double head_dim; /* mean of query and value channels */
    double rounds;   /* c; 1 without context parallelism */
    double share;    /* of a causal square that is worked on: below 1 with a window */
    double groups;   /* experts on this rank that a grouped GEMM spreads m rows over */
    double bytes;    /* memory operators and collectives; attention: keys and values of one pass */
    double flops;    /* forward FLOPs on this rank (causal attention halved); 0 for the rest */
    int backward_twice; /* GEMMs: dgrad and wgrad, each of the forward's FLOPs */
    int light;   /* memory operators that cost little to do again: norms and activation functions */
    int qkv;     /* products that make queries, keys and values */
    int experts; /* of a layer's experts: router, ways there and back, all that is in between */
    int last;  /* at the end of a layer: what it makes is added up, its backward needs none of it */
    int moves; /* memory operators that put rows in other places: no fusion with neighbours */
} Operator;

enum { MAX_LAYER_OPERATORS = 40 };

typedef struct OperatorList {
    size_t count;
    Operator operators[MAX_LAYER_OPERATORS];
} OperatorList;

/* One layer, forward, for one microbatch of training on one rank: with experts if the model has
 * any, else with one MLP. */
void operators_layer_forward(const Scenario *scenario, OperatorList *list);

/* The same for a layer without experts of whatever model. */
void operators_dense_layer_forward(const Scenario *scenario, OperatorList *list);

/* One cross-attention layer, and one layer of the image encoder; empty for text alone. */
void operators_cross_forward(const Scenario *scenario, OperatorList *list);
void operators_encoder_layer(const Scenario *scenario, OperatorList *list);

/* FLOPs of all layers, forward, for one token, that some recomputations leave out or are about. */
typedef enum OperatorMark { MARK_QKV, MARK_EXPERTS, MARK_LAST } OperatorMark;
double operators_marked_flops(const Scenario *scenario, OperatorMark mark);

/* Of a memory operator's bytes and launches, what a fused stack leaves. */
double operator_left_by_fusion(const Scenario *scenario, const Operator *op);

/* Kernels that the host launches for one operator, forward: several for unfused attention. */
double operator_kernels(const Scenario *scenario, const Operator *op);

/* What the first stage does before, and the last stage after, its layers (forward). */
void operators_embedding(const Scenario *scenario, OperatorList *list);
void operators_head(const Scenario *scenario, OperatorList *list);

#endif
