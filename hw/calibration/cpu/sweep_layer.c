/* Whole layers: their own time is never fitted. Those of the role fit give the points of their
 * stages, which is what the time of any layer is put together from; those of the role check have a
 * shape that no fitted point has.
 *
 * All layers are measured in turn, several rounds, so that what else the machine does meets all of
 * them alike; and their weights are taken from so many copies that no layer finds its own in a
 * cache, or a small layer would say of a large one what is not so. */
#include "hw/calibration/cpu/moe_cpu.h"
#include "hw/calibration/cpu/sweep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How a router's bias spreads the load: popularity of expert e as (e + 1)^-exponent. */
typedef struct LoadSkew {
    const char *name;
    double exponent;
    int one_empty; /* the last expert gets nothing */
} LoadSkew;

static const LoadSkew SKEWS[] = {{"balanced", 0, 0},
                                 {"zipf0.5", 0.5, 0},
                                 {"zipf1.0", 1, 0},
                                 {"zipf1.5", 1.5, 0},
                                 {"one_empty", 0, 1}};
enum { BALANCED, ZIPF_HALF, ZIPF_ONE, ZIPF_STEEP, ONE_EMPTY };

typedef struct LayerCase {
    size_t hidden, ffn, experts, top_k;
    int gated;
    size_t tokens;
    int skew;
    CalRole role; /* of the stages */
} LayerCase;

/* Two shapes are fitted; a third, with other widths, other tokens and another number of experts, is
 * only ever predicted. */
static const LayerCase CASES[] = {
    {1024, 1792, 16, 2, 1, 16, BALANCED, CAL_FIT},
    {1024, 1792, 16, 2, 1, 64, ZIPF_ONE, CAL_FIT},
    {1024, 1792, 16, 2, 1, 256, BALANCED, CAL_FIT},
    {1024, 1792, 16, 2, 1, 256, ZIPF_STEEP, CAL_FIT},
    {1024, 1792, 16, 2, 1, 1024, ONE_EMPTY, CAL_FIT},
    {512, 1024, 8, 2, 0, 8, BALANCED, CAL_FIT},
    {512, 1024, 8, 2, 0, 64, ZIPF_HALF, CAL_FIT},
    {512, 1024, 8, 2, 0, 512, BALANCED, CAL_FIT},
    {512, 1024, 8, 2, 0, 2048, ZIPF_ONE, CAL_FIT},
    {768, 1536, 12, 3, 1, 24, ZIPF_ONE, CAL_CHECK},
    {768, 1536, 12, 3, 1, 96, BALANCED, CAL_CHECK},
    {768, 1536, 12, 3, 1, 384, ZIPF_HALF, CAL_CHECK},
    {768, 1536, 12, 3, 1, 768, ZIPF_STEEP, CAL_CHECK},
};
static const LayerCase CASES_QUICK[] = {
    {512, 1024, 8, 2, 1, 8, BALANCED, CAL_FIT},      {512, 1024, 8, 2, 1, 48, ZIPF_ONE, CAL_FIT},
    {512, 1024, 8, 2, 1, 96, ONE_EMPTY, CAL_FIT},    {1024, 1152, 4, 1, 1, 16, BALANCED, CAL_FIT},
    {1024, 1152, 4, 1, 1, 64, ZIPF_HALF, CAL_FIT},   {768, 1024, 6, 2, 1, 24, ZIPF_HALF, CAL_CHECK},
    {768, 1024, 6, 2, 1, 64, ZIPF_STEEP, CAL_CHECK},
};

enum { LAYER_ROUNDS = 3, PASSES = 2 };

/* One pass of a layer: its samples, and the times of its stages in them. */
typedef struct LayerSamples {
    SampleSet set;
    MoeStageTimes kept[SAMPLER_MOST];
} LayerSamples;

/* What all rounds give of one layer, forward and training. */
typedef struct LayerResult {
    LayerSamples passes[PASSES];
    size_t copies[MOE_MAX_EXPERTS]; /* of tokens, by expert */
    int failed;
} LayerResult;

/* A layer that is being measured. */
typedef struct LayerWork {
    MoeCpuPlan *plan;
    MoeInputs inputs;
    const float *w_in, *w_out; /* [weight_copies] of each */
    size_t in_elements, out_elements, weight_copies;
    MoeStageTimes last;
    LayerSamples *samples;
    int failed;
} LayerWork;

static void run_layer(void *context, size_t turn)
{
    LayerWork *work = context;
    Error error;
    work->inputs.w_in = work->w_in + turn % work->weight_copies * work->in_elements;
    work->inputs.w_out = work->w_out + turn % work->weight_copies * work->out_elements;
    if (moe_cpu_compute(work->plan, &work->inputs, &work->last, &error) != STATUS_OK)
        work->failed = 1;
}

static void keep_stages(void *context, size_t sample)
{
    LayerWork *work = context;
    work->samples->kept[sample] = work->last;
}

static size_t case_count(int quick)
{
    return (quick ? sizeof CASES_QUICK : sizeof CASES) / sizeof CASES[0];
}

size_t sweep_layer_count(int quick)
{
    return LAYER_ROUNDS * PASSES * case_count(quick);
}

/* Median and spread of a sum of stages over the samples kept. */
static void stage_statistics(const LayerSamples *work, const MoeStage *stages, size_t count,
                             CalPoint *point)
{
    double samples_us[SAMPLER_MOST];
    for (size_t i = 0; i < work->set.kept; ++i) {
        samples_us[i] = 0;
        for (size_t s = 0; s < count; ++s)
            samples_us[i] += 1e6 * work->kept[i].seconds[stages[s]];
    }
    cal_statistics(samples_us, work->set.kept, point);
}

static void write_stage(Sampler *sampler, const LayerSamples *work, const MoeStage *stages,
                        size_t count, CalPoint *point)
{
    stage_statistics(work, stages, count, point);
    if (point->us_med > 0)
        sampler_write(sampler, point);
}

/* Loads of the experts, and how many got any. */
static double put_loads(CalPoint *point, const size_t *copies, size_t experts)
{
    double rows = 0, hit = 0;
    point->load_count = experts;
    for (size_t e = 0; e < experts; ++e) {
        point->loads[e] = (unsigned)copies[e];
        rows += (double)copies[e];
        hit += copies[e] > 0;
    }
    point->m = rows;
    point->experts = (double)experts;
    return hit;
}

static void write_products(Sampler *sampler, const LayerSamples *work, const LayerCase *each,
                           const size_t *copies, MoeStage stage, double n, double k)
{
    CalPoint point = sweep_point(CAL_MOE_GEMM, CAL_FORWARD, "openblas");
    point.role = each->role;
    point.cold = 1;
    snprintf(point.skew, sizeof point.skew, "%s", SKEWS[each->skew].name);
    const double hit = put_loads(&point, copies, each->experts);
    point.n = n, point.k = k;
    point.flops = 2 * point.m * n * k;
    point.bytes = (double)sizeof(float) * (hit * n * k + point.m * (n + k));
    write_stage(sampler, work, &stage, 1, &point);
}

static void write_stages(Sampler *sampler, const LayerSamples *work, const LayerCase *each,
                         const size_t *copies)
{
    static const MoeStage ROUTER[] = {MOE_STAGE_ROUTER, MOE_STAGE_TOP_K, MOE_STAGE_SORT};
    static const MoeStage PERMUTE = MOE_STAGE_PERMUTE, ACTIVATION = MOE_STAGE_ACTIVATION,
                          COMBINE = MOE_STAGE_COMBINE;
    const double word = sizeof(float), tokens = (double)each->tokens, width = (double)each->hidden;
    const double experts = (double)each->experts, ffn = (double)each->ffn;
    const double rows = tokens * (double)each->top_k;

    CalPoint point = sweep_point(CAL_ROUTER, CAL_FORWARD, "openblas");
    point.role = each->role;
    point.m = tokens, point.n = experts, point.k = width, point.top_k = (double)each->top_k;
    point.flops = 2 * tokens * experts * width;
    point.bytes = word * (tokens * width + experts * width + 2 * tokens * experts);
    write_stage(sampler, work, ROUTER, 3, &point);

    point = sweep_point(CAL_PERMUTE, CAL_FORWARD, "openmp");
    point.role = each->role;
    point.m = rows, point.n = width, point.top_k = (double)each->top_k;
    point.bytes = word * (tokens + rows) * width;
    write_stage(sampler, work, &PERMUTE, 1, &point);

    point = sweep_point(CAL_ACTIVATION, CAL_FORWARD, each->gated ? "openmp_silu" : "openmp_gelu");
    point.role = each->role;
    point.m = rows, point.n = ffn, point.gated = each->gated;
    point.bytes = word * (each->gated ? 3 : 2) * rows * ffn;
    write_stage(sampler, work, &ACTIVATION, 1, &point);

    point = sweep_point(CAL_COMBINE, CAL_FORWARD, "openmp");
    point.role = each->role;
    point.m = rows, point.n = width, point.top_k = (double)each->top_k;
    point.bytes = word * (rows + tokens) * width;
    write_stage(sampler, work, &COMBINE, 1, &point);

    write_products(sampler, work, each, copies, MOE_STAGE_GEMM_IN, (each->gated ? 2 : 1) * ffn,
                   width);
    write_products(sampler, work, each, copies, MOE_STAGE_GEMM_OUT, width, ffn);
}

/* The point of a whole layer in one pass, and those of its stages. */
static void write_layer(Sampler *sampler, LayerResult *result, const LayerCase *each, int training)
{
    LayerSamples *samples = &result->passes[training];
    const double width = (double)each->hidden, ffn = (double)each->ffn;
    const double matrices = each->gated ? 3 : 2;
    CalPoint point = sweep_point(CAL_LAYER, training ? CAL_TRAINING : CAL_FORWARD, "openblas");
    if (!sampler_finish(sampler, &samples->set, &point) || result->failed)
        return;
    const double hit = put_loads(&point, result->copies, each->experts);
    const double products = point.m * matrices * width * ffn;
    point.role = each->role;
    point.cold = 1;
    snprintf(point.skew, sizeof point.skew, "%s", SKEWS[each->skew].name);
    point.flops = 2 * products * (training ? 3 : 1);
    point.bytes = (double)sizeof(float) * (hit * matrices * width * ffn * (training ? 3 : 1) +
                                           2 * (double)each->tokens * width);
    point.m = (double)each->tokens, point.n = ffn, point.k = width;
    point.top_k = (double)each->top_k, point.gated = each->gated;
    sampler_write(sampler, &point);
    if (!training && each->role == CAL_FIT)
        write_stages(sampler, samples, each, result->copies);
}

static void scale_all(float *values, size_t count, float scale)
{
    for (size_t i = 0; i < count; ++i)
        values[i] *= scale;
}

/* One round of one layer, both passes. */
static int measure_case(Sampler *sampler, const LayerCase *each, uint64_t seed, LayerResult *result)
{
    const MoeShape shape = {.tokens = each->tokens,
                            .hidden = each->hidden,
                            .ffn = each->ffn,
                            .experts = each->experts,
                            .top_k = each->top_k,
                            .gated = each->gated};
    const LoadSkew *skew = &SKEWS[each->skew];
    LayerWork work = {.in_elements = moe_w_in_elements(&shape),
                      .out_elements = moe_w_out_elements(&shape)};
    work.weight_copies = 1 + sweep_rotated_bytes(sampler->quick) /
                                 (sizeof(float) * (work.in_elements + work.out_elements));
    const size_t stream = shape.tokens * shape.hidden, in = work.weight_copies * work.in_elements;
    const size_t out = work.weight_copies * work.out_elements;
    float *x = sweep_floats(stream, &seed), *dy = sweep_floats(stream, &seed);
    float *router = sweep_floats(shape.experts * shape.hidden, &seed);
    float *w_in = sweep_floats(in, &seed), *w_out = sweep_floats(out, &seed);
    float bias[MOE_MAX_EXPERTS];
    Error error;
    const int failed = x == NULL || dy == NULL || router == NULL || w_in == NULL || w_out == NULL ||
                       moe_cpu_plan(&shape, sampler->threads, &work.plan, &error) != 0;
    if (!failed) {
        /* Logits, hidden and output values of unit size: two uniform factors have a variance of 1/3
         * each. At larger ones the activation gives denormal numbers, which are multiplied several
         * times slower than any that a trained layer has. */
        const float scale = 3.0F / sqrtf((float)shape.hidden);
        scale_all(router, shape.experts * shape.hidden, scale);
        scale_all(w_in, in, scale);
        scale_all(w_out, out, 3.0F / sqrtf((float)shape.ffn));
        for (size_t e = 0; e < shape.experts; ++e)
            bias[e] = (float)(-skew->exponent * log((double)e + 1));
        if (skew->one_empty)
            bias[shape.experts - 1] = -1e6F;
        work.inputs = (MoeInputs){.x = x, .router = router, .router_bias = bias};
        work.w_in = w_in;
        work.w_out = w_out;
    }
    for (int training = 0; training < PASSES && !failed; ++training) {
        char what[CAL_NAME_BYTES];
        work.samples = &result->passes[training];
        work.inputs.dy = training ? dy : NULL;
        sampler_collect(sampler, run_layer, keep_stages, &work, LAYER_ROUNDS, &work.samples->set);
        snprintf(what, sizeof what, "layer of %zu tokens %s", each->tokens,
                 CAL_PASS_NAMES[training ? CAL_TRAINING : CAL_FORWARD]);
        sampler_progress(sampler, what);
    }
    if (!failed) {
        MoeOutputs loads = {.copies_of = result->copies};
        moe_cpu_outputs(work.plan, 0, &loads);
        result->failed |= work.failed;
    }
    moe_cpu_plan_free(work.plan);
    free(x), free(router), free(w_in), free(w_out), free(dy);
    return failed ? -1 : 0;
}

int sweep_layers(Sampler *sampler, uint64_t seed)
{
    const LayerCase *cases = sampler->quick ? CASES_QUICK : CASES;
    const size_t count = case_count(sampler->quick);
    LayerResult *results = calloc(count, sizeof *results);
    int status = results != NULL ? 0 : -1;
    for (int round = 0; round < LAYER_ROUNDS; ++round)
        for (size_t i = 0; i < count && status == 0; ++i)
            status = measure_case(sampler, &cases[i], seed + i, &results[i]);
    for (size_t i = 0; i < count && status == 0; ++i)
        for (int training = 0; training < PASSES; ++training)
            write_layer(sampler, &results[i], &cases[i], training);
    free(results);
    return status;
}
