/* Serving scenarios for tests, built by hand so that they do not move when the shipped files do.
 * The model has the published shape of the leak; the GPU is an A100 80 GB with rounded kernel
 * constants. */
#ifndef TESTS_UNIT_SERVING_SCENARIO_H
#define TESTS_UNIT_SERVING_SCENARIO_H

#include "configs/reader/scenario.h"

#include <string.h>

static inline void serving_scenario(Scenario *scenario)
{
    const CollectiveFit collective = {.base_s = 8e-6,
                                      .per_rank_s = 1e-6,
                                      .bytes_per_s = 230e9,
                                      .chunk_s2_per_byte = 1e-16,
                                      .two_rank_bandwidth = 0.9};

    memset(scenario, 0, sizeof *scenario);
    scenario->kind = SCENARIO_SERVING;
    scenario->model = (ModelSpec){.layers = 120,
                                  .d_model = 10752,
                                  .d_ff = 43008,
                                  .heads = 168,
                                  .kv_heads = 1,
                                  .head_dim = 128,
                                  .vocab_size = 100352,
                                  .experts = 16,
                                  .experts_per_token = 2};
    scenario->hardware = (HardwareSpec){
        .gpus = 128,
        .gpu = {.peak_bf16_flops_per_s = 312e12,
                .memory_bytes = 80e9,
                .memory_usable = 0.95,
                .memory_bytes_per_s = 2.039e12,
                .stream_efficiency = 0.8,
                .elementwise_launch_s = 3e-6,
                .sms = 108,
                .tdp_w = 400,
                .gemm_bf16 = {.launch_s = 3.4e-6,
                              .compute_efficiency = 0.83,
                              .memory_efficiency = 0.7,
                              .k_overhead = 150,
                              .tile_penalty = 30,
                              .split_k_cost = 0.25,
                              .overlap_exponent = 3.7,
                              .wave_quantisation = 0.3},
                .attention_flash2 = {193e12, 484},
                .decode_launch_s = 11e-6,
                .decode_memory_efficiency = 0.69,
                .decode_block_s = 4e-6,
                .decode_exponent = 4},
        .node = {.gpus = 8,
                 .nics = 8,
                 .nic_bytes_per_s = 25e9,
                 .power_w = 5000,
                 .all_reduce = collective,
                 .all_gather = collective,
                 .reduce_scatter = collective,
                 .all_to_all = collective},
        .fabric = {.efficiency = 0.94,
                   .ring_hop_s = 14e-6,
                   .base_s = 8e-6,
                   .p2p_latency_s = 26e-6,
                   .p2p_efficiency = 0.95,
                   .bucket_bytes = 1e9,
                   .oversubscription = 1},
    };
    scenario->prices = (PriceSpec){.gpu_hour_usd = 1, .energy_included = 1, .pue = 1.2};
    scenario->serving = (ServingSpec){.tensor = 8,
                                      .expert_load = {.model = EXPERT_LOAD_UNIFORM},
                                      .pipeline = 16,
                                      .replicas = 1,
                                      .context_limit = 8192,
                                      .prompt_tokens = 1155,
                                      .output_tokens = 211,
                                      .length_sigma = 0.8,
                                      .max_batch = 4096,
                                      .utilisation = 0.5,
                                      .reserved_bytes = 4e9,
                                      .layer_overhead_s = 50e-6,
                                      .step_overhead_s = 1e-3,
                                      .kv_block_tokens = 16,
                                      .prefill_chunk_tokens = 2048};
}

/* A dense 7B model on one GPU. */
static inline void small_serving_scenario(Scenario *scenario)
{
    serving_scenario(scenario);
    scenario->model = (ModelSpec){.layers = 32,
                                  .d_model = 4096,
                                  .d_ff = 11008,
                                  .heads = 32,
                                  .kv_heads = 32,
                                  .head_dim = 128,
                                  .vocab_size = 32000,
                                  .experts = 1,
                                  .gated_mlp = 1};
    scenario->serving.tensor = scenario->serving.pipeline = 1;
    scenario->serving.max_batch = 256;
    scenario->serving.context_limit = 4096;
    scenario->serving.iteration_tokens = 2048;
}

/* A GPU that takes no time, and an engine with 1 ms an iteration: one server, service of as many
 * iterations as the answer has tokens. */
static inline void single_server_scenario(Scenario *scenario)
{
    serving_scenario(scenario);
    GpuSpec *gpu = &scenario->hardware.gpu;
    gpu->peak_bf16_flops_per_s = 1e30;
    gpu->memory_bytes_per_s = 1e30;
    gpu->elementwise_launch_s = gpu->decode_launch_s = gpu->gemm_bf16.launch_s = 0;
    gpu->decode_block_s = 0;
    gpu->attention_flash2 = (AttentionFit){1e30, 0};
    scenario->model.layers = 1;
    scenario->model.experts = 1;
    scenario->serving.tensor = scenario->serving.pipeline = scenario->serving.max_batch = 1;
    scenario->serving.layer_overhead_s = 0;
    scenario->serving.step_overhead_s = 1e-3;
}

#endif
