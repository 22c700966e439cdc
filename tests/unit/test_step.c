/* One optimizer step against closed forms: schedules, bubbles, overlap rules, the sum of the
 * breakdown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "configs/reader/reader.h"
#include "configs/reader/sample.h"
#include "sim/training/schedule.h"
#include "sim/training/step.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static StepInput *uniform_input(size_t stages, size_t microbatches, double forward_s,
                                double backward_s)
{
    StepInput *input = calloc(1, sizeof *input);
    assert_non_null(input);
    input->stages = stages;
    input->microbatches = microbatches;
    input->replicas = 1;
    input->gpus = (double)stages;
    input->tokens = 1e6;
    input->model_flops = 3e15;
    input->hardware_flops = 4e15;
    input->peak_flops_per_s = 1e15 * (double)stages;
    for (size_t i = 0; i < stages; i++) {
        StageTime *stage = &input->stage[i];
        stage->layers = 4;
        stage->forward.compute_s = stage->forward.total_s = forward_s;
        stage->backward.compute_s = stage->backward.total_s = backward_s;
    }
    return input;
}

static void assert_near(double value, double expected, double relative)
{
    if (!(fabs(value - expected) <= relative * fmax(fabs(expected), 1e-300)))
        fail_msg("%.17g, expected %.17g within %g", value, expected, relative);
}

static double breakdown_sum(const StepBreakdown *b)
{
    return b->compute_s + b->recompute_s + b->tensor_s + b->expert_s + b->expert_imbalance_s +
           b->bubble_s + b->stage_imbalance_s + b->pipeline_send_s + b->data_parallel_s +
           b->optimizer_s + b->expert_jitter_s + b->jitter_s;
}

static StepResult simulate(const StepInput *input, SimulationDetail detail, unsigned long long seed)
{
    Error error;
    StepResult result;
    StepSimulator *simulator = step_simulator_create(&error);
    assert_non_null(simulator);
    assert_int_equal(step_simulate(simulator, input, detail, seed, 0, 0, &result, &error),
                     STATUS_OK);
    step_simulator_destroy(simulator);
    return result;
}

/* Stages of `chunks` equal chunks, the backward split into b and w. */
static StepInput *split_input(PipelineSchedule schedule, size_t stages, size_t chunks,
                              size_t microbatches, double f, double b, double w)
{
    StepInput *input = uniform_input(stages, microbatches, f, b + w);
    input->schedule = schedule;
    input->virtual_stages = chunks;
    for (size_t i = 0; i < stages; i++) {
        input->stage[i].backward.weight_s = w;
        for (size_t c = 0; c < chunks; c++) {
            ChunkTime *chunk = &input->chunk[c * stages + i];
            double share = 1.0 / (double)chunks;
            chunk->layers = 4.0 * share;
            chunk->forward.compute_s = chunk->forward.total_s = f * share;
            chunk->backward.compute_s = chunk->backward.total_s = (b + w) * share;
            chunk->backward.weight_s = w * share;
        }
    }
    return input;
}

/* m (f + b) + (p - 1)(f + b) / V (Narayanan et al. 2021, section 2.2). */
static void test_interleaved_closed_form(void **state)
{
    (void)state;
    const double f = 0.0137, b = 0.0291;
    const size_t stages[] = {1, 2, 3, 4, 8, 15}, chunks[] = {2, 3, 5, 12};
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
        for (size_t j = 0; j < sizeof chunks / sizeof chunks[0]; j++) {
            for (size_t groups = 1; groups < 5; groups++) {
                size_t microbatches = groups * stages[i];
                StepInput *input =
                    split_input(SCHEDULE_INTERLEAVED, stages[i], chunks[j], microbatches, f, b, 0);
                StepResult result = simulate(input, DETAIL_FOLDED, 1);
                double p = (double)stages[i], m = (double)microbatches, v = (double)chunks[j];
                assert_near(result.makespan_s, (m + (p - 1) / v) * (f + b), 1e-9);
                assert_true(fabs(result.breakdown.bubble_s - (p - 1) / v * (f + b)) <=
                            1e-9 * result.seconds);
                assert_near(breakdown_sum(&result.breakdown), result.seconds, 1e-12);
                free(input);
            }
        }
    }
}

/* Qi et al. 2023, section 2.3, equal times: ZB-H1 loses (p - 1)(F + B - W), ZB-2p nothing. */
static void test_zero_bubble_closed_form(void **state)
{
    (void)state;
    const double one_s = 0.0173;
    for (size_t p = 1; p <= 16; p++) {
        for (size_t m = 2 * p; m <= 6 * p; m += 1 + p / 3) {
            double work_s = 3 * one_s * (double)m, h1_s = (double)(p - 1) * one_s;
            StepInput *input = split_input(SCHEDULE_ZB_H1, p, 1, m, one_s, one_s, one_s);
            StepResult result = simulate(input, DETAIL_FOLDED, 1);
            assert_near(result.seconds, work_s + h1_s, 1e-9);
            assert_true(fabs(result.breakdown.bubble_s - h1_s) <= 1e-9 * work_s);
            input->schedule = SCHEDULE_ZB_2P;
            result = simulate(input, DETAIL_FOLDED, 1);
            assert_near(result.seconds, work_s, 1e-9);
            assert_near(breakdown_sum(&result.breakdown), result.seconds, 1e-12);
            free(input);
        }
    }
}

/* DeepSeek-V3 technical report, table 2: (p/2 - 1)(F&B + B - 3W), B the whole backward; without
 * communication F&B = F + B. */
static void test_dualpipe_closed_form(void **state)
{
    (void)state;
    const double one_s = 0.0173;
    for (size_t p = 2; p <= 16; p += 2) {
        for (size_t m = 2 * p; m <= 6 * p; m += 2) {
            double work_s = 3 * one_s * (double)m;
            double bubble_s = (double)(p / 2 - 1) * 2 * one_s;
            StepInput *input = split_input(SCHEDULE_DUALPIPE, p, 1, m, one_s, one_s, one_s);
            StepResult result = simulate(input, DETAIL_FOLDED, 1);
            assert_near(result.seconds, work_s + bubble_s, 1e-9);
            assert_true(fabs(result.breakdown.bubble_s - bubble_s) <= 1e-9 * work_s);
            assert_near(breakdown_sum(&result.breakdown), result.seconds, 1e-12);
            free(input);
        }
    }
}

/* Two ranks overlap m - 1 pairs of a forward and a backward: each hides all of its communication,
 * shorter than the computing, but for the one pair that waits for each other in the middle. */
static void test_dualpipe_hides_communication(void **state)
{
    (void)state;
    StepInput *input = split_input(SCHEDULE_DUALPIPE, 2, 1, 8, 1, 1, 1);
    for (size_t i = 0; i < 2; i++) {
        input->stage[i].forward.expert_s = 0.25;
        input->stage[i].forward.total_s += 0.25;
        input->stage[i].backward.expert_s = 0.5;
        input->stage[i].backward.total_s += 0.5;
    }
    StepResult hidden = simulate(input, DETAIL_FOLDED, 1);
    assert_near(hidden.breakdown.compute_s, 24, 1e-12);
    /* 4 a direction: 2 (rounds - 1) - 1 = 5 pairs, each hiding 0.75 s of the 6 s in all */
    assert_near(hidden.breakdown.expert_s, 8 * 0.75 - 5 * 0.75, 1e-12);
    assert_near(breakdown_sum(&hidden.breakdown), hidden.seconds, 1e-12);
    free(input);
}

/* One stage with two chunks: the reduction of chunk 1 runs beside the backwards of chunk 0. */
static void test_interleaved_reduction(void **state)
{
    (void)state;
    StepInput *input = split_input(SCHEDULE_INTERLEAVED, 1, 2, 3, 1, 2, 0);
    input->stage[0].grad_reduce_s = 0.8;
    input->overlap_grad_reduce = 1;
    StepResult result = simulate(input, DETAIL_FOLDED, 1);
    /* chunks of 0.4 s; the last one's two layers of 0.2 s: only the last shows */
    assert_near(result.seconds, 9 + 0.2, 1e-12);
    input->overlap_grad_reduce = 0;
    result = simulate(input, DETAIL_FOLDED, 1);
    assert_near(result.seconds, 9 + 0.8, 1e-12);
    free(input);
}

/* (m + p - 1)(f + b), bubble (p - 1)/(m + p - 1), for both schedules. */
static void test_bubble_closed_form(void **state)
{
    (void)state;
    const size_t stages[] = {1, 2, 3, 4, 8, 15, 16, 64},
                 microbatches[] = {1, 2, 3, 7, 15, 36, 100, 256};
    const PipelineSchedule schedules[] = {SCHEDULE_1F1B, SCHEDULE_GPIPE};
    for (size_t s = 0; s < 2; s++) {
        for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
            for (size_t j = 0; j < sizeof microbatches / sizeof microbatches[0]; j++) {
                double p = (double)stages[i], m = (double)microbatches[j], f = 0.0137, b = 0.0291;
                StepInput *input = uniform_input(stages[i], microbatches[j], f, b);
                input->schedule = schedules[s];
                StepResult result = simulate(input, DETAIL_FOLDED, 1);
                assert_near(result.seconds, (m + p - 1) * (f + b), 1e-12);
                assert_near(result.makespan_s, result.seconds, 1e-12);
                assert_true(fabs(result.bubble_fraction - (p - 1) / (m + p - 1)) < 1e-12);
                assert_true(fabs(result.breakdown.bubble_s - (p - 1) * (f + b)) <=
                            1e-12 * result.seconds);
                assert_near(result.breakdown.compute_s, m * (f + b), 1e-12);
                assert_near(breakdown_sum(&result.breakdown), result.seconds, 1e-12);
                free(input);
            }
        }
    }
}

/* A slow last stage never waits after its first input: f_0 + m (f_1 + b_1) + b_0. */
static void test_slow_stage(void **state)
{
    (void)state;
    StepInput *input = uniform_input(2, 20, 1, 2);
    input->stage[1].forward.compute_s = input->stage[1].forward.total_s = 1.5;
    input->stage[1].backward.compute_s = input->stage[1].backward.total_s = 2.5;
    StepResult result = simulate(input, DETAIL_FOLDED, 1);
    assert_near(result.seconds, 1 + 20 * 4.0 + 2, 1e-12);
    assert_near(breakdown_sum(&result.breakdown), result.seconds, 1e-12);
    assert_near(result.breakdown.stage_imbalance_s, result.seconds - 21 * 3.5, 1e-12);
    assert_near(result.bubble_fraction, 1 - 20 * 7.0 / (2 * 83.0), 1e-12);
    free(input);
}

/* GPipe hides sends of all but one microbatch: 2(p-1)c. One microbatch under 1F1B pays the same. */
static void test_sends(void **state)
{
    (void)state;
    StepInput *input = uniform_input(4, 6, 1, 2);
    input->send_s = 0.25;
    input->schedule = SCHEDULE_GPIPE;
    StepResult result = simulate(input, DETAIL_FOLDED, 1);
    assert_near(result.breakdown.pipeline_send_s, 2 * 3 * 0.25, 1e-12);
    input->schedule = SCHEDULE_1F1B;
    input->microbatches = 1;
    result = simulate(input, DETAIL_FOLDED, 1);
    assert_near(result.breakdown.pipeline_send_s, 2 * 3 * 0.25, 1e-12);
    free(input);
}

/* One stage: everything can be added by hand. */
static void test_data_parallel_rules(void **state)
{
    (void)state;
    StepInput *input = uniform_input(1, 3, 1, 2);
    input->stage[0].grad_reduce_s = 0.8;
    input->stage[0].param_gather_s = 0.6;
    input->stage[0].optimizer_s = 0.1;
    StepResult result = simulate(input, DETAIL_FOLDED, 1);
    assert_near(result.seconds, 9 + 0.8 + 0.1 + 0.6, 1e-12);
    assert_near(result.breakdown.optimizer_s, 0.1, 1e-12);
    assert_near(result.breakdown.data_parallel_s, 1.4, 1e-12);

    /* behind the backward (4 layers of 0.5 s, 0.2 s of collective each): only the last layer's
     * share shows */
    input->overlap_grad_reduce = 1;
    result = simulate(input, DETAIL_FOLDED, 1);
    assert_near(result.seconds, 9 + 0.2 + 0.1 + 0.6, 1e-12);

    /* 0.15 s a layer beside forwards of 0.25 s: only the first layer's share shows */
    input->overlap_param_gather = 1;
    result = simulate(input, DETAIL_FOLDED, 1);
    assert_near(result.seconds, 9 + 0.2 + 0.1 + 0.15, 1e-12);

    /* collectives longer than what hides them: 4 s from the first gradient at 7.5 s; 3 s less 0.75
     * s */
    input->stage[0].grad_reduce_s = 4;
    input->stage[0].param_gather_s = 3;
    result = simulate(input, DETAIL_FOLDED, 1);
    assert_near(result.seconds, 7.5 + 4 + 0.1 + 2.25, 1e-12);
    assert_near(breakdown_sum(&result.breakdown), result.seconds, 1e-12);
    free(input);
}

/* One stage, m microbatches, g groups that do not wait for each other: the slowest sum of m normal
 * deviations, sqrt(m) d times the mean of the largest of g normals (g = 8: 1.4236, Tippett 1925).
 * The two replicas of a group meet at the same experts. */
static void test_expert_noise(void **state)
{
    (void)state;
    enum { STEPS = 2000, MICROBATCHES = 9 };
    StepInput *input = uniform_input(1, MICROBATCHES, 1, 2);
    input->replicas = 16;
    input->gpus = 16;
    input->expert_group_replicas = 2;
    input->stage[0].forward.expert_variance_s2 = 0.01 * 0.01;
    input->stage[0].backward.expert_variance_s2 = 0.02 * 0.02;
    Error error;
    StepResult result;
    StepSimulator *simulator = step_simulator_create(&error);
    assert_non_null(simulator);
    double mean_s = 0;
    for (unsigned long long i = 1; i <= STEPS; i++) {
        assert_int_equal(step_simulate(simulator, input, DETAIL_REPLICAS, 5, i, 0, &result, &error),
                         STATUS_OK);
        assert_near(breakdown_sum(&result.breakdown), result.seconds, 1e-12);
        assert_near(result.breakdown.compute_s, 27, 1e-12);
        mean_s += result.breakdown.expert_jitter_s / STEPS;
    }
    step_simulator_destroy(simulator);
    /* 0.03 s a microbatch; deviation of the largest of 8 is 0.61, of 2,000 means 1.4% of that */
    assert_near(mean_s, 0.03 * 3 * 1.4236, 0.03);

    /* a pipeline waits for the slowest stage again and again, interleaved chunks as well */
    const PipelineSchedule schedules[] = {SCHEDULE_1F1B, SCHEDULE_GPIPE, SCHEDULE_ZB_H1,
                                          SCHEDULE_DUALPIPE};
    for (size_t s = 0; s < sizeof schedules / sizeof *schedules; s++) {
        StepInput *stages = uniform_input(4, 16, 1, 2);
        stages->schedule = schedules[s];
        stages->replicas = 4;
        for (size_t i = 0; i < 4; i++) {
            stages->stage[i].backward.weight_s = 1;
            stages->stage[i].forward.expert_variance_s2 = 0.1 * 0.1;
            stages->stage[i].backward.expert_variance_s2 = 0.2 * 0.2;
        }
        double lost_s = 0;
        for (unsigned long long i = 1; i <= 20; i++) {
            simulator = step_simulator_create(&error);
            assert_non_null(simulator);
            assert_int_equal(
                step_simulate(simulator, stages, DETAIL_REPLICAS, 5, i, 0, &result, &error),
                STATUS_OK);
            assert_near(breakdown_sum(&result.breakdown), result.seconds, 1e-12);
            lost_s += result.breakdown.expert_jitter_s / 20;
            step_simulator_destroy(simulator);
        }
        assert_true(lost_s > 0.5 && lost_s < 20);
        free(stages);
    }
    free(input);
}

/* A later stage has the time until its first forward to gather in. */
static void test_gather_hides_behind_fill(void **state)
{
    (void)state;
    StepInput *input = uniform_input(2, 3, 1, 2);
    input->overlap_param_gather = 1;
    input->stage[1].param_gather_s =
        1.5; /* last layer needs 1.5 - 0.75 = 0.75 s before the forward, which is at 1 s */
    StepResult result = simulate(input, DETAIL_FOLDED, 1);
    assert_near(result.seconds, 4 * 3, 1e-12);
    free(input);
}

/* Full 1.4 s of noise-free compute for each GPU, one replica slower than all: the step is that
 * replica's. */
static void test_replicas_wait_for_the_slowest(void **state)
{
    (void)state;
    StepInput *input = uniform_input(3, 8, 1, 2);
    input->replicas = 16;
    input->gpus = 48;
    input->jitter = 0.05;
    StepResult folded = simulate(input, DETAIL_FOLDED, 7);
    StepResult full = simulate(input, DETAIL_REPLICAS, 7);
    assert_near(folded.seconds, 10 * 3, 1e-12);
    assert_true(folded.breakdown.jitter_s >= 0 && folded.breakdown.jitter_s <= 0);
    assert_true(full.breakdown.jitter_s > 0);
    assert_near(breakdown_sum(&full.breakdown), full.seconds, 1e-12);
    assert_true(full.events >= 16 * 3 * 16);

    input->jitter = 0;
    full = simulate(input, DETAIL_REPLICAS, 7);
    assert_near(full.seconds, folded.seconds, 1e-12);
    full = simulate(input, DETAIL_GPUS, 7);
    assert_near(full.seconds, folded.seconds, 1e-12);
    free(input);
}

/* One stage, one microbatch: the step is the maximum of n lognormal factors, mean 1 and relative
 * deviation sd. P(max <= x) = F(x)^n at x from the replicas' detail and from the GPUs' detail: both
 * uniform, means 1/2. */
static void test_detail_levels_agree_in_distribution(void **state)
{
    (void)state;
    const double sd = 0.08;
    const int trials = 2000;
    StepInput *input = uniform_input(1, 1, 1, 0);
    input->replicas = 6;
    input->gpus = 48; /* 8 tensor ranks a stage */
    input->jitter = sd;
    double sigma = sqrt(log1p(sd * sd));
    const SimulationDetail details[] = {DETAIL_REPLICAS, DETAIL_GPUS};
    Error error;
    StepSimulator *simulator = step_simulator_create(&error);
    assert_non_null(simulator);
    for (size_t d = 0; d < 2; d++) {
        double sum = 0, squares = 0;
        for (int i = 0; i < trials; i++) {
            StepResult result;
            assert_int_equal(
                step_simulate(simulator, input, details[d], 11, (unsigned)i, 0, &result, &error),
                STATUS_OK);
            double z = (log(result.seconds) + sigma * sigma / 2) / sigma;
            double u = pow(gsl_cdf_ugaussian_P(z), 48);
            sum += u;
            squares += u * u;
        }
        /* uniform: mean 1/2, variance 1/12, second moment 1/3 with variance 4/45 */
        assert_true(fabs(sum / trials - 0.5) < 4 * sqrt(1.0 / 12 / trials));
        assert_true(fabs(squares / trials - 1.0 / 3) < 4 * sqrt(4.0 / 45 / trials));
    }
    step_simulator_destroy(simulator);
    free(input);
}

static void test_rates(void **state)
{
    (void)state;
    StepInput *input = uniform_input(2, 4, 0.1, 0.2);
    StepResult result = simulate(input, DETAIL_FOLDED, 1);
    assert_near(result.seconds, 1.5, 1e-12);
    assert_near(result.mfu, 3e15 / (1.5 * 2e15), 1e-12);
    assert_near(result.hfu, 4e15 / (1.5 * 2e15), 1e-12);
    assert_near(result.tflops_per_gpu, 3e15 / 1.5 / 2 / 1e12, 1e-12);
    assert_near(result.tokens_per_s_per_gpu, 1e6 / 1.5 / 2, 1e-12);
    free(input);
}

static void test_spans(void **state)
{
    (void)state;
    Error error;
    StepResult result;
    StepInput *input = uniform_input(3, 5, 1, 2);
    StepSimulator *simulator = step_simulator_create(&error);
    assert_non_null(simulator);
    assert_int_equal(step_simulate(simulator, input, DETAIL_FOLDED, 1, 0, 1, &result, &error),
                     STATUS_OK);
    assert_int_equal(result.span_count, 2 * 3 * 5);
    double busy_s = 0;
    for (size_t i = 0; i < result.span_count; i++) {
        const StepSpan *span = &result.spans[i];
        assert_true(span->stage < 3 && span->microbatch < 5);
        assert_near(span->end_s - span->start_s, span->backward ? 2 : 1, 1e-12);
        busy_s += span->end_s - span->start_s;
    }
    assert_near(busy_s, 3 * 5 * 3.0, 1e-12);
    step_result_free(&result);
    step_simulator_destroy(simulator);
    free(input);
}

/* A simulator that has seen other sizes gives the same bytes as a fresh one. */
static void test_simulator_is_reusable(void **state)
{
    (void)state;
    Error error;
    StepResult result;
    StepInput *large = uniform_input(7, 30, 1, 2), *small = uniform_input(3, 4, 0.3, 0.7);
    large->replicas = small->replicas = 5;
    large->jitter = small->jitter = 0.02;
    StepSimulator *simulator = step_simulator_create(&error);
    assert_non_null(simulator);
    const StepInput *sequence[] = {small, large, small, large};
    for (size_t i = 0; i < 4; i++) {
        StepResult fresh = simulate(sequence[i], DETAIL_REPLICAS, 3);
        assert_int_equal(
            step_simulate(simulator, sequence[i], DETAIL_REPLICAS, 3, 0, 0, &result, &error),
            STATUS_OK);
        assert_memory_equal(&result, &fresh, sizeof result);
    }
    step_simulator_destroy(simulator);
    free(large);
    free(small);
}

static void test_refuses_nonsense(void **state)
{
    (void)state;
    Error error;
    StepResult result;
    StepSimulator *simulator = step_simulator_create(&error);
    assert_non_null(simulator);
    const struct {
        size_t stages, microbatches, replicas;
        double jitter;
    } cases[] = {{0, 1, 1, 0},
                 {1, 0, 1, 0},
                 {1, 1, 0, 0},
                 {MAX_STAGES + 1, 1, 1, 0},
                 {1, SIZE_MAX, 1, 0},
                 {1024, 1 << 20, 1 << 20, 0},
                 {2, 2, SIZE_MAX / 2, 0},
                 {2, 2, 2, -1},
                 {2, 2, 2, nan("")}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        StepInput *input = uniform_input(2, 2, 1, 2);
        input->stages = cases[i].stages;
        input->microbatches = cases[i].microbatches;
        input->replicas = cases[i].replicas;
        input->jitter = cases[i].jitter;
        memset(&error, 0, sizeof error);
        assert_int_equal(step_simulate(simulator, input, DETAIL_REPLICAS, 1, 0, 1, &result, &error),
                         STATUS_INVALID);
        assert_true(error.message[0] != '\0');
        assert_null(result.spans);
        free(input);
    }
    StepInput *input = uniform_input(2, 2, nan(""), 2);
    assert_int_not_equal(step_simulate(simulator, input, DETAIL_FOLDED, 1, 0, 1, &result, &error),
                         STATUS_OK);
    free(input);
    step_simulator_destroy(simulator);
}

static void bubble_closed_forms(void **state)
{
    (void)state;
    assert_true(fabs(step_bubble_closed_form(SCHEDULE_1F1B, 15, 1, 35) - 14.0 / 49) < 1e-15);
    assert_true(fabs(step_bubble_closed_form(SCHEDULE_GPIPE, 4, 1, 8) - 3.0 / 11) < 1e-15);
    /* (p-1)/V = 1.5 beside m = 8 */
    assert_true(fabs(step_bubble_closed_form(SCHEDULE_INTERLEAVED, 4, 2, 8) - 1.5 / 9.5) < 1e-15);
    assert_true(step_bubble_closed_form(SCHEDULE_ZB_H1, 4, 1, 8) < 0);
    assert_true(step_bubble_closed_form(SCHEDULE_DUALPIPE, 4, 1, 8) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bubble_closed_forms),
        cmocka_unit_test(test_interleaved_closed_form),
        cmocka_unit_test(test_zero_bubble_closed_form),
        cmocka_unit_test(test_dualpipe_closed_form),
        cmocka_unit_test(test_dualpipe_hides_communication),
        cmocka_unit_test(test_interleaved_reduction),
        cmocka_unit_test(test_bubble_closed_form),
        cmocka_unit_test(test_slow_stage),
        cmocka_unit_test(test_sends),
        cmocka_unit_test(test_data_parallel_rules),
        cmocka_unit_test(test_expert_noise),
        cmocka_unit_test(test_gather_hides_behind_fill),
        cmocka_unit_test(test_replicas_wait_for_the_slowest),
        cmocka_unit_test(test_detail_levels_agree_in_distribution),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_simulator_is_reusable),
        cmocka_unit_test(test_refuses_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
