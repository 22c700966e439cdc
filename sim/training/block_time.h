/* Seconds of one block of a stage: operators into kernels and collectives. Inside sim/training
 * only. */
#ifndef SIM_TRAINING_BLOCK_TIME_H
#define SIM_TRAINING_BLOCK_TIME_H

#include "models/operators.h"
#include "sim/training/expert_load.h"
#include "sim/training/overlap.h"
#include "sim/training/product_memo.h"
#include "sim/training/stage_time.h"

/* Forward and backward of one microbatch in one block: a layer, the embedding or the head. */
typedef struct BlockPhases {
    StagePhase forward, backward;
} BlockPhases;

/* The same without recomputation, with what recomputation depends on. */
typedef struct BlockTime {
    StagePhase forward, backward;
    double attention_s;      /* attention cores of the forward, for selective recomputation */
    double attention_ring_s; /* exposed passes of keys and values in that */
    double products_s;       /* matrix products of the forward, likewise */
    double kept_products_s;  /* of those, what recomputation by operators keeps */
    double light_s;          /* norms and activation functions of the forward, likewise */
    double norms_s;          /* those of them outside of experts */
    double qkv_s;            /* products that make queries, keys and values, with their launches */
    double experts_s, experts_tensor_s; /* all computing of a layer's experts, and exposed TP */
    double last_s, last_tensor_s;       /* what no backward needs, at the end of a layer */
    double forward_launch_s, backward_launch_s, attention_launch_s; /* of kernels, by the host */
    double drawn_forward_s[MAX_LOAD_SAMPLES]; /* of the experts, one microbatch each */
    double drawn_backward_s[MAX_LOAD_SAMPLES];
    double memory_bound_s;                   /* of the forward's computing */
    double tensor_beside_s, expert_beside_s; /* communication of one phase beside computing */
} BlockTime;

/* What the seconds of an operator depend on besides its shape. */
typedef struct Clock {
    const Scenario *scenario;
    GpuSpec gpu;         /* at the clock that it sustains (gpu_at_sustained_clock) */
    Precision precision; /* of this block's matrix products */
    const ExpertLoad *load;
    double *rows;          /* scratch for one rank's experts */
    ProductMemo *products; /* kept from other plans, or NULL */
    double tensor_ranks_per_node, expert_ranks_per_node, expert_tensor_ranks_per_node;
    int ring_in_node; /* context-parallel neighbours share a node */
    StreamDemand tensor_demand, expert_demand, ring_demand;
} Clock;

/* A GPU whose matrix products run as fast as its power limit lets them for hours: kernels are
 * measured one by one, from a cool start. Attention and copies stay below the limit. */
GpuSpec gpu_at_sustained_clock(const GpuSpec *gpu);

/* Share of a block's computing that only moves bytes. */
double block_memory_share(const BlockTime *block);

/* A layer with the expert loads of each of the first `draws` of the clock's. */
void block_times(const Clock *clock, const OperatorList *list, size_t draws, BlockTime *blocks);

/* A block without experts. */
BlockTime block_time(const Clock *clock, const OperatorList *list);

/* Recomputation runs before a layer's backward (Korthikanti et al. 2022, section 5): the whole
 * forward, its communication included, or what the selective scope names. */
BlockPhases block_with_recomputation(const ParallelSpec *parallel, const BlockTime *block);

#endif
