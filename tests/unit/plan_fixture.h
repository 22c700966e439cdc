/* Plans on A100s for tests of memory and of the checks. */
#ifndef TESTS_UNIT_PLAN_FIXTURE_H
#define TESTS_UNIT_PLAN_FIXTURE_H

#include "tests/unit/shipped.h"

static inline Scenario on_a100(ModelSpec model, double tensor, double pipeline, double data)
{
    Scenario scenario = {.kind = SCENARIO_TRAINING, .model = model};
    scenario.hardware = shipped_hardware("a100-80g-hdr");
    scenario.hardware.gpus = tensor * pipeline * data;
    scenario.training = (TrainingSpec){.tokens = 1e12,
                                       .batch_tokens = 2048 * 64,
                                       .sequence_length = 2048,
                                       .precision = PRECISION_BF16,
                                       .gradient_precision = PRECISION_FP32,
                                       .optimizer_bytes_per_param = 12,
                                       .attention = ATTENTION_UNFUSED,
                                       .reserved_bytes = 3e9,
                                       .parallel = {.tensor = tensor,
                                                    .pipeline = pipeline,
                                                    .data = data,
                                                    .expert = 1,
                                                    .sequence_parallel = 1,
                                                    .micro_batch = 1,
                                                    .schedule = SCHEDULE_1F1B,
                                                    .recompute = RECOMPUTE_SELECTIVE}};
    return scenario;
}

static inline ModelSpec gpt(double layers, double d_model, double heads)
{
    return (ModelSpec){.layers = layers,
                       .d_model = d_model,
                       .d_ff = 4 * d_model,
                       .heads = heads,
                       .kv_heads = heads,
                       .head_dim = d_model / heads,
                       .vocab_size = 51200,
                       .experts = 1,
                       .experts_per_token = 1,
                       .tied_embeddings = 1};
}

/* The leak's plan: 24,960 GPUs, 60e6 tokens a step. */
static inline Scenario leak(void)
{
    Scenario scenario = on_a100(shipped_model("gpt4-leak"), 8, 15, 208);
    scenario.training.batch_tokens = 60e6;
    scenario.training.sequence_length = 8192;
    scenario.training.gradient_precision = PRECISION_BF16;
    scenario.training.attention = ATTENTION_FLASH2;
    scenario.training.parallel.zero_stage = 1;
    scenario.training.parallel.recompute = RECOMPUTE_FULL;
    return scenario;
}

#endif
