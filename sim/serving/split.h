/* How many replicas should read prompts and how many should answer, with as many GPUs as a
 * disaggregated scenario has. */
#ifndef SIM_SERVING_SPLIT_H
#define SIM_SERVING_SPLIT_H

#include "sim/serving/serve_load.h"

enum { MAX_SPLITS = 64 };

typedef struct SplitPoint {
    double prefill, decode; /* replicas of each side */
    double gpus;
    int fits;
    double stable_maximum_per_s;
    int found;         /* some rate holds the objective */
    double rate_per_s; /* the largest that does */
    const char *limit; /* as split_limit says */
} SplitPoint;

typedef struct SplitTable {
    double gpus; /* at most so many are used */
    size_t count;
    SplitPoint points[MAX_SPLITS]; /* by rising prefill replicas */
    int found;
    size_t best; /* the largest rate; of equal ones the fewest GPUs, then the first */
} SplitTable;

/* "prefill", "decode", or, where both alone could do 5% more than together, "transfer". */
const char *split_limit(double together_per_s, double prefill_per_s, double decode_per_s);

/* For 1, 2, ... prefill replicas as many decode replicas as the remaining GPUs allow, each with the
 * same requests. STATUS_INVALID when the scenario is not disaggregated or allows more than
 * MAX_SPLITS. `threads` 0: all; the table does not depend on it. */
Status serve_splits(const Scenario *scenario, const LoadOptions *options, size_t threads,
                    SplitTable *table, Error *error);

#endif
