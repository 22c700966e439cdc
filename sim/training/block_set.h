/* The kinds of blocks that the stages of a plan are made of, with their seconds. Inside
 * sim/training only. */
#ifndef SIM_TRAINING_BLOCK_SET_H
#define SIM_TRAINING_BLOCK_SET_H

#include "sim/training/block_time.h"

/* Without recomputation. */
typedef struct BlockTimes {
    BlockTime layer[MAX_LOAD_DRAWS]; /* as many as there are draws */
    BlockTime dense, cross, encoder_layer;
} BlockTimes;

/* By a mode of recomputation, which embedding and head do not have. */
typedef struct BlockSet {
    size_t draws; /* of expert loads: so many kinds of layers with experts */
    double dropped_share, expert_max_over_mean, rank_max_over_mean;
    double memory_share; /* of a layer's computing: time that only moves bytes */
    StreamRates rates;   /* of its computing and its own communication */
    BlockPhases embedding, head;
    BlockPhases layer[MAX_LOAD_DRAWS]; /* `draws` of them */
    BlockPhases dense;                 /* a layer without experts of a model with some */
    BlockPhases cross;                 /* a cross-attention layer */
    BlockPhases encoder_layer;         /* of images; the encoder stands beside the embedding */
} BlockSet;

/* What plans of the same model, hardware, seed and replication share, and loads alone what others
 * do (products NULL); values are the same whether they were kept or not. */
typedef struct BlockMemo {
    ProductMemo *products;
    ExpertLoadMemo *loads;
} BlockMemo;

/* Those of a checked scenario, by its mode of recomputation, which `times` do not depend on. Expert
 * loads are drawn from the stream (seed, "expert load", replication). `memo` may be NULL. */
Status block_set_fill(const Scenario *scenario, unsigned long long seed,
                      unsigned long long replication, const BlockMemo *memo, BlockTimes *times,
                      BlockSet *blocks, Error *error);

/* What block_set_fill gives with the recomputation of `parallel`, from what it gave with another
 * one. */
void block_set_recompute(const BlockTimes *times, const ParallelSpec *parallel,
                         const BlockSet *other, BlockSet *blocks);

#endif
