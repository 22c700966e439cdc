/* Words and sizes that several parts of a Scenario share. */
#ifndef CONFIGS_READER_SCENARIO_COMMON_H
#define CONFIGS_READER_SCENARIO_COMMON_H

enum { NAME_BYTES = 64, TITLE_BYTES = 160, TRACE_BYTES = 192 };

typedef enum Precision {
    PRECISION_BF16,
    PRECISION_FP8,
    PRECISION_FP16,
    PRECISION_FP32,
    PRECISION_INT8,
    /* Of weights alone, widened to 16 bits for products: */
    PRECISION_FP4, /* a scale a block: MXFP4 */
    PRECISION_INT4 /* scales as WeightFormat says */
} Precision;
typedef enum AttentionKernel {
    ATTENTION_UNFUSED, /* scores written to memory: PyTorch, Megatron before 2023 */
    ATTENTION_FLASH1,
    ATTENTION_FLASH2,
    ATTENTION_FLASH3
} AttentionKernel;
typedef enum ExpertLoadModel {
    EXPERT_LOAD_BALANCED, /* equal by force */
    EXPERT_LOAD_UNIFORM,  /* equally popular: only chance differs */
    EXPERT_LOAD_LOGNORMAL,
    EXPERT_LOAD_DIRICHLET,
    EXPERT_LOAD_ZIPF,
    EXPERT_LOAD_AUXILIARY_LOSS, /* lognormal spread that balancing leaves */
    EXPERT_LOAD_POWER_LAW       /* density x^-a between 1 and a span */
} ExpertLoadModel;

/* Kernels that a serving engine runs experts with; see hw/moe_layer.h. */
typedef enum MoeKernels {
    MOE_KERNELS_GROUPED, /* grouped products as they come, and single operators around them */
    MOE_KERNELS_CUTLASS,
    MOE_KERNELS_CUTLASS_BLOCK, /* fp8 scaled by blocks */
    MOE_KERNELS_TRITON,
    MOE_KERNELS_TRITON_TUNED
} MoeKernels;

/* How popular the experts of a layer are; see sim/training/expert_popularity.h, and of serving
 * models/expert_choice.h. */
typedef struct ExpertLoadSpec {
    ExpertLoadModel model;
    double sigma;         /* lognormal, auxiliary_loss: of the logarithm of popularity */
    double concentration; /* dirichlet */
    double exponent;      /* zipf, power_law */
    double span;          /* power_law: the largest popularity over the least */
    double drift;         /* sigma from one microbatch to the next, any model but balanced */
} ExpertLoadSpec;

#endif
