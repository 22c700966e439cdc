/* What the slowest of all replicas costs, as a function of the noise. Inside sim/training only. */
#ifndef SIM_TRAINING_JITTER_PENALTY_H
#define SIM_TRAINING_JITTER_PENALTY_H

#include "sim/engine/forecast_options.h"
#include "sim/training/step.h"

enum { PENALTY_LEVELS = 3, PENALTY_REPLICATIONS = 2 };

/* Penalty: seconds lost to noise per second that the mean stage computes. A run averages over
 * thousands of steps, so the mean over replications is what counts; draws of other inputs change
 * the seconds, hardly the ratio. */
typedef struct JitterPenalty {
    size_t levels;
    double jitter[PENALTY_LEVELS + 1], penalty[PENALTY_LEVELS + 1]; /* [0]: none */
    /* Of the input measured: seconds lost to microbatches whose experts take differently long, how
     * much they differ (step_expert_deviation_s), and what the mean stage computes. */
    double expert_s, expert_deviation_s, compute_s;
} JitterPenalty;

/* Simulates all replicas of `input` at jitter `most` (and at equal steps below it when `several`)
 * at the detail asked for; DETAIL_FOLDED, or neither jitter nor differing expert loads, gives no
 * penalty. Streams: (seed, "jitter", 1
 * + replication). */
Status jitter_penalty_measure(const StepInput *input, SimulationDetail detail,
                              unsigned long long seed, size_t threads, double most, int several,
                              JitterPenalty *penalty, Error *error);

/* Linear between levels, and on from the last two. */
double jitter_penalty_at(const JitterPenalty *penalty, double jitter);

/* What `input` loses to its expert loads: in proportion to how much they differ. */
double jitter_penalty_expert_s(const JitterPenalty *penalty, const StepInput *input);

#endif
