/* Tables that state a reliability model, its parameters and a result, held against the closed form
 * and, where the model describes a process, against its simulation.
 *
 *   needed:   id, model, parameters, metric, value
 *   optional: any other column; they are not read.
 * A row is ok when the closed form is within ORACLE_RELATIVE of the value and the simulation, where
 * there is one, within ORACLE_STANDARD_ERRORS of its own standard errors. Rates inside a text
 * ("0.3234/h x 1") are known as well as they are printed: what half a unit of their last digit
 * changes is allowed on top. A row whose model, metric or parameters are not known, or cannot be,
 * is listed as skipped with the reason.
 */
#ifndef SIM_PLANNING_ORACLE_H
#define SIM_PLANNING_ORACLE_H

#include "configs/reader/csv.h"
#include "configs/reader/measurements.h"
#include "sim/engine/forecast_options.h"
#include "sim/planning/validate.h"
#include "sim/training/reliability.h"

#define ORACLE_RELATIVE        1e-6
#define ORACLE_STANDARD_ERRORS 4.0

enum {
    ORACLE_REPLICATIONS = 100, /* of each simulated row, unless told */
    ORACLE_LEAST_REPLICATIONS = 10,
    ORACLE_EVENTS = 2000, /* failures of each replication, unless the process needs more */
    ORACLE_NOTE_BYTES = 160
};

typedef struct OracleRow {
    int line;
    const char *id, *model, *metric, *parameters; /* into the table */
    double expected, closed_form;                 /* in the metric's unit */
    double error;                                 /* closed_form / expected - 1 */
    double allowed_error; /* ORACLE_RELATIVE, and what rounded parameters leave open */
    int has_simulation;
    double simulated, standard_error;
    double z; /* (simulated - closed_form) / standard_error */
    int ok;
    char note[ORACLE_NOTE_BYTES]; /* why a process was not simulated; empty: it was, or is none */
} OracleRow;

/* One model's rows, in the order of the table of models. */
typedef struct OracleGroup {
    const char *model;
    size_t rows, ok, simulated;
    double max_abs_error, max_abs_z;
} OracleGroup;

typedef struct OracleResult {
    size_t row_count, skipped_count, group_count;
    OracleRow *rows; /* in the file's order */
    SkippedRow *skipped;
    OracleGroup *groups;
    size_t ok, simulated,
        not_simulated;         /* not_simulated: processes that were left out, with a note */
    ErrorStatistics summary;   /* of the closed forms */
    double max_abs_z, mean_z2; /* mean_z2 is near 1 when the standard errors are right */
    size_t replications;
} OracleResult;

/* STATUS_INVALID when the table lacks a column or holds no usable row (the result then still lists
 * what was skipped; free it in any case). Texts point into the table. options->reps 0: the default.
 */
Status oracle_validate(const ConfigPaths *paths, const CsvTable *table,
                       const ForecastOptions *options, OracleResult *result, Error *error);
void oracle_free(OracleResult *result);

/* Counts of failures by class as configs/measurements/reliability_classes.csv has them. */
Status oracle_read_mix(const ConfigPaths *paths, FailureMix *mix, Error *error);

#endif
