/* The list of operators of a layer: FLOPs and bytes against the model's own totals. */
#include "tests/unit/shipped.h"

#include "models/architecture.h"
#include "models/operators.h"

#include <math.h>

static Scenario training_of(const char *model, double tensor, double expert, int sequence_parallel)
{
    Scenario scenario = {.kind = SCENARIO_TRAINING, .model = shipped_model(model)};
    scenario.training.sequence_length = 2048;
    scenario.training.parallel = (ParallelSpec){.tensor = tensor,
                                                .pipeline = 1,
                                                .data = 16,
                                                .expert = expert,
                                                .sequence_parallel = sequence_parallel,
                                                .micro_batch = 2};
    return scenario;
}

static const Operator *find(const OperatorList *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->operators[i].name, name) == 0)
            return &list->operators[i];
    return NULL;
}

static double sum_flops(const OperatorList *list)
{
    double flops = 0;
    for (size_t i = 0; i < list->count; i++)
        flops += list->operators[i].flops;
    return flops;
}

static size_t count_kind(const OperatorList *list, OperatorKind kind, double *bytes)
{
    size_t count = 0;
    *bytes = 0;
    for (size_t i = 0; i < list->count; i++)
        if (list->operators[i].kind == kind) {
            count++;
            *bytes += list->operators[i].bytes;
        }
    return count;
}

/* All ranks' FLOPs of all layers and the head are the model's forward FLOPs (but the router's,
 * whose operator counts bytes, and the one K and V head, which every tensor rank computes). */
static void flops_add_up(void **state)
{
    (void)state;
    const struct {
        const char *model;
        double tensor, expert;
    } rows[] = {{"gpt3-175b", 1, 1}, {"gpt3-175b", 8, 1},       {"palm-540b-mha", 8, 1},
                {"gpt4-leak", 1, 1}, {"gpt4-leak", 8, 1},       {"gpt4-leak", 8, 16},
                {"dense-1t", 16, 1}, {"gpt4-rumour-220b", 4, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const double t = rows[i].tensor;
        const Scenario scenario = training_of(rows[i].model, t, rows[i].expert, 1);
        const ModelSpec *model = &scenario.model;
        const double tokens = 2 * 2048;
        OperatorList layer, head;
        operators_layer_forward(&scenario, &layer);
        operators_head(&scenario, &head);
        assert_true(layer.count < MAX_LAYER_OPERATORS);
        const double all = t * (model->layers * sum_flops(&layer) + sum_flops(&head));

        const double copied_kv = 2 * 2 * model->d_model * model->head_dim * model->layers *
                                 (t * model_kv_heads_on_rank(model, t) - model->kv_heads);
        const ModelParameters count = model_parameters(model);
        const double expected =
            tokens * (model_flops_per_token(model, 2048).forward - 2 * count.router + copied_kv);
        /* The vocabulary is rounded up to whole rows a rank. */
        const double padding = 2 * tokens * model->d_model * t;
        assert_near(all, expected, padding + 1e-9 * expected);
    }
}

static void dense_shapes(void **state)
{
    (void)state;
    const Scenario scenario = training_of("gpt3-175b", 8, 1, 1);
    OperatorList layer;
    operators_layer_forward(&scenario, &layer);
    const struct {
        const char *name;
        double m, n, k;
    } rows[] = {
        {"qkv", 4096, 4608, 12288},    {"attention output", 4096, 12288, 1536},
        {"mlp up", 4096, 6144, 12288}, {"mlp down", 4096, 12288, 6144},
        {"attention", 2, 2048, 12},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const Operator *operator= find(&layer, rows[i].name);
        assert_non_null(operator);
        assert_near(operator->m, rows[i].m, 0);
        assert_near(operator->n, rows[i].n, 0);
        assert_near(operator->k, rows[i].k, 0);
    }
    assert_null(find(&layer, "router"));
    assert_true(find(&layer, "qkv")->backward_twice);
}

/* Korthikanti et al. 2022, section 4.2.2: sequence parallelism turns 2 all-reduces of a layer's
 * forward into 2 all-gathers and 2 reduce-scatters of the same vector, the same bytes on the wire.
 */
static void tensor_parallel_collectives(void **state)
{
    (void)state;
    double bytes;
    OperatorList layer;
    const double vector = 4096 * 12288.0 * 2;

    Scenario scenario = training_of("gpt3-175b", 8, 1, 1);
    operators_layer_forward(&scenario, &layer);
    assert_int_equal(count_kind(&layer, OPERATOR_ALL_GATHER, &bytes), 2);
    assert_near(bytes, 2 * vector, 0);
    assert_int_equal(count_kind(&layer, OPERATOR_REDUCE_SCATTER, &bytes), 2);
    assert_near(bytes, 2 * vector, 0);
    assert_int_equal(count_kind(&layer, OPERATOR_ALL_REDUCE, &bytes), 0);
    const double norm = find(&layer, "attention norm")->bytes;

    scenario = training_of("gpt3-175b", 8, 1, 0);
    operators_layer_forward(&scenario, &layer);
    assert_int_equal(count_kind(&layer, OPERATOR_ALL_REDUCE, &bytes), 2);
    assert_near(bytes, 2 * vector, 0);
    assert_int_equal(count_kind(&layer, OPERATOR_ALL_GATHER, &bytes), 0);
    assert_near(find(&layer, "attention norm")->bytes, 8 * norm, 0);

    scenario = training_of("gpt3-175b", 1, 1, 1);
    operators_layer_forward(&scenario, &layer);
    for (int kind = OPERATOR_ALL_REDUCE; kind <= OPERATOR_ALL_TO_ALL; kind++)
        assert_int_equal(count_kind(&layer, (OperatorKind)kind, &bytes), 0);
}

static void sliced_experts(void **state)
{
    (void)state;
    const Scenario scenario = training_of("gpt4-leak", 8, 1, 1);
    OperatorList layer;
    operators_layer_forward(&scenario, &layer);
    const Operator *up = find(&layer, "expert up");
    assert_non_null(up);
    assert_int_equal(up->kind, OPERATOR_GROUPED_GEMM);
    assert_near(up->groups, 16, 0);
    assert_near(up->m, 2 * 4096, 0);
    assert_near(up->n, 43008.0 / 8, 0);
    assert_near(up->k, 10752, 0);
    double bytes;
    assert_int_equal(count_kind(&layer, OPERATOR_ALL_TO_ALL, &bytes), 0);
    /* One K and V head for 21 query heads on each rank. */
    assert_near(find(&layer, "qkv")->n, (21 + 2) * 128, 0);
}

static void spread_experts(void **state)
{
    (void)state;
    const Scenario scenario = training_of("gpt4-leak", 8, 16, 1);
    OperatorList layer;
    double bytes;
    operators_layer_forward(&scenario, &layer);
    const Operator *up = find(&layer, "expert up");
    assert_near(up->groups, 1, 0);
    assert_near(up->m, 2 * 4096, 0);
    /* There and back: two copies of a rank's 512 tokens each way. */
    assert_int_equal(count_kind(&layer, OPERATOR_ALL_TO_ALL, &bytes), 2);
    assert_near(bytes, 2 * 512 * 2 * 10752.0 * 2, 0);

    /* Without tensor ways nothing is gathered or reduced. */
    const Scenario flat = training_of("gpt4-leak", 1, 16, 1);
    operators_layer_forward(&flat, &layer);
    assert_int_equal(count_kind(&layer, OPERATOR_ALL_GATHER, &bytes), 0);
    assert_int_equal(count_kind(&layer, OPERATOR_REDUCE_SCATTER, &bytes), 0);
}

static void shared_experts(void **state)
{
    (void)state;
    for (int expert = 1; expert <= 16; expert += 15) {
        Scenario scenario = training_of("gpt4-leak", 8, expert, 1);
        OperatorList without, with;
        operators_layer_forward(&scenario, &without);
        scenario.model.shared_experts = 1;
        operators_layer_forward(&scenario, &with);
        assert_true(with.count < MAX_LAYER_OPERATORS);
        assert_near(sum_flops(&with) - sum_flops(&without), 2 * 2 * 4096 * 10752.0 * 43008 / 8,
                    1e3);
        assert_non_null(find(&with, "mlp reduce"));
    }
}

/* Ranks of a context-parallel group share out the tokens and the causal square evenly. */
static void context_ways(void **state)
{
    (void)state;
    Scenario scenario = training_of("llama3-70b", 8, 1, 1);
    scenario.training.sequence_length = 8192;
    OperatorList whole, cut;
    operators_layer_forward(&scenario, &whole);
    scenario.training.parallel.context = 4;
    operators_layer_forward(&scenario, &cut);
    assert_int_equal(whole.count, cut.count);
    for (size_t i = 0; i < whole.count; i++) {
        assert_near(4 * cut.operators[i].flops, whole.operators[i].flops, 1);
        if (whole.operators[i].kind != OPERATOR_ATTENTION)
            assert_near(4 * cut.operators[i].bytes, whole.operators[i].bytes, 1);
    }
    const Operator *ring = find(&cut, "attention");
    assert_near(ring->rounds, 4, 0);
    /* Four causal squares of a quarter's length: a quarter of the whole square's FLOPs. */
    assert_near(4 * 2 * ring->m * ring->n * ring->n * ring->k * 128, ring->flops, 1);
    /* Keys and values of 2 x 8192 / 4 tokens, one KV head of 128 a rank, 16 bits. */
    assert_near(ring->bytes, 2 * 2 * 2048 * 128 * 2, 0);
    assert_near(find(&whole, "attention")->bytes, 0, 0);
}

/* All ranks' FLOPs of both kinds of layers are the model's, latent attention and all. */
static void latent_attention(void **state)
{
    (void)state;
    const char *const models[] = {"deepseek-v2", "deepseek-v2-lite", "deepseek-v3"};
    for (size_t i = 0; i < 3; i++) {
        for (double t = 1; t <= 4; t *= 4) {
            const Scenario scenario = training_of(models[i], t, 8, 1);
            const ModelSpec *model = &scenario.model;
            OperatorList layer, dense, head;
            operators_layer_forward(&scenario, &layer);
            operators_dense_layer_forward(&scenario, &dense);
            operators_head(&scenario, &head);
            assert_true(layer.count < MAX_LAYER_OPERATORS);
            const ModelParameters count = model_parameters(model);
            const double all =
                t * (count.moe_layers * sum_flops(&layer) +
                     (model->layers - count.moe_layers) * sum_flops(&dense) + sum_flops(&head));
            const double expected =
                2 * 2048 * (model_flops_per_token(model, 2048).forward - 2 * count.router);
            assert_near(all, expected, 1e-9 * expected);
            /* What is gathered is the latents, a quarter of the stream or less. */
            const Operator *gather = find(&layer, "latent all-gather");
            assert_int_equal(gather != NULL, t > 1);
            if (gather != NULL)
                assert_near(gather->bytes,
                            4096 * (model->kv_lora_rank + 64 + model->q_lora_rank) * 2, 0);
        }
    }
}

/* Experts with fewer tensor ways than the rest: as many FLOPs on all ranks together, and rows of
 * this rank's tokens only. */
static void folded_experts(void **state)
{
    (void)state;
    Scenario scenario = training_of("mixtral-8x7b", 4, 8, 1);
    OperatorList like_the_rest, folded;
    double bytes;
    operators_layer_forward(&scenario, &like_the_rest);
    assert_int_equal(count_kind(&like_the_rest, OPERATOR_EXPERT_ALL_GATHER, &bytes), 1);
    scenario.training.parallel.expert_tensor = 1;
    operators_layer_forward(&scenario, &folded);
    assert_near(sum_flops(&folded), sum_flops(&like_the_rest), 1);
    assert_int_equal(count_kind(&folded, OPERATOR_EXPERT_ALL_GATHER, &bytes), 0);
    assert_near(find(&folded, "expert up")->m, 2 * 1024, 0);
    assert_near(find(&folded, "expert up")->n, 2 * 14336, 0);
    assert_near(find(&folded, "expert dispatch")->bytes,
                find(&like_the_rest, "expert dispatch")->bytes, 0);

    /* One way of each: nobody sends. */
    scenario.training.parallel.expert = 1;
    operators_layer_forward(&scenario, &folded);
    assert_int_equal(count_kind(&folded, OPERATOR_ALL_TO_ALL, &bytes), 0);
    assert_near(find(&folded, "expert up")->groups, 8, 0);
}

/* A capacity factor pads rows, copies and what is sent alike. */
static void capacity_factor(void **state)
{
    (void)state;
    Scenario scenario = training_of("mixtral-8x7b", 1, 8, 1);
    OperatorList dropless, padded;
    operators_layer_forward(&scenario, &dropless);
    scenario.training.capacity_factor = 1.25;
    operators_layer_forward(&scenario, &padded);
    assert_near(find(&padded, "expert up")->m, 1.25 * find(&dropless, "expert up")->m, 0);
    assert_near(find(&padded, "expert return")->bytes,
                1.25 * find(&dropless, "expert return")->bytes, 0);
    assert_near(find(&padded, "qkv")->m, find(&dropless, "qkv")->m, 0);
}

static void launches(void **state)
{
    (void)state;
    Scenario scenario = training_of("gpt3-175b", 1, 1, 1);
    OperatorList list;
    operators_layer_forward(&scenario, &list);
    double kernels = 0;
    scenario.training.attention = ATTENTION_FLASH2;
    for (size_t i = 0; i < list.count; i++)
        kernels += operator_kernels(&scenario, &list.operators[i]);
    /* 4 products, attention, 2 norms, 2 residuals, activation. */
    assert_near(kernels, 10, 0);
    scenario.training.fused = 0.5;
    assert_near(operator_kernels(&scenario, find(&list, "mlp norm")), 0.5, 0);
    assert_near(operator_kernels(&scenario, find(&list, "qkv")), 1, 0);
    scenario.training.attention = ATTENTION_UNFUSED;
    assert_true(operator_kernels(&scenario, find(&list, "attention")) > 1);

    /* One launch an expert on this rank; copies to their experts are moved, fused or not. */
    scenario = training_of("mixtral-8x7b", 1, 2, 0);
    scenario.training.fused = 0.5;
    operators_layer_forward(&scenario, &list);
    assert_near(operator_kernels(&scenario, find(&list, "expert up")), 4, 0);
    assert_near(operator_left_by_fusion(&scenario, find(&list, "expert permute")), 1, 0);
    assert_near(operator_left_by_fusion(&scenario, find(&list, "expert activation")), 0.5, 0);
}

static void embedding_and_head(void **state)
{
    (void)state;
    const Scenario scenario = training_of("gpt3-175b", 8, 1, 1);
    OperatorList list;
    operators_embedding(&scenario, &list);
    assert_near(find(&list, "embedding")->bytes, 2 * 4096 * 12288.0 * 2, 0);
    assert_int_equal(find(&list, "embedding reduce")->kind, OPERATOR_REDUCE_SCATTER);
    operators_head(&scenario, &list);
    assert_near(find(&list, "logits")->n, 6283, 0); /* 50,257 / 8 rounded up */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flops_add_up),       cmocka_unit_test(dense_shapes),
        cmocka_unit_test(sliced_experts),     cmocka_unit_test(tensor_parallel_collectives),
        cmocka_unit_test(spread_experts),     cmocka_unit_test(shared_experts),
        cmocka_unit_test(embedding_and_head), cmocka_unit_test(context_ways),
        cmocka_unit_test(latent_attention),   cmocka_unit_test(folded_experts),
        cmocka_unit_test(capacity_factor),    cmocka_unit_test(launches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
