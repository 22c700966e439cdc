/* Parameters and FLOPs of models whose figures are published. */
#include "tests/unit/shipped.h"

#include "models/architecture.h"

#include <math.h>

static void gpt4_leak(void **state)
{
    (void)state;
    const ModelSpec model = shipped_model("gpt4-leak");
    const ModelParameters count = model_parameters(&model);
    /* Published: 1.8e12, 111e9 an expert, 55e9 of attention, 280e9 active; here to three digits. */
    assert_near(count.total, 1.834e12, 0.003e12);
    assert_near(count.mlp_per_expert, 111e9, 0.05e9);
    assert_near(count.attention, 55.8e9, 0.05e9);
    assert_near(count.active, 280e9, 0.5e9);
    /* By hand: 16 experts x 8 d^2 and (4 d^2 + 256 d) of attention, 120 layers. */
    const double d = 10752;
    assert_near(count.mlp, 120 * 16 * 8 * d * d, 1);
    assert_near(count.attention, 120 * (4 * d * d + 256 * d), 1);
    assert_near(count.router, 120 * 16 * d, 1);
    assert_near(count.norms, 241 * d, 1);
    assert_near(count.embedding, 2 * 100352 * d, 1);
    assert_near(count.attention + count.mlp + count.router + count.norms + count.embedding,
                count.total, 1);

    /* Forward matrix FLOPs: 2 for each active parameter but the input embedding and the norms. */
    const ModelFlops flops = model_flops_per_token(&model, 8192);
    assert_near(flops.matmul, 2 * (count.active - count.embedding / 2 - count.norms), 1e3);
    assert_near(flops.matmul, 558e9, 1e9);
    /* 4 x 120 layers x 21,504 channels x 8,192 tokens, half of it causal. */
    assert_near(flops.attention_full, 4 * 120 * 21504.0 * 8192, 1);
    assert_near(flops.attention_causal, flops.attention_full / 2, 1);
    assert_near(flops.training, 3 * (flops.matmul + flops.attention_causal), 1);
    assert_near(model_kv_bytes_per_token(&model, 2), 2 * 120 * 128 * 2, 0);
}

static void published_sizes(void **state)
{
    (void)state;
    const struct {
        const char *name;
        double total, share;
    } rows[] = {
        {"gpt3-175b", 174.6e9, 0.01},      /* Brown et al. 2020, Narayanan et al. 2021 */
        {"dense-1t", 1008e9, 0.01},        /* Narayanan et al. 2021, table 1 */
        {"palm-540b-mha", 540.35e9, 0.01}, /* Chowdhery et al. 2022, table 1 */
        {"gpt4-rumour-220b", 220e9, 0.01},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const ModelSpec model = shipped_model(rows[i].name);
        const ModelParameters count = model_parameters(&model);
        print_message("  %s: %.1fe9 parameters\n", rows[i].name, count.total / 1e9);
        assert_near(count.total, rows[i].total, rows[i].share * rows[i].total);
        assert_near(count.active, count.total, 1);
        assert_near(count.router, 0, 0);
    }
}

/* Narayanan et al. 2021: equation 3 for the 175B model, sequence 2,048, vocabulary 51,200. */
static void conventions(void **state)
{
    (void)state;
    ModelSpec model = shipped_model("gpt3-175b");
    model.vocab_size = 51200;
    const double l = 96, h = 12288, s = 2048, V = 51200;
    const double equation = 72 * l * h * h * (1 + s / (6 * h) + V / (12 * l * h));
    assert_near(model_flops_megatron(&model, s), equation, 1e-9 * equation);
    /* Section 5.1 of that paper for the same model: 300e9 tokens on 1,024 GPUs at 140 TFLOP/s (with
     * the recomputation that the equation for the hardware counts, 4/3) take 34 days. */
    const double days = 300e9 * equation * 4 / 3 / (1024 * 140e12) / 86400;
    assert_near(days, 34, 1);

    /* PaLM appendix B: 6 N + 12 L H Q T. */
    const ModelParameters count = model_parameters(&model);
    assert_near(model_flops_6nd(&model), 6 * count.total, 1);
    assert_near(model_flops_palm(&model, s), 6 * count.total + 12 * l * h * s, 1);
}

static void kv_cache_of_multi_head_540b(void **state)
{
    (void)state;
    /* Pope et al. 2022: batch 512, context 2,048: 3 TB. */
    const ModelSpec model = shipped_model("palm-540b-mha");
    assert_near(model_kv_bytes_per_token(&model, 2) * 512 * 2048, 3e12, 0.1e12);
}

static void heads_on_a_rank(void **state)
{
    (void)state;
    const ModelSpec one = {.kv_heads = 1}, many = {.kv_heads = 96};
    assert_near(model_kv_heads_on_rank(&one, 8), 1, 0);
    assert_near(model_kv_heads_on_rank(&many, 8), 12, 0);
}

/* Against drawing k of E without replacement, token by token. */
static void experts_touched(void **state)
{
    (void)state;
    const ModelSpec model = {.experts = 16, .experts_per_token = 2};
    assert_near(model_experts_touched(&model, 0), 0, 0);
    assert_near(model_experts_touched(&model, 1), 2, 1e-12);
    assert_near(model_experts_touched(&model, 1e6), 16, 1e-9);

    enum { DRAWS = 20000, TOKENS = 8 };
    unsigned long long seed = 88172645463325252ULL, random = seed;
    double sum = 0;
    for (int draw = 0; draw < DRAWS; draw++) {
        unsigned touched = 0;
        for (int token = 0; token < TOKENS; token++) {
            unsigned pair = 0;
            while (__builtin_popcount(pair) < 2) {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                pair |= 1u << (random >> 32 & 15);
            }
            touched |= pair;
        }
        sum += __builtin_popcount(touched);
    }
    print_message("  seed %llu: %.3f experts touched, expected %.3f\n", seed, sum / DRAWS,
                  model_experts_touched(&model, TOKENS));
    /* One draw varies by less than 2; four standard errors of 20,000. */
    assert_near(sum / DRAWS, model_experts_touched(&model, TOKENS), 4 * 2 / sqrt(DRAWS));

    const ModelSpec dense = {.experts = 1, .experts_per_token = 1};
    assert_near(model_experts_touched(&dense, 5), 1, 0);
}

static void bytes_of_precisions(void **state)
{
    (void)state;
    assert_near(precision_bytes(PRECISION_BF16), 2, 0);
    assert_near(precision_bytes(PRECISION_FP16), 2, 0);
    assert_near(precision_bytes(PRECISION_FP8), 1, 0);
    assert_near(precision_bytes(PRECISION_FP32), 4, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpt4_leak),           cmocka_unit_test(published_sizes),
        cmocka_unit_test(conventions),         cmocka_unit_test(kv_cache_of_multi_head_540b),
        cmocka_unit_test(heads_on_a_rank),     cmocka_unit_test(experts_touched),
        cmocka_unit_test(bytes_of_precisions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
