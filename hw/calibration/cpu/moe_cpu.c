#include "hw/calibration/cpu/moe_cpu.h"

#include <cblas.h>
#include <limits.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Rows of the permuted buffers stand by expert, and inside an expert in the order of t * k + j. */
static const size_t DROPPED = SIZE_MAX;

struct MoeCpuPlan {
    MoeShape shape;
    int threads;
    float *logits;         /* [T, E]; then their gradients */
    float *probabilities;  /* [T, E] */
    uint32_t *expert_of;   /* [T, k] */
    float *weight_of;      /* [T, k] */
    float *d_weight_of;    /* [T, k] */
    size_t *row_of;        /* [T, k]: row in the permuted buffers, or DROPPED */
    size_t *copy_of;       /* [rows]: t * k + j */
    size_t *copies_of;     /* [E] before drops */
    size_t *first_row;     /* [E + 1] */
    size_t *largest_first; /* [E]: experts by falling load, so that threads end together */
    double *share;         /* [E]: mean probability */
    double aux_loss;
    size_t dropped;
    float *rows_in;  /* [rows, D] */
    float *pre;      /* [rows, F or 2 F] */
    float *hidden;   /* [rows, F] */
    float *rows_out; /* [rows, D], unweighted */
    float *y;        /* [T, D] */
    /* gradients */
    float *d_rows_out, *d_hidden, *d_pre, *d_rows_in, *dx, *d_router, *d_w_in, *d_w_out;
};

void moe_cpu_plan_free(MoeCpuPlan *plan)
{
    if (plan == NULL)
        return;
    void *const buffers[] = {
        plan->logits, plan->probabilities, plan->expert_of, plan->weight_of, plan->d_weight_of,
        plan->row_of, plan->copy_of,       plan->copies_of, plan->first_row, plan->largest_first,
        plan->share,  plan->rows_in,       plan->pre,       plan->hidden,    plan->rows_out,
        plan->y,      plan->d_rows_out,    plan->d_hidden,  plan->d_pre,     plan->d_rows_in,
        plan->dx,     plan->d_router,      plan->d_w_in,    plan->d_w_out,
    };
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; ++i)
        free(buffers[i]);
    free(plan);
}

typedef struct BufferNeed {
    void **place;
    size_t count, bytes;
} BufferNeed;

/* Rows that the experts take together: all copies, or what the capacities let through. */
static size_t row_limit(const MoeShape *shape)
{
    const size_t copies = shape->tokens * shape->top_k;
    const size_t capacity = moe_capacity(shape);
    return capacity <= copies / shape->experts ? capacity * shape->experts : copies;
}

static Status allocate(MoeCpuPlan *plan, Error *error)
{
    const MoeShape *shape = &plan->shape;
    const size_t copies = shape->tokens * shape->top_k, rows = row_limit(shape);
    const size_t pairs = shape->tokens * shape->experts, stream = shape->tokens * shape->hidden;
    const size_t in = rows * moe_w_in_rows(shape), router = shape->experts * shape->hidden;
    const BufferNeed needs[] = {
        {(void **)&plan->logits, pairs, sizeof(float)},
        {(void **)&plan->probabilities, pairs, sizeof(float)},
        {(void **)&plan->expert_of, copies, sizeof(uint32_t)},
        {(void **)&plan->weight_of, copies, sizeof(float)},
        {(void **)&plan->d_weight_of, copies, sizeof(float)},
        {(void **)&plan->row_of, copies, sizeof(size_t)},
        {(void **)&plan->copy_of, rows, sizeof(size_t)},
        {(void **)&plan->copies_of, shape->experts, sizeof(size_t)},
        {(void **)&plan->first_row, shape->experts + 1, sizeof(size_t)},
        {(void **)&plan->largest_first, shape->experts, sizeof(size_t)},
        {(void **)&plan->share, shape->experts, sizeof(double)},
        {(void **)&plan->rows_in, rows * shape->hidden, sizeof(float)},
        {(void **)&plan->pre, in, sizeof(float)},
        {(void **)&plan->hidden, rows * shape->ffn, sizeof(float)},
        {(void **)&plan->rows_out, rows * shape->hidden, sizeof(float)},
        {(void **)&plan->y, stream, sizeof(float)},
        {(void **)&plan->d_rows_out, rows * shape->hidden, sizeof(float)},
        {(void **)&plan->d_hidden, rows * shape->ffn, sizeof(float)},
        {(void **)&plan->d_pre, in, sizeof(float)},
        {(void **)&plan->d_rows_in, rows * shape->hidden, sizeof(float)},
        {(void **)&plan->dx, stream, sizeof(float)},
        {(void **)&plan->d_router, router, sizeof(float)},
        {(void **)&plan->d_w_in, moe_w_in_elements(shape), sizeof(float)},
        {(void **)&plan->d_w_out, moe_w_out_elements(shape), sizeof(float)},
    };
    double bytes = 0;
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; ++i)
        bytes += (double)needs[i].count * (double)needs[i].bytes;
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; ++i)
        if ((*needs[i].place = calloc(needs[i].count, needs[i].bytes)) == NULL)
            return error_set(error, STATUS_ENVIRONMENT, "out of memory for a layer of %.3g bytes",
                             bytes);
    return STATUS_OK;
}

Status moe_cpu_plan(const MoeShape *shape, int threads, MoeCpuPlan **plan, Error *error)
{
    *plan = NULL;
    Status status = moe_shape_check(shape, error);
    if (status != STATUS_OK)
        return status;
    if (shape->tokens > INT_MAX || row_limit(shape) > INT_MAX || 2 * shape->ffn > INT_MAX)
        return error_set(error, STATUS_INVALID,
                         "%zu rows of the permuted tokens are more than BLAS counts (%d)",
                         row_limit(shape), INT_MAX);
    MoeCpuPlan *made = calloc(1, sizeof *made);
    if (made == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    made->shape = *shape;
    made->threads = threads > 0 ? threads : omp_get_max_threads();
    status = allocate(made, error);
    if (status == STATUS_OK)
        *plan = made;
    else
        moe_cpu_plan_free(made);
    return status;
}

/* C[m, n] = A[m, k] B[n, k]^T, as a layer's forward products are. */
static void product_nt(size_t m, size_t n, size_t k, const float *a, const float *b, float *c)
{
    if (m > 0)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)m, (int)n, (int)k, 1.0F, a,
                    (int)k, b, (int)k, 0.0F, c, (int)n);
}

/* C[m, n] = A[m, k] B[k, n] + beta C, as gradients of inputs are. */
static void product_nn(size_t m, size_t n, size_t k, const float *a, const float *b, float beta,
                       float *c)
{
    if (m > 0)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)m, (int)n, (int)k, 1.0F, a,
                    (int)k, b, (int)n, beta, c, (int)n);
}

/* C[m, n] = A[k, m]^T B[k, n], as gradients of weights are; k = 0 gives zeros. */
static void product_tn(size_t m, size_t n, size_t k, const float *a, const float *b, float *c)
{
    if (k > 0)
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)m, (int)n, (int)k, 1.0F, a,
                    (int)m, b, (int)n, 0.0F, c, (int)n);
    else
        memset(c, 0, m * n * sizeof *c);
}

/* One expert's products, called for each expert with its own rows. */
typedef void (*ExpertWork)(MoeCpuPlan *plan, const MoeInputs *in, size_t expert);

/* With several experts a thread, each thread takes whole experts, largest first, and BLAS stays on
 * that thread; with few, BLAS cuts one expert's product at a time. Threaded BLAS never runs inside
 * a parallel region. */
static void for_each_expert(MoeCpuPlan *plan, const MoeInputs *in, ExpertWork work)
{
    const size_t experts = plan->shape.experts;
    if (experts < 2 * (size_t)plan->threads || plan->threads == 1) {
        openblas_set_num_threads(plan->threads);
        for (size_t e = 0; e < experts; ++e)
            work(plan, in, e);
        return;
    }
    openblas_set_num_threads(1);
#pragma omp parallel for schedule(dynamic, 1) num_threads(plan->threads)
    for (size_t i = 0; i < experts; ++i)
        work(plan, in, plan->largest_first[i]);
}

static Status router(MoeCpuPlan *plan, const MoeInputs *in, Error *error)
{
    const MoeShape *shape = &plan->shape;
    openblas_set_num_threads(plan->threads);
    product_nt(shape->tokens, shape->experts, shape->hidden, in->x, in->router, plan->logits);
    size_t bad = SIZE_MAX;
#pragma omp parallel for schedule(static) num_threads(plan->threads) reduction(min : bad)
    for (size_t i = 0; i < shape->tokens * shape->experts; ++i) {
        if (in->router_bias != NULL)
            plan->logits[i] += in->router_bias[i % shape->experts];
        if (!isfinite(plan->logits[i]) && i < bad)
            bad = i;
    }
    if (bad == SIZE_MAX)
        return STATUS_OK;
    return error_set(error, STATUS_INVALID, "logit of token %zu, expert %zu is %s",
                     bad / shape->experts, bad % shape->experts,
                     isnan(plan->logits[bad]) ? "not a number" : "infinite");
}

static void softmax(const float *logits, size_t count, float *p)
{
    float largest = logits[0], sum = 0;
    for (size_t i = 1; i < count; ++i)
        largest = fmaxf(largest, logits[i]);
    for (size_t i = 0; i < count; ++i)
        sum += p[i] = expf(logits[i] - largest);
    for (size_t i = 0; i < count; ++i)
        p[i] /= sum;
}

/* An insertion into a list of k, best first; an equal logit stays behind the lower expert. */
static void choose(const float *logits, size_t experts, size_t top_k, uint32_t *chosen, float *best)
{
    size_t held = 0;
    for (size_t e = 0; e < experts; ++e) {
        if (held == top_k && !(logits[e] > best[top_k - 1]))
            continue;
        size_t place = held < top_k ? held++ : top_k - 1;
        for (; place > 0 && logits[e] > best[place - 1]; --place) {
            best[place] = best[place - 1];
            chosen[place] = chosen[place - 1];
        }
        best[place] = logits[e];
        chosen[place] = (uint32_t)e;
    }
}

static void top_k(MoeCpuPlan *plan)
{
    const MoeShape *shape = &plan->shape;
    const size_t k = shape->top_k, experts = shape->experts;
#pragma omp parallel for schedule(static) num_threads(plan->threads)
    for (size_t t = 0; t < shape->tokens; ++t) {
        float best[MOE_MAX_TOP_K];
        choose(plan->logits + t * experts, experts, k, plan->expert_of + t * k, best);
        softmax(best, k, plan->weight_of + t * k);
        if (shape->aux_weight != 0)
            softmax(plan->logits + t * experts, experts, plan->probabilities + t * experts);
    }
}

/* A stable counting sort by expert with the capacity's cut, and the experts by falling load. */
static void sort_copies(MoeCpuPlan *plan)
{
    const MoeShape *shape = &plan->shape;
    const size_t copies = shape->tokens * shape->top_k, capacity = moe_capacity(shape);
    size_t next[MOE_MAX_EXPERTS];
    memset(plan->copies_of, 0, shape->experts * sizeof *plan->copies_of);
    for (size_t c = 0; c < copies; ++c)
        ++plan->copies_of[plan->expert_of[c]];
    plan->dropped = 0;
    for (size_t e = 0; e < shape->experts; ++e) {
        const size_t kept = plan->copies_of[e] < capacity ? plan->copies_of[e] : capacity;
        plan->dropped += plan->copies_of[e] - kept;
        next[e] = plan->first_row[e];
        plan->first_row[e + 1] = plan->first_row[e] + kept;
    }
    for (size_t c = 0; c < copies; ++c) {
        const uint32_t e = plan->expert_of[c];
        plan->row_of[c] = next[e] < plan->first_row[e + 1] ? next[e]++ : DROPPED;
        if (plan->row_of[c] != DROPPED)
            plan->copy_of[plan->row_of[c]] = c;
    }
    for (size_t e = 0; e < shape->experts; ++e) {
        size_t place = e;
        for (; place > 0 && plan->copies_of[e] > plan->copies_of[plan->largest_first[place - 1]];
             --place)
            plan->largest_first[place] = plan->largest_first[place - 1];
        plan->largest_first[place] = e;
    }
}

/* aux_weight * E * sum_e f_e P_e */
static void auxiliary_loss(MoeCpuPlan *plan)
{
    const MoeShape *shape = &plan->shape;
    const double copies = (double)(shape->tokens * shape->top_k);
    plan->aux_loss = 0;
    if (shape->aux_weight == 0)
        return;
    memset(plan->share, 0, shape->experts * sizeof *plan->share);
    for (size_t t = 0; t < shape->tokens; ++t)
        for (size_t e = 0; e < shape->experts; ++e)
            plan->share[e] += (double)plan->probabilities[t * shape->experts + e];
    for (size_t e = 0; e < shape->experts; ++e)
        plan->aux_loss += (double)plan->copies_of[e] / copies * plan->share[e];
    plan->aux_loss *= shape->aux_weight * (double)shape->experts / (double)shape->tokens;
}

static size_t kept_rows(const MoeCpuPlan *plan)
{
    return plan->first_row[plan->shape.experts];
}

static void permute(MoeCpuPlan *plan, const float *x)
{
    const size_t hidden = plan->shape.hidden, k = plan->shape.top_k;
#pragma omp parallel for schedule(static) num_threads(plan->threads)
    for (size_t row = 0; row < kept_rows(plan); ++row)
        memcpy(plan->rows_in + row * hidden, x + plan->copy_of[row] / k * hidden,
               hidden * sizeof *x);
}

static void gemm_in(MoeCpuPlan *plan, const MoeInputs *in, size_t e)
{
    const size_t first = plan->first_row[e], rows = plan->first_row[e + 1] - first;
    const size_t width = moe_w_in_rows(&plan->shape), hidden = plan->shape.hidden;
    product_nt(rows, width, hidden, plan->rows_in + first * hidden, in->w_in + e * width * hidden,
               plan->pre + first * width);
}

static void gemm_out(MoeCpuPlan *plan, const MoeInputs *in, size_t e)
{
    const size_t first = plan->first_row[e], rows = plan->first_row[e + 1] - first;
    const size_t ffn = plan->shape.ffn, hidden = plan->shape.hidden;
    product_nt(rows, hidden, ffn, plan->hidden + first * ffn, in->w_out + e * hidden * ffn,
               plan->rows_out + first * hidden);
}

static float sigmoid(float z)
{
    return 1.0F / (1.0F + expf(-z));
}

static float normal_share(float z)
{
    return 0.5F * erfcf(-z * (float)M_SQRT1_2);
}

static void activation(MoeCpuPlan *plan)
{
    const size_t ffn = plan->shape.ffn, width = moe_w_in_rows(&plan->shape);
    const int gated = plan->shape.gated;
#pragma omp parallel for schedule(static) num_threads(plan->threads)
    for (size_t row = 0; row < kept_rows(plan); ++row) {
        const float *z = plan->pre + row * width;
        float *hidden = plan->hidden + row * ffn;
        for (size_t f = 0; f < ffn; ++f)
            hidden[f] = gated ? z[f] * sigmoid(z[f]) * z[ffn + f] : z[f] * normal_share(z[f]);
    }
}

static void combine(MoeCpuPlan *plan)
{
    const size_t hidden = plan->shape.hidden, k = plan->shape.top_k;
#pragma omp parallel for schedule(static) num_threads(plan->threads)
    for (size_t t = 0; t < plan->shape.tokens; ++t) {
        float *y = plan->y + t * hidden;
        memset(y, 0, hidden * sizeof *y);
        for (size_t c = t * k; c < (t + 1) * k; ++c) {
            if (plan->row_of[c] == DROPPED)
                continue;
            const float *out = plan->rows_out + plan->row_of[c] * hidden;
            const float weight = plan->weight_of[c];
            for (size_t d = 0; d < hidden; ++d)
                y[d] += weight * out[d];
        }
    }
}

/* d_rows_out = weight * dy, d_weight = dy . rows_out */
static void combine_backward(MoeCpuPlan *plan, const float *dy)
{
    const size_t hidden = plan->shape.hidden, k = plan->shape.top_k;
    memset(plan->d_weight_of, 0, plan->shape.tokens * k * sizeof *plan->d_weight_of);
#pragma omp parallel for schedule(static) num_threads(plan->threads)
    for (size_t row = 0; row < kept_rows(plan); ++row) {
        const size_t c = plan->copy_of[row];
        const float *token = dy + c / k * hidden, *out = plan->rows_out + row * hidden;
        float *d_out = plan->d_rows_out + row * hidden, sum = 0;
        for (size_t d = 0; d < hidden; ++d) {
            sum += token[d] * out[d];
            d_out[d] = plan->weight_of[c] * token[d];
        }
        plan->d_weight_of[c] = sum;
    }
}

static void gemm_out_backward(MoeCpuPlan *plan, const MoeInputs *in, size_t e)
{
    const size_t first = plan->first_row[e], rows = plan->first_row[e + 1] - first;
    const size_t ffn = plan->shape.ffn, hidden = plan->shape.hidden;
    const float *d_out = plan->d_rows_out + first * hidden;
    product_nn(rows, ffn, hidden, d_out, in->w_out + e * hidden * ffn, 0.0F,
               plan->d_hidden + first * ffn);
    product_tn(hidden, ffn, rows, d_out, plan->hidden + first * ffn,
               plan->d_w_out + e * hidden * ffn);
}

/* silu'(z) = s (1 + z (1 - s)); gelu'(z) = Phi(z) + z phi(z) */
static void activation_backward(MoeCpuPlan *plan)
{
    const size_t ffn = plan->shape.ffn, width = moe_w_in_rows(&plan->shape);
    const int gated = plan->shape.gated;
    const float density = (float)(M_2_SQRTPI * M_SQRT1_2 / 2); /* 1 / sqrt(2 pi) */
#pragma omp parallel for schedule(static) num_threads(plan->threads)
    for (size_t row = 0; row < kept_rows(plan); ++row) {
        const float *z = plan->pre + row * width, *d_hidden = plan->d_hidden + row * ffn;
        float *d_pre = plan->d_pre + row * width;
        for (size_t f = 0; f < ffn; ++f) {
            if (gated) {
                const float s = sigmoid(z[f]);
                d_pre[f] = d_hidden[f] * z[ffn + f] * s * (1.0F + z[f] * (1.0F - s));
                d_pre[ffn + f] = d_hidden[f] * z[f] * s;
            } else {
                const float slope = normal_share(z[f]) + z[f] * density * expf(-z[f] * z[f] / 2.0F);
                d_pre[f] = d_hidden[f] * slope;
            }
        }
    }
}

static void gemm_in_backward(MoeCpuPlan *plan, const MoeInputs *in, size_t e)
{
    const size_t first = plan->first_row[e], rows = plan->first_row[e + 1] - first;
    const size_t width = moe_w_in_rows(&plan->shape), hidden = plan->shape.hidden;
    const float *d_pre = plan->d_pre + first * width;
    product_nn(rows, hidden, width, d_pre, in->w_in + e * width * hidden, 0.0F,
               plan->d_rows_in + first * hidden);
    product_tn(width, hidden, rows, d_pre, plan->rows_in + first * hidden,
               plan->d_w_in + e * width * hidden);
}

static void permute_backward(MoeCpuPlan *plan)
{
    const size_t hidden = plan->shape.hidden, k = plan->shape.top_k;
#pragma omp parallel for schedule(static) num_threads(plan->threads)
    for (size_t t = 0; t < plan->shape.tokens; ++t) {
        float *dx = plan->dx + t * hidden;
        memset(dx, 0, hidden * sizeof *dx);
        for (size_t c = t * k; c < (t + 1) * k; ++c) {
            if (plan->row_of[c] == DROPPED)
                continue;
            const float *d_row = plan->d_rows_in + plan->row_of[c] * hidden;
            for (size_t d = 0; d < hidden; ++d)
                dx[d] += d_row[d];
        }
    }
}

/* Gradients of the logits take the place of the logits: through the weights of the chosen,
 * w_j (g_j - sum_i w_i g_i), and through the auxiliary loss, (aux_weight E / T) p_e (f_e - sum_i
 * p_i f_i). */
static void logits_backward(MoeCpuPlan *plan)
{
    const MoeShape *shape = &plan->shape;
    const size_t k = shape->top_k, experts = shape->experts;
    const float copies = (float)(shape->tokens * k);
    const float scale = (float)(shape->aux_weight * (double)experts / (double)shape->tokens);
#pragma omp parallel for schedule(static) num_threads(plan->threads)
    for (size_t t = 0; t < shape->tokens; ++t) {
        const float *p = plan->probabilities + t * experts, *w = plan->weight_of + t * k;
        const float *g = plan->d_weight_of + t * k;
        float *d_logits = plan->logits + t * experts, mean = 0, share = 0;
        for (size_t j = 0; j < k; ++j)
            mean += w[j] * g[j];
        memset(d_logits, 0, experts * sizeof *d_logits);
        if (scale != 0.0F) {
            for (size_t e = 0; e < experts; ++e)
                share += p[e] * (float)plan->copies_of[e] / copies;
            for (size_t e = 0; e < experts; ++e)
                d_logits[e] = scale * p[e] * ((float)plan->copies_of[e] / copies - share);
        }
        for (size_t j = 0; j < k; ++j)
            d_logits[plan->expert_of[t * k + j]] += w[j] * (g[j] - mean);
    }
}

static void backward(MoeCpuPlan *plan, const MoeInputs *in)
{
    const MoeShape *shape = &plan->shape;
    combine_backward(plan, in->dy);
    for_each_expert(plan, in, gemm_out_backward);
    activation_backward(plan);
    for_each_expert(plan, in, gemm_in_backward);
    permute_backward(plan);
    logits_backward(plan);
    openblas_set_num_threads(plan->threads);
    product_tn(shape->experts, shape->hidden, shape->tokens, plan->logits, in->x, plan->d_router);
    product_nn(shape->tokens, shape->hidden, shape->experts, plan->logits, in->router, 1.0F,
               plan->dx);
}

/* One thread: its CPU time, which other programs do not stretch. */
static double now_s(const MoeCpuPlan *plan)
{
    struct timespec now;
    clock_gettime(plan->threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Ends a stage: its time is what passed since the last one ended. */
static void stage_done(const MoeCpuPlan *plan, MoeStageTimes *times, MoeStage stage,
                       double *since_s)
{
    const double now = now_s(plan);
    if (times != NULL)
        times->seconds[stage] = now - *since_s;
    *since_s = now;
}

Status moe_cpu_compute(MoeCpuPlan *plan, const MoeInputs *inputs, MoeStageTimes *times,
                       Error *error)
{
    if (times != NULL)
        *times = (MoeStageTimes){0};
    double since_s = now_s(plan);
    Status status = router(plan, inputs, error);
    if (status != STATUS_OK)
        return status;
    stage_done(plan, times, MOE_STAGE_ROUTER, &since_s);
    top_k(plan);
    stage_done(plan, times, MOE_STAGE_TOP_K, &since_s);
    sort_copies(plan);
    auxiliary_loss(plan);
    stage_done(plan, times, MOE_STAGE_SORT, &since_s);
    permute(plan, inputs->x);
    stage_done(plan, times, MOE_STAGE_PERMUTE, &since_s);
    for_each_expert(plan, inputs, gemm_in);
    stage_done(plan, times, MOE_STAGE_GEMM_IN, &since_s);
    activation(plan);
    stage_done(plan, times, MOE_STAGE_ACTIVATION, &since_s);
    for_each_expert(plan, inputs, gemm_out);
    stage_done(plan, times, MOE_STAGE_GEMM_OUT, &since_s);
    combine(plan);
    stage_done(plan, times, MOE_STAGE_COMBINE, &since_s);
    if (inputs->dy != NULL) {
        backward(plan, inputs);
        stage_done(plan, times, MOE_STAGE_BACKWARD, &since_s);
    }
    return STATUS_OK;
}

void moe_cpu_expert_gemms(MoeCpuPlan *plan, const MoeInputs *inputs)
{
    for_each_expert(plan, inputs, gemm_in);
    for_each_expert(plan, inputs, gemm_out);
}

static void widen(const float *from, size_t count, double *to)
{
    for (size_t i = 0; to != NULL && i < count; ++i)
        to[i] = (double)from[i];
}

void moe_cpu_outputs(const MoeCpuPlan *plan, int with_gradients, MoeOutputs *outputs)
{
    const MoeShape *shape = &plan->shape;
    const size_t copies = shape->tokens * shape->top_k, stream = shape->tokens * shape->hidden;
    outputs->aux_loss = plan->aux_loss;
    outputs->dropped = plan->dropped;
    widen(plan->y, stream, outputs->y);
    widen(plan->weight_of, copies, outputs->weight_of);
    if (outputs->expert_of != NULL)
        memcpy(outputs->expert_of, plan->expert_of, copies * sizeof *plan->expert_of);
    if (outputs->copies_of != NULL)
        memcpy(outputs->copies_of, plan->copies_of, shape->experts * sizeof *plan->copies_of);
    if (!with_gradients)
        return;
    widen(plan->dx, stream, outputs->dx);
    widen(plan->d_router, shape->experts * shape->hidden, outputs->d_router);
    widen(plan->d_w_in, moe_w_in_elements(shape), outputs->d_w_in);
    widen(plan->d_w_out, moe_w_out_elements(shape), outputs->d_w_out);
}

Status moe_cpu_run(const MoeShape *shape, const MoeInputs *inputs, MoeOutputs *outputs,
                   MoeStageTimes *times, Error *error)
{
    MoeCpuPlan *plan = NULL;
    Status status = moe_cpu_plan(shape, 0, &plan, error);
    if (status == STATUS_OK)
        status = moe_cpu_compute(plan, inputs, times, error);
    if (status == STATUS_OK)
        moe_cpu_outputs(plan, inputs->dy != NULL, outputs);
    moe_cpu_plan_free(plan);
    return status;
}
