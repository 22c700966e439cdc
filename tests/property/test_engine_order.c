/* The engine against a plain heap: random schedules full of ties, zero delays, bursts,
 * cancellations, limits and stops must run in the same order, whatever the queue inside does. */
#include "sim/engine/engine.h"
#include "sim/engine/engine_internal.h"
#include "sim/engine/random.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MOST_EVENTS = 20000, PROGRAMS = 400 };
static const uint64_t SEED = 77;

/* What is known of each event, by its payload (the order of scheduling). */
typedef struct Oracle {
    double time_s[MOST_EVENTS];
    EventId id[MOST_EVENTS];
    bool is_pending[MOST_EVENTS];
    size_t heap[MOST_EVENTS]; /* payloads, by (time, payload); entries that are not pending are
                                 dropped late */
    size_t count, scheduled, pending, run;
} Oracle;

typedef struct Program {
    Engine *engine;
    Oracle *oracle;
    RandomStream random;
    uint64_t number;
    size_t most_pending, budget; /* events that may still be scheduled */
    unsigned stop_one_in, cancel_one_in;
    int style;
    bool has_stopped;
} Program;

static bool comes_before(const Oracle *oracle, size_t a, size_t b)
{
    if (oracle->time_s[a] != oracle->time_s[b])
        return oracle->time_s[a] < oracle->time_s[b];
    return a < b;
}

static void oracle_push(Oracle *oracle, double time_s, EventId id)
{
    size_t payload = oracle->scheduled++;
    oracle->time_s[payload] = time_s;
    oracle->id[payload] = id;
    oracle->is_pending[payload] = true;
    oracle->pending++;
    size_t place = oracle->count++;
    for (; place > 0 && comes_before(oracle, payload, oracle->heap[(place - 1) / 2]);
         place = (place - 1) / 2)
        oracle->heap[place] = oracle->heap[(place - 1) / 2];
    oracle->heap[place] = payload;
}

static void oracle_drop_first(Oracle *oracle)
{
    size_t last = oracle->heap[--oracle->count], place = 0;
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= oracle->count)
            break;
        if (child + 1 < oracle->count &&
            comes_before(oracle, oracle->heap[child + 1], oracle->heap[child]))
            child++;
        if (!comes_before(oracle, oracle->heap[child], last))
            break;
        oracle->heap[place] = oracle->heap[child];
        place = child;
    }
    oracle->heap[place] = last;
}

/* The payload of the earliest pending event, or MOST_EVENTS. */
static size_t oracle_first(Oracle *oracle)
{
    while (oracle->count > 0 && !oracle->is_pending[oracle->heap[0]])
        oracle_drop_first(oracle);
    return oracle->count > 0 ? oracle->heap[0] : MOST_EVENTS;
}

static size_t below(RandomStream *random, size_t count)
{
    return (size_t)(random_uniform(random) * (double)count);
}

/* Delays of many shapes: the styles weigh them differently. */
static double random_delay(Program *program)
{
    static const unsigned char MIX[][8] = {
        {0, 1, 2, 3, 4, 5, 6, 7}, /* everything */
        {0, 0, 0, 0, 0, 0, 2, 3}, /* zero delays */
        {2, 2, 2, 2, 2, 2, 2, 0}, /* ties on a coarse grid */
        {3, 3, 3, 3, 3, 3, 3, 3}, /* exponential */
        {4, 4, 4, 4, 5, 5, 5, 1}, /* near and far */
        {1, 1, 1, 1, 1, 6, 6, 7}, /* the next representable times, and huge ones */
    };
    double now_s = engine_now(program->engine);
    switch (MIX[program->style][below(&program->random, 8)]) {
    case 0:
        return 0;
    case 1:
        return nextafter(now_s, HUGE_VAL) - now_s;
    case 2:
        return (double)below(&program->random, 4);
    case 3:
        return random_exponential(&program->random);
    case 4:
        return 1e-6 * random_uniform(&program->random);
    case 5:
        return 1e3 * random_exponential(&program->random);
    case 6:
        return ldexp(random_uniform(&program->random), (int)below(&program->random, 60) - 30);
    default:
        return 1e12 * random_uniform(&program->random);
    }
}

static void on_event(Engine *engine, void *context, uint64_t payload);

static void schedule_some(Program *program, size_t count)
{
    for (; count > 0 && program->budget > 0; count--, program->budget--) {
        double at_s = engine_now(program->engine) + random_delay(program);
        EventId id =
            engine_schedule(program->engine, at_s, on_event, program, program->oracle->scheduled);
        assert_true(id != 0);
        oracle_push(program->oracle, at_s, id);
    }
}

/* Cancels an event, pending or not, and compares what the engine says of it. */
static void cancel(Program *program, size_t payload)
{
    Oracle *oracle = program->oracle;
    bool was_pending = oracle->is_pending[payload];
    if (engine_cancel(program->engine, oracle->id[payload]) != was_pending)
        fail_msg("seed %" PRIu64 ", program %" PRIu64 ": cancel of event %zu", SEED,
                 program->number, payload);
    if (was_pending)
        oracle->pending--;
    oracle->is_pending[payload] = false;
}

static void cancel_one(Program *program)
{
    size_t scheduled = program->oracle->scheduled;
    size_t recent = scheduled < 200 ? scheduled : 200;
    if (recent > 0)
        cancel(program, scheduled - 1 - below(&program->random, recent));
}

/* Nearly all: more than the engine leaves in its queue. */
static void cancel_most(Program *program)
{
    for (size_t payload = 0; payload < program->oracle->scheduled; payload++)
        if (payload % 64 != 0)
            cancel(program, payload);
}

static void on_event(Engine *engine, void *context, uint64_t payload)
{
    Program *program = context;
    Oracle *oracle = program->oracle;
    size_t expected = oracle_first(oracle);
    if (payload != expected || engine_now(engine) != oracle->time_s[expected])
        fail_msg("seed %" PRIu64 ", program %" PRIu64 ": event %" PRIu64
                 " at %.17g ran where event %zu was due",
                 SEED, program->number, payload, engine_now(engine), expected);
    oracle_drop_first(oracle);
    oracle->is_pending[payload] = false;
    oracle->pending--;
    oracle->run++;

    if (oracle->pending < program->most_pending)
        schedule_some(program,
                      below(&program->random, 3) + (below(&program->random, 300) == 0 ? 200 : 0));
    if (below(&program->random, program->cancel_one_in) == 0)
        cancel_one(program);
    if (below(&program->random, 4000) == 0)
        cancel_most(program);
    if (below(&program->random, program->stop_one_in) == 0) {
        engine_stop(engine);
        program->has_stopped = true;
    }
    assert_int_equal(engine_pending(engine), oracle->pending);
}

/* Runs a program in pieces: with and without limits, acting between the pieces. */
static void run_program(Program *program)
{
    Oracle *oracle = program->oracle;
    schedule_some(program, 1 + below(&program->random, program->most_pending));
    while (oracle->pending > 0 || program->budget > 0) {
        if (oracle->pending == 0)
            schedule_some(program, 1 + below(&program->random, 40));
        double before_s = engine_now(program->engine);
        double first_s =
            oracle_first(oracle) < MOST_EVENTS ? oracle->time_s[oracle_first(oracle)] : before_s;
        double until_s = HUGE_VAL;
        if (below(&program->random, 3) > 0) /* up to, at, or past the next event */
            until_s = before_s + (first_s - before_s) * (double)below(&program->random, 5) / 2;

        program->has_stopped = false;
        Error error;
        assert_int_equal(engine_run(program->engine, until_s, &error), STATUS_OK);
        size_t next = oracle_first(oracle);
        if (!program->has_stopped) {
            assert_true(next == MOST_EVENTS || oracle->time_s[next] > until_s);
            if (isfinite(until_s))
                assert_true(engine_now(program->engine) == until_s);
        }
        schedule_some(program, below(&program->random, 4));
        if (below(&program->random, 2) == 0)
            cancel_one(program);
        assert_int_equal(engine_pending(program->engine), oracle->pending);
        assert_int_equal(engine_events_run(program->engine), oracle->run);
    }
}

static void test_random_programs(void **state)
{
    (void)state;
    static const size_t PENDING[] = {1, 2, 5, 20, 31, 32, 33, 64, 100, 1000, 5000};
    static const unsigned CANCEL[] = {1, 2, 10, 1000000};
    Engine *engine = engine_create(0, NULL);
    Oracle *oracle = calloc(1, sizeof *oracle);
    assert_non_null(engine);
    assert_non_null(oracle);
    size_t total = 0;
    for (uint64_t number = 0; number < PROGRAMS; number++) {
        Program program = {.engine = engine,
                           .oracle = oracle,
                           .random = random_stream(SEED, "programs", number),
                           .number = number,
                           .style = (int)(number % 6)};
        program.most_pending = PENDING[below(&program.random, sizeof PENDING / sizeof PENDING[0])];
        program.budget = 500 + program.most_pending * 2;
        program.cancel_one_in = CANCEL[below(&program.random, 4)];
        program.stop_one_in = number % 2 == 0 ? 20 : 1000000;
        oracle->count = oracle->scheduled = oracle->pending = oracle->run = 0;
        engine_reset(engine);
        if (number % 3 == 0) { /* a reset in the middle leaves nothing behind */
            schedule_some(&program, 300);
            assert_int_equal(engine_run(engine, 1.0, NULL), STATUS_OK);
            engine_reset(engine);
            program.budget += 300;
            oracle->count = oracle->scheduled = oracle->pending = oracle->run = 0;
            assert_int_equal(engine_pending(engine), 0);
        }
        run_program(&program);
        total += oracle->run;
    }
    assert_true(total > 100000);
    engine_destroy(engine);
    free(oracle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_programs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
