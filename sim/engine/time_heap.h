/* The earliest of many times, each with a tag: a binary heap that grows when it must. For a few
 * hundred pending things whose handlers are known; the engine is for the general case. */
#ifndef SIM_ENGINE_TIME_HEAP_H
#define SIM_ENGINE_TIME_HEAP_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct TimedTag {
    double at_s;
    uint64_t tag;
} TimedTag;

typedef struct TimeHeap {
    TimedTag *items; /* [0] is the earliest; of equal times the one with the lower tag */
    size_t count, capacity;
} TimeHeap;

void time_heap_free(TimeHeap *heap);
bool time_heap_push(TimeHeap *heap, double at_s, uint64_t tag); /* false: out of memory */
TimedTag time_heap_pop(TimeHeap *heap);                         /* of a heap that is not empty */
void time_heap_replace_first(TimeHeap *heap, double at_s, uint64_t tag);

/* HUGE_VAL when empty. */
static inline double time_heap_first_s(const TimeHeap *heap)
{
    return heap->count > 0 ? heap->items[0].at_s : HUGE_VAL;
}

#endif
