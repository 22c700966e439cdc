/* The two sides of a serving cluster that reads prompts on some replicas and answers on others:
 * each is a serving scenario of its own, with what serving.disaggregated says of it. */
#ifndef MODELS_SERVING_SIDE_H
#define MODELS_SERVING_SIDE_H

#include "configs/reader/scenario.h"

typedef enum ServingSide { SIDE_PREFILL, SIDE_DECODE, SERVING_SIDES } ServingSide;

extern const char *const SERVING_SIDE_WORDS[SERVING_SIDES]; /* "prefill", "decode" */

int serving_is_disaggregated(const ServingSpec *serving);

/* One replica of a side; out->serving.disaggregated is none. `out` may not be `scenario`. */
void serving_side_scenario(const Scenario *scenario, ServingSide side, Scenario *out);

/* Of one replica of a side, and of one copy (serving.replicas) of the whole cluster. */
double serving_side_replicas(const ServingSpec *serving, ServingSide side);
double serving_side_gpus(const ServingSpec *serving, ServingSide side);
double serving_gpus(const ServingSpec *serving);

/* Whether beginnings that prompts share are kept where they are read. */
int serving_keeps_prefixes(const ServingSpec *serving);

#endif
