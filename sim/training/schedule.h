/* Pipeline schedules as data: for every stage the order of its tasks. Nothing that runs a schedule
 * knows which one it is; who hands what to whom follows from the shape.
 *
 * A task is the forward, the backward or the weight gradient of one microbatch through one model
 * chunk. Schedules that split the backward (zero bubble, DualPipe) have three kinds of task, of
 * which the backward is the gradient of the input only; the others have two and the backward is
 * all of it. */
#ifndef SIM_TRAINING_SCHEDULE_H
#define SIM_TRAINING_SCHEDULE_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"

#include <stdbool.h>

typedef enum TaskKind { TASK_FORWARD, TASK_BACKWARD, TASK_WEIGHT, MAX_TASK_KINDS } TaskKind;

typedef struct ScheduleShape {
    PipelineSchedule schedule;
    size_t stages;
    size_t chunks; /* of a stage: interleaved V, DualPipe one for each direction, otherwise 1 */
    size_t rounds; /* microbatches that pass through each chunk */
    size_t kinds;  /* of task: 2 or 3 */
    size_t tasks;  /* of one stage: rounds * chunks * kinds */
} ScheduleShape;

/* Set in an entry of an order: this task and the next are one block, which starts when the inputs
 * of all of it are there, and whose outputs leave when all of it is done. */
#define TASK_JOINED 0x80000000U
enum { LONGEST_BLOCK = 3 };

/* STATUS_INVALID when the schedule has no order for these counts (DualPipe: stages and microbatches
 * even, at least two microbatches a stage; interleaved: microbatches a multiple of the stages), or
 * when they are zero or too many. `virtual_stages` counts for the interleaved schedule only. */
Status schedule_shape(PipelineSchedule schedule, size_t stages, size_t virtual_stages,
                      size_t microbatches, ScheduleShape *shape, Error *error);

/* Why the counts do not go with the schedule; NULL when they do. */
const char *schedule_objection(PipelineSchedule schedule, double stages, double virtual_stages,
                               double microbatches);

/* Fills `order` (shape->tasks entries) for one stage: entry = (microbatch * chunks + chunk) * kinds
 * + kind, with TASK_JOINED added where it applies. Microbatches count from 0 within a chunk. */
Status step_schedule(const ScheduleShape *shape, size_t stage, unsigned *order, Error *error);

static inline TaskKind task_kind(const ScheduleShape *shape, unsigned task)
{
    return (TaskKind)(task % shape->kinds);
}

static inline size_t task_chunk(const ScheduleShape *shape, unsigned task)
{
    return task / shape->kinds % shape->chunks;
}

static inline size_t task_microbatch(const ScheduleShape *shape, unsigned task)
{
    return task / shape->kinds / shape->chunks;
}

/* Where the output of a task goes. */
typedef struct TaskTarget {
    bool exists;
    bool hop; /* to another stage: a send */
    size_t stage;
    unsigned task;
} TaskTarget;

TaskTarget schedule_target(const ScheduleShape *shape, size_t stage, unsigned task);

/* Whether a task waits for what another one hands it: all but the forwards of the first chunk and
 * the weight gradients, which only follow their backward in the order. */
bool schedule_has_source(const ScheduleShape *shape, size_t stage, unsigned task);

/* Idle share of equal stages without sends, or -1 where the schedule has no form in p, V and m
 * alone (zero-bubble and DualPipe depend on how a backward splits). With b = (p-1)/V: b/(m+b)
 * (Narayanan et al. 2021, sections 2.2.1 and 2.2.2; V = 1 but for interleaved). */
double step_bubble_closed_form(PipelineSchedule schedule, double stages, double virtual_stages,
                               double microbatches);

bool schedule_shapes_equal(const ScheduleShape *one, const ScheduleShape *other);

#endif
