/* The fit of a software stack: rows that the program made itself with known parameters give them
 * back, and the stack's file takes them. */
#include "sim/planning/stack_fit.h"
#include "tests/unit/shipped.h"

#include <math.h>

#define HEADER                                                                                     \
    "id,split,stack,gpu,n_gpus,tp,pp,dp,n_layers,d_model,n_heads,seq_len,micro_batch,"             \
    "global_batch_seqs,recompute,metric,value\n"

/* Small and large kernels, so that what a launch, a byte and all kernels cost can be told apart. */
static const struct {
    double tensor, d_model, length, micro_batch;
} SHAPES[] = {{1, 1024, 512, 1},  {1, 1024, 2048, 4}, {1, 2048, 1024, 1},  {1, 2048, 2048, 8},
              {2, 4096, 1024, 1}, {2, 4096, 2048, 4}, {4, 8192, 2048, 1},  {4, 8192, 2048, 4},
              {8, 8192, 1024, 1}, {8, 8192, 2048, 2}, {8, 12288, 2048, 1}, {8, 12288, 2048, 4}};
enum { SHAPE_COUNT = sizeof SHAPES / sizeof SHAPES[0], ROW_BYTES = 160 };

static const double OVERHEAD = 0.20, LAUNCH_S = 12e-6, FUSED = 0.30;

/* `values`: tokens/s/GPU of each row. */
static void write_rows(const double *values, char *text, size_t bytes)
{
    size_t used = (size_t)snprintf(text, bytes, "%s", HEADER);
    for (size_t i = 0; i < SHAPE_COUNT; i++)
        used += (size_t)snprintf(text + used, bytes - used,
                                 "made-%zu,pool,stack-common,A100-SXM-80GB,%g,%g,1,1,8,%g,%g,%g,%g,"
                                 "%g,none,tokens_per_s_per_gpu,%.17g\n",
                                 i, SHAPES[i].tensor, SHAPES[i].tensor, SHAPES[i].d_model,
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

static StackFits fit_rows(const ConfigPaths *paths, const char *text, size_t threads)
{
    const ForecastOptions options = {.seed = 1, .threads = threads};
    const char *const names[] = {"common"};
    MeasurementFile file;
    StackFits fits;
    Error error = {0};
    read_rows(text, &file);
    if (stack_fit(paths, &file, names, 1, &options, &fits, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    measurements_free(&file);
    return fits;
}

static void test_known_parameters_come_back(void **state)
{
    (void)state;
    const char *const sets[] = {"training.kernel_overhead=20%", "training.launch=12us",
                                "training.fused=30%"};
    const ForecastOptions options = {.seed = 1, .threads = 1};
    char text[SHAPE_COUNT * ROW_BYTES + sizeof HEADER];
    double values[SHAPE_COUNT];
    ConfigPaths paths;
    Error error = {0};
    MeasurementFile file;
    ValidationResult result;
    assert_int_equal(config_paths_find(NULL, &paths, &error), STATUS_OK);
    for (size_t i = 0; i < SHAPE_COUNT; i++)
        values[i] = 1;
    write_rows(values, text, sizeof text);
    read_rows(text, &file);
    if (validate_training(&paths, &file, "pool", sets, 3, &options, &result, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(result.row_count, SHAPE_COUNT);
    for (size_t i = 0; i < SHAPE_COUNT; i++)
        values[i] = result.rows[i].predicted;
    validation_free(&result);
    measurements_free(&file);

    write_rows(values, text, sizeof text);
    StackFits fits = fit_rows(&paths, text, 1);
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

    StackFits again = fit_rows(&paths, text, 3);
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
    write_rows(values, text, sizeof text);
    read_rows(text, &file);
    assert_int_equal(config_paths_find(NULL, &paths, &error), STATUS_OK);
    assert_int_equal(stack_fit(&paths, &file, names, 1, &options, &fits, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "nemo-2024"));
    stack_fits_free(&fits);
    measurements_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_parameters_come_back),
        cmocka_unit_test(test_file_takes_the_values),
        cmocka_unit_test(test_no_row_of_that_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
