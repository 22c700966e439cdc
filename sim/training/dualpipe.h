/* One replica of a DualPipe pipeline without an order laid out. Inside sim/training only. */
#ifndef SIM_TRAINING_DUALPIPE_H
#define SIM_TRAINING_DUALPIPE_H

#include "sim/training/pipeline.h"

typedef struct DualPipe {
    const ScheduleShape *shape;
    const TaskTime *times; /* [stage][chunk][kind] */
    double send_s;
    StreamRates rates; /* of computing beside the communication of the other direction */
    void *memory;      /* dualpipe_memory_bytes() */
} DualPipe;

size_t dualpipe_memory_bytes(const ScheduleShape *shape);

/* Fills `ends`: first starts, and for each chunk when its last block begins (in `first_gradient_s`)
 * and ends. Returns what the mean stage works, or -1 when the stages wait for each other. */
double dualpipe_run(const DualPipe *pipe, const PipelineEnds *ends);

#endif
