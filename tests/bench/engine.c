/* The event engine beside a textbook binary heap, in one process.
 *
 * HOLD (Vaucher & Duval 1975): n events pending; each, when run, schedules one at now + Exp(1). And
 * an M/M/1 queue with lambda = 0.9, mu = 1, whose mean time in system is 1 / (mu - lambda) = 10.
 * "engine" goes through the public interface of sim/engine (callbacks, pooled records with
 * cancellation, stable order); "heap" is a binary heap of 32-byte records that calls a handler
 * through a pointer. Both use the same random numbers, run the same events in the same order (the
 * hashes must agree), and take turns. Times are CPU times of this thread; rates are medians over
 * the rounds.
 */
#include "sim/engine/engine.h"
#include "sim/engine/random.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 7 };
static const uint64_t SEED = 20240601;

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "bench/engine: %s\n", what);
    exit(1);
}

/* --- the plain binary heap ----------------------------------------------------------------- */

typedef struct HeapEvent HeapEvent;
typedef struct Heap Heap;
typedef void (*HeapHandler)(Heap *heap, void *context);

struct HeapEvent {
    double time_s;
    uint64_t sequence;
    HeapHandler handler;
    void *context;
};

struct Heap {
    HeapEvent *events;
    size_t count, capacity;
    uint64_t sequence, run;
    double now_s;
    int stopped;
};

static int comes_before(const HeapEvent *a, const HeapEvent *b)
{
    if (a->time_s != b->time_s)
        return a->time_s < b->time_s;
    return a->sequence < b->sequence;
}

static void heap_schedule(Heap *heap, double at_s, HeapHandler handler, void *context)
{
    if (heap->count == heap->capacity) {
        heap->capacity = heap->capacity > 0 ? heap->capacity * 2 : 64;
        heap->events = realloc(heap->events, heap->capacity * sizeof *heap->events);
        if (heap->events == NULL)
            die("out of memory");
    }
    HeapEvent event = {at_s, heap->sequence++, handler, context};
    size_t place = heap->count++;
    while (place > 0) {
        size_t parent = (place - 1) / 2;
        if (!comes_before(&event, &heap->events[parent]))
            break;
        heap->events[place] = heap->events[parent];
        place = parent;
    }
    heap->events[place] = event;
}

static HeapEvent heap_pop(Heap *heap)
{
    HeapEvent first = heap->events[0];
    HeapEvent last = heap->events[--heap->count];
    size_t place = 0;
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && comes_before(&heap->events[child + 1], &heap->events[child]))
            child++;
        if (!comes_before(&heap->events[child], &last))
            break;
        heap->events[place] = heap->events[child];
        place = child;
    }
    heap->events[place] = last;
    return first;
}

static void heap_run(Heap *heap)
{
    while (heap->count > 0 && !heap->stopped) {
        HeapEvent event = heap_pop(heap);
        heap->now_s = event.time_s;
        heap->run++;
        event.handler(heap, event.context);
    }
}

/* --- models, the same for both ------------------------------------------------------------- */

static uint64_t hash_time(uint64_t hash, double time_s)
{
    uint64_t bits;
    memcpy(&bits, &time_s, sizeof bits);
    return (hash ^ bits) * UINT64_C(0x9e3779b97f4a7c15);
}

typedef struct Hold {
    RandomStream random;
    uint64_t left, hash;
} Hold;

typedef struct Queue {
    RandomStream arrivals, services;
    uint64_t customers_left, served, hash;
    double total_time_s;
    double *arrived_s; /* ring of those in the system */
    size_t first, waiting, ring;
} Queue;

static const double LAMBDA = 0.9, MU = 1.0;

static void queue_join(Queue *queue, double now_s)
{
    if (queue->waiting == queue->ring)
        die("the M/M/1 queue outgrew its ring");
    queue->arrived_s[(queue->first + queue->waiting++) & (queue->ring - 1)] = now_s;
}

static void queue_leave(Queue *queue, double now_s)
{
    queue->total_time_s += now_s - queue->arrived_s[queue->first];
    queue->first = (queue->first + 1) & (queue->ring - 1);
    queue->waiting--;
    queue->served++;
    queue->hash = hash_time(queue->hash, now_s);
}

/* --- on the engine ------------------------------------------------------------------------- */

static void hold_event(Engine *engine, void *context, uint64_t payload)
{
    Hold *hold = context;
    double now_s = engine_now(engine);
    hold->hash = hash_time(hold->hash, now_s);
    if (--hold->left == 0)
        engine_stop(engine);
    engine_schedule(engine, now_s + random_exponential(&hold->random), hold_event, hold, payload);
}

static void departure(Engine *engine, void *context, uint64_t payload)
{
    Queue *queue = context;
    queue_leave(queue, engine_now(engine));
    if (queue->waiting > 0)
        engine_schedule(engine, engine_now(engine) + random_exponential(&queue->services) / MU,
                        departure, queue, payload);
}

static void arrival(Engine *engine, void *context, uint64_t payload)
{
    Queue *queue = context;
    queue_join(queue, engine_now(engine));
    if (queue->waiting == 1)
        engine_schedule(engine, engine_now(engine) + random_exponential(&queue->services) / MU,
                        departure, queue, payload);
    if (--queue->customers_left > 0)
        engine_schedule(engine, engine_now(engine) + random_exponential(&queue->arrivals) / LAMBDA,
                        arrival, queue, payload);
}

static void run_engine(Engine *engine)
{
    Error error;
    if (engine_run(engine, HUGE_VAL, &error) != STATUS_OK)
        die(error.message);
}

/* --- on the heap --------------------------------------------------------------------------- */

static void heap_hold_event(Heap *heap, void *context)
{
    Hold *hold = context;
    hold->hash = hash_time(hold->hash, heap->now_s);
    if (--hold->left == 0)
        heap->stopped = 1;
    heap_schedule(heap, heap->now_s + random_exponential(&hold->random), heap_hold_event, hold);
}

static void heap_departure(Heap *heap, void *context)
{
    Queue *queue = context;
    queue_leave(queue, heap->now_s);
    if (queue->waiting > 0)
        heap_schedule(heap, heap->now_s + random_exponential(&queue->services) / MU, heap_departure,
                      queue);
}

static void heap_arrival(Heap *heap, void *context)
{
    Queue *queue = context;
    queue_join(queue, heap->now_s);
    if (queue->waiting == 1)
        heap_schedule(heap, heap->now_s + random_exponential(&queue->services) / MU, heap_departure,
                      queue);
    if (--queue->customers_left > 0)
        heap_schedule(heap, heap->now_s + random_exponential(&queue->arrivals) / LAMBDA,
                      heap_arrival, queue);
}

/* --- measuring ----------------------------------------------------------------------------- */

typedef struct Measurement {
    double engine_rate, heap_rate; /* million events a second, median */
    uint64_t engine_hash, heap_hash;
    double engine_mean_s; /* M/M/1: mean time in system */
} Measurement;

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return values[count / 2];
}

static Measurement measure_hold(size_t pending, uint64_t events)
{
    Hold hold = {.random = random_stream(SEED, "hold", 0)};
    Hold heap_hold = hold;
    Engine *engine = engine_create(pending + 1, NULL);
    Heap heap = {0};
    if (engine == NULL)
        die("out of memory");
    for (size_t i = 0; i < pending; i++) {
        engine_schedule(engine, random_exponential(&hold.random), hold_event, &hold, i);
        heap_schedule(&heap, random_exponential(&heap_hold.random), heap_hold_event, &heap_hold);
    }

    double engine_rates[ROUNDS], heap_rates[ROUNDS];
    for (int round = -1; round < ROUNDS; round++) { /* round -1 warms up */
        uint64_t before = engine_events_run(engine);
        hold.left = events;
        double start_s = cpu_seconds();
        run_engine(engine);
        double engine_s = cpu_seconds() - start_s;

        heap_hold.left = events;
        heap.stopped = 0;
        start_s = cpu_seconds();
        heap_run(&heap);
        double heap_s = cpu_seconds() - start_s;
        if (round >= 0) {
            engine_rates[round] = (double)(engine_events_run(engine) - before) / engine_s * 1e-6;
            heap_rates[round] = (double)events / heap_s * 1e-6;
        }
    }
    Measurement result = {median(engine_rates, ROUNDS), median(heap_rates, ROUNDS), hold.hash,
                          heap_hold.hash, 0};
    free(heap.events);
    engine_destroy(engine);
    return result;
}

static Queue new_queue(uint64_t replication, uint64_t customers, double *ring, size_t ring_size)
{
    return (Queue){.arrivals = random_stream(SEED, "arrivals", replication),
                   .services = random_stream(SEED, "services", replication),
                   .customers_left = customers,
                   .arrived_s = ring,
                   .ring = ring_size};
}

static Measurement measure_mm1(uint64_t customers)
{
    enum { RING = 1 << 16 };
    double *ring = calloc(RING, sizeof *ring);
    Engine *engine = engine_create(2, NULL);
    if (ring == NULL || engine == NULL)
        die("out of memory");

    Measurement result = {0};
    double engine_rates[ROUNDS], heap_rates[ROUNDS], total_s = 0, served = 0;
    for (int round = 0; round < ROUNDS; round++) {
        engine_reset(engine);
        Queue queue = new_queue((uint64_t)round, customers, ring, RING);
        double start_s = cpu_seconds();
        engine_schedule(engine, 0, arrival, &queue, 0);
        run_engine(engine);
        engine_rates[round] = (double)engine_events_run(engine) / (cpu_seconds() - start_s) * 1e-6;
        result.engine_hash = hash_time(result.engine_hash ^ queue.hash, queue.total_time_s);
        total_s += queue.total_time_s;
        served += (double)queue.served;

        Heap heap = {0};
        queue = new_queue((uint64_t)round, customers, ring, RING);
        start_s = cpu_seconds();
        heap_schedule(&heap, 0, heap_arrival, &queue);
        heap_run(&heap);
        heap_rates[round] = (double)heap.run / (cpu_seconds() - start_s) * 1e-6;
        result.heap_hash = hash_time(result.heap_hash ^ queue.hash, queue.total_time_s);
        free(heap.events);
    }
    result.engine_rate = median(engine_rates, ROUNDS);
    result.heap_rate = median(heap_rates, ROUNDS);
    result.engine_mean_s = total_s / served;
    engine_destroy(engine);
    free(ring);
    return result;
}

static int print_row(const char *name, Measurement m)
{
    int same = m.engine_hash == m.heap_hash;
    printf("%-18s %8.1f %8.1f %7.2fx   %016" PRIx64 " %s\n", name, m.engine_rate, m.heap_rate,
           m.engine_rate / m.heap_rate, m.engine_hash, same ? "same" : "DIFFERENT ORDER");
    return same;
}

int main(void)
{
    static const struct {
        const char *name;
        size_t pending;
        uint64_t events; /* in each round */
    } HOLDS[] = {
        {"HOLD, 1e3 pending", 1000, 2000000},
        {"HOLD, 1e5 pending", 100000, 1000000},
        {"HOLD, 1e6 pending", 1000000, 1000000},
    };
    enum { HOLD_COUNT = sizeof HOLDS / sizeof HOLDS[0], CUSTOMERS = 1000000 };

    printf("million events per CPU-second, median of %d rounds\n", ROUNDS);
    printf("%-18s %8s %8s %8s   %s\n", "", "engine", "heap", "ratio", "hash of the order");
    int same = 1;
    double rates[HOLD_COUNT], heap_rates[HOLD_COUNT];
    for (size_t i = 0; i < HOLD_COUNT; i++) {
        Measurement m = measure_hold(HOLDS[i].pending, HOLDS[i].events);
        rates[i] = m.engine_rate;
        heap_rates[i] = m.heap_rate;
        same &= print_row(HOLDS[i].name, m);
    }
    Measurement m = measure_mm1(CUSTOMERS);
    same &= print_row("M/M/1, load 0.9", m);

    printf("M/M/1: mean time in system %.3f, exact %.3f (%.0e customers)\n", m.engine_mean_s,
           1 / (MU - LAMBDA), (double)ROUNDS * CUSTOMERS);
    printf("cost of an event, 1e6 against 1e3 pending: engine %.2fx, heap %.2fx\n",
           rates[0] / rates[HOLD_COUNT - 1], heap_rates[0] / heap_rates[HOLD_COUNT - 1]);
    return same ? 0 : 1;
}
