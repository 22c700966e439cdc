/* The search for a stack's parameters: rows made ready once, the loss at any parameters, and the
 * simplex over them. Inside the fit of stacks. */
#ifndef SIM_PLANNING_STACK_SEARCH_H
#define SIM_PLANNING_STACK_SEARCH_H

#include "sim/planning/measured_step.h"
#include "sim/planning/stack_fit.h"

typedef struct FitRow {
    const Measurement *row;
    const MeasuredBase *base;
    Scenario *scenario; /* NULL: skipped */
    double measured, penalty_share;
    int stated[FIT_PARAMETERS]; /* by a fact: not fitted */
    double weight;              /* in the loss */
    double log_error;           /* at the parameters last asked for */
    size_t fold;
    double held_out_error; /* relative, with the parameters of the other folds */
} FitRow;

typedef struct FitSearch {
    const ForecastOptions *options;
    const MeasuredRules *rules;
    MeasuredStep **steps;
    size_t threads;
    FitRow *rows; /* of the group at work */
    size_t row_count;
    int active[FIT_PARAMETERS];
    double value[FIT_PARAMETERS];
    double centre[FIT_PARAMETERS]; /* where they are drawn to */
    double pull; /* what one at the far end of its range costs, as a row's robust log error */
    size_t done, total; /* stacks, for progress */
    Status status;      /* of an evaluation inside the simplex */
    Error error;
} FitSearch;

typedef struct FitOptimum {
    double loss;
    double value[FIT_PARAMETERS];
} FitOptimum;

/* Up to which the loss counts a row's error in full; so much a parameter costs, too, at the far end
 * of its range from the centre: as a row, or a stack where each counts alike, that is as wrong. */
extern const double FIT_ROBUST_LOG_ERROR;

/* Lays the rows over their bases, at neutral values; drops those that a validation skips. */
Status fit_search_prepare(FitSearch *search, Error *error);

/* Frees what the first `count` rows hold. */
void fit_search_release(FitSearch *search, size_t count);

/* Predicts all rows at `value` of the active parameters. */
Status fit_search_evaluate(FitSearch *search, double *loss, Error *error);

/* The active parameters that predict the rows best, drawn to the centre; the others stay there. */
Status fit_search_run(FitSearch *search, FitOptimum *best, Error *error);

/* The same from `start` only. */
Status fit_search_refine(FitSearch *search, const double *start, FitOptimum *best, Error *error);

/* Marks the parameters that the rows can tell. */
void fit_search_activate(FitSearch *search);

/* The centre that stacks are drawn to, from stack-common's file. */
Status fit_centre_read(const ConfigPaths *paths, double centre[FIT_PARAMETERS], Error *error);

/* configs/calibration/fit_with.csv, and whose parameters a stack has by it: its own unless it says
 * otherwise. */
Status fit_shared_read(const ConfigPaths *paths, CsvTable *shared, Error *error);
const char *fit_root_of(const CsvTable *shared, const char *stack);

/* Adds what an id begins with to a list, each once, as long as there is room. */
void fit_add_family(char families[FIT_FAMILIES_BYTES], const char *id);

#endif
