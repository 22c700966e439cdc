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
            each->work = (CalWork){.flops = 2 * m * n * k, .bytes = 2 * (m * k + n * k + m * n)};
            each->seconds =
                cal_curve_seconds(truth, &each->work) * exp(noise * random_normal(&random));
        }
    return count;
}

static double seconds_of(const CalCurve *curve, double flops, double bytes)
{
    const CalWork work = {.flops = flops, .bytes = bytes};
    return cal_curve_seconds(curve, &work);
}

static void the_curve_has_its_limits(void **state)
{
    (void)state;
    CalCurve curve = {.value = {5e-6, 2e12, 5e14, 1}};
    assert_near(seconds_of(&curve, 5e11, 2e9), 5e-6 + 1e-3 + 1e-3, 1e-12);
    curve.value[CAL_OVERLAP] = 2; /* hypotenuse of 3 and 4 ms */
    assert_near(seconds_of(&curve, 1.5e12, 8e9), 5e-6 + 5e-3, 1e-12);
    assert_near(seconds_of(&curve, 0, 8e9), 5e-6 + 4e-3, 1e-12);
    assert_near(seconds_of(&curve, 0, 0), 5e-6, 1e-18);
    const CalWork layer = {.flops = 1.5e12, .bytes = 8e9, .moved_bytes = 1e9, .reread_bytes = 4e9};
    assert_near(cal_curve_seconds(&curve, &layer), 5e-6 + 5e-3, 1e-12);
    curve.value[CAL_ROWS] = 1e12;
    curve.value[CAL_REREAD] = 0.5;
    assert_near(cal_curve_seconds(&curve, &layer), 5e-6 + 5e-3 + 1e-3 + 1e-3, 1e-12);
}

static void known_parameters_come_back_within_their_errors(void **state)
{
    (void)state;
    static const CalCurve TRUTHS[] = {{{4e-6, 2.5e12, 7e14, 2.5, 0, 0}},
                                      {{2e-5, 1.5e12, 2.5e14, 1.3, 0, 0}},
                                      {{6e-6, 3e12, 8e14, 1.8, 0, 0}}};
    static const Work SHAPES[] = {{4096, 4096}, {14336, 4096}, {1024, 8192}, {512, 1024}};
    gsl_set_error_handler_off();
    for (size_t t = 0; t < 3; ++t)
        for (uint64_t seed = 1; seed <= 5; ++seed) {
            CalObservation points[MOST];
            CalFit fit;
            Error error;
            const size_t count = make_points(&TRUTHS[t], SHAPES, 4, 0.02, seed, points);
            assert_int_equal(cal_fit_curve(points, count, NULL, NULL, &fit, &error), STATUS_OK);
            for (int p = 0; p < CAL_ROWS; ++p) {
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
    const CalCurve truth = {{5e-6, 2e12, 5e14, 2, 0, 0}};
    static const Work SHAPES[] = {{4096, 4096}, {1024, 8192}, {512, 1024}};
    enum { FITS = 40 };
    double sum = 0, squares = 0, claimed = 0;
    gsl_set_error_handler_off();
    for (uint64_t seed = 1; seed <= FITS; ++seed) {
        CalObservation points[MOST];
        CalFit fit;
        Error error;
        const size_t count = make_points(&truth, SHAPES, 3, 0.03, 100 + seed, points);
        assert_int_equal(cal_fit_curve(points, count, NULL, NULL, &fit, &error), STATUS_OK);
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
    const CalCurve truth = {{2e-5, 7e9, 1.7e11, 1, 0, 0}};
    const Work shape = {3584, 1024};
    CalObservation points[MOST];
    CalFit fit;
    Error error;
    gsl_set_error_handler_off();
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        const size_t count = make_points(&truth, &shape, 1, 0.01, seed, points);
        assert_int_equal(cal_fit_curve(points, count, NULL, NULL, &fit, &error), STATUS_OK);
        assert_false(fit.identified[CAL_ALPHA]);
        assert_false(fit.identified[CAL_BANDWIDTH]);
        assert_true(fit.errors.mean_abs < 0.02); /* and yet it looks perfect */
    }
}

static void the_datasheet_bounds_the_fit(void **state)
{
    (void)state;
    const CalCurve truth = {{4e-6, 3e12, 9e14, 2, 0, 0}};
    static const Work SHAPES[] = {{4096, 4096}, {1024, 8192}};
    const CalLimits limits = {.flops_per_s = 8e14, .bytes_per_s = 2.5e12};
    CalObservation points[MOST];
    CalFit fit;
    Error error;
    gsl_set_error_handler_off();
    const size_t count = make_points(&truth, SHAPES, 2, 0, 1, points);
    assert_int_equal(cal_fit_curve(points, count, &limits, NULL, &fit, &error), STATUS_OK);
    assert_true(fit.curve.value[CAL_PEAK] <= limits.flops_per_s);
    assert_true(fit.curve.value[CAL_BANDWIDTH] <= limits.bytes_per_s);
    assert_true(fit.curve.value[CAL_PEAK] > 0.9 * limits.flops_per_s);
}

static void a_few_wrong_rows_do_not_bend_the_curve(void **state)
{
    (void)state;
    const CalCurve truth = {{5e-6, 2e12, 5e14, 2, 0, 0}};
    static const Work SHAPES[] = {{4096, 4096}, {1024, 8192}, {512, 1024}};
    CalObservation points[MOST];
    CalFit fit;
    Error error;
    gsl_set_error_handler_off();
    const size_t count = make_points(&truth, SHAPES, 3, 0.01, 3, points);
    for (size_t i = 4; i < count; i += 11)
        points[i].seconds *= 4;
    assert_int_equal(cal_fit_curve(points, count, NULL, NULL, &fit, &error), STATUS_OK);
    for (int p = 0; p < CAL_ROWS; ++p)
        assert_near(fit.curve.value[p] / truth.value[p], 1, 0.1);
    assert_true(fit.errors.max_abs > 0.7); /* reported, not hidden */
}

static void too_few_points_are_no_fit(void **state)
{
    (void)state;
    const CalObservation points[] = {
        {{1e9, 1e6, 0, 0}, 1e-4}, {{2e9, 2e6, 0, 0}, 2e-4}, {{4e9, 3e6, 0, 0}, 4e-4}};
    CalFit fit;
    Error error;
    assert_int_equal(cal_fit_curve(points, 3, NULL, NULL, &fit, &error), STATUS_NO);
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
        points[i] = (CalObservation){{.bytes = bytes}, 2e-6 + bytes / 1e12};
    }
    assert_int_equal(cal_fit_curve(points, 12, NULL, NULL, &fit, &error), STATUS_OK);
    assert_false(fit.used[CAL_PEAK]);
    assert_near(fit.curve.value[CAL_ALPHA], 2e-6, 1e-9);
    assert_near(fit.curve.value[CAL_BANDWIDTH], 1e12, 1e9);
}

/* Layers of three shapes with what moves around the products and what tiles read again. */
static size_t make_layers(const CalCurve *truth, double noise, uint64_t seed, size_t shapes,
                          CalObservation *points)
{
    static const MoeLayerShape SHAPES[] = {{.hidden = 4096, .inter = 14336, .gated = 1},
                                           {.hidden = 6144, .inter = 2048, .gated = 1},
                                           {.hidden = 2048, .inter = 768, .gated = 1}};
    const MoeTiles tiles = {.rows = 64, .columns = 64, .cache_bytes = 40e6};
    RandomStream random = random_stream(seed, "calibration layers", 0);
    size_t count = 0;
    for (size_t s = 0; s < shapes; ++s)
        for (double tokens = 1; tokens <= 65536; tokens *= 2) {
            MoeLayerShape shape = SHAPES[s];
            shape.tokens = tokens;
            const double rows = 2 * tokens, touched = fmin(8, rows);
            const MoeLayerWork work = moe_layer_work(
                &shape, &tiles, 2, rows,
                touched * moe_tiled_rows(&tiles, tokens, 8, rows / touched), touched);
            CalObservation *each = &points[count++];
            each->work = (CalWork){work.flops, work.bytes, work.moved_bytes, work.reread_bytes};
            each->seconds =
                cal_curve_seconds(truth, &each->work) * exp(noise * random_normal(&random));
        }
    return count;
}

static void parameters_of_whole_layers_come_back(void **state)
{
    (void)state;
    const CalCurve truth = {{2e-5, 1.7e12, 1.4e14, 1.5, 1e12, 0.7}};
    gsl_set_error_handler_off();
    for (uint64_t seed = 1; seed <= 5; ++seed) {
        CalObservation points[MOST];
        CalFit fit;
        Error error;
        const size_t count = make_layers(&truth, 0.03, seed, 3, points);
        assert_int_equal(cal_fit_curve(points, count, NULL, NULL, &fit, &error), STATUS_OK);
        for (int p = 0; p < CAL_PARAMETERS; ++p)
            if (!(fabs(fit.curve.value[p] - truth.value[p]) <= 4 * fit.error[p] &&
                  fit.identified[p]))
                fail_msg("seed %d: %s = %g +- %g, not %g", (int)seed, CAL_PARAMETER_NAMES[p],
                         fit.curve.value[p], fit.error[p], truth.value[p]);
    }
}

/* One shape in 8 bits tells neither the launch from the weights nor the arithmetic from what moves
 * around it; the 16-bit sibling does, and does no harm where the points tell all. */
static void a_sibling_tells_what_one_shape_cannot(void **state)
{
    (void)state;
    const CalCurve wide = {{2e-5, 3e12, 8e14, 2, 2.5e12, 0.1}};
    const CalCurve narrow = {{2.2e-5, 3e12, 1.6e15, 2, 8e11, 0.1}};
    const CalLimits limits = {9.9e14, 3.35e12}, narrow_limits = {1.98e15, 3.35e12};
    CalObservation points[MOST], narrow_points[MOST];
    CalFit sibling, alone, near;
    Error error;
    gsl_set_error_handler_off();
    double alone_worst = 0, near_worst = 0;
    for (uint64_t seed = 1; seed <= 5; ++seed) {
        size_t count = make_layers(&wide, 0.02, seed, 3, points);
        assert_int_equal(cal_fit_curve(points, count, &limits, NULL, &sibling, &error), STATUS_OK);
        const size_t all = make_layers(&narrow, 0.02, 100 + seed, 3, narrow_points);
        count = all / 3; /* the first shape */
        assert_int_equal(cal_fit_curve(narrow_points, count, &narrow_limits, NULL, &alone, &error),
                         STATUS_OK);
        assert_int_equal(
            cal_fit_curve(narrow_points, count, &narrow_limits, &sibling, &near, &error),
            STATUS_OK);
        for (size_t i = count; i < all; ++i) {
            const CalObservation *each = &narrow_points[i];
            const double exact = cal_curve_seconds(&narrow, &each->work);
            alone_worst =
                fmax(alone_worst, fabs(log(cal_curve_seconds(&alone.curve, &each->work) / exact)));
            near_worst =
                fmax(near_worst, fabs(log(cal_curve_seconds(&near.curve, &each->work) / exact)));
        }
        assert_int_equal(cal_fit_curve(narrow_points, all, &narrow_limits, &sibling, &near, &error),
                         STATUS_OK);
        assert_near(near.curve.value[CAL_ROWS] / narrow.value[CAL_ROWS], 1, 0.1);
        assert_near(near.curve.value[CAL_PEAK] / narrow.value[CAL_PEAK], 1, 0.1);
    }
    if (!(near_worst < 0.25 && near_worst < 0.5 * alone_worst))
        fail_msg("shapes not seen: within %g, without the sibling %g", near_worst, alone_worst);
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
        cmocka_unit_test(parameters_of_whole_layers_come_back),
        cmocka_unit_test(a_sibling_tells_what_one_shape_cannot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
