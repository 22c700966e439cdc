/* Published measurements of serving: what each row is in this program's words, and what the engine
 * replica (sim/serving/replica.h) predicts for it.
 *
 * A table has the columns id, source, model, hardware, n_gpus, parallelism, precision,
 * input_tokens, output_tokens, batch_or_concurrency, scenario, metric, value, unit and notes, in
 * any order, and perhaps split. What the words in them stand for say two shipped tables:
 *   serving_names.csv  column, pattern -> a model, hardware, or engine (by source, or by notes, the
 *                      later line first); or the reason to skip
 *                      (names and engines that it does not know: serving_names.h)
 *   serving_mixes.csv  source, model -> lengths and latency limits that a row leaves out
 *   serving_runs.csv   source and lengths -> how many requests a whole run has, all queued at once:
 *                      its rate is that of the run from end to end, with its first and last wave
 */
#ifndef SIM_PLANNING_SERVING_ROWS_H
#define SIM_PLANNING_SERVING_ROWS_H

#include "configs/reader/csv.h"
#include "configs/reader/reader.h"
#include "sim/engine/forecast_options.h"
#include "sim/planning/kernel_validation.h"
#include "sim/planning/serving_names.h"

#include <stdint.h>

/* What is simulated for a row. */
typedef enum ServingCase {
    CASE_STATIC,      /* a batch that starts at once, nothing behind it */
    CASE_SATURATED,   /* a line that is never empty */
    CASE_CLOSED_LOOP, /* so many clients, each asks again when it has its answer */
    CASE_LARGEST,     /* the largest rate that holds the limits */
    CASE_OPEN_LOOP,   /* requests at a rate that the row gives */
    CASE_PROMPTS,     /* one pass full of prompts, no request behind it */
    CASE_TOKENS,      /* one pass of decoding sequences */
    CASE_MEMORY       /* does it fit? */
} ServingCase;

typedef enum ServingMetric {
    METRIC_BATCH_S,              /* all answers of a batch */
    METRIC_FIRST_S,              /* first tokens of a batch */
    METRIC_TOKEN_S,              /* time per answer token */
    METRIC_TOKEN_SHARE_S,        /* the same over the batch */
    METRIC_INPUT_PER_S,          /* prompt tokens per second of `rate_of` GPUs */
    METRIC_OUTPUT_PER_S,         /* answer tokens, likewise */
    METRIC_STEADY_PER_S_PER_GPU, /* answer tokens by Little's law from TTFT and TPOT */
    METRIC_REQUESTS_PER_S,
    METRIC_TTFT_MEAN_S,
    METRIC_TTFT_P99_S,
    METRIC_TPOT_MEAN_S,
    METRIC_TPOT_P99_S,
    METRIC_FITS,
    SERVING_METRICS
} ServingMetric;

extern const char *const SERVING_METRIC_WORDS[SERVING_METRICS];

/* Labels of KernelRow.group: metric, engine, gpu, model, what kind of error is wanted. */
enum { SERVING_BY_KIND, SERVING_BY_METRIC, SERVING_BY_ENGINE, SERVING_BY_GPU, SERVING_BY_MODEL };

/* Engine constants that are fitted, as keys of `serving`. */
enum { ENGINE_PARAMETERS = 10 };
typedef struct EngineFit {
    char engine[NAME_BYTES];
    size_t rows;          /* that the fit used */
    double before, after; /* mean |ln(predicted / measured)| of these */
    double values[ENGINE_PARAMETERS];
    /* These rows predicted by fits that left out their fold, or all rows of their source. */
    ErrorStatistics by_fold, by_source;
    size_t sources;
} EngineFit;
typedef struct EngineParameter {
    const char *key;
    size_t offset; /* in ServingSpec */
    double start;  /* first value tried when it is 0 */
    double maximum;
    int seconds;
} EngineParameter;
extern const EngineParameter ENGINE_PARAMETER[ENGINE_PARAMETERS];

enum { SERVING_FOLDS = 5 };
typedef struct ServingRow {
    int line;
    const char *id;
    char label[KERNEL_ID_BYTES]; /* id, or id-ttft for the second number of a row */
    Scenario *scenario;          /* midpoint; shared between the two numbers of a row */
    char engine[NAME_BYTES], gpu[NAME_BYTES], model[NAME_BYTES];
    ServingCase what;
    ServingMetric metric;
    double measured; /* seconds, or per second */
    double batch, replicas, gpus, rate_per_s, ttft_limit_s, tpot_limit_s;
    double rate_of;  /* GPUs that a rate is counted for */
    double requests; /* of a whole run, all queued at its start; 0: not known */
    double shortest; /* lengths of a closed loop: uniform between this share and the whole */
    int held_back;   /* from fits */
    uint64_t source; /* hash of what a table says of it; 0: nothing */
    int fold;        /* 0..SERVING_FOLDS - 1; of deployments the first is held back */
    char assumed[ASSUMED_BYTES]; /* what stands for cells that the row leaves out or spells its way
                                  */
    int queued; /* the time to the first token is mostly waiting: the engine is past its load */
} ServingRow;

typedef struct ServingRows {
    CsvTable names, mixes, runs, spellings, engines;
    size_t count, capacity;
    ServingRow *rows;
    size_t scenario_count;
    Scenario **scenarios;
    size_t skipped_count;
    SkippedRow *skipped;
} ServingRows;

/* Free in any case. Rows that cannot be told are in `skipped` with the reason. */
Status serving_rows_read(const ConfigPaths *paths, const CsvTable *table, const char *const *sets,
                         size_t set_count, ServingRows *rows, Error *error);
void serving_rows_free(ServingRows *rows);

/* How many rows from `first` on share one simulation: the numbers of one row of the table. */
size_t serving_rows_together(const ServingRows *rows, size_t first);

/* Predicts `count` such rows, each in the unit of its `measured`. STATUS_NO when the plan does not
 * fit. `scenario` may differ from the rows' own in its engine. */
Status serving_rows_predict(const ServingRow *together, size_t count, const Scenario *scenario,
                            double *predicted, Error *error);
enum { MOST_TOGETHER = 4 };

/* Predicts all rows of the part on options->threads, the same on any number of them. */
Status serving_validate(const ServingRows *rows, KernelPart part, const char *file,
                        const ForecastOptions *options, KernelValidation *result, Error *error);

/* Fits the constants of one engine to its rows that are not held back, by a pattern search; rows of
 * loads near saturation (CASE_LARGEST, CASE_OPEN_LOOP) are left out. `crossed`: fill by_fold and,
 * with more than one source, by_source, too, which takes a fit each. STATUS_INVALID when it has no
 * row. */
Status serving_fit(const ServingRows *rows, const char *engine, int crossed,
                   const ForecastOptions *options, EngineFit *fit, Error *error);

#endif
