/* The queue inside the engine: a monotone radix queue (Ahuja, Mehlhorn, Orlin, Tarjan 1990) with a
 * sorted front.
 *
 * Entries are ordered by (key, order of being pushed). A bucket is named by the highest digit (of
 * RADIX_BITS bits) in which a key differs from `base`, a key that is not above any key in the
 * buckets, and by the value of that digit; in that naming the buckets stand in the order of their
 * keys. The lowest bucket is either small, and then goes to the front and is sorted, or large, and
 * then `base` moves up to its smallest key, which spreads it over lower buckets. An entry only ever
 * moves down, so it moves at most 64 / RADIX_BITS times, and neighbours in memory move together.
 *
 * Equal keys always share a bucket and every move keeps the order within a bucket, so first pushed,
 * first popped needs no sequence number.
 *
 * A push below `front_limit` goes straight to its place in the front. A full front spills back into
 * the buckets, so that a push never shifts more than FRONT_MOST entries; the FRONT_MOST -
 * FRONT_FILL pushes or more since the last refill pay for a spill.
 *
 * Buckets are lists of blocks out of one reserve. The reserve is sized by the number of entries
 * alone: once it stands, neither push nor pop can fail or allocate.
 */
#ifndef SIM_ENGINE_RADIX_QUEUE_H
#define SIM_ENGINE_RADIX_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef RADIX_BITS
#define RADIX_BITS                                                                                 \
    4 /* measured beside 1 and 2: fewest moves, and gathering takes small buckets                  \
       */
#endif

enum {
    RADIX_BUCKETS = (64 / RADIX_BITS) << RADIX_BITS,
    RADIX_WORDS = (RADIX_BUCKETS + 63) / 64,
    BLOCK_ENTRIES = 31,
    FRONT_FILL = 32,  /* entries that a refill brings to the front at most */
    FRONT_MOST = 64,  /* entries in the front at most */
    FRONT_ROOM = 256, /* places in the array of the front, so that it seldom slides back */
    MAX_SLABS = 64
};

typedef struct QueueEntry {
    uint64_t key;
    uint64_t item;
} QueueEntry;

/* Aligned to its size: a write position that is a multiple of it is past the end of a block. */
typedef struct QueueBlock {
    struct QueueBlock *next;
    uint64_t unused;
    QueueEntry entries[BLOCK_ENTRIES];
} QueueBlock;

typedef struct QueueBucket {
    QueueEntry *write; /* the next free place in `last`; NULL when the bucket is empty */
    QueueBlock *first, *last;
} QueueBucket;

typedef struct RadixQueue {
    size_t front_head, front_tail; /* the front is front[head..tail), ascending */
    uint64_t front_limit;          /* below every key in the buckets or equal to the lowest */
    uint64_t base;
    QueueBlock *free_blocks;
    uint64_t filled[RADIX_WORDS]; /* one bit a bucket */
    QueueBucket buckets[RADIX_BUCKETS];
    QueueEntry front[FRONT_ROOM];
    uint64_t moves; /* entries shifted, spilled, spread or brought to the front, ever */
    size_t block_count, slab_count;
    void *slabs[MAX_SLABS];
} RadixQueue;

void queue_init(RadixQueue *queue);
void queue_free(RadixQueue *queue);

/* Sizes the reserve for `entries` entries; false when memory is short (the queue is as before). */
bool queue_reserve(RadixQueue *queue, size_t entries);

/* Brings the lowest entries to an empty front. False when there are none with a key <= `limit`. */
bool queue_refill(RadixQueue *queue, uint64_t limit);

/* Drops every entry for which keep(context, item) is false. */
void queue_filter(RadixQueue *queue, bool (*keep)(void *context, uint64_t item), void *context);

bool queue_make_front_room(RadixQueue *queue);
void queue_add_block(RadixQueue *queue, size_t bucket);

static inline size_t queue_bucket_of(uint64_t key, uint64_t base)
{
    unsigned highest_bit = 63u - (unsigned)__builtin_clzll((key ^ base) | 1u);
    unsigned shift = highest_bit & ~(RADIX_BITS - 1u);
    size_t digit = (size_t)(key >> shift) & ((1u << RADIX_BITS) - 1u);
    return ((size_t)(shift / RADIX_BITS) << RADIX_BITS) | digit;
}

static inline void queue_append(RadixQueue *queue, uint64_t key, uint64_t item)
{
    size_t index = queue_bucket_of(key, queue->base);
    QueueBucket *bucket = &queue->buckets[index];
    if ((uintptr_t)bucket->write % sizeof(QueueBlock) == 0)
        queue_add_block(queue, index);
    bucket->write->key = key;
    bucket->write->item = item;
    bucket->write++;
}

/* Puts an entry behind those with the same key. False when the front had to be spilled instead. */
static inline bool queue_insert_front(RadixQueue *queue, uint64_t key, uint64_t item)
{
    QueueEntry *front = queue->front;
    size_t head = queue->front_head, place = queue->front_tail;
    if (head > 0 && head < place && key < front[head].key) {
        front[head - 1] = (QueueEntry){key, item};
        queue->front_head = head - 1;
        return true;
    }
    if (place == FRONT_ROOM || place - head >= FRONT_MOST) {
        if (!queue_make_front_room(queue))
            return false;
        head = queue->front_head;
        place = queue->front_tail;
    }
    queue->front_tail = place + 1;
    while (place > head && front[place - 1].key > key) {
        front[place] = front[place - 1];
        place--;
    }
    front[place] = (QueueEntry){key, item};
    queue->moves += queue->front_tail - place;
    return true;
}

/* `key` is not below the key last popped, nor below a limit that a refill was given. */
static inline void queue_push(RadixQueue *queue, uint64_t key, uint64_t item)
{
    if (key >= queue->front_limit || !queue_insert_front(queue, key, item))
        queue_append(queue, key, item);
}

#endif
