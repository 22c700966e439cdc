/* Seconds of matrix products that many plans share, kept by shape. Bounded: a product gives way to
 * another one in its place, and is then worked out again to the same bits. Inside sim/training
 * only.
 */
#ifndef SIM_TRAINING_PRODUCT_MEMO_H
#define SIM_TRAINING_PRODUCT_MEMO_H

#include "configs/reader/error.h"

/* All that the time of a product depends on, for one GPU and one series of expert loads. */
typedef struct ProductKey {
    double m, n, k;
    unsigned precision;
    unsigned ranks, draw; /* grouped products: of the expert loads; 0 ranks: one plain product */
    unsigned weights; /* 1: with a gradient of weights. No padding: keys are compared as bytes */
} ProductKey;

/* Mean and slowest rank; backward with the weight gradient. */
typedef struct ProductTimes {
    double forward, backward, weight;
    double worst_forward, worst_backward;
} ProductTimes;

typedef struct ProductMemo ProductMemo;

ProductMemo *product_memo_create(Error *error);
void product_memo_destroy(ProductMemo *memo);

/* NULL when it is not there, or `memo` is NULL. */
const ProductTimes *product_memo_find(const ProductMemo *memo, const ProductKey *key);
void product_memo_keep(ProductMemo *memo, const ProductKey *key, const ProductTimes *times);

#endif
