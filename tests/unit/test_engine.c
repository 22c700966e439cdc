#include "sim/engine/engine.h"
#include "sim/engine/engine_internal.h"
#include "sim/engine/random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_NOTES = 64 };

typedef struct Notes {
    size_t count;
    uint64_t payload[MOST_NOTES];
    double at_s[MOST_NOTES];
} Notes;

static void note(Engine *engine, void *context, uint64_t payload)
{
    Notes *notes = context;
    assert_true(notes->count < MOST_NOTES);
    notes->payload[notes->count] = payload;
    notes->at_s[notes->count++] = engine_now(engine);
}

static int set_up(void **state)
{
    *state = engine_create(4, NULL);
    return *state == NULL;
}

static int tear_down(void **state)
{
    engine_destroy(*state);
    return 0;
}

static void check_notes(const Notes *notes, const uint64_t *payloads, size_t count)
{
    assert_int_equal(notes->count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(notes->payload[i], payloads[i]);
}

static void test_runs_by_time_then_by_order_of_scheduling(void **state)
{
    Engine *engine = *state;
    Notes notes = {0};
    static const double AT_S[] = {2, 1, 2, 0, 1, 1e300, 5e-324, -0.0};
    for (uint64_t i = 0; i < 8; i++)
        assert_true(engine_schedule(engine, AT_S[i], note, &notes, i) != 0);
    assert_int_equal(engine_pending(engine), 8);
    assert_int_equal(engine_run(engine, HUGE_VAL, NULL), STATUS_OK);
    check_notes(&notes, (uint64_t[]){3, 7, 6, 1, 4, 0, 2, 5}, 8);
    assert_true(engine_now(engine) == 1e300);
    assert_int_equal(engine_events_run(engine), 8);
    assert_int_equal(engine_pending(engine), 0);
}

static void test_limit(void **state)
{
    Engine *engine = *state;
    Notes notes = {0};
    engine_schedule(engine, 1, note, &notes, 1);
    engine_schedule(engine, 5, note, &notes, 5);
    engine_schedule(engine, 9, note, &notes, 9);
    assert_int_equal(engine_run(engine, 5, NULL), STATUS_OK); /* at the limit still runs */
    check_notes(&notes, (uint64_t[]){1, 5}, 2);
    assert_true(engine_now(engine) == 5);
    assert_int_equal(engine_run(engine, 7.5, NULL), STATUS_OK);
    assert_true(engine_now(engine) == 7.5);

    /* What comes later but is due before what waits runs first. */
    engine_schedule(engine, 8, note, &notes, 8);
    assert_int_equal(engine_run(engine, 3, NULL), STATUS_OK); /* in the past: nothing happens */
    assert_true(engine_now(engine) == 7.5);
    assert_int_equal(engine_run(engine, HUGE_VAL, NULL), STATUS_OK);
    check_notes(&notes, (uint64_t[]){1, 5, 8, 9}, 4);
    assert_true(engine_now(engine) == 9);
    assert_int_equal(engine_run(engine, 20, NULL), STATUS_OK); /* nothing left: the clock goes on */
    assert_true(engine_now(engine) == 20);

    Error error;
    assert_int_equal(engine_run(engine, nan(""), &error), STATUS_INVALID);
}

static void test_cancel(void **state)
{
    Engine *engine = *state;
    Notes notes = {0};
    EventId first = engine_schedule(engine, 1, note, &notes, 1);
    EventId second = engine_schedule(engine, 2, note, &notes, 2);
    EventId third = engine_schedule(engine, 3, note, &notes, 3);
    assert_true(engine_cancel(engine, second));
    assert_false(engine_cancel(engine, second));
    assert_false(engine_cancel(engine, 0));
    assert_false(engine_cancel(engine, UINT64_MAX));
    assert_int_equal(engine_pending(engine), 2);
    assert_int_equal(engine_run(engine, HUGE_VAL, NULL), STATUS_OK);
    check_notes(&notes, (uint64_t[]){1, 3}, 2);
    assert_false(engine_cancel(engine, first)); /* has run */

    /* The ids of events that have run or were dropped never name a later one. */
    for (uint64_t i = 0; i < 100; i++) {
        EventId later = engine_schedule(engine, 10, note, &notes, i);
        assert_true(later != first && later != second && later != third);
        assert_false(engine_cancel(engine, first) || engine_cancel(engine, second) ||
                     engine_cancel(engine, third));
        assert_true(engine_cancel(engine, later));
    }
    engine_reset(engine);
    EventId before_reset = engine_schedule(engine, 1, note, &notes, 0);
    engine_reset(engine);
    engine_schedule(engine, 1, note, &notes, 0);
    assert_false(engine_cancel(engine, before_reset));
    assert_int_equal(engine_pending(engine), 1);
}

static void stop(Engine *engine, void *context, uint64_t payload)
{
    note(engine, context, payload);
    engine_stop(engine);
}

static void test_stop_and_reset(void **state)
{
    Engine *engine = *state;
    Notes notes = {0};
    engine_schedule(engine, 1, stop, &notes, 1);
    engine_schedule(engine, 2, note, &notes, 2);
    assert_int_equal(engine_run(engine, 10, NULL), STATUS_OK);
    assert_true(engine_now(engine) == 1);
    check_notes(&notes, (uint64_t[]){1}, 1);
    assert_int_equal(engine_run(engine, 10, NULL), STATUS_OK); /* goes on */
    check_notes(&notes, (uint64_t[]){1, 2}, 2);

    engine_schedule(engine, 11, note, &notes, 11);
    engine_reset(engine);
    assert_true(engine_now(engine) == 0);
    assert_int_equal(engine_pending(engine), 0);
    assert_int_equal(engine_events_run(engine), 0);
    engine_schedule(engine, 0.5, note, &notes, 3);
    assert_int_equal(engine_run(engine, HUGE_VAL, NULL), STATUS_OK);
    check_notes(&notes, (uint64_t[]){1, 2, 3}, 3);
}

static void schedule_in_the_past(Engine *engine, void *context, uint64_t payload)
{
    double *at_s = context;
    assert_int_equal(engine_schedule(engine, *at_s, schedule_in_the_past, context, payload), 0);
}

static void test_wrong_times_stop_the_run(void **state)
{
    Engine *engine = *state;
    Notes notes = {0};
    double wrong_s[] = {0.5, -1, nan(""), HUGE_VAL, -HUGE_VAL};
    for (size_t i = 0; i < sizeof wrong_s / sizeof wrong_s[0]; i++) {
        engine_reset(engine);
        notes.count = 0;
        engine_schedule(engine, 1, schedule_in_the_past, &wrong_s[i], 0);
        engine_schedule(engine, 2, note, &notes, 0);
        Error error;
        assert_int_equal(engine_run(engine, HUGE_VAL, &error), STATUS_INVALID);
        assert_non_null(strstr(error.message, "scheduled at"));
        assert_non_null(strstr(error.message, "stood at 1 s"));
        assert_int_equal(notes.count, 0);
        assert_int_equal(engine_run(engine, HUGE_VAL, &error),
                         STATUS_INVALID); /* until the reset */
    }
    engine_reset(engine);
    assert_int_equal(engine_schedule(engine, 1, NULL, NULL, 0), 0);
    Error error;
    assert_int_equal(engine_run(engine, HUGE_VAL, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "handler"));
}

/* --- memory -------------------------------------------------------------------------------- */

typedef struct Hold {
    RandomStream random;
    uint64_t left;
} Hold;

static void hold(Engine *engine, void *context, uint64_t payload)
{
    Hold *state = context;
    if (--state->left == 0)
        engine_stop(engine);
    double delay_s = random_exponential(&state->random);
    if (payload % 2 == 1) /* failures next to network events: most delays tiny, some large */
        delay_s *= state->left % 16 == 0 ? 1e6 : 1e-3;
    engine_schedule(engine, engine_now(engine) + delay_s, hold, state, payload);
}

static void test_hold_does_not_grow(void **state)
{
    (void)state;
    enum { PENDING = 3000 };
    for (uint64_t kind = 0; kind < 2; kind++) {
        Engine *engine = engine_create(PENDING, NULL);
        Hold model = {.random = random_stream(1, "hold", kind), .left = 200000};
        for (int i = 0; i < PENDING; i++)
            engine_schedule(engine, random_exponential(&model.random), hold, &model, kind);
        EngineStatistics before = engine_statistics(engine);
        assert_int_equal(before.record_capacity, PENDING);
        assert_int_equal(engine_run(engine, HUGE_VAL, NULL), STATUS_OK);
        EngineStatistics after = engine_statistics(engine);
        assert_int_equal(after.record_capacity, before.record_capacity);
        assert_int_equal(after.block_capacity, before.block_capacity);
        assert_int_equal(engine_pending(engine), PENDING);
        assert_true(after.moves - before.moves < 16u * 200000);
        engine_destroy(engine);
    }
}

/* A timer that is always set again before it rings: the cancelled entries must not pile up. */
static void test_cancelled_timers_do_not_pile_up(void **state)
{
    Engine *engine = *state;
    Notes notes = {0};
    EventId timer = engine_schedule(engine, 1e6, note, &notes, 0);
    EventId guard = engine_schedule(engine, 5e5, note, &notes, 7);
    for (uint64_t i = 1; i <= 100000; i++) {
        assert_true(engine_cancel(engine, timer));
        timer = engine_schedule(engine, 1e6 + (double)i, note, &notes, i);
        assert_true(engine_statistics(engine).stale <= 1025);
    }
    assert_true(engine_statistics(engine).record_capacity <= 2048);
    assert_int_equal(engine_pending(engine), 2);
    assert_int_equal(engine_run(engine, HUGE_VAL, NULL), STATUS_OK);
    check_notes(&notes, (uint64_t[]){7, 100000}, 2);
    assert_int_equal(engine_statistics(engine).stale, 0);
    assert_false(engine_cancel(engine, guard));
}

/* --- what could cost O(n^2) ---------------------------------------------------------------- */

enum { BURST = 100000 };

typedef struct Burst {
    uint64_t expected, chained;
    double spacing_s;
} Burst;

static void burst_event(Engine *engine, void *context, uint64_t payload)
{
    Burst *burst = context;
    assert_int_equal(payload, burst->expected++);
    if (burst->chained > 0) { /* one zero-delay event after the other */
        burst->chained--;
        engine_schedule(engine, engine_now(engine), burst_event, burst, BURST + payload);
    }
}

static void start_burst(Engine *engine, void *context, uint64_t payload)
{
    (void)payload;
    Burst *burst = context;
    for (uint64_t i = 0; i < BURST; i++)
        engine_schedule(engine, engine_now(engine) + (double)i * burst->spacing_s, burst_event,
                        burst, i);
}

/* Moves that `count` events made, each. */
static double moves_per_event(const Engine *engine, uint64_t before)
{
    return (double)(engine_statistics(engine).moves - before) / (double)engine_events_run(engine);
}

static void far_event(Engine *engine, void *context, uint64_t payload)
{
    (void)engine, (void)context, (void)payload;
}

static void test_zero_delays_at_one_instant(void **state)
{
    Engine *engine = *state;
    for (int is_crowded = 0; is_crowded < 2; is_crowded++) {
        engine_reset(engine);
        uint64_t before = engine_statistics(engine).moves;
        Burst burst = {.chained = BURST};
        engine_schedule(engine, 3, start_burst, &burst, 0);
        for (int i = 0; i < 60 * is_crowded; i++) /* others wait in the front */
            engine_schedule(engine, 3.0 + 1e-9 * i, far_event, NULL, 0);
        assert_int_equal(engine_run(engine, HUGE_VAL, NULL), STATUS_OK);
        assert_int_equal(burst.expected, 2 * BURST);
        assert_true(moves_per_event(engine, before) < 8);
    }
}

static void chain(Engine *engine, void *context, uint64_t payload)
{
    (void)context;
    if (payload > 0)
        engine_schedule(engine, engine_now(engine), chain, NULL, payload - 1);
}

static void test_chain_of_zero_delays_beside_waiting_events(void **state)
{
    Engine *engine = *state;
    for (size_t waiting = 0; waiting < 200; waiting += 9) {
        engine_reset(engine);
        uint64_t before = engine_statistics(engine).moves;
        engine_schedule(engine, 1, chain, NULL, BURST / 10);
        for (size_t i = 0; i < waiting; i++)
            engine_schedule(engine, 1 + 1e-6 * (double)(i + 1), far_event, NULL, 0);
        assert_int_equal(engine_run(engine, HUGE_VAL, NULL), STATUS_OK);
        assert_true(moves_per_event(engine, before) < 4);
    }
}

static void test_burst_after_a_quiet_stretch(void **state)
{
    Engine *engine = *state;
    static const double SPACINGS_S[] = {1e-9, 1e-6, 1.0};
    for (size_t s = 0; s < 3; s++)
        for (int backwards = 0; backwards < 2; backwards++) {
            engine_reset(engine);
            Burst burst = {.spacing_s = SPACINGS_S[s]};
            uint64_t before = engine_statistics(engine).moves;
            for (int i = 0; i < 40; i++)
                engine_schedule(engine, 1e9 + 1e6 * i, far_event, NULL, 0);
            engine_schedule(engine, 1e6, start_burst, &burst, 0);
            if (backwards) /* each before all of those that wait: the worst place to insert at */
                for (uint64_t i = BURST; i-- > 0;)
                    engine_schedule(engine, 2e5 + (double)i * SPACINGS_S[s], far_event, NULL, 0);
            assert_int_equal(engine_run(engine, HUGE_VAL, NULL), STATUS_OK);
            assert_int_equal(burst.expected, BURST);
            assert_true(moves_per_event(engine, before) < 16);
        }
}

/* --- a closed form ------------------------------------------------------------------------- */

enum { BATCHES = 20, BATCH = 50000, RING = 1 << 14 };

typedef struct Queue {
    RandomStream arrivals, services;
    double arrived_s[RING];
    size_t first, waiting;
    uint64_t served;
    double batch_s[BATCHES];
} Queue;

static const double LAMBDA = 0.9, MU = 1.0;

static void depart(Engine *engine, void *context, uint64_t payload)
{
    Queue *queue = context;
    queue->batch_s[queue->served / BATCH] += engine_now(engine) - queue->arrived_s[queue->first];
    queue->first = (queue->first + 1) % RING;
    if (++queue->served == (uint64_t)BATCH * BATCHES)
        engine_stop(engine);
    if (--queue->waiting > 0)
        engine_schedule(engine, engine_now(engine) + random_exponential(&queue->services) / MU,
                        depart, queue, payload);
}

static void arrive(Engine *engine, void *context, uint64_t payload)
{
    Queue *queue = context;
    assert_true(queue->waiting < RING);
    queue->arrived_s[(queue->first + queue->waiting) % RING] = engine_now(engine);
    if (queue->waiting++ == 0)
        engine_schedule(engine, engine_now(engine) + random_exponential(&queue->services) / MU,
                        depart, queue, payload);
    engine_schedule(engine, engine_now(engine) + random_exponential(&queue->arrivals) / LAMBDA,
                    arrive, queue, payload);
}

/* M/M/1: mean time in system 1 / (mu - lambda) = 10, by the means of 20 batches. */
static void test_mm1(void **state)
{
    Engine *engine = *state;
    Queue *queue = calloc(1, sizeof *queue);
    assert_non_null(queue);
    queue->arrivals = random_stream(5, "arrivals", 0);
    queue->services = random_stream(5, "services", 0);
    engine_schedule(engine, 0, arrive, queue, 0);
    assert_int_equal(engine_run(engine, HUGE_VAL, NULL), STATUS_OK);

    double mean = 0, square = 0;
    for (int i = 0; i < BATCHES; i++)
        mean += queue->batch_s[i] / BATCH / BATCHES;
    for (int i = 0; i < BATCHES; i++)
        square += (queue->batch_s[i] / BATCH - mean) * (queue->batch_s[i] / BATCH - mean);
    double error = sqrt(square / (BATCHES - 1) / BATCHES);
    print_message("M/M/1: %.3f, standard error %.3f, exact 10\n", mean, error);
    assert_true(fabs(mean - 10) < 4 * error);
    assert_true(error < 0.3);
    free(queue);
}

static void test_memory_that_cannot_be_had(void **state)
{
    (void)state;
    Error error = {.status = STATUS_OK};
    assert_null(engine_create(SIZE_MAX, &error));
    assert_int_equal(error.status, STATUS_ENVIRONMENT);
    engine_destroy(NULL);
}

#define WITH_ENGINE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(test_runs_by_time_then_by_order_of_scheduling),
        WITH_ENGINE(test_limit),
        WITH_ENGINE(test_cancel),
        WITH_ENGINE(test_stop_and_reset),
        WITH_ENGINE(test_wrong_times_stop_the_run),
        cmocka_unit_test(test_hold_does_not_grow),
        WITH_ENGINE(test_cancelled_timers_do_not_pile_up),
        WITH_ENGINE(test_zero_delays_at_one_instant),
        WITH_ENGINE(test_chain_of_zero_delays_beside_waiting_events),
        WITH_ENGINE(test_burst_after_a_quiet_stretch),
        WITH_ENGINE(test_mm1),
        cmocka_unit_test(test_memory_that_cannot_be_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
