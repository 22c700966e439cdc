/* Numbers of a scenario that do not go together. */
#include "tests/unit/plan_fixture.h"

#include "models/plan_check.h"

#include <math.h>

static void checked_plans(void **state)
{
    (void)state;
    Error error = {0};
    const Scenario good = leak();
    if (plan_check(&good, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_near(plan_step_tokens(&good.training), 35 * 208 * 8192.0, 0);

    const struct {
        size_t offset;
        double value;
        const char *named; /* that the message must name */
    } rows[] = {
#define FIELD(member, value, named) {offsetof(Scenario, member), value, named}
        FIELD(hardware.gpus, 25000, "hardware.gpus"),
        FIELD(training.parallel.tensor, 5, "training.parallel.tensor"),
        FIELD(training.parallel.pipeline, 121, "training.parallel.pipeline"),
        FIELD(training.parallel.pipeline, 7.5, "training.parallel.pipeline"),
        FIELD(training.parallel.expert, 3, "training.parallel.expert"),
        FIELD(training.parallel.expert, 32, "training.parallel.expert"),
        FIELD(training.batch_tokens, 8192, "training.batch_tokens"),
        FIELD(training.parallel.micro_batch, 0, "training.parallel.micro_batch"),
        FIELD(model.kv_heads, 5, "model.kv_heads"),
        FIELD(model.experts_per_token, 17, "model.experts_per_token"),
        FIELD(model.layers, (double)NAN, "model.layers"),
        FIELD(training.sequence_length, 8191, "training.sequence_length"),
        FIELD(training.parallel.context, 2, "context 2"),
        FIELD(training.parallel.shard_group, 7, "training.parallel.shard_group"),
        FIELD(training.parallel.expert_tensor, 3, "training.parallel.expert"),
        FIELD(model.dense_layers, 120, "model.dense_layers"),
        FIELD(model.kv_lora_rank, 512, "model.nope_head_dim"),
        FIELD(model.sparse_keys, 2048, "model.index_heads"),
        FIELD(model.linear_layers, 90, "model.linear_key_heads"),
#undef FIELD
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Scenario bad = good;
        memcpy((char *)&bad + rows[i].offset, &rows[i].value, sizeof(double));
        if (plan_check(&bad, &error) != STATUS_INVALID)
            fail_msg("%s = %g was accepted", rows[i].named, rows[i].value);
        if (strstr(error.message, rows[i].named) == NULL)
            fail_msg("\"%s\" does not name %s", error.message, rows[i].named);
    }
}

static void checked_serving(void **state)
{
    (void)state;
    Error error = {0};
    Scenario scenario = leak();
    scenario.kind = SCENARIO_SERVING;
    scenario.serving = (ServingSpec){.tensor = 8,
                                     .pipeline = 16,
                                     .replicas = 1,
                                     .context_limit = 8192,
                                     .prompt_tokens = 1024,
                                     .output_tokens = 512};
    if (plan_check(&scenario, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    scenario.model.vision.cross_every = 4;
    assert_int_equal(plan_check(&scenario, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "model.vision.cross_every"));
    scenario.model.vision.cross_every = 0;
    /* An indexer's queries come from the query's latent; such a model is served, not trained. */
    Scenario sparse = scenario;
    sparse.model.sparse_keys = 2048;
    sparse.model.index_heads = 64;
    sparse.model.index_head_dim = 128;
    assert_int_equal(plan_check(&sparse, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "model.q_lora_rank"));
    sparse.model.kv_lora_rank = 512;
    sparse.model.q_lora_rank = 1536;
    sparse.model.nope_head_dim = sparse.model.v_head_dim = 128;
    sparse.model.kv_heads = sparse.model.heads;
    assert_int_equal(plan_check(&sparse, &error), STATUS_OK);
    sparse.model.attention_window = 4096;
    assert_int_equal(plan_check(&sparse, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "model.attention_window"));
    Scenario linear = scenario;
    linear.model.linear_layers = 90;
    linear.model.linear_key_heads = linear.model.linear_value_heads = 16;
    linear.model.linear_head_dim = 128;
    assert_int_equal(plan_check(&linear, &error), STATUS_OK);
    linear.model.linear_layers = 120;
    assert_int_equal(plan_check(&linear, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "leaves none of 120 layers"));
    linear.model.linear_layers = 90;
    linear.model.attention_window = 4096;
    assert_int_equal(plan_check(&linear, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "plain attention alone"));
    Scenario trained = leak();
    trained.model = scenario.model;
    trained.model.linear_layers = 90;
    trained.model.linear_key_heads = trained.model.linear_value_heads = 16;
    trained.model.linear_head_dim = 128;
    assert_int_equal(plan_check(&trained, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "model.linear_layers"));
    sparse = leak();
    sparse.model = scenario.model;
    sparse.model.sparse_keys = 2048;
    sparse.model.index_heads = sparse.model.index_head_dim = 64;
    sparse.model.kv_lora_rank = sparse.model.q_lora_rank = 512;
    sparse.model.nope_head_dim = sparse.model.v_head_dim = 128;
    sparse.model.kv_heads = sparse.model.heads;
    assert_int_equal(plan_check(&sparse, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "training of such a model"));
    scenario.serving.output_tokens = 8000;
    assert_int_equal(plan_check(&scenario, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "serving.context_limit"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checked_plans),
        cmocka_unit_test(checked_serving),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
