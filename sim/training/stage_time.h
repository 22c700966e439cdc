/* How long one pipeline stage needs for one microbatch, by cause. Turns operators into seconds. */
#ifndef SIM_TRAINING_STAGE_TIME_H
#define SIM_TRAINING_STAGE_TIME_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"
#include "models/memory.h"

typedef struct StagePhase {
    double compute_s;          /* kernels */
    double recompute_s;        /* backward only: the forward done again */
    double tensor_s;           /* exposed tensor-parallel communication */
    double expert_s;           /* exposed expert-parallel communication */
    double expert_imbalance_s; /* waiting for the most loaded expert rank */
    double sharding_s;         /* ZeRO-3: exposed gathers of parameters, reductions of gradients */
    double total_s;            /* the sum */
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

typedef struct StepInput {
    size_t stages;
    size_t microbatches;
    size_t replicas;
    PipelineSchedule schedule;
    double send_s; /* activation between neighbouring stages, one microbatch */
    double jitter; /* relative standard deviation of a GPU's compute during one step */
    int overlap_grad_reduce, overlap_param_gather;
    double tokens;           /* of the step */
    double model_flops;      /* of the step, exact matmul count with causal attention */
    double hardware_flops;   /* with recomputation */
    double peak_flops_per_s; /* of all GPUs, at the precision of the matrix products */
    double gpus;
    StageTime stage[MAX_STAGES];
} StepInput;

/* Everything that the step simulation needs, from a checked scenario. The expert loads are drawn
 * from the stream (seed, "expert load", replication). */
Status step_input(const Scenario *scenario, unsigned long long seed, unsigned long long replication,
                  StepInput *input, Error *error);

#endif
