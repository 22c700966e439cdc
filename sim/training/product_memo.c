#include "sim/training/product_memo.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES = 1 << 15, KEY_WORDS = sizeof(ProductKey) / sizeof(uint64_t) };
_Static_assert(sizeof(ProductKey) == 5 * sizeof(uint64_t), "a key is whole words");

typedef struct Place {
    int filled;
    ProductKey key;
    ProductTimes times;
} Place;

struct ProductMemo {
    Place places[PLACES];
};

ProductMemo *product_memo_create(Error *error)
{
    ProductMemo *memo = calloc(1, sizeof *memo);
    if (memo == NULL)
        error_set(error, STATUS_ENVIRONMENT, "out of memory");
    return memo;
}

void product_memo_destroy(ProductMemo *memo)
{
    free(memo);
}

static size_t place_of(const ProductKey *key)
{
    const uint64_t odd = 0x9e3779b97f4a7c15U; /* 2^64 over the golden ratio */
    uint64_t words[KEY_WORDS], hash = 0;
    memcpy(words, key, sizeof words);
    for (size_t i = 0; i < KEY_WORDS; i++)
        hash = ((hash << 5 | hash >> 59) ^ words[i]) * odd;
    return (hash >> 32) % PLACES;
}

const ProductTimes *product_memo_find(const ProductMemo *memo, const ProductKey *key)
{
    if (memo == NULL)
        return NULL;
    const Place *place = &memo->places[place_of(key)];
    return place->filled && memcmp(&place->key, key, sizeof *key) == 0 ? &place->times : NULL;
}

void product_memo_keep(ProductMemo *memo, const ProductKey *key, const ProductTimes *times)
{
    if (memo != NULL)
        memo->places[place_of(key)] = (Place){.filled = 1, .key = *key, .times = *times};
}
