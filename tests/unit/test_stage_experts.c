/* Experts in the stages of a step: loads, ways, dispatch, capacity. */
#include "tests/unit/stage_fixture.h"

static void test_expert_loads(void **state)
{
    (void)state;
    Scenario scenario = base;
    StepInput *balanced = input_of(&scenario);
    scenario.training.expert_load = (ExpertLoadSpec){.model = EXPERT_LOAD_LOGNORMAL, .sigma = 0.6};
    StepInput *skewed = input_of(&scenario);
    StepInput *again = input_of(&scenario);
    assert_memory_equal(skewed, again, sizeof *skewed);
    /* experts cut by tensor parallelism: nobody waits; rows are as many, padding differs a little
     */
    assert_near(imbalance(skewed), 0, 0);
    assert_near(compute(skewed), compute(balanced), 0.05);

    scenario.training.parallel.expert = 16;
    StepInput *waiting = input_of(&scenario);
    scenario.training.expert_load.model = EXPERT_LOAD_BALANCED;
    StepInput *even = input_of(&scenario);
    assert_near(imbalance(even), 0, 0);
    assert_true(even->stage[0].forward.expert_s > 0);
    assert_true(imbalance(waiting) > 0.1 * compute(even));
    /* experts have data / expert copies: less to reduce per GPU, in smaller groups */
    assert_true(even->stage[3].grad_reduce_s < balanced->stage[3].grad_reduce_s);
    free(balanced);
    free(skewed);
    free(again);
    free(waiting);
    free(even);
}

/* Expert ways inside a node send over NVLink only; folded experts take the tensor ways for it. */
static void test_expert_ways_and_nodes(void **state)
{
    (void)state;
    Scenario scenario = dense(2, 1, 16);
    scenario.model.experts = 8;
    scenario.model.experts_per_token = 2;
    scenario.training.parallel.expert = 8;
    StepInput *across = input_of(&scenario);
    scenario.training.parallel.expert_tensor = 1;
    StepInput *inside = input_of(&scenario);
    scenario.hardware.fabric.ring_hop_s = scenario.hardware.fabric.base_s = 1;
    StepInput *slow_network = input_of(&scenario);
    assert_true(across->stage[0].forward.expert_s > 2 * inside->stage[0].forward.expert_s);
    assert_near(slow_network->stage[0].forward.expert_s, inside->stage[0].forward.expert_s, 0);
    free(across);
    free(inside);
    free(slow_network);
}

/* Gathers for slices of experts show whatever share of tensor communication is hidden, those of
 * attention do not; and norms with all of the experts are more to do again than norms, and less
 * than the layer. */
static void test_experts_wait_and_again(void **state)
{
    (void)state;
    Scenario scenario = dense(4, 1, 4);
    scenario.training.parallel.sequence_parallel = 1;
    scenario.model.experts = 8;
    scenario.model.experts_per_token = 2;
    scenario.training.parallel.expert = 2;
    StepInput *shown = input_of(&scenario);
    scenario.training.parallel.tensor_overlap = 1;
    StepInput *hidden = input_of(&scenario);
    const double left = hidden->stage[0].forward.tensor_s / shown->stage[0].forward.tensor_s;
    assert_true(left > 0.3 && left < 0.9);
    free(shown);
    free(hidden);

    scenario.training.parallel.recompute = RECOMPUTE_SELECTIVE;
    double again_s[2];
    for (int i = 0; i < 2; i++) {
        scenario.training.parallel.selective_scope = i ? SELECTIVE_EXPERTS : SELECTIVE_MODULES;
        StepInput *input = input_of(&scenario);
        again_s[i] = input->stage[0].backward.recompute_s;
        assert_near(input->stage[0].backward.expert_s, (1 + i) * input->stage[0].forward.expert_s,
                    1e-9);
        free(input);
    }
    scenario.training.parallel.recompute = RECOMPUTE_FULL;
    StepInput *whole = input_of(&scenario);
    assert_true(again_s[1] > 2 * again_s[0]);
    assert_true(again_s[1] < whole->stage[0].backward.recompute_s);
    free(whole);
}

/* Sending a token once to each node is faster than sending each copy, never slower than NVLink. */
static void test_dispatch_by_nodes(void **state)
{
    (void)state;
    Scenario scenario = dense(1, 1, 64);
    scenario.model.experts = 64;
    scenario.model.experts_per_token = 8;
    scenario.model.d_ff = 1024;
    scenario.training.parallel.expert = 64;
    StepInput *copies = input_of(&scenario);
    scenario.training.parallel.dispatch = DISPATCH_NODES;
    StepInput *nodes = input_of(&scenario);
    scenario.model.routed_groups = 2;
    StepInput *limited = input_of(&scenario);
    assert_true(nodes->stage[0].forward.expert_s < 0.8 * copies->stage[0].forward.expert_s);
    assert_true(limited->stage[0].forward.expert_s < 0.5 * nodes->stage[0].forward.expert_s);
    scenario.training.parallel.expert_overlap = 1;
    StepInput *competing = input_of(&scenario);
    /* all of it runs beside longer computing: what shows is what it takes from that */
    const StagePhase *phase = &competing->stage[0].forward;
    const double bare_s = limited->stage[0].forward.expert_s;
    assert_true(phase->expert_s > 0 && phase->compute_s > bare_s && phase->expert_s < 0.3 * bare_s);
    scenario = dense(1, 1, 8);
    scenario.model.experts = scenario.training.parallel.expert = 8;
    scenario.model.experts_per_token = 2;
    StepInput *one_node = input_of(&scenario);
    scenario.training.parallel.dispatch = DISPATCH_NODES;
    StepInput *same = input_of(&scenario);
    assert_memory_equal(one_node->stage, same->stage, sizeof same->stage);
    free(copies);
    free(nodes);
    free(limited);
    free(competing);
    free(one_node);
    free(same);
}

/* A capacity factor balances the work whatever the popularity, at the price of padding. */
static void test_capacity_factor(void **state)
{
    (void)state;
    Scenario scenario = base;
    scenario.training.parallel.expert = 16;
    StepInput *even = input_of(&scenario);
    scenario.training.expert_load = (ExpertLoadSpec){.model = EXPERT_LOAD_LOGNORMAL, .sigma = 1};
    scenario.training.capacity_factor = 1;
    StepInput *capped = input_of(&scenario);
    assert_near(imbalance(capped), 0, 0);
    assert_near(compute(capped), compute(even), 1e-12);
    assert_near(even->dropped_share, 0, 0);
    assert_true(capped->dropped_share > 0.2 && capped->dropped_share < 0.5);
    scenario.training.capacity_factor = 1.25;
    StepInput *padded = input_of(&scenario);
    assert_true(compute(padded) > compute(capped) && compute(padded) < 1.25 * compute(capped));
    assert_near(imbalance(padded), 0, 0);
    assert_true(padded->stage[0].forward.expert_s > capped->stage[0].forward.expert_s);
    free(even);
    free(capped);
    free(padded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expert_loads),           cmocka_unit_test(test_expert_ways_and_nodes),
        cmocka_unit_test(test_experts_wait_and_again), cmocka_unit_test(test_dispatch_by_nodes),
        cmocka_unit_test(test_capacity_factor),
    };
    return cmocka_run_group_tests(tests, read_base, NULL);
}
