/* From the blocks of a plan to the input of its step. Inside sim/training only. */
#ifndef SIM_TRAINING_STEP_INPUT_H
#define SIM_TRAINING_STEP_INPUT_H

#include "models/architecture.h"
#include "sim/training/block_set.h"

/* The plan on older GPUs, where a job has two generations, and its blocks there. */
typedef struct OlderBlocks {
    Scenario scenario;
    BlockSet blocks;
} OlderBlocks;

/* step_input (stage_time.h) of a scenario whose blocks, whose memory by parts and whose FLOPs of
 * one token are known; `older` is NULL where all GPUs are alike. memory_bytes of the stages stays
 * 0. */
Status step_input_of_blocks(const Scenario *scenario, const MemoryParts *parts,
                            const BlockSet *blocks, const OlderBlocks *older,
                            const ModelFlops *flops, StepInput *input, Error *error);

#endif
