#include "sim/serving/prefix_cache.h"

#include <stdlib.h>
#include <string.h>

void prefix_cache_free(PrefixCache *cache)
{
    free(cache->entries);
    cache->entries = NULL;
    cache->room = 0;
}

Status prefix_cache_follow(PrefixCache *cache, Error *error)
{
    if (cache->tree == NULL || cache->room == cache->tree->room)
        return STATUS_OK;
    const size_t room = cache->tree->room;
    PrefixEntry *entries = realloc(cache->entries, room * sizeof *entries);
    if (entries == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu shared pieces", room);
    memset(entries + cache->room, 0, (room - cache->room) * sizeof *entries);
    cache->entries = entries;
    cache->room = room;
    return STATUS_OK;
}

uint32_t prefix_cache_tokens(const PrefixCache *cache, uint32_t leaf)
{
    return leaf == 0 ? 0 : cache->tree->nodes[leaf].depth * cache->tree->piece_tokens;
}

/* A piece that is there rests on pieces that are there: the deepest one tells. */
uint32_t prefix_cache_hit(const PrefixCache *cache, uint32_t leaf)
{
    uint32_t node = leaf;
    while (node != 0 && !cache->entries[node].computed)
        node = cache->tree->nodes[node].parent;
    return prefix_cache_tokens(cache, node);
}

/* A piece that is used rests on pieces that are used. */
uint64_t prefix_cache_unused(const PrefixCache *cache, uint32_t leaf)
{
    uint64_t blocks = 0;
    for (uint32_t node = leaf; node != 0 && cache->entries[node].users == 0;
         node = cache->tree->nodes[node].parent)
        blocks += cache->piece_blocks;
    return blocks;
}

static void unlink_idle(PrefixCache *cache, uint32_t node)
{
    const PrefixEntry *entry = &cache->entries[node];
    if (entry->older != 0)
        cache->entries[entry->older].newer = entry->newer;
    else
        cache->oldest = entry->newer;
    if (entry->newer != 0)
        cache->entries[entry->newer].older = entry->older;
    else
        cache->newest = entry->older;
    cache->idle_blocks -= cache->piece_blocks;
}

static void link_newest(PrefixCache *cache, uint32_t node)
{
    PrefixEntry *entry = &cache->entries[node];
    entry->older = cache->newest;
    entry->newer = 0;
    if (cache->newest != 0)
        cache->entries[cache->newest].newer = node;
    else
        cache->oldest = node;
    cache->newest = node;
    cache->idle_blocks += cache->piece_blocks;
}

uint64_t prefix_cache_take(PrefixCache *cache, uint32_t leaf)
{
    uint64_t blocks = 0;
    for (uint32_t node = leaf; node != 0; node = cache->tree->nodes[node].parent) {
        PrefixEntry *entry = &cache->entries[node];
        if (entry->users++ > 0)
            continue;
        blocks += cache->piece_blocks;
        if (entry->computed)
            unlink_idle(cache, node);
    }
    return blocks;
}

void prefix_cache_computed(PrefixCache *cache, uint32_t leaf)
{
    for (uint32_t node = leaf; node != 0 && !cache->entries[node].computed;
         node = cache->tree->nodes[node].parent)
        cache->entries[node].computed = 1;
}

/* From the leaf up, so that deeper pieces count as older. */
uint64_t prefix_cache_leave(PrefixCache *cache, uint32_t leaf)
{
    uint64_t blocks = 0;
    for (uint32_t node = leaf; node != 0; node = cache->tree->nodes[node].parent) {
        PrefixEntry *entry = &cache->entries[node];
        if (--entry->users > 0)
            continue;
        blocks += cache->piece_blocks;
        if (entry->computed)
            link_newest(cache, node);
    }
    return blocks;
}

void prefix_cache_trim(PrefixCache *cache, uint64_t blocks)
{
    while (cache->idle_blocks > blocks) {
        const uint32_t node = cache->oldest;
        unlink_idle(cache, node);
        cache->entries[node].computed = 0;
    }
}
