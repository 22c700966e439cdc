/* What must hold for any step: random stages, schedules and overlaps from a fixed, printed seed,
 * and a plain recurrence of the same schedule as an independent reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/engine/random.h"
#include "sim/training/fold.h"
#include "sim/training/pipeline.h"
#include "sim/training/schedule.h"
#include "sim/training/step.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static const uint64_t SEED = 20240229;
enum { CASES = 400, MAX_P = 24, MAX_M = 48, MAX_V = 5 };
enum { MAX_TASKS = MAX_M * MAX_V * MAX_TASK_KINDS };

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
    phase->weight_s = phase->compute_s * random_uniform(stream);
    phase->total_s = phase->compute_s + phase->recompute_s + phase->tensor_s + phase->expert_s +
                     phase->expert_imbalance_s + phase->sharding_s;
}

static void add_phase(StagePhase *sum, const StagePhase *part)
{
    double *sums = &sum->compute_s;
    const double *parts = &part->compute_s;
    for (size_t i = 0; i < sizeof *sum / sizeof *sums; i++)
        sums[i] += parts[i];
}

/* A stage is the sum of its chunks. */
static void random_chunks(RandomStream *stream, StepInput *input, size_t stage)
{
    StageTime *sum = &input->stage[stage];
    sum->forward = sum->backward = (StagePhase){0};
    sum->layers = 0;
    for (size_t i = 0; i < input->virtual_stages; i++) {
        ChunkTime *chunk = &input->chunk[i * input->stages + stage];
        random_phase(stream, &chunk->forward);
        random_phase(stream, &chunk->backward);
        chunk->layers = (double)pick(stream, 4);
        sum->layers += chunk->layers;
        add_phase(&sum->forward, &chunk->forward);
        add_phase(&sum->backward, &chunk->backward);
    }
}

/* Counts that the schedule can work with. */
static void random_counts(RandomStream *stream, StepInput *input)
{
    const PipelineSchedule schedules[] = {SCHEDULE_1F1B,  SCHEDULE_GPIPE, SCHEDULE_INTERLEAVED,
                                          SCHEDULE_ZB_H1, SCHEDULE_ZB_2P, SCHEDULE_DUALPIPE};
    input->schedule = schedules[pick(stream, 6) - 1];
    input->stages = pick(stream, MAX_P);
    input->microbatches = pick(stream, MAX_M);
    input->virtual_stages = 1;
    if (input->schedule == SCHEDULE_INTERLEAVED) {
        input->virtual_stages = pick(stream, MAX_V);
        input->microbatches = input->stages * pick(stream, MAX_M / input->stages);
    } else if (input->schedule == SCHEDULE_DUALPIPE) {
        input->stages = 2 * pick(stream, MAX_M / 4);
        input->microbatches =
            2 * input->stages + 2 * (pick(stream, 1 + (MAX_M - 2 * input->stages) / 2) - 1);
    }
}

static void random_input(uint64_t index, StepInput *input)
{
    RandomStream stream = random_stream(SEED, "step properties", index);
    *input = (StepInput){0};
    random_counts(&stream, input);
    input->replicas = pick(&stream, 6);
    input->gpus = (double)(input->stages * input->replicas * pick(&stream, 8));
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
        if (input->virtual_stages > 1)
            random_chunks(&stream, input, i);
        stage->grad_reduce_s = 3 * random_uniform(&stream);
        stage->param_gather_s = 3 * random_uniform(&stream);
        stage->optimizer_s = 0.3 * random_uniform(&stream);
    }
    /* streams that compete, or not */
    if (random_uniform(&stream) < 0.7) {
        input->data_rates.compute = 0.5 + 0.5 * random_uniform(&stream);
        input->data_rates.communication = 0.5 + 0.5 * random_uniform(&stream);
        input->block_rates.compute = 0.5 + 0.5 * random_uniform(&stream);
        input->block_rates.communication = 0.5 + 0.5 * random_uniform(&stream);
    }
}

/* Of two streams whose rates add up to 1 or more: whichever of the two runs on alone, the other's
 * work beside it costs what it takes from it. */
static double side_by_side(StreamRates rates, double compute_s, double communication_s)
{
    const double a = rates.compute > 0 ? rates.compute : 1;
    const double b = rates.communication > 0 ? rates.communication : 1;
    return fmax(compute_s + communication_s * (1 - a) / b,
                communication_s + compute_s * (1 - b) / a);
}

static double breakdown_sum(const StepBreakdown *b)
{
    return b->compute_s + b->recompute_s + b->tensor_s + b->expert_s + b->expert_imbalance_s +
           b->bubble_s + b->stage_imbalance_s + b->pipeline_send_s + b->data_parallel_s +
           b->optimizer_s + b->expert_jitter_s + b->jitter_s;
}

/* What one task takes, read off the input in other words than the simulation's. */
static double task_seconds(const StepInput *input, const ScheduleShape *shape, size_t stage,
                           unsigned task, double *busy_s)
{
    size_t chunk = task / shape->kinds % shape->chunks, kind = task % shape->kinds;
    const StagePhase *forward = &input->stage[stage].forward,
                     *backward = &input->stage[stage].backward;
    if (input->schedule == SCHEDULE_DUALPIPE && chunk == 1) {
        forward = &input->stage[input->stages - 1 - stage].forward;
        backward = &input->stage[input->stages - 1 - stage].backward;
    } else if (input->virtual_stages > 1) {
        forward = &input->chunk[chunk * input->stages + stage].forward;
        backward = &input->chunk[chunk * input->stages + stage].backward;
    }
    const StagePhase *phase = kind == 0 ? forward : backward;
    double seconds = phase->total_s;
    *busy_s = phase->compute_s + phase->recompute_s + phase->expert_imbalance_s;
    if (kind == 2)
        return *busy_s = backward->weight_s;
    if (kind == 1 && shape->kinds == 3) {
        seconds -= backward->weight_s;
        *busy_s -= backward->weight_s;
    }
    return seconds;
}

/* Whose output a task waits for: stage and task, or itself where there is none. */
static size_t source_of(const StepInput *input, const ScheduleShape *shape, size_t stage,
                        unsigned task, unsigned *source, double *send_s)
{
    size_t p = shape->stages, v = shape->chunks;
    size_t chunk = task / shape->kinds % v, kind = task % shape->kinds;
    unsigned step = (unsigned)shape->kinds;
    *source = task;
    *send_s = input->send_s;
    if (kind == 2) { /* its own backward */
        *source = task - 1;
        *send_s = 0;
        return stage;
    }
    if (input->schedule == SCHEDULE_DUALPIPE) {
        size_t first = chunk == 0 ? 0 : p - 1, last = p - 1 - first;
        if (kind == 0)
            return stage == first ? stage : chunk == 0 ? stage - 1 : stage + 1;
        if (stage != last)
            return chunk == 0 ? stage + 1 : stage - 1;
    } else {
        if (kind == 0 && stage > 0)
            return stage - 1;
        if (kind == 0 && chunk == 0)
            return stage;
        if (kind == 0) {
            *source = task - step;
            *send_s = p > 1 ? input->send_s : 0;
            return p - 1;
        }
        if (stage + 1 < p)
            return stage + 1;
        if (chunk + 1 < v) {
            *source = task + step;
            *send_s = p > 1 ? input->send_s : 0;
            return 0;
        }
    }
    *source = task - 1; /* the loss */
    *send_s = 0;
    return stage;
}

/* Of the whole pipeline, and (ZB-2p has no barrier) the longest from a stage's start to its end. */
typedef struct Reference {
    double end_s, longest_s;
    double work_s[MAX_P];
} Reference;

/* Sweeps over all stages until nothing changes: slow, simple, no queue. */
static void recurrence(const StepInput *input, Reference *reference)
{
    static double end[MAX_P][MAX_TASKS];
    static unsigned order[MAX_P][MAX_TASKS];
    ScheduleShape shape;
    assert_int_equal(schedule_shape(input->schedule, input->stages, input->virtual_stages,
                                    input->microbatches, &shape, NULL),
                     STATUS_OK);
    size_t position[MAX_P] = {0}, left = shape.stages * shape.tasks;
    double free_s[MAX_P] = {0}, begin_s[MAX_P] = {0};
    *reference = (Reference){0};
    for (size_t i = 0; i < shape.stages; i++) {
        assert_int_equal(step_schedule(&shape, i, order[i], NULL), STATUS_OK);
        for (size_t j = 0; j < shape.tasks; j++)
            end[i][j] = -1;
    }
    while (left > 0) {
        size_t before = left;
        for (size_t i = 0; i < shape.stages; i++) {
            while (position[i] < shape.tasks) {
                size_t length = 0;
                double ready_s = free_s[i], whole_s = 0, busy_s = 0, forward_s = 0;
                int waits = 0, joined = 1;
                for (size_t j = position[i]; joined; j++, length++) {
                    unsigned task = order[i][j] & ~TASK_JOINED, source;
                    double send_s, task_busy_s;
                    joined = (order[i][j] & TASK_JOINED) != 0;
                    size_t from = source_of(input, &shape, i, task, &source, &send_s);
                    double seconds = task_seconds(input, &shape, i, task, &task_busy_s);
                    whole_s += seconds;
                    busy_s += task_busy_s;
                    if (task % shape.kinds == 0)
                        forward_s += seconds;
                    int within = task % shape.kinds == 2 && length > 0;
                    if (within || (from == i && source == task))
                        continue;
                    waits |= end[from][source] < 0;
                    ready_s = fmax(ready_s, end[from][source] + send_s);
                }
                if (waits)
                    break;
                double seconds = whole_s;
                if (forward_s > 0 && forward_s < whole_s)
                    seconds = fmax(side_by_side(input->block_rates, busy_s, whole_s - busy_s),
                                   fmax(forward_s, whole_s - forward_s));
                if (position[i] == 0)
                    begin_s[i] = ready_s;
                free_s[i] = ready_s + seconds;
                reference->work_s[i] += seconds;
                for (size_t j = 0; j < length; j++)
                    end[i][order[i][position[i] + j] & ~TASK_JOINED] = free_s[i];
                position[i] += length;
                left -= length;
            }
        }
        assert_true(left < before); /* else the schedule waits for itself */
    }
    for (size_t i = 0; i < shape.stages; i++) {
        reference->end_s = fmax(reference->end_s, free_s[i]);
        reference->longest_s = fmax(reference->longest_s, free_s[i] - begin_s[i]);
    }
}

static double recurrence_makespan(const StepInput *input)
{
    Reference reference;
    recurrence(input, &reference);
    return input->schedule == SCHEDULE_ZB_2P ? reference.longest_s : reference.end_s;
}

/* Activations kept at once, in microbatches through one chunk: from the forward to the last part of
 * the backward. */
static size_t expected_in_flight(const StepInput *input, const ScheduleShape *shape, size_t stage)
{
    size_t p = input->stages, m = input->microbatches, most = p - stage;
    if (shape->schedule == SCHEDULE_GPIPE)
        return m;
    if (shape->schedule == SCHEDULE_INTERLEAVED) {
        m *= shape->chunks;
        most = 2 * (p - 1 - stage) + (shape->chunks - 1) * p + 1;
    }
    if (shape->schedule == SCHEDULE_ZB_H1)
        most = p;
    if (shape->schedule == SCHEDULE_ZB_2P)
        most = 2 * p - 1;
    if (shape->schedule == SCHEDULE_DUALPIPE)
        most = p + 1;
    return m < most ? m : most;
}

/* Every task once, a microbatch forward before backward before its weight gradient. */
static void check_schedule(const StepInput *input)
{
    static unsigned order[MAX_TASKS];
    ScheduleShape shape;
    assert_int_equal(schedule_shape(input->schedule, input->stages, input->virtual_stages,
                                    input->microbatches, &shape, NULL),
                     STATUS_OK);
    assert_true(shape.tasks <= MAX_TASKS);
    for (size_t i = 0; i < shape.stages; i++) {
        unsigned char seen[MAX_TASKS] = {0};
        assert_int_equal(step_schedule(&shape, i, order, NULL), STATUS_OK);
        size_t in_flight = 0, most = 0;
        for (size_t j = 0; j < shape.tasks; j++) {
            unsigned task = order[j] & ~TASK_JOINED, kind = task % (unsigned)shape.kinds;
            assert_true(task < shape.tasks && !seen[task]);
            seen[task] = 1;
            if (kind == 0 && ++in_flight > most)
                most = in_flight;
            if (kind > 0)
                assert_true(seen[task - 1]);
            if (kind == shape.kinds - 1)
                in_flight--;
        }
        assert_int_equal(order[shape.tasks - 1] & TASK_JOINED, 0);
        if (shape.schedule == SCHEDULE_DUALPIPE)
            assert_true(most <= expected_in_flight(input, &shape, i));
        else
            assert_int_equal(most, expected_in_flight(input, &shape, i));
    }
}

static void assert_same(double one, double other)
{
    if (!(fabs(one - other) <= 1e-12 * fmax(fabs(one), fabs(other))))
        fail_msg("%.17g and %.17g differ", one, other);
}

/* The folded forms (special and general) against the events, stage by stage. */
static void check_folded(Pipeline *pipeline, Fold *fold, const StepInput *input)
{
    Error error;
    FoldOutcome folded;
    PipelineOutcome events;
    PipelineCase instantly = {.replicas = 1};
    PipelineCase with_sends = {.replicas = 1, .send_s = input->send_s};
    for (size_t form = 0; form < 2; form++) {
        Status status = form == 0 ? fold_evaluate(fold, input, FOLD_CAUSES, NULL, &folded, &error)
                                  : fold_evaluate_generally(fold, input, NULL, &folded, &error);
        assert_int_equal(status, STATUS_OK);
        assert_int_equal(pipeline_simulate(pipeline, input, &instantly, &events, &error),
                         STATUS_OK);
        assert_same(folded.instant_s, events.makespan_s);
        assert_int_equal(pipeline_simulate(pipeline, input, &with_sends, &events, &error),
                         STATUS_OK);
        assert_same(folded.makespan_s, events.makespan_s);
        for (size_t i = 0; i < events.shape.stages; i++)
            assert_same(folded.ends.first_start_s[i], events.ends.first_start_s[i]);
        for (size_t i = 0; i < events.shape.stages * events.shape.chunks; i++) {
            assert_same(folded.ends.chunk[i].end_s, events.ends.chunk[i].end_s);
            assert_same(folded.ends.chunk[i].first_gradient_s,
                        events.ends.chunk[i].first_gradient_s);
        }
    }
}

static void test_folded_equals_events(void **state)
{
    (void)state;
    Error error;
    Pipeline *pipeline = pipeline_create(&error);
    Fold *fold = fold_create(&error);
    StepInput *input = malloc(sizeof *input);
    assert_non_null(pipeline);
    assert_non_null(fold);
    assert_non_null(input);
    for (uint64_t i = 0; i < CASES; i++) {
        random_input(i, input);
        check_folded(pipeline, fold, input);
        for (size_t j = 1; j < input->stages; j++) { /* equal stages have a form of their own */
            input->stage[j] = input->stage[0];
            for (size_t k = 0; k < input->virtual_stages; k++)
                input->chunk[k * input->stages + j] = input->chunk[0];
        }
        check_folded(pipeline, fold, input);
    }
    free(input);
    fold_destroy(fold);
    pipeline_destroy(pipeline);
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
    /* one of many steps in a row without a barrier: a later start can make up for a later end */
    bool barrier = input->schedule != SCHEDULE_ZB_2P;
    bool plain = input->schedule == SCHEDULE_1F1B || input->schedule == SCHEDULE_GPIPE;
    assert_true(b->bubble_s >= -tolerance);
    assert_true(!barrier || b->pipeline_send_s >= -tolerance);
    assert_true(b->data_parallel_s >= -tolerance && b->optimizer_s >= -tolerance);
    /* with fewer microbatches than stages unequal stages can shorten the bubble a little */
    if (plain && input->microbatches >= input->stages)
        assert_true(b->stage_imbalance_s >= -tolerance);
    assert_true(folded.bubble_fraction >= 0 && folded.bubble_fraction < 1);

    /* no stage can do its own work in less, and no microbatch can cross the pipeline in less */
    Reference reference;
    recurrence(input, &reference);
    double crossing_s = 2 * input->send_s * ((double)input->stages - 1);
    for (size_t i = 0; i < input->stages; i++) {
        assert_true(folded.makespan_s >= reference.work_s[i] - tolerance);
        crossing_s += input->stage[i].forward.total_s + input->stage[i].backward.total_s;
    }
    assert_true(!(plain || input->schedule == SCHEDULE_INTERLEAVED) ||
                folded.makespan_s >= crossing_s - tolerance);

    /* hiding communication never costs time where it takes nothing from computing (where it does, a
     * stage that nobody waits for can hold up the others) */
    StepInput *shown = malloc(sizeof *shown);
    assert_non_null(shown);
    *shown = *input;
    shown->overlap_grad_reduce = shown->overlap_param_gather = 0;
    assert_int_equal(step_simulate(simulator, shown, DETAIL_FOLDED, SEED, 5, 0, &again, &error),
                     STATUS_OK);
    assert_true(input->data_rates.compute > 0 || again.seconds >= folded.seconds - tolerance);

    /* a slower stage never shortens the step */
    size_t which = input->microbatches % input->stages;
    StagePhase *slower[] = {&shown->stage[which].backward, &shown->chunk[which].backward};
    for (size_t i = 0; i < 2; i++) {
        slower[i]->compute_s += 0.5;
        slower[i]->total_s += 0.5;
    }
    assert_int_equal(step_simulate(simulator, shown, DETAIL_FOLDED, SEED, 5, 0, &full, &error),
                     STATUS_OK);
    assert_true(!barrier || full.seconds >= again.seconds - tolerance);
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
        for (size_t j = 0; j < input->stages * input->virtual_stages; j++) {
            double *times = &input->chunk[j].forward.compute_s;
            for (size_t k = 0; k < 2 * sizeof(StagePhase) / sizeof(double); k++)
                times[k] *= 7;
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
        cmocka_unit_test(test_folded_equals_events),
        cmocka_unit_test(test_time_scale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
