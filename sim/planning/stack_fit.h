/* Fits the few parameters of software stacks to published rows.
 *
 * The loss is the mean over n rows of |log(predicted / measured)|, of which what lies above 0.3
 * counts a quarter, so that single rows do not rule, and 0.3/n times the sum of squares of what the
 * parameters are away from their centre, in shares of their ranges: what a few rows cannot tell
 * stays near what other stacks have. The centre of what kernels cost is stack-common, fitted to the
 * rows of all stacks with each stack counting alike; of overlaps, half of the range. It is
 * minimised by Nelder and Mead's simplex (GSL nmsimplex2) from fixed starts. Only rows of the split
 * `pool` are used.
 *
 * What a stack does not do (an overlap of 0%) stays off, and what a fact states of a row is not
 * fitted on it.
 *
 * How well constants carry over to rows that they were not fitted to is told by folds: all rows of
 * one model in one source are in the same fold, and each fold is predicted with the constants that
 * the other folds give (nothing else of the fit changes).
 *
 * Stacks with too few rows share the parameters of another: configs/calibration/fit_with.csv. */
#ifndef SIM_PLANNING_STACK_FIT_H
#define SIM_PLANNING_STACK_FIT_H

#include "sim/planning/validate.h"

typedef enum FitParameter {
    FIT_KERNEL_OVERHEAD,
    FIT_LAUNCH,
    FIT_FUSED,
    FIT_TENSOR_OVERLAP, /* where the stack overlaps at all, and rows have tensor ways */
    FIT_EXPERT_OVERLAP, /* likewise with expert ways */
    FIT_PARAMETERS
} FitParameter;

typedef struct FitParameterSpec {
    const char *group, *key; /* in the stack's file; group "": the file itself */
    size_t offset;           /* in TrainingSpec */
    double neutral, low, high;
    int common;  /* stack-common has one too */
    double unit; /* of the number that is written */
    const char *suffix;
} FitParameterSpec;

extern const FitParameterSpec FIT_PARAMETER_SPECS[FIT_PARAMETERS];

enum { FIT_FAMILIES_BYTES = 128, FIT_LEAST_ROWS = 8 };

typedef struct StackFit {
    char stack[NAME_BYTES];
    char with[NAME_BYTES]; /* whose parameters it shares; empty: its own */
    size_t rows;           /* of this stack */
    size_t fit_rows;       /* of all that share the parameters */
    char families[FIT_FAMILIES_BYTES];
    int fitted[FIT_PARAMETERS];
    double value[FIT_PARAMETERS];
    ErrorStatistics before, after; /* of this stack's rows; before: neutral values */
    ErrorStatistics held_out; /* the same rows, each predicted without its fold; n 0: no folds */
} StackFit;

typedef struct StackFits {
    size_t count;
    StackFit *fits;                  /* by name */
    ErrorStatistics after, held_out; /* of all rows */
} StackFits;

enum { FIT_MOST_FOLDS = 100 };

/* `names`: stacks, with or without "stack-"; "all": every stack of the rows, after stack-common,
 * whose new values are then the centre instead of those in its file. Stacks that share parameters
 * are fitted and listed together. `folds`: at most FIT_MOST_FOLDS; below 2: none. */
Status stack_fit(const ConfigPaths *paths, const MeasurementFile *file, const char *const *names,
                 size_t name_count, size_t folds, const ForecastOptions *options, StackFits *fits,
                 Error *error);
void stack_fits_free(StackFits *fits);

/* The stack's file with the fitted values in it, each with its source; malloc'ed. */
Status stack_fit_yaml(const ConfigPaths *paths, const StackFit *fit, char **text, Error *error);

#endif
