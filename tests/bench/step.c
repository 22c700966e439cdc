/* How fast steps are simulated, in seconds of this process on one core; plans are evaluated five
 * times over, and the best run and the median are printed.
 *
 * - Plans: distinct plans of the GPT-4 model on A100 in random order, through the plan evaluator,
 * and beside it the same plans through what `train` does for its one midpoint, nothing kept.
 * - The full simulation of 208 replicas x 15 stages, and its events against a plain recurrence of
 * the same schedule. */
#include "sim/training/step.h"
#include "configs/reader/reader.h"
#include "configs/reader/sample.h"
#include "models/memory.h"
#include "models/plan_check.h"
#include "sim/training/plan_evaluator.h"
#include "sim/training/schedule.h"
#include "tests/unit/plan_space.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { DISTINCT_PLANS = 60000, FRESH_PLANS = 500, FULL_RUNS = 10, SCHEDULES = 6 };
enum { RUNS = 5, GROWTH_ROUNDS = 3, GROWTH_PLANS = 100 };
static const unsigned long long SEED = 20240229;

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- plans ---- */

/* A set of hashes, open addressing; 0 is no hash. */
enum { SET_PLACES = 1 << 18 };

static int add_to_set(uint64_t *set, const Plan *plan)
{
    unsigned char bytes[sizeof *plan];
    memcpy(bytes, plan, sizeof bytes);
    uint64_t hash = 14695981039346656037U; /* FNV-1a */
    for (size_t i = 0; i < sizeof bytes; i++)
        hash = (hash ^ bytes[i]) * 1099511628211U;
    hash |= hash == 0;
    size_t place = hash % SET_PLACES;
    while (set[place] != 0 && set[place] != hash)
        place = (place + 1) % SET_PLACES;
    if (set[place] == hash)
        return 0;
    set[place] = hash;
    return 1;
}

/* Plans that do not contradict themselves, none twice. */
static size_t draw_plans(const Scenario *base, PlanEvaluator *evaluator, Plan *plans, size_t count,
                         size_t *contradictory)
{
    const Plan start = plan_evaluator_base(evaluator);
    RandomStream stream = random_stream(SEED, "plans", 0);
    uint64_t *set = calloc(SET_PLACES, sizeof *set);
    Scenario *trial = malloc(sizeof *trial);
    size_t found = 0;
    *contradictory = 0;
    for (size_t tries = 0; set != NULL && trial != NULL && found < count && tries < 100 * count;
         tries++) {
        const Plan plan =
            plan_space_draw(&stream, &start, &base->model, base->training.sequence_length, 0);
        *trial = *base;
        trial->training.parallel = plan.parallel;
        trial->training.batch_tokens = plan.batch_tokens;
        trial->hardware.gpus = plan_gpus(&plan.parallel);
        if (plan_check(trial, NULL) != STATUS_OK)
            ++*contradictory;
        else if (add_to_set(set, &plan))
            plans[found++] = plan;
    }
    free(trial);
    free(set);
    return found;
}

/* Seconds for all plans once, run by run; from the shortest on. */
typedef struct Runs {
    double seconds[RUNS];
} Runs;

static int compare_seconds(const void *one, const void *other)
{
    const double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

/* `fresh`: by an evaluator that has met no layers, a new one each run. */
static Runs evaluate_all(PlanEvaluator *evaluator, const Scenario *fresh, const Plan *plans,
                         size_t count)
{
    Runs runs;
    Error error;
    PlanResult result;
    for (size_t run = 0; run < RUNS; run++) {
        PlanEvaluator *used =
            fresh != NULL ? plan_evaluator_create(fresh, SEED, &error) : evaluator;
        const double start_s = seconds_now();
        for (size_t i = 0; used != NULL && i < count; i++)
            plan_evaluate(used, &plans[i], &result);
        runs.seconds[run] = seconds_now() - start_s;
        if (fresh != NULL)
            plan_evaluator_destroy(used);
    }
    qsort(runs.seconds, RUNS, sizeof runs.seconds[0], compare_seconds);
    return runs;
}

/* What `train` does for its midpoint: check, memory, operators to seconds, the step with all
 * causes.
 */
static double evaluate_fresh(const Scenario *base, const Plan *plans, size_t count)
{
    Error error;
    Scenario *scenario = malloc(sizeof *scenario);
    StepInput *input = calloc(1, sizeof *input);
    StepSimulator *simulator = step_simulator_create(&error);
    StepResult result;
    const double start_s = seconds_now();
    for (size_t i = 0; scenario != NULL && input != NULL && simulator != NULL && i < count; i++) {
        *scenario = *base;
        scenario->training.parallel = plans[i].parallel;
        scenario->training.gradient_precision = plans[i].gradient_precision;
        scenario->training.batch_tokens = plans[i].batch_tokens;
        scenario->hardware.gpus = plan_gpus(&plans[i].parallel);
        if (plan_check(scenario, &error) == STATUS_OK && memory_fits(scenario) &&
            step_input(scenario, SEED, 0, input, &error) == STATUS_OK)
            step_simulate(simulator, input, DETAIL_FOLDED, SEED, 0, 0, &result, &error);
    }
    const double seconds = seconds_now() - start_s;
    step_simulator_destroy(simulator);
    free(input);
    free(scenario);
    return seconds;
}

static void print_rate(const char *what, size_t count, double seconds)
{
    printf("  %-34s %6zu plans, %7.0f plans/s (%.2f us each)\n", what, count,
           (double)count / seconds, 1e6 * seconds / (double)count);
}

static void print_runs(const char *what, size_t count, const Runs *runs)
{
    const double best_s = runs->seconds[0], median_s = runs->seconds[RUNS / 2];
    printf("  %-34s %6zu plans, %7.0f plans/s (%.2f us each), median %7.0f (%.2f)\n", what, count,
           (double)count / best_s, 1e6 * best_s / (double)count, (double)count / median_s,
           1e6 * median_s / (double)count);
}

static const char *const schedule_names[SCHEDULES] = {
    [SCHEDULE_1F1B] = "1f1b",   [SCHEDULE_GPIPE] = "gpipe", [SCHEDULE_INTERLEAVED] = "interleaved",
    [SCHEDULE_ZB_H1] = "zb_h1", [SCHEDULE_ZB_2P] = "zb_2p", [SCHEDULE_DUALPIPE] = "dualpipe"};

/* Schedule by schedule, all layers met before. */
static void bench_schedules(PlanEvaluator *evaluator, const Plan *plans, size_t count, Plan *some)
{
    for (int schedule = 0; schedule < SCHEDULES; schedule++) {
        size_t chosen = 0;
        for (size_t i = 0; i < count; i++)
            if ((int)plans[i].parallel.schedule == schedule)
                some[chosen++] = plans[i];
        const Runs runs = evaluate_all(evaluator, NULL, some, chosen);
        if (chosen > 0)
            print_runs(schedule_names[schedule], chosen, &runs);
    }
}

/* How the cost of one plan grows with its stages and microbatches, layers met before: microseconds.
 */
static void bench_growth(PlanEvaluator *evaluator, double sequence_length)
{
    static const double stages[] = {8, 24, 60, 120}, per_stage[] = {2, 8, 32};
    enum {
        STAGES = sizeof stages / sizeof stages[0],
        SHARES = sizeof per_stage / sizeof per_stage[0]
    };
    printf("  us a plan by stages, with 2, 8 and 32 microbatches a stage:\n");
    for (int schedule = 0; schedule < SCHEDULES; schedule++) {
        printf("  %-12s", schedule_names[schedule]);
        for (size_t i = 0; i < STAGES; i++) {
            printf("  %3.0f:", stages[i]);
            for (size_t j = 0; j < SHARES; j++) {
                Plan plan = plan_evaluator_base(evaluator);
                ParallelSpec *parallel = &plan.parallel;
                parallel->pipeline = stages[i];
                parallel->schedule = (PipelineSchedule)schedule;
                parallel->virtual_stages = schedule == SCHEDULE_INTERLEAVED ? 2 : 1;
                parallel->zero_stage = 3;
                parallel->recompute = RECOMPUTE_FULL;
                plan.batch_tokens = per_stage[j] * stages[i] * parallel->data * sequence_length;
                PlanResult result;
                double least_s = HUGE_VAL;
                if (plan_evaluate(evaluator, &plan, &result) != STATUS_OK) {
                    printf("     -");
                    continue;
                }
                for (int round = 0; round < GROWTH_ROUNDS; round++) {
                    const double start_s = seconds_now();
                    for (int again = 0; again < GROWTH_PLANS; again++) {
                        parallel->overlap_grad_reduce = again % 2;
                        plan_evaluate(evaluator, &plan, &result);
                    }
                    least_s = fmin(least_s, seconds_now() - start_s);
                }
                printf(" %5.1f", 1e6 * least_s / GROWTH_PLANS);
            }
        }
        printf("\n");
    }
}

static int bench_plans(const Scenario *base)
{
    Error error = {0};
    Plan *plans = calloc(DISTINCT_PLANS, sizeof *plans);
    Plan *fitting = calloc(DISTINCT_PLANS, sizeof *fitting);
    Plan *some = calloc(DISTINCT_PLANS, sizeof *some);
    PlanEvaluator *evaluator = plan_evaluator_create(base, SEED, &error);
    int failed = plans == NULL || fitting == NULL || some == NULL || evaluator == NULL;
    if (!failed) {
        size_t contradictory, chosen = 0;
        const size_t count = draw_plans(base, evaluator, plans, DISTINCT_PLANS, &contradictory);
        printf("%zu distinct plans of %s in random order (%zu more contradict themselves), best of "
               "%d runs:\n",
               count, base->model.name, contradictory, RUNS);
        const Runs all = evaluate_all(NULL, base, plans, count);
        print_runs("all, nothing known before", count, &all);
        for (size_t i = 0; i < count; i++) {
            PlanResult result;
            if (plan_evaluate(evaluator, &plans[i], &result) == STATUS_OK)
                fitting[chosen++] = plans[i];
        }
        const Runs unknown = evaluate_all(NULL, base, fitting, chosen);
        print_runs("that fit, nothing known before", chosen, &unknown);
        const Runs known = evaluate_all(evaluator, NULL, fitting, chosen);
        print_runs("that fit, layers known", chosen, &known);
        bench_schedules(evaluator, fitting, chosen, some);
        bench_growth(evaluator, base->training.sequence_length);
        const size_t fresh = chosen < FRESH_PLANS ? chosen : FRESH_PLANS;
        const double fresh_s = evaluate_fresh(base, fitting, fresh);
        print_rate("that fit, nothing kept (reference)", fresh, fresh_s);
        printf("  evaluator/reference rate on plans that fit: %.1f\n",
               fresh_s / (double)fresh / (unknown.seconds[RUNS / 2] / (double)chosen));
    }
    plan_evaluator_destroy(evaluator);
    free(some);
    free(fitting);
    free(plans);
    return failed;
}

/* ---- all replicas ---- */

/* Arrays of the recurrence: for every task of every stage of one replica when it ends. */
typedef struct Recurrence {
    unsigned *order;
    double *end_s;
} Recurrence;

static double arrival(double end_s, double send_s)
{
    return end_s < 0.0 ? end_s : end_s + send_s;
}

/* One replica by sweeps: each stage goes as far as its inputs are known. No queue, no clock, no
 * collectives. */
static double recurrence_replica(const StepInput *input, const Recurrence *memory, double *free_s,
                                 size_t *position)
{
    size_t tasks = 2 * input->microbatches, left = input->stages * tasks;
    double makespan_s = 0.0;
    for (size_t i = 0; i < input->stages * tasks; i++)
        memory->end_s[i] = -1.0;
    for (size_t i = 0; i < input->stages; i++) {
        free_s[i] = 0.0;
        position[i] = 0;
    }
    while (left > 0) {
        for (size_t i = 0; i < input->stages; i++) {
            for (; position[i] < tasks; position[i]++, left--) {
                unsigned task = memory->order[i * tasks + position[i]];
                int backward = (int)(task & 1U);
                double ready_s = 0.0;
                if (!backward && i > 0)
                    ready_s = arrival(memory->end_s[(i - 1) * tasks + task], input->send_s);
                else if (backward && i + 1 < input->stages)
                    ready_s = arrival(memory->end_s[(i + 1) * tasks + task], input->send_s);
                if (ready_s < 0.0)
                    break;
                const StagePhase *phase =
                    backward ? &input->stage[i].backward : &input->stage[i].forward;
                free_s[i] = fmax(free_s[i], ready_s) + phase->total_s;
                memory->end_s[i * tasks + task] = free_s[i];
            }
            makespan_s = fmax(makespan_s, free_s[i]);
        }
    }
    return makespan_s;
}

static int bench_full(StepSimulator *simulator, const StepInput *input)
{
    Error error;
    StepResult result = {0};
    uint64_t events = 0;
    double start_s = seconds_now();
    for (int i = 0; i < FULL_RUNS; i++) {
        if (step_simulate(simulator, input, DETAIL_REPLICAS, 1, (unsigned)i, 0, &result, &error) !=
            STATUS_OK) {
            fprintf(stderr, "%s\n", error.message);
            return 1;
        }
        events += result.events;
    }
    double engine_s = seconds_now() - start_s;

    size_t tasks = 2 * input->microbatches;
    Recurrence memory = {calloc(input->stages * tasks, sizeof *memory.order),
                         calloc(input->stages * tasks, sizeof *memory.end_s)};
    double *free_s = calloc(input->stages, sizeof *free_s);
    size_t *position = calloc(input->stages, sizeof *position);
    int failed = memory.order == NULL || memory.end_s == NULL || free_s == NULL || position == NULL;
    double makespan_s = 0.0;
    start_s = seconds_now();
    ScheduleShape shape;
    failed = failed || schedule_shape(input->schedule, input->stages, 1, input->microbatches,
                                      &shape, &error) != STATUS_OK;
    for (size_t i = 0; !failed && i < input->stages; i++)
        failed |= step_schedule(&shape, i, memory.order + i * tasks, &error) != STATUS_OK;
    for (size_t i = 0; !failed && i < FULL_RUNS * input->replicas; i++)
        makespan_s = fmax(makespan_s, recurrence_replica(input, &memory, free_s, position));
    double recurrence_s = seconds_now() - start_s;
    double recurrence_tasks = (double)(FULL_RUNS * input->replicas * input->stages * tasks);

    if (!failed) {
        printf("full %zu x %zu x %zu: %.2f ms a step, %.1f M events/s\n", input->replicas,
               input->stages, input->microbatches, 1e3 * engine_s / FULL_RUNS,
               1e-6 * (double)events / engine_s);
        printf("plain recurrence of the same schedule: %.2f ms, %.1f M tasks/s; engine/recurrence "
               "rate %.3f\n",
               1e3 * recurrence_s / FULL_RUNS, 1e-6 * recurrence_tasks / recurrence_s,
               (double)events / engine_s / (recurrence_tasks / recurrence_s));
        printf("makespan without noise: recurrence %.9f s, engine %.9f s\n", makespan_s,
               result.makespan_s);
    }
    free(memory.order);
    free(memory.end_s);
    free(free_s);
    free(position);
    return failed;
}

int main(void)
{
    ConfigPaths paths;
    Error error = {0};
    ErrorList *errors = calloc(1, sizeof *errors);
    Scenario *scenario = calloc(1, sizeof *scenario);
    StepInput *input = calloc(1, sizeof *input);
    StepSimulator *simulator = step_simulator_create(&error);
    int failed =
        errors == NULL || scenario == NULL || input == NULL || simulator == NULL ||
        config_paths_find(NULL, &paths, &error) != STATUS_OK ||
        scenario_read(&paths, "gpt4-a100", NULL, 0, scenario, NULL, NULL, errors) != STATUS_OK;
    if (failed) {
        fprintf(stderr, "cannot read the scenario gpt4-a100: %s\n", error.message);
    } else {
        scenario_midpoint(scenario, scenario);
        failed = bench_plans(scenario) ||
                 step_input(scenario, SEED, 0, input, &error) != STATUS_OK ||
                 bench_full(simulator, input);
    }
    step_simulator_destroy(simulator);
    free(input);
    free(scenario);
    free(errors);
    return failed;
}
