/* Months of training, replicated, beside the generic event engine that steps through every save.
 *
 * The run: about 100 days of 25,000 GPUs (3,125 nodes) with about 20 failures a day, a save every
 * 17 min, 150 spares and heavy-tailed repair. "run" is the run simulator, with saves by arithmetic
 * and the repair queue. "engine" is the same run on sim/engine, one event a segment and one a save,
 * without spares and repair (its ratio is therefore a lower bound). Times are wall-clock times;
 * failures are those that were simulated, restarts that failed again included.
 */
#include "sim/training/run.h"
#include "sim/engine/engine.h"
#include "sim/engine/parallel.h"
#include "sim/engine/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { REPLICATIONS = 10000, REFERENCE_REPLICATIONS = 100, THREADS = 2 };
static const double DAY_S = 86400, MINUTE_S = 60;

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "bench/run: %s\n", what);
    exit(1);
}

static RunInput a100_run(void)
{
    const double nodes = 3125, per_node_day = 6.5e-3;
    RunInput input = {
        .phase_count = 1,
        .phases = {{.useful_s = 73 * DAY_S,
                    .step_s = 30,
                    .gpus = 25000,
                    .nodes = nodes,
                    .interval_s = 17 * MINUTE_S,
                    .init_s = 3 * MINUTE_S,
                    .class_rate_per_s = {0.8 * nodes * per_node_day / DAY_S,
                                         0.2 * nodes * per_node_day / DAY_S}}},
        .class_count = 2,
        .classes = {{.per_node = 1, .detection_count = 1, .detection_s = {30}},
                    {.per_node = 1, .detection_count = 1, .detection_s = {600}}},
        .replacement_s = 2 * MINUTE_S,
        .saves = {.stall_s = 60, .load_s = 2 * MINUTE_S},
        .spares = {.limited = 1, .nodes = 150, .repair = {LAW_LOGNORMAL, 3 * DAY_S, 1.94}},
    };
    return input;
}

/* ---- the run simulator ---- */

typedef struct Bench {
    RunInput input;
    RunSimulator *simulators[THREADS];
    double failures[REPLICATIONS], wall_s[REPLICATIONS];
} Bench;

static Status simulate(void *context, size_t index, size_t worker, Error *error)
{
    Bench *bench = context;
    RunOutcome outcome;
    Status status =
        run_simulate(bench->simulators[worker], &bench->input, 1, index, &outcome, error);
    bench->failures[index] = outcome.failures;
    bench->wall_s[index] = outcome.wall_s;
    return status;
}

static double sum(const double *values, size_t count)
{
    double total = 0;
    for (size_t i = 0; i < count; i++)
        total += values[i];
    return total;
}

/* Seconds of wall clock, and of CPU in all threads. */
static double replicate(Bench *bench, size_t count, double *all_cpu_s)
{
    Error error;
    double start_s = seconds(CLOCK_MONOTONIC), cpu_s = seconds(CLOCK_PROCESS_CPUTIME_ID);
    if (parallel_for(count, THREADS, simulate, bench, &error) != STATUS_OK)
        die(error.message);
    *all_cpu_s = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_s;
    return seconds(CLOCK_MONOTONIC) - start_s;
}

/* ---- the same on the engine, an event for each segment and save ---- */

typedef struct Stepped {
    const RunInput *input;
    RandomStream failures, causes;
    double durable, needed, last_s, events, count;
    EventId next, failure;
    bool finished;
} Stepped;

static void stepped_fail(Engine *engine, void *context, uint64_t unused);

static void stepped_end(Engine *engine, void *context, uint64_t unused)
{
    (void)unused;
    Stepped *run = context;
    run->finished = true;
    engine_stop(engine);
}

static void stepped_train(Engine *engine, void *context, uint64_t unused);

static void stepped_saved(Engine *engine, void *context, uint64_t unused)
{
    Stepped *run = context;
    run->events++;
    run->durable++;
    stepped_train(engine, context, unused);
}

static void stepped_save(Engine *engine, void *context, uint64_t unused)
{
    Stepped *run = context;
    run->events++;
    run->next = engine_schedule(engine, engine_now(engine) + run->input->saves.stall_s,
                                stepped_saved, run, unused);
}

static void stepped_train(Engine *engine, void *context, uint64_t unused)
{
    Stepped *run = context;
    bool last = run->durable >= run->needed;
    double work_s = last ? run->last_s : run_interval_in_steps(&run->input->phases[0]);
    run->next = engine_schedule(engine, engine_now(engine) + work_s,
                                last ? stepped_end : stepped_save, run, unused);
}

static void stepped_arm(Engine *engine, Stepped *run)
{
    double mtbf_s = run_mtbf_s(run->input, &run->input->phases[0]);
    run->failure =
        engine_schedule(engine, engine_now(engine) + mtbf_s * random_exponential(&run->failures),
                        stepped_fail, run, 0);
}

static void stepped_restart(Engine *engine, void *context, uint64_t unused)
{
    Stepped *run = context;
    run->events++;
    stepped_arm(engine, run);
    run->next = engine_schedule(
        engine, engine_now(engine) + run->input->phases[0].init_s + run->input->saves.load_s,
        stepped_train, run, unused);
}

static void stepped_fail(Engine *engine, void *context, uint64_t unused)
{
    Stepped *run = context;
    const RunClass *class = &run->input->classes[random_uniform(&run->causes) < 0.8 ? 0 : 1];
    engine_cancel(engine, run->next);
    run->events++;
    run->count++;
    engine_schedule(engine, engine_now(engine) + class->detection_s[0] + run->input->replacement_s,
                    stepped_restart, run, unused);
}

static Stepped step_through(Engine *engine, const RunInput *input, uint64_t replication)
{
    double tau_s = run_interval_in_steps(&input->phases[0]), useful_s = input->phases[0].useful_s;
    Stepped run = {.input = input,
                   .failures = random_stream(1, "failures", replication),
                   .causes = random_stream(1, "failure causes", replication),
                   .needed = ceil(useful_s / tau_s) - 1};
    run.last_s = useful_s - run.needed * tau_s;
    Error error;
    engine_reset(engine);
    stepped_arm(engine, &run);
    stepped_train(engine, &run, 0);
    if (engine_run(engine, HUGE_VAL, &error) != STATUS_OK || !run.finished)
        die("the reference does not finish");
    return run;
}

/* CPU time of a failure, one thread, both ways. */
static void compare(Bench *bench, Engine *engine, double interval_s, double stall_s)
{
    Error error;
    bench->input.phases[0].interval_s = interval_s;
    bench->input.phases[0].step_s = fmin(30, interval_s);
    bench->input.saves.stall_s = stall_s;
    double events = 0, count = 0, engine_days = 0, start_s = seconds(CLOCK_THREAD_CPUTIME_ID);
    for (size_t i = 0; i < REFERENCE_REPLICATIONS; i++) {
        Stepped stepped = step_through(engine, &bench->input, i);
        events += stepped.events;
        count += stepped.count;
        engine_days += engine_now(engine) / DAY_S / REFERENCE_REPLICATIONS;
    }
    double engine_s = (seconds(CLOCK_THREAD_CPUTIME_ID) - start_s) / count;
    start_s = seconds(CLOCK_THREAD_CPUTIME_ID);
    for (size_t i = 0; i < REFERENCE_REPLICATIONS; i++)
        if (simulate(bench, i, 0, &error) != STATUS_OK)
            die(error.message);
    double run_s =
        (seconds(CLOCK_THREAD_CPUTIME_ID) - start_s) / sum(bench->failures, REFERENCE_REPLICATIONS);
    double run_days = sum(bench->wall_s, REFERENCE_REPLICATIONS) / REFERENCE_REPLICATIONS / DAY_S;
    printf("%8.0f s %10.0f ns %13.1f ns %9.1f %8.1fx %12.2f %8.2f\n", interval_s, run_s * 1e9,
           engine_s * 1e9, events / count, engine_s / run_s, run_days, engine_days);
}

int main(void)
{
    Error error;
    Bench *bench = calloc(1, sizeof *bench);
    Engine *engine = engine_create(64, &error);
    if (bench == NULL || engine == NULL)
        die("out of memory");
    bench->input = a100_run();
    for (size_t i = 0; i < THREADS; i++)
        if ((bench->simulators[i] = run_simulator_create(&error)) == NULL)
            die(error.message);

    double cpu_s;
    replicate(bench, REPLICATIONS / 10, &cpu_s); /* warms up */
    double run_s = replicate(bench, REPLICATIONS, &cpu_s);
    double failures = sum(bench->failures, REPLICATIONS);
    printf("%d runs of %.0f days on 25,000 GPUs, %d threads: %.2f s, of CPU %.2f s\n", REPLICATIONS,
           sum(bench->wall_s, REPLICATIONS) / REPLICATIONS / DAY_S, THREADS, run_s, cpu_s);
    printf("%.3g failures: %.1f million a second, %.1f million a CPU-second\n", failures,
           failures / run_s * 1e-6, failures / cpu_s * 1e-6);
    printf("CPU time of a failure on one thread, and the mean length of a run:\n");
    printf("%10s %13s %16s %9s %9s %12s %8s\n", "interval", "run", "engine", "events", "ratio",
           "days: run", "engine");
    compare(bench, engine, 17 * MINUTE_S, 60);
    compare(bench, engine, MINUTE_S, 0.5);
    compare(bench, engine, 10, 0.05);

    for (size_t i = 0; i < THREADS; i++)
        run_simulator_destroy(bench->simulators[i]);
    engine_destroy(engine);
    free(bench);
    return 0;
}
