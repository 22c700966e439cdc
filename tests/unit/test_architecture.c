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
    /* As published, in 1e9 and to the digits printed; `digit` is half a unit of the last of them.
     * active 0: dense. */
    const struct {
        const char *name;
        double total, total_digit, active, active_digit;
    } rows[] = {
        {"gpt3-175b", 174.6, 0.05, 0, 0},       /* Brown et al. 2020, table D.1: 174,600M */
        {"dense-1t", 1008, 0.5, 0, 0},          /* Narayanan et al. 2021, table 1 */
        {"palm-540b-mha", 540.35, 0.005, 0, 0}, /* Chowdhery et al. 2022, table 1 */
        {"gpt4-rumour-220b", 220, 0.5, 0, 0},
        {"llama2-7b", 6.74, 0.005, 0, 0},   /* model card: 6.74B */
        {"llama2-13b", 13.02, 0.005, 0, 0}, /* safetensors index */
        {"llama2-70b", 68.98, 0.005, 0, 0}, /* safetensors index */
        {"llama3-8b", 8.03, 0.005, 0, 0},   /* model cards */
        {"llama3-70b", 70.6, 0.05, 0, 0},
        {"llama3-405b", 405, 0.5, 0, 0},          /* Grattafiori et al. 2024, table 3 */
        {"mixtral-8x7b", 46.7, 0.05, 12.9, 0.05}, /* Mistral AI, December 2023 */
        {"mixtral-8x22b", 141, 0.5, 39, 0.5},     /* Mistral AI, April 2024 */
        {"qwen2-57b-a14b", 57.4, 0.05, 14, 0.5},  /* model card; Yang et al. 2024 */
        {"qwen3-30b-a3b", 30.5, 0.05, 3.3, 0.1},  /* Qwen3 model cards; 3.35 cut off to 3.3 */
        {"qwen3-235b-a22b", 235, 0.5, 22, 0.5},
        {"deepseek-v2", 236, 0.5, 21, 0.5},         /* DeepSeek-AI 2024 */
        {"deepseek-v2-lite", 15.7, 0.05, 2.4, 0.1}, /* 2.45 cut off to 2.4 */
        {"deepseek-v3", 671, 0.5, 37, 0.5},
        {"nemotron4-15b", 15.7, 0.05, 0, 0},   /* Parmar et al. 2024: 3.2 + 12.5 */
        {"nemotron4-340b", 341.0, 0.05, 0, 0}, /* NVIDIA 2024, section 2: 9.4 + 331.6 */
        {"grok-1", 314, 0.5, 0, 0},            /* xai-org/grok-1, README */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const ModelSpec model = shipped_model(rows[i].name);
        const ModelParameters count = model_parameters(&model);
        print_message("  %s: %.2fe9 parameters, %.2fe9 active\n", rows[i].name, count.total / 1e9,
                      count.active / 1e9);
        assert_near(count.total / 1e9, rows[i].total,
                    fmax(0.01 * rows[i].total, rows[i].total_digit));
        if (model.experts <= 1) {
            assert_near(count.active, count.total, 1);
            assert_near(count.router, 0, 0);
        } else if (rows[i].active > 0) {
            /* Some leave the input embedding out of what a token uses, others do not say. */
            const double bound = fmax(0.01 * rows[i].active, rows[i].active_digit);
            const double without = (count.active - model.vocab_size * model.d_model) / 1e9;
            if (fabs(count.active / 1e9 - rows[i].active) > bound)
                assert_near(without, rows[i].active, bound);
        }
    }
}

/* DeepSeek-V3 by hand: 61 layers of latent attention, 3 with an MLP, 58 with 256 + 1 experts. */
static void latent_attention_by_hand(void **state)
{
    (void)state;
    const ModelSpec model = shipped_model("deepseek-v3");
    const ModelParameters count = model_parameters(&model);
    const double d = 7168, h = 128;
    const double layer = d * 1536 + 1536 * h * 192 + d * 576 + 512 * h * 256 + h * 128 * d;
    assert_near(count.attention, 61 * layer, 1);
    assert_near(count.moe_layers, 58, 0);
    assert_near(count.mlp, 3 * 3 * d * 18432 + 58 * 257 * 3 * d * 2048, 1);
    assert_near(count.router, 58 * 256 * d, 1);
    assert_near(count.norms, 61 * (2 * d + 1536 + 512) + d, 1);
    /* DeepSeek-V2, section 2.1.4: (512 + 64) elements a layer and token. */
    assert_near(model_kv_bytes_per_token(&model, 2), 61 * 576 * 2, 0);
    /* QK^T over 192 channels, PV over 128. */
    assert_near(model_flops_per_token(&model, 4096).attention_full, 61 * 2 * h * 320 * 4096, 1);
}

/* GLM-5 by hand: DeepSeek's latent attention with an indexer of 32 queries beside it; published:
 * 744 billion parameters, 40 of them active. */
static void indexer_by_hand(void **state)
{
    (void)state;
    const ModelSpec model = shipped_model("glm-5");
    const ModelParameters count = model_parameters(&model);
    const double d = 6144, h = 64;
    const double indexer = 2048 * 32 * 128 + d * (128 + 32);
    const double layer =
        d * 2048 + 2048 * h * 256 + d * 576 + 512 * h * (192 + 256) + h * 256 * d + indexer;
    assert_near(model_indexer_weights(&model), indexer, 0);
    assert_near(count.attention, 78 * layer, 1);
    assert_near(count.total / 1e9, 744, 744 * 0.01);
    assert_near(count.active / 1e9, 40, 40 * 0.05);
    /* 128 channels in 8 bits and a scale. */
    assert_near(model_kv_bytes_per_token(&model, 2), 78 * (576 * 2 + 132), 0);
    /* Up to 2,048 tokens everything is looked at; then the square becomes a band. */
    const double square = 78 * 2 * h * (256 + 256) * 2048.0;
    assert_near(model_flops_per_token(&model, 2048).attention_full, square, 1);
    assert_near(model_window_share(&model, 2048), 1, 0);
    assert_near(model_window_share(&model, 8192), 2048 * (2 * 8192.0 - 2048) / (8192.0 * 8192),
                1e-12);
}

/* Qwen3.5 by hand: 45 layers of a gated delta rule, 15 of attention with a gate; published: 397
 * billion parameters, 17 of them active. */
static void linear_attention_by_hand(void **state)
{
    (void)state;
    const ModelSpec model = shipped_model("qwen3.5-397b-a17b");
    const ModelParameters count = model_parameters(&model);
    const double d = 4096;
    const double linear = d * (2 * 2048 + 2 * 8192 + 2 * 64) + 4 * (2 * 2048 + 8192) + 8192 * d;
    const double full = d * 2 * 8192 + 2 * d * 512 + 8192 * d;
    assert_near(count.attention, 45 * linear + 15 * full, 1);
    assert_near(count.total / 1e9, 397, 397 * 0.01);
    assert_near(count.active / 1e9, 17, 17 * 0.05);
    assert_near(model_linear_state(&model), 64 * 128 * 128, 0);
    assert_near(model_kv_bytes_per_token(&model, 2), 15 * 2 * 2 * 256 * 2, 0);
    /* A quarter of the layers has a square. */
    assert_near(model_window_share(&model, 8192), 0.25, 1e-12);
}

static void layers_of_two_kinds(void **state)
{
    (void)state;
    ModelSpec model = shipped_model("mixtral-8x7b");
    const double all = model_parameters(&model).total;
    const double experts = 7 * 3 * 4096.0 * 14336, router = 8 * 4096.0;
    model.moe_every = 2;
    assert_near(model_expert_layers(&model), 16, 0);
    assert_false(model_layer_has_experts(&model, 0));
    assert_true(model_layer_has_experts(&model, 1));
    assert_near(model_parameters(&model).total, all - 16 * (experts + router), 1);
    model.dense_layers = 3;
    assert_near(model_expert_layers(&model), 14, 0);
    double count = 0;
    for (double i = 0; i < model.layers; i++)
        count += model_layer_has_experts(&model, i);
    assert_near(count, 14, 0);
}

/* Against counting the pairs of a causal window token by token. */
static void windows(void **state)
{
    (void)state;
    const double rows[][2] = {{4096, 1024}, {4096, 4096}, {4096, 9000}, {8192, 128}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const double length = rows[i][0];
        const ModelSpec model = {.attention_window = rows[i][1]};
        double pairs = 0;
        for (double token = 1; token <= length; token++)
            pairs += fmin(token, rows[i][1]);
        const double share = pairs / (length * (length + 1) / 2);
        assert_near(model_window_share(&model, length), share, 0.005 * share);
    }
    assert_near(model_window_share(&(ModelSpec){0}, 4096), 1, 0);

    /* Where the window holds for some layers, the others have all pairs. */
    const ModelSpec every = {.attention_window = 128, .layers = 36};
    ModelSpec half = every;
    half.window_layers = 18;
    assert_near(model_windowed_share(&every), 1, 0);
    assert_near(model_windowed_share(&half), 0.5, 0);
    assert_near(model_windowed_share(&(ModelSpec){.layers = 36}), 0, 0);
    assert_near(model_window_share(&half, 8192), (1 + model_window_share(&every, 8192)) / 2, 1e-12);
}

/* Parameters as published: gpt-oss 116.8B (arXiv 2508.10925, table 1), Qwen3-32B 32.8B
 * (arXiv 2505.09388), Kimi K2 1.04T, of which 32.6B active (arXiv 2507.20534), MiniMax-M2 230B. */
static void served_models(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double total, active, room;
    } models[] = {{"gpt-oss-120b", 116.8e9, 0, 0.01},
                  {"qwen3-32b", 32.8e9, 32.8e9, 0.005},
                  {"kimi-k2", 1.04e12, 32.6e9, 0.02},
                  {"minimax-m2", 230e9, 0, 0.01}};
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        const ModelSpec model = shipped_model(models[i].name);
        const ModelParameters count = model_parameters(&model);
        assert_near(count.total, models[i].total, models[i].room * models[i].total);
        if (models[i].active > 0)
            assert_near(count.active, models[i].active, models[i].room * models[i].active);
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
        cmocka_unit_test(bytes_of_precisions), cmocka_unit_test(latent_attention_by_hand),
        cmocka_unit_test(indexer_by_hand),     cmocka_unit_test(linear_attention_by_hand),
        cmocka_unit_test(layers_of_two_kinds), cmocka_unit_test(windows),
        cmocka_unit_test(served_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
