/* Expert loads that others simulated, held against the sampler that training steps use: one row a
 * popularity model, its shape and one quantity of the rows that tokens bring to experts. */
#ifndef SIM_PLANNING_LOAD_ORACLE_H
#define SIM_PLANNING_LOAD_ORACLE_H

#include "configs/reader/csv.h"
#include "sim/engine/forecast_options.h"
#include "sim/planning/validate.h"

enum { LOAD_ID_BYTES = 128, LOAD_REASON_BYTES = 160 };

/* Standard errors between two means that still count as agreement. */
static const double LOAD_AGREEMENT = 4.0;

typedef struct LoadRow {
    int line;
    char id[LOAD_ID_BYTES]; /* "zipf 1, 16 experts, top 2, 4096 tokens: cv" */
    const char *quantity;   /* into the table, as are the skipped rows' */
    double measured, measured_error, predicted, predicted_error; /* means and standard errors */
    double apart; /* their difference in standard errors of it */
    double error; /* predicted / measured - 1; not a number when measured is 0 */
    int ok;
} LoadRow;

typedef struct SkippedLoad {
    int line;
    char reason[LOAD_REASON_BYTES];
} SkippedLoad;

typedef struct LoadOracle {
    size_t row_count;
    LoadRow *rows; /* in the file's order */
    size_t skipped_count;
    SkippedLoad *skipped;
    size_t not_ok;
    ErrorStatistics summary; /* of the relative errors that exist */
} LoadOracle;

/* Columns model, param, experts, top_k, tokens, quantity; methodB with seB and nB are the expected
 * mean, its standard error and the draws behind it. Quantities: max_over_mean, min_over_mean, cv,
 * hit_experts, drop_cf<factor>, pad_tile<rows>, maxrank_EP<ranks>. A row is ok when the means are
 * at most LOAD_AGREEMENT standard errors apart; both errors come from the larger of the two
 * deviations of one draw, as few draws of a rare event (drops in the tail) show too small a one.
 * Streams: (seed, "expert load oracle", hash of the shape). `table` must outlive the result.
 * STATUS_INVALID when a column is missing or no row can be used. */
Status load_oracle_run(const CsvTable *table, const ForecastOptions *options, LoadOracle *oracle,
                       Error *error);
void load_oracle_free(LoadOracle *oracle);

#endif
