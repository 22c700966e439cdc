#include "sim/training/block_table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_PLACES = 1 << 12, TABLE_WAYS = 4, RECOMPUTE_MODES = RECOMPUTE_FULL + 1 };

/* A plan with all that layers do not depend on set to nothing. As words, since the whole of it is
 * compared: a field that is not named below counts. */
enum { KEY_WORDS = sizeof(ParallelSpec) / sizeof(uint64_t) };
typedef struct BlockKey {
    uint64_t words[KEY_WORDS];
} BlockKey;
_Static_assert(sizeof(BlockKey) == sizeof(ParallelSpec), "a plan is whole words");

typedef struct Place {
    BlockKey key;
    uint64_t age; /* 0: empty */
    BlockSet by_mode[RECOMPUTE_MODES];
} Place;

struct BlockTable {
    ProductMemo *products;
    uint64_t clock;
    Place places[TABLE_PLACES];
};

BlockTable *block_table_create(Error *error)
{
    BlockTable *table = calloc(1, sizeof *table);
    if (table == NULL) {
        error_set(error, STATUS_ENVIRONMENT, "out of memory");
        return NULL;
    }
    table->products = product_memo_create(error);
    if (table->products == NULL) {
        block_table_destroy(table);
        return NULL;
    }
    return table;
}

void block_table_destroy(BlockTable *table)
{
    if (table == NULL)
        return;
    product_memo_destroy(table->products);
    free(table);
}

/* How many stages, replicas and microbatches there are, in what order they work, and what happens
 * at the end of a step. Modes of recomputation share a place. */
static BlockKey key_of(const ParallelSpec *parallel)
{
    BlockKey key;
    ParallelSpec kept;
    memcpy(&kept, parallel, sizeof kept); /* padding too */
    kept.pipeline = kept.data = kept.virtual_stages = 0.0;
    kept.zero_stage = kept.shard_group = kept.gather_limit = 0.0;
    kept.schedule = SCHEDULE_1F1B;
    kept.recompute = RECOMPUTE_NONE;
    kept.overlap_grad_reduce = kept.overlap_param_gather = 0;
    memcpy(&key, &kept, sizeof key);
    return key;
}

static uint64_t hash_of(const BlockKey *key)
{
    const uint64_t odd = 0x9e3779b97f4a7c15U; /* 2^64 over the golden ratio */
    uint64_t hash = 0;
    for (size_t i = 0; i < KEY_WORDS; i++)
        hash = ((hash << 5 | hash >> 59) ^ key->words[i]) * odd;
    return hash ^ hash >> 32;
}

/* The place of a key, or the one of its ways that was filled longest ago. */
static Place *place_of(BlockTable *table, const BlockKey *key)
{
    Place *ways = &table->places[hash_of(key) % (TABLE_PLACES / TABLE_WAYS) * TABLE_WAYS];
    Place *oldest = ways;
    for (size_t i = 0; i < TABLE_WAYS; i++) {
        if (ways[i].age > 0 && memcmp(&ways[i].key, key, sizeof *key) == 0)
            return &ways[i];
        if (ways[i].age < oldest->age)
            oldest = &ways[i];
    }
    oldest->age = 0;
    return oldest;
}

Status block_table_find(BlockTable *table, const Scenario *scenario, unsigned long long seed,
                        unsigned long long replication, const BlockSet **blocks, Error *error)
{
    const Recompute mode = scenario->training.parallel.recompute;
    const BlockKey key = key_of(&scenario->training.parallel);
    Place *place = place_of(table, &key);
    if (place->age == 0) {
        Scenario plain = *scenario;
        BlockSet *without = &place->by_mode[RECOMPUTE_NONE];
        plain.training.parallel.recompute = RECOMPUTE_NONE;
        Status status = block_set_fill(&plain, seed, replication, table->products, without, error);
        if (status != STATUS_OK)
            return status;
        for (int i = RECOMPUTE_NONE + 1; i < RECOMPUTE_MODES; i++) {
            plain.training.parallel.recompute = (Recompute)i;
            block_set_recompute(without, &plain.training.parallel, &place->by_mode[i]);
        }
        place->key = key;
        place->age = ++table->clock;
    }
    *blocks = &place->by_mode[mode];
    return STATUS_OK;
}
