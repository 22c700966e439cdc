/* Replications of reliability's processes as events. Inside sim/training only.
 *
 * Wherever a model is a special case of a training run, the simulator of runs (run.h) is what is
 * compared. Each function takes what its model's parameters say and fills the sums of its
 * estimator.
 */
#ifndef SIM_TRAINING_RELIABILITY_PROCESS_H
#define SIM_TRAINING_RELIABILITY_PROCESS_H

#include "sim/training/reliability.h"
#include "sim/training/reliability_forms.h"

#define PROCESS(name)                                                                              \
    Status name(const ReliabilityReplication *draw, ReliabilitySums *sums, Error *error)

/* reliability_by_run.c: failures, saves and restarts */
PROCESS(process_run_exposed);
PROCESS(process_run_safe);
PROCESS(process_run_detection);
PROCESS(process_run_classes);
PROCESS(process_run_failures);
PROCESS(process_run_renewal);
PROCESS(process_run_two_level);
PROCESS(process_run_loss_spike);
PROCESS(process_run_notice);
PROCESS(process_run_no_notice);
PROCESS(process_run_wall_clock);
PROCESS(process_run_finite_exposed);
PROCESS(process_run_finite_safe);

/* reliability_by_run_nodes.c: nodes in repair, away or slow */
PROCESS(process_run_spares);
PROCESS(process_run_crews);
PROCESS(process_run_correlated);
PROCESS(process_run_elastic);
PROCESS(process_run_fail_slow);

/* reliability_draws.c: no course of time in them */
PROCESS(process_copies);
PROCESS(process_noise_maximum);

/* Whether a replication may take `events`: about what it is given, or, where more is needed to see
 * anything, `most` in all replications together. */
int process_can_spend(const ReliabilityReplication *draw, double events, double most);

/* What lies between two lengths of the same run, so that its beginning and its end do not count:
 * useful seconds and wall seconds. The outcomes may be NULL. */
Status process_between(const ReliabilityReplication *draw, const RunInput *input, double first_s,
                       double last_s, ReliabilitySums *sums, RunOutcome *first, RunOutcome *last,
                       Error *error);

/* Failures of the mix in n_gpu GPUs: the job's rate, and the rate of each class where wanted. */
double reliability_mix_rate_per_s(const FailureMix *mix, double gpus,
                                  double rates_per_s[RELIABILITY_MAX_LIST]);

/* Failures of any law with the clock renewed at each restart, from either way of naming them. */
typedef struct RenewalCase {
    Law law;
    double tau_s, delta_s, persist_s, restart_s; /* restart_s: all time down */
} RenewalCase;
RenewalCase renewal_case(const ReliabilityCase *input);
TwoLevel two_level_case(const ReliabilityCase *input);
LossSpike loss_spike_case(const ReliabilityCase *input);
FailSlow fail_slow_case(const ReliabilityCase *input);

/* The law of the parameter `repair`; it changes no result of the models that have it, so the width
 * of the lognormal one is free: sigma 1. */
#define REPAIR_LAW_WORDS "exponential deterministic lognormal"
Law repair_law(const ReliabilityCase *input, double mean_s);

#endif
