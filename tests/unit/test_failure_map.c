/* The map of failures against an independent table, against the simulator, and against itself. */
#include "sim/planning/failure_map.h"
#include "sim/training/run.h"
#include "tests/unit/shipped.h"

#include <math.h>

enum { REPLICATIONS = 200 };

/* Failures in 1000 node-days of 3,125 nodes, minutes of save and restart, and the goodput at the
 * optimal interval: computed by another program from Daly's closed forms (S2 and S1), four
 * digits. */
static void test_against_an_independent_table(void **state)
{
    (void)state;
    static const double rows[][5] = {
        {2.34, 0.1, 3, 0.9539, 0.9538}, {2.34, 0.1, 5, 0.9445, 0.9442}, {6.50, 0.1, 5, 0.885, -1},
        {6.50, 0.5, 10, 0.776, -1},     {15.6, 0.5, 10, 0.618, -1},
    };
    const FailureMap map = {.nodes = 3125};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const double mtbf_s = failure_map_mtbf_s(&map, rows[i][0]);
        const double safe =
            failure_map_goodput(RESTART_SAFE, mtbf_s, 60 * rows[i][1], 60 * rows[i][2]);
        assert_near(safe, rows[i][3], 6e-4);
        if (rows[i][4] > 0)
            assert_near(
                failure_map_goodput(RESTART_EXPOSED, mtbf_s, 60 * rows[i][1], 60 * rows[i][2]),
                rows[i][4], 6e-4);
    }
}

/* Cells of the map are what the event simulation gives for such a run of 50 days. */
static void test_against_the_simulator(void **state)
{
    (void)state;
    static const double cells[][3] = {{2.34, 30, 600}, {6.5, 120, 900}, {15, 6, 180}};
    const FailureMap map = {.nodes = 3125};
    Error error = {0};
    RunSimulator *simulator = run_simulator_create(&error);
    RunInput *input = calloc(1, sizeof *input);
    RunOutcome *outcome = calloc(1, sizeof *outcome);
    assert_non_null(simulator);
    assert_non_null(input);
    assert_non_null(outcome);
    for (size_t i = 0; i < 3; i++) {
        const double mtbf_s = failure_map_mtbf_s(&map, cells[i][0]);
        const double expected = failure_map_goodput(RESTART_SAFE, mtbf_s, cells[i][1], cells[i][2]);
        *input = (RunInput){.phase_count = 1,
                            .class_count = 1,
                            .restart_clock = RESTART_SAFE,
                            .saves = {.stall_s = cells[i][1]}};
        input->phases[0] = (RunPhase){.useful_s = 50 * 86400.0,
                                      .step_s = 1,
                                      .nodes = 3125,
                                      .gpus = 25000,
                                      .init_s = cells[i][2],
                                      .interval_s = run_interval_exact(mtbf_s, cells[i][1])};
        input->phases[0].class_rate_per_s[0] = 1 / mtbf_s;
        double sum = 0, squares = 0;
        for (size_t r = 0; r < REPLICATIONS; r++) {
            assert_int_equal(run_simulate(simulator, input, 11, r, outcome, &error), STATUS_OK);
            sum += outcome->wall_s;
            squares += outcome->wall_s * outcome->wall_s;
        }
        const double mean = sum / REPLICATIONS;
        const double error_of_mean =
            sqrt((squares / REPLICATIONS - mean * mean) / (REPLICATIONS - 1));
        /* four standard errors, and a tenth of a percent for whole steps and the last segment */
        assert_near(mean, 50 * 86400.0 / expected, 4 * error_of_mean + 1e-3 * mean);
    }
    free(input);
    free(outcome);
    run_simulator_destroy(simulator);
}

static void test_lines_lie_where_the_goodput_is(void **state)
{
    (void)state;
    const RestartClock clocks[] = {RESTART_EXPOSED, RESTART_SAFE};
    for (size_t i = 0; i < 2; i++) {
        const double restart_s = failure_map_restart_s(clocks[i], 7200, 60, 0.8);
        assert_true(restart_s > 60);
        assert_near(failure_map_goodput(clocks[i], 7200, 60, restart_s), 0.8, 1e-9);
        /* even instant restarts leave less than this */
        assert_near(failure_map_restart_s(clocks[i], 7200, 60, 0.95), 0, 0);
    }
}

static void test_worse_is_worse(void **state)
{
    (void)state;
    double before = 1;
    for (double rate = 1; rate < 30; rate *= 1.3) {
        const FailureMap map = {.nodes = 3120};
        const double now =
            failure_map_goodput(RESTART_EXPOSED, failure_map_mtbf_s(&map, rate), 30, 600);
        assert_true(now < before);
        assert_true(now <
                    failure_map_goodput(RESTART_EXPOSED, failure_map_mtbf_s(&map, rate), 6, 600));
        assert_true(now <
                    failure_map_goodput(RESTART_EXPOSED, failure_map_mtbf_s(&map, rate), 30, 300));
        before = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_an_independent_table),
        cmocka_unit_test(test_against_the_simulator),
        cmocka_unit_test(test_lines_lie_where_the_goodput_is),
        cmocka_unit_test(test_worse_is_worse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
