/* Software stacks of sources that no table knows: "stack-unknown-*", what was usual in a year,
 * chosen by the last lines of configs/measurements/stack_words.csv.
 *
 * Their few parameters are fitted (stack_fit.h) to all pool rows of those years as such a row would
 * be read: with the practice of the year in place of the row's own stack, each real stack counting
 * alike however many rows it has, and drawn to stack-common: a number at the far end of its range
 * costs as much as one stack that is 30% off.
 *
 * How far that carries is told by leaving out one source (what ids begin with) after the other: its
 * rows lose id and source, choose a stack by what else they say among those that other sources have
 * rows of, and are predicted with constants, the centre included, that were fitted without it. */
#ifndef SIM_PLANNING_STACK_UNKNOWN_H
#define SIM_PLANNING_STACK_UNKNOWN_H

#include "sim/planning/stack_fit.h"

/* Whether a name ("unknown-2023", "stack-unknown-2023", "unknown") means such stacks. */
int stack_is_unknown(const char *name);

/* Fits the stacks that `names` begin with the names of ("unknown": all). */
Status stack_unknown_fit(const ConfigPaths *paths, const MeasurementFile *file,
                         const char *const *names, size_t name_count,
                         const ForecastOptions *options, StackFits *fits, Error *error);

enum { LEFT_OUT_NAME_BYTES = 24 };

typedef struct LeftOutRow {
    const Measurement *row;
    char stack[NAME_BYTES];
    double error; /* relative */
} LeftOutRow;

typedef struct LeftOutSource {
    char name[LEFT_OUT_NAME_BYTES]; /* what ids begin with */
    size_t skipped;                 /* rows that cannot be simulated without their id and source */
    size_t first, count;            /* of the rows */
    ErrorStatistics errors;
} LeftOutSource;

typedef struct LeaveOut {
    size_t source_count, row_count, skipped;
    LeftOutSource *sources; /* in the order of the file */
    LeftOutRow *rows;
    ErrorStatistics all;
} LeaveOut;

/* Of the split `pool`. */
Status stack_leave_out(const ConfigPaths *paths, const MeasurementFile *file,
                       const ForecastOptions *options, LeaveOut *result, Error *error);
void leave_out_free(LeaveOut *result);

#endif
