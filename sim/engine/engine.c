#include "sim/engine/engine.h"

#include "sim/engine/engine_internal.h"
#include "sim/engine/radix_queue.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A pending event, or a free place. `handler` is NULL in a free place and in a cancelled event
 * whose queue entry has not been met yet. */
typedef struct EventRecord {
    EventHandler handler;
    void *context;
    uint64_t payload;
    uint32_t
        generation; /* what an EventId must carry; 0 when used up: such a place is not reused */
    uint32_t next_free;
} EventRecord;

_Static_assert(sizeof(EventRecord) == 32, "two records share a cache line");

enum {
    CACHE_LINE_BYTES = 64,
    LEAST_RECORDS = 64,
    LEAST_STALE = 1024 /* fewer cancelled entries than this are not worth a sweep */
};
static const uint32_t NO_SLOT = UINT32_MAX;

typedef enum Failure { FAILURE_NONE, FAILURE_MEMORY, FAILURE_TIME, FAILURE_HANDLER } Failure;

struct Engine {
    double now_s;
    EventRecord *records;
    uint32_t first_free;
    size_t capacity;
    uint64_t scheduled, run, cancelled; /* pending = scheduled - run - cancelled */
    size_t stale;
    bool stopped;
    Failure failure; /* stays until the engine is reset */
    double failed_at_s, failed_now_s;
    RadixQueue queue;
};

/* Doubles >= 0 are ordered as their bits are. */
static uint64_t key_of(double time_s)
{
    uint64_t key;
    memcpy(&key, &time_s, sizeof key);
    return key;
}

static double time_of(uint64_t key)
{
    double time_s;
    memcpy(&time_s, &key, sizeof time_s);
    return time_s;
}

/* --- records ------------------------------------------------------------------------------- */

static bool grow(Engine *engine, size_t capacity)
{
    if (capacity >= NO_SLOT || !queue_reserve(&engine->queue, capacity))
        return false;
    size_t bytes = capacity * sizeof(EventRecord);
    bytes += (CACHE_LINE_BYTES - bytes % CACHE_LINE_BYTES) % CACHE_LINE_BYTES;
    EventRecord *records = aligned_alloc(CACHE_LINE_BYTES, bytes);
    if (records == NULL)
        return false;
    if (engine->capacity > 0)
        memcpy(records, engine->records, engine->capacity * sizeof *records);
    free(engine->records);
    for (size_t slot = capacity; slot-- > engine->capacity;) {
        records[slot] = (EventRecord){.generation = 1, .next_free = engine->first_free};
        engine->first_free = (uint32_t)slot;
    }
    engine->records = records;
    engine->capacity = capacity;
    return true;
}

/* Makes every EventId of a record invalid. */
static void retire_id(EventRecord *record)
{
    record->handler = NULL;
    record->generation++;
}

static void release(Engine *engine, EventRecord *record)
{
    if (record->generation == 0)
        return;
    record->next_free = engine->first_free;
    engine->first_free = (uint32_t)(record - engine->records);
}

/* --- life ---------------------------------------------------------------------------------- */

Engine *engine_create(size_t expected_events, Error *error)
{
    Engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL)
        goto no_memory;
    queue_init(&engine->queue);
    engine->first_free = NO_SLOT;
    if (!grow(engine, expected_events < LEAST_RECORDS ? LEAST_RECORDS : expected_events))
        goto no_memory;
    return engine;

no_memory:
    engine_destroy(engine);
    error_set(error, STATUS_ENVIRONMENT, "out of memory for an event queue of %zu events",
              expected_events);
    return NULL;
}

void engine_destroy(Engine *engine)
{
    if (engine == NULL)
        return;
    queue_free(&engine->queue);
    free(engine->records);
    free(engine);
}

static bool drop_entry(void *context, uint64_t slot)
{
    Engine *engine = context;
    EventRecord *record = &engine->records[slot];
    if (record->handler != NULL)
        retire_id(record);
    release(engine, record);
    return false;
}

void engine_reset(Engine *engine)
{
    queue_filter(&engine->queue, drop_entry, engine);
    queue_refill(&engine->queue, UINT64_MAX); /* finds it empty and starts anew */
    engine->now_s = 0;
    engine->scheduled = engine->run = engine->cancelled = 0;
    engine->stale = 0;
    engine->stopped = false;
    engine->failure = FAILURE_NONE;
}

double engine_now(const Engine *engine)
{
    return engine->now_s;
}

uint64_t engine_events_run(const Engine *engine)
{
    return engine->run;
}

size_t engine_pending(const Engine *engine)
{
    return (size_t)(engine->scheduled - engine->run - engine->cancelled);
}

EngineStatistics engine_statistics(const Engine *engine)
{
    return (EngineStatistics){.record_capacity = engine->capacity,
                              .block_capacity = engine->queue.block_count,
                              .stale = engine->stale,
                              .moves = engine->queue.moves};
}

/* --- events -------------------------------------------------------------------------------- */

static EventId fail(Engine *engine, Failure failure, double at_s)
{
    if (engine->failure == FAILURE_NONE) {
        engine->failure = failure;
        engine->failed_at_s = at_s;
        engine->failed_now_s = engine->now_s;
    }
    engine->stopped = true;
    return 0;
}

EventId engine_schedule(Engine *engine, double at_s, EventHandler handler, void *context,
                        uint64_t payload)
{
    if (!(at_s >= engine->now_s && at_s < HUGE_VAL))
        return fail(engine, FAILURE_TIME, at_s);
    if (handler == NULL)
        return fail(engine, FAILURE_HANDLER, at_s);
    if (engine->first_free == NO_SLOT && !grow(engine, engine->capacity * 2))
        return fail(engine, FAILURE_MEMORY, at_s);

    uint32_t slot = engine->first_free;
    EventRecord *record = &engine->records[slot];
    engine->first_free = record->next_free;
    record->handler = handler;
    record->context = context;
    record->payload = payload;
    engine->scheduled++;
    queue_push(&engine->queue, key_of(at_s + 0.0), slot); /* -0.0 + 0.0 is 0.0 */
    return (EventId)record->generation << 32 | slot;
}

static bool is_live(void *context, uint64_t slot)
{
    Engine *engine = context;
    EventRecord *record = &engine->records[slot];
    if (record->handler != NULL)
        return true;
    release(engine, record);
    return false;
}

bool engine_cancel(Engine *engine, EventId id)
{
    size_t slot = (uint32_t)id;
    if (slot >= engine->capacity)
        return false;
    EventRecord *record = &engine->records[slot];
    if (record->handler == NULL || record->generation != id >> 32)
        return false;
    retire_id(record);
    engine->cancelled++;
    engine->stale++;

    /* Timers that are mostly cancelled must not fill the queue: once most entries are stale, a
     * sweep drops them all, which the cancellations since the last sweep pay for. */
    if (engine->stale > LEAST_STALE && engine->stale > engine_pending(engine)) {
        queue_filter(&engine->queue, is_live, engine);
        engine->stale = 0;
    }
    return true;
}

void engine_stop(Engine *engine)
{
    engine->stopped = true;
}

static Status report_failure(const Engine *engine, Error *error)
{
    switch (engine->failure) {
    case FAILURE_MEMORY:
        return error_set(error, STATUS_ENVIRONMENT, "out of memory with %zu events pending",
                         engine_pending(engine));
    case FAILURE_TIME:
        return error_set(error, STATUS_INVALID,
                         "an event was scheduled at %.17g s when the clock stood at %.17g s",
                         engine->failed_at_s, engine->failed_now_s);
    case FAILURE_HANDLER:
        return error_set(error, STATUS_INVALID, "an event was scheduled without a handler");
    case FAILURE_NONE:
        break;
    }
    return STATUS_OK;
}

/* The records of the events about to run lie anywhere in the pool: they are fetched together, while
 * the first of them runs. */
static bool refill(Engine *engine, uint64_t limit)
{
    RadixQueue *queue = &engine->queue;
    if (!queue_refill(queue, limit))
        return false;
    for (size_t i = queue->front_head; i < queue->front_tail; i++)
        __builtin_prefetch(&engine->records[queue->front[i].item], 1);
    return true;
}

Status engine_run(Engine *engine, double until_s, Error *error)
{
    if (isnan(until_s))
        return error_set(error, STATUS_INVALID, "the end of a simulation is not a number");
    engine->stopped = engine->failure != FAILURE_NONE;
    uint64_t limit = key_of(until_s < 0 ? 0.0 : until_s + 0.0);
    bool is_past = until_s < engine->now_s;

    RadixQueue *queue = &engine->queue;
    while (!engine->stopped && !is_past) {
        if (queue->front_head == queue->front_tail && !refill(engine, limit))
            break;
        uint64_t key = queue->front[queue->front_head].key;
        if (key > limit)
            break;
        EventRecord *record = &engine->records[queue->front[queue->front_head].item];
        queue->front_head++;

        EventHandler handler = record->handler;
        if (handler == NULL) {
            engine->stale--;
            release(engine, record);
            continue;
        }
        void *context = record->context;
        uint64_t payload = record->payload;
        retire_id(record);
        release(engine, record);
        engine->run++;
        engine->now_s = time_of(key);
        handler(engine, context, payload);
    }
    if (!engine->stopped && !is_past && until_s < HUGE_VAL)
        engine->now_s = until_s;
    return report_failure(engine, error);
}
