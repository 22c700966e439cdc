/* Seconds of matrix products that many plans share, kept by shape. Bounded: a product gives way to
 * another one in its place, and is then worked out again to the same bits. Inside sim/training
 * only.
 */
#ifndef SIM_TRAINING_PRODUCT_MEMO_H
#define SIM_TRAINING_PRODUCT_MEMO_H

#include "configs/reader/error.h"
#include "sim/training/expert_load.h"

#include <stdint.h>

/* All that the time of a product depends on, for one GPU and one series of expert loads. */
typedef struct ProductKey {
    double m, n, k;
    unsigned precision;
    unsigned weights; /* 1: with a gradient of weights */
    uint64_t ranks; /* of experts that share their products; 0: one plain product. No padding: keys
                       are compared as bytes */
} ProductKey;

/* Mean and slowest rank; backward with the weight gradient. */
typedef struct ProductTimes {
    double forward, backward, weight;
    double worst_forward, worst_backward;
} ProductTimes;

/* Grouped products with all drawn expert loads: one for each. */
enum { PRODUCT_SERIES = MAX_LOAD_DRAWS * MAX_LOAD_SAMPLES };

typedef struct ProductMemo ProductMemo;

ProductMemo *product_memo_create(Error *error);
void product_memo_destroy(ProductMemo *memo);

/* NULL when it is not there, or `memo` is NULL. What is found holds until something is kept. */
const ProductTimes *product_memo_find(const ProductMemo *memo, const ProductKey *key);
void product_memo_keep(ProductMemo *memo, const ProductKey *key, const ProductTimes *times);

/* The same of a series. A new one is filled in by the caller: in the memo, or where that is NULL in
 * `instead`, PRODUCT_SERIES entries. */
const ProductTimes *product_memo_find_series(const ProductMemo *memo, const ProductKey *key);
ProductTimes *product_memo_new_series(ProductMemo *memo, const ProductKey *key,
                                      ProductTimes *instead);

#endif
