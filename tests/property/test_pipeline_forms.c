/* Closed forms, wave fronts and skipped rounds of the folded pipeline against the events, where
 * they matter: many microbatches, stages that are alike, nearly alike or of a few kinds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/engine/random.h"
#include "sim/training/fold.h"
#include "sim/training/paced.h"
#include "sim/training/wave.h"

#include <math.h>
#include <stdlib.h>

enum { CASES = 600, PACED_CASES = 20000, MAX_P = 14, MAX_V = 3, MAX_KINDS = 4 };
enum { SMALL_P = 18, SMALL_M = 64 };
static const unsigned long long SEED = 20240229;

static size_t pick(RandomStream *stream, size_t count)
{
    return 1 + (size_t)(random_uniform(stream) * (double)count);
}

/* From `least` to 1, each magnitude as likely. */
static double magnitude(RandomStream *stream, double least)
{
    return pow(least, random_uniform(stream));
}

static void set_phase(StagePhase *phase, double compute_s, double expert_s, double weight_s)
{
    *phase = (StagePhase){.compute_s = compute_s,
                          .expert_s = expert_s,
                          .weight_s = weight_s,
                          .total_s = compute_s + expert_s};
}

/* Stages of a few kinds, some of their own, some much longer or shorter. */
static double stage_scale(RandomStream *stream, const double kinds[MAX_KINDS], size_t count,
                          double spread, size_t stage)
{
    double scale = kinds[stage % count];
    if (random_uniform(stream) < 0.3)
        scale = 1.0 + spread * random_uniform(stream);
    if (random_uniform(stream) < 0.1)
        scale *= 2.0 * random_uniform(stream);
    return scale;
}

static void random_input(uint64_t index, StepInput *input)
{
    static const PipelineSchedule schedules[] = {SCHEDULE_1F1B,        SCHEDULE_GPIPE,
                                                 SCHEDULE_INTERLEAVED, SCHEDULE_ZB_H1,
                                                 SCHEDULE_ZB_2P,       SCHEDULE_DUALPIPE};
    RandomStream stream = random_stream(SEED, "pipeline forms", index);
    *input = (StepInput){.schedule = schedules[index % 6], .replicas = 1, .virtual_stages = 1};
    input->stages = pick(&stream, MAX_P);
    input->microbatches = pick(&stream, 300);
    if (input->schedule == SCHEDULE_INTERLEAVED) {
        input->virtual_stages = 1 + pick(&stream, MAX_V - 1);
        input->microbatches = input->stages * pick(&stream, 20);
    } else if (input->schedule == SCHEDULE_DUALPIPE) {
        input->stages = 2 * pick(&stream, MAX_P / 2);
        input->microbatches = 2 * (input->stages + pick(&stream, 150) - 1);
    }
    const double spread = magnitude(&stream, 1e-4);
    input->send_s = random_uniform(&stream) < 0.2 ? 0.0 : 0.3 * magnitude(&stream, 1e-4);
    double kinds[MAX_KINDS];
    for (size_t i = 0; i < MAX_KINDS; i++)
        kinds[i] = 1.0 + spread * random_uniform(&stream);
    const size_t count = pick(&stream, MAX_KINDS);
    const double expert_s = 0.5 * random_uniform(&stream);
    for (size_t i = 0; i < input->stages; i++) {
        StageTime *stage = &input->stage[i];
        const double scale = stage_scale(&stream, kinds, count, spread, i);
        stage->layers = 3;
        set_phase(&stage->forward, scale, expert_s, 0.0);
        set_phase(&stage->backward, 2.0 * scale, expert_s, 0.9 * scale);
        for (size_t j = 0; j < input->virtual_stages; j++) {
            ChunkTime *chunk = &input->chunk[j * input->stages + i];
            chunk->layers = 1;
            chunk->forward = stage->forward;
            chunk->backward = stage->backward;
        }
    }
}

static void assert_same(double one, double other)
{
    if (!(fabs(one - other) <= 1e-11 * fmax(fabs(one), fabs(other))))
        fail_msg("%.17g and %.17g differ", one, other);
}

static void test_folds_equal_events(void **state)
{
    (void)state;
    Error error;
    Pipeline *pipeline = pipeline_create(&error);
    Fold *fold = fold_create(&error);
    StepInput *input = malloc(sizeof *input);
    assert_non_null(pipeline);
    assert_non_null(fold);
    assert_non_null(input);
    print_message("seed %llu, %d cases\n", SEED, CASES);
    for (uint64_t i = 0; i < CASES; i++) {
        FoldOutcome folded;
        PipelineOutcome events;
        PipelineCase with_sends = {.replicas = 1};
        random_input(i, input);
        with_sends.send_s = input->send_s;
        assert_int_equal(fold_evaluate(fold, input, FOLD_CAUSES, NULL, &folded, &error), STATUS_OK);
        const double makespan_s = folded.makespan_s, work_s = folded.work_s;
        assert_int_equal(fold_evaluate(fold, input, FOLD_ENDS, NULL, &folded, &error), STATUS_OK);
        assert_true(makespan_s == folded.makespan_s && work_s == folded.work_s);
        assert_int_equal(pipeline_simulate(pipeline, input, &with_sends, &events, &error),
                         STATUS_OK);
        assert_same(folded.makespan_s, events.makespan_s);
        for (size_t j = 0; j < events.shape.stages; j++)
            assert_same(folded.ends.first_start_s[j], events.ends.first_start_s[j]);
        for (size_t j = 0; j < events.shape.stages * events.shape.chunks; j++) {
            assert_same(folded.ends.chunk[j].end_s, events.ends.chunk[j].end_s);
            assert_same(folded.ends.chunk[j].first_gradient_s,
                        events.ends.chunk[j].first_gradient_s);
        }
    }
    free(input);
    fold_destroy(fold);
    pipeline_destroy(pipeline);
}

/* Any small number of stages with any small number of microbatches, so that every phase of a
 * schedule is cut short somewhere; stages of their own, sends of none to several tasks. */
static void test_small_shapes_equal_recurrence(void **state)
{
    (void)state;
    static const PipelineSchedule schedules[] = {SCHEDULE_1F1B, SCHEDULE_INTERLEAVED,
                                                 SCHEDULE_ZB_H1, SCHEDULE_ZB_2P};
    Error error;
    Fold *fold = fold_create(&error), *general = fold_create(&error);
    StepInput *input = malloc(sizeof *input);
    assert_non_null(fold);
    assert_non_null(general);
    assert_non_null(input);
    RandomStream stream = random_stream(SEED, "small shapes", 0);
    for (size_t shape = 0; shape < 3 * 4 * SMALL_P * SMALL_M; shape++) {
        const size_t p = 1 + shape / 4 % SMALL_P, m = 1 + shape / 4 / SMALL_P % SMALL_M;
        *input = (StepInput){
            .schedule = schedules[shape % 4], .stages = p, .microbatches = m, .replicas = 1};
        input->virtual_stages = 1;
        if (input->schedule == SCHEDULE_INTERLEAVED) {
            input->virtual_stages = 2 + m % 3;
            input->microbatches = p * (1 + m / 4);
        }
        input->send_s = m % 3 == 0 ? 0.0 : 3.0 * random_uniform(&stream) * random_uniform(&stream);
        const double spread = magnitude(&stream, 1e-4);
        for (size_t i = 0; i < p * input->virtual_stages; i++) {
            ChunkTime *chunk = &input->chunk[i];
            chunk->layers = 1;
            const double forward_s = 1.0 + spread * random_uniform(&stream);
            const double backward_s = 2.0 + spread * random_uniform(&stream);
            const double weight_s = 0.9 + 0.1 * random_uniform(&stream);
            set_phase(&chunk->forward, forward_s, 0.0, 0.0);
            set_phase(&chunk->backward, backward_s, 0.1, weight_s);
            if (i < p)
                input->stage[i] = (StageTime){
                    .layers = 3, .forward = chunk->forward, .backward = chunk->backward};
        }
        FoldOutcome folded, worked;
        assert_int_equal(fold_evaluate(fold, input, FOLD_CAUSES, NULL, &folded, &error), STATUS_OK);
        assert_int_equal(fold_evaluate_generally(general, input, NULL, &worked, &error), STATUS_OK);
        assert_same(folded.makespan_s, worked.makespan_s);
        assert_same(folded.instant_s, worked.instant_s);
        assert_same(folded.ideal_s, worked.ideal_s);
        for (size_t j = 0; j < folded.shape.stages * folded.shape.chunks; j++) {
            assert_same(folded.ends.chunk[j].end_s, worked.ends.chunk[j].end_s);
            assert_same(folded.ends.chunk[j].first_gradient_s,
                        worked.ends.chunk[j].first_gradient_s);
        }
    }
    free(input);
    fold_destroy(fold);
    fold_destroy(general);
}

/* Where the closed form of 1F1B says that it holds, it does; and it holds often. */
static void test_paced_equals_recurrence(void **state)
{
    (void)state;
    static TaskTime times[2 * MAX_P];
    static double scratch[64 * MAX_P];
    static ChunkEnd closed[MAX_P], worked[MAX_P];
    size_t held = 0;
    print_message("seed %llu, %d cases\n", SEED, PACED_CASES);
    for (uint64_t i = 0; i < PACED_CASES; i++) {
        RandomStream stream = random_stream(SEED, "paced", i);
        const size_t p = 1 + pick(&stream, MAX_P - 1), m = pick(&stream, 60);
        const ScheduleShape shape = {.schedule = SCHEDULE_1F1B,
                                     .stages = p,
                                     .chunks = 1,
                                     .rounds = m,
                                     .kinds = 2,
                                     .tasks = 2 * m};
        const double spread = magnitude(&stream, 1e-4), send_s = magnitude(&stream, 1e-4);
        const double backward = 0.5 + 2.0 * random_uniform(&stream);
        double forwards[MAX_KINDS], backwards[MAX_KINDS];
        for (size_t j = 0; j < MAX_KINDS; j++) {
            forwards[j] = 1.0 + spread * random_uniform(&stream);
            backwards[j] = 1.0 + spread * random_uniform(&stream);
        }
        const size_t kinds = pick(&stream, MAX_KINDS);
        for (size_t j = 0; j < p; j++) {
            times[2 * j].total_s = stage_scale(&stream, forwards, kinds, spread, j);
            times[2 * j + 1].total_s = backward * stage_scale(&stream, backwards, kinds, spread, j);
        }
        if (!paced_1f1b_ends(&shape, times, send_s, scratch, closed))
            continue;
        held++;
        assert_true(wave_scratch(&shape) <= sizeof scratch / sizeof scratch[0]);
        const Wave wave = {.shape = &shape, .times = times, .send_s = send_s, .scratch = scratch};
        wave_run(&wave, worked);
        for (size_t j = 0; j < p; j++) {
            assert_same(closed[j].end_s, worked[j].end_s);
            assert_same(closed[j].first_gradient_s, worked[j].first_gradient_s);
        }
    }
    print_message("the closed form held for %zu\n", held);
    assert_true(held > PACED_CASES / 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folds_equal_events),
        cmocka_unit_test(test_small_shapes_equal_recurrence),
        cmocka_unit_test(test_paced_equals_recurrence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
