/* Price against reading speed: what 1,000 tokens cost and how fast a reader gets them, over the
 * batch and the stages of the pipeline, at nearly full load (serving.reader_load: the price of a
 * replica that always has work; any idle time makes tokens dearer and hardly faster). */
#ifndef SIM_PLANNING_PRICE_SPEED_H
#define SIM_PLANNING_PRICE_SPEED_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"

enum { MAX_PRICE_SPEED_POINTS = 96 };

typedef struct PriceSpeedPoint {
    double tensor, pipeline, gpus, max_batch;
    double decoding;       /* sequences that get a token together, all stages */
    double tokens_per_s;   /* of one reader: 1 / mean time per token */
    double requests_per_s; /* of the replica */
    double usd_per_1k_tokens, usd_per_1k_output; /* prompts and answers; answers pay all */
} PriceSpeedPoint;

/* The two wishes: serving.reader_slow and reader_fast, prices.wanted_per_1k. */
typedef struct PriceSpeed {
    size_t count;
    PriceSpeedPoint points[MAX_PRICE_SPEED_POINTS]; /* by stages, then by batch */
    double wanted_usd_per_1k, slow_tokens_per_s, fast_tokens_per_s;
    double load; /* share of the stable maximum */
    size_t cheapest_slow,
        cheapest_fast;       /* that a slow, a fast reader is content with; count: none */
    size_t fastest_at_price; /* count: no point is as cheap */
} PriceSpeed;

/* Pipelines of a quarter, half, once and twice the scenario's stages, those that fit; batches from
 * one sequence a stage to max_batch by doubling. Points are simulated on `threads` threads; the
 * result does not depend on their number. */
Status price_speed(const Scenario *scenario, unsigned long long seed, size_t threads,
                   PriceSpeed *curve, Error *error);

/* The cheapest point at which readers get at least `tokens_per_s`; count: none. */
size_t price_speed_cheapest(const PriceSpeed *curve, double tokens_per_s);

#endif
