/* One replication under way: what the files of the run simulator share. Inside sim/training only.
 *
 * Three clocks: the wall clock now_s; up_s, which stands still while the job does; and the exposure
 * to failures, kept as time left to each next failure. Progress is a place in the phase's cycles of
 * saves (run_progress.c), repair and spares are run_nodes.c, replicas that are away and slow nodes
 * run_degraded.c, what fails next run_failures.c, standing still and coming back run_recovery.c.
 */
#ifndef SIM_TRAINING_RUN_STATE_H
#define SIM_TRAINING_RUN_STATE_H

#include "sim/engine/law.h"
#include "sim/engine/random.h"
#include "sim/engine/time_heap.h"
#include "sim/training/run.h"

#include <stdbool.h>

/* Without a call: these run several times a failure. `whole_up` is ceil for 0 <= x. */
static inline double least(double a, double b)
{
    return a < b ? a : b;
}

static inline double most(double a, double b)
{
    return a > b ? a : b;
}

static inline double whole_up(double x)
{
    const double exact = 9007199254740992.0; /* 2^53: all whole above */
    if (!(x < exact))
        return x;
    double down = (double)(int64_t)x;
    return down < x ? down + 1.0 : down;
}

/* A state that training can go on from. */
typedef struct RunMark {
    size_t phase;
    double base_s; /* useful seconds into the phase, where its cycles of saves begin */
    double cycles; /* whole cycles behind that: exact in a double */
    double copies; /* copies in memory behind the last whole cycle */
} RunMark;

/* Saves to storage at equal distances, on their way or durable. */
typedef struct SaveSeries {
    RunMark before; /* the state one save before the first */
    double first_end_s, distance_s, count;
} SaveSeries;

/* The cycle of saves of a phase at the present speed: `every` segments of tau useful seconds, each
 * with its stall for the copy in memory, and the stall of a save to storage. */
typedef struct RunGrid {
    double tau_s, tau_wall_s, every;
    double segment_s, cycle_s;
    double memory_stall_s, storage_stall_s;
    double saves;                      /* segments that end in a save, but for the phase's last */
    double last_useful_s, last_wall_s; /* the phase's last segment */
    double end_stall_s;                /* of the save between two phases */
} RunGrid;

/* A class that has a clock of its own. */
typedef struct ClassClock {
    size_t class_index;
    RandomStream stream;
    LawSampler unit; /* mean 1 */
    bool calendar;   /* at_s counts, else left_s */
    double rate_per_s;
    double left_s; /* exposure until the next */
    double at_s;   /* wall clock of the next */
    size_t next;   /* in the trace */
} ClassClock;

typedef struct RunStreams {
    RandomStream failures, causes, detection, cures, copies, repair, lemons, slow, spikes, away;
} RunStreams;

struct RunSimulator {
    TimeHeap repairs, crews; /* wall clock; tag of a repair: 1 + lemon, 0: a sound node */
    TimedTag *new_repairs;   /* in no order: most end before anyone looks */
    size_t new_repair_count, new_repair_capacity;
    TimeHeap away; /* up clock */
    TimeHeap slow; /* up clock; tag: 2 * factor + evicted */
    SaveSeries *series;
    size_t series_count, series_capacity;
    uint32_t *job_lemons, *spare_lemons, *lemon_failures; /* ids; ids; by id */
    size_t job_lemon_count, spare_lemon_count, lemon_count, lemon_capacity;
};

typedef struct Run {
    const RunInput *input;
    RunSimulator *memory;
    RunOutcome *outcome;
    RunStreams streams;
    bool out_of_memory;
    double events;

    /* progress */
    double phase_start_s[MAX_RUN_PHASES + 1]; /* useful seconds before each phase */
    double interval_s[MAX_RUN_PHASES];        /* in whole steps */
    double now_s, up_s, phase_entered_s;
    RunGrid grid;
    size_t phase;
    double base_s, cycles; /* as in RunMark */
    double into_cycle_s;   /* wall seconds at the present speed */
    double stalled_s;      /* of these in stalls */
    double speed;          /* useful seconds a second of training */
    RunMark storage;       /* what a restart found or would find in storage at least */
    RunMark copied;        /* the same in memory */

    /* failures */
    const double *gaps_s; /* given ones; NULL: drawn */
    const size_t *gap_causes;
    size_t gap_count, clocks_started, failures_met;
    double pooled_rate_per_s; /* of exponential classes at present */
    double failure_left_s;    /* exposure until the next of them */
    size_t clock_count;
    ClassClock clocks[MAX_FAILURE_CLASSES];
    bool pooled[MAX_FAILURE_CLASSES];

    /* nodes */
    LawSampler repair;
    double spares;            /* at least: repairs that ended since the last look come on top */
    double repair_integral_s; /* node-seconds */
    double in_repair, repair_settled_s, repair_square_integral; /* when measured */

    /* speed */
    double live_replicas, slow_nodes[2];
    LawSampler away, slow_duration;
    double slow_left_s; /* up clock, until the next node turns slow */

    /* spikes */
    double furthest_s; /* useful seconds that were ever reached */
    double spike_at_s; /* useful seconds; HUGE_VAL: none */
} Run;

/* Time goes by, and one part of the ledger gets it. */
static inline void progress_stand(Run *run, double seconds, double *ledger)
{
    run->now_s += seconds;
    *ledger += seconds;
}

/* ---- run_progress.c ---- */

void progress_begin(Run *run);
void progress_enter(Run *run, RunMark mark); /* training goes on from there */
double progress_useful_s(const Run *run);    /* of the whole run, behind us */
double progress_mark_useful_s(const Run *run, RunMark mark);
double progress_left_s(const Run *run); /* until the phase ends, saved if need be */
double progress_time_to_s(const Run *run, double useful_s); /* ahead, in this phase */
void progress_train(Run *run, double seconds);
void progress_set_speed(Run *run, double speed);
void progress_save_here(Run *run); /* at once and durable: before planned stops */
void progress_end_phase(Run *run);
RunMark progress_in_storage(const Run *run); /* the last durable save at this moment */
RunMark progress_in_memory(const Run *run);
RunMark progress_before(const Run *run, RunMark mark, double useful_s); /* the last save up to */
/* The work since `mark` is gone: `*ledger` gets it, training will go on from there. */
void progress_go_back(Run *run, RunMark mark, double *ledger);

/* ---- run_failures.c ---- */

void failures_begin(Run *run, unsigned long long seed, unsigned long long replication);
void failures_rates_changed(Run *run); /* another phase, other lemons or replicas */
void failures_start_clock(Run *run);   /* of the exponential classes */
void failures_pass(Run *run, double exposed_s);
/* Exposure until the next failure; calendar events only while training. */
double failures_next_s(const Run *run, bool training);
size_t failures_take(Run *run, bool training); /* the class of the failure that is due now */
void failures_skip(Run *run);                  /* calendar events that fell into down time */

/* ---- run_nodes.c ---- */

void nodes_begin(Run *run);
void nodes_phase_changed(Run *run, double nodes_before);
double nodes_lemon_factor(const Run *run); /* of the failure rate of nodes */
/* `count` nodes of the job go into repair and others take their place; returns when they are there.
 */
double nodes_replace(Run *run, double count);
void nodes_end(Run *run);

/* ---- run_degraded.c ---- */

void degraded_begin(Run *run);
double
degraded_next_s(const Run *run); /* until a replica comes back or a node turns slow or sound */
void degraded_take(Run *run);    /* what is due now */
bool degraded_drop(Run *run, const RunClass *cause); /* true: the job goes on without a replica */

/* ---- run_recovery.c ---- */

void recovery_fail(Run *run, size_t class_index);
void recovery_restart(Run *run, double load_s); /* after a pause: nothing lost */
void recovery_spike(Run *run);
void recovery_draw_spike(Run *run);

/* ---- run_check.c ---- */

Status run_check(const RunInput *input, bool drawn, Error *error);

#endif
