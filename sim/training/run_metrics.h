/* A run's ledgers as metrics: hours by cause, and by the categories of ml-goodput-measurement.
 * Inside sim/training only. */
#ifndef SIM_TRAINING_RUN_METRICS_H
#define SIM_TRAINING_RUN_METRICS_H

#include "sim/training/run.h"

enum { MAX_RUN_COLUMNS = 40 };

typedef struct RunColumnName {
    const char *name, *unit;
} RunColumnName;

/* How many numbers, their names and units in order, and the numbers of one run. run.lost_hours.*
 * and run.useful_hours add up to the wall clock; so do run.badput_hours.* and run.useful_hours. */
size_t run_column_count(void);
RunColumnName run_column_name(size_t column);
void run_metrics_row(const RunOutcome *outcome, double *row);

/* "run.failures_by_class.switch_or_cable": letters and digits in lower case, the rest as _. */
void run_class_metric_name(const FailureClass *class, char *name, size_t name_bytes);

#endif
