/* Properties of the reliability models: all times times 7, the exact interval is the best one, what
 * is worse costs more. Random cases from fixed seeds, which a failure prints. */
#include "tests/unit/shipped.h"

#include "configs/reader/csv.h"
#include "sim/engine/random.h"
#include "sim/training/reliability.h"
#include "sim/training/reliability_forms.h"
#include "sim/training/run.h"

#include <gsl/gsl_errno.h>
#include <math.h>

enum { CASES = 300 };
static const unsigned long long SEED = 41;

static double between(RandomStream *stream, double low, double high) /* log-uniform */
{
    return low * pow(high / low, random_uniform(stream));
}

/* ---- every shipped row, with all times seven times as long -------------------------------------
 */

typedef struct Row {
    const char *id;
    const ReliabilityMetric *metric;
    ReliabilityCase input;
} Row;

static void read_row(const CsvTable *table, size_t index, Row *row)
{
    const CsvCell *cells = table->rows[index].cells;
    const ReliabilityModel *model;
    Error error;
    double unit;
    row->id = cells[csv_column(table, "id")].text;
    if (reliability_model_find(cells[csv_column(table, "model")].text, &model, &error) !=
            STATUS_OK ||
        reliability_metric_find(model, cells[csv_column(table, "metric")].text, &row->metric, &unit,
                                &error) != STATUS_OK ||
        reliability_case_read(model, cells[csv_column(table, "parameters")].text, &row->input,
                              &error) != STATUS_OK)
        fail_msg("%s: %s", row->id, error.message);
}

static void read_table(const char *name, CsvTable *table)
{
    ConfigPaths paths;
    char path[2 * ERROR_PATH_BYTES];
    Error error;
    assert_int_equal(config_paths_find(NULL, &paths, &error), STATUS_OK);
    snprintf(path, sizeof path, "%s/measurements/%s", paths.root, name);
    assert_int_equal(csv_read(path, table, &error), STATUS_OK);
}

static FailureMix some_mix(double factor)
{
    return (FailureMix){.count = 4,
                        .classes = {{"a", 1, 3.5e-9 / factor},
                                    {"b", 8, 2.2e-9 / factor},
                                    {"c", 1, 4.6e-10 / factor},
                                    {"d", 4096, 1e-6 / factor}}};
}

static double power(const ReliabilityMetric *metric)
{
    return metric->kind == QUANTITY_TIME ? 1 : metric->kind == QUANTITY_RATE ? -1 : 0;
}

static void test_seven_times_as_long(void **state)
{
    (void)state;
    CsvTable table;
    read_table("reliability_oracle.csv", &table);
    FailureMix mix = some_mix(1), slower = some_mix(7);
    for (size_t i = 0; i < table.row_count; i++) {
        Row row;
        Error error;
        double value, scaled;
        read_row(&table, i, &row);
        row.input.mix = &mix;
        assert_int_equal(row.metric->form(&row.input, &value, &error), STATUS_OK);
        reliability_case_scale(&row.input, 7);
        row.input.mix = &slower;
        assert_int_equal(row.metric->form(&row.input, &scaled, &error), STATUS_OK);
        const double expected = value * pow(7, power(row.metric));
        if (!(fabs(scaled / expected - 1) < 1e-12))
            fail_msg("%s: %.17g instead of %.17g", row.id, scaled, expected);
    }
    csv_free(&table);
}

/* A replication of the process draws the same numbers, so it must see the same, seven times as
 * long. */
static void test_processes_seven_times_as_long(void **state)
{
    (void)state;
    CsvTable table;
    Error error;
    read_table("reliability_oracle.csv", &table);
    FailureMix mix = some_mix(1), slower = some_mix(7);
    RunSimulator *simulator = run_simulator_create(&error);
    assert_non_null(simulator);
    size_t compared = 0;
    for (size_t i = 0; i < table.row_count; i += 3) {
        Row row;
        ReliabilitySums sums = {0}, scaled = {0};
        read_row(&table, i, &row);
        if (row.metric->process == NULL)
            continue;
        ReliabilityReplication draw = {.simulator = simulator,
                                       .input = &row.input,
                                       .seed = SEED,
                                       .replications = 1000,
                                       .events = 2000};
        row.input.mix = &mix;
        if (row.metric->process(&draw, &sums, &error) != STATUS_OK)
            continue;
        reliability_case_scale(&row.input, 7);
        row.input.mix = &slower;
        assert_int_equal(row.metric->process(&draw, &scaled, &error), STATUS_OK);
        const double expected = sums.a / sums.b * pow(7, power(row.metric));
        if (!(fabs(scaled.a / scaled.b - expected) <= 1e-9 * expected))
            fail_msg("%s, seed %llu: %.17g instead of %.17g", row.id, SEED, scaled.a / scaled.b,
                     expected);
        compared++;
    }
    print_message("  %zu processes compared\n", compared);
    assert_true(compared > 20);
    run_simulator_destroy(simulator);
    csv_free(&table);
}

/* ---- orders ------------------------------------------------------------------------------------
 */

static void test_exact_interval_is_best(void **state)
{
    (void)state;
    RandomStream stream = random_stream(SEED, "intervals", 0);
    for (int i = 0; i < CASES; i++) {
        double mtbf = between(&stream, 100, 1e6), delta = mtbf * between(&stream, 1e-3, 3);
        double down = mtbf * random_uniform(&stream), restart = mtbf * random_uniform(&stream);
        double tau = run_interval_exact(mtbf, delta);
        double best = run_ettr_s2(mtbf, tau, delta, down, restart);
        for (double factor = 0.9; factor < 1.11; factor += 0.02) {
            double other = run_ettr_s2(mtbf, factor * tau, delta, down, restart);
            if (!(other <= best * (1 + 1e-12)))
                fail_msg("seed %llu, case %d: %g of the interval is better", SEED, i, factor);
        }
    }
}

static void test_shares_are_shares(void **state)
{
    (void)state;
    RandomStream stream = random_stream(SEED, "shares", 0);
    for (int i = 0; i < CASES; i++) {
        double mtbf = between(&stream, 100, 1e6), tau = mtbf * between(&stream, 1e-3, 3);
        double delta = tau * random_uniform(&stream), restart = mtbf * random_uniform(&stream);
        double persist = tau * 2 * random_uniform(&stream);
        Law hazard = {(LawKind)(i % 4), mtbf, between(&stream, 0.3, 3)};
        double ettr = reliability_ettr_renewal(&hazard, tau, delta, 0, restart);
        double async = reliability_ettr_renewal(&hazard, tau, delta, persist, restart);
        double notice = reliability_ettr_notice(mtbf, tau, delta, restart);
        double none = run_ettr_s2(mtbf, tau, delta, restart, 0);
        if (!(ettr >= 0 && ettr < 1 && async <= ettr && notice < 1 && none <= notice))
            fail_msg("seed %llu, case %d: %g %g %g %g", SEED, i, ettr, async, notice, none);
    }
}

static void test_worse_costs_more(void **state)
{
    (void)state;
    RandomStream stream = random_stream(SEED, "worse", 0);
    for (int i = 0; i < CASES; i++) {
        TwoLevel levels = {.mtbf_s = between(&stream, 500, 1e5),
                           .block1_s = 1,
                           .block2_s = 60 * random_uniform(&stream),
                           .segments = floor(between(&stream, 1, 60)),
                           .level1_share = 0.9 * random_uniform(&stream)};
        levels.tau_s = levels.mtbf_s * between(&stream, 1e-3, 0.05);
        levels.restart1_s = levels.mtbf_s * 0.1 * random_uniform(&stream);
        levels.restart2_s = levels.restart1_s + levels.mtbf_s * 0.1;
        TwoLevel better = levels, worse = levels;
        better.level1_share += 0.1;
        worse.mtbf_s *= 0.9;
        double ettr = reliability_ettr_two_level(&levels);
        if (!(reliability_ettr_two_level(&better) > ettr &&
              reliability_ettr_two_level(&worse) < ettr))
            fail_msg("seed %llu, case %d: two levels", SEED, i);

        double offered = between(&stream, 0.1, 100), spares = floor(between(&stream, 1, 100));
        double waits = reliability_erlang_b(offered, spares);
        double crews = floor(between(&stream, 1, spares));
        if (!(reliability_erlang_b(offered, spares + 1) < waits &&
              reliability_erlang_b(1.1 * offered, spares) > waits &&
              reliability_all_in_repair(offered, 1, crews, spares) >= waits))
            fail_msg("seed %llu, case %d: spares", SEED, i);

        FailSlow slow = {.nodes = floor(between(&stream, 1, 1e4)),
                         .rate_per_node_s = between(&stream, 1e-6, 1e-3),
                         .duration_s = between(&stream, 1, 1000),
                         .evict_after_s = HUGE_VAL,
                         .slow = {1.1, 1.5},
                         .worse_share = random_uniform(&stream)};
        FailSlow more = slow, evicted = slow;
        more.nodes += 1;
        evicted.evict_after_s = slow.duration_s;
        double pace = reliability_fail_slow(&slow);
        if (!(reliability_fail_slow(&more) <= pace && reliability_fail_slow(&evicted) >= pace &&
              pace >= 1 / 1.5))
            fail_msg("seed %llu, case %d: slow nodes", SEED, i);
    }
}

int main(void)
{
    gsl_set_error_handler_off();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seven_times_as_long),
        cmocka_unit_test(test_processes_seven_times_as_long),
        cmocka_unit_test(test_exact_interval_is_best),
        cmocka_unit_test(test_shares_are_shares),
        cmocka_unit_test(test_worse_costs_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
