/* A run with failures against exact arithmetic and against the closed forms S1, S2 and asynchronous
 * saves. Origin of the parameter sets and of the expected ETTR: closed forms evaluated outside this
 * program, each checked there against an event simulation of six million failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/training/run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double MINUTE = 60;

static void assert_near(double value, double expected, double relative)
{
    if (!(fabs(value - expected) <= relative * fmax(fabs(expected), 1e-300)))
        fail_msg("%.17g, expected %.17g within %g", value, expected, relative);
}

static RunSimulator *new_simulator(void)
{
    Error error;
    RunSimulator *simulator = run_simulator_create(&error);
    assert_non_null(simulator);
    return simulator;
}

static double ledger_sum(const RunLedger *ledger)
{
    double parts[RUN_LEDGER_PARTS], sum = 0;
    memcpy(parts, ledger, sizeof parts);
    for (size_t i = 0; i < RUN_LEDGER_PARTS; i++)
        sum += parts[i];
    return sum;
}

static void replay(RunSimulator *simulator, const RunInput *input, const double *gaps_s,
                   size_t count, RunOutcome *outcome)
{
    Error error;
    assert_int_equal(run_replay(simulator, input, gaps_s, NULL, count, outcome, &error), STATUS_OK);
    assert_near(ledger_sum(&outcome->ledger), outcome->wall_s, 1e-12);
}

typedef struct Oracle {
    const char *id;
    double mtbf_min, tau_min, stall_min, durable_min, down_min, restart_min;
    RestartClock clock;
    double ettr;
} Oracle;

static const Oracle oracles[] = {
    {"O034", 600, 30, 1, 0, 0, 10, RESTART_EXPOSED, 0.927371492},
    {"O035", 600, 30, 1, 0, 0, 10, RESTART_SAFE, 0.927498889},
    {"O038", 185.585, 60, 5, 0, 0, 20, RESTART_EXPOSED, 0.692090871},
    {"O040", 185.585, 15, 0.5, 0, 0.5, 5, RESTART_EXPOSED, 0.900799401},
    {"O042", 70.8923, 16.84, 2, 0, 5, 15, RESTART_EXPOSED, 0.589909665},
    {"O043", 70.8923, 16.84, 2, 0, 5, 15, RESTART_SAFE, 0.608622326},
    {"O044", 70.8923, 5, 0.1, 0, 1, 5, RESTART_EXPOSED, 0.868901787},
    {"O048", 29.5, 10, 2, 0, 5, 15, RESTART_EXPOSED, 0.347274372},
    {"O049", 29.5, 10, 2, 0, 5, 15, RESTART_SAFE, 0.402452226},
    {"O051", 108.17, 60, 0, 0, 0, 5, RESTART_SAFE, 0.715112608},
    {"O054", 18, 2, 0.05, 0, 0, 10, RESTART_EXPOSED, 0.528489152},
    {"O057", 18, 2, 0.05, 0, 0, 3, RESTART_SAFE, 0.789521571},
    {"O058", 2.7, 1, 0.1, 0, 0, 2, RESTART_EXPOSED, 0.351108162},
    {"O060", 10080, 175, 0.667, 0, 0, 60, RESTART_EXPOSED, 0.981686901},
    {"O061", 10080, 175, 0.667, 0, 0, 60, RESTART_SAFE, 0.981704223},
    {"O087", 185.585, 10, 0.1, 5, 0, 11, RESTART_SAFE, 0.885317687},
    {"O088", 185.585, 5, 0.05, 20, 0, 11, RESTART_SAFE, 0.827839447},
    {"O089", 70.8923, 5, 0.1, 3.33, 0, 15, RESTART_SAFE, 0.744611005},
    {"O091", 196.923, 20, 0.105, 2.48, 0, 10, RESTART_SAFE, 0.887944424},
    {"O092", 18, 1, 0.01, 0.9, 0, 3, RESTART_SAFE, 0.784830311},
};

static RunInput oracle_input(const Oracle *oracle, double segments)
{
    double rate_per_s = 1 / (oracle->mtbf_min * MINUTE);
    return (RunInput){
        .phase_count = 1,
        .phases = {{.useful_s = segments * oracle->tau_min * MINUTE,
                    .step_s = oracle->tau_min * MINUTE,
                    .interval_s = oracle->tau_min * MINUTE,
                    .nodes = 1,
                    .init_s = oracle->restart_min * MINUTE * 0.25,
                    .class_rate_per_s = {rate_per_s * 0.75, rate_per_s * 0.25}}},
        .class_count = 2,
        .classes = {{.detection_count = 1, .detection_s = {oracle->down_min * MINUTE * 0.4}},
                    {.detection_count = 1, .detection_s = {oracle->down_min * MINUTE * 0.8}}},
        .replacement_s = oracle->down_min * MINUTE * 0.5,
        .saves = {.stall_s = oracle->stall_min * MINUTE,
                  .durable_s = oracle->durable_min * MINUTE,
                  .load_s = oracle->restart_min * MINUTE * 0.75},
        .restart_clock = oracle->clock,
    };
}

static void test_closed_forms_are_the_oracle(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof oracles / sizeof oracles[0]; i++) {
        RunInput input = oracle_input(&oracles[i], 1000);
        assert_near(run_mean_down_s(&input, &input.phases[0]), oracles[i].down_min * MINUTE, 1e-12);
        assert_near(run_ettr_closed_form(&input), oracles[i].ettr, 1e-8);
    }
}

/* Batches are replications with streams of their own. The mean wall clock of n segments of which
 * the last is not saved, from the closed form of a segment with and without its save. */
static void test_simulation_meets_closed_forms(void **state)
{
    (void)state;
    enum { BATCHES = 40, SEGMENTS = 1500 };
    const unsigned long long seed = 20230614;
    RunSimulator *simulator = new_simulator();
    for (size_t i = 0; i < sizeof oracles / sizeof oracles[0]; i++) {
        const Oracle *oracle = &oracles[i];
        RunInput input = oracle_input(oracle, SEGMENTS);
        double sum = 0, squares = 0;
        for (int batch = 0; batch < BATCHES; batch++) {
            Error error;
            RunOutcome outcome;
            assert_int_equal(
                run_simulate(simulator, &input, seed, (unsigned)batch, &outcome, &error),
                STATUS_OK);
            assert_near(ledger_sum(&outcome.ledger), outcome.wall_s, 1e-9);
            assert_near(outcome.goodput, input.phases[0].useful_s / outcome.wall_s, 1e-12);
            assert_near(outcome.failures_by_class[0] + outcome.failures_by_class[1],
                        outcome.failures, 1e-12);
            sum += outcome.wall_s;
            squares += outcome.wall_s * outcome.wall_s;
        }
        double mean_s = sum / BATCHES;
        double error_s = sqrt((squares / BATCHES - mean_s * mean_s) / (BATCHES - 1));
        double restart_s = input.phases[0].init_s + input.saves.load_s,
               down_s = run_mean_down_s(&input, &input.phases[0]);
        double mtbf_s = run_mtbf_s(&input, &input.phases[0]);
        double last_ettr =
            oracle->clock == RESTART_EXPOSED
                ? run_ettr_s1(mtbf_s, input.phases[0].interval_s, 0, down_s, restart_s)
                : run_ettr_s2(mtbf_s, input.phases[0].interval_s, 0, down_s, restart_s);
        double expected_s = (SEGMENTS - 1) * input.phases[0].interval_s / oracle->ettr +
                            input.phases[0].interval_s / last_ettr;
        double z = (mean_s - expected_s) / error_s;
        printf("%s ETTR %.6f closed %.6f z %+.2f\n", oracle->id, input.phases[0].useful_s / mean_s,
               oracle->ettr, z);
        assert_true(fabs(z) < 4);
    }
    run_simulator_destroy(simulator);
}

/* Daly 2006, captions of figures 3 to 5: 117, 57 and 9.1 minutes. */
static void test_optimal_intervals(void **state)
{
    (void)state;
    const struct {
        double mtbf_min, delta_min, exact, daly, young;
    } rows[] = {
        {1440, 5, 116.690073, 116.689815, 120},
        {360, 5, 56.714002, 56.712963, 60},
        {15, 5, 9.16650282, 9.14091999, 12.2474487},
        {70.8923, 5, 23.4019352, 23.3966019, 26.625608},
        {185.585, 0.1667, 7.7552667, 7.75526447, sqrt(2 * 0.1667 * 185.585)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double m = rows[i].mtbf_min * MINUTE, d = rows[i].delta_min * MINUTE;
        assert_near(run_interval_exact(m, d), rows[i].exact * MINUTE, 1e-8);
        assert_near(run_interval_daly(m, d), rows[i].daly * MINUTE, 1e-8);
        assert_near(run_interval_young(m, d), rows[i].young * MINUTE, 1e-8);
    }
    /* the root of (1 - tau/M) e^((tau + delta)/M) = 1 in 12 decades, across the change of method at
     * 1e-7 */
    for (double ratio = 1e-12; ratio < 30; ratio *= 1.7) {
        double x = run_interval_exact(1, ratio);
        assert_true(x > 0 && x <= 1);
        if (ratio > 1e-6)
            assert_true(fabs(log1p(-x) + x + ratio) < 1e-9 * fmax(1, ratio) || x > 1 - 1e-9);
        assert_near(
            run_ettr_s2(1, x, ratio, 0, 0),
            fmax(run_ettr_s2(1, x * 0.999, ratio, 0, 0),
                 fmax(run_ettr_s2(1, x * 1.001, ratio, 0, 0), run_ettr_s2(1, x, ratio, 0, 0))),
            1e-12);
    }
    assert_near(run_interval_exact(1, 1e-7 * 0.999999), run_interval_exact(1, 1e-7 * 1.000001),
                1e-5);
    assert_near(run_interval_daly(10, 20), 10, 1e-12);
    assert_true(run_interval_exact(100, 0) <= 0);
    assert_true(isinf(run_interval_exact(HUGE_VAL, 5)));
}

static RunInput plain_input(void)
{
    return (RunInput){
        .phase_count = 1,
        .phases = {{.useful_s = 1000, .step_s = 1, .interval_s = 100, .nodes = 1, .init_s = 2}},
        .class_count = 1,
        .classes = {{.detection_count = 1, .detection_s = {3}}},
        .replacement_s = 5,
        .saves = {.stall_s = 4, .load_s = 7}};
}

static void test_no_failures(void **state)
{
    (void)state;
    Error error;
    RunOutcome outcome;
    RunSimulator *simulator = new_simulator();
    RunInput input = plain_input();
    assert_int_equal(run_simulate(simulator, &input, 1, 0, &outcome, &error), STATUS_OK);
    assert_near(outcome.wall_s, 1000 + 9 * 4, 1e-15); /* ten segments, the last not saved */
    assert_near(outcome.saves, 9, 0);
    assert_near(outcome.goodput, 1000.0 / 1036, 1e-15);
    assert_true(outcome.failures <= 0);

    input.phases[0].interval_s = HUGE_VAL;
    assert_int_equal(run_simulate(simulator, &input, 1, 0, &outcome, &error), STATUS_OK);
    assert_near(outcome.wall_s, 1000, 0);

    /* whole steps: 100 s is 14 steps of 7 s, so 98 s; at least one step */
    input = plain_input();
    input.phases[0].step_s = 7;
    assert_near(run_interval_in_steps(&input.phases[0]), 98, 0);
    input.phases[0].interval_s = 0.1;
    assert_near(run_interval_in_steps(&input.phases[0]), 7, 0);
    input.phases[0].interval_s = 100;
    assert_int_equal(run_simulate(simulator, &input, 1, 0, &outcome, &error), STATUS_OK);
    assert_near(outcome.wall_s, 1000 + 10 * 4, 1e-15); /* 10 x 98 and 20 more */
    run_simulator_destroy(simulator);
}

static void test_one_failure_by_hand(void **state)
{
    (void)state;
    RunOutcome outcome;
    RunSimulator *simulator = new_simulator();
    RunInput input = plain_input();
    /* at 250 s: two saves (104, 208 s), 42 s of work lost, 3 + 5 s down, 9 s restart */
    const double once[] = {250};
    replay(simulator, &input, once, 1, &outcome);
    assert_near(outcome.wall_s, 1036 + 42 + 8 + 9, 1e-14);
    assert_near(outcome.ledger.lost_work_s, 42, 1e-14);
    assert_near(outcome.ledger.detection_s, 3, 0);
    assert_near(outcome.ledger.replacement_s, 5, 0);
    assert_near(outcome.ledger.init_s + outcome.ledger.load_s, 9, 1e-14);

    /* in the second save, which starts at 204 s: its segment and half the save are lost */
    const double in_save[] = {206};
    replay(simulator, &input, in_save, 1, &outcome);
    assert_near(outcome.ledger.lost_work_s, 100, 1e-14);
    assert_near(outcome.wall_s, 1036 + 100 + 2 + 17, 1e-14);

    /* exposed restart, again 4 s into it: down twice, 4 + 9 s of restarting */
    const double twice[] = {250, 4};
    replay(simulator, &input, twice, 2, &outcome);
    assert_near(outcome.failures, 2, 0);
    assert_near(outcome.wall_s, 1036 + 42 + 2 * 8 + 4 + 9, 1e-14);

    /* safe restart: the clock starts after it, so the second comes 4 s into work */
    input.restart_clock = RESTART_SAFE;
    replay(simulator, &input, twice, 2, &outcome);
    assert_near(outcome.wall_s, 1036 + 42 + 4 + 2 * 17, 1e-14);
    run_simulator_destroy(simulator);
}

static void test_asynchronous_saves(void **state)
{
    (void)state;
    RunOutcome outcome;
    RunSimulator *simulator = new_simulator();
    RunInput input = plain_input();
    input.saves.durable_s = 250; /* two to three saves on their way at a time */
    /* stalls end at 104, 208, 312, 416 s; durable at 354, 458, ... */
    const struct {
        double at_s, lost_s;
    } cases[] = {{353, 341}, {355, 243}, {459, 243}, {100, 100}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        replay(simulator, &input, &cases[i].at_s, 1, &outcome);
        assert_near(outcome.ledger.lost_work_s, cases[i].lost_s, 1e-13);
    }
    /* a save of before the failure does not become durable after it: 8 + 9 s later work begins at 0
     * again at 220 s, the first save would have counted at 354 s, and the next failure at 220 + 200
     * s loses all 200 - 4 s */
    const double two[] = {203, 200 + 9};
    replay(simulator, &input, two, 2, &outcome);
    assert_near(outcome.ledger.lost_work_s, (203 - 4) + (200 - 4), 1e-13);
    run_simulator_destroy(simulator);
}

/* Within 1 ns of the ends of segments, saves, restarts and of the run. */
static void test_failures_at_boundaries(void **state)
{
    (void)state;
    RunSimulator *simulator = new_simulator();
    RunInput input = plain_input();
    const double edges[] = {100, 104, 204, 208, 1035, 1036}, shifts[] = {-1e-9, 0, 1e-9};
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        for (size_t j = 0; j < 3; j++) {
            for (size_t k = 0; k < 3; k++) {
                const double gaps[] = {edges[i] + shifts[j], 9 + shifts[k], 9 + 100 + shifts[k],
                                       9 + 104 + shifts[j]};
                RunOutcome outcome;
                replay(simulator, &input, gaps, 4, &outcome);
                assert_true(outcome.goodput > 0 && outcome.goodput <= 1);
                assert_true(outcome.wall_s >= 1036 - 1e-9);
            }
        }
    }
    RunOutcome before, after;
    const double just_saved[] = {104 + 1e-9}, almost_saved[] = {104 - 1e-9};
    replay(simulator, &input, just_saved, 1, &after);
    replay(simulator, &input, almost_saved, 1, &before);
    assert_true(fabs(after.ledger.lost_work_s) < 1e-6);
    assert_true(fabs(before.ledger.lost_work_s - 100) < 1e-6);
    run_simulator_destroy(simulator);
}

static void test_failure_after_the_end(void **state)
{
    (void)state;
    RunOutcome none, late;
    RunSimulator *simulator = new_simulator();
    RunInput input = plain_input();
    const double after[] = {1036.0001};
    replay(simulator, &input, NULL, 0, &none);
    replay(simulator, &input, after, 1, &late);
    assert_memory_equal(&none, &late, sizeof none);
    run_simulator_destroy(simulator);
}

/* All times by 7, by 8 (exact in binary): the outcome by as much; the engine's past does not
 * matter. */
static void test_time_scale(void **state)
{
    (void)state;
    Error error;
    const double scales[] = {7, 8};
    RunSimulator *simulator = new_simulator();
    for (size_t i = 0; i < sizeof oracles / sizeof oracles[0]; i++) {
        for (size_t j = 0; j < 2; j++) {
            RunInput input = oracle_input(&oracles[i], 300);
            RunOutcome one, scaled;
            assert_int_equal(run_simulate(simulator, &input, 5, i, &one, &error), STATUS_OK);
            double *times[] = {&input.phases[0].useful_s,        &input.phases[0].step_s,
                               &input.phases[0].interval_s,      &input.saves.stall_s,
                               &input.saves.durable_s,           &input.replacement_s,
                               &input.phases[0].init_s,          &input.saves.load_s,
                               &input.classes[0].detection_s[0], &input.classes[1].detection_s[0]};
            for (size_t k = 0; k < sizeof times / sizeof times[0]; k++)
                *times[k] *= scales[j];
            for (size_t k = 0; k < 2; k++)
                input.phases[0].class_rate_per_s[k] /= scales[j];
            assert_int_equal(run_simulate(simulator, &input, 5, i, &scaled, &error), STATUS_OK);
            assert_near(scaled.wall_s, one.wall_s * scales[j], j == 0 ? 1e-9 : 0);
            assert_near(scaled.ledger.lost_work_s, one.ledger.lost_work_s * scales[j],
                        j == 0 ? 1e-9 : 0);
            assert_near(scaled.failures, one.failures, 0);
        }
    }
    run_simulator_destroy(simulator);
}

/* Common random numbers: the same failures whatever the detection takes. */
static void test_causes_follow_shares(void **state)
{
    (void)state;
    Error error;
    RunOutcome outcome;
    RunSimulator *simulator = new_simulator();
    RunInput input = plain_input();
    input.phases[0].useful_s = 2e6;
    const double shares[] = {0.6, 0.3, 0.1};
    for (size_t i = 0; i < 3; i++)
        input.phases[0].class_rate_per_s[i] = shares[i] / 50;
    input.phases[0].interval_s = 10;
    input.saves.stall_s = 0;
    input.class_count = 3;
    assert_int_equal(run_simulate(simulator, &input, 9, 0, &outcome, &error), STATUS_OK);
    for (size_t i = 0; i < 3; i++) {
        double n = outcome.failures, sd = sqrt(n * shares[i] * (1 - shares[i]));
        assert_true(fabs(outcome.failures_by_class[i] - n * shares[i]) < 4 * sd);
    }
    run_simulator_destroy(simulator);
}

static void test_refuses(void **state)
{
    (void)state;
    Error error;
    RunOutcome outcome;
    RunSimulator *simulator = new_simulator();
    RunInput input = plain_input();
    input.phases[0].class_rate_per_s[0] = 1; /* e^104 attempts a segment */
    assert_int_equal(run_simulate(simulator, &input, 1, 0, &outcome, &error), STATUS_NO);
    assert_true(error.message[0] != '\0' && error.hint[0] != '\0');
    /* saves cost nothing to simulate */
    input = plain_input();
    input.phases[0].useful_s = 1e12;
    assert_int_equal(run_simulate(simulator, &input, 1, 0, &outcome, &error), STATUS_OK);
    assert_near(outcome.wall_s, 1e12 + (1e10 - 1) * 4, 1e-15);
    double bad[] = {-1, nan("")};
    for (size_t i = 0; i < 2; i++) {
        input = plain_input();
        input.saves.load_s = bad[i];
        assert_int_equal(run_simulate(simulator, &input, 1, 0, &outcome, &error), STATUS_INVALID);
        input = plain_input();
        input.phases[0].useful_s = bad[i];
        assert_int_equal(run_simulate(simulator, &input, 1, 0, &outcome, &error), STATUS_INVALID);
        input = plain_input();
        input.phases[0].class_rate_per_s[0] = bad[i];
        assert_int_equal(run_simulate(simulator, &input, 1, 0, &outcome, &error), STATUS_INVALID);
        input = plain_input();
        input.classes[0].detection_s[0] = bad[i];
        assert_int_equal(run_simulate(simulator, &input, 1, 0, &outcome, &error), STATUS_INVALID);
    }
    run_simulator_destroy(simulator);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closed_forms_are_the_oracle),
        cmocka_unit_test(test_simulation_meets_closed_forms),
        cmocka_unit_test(test_optimal_intervals),
        cmocka_unit_test(test_no_failures),
        cmocka_unit_test(test_one_failure_by_hand),
        cmocka_unit_test(test_asynchronous_saves),
        cmocka_unit_test(test_failures_at_boundaries),
        cmocka_unit_test(test_failure_after_the_end),
        cmocka_unit_test(test_time_scale),
        cmocka_unit_test(test_causes_follow_shares),
        cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
