/* Whole layers: their own time is never fitted. Those of the role fit give the points of their
 * stages, which is what the time of any layer is put together from; those of the role check have a
 * shape that no fitted point has. */
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

/* Inputs of a layer and the times of its stages in the samples that were kept. */
typedef struct LayerWork {
    MoeCpuPlan *plan;
    MoeInputs inputs;
    MoeStageTimes last, kept[SAMPLER_MOST];
    size_t kept_count;
    int failed;
} LayerWork;

static void run_layer(void *context, size_t turn)
{
    LayerWork *work = context;
    Error error;
    (void)turn;
    if (moe_cpu_compute(work->plan, &work->inputs, &work->last, &error) != STATUS_OK)
        work->failed = 1;
}

static void keep_stages(void *context, size_t sample)
{
    LayerWork *work = context;
    work->kept[sample] = work->last;
    work->kept_count = sample + 1;
}

size_t sweep_layer_count(int quick)
{
    return 2 * (quick ? sizeof CASES_QUICK : sizeof CASES) / sizeof CASES[0];
}

/* Median and spread of a sum of stages over the samples kept. */
static void stage_statistics(const LayerWork *work, const MoeStage *stages, size_t count,
                             CalPoint *point)
{
    double samples_us[SAMPLER_MOST];
    for (size_t i = 0; i < work->kept_count; ++i) {
        samples_us[i] = 0;
        for (size_t s = 0; s < count; ++s)
            samples_us[i] += 1e6 * work->kept[i].seconds[stages[s]];
    }
    cal_statistics(samples_us, work->kept_count, point);
}

static void write_stage(Sampler *sampler, const LayerWork *work, const MoeStage *stages,
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

static void write_products(Sampler *sampler, const LayerWork *work, const LayerCase *each,
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

static void write_stages(Sampler *sampler, const LayerWork *work, const LayerCase *each,
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

/* Forward, or forward and backward when the inputs have a gradient. */
static void measure_layer(Sampler *sampler, LayerWork *work, const LayerCase *each)
{
    size_t copies[MOE_MAX_EXPERTS] = {0};
    const int training = work->inputs.dy != NULL;
    const double width = (double)each->hidden, ffn = (double)each->ffn;
    const double matrices = each->gated ? 3 : 2;
    CalPoint point = sweep_point(CAL_LAYER, training ? CAL_TRAINING : CAL_FORWARD, "openblas");
    work->kept_count = 0;
    const int sound = sampler_measure(sampler, run_layer, keep_stages, work, &point);
    MoeOutputs loads = {.copies_of = copies};
    moe_cpu_outputs(work->plan, 0, &loads);
    const double hit = put_loads(&point, copies, each->experts);
    const double products = point.m * matrices * width * ffn;
    point.role = each->role;
    point.cold = 1;
    snprintf(point.skew, sizeof point.skew, "%s", SKEWS[each->skew].name);
    point.flops = 2 * products * (training ? 3 : 1);
    point.bytes = (double)sizeof(float) * (hit * matrices * width * ffn * (training ? 3 : 1) +
                                           2 * (double)each->tokens * width);
    point.m = (double)each->tokens, point.n = ffn, point.k = width;
    point.top_k = (double)each->top_k, point.gated = each->gated;
    if (sound && !work->failed) {
        sampler_write(sampler, &point);
        if (!training && each->role == CAL_FIT)
            write_stages(sampler, work, each, copies);
    }
    char what[CAL_NAME_BYTES];
    snprintf(what, sizeof what, "layer of %zu tokens %s", each->tokens, CAL_PASS_NAMES[point.pass]);
    sampler_progress(sampler, what);
}

static void scale_all(float *values, size_t count, float scale)
{
    for (size_t i = 0; i < count; ++i)
        values[i] *= scale;
}

static int measure_case(Sampler *sampler, const LayerCase *each, uint64_t *state)
{
    const MoeShape shape = {.tokens = each->tokens,
                            .hidden = each->hidden,
                            .ffn = each->ffn,
                            .experts = each->experts,
                            .top_k = each->top_k,
                            .gated = each->gated};
    const LoadSkew *skew = &SKEWS[each->skew];
    float *x = sweep_floats(shape.tokens * shape.hidden, state);
    float *router = sweep_floats(shape.experts * shape.hidden, state);
    float *w_in = sweep_floats(moe_w_in_elements(&shape), state);
    float *w_out = sweep_floats(moe_w_out_elements(&shape), state);
    float *dy = sweep_floats(shape.tokens * shape.hidden, state);
    float bias[MOE_MAX_EXPERTS];
    LayerWork *work = calloc(1, sizeof *work);
    Error error;
    int failed = x == NULL || router == NULL || w_in == NULL || w_out == NULL || dy == NULL ||
                 work == NULL || moe_cpu_plan(&shape, sampler->threads, &work->plan, &error) != 0;
    if (!failed) {
        /* Logits, hidden and output values of unit size: two uniform factors have a variance of 1/3
         * each. At larger ones the activation gives denormal numbers, which are multiplied several
         * times slower than any that a trained layer has. */
        const float scale = 3.0F / sqrtf((float)shape.hidden);
        scale_all(router, shape.experts * shape.hidden, scale);
        scale_all(w_in, moe_w_in_elements(&shape), scale);
        scale_all(w_out, moe_w_out_elements(&shape), 3.0F / sqrtf((float)shape.ffn));
        for (size_t e = 0; e < shape.experts; ++e)
            bias[e] = (float)(-skew->exponent * log((double)e + 1));
        if (skew->one_empty)
            bias[shape.experts - 1] = -1e6F;
        work->inputs = (MoeInputs){
            .x = x, .router = router, .router_bias = bias, .w_in = w_in, .w_out = w_out};
        measure_layer(sampler, work, each);
        work->inputs.dy = dy;
        measure_layer(sampler, work, each);
    }
    if (work != NULL)
        moe_cpu_plan_free(work->plan);
    free(work);
    free(x), free(router), free(w_in), free(w_out), free(dy);
    return failed ? -1 : 0;
}

int sweep_layers(Sampler *sampler, uint64_t seed)
{
    const LayerCase *cases = sampler->quick ? CASES_QUICK : CASES;
    const size_t count = sweep_layer_count(sampler->quick) / 2;
    uint64_t state = seed;
    int status = 0;
    for (size_t i = 0; i < count && status == 0; ++i)
        status = measure_case(sampler, &cases[i], &state);
    return status;
}
