/* From the blocks of a plan to the input of its step. Inside sim/training only. */
#ifndef SIM_TRAINING_STEP_INPUT_H
#define SIM_TRAINING_STEP_INPUT_H

#include "models/architecture.h"
#include "sim/training/block_set.h"

/* step_input (stage_time.h) of a scenario whose blocks, whose memory by parts and whose FLOPs of
 * one token are known. memory_bytes of the stages stays 0. */
Status step_input_of_blocks(const Scenario *scenario, const MemoryParts *parts,
                            const BlockSet *blocks, const ModelFlops *flops, StepInput *input,
                            Error *error);

#endif
