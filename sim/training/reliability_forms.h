/* What theory says of a job that fails: closed forms, sums and linear systems, beside run.h's S1,
 * S2 and optimal intervals. Times in seconds, rates per second.
 *
 * M mean time between failures while the job runs, tau useful time between saves, delta the stall
 * of a save, D down time, R restart work. ETTR is useful time over wall time.
 */
#ifndef SIM_TRAINING_RELIABILITY_FORMS_H
#define SIM_TRAINING_RELIABILITY_FORMS_H

#include "configs/reader/error.h"
#include "sim/engine/law.h"

#include <stddef.h>

/* ---- reliability_estimates.c -------------------------------------------------------------------
 */

/* Kokolis et al., HPCA 2025: (1 - N r_f (u0 + dt/2)) / (1 + w/dt), and its best interval
 * sqrt(2 w / (N r_f)). Good while N r_f (u0 + dt/2) < 0.15. */
double reliability_ettr_linear(double job_rate_per_s, double interval_s, double save_s,
                               double restart_s);

/* FLOPs done over those that the GPUs could have done in that time. */
double reliability_effective_mfu(double flops, double gpus, double time_s, double peak_flops_per_s);

/* ---- reliability_renewal.c ---------------------------------------------------------------------
 */

/* E[max(X - t, 0)] */
double reliability_mean_excess(const Law *law, double time_s);

/* The failure clock starts anew at each restart; a save counts `persist_s` after its stall:
 * tau sum_{i>=1} S(i (tau + delta) + persist) / (mean + D + R), by renewal and reward. */
double reliability_ettr_renewal(const Law *law, double tau_s, double delta_s, double persist_s,
                                double down_and_restart_s);

/* ---- reliability_finite.c ----------------------------------------------------------------------
 */

/* Wall clock of `segments` saved segments: mean and standard deviation under S1 and S2. */
double reliability_wall_mean_s1(double mtbf_s, double tau_s, double delta_s, double down_s,
                                double restart_s, double segments);
double reliability_wall_mean_s2(double mtbf_s, double tau_s, double delta_s, double down_s,
                                double restart_s, double segments);
double reliability_wall_sd_s1(double mtbf_s, double tau_s, double delta_s, double down_s,
                              double restart_s, double segments);
double reliability_wall_sd_s2(double mtbf_s, double tau_s, double delta_s, double down_s,
                              double restart_s, double segments);

/* A failure that is announced early enough to save what was done. */
double reliability_ettr_notice(double mtbf_s, double tau_s, double delta_s, double gap_s);

/* ---- reliability_two_level.c -------------------------------------------------------------------
 */

/* A level-1 save after every segment, a level-2 save after every `segments` of them; a share of the
 * failures recovers from level 1. */
typedef struct TwoLevel {
    double mtbf_s, tau_s, block1_s, block2_s, restart1_s, restart2_s;
    double segments, level1_share;
} TwoLevel;

double reliability_ettr_two_level(const TwoLevel *levels);

/* Every group of `copies` machines holds its members' shards `copies` times over: the chance that
 * no group is among `lost` machines in whole. `copies` divides `machines`. STATUS_NO when machines
 * x lost is beyond 3e8. */
Status reliability_copies_survive(double machines, double copies, double lost, double *chance,
                                  Error *error);

/* ---- reliability_spares.c ----------------------------------------------------------------------
 */

/* Erlang B: `offered` nodes in repair on average if none were missed, `servers` places. */
double reliability_erlang_b(double offered, double servers);

/* M/M/c/K: the chance that all `places` are taken with `crews` servers. */
double reliability_all_in_repair(double rate_per_s, double repair_s, double crews, double places);

/* The smallest n with P(Binomial(machines, share) <= n) >= quantile. */
double reliability_standby_quantile(double machines, double share, double quantile);

/* Batches of nodes that fail together, each node repaired on its own in an exponential time: mean
 * and standard deviation of the nodes in repair. */
double reliability_in_repair_mean(const double *rates_per_s, const double *sizes, size_t count,
                                  double repair_s);
double reliability_in_repair_sd(const double *rates_per_s, const double *sizes, size_t count,
                                double repair_s);

/* ---- reliability_slow.c ------------------------------------------------------------------------
 */

/* Elastic data parallelism: a failed replica stays away for `away_s`, dropping it and taking it
 * back stop the others for `pauses_s` in all. */
double reliability_elastic(double replicas, double job_rate_per_s, double away_s, double pauses_s);

/* Nodes that turn slow for an exponential time, or until they are evicted after `evict_after_s`
 * (HUGE_VAL: never) at the cost of a pause; the slowest sets the pace. */
typedef struct FailSlow {
    double nodes, rate_per_node_s, duration_s, evict_after_s, pause_s;
    double slow[2];     /* step time over nominal, slow[0] <= slow[1] */
    double worse_share; /* chance of slow[1] */
} FailSlow;

double reliability_fail_slow(const FailSlow *slow);

typedef enum NoiseLaw {
    NOISE_NORMAL,
    NOISE_EXPONENTIAL, /* 1 + cv Exp(1) */
    NOISE_LOGNORMAL    /* mean 1 */
} NoiseLaw;
#define NOISE_LAW_WORDS "normal 1+cv*Exp lognormal"

/* Mean of the largest of `workers` step times with mean 1 (normal, lognormal) or least 1. */
double reliability_noise_maximum(NoiseLaw law, double workers, double cv);

/* Loss spikes, seen `detect_steps` late, cured by going back `back_steps` from the spike to the
 * save before. */
typedef struct LossSpike {
    double rate_per_step, step_s, restart_s, detect_steps, back_steps, save_every_steps, save_s;
} LossSpike;

double reliability_ettr_loss_spike(const LossSpike *spike);

#endif
