/* Predicts published training steps from their configurations and compares. */
#ifndef SIM_PLANNING_VALIDATE_H
#define SIM_PLANNING_VALIDATE_H

#include "sim/engine/forecast_options.h"
#include "sim/planning/measured_scenario.h"

typedef struct ValidatedRow {
    const Measurement *row;
    const char *hardware, *stack; /* into the result */
    double measured, predicted;   /* tokens/s/GPU */
    double error;                 /* predicted / measured - 1 */
    unsigned defaults;            /* bit i: MeasuredDefault i was used */
    int fits;                     /* 0: it ran, and is judged not to fit in memory */
    double memory_bytes, capacity_bytes;
    char layout[MEASURED_LAYOUT_BYTES];
} ValidatedRow;

/* Of relative errors; quantiles interpolate between order statistics. All zero when n is 0. */
typedef struct ErrorStatistics {
    size_t n;
    double median_abs, mean_abs, p90_abs, max_abs;
    double bias; /* mean of the signed errors */
} ErrorStatistics;

/* `errors` is reordered. */
ErrorStatistics error_statistics(double *errors, size_t count);

enum { GROUP_LABEL_BYTES = 64 };

typedef enum GroupKind {
    GROUP_GPU,
    GROUP_SOURCE,
    GROUP_STACK,
    GROUP_MODEL,
    GROUP_PRECISION, /* as the row states it */
    GROUP_KINDS
} GroupKind;
extern const char *const GROUP_KIND_NAMES[GROUP_KINDS]; /* "gpu", "source", ... */

typedef struct ErrorGroup {
    GroupKind kind;
    char label[GROUP_LABEL_BYTES];
    ErrorStatistics statistics;
} ErrorGroup;

typedef struct SkipCount {
    size_t count;
    const char *example; /* a whole reason */
} SkipCount;

/* Reasons that differ in numbers only are one; most frequent first. malloc'ed into `*kinds`. */
Status skip_counts(const SkippedRow *skipped, size_t count, SkipCount **kinds, size_t *kind_count,
                   Error *error);

typedef struct ValidationResult {
    size_t row_count;
    ValidatedRow *rows; /* in the file's order */
    size_t skipped_count;
    SkippedRow *skipped;
    ErrorStatistics summary;
    size_t group_count;
    ErrorGroup *groups; /* by kind, then label */
    size_t skip_kind_count;
    SkipCount *skip_kinds; /* reasons that differ in numbers only are one; most frequent first */
    size_t not_fitting;
    /* what the above point into */
    MeasuredRules rules;
    MeasuredBases bases;
} ValidationResult;

/* `split`: only rows whose `split` column says so; NULL: all. The middle of every uncertain input;
 * the step folded, and the mean of what the slowest replica costs. STATUS_INVALID when no row can
 * be predicted (the result then still lists what was skipped; free it in any case). */
Status validate_training(const ConfigPaths *paths, const MeasurementFile *file, const char *split,
                         const char *const *sets, size_t set_count, const ForecastOptions *options,
                         ValidationResult *result, Error *error);
void validation_free(ValidationResult *result);

/* Indices of the `limit` rows with the largest errors, worst first; returns how many. */
size_t validation_worst(const ValidationResult *result, size_t *indices, size_t limit);

#endif
