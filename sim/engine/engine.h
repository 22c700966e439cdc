/* The discrete-event engine: a clock and a queue of callbacks.
 *
 * Order is exact: events run by (time, order of scheduling), so that results do not depend on the
 * queue inside (a monotone radix queue; Ahuja, Mehlhorn, Orlin, Tarjan 1990). Nothing may be
 * scheduled before now. Records are pooled: after the pool has grown to the largest number of
 * events in the queue, no call allocates. Cancelling bumps a generation number; the stale entry is
 * dropped when it is met, or in a sweep once most entries are stale.
 *
 * Cost: schedule and next are O(1) amortised in the number of pending events (in the HOLD model 16
 * bytes move 2.5, 4 and 5 times an event with 1e3, 1e5 and 1e6 pending, and 25 times with
 * 50), cancel is O(1) amortised. tests/bench/engine.c shows the rates.
 */
#ifndef SIM_ENGINE_ENGINE_H
#define SIM_ENGINE_ENGINE_H

#include "configs/reader/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Engine Engine;
typedef uint64_t EventId; /* 0 is never a valid id */
typedef void (*EventHandler)(Engine *engine, void *context, uint64_t payload);

/* NULL and a filled error when memory is short. `expected_events` sizes the pool; it may grow. */
Engine *engine_create(size_t expected_events, Error *error);
void engine_destroy(Engine *engine);
void engine_reset(Engine *engine); /* empties the queue, sets the clock to 0, keeps the memory */

double engine_now(const Engine *engine);

/* Schedules handler(engine, context, payload) at `at_s` >= now (finite). Returns 0 when memory is
 * short or the time is invalid (before now, NaN, infinite); the engine then stops and engine_run
 * reports why. */
EventId engine_schedule(Engine *engine, double at_s, EventHandler handler, void *context,
                        uint64_t payload);

/* True when the event was pending and now will not run. */
bool engine_cancel(Engine *engine, EventId id);

/* Runs until the queue is empty, engine_stop is called, or the next event is later than `until_s`
 * (pass INFINITY for no limit; the clock then rests at the last event run, else at until_s). */
Status engine_run(Engine *engine, double until_s, Error *error);
void engine_stop(Engine *engine); /* from inside a handler: return after it */

uint64_t engine_events_run(const Engine *engine);
size_t engine_pending(const Engine *engine);

#endif
