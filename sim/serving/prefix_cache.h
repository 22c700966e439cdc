/* Keys and values of shared beginnings in one scheduler's memory (automatic prefix caching of vLLM,
 * RadixAttention of SGLang): a piece that running sequences use is held once for all of them; when
 * the last one leaves it stays as long as nobody needs its blocks, the longest unused going first,
 * deeper pieces before those they rest on. Answers are not kept. A piece can be hit once the prompt
 * that brought it is read to its end. */
#ifndef SIM_SERVING_PREFIX_CACHE_H
#define SIM_SERVING_PREFIX_CACHE_H

#include "sim/serving/prefix_tree.h"

typedef struct PrefixEntry {
    uint32_t users;
    uint32_t older, newer; /* of those without users, by last use; 0: none */
    uint32_t computed;
} PrefixEntry;

typedef struct PrefixCache {
    const PrefixTree *tree; /* NULL: no cache */
    uint32_t piece_blocks;
    size_t room;
    PrefixEntry *entries;
    uint32_t oldest, newest;
    uint64_t idle_blocks; /* of pieces without users */
    double asked_tokens, hit_tokens;
} PrefixCache;

void prefix_cache_free(PrefixCache *cache);

/* Entries for all nodes that the tree has now; before the calls below. */
Status prefix_cache_follow(PrefixCache *cache, Error *error);

/* Tokens of the pieces down to `leaf`, and of these the ones whose keys and values are there. */
uint32_t prefix_cache_tokens(const PrefixCache *cache, uint32_t leaf);
uint32_t prefix_cache_hit(const PrefixCache *cache, uint32_t leaf);

/* Blocks of the pieces down to `leaf` that no running sequence uses. */
uint64_t prefix_cache_unused(const PrefixCache *cache, uint32_t leaf);

/* A sequence begins to use the pieces, has read them, leaves. The first returns the blocks that
 * were not in use before, the last those that are not in use any more. */
uint64_t prefix_cache_take(PrefixCache *cache, uint32_t leaf);
void prefix_cache_computed(PrefixCache *cache, uint32_t leaf);
uint64_t prefix_cache_leave(PrefixCache *cache, uint32_t leaf);

/* Forgets pieces until the ones without users need at most `blocks`. */
void prefix_cache_trim(PrefixCache *cache, uint64_t blocks);

#endif
