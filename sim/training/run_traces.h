/* Failure times that were recorded elsewhere, as classes of a scenario name them. Inside
 * sim/training only. */
#ifndef SIM_TRAINING_RUN_TRACES_H
#define SIM_TRAINING_RUN_TRACES_H

#include "sim/training/run.h"

typedef struct RunTraces {
    size_t count[MAX_FAILURE_CLASSES];
    double *times_s[MAX_FAILURE_CLASSES]; /* ascending; NULL: the class has none */
} RunTraces;

/* Reads the CSV files that the classes name: a column `time_h`, hours since the start of the run,
 * in order. `traces` is all zero before; freeing is allowed whatever was returned. */
Status run_traces_read(const ReliabilitySpec *reliability, RunTraces *traces, Error *error);
void run_traces_free(RunTraces *traces);

/* Classes with a trace fail at its times. `input` keeps pointers into `traces`. */
void run_traces_attach(const RunTraces *traces, RunInput *input);

#endif
