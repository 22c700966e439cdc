#include "sim/training/product_memo.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES = 1 << 12, SERIES_PLACES = 1 << 12, KEY_WORDS = sizeof(ProductKey) / 8 };
_Static_assert(sizeof(ProductKey) == 5 * sizeof(uint64_t), "a key is whole words");

typedef struct Place {
    int filled;
    ProductKey key;
    ProductTimes times;
} Place;

typedef struct SeriesPlace {
    int filled;
    ProductKey key;
    ProductTimes times[PRODUCT_SERIES];
} SeriesPlace;

struct ProductMemo {
    Place places[PLACES];
    SeriesPlace series[SERIES_PLACES];
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

static size_t hash_of(const ProductKey *key)
{
    const uint64_t odd = 0x9e3779b97f4a7c15U; /* 2^64 over the golden ratio */
    uint64_t words[KEY_WORDS], hash = 0;
    memcpy(words, key, sizeof words);
    for (size_t i = 0; i < KEY_WORDS; i++)
        hash = ((hash << 5 | hash >> 59) ^ words[i]) * odd;
    return hash >> 32;
}

const ProductTimes *product_memo_find(const ProductMemo *memo, const ProductKey *key)
{
    if (memo == NULL)
        return NULL;
    const Place *place = &memo->places[hash_of(key) % PLACES];
    return place->filled && memcmp(&place->key, key, sizeof *key) == 0 ? &place->times : NULL;
}

void product_memo_keep(ProductMemo *memo, const ProductKey *key, const ProductTimes *times)
{
    if (memo != NULL)
        memo->places[hash_of(key) % PLACES] = (Place){.filled = 1, .key = *key, .times = *times};
}

const ProductTimes *product_memo_find_series(const ProductMemo *memo, const ProductKey *key)
{
    if (memo == NULL)
        return NULL;
    const SeriesPlace *place = &memo->series[hash_of(key) % SERIES_PLACES];
    return place->filled && memcmp(&place->key, key, sizeof *key) == 0 ? place->times : NULL;
}

ProductTimes *product_memo_new_series(ProductMemo *memo, const ProductKey *key,
                                      ProductTimes *instead)
{
    if (memo == NULL)
        return instead;
    SeriesPlace *place = &memo->series[hash_of(key) % SERIES_PLACES];
    place->filled = 1;
    place->key = *key;
    return place->times;
}
