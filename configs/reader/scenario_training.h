/* The training of a Scenario: layout of a step, software stack, phases of a run, data and laws of
 * the loss. */
#ifndef CONFIGS_READER_SCENARIO_TRAINING_H
#define CONFIGS_READER_SCENARIO_TRAINING_H

#include "configs/reader/scenario_common.h"

#include <stddef.h>

enum { MAX_COURSE_PHASES = 12, MAX_DATA_PARTS = 12 };

typedef enum Recompute { RECOMPUTE_NONE, RECOMPUTE_SELECTIVE, RECOMPUTE_FULL } Recompute;
typedef enum SelectiveScope {
    SELECTIVE_SCORES,    /* attention scores: Megatron-LM (Korthikanti et al. 2022, section 5) */
    SELECTIVE_OPERATORS, /* all but attention and every second matrix product: torchtitan */
    SELECTIVE_MODULES,   /* norms and activation functions: Megatron-Core, recompute_modules */
    SELECTIVE_EXPERTS,   /* norms and the whole layer of experts: the same, layernorm and moe */
    SELECTIVE_BUT_QKV,   /* all but queries, keys and values: MaxText, save_qkv_proj */
    SELECTIVE_SCOPES
} SelectiveScope;
typedef enum Fp8Scaling {
    FP8_TENSOR, /* one a tensor */
    FP8_ROW     /* one for each row of a product's left operand and column of its right one */
} Fp8Scaling;
typedef enum Dropout { DROPOUT_MASKED, DROPOUT_NONE } Dropout;
typedef enum PipelineSchedule {
    SCHEDULE_1F1B,
    SCHEDULE_GPIPE,
    SCHEDULE_INTERLEAVED, /* 1F1B over virtual_stages model chunks a stage */
    SCHEDULE_ZB_H1,       /* zero bubble: weight gradients fill the gaps; memory of 1F1B */
    SCHEDULE_ZB_2P,       /* zero bubble, twice the activations, optimizer without a barrier */
    SCHEDULE_DUALPIPE     /* from both ends; every GPU holds two stages */
} PipelineSchedule;
typedef enum ZeroOwner {
    OWNER_ALL, /* every rank a slice of each parameter: all-gather and reduce-scatter */
    OWNER_ONE, /* one rank the whole of a parameter: broadcast and reduce */
} ZeroOwner;

typedef enum ZeroCopies {
    COPIES_NONE, /* collectives work on the tensors themselves */
    COPIES_FLAT, /* gradients are put side by side, converted and divided: PyTorch's FSDP */
    COPIES_EACH  /* parameters are copied out of what was gathered, gradients in: FSDP2 */
} ZeroCopies;

typedef enum LayoutOrder {
    OUTERMOST_PIPELINE, /* a stage of all replicas side by side, then the next stage */
    OUTERMOST_DATA      /* all stages of a replica side by side, then the next replica */
} LayoutOrder;

typedef enum ExpertDispatch {
    DISPATCH_COPIES, /* every copy of a token: an all-to-all */
    DISPATCH_NODES   /* once to each node that has experts of it, on by NVLink (DeepEP) */
} ExpertDispatch;

/* How one optimizer step is laid out. gpus = tensor * context * pipeline * data. */
typedef struct ParallelSpec {
    double tensor;
    double pipeline;
    double data;
    double expert; /* 1: experts are cut by tensor parallelism; else divides data */
    int sequence_parallel;
    double zero_stage;  /* 0..3 */
    double micro_batch; /* sequences */
    PipelineSchedule schedule;
    double virtual_stages; /* model chunks of a stage, interleaved schedule only */
    Recompute recompute;
    int overlap_grad_reduce;  /* reduce gradients beside the last backward */
    int overlap_param_gather; /* gather parameters beside the next forward */
    double tensor_overlap;   /* share of tensor-parallel communication hidden under compute, 0..1 */
    double context;          /* ways that cut each sequence (ring attention); 0 counts as 1 */
    double expert_tensor;    /* tensor ways of the experts; 0: as tensor */
    double shard_group;      /* ranks among which ZeRO divides; the group is copied; 0: all */
    ExpertDispatch dispatch; /* what of a token crosses the network to its experts */
    double expert_overlap;   /* share of expert-parallel communication hidden under compute */
    SelectiveScope selective_scope; /* what recompute: selective computes again */
    LayoutOrder outermost;          /* ways that lie farthest apart */
    double gather_limit;            /* parameters that ZeRO-3 holds gathered; 0: two layers */
    double dispatch_sms;            /* multiprocessors that a dispatch by nodes occupies */
    ZeroOwner zero_owner;           /* who holds a parameter that ZeRO-3 divides */
    ZeroCopies zero_copies;         /* what ZeRO-3 copies besides */
    int recompute_stops;            /* recomputing ends where the backward has what it needs */
} ParallelSpec;

typedef struct TrainingSpec {
    char name[NAME_BYTES]; /* of the software stack, when one is named (configs/calibration) */
    double tokens;         /* to be trained on in all */
    double batch_tokens;   /* of one optimizer step; rounded to whole microbatches */
    double sequence_length;
    Precision precision;              /* of the matrix products */
    Precision gradient_precision;     /* of stored gradients: bf16 or fp32 */
    double optimizer_bytes_per_param; /* Adam with fp32 master weights: 12 */
    AttentionKernel attention;
    double kernel_overhead; /* share of added time for everything a kernel table does not see */
    ExpertLoadSpec expert_load;
    double reserved_bytes;  /* framework, communication buffers, fragmentation; per GPU */
    double capacity_factor; /* rows of an expert over the mean, padded and cut; 0: dropless */
    double launch_s;        /* host time of one kernel launch that nothing hides */
    double fused;           /* share of element-wise operators that a fused stack saves, 0..1 */
    Dropout dropout;        /* masks of dropout behind attention and MLP are kept */
    int fp8_inputs;         /* inputs of fp8 matrix products are kept in fp8 only */
    Fp8Scaling fp8_scaling; /* how many values share a scale */
    int fp8_gather; /* what fp8 products read is gathered in fp8: weights of ZeRO-3, activations */
    double gradient_bytes_per_param; /* stored; 0: one gradient in gradient_precision */
    double
        frozen; /* share of the parameters that is not trained: 1 for LoRA, but for its adapters */
    double logit_bytes; /* of one logit with all that its loss keeps; 0: 16 and 32 bits */
    ParallelSpec parallel;
} TrainingSpec;

/* A stretch of a run that is trained otherwise than the scenario says. Zero in a key: as there. */
typedef enum PhaseVision { PHASE_VISION_AS_MODEL, PHASE_VISION_OFF } PhaseVision;
typedef enum PhaseRecompute {
    PHASE_RECOMPUTE_AS_BASE,
    PHASE_RECOMPUTE_NONE,
    PHASE_RECOMPUTE_SELECTIVE,
    PHASE_RECOMPUTE_FULL
} PhaseRecompute;
typedef struct CoursePhase {
    char name[NAME_BYTES];
    double tokens;  /* 0: what the other phases leave of training.tokens */
    double until_s; /* the phase ends at this time after the start of the run; 0: with its tokens */
    double pause_s; /* standstill before it, for a new layout or new machines */
    double batch_tokens;
    double batch_from;   /* the batch grows from this to batch_tokens, in equal steps of tokens */
    double batch_stages; /* so many batch sizes on the way */
    double sequence_length, micro_batch;
    double tensor, context, pipeline, data;
    double older_stages, older_layers, older_replicas;
    double gpus_paid; /* 0: those in use */
    PhaseRecompute recompute;
    PhaseVision vision;
} CoursePhase;

/* What is trained on, and how fast it can be read. */
typedef struct DataPart {
    char name[NAME_BYTES];
    double unique_tokens; /* of one pass */
    double epochs;        /* passes */
} DataPart;
typedef struct DataSpec {
    double text_bytes_per_token; /* as loaded */
    double read_bytes_per_s;     /* of the storage that batches come from; 0: never waited for */
    size_t part_count;
    DataPart parts[MAX_DATA_PARTS];
} DataSpec;

/* Published laws of the loss, with their coefficients; see models/scaling_law.h. */
typedef struct ParametricLaw {
    double floor, a, alpha, b, beta; /* L = floor + a / N^alpha + b / D^beta */
} ParametricLaw;
typedef struct RoutedLaw {
    double a, b, c, d; /* log10 L = a log10 N + b log10 E' + c log10 N log10 E' + d */
    double start, maximum;
} RoutedLaw;
typedef struct JointLaw {
    double floor, a, alpha, delta, gamma, b, beta, omega, zeta;
    double start, maximum;
} JointLaw;
typedef struct LawSpec {
    char name[NAME_BYTES];
    double tokens_per_parameter;
    ParametricLaw parametric;
    RoutedLaw routed;
    JointLaw joint;
    double repeat_worth; /* passes after which a repeated token is worth 1/e of a fresh one */
} LawSpec;

#endif
