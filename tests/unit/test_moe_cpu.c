/* The CPU backend of the MoE layer against the reference: random shapes, loads from even to all on
 * one expert, drops, one thread and several. */
#include "hw/calibration/cpu/moe_cpu.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/moe_case.h"

enum { SEED = 7, SHAPES = 60 };

/* Largest difference against the largest value, so that sums of many terms of either sign are held
 * to the size of their terms. */
static void assert_tensor(const double *actual, const double *expected, size_t count,
                          const char *what, int shape_number)
{
    double largest = 0, worst = 0;
    for (size_t i = 0; i < count; ++i) {
        largest = fmax(largest, fabs(expected[i]));
        const double difference = fabs(actual[i] - expected[i]);
        if (!(difference <= worst))
            worst = isnan(difference) ? HUGE_VAL : difference;
    }
    if (worst <= 2e-5 * largest + 1e-30)
        return;
    print_error("%s differs by %.3g of %.3g (shape %d, seed %d)\n", what, worst, largest,
                shape_number, SEED);
    fail();
}

static void assert_same_layer(MoeCase *layer, int threads, int number)
{
    const MoeShape *shape = &layer->shape;
    MoeCpuPlan *plan = NULL;
    MoeOutputs cpu;
    Error error;
    moe_case_outputs(shape, &cpu);
    assert_int_equal(moe_reference_run(shape, &layer->inputs, &layer->outputs, NULL, &error),
                     STATUS_OK);
    assert_int_equal(moe_cpu_plan(shape, threads, &plan, &error), STATUS_OK);
    /* Twice: what one run leaves in the buffers must not reach the next. */
    for (int run = 0; run < 2; ++run)
        assert_int_equal(moe_cpu_compute(plan, &layer->inputs, NULL, &error), STATUS_OK);
    moe_cpu_outputs(plan, 1, &cpu);

    const size_t copies = shape->tokens * shape->top_k, stream = shape->tokens * shape->hidden;
    assert_int_equal(
        memcmp(cpu.expert_of, layer->outputs.expert_of, copies * sizeof *cpu.expert_of), 0);
    assert_int_equal(
        memcmp(cpu.copies_of, layer->outputs.copies_of, shape->experts * sizeof *cpu.copies_of), 0);
    assert_int_equal(cpu.dropped, layer->outputs.dropped);
    assert_tensor(&cpu.aux_loss, &layer->outputs.aux_loss, 1, "aux_loss", number);
    assert_tensor(cpu.weight_of, layer->outputs.weight_of, copies, "weight_of", number);
    assert_tensor(cpu.y, layer->outputs.y, stream, "y", number);
    assert_tensor(cpu.dx, layer->outputs.dx, stream, "dx", number);
    assert_tensor(cpu.d_router, layer->outputs.d_router, shape->experts * shape->hidden, "d_router",
                  number);
    assert_tensor(cpu.d_w_in, layer->outputs.d_w_in, moe_w_in_elements(shape), "d_w_in", number);
    assert_tensor(cpu.d_w_out, layer->outputs.d_w_out, moe_w_out_elements(shape), "d_w_out",
                  number);
    moe_outputs_free(&cpu);
    moe_cpu_plan_free(plan);
}

static size_t pick(RandomStream *random, size_t low, size_t high)
{
    return low + (size_t)(random_uniform(random) * (double)(high - low + 1));
}

static void test_random_shapes(void **state)
{
    (void)state;
    RandomStream random = random_stream(SEED, "moe shapes", 0);
    for (int number = 0; number < SHAPES; ++number) {
        MoeCase layer;
        MoeShape shape = {.tokens = pick(&random, 1, 60),
                          .hidden = pick(&random, 1, 40),
                          .ffn = pick(&random, 1, 48),
                          .experts = pick(&random, 1, 20),
                          .gated = (int)pick(&random, 0, 1),
                          .capacity_factor = pick(&random, 0, 2) == 0 ? 0.7 : 0,
                          .aux_weight = pick(&random, 0, 1) == 0 ? 0 : 0.5,
                          .dtype = (MoeDtype)pick(&random, 0, MOE_DTYPES - 1)};
        shape.top_k = pick(&random, 1, shape.experts < 6 ? shape.experts : 6);
        moe_case_make(&layer, shape, SEED + (unsigned)number);
        if (number % 4 == 0)
            layer.bias[shape.experts - 1] = 100; /* all tokens on the last expert */
        assert_same_layer(&layer, 1 + number % 3, number);
        moe_case_free(&layer);
    }
}

/* Equal logits everywhere: ties go to the lower experts, others stay empty with zero gradients. */
static void test_ties_and_empty_experts(void **state)
{
    (void)state;
    MoeCase layer;
    Error error;
    const MoeShape shape = {.tokens = 8, .hidden = 4, .ffn = 3, .experts = 6, .top_k = 2};
    moe_case_make(&layer, shape, SEED);
    memset(layer.router, 0, shape.experts * shape.hidden * sizeof *layer.router);
    memset(layer.bias, 0, shape.experts * sizeof *layer.bias);
    assert_int_equal(moe_cpu_run(&shape, &layer.inputs, &layer.outputs, NULL, &error), STATUS_OK);
    for (size_t t = 0; t < shape.tokens; ++t) {
        assert_int_equal(layer.outputs.expert_of[2 * t], 0);
        assert_int_equal(layer.outputs.expert_of[2 * t + 1], 1);
    }
    for (size_t i = 2 * shape.ffn * shape.hidden; i < moe_w_in_elements(&shape); ++i)
        assert_true(layer.outputs.d_w_in[i] == 0);
    moe_case_free(&layer);
}

static void test_bad_logits_are_named(void **state)
{
    (void)state;
    MoeCase layer;
    Error error;
    const MoeShape shape = {.tokens = 5, .hidden = 3, .ffn = 2, .experts = 7, .top_k = 2};
    moe_case_make(&layer, shape, SEED);
    layer.bias[4] = nanf("");
    assert_int_equal(moe_cpu_run(&shape, &layer.inputs, &layer.outputs, NULL, &error),
                     STATUS_INVALID);
    assert_string_equal(error.message, "logit of token 0, expert 4 is not a number");
    MoeShape none = shape;
    none.tokens = 0;
    assert_int_equal(moe_cpu_run(&none, &layer.inputs, &layer.outputs, NULL, &error),
                     STATUS_INVALID);
    moe_case_free(&layer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_shapes),
        cmocka_unit_test(test_ties_and_empty_experts),
        cmocka_unit_test(test_bad_logits_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
