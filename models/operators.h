/* The operators that one rank executes for one decoder layer (and for embedding and head), with the
 * shapes that their time depends on. models knows no seconds; hw turns these into time. */
#ifndef MODELS_OPERATORS_H
#define MODELS_OPERATORS_H

#include "configs/reader/scenario.h"

#include <stddef.h>

typedef enum OperatorKind {
    OPERATOR_GEMM,         /* m, n, k */
    OPERATOR_GROUPED_GEMM, /* rows over `groups` experts, n, k */
    OPERATOR_ATTENTION,    /* batch, length, heads, head_dim */
    OPERATOR_MEMORY,       /* bytes */
    OPERATOR_ALL_REDUCE,   /* bytes over the tensor-parallel group */
    OPERATOR_ALL_GATHER,
    OPERATOR_REDUCE_SCATTER,
    OPERATOR_ALL_TO_ALL /* bytes over the expert-parallel group */
} OperatorKind;

typedef struct Operator {
    const char *name; /* static text: "qkv", "attention", "expert up", ... */
    OperatorKind kind;
    double m, n, k; /* GEMM shape; attention: m = sequences, n = length, k = heads on this rank */
    double groups;  /* experts on this rank that a grouped GEMM spreads m rows over */
    double bytes;   /* memory operators and collectives */
    double flops;   /* forward FLOPs on this rank (causal attention halved); 0 for the rest */
    int backward_twice; /* GEMMs: dgrad and wgrad, each of the forward's FLOPs */
} Operator;

enum { MAX_LAYER_OPERATORS = 32 };

typedef struct OperatorList {
    size_t count;
    Operator operators[MAX_LAYER_OPERATORS];
} OperatorList;

/* One layer, forward, for one microbatch of training on one tensor-parallel rank. */
void operators_layer_forward(const Scenario *scenario, OperatorList *list);

/* What the first stage does before, and the last stage after, its layers (forward). */
void operators_embedding(const Scenario *scenario, OperatorList *list);
void operators_head(const Scenario *scenario, OperatorList *list);

#endif
