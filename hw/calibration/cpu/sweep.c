#include "hw/calibration/cpu/sweep.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const size_t rotated_bytes = (size_t)96 << 20, rotated_bytes_quick = (size_t)32 << 20;

size_t sweep_rotated_bytes(int quick)
{
    return quick ? rotated_bytes_quick : rotated_bytes;
}

typedef struct GemmShape {
    size_t n, k;
} GemmShape;

/* Shapes of small models: MLP in and out, attention projection; never one alone, for a sweep at one
 * shape cannot tell launch from bandwidth, and none so small that OpenBLAS would take its kernels
 * for small matrices (up to a million products). */
static const GemmShape GEMM_SHAPES[] = {{3584, 1024}, {1024, 1792}, {1024, 1024}, {4096, 512}};
static const GemmShape GEMM_SHAPES_QUICK[] = {{2048, 768}, {1024, 1024}, {3072, 1024}};
static const size_t ROWS[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
static const size_t ROWS_QUICK[] = {1, 4, 16, 64};
static const size_t BACKWARD_ROWS[] = {16, 64, 256};
static const size_t BACKWARD_ROWS_QUICK[] = {32};
static const size_t COPY_BYTES[] = {(size_t)1 << 16, (size_t)1 << 20, (size_t)1 << 24,
                                    (size_t)1 << 27};
static const size_t COPY_BYTES_QUICK[] = {(size_t)1 << 16, (size_t)1 << 20, (size_t)1 << 23};
static const size_t CONTEXTS[] = {64, 128, 256, 512}, CONTEXTS_QUICK[] = {64, 128};

enum { SENTINELS = 3, HEADS = 8, HEAD_DIM = 64, SENTINEL_SIZE = 192 };

#define SIZE_OF(TABLE) (sizeof(TABLE) / sizeof((TABLE)[0]))

float *sweep_floats(size_t count, uint64_t *state)
{
    float *values = malloc(count * sizeof *values);
    for (size_t i = 0; values != NULL && i < count; ++i) {
        *state = *state * 6364136223846793005U + 1442695040888963407U;
        values[i] = (float)(*state >> 40) * 0x1p-23F - 1.0F;
    }
    return values;
}

static void put_name(char to[CAL_NAME_BYTES], const char *name)
{
    snprintf(to, CAL_NAME_BYTES, "%s", name);
}

CalPoint sweep_point(CalOp op, CalPass pass, const char *impl)
{
    CalPoint point = {.op = op, .pass = pass, .role = CAL_FIT};
    put_name(point.impl, impl);
    put_name(point.dtype, "fp32");
    return point;
}

/* ---- matrix products ---------------------------------------------------------------------------
 */

/* C[m, n] = A[m, k] B[k, n] of layer weights W[n', k'], as the layer's three passes multiply. */
typedef struct GemmWork {
    CalPass pass;
    int m, n, k; /* of the product that is made */
    size_t copies;
    const float *weights, *a;
    float *c;
} GemmWork;

static void gemm(void *context, size_t turn)
{
    const GemmWork *work = context;
    const int m = work->m, n = work->n, k = work->k;
    const float *b = work->weights + turn % work->copies * (size_t)n * (size_t)k;
    if (work->pass == CAL_FORWARD)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1, work->a, k, b, k, 0,
                    work->c, n);
    else if (work->pass == CAL_DGRAD)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1, work->a, k, b, n, 0,
                    work->c, n);
    else /* both operands are activations of k tokens */
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, n, k, 1, work->a, m, b, n, 0,
                    work->c, n);
}

static int measure_gemm(Sampler *sampler, uint64_t *state, CalPass pass, CalRole role, size_t m,
                        size_t n, size_t k)
{
    const size_t limit = sweep_rotated_bytes(sampler->quick);
    const size_t copies = role == CAL_SENTINEL ? 1 : 1 + limit / (n * k * sizeof(float));
    float *weights = sweep_floats(copies * n * k, state), *a = sweep_floats(m * k, state);
    float *c = malloc(m * n * sizeof *c);
    const int failed = weights == NULL || a == NULL || c == NULL;
    if (!failed) {
        GemmWork work = {pass, (int)m, (int)n, (int)k, copies, weights, a, c};
        CalPoint point = sweep_point(CAL_GEMM, pass, "openblas");
        point.role = role;
        point.m = (double)m, point.n = (double)n, point.k = (double)k;
        point.cold = role != CAL_SENTINEL;
        point.flops = 2 * point.m * point.n * point.k;
        point.bytes =
            (double)sizeof(float) * (point.m * point.k + point.k * point.n + point.m * point.n);
        openblas_set_num_threads(sampler->threads);
        if (sampler_measure(sampler, gemm, NULL, &work, &point))
            sampler_write(sampler, &point);
        char what[CAL_NAME_BYTES];
        snprintf(what, sizeof what, "gemm %zux%zux%zu %s", m, n, k, CAL_PASS_NAMES[pass]);
        sampler_progress(sampler, what);
    }
    free(weights), free(a), free(c);
    return failed ? -1 : 0;
}

static int sentinel(Sampler *sampler, uint64_t *state)
{
    return measure_gemm(sampler, state, CAL_FORWARD, CAL_SENTINEL, SENTINEL_SIZE, SENTINEL_SIZE,
                        SENTINEL_SIZE);
}

static int sweep_gemms(Sampler *sampler, uint64_t *state)
{
    const int quick = sampler->quick;
    const GemmShape *shapes = quick ? GEMM_SHAPES_QUICK : GEMM_SHAPES;
    const size_t shape_count = quick ? SIZE_OF(GEMM_SHAPES_QUICK) : SIZE_OF(GEMM_SHAPES);
    const size_t *rows = quick ? ROWS_QUICK : ROWS;
    const size_t row_count = quick ? SIZE_OF(ROWS_QUICK) : SIZE_OF(ROWS);
    const size_t *backward = quick ? BACKWARD_ROWS_QUICK : BACKWARD_ROWS;
    const size_t backward_count = quick ? SIZE_OF(BACKWARD_ROWS_QUICK) : SIZE_OF(BACKWARD_ROWS);
    int status = 0;
    for (size_t s = 0; s < shape_count && status == 0; ++s) {
        const size_t n = shapes[s].n, k = shapes[s].k;
        for (size_t i = 0; i < row_count && status == 0; ++i)
            status = measure_gemm(sampler, state, CAL_FORWARD, CAL_FIT, rows[i], n, k);
        for (size_t i = 0; i < backward_count && status == 0; ++i)
            status = measure_gemm(sampler, state, CAL_DGRAD, CAL_FIT, backward[i], k, n);
        for (size_t i = 0; i < backward_count && status == 0; ++i)
            status = measure_gemm(sampler, state, CAL_WGRAD, CAL_FIT, n, k, backward[i]);
    }
    return status;
}

/* ---- copies ------------------------------------------------------------------------------------
 */

/* Blocks of two large buffers in turn, so that none is in a near cache. */
typedef struct CopyWork {
    size_t bytes, blocks;
    const char *from;
    char *to;
} CopyWork;

static void copy(void *context, size_t turn)
{
    const CopyWork *work = context;
    const size_t at = turn % work->blocks * work->bytes;
    memcpy(work->to + at, work->from + at, work->bytes);
    __asm__ volatile("" : : "r"(work->to) : "memory");
}

static int measure_copy(Sampler *sampler, size_t bytes)
{
    const size_t limit = sweep_rotated_bytes(sampler->quick);
    const size_t blocks = 1 + limit / bytes;
    char *from = malloc(blocks * bytes), *to = malloc(blocks * bytes);
    const int failed = from == NULL || to == NULL;
    if (!failed) {
        memset(from, 1, blocks * bytes);
        memset(to, 2, blocks * bytes);
        CopyWork work = {bytes, blocks, from, to};
        CalPoint point = sweep_point(CAL_COPY, CAL_FORWARD, "memcpy");
        put_name(point.skew, "device");
        put_name(point.dtype, "byte");
        point.bytes = 2 * (double)bytes;
        point.cold = 1;
        if (sampler_measure(sampler, copy, NULL, &work, &point))
            sampler_write(sampler, &point);
        sampler_progress(sampler, "copy");
    }
    free(from), free(to);
    return failed ? -1 : 0;
}

/* ---- attention ---------------------------------------------------------------------------------
 */

typedef struct AttentionWork {
    size_t length;
    const float *q, *k, *v; /* [heads, length, head_dim] */
    float *scores, *out;
} AttentionWork;

static void softmax_row(float *row, size_t count)
{
    float largest = row[0], sum = 0;
    for (size_t i = 1; i < count; ++i)
        largest = fmaxf(largest, row[i]);
    for (size_t i = 0; i < count; ++i)
        sum += row[i] = expf(row[i] - largest);
    for (size_t i = 0; i < count; ++i)
        row[i] /= sum;
}

static void attention(void *context, size_t turn)
{
    const AttentionWork *work = context;
    const int length = (int)work->length;
    const float scale = 1 / sqrtf((float)HEAD_DIM);
    (void)turn;
    for (size_t h = 0; h < HEADS; ++h) {
        const size_t at = h * work->length * HEAD_DIM;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, length, length, HEAD_DIM, scale,
                    work->q + at, HEAD_DIM, work->k + at, HEAD_DIM, 0, work->scores, length);
        for (size_t row = 0; row < work->length; ++row)
            softmax_row(work->scores + row * work->length, work->length);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, length, HEAD_DIM, length, 1,
                    work->scores, length, work->v + at, HEAD_DIM, 0, work->out + at, HEAD_DIM);
    }
}

static int measure_attention(Sampler *sampler, uint64_t *state, size_t length)
{
    const size_t elements = HEADS * length * HEAD_DIM;
    float *q = sweep_floats(elements, state), *k = sweep_floats(elements, state);
    float *v = sweep_floats(elements, state), *out = malloc(elements * sizeof *out);
    float *scores = malloc(length * length * sizeof *scores);
    const int failed = q == NULL || k == NULL || v == NULL || out == NULL || scores == NULL;
    if (!failed) {
        AttentionWork work = {length, q, k, v, scores, out};
        CalPoint point = sweep_point(CAL_ATTENTION, CAL_FORWARD, "openblas");
        point.m = point.n = (double)length, point.k = HEAD_DIM, point.groups = HEADS;
        point.flops = HEADS * 4 * point.m * point.n * point.k;
        point.bytes = HEADS * sizeof(float) * (4 * point.m * point.k + 2 * point.m * point.n);
        openblas_set_num_threads(sampler->threads);
        if (sampler_measure(sampler, attention, NULL, &work, &point))
            sampler_write(sampler, &point);
        sampler_progress(sampler, "attention");
    }
    free(q), free(k), free(v), free(out), free(scores);
    return failed ? -1 : 0;
}

/* ---- launch ------------------------------------------------------------------------------------
 */

/* What starting a parallel region costs; one thread has none. */
static void empty_region(void *context, size_t turn)
{
    const int *threads = context;
    (void)threads;
    (void)turn;
#pragma omp parallel num_threads(*threads)
    __asm__ volatile("" ::: "memory");
}

static void measure_launch(Sampler *sampler)
{
    CalPoint point = sweep_point(CAL_LAUNCH, CAL_FORWARD, "openmp");
    int threads = sampler->threads;
    if (sampler_measure(sampler, empty_region, NULL, &threads, &point))
        sampler_write(sampler, &point);
    sampler_progress(sampler, "launch");
}

/* ---- all ---------------------------------------------------------------------------------------
 */

size_t sweep_count(int quick, int threads)
{
    const size_t gemms =
        quick
            ? SIZE_OF(GEMM_SHAPES_QUICK) * (SIZE_OF(ROWS_QUICK) + 2 * SIZE_OF(BACKWARD_ROWS_QUICK))
            : SIZE_OF(GEMM_SHAPES) * (SIZE_OF(ROWS) + 2 * SIZE_OF(BACKWARD_ROWS));
    const size_t copies = quick ? SIZE_OF(COPY_BYTES_QUICK) : SIZE_OF(COPY_BYTES);
    const size_t contexts = quick ? SIZE_OF(CONTEXTS_QUICK) : SIZE_OF(CONTEXTS);
    return SENTINELS + gemms + copies + contexts + (threads > 1) + sweep_layer_count(quick);
}

int sweep_run(Sampler *sampler, uint64_t seed)
{
    const int quick = sampler->quick;
    uint64_t state = seed;
    int status = sentinel(sampler, &state);
    if (status == 0)
        status = sweep_gemms(sampler, &state);
    const size_t *copies = quick ? COPY_BYTES_QUICK : COPY_BYTES;
    const size_t copy_count = quick ? SIZE_OF(COPY_BYTES_QUICK) : SIZE_OF(COPY_BYTES);
    for (size_t i = 0; i < copy_count && status == 0; ++i)
        status = measure_copy(sampler, copies[i]);
    const size_t *contexts = quick ? CONTEXTS_QUICK : CONTEXTS;
    const size_t context_count = quick ? SIZE_OF(CONTEXTS_QUICK) : SIZE_OF(CONTEXTS);
    for (size_t i = 0; i < context_count && status == 0; ++i)
        status = measure_attention(sampler, &state, contexts[i]);
    if (sampler->threads > 1)
        measure_launch(sampler);
    if (status == 0)
        status = sentinel(sampler, &state);
    if (status == 0)
        status = sweep_layers(sampler, seed + 1);
    return status == 0 ? sentinel(sampler, &state) : status;
}
