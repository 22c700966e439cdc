/* A run with a course: a step for each part, the parts in one run, and what each phase took. Inside
 * sim/training only. */
#ifndef SIM_TRAINING_COURSE_RUN_H
#define SIM_TRAINING_COURSE_RUN_H

#include "models/course.h"
#include "sim/training/run.h"
#include "sim/training/run_cost.h"
#include "sim/training/step.h"

/* One part as drawn and stepped. */
typedef struct RunPart {
    size_t phase;
    double tokens;    /* in all; of a phase with a date as its simulation says */
    double step_s;    /* with noise and with the data loaded */
    double loading_s; /* of step_s: waiting for data */
    double step_tokens;
    double gpus, gpus_paid, nodes_paid;
    double peak_flops_per_s, peak_bf16_flops_per_s; /* of the GPUs in use */
    double flops_per_token, flops_6nd_per_token;
} RunPart;

typedef struct RunCourse {
    size_t part_count;
    RunPart parts[MAX_COURSE_PARTS];
    size_t
        run_phase[MAX_COURSE_PARTS]; /* its place in run.phases; parts without tokens have none */
    RunInput run;
} RunCourse;

enum { NO_RUN_PHASE = MAX_RUN_PHASES };

/* From a scenario to a part: everything but tokens and step_s. */
void run_part_begin(const Scenario *part_scenario, const StepInput *input, double gpus_paid,
                    RunPart *part);

/* Tokens of each part, and the run's input. Phases that end at a date get as many as let the run so
 * far (with this replication's failures) end within a step of it. `scenario` is the drawn one with
 * its course. */
Status course_run_input(RunSimulator *simulator, const Scenario *scenario, unsigned long long seed,
                        unsigned long long replication, RunCourse *course, Error *error);

/* Sums over the parts `from` to `to` (excluded). */
typedef struct CourseSum {
    double tokens, steps, useful_s, wall_s;
    double flops, flops_6nd;
    double peak_flops, peak_bf16_flops; /* what the GPUs could have done meanwhile */
    PaidTime paid;
} CourseSum;
CourseSum course_sum(const RunCourse *course, const RunOutcome *outcome, size_t from, size_t to);

/* Metrics of each phase, in the order of the enum. */
typedef enum PhaseColumn {
    PHASE_TOKENS,
    PHASE_STEP_SECONDS,
    PHASE_STEP_TOKENS,
    PHASE_STEPS,
    PHASE_GPUS,
    PHASE_DAYS,
    PHASE_COST,
    PHASE_MFU,
    PHASE_GOODPUT,
    PHASE_COLUMNS
} PhaseColumn;
typedef struct PhaseColumnName {
    const char *name, *unit;
} PhaseColumnName;
extern const PhaseColumnName phase_columns[PHASE_COLUMNS];

/* PHASE_COLUMNS numbers of phase `phase`. */
void course_phase_row(const Scenario *scenario, const RunCourse *course, const RunOutcome *outcome,
                      size_t phase, double *row);

/* "phase.<name>.<column>", the name in lower case with underscores for all but letters and digits.
 */
void course_metric_name(const CoursePhase *phase, const char *column, char *name,
                        size_t name_bytes);

#endif
