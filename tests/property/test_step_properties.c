/* What must hold for any step: random stages, schedules and overlaps from a fixed, printed seed,
 * and a plain recurrence of the same schedule as an independent reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/engine/random.h"
#include "sim/training/step.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const uint64_t SEED = 20240229;
enum { CASES = 300, MAX_P = 24, MAX_M = 48 };

static size_t pick(RandomStream *stream, size_t most)
{
    return 1 + (size_t)(random_uniform(stream) * (double)most);
}

static void random_phase(RandomStream *stream, StagePhase *phase)
{
    phase->compute_s = 0.1 + random_uniform(stream);
    phase->recompute_s = random_uniform(stream);
    phase->tensor_s = 0.3 * random_uniform(stream);
    phase->expert_s = 0.2 * random_uniform(stream);
    phase->expert_imbalance_s = 0.1 * random_uniform(stream);
    phase->sharding_s = 0.1 * random_uniform(stream);
    phase->total_s = phase->compute_s + phase->recompute_s + phase->tensor_s + phase->expert_s +
                     phase->expert_imbalance_s + phase->sharding_s;
}

static void random_input(uint64_t index, StepInput *input)
{
    RandomStream stream = random_stream(SEED, "step properties", index);
    *input = (StepInput){0};
    input->stages = pick(&stream, MAX_P);
    input->microbatches = pick(&stream, MAX_M);
    input->replicas = pick(&stream, 6);
    input->gpus = (double)(input->stages * input->replicas * pick(&stream, 8));
    input->schedule = random_uniform(&stream) < 0.5 ? SCHEDULE_1F1B : SCHEDULE_GPIPE;
    input->send_s = random_uniform(&stream) < 0.3 ? 0.0 : 0.2 * random_uniform(&stream);
    input->jitter = 0.05 * random_uniform(&stream);
    input->overlap_grad_reduce = random_uniform(&stream) < 0.5;
    input->overlap_param_gather = random_uniform(&stream) < 0.5;
    input->peak_flops_per_s = 1;
    for (size_t i = 0; i < input->stages; i++) {
        StageTime *stage = &input->stage[i];
        stage->layers = (double)pick(&stream, 9) - 1;
        random_phase(&stream, &stage->forward);
        random_phase(&stream, &stage->backward);
        stage->grad_reduce_s = 3 * random_uniform(&stream);
        stage->param_gather_s = 3 * random_uniform(&stream);
        stage->optimizer_s = 0.3 * random_uniform(&stream);
    }
}

static double breakdown_sum(const StepBreakdown *b)
{
    return b->compute_s + b->recompute_s + b->tensor_s + b->expert_s + b->expert_imbalance_s +
           b->bubble_s + b->stage_imbalance_s + b->pipeline_send_s + b->data_parallel_s +
           b->optimizer_s + b->jitter_s;
}

/* Sweeps over all stages until nothing changes: slow, simple, no queue. */
static double recurrence_makespan(const StepInput *input)
{
    static double end[MAX_P][2 * MAX_M];
    static unsigned order[MAX_P][2 * MAX_M];
    size_t position[MAX_P] = {0}, tasks = 2 * input->microbatches, left = input->stages * tasks;
    double free_s[MAX_P] = {0}, makespan_s = 0;
    for (size_t i = 0; i < input->stages; i++) {
        assert_int_equal(
            step_schedule(input->schedule, input->stages, i, input->microbatches, order[i], NULL),
            STATUS_OK);
        for (size_t j = 0; j < tasks; j++)
            end[i][j] = -1;
    }
    while (left > 0) {
        size_t before = left;
        for (size_t i = 0; i < input->stages; i++) {
            for (; position[i] < tasks; position[i]++, left--) {
                unsigned task = order[i][position[i]];
                int backward = (int)(task & 1U);
                double ready_s = 0;
                if (!backward && i > 0)
                    ready_s = end[i - 1][task] < 0 ? -1 : end[i - 1][task] + input->send_s;
                else if (backward && i + 1 < input->stages)
                    ready_s = end[i + 1][task] < 0 ? -1 : end[i + 1][task] + input->send_s;
                if (ready_s < 0)
                    break;
                double duration_s =
                    backward ? input->stage[i].backward.total_s : input->stage[i].forward.total_s;
                free_s[i] = end[i][task] = fmax(free_s[i], ready_s) + duration_s;
            }
            makespan_s = fmax(makespan_s, free_s[i]);
        }
        assert_true(left < before);
    }
    return makespan_s;
}

static void check_schedule(const StepInput *input)
{
    unsigned order[2 * MAX_M];
    for (size_t i = 0; i < input->stages; i++) {
        unsigned char seen[2 * MAX_M] = {0};
        assert_int_equal(
            step_schedule(input->schedule, input->stages, i, input->microbatches, order, NULL),
            STATUS_OK);
        size_t in_flight = 0, most = 0;
        for (size_t j = 0; j < 2 * input->microbatches; j++) {
            assert_true(order[j] < 2 * input->microbatches && !seen[order[j]]);
            seen[order[j]] = 1;
            if (order[j] & 1U) {
                assert_true(seen[order[j] - 1]);
                in_flight--;
            } else if (++in_flight > most) {
                most = in_flight;
            }
        }
        size_t expected = input->microbatches; /* activations kept at once: 1F1B min(m, p - i) */
        if (input->schedule == SCHEDULE_1F1B && input->stages - i < expected)
            expected = input->stages - i;
        assert_int_equal(most, expected);
    }
}

static void check_case(StepSimulator *simulator, StepInput *input)
{
    Error error;
    StepResult folded, full, again;
    assert_int_equal(step_simulate(simulator, input, DETAIL_FOLDED, SEED, 5, 0, &folded, &error),
                     STATUS_OK);
    assert_int_equal(step_simulate(simulator, input, DETAIL_REPLICAS, SEED, 5, 0, &full, &error),
                     STATUS_OK);
    assert_int_equal(step_simulate(simulator, input, DETAIL_REPLICAS, SEED, 5, 0, &again, &error),
                     STATUS_OK);

    double tolerance = 1e-12 * full.seconds;
    assert_true(fabs(breakdown_sum(&folded.breakdown) - folded.seconds) <= tolerance);
    assert_true(fabs(breakdown_sum(&full.breakdown) - full.seconds) <= tolerance);
    assert_true(fabs(folded.makespan_s - recurrence_makespan(input)) <= tolerance);
    assert_memory_equal(&full, &again, sizeof full);

    const StepBreakdown *b = &folded.breakdown;
    assert_true(b->bubble_s >= 0 && b->pipeline_send_s >= -tolerance);
    assert_true(b->data_parallel_s >= -tolerance && b->optimizer_s >= -tolerance);
    /* with fewer microbatches than stages unequal stages can shorten the bubble a little */
    if (input->microbatches >= input->stages)
        assert_true(b->stage_imbalance_s >= -tolerance);
    assert_true(folded.bubble_fraction >= 0 && folded.bubble_fraction < 1);

    /* no stage can do its own work in less, and no microbatch can cross the pipeline in less */
    double crossing_s = 2 * input->send_s * ((double)input->stages - 1);
    for (size_t i = 0; i < input->stages; i++) {
        double one_s = input->stage[i].forward.total_s + input->stage[i].backward.total_s;
        assert_true(folded.makespan_s >= one_s * (double)input->microbatches - tolerance);
        crossing_s += one_s;
    }
    assert_true(folded.makespan_s >= crossing_s - tolerance);

    /* hiding communication never costs time */
    StepInput *shown = malloc(sizeof *shown);
    assert_non_null(shown);
    *shown = *input;
    shown->overlap_grad_reduce = shown->overlap_param_gather = 0;
    assert_int_equal(step_simulate(simulator, shown, DETAIL_FOLDED, SEED, 5, 0, &again, &error),
                     STATUS_OK);
    assert_true(again.seconds >= folded.seconds - tolerance);

    /* a slower stage never shortens the step */
    StagePhase *slower = &shown->stage[input->microbatches % input->stages].backward;
    slower->compute_s += 0.5;
    slower->total_s += 0.5;
    assert_int_equal(step_simulate(simulator, shown, DETAIL_FOLDED, SEED, 5, 0, &full, &error),
                     STATUS_OK);
    assert_true(full.seconds >= again.seconds - tolerance);
    free(shown);
}

static void test_random_steps(void **state)
{
    (void)state;
    printf("seed %llu, %d cases\n", (unsigned long long)SEED, CASES);
    Error error;
    StepSimulator *simulator = step_simulator_create(&error);
    StepInput *input = malloc(sizeof *input);
    assert_non_null(simulator);
    assert_non_null(input);
    for (uint64_t i = 0; i < CASES; i++) {
        random_input(i, input);
        check_schedule(input);
        check_case(simulator, input);
    }
    free(input);
    step_simulator_destroy(simulator);
}

/* All times by 7: the step by 7, every share as before. */
static void test_time_scale(void **state)
{
    (void)state;
    Error error;
    StepResult one, seven;
    StepSimulator *simulator = step_simulator_create(&error);
    StepInput *input = malloc(sizeof *input);
    assert_non_null(simulator);
    assert_non_null(input);
    for (uint64_t i = 0; i < 40; i++) {
        random_input(i, input);
        assert_int_equal(step_simulate(simulator, input, DETAIL_GPUS, SEED, i, 0, &one, &error),
                         STATUS_OK);
        input->send_s *= 7;
        for (size_t j = 0; j < input->stages; j++) {
            double *times = (double *)(void *)&input->stage[j].forward;
            for (size_t k = 0; k < 2 * sizeof(StagePhase) / sizeof(double); k++)
                times[k] *= 7;
            input->stage[j].grad_reduce_s *= 7;
            input->stage[j].param_gather_s *= 7;
            input->stage[j].optimizer_s *= 7;
        }
        assert_int_equal(step_simulate(simulator, input, DETAIL_GPUS, SEED, i, 0, &seven, &error),
                         STATUS_OK);
        assert_true(fabs(seven.seconds - 7 * one.seconds) <= 1e-12 * seven.seconds);
        assert_true(fabs(seven.breakdown.data_parallel_s - 7 * one.breakdown.data_parallel_s) <=
                    1e-12 * seven.seconds);
        assert_true(fabs(seven.bubble_fraction - one.bubble_fraction) <= 1e-12);
    }
    free(input);
    step_simulator_destroy(simulator);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_steps),
        cmocka_unit_test(test_time_scale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
