/* Orders of work of the pipeline schedules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/training/schedule.h"

#include <stdlib.h>
#include <string.h>

static ScheduleShape shape_of(PipelineSchedule schedule, size_t stages, size_t chunks,
                              size_t microbatches)
{
    ScheduleShape shape;
    assert_int_equal(schedule_shape(schedule, stages, chunks, microbatches, &shape, NULL),
                     STATUS_OK);
    return shape;
}

static void assert_order(PipelineSchedule schedule, size_t stages, size_t chunks,
                         size_t microbatches, size_t stage, const unsigned *expected, size_t count)
{
    unsigned order[64];
    ScheduleShape shape = shape_of(schedule, stages, chunks, microbatches);
    assert_int_equal(shape.tasks, count);
    assert_true(count <= sizeof order / sizeof order[0]);
    assert_int_equal(step_schedule(&shape, stage, order, NULL), STATUS_OK);
    assert_memory_equal(order, expected, count * sizeof *order);
}

/* Narayanan et al. 2021, figure 4: four stages, eight microbatches. */
static void test_schedule_1f1b(void **state)
{
    (void)state;
    const unsigned last[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const unsigned first[16] = {0, 2, 4, 6, 1, 8, 3, 10, 5, 12, 7, 14, 9, 11, 13, 15};
    assert_order(SCHEDULE_1F1B, 4, 1, 8, 3, last, 16);
    assert_order(SCHEDULE_1F1B, 4, 1, 8, 0, first, 16);
}

static void test_schedule_gpipe_and_few_microbatches(void **state)
{
    (void)state;
    const unsigned all_forward_first[4] = {0, 2, 1, 3};
    assert_order(SCHEDULE_GPIPE, 8, 1, 2, 7, all_forward_first, 4);
    assert_order(SCHEDULE_1F1B, 8, 1, 2, 0, all_forward_first, 4);
    assert_order(SCHEDULE_INTERLEAVED, 8, 1, 2, 0, all_forward_first, 4); /* one chunk: 1F1B */
}

/* Narayanan et al. 2021, figure 4, lower half: two stages of two chunks, four microbatches. Entry =
 * 4 microbatch + 2 chunk + kind. Stage 1 runs 2 chunks ahead, stage 0 four. */
static void test_schedule_interleaved(void **state)
{
    (void)state;
    const unsigned last[16] = {0, 4, 2, 3, 6, 7, 8, 1, 12, 5, 10, 11, 14, 15, 9, 13};
    const unsigned first[16] = {0, 4, 2, 6, 8, 3, 12, 7, 10, 1, 14, 5, 11, 15, 9, 13};
    assert_order(SCHEDULE_INTERLEAVED, 2, 2, 4, 1, last, 16);
    assert_order(SCHEDULE_INTERLEAVED, 2, 2, 4, 0, first, 16);
}

/* Qi et al. 2023, figure 3, with two stages and four microbatches. Entry = 3 microbatch + kind: the
 * first stage runs weight gradients at once, the last one microbatch (two) later. */
static void test_schedule_zero_bubble(void **state)
{
    (void)state;
    const unsigned h1_first[12] = {0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 10, 11};
    const unsigned h1_last[12] = {0, 1, 3, 4, 2, 6, 7, 5, 9, 10, 8, 11};
    const unsigned z2p_first[12] = {0, 3, 6, 1, 2, 9, 4, 5, 7, 8, 10, 11};
    const unsigned z2p_last[12] = {0, 1, 3, 4, 6, 7, 2, 9, 10, 5, 8, 11};
    assert_order(SCHEDULE_ZB_H1, 2, 1, 4, 0, h1_first, 12);
    assert_order(SCHEDULE_ZB_H1, 2, 1, 4, 1, h1_last, 12);
    assert_order(SCHEDULE_ZB_2P, 2, 1, 4, 0, z2p_first, 12);
    assert_order(SCHEDULE_ZB_2P, 2, 1, 4, 1, z2p_last, 12);
}

/* Two ranks, four microbatches: DualPipe's phases for the first rank by hand (DeepSeek-V3 technical
 * report, figure 5). Entry = 6 microbatch + 3 direction + kind. */
static void test_schedule_dualpipe(void **state)
{
    (void)state;
    const unsigned joined = TASK_JOINED;
    const unsigned first[12] = {0,          3, 6,           4 | joined, 5, 9 | joined,
                                1 | joined, 2, 10 | joined, 11,         7, 8};
    assert_order(SCHEDULE_DUALPIPE, 2, 1, 4, 0, first, 12);
}

static void test_schedule_refusals(void **state)
{
    (void)state;
    const struct {
        PipelineSchedule schedule;
        size_t stages, chunks, microbatches;
    } bad[] = {
        {SCHEDULE_1F1B, 8, 1, 0},         {SCHEDULE_1F1B, 0, 1, 8},
        {SCHEDULE_INTERLEAVED, 4, 2, 6}, /* not a multiple of the stages */
        {SCHEDULE_DUALPIPE, 3, 1, 12},    {SCHEDULE_DUALPIPE, 4, 1, 9},
        {SCHEDULE_DUALPIPE, 4, 1, 6},     {SCHEDULE_INTERLEAVED, 4, SIZE_MAX, 8},
        {SCHEDULE_GPIPE, 4, 1, SIZE_MAX},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        Error error = {0};
        ScheduleShape shape;
        assert_int_equal(schedule_shape(bad[i].schedule, bad[i].stages, bad[i].chunks,
                                        bad[i].microbatches, &shape, &error),
                         STATUS_INVALID);
        assert_true(error.message[0] != '\0');
    }
    ScheduleShape shape = shape_of(SCHEDULE_1F1B, 8, 1, 2);
    unsigned order[4];
    assert_int_equal(step_schedule(&shape, 8, order, NULL), STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedule_1f1b),
        cmocka_unit_test(test_schedule_gpipe_and_few_microbatches),
        cmocka_unit_test(test_schedule_interleaved),
        cmocka_unit_test(test_schedule_zero_bubble),
        cmocka_unit_test(test_schedule_dualpipe),
        cmocka_unit_test(test_schedule_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
