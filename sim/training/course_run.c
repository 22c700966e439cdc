#include "sim/training/course_run.h"

#include "models/architecture.h"
#include "models/plan_check.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>

enum { MAX_DATE_ROUNDS = 40 };

static const double day_s = 86400.0;

const PhaseColumnName phase_columns[PHASE_COLUMNS] = {
    [PHASE_TOKENS] = {"tokens", "tokens"},
    [PHASE_STEP_SECONDS] = {"step_s", "s"},
    [PHASE_STEP_TOKENS] = {"batch_tokens", "tokens"},
    [PHASE_STEPS] = {"steps", "steps"},
    [PHASE_GPUS] = {"gpus", "GPUs"},
    [PHASE_DAYS] = {"days", "days"},
    [PHASE_COST] = {"cost_usd", "USD"},
    [PHASE_MFU] = {"mfu_effective", ""},
    [PHASE_GOODPUT] = {"goodput", ""},
};

void run_part_begin(const Scenario *scenario, const StepInput *input, double gpus_paid,
                    RunPart *part)
{
    const HardwareSpec *hardware = &scenario->hardware;
    const double older = plan_older_share(scenario);
    const double used = fmax(hardware->gpus, input->gpus);
    part->step_tokens = input->tokens;
    part->gpus = input->gpus;
    part->gpus_paid = gpus_paid > 0.0 ? gpus_paid : used;
    part->nodes_paid = ceil(part->gpus_paid / hardware->node.gpus);
    part->peak_flops_per_s = input->peak_flops_per_s;
    part->peak_bf16_flops_per_s =
        input->gpus * ((1.0 - older) * hardware->gpu.peak_bf16_flops_per_s +
                       older * hardware->older_gpu.peak_bf16_flops_per_s);
    part->flops_per_token =
        model_flops_per_token(&scenario->model, scenario->training.sequence_length).training;
    part->flops_6nd_per_token = model_flops_6nd(&scenario->model);
}

/* ---- tokens of the parts ---- */

static Status add_part(const Scenario *scenario, const CoursePart *which, RunCourse *course,
                       size_t index, Error *error)
{
    RunPart *part = &course->parts[index];
    Scenario one;
    course->run_phase[index] = NO_RUN_PHASE;
    if (!(part->tokens > 0.0))
        return STATUS_OK;
    course_apply(scenario, which, &one);
    const int first = index == 0 || part[-1].phase != part->phase;
    const double pause_s =
        scenario->course_count > 0 && first ? scenario->course[part->phase].pause_s : 0.0;
    course->run_phase[index] = course->run.phase_count;
    return run_add_phase(&course->run, &one, part->tokens, part->step_s, part->step_tokens, pause_s,
                         error);
}

/* Wall clock of the run so far when the part at `index`, not yet in it, has so many tokens. */
static Status wall_with(RunSimulator *simulator, const Scenario *scenario, const CoursePart *which,
                        RunCourse *course, size_t index, double tokens, unsigned long long seed,
                        unsigned long long replication, double *wall_s, Error *error)
{
    RunOutcome outcome;
    const size_t before = course->run.phase_count;
    course->parts[index].tokens = tokens;
    Status status = add_part(scenario, which, course, index, error);
    *wall_s = 0.0;
    if (status == STATUS_OK && course->run.phase_count > 0) {
        status = run_simulate(simulator, &course->run, seed, replication, &outcome, error);
        *wall_s = outcome.wall_s;
    }
    course->run.phase_count = before;
    return status;
}

/* Halves the range of tokens until one step is left; more tokens never end earlier, but for
 * failures that fall otherwise, which the halving does not mind. */
static Status tokens_until(RunSimulator *simulator, const Scenario *scenario,
                           const CoursePart *which, RunCourse *course, size_t index, double most,
                           unsigned long long seed, unsigned long long replication, Error *error)
{
    const double until_s = scenario->course[which->phase].until_s;
    const double step_tokens = course->parts[index].step_tokens;
    double low = 0.0, high = ceil(most / step_tokens), wall_s;
    Status status = wall_with(simulator, scenario, which, course, index, most, seed, replication,
                              &wall_s, error);
    if (status != STATUS_OK || wall_s <= until_s)
        return status;
    for (size_t round = 0; round < MAX_DATE_ROUNDS && high - low > 1.0; round++) {
        const double middle = floor((low + high) / 2.0);
        status = wall_with(simulator, scenario, which, course, index, middle * step_tokens, seed,
                           replication, &wall_s, error);
        if (status != STATUS_OK)
            return status;
        if (wall_s <= until_s)
            low = middle;
        else
            high = middle;
    }
    course->parts[index].tokens = low * step_tokens;
    return STATUS_OK;
}

Status course_run_input(RunSimulator *simulator, const Scenario *scenario, unsigned long long seed,
                        unsigned long long replication, RunCourse *course, Error *error)
{
    CoursePart parts[MAX_COURSE_PARTS];
    Scenario one;
    const CoursePart leading = course_main(scenario);
    course->part_count = course_parts(scenario, parts);
    if (scenario->course_count == 0) {
        RunPart *only = &course->parts[0];
        only->tokens = scenario->training.tokens;
        course->run_phase[0] = 0;
        return run_input(scenario, only->step_s, only->step_tokens, &course->run, error);
    }

    /* What does not change with phases is that of the one with most tokens. */
    course_apply(scenario, &leading, &one);
    Status status =
        run_input(&one, course->parts[0].step_s, course->parts[0].step_tokens, &course->run, error);
    course->run.phase_count = 0;
    double rest = course_rest_tokens(scenario);
    for (size_t i = 0; status == STATUS_OK && i < course->part_count; i++) {
        const CoursePhase *phase = &scenario->course[parts[i].phase];
        RunPart *part = &course->parts[i];
        part->phase = parts[i].phase;
        part->tokens = parts[i].share * (phase->tokens > 0.0 ? phase->tokens : rest);
        if (phase->until_s > 0.0) {
            status = tokens_until(simulator, scenario, &parts[i], course, i, rest, seed,
                                  replication, error);
            rest -= part->tokens;
        }
        if (status == STATUS_OK)
            status = add_part(scenario, &parts[i], course, i, error);
    }
    return status;
}

/* ---- sums ---- */

CourseSum course_sum(const RunCourse *course, const RunOutcome *outcome, size_t from, size_t to)
{
    CourseSum sum = {0};
    for (size_t i = from; i < to; i++) {
        const RunPart *part = &course->parts[i];
        if (course->run_phase[i] == NO_RUN_PHASE)
            continue;
        const RunPhase *phase = &course->run.phases[course->run_phase[i]];
        /* one phase is the whole run, to the last digit */
        const double wall_s = course->run.phase_count == 1
                                  ? outcome->wall_s
                                  : outcome->phase_wall_s[course->run_phase[i]];
        const double useful_s =
            course->run.phase_count == 1 ? outcome->goodput * outcome->wall_s : phase->useful_s;
        sum.tokens += part->tokens;
        sum.steps += round(phase->useful_s / phase->step_s);
        sum.useful_s += useful_s;
        sum.wall_s += wall_s;
        sum.flops += part->flops_per_token * part->tokens;
        sum.flops_6nd += part->flops_6nd_per_token * part->tokens;
        sum.peak_flops += wall_s * part->peak_flops_per_s;
        sum.peak_bf16_flops += wall_s * part->peak_bf16_flops_per_s;
        sum.paid.wall_s += wall_s;
        sum.paid.useful_s += useful_s;
        sum.paid.gpu_s += part->gpus_paid * wall_s;
        sum.paid.node_s += part->nodes_paid * wall_s;
        sum.paid.useful_gpu_s += part->gpus_paid * useful_s;
        sum.paid.useful_node_s += part->nodes_paid * useful_s;
    }
    return sum;
}

void course_phase_row(const Scenario *scenario, const RunCourse *course, const RunOutcome *outcome,
                      size_t phase, double *row)
{
    size_t from = 0, to;
    while (from < course->part_count && course->parts[from].phase != phase)
        from++;
    for (to = from; to < course->part_count && course->parts[to].phase == phase;)
        to++;
    const CourseSum sum = course_sum(course, outcome, from, to);
    const RunPart *last = &course->parts[to > from ? to - 1 : 0];
    row[PHASE_TOKENS] = sum.tokens;
    row[PHASE_STEPS] = sum.steps;
    row[PHASE_STEP_SECONDS] = last->step_s;
    row[PHASE_STEP_TOKENS] = last->step_tokens;
    row[PHASE_GPUS] = last->gpus;
    row[PHASE_DAYS] = sum.wall_s / day_s;
    row[PHASE_COST] = run_cost(scenario, &sum.paid).usd;
    row[PHASE_MFU] = sum.peak_flops > 0.0 ? sum.flops / sum.peak_flops : 0.0;
    row[PHASE_GOODPUT] = sum.wall_s > 0.0 ? sum.useful_s / sum.wall_s : 0.0;
}

void course_metric_name(const CoursePhase *phase, const char *column, char *name, size_t name_bytes)
{
    char word[NAME_BYTES];
    size_t length = 0;
    for (const char *c = phase->name; *c != '\0' && length + 1 < sizeof word; c++)
        word[length++] = isalnum((unsigned char)*c) ? (char)tolower((unsigned char)*c) : '_';
    word[length] = '\0';
    snprintf(name, name_bytes, "phase.%s%s.%s", isdigit((unsigned char)word[0]) ? "p" : "", word,
             column);
}
