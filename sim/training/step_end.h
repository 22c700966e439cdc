/* From the end of the pipeline to the end of the step: gradient reduction, optimizer, parameter
 * gather. Inside sim/training only. */
#ifndef SIM_TRAINING_STEP_END_H
#define SIM_TRAINING_STEP_END_H

#include "sim/training/pipeline.h"

/* Without a barrier no stage waits for the others between its last gradient and its next step. */
bool schedule_has_barrier(PipelineSchedule schedule);

/* Layers of one model chunk, at least 1. */
double step_end_layers(const ScheduleShape *shape, const StepInput *input, size_t stage,
                       size_t chunk);

/* Until the last task ends; without a barrier the longest that any stage takes from its first task
 * to its last, which is what one of many steps in a row takes. */
double pipeline_makespan(const ScheduleShape *shape, const PipelineEnds *ends);

/* The whole step; `without_optimizer_s` (may be NULL) the same if optimizers took no time. */
double step_end_seconds(const ScheduleShape *shape, const StepInput *input,
                        const PipelineEnds *ends, double *without_optimizer_s);

#endif
