/* Pipelines in which a slot of every stage holds one forward, one backward and (where schedules
 * split it off) one weight gradient: 1F1B, interleaved, ZB-H1, ZB-2p. Inside sim/training only.
 *
 * The recurrence is fold.h's: a task starts at the later of "its stage is free" and "its input is
 * here". It is worked off along wave fronts, so that all tasks of a front need results of the front
 * before only, and no order has to be laid out. */
#ifndef SIM_TRAINING_WAVE_H
#define SIM_TRAINING_WAVE_H

#include "sim/training/pipeline.h"

typedef struct Wave {
    const ScheduleShape *shape;
    const TaskTime *times; /* [stage][chunk][kind] */
    double send_s;
    double *scratch; /* wave_scratch() numbers */
} Wave;

bool wave_knows(const ScheduleShape *shape);
size_t wave_scratch(const ScheduleShape *shape);

/* When the last task of each chunk begins and ends: ends[stage * chunks + chunk], the beginning in
 * `first_gradient_s`. */
void wave_run(const Wave *wave, ChunkEnd *ends);

#endif
