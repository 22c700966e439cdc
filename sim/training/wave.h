/* Pipelines in which a slot of every stage holds one forward, one backward and (where schedules
 * split it off) one weight gradient: 1F1B, interleaved, ZB-H1, ZB-2p. Inside sim/training only.
 *
 * The recurrence is fold.h's: a task starts at the later of "its stage is free" and "its input is
 * here". It is worked off along wave fronts, so that all tasks of a front need results of the front
 * before only, and no order has to be laid out. Values are those of the recurrence but for the
 * order of additions: where forwards before the first backward are known as a flow shop's, and
 * where rounds that grow alike are skipped (steady.h); tests hold them to 1e-11.
 *
 * Cost grows with stages times fronts, in vectors: p ahead of the first backward are not worked
 * off, some 4 p of the rest are (ZB-H1 and 1F1B 5 p half ones), and of m more those that a steady
 * state does not skip. Measured: a plan of 60 stages and 480 microbatches takes 10 us (ZB-H1) or 13
 * us (ZB-2P) longer than one in closed form, one of 120 and 960 takes 22 or 32 us longer. */
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
