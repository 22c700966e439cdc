/* The events of one optimizer step: stages that work through their orders, then the data-parallel
 * collectives and the optimizer. Inside sim/training only; step.h is the public face. */
#ifndef SIM_TRAINING_PIPELINE_H
#define SIM_TRAINING_PIPELINE_H

#include "sim/training/step.h"

#include <stdbool.h>

/* What one simulation includes; the breakdown runs several and takes differences. */
typedef struct PipelineCase {
    size_t replicas;
    double send_s;
    bool data_parallel; /* gradient reduction and parameter gather */
    bool optimizer;
    const double *factors; /* of compute, [replica][stage]; NULL: 1 */
    StepSpan *spans;       /* of replica 0, 2 * stages * microbatches; NULL: not wanted */
} PipelineCase;

typedef struct PipelineOutcome {
    double seconds;    /* everything */
    double makespan_s; /* until the last backward ends */
    uint64_t events;
    size_t spans;
} PipelineOutcome;

typedef struct Pipeline Pipeline;

Pipeline *pipeline_create(Error *error);
void pipeline_destroy(Pipeline *pipeline);

/* Allocates only when the case is larger than all before it; never inside the event loop. */
Status pipeline_simulate(Pipeline *pipeline, const StepInput *input,
                         const PipelineCase *pipeline_case, PipelineOutcome *outcome, Error *error);

#endif
