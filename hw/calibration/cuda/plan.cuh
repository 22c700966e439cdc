/* What a plan holds, and its stages one by one: the layer runs them in their order, a benchmark any
 * of them alone. */
#ifndef HW_CALIBRATION_CUDA_PLAN_CUH
#define HW_CALIBRATION_CUDA_PLAN_CUH

#include "hw/calibration/cuda/devport.h"
#include "hw/calibration/cuda/moe_cuda.h"

/* NVIDIA's advice for sm_90. */
const size_t MOE_BLAS_WORKSPACE_BYTES = (size_t)32 << 20;

/* The products of one layer, by the weights they use. */
enum MoeCudaWeights { WEIGHTS_IN, WEIGHTS_OUT };

typedef Status (*MoeCudaStage)(MoeCudaPlan *plan, Error *error);

/* The stages whose code depends on the element type. */
struct MoeCudaStages {
    MoeCudaStage permute, activation, combine;
    MoeCudaStage gemm_in, gemm_out;
    MoeCudaStage combine_backward, gemm_out_dgrad, gemm_out_wgrad, activation_backward;
    MoeCudaStage gemm_in_dgrad, gemm_in_wgrad, gather_dx, d_logits;
};

struct MoeCudaPlan {
    MoeShape shape;
    MoeCudaGemm gemm;
    size_t rows_max;    /* rows that the experts take together at most */
    uint32_t copies;    /* T k */
    uint32_t tile_rows; /* of the own product */
    size_t element_bytes;
    cudaDataType type;
    const MoeCudaStages *stages;
    double bytes;
    int has_dy, logit_is_bad;
    uint32_t *host_first_row;   /* [E + 1], page-locked; valid behind the sync stage */
    const void **host_pointers; /* [3 E], page-locked: A, B, C of a grouped call */
    int *host_sizes;            /* 7 E: arguments of a grouped call */
    float *host_factors;        /* 2 E */
    cudaStream_t stream;
    cudaEvent_t start, stop;
    cublasHandle_t blas;
    /* on the device; void: of the element type */
    void *workspace; /* cuBLAS's own */
    const void **pointers;
    void *x, *router, *w_in, *w_out, *dy;
    float *bias;
    float *logits, *probabilities;  /* [T, E] */
    uint32_t *expert_of;            /* [T, k] */
    float *weight_of, *d_weight_of; /* [T, k] */
    unsigned long long *bad;        /* t * E + e of the first logit that is not finite */
    uint32_t *block_counts;         /* [chunks, E] */
    uint32_t *copies_of, *first_row, *first_tile;
    uint32_t *row_of, *copy_of;
    float *aux_partial;
    double *aux_loss;
    void *rows_in, *pre, *hidden, *rows_out, *y;
    void *d_rows_out, *d_hidden, *d_pre, *d_rows_in, *dx, *d_logits, *d_w_in, *d_w_out;
    float *d_router; /* [E, D] */
};

/* Stages of every type. */
Status moe_stage_router(MoeCudaPlan *plan, Error *error);
Status moe_stage_top_k(MoeCudaPlan *plan, Error *error);
Status moe_stage_sort(MoeCudaPlan *plan, Error *error);
/* The loads to the host, where the products need them; checks the logits. */
Status moe_stage_sync(MoeCudaPlan *plan, Error *error);
Status moe_stage_aux(MoeCudaPlan *plan, Error *error);
Status moe_stage_router_backward(MoeCudaPlan *plan, Error *error);

/* Blocks of the sort and of the auxiliary loss, each with its own partial results. */
unsigned moe_sort_blocks(const MoeShape *shape);
unsigned moe_aux_blocks(const MoeShape *shape);

extern const MoeCudaStages MOE_CUDA_STAGES[MOE_DTYPES];

/* expert_gemm.cu: rows times weights, and both gradients; rows of the plan's first_row. */
enum MoeCudaPass { PASS_FORWARD, PASS_DGRAD, PASS_WGRAD };
struct ExpertProduct {
    MoeCudaPass pass;
    const void *rows;    /* [R, k]; of the gradient of the rows: [R, n] */
    const void *weights; /* [E, n, k]; of the weight gradient: rows [R, n] of the output's side */
    void *result;
    int n, k; /* of the weights */
};
Status moe_expert_product(MoeCudaPlan *plan, const ExpertProduct *product, Error *error);
/* Rows of a tile of the own product, by type and mean load. */
uint32_t moe_own_tile_rows(const MoeShape *shape);

/* Fill `error` with what failed. */
Status moe_cuda_failed(cudaError_t code, const char *what, Error *error);
Status moe_blas_failed(cublasStatus_t code, const char *what, Error *error);

/* Leave the function when a call fails. */
#define CUDA_TRY(call)                                                                             \
    do {                                                                                           \
        const cudaError_t code_ = (call);                                                          \
        if (code_ != cudaSuccess)                                                                  \
            return moe_cuda_failed(code_, #call, error);                                           \
    } while (0)
#define BLAS_TRY(call)                                                                             \
    do {                                                                                           \
        const cublasStatus_t code_ = (call);                                                       \
        if (code_ != CUBLAS_STATUS_SUCCESS)                                                        \
            return moe_blas_failed(code_, #call, error);                                           \
    } while (0)
#define TRY(call)                                                                                  \
    do {                                                                                           \
        const Status status_ = (call);                                                             \
        if (status_ != STATUS_OK)                                                                  \
            return status_;                                                                        \
    } while (0)

#endif
