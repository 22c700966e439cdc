/* 1F1B in closed form where one stage sets the pace. Inside sim/training only. */
#ifndef SIM_TRAINING_PACED_H
#define SIM_TRAINING_PACED_H

#include "sim/training/pipeline.h"

/* Fills ends[stage] (the beginning of the last backward in `first_gradient_s`) and returns true, or
 * returns false where the form does not hold. `times` [stage][2]; `scratch`: a number a stage. */
bool paced_1f1b_ends(const ScheduleShape *shape, const TaskTime *times, double send_s,
                     double *scratch, ChunkEnd *ends);

#endif
