/* The step of a published row, simulated: what validation and the fit of stacks share. */
#ifndef SIM_PLANNING_MEASURED_STEP_H
#define SIM_PLANNING_MEASURED_STEP_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"
#include "sim/training/step.h"

/* Scratch of one thread. */
typedef struct MeasuredStep {
    Scenario scenario; /* the caller's: step_of_scenario reads it */
    StepInput input;
    StepSimulator *simulator;
    struct ExpertLoadMemo *loads; /* fits ask for the same row again and again */
} MeasuredStep;

/* NULL when out of memory. */
MeasuredStep **measured_steps_create(size_t count, Error *error);
void measured_steps_free(MeasuredStep **steps, size_t count);

/* What the slowest replica costs, as a share of the seconds that the mean stage computes: the mean
 * over replications, as in a training forecast. Hardly changes with anything but the layout. */
Status measured_step_penalty(MeasuredStep *step, unsigned long long seed, double *share,
                             Error *error);

/* Tokens/s/GPU of the folded step with that share added. */
Status measured_step_rate(MeasuredStep *step, unsigned long long seed, double penalty_share,
                          double *tokens_per_s, Error *error);

#endif
