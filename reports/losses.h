/* What stands between the machines' peak and the useful FLOP/s of a run, as shares that add up
 * exactly: the shared arithmetic of the terminal's bars, the waterfall and the workbook. */
#ifndef REPORTS_LOSSES_H
#define REPORTS_LOSSES_H

#include "sim/training/forecast.h"

enum { MAX_LOSSES = 24 };

typedef struct Loss {
    char key[40];   /* "recompute", "lost_hours.restart" */
    char label[48]; /* "recompute" */
    double seconds; /* of one step; 0 for losses of the run */
    double share;   /* of peak FLOP/s; negative: a gain */
} Loss;

/* Parts of the nominal step in the order of the breakdown, largest or smallest, zeros left out.
 * Shares are of the step's time and sum to 1. The first is the kernels' work at peak ("ideal"), the
 * second what kernels lose against peak. Returns the count. */
size_t losses_of_step(const TrainForecast *forecast, Loss *losses);

/* From MFU of the step to effective MFU of the run. */
typedef struct LossLadder {
    double step_mfu;
    double effective_mfu; /* the median over draws, or of the only run */
    size_t step_count, run_count;
    Loss step[MAX_LOSSES]; /* peak (1) minus these = step_mfu */
    Loss run[MAX_LOSSES];  /* step_mfu minus these = effective_mfu */
} LossLadder;

/* Slowdown by stragglers, then each run.lost_hours.* by its mean share of the wall clock; what is
 * left between the midpoint inputs and the median of the draws is a loss of its own ("inputs"). */
Status losses_ladder(const TrainForecast *forecast, LossLadder *ladder, Error *error);

#endif
