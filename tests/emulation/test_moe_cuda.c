/* The CUDA sources, run by the emulator, against the reference layer: forward and backward, all
 * types, all ways to multiply, in several orders of threads. The mutation test plants known
 * mistakes in kernels and host code, one at a time: each must be noticed. */
#include "hw/calibration/cuda/moe_cuda.h"
#include "tests/emulation/emulator.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/moe_case.h"

enum { SEED = 11 };

/* How a case's router is bent before it runs. */
typedef enum Skew { EVEN, ONE_EMPTY, ALL_ON_ONE } Skew;

typedef struct LayerCase {
    const char *name;
    MoeShape shape;
    Skew skew;
} LayerCase;

/* Tall tiles of the own product need more than 64 rows an expert, short ones fewer; several blocks
 * of the sort more than 1024 copies; more lanes than one warp more than 32 experts. No size is a
 * multiple of a tile, so that every bound is met. */
static const LayerCase CASES[] = {
    {"plain, dropless, one expert empty",
     {.tokens = 37, .hidden = 40, .ffn = 72, .experts = 5, .top_k = 2, .aux_weight = 0.3},
     ONE_EMPTY},
    {"gated, drops, tall tiles",
     {.tokens = 140,
      .hidden = 72,
      .ffn = 40,
      .experts = 3,
      .top_k = 2,
      .gated = 1,
      .capacity_factor = 0.9,
      .aux_weight = 1},
     EVEN},
    {"all on one expert",
     {.tokens = 21, .hidden = 16, .ffn = 24, .experts = 4, .top_k = 1, .gated = 1},
     ALL_ON_ONE},
    {"many experts, several blocks of the sort",
     {.tokens = 280,
      .hidden = 8,
      .ffn = 8,
      .experts = 40,
      .top_k = 4,
      .gated = 1,
      .capacity_factor = 1,
      .aux_weight = 0.1},
     EVEN},
};
enum { CASE_COUNT = sizeof CASES / sizeof CASES[0] };

static void make_case(const LayerCase *each, MoeDtype dtype, MoeCase *layer)
{
    MoeShape shape = each->shape;
    shape.dtype = dtype;
    moe_case_make(layer, shape, SEED);
    if (each->skew == ONE_EMPTY)
        layer->bias[1] = -100;
    if (each->skew == ALL_ON_ONE)
        layer->bias[shape.experts - 2] = 100;
    /* Equal logits for one token: the choice among ties is part of the definition. */
    memset(layer->x, 0, shape.hidden * sizeof *layer->x);
    layer->bias[0] = layer->bias[2] = each->skew == EVEN ? 1 : layer->bias[0];
}

/* Against the largest value of a tensor: bf16 keeps 8 bits of each intermediate, fp16 11, and a
 * gradient passes through about five of them. */
static const double TOLERANCE[MOE_DTYPES] = {
    [MOE_FP32] = 2e-5, [MOE_BF16] = 2e-2, [MOE_FP16] = 3e-3};

static int same(const double *actual, const double *expected, size_t count, double tolerance,
                const char *what)
{
    double largest = 0, worst = 0;
    for (size_t i = 0; i < count; ++i) {
        largest = fmax(largest, fabs(expected[i]));
        const double difference = fabs(actual[i] - expected[i]);
        if (!(difference <= worst))
            worst = isnan(difference) ? HUGE_VAL : difference;
    }
    if (worst <= tolerance * largest + 1e-30)
        return 1;
    fprintf(stderr, "%s differs by %.3g of %.3g\n", what, worst, largest);
    return 0;
}

/* layer->outputs hold the reference. */
static int same_layer(const MoeCase *layer, const MoeOutputs *cuda)
{
    const MoeShape *s = &layer->shape;
    const MoeOutputs *expected = &layer->outputs;
    const size_t copies = s->tokens * s->top_k, stream = s->tokens * s->hidden;
    const double tolerance = TOLERANCE[s->dtype];
    int good = 1;
    if (memcmp(cuda->expert_of, expected->expert_of, copies * sizeof *cuda->expert_of) != 0 ||
        memcmp(cuda->copies_of, expected->copies_of, s->experts * sizeof *cuda->copies_of) != 0 ||
        cuda->dropped != expected->dropped) {
        fprintf(stderr, "the choice of experts differs\n");
        good = 0;
    }
    good &= same(&cuda->aux_loss, &expected->aux_loss, 1, 2e-5, "aux_loss");
    good &= same(cuda->weight_of, expected->weight_of, copies, 2e-5, "weight_of");
    good &= same(cuda->y, expected->y, stream, tolerance, "y");
    good &= same(cuda->dx, expected->dx, stream, tolerance, "dx");
    good &= same(cuda->d_router, expected->d_router, s->experts * s->hidden, tolerance, "d_router");
    good &= same(cuda->d_w_in, expected->d_w_in, moe_w_in_elements(s), tolerance, "d_w_in");
    good &= same(cuda->d_w_out, expected->d_w_out, moe_w_out_elements(s), tolerance, "d_w_out");
    return good;
}

static int run_and_compare(const MoeCase *layer, MoeCudaGemm gemm)
{
    MoeOutputs cuda;
    Error error = {0};
    moe_case_outputs(&layer->shape, &cuda);
    const Status status =
        moe_cuda_run_with(gemm, &layer->shape, &layer->inputs, &cuda, NULL, &error);
    int good = status == STATUS_OK;
    if (good)
        good = same_layer(layer, &cuda);
    else
        fprintf(stderr, "%s\n", error.message);
    moe_outputs_free(&cuda);
    return good;
}

static void reference(MoeCase *layer)
{
    Error error;
    assert_int_equal(
        moe_reference_run(&layer->shape, &layer->inputs, &layer->outputs, NULL, &error), STATUS_OK);
}

/* One case in one order of threads, every type; in random order every way to multiply. */
static void hold_case(const LayerCase *each, EmulatorOrder order)
{
    for (int dtype = 0; dtype < MOE_DTYPES; ++dtype) {
        MoeCase layer;
        make_case(each, (MoeDtype)dtype, &layer);
        reference(&layer);
        for (int gemm = 0; gemm < MOE_CUDA_GEMMS; ++gemm) {
            if (gemm != MOE_CUDA_OWN && order != EMULATOR_RANDOM)
                continue; /* they differ in host code, which knows no order */
            emulator_order(order, SEED + (unsigned)dtype);
            if (!run_and_compare(&layer, (MoeCudaGemm)gemm))
                fail_msg("%s: %s, %s, order %d, seed %d", each->name, MOE_DTYPE_NAMES[dtype],
                         MOE_CUDA_GEMM_NAMES[gemm], (int)order, SEED);
        }
        moe_case_free(&layer);
    }
    assert_int_equal(emulator_live_allocations(), 0);
}

static void hold_all(EmulatorOrder order)
{
    for (size_t i = 0; i < CASE_COUNT; ++i)
        hold_case(&CASES[i], order);
}

static void test_forward_order(void **state)
{
    (void)state;
    hold_all(EMULATOR_FORWARD);
}

static void test_reverse_order(void **state)
{
    (void)state;
    hold_all(EMULATOR_REVERSE);
}

static void test_random_order(void **state)
{
    (void)state;
    hold_all(EMULATOR_RANDOM);
}

/* No sum may depend on who comes first: all orders give the same bits. */
static void test_orders_agree_bit_for_bit(void **state)
{
    (void)state;
    MoeCase layer;
    MoeOutputs first;
    Error error;
    make_case(&CASES[0], MOE_BF16, &layer);
    const size_t stream = layer.shape.tokens * layer.shape.hidden;
    moe_case_outputs(&layer.shape, &first);
    emulator_order(EMULATOR_FORWARD, SEED);
    assert_int_equal(moe_cuda_run(&layer.shape, &layer.inputs, &first, NULL, &error), STATUS_OK);
    for (int order = EMULATOR_REVERSE; order < EMULATOR_ORDERS; ++order) {
        emulator_order((EmulatorOrder)order, SEED);
        assert_int_equal(moe_cuda_run(&layer.shape, &layer.inputs, &layer.outputs, NULL, &error),
                         STATUS_OK);
        assert_memory_equal(first.y, layer.outputs.y, stream * sizeof(double));
        assert_memory_equal(first.dx, layer.outputs.dx, stream * sizeof(double));
        assert_memory_equal(first.d_w_in, layer.outputs.d_w_in,
                            moe_w_in_elements(&layer.shape) * sizeof(double));
    }
    moe_outputs_free(&first);
    moe_case_free(&layer);
}

/* ------------------------------------------------------------------------------------- mutations
 */

typedef struct Mistake {
    int number;
    MoeDtype dtype;
    MoeCudaGemm gemm;
    const char *what;
} Mistake;

static const Mistake MISTAKES[] = {
    {1, MOE_BF16, MOE_CUDA_OWN, "ties go to the higher expert"},
    {2, MOE_BF16, MOE_CUDA_OWN, "no barrier behind clearing the histogram"},
    {3, MOE_BF16, MOE_CUDA_OWN, "no barrier inside the scan"},
    {4, MOE_BF16, MOE_CUDA_OWN, "no barrier between the turns of warps"},
    {5, MOE_BF16, MOE_CUDA_OWN, "no barrier in the sum of a block"},
    {6, MOE_BF16, MOE_CUDA_OWN, "waits for one group of copies too few"},
    {7, MOE_FP16, MOE_CUDA_OWN, "no barrier in the main loop of the tensor-core product"},
    {8, MOE_BF16, MOE_CUDA_OWN, "no bound on the rows of an expert"},
    {9, MOE_BF16, MOE_CUDA_OWN, "capacity one too large"},
    {10, MOE_BF16, MOE_CUDA_OWN, "wrong sign in the slope of silu"},
    {11, MOE_BF16, MOE_CUDA_OWN, "weight gradient of a dropped copy is not cleared"},
    {12, MOE_BF16, MOE_CUDA_OWN, "softmax gradient without its mean"},
    {13, MOE_FP32, MOE_CUDA_OWN, "no barrier behind the use of a tile in fp32"},
    {21, MOE_BF16, MOE_CUDA_LOOP, "wrong leading dimension"},
    {22, MOE_BF16, MOE_CUDA_LOOP, "wrong sizes of a product"},
    {23, MOE_BF16, MOE_CUDA_LOOP, "operands of the weight gradient swapped"},
    {24, MOE_BF16, MOE_CUDA_LOOP, "an expert without rows keeps old gradients"},
    {25, MOE_BF16, MOE_CUDA_GROUPED, "wrong direction of a copy"},
    {26, MOE_BF16, MOE_CUDA_GROUPED, "pointers of the grouped call on the host"},
    {27, MOE_BF16, MOE_CUDA_OWN, "grid without the tiles that experts fill in part"},
};

/* In a child, for a mistake may crash or hang: 1 when noticed. */
static int noticed(const Mistake *mistake, const MoeCase *layers)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int good = 1;
        (void)!freopen("/dev/null", "w", stderr);
        signal(SIGSEGV, SIG_DFL);
        alarm(60);
        emulator_plant(mistake->number);
        for (int order = 0; order < EMULATOR_ORDERS && good; ++order)
            for (size_t i = 0; i < CASE_COUNT && good; ++i)
                if (layers[i].shape.dtype == mistake->dtype) {
                    emulator_order((EmulatorOrder)order, SEED);
                    good = run_and_compare(&layers[i], mistake->gemm);
                }
        _exit(good ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void test_planted_mistakes_are_noticed(void **state)
{
    (void)state;
    int missed = 0;
    for (int dtype = 0; dtype < MOE_DTYPES; ++dtype) {
        MoeCase layers[CASE_COUNT];
        for (size_t i = 0; i < CASE_COUNT; ++i) {
            make_case(&CASES[i], (MoeDtype)dtype, &layers[i]);
            reference(&layers[i]);
        }
        for (size_t i = 0; i < sizeof MISTAKES / sizeof MISTAKES[0]; ++i)
            if (MISTAKES[i].dtype == (MoeDtype)dtype && !noticed(&MISTAKES[i], layers)) {
                print_error("not noticed: %d, %s\n", MISTAKES[i].number, MISTAKES[i].what);
                ++missed;
            }
        for (size_t i = 0; i < CASE_COUNT; ++i)
            moe_case_free(&layers[i]);
    }
    assert_int_equal(missed, 0);
}

/* ----------------------------------------------------------------------------------- bad input */

static void expect_refusal(const MoeShape *shape, const char *text)
{
    MoeCudaPlan *plan = NULL;
    Error error = {0};
    assert_int_equal(moe_cuda_plan(shape, MOE_CUDA_OWN, &plan, &error), STATUS_INVALID);
    assert_null(plan);
    if (strstr(error.message, text) == NULL)
        fail_msg("'%s' does not say '%s'", error.message, text);
}

static void test_shapes_are_refused(void **state)
{
    (void)state;
    const MoeShape good = {.tokens = 8, .hidden = 16, .ffn = 24, .experts = 4, .top_k = 2};
    MoeShape bad = good;
    bad.tokens = 0;
    expect_refusal(&bad, "tokens = 0");
    bad = good;
    bad.hidden = 12;
    expect_refusal(&bad, "multiples of 8");
    bad = good;
    bad.top_k = 5;
    expect_refusal(&bad, "top_k = 5");
    bad = good;
    bad.tokens = (size_t)1 << 30;
    bad.hidden = bad.ffn = 8;
    expect_refusal(&bad, "copies of tokens");
    bad = good;
    bad.tokens = 1;
    bad.hidden = (size_t)1 << 23;
    bad.ffn = 8;
    expect_refusal(&bad, "widest on a GPU");
    assert_int_equal(emulator_live_allocations(), 0);
}

static void expect_bad_logit(MoeCudaGemm gemm, float bias, const char *message)
{
    MoeCase layer;
    Error error = {0};
    const MoeShape shape = {.tokens = 9, .hidden = 8, .ffn = 8, .experts = 7, .top_k = 2};
    moe_case_make(&layer, shape, SEED);
    layer.bias[4] = bias;
    assert_int_equal(moe_cuda_run_with(gemm, &shape, &layer.inputs, &layer.outputs, NULL, &error),
                     STATUS_INVALID);
    assert_string_equal(error.message, message);
    moe_case_free(&layer);
}

static void test_bad_logits_are_named(void **state)
{
    (void)state;
    for (int gemm = 0; gemm < MOE_CUDA_GEMMS; ++gemm) {
        expect_bad_logit((MoeCudaGemm)gemm, nanf(""), "logit of token 0, expert 4 is not a number");
        expect_bad_logit((MoeCudaGemm)gemm, -HUGE_VALF, "logit of token 0, expert 4 is infinite");
    }
    /* From x, at a later token. */
    MoeCase layer;
    Error error = {0};
    const MoeShape shape = {.tokens = 9, .hidden = 8, .ffn = 8, .experts = 7, .top_k = 2};
    moe_case_make(&layer, shape, SEED);
    layer.x[5 * 8 + 3] = nanf("");
    assert_int_equal(moe_cuda_run(&shape, &layer.inputs, &layer.outputs, NULL, &error),
                     STATUS_INVALID);
    assert_string_equal(error.message, "logit of token 5, expert 0 is not a number");
    moe_case_free(&layer);
}

/* Every allocation may fail: the error says so and nothing is left behind. */
static void test_out_of_device_memory(void **state)
{
    (void)state;
    const MoeShape shape = {.tokens = 8, .hidden = 16, .ffn = 24, .experts = 4, .top_k = 2};
    Error error = {0};
    MoeCudaPlan *plan = NULL;
    int failures = 0;
    for (int number = 1; number < 100; ++number) {
        emulator_fail_allocation(number);
        if (moe_cuda_plan(&shape, MOE_CUDA_OWN, &plan, &error) == STATUS_OK)
            break;
        ++failures;
        assert_non_null(strstr(error.message, "out of device memory"));
        assert_int_equal(emulator_live_allocations(), 0);
    }
    emulator_fail_allocation(0);
    moe_cuda_plan_free(plan);
    assert_true(failures > 20);
    MoeShape huge = shape;
    huge.tokens = (size_t)1 << 22;
    assert_int_equal(moe_cuda_plan(&huge, MOE_CUDA_OWN, &plan, &error), STATUS_ENVIRONMENT);
    assert_non_null(strstr(error.message, "the device has"));
}

/* Times of the stages: where the loads stay on the device there is no wait for them. */
static void test_stage_times(void **state)
{
    (void)state;
    MoeCase layer;
    MoeStageTimes times;
    Error error;
    const MoeShape shape = {.tokens = 9, .hidden = 8, .ffn = 8, .experts = 7, .top_k = 2};
    moe_case_make(&layer, shape, SEED);
    for (int gemm = 0; gemm < MOE_CUDA_GEMMS; ++gemm) {
        assert_int_equal(moe_cuda_run_with((MoeCudaGemm)gemm, &shape, &layer.inputs, &layer.outputs,
                                           &times, &error),
                         STATUS_OK);
        for (int stage = 0; stage < MOE_STAGES; ++stage)
            assert_true((times.seconds[stage] > 0) !=
                        (stage == MOE_STAGE_SYNC && gemm == MOE_CUDA_OWN));
    }
    moe_case_free(&layer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward_order),
        cmocka_unit_test(test_reverse_order),
        cmocka_unit_test(test_random_order),
        cmocka_unit_test(test_orders_agree_bit_for_bit),
        cmocka_unit_test(test_planted_mistakes_are_noticed),
        cmocka_unit_test(test_shapes_are_refused),
        cmocka_unit_test(test_bad_logits_are_named),
        cmocka_unit_test(test_out_of_device_memory),
        cmocka_unit_test(test_stage_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
