#include "sim/serving/microbatch.h"

void microbatch_enqueue(Microbatch *microbatch, uint32_t request)
{
    microbatch->ring[(microbatch->head + microbatch->waiting) % microbatch->room] = request;
    microbatch->waiting++;
}

uint32_t microbatch_dequeue(Microbatch *microbatch)
{
    const uint32_t request = microbatch->ring[microbatch->head];
    microbatch->head = (microbatch->head + 1) % microbatch->room;
    microbatch->waiting--;
    return request;
}

void microbatch_decode(Microbatch *microbatch, const ServeRequest *requests, uint32_t request)
{
    uint32_t *heap = microbatch->heap;
    size_t i = microbatch->decoding++;

    while (i > 0) {
        const size_t parent = (i - 1) / 2;
        if (requests[heap[parent]].last_pass <= requests[request].last_pass)
            break;
        heap[i] = heap[parent];
        i = parent;
    }
    heap[i] = request;
}

uint32_t microbatch_first_to_end(const Microbatch *microbatch)
{
    return microbatch->heap[0];
}

void microbatch_end_first(Microbatch *microbatch, const ServeRequest *requests)
{
    uint32_t *heap = microbatch->heap;
    const uint32_t moved = heap[--microbatch->decoding];
    const size_t count = microbatch->decoding;
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= count)
            break;
        if (child + 1 < count &&
            requests[heap[child + 1]].last_pass < requests[heap[child]].last_pass)
            child++;
        if (requests[moved].last_pass <= requests[heap[child]].last_pass)
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moved;
}
