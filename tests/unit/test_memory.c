/* Memory of a GPU by stage: formulas of the papers, plans known to fit, and the remedies. */
#include "tests/unit/plan_fixture.h"

#include "models/architecture.h"
#include "models/memory.h"
#include "models/plan_check.h"

#include <math.h>

static void layouts(void **state)
{
    (void)state;
    StageLayout layout;
    const struct {
        double layers;
        size_t stages;
        unsigned expected[8];
    } rows[] = {
        {8, 4, {2, 2, 2, 2}},  {9, 4, {2, 2, 3, 2}}, {10, 4, {2, 3, 3, 2}},
        {11, 4, {2, 3, 3, 3}}, {7, 2, {3, 4}},       {5, 1, {5}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        stage_layout(&(ModelSpec){.layers = rows[i].layers}, rows[i].stages, &layout);
        assert_int_equal(layout.stages, rows[i].stages);
        for (size_t stage = 0; stage < rows[i].stages; stage++)
            assert_int_equal(layout.layers[stage], rows[i].expected[stage]);
    }
    for (size_t stages = 1; stages <= 120; stages++) {
        stage_layout(&(ModelSpec){.layers = 120}, stages, &layout);
        unsigned sum = 0, least = 1000, most = 0;
        for (size_t stage = 0; stage < stages; stage++) {
            const unsigned layers = layout.layers[stage];
            sum += layers;
            least = layers < least ? layers : least;
            most = layers > most ? layers : most;
        }
        assert_int_equal(sum, 120);
        assert_true(most - least <= 1);
        assert_int_equal(layout.layers[0], least);
    }
}

/* Every parameter is on one stage: tensor ranks x stages hold the model, plus what each rank
 * copies. */
static void parameters_add_up(void **state)
{
    (void)state;
    const Scenario scenario = leak();
    const ModelParameters count = model_parameters(&scenario.model);
    StageLayout layout;
    stage_layout(&scenario.model, 15, &layout);
    double sum = 0;
    for (size_t stage = 0; stage < 15; stage++)
        sum += stage_parameters(&scenario, &layout, stage);
    const double kv = 120 * 2 * 10752.0 * 128;
    const double copied = 7 * (kv + count.router + count.norms);
    assert_near(8 * sum, count.total + copied, 1e-6 * count.total);
    /* 1.83e12 / 120 = 15.25e9 a GPU, and the K and V weights that every rank copies. */
    assert_near(stage_parameters(&scenario, &layout, 7), 15.28e9, 0.01e9);
}

/* Korthikanti et al. 2022, equations 2 and 4: s b h (34 / t) and 5 a s^2 b / t more for the scores;
 * without sequence parallelism s b h (10 + 24 / t). */
static void activations_of_a_dense_layer(void **state)
{
    (void)state;
    const double s = 2048, b = 2, h = 12288, a = 96, t = 8, layers = 12, in_flight = 4;
    Scenario scenario = on_a100(gpt(layers * 4, h, a), t, 4, 1);
    scenario.training.parallel.micro_batch = b;
    StageLayout layout;
    stage_layout(&scenario.model, 4, &layout);
    const double unit = s * b * h * layers * in_flight;
    const double scores = 5 * a * s * s * b / t;

    scenario.training.attention = ATTENTION_FLASH2;
    scenario.training.parallel.recompute = RECOMPUTE_NONE;
    assert_near(stage_memory(&scenario, &layout, 0).activations_bytes, unit * 34 / t, 1);
    scenario.training.parallel.sequence_parallel = 0;
    assert_near(stage_memory(&scenario, &layout, 0).activations_bytes, unit * (10 + 24 / t), 1);
    scenario.training.parallel.sequence_parallel = 1;

    scenario.training.attention = ATTENTION_UNFUSED;
    assert_near(stage_memory(&scenario, &layout, 0).activations_bytes,
                unit * 34 / t + scores * layers * in_flight, 1);
    /* Selective keeps no scores but those of the layer at work; full keeps a layer's input. */
    scenario.training.parallel.recompute = RECOMPUTE_SELECTIVE;
    assert_near(stage_memory(&scenario, &layout, 0).activations_bytes, unit * 34 / t + scores, 1);
    scenario.training.parallel.recompute = RECOMPUTE_FULL;
    assert_near(stage_memory(&scenario, &layout, 0).activations_bytes,
                unit * 2 / t + s * b * h * 34 / t + scores, 1);

    /* The last stage keeps one microbatch, and its logits in 16 and 32 bits. */
    assert_near(stage_memory(&scenario, &layout, 3).activations_bytes,
                s * b * h * layers * 2 / t + s * b * h * 34 / t + scores + s * b * 51200 / t * 6,
                1);
}

/* The same layer without masks is 32 s b h / t; Transformer Engine keeps the products' inputs (2 h
 * of norms, h of attention and 4 h of the MLP) in one byte instead of two: 25. Recomputation by
 * operators keeps the input, attention's output and half of 3 h + h + 4 h + h outputs: 2 (1 + 1 +
 * 4.5) = 13; by modules it keeps 32 without two norms' and the activation's outputs: 20. */
static void activations_that_stacks_do_not_keep(void **state)
{
    (void)state;
    const double s = 2048, b = 2, h = 12288, t = 8, layers = 12, in_flight = 4;
    Scenario scenario = on_a100(gpt(layers * 4, h, 96), t, 4, 1);
    TrainingSpec *training = &scenario.training;
    training->parallel.micro_batch = b;
    training->attention = ATTENTION_FLASH2;
    training->parallel.recompute = RECOMPUTE_NONE;
    StageLayout layout;
    stage_layout(&scenario.model, 4, &layout);
    const double one = s * b * h / t, unit = one * layers * in_flight;
    training->dropout = DROPOUT_NONE;
    assert_near(stage_memory(&scenario, &layout, 0).activations_bytes, unit * 32, 1);
    training->fp8_inputs = 1;
    assert_near(stage_memory(&scenario, &layout, 0).activations_bytes, unit * 32, 1);
    training->precision = PRECISION_FP8;
    assert_near(stage_memory(&scenario, &layout, 0).activations_bytes, unit * 25, 1);
    training->precision = PRECISION_BF16;
    training->parallel.recompute = RECOMPUTE_SELECTIVE;
    training->parallel.selective_scope = SELECTIVE_OPERATORS;
    assert_near(stage_memory(&scenario, &layout, 0).activations_bytes, unit * 13 + one * 32, 1);
    training->parallel.selective_scope = SELECTIVE_MODULES;
    assert_near(stage_memory(&scenario, &layout, 0).activations_bytes, unit * 20 + one * 12, 1);
    /* All but two norms' outputs of a dense layer: 28; input, Q, K and V: 8. */
    training->parallel.selective_scope = SELECTIVE_EXPERTS;
    assert_near(stage_memory(&scenario, &layout, 0).activations_bytes, unit * 28 + one * 4, 1);
    training->parallel.selective_scope = SELECTIVE_BUT_QKV;
    assert_near(stage_memory(&scenario, &layout, 0).activations_bytes, unit * 8 + one * 32, 1);
    training->parallel.selective_scope = SELECTIVE_MODULES;
    /* A loss that keeps 16-bit logits and their gradient. */
    const double before = stage_memory(&scenario, &layout, 3).activations_bytes;
    training->logit_bytes = 4;
    assert_near(stage_memory(&scenario, &layout, 3).activations_bytes,
                before - 2 * s * b * 51200 / t, 1);
}

/* torchtitan's policy on a gated layer with few KV heads, a token of Llama 3 8B: 4096 of the input
 * and of attention's output, half of 4096 + 2 x 1024 + 4096 + 2 x 14336 + 4096 products' outputs.
 */
static void operators_of_a_llama_layer(void **state)
{
    (void)state;
    Scenario scenario = on_a100(shipped_model("llama3-8b"), 1, 1, 1);
    TrainingSpec *training = &scenario.training;
    training->attention = ATTENTION_FLASH2;
    training->dropout = DROPOUT_NONE;
    training->parallel.recompute = RECOMPUTE_SELECTIVE;
    training->parallel.selective_scope = SELECTIVE_OPERATORS;
    StageLayout layout;
    stage_layout(&scenario.model, 1, &layout);
    const double kept = 2 * (2 * 4096 + (3 * 4096 + 2 * 1024 + 2 * 14336) / 2.0);
    const double whole = 2 * (4 * 4096 + 2 * 4096 + 2 * 1024 + 3 * 14336);
    assert_near(stage_memory(&scenario, &layout, 0).activations_bytes,
                2048 * (32 * kept + whole + 6 * 128256.0), 1);
}

/* DeepSpeed gathers matrix by matrix: of 530B 1e9 parameters ahead and one of 4 h^2 at work. */
static void limited_gathering(void **state)
{
    (void)state;
    ModelSpec model = gpt(105, 20480, 128);
    Scenario scenario = on_a100(model, 1, 1, 640);
    scenario.training.gradient_precision = PRECISION_BF16;
    scenario.training.parallel.zero_stage = 3;
    StageLayout layout;
    stage_layout(&model, 1, &layout);
    const double parameters = stage_parameters(&scenario, &layout, 0);
    const double matrix = 4.0 * 20480 * 20480;
    const StageMemory layers = stage_memory(&scenario, &layout, 0);
    scenario.training.parallel.gather_limit = 1e9;
    const StageMemory limited = stage_memory(&scenario, &layout, 0);
    assert_near(limited.weights_bytes, 2 * (parameters / 640 + matrix + 1e9), 1);
    assert_near(limited.gradients_bytes, 2 * (parameters / 640 + matrix), 1);
    assert_true(limited.weights_bytes < layers.weights_bytes);
    /* DeepSpeed's bf16 optimizer keeps 16-bit gradients beside the fp32 sum. */
    scenario.training.gradient_bytes_per_param = 6;
    assert_near(stage_memory(&scenario, &layout, 0).gradients_bytes,
                6 * parameters / 640 + 2 * matrix, 1);
}

static void activations_of_an_moe_layer(void **state)
{
    (void)state;
    Scenario scenario = leak();
    scenario.training.parallel.recompute = RECOMPUTE_NONE;
    StageLayout layout;
    stage_layout(&scenario.model, 15, &layout);
    /* For one token: inputs and masks 10 d, two experts' copies and outputs 8 d, hidden vectors 2 x
     * 16 d, Q and attention output 2 x 2 x 2 d: 58 d over 8 ranks; the one K and V head is on each
     * of them. */
    const double token = 58 * 10752.0 / 8 + 2 * 2 * 128;
    assert_near(stage_memory(&scenario, &layout, 0).activations_bytes, token * 8192 * 8 * 15, 1e3);
}

static void microbatches_in_flight(void **state)
{
    (void)state;
    Scenario scenario = leak();
    assert_near(plan_microbatches(&scenario.training), 35, 0);
    assert_near(stage_in_flight(&scenario, 15, 0, 35), 15, 0);
    assert_near(stage_in_flight(&scenario, 15, 14, 35), 1, 0);
    assert_near(stage_in_flight(&scenario, 15, 0, 4), 4, 0);
    scenario.training.parallel.schedule = SCHEDULE_GPIPE;
    assert_near(stage_in_flight(&scenario, 15, 14, 35), 35, 0);
    /* Korthikanti et al. 2022, section 4.2.3: p (1 + (p - 1)/(p V)); one chunk is 1F1B */
    scenario.training.parallel.schedule = SCHEDULE_INTERLEAVED;
    scenario.training.parallel.virtual_stages = 3;
    assert_near(stage_in_flight(&scenario, 8, 0, 64), 8 * (1 + 7.0 / (8 * 3)), 1e-12);
    scenario.training.parallel.virtual_stages = 1;
    assert_near(stage_in_flight(&scenario, 15, 4, 35), 11, 0);
    scenario.training.parallel.schedule = SCHEDULE_ZB_H1;
    assert_near(stage_in_flight(&scenario, 15, 14, 35), 15, 0);
    scenario.training.parallel.schedule = SCHEDULE_ZB_2P;
    assert_near(stage_in_flight(&scenario, 15, 14, 35), 29, 0);
    scenario.training.parallel.schedule = SCHEDULE_DUALPIPE;
    assert_near(stage_in_flight(&scenario, 16, 3, 35), 17, 0);
}

/* Rajbhandari et al. 2020, figure 1: 7.5e9 parameters on 64 ranks with 12 bytes of optimizer and
 * 16-bit gradients take 120, 31.4, 16.6 and 1.9 GB. */
static void zero_stages(void **state)
{
    (void)state;
    ModelSpec model = gpt(48, 3584, 32);
    Scenario scenario = on_a100(model, 1, 1, 64);
    scenario.training.gradient_precision = PRECISION_BF16;
    scenario.training.parallel.sequence_parallel = 0;
    StageLayout layout;
    stage_layout(&model, 1, &layout);
    const double parameters = stage_parameters(&scenario, &layout, 0);
    const double published[] = {120, 31.4, 16.6, 1.9};
    for (int stage = 0; stage <= 3; stage++) {
        scenario.training.parallel.zero_stage = stage;
        const StageMemory memory = stage_memory(&scenario, &layout, 0);
        double states = memory.weights_bytes + memory.gradients_bytes + memory.optimizer_bytes;
        /* What is gathered (a layer and a table, the largest unit) and the gradient of the unit at
         * work are not in that figure. */
        if (stage == 3) {
            const double layer = layer_parameters(&scenario, 0).common;
            const double unit = fmax(layer, table_parameters(&scenario));
            states -= 2 * (unit + layer) + 2 * unit;
        }
        assert_near(states * 7.5e9 / parameters / 1e9, published[stage], 0.2);
    }
}

/* Experts are copied over data / expert ranks only, everything else over all data ranks. */
static void expert_ways(void **state)
{
    (void)state;
    Scenario scenario = leak();
    StageLayout layout;
    stage_layout(&scenario.model, 15, &layout);
    const double expert_1 = 8 * 16 * 8 * 10752.0 * 10752 / 8;
    const StageMemory sliced = stage_memory(&scenario, &layout, 7);
    scenario.training.parallel.expert = 16;
    const StageMemory spread = stage_memory(&scenario, &layout, 7);
    const double common = sliced.parameters - expert_1;
    assert_near(spread.parameters, common + expert_1 / 16, 1);
    assert_near(spread.optimizer_bytes, 12 * (common / 208 + expert_1 / 16 / 13), 1);
    assert_near(sliced.optimizer_bytes, 12 * sliced.parameters / 208, 1);
}

/* Folded experts (Megatron-Core): ranks of a stage = expert tensor x expert x copies. */
static void folded_experts(void **state)
{
    (void)state;
    Scenario scenario = on_a100(shipped_model("mixtral-8x22b"), 2, 8, 8);
    scenario.training.parallel.zero_stage = 1;
    StageLayout layout;
    stage_layout(&scenario.model, 8, &layout);
    const double experts = 7 * 8 * 3 * 6144.0 * 16384; /* of 7 layers */
    const double sliced = stage_parameters(&scenario, &layout, 3);
    scenario.training.parallel.expert = 8;
    scenario.training.parallel.expert_tensor = 1;
    assert_near(plan_expert_copies(&scenario.training.parallel), 2, 0);
    assert_near(stage_spread_parameters(&scenario, &layout, 3), experts / 8, 1);
    assert_near(stage_parameters(&scenario, &layout, 3), sliced - experts / 2 + experts / 8, 1);
    const StageMemory memory = stage_memory(&scenario, &layout, 3);
    assert_near(memory.optimizer_bytes, 12 * ((sliced - experts / 2) / 8 + experts / 8 / 2), 1);
}

/* Mixed layers: what the stages hold is the model. */
static void layers_of_two_kinds(void **state)
{
    (void)state;
    const char *const models[] = {"deepseek-v2", "deepseek-v3"};
    for (size_t i = 0; i < 2; i++) {
        Scenario scenario = on_a100(shipped_model(models[i]), 1, 4, 1);
        StageLayout layout;
        stage_layout(&scenario.model, 4, &layout);
        double sum = 0, experts = 0;
        for (size_t stage = 0; stage < 4; stage++) {
            sum += stage_parameters(&scenario, &layout, stage);
            experts += stage_expert_layers(&scenario.model, &layout, stage);
        }
        assert_near(sum, model_parameters(&scenario.model).total, 1);
        assert_near(experts, model_parameters(&scenario.model).moe_layers, 0);
    }
}

/* Context ways cut activations and logits and leave weights alone; ZeRO divides over them too. */
static void context_ways(void **state)
{
    (void)state;
    Scenario scenario = on_a100(shipped_model("llama3-8b"), 1, 1, 1);
    scenario.training.sequence_length = 8192;
    scenario.training.attention = ATTENTION_FLASH2;
    scenario.training.parallel.recompute = RECOMPUTE_NONE;
    StageLayout layout;
    stage_layout(&scenario.model, 1, &layout);
    const StageMemory whole = stage_memory(&scenario, &layout, 0);
    scenario.training.parallel.context = 4;
    scenario.training.parallel.zero_stage = 1;
    const StageMemory cut = stage_memory(&scenario, &layout, 0);
    assert_near(4 * cut.activations_bytes, whole.activations_bytes, 1);
    assert_near(cut.weights_bytes, whole.weights_bytes, 0);
    assert_near(4 * cut.optimizer_bytes, whole.optimizer_bytes, 1);
}

static MemoryPlan plan_of(const Scenario *scenario)
{
    MemoryPlan plan;
    memory_plan(scenario, &plan);
    return plan;
}

/* Korthikanti et al. 2022, table 3 and 5: these ran on A100 80 GB. */
static void published_plans_fit(void **state)
{
    (void)state;
    const struct {
        double layers, d_model, heads, pipeline, micro_batch;
    } rows[] = {
        {48, 6144, 64, 1, 4},
        {96, 12288, 96, 8, 1},
        {105, 20480, 128, 35, 1},
        {128, 25600, 160, 64, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int full = 0; full <= 1; full++) {
            Scenario scenario = on_a100(gpt(rows[i].layers, rows[i].d_model, rows[i].heads), 8,
                                        rows[i].pipeline, 1);
            scenario.training.parallel.micro_batch = rows[i].micro_batch;
            scenario.training.batch_tokens = 2048 * 512;
            scenario.training.parallel.recompute = full ? RECOMPUTE_FULL : RECOMPUTE_SELECTIVE;
            const MemoryPlan plan = plan_of(&scenario);
            print_message("  %g layers x %g, %s: %.1f of %.1f GB\n", rows[i].layers,
                          rows[i].d_model, full ? "full" : "selective",
                          plan.worst.total_bytes / 1e9, plan.capacity_bytes / 1e9);
            assert_true(plan.fits);
            assert_string_equal(plan.remedy, "");
        }
    }
}

static Scenario fully_sharded(const char *model, double gpus)
{
    Scenario scenario = on_a100(shipped_model(model), 1, 1, gpus);
    scenario.training.sequence_length = 4096;
    scenario.training.batch_tokens = 4096 * gpus;
    scenario.training.attention = ATTENTION_FLASH2;
    scenario.training.parallel.zero_stage = 3;
    scenario.training.parallel.recompute = RECOMPUTE_FULL;
    return scenario;
}

/* llm-foundry trained 70B on 64 and fms-fsdp on 128 A100 80 GB with FSDP; 16 bytes of each of 69e9
 * parameters are 138 GB on each of 8. */
static void fully_sharded_70b(void **state)
{
    (void)state;
    Scenario scenario = fully_sharded("llama2-70b", 64);
    assert_true(plan_of(&scenario).fits);
    scenario = fully_sharded("llama2-70b", 128);
    assert_true(plan_of(&scenario).fits);
    scenario = fully_sharded("llama2-70b", 8);
    assert_false(plan_of(&scenario).fits);
    /* Hybrid sharding in groups of 8 needs what 8 alone need. */
    Scenario hybrid = fully_sharded("llama2-70b", 64);
    hybrid.training.parallel.shard_group = 8;
    StageLayout layout;
    stage_layout(&scenario.model, 1, &layout);
    assert_near(stage_memory(&hybrid, &layout, 0).total_bytes,
                stage_memory(&scenario, &layout, 0).total_bytes, 1);
    assert_false(plan_of(&hybrid).fits);
    /* 7B needs no sharding of weights: 4 bytes of each and a share of 12. */
    scenario = fully_sharded("llama2-7b", 8);
    assert_true(plan_of(&scenario).fits);
    scenario.training.parallel.zero_stage = 0;
    assert_false(plan_of(&scenario).fits);
    scenario.training.parallel.zero_stage = 1;
    assert_true(plan_of(&scenario).fits);
}

/* DeepSeek-V3 ran on 2,048 H800 with 16 stages and 64 expert ways, no tensor ways, and parts of
 * each layer computed again (DeepSeek-AI 2024, section 3.2); with all 256 experts on each GPU it
 * cannot. */
static void deepseek_v3_fits(void **state)
{
    (void)state;
    Scenario scenario = on_a100(shipped_model("deepseek-v3"), 1, 16, 128);
    scenario.hardware = shipped_hardware("h800-ndr");
    scenario.hardware.gpus = 2048;
    scenario.training.sequence_length = 4096;
    scenario.training.batch_tokens = 15360 * 4096.0;
    scenario.training.attention = ATTENTION_FLASH2;
    scenario.training.parallel.expert = 64;
    scenario.training.parallel.zero_stage = 1;
    scenario.training.parallel.recompute = RECOMPUTE_FULL;
    Error error = {0};
    if (plan_check(&scenario, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_true(plan_of(&scenario).fits);
    scenario.training.parallel.expert = 1;
    assert_false(plan_of(&scenario).fits);
}

static void leak_fits_only_as_it_must(void **state)
{
    (void)state;
    char text[512];
    Scenario scenario = leak();
    MemoryPlan plan = plan_of(&scenario);
    memory_explain(&plan, text, sizeof text);
    print_message("  %s\n", text);
    assert_true(plan.fits);
    assert_near(plan.worst.weights_bytes, 30.5e9, 0.4e9);
    assert_near(plan.worst.gradients_bytes, 30.5e9, 0.4e9);
    assert_near(plan.worst.optimizer_bytes, 0.88e9, 0.02e9);

    /* fp32 gradients: 61 GB. The remedy must really fit, which a second plan shows. */
    scenario.training.gradient_precision = PRECISION_FP32;
    plan = plan_of(&scenario);
    memory_explain(&plan, text, sizeof text);
    print_message("  %s\n", text);
    assert_false(plan.fits);
    assert_non_null(strstr(plan.remedy, "training.gradient_precision: bf16"));

    scenario = leak();
    scenario.training.parallel.recompute = RECOMPUTE_NONE;
    plan = plan_of(&scenario);
    memory_explain(&plan, text, sizeof text);
    print_message("  %s\n", text);
    assert_false(plan.fits);
    assert_int_equal(plan.worst_stage, 0);
    assert_non_null(strstr(plan.remedy, "training.parallel.recompute: full"));

    /* No single change brings 62 GB of weights and gradients into 40 GB but ZeRO. */
    scenario = leak();
    scenario.hardware = shipped_hardware("a100-40g-hdr");
    plan = plan_of(&scenario);
    memory_explain(&plan, text, sizeof text);
    print_message("  %s\n", text);
    assert_false(plan.fits);
    assert_non_null(strstr(plan.remedy, "training."));

    /* A machine that nothing fits into says so. */
    scenario.hardware.gpu.memory_bytes = 1e9;
    plan = plan_of(&scenario);
    assert_false(plan.fits);
    assert_non_null(strstr(plan.remedy, "no one or two changes"));
}

static void fp8_keeps_two_copies(void **state)
{
    (void)state;
    Scenario scenario = leak();
    StageLayout layout;
    stage_layout(&scenario.model, 15, &layout);
    const double bf16 = stage_memory(&scenario, &layout, 3).weights_bytes;
    scenario.training.precision = PRECISION_FP8;
    assert_near(stage_memory(&scenario, &layout, 3).weights_bytes, bf16, 1); /* two of one byte */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts),
        cmocka_unit_test(parameters_add_up),
        cmocka_unit_test(activations_of_a_dense_layer),
        cmocka_unit_test(activations_that_stacks_do_not_keep),
        cmocka_unit_test(operators_of_a_llama_layer),
        cmocka_unit_test(limited_gathering),
        cmocka_unit_test(activations_of_an_moe_layer),
        cmocka_unit_test(microbatches_in_flight),
        cmocka_unit_test(zero_stages),
        cmocka_unit_test(expert_ways),
        cmocka_unit_test(published_plans_fit),
        cmocka_unit_test(folded_experts),
        cmocka_unit_test(layers_of_two_kinds),
        cmocka_unit_test(context_ways),
        cmocka_unit_test(fully_sharded_70b),
        cmocka_unit_test(deepseek_v3_fits),
        cmocka_unit_test(leak_fits_only_as_it_must),
        cmocka_unit_test(fp8_keeps_two_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
