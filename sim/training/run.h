/* Months of steps with failures, restarts, saves and lost work, as events.
 *
 * Clocks and words as in the reliability literature: M the job's mean time between failures while
 * it runs or restarts, tau useful time between saves, delta the stall of a save, D the down time in
 * which nothing can fail (detection, replacement), R the restart work (init, load), exposed to
 * failures (S1) or safe (S2). Mean time of a segment of tau useful seconds: S1: e^(R/M) (M + D)
 * (e^((tau+delta)/M) - 1)      Daly 2006, eq. 9 S2: (M + D + R) (e^((tau+delta)/M) - 1)
 */
#ifndef SIM_TRAINING_RUN_H
#define SIM_TRAINING_RUN_H

#include "configs/reader/scenario.h"
#include "sim/engine/engine.h"

/* Failures and saves that one replication may take; a run that is expected to need more is refused.
 */
enum { RUN_MAX_EVENTS = 20000000 };

/* The numbers that one run needs, all in seconds. */
typedef struct RunInput {
    double useful_s;       /* failure-free work: steps * step time / (1 - slowdown) */
    double step_s;         /* a save happens at step ends */
    double mtbf_s;         /* of the job; INFINITY: never fails */
    double interval_s;     /* tau; rounded to whole steps, at least one; INFINITY: never saves */
    double save_stall_s;   /* delta */
    double save_durable_s; /* time after the stall until the save counts; a failure before uses the
                              one before */
    size_t class_count;    /* causes: share of failures and detection time of each */
    double class_share[MAX_FAILURE_CLASSES];
    double class_detection_s[MAX_FAILURE_CLASSES];
    double replacement_s;
    double init_s, load_s;
    RestartClock restart_clock;
} RunInput;

/* Where the wall clock went, seconds; sums to wall_s. */
typedef struct RunLedger {
    double useful_s, lost_work_s, save_s, detection_s, replacement_s, restart_s;
} RunLedger;

typedef struct RunOutcome {
    double wall_s;
    double goodput; /* useful_s / wall_s (ETTR) */
    double failures, saves;
    double failures_by_class[MAX_FAILURE_CLASSES];
    RunLedger ledger;
} RunOutcome;

/* From a checked scenario and the step that was simulated for it. The optimal interval is the exact
 * one. */
Status run_input(const Scenario *scenario, double step_s, double step_tokens, RunInput *input,
                 Error *error);

/* One replication. `engine` is reset and used. Streams: (seed, "failures", replication) for the
 * times and (seed, "failure causes", replication) for the causes. The failure clock starts anew
 * after each recovery (for exponential times between failures that changes nothing). STATUS_NO when
 * the run cannot be expected to finish within RUN_MAX_EVENTS (it fails faster than it saves).
 * Nothing is saved at the very end.
 */
Status run_simulate(Engine *engine, const RunInput *input, unsigned long long seed,
                    unsigned long long replication, RunOutcome *outcome, Error *error);

/* The same with failures that are given, not drawn: the i-th comes gaps_s[i] after the failure
 * clock was started for the i-th time, by cause causes[i] (NULL: the first). After the last of them
 * nothing fails. */
Status run_replay(Engine *engine, const RunInput *input, const double *gaps_s, const size_t *causes,
                  size_t count, RunOutcome *outcome, Error *error);

/* tau as the simulation uses it: whole steps, at least one. */
double run_interval_in_steps(const RunInput *input);

/* Mean of D (detection over causes, and replacement), and the ETTR that the closed form of the
 * input's restart clock gives at run_interval_in_steps, times e^(-P/M) for saves that take P until
 * they count. */
double run_mean_down_s(const RunInput *input);
double run_ettr_closed_form(const RunInput *input);

/* Closed forms, for tests and for the report. ETTR = tau / E[T_seg]. */
double run_ettr_s1(double mtbf_s, double tau_s, double delta_s, double down_s, double restart_s);
double run_ettr_s2(double mtbf_s, double tau_s, double delta_s, double down_s, double restart_s);

/* Optimal tau: exact M (1 + W0(-exp(-1 - delta/M))), Young 1974 sqrt(2 delta M), Daly 2006 higher
 * order. */
double run_interval_exact(double mtbf_s, double delta_s);
double run_interval_young(double mtbf_s, double delta_s);
double run_interval_daly(double mtbf_s, double delta_s);

#endif
