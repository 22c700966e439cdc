/* The plan evaluator against what `train` does for one scenario, number by number. */
#include "tests/unit/shipped.h"

#include "models/plan_check.h"
#include "sim/training/feasible.h"
#include "sim/training/step.h"
#include "tests/unit/plan_space.h"

#include <stdatomic.h>

static const unsigned long long SEED = 20240229;

/* ---- counting allocations: not under sanitizers, whose allocator is their own ---- */

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

#if defined(__GLIBC__) && !defined(SANITIZED)
#define COUNTS_ALLOCATIONS 1
static atomic_size_t allocations;

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);

void *malloc(size_t bytes)
{
    allocations++;
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    allocations++;
    return __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
    allocations++;
    return __libc_realloc(memory, bytes);
}
#endif

/* ---- the long way ---- */

typedef struct LongWay {
    Scenario scenario;
    Feasible feasible;
    StepInput input;
    StepSimulator *simulator;
} LongWay;

static LongWay *long_way_create(void)
{
    Error error;
    LongWay *way = calloc(1, sizeof *way);
    assert_non_null(way);
    way->simulator = step_simulator_create(&error);
    assert_non_null(way->simulator);
    return way;
}

static void long_way_free(LongWay *way)
{
    step_simulator_destroy(way->simulator);
    free(way);
}

/* The choice of plans, the input of the step and the step of `train`. */
static Status long_way(LongWay *way, const Scenario *base, const Plan *plan, StepResult *step,
                       Error *error)
{
    way->scenario = *base;
    way->scenario.training.parallel = plan->parallel;
    way->scenario.training.gradient_precision = plan->gradient_precision;
    way->scenario.training.batch_tokens = plan->batch_tokens;
    way->scenario.hardware.gpus = plan_gpus(&plan->parallel);
    Status status = feasible_choices(&way->scenario, &way->feasible, error);
    if (status == STATUS_OK)
        status = step_input(&way->feasible.midpoint, SEED, 0, &way->input, error);
    if (status == STATUS_OK)
        status = step_simulate(way->simulator, &way->input, DETAIL_FOLDED, SEED, 0, 0, step, error);
    return status;
}

static void assert_bits(double got, double expected, const char *what)
{
    if (memcmp(&got, &expected, sizeof got) != 0)
        fail_msg("%s: %.17g, expected %.17g", what, got, expected);
}

/* Plans that fit, by what they differ in. */
typedef struct Coverage {
    size_t schedule[6], zero_stage[4], recompute[3], scope[SELECTIVE_SCOPES], spread[2];
} Coverage;

static void cover(const ParallelSpec *parallel, Coverage *coverage)
{
    coverage->schedule[parallel->schedule]++;
    coverage->zero_stage[(size_t)parallel->zero_stage]++;
    coverage->recompute[parallel->recompute]++;
    coverage->scope[parallel->selective_scope] += parallel->recompute == RECOMPUTE_SELECTIVE;
    coverage->spread[parallel->expert > 1]++;
}

static void assert_covered(const size_t *counts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_true(counts[i] > 0);
}

static void check_plan(PlanEvaluator *evaluator, LongWay *way, const Scenario *base,
                       const Plan *plan, size_t counts[3], Coverage *coverage)
{
    PlanResult result;
    StepResult step;
    Error expected = {0}, reason = {0};
    const Status status = plan_evaluate(evaluator, plan, &result);
    assert_int_equal(long_way(way, base, plan, &step, &expected), status);
    assert_int_equal(plan_explain(evaluator, plan, &reason), status);
    assert_string_equal(reason.message, expected.message);
    assert_string_equal(reason.hint, expected.hint);
    counts[status == STATUS_OK ? 0 : status == STATUS_NO ? 1 : 2]++;
    if (status == STATUS_INVALID)
        return;
    const MemoryPlan *memory = &way->feasible.memory;
    assert_memory_equal(&result.memory, &memory->worst, sizeof result.memory);
    assert_int_equal(result.worst_stage, memory->worst_stage);
    assert_bits(result.capacity_bytes, memory->capacity_bytes, "capacity");
    assert_int_equal(result.fits, status == STATUS_OK);
    if (status != STATUS_OK)
        return;
    cover(&plan->parallel, coverage);
    assert_bits(result.step_seconds, step.seconds, "step");
    assert_bits(result.makespan_s, step.makespan_s, "makespan");
    assert_bits(result.bubble_fraction, step.bubble_fraction, "bubble");
    assert_bits(result.tokens, step.tokens, "tokens");
    assert_bits(result.mfu, step.mfu, "mfu");
    assert_bits(result.hfu, step.hfu, "hfu");
    assert_bits(result.tokens_per_s_per_gpu, step.tokens_per_s_per_gpu, "tokens/s/GPU");
}

static Scenario shipped_training(const char *name)
{
    ConfigPaths paths;
    Error error = {0};
    ErrorList *errors = calloc(1, sizeof *errors);
    Scenario *scenario = calloc(1, sizeof *scenario);
    assert_non_null(errors);
    assert_non_null(scenario);
    assert_int_equal(config_paths_find(NULL, &paths, &error), STATUS_OK);
    assert_int_equal(scenario_read(&paths, name, NULL, 0, scenario, NULL, NULL, errors), STATUS_OK);
    scenario_midpoint(scenario, scenario);
    scenario->uncertain_count = 0;
    Scenario middle = *scenario;
    free(scenario);
    free(errors);
    return middle;
}

static void check_many(const Scenario *base, double gpus, size_t count, size_t least_that_fit)
{
    Error error;
    PlanEvaluator *evaluator = plan_evaluator_create(base, SEED, &error);
    LongWay *way = long_way_create();
    RandomStream stream = random_stream(SEED, "plans", 1);
    size_t counts[3] = {0};
    Coverage coverage = {0};
    assert_non_null(evaluator);
    const Plan start = plan_evaluator_base(evaluator);
    print_message("seed %llu, %zu plans of %s\n", SEED, count, base->model.name);
    check_plan(evaluator, way, base, &start, counts, &coverage);
    for (size_t i = 0; i < count; i++) {
        const Plan plan =
            plan_space_draw(&stream, &start, &base->model, base->training.sequence_length, gpus);
        check_plan(evaluator, way, base, &plan, counts, &coverage);
    }
    print_message("%zu fit, %zu do not, %zu contradict themselves\n", counts[0], counts[1],
                  counts[2]);
    assert_true(counts[0] >= least_that_fit && counts[1] > 0 && counts[2] > 0);
    assert_covered(coverage.schedule, 6);
    assert_covered(coverage.zero_stage, 4);
    assert_covered(coverage.recompute, 3);
    assert_covered(coverage.scope, SELECTIVE_SCOPES);
    assert_covered(coverage.spread, 2);
    long_way_free(way);
    plan_evaluator_destroy(evaluator);
}

static void test_gpt4_as_train(void **state)
{
    (void)state;
    const Scenario base = shipped_training("gpt4-a100");
    check_many(&base, 0, 1200, 60);
}

/* Latent attention, shared experts, dense layers first, few GPUs. */
static void test_mixed_layers_as_train(void **state)
{
    (void)state;
    Scenario base = shipped_training("gpt4-h100-fp8");
    base.model = shipped_model("deepseek-v3");
    base.training.sequence_length = 4096;
    base.training.batch_tokens = 4096.0 * 4096;
    check_many(&base, 2048, 600, 30);
}

/* Results do not depend on what was asked before, nor on whether layers are known. */
static void test_order_does_not_matter(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    Error error;
    const Scenario base = shipped_training("gpt4-a100");
    PlanEvaluator *one = plan_evaluator_create(&base, SEED, &error);
    PlanEvaluator *other = plan_evaluator_create(&base, SEED, &error);
    Plan *plans = calloc(COUNT, sizeof *plans);
    PlanResult *results = calloc(COUNT, sizeof *results);
    assert_non_null(one);
    assert_non_null(other);
    assert_non_null(plans);
    assert_non_null(results);
    const Plan start = plan_evaluator_base(one);
    RandomStream stream = random_stream(SEED, "plans", 2);
    for (size_t i = 0; i < COUNT; i++) {
        plans[i] = plan_space_draw(&stream, &start, &base.model, base.training.sequence_length, 0);
        plan_evaluate(one, &plans[i], &results[i]);
    }
    for (size_t round = 0; round < 2; round++)
        for (size_t i = COUNT; i-- > 0;) {
            PlanResult again;
            assert_int_equal(plan_evaluate(other, &plans[i], &again),
                             results[i].fits                     ? STATUS_OK
                             : results[i].memory.total_bytes > 0 ? STATUS_NO
                                                                 : STATUS_INVALID);
            assert_bits(again.step_seconds, results[i].step_seconds, "step");
            assert_bits(again.mfu, results[i].mfu, "mfu");
            assert_bits(again.bubble_fraction, results[i].bubble_fraction, "bubble");
            assert_bits(again.memory.total_bytes, results[i].memory.total_bytes, "memory");
        }
    free(results);
    free(plans);
    plan_evaluator_destroy(other);
    plan_evaluator_destroy(one);
}

#ifdef COUNTS_ALLOCATIONS
enum { ALLOCATION_PLANS = 500 };

/* How many of a fixed series of plans fit, evaluated with another ZeRO stage and other overlap. */
static size_t evaluate_series(PlanEvaluator *evaluator, const Scenario *base, double zero_stage,
                              int overlap)
{
    const Plan start = plan_evaluator_base(evaluator);
    RandomStream stream = random_stream(SEED, "plans", 3);
    size_t fit = 0;
    for (size_t i = 0; i < ALLOCATION_PLANS; i++) {
        PlanResult result;
        Plan plan =
            plan_space_draw(&stream, &start, &base->model, base->training.sequence_length, 0);
        plan.parallel.recompute = RECOMPUTE_FULL;
        plan.parallel.zero_stage = zero_stage;
        plan.parallel.overlap_grad_reduce = overlap;
        fit += plan_evaluate(evaluator, &plan, &result) == STATUS_OK;
    }
    return fit;
}
#endif

/* Plans whose layers and size of pipeline were met before allocate nothing. */
static void test_allocates_nothing(void **state)
{
    (void)state;
#ifndef COUNTS_ALLOCATIONS
    print_message("the sanitizer's allocator cannot be counted\n");
    skip();
#else
    Error error;
    const Scenario base = shipped_training("gpt4-a100");
    PlanEvaluator *evaluator = plan_evaluator_create(&base, SEED, &error);
    assert_non_null(evaluator);
    size_t before = allocations;
    const size_t fit =
        evaluate_series(evaluator, &base, 3, 0); /* all that fit with less sharding */
    assert_true(fit > 50);
    assert_true(allocations > before); /* the counter counts */

    before = allocations;
    assert_int_equal(evaluate_series(evaluator, &base, 3, 1), fit);
    assert_true(evaluate_series(evaluator, &base, 1, 1) > 25);
    assert_int_equal(allocations, before);
    plan_evaluator_destroy(evaluator);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpt4_as_train),
        cmocka_unit_test(test_mixed_layers_as_train),
        cmocka_unit_test(test_order_does_not_matter),
        cmocka_unit_test(test_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
