#include "sim/engine/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define assert_near(value, exact, tolerance) assert_true(fabs((value) - (exact)) <= (tolerance))

static void test_set_and_find(void **state)
{
    (void)state;
    MetricSet set;
    metrics_init(&set);
    assert_null(metrics_find(&set, "run.days"));
    double samples[] = {3, 1, 2};
    assert_int_equal(metrics_set(&set, "step.seconds", "s", 1.5, NULL), STATUS_OK);
    assert_int_equal(metrics_set_samples(&set, "run.days", "d", samples, 3, NULL), STATUS_OK);
    samples[0] = 99; /* was copied */

    const Metric *days = metrics_find(&set, "run.days");
    assert_non_null(days);
    assert_string_equal(days->unit, "d");
    assert_int_equal(days->count, 3);
    assert_true(metrics_value(days, 0) == 3 && metrics_value(days, 2) == 2);
    assert_true(isnan(metrics_value(days, 3)));
    const Metric *step = metrics_find(&set, "step.seconds");
    assert_true(metrics_value(step, 0) == 1.5 && metrics_value(step, 1000) == 1.5);
    assert_null(metrics_find(&set, "run.day"));

    /* Replacing keeps the place and nothing of the old value. */
    assert_int_equal(metrics_set_samples(&set, "step.seconds", "ms", samples, 2, NULL), STATUS_OK);
    assert_int_equal(set.count, 2);
    assert_string_equal(set.metrics[0].name, "step.seconds");
    assert_string_equal(set.metrics[0].unit, "ms");
    assert_int_equal(set.metrics[0].count, 2);
    metrics_free(&set);
    assert_int_equal(set.count, 0);
    metrics_free(&set); /* twice is fine */
}

static void test_many(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    MetricSet set;
    metrics_init(&set);
    char name[32];
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "input.x%d", i);
        assert_int_equal(metrics_set(&set, name, "", i, NULL), STATUS_OK);
    }
    assert_int_equal(set.count, COUNT);
    for (int i = 0; i < COUNT; i++) { /* in the order of being added */
        snprintf(name, sizeof name, "input.x%d", i);
        assert_string_equal(set.metrics[i].name, name);
        assert_true(metrics_value(metrics_find(&set, name), 0) == i);
    }
    metrics_free(&set);
}

static void test_refused(void **state)
{
    (void)state;
    MetricSet set;
    metrics_init(&set);
    assert_int_equal(metrics_set(&set, "kept", "s", 1, NULL), STATUS_OK);

    char longest[METRIC_NAME_BYTES], too_long[METRIC_NAME_BYTES + 1];
    memset(longest, 'n', sizeof longest);
    longest[METRIC_NAME_BYTES - 1] = 0;
    memset(too_long, 'n', sizeof too_long);
    too_long[METRIC_NAME_BYTES] = 0;
    assert_int_equal(metrics_set(&set, longest, "", 1, NULL), STATUS_OK);
    assert_string_equal(set.metrics[1].name, longest);

    const char *wrong[] = {too_long, "",    ".a",   "a.",   "a..b",       "a b",
                           "a\"b",   "a,b", "a\nb", "a\\b", "caf\xc3\xa9"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        Error error = {.status = STATUS_OK};
        assert_int_equal(metrics_set(&set, wrong[i], "s", 1, &error), STATUS_INVALID);
        assert_int_equal(error.status, STATUS_INVALID);
        assert_true(error.message[0] != 0);
    }
    const double values[] = {nan(""), HUGE_VAL, -HUGE_VAL};
    for (size_t i = 0; i < 3; i++) {
        Error error;
        const double samples[] = {0, 0, values[i]};
        assert_int_equal(metrics_set(&set, "kept", "s", values[i], &error), STATUS_INVALID);
        assert_int_equal(metrics_set_samples(&set, "kept", "s", samples, 3, &error),
                         STATUS_INVALID);
        assert_non_null(strstr(error.message, "kept"));
        assert_non_null(strstr(error.message, "replication 2"));
    }
    const double one = 1;
    assert_int_equal(metrics_set_samples(&set, "kept", "s", &one, 0, NULL), STATUS_INVALID);
    assert_int_equal(metrics_set(&set, "kept", "a unit of twenty-four by", 1, NULL),
                     STATUS_INVALID);
    assert_int_equal(set.count, 2);
    assert_true(metrics_value(metrics_find(&set, "kept"), 0) == 1); /* as before */
    metrics_free(&set);
}

/* R: x <- c(7, 1, 3, 10, 4); quantile(x, c(.05, .5, .95), type = 7) -> 1.4, 4, 9.4; mean 5. */
static void test_summary(void **state)
{
    (void)state;
    static const double X[] = {7, 1, 3, 10, 4};
    Summary summary;
    assert_int_equal(statistics_summary(X, 5, &summary, NULL), STATUS_OK);
    assert_near(summary.mean, 5, 1e-14);
    assert_near(summary.p5, 1.4, 1e-14);
    assert_near(summary.p50, 4, 1e-14);
    assert_near(summary.p95, 9.4, 1e-14);
    assert_true(summary.minimum == 1 && summary.maximum == 10 && summary.count == 5);
    assert_true(X[0] == 7); /* a copy was sorted */

    /* 0, 1, ..., 100: type 7 gives the p-th quantile as 100 p. */
    double ramp[101];
    for (int i = 0; i <= 100; i++)
        ramp[i] = 100 - i;
    assert_int_equal(statistics_summary(ramp, 101, &summary, NULL), STATUS_OK);
    assert_near(summary.p5, 5, 1e-12);
    assert_near(summary.p95, 95, 1e-12);

    MetricSet set;
    metrics_init(&set);
    assert_int_equal(metrics_set(&set, "x", "", 0.1, NULL), STATUS_OK);
    assert_int_equal(metrics_summary(&set.metrics[0], &summary, NULL), STATUS_OK);
    assert_true(summary.mean == 0.1 && summary.p5 == 0.1 && summary.p50 == 0.1 &&
                summary.p95 == 0.1 && summary.minimum == 0.1 && summary.maximum == 0.1 &&
                summary.count == 1);
    metrics_free(&set);

    Error error;
    assert_int_equal(statistics_summary(X, 0, &summary, &error), STATUS_INVALID);
    ramp[7] = nan("");
    assert_int_equal(statistics_summary(ramp, 101, &summary, &error), STATUS_INVALID);
}

static double rho_of(const double *a, const double *b, size_t count)
{
    double rho = nan("");
    assert_int_equal(statistics_rank_correlation(a, b, count, &rho, NULL), STATUS_OK);
    return rho;
}

static void test_rank_correlation(void **state)
{
    (void)state;
    /* IQ against hours of television (Wikipedia, "Spearman's rank correlation coefficient"):
     * -29/165. */
    static const double IQ[] = {106, 100, 86, 101, 99, 103, 97, 113, 112, 110};
    static const double TV[] = {7, 27, 2, 50, 28, 29, 20, 12, 6, 17};
    assert_near(rho_of(IQ, TV, 10), -29.0 / 165, 1e-14);

    /* Ties share a rank: ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: 4.5 / sqrt(4.5 * 5). */
    static const double TIED[] = {1, 2, 2, 3}, STRAIGHT[] = {10, 20, 30, 40};
    assert_near(rho_of(TIED, STRAIGHT, 4), 4.5 / sqrt(4.5 * 5), 1e-14);

    /* Any rising map leaves it 1, any falling one -1. */
    double x[50], up[50], down[50], flat[50];
    for (int i = 0; i < 50; i++) {
        x[i] = (i * 37) % 50;
        up[i] = exp(x[i]);
        down[i] = -x[i] * x[i] * x[i];
        flat[i] = 2;
    }
    assert_near(rho_of(x, up, 50), 1, 1e-14);
    assert_near(rho_of(x, down, 50), -1, 1e-14);
    assert_true(rho_of(x, flat, 50) == 0 && rho_of(flat, x, 50) == 0 &&
                rho_of(flat, flat, 50) == 0);

    double rho;
    Error error;
    assert_int_equal(statistics_rank_correlation(x, up, 2, &rho, &error), STATUS_INVALID);
    up[3] = HUGE_VAL;
    assert_int_equal(statistics_rank_correlation(x, up, 50, &rho, &error), STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_and_find),     cmocka_unit_test(test_many),
        cmocka_unit_test(test_refused),          cmocka_unit_test(test_summary),
        cmocka_unit_test(test_rank_correlation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
