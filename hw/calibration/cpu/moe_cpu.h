/* The layer of hw/calibration/moe_layer.h on this machine's CPU: OpenBLAS for the matrix products,
 * OpenMP for the rest, single precision. bf16 and fp16 shapes get inputs in that precision and are
 * computed in fp32 too.
 *
 * A plan holds every buffer, so that a timed run allocates nothing.
 */
#ifndef HW_CALIBRATION_CPU_MOE_CPU_H
#define HW_CALIBRATION_CPU_MOE_CPU_H

#include "hw/calibration/moe_layer.h"

typedef struct MoeCpuPlan MoeCpuPlan;

/* `threads`: 0 for all that OpenMP offers. STATUS_INVALID for a shape that is none or whose
 * matrices pass the 32-bit sizes of BLAS, STATUS_ENVIRONMENT without memory. */
Status moe_cpu_plan(const MoeShape *shape, int threads, MoeCpuPlan **plan, Error *error);
void moe_cpu_plan_free(MoeCpuPlan *plan);

/* Forward, and backward when inputs->dy is given, into the plan's own buffers. STATUS_INVALID
 * names the token and expert of a logit that is not finite. */
Status moe_cpu_compute(MoeCpuPlan *plan, const MoeInputs *inputs, MoeStageTimes *times,
                       Error *error);

/* Copies what the last run computed to where `outputs` points. */
void moe_cpu_outputs(const MoeCpuPlan *plan, int with_gradients, MoeOutputs *outputs);

/* The three together, with all threads: a MoeRun. */
Status moe_cpu_run(const MoeShape *shape, const MoeInputs *inputs, MoeOutputs *outputs,
                   MoeStageTimes *times, Error *error);

/* Only the expert products of a forward pass, for the loads of the last moe_cpu_compute: what the
 * benchmark holds against plain sgemm. */
void moe_cpu_expert_gemms(MoeCpuPlan *plan, const MoeInputs *inputs);

#endif
