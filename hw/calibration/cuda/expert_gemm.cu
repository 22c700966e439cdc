/* The products of the experts in three ways, behind one function. cuBLAS is column-major: a
 * row-major matrix is its transpose, so C = A B^T becomes C^T = B A^T, operands swapped. */
#include "hw/calibration/cuda/grouped_gemm.cuh"
#include "hw/calibration/cuda/plan.cuh"

const char *const MOE_CUDA_GEMM_NAMES[MOE_CUDA_GEMMS] = {"loop", "grouped", "own"};

/* Few rows an expert leave most of a tall tile empty. */
static const double SHORT_TILE_MEAN_LOAD = 64;

uint32_t moe_own_tile_rows(const MoeShape *shape)
{
    const double load = (double)shape->tokens * (double)shape->top_k / (double)shape->experts;
    if (shape->dtype == MOE_FP32)
        return moe::FMA_TILE;
    return load <= SHORT_TILE_MEAN_LOAD ? 64 : 128;
}

/* ------------------------------------------------------------------------------ one cuBLAS call */

/* Arguments of one expert's product in cuBLAS's terms. */
struct BlasCall {
    cublasOperation_t op_a, op_b;
    int m, n, k, lda, ldb, ldc;
    const void *a, *b;
    void *c;
};

static const void *at(const MoeCudaPlan *plan, const void *matrix, size_t element)
{
    return static_cast<const char *>(matrix) + element * plan->element_bytes;
}

/*   forward  C[r, n]  = A[r, k] W[n, k]^T    C^T[n, r]  = (W^T)^T A^T
 *   dgrad    C[r, k]  = A[r, n] W[n, k]      C^T[k, r]  = W^T A^T
 *   wgrad    C[n, k]  = B[r, n]^T A[r, k]    C^T[k, n]  = A^T (B^T)^T */
static BlasCall call_of(const MoeCudaPlan *plan, const ExpertProduct *p, size_t e)
{
    const size_t row = plan->host_first_row[e];
    const int rows = (int)(plan->host_first_row[e + 1] - row);
    const size_t weight = e * (size_t)p->n * p->k;
    BlasCall call = {};
    if (p->pass == PASS_FORWARD) {
        call = BlasCall{CUBLAS_OP_T,
                        CUBLAS_OP_N,
                        p->n,
                        rows,
                        p->k,
                        p->k,
                        p->k,
                        p->n,
                        at(plan, p->weights, weight),
                        at(plan, p->rows, row * p->k),
                        NULL};
        if (PLANTED(21))
            call.lda = p->n;
        if (PLANTED(22)) {
            call.n = p->k;
            call.k = rows;
        }
        call.c = const_cast<void *>(at(plan, p->result, row * p->n));
    } else if (p->pass == PASS_DGRAD) {
        call = BlasCall{CUBLAS_OP_N,
                        CUBLAS_OP_N,
                        p->k,
                        rows,
                        p->n,
                        p->k,
                        p->n,
                        p->k,
                        at(plan, p->weights, weight),
                        at(plan, p->rows, row * p->n),
                        NULL};
        call.c = const_cast<void *>(at(plan, p->result, row * p->k));
    } else {
        call = BlasCall{CUBLAS_OP_N,
                        CUBLAS_OP_T,
                        p->k,
                        p->n,
                        rows,
                        p->k,
                        p->n,
                        p->k,
                        at(plan, p->rows, row * p->k),
                        at(plan, p->weights, row * p->n),
                        NULL};
        if (PLANTED(23)) {
            const void *const swapped = call.a;
            call.a = call.b;
            call.b = swapped;
        }
        call.c = const_cast<void *>(at(plan, p->result, weight));
    }
    return call;
}

/* fp32 in fp32, not in TF32. */
static cublasComputeType_t compute_type(const MoeCudaPlan *plan)
{
    return plan->shape.dtype == MOE_FP32 ? CUBLAS_COMPUTE_32F_PEDANTIC : CUBLAS_COMPUTE_32F;
}

/* An expert without rows: no product; the gradient of its weights is zero. */
static Status clear_without_rows(MoeCudaPlan *plan, const ExpertProduct *p, size_t e, Error *error)
{
    const size_t elements = (size_t)p->n * p->k;
    if (p->pass == PASS_WGRAD && !PLANTED(24))
        CUDA_TRY(cudaMemsetAsync(const_cast<void *>(at(plan, p->result, e * elements)), 0,
                                 elements * plan->element_bytes, plan->stream));
    return STATUS_OK;
}

static Status product_loop(MoeCudaPlan *plan, const ExpertProduct *p, Error *error)
{
    const float one = 1, zero = 0;
    for (size_t e = 0; e < plan->shape.experts; ++e) {
        if (plan->host_first_row[e] == plan->host_first_row[e + 1]) {
            TRY(clear_without_rows(plan, p, e, error));
            continue;
        }
        const BlasCall c = call_of(plan, p, e);
        BLAS_TRY(cublasGemmEx(plan->blas, c.op_a, c.op_b, c.m, c.n, c.k, &one, c.a, plan->type,
                              c.lda, c.b, plan->type, c.ldb, &zero, c.c, plan->type, c.ldc,
                              compute_type(plan), CUBLAS_GEMM_DEFAULT));
    }
    return STATUS_OK;
}

/* Every expert with rows is a group of one: sizes on the host, pointers on the device. The stream
 * must have taken the pointers of the call before from the page-locked buffer, hence the wait. */
static Status product_grouped(MoeCudaPlan *plan, const ExpertProduct *p, Error *error)
{
    const size_t experts = plan->shape.experts;
    int *const m = plan->host_sizes, *const n = m + experts, *const k = n + experts,
               *const lda = k + experts, *const ldb = lda + experts, *const ldc = ldb + experts,
               *const ones = ldc + experts;
    cublasOperation_t op_a[MOE_MAX_EXPERTS], op_b[MOE_MAX_EXPERTS];
    const void **const host = plan->host_pointers;
    int groups = 0;
    CUDA_TRY(cudaStreamSynchronize(plan->stream));
    for (size_t e = 0; e < experts; ++e) {
        if (plan->host_first_row[e] == plan->host_first_row[e + 1]) {
            TRY(clear_without_rows(plan, p, e, error));
            continue;
        }
        const BlasCall c = call_of(plan, p, e);
        op_a[groups] = c.op_a;
        op_b[groups] = c.op_b;
        m[groups] = c.m, n[groups] = c.n, k[groups] = c.k;
        lda[groups] = c.lda, ldb[groups] = c.ldb, ldc[groups] = c.ldc;
        ones[groups] = 1;
        host[groups] = c.a, host[experts + groups] = c.b, host[2 * experts + groups] = c.c;
        ++groups;
    }
    if (groups == 0)
        return STATUS_OK;
    CUDA_TRY(cudaMemcpyAsync(plan->pointers, host, 3 * experts * sizeof(void *),
                             PLANTED(25) ? cudaMemcpyDeviceToHost : cudaMemcpyHostToDevice,
                             plan->stream));
    const void **const pointers = PLANTED(26) ? host : plan->pointers;
    BLAS_TRY(cublasGemmGroupedBatchedEx(plan->blas, op_a, op_b, m, n, k, plan->host_factors,
                                        pointers, plan->type, lda, pointers + experts, plan->type,
                                        ldb, plan->host_factors + experts,
                                        const_cast<void *const *>(pointers + 2 * experts),
                                        plan->type, ldc, groups, ones, compute_type(plan)));
    return STATUS_OK;
}

/* -------------------------------------------------------------------------------- own product */

static unsigned tiles(size_t size, size_t tile)
{
    return (unsigned)((size + tile - 1) / tile);
}

/* The sizes of the product in the terms of grouped_gemm.cuh, and the grid over its tiles. */
template <typename T>
static moe::GroupedProduct<T> own_sizes(const MoeCudaPlan *plan, const ExpertProduct *p,
                                        size_t tile_m, size_t tile_n, dim3 *grid)
{
    moe::GroupedProduct<T> g = {};
    const size_t experts = plan->shape.experts;
    const bool data = p->pass == PASS_DGRAD;
    g.a = static_cast<const T *>(p->rows);
    g.b = static_cast<const T *>(p->weights);
    g.c = static_cast<T *>(p->result);
    g.first_row = plan->first_row;
    g.first_tile = plan->first_tile;
    g.experts = (int)experts;
    g.n = data ? p->k : p->n;
    g.k = data ? p->n : p->k;
    if (p->pass == PASS_WGRAD) { /* C[n, k] of the weights = (rows of the output's side)^T rows */
        g.a = static_cast<const T *>(p->weights);
        g.b = static_cast<const T *>(p->rows);
        g.m = p->n;
        g.n = p->k;
        *grid = dim3(tiles((size_t)g.m, tile_m), tiles((size_t)g.n, tile_n), (unsigned)experts);
    } else {
        /* Each expert may waste one tile. */
        const size_t most = plan->rows_max / tile_m + experts;
        *grid = dim3((unsigned)(PLANTED(27) ? plan->rows_max / tile_m : most),
                     tiles((size_t)g.n, tile_n), 1);
        if (PLANTED(27) && grid->x == 0)
            grid->x = 1;
    }
    return g;
}

template <typename T, moe::Product P, int TILE_M>
static Status own_mma(MoeCudaPlan *plan, const ExpertProduct *p, Error *error)
{
    void (*const kernel)(moe::GroupedProduct<T>) = moe::grouped_mma_kernel<T, P, TILE_M>;
    const size_t shared = moe::grouped_mma_shared_bytes<T, P, TILE_M>();
    dim3 grid;
    const moe::GroupedProduct<T> g = own_sizes<T>(plan, p, TILE_M, moe::MMA_N, &grid);
    CUDA_TRY(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared));
    MOE_LAUNCH(kernel, grid, moe::MMA_THREADS, shared, plan->stream, g);
    CUDA_TRY(cudaGetLastError());
    return STATUS_OK;
}

template <moe::Product P>
static Status own_fma(MoeCudaPlan *plan, const ExpertProduct *p, Error *error)
{
    void (*const kernel)(moe::GroupedProduct<float>) = moe::grouped_fma_kernel<P>;
    dim3 grid;
    const moe::GroupedProduct<float> g =
        own_sizes<float>(plan, p, moe::FMA_TILE, moe::FMA_TILE, &grid);
    MOE_LAUNCH(kernel, grid, moe::FMA_THREADS, 0, plan->stream, g);
    CUDA_TRY(cudaGetLastError());
    return STATUS_OK;
}

typedef Status (*OwnProduct)(MoeCudaPlan *plan, const ExpertProduct *p, Error *error);

template <typename T, int TILE_M> static OwnProduct own_of(MoeCudaPass pass)
{
    static const OwnProduct PRODUCTS[] = {own_mma<T, moe::PRODUCT_FORWARD, TILE_M>,
                                          own_mma<T, moe::PRODUCT_DATA, TILE_M>,
                                          own_mma<T, moe::PRODUCT_WEIGHT, 128>};
    return PRODUCTS[pass];
}

static Status product_own(MoeCudaPlan *plan, const ExpertProduct *p, Error *error)
{
    static const OwnProduct FP32[] = {own_fma<moe::PRODUCT_FORWARD>, own_fma<moe::PRODUCT_DATA>,
                                      own_fma<moe::PRODUCT_WEIGHT>};
    const bool tall = plan->tile_rows == 128;
    OwnProduct own = FP32[p->pass];
    if (plan->shape.dtype == MOE_BF16)
        own = tall ? own_of<__nv_bfloat16, 128>(p->pass) : own_of<__nv_bfloat16, 64>(p->pass);
    else if (plan->shape.dtype == MOE_FP16)
        own = tall ? own_of<__half, 128>(p->pass) : own_of<__half, 64>(p->pass);
    return own(plan, p, error);
}

Status moe_expert_product(MoeCudaPlan *plan, const ExpertProduct *product, Error *error)
{
    static const OwnProduct WAYS[MOE_CUDA_GEMMS] = {product_loop, product_grouped, product_own};
    return WAYS[plan->gemm](plan, product, error);
}
