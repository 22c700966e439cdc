#include "sim/engine/radix_queue.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(QueueBlock) == 512, "a block is a power of two of bytes");
_Static_assert((RADIX_BITS & (RADIX_BITS - 1)) == 0, "a digit does not straddle the top of a key");
_Static_assert(BLOCK_ENTRIES <= FRONT_FILL && FRONT_FILL < FRONT_MOST && FRONT_MOST < FRONT_ROOM,
               "one block fits in the front, and the front has room for more after a refill");

enum { NO_BUCKET = RADIX_BUCKETS };

void queue_init(RadixQueue *queue)
{
    memset(queue, 0, sizeof *queue);
    queue->front_limit = UINT64_MAX;
}

void queue_free(RadixQueue *queue)
{
    for (size_t i = 0; i < queue->slab_count; i++)
        free(queue->slabs[i]);
    queue_init(queue);
}

bool queue_reserve(RadixQueue *queue, size_t entries)
{
    /* Full blocks, one begun block in each bucket, and the block that is being emptied. */
    size_t needed = entries / BLOCK_ENTRIES + RADIX_BUCKETS + 2;
    if (needed <= queue->block_count)
        return true;
    size_t added = needed - queue->block_count;
    if (queue->slab_count == MAX_SLABS || added > SIZE_MAX / sizeof(QueueBlock))
        return false;
    QueueBlock *slab = aligned_alloc(sizeof(QueueBlock), added * sizeof(QueueBlock));
    if (slab == NULL)
        return false;
    queue->slabs[queue->slab_count++] = slab;
    queue->block_count = needed;
    for (size_t i = added; i-- > 0;) {
        slab[i].next = queue->free_blocks;
        queue->free_blocks = &slab[i];
    }
    return true;
}

/* --- buckets ------------------------------------------------------------------------------- */

void queue_add_block(RadixQueue *queue, size_t index)
{
    QueueBucket *bucket = &queue->buckets[index];
    QueueBlock *block = queue->free_blocks;
    queue->free_blocks = block->next;
    block->next = NULL;
    if (bucket->write == NULL) {
        bucket->first = block;
        queue->filled[index / 64] |= UINT64_C(1) << (index % 64);
    } else {
        bucket->last->next = block;
    }
    bucket->last = block;
    bucket->write = block->entries;
}

/* Empties a bucket and gives what was in it. */
static QueueBucket detach(RadixQueue *queue, size_t index)
{
    QueueBucket detached = queue->buckets[index];
    queue->buckets[index] = (QueueBucket){NULL, NULL, NULL};
    queue->filled[index / 64] &= ~(UINT64_C(1) << (index % 64));
    return detached;
}

static size_t entries_in(const QueueBucket *bucket, const QueueBlock *block)
{
    return block == bucket->last ? (size_t)(bucket->write - block->entries) : BLOCK_ENTRIES;
}

/* Gives a block back and returns the one after it. */
static QueueBlock *release_block(RadixQueue *queue, QueueBlock *block)
{
    QueueBlock *next = block->next;
    block->next = queue->free_blocks;
    queue->free_blocks = block;
    return next;
}

static size_t lowest_bucket(const RadixQueue *queue)
{
    for (size_t word = 0; word < RADIX_WORDS; word++)
        if (queue->filled[word] != 0)
            return word * 64 + (size_t)__builtin_ctzll(queue->filled[word]);
    return NO_BUCKET;
}

/* The lowest key that belongs into a bucket, and the first above all that do. */
static uint64_t bucket_start(const RadixQueue *queue, size_t index)
{
    unsigned shift = (unsigned)(index >> RADIX_BITS) * RADIX_BITS;
    uint64_t digit = index & ((1u << RADIX_BITS) - 1u);
    unsigned above = shift + RADIX_BITS;
    uint64_t prefix = above < 64 ? queue->base >> above << above : 0;
    return prefix | digit << shift;
}

static uint64_t bucket_end(const RadixQueue *queue, size_t index)
{
    uint64_t width = UINT64_C(1) << ((index >> RADIX_BITS) * RADIX_BITS);
    uint64_t start = bucket_start(queue, index);
    return start > UINT64_MAX - width ? UINT64_MAX : start + width;
}

/* Moves `base` up to the lowest key of a bucket, which sends its entries to lower buckets. False,
 * and nothing is moved, when that key is above `limit`. */
static bool spread(RadixQueue *queue, size_t index, uint64_t limit)
{
    const QueueBucket *source = &queue->buckets[index];
    uint64_t lowest = UINT64_MAX;
    for (const QueueBlock *block = source->first; block != NULL; block = block->next) {
        size_t count = entries_in(source, block);
        for (size_t i = 0; i < count; i++)
            lowest = block->entries[i].key < lowest ? block->entries[i].key : lowest;
    }
    if (lowest > limit)
        return false;

    QueueBucket old = detach(queue, index);
    queue->base = lowest;
    for (QueueBlock *block = old.first; block != NULL;) {
        size_t count = entries_in(&old, block);
        for (size_t i = 0; i < count; i++)
            queue_append(queue, block->entries[i].key, block->entries[i].item);
        queue->moves += count;
        block = release_block(queue, block);
    }
    return true;
}

/* --- front --------------------------------------------------------------------------------- */

/* Adds the entries of one block to the end of the front in order of keys, equal keys in the order
 * in which they stand. Ranks by comparing each pair once: no branch depends on a key. */
static void bring_sorted(RadixQueue *queue, const QueueEntry *entries, size_t count)
{
    QueueEntry *front = queue->front + queue->front_tail;
    unsigned rank[BLOCK_ENTRIES];
    for (size_t i = 0; i < count; i++) {
        uint64_t key = entries[i].key;
        unsigned above = 0;
        for (size_t j = 0; j < i; j++) {
            unsigned is_above = entries[j].key > key;
            rank[j] += is_above;
            above += is_above;
        }
        rank[i] = (unsigned)i - above;
    }
    for (size_t i = 0; i < count; i++)
        front[rank[i]] = entries[i];
    queue->front_tail += count;
    queue->moves += count;
}

/* Takes the lowest buckets while they are single blocks and fit. */
static void gather(RadixQueue *queue, size_t index)
{
    do {
        QueueBucket small = detach(queue, index);
        queue->front_limit = bucket_end(queue, index);
        bring_sorted(queue, small.first->entries, entries_in(&small, small.first));
        release_block(queue, small.first);
        index = lowest_bucket(queue);
        if (index == NO_BUCKET) {
            queue->front_limit = UINT64_MAX;
            return;
        }
    } while (queue->buckets[index].first == queue->buckets[index].last &&
             queue->front_tail + entries_in(&queue->buckets[index], queue->buckets[index].last) <=
                 FRONT_FILL);
}

/* Takes the first block of a bucket of equal keys. `front_limit` is not above that key, so what is
 * pushed with it now goes to the bucket, behind the blocks that stay. */
static void take_equal(RadixQueue *queue, size_t index)
{
    QueueBucket *bucket = &queue->buckets[index];
    memcpy(queue->front, bucket->first->entries, sizeof bucket->first->entries);
    queue->front_tail = BLOCK_ENTRIES;
    queue->moves += BLOCK_ENTRIES;
    bucket->first = release_block(queue, bucket->first);
}

bool queue_refill(RadixQueue *queue, uint64_t limit)
{
    queue->front_head = queue->front_tail = 0;
    for (;;) {
        size_t index = lowest_bucket(queue);
        if (index == NO_BUCKET) {
            queue->base = 0;
            queue->front_limit = UINT64_MAX;
            return false;
        }
        if (bucket_start(queue, index) > limit)
            return false;
        if (queue->buckets[index].first == queue->buckets[index].last) {
            gather(queue, index);
            return true;
        }
        if (index < (1u << RADIX_BITS)) { /* the last digit: all keys are equal */
            take_equal(queue, index);
            return true;
        }
        if (!spread(queue, index, limit))
            return false;
    }
}

/* Makes room for one more entry: slides the front to the start of its array or, when it holds too
 * many, gives it back to the buckets that it came from (false). Its keys are not below `base`: that
 * only rises to the key of an entry that is then run, or to a limit that the clock then reaches;
 * and it falls back to 0 whenever the buckets are found empty. */
bool queue_make_front_room(RadixQueue *queue)
{
    size_t count = queue->front_tail - queue->front_head;
    queue->moves += count;
    if (count < FRONT_MOST) {
        memmove(queue->front, queue->front + queue->front_head, count * sizeof *queue->front);
        queue->front_head = 0;
        queue->front_tail = count;
        return true;
    }
    queue->front_limit = 0;
    for (size_t i = queue->front_head; i < queue->front_tail; i++)
        queue_append(queue, queue->front[i].key, queue->front[i].item);
    queue->front_head = queue->front_tail = 0;
    return false;
}

/* --- all of it ----------------------------------------------------------------------------- */

void queue_filter(RadixQueue *queue, bool (*keep)(void *context, uint64_t item), void *context)
{
    size_t kept = queue->front_head;
    for (size_t i = queue->front_head; i < queue->front_tail; i++)
        if (keep(context, queue->front[i].item))
            queue->front[kept++] = queue->front[i];
    queue->front_tail = kept;

    for (size_t index = 0; index < RADIX_BUCKETS; index++) {
        if (queue->buckets[index].write == NULL)
            continue;
        QueueBucket old = detach(queue, index);
        for (QueueBlock *block = old.first; block != NULL;) {
            size_t count = entries_in(&old, block);
            for (size_t i = 0; i < count; i++)
                if (keep(context, block->entries[i].item))
                    queue_append(queue, block->entries[i].key, block->entries[i].item);
            queue->moves += count;
            block = release_block(queue, block);
        }
    }
}
