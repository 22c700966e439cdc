/* The rule that turns numbers into a verdict, on claims whose answer is known. */
#include "sim/planning/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static MetricSet metrics;
static const char *const NAMES[] = {"s"};
static const MetricSet *const SETS[] = {&metrics};
static const ExpressionScope SCOPE = {1, NAMES, SETS};

static int set_up(void **state)
{
    (void)state;
    double draws[101];
    for (int i = 0; i <= 100; i++)
        draws[i] = 100 + i; /* p5 105, p50 150, p95 195 */
    metrics_init(&metrics);
    return metrics_set(&metrics, "flops", "FLOPs", 5.6e11, NULL) != STATUS_OK ||
           metrics_set(&metrics, "price", "USD", 0.0050, NULL) != STATUS_OK ||
           metrics_set(&metrics, "floor", "USD", 0.0005, NULL) != STATUS_OK ||
           metrics_set_samples(&metrics, "days", "days", draws, 101, NULL) != STATUS_OK;
}

static int tear_down(void **state)
{
    (void)state;
    metrics_free(&metrics);
    return 0;
}

static Claim number_claim(double low, double high, const char *quantity)
{
    Claim claim;
    memset(&claim, 0, sizeof claim);
    claim.has_low = claim.has_high = 1;
    claim.low = low;
    claim.high = high;
    claim.tolerance = 0.05;
    snprintf(claim.id, sizeof claim.id, "T1");
    snprintf(claim.unit, sizeof claim.unit, "units");
    snprintf(claim.quantity, sizeof claim.quantity, "%s", quantity);
    return claim;
}

static ClaimResult judge(const Claim *claim)
{
    ClaimResult result;
    Error error;
    if (claim_judge(claim, &SCOPE, &result, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    return result;
}

static void expect(const ClaimResult *result, Verdict verdict, const char *part)
{
    if (result->verdict != verdict || strstr(result->reason, part) == NULL)
        fail_msg("verdict %s, reason: %s (expected %s with '%s')", verdict_name(result->verdict),
                 result->reason, verdict_name(verdict), part);
}

static void test_scalars(void **state)
{
    (void)state;
    Claim claim = number_claim(5.6e11, 5.6e11, "s.flops");
    ClaimResult result = judge(&claim);
    expect(&result, VERDICT_REPRODUCED, "equal");

    claim = number_claim(5.4e11, 5.4e11, "s.flops"); /* +3.7%, within 5% */
    result = judge(&claim);
    expect(&result, VERDICT_REPRODUCED, "+3.7%, inside the rounding of 5%");

    claim.tolerance = 0.03;
    result = judge(&claim);
    expect(&result, VERDICT_CONTRADICTED, "1.04 times");
}

static void test_unit_slip_is_found(void **state)
{
    (void)state;
    Claim claim = number_claim(560e12, 560e12, "s.flops");
    ClaimResult result = judge(&claim);
    expect(&result, VERDICT_EXPLAINED, "1000x the simulated one, a slip of its unit by 1e+03");

    claim = number_claim(700e12, 700e12, "s.flops"); /* a factor 1250 is no slip of a unit */
    result = judge(&claim);
    expect(&result, VERDICT_CONTRADICTED, "times the nearest");
}

static void test_bands(void **state)
{
    (void)state;
    Claim claim = number_claim(140, 160, "s.days");
    ClaimResult result = judge(&claim);
    expect(&result, VERDICT_REPRODUCED, "holds 36% of the draws"); /* 133..168: 36 of 101 */

    claim = number_claim(210, 220, "s.days"); /* widened to 199.5: above p95 = 195 */
    result = judge(&claim);
    expect(&result, VERDICT_CONTRADICTED, "0.714 times");

    claim.has_high = 0; /* at least 210 */
    result = judge(&claim);
    expect(&result, VERDICT_CONTRADICTED, ">= 210");

    claim.low = 50;
    result = judge(&claim);
    expect(&result, VERDICT_REPRODUCED, "holds 100%");
}

static void test_readings(void **state)
{
    (void)state;
    Claim claim = number_claim(0.0049, 0.0049, "s.price");
    claim.reading_count = 1;
    snprintf(claim.readings[0].label, sizeof claim.readings[0].label, "cents");
    claim.readings[0].scale = 0.01;
    snprintf(claim.readings[0].impossible_below, sizeof claim.readings[0].impossible_below,
             "s.floor");
    ClaimResult result = judge(&claim);
    expect(&result, VERDICT_REPRODUCED, "impossible: 10.2x below the bound");

    /* published in cents, simulated in dollars: explained by the reading */
    claim = number_claim(0.49, 0.49, "s.price");
    claim.reading_count = 1;
    snprintf(claim.readings[0].label, sizeof claim.readings[0].label, "cents");
    claim.readings[0].scale = 0.01;
    result = judge(&claim);
    expect(&result, VERDICT_EXPLAINED, "which agrees");
}

static void test_statements(void **state)
{
    (void)state;
    Claim claim;
    memset(&claim, 0, sizeof claim);
    snprintf(claim.holds, sizeof claim.holds, "s.days > 50");
    ClaimResult result = judge(&claim);
    expect(&result, VERDICT_REPRODUCED, "holds in 100% of the draws");

    snprintf(claim.holds, sizeof claim.holds, "s.days > 150");
    result = judge(&claim);
    expect(&result, VERDICT_EXPLAINED, "holds in 50% of the draws");

    snprintf(claim.holds, sizeof claim.holds, "s.flops > 1e12");
    result = judge(&claim);
    expect(&result, VERDICT_CONTRADICTED, "does not hold");
}

static void test_untestable_and_evidence(void **state)
{
    (void)state;
    Claim claim;
    memset(&claim, 0, sizeof claim);
    snprintf(claim.untestable, sizeof claim.untestable, "needs a loss model");
    claim.evidence_count = 1;
    snprintf(claim.evidence[0].label, sizeof claim.evidence[0].label, "days");
    snprintf(claim.evidence[0].quantity, sizeof claim.evidence[0].quantity, "s.days");
    ClaimResult result = judge(&claim);
    expect(&result, VERDICT_UNTESTABLE, "needs a loss model; days: 150 [105 .. 195]");
    assert_false(result.has_simulated);
}

static void test_bad_expression_is_an_error(void **state)
{
    (void)state;
    Claim claim = number_claim(1, 1, "s.nothing");
    ClaimResult result;
    Error error;
    assert_int_equal(claim_judge(&claim, &SCOPE, &result, &error), STATUS_INVALID);
}

static void test_numbers_read_well(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{2.15e25, "2.15e25"}, {0.0049, "0.0049"}, {4.9e-5, "4.9e-5"},
                 {98.76543, "98.77"},  {0, "0"},           {25000, "25000"},
                 {24960, "24960"},     {-1e7, "-1e7"},     {123456, "123456"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[64];
        claim_format_number(cases[i].value, text, sizeof text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_unit_slip_is_found),
        cmocka_unit_test(test_bands),
        cmocka_unit_test(test_readings),
        cmocka_unit_test(test_statements),
        cmocka_unit_test(test_untestable_and_evidence),
        cmocka_unit_test(test_bad_expression_is_an_error),
        cmocka_unit_test(test_numbers_read_well),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
