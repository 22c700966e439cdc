/* Time of one iteration as a piecewise-linear function of the mean context of what decodes, so that
 * iterations which differ only by their contexts growing by one token can be summed in closed form.
 *
 * Between the nodes of a grid of contexts (8 an octave) each stage's time is interpolated; at the
 * nodes it is that of stage_cost.h. */
#ifndef SIM_SERVING_ITERATION_TIME_H
#define SIM_SERVING_ITERATION_TIME_H

#include "sim/serving/draft_cost.h"

typedef struct IterationNode {
    double context;
    double total_s;             /* of all stages */
    double stage_s[MAX_STAGES]; /* only the first `stages` are used */
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

/* Seconds of each stage for one pass. */
void iteration_stages(IterationTime *time, const PassLoad *load, double *stage_s);

/* `repeats` iterations of decoding alone, the context growing by one in each, all stages one behind
 * the other: stops after the first iteration that ends at or behind `limit_s` seconds. Returns the
 * seconds; `done` is how many it were. */
double iteration_run(IterationTime *time, const PassLoad *load, uint64_t repeats, double limit_s,
                     uint64_t *done);

#endif
