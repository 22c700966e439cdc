/* One replica of a pipeline in special forms that need no order laid out: closed forms for GPipe
 * and for 1F1B with equal stages, wave fronts (wave.h) for the other schedules that go one way.
 * Inside sim/training only. */
#ifndef SIM_TRAINING_LINE_H
#define SIM_TRAINING_LINE_H

#include "sim/training/pipeline.h"

typedef struct Line {
    const ScheduleShape *shape;
    const TaskTime *times; /* [stage][chunk][kind] */
    double *scratch;       /* line_scratch() numbers */
    PipelineEnds ends;     /* what line_run fills in */
} Line;

bool line_knows(const ScheduleShape *shape);
size_t line_scratch(const ScheduleShape *shape);

/* Fills line->ends, with `first_gradient_s` when the last task of a chunk begins. */
void line_run(const Line *line, double send_s);

/* What a stage works in one step, mean over stages. */
double line_work_s(const Line *line);

/* The makespan of stages that are all the mean stage, no sends, in closed form: 1F1B and GPipe
 * compute (m + p - 1)(f + b). */
bool line_has_ideal(const ScheduleShape *shape);
double line_ideal_s(const Line *line);

#endif
