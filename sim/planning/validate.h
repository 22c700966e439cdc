/* Predicts published training steps from their configurations and compares. */
#ifndef SIM_PLANNING_VALIDATE_H
#define SIM_PLANNING_VALIDATE_H

#include "sim/engine/forecast_options.h"
#include "sim/planning/measured_scenario.h"

/* What two rows of one table can differ in, as simulated: with defaults filled in. */
typedef enum SetupFeature {
    SETUP_GPUS,
    SETUP_DATA,
    SETUP_BATCH, /* sequences */
    SETUP_SEQUENCE,
    SETUP_MICRO,
    SETUP_TENSOR,
    SETUP_PIPELINE,
    SETUP_CONTEXT,
    SETUP_EXPERT,
    SETUP_EXPERT_TENSOR,
    SETUP_ZERO,
    SETUP_SHARDS,
    SETUP_SCHEDULE,
    SETUP_CHUNKS,
    SETUP_RECOMPUTE,
    SETUP_PRECISION,
    SETUP_NETWORK, /* bytes/s of a node's ports */
    SETUP_FEATURES
} SetupFeature;

typedef struct ValidatedRow {
    const Measurement *row;
    double setup[SETUP_FEATURES];
    const char *hardware, *stack; /* into the result */
    double measured, predicted;   /* tokens/s/GPU */
    double error;                 /* predicted / measured - 1 */
    DefaultsTaken defaults;
    int fits; /* 0: it ran, and is judged not to fit in memory */
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

/* Rows of one table (source, locator, year), software stack, GPU and model that differ in one
 * thing: the error of their predicted ratio, in which what is common to them cancels. */
typedef enum RatioKind {
    RATIO_SCALING,    /* GPUs, and with them replicas and the batch */
    RATIO_LAYOUT,     /* ways of TP, PP, CP, EP and ZeRO on as many GPUs; with them microbatch and
                         schedule */
    RATIO_SCHEDULE,   /* schedule and virtual stages */
    RATIO_MICROBATCH, /* sequences of a microbatch */
    RATIO_RECOMPUTE,  /* none, selective, full; with it the microbatch */
    RATIO_BATCH,      /* global batch */
    RATIO_SEQUENCE,   /* length; with it batch and microbatch */
    RATIO_PRECISION,  /* bf16 against fp8 */
    RATIO_NETWORK,    /* bandwidth between nodes */
    RATIO_KINDS
} RatioKind;
extern const char *const RATIO_KIND_NAMES[RATIO_KINDS]; /* "scaling", ... */

/* Each row against its group's reference: the row with the median measured value (the lower of two,
 * then the first in the file), so that n rows give n - 1 pairs. */
typedef struct RatioPair {
    RatioKind kind;
    size_t row, reference; /* indices of rows */
    double measured, predicted, error;
} RatioPair;

/* Layouts of one job: same table, stack, GPU, model, GPU count, batch, sequence length, precision
 * and network. Equal setups measured more than once count as one, at their mean. */
typedef struct LayoutChoice {
    size_t layouts;
    size_t picked, best; /* indices of rows: ranked first here, and fastest measured */
    double picked_measured, best_measured; /* tokens/s/GPU */
    double regret;                         /* best_measured / picked_measured - 1 */
} LayoutChoice;

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
    size_t ratio_count;
    RatioPair *ratios; /* by kind, then the rows' order */
    ErrorStatistics ratio_summary, ratio_kinds[RATIO_KINDS];
    size_t choice_count;
    LayoutChoice *choices; /* largest regret first */
    double mean_regret;
    /* what the above point into */
    MeasuredRules rules;
    MeasuredBases bases;
} ValidationResult;

/* `split`: only rows whose `split` column says so, or one of several names with commas between
 * them; NULL: all. The middle of every uncertain input; the step folded, and the mean of what the
 * slowest replica costs. STATUS_INVALID when no row can be predicted (the result then still lists
 * what was skipped; free it in any case). */
Status validate_training(const ConfigPaths *paths, const MeasurementFile *file, const char *split,
                         const char *const *sets, size_t set_count, const ForecastOptions *options,
                         ValidationResult *result, Error *error);
void validation_free(ValidationResult *result);

/* Indices of the `limit` rows with the largest errors, worst first; returns how many. */
size_t validation_worst(const ValidationResult *result, size_t *indices, size_t limit);

#endif
