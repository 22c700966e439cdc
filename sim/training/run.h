/* Months of training with failures, restarts, saves and lost work.
 *
 * Clocks and words as in the reliability literature: M the job's mean time between failures while
 * it runs (and, where restarts are exposed, restarts), tau useful time between saves, delta the
 * stall of a save, D the down time in which nothing can fail (detection, replacement), R the
 * restart work (initialisation, load, warm-up), exposed to failures (S1) or safe (S2). Mean time of
 * a segment of tau useful seconds:
 *   S1: e^(R/M) (M + D) (e^((tau+delta)/M) - 1)      Daly 2006, eq. 9
 *   S2: (M + D + R) (e^((tau+delta)/M) - 1)
 *
 * A run is a sequence of phases, each with its own step, size of the job and interval between
 * saves. Between two things that happen (failures mostly) progress and saves are arithmetic, so a
 * run costs time in proportion to its failures and not to its GPUs, steps or saves.
 */
#ifndef SIM_TRAINING_RUN_H
#define SIM_TRAINING_RUN_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"
#include "sim/engine/law.h"

/* Failures and other happenings that one replication may take; a run that is expected to need more
 * is refused. */
enum { RUN_MAX_EVENTS = 20000000, MAX_RUN_PHASES = 64, MAX_DETECTIONS = 4 };

/* A stretch of training with one step time on one set of nodes. */
typedef struct RunPhase {
    double useful_s;    /* failure-free work: steps * step time / (1 - slowdown) */
    double step_s;      /* saves happen at step ends */
    double step_tokens; /* for reports; the simulation does not use them */
    double gpus;        /* in use; for reports */
    double nodes;       /* in use: what can fail, turn slow and be dropped */
    double pause_s;     /* planned standstill before the phase: saved first, restarted after; 0: the
                           phase follows without a stop */
    double interval_s;  /* tau; rounded to whole steps, at least one; HUGE_VAL: never saves */
    double init_s;      /* restart work: processes and communicators */
    double class_rate_per_s[MAX_FAILURE_CLASSES]; /* of each class, for the whole job, while it is
                                                     exposed */
} RunPhase;

/* One cause of failures. All zero but the rate: exponential, seen at once, no node replaced. */
typedef struct RunClass {
    int per_node; /* 1: the rate goes with the nodes in use (lemons raise it, dropped replicas lower
                     it); 0: with the job */
    LawKind law;  /* of the time between two failures of this class; mean 1 / rate */
    double shape;
    int calendar; /* 1: LAW_FIXED or a trace counts wall-clock time, also while the job is down;
                     what falls into down time happens unnoticed */
    const double *trace_s; /* times since the start of the run instead of a law; ascending; NULL */
    size_t trace_count;
    double nodes_taken; /* go into repair; 0: as 1 where a node is replaced */
    double
        process_restart; /* probability that restarting the processes cures it: no node replaced */
    size_t detection_count; /* 0: seen at once */
    double detection_share[MAX_DETECTIONS], detection_s[MAX_DETECTIONS];
    double outage_s;     /* standstill after that, before anything is replaced or restarted */
    double memory_share; /* probability that copies in memory survive (two-level saves) */
    double notice_s;  /* warning; long enough for a save: saved, then stopped; HUGE_VAL: planned */
    double spoiled_s; /* useful time before the failure that is worthless too (silent corruption) */
} RunClass;

/* Saves. Where memory_every > 1 or memory_load_s > 0, every save keeps a copy in memory (of a peer)
 * and every memory_every-th goes to storage as well. */
typedef struct RunSaves {
    double stall_s;   /* delta of a save to storage */
    double durable_s; /* after the stall, until it counts; a failure before uses the one before */
    double load_s;    /* from storage at restart */
    int in_memory;    /* 1: two levels */
    double memory_every;     /* of the saves in memory one in so many goes to storage */
    double memory_stall_s;   /* of every save */
    double memory_durable_s; /* at most the interval */
    double memory_load_s;    /* at a restart from memory */
} RunSaves;

/* Spare nodes and their repair. */
typedef struct RunSpares {
    int limited;  /* 0: a replacement is always found */
    double nodes; /* beside those in use */
    double crews; /* repair at the same time; 0: as many as needed */
    Law repair;   /* from detection until the node is a spare again */
    int measured; /* 1: the number of nodes in repair is followed in time, for its spread */
} RunSpares;

/* Nodes that fail more often than the others. */
typedef struct RunLemons {
    double share;         /* of the nodes, at the start and of fresh ones */
    double rate_factor;   /* times the rate of a sound node */
    double removed_after; /* failures; 0: never found */
} RunLemons;

/* Data-parallel replicas that the job can go on without. */
typedef struct RunElastic {
    double replicas;         /* below 2: not elastic */
    double minimum_replicas; /* with fewer the job stops */
    double drop_s, rejoin_s; /* standstill when one goes and when it comes back */
    Law away;                /* from the failure (or from when a node is there) until it rejoins */
} RunElastic;

/* Nodes that slow the whole job down. */
typedef struct RunSlow {
    double rate_per_node_s; /* 0: none */
    Law duration;
    double evict_after_s;       /* HUGE_VAL: never */
    double evict_s;             /* standstill of an eviction */
    double factor[2];           /* of the step time, at least 1 */
    double second_factor_share; /* of slow nodes that have factor[1] */
} RunSlow;

/* Loss spikes: training goes back. They come with new steps only, not with repeated ones. */
typedef struct RunSpikes {
    double rate_per_step; /* 0: none */
    double lag_steps;     /* trained in vain until it is noticed */
    double back_steps;    /* before the spike; then to the save before that */
} RunSpikes;

/* The numbers that one run needs, all in seconds. */
typedef struct RunInput {
    size_t phase_count;
    RunPhase phases[MAX_RUN_PHASES];
    size_t class_count;
    RunClass classes[MAX_FAILURE_CLASSES];
    RestartClock restart_clock;
    double replacement_s; /* find, attach and schedule a healthy node that is there */
    double warm_up_s;     /* restart work after the load */
    RunSaves saves;
    RunSpares spares;
    RunLemons lemons;
    RunElastic elastic;
    RunSlow slow;
    RunSpikes spikes;
} RunInput;

/* Where the wall clock went, seconds. Time lost and throughput lost are kept apart: useful_s is
 * retained work at full speed, degraded_s what running below full speed added. Sums exactly to
 * wall_s. */
typedef struct RunLedger {
    double useful_s;
    double lost_work_s; /* trained again after failures */
    double rollback_s;  /* trained again after loss spikes, or in vain until one was noticed */
    double save_s;      /* stalls */
    double detection_s;
    double replacement_s;             /* a node was there and had to be attached */
    double spare_wait_s;              /* no spare was left */
    double init_s, load_s, warm_up_s; /* restart work */
    double planned_s;                 /* pauses between phases, outages */
    double elastic_s;                 /* replicas dropped and taken back */
    double eviction_s;                /* slow nodes put out */
    double degraded_s;                /* dropped replicas and slow nodes */
} RunLedger;

enum { RUN_LEDGER_PARTS = sizeof(RunLedger) / sizeof(double) };

typedef struct RunOutcome {
    double wall_s;
    double goodput;            /* useful_s / wall_s (ETTR) = time_goodput * throughput_goodput */
    double time_goodput;       /* (useful_s + degraded_s) / wall_s */
    double throughput_goodput; /* useful_s / (useful_s + degraded_s) */
    double failures, saves;
    double failures_by_class[MAX_FAILURE_CLASSES];
    double planned_stops; /* of classes with endless notice; not among the failures */
    double spare_waits, drops, evictions, spikes; /* counts */
    double nodes_in_repair_mean;
    double nodes_in_repair_sd;           /* over the wall clock, where it is measured */
    double phase_wall_s[MAX_RUN_PHASES]; /* repeated work counts for the phase it belongs to */
    RunLedger ledger;
} RunOutcome;

/* Memory that replications share one after the other. */
typedef struct RunSimulator RunSimulator;
RunSimulator *run_simulator_create(Error *error);
void run_simulator_destroy(RunSimulator *simulator);

/* The classes of a scenario in the order of RunInput: those of its shipped set, then its own. */
size_t reliability_class_count(const ReliabilitySpec *reliability);
const FailureClass *reliability_class(const ReliabilitySpec *reliability, size_t index);

/* From a checked scenario and the step that was simulated for it: one phase. The optimal interval
 * is the exact one. */
Status run_input(const Scenario *scenario, double step_s, double step_tokens, RunInput *input,
                 Error *error);

/* Appends a phase of `tokens` under `scenario` (the base with the phase's overrides), whose failure
 * classes are those of the base. */
Status run_add_phase(RunInput *input, const Scenario *scenario, double tokens, double step_s,
                     double step_tokens, double pause_s, Error *error);

/* One replication. Streams: (seed, "failures", replication) for the times, (seed, "failure causes",
 * replication) for the causes, and one more for each further thing that is drawn. The clock of
 * exponential failures starts anew after each recovery, which changes nothing; each other class has
 * a clock of its own that starts anew at its own failures. STATUS_NO when the run cannot be
 * expected to finish within RUN_MAX_EVENTS (it fails faster than it saves). Nothing is saved at the
 * very end.
 */
Status run_simulate(RunSimulator *simulator, const RunInput *input, unsigned long long seed,
                    unsigned long long replication, RunOutcome *outcome, Error *error);

/* The same with failures that are given, not drawn: the i-th comes gaps_s[i] after the failure
 * clock was started for the i-th time, by cause causes[i] (NULL: the first). After the last of them
 * nothing fails. */
Status run_replay(RunSimulator *simulator, const RunInput *input, const double *gaps_s,
                  const size_t *causes, size_t count, RunOutcome *outcome, Error *error);

/* Sums over phases and classes. */
double run_useful_s(const RunInput *input);
double run_rate_per_s(const RunInput *input, const RunPhase *phase); /* of all classes */
double run_mtbf_s(const RunInput *input, const RunPhase *phase);     /* HUGE_VAL: never fails */

/* tau as the simulation uses it: whole steps, at least one. */
double run_interval_in_steps(const RunPhase *phase);

double run_class_down_s(const RunInput *input, size_t class_index); /* mean D of one cause */

/* Mean of D (detection over causes, and replacement) in a phase, and the ETTR that the closed form
 * of the input's restart clock gives at run_interval_in_steps, times e^(-P/M) for saves that take P
 * until they count, over all phases. Spares, memory, elasticity, slow nodes and spikes are left
 * out. */
double run_mean_down_s(const RunInput *input, const RunPhase *phase);
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
