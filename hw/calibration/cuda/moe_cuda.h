/* The layer of hw/calibration/moe_layer.h on a GPU of compute capability 8.0 or later: own kernels
 * for routing, permutation, activation, combine and their gradients; the products of the experts in
 * three ways. bf16 and fp16 are computed on tensor cores with sums in fp32, and tensors between
 * stages are rounded to the dtype; fp32 is fp32 throughout (no TF32).
 *
 * A plan holds every buffer of its device, so that a timed run allocates nothing. Errors are
 * STATUS_INVALID for what the caller gave, STATUS_ENVIRONMENT for the device (no memory, a call of
 * CUDA or cuBLAS that failed; such an error stays with the process).
 */
#ifndef HW_CALIBRATION_CUDA_MOE_CUDA_H
#define HW_CALIBRATION_CUDA_MOE_CUDA_H

#ifdef __cplusplus
extern "C" {
#endif

#include "hw/calibration/moe_layer.h"

/* How the products of the experts are made. */
typedef enum MoeCudaGemm {
    MOE_CUDA_LOOP,    /* cublasGemmEx, one call an expert; needs the loads on the host */
    MOE_CUDA_GROUPED, /* cublasGemmGroupedBatchedEx; needs the loads on the host */
    MOE_CUDA_OWN,     /* grouped_gemm.cuh; reads the loads on the device */
    MOE_CUDA_GEMMS
} MoeCudaGemm;
extern const char *const MOE_CUDA_GEMM_NAMES[MOE_CUDA_GEMMS];

typedef struct MoeCudaPlan MoeCudaPlan;

/* For the current device. hidden and ffn must be multiples of 8, copies and widths fit the 32-bit
 * sizes of cuBLAS and of a grid. */
Status moe_cuda_plan(const MoeShape *shape, MoeCudaGemm gemm, MoeCudaPlan **plan, Error *error);
void moe_cuda_plan_free(MoeCudaPlan *plan);

/* Bytes of the device that the plan holds. */
double moe_cuda_plan_bytes(const MoeCudaPlan *plan);

/* Copies the inputs to the device, rounded to the dtype. Without dy there is no backward. */
Status moe_cuda_upload(MoeCudaPlan *plan, const MoeInputs *inputs, Error *error);

/* One pass of what was uploaded. `times` may be NULL; with it the host waits behind each stage.
 * Nothing is waited for at the end: moe_cuda_wait. STATUS_INVALID names the token and expert of a
 * logit that is not finite, from moe_cuda_wait when the loads stay on the device. */
Status moe_cuda_forward(MoeCudaPlan *plan, MoeStageTimes *times, Error *error);
Status moe_cuda_backward(MoeCudaPlan *plan, MoeStageTimes *times, Error *error);
Status moe_cuda_wait(MoeCudaPlan *plan, Error *error);

/* Copies what the last passes computed to where `outputs` points. */
Status moe_cuda_outputs(MoeCudaPlan *plan, int with_gradients, MoeOutputs *outputs, Error *error);

/* All together, with the own product: a MoeRun. */
Status moe_cuda_run(const MoeShape *shape, const MoeInputs *inputs, MoeOutputs *outputs,
                    MoeStageTimes *times, Error *error);
Status moe_cuda_run_with(MoeCudaGemm gemm, const MoeShape *shape, const MoeInputs *inputs,
                         MoeOutputs *outputs, MoeStageTimes *times, Error *error);

#ifdef __cplusplus
}
#endif

#endif
