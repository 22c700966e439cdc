/* One replica without noise, without events: the same tasks in the same orders as pipeline.h, as a
 * recurrence (a task ends at the later of "its stage is free" and "its input is here", plus its
 * time) worked off in an order that was laid out once for a shape. Schedules that go one way need
 * no orders at all (line.h). Inside sim/training only. */
#ifndef SIM_TRAINING_FOLD_H
#define SIM_TRAINING_FOLD_H

#include "sim/training/pipeline.h"

typedef struct Fold Fold;

Fold *fold_create(Error *error);
void fold_destroy(Fold *fold);

/* What is wanted of a fold: when everything ends, or besides, what the breakdown compares. Both
 * give the same ends. */
typedef enum FoldDetail { FOLD_ENDS, FOLD_CAUSES } FoldDetail;

/* What the breakdown compares; instant, ideal and hidden times are 0 where only ends are wanted.
 * `ends` belong to the fold, until its next run. */
typedef struct FoldOutcome {
    ScheduleShape shape;
    PipelineEnds ends;   /* with sends */
    double makespan_s;   /* with sends */
    double instant_s;    /* makespan without sends */
    double ideal_s;      /* makespan without sends when every stage is the mean stage */
    double ideal_work_s; /* mean over stages of what such stages work */
    double work_s;       /* mean over stages of what the stages work */
    double hidden_s;     /* mean over stages of communication beside another task's computing */
    size_t spans;
} FoldOutcome;

/* `spans`: stages * tasks entries to fill, or NULL. Allocates only when the shape is larger than
 * all before it. */
Status fold_evaluate(Fold *fold, const StepInput *input, FoldDetail detail, StepSpan *spans,
                     FoldOutcome *outcome, Error *error);

/* The general recurrence alone, for any schedule: what the special forms are held against. */
Status fold_evaluate_generally(Fold *fold, const StepInput *input, StepSpan *spans,
                               FoldOutcome *outcome, Error *error);

#endif
