/* The pipeline of one optimizer step, event by event, for any number of replicas (fold.h does one
 * replica without events). Inside sim/training only; step.h is the public face. */
#ifndef SIM_TRAINING_PIPELINE_H
#define SIM_TRAINING_PIPELINE_H

#include "sim/training/schedule.h"
#include "sim/training/step.h"

#include <stdbool.h>

/* How long one task takes on one stage: in all, and for how much of it the GPU computes (the rest
 * it communicates, which an overlapped block does beside another task's computing). */
typedef struct TaskTime {
    double total_s, busy_s;
} TaskTime;

/* The shape of a step's schedule, small enough to simulate for so many replicas. */
Status step_shape(const StepInput *input, size_t replicas, ScheduleShape *shape, Error *error);

/* TaskTime of stage i, chunk c and kind k at [(i * chunks + c) * kinds + k]. `factor`: noise on
 * what the GPU computes; what it waits for has its own causes. */
void task_times_of_stage(const ScheduleShape *shape, const StepInput *input, size_t stage,
                         double factor, TaskTime *times);

/* Entries of a block: up to the first that is not joined with the next. */
static inline size_t block_length(const unsigned *block)
{
    size_t length = 1;
    while ((block[length - 1] & TASK_JOINED) != 0)
        length++;
    return length;
}

/* A forward joined with a backward takes as long as the longest of: all computing beside all
 * communication, at the rates of two streams that compete, and each of the two alone (DeepSeek-V3
 * technical report, section 3.2.1: communication is hidden in full where computing is long enough).
 */
double block_seconds(const ScheduleShape *shape, StreamRates rates, const TaskTime *times,
                     const unsigned *block, size_t length);

/* When a stage's gradients are ready, chunk by chunk. */
typedef struct ChunkEnd {
    double first_gradient_s; /* of the layer that comes first in the last task */
    double end_s;
} ChunkEnd;

typedef struct PipelineEnds {
    double *first_start_s; /* [stage]: its first task starts */
    ChunkEnd *chunk;       /* [stage][chunk] */
} PipelineEnds;

/* What one simulation includes; the breakdown runs several and takes differences. */
typedef struct PipelineCase {
    size_t replicas;
    double send_s;
    const double *factors; /* of compute, [replica][stage]; NULL: 1 */
    /* Standard normal: by how much a microbatch's experts take longer than the mean, in deviations
     * (expert_variance_s2); the same forward and backward. [group][stage][microbatch, chunk], a
     * group of `group_replicas` neighbours meeting at the same experts; NULL: all alike. */
    const double *expert_noise;
    size_t group_replicas;
    StepSpan *spans; /* of replica 0, stages * tasks; NULL: not wanted */
} PipelineCase;

typedef struct PipelineOutcome {
    ScheduleShape shape;
    double makespan_s; /* see step_end.h */
    uint64_t events;
    size_t spans;
    PipelineEnds ends; /* belongs to the pipeline, until its next run */
} PipelineOutcome;

typedef struct Pipeline Pipeline;

Pipeline *pipeline_create(Error *error);
void pipeline_destroy(Pipeline *pipeline);

/* Event by event. Allocates only when the case is larger than all before it; never inside the event
 * loop. */
Status pipeline_simulate(Pipeline *pipeline, const StepInput *input,
                         const PipelineCase *pipeline_case, PipelineOutcome *outcome, Error *error);

/* Room for `count` elements, contents not kept. */
Status pipeline_reserve(void **memory, size_t *capacity, size_t count, size_t element_bytes,
                        Error *error);

#endif
