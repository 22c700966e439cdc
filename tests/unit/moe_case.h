/* A random layer for tests: shape, inputs that its dtype holds, room for the outputs. */
#ifndef TESTS_UNIT_MOE_CASE_H
#define TESTS_UNIT_MOE_CASE_H

#include "hw/calibration/moe_layer.h"
#include "sim/engine/random.h"

#include <math.h>
#include <stdlib.h>

typedef struct MoeCase {
    MoeShape shape;
    float *x, *router, *bias, *w_in, *w_out, *dy;
    MoeInputs inputs;
    MoeOutputs outputs;
} MoeCase;

static inline float *moe_case_floats(RandomStream *random, size_t count, double scale,
                                     MoeDtype dtype)
{
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < count; ++i)
        values[i] = moe_round_to_dtype((float)(scale * (2 * random_uniform(random) - 1)), dtype);
    return values;
}

static inline double *moe_case_doubles(size_t count)
{
    double *values = malloc(count * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < count; ++i)
        values[i] = nan(""); /* what is not written shows */
    return values;
}

static inline void moe_case_outputs(const MoeShape *shape, MoeOutputs *outputs)
{
    const size_t copies = shape->tokens * shape->top_k, stream = shape->tokens * shape->hidden;
    *outputs = (MoeOutputs){
        .y = moe_case_doubles(stream),
        .dx = moe_case_doubles(stream),
        .d_router = moe_case_doubles(shape->experts * shape->hidden),
        .d_w_in = moe_case_doubles(moe_w_in_elements(shape)),
        .d_w_out = moe_case_doubles(moe_w_out_elements(shape)),
        .expert_of = calloc(copies, sizeof(uint32_t)),
        .weight_of = moe_case_doubles(copies),
        .copies_of = calloc(shape->experts, sizeof(size_t)),
    };
    assert_non_null(outputs->expert_of);
    assert_non_null(outputs->copies_of);
}

static inline void moe_case_make(MoeCase *layer, MoeShape shape, unsigned long long seed)
{
    RandomStream random = random_stream(seed, "moe layer", 0);
    const double depth = 1.7 / sqrt((double)shape.hidden);
    layer->shape = shape;
    layer->x = moe_case_floats(&random, shape.tokens * shape.hidden, 1, shape.dtype);
    layer->router = moe_case_floats(&random, shape.experts * shape.hidden, depth, shape.dtype);
    layer->bias = moe_case_floats(&random, shape.experts, 0.3, shape.dtype);
    layer->w_in = moe_case_floats(&random, moe_w_in_elements(&shape), depth, shape.dtype);
    layer->w_out = moe_case_floats(&random, moe_w_out_elements(&shape),
                                   1.7 / sqrt((double)shape.ffn), shape.dtype);
    layer->dy = moe_case_floats(&random, shape.tokens * shape.hidden, 1, shape.dtype);
    layer->inputs =
        (MoeInputs){layer->x, layer->router, layer->bias, layer->w_in, layer->w_out, layer->dy};
    moe_case_outputs(&shape, &layer->outputs);
}

static inline void moe_outputs_free(MoeOutputs *outputs)
{
    free(outputs->y);
    free(outputs->dx);
    free(outputs->d_router);
    free(outputs->d_w_in);
    free(outputs->d_w_out);
    free(outputs->expert_of);
    free(outputs->weight_of);
    free(outputs->copies_of);
}

static inline void moe_case_free(MoeCase *layer)
{
    free(layer->x);
    free(layer->router);
    free(layer->bias);
    free(layer->w_in);
    free(layer->w_out);
    free(layer->dy);
    moe_outputs_free(&layer->outputs);
}

#endif
