#include "models/serving_side.h"

#include "configs/reader/serving_side_keys.h"

#include <string.h>

const char *const SERVING_SIDE_WORDS[SERVING_SIDES] = {"prefill", "decode"};

static const ServingSideSpec *side_of(const ServingSpec *serving, ServingSide side)
{
    return side == SIDE_PREFILL ? &serving->disaggregated.prefill : &serving->disaggregated.decode;
}

int serving_is_disaggregated(const ServingSpec *serving)
{
    return serving->disaggregated.prefill.replicas >= 1 &&
           serving->disaggregated.decode.replicas >= 1;
}

static double either(double own, double common)
{
    return own > 0 ? own : common;
}

#define TAKE_NUMBER(KEY, MEMBER, ...) serving->MEMBER = either(own->MEMBER, common->MEMBER);
#define TAKE_WORD(KEY, MEMBER, TYPE, ...)                                                          \
    serving->MEMBER = own->MEMBER == 0 ? common->MEMBER : (TYPE)((int)own->MEMBER - 1);

void serving_side_scenario(const Scenario *scenario, ServingSide side, Scenario *out)
{
    const ServingSpec *common = &scenario->serving;
    const ServingSideSpec *own = side_of(common, side);
    *out = *scenario;
    ServingSpec *serving = &out->serving;
    memset(&serving->disaggregated, 0, sizeof serving->disaggregated);
    serving->replicas = own->replicas;
    SIDE_NUMBERS(TAKE_NUMBER)
    SIDE_WORDS(TAKE_WORD)
    if (own->weight_precision != SIDE_PRECISION_AS_SERVING)
        serving->weights = own->weights;
    if (own->drafts == DRAFTS_NONE)
        serving->speculation.length = 0;
    serving->speculation.reads_delivered =
        side == SIDE_DECODE && common->disaggregated.prefill.drafts == DRAFTS_NONE;
    /* What the decode side keeps came from the other one. */
    if (side == SIDE_DECODE && own->prefix_cache == 0)
        serving->prefix_cache = 0;
}

double serving_side_replicas(const ServingSpec *serving, ServingSide side)
{
    return side_of(serving, side)->replicas;
}

double serving_side_gpus(const ServingSpec *serving, ServingSide side)
{
    const ServingSideSpec *own = side_of(serving, side);
    return either(own->tensor, serving->tensor) * either(own->pipeline, serving->pipeline);
}

double serving_gpus(const ServingSpec *serving)
{
    double gpus = 0;
    if (!serving_is_disaggregated(serving))
        return serving->tensor * serving->pipeline;
    for (int side = 0; side < SERVING_SIDES; side++)
        gpus += serving_side_replicas(serving, (ServingSide)side) *
                serving_side_gpus(serving, (ServingSide)side);
    return gpus;
}

int serving_keeps_prefixes(const ServingSpec *serving)
{
    const int own = serving->disaggregated.prefill.prefix_cache;
    return serving_is_disaggregated(serving) && own > 0 ? own - 1 : serving->prefix_cache;
}
