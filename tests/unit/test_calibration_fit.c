/* The fit on points made from known parameters: they come back within their standard errors, and
 * what the points cannot tell is said to be not identified. */
#include "tests/unit/shipped.h"

#include "hw/calibration/fit.h"
#include "sim/engine/random.h"

#include <gsl/gsl_errno.h>
#include <math.h>

enum { MOST = 128 };

typedef struct Work {
    double n, k;
} Work;

/* Products of m rows at each shape, m doubling from 1; times from the curve with lognormal noise.
 */
static size_t make_points(const CalCurve *truth, const Work *shapes, size_t shape_count,
                          double noise, uint64_t seed, CalObservation *points)
{
    RandomStream random = random_stream(seed, "calibration points", 0);
    size_t count = 0;
    for (size_t s = 0; s < shape_count; ++s)
        for (double m = 1; m <= 16384; m *= 2) {
            const double n = shapes[s].n, k = shapes[s].k;
            CalObservation *each = &points[count++];
            each->flops = 2 * m * n * k;
            each->bytes = 2 * (m * k + n * k + m * n);
            each->seconds = cal_curve_seconds(truth, each->flops, each->bytes) *
                            exp(noise * random_normal(&random));
        }
    return count;
}

static void the_curve_has_its_limits(void **state)
{
    (void)state;
    CalCurve curve = {.value = {5e-6, 2e12, 5e14, 1}};
    assert_near(cal_curve_seconds(&curve, 5e11, 2e9), 5e-6 + 1e-3 + 1e-3, 1e-12);
    curve.value[CAL_OVERLAP] = 2; /* hypotenuse of 3 and 4 ms */
    assert_near(cal_curve_seconds(&curve, 1.5e12, 8e9), 5e-6 + 5e-3, 1e-12);
    assert_near(cal_curve_seconds(&curve, 0, 8e9), 5e-6 + 4e-3, 1e-12);
    assert_near(cal_curve_seconds(&curve, 0, 0), 5e-6, 1e-18);
}

static void known_parameters_come_back_within_their_errors(void **state)
{
    (void)state;
    static const CalCurve TRUTHS[] = {
        {{4e-6, 2.5e12, 7e14, 2.5}}, {{2e-5, 1.5e12, 2.5e14, 1.3}}, {{6e-6, 3e12, 8e14, 1.8}}};
    static const Work SHAPES[] = {{4096, 4096}, {14336, 4096}, {1024, 8192}, {512, 1024}};
    gsl_set_error_handler_off();
    for (size_t t = 0; t < 3; ++t)
        for (uint64_t seed = 1; seed <= 5; ++seed) {
            CalObservation points[MOST];
            CalFit fit;
            Error error;
            const size_t count = make_points(&TRUTHS[t], SHAPES, 4, 0.02, seed, points);
            assert_int_equal(cal_fit_curve(points, count, NULL, &fit, &error), STATUS_OK);
            for (int p = 0; p < CAL_PARAMETERS; ++p) {
                const double off = fabs(fit.curve.value[p] - TRUTHS[t].value[p]);
                if (!(off <= 4 * fit.error[p] && fit.identified[p]))
                    fail_msg("truth %zu, seed %d: %s = %g +- %g, not %g", t, (int)seed,
                             CAL_PARAMETER_NAMES[p], fit.curve.value[p], fit.error[p],
                             TRUTHS[t].value[p]);
                /* the errors are errors and no excuse: 2 % noise on 60 points tells a lot */
                assert_true(fit.error[p] < 0.25 * fit.curve.value[p]);
            }
            assert_near(fit.scatter, 0.02, 0.008);
        }
}

static void standard_errors_match_the_scatter_of_fits(void **state)
{
    (void)state;
    const CalCurve truth = {{5e-6, 2e12, 5e14, 2}};
    static const Work SHAPES[] = {{4096, 4096}, {1024, 8192}, {512, 1024}};
    enum { FITS = 40 };
    double sum = 0, squares = 0, claimed = 0;
    gsl_set_error_handler_off();
    for (uint64_t seed = 1; seed <= FITS; ++seed) {
        CalObservation points[MOST];
        CalFit fit;
        Error error;
        const size_t count = make_points(&truth, SHAPES, 3, 0.03, 100 + seed, points);
        assert_int_equal(cal_fit_curve(points, count, NULL, &fit, &error), STATUS_OK);
        const double value = log(fit.curve.value[CAL_PEAK]);
        sum += value;
        squares += value * value;
        claimed += fit.error[CAL_PEAK] / fit.curve.value[CAL_PEAK] / FITS;
    }
    const double spread = sqrt(squares / FITS - sum / FITS * (sum / FITS));
    if (!(claimed > 0.6 * spread && claimed < 1.7 * spread))
        fail_msg("claimed %g, found %g", claimed, spread);
}

static void one_shape_does_not_identify_the_launch(void **state)
{
    (void)state;
    /* With q = 1 time is a straight line in m: two numbers for three parameters. */
    const CalCurve truth = {{2e-5, 7e9, 1.7e11, 1}};
    const Work shape = {3584, 1024};
    CalObservation points[MOST];
    CalFit fit;
    Error error;
    gsl_set_error_handler_off();
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        const size_t count = make_points(&truth, &shape, 1, 0.01, seed, points);
        assert_int_equal(cal_fit_curve(points, count, NULL, &fit, &error), STATUS_OK);
        assert_false(fit.identified[CAL_ALPHA]);
        assert_false(fit.identified[CAL_BANDWIDTH]);
        assert_true(fit.errors.mean_abs < 0.02); /* and yet it looks perfect */
    }
}

static void the_datasheet_bounds_the_fit(void **state)
{
    (void)state;
    const CalCurve truth = {{4e-6, 3e12, 9e14, 2}};
    static const Work SHAPES[] = {{4096, 4096}, {1024, 8192}};
    const CalLimits limits = {.flops_per_s = 8e14, .bytes_per_s = 2.5e12};
    CalObservation points[MOST];
    CalFit fit;
    Error error;
    gsl_set_error_handler_off();
    const size_t count = make_points(&truth, SHAPES, 2, 0, 1, points);
    assert_int_equal(cal_fit_curve(points, count, &limits, &fit, &error), STATUS_OK);
    assert_true(fit.curve.value[CAL_PEAK] <= limits.flops_per_s);
    assert_true(fit.curve.value[CAL_BANDWIDTH] <= limits.bytes_per_s);
    assert_true(fit.curve.value[CAL_PEAK] > 0.9 * limits.flops_per_s);
}

static void a_few_wrong_rows_do_not_bend_the_curve(void **state)
{
    (void)state;
    const CalCurve truth = {{5e-6, 2e12, 5e14, 2}};
    static const Work SHAPES[] = {{4096, 4096}, {1024, 8192}, {512, 1024}};
    CalObservation points[MOST];
    CalFit fit;
    Error error;
    gsl_set_error_handler_off();
    const size_t count = make_points(&truth, SHAPES, 3, 0.01, 3, points);
    for (size_t i = 4; i < count; i += 11)
        points[i].seconds *= 4;
    assert_int_equal(cal_fit_curve(points, count, NULL, &fit, &error), STATUS_OK);
    for (int p = 0; p < CAL_PARAMETERS; ++p)
        assert_near(fit.curve.value[p] / truth.value[p], 1, 0.1);
    assert_true(fit.errors.max_abs > 0.7); /* reported, not hidden */
}

static void too_few_points_are_no_fit(void **state)
{
    (void)state;
    const CalObservation points[] = {{1e9, 1e6, 1e-4}, {2e9, 2e6, 2e-4}, {4e9, 3e6, 4e-4}};
    CalFit fit;
    Error error;
    assert_int_equal(cal_fit_curve(points, 3, NULL, &fit, &error), STATUS_NO);
}

static void work_that_only_moves_has_no_throughput(void **state)
{
    (void)state;
    CalObservation points[12];
    CalFit fit;
    Error error;
    gsl_set_error_handler_off();
    for (int i = 0; i < 12; ++i) {
        const double bytes = 1e4 * pow(2, i);
        points[i] = (CalObservation){0, bytes, 2e-6 + bytes / 1e12};
    }
    assert_int_equal(cal_fit_curve(points, 12, NULL, &fit, &error), STATUS_OK);
    assert_false(fit.used[CAL_PEAK]);
    assert_near(fit.curve.value[CAL_ALPHA], 2e-6, 1e-9);
    assert_near(fit.curve.value[CAL_BANDWIDTH], 1e12, 1e9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_curve_has_its_limits),
        cmocka_unit_test(known_parameters_come_back_within_their_errors),
        cmocka_unit_test(standard_errors_match_the_scatter_of_fits),
        cmocka_unit_test(one_shape_does_not_identify_the_launch),
        cmocka_unit_test(the_datasheet_bounds_the_fit),
        cmocka_unit_test(a_few_wrong_rows_do_not_bend_the_curve),
        cmocka_unit_test(too_few_points_are_no_fit),
        cmocka_unit_test(work_that_only_moves_has_no_throughput),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
