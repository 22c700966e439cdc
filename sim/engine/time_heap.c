#include "sim/engine/time_heap.h"

#include <stdlib.h>

void time_heap_free(TimeHeap *heap)
{
    free(heap->items);
    *heap = (TimeHeap){0};
}

static bool before(const TimedTag *a, const TimedTag *b)
{
    return a->at_s < b->at_s || (!(b->at_s < a->at_s) && a->tag < b->tag);
}

static void sift_down(TimeHeap *heap, TimedTag item)
{
    size_t place = 0;
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && before(&heap->items[child + 1], &heap->items[child]))
            child++;
        if (!before(&heap->items[child], &item))
            break;
        heap->items[place] = heap->items[child];
        place = child;
    }
    heap->items[place] = item;
}

bool time_heap_push(TimeHeap *heap, double at_s, uint64_t tag)
{
    if (heap->count == heap->capacity) {
        size_t capacity = heap->capacity > 0 ? 2 * heap->capacity : 64;
        TimedTag *grown = realloc(heap->items, capacity * sizeof *grown);
        if (grown == NULL)
            return false;
        heap->items = grown;
        heap->capacity = capacity;
    }
    TimedTag item = {at_s, tag};
    size_t place = heap->count++;
    while (place > 0 && before(&item, &heap->items[(place - 1) / 2])) {
        heap->items[place] = heap->items[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    heap->items[place] = item;
    return true;
}

TimedTag time_heap_pop(TimeHeap *heap)
{
    TimedTag first = heap->items[0], last = heap->items[--heap->count];
    if (heap->count > 0)
        sift_down(heap, last);
    return first;
}

void time_heap_replace_first(TimeHeap *heap, double at_s, uint64_t tag)
{
    sift_down(heap, (TimedTag){at_s, tag});
}
