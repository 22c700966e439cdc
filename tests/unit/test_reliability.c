/* From the keys of `reliability:` to the numbers of a run: shipped rate sets, clocks, storms of
 * reads, traces. */
#include "tests/unit/shipped.h"

#include "models/architecture.h"
#include "sim/training/run.h"
#include "sim/training/run_metrics.h"
#include "sim/training/run_traces.h"

#include <math.h>
#include <unistd.h>

static const double DAY = 86400;
static Scenario *scenario; /* large */

/* The shipped H100 scenario, ranges at their middle, under some what-ifs. */
static void read_with(const char *const *sets, size_t count)
{
    ConfigPaths paths;
    Error error = {0};
    ErrorList *errors = calloc(1, sizeof *errors);
    Scenario *read = calloc(1, sizeof *read);
    free(scenario);
    scenario = calloc(1, sizeof *scenario);
    assert_non_null(errors);
    assert_non_null(read);
    assert_non_null(scenario);
    assert_int_equal(config_paths_find(NULL, &paths, &error), STATUS_OK);
    if (scenario_read(&paths, "gpt4-h100-bf16", sets, count, read, NULL, NULL, errors) != STATUS_OK)
        fail_msg("%s", errors->errors[0].message);
    scenario_midpoint(read, scenario);
    free(read);
    free(errors);
}

static RunInput input_of(double days)
{
    Error error;
    RunInput input;
    scenario->training.tokens = days * DAY / 10 * 1e6; /* steps of 10 s and 1M tokens */
    scenario->reliability.slowdown = 0;
    if (run_input(scenario, 10, 1e6, &input, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    return input;
}

/* Rates counted over elapsed time give that many failures in elapsed time, whatever a restart
 * takes: 419 unexpected and 47 planned interruptions in 54 days of 16,384 H100 (Llama 3, table 5).
 */
static void test_llama3_counts(void **state)
{
    (void)state;
    static const char *const sets[] = {"reliability.classes=[]", "reliability.failures=llama3-h100",
                                       "reliability.restart_clock={one_of: [safe]}"};
    enum { RUNS = 60 };
    const double restarts_s[] = {60, 1200};
    Error error;
    RunSimulator *simulator = run_simulator_create(&error);
    read_with(sets, 3);
    scenario->hardware.gpus = 16384;
    assert_true(scenario->training.parallel.data * scenario->training.parallel.tensor *
                    scenario->training.parallel.pipeline <=
                16384);
    for (size_t k = 0; k < 2; k++) {
        scenario->reliability.init_s = restarts_s[k];
        RunInput input = input_of(50);
        double failures = 0, planned = 0, days = 0, gpu = 0;
        for (unsigned i = 0; i < RUNS; i++) {
            RunOutcome outcome;
            if (run_simulate(simulator, &input, 11, i, &outcome, &error) != STATUS_OK)
                fail_msg("%s", error.message);
            failures += outcome.failures;
            planned += outcome.planned_stops;
            gpu += outcome.failures_by_class[0];
            days += outcome.wall_s / DAY;
        }
        double expected = 419.0 / 54 * days;
        printf("restart %4.0f s: %.1f failures, %.1f planned in 54 days\n", restarts_s[k],
               failures / days * 54, planned / days * 54);
        assert_near(failures, expected, 4 * sqrt(expected));
        expected = 148.0 / 54 * days;
        assert_near(gpu, expected, 4 * sqrt(expected));
        /* by the calendar; some fall into down time */
        assert_true(planned / days * 54 > 0.75 * 47 && planned / days * 54 < 1.02 * 47);
    }
    run_simulator_destroy(simulator);
}

/* Failures per 1000 node-days of 8 GPUs, as published. */
static void test_rate_sets(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double gpus, low, high; /* at midpoints of ranges, the whole job over its nodes */
    } rows[] = {{"rsc-1", 16000, 6.49, 6.51},       {"rsc-2", 8000, 2.33, 2.35},
                {"opt", 992, 15.5, 15.7},           {"bloom", 384, 2.0, 3.6},
                {"a100-default", 16000, 2.34, 6.7}, {"h100-default", 16384, 3.7, 3.9},
                {"llama3-h100", 16384, 4.1, 4.3}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char set[96];
        snprintf(set, sizeof set, "reliability.failures=%s", rows[i].name);
        const char *const sets[] = {"reliability.classes=[]", set};
        read_with(sets, 2);
        const ReliabilitySpec *reliability = &scenario->reliability;
        double per_s = 0, nodes = rows[i].gpus / 8;
        for (size_t c = 0; c < reliability_class_count(reliability); c++) {
            const FailureClass *class = reliability_class(reliability, c);
            const double units[] = {[FAILURE_PER_GPU] = rows[i].gpus,
                                    [FAILURE_PER_NODE] = nodes,
                                    [FAILURE_PER_JOB] = 1,
                                    [FAILURE_PER_NIC] = rows[i].gpus};
            per_s += class->rate_per_s * units[class->unit];
        }
        double per_1000 = per_s * DAY / nodes * 1000;
        printf("%-14s %.2f per 1000 node-days\n", rows[i].name, per_1000);
        assert_true(per_1000 > rows[i].low && per_1000 < rows[i].high);
    }
}

/* All nodes read at once: storage or the nodes are the limit; initialisation grows with the job. */
static void test_restart_scales(void **state)
{
    (void)state;
    static const char *const sets[] = {"reliability.read_bandwidth=100GB/s",
                                       "reliability.node_read_bandwidth=0.02GB/s",
                                       "reliability.init=30s",
                                       "reliability.init_per_gpu=10ms",
                                       "reliability.warm_up=40s",
                                       "reliability.replacement=60s",
                                       "reliability.scheduling=20s"};
    read_with(sets, 7);
    double state_bytes =
        model_parameters(&scenario->model).total * scenario->reliability.state_bytes_per_param;
    RunInput few = input_of(10);
    double nodes = few.phases[0].nodes;
    assert_near(few.saves.load_s, state_bytes / (nodes * 0.02e9), 1e-6 * few.saves.load_s);
    assert_near(few.phases[0].init_s, 30 + 0.01 * few.phases[0].gpus, 1e-9);
    assert_near(few.warm_up_s, 40, 0);
    assert_near(few.replacement_s, 80, 1e-12);
    scenario->hardware.gpus = 100000;
    RunInput many = input_of(10);
    assert_near(many.saves.load_s, state_bytes / 100e9, 1e-6 * many.saves.load_s);
}

/* A power feed of 32 nodes, in a job of as many as the scenario has. */
static void test_units_and_laws(void **state)
{
    (void)state;
    static const char *const sets[] = {
        "reliability.classes=[]",
        "reliability.failures={classes: [{name: feed, unit: domain, "
        "domain_nodes: 32, nodes: 32, rate: 1/year, detection: 1min, "
        "hang_share: 25%, hang_detection: 10min, law: weibull, shape: "
        "0.7, memory_survives: 0.5}]}",
        "reliability.memory={storage_every: 10, bandwidth: 10GB/s, blocking: 1s, survives: 0.9}",
        "reliability.spares={nodes: 12, crews: 3, repair: {mean: 2d, law: lognormal, shape: 1.9}}"};
    read_with(sets, 4);
    RunInput input = input_of(10);
    assert_int_equal(input.class_count, 1);
    assert_near(input.phases[0].class_rate_per_s[0], ceil(input.phases[0].nodes / 32) / (365 * DAY),
                1e-15);
    assert_true(input.classes[0].per_node && input.classes[0].law == LAW_WEIBULL);
    assert_near(input.classes[0].nodes_taken, 32, 0);
    assert_near(input.classes[0].memory_share, 0.45, 1e-12);
    assert_near(run_class_down_s(&input, 0) - input.replacement_s, 0.75 * 60 + 0.25 * 600, 1e-9);
    assert_true(input.saves.in_memory && input.spares.limited);
    assert_near(input.saves.memory_load_s,
                model_parameters(&scenario->model).total *
                    scenario->reliability.state_bytes_per_param / input.phases[0].nodes / 10e9,
                1e-9);
    assert_near(input.spares.repair.mean, 2 * DAY, 0);
}

/* Both views of what is lost add up to the wall clock. */
static void test_badput_categories(void **state)
{
    (void)state;
    static const char *const sets[] = {
        "reliability.elastic={allowed: true, drop: 10s, rejoin: 1min, away: {mean: 1h}}",
        "reliability.slow_nodes={rate: 1e-3/d, duration: {mean: 1h}, factor: 1.3}",
        "reliability.loss_spikes={per_step: 1e-4, lag_steps: 10, back_steps: 20}"};
    Error error;
    RunOutcome outcome;
    RunSimulator *simulator = run_simulator_create(&error);
    read_with(sets, 3);
    RunInput input = input_of(20);
    assert_int_equal(run_simulate(simulator, &input, 1, 0, &outcome, &error), STATUS_OK);
    double row[MAX_RUN_COLUMNS], lost = 0, badput = 0, useful = 0;
    run_metrics_row(&outcome, row);
    for (size_t i = 0; i < run_column_count(); i++) {
        const char *name = run_column_name(i).name;
        if (strncmp(name, "run.lost_hours.", 15) == 0)
            lost += row[i];
        if (strncmp(name, "run.badput_hours.", 17) == 0)
            badput += row[i];
        if (strcmp(name, "run.useful_hours") == 0)
            useful = row[i];
    }
    assert_near(lost + useful, outcome.wall_s / 3600, 1e-9 * outcome.wall_s);
    assert_near(badput, lost, 1e-9 * lost);
    assert_true(outcome.ledger.degraded_s > 0 && outcome.ledger.rollback_s > 0 &&
                outcome.ledger.elastic_s > 0);
    run_simulator_destroy(simulator);
}

/* Refused with a reason: nothing hangs. */
static void test_progress_impossible(void **state)
{
    (void)state;
    static const char *const sets[] = {
        "reliability.classes=[{name: a, unit: job, rate: 1/min, detection: 1s}]",
        "reliability.interval=1h"};
    static const char *const wall[] = {
        "reliability.classes=[{name: a, unit: job, rate: 20/d, clock: wall, detection: 2h}]"};
    Error error;
    RunOutcome outcome;
    RunSimulator *simulator = run_simulator_create(&error);
    read_with(sets, 2);
    RunInput input = input_of(10);
    assert_int_equal(run_simulate(simulator, &input, 1, 0, &outcome, &error), STATUS_NO);
    assert_non_null(strstr(error.message, "expected goodput 0: mean time between failures 60 s"));
    read_with(wall, 1);
    assert_int_equal(run_input(scenario, 10, 1e6, &input, &error), STATUS_NO);
    assert_non_null(strstr(error.message, "expected goodput 0"));
    run_simulator_destroy(simulator);
}

static void test_traces(void **state)
{
    (void)state;
    char path[] = "/tmp/flopcast-trace-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    static const char good[] = "time_h\n1\n2.5\n2.5\n", bad[] = "time_h\n2\n1\n";
    assert_int_equal(write(file, good, sizeof good - 1), sizeof good - 1);
    char set[128];
    snprintf(set, sizeof set, "reliability.classes.0.trace=%s", path);
    const char *const sets[] = {set};
    Error error;
    RunTraces traces = {0};
    read_with(sets, 1);
    assert_int_equal(run_traces_read(&scenario->reliability, &traces, &error), STATUS_OK);
    assert_int_equal(traces.count[0], 3);
    assert_near(traces.times_s[0][1], 9000, 0);
    run_traces_free(&traces);
    assert_int_equal(ftruncate(file, 0), 0);
    assert_int_equal(pwrite(file, bad, sizeof bad - 1, 0), sizeof bad - 1);
    assert_int_equal(run_traces_read(&scenario->reliability, &traces, &error), STATUS_INVALID);
    assert_int_equal(error.line, 3);
    run_traces_free(&traces);
    close(file);
    unlink(path);
}

static int forget(void **state)
{
    (void)state;
    free(scenario);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama3_counts),
        cmocka_unit_test(test_rate_sets),
        cmocka_unit_test(test_restart_scales),
        cmocka_unit_test(test_units_and_laws),
        cmocka_unit_test(test_badput_categories),
        cmocka_unit_test(test_progress_impossible),
        cmocka_unit_test(test_traces),
    };
    return cmocka_run_group_tests(tests, NULL, forget);
}
