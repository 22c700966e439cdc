/* A stage's time dealt out to its model chunks. Inside sim/training only. */
#ifndef SIM_TRAINING_CHUNK_TIME_H
#define SIM_TRAINING_CHUNK_TIME_H

#include "sim/training/stage_time.h"

/* Fills input->chunk for one finished stage; nothing when a stage is one chunk. Layers are dealt
 * out as evenly as can be, later chunks one more, each at the stage's mean layer; the embedding
 * comes on the first chunk of the first stage, the head on the last chunk of the last. The chunks
 * of a stage sum to it. */
void chunk_times(StepInput *input, size_t stage, const StagePhase *embedding_forward,
                 const StagePhase *embedding_backward, const StagePhase *head_forward,
                 const StagePhase *head_backward);

#endif
