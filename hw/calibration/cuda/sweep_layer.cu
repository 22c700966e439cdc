/* Whole layers and their parts: each way to multiply is measured by name. The loads are what the
 * router really chose, under a bias that skews it, and stand in the points. */
#include "hw/calibration/cuda/bench.cuh"

#include <math.h>
#include <string.h>

/* Names as `calibrate` and its readers know them. */
const CudaSkew CUDA_SKEWS[] = {{"balanced", 0, 0},
                               {"zipf0.5", 0.5, 0},
                               {"zipf1.0", 1, 0},
                               {"zipf1.5", 1.5, 0},
                               {"one_empty", 0, 1}};

enum { PARTS_MAX = 3 };

/* Some stages of a plan, one behind the other. */
struct StageWork {
    MoeCudaPlan *plan;
    MoeCudaStage stages[PARTS_MAX];
};

static Status run_stages_of(Bench *bench, void *context, Error *error)
{
    const StageWork *const work = static_cast<const StageWork *>(context);
    (void)bench;
    for (int i = 0; i < PARTS_MAX && work->stages[i] != NULL; ++i)
        TRY(work->stages[i](work->plan, error));
    return STATUS_OK;
}

static Status run_forward(Bench *bench, void *context, Error *error)
{
    (void)bench;
    return moe_cuda_forward(static_cast<MoeCudaPlan *>(context), NULL, error);
}

static Status run_training(Bench *bench, void *context, Error *error)
{
    (void)bench;
    TRY(moe_cuda_forward(static_cast<MoeCudaPlan *>(context), NULL, error));
    return moe_cuda_backward(static_cast<MoeCudaPlan *>(context), NULL, error);
}

/* What a case's points share: sizes as numbers, loads, experts that got rows. */
struct CaseFacts {
    const CudaLayerCase *each;
    double tokens, rows, hidden, ffn, in_rows, experts, word, hit;
    unsigned loads[CAL_MAX_LOADS];
};

static CaseFacts facts_of(const CudaLayerCase *each)
{
    CaseFacts f = {};
    f.each = each;
    f.tokens = (double)each->tokens;
    f.rows = f.tokens * (double)each->top_k;
    f.hidden = (double)each->hidden;
    f.ffn = (double)each->ffn;
    f.in_rows = each->gated ? 2 * f.ffn : f.ffn;
    f.experts = (double)each->experts;
    f.word = (double)bench_element_bytes(each->dtype);
    return f;
}

static void put_loads(const CaseFacts *f, CalPoint *point)
{
    point->experts = f->experts;
    point->load_count = f->each->experts;
    memcpy(point->loads, f->loads, sizeof point->loads);
}

static CalPoint part_point(const CaseFacts *f, CalOp op, CalPass pass, const char *impl)
{
    CalPoint point = bench_point(op, pass, impl, f->each->dtype);
    point.role = f->each->role;
    point.cold = 1;
    snprintf(point.skew, sizeof point.skew, "%s", CUDA_SKEWS[f->each->skew].name);
    return point;
}

static Status measure_part(Bench *bench, MoeCudaPlan *plan, MoeCudaStage stage, CalPoint *point,
                           Error *error)
{
    StageWork work = {plan, {stage, NULL, NULL}};
    return bench_measure(bench, run_stages_of, &work, 1, point, error);
}

/* Parts without products of experts. */
static Status measure_moves(Bench *bench, MoeCudaPlan *plan, const CaseFacts *f, Error *error)
{
    static const MoeCudaStages NONE = {};
    const MoeCudaStages *const s = plan != NULL ? plan->stages : &NONE;
    StageWork router = {plan, {moe_stage_router, moe_stage_top_k, moe_stage_sort}};
    CalPoint point = part_point(f, CAL_ROUTER, CAL_FORWARD, "own");
    point.m = f->tokens, point.n = f->experts, point.k = f->hidden;
    point.top_k = (double)f->each->top_k;
    point.flops = 2 * f->tokens * f->experts * f->hidden;
    point.bytes = f->word * (f->tokens + f->experts) * f->hidden + 8 * f->tokens * f->experts;
    TRY(bench_measure(bench, run_stages_of, &router, 1, &point, error));

    point = part_point(f, CAL_SYNC, CAL_FORWARD, "cuda");
    point.experts = f->experts;
    point.bytes = 4 * (f->experts + 1);
    TRY(measure_part(bench, plan, moe_stage_sync, &point, error));

    point = part_point(f, CAL_PERMUTE, CAL_FORWARD, "own");
    point.m = f->rows, point.n = f->hidden, point.top_k = (double)f->each->top_k;
    point.bytes = f->word * (f->tokens + f->rows) * f->hidden;
    TRY(measure_part(bench, plan, s->permute, &point, error));

    point = part_point(f, CAL_ACTIVATION, CAL_FORWARD, "own");
    point.m = f->rows, point.n = f->ffn, point.gated = f->each->gated;
    point.bytes = f->word * f->rows * (f->in_rows + f->ffn);
    TRY(measure_part(bench, plan, s->activation, &point, error));
    point.pass = CAL_BACKWARD;
    point.bytes = f->word * f->rows * (2 * f->in_rows + f->ffn);
    TRY(measure_part(bench, plan, s->activation_backward, &point, error));

    point = part_point(f, CAL_COMBINE, CAL_FORWARD, "own");
    point.m = f->rows, point.n = f->hidden, point.top_k = (double)f->each->top_k;
    point.bytes = f->word * (f->rows + f->tokens) * f->hidden;
    TRY(measure_part(bench, plan, s->combine, &point, error));
    point.pass = CAL_BACKWARD;
    point.bytes = f->word * (2 * f->rows + f->tokens) * f->hidden;
    return measure_part(bench, plan, s->combine_backward, &point, error);
}

/* The products, forward and of both gradients, with the weights in and out. */
static Status measure_products(Bench *bench, MoeCudaPlan *plan, const CaseFacts *f,
                               const char *impl, Error *error)
{
    static const MoeCudaStages NONE = {};
    const MoeCudaStages *const s = plan != NULL ? plan->stages : &NONE;
    const struct {
        MoeCudaStage stage;
        CalPass pass;
        double n, k;
    } products[] = {
        {s->gemm_in, CAL_FORWARD, f->in_rows, f->hidden},
        {s->gemm_out, CAL_FORWARD, f->hidden, f->ffn},
        {s->gemm_in_dgrad, CAL_DGRAD, f->hidden, f->in_rows},
        {s->gemm_out_dgrad, CAL_DGRAD, f->ffn, f->hidden},
        {s->gemm_in_wgrad, CAL_WGRAD, f->in_rows, f->hidden},
        {s->gemm_out_wgrad, CAL_WGRAD, f->hidden, f->ffn},
    };
    for (size_t i = 0; i < sizeof products / sizeof products[0]; ++i)
        for (int cold = 1; cold >= 0; --cold) {
            if (!cold && products[i].pass != CAL_FORWARD)
                continue;
            CalPoint point = part_point(f, CAL_MOE_GEMM, products[i].pass, impl);
            put_loads(f, &point);
            point.cold = cold;
            point.m = f->rows, point.n = products[i].n, point.k = products[i].k;
            point.flops = 2 * f->rows * point.n * point.k;
            point.bytes = f->word * (f->hit * point.n * point.k + f->rows * (point.n + point.k));
            TRY(measure_part(bench, plan, products[i].stage, &point, error));
        }
    return STATUS_OK;
}

/* Never fitted: what the fit of the parts is held against. */
static Status measure_whole(Bench *bench, MoeCudaPlan *plan, const CaseFacts *f, const char *impl,
                            Error *error)
{
    const double matrices = (f->in_rows + f->ffn) * f->hidden;
    for (int training = 0; training <= 1; ++training) {
        const double times = training ? 3 : 1;
        CalPoint point = part_point(f, CAL_LAYER, training ? CAL_TRAINING : CAL_FORWARD, impl);
        put_loads(f, &point);
        point.role = CAL_CHECK;
        point.m = f->tokens, point.n = f->ffn, point.k = f->hidden;
        point.top_k = (double)f->each->top_k, point.gated = f->each->gated;
        point.flops = 2 * f->rows * matrices * times;
        point.bytes = f->word * (f->hit * matrices * times + 2 * f->tokens * f->hidden);
        TRY(bench_measure(bench, training ? run_training : run_forward, plan, 1, &point, error));
    }
    return STATUS_OK;
}

/* Random inputs made on the device, and a bias that spreads the choice as the skew says. */
static Status fill_inputs(Bench *bench, MoeCudaPlan *plan, const CudaSkew *skew, Error *error)
{
    const MoeShape *const s = &plan->shape;
    float bias[MOE_MAX_EXPERTS];
    /* Logits of unit variance: two uniform factors have a variance of 1/3 each. */
    const double router_scale = 3 / sqrt((double)s->hidden);
    TRY(bench_fill(bench, s->dtype, plan->x, s->tokens * s->hidden, 1, error));
    TRY(bench_fill(bench, s->dtype, plan->dy, s->tokens * s->hidden, 1, error));
    TRY(bench_fill(bench, s->dtype, plan->router, s->experts * s->hidden, router_scale, error));
    TRY(bench_fill(bench, s->dtype, plan->w_in, moe_w_in_elements(s), 1.7 / sqrt((double)s->hidden),
                   error));
    TRY(bench_fill(bench, s->dtype, plan->w_out, moe_w_out_elements(s), 1.7 / sqrt((double)s->ffn),
                   error));
    for (size_t e = 0; e < s->experts; ++e)
        bias[e] = (float)(-skew->exponent * log((double)e + 1));
    if (skew->one_empty)
        bias[s->experts - 1] = -1e6F;
    CUDA_TRY(cudaMemcpyAsync(plan->bias, bias, s->experts * sizeof(float), cudaMemcpyHostToDevice,
                             bench->stream));
    CUDA_TRY(cudaStreamSynchronize(bench->stream));
    plan->has_dy = 1;
    return STATUS_OK;
}

/* Runs everything once, so that each part alone finds its inputs; reads the loads. */
static Status prepare_case(Bench *bench, MoeCudaPlan *plan, CaseFacts *f, Error *error)
{
    TRY(fill_inputs(bench, plan, &CUDA_SKEWS[f->each->skew], error));
    TRY(run_training(bench, plan, error));
    TRY(moe_cuda_wait(plan, error));
    for (size_t e = 0; e < f->each->experts; ++e) {
        f->loads[e] = plan->host_first_row[e + 1] - plan->host_first_row[e];
        f->hit += f->loads[e] > 0;
    }
    return STATUS_OK;
}

static Status measure_case(Bench *bench, MoeCudaPlan *plan, CaseFacts *f, Error *error)
{
    if (plan != NULL) {
        BLAS_TRY(cublasSetStream(plan->blas, bench->stream));
        BLAS_TRY(cublasSetWorkspace(plan->blas, plan->workspace, MOE_BLAS_WORKSPACE_BYTES));
        TRY(prepare_case(bench, plan, f, error));
    }
    TRY(measure_moves(bench, plan, f, error));
    for (int gemm = 0; gemm < MOE_CUDA_GEMMS; ++gemm) {
        if (plan != NULL)
            plan->gemm = (MoeCudaGemm)gemm;
        TRY(measure_products(bench, plan, f, MOE_CUDA_GEMM_NAMES[gemm], error));
        TRY(measure_whole(bench, plan, f, MOE_CUDA_GEMM_NAMES[gemm], error));
    }
    return STATUS_OK;
}

Status sweep_layers(Bench *bench, Error *error)
{
    for (size_t i = 0; i < bench->sweep->layer_count; ++i) {
        const CudaLayerCase *const each = &bench->sweep->layers[i];
        CaseFacts facts = facts_of(each);
        MoeCudaPlan *plan = NULL;
        MoeShape shape = {};
        shape.tokens = each->tokens, shape.hidden = each->hidden, shape.ffn = each->ffn;
        shape.experts = each->experts, shape.top_k = each->top_k, shape.gated = each->gated;
        shape.aux_weight = 0.01, shape.dtype = each->dtype;
        if (!bench->counting)
            TRY(moe_cuda_plan(&shape, MOE_CUDA_OWN, &plan, error));
        /* One stream for the while, so that the events stand around the plan's work. */
        cudaStream_t own = NULL;
        if (plan != NULL) {
            own = plan->stream;
            plan->stream = bench->stream;
        }
        const Status status = measure_case(bench, plan, &facts, error);
        if (plan != NULL)
            plan->stream = own;
        moe_cuda_plan_free(plan);
        TRY(status);
    }
    return STATUS_OK;
}
