/* One replica of a DualPipe pipeline without an order laid out. Inside sim/training only.
 *
 * A stage and the one opposite hold the same two model chunks with the directions exchanged, and so
 * do at the same time the same things: half of the pipeline is enough, and what its middle stage
 * hands on comes back to it as if from the other half. In an order of blocks that is known
 * beforehand (phase by phase, see dualpipe.c) each needs only the last thing that a neighbour
 * handed on. */
#ifndef SIM_TRAINING_DUALPIPE_H
#define SIM_TRAINING_DUALPIPE_H

#include "sim/training/pipeline.h"

typedef struct DualPipe {
    const ScheduleShape *shape;
    const TaskTime *times; /* [stage][chunk][kind] */
    double send_s;
    StreamRates rates; /* of computing beside the communication of the other direction */
    double *scratch;   /* dualpipe_scratch() numbers */
} DualPipe;

size_t dualpipe_scratch(const ScheduleShape *shape);

/* Fills `ends`: first starts, and for each chunk when its last block begins (in `first_gradient_s`)
 * and ends. Returns what the mean stage works. Cost grows with the square of the stages, not with
 * the microbatches. */
double dualpipe_run(const DualPipe *pipe, const PipelineEnds *ends);

#endif
