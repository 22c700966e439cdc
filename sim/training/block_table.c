#include "sim/training/block_table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_PLACES = 1 << 11, TABLE_WAYS = 4 };

/* Modes of recomputation: none, each scope of the selective one, full. */
enum { WITHOUT, SELECTIVE, FULL = SELECTIVE + SELECTIVE_SCOPES, RECOMPUTE_MODES };

/* A plan with all that layers do not depend on set to nothing. As words, since the whole of it is
 * compared: a field that is not named below counts. */
enum { KEY_WORDS = sizeof(ParallelSpec) / sizeof(uint64_t) };
typedef struct BlockKey {
    uint64_t words[KEY_WORDS];
} BlockKey;
_Static_assert(sizeof(BlockKey) == sizeof(ParallelSpec), "a plan is whole words");

typedef struct Place {
    int filled[RECOMPUTE_MODES];
    size_t first_mode; /* the one that `times` came with */
    BlockSet by_mode[RECOMPUTE_MODES];
    BlockTimes times;
} Place;

/* What is where; apart from it, since a search for a plan looks at little else. */
typedef struct Label {
    BlockKey key;
    uint64_t age; /* 0: empty */
} Label;

struct BlockTable {
    BlockMemo memo;
    uint64_t clock;
    Label labels[TABLE_PLACES];
    Place places[TABLE_PLACES];
};

BlockTable *block_table_create(Error *error)
{
    BlockTable *table = calloc(1, sizeof *table);
    if (table == NULL) {
        error_set(error, STATUS_ENVIRONMENT, "out of memory");
        return NULL;
    }
    table->memo.products = product_memo_create(error);
    table->memo.loads = expert_load_memo_create(error);
    if (table->memo.products == NULL || table->memo.loads == NULL) {
        block_table_destroy(table);
        return NULL;
    }
    return table;
}

void block_table_destroy(BlockTable *table)
{
    if (table == NULL)
        return;
    product_memo_destroy(table->memo.products);
    expert_load_memo_destroy(table->memo.loads);
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
    kept.selective_scope = SELECTIVE_SCORES;
    kept.zero_copies = COPIES_NONE;
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
static size_t place_of(BlockTable *table, const BlockKey *key)
{
    const size_t first = hash_of(key) % (TABLE_PLACES / TABLE_WAYS) * TABLE_WAYS;
    size_t oldest = first;
    for (size_t i = first; i < first + TABLE_WAYS; i++) {
        const Label *label = &table->labels[i];
        if (label->age > 0 && memcmp(&label->key, key, sizeof *key) == 0)
            return i;
        if (label->age < table->labels[oldest].age)
            oldest = i;
    }
    table->labels[oldest].age = 0;
    return oldest;
}

static size_t mode_of(const ParallelSpec *parallel)
{
    const size_t modes[] = {
        [RECOMPUTE_NONE] = WITHOUT,
        [RECOMPUTE_SELECTIVE] = SELECTIVE + (size_t)parallel->selective_scope,
        [RECOMPUTE_FULL] = FULL,
    };
    return modes[parallel->recompute];
}

Status block_table_find(BlockTable *table, const Scenario *scenario, unsigned long long seed,
                        unsigned long long replication, const BlockSet **blocks, Error *error)
{
    const ParallelSpec *parallel = &scenario->training.parallel;
    const size_t mode = mode_of(parallel);
    const BlockKey key = key_of(parallel);
    const size_t found = place_of(table, &key);
    Label *label = &table->labels[found];
    Place *place = &table->places[found];
    if (label->age == 0) {
        Status status = block_set_fill(scenario, seed, replication, &table->memo, &place->times,
                                       &place->by_mode[mode], error);
        if (status != STATUS_OK)
            return status;
        memset(place->filled, 0, sizeof place->filled);
        place->filled[mode] = 1;
        place->first_mode = mode;
        label->key = key;
        label->age = ++table->clock;
    }
    if (!place->filled[mode]) {
        block_set_recompute(&place->times, parallel, &place->by_mode[place->first_mode],
                            &place->by_mode[mode]);
        place->filled[mode] = 1;
    }
    *blocks = &place->by_mode[mode];
    return STATUS_OK;
}
