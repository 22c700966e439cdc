/* Stacks of unknown sources: rows that the program made itself give their constants back, and a
 * source that is left out is predicted by what the others say. */
#include "sim/planning/stack_unknown.h"
#include "tests/unit/shipped.h"

#include <math.h>

#define HEADER                                                                                     \
    "id,split,source,year,gpu,n_gpus,tp,pp,dp,n_layers,d_model,n_heads,seq_len,micro_batch,"       \
    "global_batch_seqs,recompute,metric,value\n"

static const struct {
    double tensor, d_model, length, micro_batch;
} SHAPES[] = {{1, 1024, 512, 1},  {1, 1024, 2048, 4}, {1, 2048, 1024, 1}, {1, 2048, 2048, 8},
              {2, 4096, 1024, 1}, {2, 4096, 2048, 4}, {4, 8192, 2048, 1}, {4, 8192, 2048, 4},
              {8, 8192, 1024, 1}, {8, 8192, 2048, 2}};
enum { SHAPE_COUNT = sizeof SHAPES / sizeof SHAPES[0], SOURCES = 2, ROWS = SOURCES * SHAPE_COUNT };
enum { TEXT_BYTES = 8192 };

static const char *const SETS[] = {"training.kernel_overhead=20%", "training.launch=12us",
                                   "training.fused=30%"};

/* Rows of two sources, whose ids begin with a and b. */
static void write_rows(const double values[ROWS], char text[TEXT_BYTES])
{
    size_t used = (size_t)snprintf(text, TEXT_BYTES, "%s", HEADER);
    for (size_t i = 0; i < ROWS; i++) {
        const size_t s = i % SHAPE_COUNT;
        used += (size_t)snprintf(
            text + used, TEXT_BYTES - used,
            "%c-%zu,pool,A report,2023,A100-SXM-80GB,%g,%g,1,1,4,%g,%g,%g,%g,%g,"
            "none,tokens_per_s_per_gpu,%.17g\n",
            (char)('a' + (int)(i / SHAPE_COUNT)), i, SHAPES[s].tensor, SHAPES[s].tensor,
            SHAPES[s].d_model, SHAPES[s].d_model / 128, SHAPES[s].length, SHAPES[s].micro_batch,
            4 * SHAPES[s].micro_batch, values[i]);
    }
    assert_true(used < TEXT_BYTES);
}

typedef struct Made {
    ConfigPaths paths;
    MeasurementFile file;
    ForecastOptions options;
} Made;

/* Rows as fast as the constants of SETS make them. */
static void make(Made *made)
{
    char text[TEXT_BYTES];
    double values[ROWS];
    Error error = {0};
    ValidationResult result;
    *made = (Made){.options = {.seed = 1, .threads = 1}};
    assert_int_equal(config_paths_find(NULL, &made->paths, &error), STATUS_OK);
    for (size_t i = 0; i < ROWS; i++)
        values[i] = 1;
    write_rows(values, text);
    assert_int_equal(measurements_read_text("m.csv", text, strlen(text), &made->file, &error),
                     STATUS_OK);
    if (validate_training(&made->paths, &made->file, NULL, SETS, 3, &made->options, &result,
                          &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(result.row_count, ROWS);
    for (size_t i = 0; i < ROWS; i++)
        values[i] = result.rows[i].predicted;
    validation_free(&result);
    measurements_free(&made->file);
    write_rows(values, text);
    assert_int_equal(measurements_read_text("m.csv", text, strlen(text), &made->file, &error),
                     STATUS_OK);
}

static void test_constants_come_back(void **state)
{
    (void)state;
    static const char *const names[] = {"unknown"};
    Made made;
    StackFits fits;
    Error error = {0};
    make(&made);
    if (stack_unknown_fit(&made.paths, &made.file, names, 1, &made.options, &fits, &error) !=
        STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(fits.count, 1);
    assert_string_equal(fits.fits[0].stack, "stack-unknown-2023");
    assert_int_equal(fits.fits[0].fit_rows, ROWS);
    assert_string_equal(fits.fits[0].families, "a b");
    assert_true(fits.fits[0].after.mean_abs < 0.02);
    assert_true(fits.fits[0].after.mean_abs < 0.3 * fits.fits[0].before.mean_abs);
    stack_fits_free(&fits);
    measurements_free(&made.file);
}

static void test_one_source_left_out(void **state)
{
    (void)state;
    Made made;
    LeaveOut result;
    Error error = {0};
    make(&made);
    if (stack_leave_out(&made.paths, &made.file, &made.options, &result, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(result.source_count, SOURCES);
    assert_int_equal(result.row_count, ROWS);
    assert_int_equal(result.skipped, 0);
    assert_string_equal(result.sources[1].name, "b");
    for (size_t i = 0; i < ROWS; i++) {
        assert_string_equal(result.rows[i].stack, "stack-unknown-2023");
        assert_true(result.rows[i].row->id[0] == (i < SHAPE_COUNT ? 'a' : 'b'));
    }
    /* The other source has the same constants. */
    assert_true(result.all.mean_abs < 0.03);
    leave_out_free(&result);
    measurements_free(&made.file);
}

static void test_names(void **state)
{
    (void)state;
    assert_true(stack_is_unknown("unknown"));
    assert_true(stack_is_unknown("stack-unknown-2023"));
    assert_false(stack_is_unknown("nemo-2024"));
    assert_false(stack_is_unknown("all"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_constants_come_back),
                                       cmocka_unit_test(test_one_source_left_out)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
