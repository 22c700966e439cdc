/* Seconds of a stage: what recomputation, sharding, expert parallelism and load imbalance change,
 * and what not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "configs/reader/reader.h"
#include "configs/reader/sample.h"
#include "hw/collective.h"
#include "hw/gemm.h"
#include "models/plan_check.h"
#include "sim/training/stage_time.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static Scenario base;

static int read_base(void **state)
{
    (void)state;
    ConfigPaths paths;
    Error error = {0};
    ErrorList *errors = calloc(1, sizeof *errors);
    Scenario *scenario = calloc(1, sizeof *scenario);
    if (errors == NULL || scenario == NULL ||
        config_paths_find(NULL, &paths, &error) != STATUS_OK ||
        scenario_read(&paths, "gpt4-a100", NULL, 0, scenario, NULL, NULL, errors) != STATUS_OK)
        return -1;
    scenario_midpoint(scenario, &base);
    base.training.parallel.recompute = RECOMPUTE_NONE;
    base.training.parallel.tensor_overlap = 0;
    base.training.expert_load_sigma = 0;
    base.training.kernel_overhead = 0;
    free(scenario);
    free(errors);
    return 0;
}

static StepInput *input_of(const Scenario *scenario)
{
    Error error = {0};
    StepInput *input = calloc(1, sizeof *input);
    assert_non_null(input);
    if (step_input(scenario, 3, 0, input, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    return input;
}

static void assert_near(double got, double expected, double relative)
{
    if (!(fabs(got - expected) <= relative * fmax(fabs(expected), 1e-300)))
        fail_msg("%.17g, expected %.17g within %g", got, expected, relative);
}

static void test_shape_of_the_step(void **state)
{
    (void)state;
    StepInput *input = input_of(&base);
    assert_int_equal(input->stages, 15);
    assert_int_equal(input->replicas, 208);
    assert_int_equal(input->microbatches, 35);
    assert_near(input->gpus, 24960, 0);
    assert_near(input->peak_flops_per_s, 24960 * 312e12, 1e-12);
    assert_near(input->tokens, plan_step_tokens(&base.training), 0);
    assert_near(input->hardware_flops, input->model_flops, 1e-12);
    double layers = 0;
    for (size_t i = 0; i < input->stages; i++) {
        const StageTime *stage = &input->stage[i];
        layers += stage->layers;
        const StagePhase *phases[] = {&stage->forward, &stage->backward};
        for (size_t j = 0; j < 2; j++)
            assert_near(phases[j]->total_s,
                        phases[j]->compute_s + phases[j]->recompute_s + phases[j]->tensor_s +
                            phases[j]->expert_s + phases[j]->expert_imbalance_s +
                            phases[j]->sharding_s,
                        1e-12);
        /* a backward has twice the products and twice the bytes of its forward */
        assert_true(stage->backward.compute_s > 1.7 * stage->forward.compute_s);
        assert_true(stage->backward.compute_s < 2.7 * stage->forward.compute_s);
        assert_true(stage->grad_reduce_s > 0 && stage->param_gather_s > 0 &&
                    stage->optimizer_s > 0);
    }
    assert_near(layers, base.model.layers, 0);
    /* no GPU computes faster than its peak */
    double compute_s = 0;
    for (size_t i = 0; i < input->stages; i++)
        compute_s += (input->stage[i].forward.compute_s + input->stage[i].backward.compute_s) / 15;
    assert_true(compute_s * (double)input->microbatches >
                input->model_flops / input->peak_flops_per_s);
    /* the head works on the last stage, so it is slower than a middle stage with as many layers */
    assert_true(input->stage[14].layers < input->stage[7].layers ||
                input->stage[14].forward.compute_s > input->stage[7].forward.compute_s);
    free(input);
}

static void test_recomputation(void **state)
{
    (void)state;
    Scenario scenario = base;
    StepInput *none = input_of(&scenario);
    scenario.training.parallel.recompute = RECOMPUTE_SELECTIVE;
    StepInput *selective = input_of(&scenario);
    scenario.training.parallel.recompute = RECOMPUTE_FULL;
    StepInput *full = input_of(&scenario);
    const size_t middle = 7; /* no embedding, no head */
    const StageTime *n = &none->stage[middle], *s = &selective->stage[middle],
                    *f = &full->stage[middle];
    assert_near(n->backward.recompute_s, 0, 0);
    assert_near(f->backward.recompute_s, f->forward.compute_s, 1e-12);
    assert_near(f->backward.tensor_s, 2 * f->forward.tensor_s, 1e-12);
    assert_near(s->backward.tensor_s, s->forward.tensor_s, 1e-12);
    assert_true(s->backward.recompute_s > 0 && s->backward.recompute_s < f->backward.recompute_s);
    assert_near(f->backward.compute_s, n->backward.compute_s, 1e-12);
    /* the whole forward again but for the head: 4/3 of the model's FLOPs less that */
    double head = 2 * base.model.d_model * base.model.vocab_size * none->tokens;
    assert_near(full->hardware_flops, full->model_flops * 4 / 3 - head, 1e-12);
    assert_true(selective->hardware_flops > none->hardware_flops &&
                selective->hardware_flops < full->hardware_flops);
    free(none);
    free(selective);
    free(full);
}

static void test_kernel_overhead_slows_kernels_only(void **state)
{
    (void)state;
    Scenario scenario = base;
    scenario.training.parallel.recompute = RECOMPUTE_FULL;
    StepInput *plain = input_of(&scenario);
    scenario.training.kernel_overhead = 0.2;
    scenario.training.parallel.tensor_overlap = 0.25;
    StepInput *slower = input_of(&scenario);
    for (size_t i = 0; i < plain->stages; i++) {
        assert_near(slower->stage[i].forward.compute_s, 1.2 * plain->stage[i].forward.compute_s,
                    1e-12);
        assert_near(slower->stage[i].backward.recompute_s,
                    1.2 * plain->stage[i].backward.recompute_s, 1e-12);
        assert_near(slower->stage[i].forward.tensor_s, 0.75 * plain->stage[i].forward.tensor_s,
                    1e-12);
        assert_near(slower->stage[i].grad_reduce_s, plain->stage[i].grad_reduce_s, 1e-12);
    }
    free(plain);
    free(slower);
}

/* ZeRO-0 reduces with twice the wire bytes and gathers nothing; its optimizer works on every
 * parameter. */
static void test_zero_stages(void **state)
{
    (void)state;
    Scenario scenario = base;
    StepInput *one = input_of(&scenario);
    scenario.training.parallel.zero_stage = 0;
    StepInput *zero = input_of(&scenario);
    scenario.training.parallel.zero_stage = 3;
    StepInput *three = input_of(&scenario);
    scenario.training.parallel.overlap_param_gather =
        scenario.training.parallel.overlap_grad_reduce = 0;
    StepInput *shown = input_of(&scenario);
    const StageTime *a = &one->stage[3], *b = &zero->stage[3], *c = &three->stage[3],
                    *d = &shown->stage[3];
    assert_near(b->param_gather_s, 0, 0);
    assert_true(b->grad_reduce_s > 1.3 * a->grad_reduce_s);
    /* memory bound: time goes with the bytes but for the launch */
    assert_true(b->optimizer_s > 50 * a->optimizer_s && b->optimizer_s < 208.01 * a->optimizer_s);
    assert_near(c->grad_reduce_s + c->param_gather_s, 0, 0);
    assert_near(d->forward.sharding_s, a->param_gather_s, 1e-12);
    assert_near(d->backward.sharding_s, a->param_gather_s + a->grad_reduce_s, 1e-12);
    assert_near(d->forward.total_s, one->stage[3].forward.total_s + d->forward.sharding_s, 1e-12);
    free(one);
    free(zero);
    free(three);
    free(shown);
}

/* One replica has nobody to reduce with. */
static void test_single_replica(void **state)
{
    (void)state;
    Scenario scenario = base;
    scenario.training.parallel.data = 1;
    StepInput *input = input_of(&scenario);
    for (size_t i = 0; i < input->stages; i++) {
        assert_near(input->stage[i].grad_reduce_s, 0, 0);
        assert_near(input->stage[i].param_gather_s, 0, 0);
    }
    free(input);
}

static double imbalance(const StepInput *input)
{
    double sum = 0;
    for (size_t i = 0; i < input->stages; i++)
        sum += input->stage[i].forward.expert_imbalance_s +
               input->stage[i].backward.expert_imbalance_s;
    return sum;
}

static double compute(const StepInput *input)
{
    double sum = 0;
    for (size_t i = 0; i < input->stages; i++)
        sum += input->stage[i].forward.compute_s + input->stage[i].backward.compute_s;
    return sum;
}

static void test_expert_loads(void **state)
{
    (void)state;
    Scenario scenario = base;
    StepInput *balanced = input_of(&scenario);
    scenario.training.expert_load_sigma = 0.6;
    StepInput *skewed = input_of(&scenario);
    StepInput *again = input_of(&scenario);
    assert_memory_equal(skewed, again, sizeof *skewed);
    /* experts cut by tensor parallelism: nobody waits; rows are as many, padding differs a little
     */
    assert_near(imbalance(skewed), 0, 0);
    assert_near(compute(skewed), compute(balanced), 0.05);

    scenario.training.parallel.expert = 16;
    StepInput *waiting = input_of(&scenario);
    scenario.training.expert_load_sigma = 0;
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

static void test_refuses_counts_out_of_range(void **state)
{
    (void)state;
    const double bad[] = {0, -1, nan(""), 1e300};
    StepInput *input = calloc(1, sizeof *input);
    assert_non_null(input);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        Error error = {0};
        Scenario scenario = base;
        scenario.training.parallel.pipeline = bad[i];
        assert_int_equal(step_input(&scenario, 1, 0, input, &error), STATUS_INVALID);
        scenario = base;
        scenario.training.parallel.data = bad[i];
        assert_int_equal(step_input(&scenario, 1, 0, input, &error), STATUS_INVALID);
        assert_true(error.message[0] != '\0');
    }
    free(input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape_of_the_step),
        cmocka_unit_test(test_recomputation),
        cmocka_unit_test(test_kernel_overhead_slows_kernels_only),
        cmocka_unit_test(test_zero_stages),
        cmocka_unit_test(test_single_replica),
        cmocka_unit_test(test_expert_loads),
        cmocka_unit_test(test_refuses_counts_out_of_range),
    };
    return cmocka_run_group_tests(tests, read_base, NULL);
}
