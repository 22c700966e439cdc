/* The sweeps of single kernels, and the order of all. */
#include "hw/calibration/cuda/bench.cuh"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Largest share by which the sentinel may move before a session counts for nothing. */
static const double SENTINEL_SPREAD = 0.03;

/* ---------------------------------------------------------------------------------------- kernels
 */

namespace
{

enum { FILL_THREADS = 256, SOFTMAX_THREADS = 128 };

__global__ void empty_kernel(int)
{
}

/* A number per element from its place alone (SplitMix64). */
template <typename T>
__global__ void __launch_bounds__(FILL_THREADS)
    fill_kernel(T *memory, size_t count, uint64_t seed, float scale)
{
    const size_t step = (size_t)gridDim.x * FILL_THREADS;
    for (size_t i = (size_t)blockIdx.x * FILL_THREADS + threadIdx.x; i < count; i += step) {
        uint64_t z = seed + (i + 1) * 0x9e3779b97f4a7c15ULL;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        z ^= z >> 31;
        memory[i] = from_float<T>(scale * ((float)(z >> 40) * (2.0F / 16777216.0F) - 1.0F));
    }
}

/* Softmax over each row of `length` scores, in place; a block a row. */
template <typename T>
__global__ void __launch_bounds__(SOFTMAX_THREADS)
    softmax_kernel(T *scores, int length, float scale)
{
    MOE_SHARED(float, partial, SOFTMAX_THREADS);
    T *const row = scores + (size_t)blockIdx.x * length;
    float largest = -HUGE_VALF, sum = 0;
    for (int i = (int)threadIdx.x; i < length; i += SOFTMAX_THREADS)
        largest = fmaxf(largest, scale * to_float(row[i]));
    partial[threadIdx.x] = largest;
    __syncthreads();
    for (int i = 0; i < SOFTMAX_THREADS; ++i)
        largest = fmaxf(largest, partial[i]);
    __syncthreads();
    for (int i = (int)threadIdx.x; i < length; i += SOFTMAX_THREADS)
        sum += expf(scale * to_float(row[i]) - largest);
    partial[threadIdx.x] = sum;
    __syncthreads();
    sum = 0;
    for (int i = 0; i < SOFTMAX_THREADS; ++i)
        sum += partial[i];
    for (int i = (int)threadIdx.x; i < length; i += SOFTMAX_THREADS)
        row[i] = from_float<T>(expf(scale * to_float(row[i]) - largest) / sum);
}

} // namespace

template <typename T> static void fill_as(Bench *bench, void *memory, size_t count, double scale)
{
    const size_t blocks = (count + FILL_THREADS - 1) / FILL_THREADS;
    MOE_LAUNCH(fill_kernel<T>, (unsigned)(blocks < 65536 ? blocks : 65536), FILL_THREADS, 0,
               bench->stream, static_cast<T *>(memory), count, bench->seed++, (float)scale);
}

Status bench_fill(Bench *bench, MoeDtype dtype, void *memory, size_t count, double scale,
                  Error *error)
{
    if (dtype == MOE_FP32)
        fill_as<float>(bench, memory, count, scale);
    else if (dtype == MOE_BF16)
        fill_as<__nv_bfloat16>(bench, memory, count, scale);
    else
        fill_as<__half>(bench, memory, count, scale);
    CUDA_TRY(cudaGetLastError());
    return STATUS_OK;
}

/* -------------------------------------------------------------------------------- matrix products
 */

/* C[m, n] = A[m, k] B, row-major, as a pass of a layer multiplies: B is W[n, k]^T forward, W[k, n]
 * for the gradient of the rows; for that of the weights A is [k, m]^T. */
struct GemmWork {
    CalPass pass;
    MoeDtype dtype;
    int m, n, k;
    void *a, *b, *c;
};

static Status run_gemm(Bench *bench, void *context, Error *error)
{
    const GemmWork *const w = static_cast<const GemmWork *>(context);
    const float one = 1, zero = 0;
    const cudaDataType type = bench_type(w->dtype);
    const bool forward = w->pass == CAL_FORWARD, weights = w->pass == CAL_WGRAD;
    BLAS_TRY(cublasGemmEx(bench->blas, forward ? CUBLAS_OP_T : CUBLAS_OP_N,
                          weights ? CUBLAS_OP_T : CUBLAS_OP_N, w->n, w->m, w->k, &one, w->b, type,
                          forward ? w->k : w->n, w->a, type, weights ? w->m : w->k, &zero, w->c,
                          type, w->n,
                          w->dtype == MOE_FP32 ? CUBLAS_COMPUTE_32F_PEDANTIC : CUBLAS_COMPUTE_32F,
                          CUBLAS_GEMM_DEFAULT));
    return STATUS_OK;
}

static Status measure_gemm(Bench *bench, CalPass pass, MoeDtype dtype, size_t m, size_t n, size_t k,
                           CalRole role, bool cold, double *us_med, Error *error)
{
    const size_t word = bench_element_bytes(dtype);
    GemmWork work = {pass, dtype, (int)m, (int)n, (int)k, NULL, NULL, NULL};
    BenchBuffers buffers = {};
    CalPoint point = bench_point(CAL_GEMM, pass, "cublas", dtype);
    point.role = role;
    point.cold = cold;
    point.m = (double)m, point.n = (double)n, point.k = (double)k;
    point.flops = 2 * point.m * point.n * point.k;
    point.bytes = (double)word * (point.m * point.k + point.k * point.n + point.m * point.n);
    Status status = STATUS_OK;
    if (!bench->counting) {
        status = bench_allocate(&buffers, m * k * word, &work.a, error);
        if (status == STATUS_OK)
            status = bench_allocate(&buffers, k * n * word, &work.b, error);
        if (status == STATUS_OK)
            status = bench_allocate(&buffers, m * n * word, &work.c, error);
        if (status == STATUS_OK)
            status = bench_fill(bench, dtype, work.a, m * k, 1, error);
        if (status == STATUS_OK)
            status = bench_fill(bench, dtype, work.b, k * n, 1, error);
    }
    if (status == STATUS_OK)
        status = bench_measure(bench, run_gemm, &work, 1, &point, error);
    if (us_med != NULL)
        *us_med = point.us_med;
    bench_free(&buffers);
    return status;
}

static Status sweep_gemms(Bench *bench, Error *error)
{
    const CudaSweep *const s = bench->sweep;
    for (size_t i = 0; i < s->shape_count; ++i) {
        const size_t n = s->shapes[i].n, k = s->shapes[i].k;
        for (size_t m = 1; m <= s->rows_max; m *= 2) {
            TRY(measure_gemm(bench, CAL_FORWARD, MOE_BF16, m, n, k, CAL_FIT, true, NULL, error));
            if (m <= 64) /* decoding finds small weights in the cache */
                TRY(measure_gemm(bench, CAL_FORWARD, MOE_BF16, m, n, k, CAL_FIT, false, NULL,
                                 error));
        }
        for (size_t m = 128; m <= s->rows_max; m *= 4) {
            TRY(measure_gemm(bench, CAL_DGRAD, MOE_BF16, m, k, n, CAL_FIT, true, NULL, error));
            TRY(measure_gemm(bench, CAL_WGRAD, MOE_BF16, n, k, m, CAL_FIT, true, NULL, error));
        }
        for (size_t m = 1; m <= s->other_types_rows; m *= 8) {
            TRY(measure_gemm(bench, CAL_FORWARD, MOE_FP16, m, n, k, CAL_FIT, true, NULL, error));
            TRY(measure_gemm(bench, CAL_FORWARD, MOE_FP32, m, n, k, CAL_FIT, true, NULL, error));
        }
    }
    return STATUS_OK;
}

/* The same product at the start, in the middle and at the end. */
static Status sentinel(Bench *bench, Error *error)
{
    const size_t size = bench->sweep->sentinel_size;
    double us = 0;
    TRY(measure_gemm(bench, CAL_FORWARD, MOE_BF16, size, size, size, CAL_SENTINEL, true, &us,
                     error));
    if (bench->counting)
        return STATUS_OK;
    if (bench->sentinel_high_us == 0)
        bench->sentinel_low_us = bench->sentinel_high_us = us;
    bench->sentinel_low_us = fmin(bench->sentinel_low_us, us);
    bench->sentinel_high_us = fmax(bench->sentinel_high_us, us);
    if (bench->sentinel_high_us > (1 + SENTINEL_SPREAD) * bench->sentinel_low_us)
        return error_set(
            error, STATUS_ENVIRONMENT,
            "one and the same product took %.4g and %.4g us: the GPU's clocks moved or "
            "others use it; measure again",
            bench->sentinel_low_us, bench->sentinel_high_us);
    return STATUS_OK;
}

/* ---------------------------------------------------------------------------------------- copies
 */

struct CopyWork {
    void *to, *from;
    size_t bytes;
    cudaMemcpyKind kind;
};

static Status run_copy(Bench *bench, void *context, Error *error)
{
    const CopyWork *const w = static_cast<const CopyWork *>(context);
    CUDA_TRY(cudaMemcpyAsync(w->to, w->from, w->bytes, w->kind, bench->stream));
    return STATUS_OK;
}

static Status measure_copies(Bench *bench, size_t bytes, void *a, void *b, void *host, Error *error)
{
    const struct {
        const char *name;
        CopyWork work;
        double passes; /* device memory is read and written */
    } paths[] = {{"device", {b, a, bytes, cudaMemcpyDeviceToDevice}, 2},
                 {"to_device", {a, host, bytes, cudaMemcpyHostToDevice}, 1},
                 {"from_device", {host, a, bytes, cudaMemcpyDeviceToHost}, 1}};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; ++i) {
        CopyWork work = paths[i].work;
        CalPoint point = bench_point(CAL_COPY, CAL_FORWARD, "cuda", MOE_BF16);
        snprintf(point.skew, sizeof point.skew, "%s", paths[i].name);
        point.cold = 1;
        point.bytes = paths[i].passes * (double)bytes;
        TRY(bench_measure(bench, run_copy, &work, 1, &point, error));
    }
    return STATUS_OK;
}

static Status sweep_copies(Bench *bench, Error *error)
{
    const size_t most = bench->sweep->copy_bytes_max;
    BenchBuffers buffers = {};
    void *a = NULL, *b = NULL, *host = NULL;
    Status status = STATUS_OK;
    if (!bench->counting) {
        status = bench_allocate(&buffers, most, &a, error);
        if (status == STATUS_OK)
            status = bench_allocate(&buffers, most, &b, error);
        if (status == STATUS_OK)
            status = bench_fill(bench, MOE_BF16, a, most / 2, 1, error);
        if (status == STATUS_OK && cudaMallocHost(&host, most) != cudaSuccess)
            status =
                error_set(error, STATUS_ENVIRONMENT, "no %zu bytes of page-locked memory", most);
        if (status == STATUS_OK)
            memset(host, 1, most);
    }
    for (size_t bytes = 4096; bytes <= most && status == STATUS_OK; bytes *= 4)
        status = measure_copies(bench, bytes, a, b, host, error);
    if (host != NULL)
        cudaFreeHost(host);
    bench_free(&buffers);
    return status;
}

/* ------------------------------------------------------------------------------------- attention
 */

enum { HEADS = 8, HEAD_DIM = 64 };

/* Three kernels for what a fused one does at once: a proxy, and its points say so by their op. */
struct AttentionWork {
    int length;
    void *q, *k, *v, *scores, *out;
};

static Status run_attention(Bench *bench, void *context, Error *error)
{
    const AttentionWork *const w = static_cast<const AttentionWork *>(context);
    const float one = 1, zero = 0;
    const int length = w->length;
    const long long head = (long long)length * HEAD_DIM, square = (long long)length * length;
    BLAS_TRY(cublasGemmStridedBatchedEx(
        bench->blas, CUBLAS_OP_T, CUBLAS_OP_N, length, length, HEAD_DIM, &one, w->k, CUDA_R_16BF,
        HEAD_DIM, head, w->q, CUDA_R_16BF, HEAD_DIM, head, &zero, w->scores, CUDA_R_16BF, length,
        square, HEADS, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
    MOE_LAUNCH(softmax_kernel<__nv_bfloat16>, (unsigned)(HEADS * length), SOFTMAX_THREADS, 0,
               bench->stream, static_cast<__nv_bfloat16 *>(w->scores), length,
               1.0F / sqrtf((float)HEAD_DIM));
    CUDA_TRY(cudaGetLastError());
    BLAS_TRY(cublasGemmStridedBatchedEx(
        bench->blas, CUBLAS_OP_N, CUBLAS_OP_N, HEAD_DIM, length, length, &one, w->v, CUDA_R_16BF,
        HEAD_DIM, head, w->scores, CUDA_R_16BF, length, square, &zero, w->out, CUDA_R_16BF,
        HEAD_DIM, head, HEADS, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
    return STATUS_OK;
}

static Status measure_attention(Bench *bench, size_t length, Error *error)
{
    const size_t elements = HEADS * length * HEAD_DIM, word = bench_element_bytes(MOE_BF16);
    AttentionWork work = {(int)length, NULL, NULL, NULL, NULL, NULL};
    void **const places[] = {&work.q, &work.k, &work.v, &work.out};
    BenchBuffers buffers = {};
    Status status = STATUS_OK;
    for (size_t i = 0; i < 4 && !bench->counting && status == STATUS_OK; ++i) {
        status = bench_allocate(&buffers, elements * word, places[i], error);
        if (status == STATUS_OK)
            status = bench_fill(bench, MOE_BF16, *places[i], elements, 1, error);
    }
    if (!bench->counting && status == STATUS_OK)
        status = bench_allocate(&buffers, HEADS * length * length * word, &work.scores, error);
    CalPoint point = bench_point(CAL_ATTENTION, CAL_FORWARD, "cublas", MOE_BF16);
    point.cold = 1;
    point.m = point.n = (double)length, point.k = HEAD_DIM, point.groups = HEADS;
    point.flops = HEADS * 4 * point.m * point.n * point.k;
    point.bytes = HEADS * (double)word * (4 * point.m * point.k + 2 * point.m * point.n);
    if (status == STATUS_OK)
        status = bench_measure(bench, run_attention, &work, 1, &point, error);
    bench_free(&buffers);
    return status;
}

static Status sweep_attention(Bench *bench, Error *error)
{
    for (size_t length = 128; length <= bench->sweep->context_max; length *= 2)
        TRY(measure_attention(bench, length, error));
    return STATUS_OK;
}

/* ---------------------------------------------------------------------------------------- launch
 */

static Status run_launches(Bench *bench, void *context, Error *error)
{
    (void)context;
    for (size_t i = 0; i < bench->sweep->graph_launches; ++i)
        MOE_LAUNCH(empty_kernel, 1, 32, 0, bench->stream, 0);
    CUDA_TRY(cudaGetLastError());
    return STATUS_OK;
}

static Status run_graph(Bench *bench, void *context, Error *error)
{
    CUDA_TRY(cudaGraphLaunch(static_cast<cudaGraphExec_t>(context), bench->stream));
    return STATUS_OK;
}

/* Launches in a row, and as many recorded in a graph; both as the time of one. */
static Status sweep_launch(Bench *bench, Error *error)
{
    const double launches = (double)bench->sweep->graph_launches;
    cudaGraph_t graph = NULL;
    cudaGraphExec_t ready = NULL;
    CalPoint point = bench_point(CAL_LAUNCH, CAL_FORWARD, "stream", MOE_BF16);
    point.groups = 1;
    TRY(bench_measure(bench, run_launches, NULL, launches, &point, error));
    if (!bench->counting) {
        CUDA_TRY(cudaStreamBeginCapture(bench->stream, cudaStreamCaptureModeGlobal));
        const Status captured = run_launches(bench, NULL, error);
        CUDA_TRY(cudaStreamEndCapture(bench->stream, &graph));
        TRY(captured);
        CUDA_TRY(cudaGraphInstantiate(&ready, graph, 0));
    }
    point = bench_point(CAL_LAUNCH, CAL_FORWARD, "graph", MOE_BF16);
    point.groups = launches;
    const Status status = bench_measure(bench, run_graph, ready, launches, &point, error);
    if (ready != NULL)
        cudaGraphExecDestroy(ready);
    if (graph != NULL)
        cudaGraphDestroy(graph);
    return status;
}

/* ------------------------------------------------------------------------------------------- all
 */

static Status sweep_all(Bench *bench, Error *error)
{
    TRY(sentinel(bench, error));
    TRY(sweep_launch(bench, error));
    TRY(sweep_copies(bench, error));
    TRY(sweep_gemms(bench, error));
    TRY(sentinel(bench, error));
    TRY(sweep_attention(bench, error));
    TRY(sweep_layers(bench, error));
    TRY(sweep_collectives(bench, error));
    return sentinel(bench, error);
}

static Status bench_open(Bench *bench, BenchBuffers *buffers, Error *error)
{
    cudaDeviceProp properties;
    int device = 0;
    CUDA_TRY(cudaGetDevice(&device));
    CUDA_TRY(cudaGetDeviceProperties(&properties, device));
    /* Twice the cache: the kernels' operands must all be pushed out. */
    bench->flush_bytes = 2 * (size_t)properties.l2CacheSize;
    CUDA_TRY(cudaStreamCreate(&bench->stream));
    CUDA_TRY(cudaEventCreate(&bench->start));
    CUDA_TRY(cudaEventCreate(&bench->stop));
    BLAS_TRY(cublasCreate(&bench->blas));
    BLAS_TRY(cublasSetStream(bench->blas, bench->stream));
    TRY(bench_allocate(buffers, bench->flush_bytes, &bench->flush, error));
    TRY(bench_allocate(buffers, MOE_BLAS_WORKSPACE_BYTES, &bench->workspace, error));
    BLAS_TRY(cublasSetWorkspace(bench->blas, bench->workspace, MOE_BLAS_WORKSPACE_BYTES));
    return STATUS_OK;
}

static void bench_close(Bench *bench, BenchBuffers *buffers)
{
    if (bench->blas != NULL)
        cublasDestroy(bench->blas);
    if (bench->start != NULL)
        cudaEventDestroy(bench->start);
    if (bench->stop != NULL)
        cudaEventDestroy(bench->stop);
    if (bench->stream != NULL)
        cudaStreamDestroy(bench->stream);
    bench_free(buffers);
}

Status cuda_sweep_run(const CudaSweep *sweep, uint64_t seed, FILE *out, size_t *points,
                      Error *error)
{
    Bench bench = {};
    BenchBuffers buffers = {};
    bench.sweep = sweep;
    bench.out = out;
    bench.seed = seed;
    bench.counting = true;
    Status status = sweep_all(&bench, error);
    bench.counting = false;
    if (status == STATUS_OK)
        status = bench_open(&bench, &buffers, error);
    if (status == STATUS_OK)
        status = sweep_all(&bench, error);
    bench_close(&bench, &buffers);
    *points = bench.points;
    return status;
}
