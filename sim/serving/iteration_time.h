/* Time of one iteration. Of decoding alone on one stage it is a piecewise-linear function of the
 * mean context, so that iterations which differ only by their contexts growing by one token can be
 * summed in closed form: between the nodes of a grid of contexts (8 an octave) it is interpolated,
 * at the nodes it is that of stage_cost.h, as it is everywhere when prompts are read or several
 * stages follow each other. */
#ifndef SIM_SERVING_ITERATION_TIME_H
#define SIM_SERVING_ITERATION_TIME_H

#include "sim/serving/draft_cost.h"

#include <stdint.h>

typedef struct IterationNode {
    double context;
    ServeStageTime parts;
} IterationNode;

typedef struct IterationTime {
    StageCost *cost;
    const StageLayout *layout;
    DraftCost *draft; /* NULL: no speculation */
    double decode;    /* sequences that the nodes below are of; no prompts */
    double drafts;
    size_t interval; /* whose ends the nodes are; SIZE_MAX: none yet */
    IterationNode low, high;
} IterationTime;

void iteration_time_init(IterationTime *time, StageCost *cost, const StageLayout *layout,
                         DraftCost *draft);

/* Seconds of each stage for one pass. Returns the stage that takes longest; `slowest`: its parts.
 */
size_t iteration_stages(IterationTime *time, const PassLoad *load, double *stage_s,
                        ServeStageTime *slowest);

/* Seconds of one stage for one pass. */
double iteration_stage_s(IterationTime *time, size_t stage, const PassLoad *load);

/* One stage: `repeats` iterations of decoding alone, the context growing by one in each; stops
 * after the first that ends at or behind `limit_s` seconds. Returns the seconds; `done` is how many
 * it were, `sum` gets their parts. */
double iteration_run(IterationTime *time, const PassLoad *load, uint64_t repeats, double limit_s,
                     uint64_t *done, ServeStageTime *sum);

#endif
