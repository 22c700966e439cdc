/* How fast steps are simulated: folded evaluations a second (operators to seconds, then the
 * pipeline), the full simulation of 208 replicas x 15 stages, and its events against a plain
 * recurrence of the same schedule in the same run. */
#include "sim/training/step.h"
#include "configs/reader/reader.h"
#include "configs/reader/sample.h"
#include "sim/training/schedule.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { FOLDED_EVALUATIONS = 1000, FULL_RUNS = 10 };

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

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

/* One evaluation: operators to seconds, one replica's pipeline, the end of the step. A search keeps
 * what layers take (`cache`) and varies stages, replicas, microbatches and ZeRO. */
static int evaluate(const Scenario *scenario, int count, StepInputCache *cache,
                    StepSimulator *simulator, StepInput *input)
{
    Error error;
    StepResult result;
    for (int i = 0; i < count; i++) {
        Status status = cache != NULL ? step_input_cached(cache, scenario, 1, 0, input, &error)
                                      : step_input(scenario, 1, (unsigned)i, input, &error);
        if (status == STATUS_OK)
            status = step_simulate(simulator, input, DETAIL_FOLDED, 1, 0, 0, &result, &error);
        if (status != STATUS_OK) {
            fprintf(stderr, "%s\n", error.message);
            return 1;
        }
    }
    return 0;
}

static int bench_folded(const Scenario *scenario, StepSimulator *simulator, StepInput *input)
{
    enum { SEARCH_FACTOR = 100 };
    Error error;
    StepInputCache *cache = step_input_cache_create(&error);
    if (cache == NULL)
        return 1;
    double start_s = seconds_now();
    int failed = evaluate(scenario, FOLDED_EVALUATIONS, NULL, simulator, input);
    double fresh_s = seconds_now() - start_s;
    start_s = seconds_now();
    failed =
        failed || evaluate(scenario, SEARCH_FACTOR * FOLDED_EVALUATIONS, cache, simulator, input);
    double kept_s = seconds_now() - start_s;
    printf("folded: %.0f evaluations/s (%.3f ms each: operators to seconds, step)\n",
           FOLDED_EVALUATIONS / fresh_s, 1e3 * fresh_s / FOLDED_EVALUATIONS);
    printf("folded in a search, layers kept: %.0f plans/s (%.2f us each)\n",
           SEARCH_FACTOR * FOLDED_EVALUATIONS / kept_s,
           1e6 * kept_s / FOLDED_EVALUATIONS / SEARCH_FACTOR);

    static const struct {
        PipelineSchedule schedule;
        const char *name;
    } schedules[] = {{SCHEDULE_1F1B, "1f1b"},
                     {SCHEDULE_GPIPE, "gpipe"},
                     {SCHEDULE_ZB_H1, "zb_h1"},
                     {SCHEDULE_ZB_2P, "zb_2p"}};
    for (size_t i = 0; !failed && i < sizeof schedules / sizeof schedules[0]; i++) {
        StepResult result;
        input->schedule = schedules[i].schedule;
        start_s = seconds_now();
        for (int j = 0; !failed && j < FOLDED_EVALUATIONS; j++)
            failed = step_simulate(simulator, input, DETAIL_FOLDED, 1, 0, 0, &result, &error) !=
                     STATUS_OK;
        printf("  %s: %.2f us a step\n", schedules[i].name,
               1e6 * (seconds_now() - start_s) / FOLDED_EVALUATIONS);
    }
    input->schedule = SCHEDULE_1F1B;
    step_input_cache_destroy(cache);
    return failed;
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
        failed = bench_folded(scenario, simulator, input) || bench_full(simulator, input);
    }
    step_simulator_destroy(simulator);
    free(input);
    free(scenario);
    free(errors);
    return failed;
}
