/* How long one pipeline stage needs for one microbatch, by cause. Turns operators into seconds. */
#ifndef SIM_TRAINING_STAGE_TIME_H
#define SIM_TRAINING_STAGE_TIME_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"
#include "models/memory.h"
#include "sim/training/overlap.h"

typedef struct StagePhase {
    double compute_s;          /* kernels */
    double recompute_s;        /* backward only: the forward done again */
    double tensor_s;           /* exposed tensor- and context-parallel communication */
    double expert_s;           /* exposed expert-parallel communication */
    double expert_imbalance_s; /* waiting for the most loaded expert rank */
    double sharding_s;         /* ZeRO-3: exposed gathers of parameters, reductions of gradients */
    double total_s;            /* the sum */
    double weight_s;           /* of compute_s: weight gradients, which no other stage waits for */
    double expert_variance_s2; /* of the total between microbatches: their tokens differ */
} StagePhase;

typedef struct StageTime {
    double layers;
    double parameters; /* on one GPU */
    double memory_bytes;
    StagePhase forward, backward;
    double grad_reduce_s;  /* data-parallel gradient collective of the whole stage */
    double param_gather_s; /* ZeRO: parameters back after the optimizer */
    double optimizer_s;
} StageTime;

/* One of the model chunks that a stage holds under the interleaved schedule. */
typedef struct ChunkTime {
    double layers;
    StagePhase forward, backward;
} ChunkTime;

typedef struct StepInput {
    size_t stages;
    size_t microbatches;
    size_t replicas;
    PipelineSchedule schedule;
    double send_s; /* activation between neighbouring stages, one microbatch */
    double jitter; /* relative standard deviation of a GPU's compute during one step */
    int overlap_grad_reduce, overlap_param_gather;
    StreamRates data_rates;  /* of computing and data-parallel communication side by side */
    StreamRates block_rates; /* of computing and a layer's own communication side by side */
    double tokens;           /* of the step */
    double model_flops;      /* of the step, exact matmul count with causal attention */
    double hardware_flops;   /* with recomputation */
    double peak_flops_per_s; /* of all GPUs, at the precision of the matrix products */
    double gpus;
    double dropped_share;        /* of the tokens' copies to experts: above the capacity factor */
    double expert_max_over_mean; /* rows of the most loaded expert; of the most loaded rank */
    double rank_max_over_mean;
    size_t expert_group_replicas; /* replicas whose tokens meet at their experts; 0 counts as 1 */
    StageTime stage[MAX_STAGES];  /* a stage is the sum of its chunks */
    size_t virtual_stages; /* chunks of a stage, above 1 only when interleaved; 0 counts as 1 */
    ChunkTime chunk[MAX_STAGES]; /* [chunk][stage], when there are several */
} StepInput;

/* Everything that the step simulation needs, from a checked scenario. The expert loads are drawn
 * from the stream (seed, "expert load", replication). */
Status step_input(const Scenario *scenario, unsigned long long seed, unsigned long long replication,
                  StepInput *input, Error *error);

/* The same, with expert loads that were drawn before; `loads` (expert_load.h) may be NULL. */
struct ExpertLoadMemo;
Status step_input_sharing(const Scenario *scenario, unsigned long long seed,
                          unsigned long long replication, struct ExpertLoadMemo *loads,
                          StepInput *input, Error *error);

#endif
