/* The fit of kernels' constants: known constants come back, bounds hold, threads do not matter. */
#include "sim/planning/kernel_fit.h"
#include "tests/unit/shipped.h"

#include <math.h>

enum { ROWS = 300 };

/* t = a + x / b, and c that is given. */
typedef struct Line {
    double x[ROWS], seconds[ROWS];
} Line;

typedef struct LineFit {
    double start_s, rate, given;
} LineFit;

static const KernelParameter PARAMETERS[] = {
    {"start", offsetof(LineFit, start_s), 1e-7, 1e-3, 1, 1e-5, 1e-6, "us", 1},
    {"rate", offsetof(LineFit, rate), 0, 1e10, 0, 5e9, 1, "", 1},
    {"given", offsetof(LineFit, given), 0, 0, 0, 0, 1, "", 0},
};

static double predict(const void *context, const double *values, size_t row)
{
    return values[0] + ((const Line *)context)->x[row] / values[1] * values[2];
}

static double measured(const void *context, size_t row)
{
    return ((const Line *)context)->seconds[row];
}

static KernelFitProblem problem_of(const Line *line)
{
    return (KernelFitProblem){.parameters = PARAMETERS,
                              .parameter_count = 3,
                              .row_count = ROWS,
                              .predict = predict,
                              .measured = measured,
                              .context = line};
}

static void known_constants(void **state)
{
    (void)state;
    static Line line;
    Error error = {0};
    for (size_t i = 0; i < ROWS; i++) {
        line.x[i] = pow(10, 3 + 6.0 * (double)i / ROWS);
        line.seconds[i] = 7e-6 + line.x[i] / 2e9 * 3;
    }
    const KernelFitProblem problem = problem_of(&line);
    double values[3] = {0, 0, 3}, loss;
    ForecastOptions options = {.threads = 1};
    assert_int_equal(kernel_fit(&problem, &options, values, &loss, &error), STATUS_OK);
    assert_near(values[0], 7e-6, 7e-9);
    assert_near(values[1], 2e9, 2e6);
    assert_near(values[2], 3, 0);
    assert_true(loss < 1e-3);

    double threaded[3] = {0, 0, 3}, threaded_loss;
    options.threads = 3;
    assert_int_equal(kernel_fit(&problem, &options, threaded, &threaded_loss, &error), STATUS_OK);
    assert_memory_equal(values, threaded, sizeof values);

    /* A third of the rows ten times too slow do not rule. */
    for (size_t i = 0; i < ROWS; i += 3)
        line.seconds[i] *= 10;
    assert_int_equal(kernel_fit(&problem, &options, values, &loss, &error), STATUS_OK);
    assert_near(values[0], 7e-6, 2e-7);
    assert_near(values[1], 2e9, 6e7);
}

static void bounds(void **state)
{
    (void)state;
    static Line line;
    Error error = {0};
    for (size_t i = 0; i < ROWS; i++) {
        line.x[i] = 1e6 * (double)(i + 1);
        line.seconds[i] = line.x[i] / 1e12; /* faster than the range allows */
    }
    const KernelFitProblem problem = problem_of(&line);
    double values[3] = {0, 0, 1}, loss;
    const ForecastOptions options = {.threads = 1};
    assert_int_equal(kernel_fit(&problem, &options, values, &loss, &error), STATUS_OK);
    assert_true(values[0] >= 1e-7 && values[0] < 1.1e-7);
    assert_true(values[1] > 0.99e10 && values[1] <= 1e10);
}

static int stop(void *context, size_t done, size_t total)
{
    (void)context;
    (void)total;
    return done > 10;
}

static void nothing_to_fit(void **state)
{
    (void)state;
    static Line line;
    Error error = {0};
    KernelFitProblem problem = problem_of(&line);
    double values[3] = {0, 0, 1}, loss;
    ForecastOptions options = {.threads = 1};
    problem.row_count = 0;
    assert_int_equal(kernel_fit(&problem, &options, values, &loss, &error), STATUS_INVALID);
    problem = problem_of(&line);
    problem.parameters = &PARAMETERS[2];
    problem.parameter_count = 1;
    assert_int_equal(kernel_fit(&problem, &options, values, &loss, &error), STATUS_INVALID);
    for (size_t i = 0; i < ROWS; i++)
        line.x[i] = line.seconds[i] = 1;
    problem = problem_of(&line);
    options.progress = stop;
    assert_int_equal(kernel_fit(&problem, &options, values, &loss, &error), STATUS_INTERRUPTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_constants),
        cmocka_unit_test(bounds),
        cmocka_unit_test(nothing_to_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
