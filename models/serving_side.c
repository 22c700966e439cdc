#include "models/serving_side.h"

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

static Precision precision_of(SidePrecision own, Precision common)
{
    return own == SIDE_PRECISION_AS_SERVING ? common : (Precision)((int)own - SIDE_PRECISION_FIRST);
}

void serving_side_scenario(const Scenario *scenario, ServingSide side, Scenario *out)
{
    const ServingSpec *common = &scenario->serving;
    const ServingSideSpec *own = side_of(common, side);
    *out = *scenario;
    ServingSpec *serving = &out->serving;
    memset(&serving->disaggregated, 0, sizeof serving->disaggregated);
    serving->replicas = own->replicas;
    serving->tensor = either(own->tensor, common->tensor);
    serving->pipeline = either(own->pipeline, common->pipeline);
    serving->expert = either(own->expert, common->expert);
    serving->attention_data = either(own->attention_data, common->attention_data);
    serving->max_batch = either(own->max_batch, common->max_batch);
    serving->prefill_chunk_tokens = either(own->prefill_chunk_tokens, common->prefill_chunk_tokens);
    serving->iteration_tokens = either(own->iteration_tokens, common->iteration_tokens);
    serving->weight_precision = precision_of(own->weight_precision, common->weight_precision);
    serving->kv_precision = precision_of(own->kv_precision, common->kv_precision);
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
