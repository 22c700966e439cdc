/* Buffers of a plan, inputs and outputs, and the order of the stages. */
#include "hw/calibration/cuda/plan.cuh"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Status moe_cuda_failed(cudaError_t code, const char *what, Error *error)
{
    return error_set(error, STATUS_ENVIRONMENT, "%s: %s (%.120s)", cudaGetErrorName(code),
                     cudaGetErrorString(code), what);
}

Status moe_blas_failed(cublasStatus_t code, const char *what, Error *error)
{
    return error_set(error, STATUS_ENVIRONMENT, "%s (%.120s)", cublasGetStatusName(code), what);
}

/* ----------------------------------------------------------------------------------------- plan */

struct DeviceBuffer {
    void **place;
    size_t bytes;
};

enum { BUFFERS = 37 };

/* Every buffer on the device, for both allocating and freeing. */
static void device_buffers(MoeCudaPlan *plan, DeviceBuffer buffers[BUFFERS])
{
    const MoeShape *const s = &plan->shape;
    const size_t word = plan->element_bytes, rows = plan->rows_max, pairs = s->tokens * s->experts;
    const size_t stream = s->tokens * s->hidden, copies = plan->copies;
    const size_t in = rows * moe_w_in_rows(s);
    const DeviceBuffer all[] = {
        {&plan->workspace, MOE_BLAS_WORKSPACE_BYTES},
        {(void **)&plan->pointers, 3 * s->experts * sizeof(void *)},
        {&plan->x, stream * word},
        {&plan->router, s->experts * s->hidden * word},
        {&plan->w_in, moe_w_in_elements(s) * word},
        {&plan->w_out, moe_w_out_elements(s) * word},
        {&plan->dy, stream * word},
        {(void **)&plan->bias, s->experts * sizeof(float)},
        {(void **)&plan->logits, pairs * sizeof(float)},
        {(void **)&plan->probabilities, pairs * sizeof(float)},
        {(void **)&plan->expert_of, copies * sizeof(uint32_t)},
        {(void **)&plan->weight_of, copies * sizeof(float)},
        {(void **)&plan->d_weight_of, copies * sizeof(float)},
        {(void **)&plan->bad, sizeof(unsigned long long)},
        {(void **)&plan->block_counts, moe_sort_blocks(s) * s->experts * sizeof(uint32_t)},
        {(void **)&plan->copies_of, s->experts * sizeof(uint32_t)},
        {(void **)&plan->first_row, (s->experts + 1) * sizeof(uint32_t)},
        {(void **)&plan->first_tile, (s->experts + 1) * sizeof(uint32_t)},
        {(void **)&plan->row_of, copies * sizeof(uint32_t)},
        {(void **)&plan->copy_of, rows * sizeof(uint32_t)},
        {(void **)&plan->aux_partial, moe_aux_blocks(s) * s->experts * sizeof(float)},
        {(void **)&plan->aux_loss, sizeof(double)},
        {&plan->rows_in, rows * s->hidden * word},
        {&plan->pre, in * word},
        {&plan->hidden, rows * s->ffn * word},
        {&plan->rows_out, rows * s->hidden * word},
        {&plan->y, stream * word},
        {&plan->d_rows_out, rows * s->hidden * word},
        {&plan->d_hidden, rows * s->ffn * word},
        {&plan->d_pre, in * word},
        {&plan->d_rows_in, rows * s->hidden * word},
        {&plan->dx, stream * word},
        {&plan->d_logits, pairs * word},
        {&plan->d_w_in, moe_w_in_elements(s) * word},
        {&plan->d_w_out, moe_w_out_elements(s) * word},
        {(void **)&plan->d_router, s->experts * s->hidden * sizeof(float)},
    };
    static_assert(sizeof all / sizeof all[0] == BUFFERS - 1, "the last one closes the list");
    memcpy(buffers, all, sizeof all);
    buffers[BUFFERS - 1] = DeviceBuffer{NULL, 0};
}

void moe_cuda_plan_free(MoeCudaPlan *plan)
{
    if (plan == NULL)
        return;
    DeviceBuffer buffers[BUFFERS];
    device_buffers(plan, buffers);
    for (const DeviceBuffer *b = buffers; b->place != NULL; ++b)
        cudaFree(*b->place);
    if (plan->blas != NULL)
        cublasDestroy(plan->blas);
    if (plan->start != NULL)
        cudaEventDestroy(plan->start);
    if (plan->stop != NULL)
        cudaEventDestroy(plan->stop);
    if (plan->stream != NULL)
        cudaStreamDestroy(plan->stream);
    cudaFreeHost(plan->host_first_row);
    cudaFreeHost(plan->host_pointers);
    free(plan->host_sizes);
    free(plan->host_factors);
    free(plan);
}

double moe_cuda_plan_bytes(const MoeCudaPlan *plan)
{
    return plan->bytes;
}

static Status allocate(MoeCudaPlan *plan, Error *error)
{
    DeviceBuffer buffers[BUFFERS];
    size_t available = 0, total = 0;
    device_buffers(plan, buffers);
    for (const DeviceBuffer *b = buffers; b->place != NULL; ++b)
        plan->bytes += (double)b->bytes;
    CUDA_TRY(cudaMemGetInfo(&available, &total));
    if (plan->bytes > (double)available)
        return error_set(error, STATUS_ENVIRONMENT,
                         "a layer of %.3g bytes; the device has %.3g free of %.3g", plan->bytes,
                         (double)available, (double)total);
    for (const DeviceBuffer *b = buffers; b->place != NULL; ++b)
        if (cudaMalloc(b->place, b->bytes) != cudaSuccess) {
            *b->place = NULL;
            (void)cudaGetLastError(); /* not a sticky one */
            return error_set(error, STATUS_ENVIRONMENT,
                             "out of device memory for a layer of %.3g bytes", plan->bytes);
        }
    return STATUS_OK;
}

static Status prepare(MoeCudaPlan *plan, Error *error)
{
    const size_t experts = plan->shape.experts;
    CUDA_TRY(cudaStreamCreate(&plan->stream));
    CUDA_TRY(cudaEventCreate(&plan->start));
    CUDA_TRY(cudaEventCreate(&plan->stop));
    BLAS_TRY(cublasCreate(&plan->blas));
    BLAS_TRY(cublasSetStream(plan->blas, plan->stream));
    TRY(allocate(plan, error));
    BLAS_TRY(cublasSetWorkspace(plan->blas, plan->workspace, MOE_BLAS_WORKSPACE_BYTES));
    CUDA_TRY(cudaMallocHost((void **)&plan->host_first_row, (experts + 1) * sizeof(uint32_t)));
    CUDA_TRY(cudaMallocHost((void **)&plan->host_pointers, 3 * experts * sizeof(void *)));
    memset(plan->host_pointers, 0, 3 * experts * sizeof(void *));
    plan->host_sizes = static_cast<int *>(calloc(7 * experts, sizeof(int)));
    plan->host_factors = static_cast<float *>(calloc(2 * experts, sizeof(float)));
    if (plan->host_sizes == NULL || plan->host_factors == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    for (size_t e = 0; e < experts; ++e)
        plan->host_factors[e] = 1; /* alpha; beta behind it stays 0 */
    return STATUS_OK;
}

/* What the kernels and cuBLAS count in 32 bits, and grids along y in 16. */
static Status check_limits(const MoeShape *shape, Error *error)
{
    const size_t widest = (size_t)65535 * 64, copies = shape->tokens * shape->top_k;
    if (shape->hidden % 8 != 0 || shape->ffn % 8 != 0)
        return error_set(error, STATUS_INVALID,
                         "hidden = %zu, ffn = %zu; on a GPU both are multiples of 8", shape->hidden,
                         shape->ffn);
    if (copies > INT_MAX - 65536)
        return error_set(error, STATUS_INVALID, "%zu copies of tokens are more than %d", copies,
                         INT_MAX - 65536);
    if (shape->hidden > widest || 2 * shape->ffn > widest)
        return error_set(error, STATUS_INVALID, "hidden = %zu, ffn = %zu; widest on a GPU: %zu",
                         shape->hidden, shape->ffn, widest / 2);
    return STATUS_OK;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

Status moe_cuda_plan(const MoeShape *shape, MoeCudaGemm gemm, MoeCudaPlan **plan, Error *error)
{
    static const cudaDataType TYPES[MOE_DTYPES] = {CUDA_R_32F, CUDA_R_16BF, CUDA_R_16F};
    *plan = NULL;
    TRY(moe_shape_check(shape, error));
    TRY(check_limits(shape, error));
    MoeCudaPlan *made = static_cast<MoeCudaPlan *>(calloc(1, sizeof *made));
    if (made == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    made->shape = *shape;
    made->gemm = gemm;
    made->copies = (uint32_t)(shape->tokens * shape->top_k);
    made->rows_max = least(made->copies, moe_capacity(shape) * shape->experts);
    made->tile_rows = moe_own_tile_rows(shape);
    made->element_bytes = shape->dtype == MOE_FP32 ? 4 : 2;
    made->type = TYPES[shape->dtype];
    made->stages = &MOE_CUDA_STAGES[shape->dtype];
    const Status status = prepare(made, error);
    if (status == STATUS_OK)
        *plan = made;
    else
        moe_cuda_plan_free(made);
    return status;
}

/* ------------------------------------------------------------------------------ inputs, outputs */

/* floats -> elements of the plan's type */
static void pack(const MoeCudaPlan *plan, const float *from, void *to, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        if (plan->shape.dtype == MOE_FP32)
            static_cast<float *>(to)[i] = from[i];
        else if (plan->shape.dtype == MOE_BF16)
            static_cast<__nv_bfloat16 *>(to)[i] = from_float<__nv_bfloat16>(from[i]);
        else
            static_cast<__half *>(to)[i] = from_float<__half>(from[i]);
}

static void unpack(const void *from, MoeDtype dtype, double *to, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        if (dtype == MOE_FP32)
            to[i] = static_cast<const float *>(from)[i];
        else if (dtype == MOE_BF16)
            to[i] = to_float(static_cast<const __nv_bfloat16 *>(from)[i]);
        else
            to[i] = to_float(static_cast<const __half *>(from)[i]);
}

static Status upload_one(MoeCudaPlan *plan, const float *from, void *to, size_t count, Error *error)
{
    void *const packed = malloc(count * plan->element_bytes);
    if (packed == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    pack(plan, from, packed, count);
    cudaError_t code = cudaMemcpyAsync(to, packed, count * plan->element_bytes,
                                       cudaMemcpyHostToDevice, plan->stream);
    if (code == cudaSuccess)
        code = cudaStreamSynchronize(plan->stream);
    free(packed);
    CUDA_TRY(code);
    return STATUS_OK;
}

Status moe_cuda_upload(MoeCudaPlan *plan, const MoeInputs *inputs, Error *error)
{
    const MoeShape *const s = &plan->shape;
    TRY(upload_one(plan, inputs->x, plan->x, s->tokens * s->hidden, error));
    TRY(upload_one(plan, inputs->router, plan->router, s->experts * s->hidden, error));
    TRY(upload_one(plan, inputs->w_in, plan->w_in, moe_w_in_elements(s), error));
    TRY(upload_one(plan, inputs->w_out, plan->w_out, moe_w_out_elements(s), error));
    plan->has_dy = inputs->dy != NULL;
    if (plan->has_dy)
        TRY(upload_one(plan, inputs->dy, plan->dy, s->tokens * s->hidden, error));
    if (inputs->router_bias == NULL)
        CUDA_TRY(cudaMemsetAsync(plan->bias, 0, s->experts * sizeof(float), plan->stream));
    else
        CUDA_TRY(cudaMemcpyAsync(plan->bias, inputs->router_bias, s->experts * sizeof(float),
                                 cudaMemcpyHostToDevice, plan->stream));
    CUDA_TRY(cudaStreamSynchronize(plan->stream));
    return STATUS_OK;
}

static Status download(MoeCudaPlan *plan, const void *from, void *to, size_t bytes, Error *error)
{
    CUDA_TRY(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, plan->stream));
    CUDA_TRY(cudaStreamSynchronize(plan->stream));
    return STATUS_OK;
}

/* A tensor of `dtype` into doubles; nothing when it is not wanted. */
static Status fetch(MoeCudaPlan *plan, const void *from, MoeDtype dtype, double *to, size_t count,
                    Error *error)
{
    if (to == NULL)
        return STATUS_OK;
    const size_t bytes = count * (dtype == MOE_FP32 ? 4 : 2);
    void *const packed = malloc(bytes);
    if (packed == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    const Status status = download(plan, from, packed, bytes, error);
    if (status == STATUS_OK)
        unpack(packed, dtype, to, count);
    free(packed);
    return status;
}

/* Loads before drops, and what the capacity dropped. */
static Status fetch_loads(MoeCudaPlan *plan, MoeOutputs *outputs, Error *error)
{
    uint32_t copies_of[MOE_MAX_EXPERTS];
    const size_t experts = plan->shape.experts, capacity = moe_capacity(&plan->shape);
    TRY(download(plan, plan->copies_of, copies_of, experts * sizeof(uint32_t), error));
    outputs->dropped = 0;
    for (size_t e = 0; e < experts; ++e) {
        if (copies_of[e] > capacity)
            outputs->dropped += copies_of[e] - capacity;
        if (outputs->copies_of != NULL)
            outputs->copies_of[e] = copies_of[e];
    }
    return STATUS_OK;
}

Status moe_cuda_outputs(MoeCudaPlan *plan, int with_gradients, MoeOutputs *outputs, Error *error)
{
    const MoeShape *const s = &plan->shape;
    const size_t stream = s->tokens * s->hidden;
    TRY(fetch_loads(plan, outputs, error));
    TRY(download(plan, plan->aux_loss, &outputs->aux_loss, sizeof(double), error));
    TRY(fetch(plan, plan->y, s->dtype, outputs->y, stream, error));
    TRY(fetch(plan, plan->weight_of, MOE_FP32, outputs->weight_of, plan->copies, error));
    if (outputs->expert_of != NULL)
        TRY(download(plan, plan->expert_of, outputs->expert_of, plan->copies * sizeof(uint32_t),
                     error));
    if (!with_gradients)
        return STATUS_OK;
    TRY(fetch(plan, plan->dx, s->dtype, outputs->dx, stream, error));
    TRY(fetch(plan, plan->d_router, MOE_FP32, outputs->d_router, s->experts * s->hidden, error));
    TRY(fetch(plan, plan->d_w_in, s->dtype, outputs->d_w_in, moe_w_in_elements(s), error));
    return fetch(plan, plan->d_w_out, s->dtype, outputs->d_w_out, moe_w_out_elements(s), error);
}

/* ----------------------------------------------------------------------------------------- layer
 */

/* Runs one stage; with `seconds` between two events, added to it. */
static Status run_stage(MoeCudaPlan *plan, MoeCudaStage stage, double *seconds, Error *error)
{
    float milliseconds = 0;
    if (seconds == NULL)
        return stage(plan, error);
    CUDA_TRY(cudaEventRecord(plan->start, plan->stream));
    TRY(stage(plan, error));
    CUDA_TRY(cudaEventRecord(plan->stop, plan->stream));
    CUDA_TRY(cudaEventSynchronize(plan->stop));
    CUDA_TRY(cudaEventElapsedTime(&milliseconds, plan->start, plan->stop));
    *seconds += 1e-3 * (double)milliseconds;
    return STATUS_OK;
}

struct TimedStage {
    MoeCudaStage run;
    MoeStage stage;
};

static Status run_stages(MoeCudaPlan *plan, const TimedStage *stages, size_t count,
                         MoeStageTimes *times, Error *error)
{
    for (size_t i = 0; i < count; ++i) {
        if (stages[i].run == moe_stage_sync && plan->gemm == MOE_CUDA_OWN)
            continue; /* the loads stay on the device */
        double *const seconds = times != NULL ? &times->seconds[stages[i].stage] : NULL;
        TRY(run_stage(plan, stages[i].run, seconds, error));
    }
    return STATUS_OK;
}

Status moe_cuda_forward(MoeCudaPlan *plan, MoeStageTimes *times, Error *error)
{
    const MoeCudaStages *const s = plan->stages;
    const TimedStage stages[] = {
        {moe_stage_router, MOE_STAGE_ROUTER}, {moe_stage_top_k, MOE_STAGE_TOP_K},
        {moe_stage_sort, MOE_STAGE_SORT},     {moe_stage_aux, MOE_STAGE_SORT},
        {moe_stage_sync, MOE_STAGE_SYNC},     {s->permute, MOE_STAGE_PERMUTE},
        {s->gemm_in, MOE_STAGE_GEMM_IN},      {s->activation, MOE_STAGE_ACTIVATION},
        {s->gemm_out, MOE_STAGE_GEMM_OUT},    {s->combine, MOE_STAGE_COMBINE},
    };
    return run_stages(plan, stages, sizeof stages / sizeof stages[0], times, error);
}

Status moe_cuda_backward(MoeCudaPlan *plan, MoeStageTimes *times, Error *error)
{
    const MoeCudaStages *const s = plan->stages;
    const TimedStage stages[] = {
        {s->combine_backward, MOE_STAGE_BACKWARD},
        {s->gemm_out_wgrad, MOE_STAGE_BACKWARD},
        {s->gemm_out_dgrad, MOE_STAGE_BACKWARD},
        {s->activation_backward, MOE_STAGE_BACKWARD},
        {s->gemm_in_wgrad, MOE_STAGE_BACKWARD},
        {s->gemm_in_dgrad, MOE_STAGE_BACKWARD},
        {s->gather_dx, MOE_STAGE_BACKWARD},
        {s->d_logits, MOE_STAGE_BACKWARD},
        {moe_stage_router_backward, MOE_STAGE_BACKWARD},
    };
    if (!plan->has_dy)
        return error_set(error, STATUS_INVALID, "a backward pass without dy");
    return run_stages(plan, stages, sizeof stages / sizeof stages[0], times, error);
}

Status moe_cuda_wait(MoeCudaPlan *plan, Error *error)
{
    return moe_stage_sync(plan, error);
}

Status moe_cuda_run_with(MoeCudaGemm gemm, const MoeShape *shape, const MoeInputs *inputs,
                         MoeOutputs *outputs, MoeStageTimes *times, Error *error)
{
    MoeCudaPlan *plan = NULL;
    const int backward = inputs->dy != NULL;
    if (times != NULL)
        *times = MoeStageTimes();
    Status status = moe_cuda_plan(shape, gemm, &plan, error);
    if (status == STATUS_OK)
        status = moe_cuda_upload(plan, inputs, error);
    if (status == STATUS_OK)
        status = moe_cuda_forward(plan, times, error);
    if (status == STATUS_OK && backward)
        status = moe_cuda_backward(plan, times, error);
    if (status == STATUS_OK)
        status = moe_cuda_wait(plan, error);
    if (status == STATUS_OK)
        status = moe_cuda_outputs(plan, backward, outputs, error);
    moe_cuda_plan_free(plan);
    return status;
}

Status moe_cuda_run(const MoeShape *shape, const MoeInputs *inputs, MoeOutputs *outputs,
                    MoeStageTimes *times, Error *error)
{
    return moe_cuda_run_with(MOE_CUDA_OWN, shape, inputs, outputs, times, error);
}
