/* Clusters that are not of one piece: two generations of GPUs, and segments with thin links. */
#include "hw/collective.h"
#include "models/memory.h"
#include "models/plan_check.h"
#include "sim/training/step.h"
#include "tests/unit/shipped.h"

#include <math.h>

static Scenario leak(const char *const *sets, size_t count)
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
    middle.training.gradient_precision = PRECISION_BF16;
    free(read);
    free(errors);
    return middle;
}

static StepResult step_of(const Scenario *scenario)
{
    Error error = {0};
    StepInput *input = calloc(1, sizeof *input);
    StepSimulator *simulator = step_simulator_create(&error);
    StepResult result = {0};
    assert_non_null(input);
    assert_non_null(simulator);
    if (step_input(scenario, 1, 0, input, &error) != STATUS_OK ||
        step_simulate(simulator, input, DETAIL_FOLDED, 1, 0, 0, &result, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    free(input);
    step_simulator_destroy(simulator);
    return result;
}

/* ---- two generations ---- */

static const char *const waves[] = {"hardware=h100-ndr", "hardware.gpus=24960",
                                    "training.attention=flash2", "hardware.older_gpu=a100-sxm-80g"};

static void test_older_replicas_set_the_pace(void **state)
{
    (void)state;
    Scenario mixed = leak(waves, 4);
    mixed.hardware.older_replicas = 1;
    Scenario all_older = mixed;
    all_older.hardware.older_replicas = 0;
    all_older.hardware.gpu = mixed.hardware.older_gpu;
    /* One replica of 208 on A100 makes H100 wait: the step is that of A100 alone. */
    assert_near(step_of(&mixed).seconds, step_of(&all_older).seconds, 1e-9);
    /* ... at a peak that is almost that of H100 */
    const StepResult one = step_of(&mixed), all = step_of(&all_older);
    const double peaks = (207 * mixed.hardware.gpu.peak_bf16_flops_per_s +
                          mixed.hardware.older_gpu.peak_bf16_flops_per_s) /
                         208 / mixed.hardware.older_gpu.peak_bf16_flops_per_s;
    assert_near(all.mfu / one.mfu, peaks, 1e-9);
}

static void test_fewer_layers_on_older_stages_pay(void **state)
{
    (void)state;
    Scenario even = leak(waves, 4);
    even.hardware.older_stages = 5;
    Scenario uneven = even;
    uneven.hardware.older_layers = 4; /* 5 x 4 layers, 10 on each of the 10 newer stages */
    StageLayout layout;
    plan_layout(&uneven, 15, &layout);
    for (size_t i = 0; i < 15; i++)
        assert_int_equal(layout.layers[i], i < 10 ? 10 : 4);
    assert_int_equal(stage_is_older(&uneven, 15, 9), 0);
    assert_int_equal(stage_is_older(&uneven, 15, 10), 1);

    Scenario newer = even, older = even;
    newer.hardware.older_stages = older.hardware.older_stages = 0;
    older.hardware.gpu = even.hardware.older_gpu;
    const double slow = step_of(&older).seconds, fast = step_of(&newer).seconds;
    const double between = step_of(&even).seconds, best = step_of(&uneven).seconds;
    assert_true(fast < best);
    assert_true(best < between);
    assert_true(between < slow);
}

static void test_memory_is_that_of_the_stage(void **state)
{
    (void)state;
    const char *const sets[] = {"hardware.older_gpu=a100-sxm-40g"};
    Scenario scenario = leak(sets, 1);
    MemoryPlan plan;
    scenario.hardware.older_stages = 3;
    memory_plan(&scenario, &plan);
    assert_int_equal(plan.fits, 0); /* 8 layers need 61 GB of weights and gradients */
    assert_true(plan.worst_stage >= 12);
    assert_true(plan.capacity_bytes < 43e9);
    scenario.hardware.older_layers = 4;
    memory_plan(&scenario, &plan); /* fewer layers there, 9 on each of the newer ones: all fits */
    assert_int_equal(plan.fits, 1);
}

static void test_contradictions_are_refused(void **state)
{
    (void)state;
    Error error = {0};
    Scenario scenario = leak(NULL, 0);
    scenario.hardware.older_stages = 2;
    assert_int_equal(plan_check(&scenario, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "older_gpu"));
    scenario = leak(waves, 4);
    scenario.hardware.older_stages = 16;
    assert_int_equal(plan_check(&scenario, &error), STATUS_INVALID);
    scenario.hardware.older_stages = 14;
    scenario.hardware.older_layers = 9;
    assert_int_equal(plan_check(&scenario, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "leave"));
    scenario.hardware.older_replicas = 1;
    assert_int_equal(plan_check(&scenario, &error), STATUS_INVALID);
}

/* ---- segments ---- */

static HardwareSpec segmented(SegmentRings rings, double link)
{
    HardwareSpec hardware = shipped_hardware("a100-80g-hdr");
    hardware.fabric.segment_gpus = 4096;
    hardware.fabric.segment_bytes_per_s = link;
    hardware.fabric.segment_rings = rings;
    return hardware;
}

/* A ring of one rank a node over nodes of 8 x 25 GB/s: scattered over segments it gets an eighth of
 * the node's link, ordered the whole trunk divided by the rings that pass. */
static void test_scattered_rings_run_at_the_thin_link(void **state)
{
    (void)state;
    const double bytes = 1e9, ranks = 1024, extent = 8 * 1024, link = 25e9;
    const HardwareSpec scattered = segmented(RINGS_SCATTERED, link);
    const HardwareSpec ordered = segmented(RINGS_ORDERED, link);
    const double inside = collective_seconds(&ordered, COLLECTIVE_REDUCE_SCATTER, bytes, ranks, 1);
    const double across =
        collective_seconds_of(&scattered, COLLECTIVE_REDUCE_SCATTER, bytes, ranks, 1, extent);
    const double wire = bytes * (ranks - 1) / ranks;
    const double port = scattered.fabric.efficiency * 25e9;
    assert_near(across - inside, wire / (link / 8) - wire / port, 1e-9);

    /* 512 nodes' links of 25 GB/s for 8 rings: 1.6 TB/s each, no limit */
    assert_near(collective_seconds_of(&ordered, COLLECTIVE_REDUCE_SCATTER, bytes, ranks, 1, extent),
                inside, 0);
    /* with 1 Gb/s a node: 512 x 0.125 / 8 = 8 GB/s a ring */
    const HardwareSpec thin = segmented(RINGS_ORDERED, 0.125e9);
    assert_near(collective_seconds_of(&thin, COLLECTIVE_REDUCE_SCATTER, bytes, ranks, 1, extent) -
                    inside,
                wire / 8e9 - wire / port, 1e-9);
    /* a group that stays inside a segment does not notice */
    assert_near(collective_seconds_of(&thin, COLLECTIVE_REDUCE_SCATTER, bytes, 512, 1, 4096),
                collective_seconds(&thin, COLLECTIVE_REDUCE_SCATTER, bytes, 512, 1), 0);
}

static void test_sends_between_segments(void **state)
{
    (void)state;
    const HardwareSpec hardware = segmented(RINGS_ORDERED, 25e9);
    const double bytes = 1e8;
    const double across = p2p_seconds_of(&hardware, bytes, 0, 8192);
    assert_near(across, hardware.fabric.p2p_latency_s + bytes / (25e9 / 8), 1e-12);
    assert_near(p2p_seconds_of(&hardware, bytes, 0, 4096), p2p_seconds(&hardware, bytes, 0), 0);
}

/* Which ways lie farthest apart decides what the thin links carry. */
static void test_layout_decides_what_crosses(void **state)
{
    (void)state;
    Scenario scenario = leak(NULL, 0);
    const double whole = step_of(&scenario).breakdown.data_parallel_s;
    scenario.hardware.fabric.segment_gpus = 4992;
    scenario.hardware.fabric.segment_bytes_per_s = 25e9;
    scenario.hardware.fabric.segment_rings = RINGS_SCATTERED;
    const StepResult by_stage = step_of(&scenario);
    scenario.training.parallel.outermost = OUTERMOST_DATA;
    const StepResult by_replica = step_of(&scenario);
    assert_near(by_stage.breakdown.data_parallel_s, whole, 1e-9);
    assert_true(by_replica.breakdown.data_parallel_s > 4 * whole);
    assert_true(by_stage.breakdown.pipeline_send_s > by_replica.breakdown.pipeline_send_s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_older_replicas_set_the_pace),
        cmocka_unit_test(test_fewer_layers_on_older_stages_pay),
        cmocka_unit_test(test_memory_is_that_of_the_stage),
        cmocka_unit_test(test_contradictions_are_refused),
        cmocka_unit_test(test_scattered_rings_run_at_the_thin_link),
        cmocka_unit_test(test_sends_between_segments),
        cmocka_unit_test(test_layout_decides_what_crosses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
