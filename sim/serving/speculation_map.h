/* Where speculation helps: time per token with and without it for batches of 1, 2, 4, ... that
 * decode, as many as memory holds. Per batch, because that is what decides: few sequences leave
 * the model's arithmetic idle while weights are read, many do not, and a mixture of experts reads
 * more experts for more tokens. A sequence's speed and the cluster's throughput gain by the same
 * factor at a given batch. */
#ifndef SIM_SERVING_SPECULATION_MAP_H
#define SIM_SERVING_SPECULATION_MAP_H

#include "sim/serving/draft_cost.h"

enum { MAX_SPECULATION_POINTS = 24, MAX_COMPARED_LENGTH = 16 };

typedef struct SpeculationPoint {
    double batch;       /* decoding in the whole pipeline */
    double plain_s;     /* between two tokens of a sequence, without speculation */
    double round_s;     /* of one round */
    double draft_s;     /* of it, drafting */
    double speedup;     /* plain_s * tokens of a round / round_s */
    double best_length; /* draft tokens with the largest speed-up, 1..16; 0: none helps */
    double best_speedup;
} SpeculationPoint;

typedef struct SpeculationMap {
    double tokens_per_round;
    double context; /* mean of the sequences */
    size_t count;   /* 0: no speculation, or nothing fits */
    SpeculationPoint points[MAX_SPECULATION_POINTS];
    double helps_from, helps_to; /* smallest and largest batch of the map with a speed-up above 1,
                                    the latter to one sequence; 0: at none */
    int to_the_end;              /* it still helps at the largest batch */
} SpeculationMap;

/* Scratch of one thread: zeroed, or used before. */
typedef struct SpeculationScratch {
    StageCost cost;
    DraftCost draft;
} SpeculationScratch;

/* Ranges of the scenario stand where they are; `most` is the largest batch. */
Status speculation_map(const Scenario *scenario, double most, SpeculationScratch *scratch,
                       SpeculationMap *map, Error *error);

#endif
