/* The stages of the layer: each one launch or product, with its grid and the plan's buffers. */
#include "hw/calibration/cuda/moe_kernels.cuh"
#include "hw/calibration/cuda/plan.cuh"

static unsigned blocks_for(size_t work, size_t each)
{
    return (unsigned)((work + each - 1) / each);
}

unsigned moe_sort_blocks(const MoeShape *shape)
{
    return blocks_for(shape->tokens * shape->top_k, moe::SORT_CHUNK);
}

unsigned moe_aux_blocks(const MoeShape *shape)
{
    return blocks_for(shape->tokens, moe::AUX_TOKENS);
}

static Status launched(Error *error)
{
    CUDA_TRY(cudaGetLastError());
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------ of every type */

/* Row-major products with the router, in cuBLAS's column-major terms as in expert_gemm.cu. fp32
 * stays fp32; the types of operands and result may differ. */
static Status router_product(MoeCudaPlan *plan, cublasOperation_t op_a, cublasOperation_t op_b,
                             size_t m, size_t n, size_t k, const void *a, size_t lda, const void *b,
                             size_t ldb, float beta, void *c, cudaDataType type_c, Error *error)
{
    const float one = 1;
    const cublasComputeType_t compute =
        plan->shape.dtype == MOE_FP32 ? CUBLAS_COMPUTE_32F_PEDANTIC : CUBLAS_COMPUTE_32F;
    BLAS_TRY(cublasGemmEx(plan->blas, op_a, op_b, (int)m, (int)n, (int)k, &one, a, plan->type,
                          (int)lda, b, plan->type, (int)ldb, &beta, c, type_c, (int)m, compute,
                          CUBLAS_GEMM_DEFAULT));
    return STATUS_OK;
}

/* logits[T, E] = x[T, D] router[E, D]^T; the bias comes with the choice. */
Status moe_stage_router(MoeCudaPlan *plan, Error *error)
{
    const MoeShape *const s = &plan->shape;
    return router_product(plan, CUBLAS_OP_T, CUBLAS_OP_N, s->experts, s->tokens, s->hidden,
                          plan->router, s->hidden, plan->x, s->hidden, 0, plan->logits, CUDA_R_32F,
                          error);
}

Status moe_stage_top_k(MoeCudaPlan *plan, Error *error)
{
    const MoeShape *const s = &plan->shape;
    CUDA_TRY(cudaMemsetAsync(plan->bad, 0xff, sizeof *plan->bad, plan->stream));
    MOE_LAUNCH(moe::top_k_kernel, blocks_for(s->tokens, moe::ROUTER_THREADS / moe::WARP),
               moe::ROUTER_THREADS, 0, plan->stream, plan->bias, plan->logits, (uint32_t)s->tokens,
               (int)s->experts, (int)s->top_k, plan->expert_of, plan->weight_of,
               plan->probabilities, plan->bad);
    return launched(error);
}

Status moe_stage_sort(MoeCudaPlan *plan, Error *error)
{
    const int experts = (int)plan->shape.experts;
    const unsigned blocks = moe_sort_blocks(&plan->shape);
    const uint32_t capacity = (uint32_t)moe_capacity(&plan->shape);
    MOE_LAUNCH(moe::count_kernel, blocks, moe::SORT_THREADS, 0, plan->stream, plan->expert_of,
               plan->copies, experts, plan->block_counts);
    TRY(launched(error));
    MOE_LAUNCH(moe::scan_kernel, 1, (unsigned)(experts + 31) / 32 * 32, 0, plan->stream,
               plan->block_counts, blocks, experts, capacity, plan->tile_rows, plan->copies_of,
               plan->first_row, plan->first_tile);
    TRY(launched(error));
    MOE_LAUNCH(moe::place_kernel, blocks, moe::SORT_THREADS, 0, plan->stream, plan->expert_of,
               plan->copies, experts, capacity, plan->block_counts, plan->first_row, plan->row_of,
               plan->copy_of);
    return launched(error);
}

Status moe_stage_sync(MoeCudaPlan *plan, Error *error)
{
    const size_t experts = plan->shape.experts;
    unsigned long long bad = moe::NO_BAD_LOGIT;
    CUDA_TRY(cudaMemcpyAsync(plan->host_first_row, plan->first_row,
                             (experts + 1) * sizeof(uint32_t), cudaMemcpyDeviceToHost,
                             plan->stream));
    CUDA_TRY(cudaMemcpyAsync(&bad, plan->bad, sizeof bad, cudaMemcpyDeviceToHost, plan->stream));
    CUDA_TRY(cudaStreamSynchronize(plan->stream));
    if (bad == moe::NO_BAD_LOGIT)
        return STATUS_OK;
    float logit = 0;
    CUDA_TRY(cudaMemcpyAsync(&logit, plan->logits + bad, sizeof logit, cudaMemcpyDeviceToHost,
                             plan->stream));
    CUDA_TRY(cudaStreamSynchronize(plan->stream));
    return error_set(error, STATUS_INVALID, "logit of token %llu, expert %llu is %s", bad / experts,
                     bad % experts, logit != logit ? "not a number" : "infinite");
}

/* aux_weight E sum_e (copies_of / T k) (sum of probabilities / T) */
Status moe_stage_aux(MoeCudaPlan *plan, Error *error)
{
    const MoeShape *const s = &plan->shape;
    const unsigned blocks = moe_aux_blocks(s);
    const double tokens = (double)s->tokens;
    const double scale = s->aux_weight * (double)s->experts / (tokens * (double)s->top_k) / tokens;
    MOE_LAUNCH(moe::aux_partial_kernel, blocks, moe::AUX_THREADS, 0, plan->stream,
               plan->probabilities, (uint32_t)s->tokens, (int)s->experts, plan->aux_partial);
    TRY(launched(error));
    MOE_LAUNCH(moe::aux_loss_kernel, 1, moe::AUX_THREADS, 0, plan->stream, plan->aux_partial,
               blocks, (int)s->experts, plan->copies_of, scale, plan->aux_loss);
    return launched(error);
}

/* d_router[E, D] = d_logits[T, E]^T x[T, D];  dx[T, D] += d_logits[T, E] router[E, D]. */
Status moe_stage_router_backward(MoeCudaPlan *plan, Error *error)
{
    const MoeShape *const s = &plan->shape;
    TRY(router_product(plan, CUBLAS_OP_N, CUBLAS_OP_T, s->hidden, s->experts, s->tokens, plan->x,
                       s->hidden, plan->d_logits, s->experts, 0, plan->d_router, CUDA_R_32F,
                       error));
    return router_product(plan, CUBLAS_OP_N, CUBLAS_OP_N, s->hidden, s->tokens, s->experts,
                          plan->router, s->hidden, plan->d_logits, s->experts, 1, plan->dx,
                          plan->type, error);
}

/* -------------------------------------------------------------------------------- of one type */

template <typename T> struct Typed {
    typedef Eight<T> Eights;

    static const Eights *read(const void *buffer)
    {
        return static_cast<const Eights *>(buffer);
    }

    static Eights *write(void *buffer)
    {
        return static_cast<Eights *>(buffer);
    }

    static int hidden_eights(const MoeCudaPlan *plan)
    {
        return (int)(plan->shape.hidden / 8);
    }

    static Status permute(MoeCudaPlan *plan, Error *error)
    {
        MOE_LAUNCH(moe::permute_kernel<T>, (unsigned)plan->rows_max, moe::ROW_THREADS, 0,
                   plan->stream, read(plan->x), plan->copy_of,
                   plan->first_row + plan->shape.experts, (uint32_t)plan->shape.top_k,
                   hidden_eights(plan), write(plan->rows_in));
        return launched(error);
    }

    static unsigned activation_blocks(const MoeCudaPlan *plan)
    {
        return blocks_for(plan->rows_max * (plan->shape.ffn / 8), moe::ELEMENT_THREADS);
    }

    static Status activation(MoeCudaPlan *plan, Error *error)
    {
        MOE_LAUNCH(moe::activation_kernel<T>, activation_blocks(plan), moe::ELEMENT_THREADS, 0,
                   plan->stream, read(plan->pre), plan->first_row + plan->shape.experts,
                   (int)(plan->shape.ffn / 8), plan->shape.gated != 0, write(plan->hidden));
        return launched(error);
    }

    static Status activation_backward(MoeCudaPlan *plan, Error *error)
    {
        MOE_LAUNCH(moe::activation_backward_kernel<T>, activation_blocks(plan),
                   moe::ELEMENT_THREADS, 0, plan->stream, read(plan->pre), read(plan->d_hidden),
                   plan->first_row + plan->shape.experts, (int)(plan->shape.ffn / 8),
                   plan->shape.gated != 0, write(plan->d_pre));
        return launched(error);
    }

    static Status combine(MoeCudaPlan *plan, Error *error)
    {
        MOE_LAUNCH(moe::combine_kernel<T>, (unsigned)plan->shape.tokens, moe::ROW_THREADS, 0,
                   plan->stream, read(plan->rows_out), plan->row_of, plan->weight_of,
                   (int)plan->shape.top_k, hidden_eights(plan), write(plan->y));
        return launched(error);
    }

    static Status combine_backward(MoeCudaPlan *plan, Error *error)
    {
        MOE_LAUNCH(moe::combine_backward_kernel<T>, plan->copies, moe::ROW_THREADS, 0, plan->stream,
                   read(plan->dy), read(plan->rows_out), plan->row_of, plan->weight_of,
                   (uint32_t)plan->shape.top_k, hidden_eights(plan), write(plan->d_rows_out),
                   plan->d_weight_of);
        return launched(error);
    }

    /* A row holds the gradient of its copy alone, so dx is the sum of its copies' rows. */
    static Status gather_dx(MoeCudaPlan *plan, Error *error)
    {
        MOE_LAUNCH(moe::combine_kernel<T>, (unsigned)plan->shape.tokens, moe::ROW_THREADS, 0,
                   plan->stream, read(plan->d_rows_in), plan->row_of, nullptr,
                   (int)plan->shape.top_k, hidden_eights(plan), write(plan->dx));
        return launched(error);
    }

    static Status d_logits(MoeCudaPlan *plan, Error *error)
    {
        const MoeShape *const s = &plan->shape;
        const double scale = s->aux_weight * (double)s->experts / (double)s->tokens;
        MOE_LAUNCH(moe::router_backward_kernel<T>,
                   blocks_for(s->tokens, moe::ROUTER_THREADS / moe::WARP), moe::ROUTER_THREADS, 0,
                   plan->stream, plan->probabilities, plan->weight_of, plan->d_weight_of,
                   plan->expert_of, plan->copies_of, (uint32_t)s->tokens, (int)s->experts,
                   (int)s->top_k, (float)scale, static_cast<T *>(plan->d_logits));
        return launched(error);
    }
};

/* ----------------------------------------------------------------------------- expert products */

static Status product(MoeCudaPlan *plan, MoeCudaPass pass, MoeCudaWeights weights, const void *rows,
                      const void *other, void *result, Error *error)
{
    const MoeShape *const s = &plan->shape;
    const bool in = weights == WEIGHTS_IN;
    const ExpertProduct p = {pass,
                             rows,
                             other,
                             result,
                             (int)(in ? moe_w_in_rows(s) : s->hidden),
                             (int)(in ? s->hidden : s->ffn)};
    return moe_expert_product(plan, &p, error);
}

static Status gemm_in(MoeCudaPlan *plan, Error *error)
{
    return product(plan, PASS_FORWARD, WEIGHTS_IN, plan->rows_in, plan->w_in, plan->pre, error);
}

static Status gemm_out(MoeCudaPlan *plan, Error *error)
{
    return product(plan, PASS_FORWARD, WEIGHTS_OUT, plan->hidden, plan->w_out, plan->rows_out,
                   error);
}

static Status gemm_out_dgrad(MoeCudaPlan *plan, Error *error)
{
    return product(plan, PASS_DGRAD, WEIGHTS_OUT, plan->d_rows_out, plan->w_out, plan->d_hidden,
                   error);
}

static Status gemm_out_wgrad(MoeCudaPlan *plan, Error *error)
{
    return product(plan, PASS_WGRAD, WEIGHTS_OUT, plan->hidden, plan->d_rows_out, plan->d_w_out,
                   error);
}

static Status gemm_in_dgrad(MoeCudaPlan *plan, Error *error)
{
    return product(plan, PASS_DGRAD, WEIGHTS_IN, plan->d_pre, plan->w_in, plan->d_rows_in, error);
}

static Status gemm_in_wgrad(MoeCudaPlan *plan, Error *error)
{
    return product(plan, PASS_WGRAD, WEIGHTS_IN, plan->rows_in, plan->d_pre, plan->d_w_in, error);
}

template <typename T> static constexpr MoeCudaStages stages_of()
{
    return MoeCudaStages{Typed<T>::permute,
                         Typed<T>::activation,
                         Typed<T>::combine,
                         gemm_in,
                         gemm_out,
                         Typed<T>::combine_backward,
                         gemm_out_dgrad,
                         gemm_out_wgrad,
                         Typed<T>::activation_backward,
                         gemm_in_dgrad,
                         gemm_in_wgrad,
                         Typed<T>::gather_dx,
                         Typed<T>::d_logits};
}

const MoeCudaStages MOE_CUDA_STAGES[MOE_DTYPES] = {stages_of<float>(), stages_of<__nv_bfloat16>(),
                                                   stages_of<__half>()};
