/* Arithmetic over metrics: precedence, draws, errors with their column. */
#include "sim/planning/expression.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static MetricSet metrics_a, metrics_b;
static const char *const NAMES[] = {"a", "b", "none"};
static const MetricSet *const SETS[] = {&metrics_a, &metrics_b, NULL};
static const ExpressionScope SCOPE = {3, NAMES, SETS};

static int set_up(void **state)
{
    (void)state;
    const double draws[] = {1, 2, 3, 4, 5};
    const double three[] = {1, 2, 3};
    metrics_init(&metrics_a);
    metrics_init(&metrics_b);
    return metrics_set(&metrics_a, "run.days", "days", 100, NULL) != STATUS_OK ||
           metrics_set_samples(&metrics_a, "draws", "", draws, 5, NULL) != STATUS_OK ||
           metrics_set(&metrics_b, "zero", "", 0, NULL) != STATUS_OK ||
           metrics_set_samples(&metrics_b, "three", "", three, 3, NULL) != STATUS_OK;
}

static int tear_down(void **state)
{
    (void)state;
    metrics_free(&metrics_a);
    metrics_free(&metrics_b);
    return 0;
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double first;
        size_t count;
    } cases[] = {
        {"1 + 2 * 3", 7, 1},
        {"(1 + 2) * 3", 9, 1},
        {"2 - 3 - 4", -5, 1},
        {"16 / 4 / 2", 2, 1},
        {"-2 * -3", 6, 1},
        {"2.15e25 / 1e25", 2.15, 1},
        {"a.run.days / 4", 25, 1},
        {"a.draws * 10", 10, 5},
        {"a.draws * a.draws + a.run.days", 101, 5},
        {"p50(a.draws)", 3, 1},
        {"mean(a.draws * 2)", 6, 1},
        {"p5(a.draws)", 1.2, 1}, /* type 7: 1 + 0.05 * 4 */
        {"p95(a.draws)", 4.8, 1},
        {"min(a.draws, 2)", 1, 5},
        {"max(a.draws, 2)", 2, 5},
        {"argmin(5, a.draws, 4)", 2, 1},
        {"argmax(5, a.draws, 4)", 1, 1},
        {"if(2 > 1, 10, 20)", 10, 1},
        {"if(2 < 1, 10, 20)", 20, 1},
        {"a.draws >= 2", 0, 5},
        {"mean(a.draws > 2)", 0.6, 1},
        {"(a.run.days > 99) * (a.run.days <= 100)", 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ExpressionValue value;
        Error error;
        if (expression_evaluate(cases[i].text, &SCOPE, &value, &error) != STATUS_OK)
            fail_msg("%s: %s", cases[i].text, error.message);
        assert_int_equal(value.count, cases[i].count);
        if (fabs(value.values[0] - cases[i].first) > 1e-12 * fabs(cases[i].first))
            fail_msg("%s: %.17g, expected %.17g", cases[i].text, value.values[0], cases[i].first);
        expression_value_free(&value);
    }
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int column;
        const char *message;
    } cases[] = {
        {"", 1, "ends too early"},
        {"1 +", 4, "ends too early"},
        {"1 2", 3, "unexpected text"},
        {"(1", 3, "')' expected"},
        {"a.run.dayz", 1, "no such metric"},
        {"c.run.days", 1, "no such scenario"},
        {"none.run.days", 1, "no such metric"},
        {"days", 1, "scenario.metric"},
        {"1 / b.zero", 3, "not a finite number"},
        {"a.draws + b.three", 9, "combines 5 draws with 3"},
        {"median(1)", 1, "no such function"},
        {"p50(1, 2)", 1, "takes one argument"},
        {"if(1, 2)", 1, "if takes a condition"},
        {"1e999", 1, "not a plain number"},
        {"3x", 1, "not a plain number"},
        {"0x10", 1, "not a plain number"},
        {"min(1,2,3,4,5,6,7,8,9)", 21, "too many arguments"},
        {"1 # 2", 3, "unexpected text"},
        {"1e308 * 1e308", 7, "not a finite number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ExpressionValue value;
        Error error;
        assert_int_equal(expression_evaluate(cases[i].text, &SCOPE, &value, &error),
                         STATUS_INVALID);
        if (strstr(error.message, cases[i].message) == NULL || error.column != cases[i].column)
            fail_msg("'%s': got column %d, %s", cases[i].text, error.column, error.message);
        assert_null(value.values);
    }
}

static void test_nearest_metric_is_named(void **state)
{
    (void)state;
    ExpressionValue value;
    Error error;
    assert_int_equal(expression_evaluate("a.run.dayz", &SCOPE, &value, &error), STATUS_INVALID);
    assert_non_null(strstr(error.hint, "run.days"));
}

static void test_depth_is_bounded(void **state)
{
    (void)state;
    char text[2001];
    memset(text, '(', 2000);
    text[2000] = '\0';
    ExpressionValue value;
    Error error;
    assert_int_equal(expression_evaluate(text, &SCOPE, &value, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "nested too deeply"));
    memset(text, '-', 2000);
    assert_int_equal(expression_evaluate(text, &SCOPE, &value, &error), STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_nearest_metric_is_named),
        cmocka_unit_test(test_depth_is_bounded),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
