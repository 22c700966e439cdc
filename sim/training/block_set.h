/* The kinds of blocks that the stages of a plan are made of, with their seconds. Inside
 * sim/training only. */
#ifndef SIM_TRAINING_BLOCK_SET_H
#define SIM_TRAINING_BLOCK_SET_H

#include "sim/training/block_time.h"

typedef struct BlockSet {
    size_t draws; /* of expert loads: so many kinds of layers with experts */
    double dropped_share, expert_max_over_mean, rank_max_over_mean;
    double memory_share; /* of a layer's computing: time that only moves bytes */
    StreamRates rates;   /* of its computing and its own communication */
    BlockTime layer[MAX_LOAD_DRAWS];
    BlockTime dense; /* a layer without experts of a model with some */
    BlockTime cross; /* a cross-attention layer */
    BlockTime embedding, head;
    BlockTime encoder_layer; /* of images; the encoder stands beside the embedding */
} BlockSet;

/* Those of a checked scenario, by its mode of recomputation. Expert loads are drawn from the stream
 * (seed, "expert load", replication). `products` (may be NULL): those of plans of the same model,
 * hardware, seed and replication, whose values are the same whether they were kept or not. */
Status block_set_fill(const Scenario *scenario, unsigned long long seed,
                      unsigned long long replication, ProductMemo *products, BlockSet *blocks,
                      Error *error);

/* What block_set_fill gives with the recomputation of `parallel`, from what it gave with none. */
void block_set_recompute(const BlockSet *without, const ParallelSpec *parallel, BlockSet *blocks);

#endif
