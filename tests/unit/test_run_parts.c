/* Each part of the run simulator against the closed form of the process that it is a special case
 * of. Expected values were computed outside this program by closed form, quadrature or linear
 * system, and checked there against event simulations of their own; O... is the row of
 * reliability_oracle.csv. A simulated value must lie within 4 of its own standard errors, taken
 * over independent replications with a fixed seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/training/run.h"

#include <math.h>
#include <stdio.h>

static const double MINUTE = 60, HOUR = 3600, DAY = 86400;
static const unsigned long long SEED = 20240811;
enum { REPLICATIONS = 40 };

/* What is compared, of one run. */
typedef double (*Measure)(const RunOutcome *outcome);

static double goodput(const RunOutcome *outcome)
{
    return outcome->goodput;
}

static double waiting_share(const RunOutcome *outcome)
{
    return outcome->ledger.spare_wait_s / outcome->wall_s;
}

static double repair_mean(const RunOutcome *outcome)
{
    return outcome->nodes_in_repair_mean;
}

static double repair_sd(const RunOutcome *outcome)
{
    return outcome->nodes_in_repair_sd;
}

/* Over replications; every ledger adds up to its wall clock. */
static void assert_expected(const char *id, const RunInput *input, Measure measure, double expected)
{
    Error error;
    RunSimulator *simulator = run_simulator_create(&error);
    assert_non_null(simulator);
    double sum = 0, squares = 0;
    for (unsigned i = 0; i < REPLICATIONS; i++) {
        RunOutcome outcome;
        if (run_simulate(simulator, input, SEED, i, &outcome, &error) != STATUS_OK)
            fail_msg("%s: %s", id, error.message);
        double value = measure(&outcome);
        sum += value;
        squares += value * value;
        double product = outcome.time_goodput * outcome.throughput_goodput;
        assert_true(fabs(product - outcome.goodput) < 1e-12);
    }
    double mean = sum / REPLICATIONS;
    double se = sqrt(fmax(0, squares / REPLICATIONS - mean * mean) / (REPLICATIONS - 1));
    printf("%-5s simulated %.6f +- %.1e expected %.6f z %+.2f\n", id, mean, se, expected,
           (mean - expected) / se);
    assert_true(fabs(mean - expected) < 4 * se);
    assert_true(se < 0.1 * expected); /* or nothing would be tested */
    run_simulator_destroy(simulator);
}

/* One phase of so many intervals, one class of failures, nothing else. */
static RunInput one_class(double mtbf_s, double tau_s, double segments)
{
    return (RunInput){.phase_count = 1,
                      .phases = {{.useful_s = tau_s * segments,
                                  .step_s = tau_s,
                                  .interval_s = tau_s,
                                  .nodes = 1,
                                  .class_rate_per_s = {1 / mtbf_s}}},
                      .class_count = 1,
                      .restart_clock = RESTART_SAFE};
}

static void test_other_hazards(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        LawKind law;
        double shape, mean_min, tau_min, delta_min, restart_min, durable_min, ettr;
    } rows[] = {
        {"O070", LAW_WEIBULL, 0.7, 70.8923, 15, 2, 20, 0, 0.615630811},
        {"O079", LAW_GAMMA, 0.6, 185.585, 30, 0.1667, 11, 0, 0.86987478},
        {"O081", LAW_GAMMA, 2, 185.585, 30, 0.1667, 11, 0, 0.862539428},
        {"O083", LAW_LOGNORMAL, 0.8, 185.585, 30, 0.1667, 11, 0, 0.862441341},
        {"O086", LAW_LOGNORMAL, 1.5, 70.8923, 15, 2, 20, 0, 0.61331514},
        {"O093", LAW_WEIBULL, 0.7, 185.585, 10, 0.1, 11, 5, 0.888210233},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        RunInput input = one_class(rows[i].mean_min * MINUTE, rows[i].tau_min * MINUTE, 6000);
        input.classes[0].law = rows[i].law;
        input.classes[0].shape = rows[i].shape;
        input.saves.stall_s = rows[i].delta_min * MINUTE;
        input.saves.durable_s = rows[i].durable_min * MINUTE;
        input.saves.load_s = rows[i].restart_min * MINUTE;
        assert_expected(rows[i].id, &input, goodput, rows[i].ettr);
    }
}

static void test_two_levels_of_saves(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        double mtbf_min, tau_min, memory_min, storage_min, every, survives, load1_min, load2_min;
        double ettr;
    } rows[] = {
        {"O095", 185.585, 1, 0.01, 2, 60, 0.9, 3, 20, 0.916610427},
        {"O097", 70.8923, 2, 0.01, 2, 15, 0.73, 5, 20, 0.768308752},
        {"O098", 70.8923, 2, 0.01, 2, 15, 0, 5, 20, 0.575200991},
        {"O099", 70.8923, 2, 0.01, 0, 1, 1, 5, 20, 0.916355512},
        {"O100", 18, 0.5, 0.005, 1, 40, 0.95, 1, 10, 0.834393801},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        RunInput input = one_class(rows[i].mtbf_min * MINUTE, rows[i].tau_min * MINUTE,
                                   100 * rows[i].mtbf_min / rows[i].tau_min * 3);
        input.classes[0].memory_share = rows[i].survives;
        input.saves = (RunSaves){.stall_s = rows[i].storage_min * MINUTE,
                                 .load_s = rows[i].load2_min * MINUTE,
                                 .in_memory = 1,
                                 .memory_every = rows[i].every,
                                 .memory_stall_s = rows[i].memory_min * MINUTE,
                                 .memory_load_s = rows[i].load1_min * MINUTE};
        assert_expected(rows[i].id, &input, goodput, rows[i].ettr);
    }
}

/* P(the job waits for a node): Erlang B, whatever the law of the repair; with crews M/M/c/K. */
static void test_spares(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        double nodes, spares, per_node_day, repair_h, crews;
        Law repair;
        double waits;
    } rows[] = {
        {"O108", 128, 4, 0.0156, 24, 0, {LAW_FIXED, 1, 1}, 0.0365170111},
        {"O109", 128, 4, 0.0156, 24, 0, {LAW_LOGNORMAL, 1, 1.5}, 0.0365170111},
        {"O114", 2048, 32, 0.00379, 72, 0, {LAW_EXPONENTIAL, 1, 1}, 0.0118033699},
        {"O116", 2048, 32, 0.00379, 72, 0, {LAW_LOGNORMAL, 1, 1}, 0.0118033699},
        {"O121", 3125, 60, 0.0065, 72, 0, {LAW_EXPONENTIAL, 1, 1}, 0.0949568751},
        {"O125", 12500, 60, 0.00234, 24, 32, {LAW_EXPONENTIAL, 1, 1}, 0.00340953403},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double mtbf_s = DAY / (rows[i].nodes * rows[i].per_node_day);
        RunInput input = one_class(mtbf_s, 10 * mtbf_s, 2000);
        input.phases[0].interval_s = mtbf_s / 1000; /* next to nothing is lost */
        input.phases[0].step_s = 0;
        input.phases[0].nodes = rows[i].nodes;
        input.classes[0].per_node = 1;
        input.spares = (RunSpares){.limited = 1,
                                   .nodes = rows[i].spares,
                                   .crews = rows[i].crews,
                                   .repair = rows[i].repair};
        input.spares.repair.mean = rows[i].repair_h * HOUR;
        assert_expected(rows[i].id, &input, waiting_share, rows[i].waits);
    }
}

/* Domain events take many nodes at once: mean sum lambda k T, sd^2 sum lambda T (k + k (k-1)/2). */
static void test_nodes_in_repair(void **state)
{
    (void)state;
    const double per_h[] = {0.8464, 0.002778, 0.000463}, together[] = {1, 4, 128};
    RunInput input = one_class(HOUR, 1000 * HOUR, 60);
    input.phases[0].interval_s = 10;
    input.phases[0].step_s = 0;
    input.class_count = 3;
    for (size_t i = 0; i < 3; i++) {
        input.phases[0].class_rate_per_s[i] = per_h[i] / HOUR;
        input.classes[i].per_node = 1;
        input.classes[i].nodes_taken = together[i];
    }
    input.spares = (RunSpares){
        .limited = 1, .nodes = 100000, .repair = {LAW_EXPONENTIAL, 24 * HOUR, 1}, .measured = 1};
    assert_expected("O189", &input, repair_mean, 22.0013889);
    assert_expected("O190", &input, repair_sd, 10.6166143);
}

static void test_detection_mixture(void **state)
{
    (void)state;
    RunInput input = one_class(70.8923 * MINUTE, 15 * MINUTE, 6000);
    input.classes[0].detection_count = 2;
    input.classes[0].detection_share[0] = 0.75;
    input.classes[0].detection_share[1] = 0.25;
    input.classes[0].detection_s[0] = 0.5 * MINUTE;
    input.classes[0].detection_s[1] = 30 * MINUTE;
    input.saves = (RunSaves){.stall_s = MINUTE, .load_s = 10 * MINUTE};
    assert_expected("O132", &input, goodput, 0.667401285);
}

static void test_elastic_replicas(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        double replicas, per_h, away_h, drop_h, rejoin_h;
        LawKind law;
        double shape, throughput;
    } rows[] = {
        {"O134", 16, 0.323302, 0.25, 0.01, 0.01, LAW_EXPONENTIAL, 1, 0.988613495},
        {"O135", 16, 0.323302, 2, 0.01, 0.01, LAW_FIXED, 1, 0.95522036},
        {"O137", 32, 3.33333, 0.166667, 0.02, 0.05, LAW_FIXED, 1, 0.799555802},
        {"O138", 8, 0.846354, 1, 0.02, 0.05, LAW_LOGNORMAL, 1, 0.858340319},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        RunInput input = one_class(HOUR / rows[i].per_h, 3000 * HOUR / rows[i].per_h, 1);
        input.phases[0].nodes = rows[i].replicas;
        input.classes[0].per_node = 1;
        input.elastic = (RunElastic){.replicas = rows[i].replicas,
                                     .minimum_replicas = 1,
                                     .drop_s = rows[i].drop_h * HOUR,
                                     .rejoin_s = rows[i].rejoin_h * HOUR,
                                     .away = {rows[i].law, rows[i].away_h * HOUR, rows[i].shape}};
        assert_expected(rows[i].id, &input, goodput, rows[i].throughput);
    }
}

static void test_slow_nodes(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        double nodes, per_node_h, lasts_h, evict_after_h, evict_h, factor, second, share;
        double throughput;
    } rows[] = {
        {"O140", 128, 1e-4, 0.4, HUGE_VAL, 0, 1.5, 1.5, 0, 0.998297729},
        {"O141", 2048, 1e-4, 0.4, HUGE_VAL, 0, 1.5, 1.5, 0, 0.973782391},
        {"O142", 2048, 1e-4, 0.4, 0.0833, 0.05, 1.5, 1.5, 0, 0.986701519},
        {"O144", 3125, 2e-5, 10, 0.5, 0.1, 1.1, 1.5, 0.3, 0.989183225},
        {"O145", 48, 2.89352e-5, 48, HUGE_VAL, 0, 1.06, 1.06, 0, 0.996351901},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        RunInput input = one_class(HOUR, 3000 * HOUR / (rows[i].nodes * rows[i].per_node_h), 1);
        input.phases[0].class_rate_per_s[0] = 0;
        input.phases[0].nodes = rows[i].nodes;
        input.slow = (RunSlow){.rate_per_node_s = rows[i].per_node_h / HOUR,
                               .duration = {LAW_EXPONENTIAL, rows[i].lasts_h * HOUR, 1},
                               .evict_after_s = rows[i].evict_after_h * HOUR,
                               .evict_s = rows[i].evict_h * HOUR,
                               .factor = {rows[i].factor, rows[i].second},
                               .second_factor_share = rows[i].share};
        assert_expected(rows[i].id, &input, goodput, rows[i].throughput);
    }
}

/* Per retained step: t + delta/ck + h (lag t + R + (B + (ck-1)/2) t + delta B/ck). */
static void test_loss_spikes(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        double per_step, step_min, restart_min, lag, back, every, delta_min, ettr;
    } rows[] = {
        {"O152", 1e-3, 0.25, 5, 50, 0, 500, 0, 0.757862827},
        {"O153", 1e-4, 0.25, 15, 100, 300, 1000, 0.1, 0.912107497},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double step_s = rows[i].step_min * MINUTE;
        RunInput input =
            one_class(HOUR, step_s * rows[i].every, 1000 / rows[i].per_step / rows[i].every);
        input.phases[0].class_rate_per_s[0] = 0;
        input.phases[0].step_s = step_s;
        input.saves = (RunSaves){.stall_s = rows[i].delta_min * MINUTE,
                                 .load_s = rows[i].restart_min * MINUTE};
        input.spikes = (RunSpikes){.rate_per_step = rows[i].per_step,
                                   .lag_steps = rows[i].lag,
                                   .back_steps = rows[i].back};
        assert_expected(rows[i].id, &input, goodput, rows[i].ettr);
    }
}

/* The gap after a preemption holds the save that the notice leaves time for. */
static void test_preemption(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        double mtbf_min, tau_min, delta_min, gap_min, notice_min, ettr;
    } rows[] = {
        {"O154", 7.26744, 20, 0.5, 5, 2, 0.589744968},
        {"O155", 7.26744, 20, 0.5, 5, 0, 0.103249088},
        {"O156", 8.72093, 10, 0.5, 10, 2, 0.45405816},
        {"O157", 8.72093, 10, 0.5, 10, 0.4, 0.228917459}, /* too short for a save */
        {"O159", 1440, 30, 1, 30, 0, 0.93782463},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double delta_s = rows[i].delta_min * MINUTE, notice_s = rows[i].notice_min * MINUTE;
        RunInput input = one_class(rows[i].mtbf_min * MINUTE, rows[i].tau_min * MINUTE, 4000);
        input.saves.stall_s = delta_s;
        input.classes[0].notice_s = notice_s;
        input.replacement_s = rows[i].gap_min * MINUTE - (notice_s >= delta_s ? delta_s : 0);
        assert_expected(rows[i].id, &input, goodput, rows[i].ettr);
    }
}

/* Two phases are the sum of two runs: each at its own rate, step and interval. */
static void test_phases(void **state)
{
    (void)state;
    const double tau_s[] = {900, 1800}, mtbf_s[] = {7200, 21600}, delta_s = 60, load_s = 300;
    enum { SEGMENTS = 3000 };
    RunInput input = one_class(mtbf_s[0], tau_s[0], SEGMENTS);
    input.phase_count = 2;
    input.phases[1] = (RunPhase){.useful_s = tau_s[1] * SEGMENTS,
                                 .step_s = 30,
                                 .interval_s = tau_s[1],
                                 .nodes = 1,
                                 .pause_s = 7200,
                                 .class_rate_per_s = {1 / mtbf_s[1]}};
    input.saves = (RunSaves){.stall_s = delta_s, .load_s = load_s};
    double wall_s = 7200 + load_s;
    for (size_t i = 0; i < 2; i++) /* of the last segment of all nothing is saved */
        wall_s += (mtbf_s[i] + load_s) * ((SEGMENTS - 1) * expm1((tau_s[i] + delta_s) / mtbf_s[i]) +
                                          expm1((tau_s[i] + (i == 0 ? delta_s : 0)) / mtbf_s[i]));
    assert_expected("phase", &input, goodput, (tau_s[0] + tau_s[1]) * SEGMENTS / wall_s);
}

/* A share q of lemons at m times the rate, the mean over all kept: nothing changes as long as none
 * leaves; when each leaves at its first failure the job ends with sound nodes only. */
static void test_lemons(void **state)
{
    (void)state;
    Error error;
    RunOutcome kept, removed;
    RunSimulator *simulator = run_simulator_create(&error);
    RunInput input = one_class(HOUR, 2000 * HOUR, 1);
    input.phases[0].interval_s = 60;
    input.phases[0].step_s = 0;
    input.phases[0].nodes = 1000;
    input.classes[0].per_node = 1;
    input.lemons = (RunLemons){.share = 0.02, .rate_factor = 11};
    input.classes[0].process_restart = 1; /* no node is replaced */
    assert_int_equal(run_simulate(simulator, &input, 3, 0, &kept, &error), STATUS_OK);
    double expected = kept.wall_s / HOUR;
    assert_true(fabs(kept.failures - expected) < 4 * sqrt(expected));

    input.classes[0].process_restart = 0;
    input.lemons.removed_after = 1;
    input.spares = (RunSpares){.limited = 1, .nodes = 0, .repair = {LAW_FIXED, 0, 1}};
    assert_int_equal(run_simulate(simulator, &input, 3, 0, &removed, &error), STATUS_OK);
    /* 20 lemons leave after about 1000/(11 * 0.833) h each; sound nodes fail at 1/1.2 of the mean
     */
    expected = removed.wall_s / HOUR / 1.2 + 20;
    assert_true(fabs(removed.failures - expected) < 5 * sqrt(expected));
    assert_true(removed.failures < 0.92 * kept.failures);
    run_simulator_destroy(simulator);
}

/* Planned stops by the calendar: one a day, saved first. */
static void test_planned_stops(void **state)
{
    (void)state;
    Error error;
    RunOutcome outcome;
    RunSimulator *simulator = run_simulator_create(&error);
    RunInput input = one_class(DAY, 600, 1440); /* ten days of work */
    input.classes[0] =
        (RunClass){.law = LAW_FIXED, .calendar = 1, .notice_s = HUGE_VAL, .outage_s = 1800};
    input.saves = (RunSaves){.stall_s = 10, .load_s = 290};
    assert_int_equal(run_simulate(simulator, &input, 1, 0, &outcome, &error), STATUS_OK);
    assert_true(fabs(outcome.planned_stops - 10) < 0.5 && outcome.failures <= 0);
    assert_true(fabs(outcome.ledger.planned_s - 10 * 1800) < 1e-6);
    assert_true(fabs(outcome.ledger.load_s - 10 * 290) < 1e-6);
    assert_true(fabs(outcome.ledger.lost_work_s) < 1e-6);

    /* a trace does the same */
    double trace_s[10];
    for (size_t i = 0; i < 10; i++)
        trace_s[i] = (double)(i + 1) * DAY;
    RunOutcome traced;
    input.classes[0].trace_s = trace_s;
    input.classes[0].trace_count = 10;
    assert_int_equal(run_simulate(simulator, &input, 1, 0, &traced, &error), STATUS_OK);
    assert_true(fabs(traced.wall_s - outcome.wall_s) < 1e-6);
    run_simulator_destroy(simulator);
}

/* Corruption that is noticed late spoils the saves made meanwhile. */
static void test_spoiled_work(void **state)
{
    (void)state;
    Error error;
    RunOutcome outcome;
    RunSimulator *simulator = run_simulator_create(&error);
    RunInput input = one_class(HUGE_VAL, 100, 10);
    input.classes[0].spoiled_s = 150;
    const double once[] = {450}; /* back from 450 to the last save at or before 300 */
    assert_int_equal(run_replay(simulator, &input, once, NULL, 1, &outcome, &error), STATUS_OK);
    assert_true(fabs(outcome.ledger.lost_work_s - 150) < 1e-9);
    input.classes[0].spoiled_s = 160;
    assert_int_equal(run_replay(simulator, &input, once, NULL, 1, &outcome, &error), STATUS_OK);
    assert_true(fabs(outcome.ledger.lost_work_s - 250) < 1e-9);
    input.classes[0].spoiled_s = 1e6; /* from the start */
    assert_int_equal(run_replay(simulator, &input, once, NULL, 1, &outcome, &error), STATUS_OK);
    assert_true(fabs(outcome.ledger.lost_work_s - 450) < 1e-9);
    run_simulator_destroy(simulator);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_hazards),
        cmocka_unit_test(test_two_levels_of_saves),
        cmocka_unit_test(test_spares),
        cmocka_unit_test(test_nodes_in_repair),
        cmocka_unit_test(test_detection_mixture),
        cmocka_unit_test(test_elastic_replicas),
        cmocka_unit_test(test_slow_nodes),
        cmocka_unit_test(test_loss_spikes),
        cmocka_unit_test(test_preemption),
        cmocka_unit_test(test_phases),
        cmocka_unit_test(test_lemons),
        cmocka_unit_test(test_planned_stops),
        cmocka_unit_test(test_spoiled_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
