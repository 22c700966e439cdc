/* The C reference of the MoE layer: gradients against finite differences, a layer worked out by
 * hand, what is dropped, what is refused. */
#include "hw/calibration/moe_layer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/moe_case.h"

enum { SEED = 20 };

static void assert_close(double actual, double expected, double tolerance, const char *what,
                         size_t index)
{
    if (fabs(actual - expected) <= tolerance * (1 + fabs(expected)))
        return;
    print_error("%s[%zu] = %.12g, expected %.12g (seed %d)\n", what, index, actual, expected, SEED);
    fail();
}

/* sum(y * dy) + aux_loss, the scalar whose gradients backward gives. */
static double loss_of(const MoeCase *layer)
{
    Error error;
    MoeInputs inputs = layer->inputs;
    MoeOutputs outputs = {.y = moe_case_doubles(layer->shape.tokens * layer->shape.hidden)};
    double loss = 0;
    inputs.dy = NULL;
    assert_int_equal(moe_reference_run(&layer->shape, &inputs, &outputs, NULL, &error), STATUS_OK);
    for (size_t i = 0; i < layer->shape.tokens * layer->shape.hidden; ++i)
        loss += outputs.y[i] * (double)layer->dy[i];
    free(outputs.y);
    return loss + outputs.aux_loss;
}

/* Central differences of every third element; the step is the difference that floats really
 * took. */
static void check_gradient(MoeCase *layer, float *values, size_t count, const double *gradient,
                           const char *what)
{
    for (size_t i = 0; i < count; i += 3) {
        const float kept = values[i];
        values[i] = kept + 1e-3F;
        const double up = loss_of(layer), high = (double)values[i];
        values[i] = kept - 1e-3F;
        const double down = loss_of(layer), low = (double)values[i];
        values[i] = kept;
        assert_close(gradient[i], (up - down) / (high - low), 2e-5, what, i);
    }
}

static void check_all_gradients(MoeShape shape)
{
    MoeCase layer;
    Error error;
    moe_case_make(&layer, shape, SEED);
    assert_int_equal(moe_reference_run(&shape, &layer.inputs, &layer.outputs, NULL, &error),
                     STATUS_OK);
    check_gradient(&layer, layer.x, shape.tokens * shape.hidden, layer.outputs.dx, "dx");
    check_gradient(&layer, layer.router, shape.experts * shape.hidden, layer.outputs.d_router,
                   "d_router");
    check_gradient(&layer, layer.w_in, moe_w_in_elements(&shape), layer.outputs.d_w_in, "d_w_in");
    check_gradient(&layer, layer.w_out, moe_w_out_elements(&shape), layer.outputs.d_w_out,
                   "d_w_out");
    moe_case_free(&layer);
}

static void test_gradients_gated(void **state)
{
    (void)state;
    check_all_gradients((MoeShape){.tokens = 9,
                                   .hidden = 6,
                                   .ffn = 5,
                                   .experts = 4,
                                   .top_k = 2,
                                   .gated = 1,
                                   .aux_weight = 0.7});
}

static void test_gradients_plain_with_drops(void **state)
{
    (void)state;
    check_all_gradients((MoeShape){.tokens = 12,
                                   .hidden = 5,
                                   .ffn = 7,
                                   .experts = 5,
                                   .top_k = 3,
                                   .capacity_factor = 0.8,
                                   .aux_weight = 0.1});
}

/* One feature, two experts: y = w_0 gelu(x a_0) b_0 + w_1 gelu(x a_1) b_1. */
static void test_layer_by_hand(void **state)
{
    (void)state;
    const float x[] = {2}, router[] = {0.5F, 1}, w_in[] = {1, 0.5F}, w_out[] = {3, -1};
    const MoeShape shape = {
        .tokens = 1, .hidden = 1, .ffn = 1, .experts = 2, .top_k = 2, .aux_weight = 1};
    const MoeInputs inputs = {.x = x, .router = router, .w_in = w_in, .w_out = w_out};
    double y = 0, weight[2];
    uint32_t expert[2];
    Error error;
    MoeOutputs out = {.y = &y, .expert_of = expert, .weight_of = weight};
    assert_int_equal(moe_reference_run(&shape, &inputs, &out, NULL, &error), STATUS_OK);
    /* Logits 1 and 2: weights 1/(1+e) and e/(1+e); gelu(2) = 2 Phi(2), gelu(1) = Phi(1). */
    const double e = exp(1.0), phi1 = 0.841344746068543, phi2 = 0.977249868051821;
    assert_int_equal(expert[0], 1);
    assert_int_equal(expert[1], 0);
    assert_close(weight[0], e / (1 + e), 1e-14, "weight", 0);
    assert_close(y, 3 * 2 * phi2 / (1 + e) - phi1 * e / (1 + e), 1e-13, "y", 0);
    /* Both experts are chosen by every token: f = 1/2 each, so the loss is E/2 = 1. */
    assert_close(out.aux_loss, 1, 1e-14, "aux_loss", 0);
}

/* Ten tokens all want expert 2 first; capacity ceil(0.6 * 10 / 4) = 2 keeps the first two. */
static void test_all_tokens_on_one_expert(void **state)
{
    (void)state;
    MoeCase layer;
    Error error;
    const MoeShape shape = {.tokens = 10,
                            .hidden = 3,
                            .ffn = 4,
                            .experts = 4,
                            .top_k = 1,
                            .gated = 1,
                            .capacity_factor = 0.6};
    moe_case_make(&layer, shape, SEED);
    memset(layer.bias, 0, 4 * sizeof *layer.bias);
    layer.bias[2] = 1000;
    assert_int_equal(moe_reference_run(&shape, &layer.inputs, &layer.outputs, NULL, &error),
                     STATUS_OK);
    assert_int_equal(layer.outputs.dropped, 8);
    assert_int_equal(layer.outputs.copies_of[2], 10);
    for (size_t i = 0; i < 6; ++i)
        assert_true(layer.outputs.y[i] != 0);
    for (size_t i = 6; i < 30; ++i)
        assert_true(layer.outputs.y[i] == 0);
    /* Experts without a copy: gradients are zero, not what was in memory. */
    for (size_t i = 0; i < moe_w_in_elements(&shape) / 4; ++i)
        assert_true(layer.outputs.d_w_in[i] == 0);
    moe_case_free(&layer);
}

static void test_logits_that_are_no_numbers(void **state)
{
    (void)state;
    MoeCase layer;
    Error error;
    const MoeShape shape = {.tokens = 5, .hidden = 3, .ffn = 2, .experts = 7, .top_k = 2};
    moe_case_make(&layer, shape, SEED);
    layer.x[3 * 3 + 1] = nanf("");
    assert_int_equal(moe_reference_run(&shape, &layer.inputs, &layer.outputs, NULL, &error),
                     STATUS_INVALID);
    assert_string_equal(error.message, "logit of token 3, expert 0 is not a number");
    layer.x[3 * 3 + 1] = 0;
    layer.bias[5] = HUGE_VALF;
    assert_int_equal(moe_reference_run(&shape, &layer.inputs, &layer.outputs, NULL, &error),
                     STATUS_INVALID);
    assert_string_equal(error.message, "logit of token 0, expert 5 is infinite");
    moe_case_free(&layer);
}

static void assert_refused(MoeShape shape, const char *text)
{
    Error error;
    assert_int_equal(moe_shape_check(&shape, &error), STATUS_INVALID);
    if (strstr(error.message, text) == NULL) {
        print_error("'%s' lacks '%s'\n", error.message, text);
        fail();
    }
}

static void test_shapes_that_are_refused(void **state)
{
    (void)state;
    const MoeShape good = {.tokens = 1, .hidden = 1, .ffn = 1, .experts = 1, .top_k = 1};
    Error error;
    assert_int_equal(moe_shape_check(&good, &error), STATUS_OK);
    MoeShape shape = good;
    shape.tokens = 0;
    assert_refused(shape, "tokens = 0");
    shape = good;
    shape.top_k = 2;
    assert_refused(shape, "more than the 1 experts");
    shape = good;
    shape.experts = MOE_MAX_EXPERTS + 1;
    assert_refused(shape, "experts = 1025; allowed: 1..1024");
    shape = good;
    shape.hidden = SIZE_MAX;
    assert_refused(shape, "hidden");
    shape = (MoeShape){.tokens = 1, .hidden = 1 << 24, .ffn = 1 << 24, .experts = 1024, .top_k = 1};
    assert_refused(shape, "w_in");
    shape =
        (MoeShape){.tokens = (size_t)1 << 31, .hidden = 4096, .ffn = 1, .experts = 32, .top_k = 32};
    assert_refused(shape, "permuted tokens");
    shape = good;
    shape.capacity_factor = nan("");
    assert_refused(shape, "capacity_factor");
    shape = good;
    shape.aux_weight = HUGE_VAL;
    assert_refused(shape, "aux_weight");
}

/* Values worked out from the formats: bf16 keeps 8 significant bits, fp16 11; ties to even. */
static void test_rounding(void **state)
{
    (void)state;
    const struct {
        float value;
        MoeDtype dtype;
        float expected;
    } cases[] = {
        {1.0F + 0x1p-8F, MOE_BF16, 1.0F},
        {1.0F + 0x1.8p-7F, MOE_BF16, 1.0F + 0x1p-6F},
        {-(1.0F + 0x1p-7F), MOE_BF16, -(1.0F + 0x1p-7F)},
        {1.0F + 0x1p-11F, MOE_FP16, 1.0F},
        {1.0F + 0x1.8p-10F, MOE_FP16, 1.0F + 0x1p-9F},
        {0x1p-25F, MOE_FP16, 0},
        {0x1.8p-25F, MOE_FP16, 0x1p-24F},
        {65519.0F, MOE_FP16, 65504.0F},
        {65520.0F, MOE_FP16, HUGE_VALF},
        {-1e30F, MOE_FP16, -HUGE_VALF},
        {1.1F, MOE_FP32, 1.1F},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i)
        assert_true(moe_round_to_dtype(cases[i].value, cases[i].dtype) == cases[i].expected);
    assert_true(isnan(moe_round_to_dtype(nanf(""), MOE_FP16)));
    assert_true(isnan(moe_round_to_dtype(nanf(""), MOE_BF16)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_gated),
        cmocka_unit_test(test_gradients_plain_with_drops),
        cmocka_unit_test(test_layer_by_hand),
        cmocka_unit_test(test_all_tokens_on_one_expert),
        cmocka_unit_test(test_logits_that_are_no_numbers),
        cmocka_unit_test(test_shapes_that_are_refused),
        cmocka_unit_test(test_rounding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
