/* The fit of a software stack: rows that the program made itself with known parameters give them
 * back, and the stack's file takes them. */
#include "sim/planning/stack_fit.h"
#include "tests/unit/shipped.h"

#include <math.h>

#define HEADER                                                                                     \
    "id,split,stack,model,gpu,n_gpus,tp,pp,dp,n_layers,d_model,n_heads,seq_len,micro_batch,"       \
    "global_batch_seqs,recompute,metric,value\n"

/* Small and large kernels, so that what a launch, a byte and all kernels cost can be told apart. */
static const struct {
    double tensor, d_model, length, micro_batch;
} SHAPES[] = {{1, 1024, 512, 1},  {1, 1024, 2048, 4}, {1, 2048, 1024, 1},  {1, 2048, 2048, 8},
              {2, 4096, 1024, 1}, {2, 4096, 2048, 4}, {4, 8192, 2048, 1},  {4, 8192, 2048, 4},
              {8, 8192, 1024, 1}, {8, 8192, 2048, 2}, {8, 12288, 2048, 1}, {8, 12288, 2048, 4}};
enum { SHAPE_COUNT = sizeof SHAPES / sizeof SHAPES[0], ROW_BYTES = 192 };

static const char COMMON[] = "stack-common", ZERO_BUBBLE[] = "stack-zero-bubble-2023";

static const double OVERHEAD = 0.20, LAUNCH_S = 12e-6, FUSED = 0.30;

/* `values`: tokens/s/GPU of each row. A model a row. */
static void write_rows(const char *stack, const double *values, char *text, size_t bytes)
{
    size_t used = (size_t)snprintf(text, bytes, "%s", HEADER);
    for (size_t i = 0; i < SHAPE_COUNT; i++)
        used += (size_t)snprintf(text + used, bytes - used,
                                 "made-%zu,pool,%s,m%zu,A100-SXM-80GB,%g,%g,1,1,8,%g,%g,%g,%g,"
                                 "%g,none,tokens_per_s_per_gpu,%.17g\n",
                                 i, stack, i, SHAPES[i].tensor, SHAPES[i].tensor, SHAPES[i].d_model,
                                 SHAPES[i].d_model / 128, SHAPES[i].length, SHAPES[i].micro_batch,
                                 4 * SHAPES[i].micro_batch, values[i]);
    assert_true(used < bytes);
}

static void read_rows(const char *text, MeasurementFile *file)
{
    Error error = {0};
    if (measurements_read_text("made.csv", text, strlen(text), file, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

/* What the rows give with these parameters. */
static void predict_rows(const ConfigPaths *paths, const char *stack, const char *const *sets,
                         size_t set_count, double values[SHAPE_COUNT])
{
    const ForecastOptions options = {.seed = 1, .threads = 1};
    char text[SHAPE_COUNT * ROW_BYTES + sizeof HEADER];
    Error error = {0};
    MeasurementFile file;
    ValidationResult result;
    for (size_t i = 0; i < SHAPE_COUNT; i++)
        values[i] = 1;
    write_rows(stack, values, text, sizeof text);
    read_rows(text, &file);
    if (validate_training(paths, &file, "pool", sets, set_count, &options, &result, &error) !=
        STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(result.row_count, SHAPE_COUNT);
    for (size_t i = 0; i < SHAPE_COUNT; i++)
        values[i] = result.rows[i].predicted;
    validation_free(&result);
    measurements_free(&file);
}

static StackFits fit_rows(const ConfigPaths *paths, const char *name, const char *text,
                          size_t folds, size_t threads)
{
    const ForecastOptions options = {.seed = 1, .threads = threads};
    const char *const names[] = {name};
    MeasurementFile file;
    StackFits fits;
    Error error = {0};
    read_rows(text, &file);
    if (stack_fit(paths, &file, names, 1, folds, &options, &fits, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    measurements_free(&file);
    return fits;
}

static void test_known_parameters_come_back(void **state)
{
    (void)state;
    const char *const sets[] = {"training.kernel_overhead=20%", "training.launch=12us",
                                "training.fused=30%"};
    char text[SHAPE_COUNT * ROW_BYTES + sizeof HEADER];
    double values[SHAPE_COUNT];
    ConfigPaths paths;
    Error error = {0};
    assert_int_equal(config_paths_find(NULL, &paths, &error), STATUS_OK);
    predict_rows(&paths, COMMON, sets, 3, values);
    write_rows(COMMON, values, text, sizeof text);
    StackFits fits = fit_rows(&paths, "common", text, 0, 1);
    assert_int_equal(fits.count, 1);
    const StackFit *fit = &fits.fits[0];
    assert_string_equal(fit->stack, "stack-common");
    assert_string_equal(fit->families, "made");
    assert_int_equal(fit->fit_rows, SHAPE_COUNT);
    assert_near(fit->value[FIT_KERNEL_OVERHEAD] / OVERHEAD, 1, 0.02);
    assert_near(fit->value[FIT_LAUNCH] / LAUNCH_S, 1, 0.02);
    assert_near(fit->value[FIT_FUSED] / FUSED, 1, 0.02);
    assert_int_equal(fit->fitted[FIT_TENSOR_OVERLAP], 0); /* this stack overlaps nothing */
    assert_int_equal(fit->fitted[FIT_EXPERT_OVERLAP], 0); /* and no row has expert ways */
    assert_true(fit->before.mean_abs > 0.1);
    assert_true(fit->after.mean_abs < 0.005);

    StackFits again = fit_rows(&paths, "common", text, 0, 3);
    assert_memory_equal(&again.fits[0], fit, sizeof *fit); /* whatever the number of threads */
    stack_fits_free(&again);
    stack_fits_free(&fits);
}

static size_t occurrences(const char *text, const char *word)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += strlen(word))
        count++;
    return count;
}

static void test_file_takes_the_values(void **state)
{
    (void)state;
    ConfigPaths paths;
    Error error = {0};
    char *text = NULL;
    StackFit fit = {.stack = "stack-nemo-2024",
                    .fit_rows = 9,
                    .families = "a b",
                    .fitted = {[FIT_KERNEL_OVERHEAD] = 1, [FIT_EXPERT_OVERLAP] = 1},
                    .value = {[FIT_KERNEL_OVERHEAD] = 0.125, [FIT_EXPERT_OVERLAP] = 0.25},
                    .before = {.mean_abs = 0.2},
                    .after = {.mean_abs = 0.05}};
    assert_int_equal(config_paths_find(NULL, &paths, &error), STATUS_OK);
    assert_int_equal(stack_fit_yaml(&paths, &fit, &text, &error), STATUS_OK);
    assert_non_null(strstr(text,
                           "\nkernel_overhead: {value: 12.5%, source: \"fitted on 9 pool rows "
                           "of nemo-2024 (a b), mean error 20.0% -> 5.0%\"}\n"));
    assert_non_null(strstr(text, "\n  expert_overlap: {value: 25%"));
    assert_int_equal(occurrences(text, "kernel_overhead:"), 1);
    assert_int_equal(occurrences(text, "\nlaunch:"), 0); /* not fitted: the base's */
    assert_int_equal(occurrences(text, "tensor_overlap:"), 1);
    assert_non_null(strstr(text, "zero_stage"));
    free(text);

    snprintf(fit.stack, sizeof fit.stack, "stack-absent");
    assert_int_equal(stack_fit_yaml(&paths, &fit, &text, &error), STATUS_INVALID);
    assert_null(text);
}

static void test_no_row_of_that_stack(void **state)
{
    (void)state;
    const ForecastOptions options = {.seed = 1, .threads = 1};
    const char *const names[] = {"nemo-2024"};
    char text[SHAPE_COUNT * ROW_BYTES + sizeof HEADER];
    double values[SHAPE_COUNT];
    ConfigPaths paths;
    MeasurementFile file;
    StackFits fits;
    Error error = {0};
    for (size_t i = 0; i < SHAPE_COUNT; i++)
        values[i] = 1000;
    write_rows(COMMON, values, text, sizeof text);
    read_rows(text, &file);
    assert_int_equal(config_paths_find(NULL, &paths, &error), STATUS_OK);
    assert_int_equal(stack_fit(&paths, &file, names, 1, 0, &options, &fits, &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.message, "nemo-2024"));
    stack_fits_free(&fits);
    measurements_free(&file);
}

/* Each model is predicted from the others. Without noise that is exact; a row that says twice as
 * much as the rest allows does not pull its own prediction along. */
static void test_folds_hold_models_out(void **state)
{
    (void)state;
    const char *const sets[] = {"training.kernel_overhead=20%", "training.launch=12us",
                                "training.fused=30%"};
    char text[SHAPE_COUNT * ROW_BYTES + sizeof HEADER];
    double values[SHAPE_COUNT];
    ConfigPaths paths;
    Error error = {0};
    assert_int_equal(config_paths_find(NULL, &paths, &error), STATUS_OK);
    predict_rows(&paths, ZERO_BUBBLE, sets, 3, values);
    values[0] *= 2;
    write_rows(ZERO_BUBBLE, values, text, sizeof text);
    StackFits fits = fit_rows(&paths, "zero-bubble-2023", text, FIT_MOST_FOLDS, 2);
    assert_int_equal(fits.count, 1);
    assert_int_equal(fits.held_out.n, SHAPE_COUNT);
    assert_int_equal(fits.fits[0].held_out.n, SHAPE_COUNT);
    assert_true(fits.held_out.median_abs < 0.02);
    assert_near(fits.held_out.max_abs, 0.5, 0.03); /* half of what the row says */
    stack_fits_free(&fits);

    fits = fit_rows(&paths, "zero-bubble-2023", text, 0, 2);
    assert_int_equal(fits.held_out.n, 0);
    assert_int_equal(fits.after.n, SHAPE_COUNT);
    stack_fits_free(&fits);
}

/* One row cannot tell three parameters apart. The centre explains it, so they stay there; and what
 * it says beyond is shared out among them, instead of one of them going to its bound. */
static void test_few_rows_stay_near_the_centre(void **state)
{
    (void)state;
    static const double slower = 0.93;
    char text[SHAPE_COUNT * ROW_BYTES + sizeof HEADER];
    double values[SHAPE_COUNT];
    ConfigPaths paths;
    Error error = {0};
    Scenario *common = calloc(1, sizeof *common);
    ErrorList *errors = calloc(1, sizeof *errors);
    assert_true(common != NULL && errors != NULL);
    assert_int_equal(config_paths_find(NULL, &paths, &error), STATUS_OK);
    assert_int_equal(part_read(&paths, "calibration", COMMON, NULL, 0, common, NULL, NULL, errors),
                     STATUS_OK);
    char overhead[64], launch[64], fused[64];
    snprintf(overhead, sizeof overhead, "training.kernel_overhead=%.9g",
             common->training.kernel_overhead);
    snprintf(launch, sizeof launch, "training.launch=%.9gus", 1e6 * common->training.launch_s);
    snprintf(fused, sizeof fused, "training.fused=%.9g", common->training.fused);
    const char *const sets[] = {overhead, launch, fused};
    predict_rows(&paths, ZERO_BUBBLE, sets, 3, values);
    for (int trial = 0; trial < 2; trial++) {
        values[0] *= trial == 0 ? 1 : slower;
        write_rows(ZERO_BUBBLE, values, text, sizeof text);
        char *end = strchr(strchr(text, '\n') + 1, '\n'); /* the header and the first row */
        end[1] = '\0';
        StackFits fits = fit_rows(&paths, "zero-bubble-2023", text, 0, 1);
        const double *value = fits.fits[0].value;
        assert_int_equal(fits.fits[0].fit_rows, 1);
        const double away_s = fabs(value[FIT_LAUNCH] - common->training.launch_s);
        const double bound = trial == 0 ? 0.01 : 0.5;
        assert_true(fabs(value[FIT_KERNEL_OVERHEAD] - common->training.kernel_overhead) < bound);
        assert_true(away_s < bound * FIT_PARAMETER_SPECS[FIT_LAUNCH].high);
        assert_true(trial == 0 || fits.fits[0].after.mean_abs < 0.07);
        stack_fits_free(&fits);
    }
    free(common);
    free(errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_parameters_come_back),
        cmocka_unit_test(test_file_takes_the_values),
        cmocka_unit_test(test_folds_hold_models_out),
        cmocka_unit_test(test_few_rows_stay_near_the_centre),
        cmocka_unit_test(test_no_row_of_that_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
