/* Built with the thread sanitizer: every emulated thread is one of its fibers and only barriers,
 * meetings of a warp and launches order them, so an access that no barrier orders is a race and is
 * reported, whatever the values. The tiny layer must run without one; without each of five barriers
 * it must not. */
#include "hw/calibration/cuda/moe_cuda.h"
#include "tests/emulation/emulator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/moe_case.h"

enum { SEED = 3, RACE = 66 };

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "halt_on_error=1:exitcode=66";
}

/* Exit status of a child that runs the layer with a mistake planted. */
static int run_with(int mistake, MoeDtype dtype)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        MoeCase layer;
        Error error = {0};
        const MoeShape shape = {.tokens = 20, /* copies for two warps of the sort */
                                .hidden = 136,
                                .ffn = 16,
                                .experts = 33,
                                .top_k = 2,
                                .gated = 1,
                                .aux_weight = 0.1,
                                .capacity_factor = 2,
                                .dtype = dtype};
        if (mistake != 0)
            (void)!freopen("/dev/null", "w", stderr);
        moe_case_make(&layer, shape, SEED);
        layer.bias[5] = 100;
        emulator_plant(mistake);
        emulator_order(EMULATOR_FORWARD, SEED);
        const Status status = moe_cuda_run(&shape, &layer.inputs, &layer.outputs, NULL, &error);
        moe_case_free(&layer);
        _exit(status == STATUS_OK ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_no_race(void **state)
{
    (void)state;
    assert_int_equal(run_with(0, MOE_BF16), 0);
    assert_int_equal(run_with(0, MOE_FP32), 0);
}

static void test_missing_barriers_are_races(void **state)
{
    (void)state;
    static const int BARRIERS[] = {2, 3, 4, 5, 7};
    for (size_t i = 0; i < sizeof BARRIERS / sizeof BARRIERS[0]; ++i)
        if (run_with(BARRIERS[i], MOE_BF16) != RACE)
            fail_msg("no race without barrier %d", BARRIERS[i]);
    assert_int_equal(run_with(13, MOE_FP32), RACE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_race),
        cmocka_unit_test(test_missing_barriers_are_races),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
