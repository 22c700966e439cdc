/* The sweeps of the CUDA helper, run small by the emulator: the records are whole, of every kind,
 * and say what was run. The times in them mean nothing and are only positive. */
#include "hw/calibration/cuda/sweep.h"
#include "tests/emulation/emulator.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const CudaGemmShape SHAPES[] = {{16, 24}, {32, 8}};
static const CudaLayerCase LAYERS[] = {
    {16, 24, 4, 2, 1, 20, 2, MOE_BF16, CAL_FIT},
    {8, 16, 5, 1, 0, 9, 4, MOE_FP32, CAL_CHECK},
};
static const CudaSweep SMALL = {.shapes = SHAPES,
                                .shape_count = 2,
                                .rows_max = 128,
                                .other_types_rows = 8,
                                .layers = LAYERS,
                                .layer_count = 2,
                                .copy_bytes_max = 4096,
                                .context_max = 128,
                                .sentinel_size = 16,
                                .collective_bytes_max = 1024,
                                .warm_ups = 1,
                                .least_samples = 3,
                                .graph_launches = 4};

typedef struct Seen {
    size_t points, progress, ops[CAL_OPS], impls[3], backward, sentinels;
    double done, of;
} Seen;

static double number(const json_t *record, const char *key)
{
    const json_t *value = json_object_get(record, key);
    if (!json_is_number(value))
        fail_msg("no number '%s'", key);
    return json_number_value(value);
}

static const char *text(const json_t *record, const char *key)
{
    const char *value = json_string_value(json_object_get(record, key));
    if (value == NULL)
        fail_msg("no text '%s'", key);
    return value;
}

static size_t index_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        if (strcmp(name, names[i]) == 0)
            return i;
    fail_msg("'%s' is not known", name);
    return 0;
}

/* Loads add up to the copies; the counts of work are those of the formula. */
static void check_product(const json_t *point)
{
    double rows = 0, hit = 0;
    size_t i;
    json_t *load;
    json_array_foreach(json_object_get(point, "m_loads"), i, load)
    {
        rows += json_number_value(load);
        hit += json_number_value(load) > 0;
    }
    const double m = number(point, "m"), n = number(point, "n"), k = number(point, "k");
    const double word = strcmp(text(point, "dtype"), "fp32") == 0 ? 4 : 2;
    assert_true(rows == m);
    assert_true(number(point, "flops") == 2 * m * n * k);
    assert_true(number(point, "bytes") == word * (hit * n * k + m * (n + k)));
    if (strcmp(text(point, "skew"), "one_empty") == 0)
        assert_true(hit < number(point, "experts"));
}

static void check_point(const json_t *point, Seen *seen)
{
    static const char *const IMPLS[] = {"loop", "grouped", "own"};
    const size_t op = index_of(text(point, "op"), CAL_OP_NAMES, CAL_OPS);
    const char *pass = text(point, "pass"), *role = text(point, "role");
    ++seen->points;
    ++seen->ops[op];
    index_of(pass, CAL_PASS_NAMES, CAL_PASSES);
    index_of(role, CAL_ROLE_NAMES, CAL_ROLES);
    index_of(text(point, "dtype"), MOE_DTYPE_NAMES, MOE_DTYPES);
    seen->backward += strcmp(pass, "dgrad") == 0 || strcmp(pass, "wgrad") == 0;
    seen->sentinels += strcmp(role, "sentinel") == 0;
    assert_true(number(point, "us_p10") > 0);
    assert_true(number(point, "us_med") >= number(point, "us_p10"));
    assert_true(number(point, "us_p90") >= number(point, "us_med"));
    assert_true(number(point, "us_mad") >= 0);
    assert_true(number(point, "reps") >= 3);
    if (op == CAL_MOE_GEMM) {
        ++seen->impls[index_of(text(point, "impl"), IMPLS, 3)];
        check_product(point);
    }
    if (op == CAL_LAYER) /* whole layers judge a fit, they are never in it */
        assert_string_equal(role, "check");
}

static void test_records_are_whole(void **state)
{
    (void)state;
    static const CalOp WANTED[] = {CAL_GEMM,       CAL_MOE_GEMM, CAL_ROUTER,    CAL_PERMUTE,
                                   CAL_ACTIVATION, CAL_COMBINE,  CAL_ATTENTION, CAL_COPY,
                                   CAL_SYNC,       CAL_LAUNCH,   CAL_LAYER};
    char line[8192];
    Error error = {0};
    Seen seen = {0};
    size_t points = 0;
    FILE *out = tmpfile();
    assert_non_null(out);
    emulator_order(EMULATOR_FORWARD, 1);
    if (cuda_sweep_run(&SMALL, 1, out, &points, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    rewind(out);
    while (fgets(line, sizeof line, out) != NULL) {
        json_error_t where;
        json_t *record = json_loads(line, JSON_REJECT_DUPLICATES, &where);
        if (record == NULL)
            fail_msg("%s: %s", where.text, line);
        assert_true(number(record, "v") == CAL_VERSION);
        if (strcmp(text(record, "record"), "point") == 0) {
            check_point(record, &seen);
        } else {
            assert_string_equal(text(record, "record"), "progress");
            assert_true(number(record, "done") == (double)++seen.progress);
            seen.done = number(record, "done");
            seen.of = number(record, "of");
        }
        json_decref(record);
    }
    fclose(out);
    assert_int_equal(points, seen.points);
    assert_int_equal(points, seen.progress);
    assert_true(seen.done == seen.of);
    assert_int_equal(seen.sentinels, 3);
    assert_true(seen.backward > 0);
    for (size_t i = 0; i < sizeof WANTED / sizeof WANTED[0]; ++i)
        if (seen.ops[WANTED[i]] == 0)
            fail_msg("no point of %s", CAL_OP_NAMES[WANTED[i]]);
    for (size_t i = 0; i < 3; ++i)
        assert_true(seen.impls[i] > 0 && seen.impls[i] == seen.impls[0]);
    assert_int_equal(emulator_live_allocations(), 0);
}

/* Any allocation of a sweep may fail: an error, nothing left behind. */
static void test_no_device_memory(void **state)
{
    (void)state;
    Error error = {0};
    for (int number_ = 1; number_ <= 13; number_ += 3) {
        size_t points = 0;
        FILE *out = tmpfile();
        assert_non_null(out);
        emulator_fail_allocation(number_);
        assert_int_equal(cuda_sweep_run(&SMALL, 1, out, &points, &error), STATUS_ENVIRONMENT);
        assert_non_null(strstr(error.message, "memory"));
        assert_int_equal(emulator_live_allocations(), 0);
        fclose(out);
    }
    emulator_fail_allocation(0);
}

static void test_devices(void **state)
{
    (void)state;
    CalProvenance provenance;
    Error error = {0};
    assert_int_equal(cuda_device_open(0, &provenance, &error), STATUS_OK);
    assert_string_equal(provenance.device, "emulated GPU");
    assert_string_equal(provenance.driver, "13.0");
    assert_int_equal(provenance.device_class, CAL_GPU);
    assert_int_equal(cuda_device_open(7, &provenance, &error), STATUS_NO);
    assert_string_equal(error.message, "no device 7: this machine has 1, numbered from 0");
    emulator_devices(0);
    assert_int_equal(cuda_device_open(0, &provenance, &error), STATUS_NO);
    assert_non_null(strstr(error.message, "no usable CUDA device"));
    assert_non_null(strstr(error.message, "driver is older"));
    emulator_devices(1);
}

/* A device that computes wrongly is told before anything is measured. */
static void test_self_check(void **state)
{
    (void)state;
    Error error = {0};
    emulator_order(EMULATOR_FORWARD, 1);
    if (cuda_self_check(&error) != STATUS_OK)
        fail_msg("%s", error.message);
    emulator_plant(10);
    assert_int_equal(cuda_self_check(&error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "computes dx of a"));
    emulator_plant(0);
    assert_int_equal(emulator_live_allocations(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_are_whole),
        cmocka_unit_test(test_no_device_memory),
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_self_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
