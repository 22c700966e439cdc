/* Closed forms of reliability against published numbers, textbook values and each other; parameters
 * and units; the jackknife; every row of the shipped table. */
#include "shipped.h"

#include "sim/planning/oracle.h"
#include "sim/training/reliability.h"
#include "sim/training/reliability_forms.h"
#include "sim/training/run.h"

#include <gsl/gsl_errno.h>
#include <math.h>

static const double MINUTE = 60, HOUR = 3600, DAY = 86400;

static void test_daly_published_optima(void **state)
{
    (void)state;
    /* Daly 2006, captions of figures 3, 4, 5: save of 5 min, failures every 24 h, 6 h, 15 min */
    assert_near(run_interval_exact(DAY, 5 * MINUTE) / MINUTE, 117, 0.5);
    assert_near(run_interval_exact(6 * HOUR, 5 * MINUTE) / MINUTE, 57, 0.5);
    assert_near(run_interval_daly(15 * MINUTE, 5 * MINUTE) / MINUTE, 9.1, 0.05);
    /* Young's error against the exact interval at delta/M = 0.001, 0.01, 0.1, 1 */
    const double ratios[] = {0.001, 0.01, 0.1, 1}, percent[] = {1.5, 4.9, 16.7, 68};
    for (size_t i = 0; i < 4; i++)
        assert_near(100 * (run_interval_young(DAY, ratios[i] * DAY) /
                               run_interval_exact(DAY, ratios[i] * DAY) -
                           1),
                    percent[i], 0.5);
}

static void test_linear_estimator_published(void **state)
{
    (void)state;
    /* Kokolis et al. 2025: 16,000 GPUs (2,000 nodes) at 6.5 failures per 1000 node-days, restart of
     * 5 min, saves that cost nothing: 0.7 with hourly saves, 0.93 with saves every 5 min; 0.5 at
     * 100,000 GPUs and 7 min. */
    const double rate_per_s = 6.5e-3 / DAY;
    assert_near(reliability_ettr_linear(2000 * rate_per_s, HOUR, 0, 5 * MINUTE), 0.70, 0.02);
    assert_near(reliability_ettr_linear(2000 * rate_per_s, 5 * MINUTE, 0, 5 * MINUTE), 0.93, 0.005);
    assert_near(reliability_ettr_linear(12500 * rate_per_s, 7 * MINUTE, 0, 5 * MINUTE), 0.50,
                0.025);
    /* FT-HSDP: 18 min between failures by the wall clock, 10 min of recovery: 44% */
    assert_near(run_ettr_s2(8 * MINUTE, 0.02 * MINUTE, 0, 10 * MINUTE, 0), 0.44, 0.005);
}

static void test_renewal_meets_other_forms(void **state)
{
    (void)state;
    const double tau = 900, delta = 120, restart = 1200, mean = 4000, persist = 300;
    /* shape 1 is the exponential law: S2, and S2 e^(-P/M) */
    const LawKind laws[] = {LAW_WEIBULL, LAW_GAMMA, LAW_EXPONENTIAL};
    for (size_t i = 0; i < 3; i++) {
        Law hazard = {laws[i], mean, 1};
        double s2 = run_ettr_s2(mean, tau, delta, 0, restart);
        assert_near(reliability_ettr_renewal(&hazard, tau, delta, 0, restart), s2, 1e-13);
        assert_near(reliability_ettr_renewal(&hazard, tau, delta, persist, restart),
                    s2 * exp(-persist / mean), 1e-13);
    }
    /* gamma of shape 2: S(t) = (1 + x) e^-x, x = 2 t/mean; sum of geometric series */
    Law two = {LAW_GAMMA, mean, 2};
    double x = 2 * (tau + delta) / mean, q = exp(-x);
    double sum = q / (1 - q) + x * q / ((1 - q) * (1 - q));
    assert_near(reliability_ettr_renewal(&two, tau, delta, 0, restart),
                tau * sum / (mean + restart), 1e-12);
    /* so many saves that the tail comes from the integral: a failure loses half an interval and the
     * saves between cost nothing */
    const LawKind tails[] = {LAW_WEIBULL, LAW_GAMMA, LAW_LOGNORMAL};
    const double shapes[] = {0.5, 0.35, 1.94};
    for (size_t i = 0; i < 3; i++) {
        Law hazard = {tails[i], mean, shapes[i]};
        double often = 1e-3;
        assert_near(reliability_ettr_renewal(&hazard, often, 0, 0, restart),
                    (mean - often / 2) / (mean + restart), 1e-7);
    }
}

static void test_hazards(void **state)
{
    (void)state;
    const LawKind laws[] = {LAW_WEIBULL, LAW_GAMMA, LAW_LOGNORMAL, LAW_EXPONENTIAL};
    for (size_t i = 0; i < 4; i++) {
        Law hazard = {laws[i], 100, 0.7};
        assert_near(law_survival(hazard, 0), 1, 0);
        assert_near(reliability_mean_excess(&hazard, 0), 100, 0);
        /* d/dt E[max(X - t, 0)] = -S(t) */
        double slope =
            (reliability_mean_excess(&hazard, 50.01) - reliability_mean_excess(&hazard, 49.99)) /
            0.02;
        assert_near(slope, -law_survival(hazard, 50), 1e-6);
    }
}

static void test_two_level_ends(void **state)
{
    (void)state;
    TwoLevel levels = {.mtbf_s = 4000,
                       .tau_s = 120,
                       .block1_s = 1,
                       .block2_s = 100,
                       .restart1_s = 60,
                       .restart2_s = 900,
                       .segments = 15,
                       .level1_share = 0};
    /* no failure recovers from level 1: one long segment */
    assert_near(reliability_ettr_two_level(&levels),
                run_ettr_s2(4000, 15 * 120, 15 * 1 + 100, 0, 900), 1e-13);
    /* all do: every segment on its own */
    levels.level1_share = 1;
    levels.block2_s = 0;
    assert_near(reliability_ettr_two_level(&levels), run_ettr_s2(4000, 120, 1, 0, 60), 1e-13);
}

static void test_copies(void **state)
{
    (void)state;
    Error error;
    double chance;
    /* 3 of 6 machines in pairs: 8 of the 20 sets hit each pair once */
    assert_int_equal(reliability_copies_survive(6, 2, 3, &chance, &error), STATUS_OK);
    assert_near(chance, 0.4, 1e-14);
    /* two of n: the second is not the first one's partner, (n - 2)/(n - 1) */
    assert_int_equal(reliability_copies_survive(128, 2, 2, &chance, &error), STATUS_OK);
    assert_near(chance, 126.0 / 127, 1e-13);
    assert_int_equal(reliability_copies_survive(128, 2, 1, &chance, &error), STATUS_OK);
    assert_near(chance, 1, 0);
    assert_int_equal(reliability_copies_survive(128, 2, 65, &chance, &error), STATUS_OK);
    assert_near(chance, 0, 0);
    assert_int_equal(reliability_copies_survive(1e7, 2, 1e6, &chance, &error), STATUS_NO);
}

static void test_spares_textbook(void **state)
{
    (void)state;
    assert_near(reliability_erlang_b(1, 1), 0.5, 1e-15);
    assert_near(reliability_erlang_b(2, 2), 0.4, 1e-15);
    assert_near(reliability_erlang_b(10, 10), 0.21458, 5e-6);             /* Erlang's table */
    assert_near(reliability_all_in_repair(0.5, 1, 1, 2), 1.0 / 7, 1e-15); /* M/M/1/2, rho 1/2 */
    assert_near(reliability_all_in_repair(3, 2, 9, 9), reliability_erlang_b(6, 9), 1e-15);
    /* ByteRobust: 4 standby machines of 1,024 at the 99th percentile */
    assert_near(reliability_standby_quantile(1024, 0.0012, 0.99), 4, 0);
    assert_near(reliability_standby_quantile(10, 1, 0.99), 10, 0);
    assert_near(reliability_standby_quantile(10, 0, 0.99), 0, 0);
    /* one node at a time: Poisson, sd is the root of the mean */
    const double rate = 0.25, one = 1;
    assert_near(reliability_in_repair_mean(&rate, &one, 1, 36), 9, 1e-13);
    assert_near(reliability_in_repair_sd(&rate, &one, 1, 36), 3, 1e-13);
}

static void test_slow_known(void **state)
{
    (void)state;
    const double root_pi = 1.7724538509055159; /* E[max] of 2 and 3 normals: 1, 1.5 over it */
    assert_near(reliability_noise_maximum(NOISE_NORMAL, 1, 0.1), 1, 1e-14);
    assert_near(reliability_noise_maximum(NOISE_NORMAL, 2, 0.1), 1 + 0.1 / root_pi, 1e-13);
    assert_near(reliability_noise_maximum(NOISE_NORMAL, 3, 0.1), 1 + 0.15 / root_pi, 1e-13);
    assert_near(reliability_noise_maximum(NOISE_EXPONENTIAL, 4, 0.12), 1.25,
                1e-13); /* H_4 = 25/12 */
    const double sigma = sqrt(log1p(0.25));
    assert_near(reliability_noise_maximum(NOISE_LOGNORMAL, 1, 0.5), 1, 1e-13);
    assert_near(reliability_noise_maximum(NOISE_LOGNORMAL, 2, 0.5), erfc(-sigma / 2), 1e-12);
    assert_near(reliability_noise_maximum(NOISE_LOGNORMAL, 1, 0.001), 1, 1e-13);

    /* one node, slow half of the time by a factor of 2: 3/4; nothing is lost by free evictions */
    FailSlow slow = {.nodes = 1,
                     .rate_per_node_s = 0.1,
                     .duration_s = 10,
                     .evict_after_s = HUGE_VAL,
                     .slow = {2, 2},
                     .worse_share = 0.5};
    assert_near(reliability_fail_slow(&slow), 0.75, 1e-15);
    slow.evict_after_s = 1e-9;
    assert_near(reliability_fail_slow(&slow), 1, 1e-9);

    assert_near(reliability_elastic(10, 0.5, 20, 0), 0.5, 1e-15);
    assert_near(reliability_elastic(10, 0.5, 20, 4), 0.25, 1e-15); /* 1/4 drop a second, 4 s each */

    /* a spike every 100 steps costs 10 + 30 + 5 on average and a restart of 5 steps */
    LossSpike spike = {.rate_per_step = 0.01,
                       .step_s = 2,
                       .restart_s = 10,
                       .detect_steps = 10,
                       .back_steps = 30,
                       .save_every_steps = 11};
    assert_near(reliability_ettr_loss_spike(&spike), 1 / 1.5, 1e-14);
}

static void test_finite_runs(void **state)
{
    (void)state;
    const double m = 4000, tau = 900, delta = 60, down = 100, restart = 200, n = 50;
    assert_near(reliability_wall_mean_s1(m, tau, delta, down, restart, n),
                n * exp(restart / m) * (m + down) * expm1((tau + delta) / m), 1e-6);
    assert_near(reliability_wall_mean_s2(m, tau, delta, down, restart, n),
                n * (m + down + restart) * expm1((tau + delta) / m), 1e-6);
    /* without restart work the clocks are the same; a piece so short that failures are rare has the
     * Poisson spread sqrt(n s/M (E[X^2] = s^2/3 + down...)) */
    assert_near(reliability_wall_sd_s1(m, tau, delta, down, 0, n),
                reliability_wall_sd_s2(m, tau, delta, down, 0, n), 1e-9);
    assert_true(reliability_wall_sd_s1(m, tau, delta, down, restart, n) >
                reliability_wall_sd_s2(m, tau, delta, down, restart, n));
    double s = 0.4, sd = sqrt(n * s / m * (s * s / 3 + s * down + down * down));
    assert_near(reliability_wall_sd_s2(m, s, 0, down, 0, n) / sd, 1, 1e-3);
    /* both sides of the border between series and formula */
    double below = reliability_wall_sd_s2(m, 0.9999999e-3 * m, 0, 0, 0, n);
    double above = reliability_wall_sd_s2(m, 1.0000001e-3 * m, 0, 0, 0, n);
    assert_near(above / below, 1, 1e-6);
    /* a notice saves everything but the saves and the gaps */
    assert_near(reliability_ettr_notice(m, tau, 0, 1000), 0.8, 1e-14);
}

static void test_jackknife(void **state)
{
    (void)state;
    /* mean 4, variance (n - 1) 20/3; of the mean: sd / sqrt(n) */
    const double x[] = {1, 3, 5, 7};
    ReliabilitySums sums[4];
    double mean, error;
    for (size_t i = 0; i < 4; i++)
        sums[i] = (ReliabilitySums){x[i], 1, x[i] * x[i]};
    reliability_estimate(ESTIMATE_MEAN, sums, 4, &mean, &error);
    assert_near(mean, 4, 1e-14);
    assert_near(error, sqrt(20.0 / 3 / 4), 1e-14);
    reliability_estimate(ESTIMATE_DEVIATION, sums, 4, &mean, &error);
    assert_true(mean > sqrt(5) && mean < 3 && error > 0); /* sqrt(5): divided by n */
}

/* ---- parameters --------------------------------------------------------------------------------
 */

static const ReliabilityModel *model_named(const char *name)
{
    const ReliabilityModel *model;
    Error error;
    assert_int_equal(reliability_model_find(name, &model, &error), STATUS_OK);
    return model;
}

static void test_units(void **state)
{
    (void)state;
    ReliabilityCase input;
    Error error;
    const ReliabilityModel *model = model_named("I.spares");
    assert_int_equal(reliability_case_read(
                         model, "repair=lognormal; spares=4;N=128;rf_per_node_day=0.864;repair_h=2",
                         &input, &error),
                     STATUS_OK);
    assert_near(reliability_value(&input, "rf_per_node"), 1e-5, 1e-20);
    assert_near(reliability_value(&input, "repair"), 7200, 0);
    assert_int_equal(reliability_word(&input, "repair"), 2);
    reliability_case_scale(&input, 7);
    assert_near(reliability_value(&input, "rf_per_node"), 1e-5 / 7, 1e-20);
    assert_near(reliability_value(&input, "repair"), 7 * 7200, 0);
    assert_near(reliability_value(&input, "N"), 128, 0);

    model = model_named("S.correlated_repair");
    assert_int_equal(reliability_case_read(
                         model, "classes=0.36/h x 1 + 0.00864/d x 32;repair_min=5", &input, &error),
                     STATUS_OK);
    assert_int_equal(input.list_count, 2);
    assert_near(input.list[0], 1e-4, 1e-18);
    assert_near(input.list[1], 1e-7, 1e-20);
    assert_near(input.list_sizes[1], 32, 0);
    assert_near(input.list_slack[0], 5e-5 / HOUR, 1e-16); /* 0.3600: half of the fourth digit */

    const ReliabilityMetric *metric;
    double unit;
    model = model_named("A.opt_interval");
    assert_int_equal(reliability_metric_find(model, "tau_exact_h", &metric, &unit, &error),
                     STATUS_OK);
    assert_near(unit, 3600, 0);
    assert_int_equal(reliability_metric_find(model, "tau_exact", &metric, &unit, &error),
                     STATUS_INVALID);
    assert_int_equal(reliability_metric_find(model, "tau_exakt_min", &metric, &unit, &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.hint, "tau_exact"));
}

static void test_bad_parameters(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        ";",
        "M_min=600",                          /* lacks tau */
        "M_min=600;tau_min=30;delta_min=1;x", /* no value */
        "M_min=600;tau_min=30;delta_min=",    /* empty */
        "M_min=600;tau_min=30;delta_min=1;M_h=10",
        "M_min=600;tau_min=30;delta_min=-1",
        "M_min=0;tau_min=30;delta_min=1",
        "M_min=nan;tau_min=30;delta_min=1",
        "M_min=inf;tau_min=30;delta_min=1",
        "M_min=1e300;tau_min=30;delta_min=1",
        "M_min=600min;tau_min=30;delta_min=1",
        "M=600;tau_min=30;delta_min=1",
        "M_furlongs=600;tau_min=30;delta_min=1",
        "M_min=600;tau_min=30;delta_min=1;Q_min=3",
    };
    const ReliabilityModel *model = model_named("C.S2_safe_restart");
    ReliabilityCase input;
    Error error;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (reliability_case_read(model, bad[i], &input, &error) != STATUS_INVALID)
            fail_msg("accepted '%s'", bad[i]);
        assert_true(error.message[0] != '\0');
    }
    char longest[2000];
    memset(longest, 'M', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(reliability_case_read(model, longest, &input, &error), STATUS_INVALID);
    const ReliabilityModel *none;
    assert_int_equal(reliability_model_find("C.S2_safe_restrat", &none, &error), STATUS_INVALID);
    assert_non_null(strstr(error.hint, "C.S2_safe_restart"));
}

/* ---- the shipped table -------------------------------------------------------------------------
 */

static void read_shipped(CsvTable *table, ConfigPaths *paths)
{
    char path[2 * ERROR_PATH_BYTES];
    Error error;
    assert_int_equal(config_paths_find(NULL, paths, &error), STATUS_OK);
    snprintf(path, sizeof path, "%s/measurements/reliability_oracle.csv", paths->root);
    assert_int_equal(csv_read(path, table, &error), STATUS_OK);
}

/* Every row, with few replications: the closed forms decide; simulations only must not be absurd.
 */
static void test_shipped_table(void **state)
{
    (void)state;
    ConfigPaths paths;
    CsvTable table;
    OracleResult result;
    Error error = {0};
    ForecastOptions options = {.seed = 20240607, .reps = 20, .threads = 1};
    read_shipped(&table, &paths);
    if (oracle_validate(&paths, &table, &options, &result, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(result.row_count, table.row_count);
    assert_int_equal(result.skipped_count, 0);
    assert_int_equal(result.not_simulated, 5); /* waits of less than one in a million failures */
    assert_int_equal(result.simulated, 108);
    for (size_t i = 0; i < result.row_count; i++) {
        const OracleRow *row = &result.rows[i];
        double allowed = strncmp(row->model, "S.", 2) == 0 ? 2e-4 : ORACLE_RELATIVE;
        if (!(fabs(row->error) <= allowed) || !(row->allowed_error <= allowed + 1e-6))
            fail_msg("%s: relative error %g", row->id, row->error);
        if (row->has_simulation && !(fabs(row->z) < 6))
            fail_msg("%s: simulated %g +- %g, expected %g", row->id, row->simulated,
                     row->standard_error, row->expected);
    }
    assert_true(result.mean_z2 > 0.5 && result.mean_z2 < 2);
    oracle_free(&result);
    csv_free(&table);
}

/* A table in which every result is off by one in a hundred thousand: no row may pass, but where the
 * parameters are rounded. */
static void test_wrong_values_are_seen(void **state)
{
    (void)state;
    static const char text[] = "id,model,parameters,metric,value\n"
                               "a,C.S2_safe_restart,M_min=600;tau_min=30;delta_min=1;R_min=10,ETTR,"
                               "0.927508164\n"
                               "b,A.opt_interval,delta_min=5;M_min=1440,tau_exact_min,116.69124\n"
                               "c,C.S2_safe_restart,M_min=600;tau_min=30;delta_min=1;R_min=10,ETTR,"
                               "0.927498889\n";
    ConfigPaths paths;
    CsvTable table;
    OracleResult result;
    Error error;
    ForecastOptions options = {.seed = 1, .reps = 20, .threads = 1};
    assert_int_equal(config_paths_find(NULL, &paths, &error), STATUS_OK);
    assert_int_equal(csv_read_text("table", text, sizeof text - 1, &table, &error), STATUS_OK);
    assert_int_equal(oracle_validate(&paths, &table, &options, &result, &error), STATUS_OK);
    assert_int_equal(result.row_count, 3);
    assert_false(result.rows[0].ok);
    assert_near(result.rows[0].error, -1e-5, 1e-8);
    assert_false(result.rows[1].ok);
    assert_true(result.rows[2].ok);
    assert_true(result.rows[2].has_simulation);
    oracle_free(&result);
    csv_free(&table);
}

int main(void)
{
    gsl_set_error_handler_off();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_daly_published_optima),
        cmocka_unit_test(test_linear_estimator_published),
        cmocka_unit_test(test_renewal_meets_other_forms),
        cmocka_unit_test(test_hazards),
        cmocka_unit_test(test_two_level_ends),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_spares_textbook),
        cmocka_unit_test(test_slow_known),
        cmocka_unit_test(test_finite_runs),
        cmocka_unit_test(test_jackknife),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_bad_parameters),
        cmocka_unit_test(test_shipped_table),
        cmocka_unit_test(test_wrong_values_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
