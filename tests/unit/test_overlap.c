/* Communication beside computing: the closed form of two streams that compete against a simulation
 * of them, its limits, rates from hardware, and the steps that use it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/training/overlap.h"
#include "sim/training/step.h"
#include "tests/unit/shipped.h"

#include <math.h>
#include <stdlib.h>

static unsigned long long state_of_random = 88172645463325252ULL;

static double uniform(void)
{
    state_of_random ^= state_of_random << 13;
    state_of_random ^= state_of_random >> 7;
    state_of_random ^= state_of_random << 17;
    return (double)(state_of_random >> 11) * 0x1p-53;
}

static void assert_close(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-9 * fmax(1.0, fabs(expected))))
        fail_msg("%.17g, expected %.17g", got, expected);
}

/* Until the first of the two is done both run at their rates, then the other alone. */
static double simulate_streams(StreamRates rates, double compute_s, double communication_s,
                               double *compute_end_s)
{
    double left[2] = {compute_s, communication_s}, now = 0;
    *compute_end_s = 0;
    while (left[0] > 0 || left[1] > 0) {
        const int both = left[0] > 0 && left[1] > 0;
        const double rate[2] = {both ? rates.compute : 1, both ? rates.communication : 1};
        const int first =
            left[1] <= 0 || (left[0] > 0 && left[0] / rate[0] <= left[1] / rate[1]) ? 0 : 1;
        const double seconds = left[first] / rate[first];
        for (int i = 0; i < 2; i++)
            left[i] = i == first ? 0 : fmax(0, left[i] - seconds * rate[i]);
        now += seconds;
        if (first == 0)
            *compute_end_s = now;
    }
    return now;
}

static void test_against_streams(void **state)
{
    (void)state;
    for (int i = 0; i < 5000; i++) {
        const StreamRates rates = {0.5 + 0.5 * uniform(), 0.5 + 0.5 * uniform()};
        const double compute_s = 0.01 + uniform(), communication_s = 0.01 + 2 * uniform();
        double compute_end_s;
        const double end_s = simulate_streams(rates, compute_s, communication_s, &compute_end_s);
        assert_close(overlap_seconds(rates, compute_s, communication_s), end_s);
        assert_close(overlap_exposed_s(rates, compute_s, communication_s), end_s - compute_s);
        assert_close(overlap_contention_s(rates, compute_s, communication_s),
                     end_s - fmax(compute_s, communication_s));
        assert_close(overlap_delay_s(rates, compute_s, communication_s), compute_end_s - compute_s);
        /* never better than free, never worse than in turn where rates add up to 1 or more */
        assert_true(end_s >= fmax(compute_s, communication_s) * (1 - 1e-12));
        assert_true(end_s <= (compute_s + communication_s) * (1 + 1e-12));
    }
}

static void test_limits(void **state)
{
    (void)state;
    const StreamRates none = {0}, free_rates = {1, 1}, half = {0.5, 0.5};
    assert_close(overlap_seconds(none, 3, 2), 3);
    assert_close(overlap_seconds(free_rates, 2, 3), 3);
    assert_close(overlap_seconds(half, 2, 3), 5);
    assert_close(overlap_exposed_s(free_rates, 3, 2), 0);
    assert_close(overlap_exposed_s((StreamRates){0.8, 0.9}, 0, 2), 2);
    assert_close(overlap_contention_s((StreamRates){0.8, 0.9}, 2, 0), 0);
}

/* Of an H100: 20 of 132 multiprocessors, and for each byte on the wire 2.5 of HBM. */
static void test_demand_of_hardware(void **state)
{
    (void)state;
    const HardwareSpec hardware = shipped_hardware("h100-ndr");
    const GpuSpec *gpu = &hardware.gpu;
    const StreamDemand inside = stream_demand(&hardware, COLLECTIVE_ALL_GATHER, 8, 8);
    assert_near(inside.multiprocessors, 20.0 / 132, 1e-12);
    assert_near(inside.memory, 2.5 * hardware.node.all_gather.bytes_per_s / 3350e9, 1e-12);
    /* one port and two of its multiprocessors for a group that has one GPU in each node */
    const StreamDemand thin = stream_demand(&hardware, COLLECTIVE_ALL_REDUCE, 64, 1);
    assert_near(thin.multiprocessors, 2.0 / 132, 1e-12);
    assert_near(thin.memory, 2.5 * hardware.fabric.efficiency * 50e9 / 3350e9, 1e-12);
    const StreamDemand wide = stream_demand(&hardware, COLLECTIVE_REDUCE_SCATTER, 512, 8);
    assert_near(wide.multiprocessors, 16.0 / 132, 1e-12);
    const StreamDemand none = stream_demand(&hardware, COLLECTIVE_ALL_REDUCE, 1, 1);
    assert_near(none.multiprocessors, 0, 0);

    /* products lose multiprocessors and leave the wires alone; what moves bytes shares HBM */
    const StreamRates products = stream_rates(gpu, inside, 0);
    assert_near(products.compute, 1 - 20.0 / 132, 1e-12);
    assert_near(products.communication, 1, 1e-12);
    const double shared = 1 / (gpu->stream_efficiency + inside.memory);
    const StreamRates moving = stream_rates(gpu, inside, 1);
    assert_near(moving.compute, fmin(1, shared), 1e-12);
    assert_near(moving.communication, moving.compute, 1e-12);
    const StreamRates mixed = stream_rates(gpu, inside, 0.3);
    assert_near(1 / mixed.compute, 0.7 / products.compute + 0.3 / moving.compute, 1e-12);
    const StreamRates untouched = stream_rates(gpu, none, 0.3);
    assert_near(untouched.compute, 1, 1e-12);
    assert_near(untouched.communication, 1, 1e-12);
}

/* Lee et al. 2025 (arXiv 2507.03114, abstract), A100 and H100: computing beside collectives takes
 * 18.9% longer on average, 40% at most; both in turn 10.2% longer than overlapped on average. Here
 * for every shipped GPU with NVSwitch, computing that moves bytes for 10 to 40% of its time, inside
 * a node. */
static void test_published_slowdown(void **state)
{
    (void)state;
    const char *const names[] = {"a100-80g-hdr", "h100-ndr"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (double share = 0.1; share < 0.45; share += 0.1) {
            const HardwareSpec hardware = shipped_hardware(names[i]);
            const StreamDemand demand = stream_demand(&hardware, COLLECTIVE_ALL_GATHER, 8, 8);
            const StreamRates rates = stream_rates(&hardware.gpu, demand, share);
            const double slower = 1 / rates.compute - 1;
            print_message("  %-12s %2.0f%% moving bytes: computing %.1f%% slower, wires %.1f%%\n",
                          names[i], 100 * share, 100 * slower, 100 * (1 / rates.communication - 1));
            assert_true(slower > 0.1 && slower < 0.4);
        }
}

static StepInput *stages_of(size_t stages, size_t microbatches)
{
    StepInput *input = calloc(1, sizeof *input);
    assert_non_null(input);
    *input = (StepInput){.stages = stages,
                         .microbatches = microbatches,
                         .replicas = 2,
                         .gpus = 2.0 * (double)stages,
                         .tokens = 1e6,
                         .model_flops = 1e15,
                         .hardware_flops = 1e15,
                         .peak_flops_per_s = 1e15,
                         .overlap_grad_reduce = 1,
                         .data_rates = {0.8, 0.9}};
    for (size_t i = 0; i < stages; i++) {
        input->stage[i].layers = 4;
        input->stage[i].forward.compute_s = input->stage[i].forward.total_s = 1;
        input->stage[i].backward.compute_s = input->stage[i].backward.total_s = 2;
    }
    return input;
}

static double seconds_of(const StepInput *input, SimulationDetail detail)
{
    StepResult result;
    Error error;
    StepSimulator *simulator = step_simulator_create(&error);
    assert_non_null(simulator);
    assert_int_equal(step_simulate(simulator, input, detail, 1, 0, 0, &result, &error), STATUS_OK);
    step_simulator_destroy(simulator);
    const StepBreakdown *b = &result.breakdown;
    assert_close(b->compute_s + b->bubble_s + b->stage_imbalance_s + b->data_parallel_s +
                     b->optimizer_s + b->jitter_s + b->pipeline_send_s,
                 result.seconds);
    return result.seconds;
}

/* One stage, 4 layers: the first gradient comes 0.5 s into the backward of 2 s, 1.5 s of it and 3/4
 * of the reduction run side by side at 0.8 and 0.9, the last quarter follows. */
static void test_gradients_beside_backward(void **state)
{
    (void)state;
    StepInput *input = stages_of(1, 3);
    input->stage[0].grad_reduce_s = 0.8;
    assert_close(seconds_of(input, DETAIL_FOLDED), 9 + 0.6 * 0.2 / 0.9 + 0.2);
    input->stage[0].grad_reduce_s = 4; /* 1.5 / 0.8 s of computing, 0.9 of the wires meanwhile */
    assert_close(seconds_of(input, DETAIL_FOLDED), 7.5 + 4 + 1.5 * 0.1 / 0.8);
    assert_close(seconds_of(input, DETAIL_REPLICAS), seconds_of(input, DETAIL_FOLDED));
    free(input);

    /* four equal stages: each holds the last microbatch up for those before it, so the first one
     * ends 4 delays late */
    input = stages_of(4, 8);
    for (size_t i = 0; i < 4; i++)
        input->stage[i].grad_reduce_s = 0.8;
    assert_close(seconds_of(input, DETAIL_FOLDED), 33 + 4 * 0.6 * 0.2 / 0.9 + 0.2);
    assert_close(seconds_of(input, DETAIL_REPLICAS), seconds_of(input, DETAIL_FOLDED));
    free(input);
}

/* The gather of 0.6 s: a quarter before the first layer, 0.45 s beside the other three. */
static void test_parameters_beside_forward(void **state)
{
    (void)state;
    StepInput *input = stages_of(1, 3);
    input->overlap_param_gather = 1;
    input->stage[0].param_gather_s = 0.6;
    assert_close(seconds_of(input, DETAIL_FOLDED), 9 + 0.15 + 0.45 * 0.2 / 0.9);
    input->stage[0].param_gather_s = 4; /* 0.75 s of computing beside it */
    assert_close(seconds_of(input, DETAIL_FOLDED), 9 + 4 - 0.75 + 0.75 * 0.1 / 0.8);
    free(input);
}

/* DualPipe's joined forward and backward: communication beside the other's computing. */
static void test_joined_blocks(void **state)
{
    (void)state;
    double seconds[2];
    for (int compete = 0; compete < 2; compete++) {
        StepInput *input = stages_of(4, 16);
        input->overlap_grad_reduce = 0;
        input->schedule = SCHEDULE_DUALPIPE;
        if (compete)
            input->block_rates = (StreamRates){0.8, 0.9};
        for (size_t i = 0; i < 4; i++) {
            StageTime *stage = &input->stage[i];
            stage->backward.weight_s = 1;
            stage->forward.expert_s = stage->backward.expert_s = 0.5;
            stage->forward.total_s = 1.5;
            stage->backward.total_s = 2.5;
        }
        StepResult result;
        Error error;
        StepSimulator *simulator = step_simulator_create(&error);
        assert_non_null(simulator);
        assert_int_equal(step_simulate(simulator, input, DETAIL_FOLDED, 1, 0, 0, &result, &error),
                         STATUS_OK);
        seconds[compete] = result.seconds;
        assert_int_equal(step_simulate(simulator, input, DETAIL_REPLICAS, 1, 0, 0, &result, &error),
                         STATUS_OK);
        assert_close(result.seconds, seconds[compete]);
        step_simulator_destroy(simulator);
        free(input);
    }
    assert_true(seconds[1] > seconds[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_streams),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_demand_of_hardware),
        cmocka_unit_test(test_published_slowdown),
        cmocka_unit_test(test_gradients_beside_backward),
        cmocka_unit_test(test_parameters_beside_forward),
        cmocka_unit_test(test_joined_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
