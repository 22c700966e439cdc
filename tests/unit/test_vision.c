/* Image encoders and cross-attention layers: published sizes, FLOPs of the operators against the
 * count by parameters, and that text alone is left as it was. */
#include "models/architecture.h"
#include "models/memory.h"
#include "models/operators.h"
#include "models/plan_check.h"
#include "models/vision.h"
#include "sim/training/stage_time.h"
#include "tests/unit/shipped.h"

#include <math.h>

static Scenario shipped_scenario(const char *const *sets, size_t count)
{
    ConfigPaths paths;
    Error error = {0};
    ErrorList *errors = calloc(1, sizeof *errors);
    Scenario *read = calloc(1, sizeof *read), middle;
    assert_non_null(errors);
    assert_non_null(read);
    assert_int_equal(config_paths_find(NULL, &paths, &error), STATUS_OK);
    if (scenario_read(&paths, "gpt4-a100", sets, count, read, NULL, NULL, errors) != STATUS_OK)
        fail_msg("%s", errors->errors[0].message);
    scenario_midpoint(read, &middle);
    middle.training.parallel.recompute = RECOMPUTE_FULL;
    free(read);
    free(errors);
    return middle;
}

static void test_published_sizes(void **state)
{
    (void)state;
    /* ViT-H/14 has 630M parameters, 2M of them patches and positions (Llama 3, section 7). */
    const ModelSpec gpt4 = shipped_model("gpt4-vision");
    assert_near(vision_parameters(&gpt4).encoder, 629.2e6, 0.3e6);

    /* Llama 3.2 90B Vision: 88.8e9 in all (its model card, rounded); without patch embedding,
     * positions and gates of the encoder 88.5e9. */
    const ModelSpec llama90 = shipped_model("llama3-2-90b-vision");
    assert_near(model_parameters(&llama90).total, 88.8e9, 0.4e9);
    assert_near(model_cross_layers(&llama90), 20, 0);

    /* "The cross-attention layers introduce ... for Llama 3 405B ~100B parameters" (section 7). */
    ModelSpec llama405 = shipped_model("llama3-405b");
    llama405.vision = llama90.vision;
    llama405.vision.cross_d_ff = llama405.d_ff;
    assert_near(vision_parameters(&llama405).cross, 100e9, 3e9);
}

static double flops_of(const OperatorList *list)
{
    double flops = 0;
    for (size_t i = 0; i < list->count; i++)
        flops += list->operators[i].flops;
    return flops;
}

/* Operators of all ranks together do what the count by parameters says. */
static void test_operators_do_the_counted_flops(void **state)
{
    (void)state;
    const char *const sets[] = {"model=gpt4-vision"};
    Scenario scenario = shipped_scenario(sets, 1);
    const double images[] = {1, 8, 160}, seen[] = {1, 0};
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 2; j++) {
            scenario.model.vision.images = images[i];
            scenario.model.vision.seen_images = seen[j];
            OperatorList cross, encoder;
            operators_cross_forward(&scenario, &cross);
            operators_encoder_layer(&scenario, &encoder);
            const double tensor = scenario.training.parallel.tensor;
            const double tokens = scenario.training.sequence_length;
            const VisionFlops flops = vision_flops_per_token(&scenario.model, tokens);
            const double done = tensor * (model_cross_layers(&scenario.model) * flops_of(&cross) +
                                          scenario.model.vision.layers * flops_of(&encoder));
            /* keys and values of one head are cut into eighths like everything else */
            assert_near(done / (tokens * (flops.matmul + flops.attention)), 1, 1e-9);
        }
    }
}

static void test_images_cost_time_and_memory(void **state)
{
    (void)state;
    Error error = {0};
    const char *const with[] = {"model=gpt4-vision", "model.vision.images=32",
                                "model.vision.cross_every=4"};
    const Scenario text = shipped_scenario(NULL, 0);
    const Scenario vision = shipped_scenario(with, 3);
    StepInput *before = calloc(1, sizeof *before), *after = calloc(1, sizeof *after);
    assert_non_null(before);
    assert_non_null(after);
    assert_int_equal(step_input(&text, 1, 0, before, &error), STATUS_OK);
    assert_int_equal(step_input(&vision, 1, 0, after, &error), STATUS_OK);
    /* every stage has two of the 30 cross-attention layers; the first has the encoder besides */
    for (size_t i = 0; i < after->stages; i++) {
        assert_true(after->stage[i].forward.total_s > before->stage[i].forward.total_s);
        assert_true(after->stage[i].parameters > before->stage[i].parameters);
        assert_true(after->stage[i].memory_bytes > before->stage[i].memory_bytes);
    }
    const double first = after->stage[0].forward.total_s - before->stage[0].forward.total_s;
    const double second = after->stage[1].forward.total_s - before->stage[1].forward.total_s;
    assert_true(first > second);
    assert_true(after->send_s > before->send_s);
    /* parameters of all stages: those of the model */
    double parameters = 0;
    for (size_t i = 0; i < after->stages; i++)
        parameters += after->stage[i].parameters * vision.training.parallel.tensor;
    assert_near(parameters / model_parameters(&vision.model).total, 1, 3e-3); /* copied norms, KV */
    free(before);
    free(after);
}

static void test_a_model_without_vision_is_left_alone(void **state)
{
    (void)state;
    const Scenario scenario = shipped_scenario(NULL, 0);
    OperatorList list;
    operators_cross_forward(&scenario, &list);
    assert_int_equal(list.count, 0);
    operators_encoder_layer(&scenario, &list);
    assert_int_equal(list.count, 0);
    assert_near(vision_parameters(&scenario.model).cross, 0, 0);
    assert_near(vision_flops_per_token(&scenario.model, 8192).matmul, 0, 0);
}

static void test_contradictions_are_refused(void **state)
{
    (void)state;
    const char *const sets[] = {"model=gpt4-vision"};
    Error error = {0};
    Scenario scenario = shipped_scenario(sets, 1);
    assert_int_equal(plan_check(&scenario, &error), STATUS_OK);
    scenario.model.vision.heads = 12;
    assert_int_equal(plan_check(&scenario, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "model.vision.heads"));
    scenario = shipped_scenario(sets, 1);
    scenario.model.vision.cross_every = 0;
    assert_int_equal(plan_check(&scenario, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "cross_every"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_sizes),
        cmocka_unit_test(test_operators_do_the_counted_flops),
        cmocka_unit_test(test_images_cost_time_and_memory),
        cmocka_unit_test(test_a_model_without_vision_is_left_alone),
        cmocka_unit_test(test_contradictions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
