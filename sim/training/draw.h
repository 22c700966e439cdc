/* One draw of a training forecast: a step, a run and what they cost, as one row of numbers. Inside
 * sim/training only. */
#ifndef SIM_TRAINING_DRAW_H
#define SIM_TRAINING_DRAW_H

#include "sim/training/course_run.h"
#include "sim/training/jitter_penalty.h"
#include "sim/training/run.h"
#include "sim/training/run_metrics.h"
#include "sim/training/run_traces.h"
#include "sim/training/step.h"

typedef enum DrawColumn {
    COLUMN_STEP_SECONDS,
    COLUMN_STEP_MFU,
    COLUMN_STEP_MFU_6ND,
    COLUMN_STEP_MFU_BF16_PEAK,
    COLUMN_STEP_HFU,
    COLUMN_STEP_TFLOPS,
    COLUMN_STEP_TOKENS_PER_S,
    COLUMN_STEP_BUBBLE,
    COLUMN_COMPUTE,
    COLUMN_RECOMPUTE,
    COLUMN_TENSOR,
    COLUMN_EXPERT,
    COLUMN_EXPERT_IMBALANCE,
    COLUMN_BUBBLE,
    COLUMN_STAGE_IMBALANCE,
    COLUMN_SEND,
    COLUMN_DATA_PARALLEL,
    COLUMN_OPTIMIZER,
    COLUMN_EXPERT_JITTER,
    COLUMN_JITTER,
    COLUMN_EXPERT_COST,
    COLUMN_EXPERT_MOST,
    COLUMN_EXPERT_RANK_MOST,
    COLUMN_EXPERT_DROPPED,
    COLUMN_LOADING,
    COLUMN_LOADED_BYTES,
    COLUMN_LOADED_BYTES_PER_TOKEN,
    COLUMN_RUN_DAYS,
    COLUMN_RUN_WALL,
    COLUMN_RUN_GOODPUT,
    COLUMN_RUN_MFU,
    COLUMN_RUN_MFU_6ND,
    COLUMN_RUN_MFU_BF16_PEAK,
    COLUMN_RUN_STEPS,
    COLUMN_RUN_FAILURES,
    COLUMN_RUN_SAVES,
    COLUMN_RUN_GPU_HOURS,
    COLUMN_RUN_FLOPS,
    COLUMN_RUN_FLOPS_6ND,
    COLUMN_RUN_MTBF,
    COLUMN_RUN_INTERVAL,
    COLUMN_RUN_INTERVAL_YOUNG,
    COLUMN_RUN_INTERVAL_DALY,
    COLUMN_RUN_ETTR_CLOSED_FORM,
    COLUMN_COST,
    COLUMN_COST_GPUS,
    COLUMN_COST_NETWORK,
    COLUMN_COST_FACILITY,
    COLUMN_COST_STORAGE,
    COLUMN_COST_ENERGY,
    COLUMN_COST_STAFF,
    COLUMN_COST_FAILURES,
    COLUMN_COST_FAILURES_SHARE,
    COLUMN_COST_SPARES,
    COLUMN_COST_PER_GPU_HOUR,
    COLUMN_ENERGY,
    COLUMN_CO2,
    DRAW_COLUMNS
} DrawColumn;

/* Metric name and unit of each column. */
typedef struct ColumnName {
    const char *name, *unit;
} ColumnName;
extern const ColumnName draw_columns[DRAW_COLUMNS];

/* What one thread needs for its draws. */
typedef struct DrawWorker {
    StepSimulator *simulator;
    RunSimulator *runs;
    StepInput input;
    RunCourse course;
    const RunTraces *traces;
} DrawWorker;

/* Numbers of one draw: DRAW_COLUMNS, PHASE_COLUMNS for each phase of the course, the ledgers of the
 * run (run_metrics.h), then failures of each class. */
enum {
    MAX_ROW =
        DRAW_COLUMNS + MAX_COURSE_PHASES * PHASE_COLUMNS + MAX_RUN_COLUMNS + MAX_FAILURE_CLASSES
};

/* `worker` is all zero before, but for its traces; closing is allowed then too. */
Status draw_worker_open(DrawWorker *worker, Error *error);
void draw_worker_close(DrawWorker *worker);

/* Simulates `drawn` (nothing uncertain left). `row` gets as many numbers as
 * the course has columns; only the time
 * between failures may be infinite, and
 * what a dense model has not is not a number. */
Status draw_simulate(DrawWorker *worker, const Scenario *drawn, const JitterPenalty *penalty,
                     unsigned long long seed, unsigned long long replication, double *row,
                     Error *error);

#endif
