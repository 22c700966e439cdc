/* The checked inputs of a simulation as plain data.
 *
 * A Scenario is one flat struct without pointers: copying it is a struct assignment, which is what
 * makes sampling cheap (copy, overwrite the uncertain fields, simulate). Every field is filled by
 * the tables in schema_*.c, which hold its key, unit, bounds, default and help; nothing else reads
 * YAML.
 *
 * Units are SI inside: seconds, bytes, FLOP/s, watts, US dollars; a price per hour is USD per hour
 * because that is the unit of every contract. Counts are doubles (exact to 2^53), so that one kind
 * of range, unit and override serves all numbers.
 */
#ifndef CONFIGS_READER_SCENARIO_H
#define CONFIGS_READER_SCENARIO_H

#include "configs/reader/law.h"

#include <stddef.h>

enum {
    NAME_BYTES = 64,
    TITLE_BYTES = 160,
    MAX_UNCERTAIN = 64,
    MAX_CHOICES = 8,
    MAX_FAILURE_CLASSES = 24,
    MAX_RENT_OFFERS = 32,
    MAX_DRAFT_TOKENS = 32,
    MAX_COURSE_PHASES = 12,
    MAX_DATA_PARTS = 12,
    TRACE_BYTES = 192,
    MAX_CLUSTERS = 12,
    MAX_REGIONS = 12,
    MAX_CURVE_POINTS = 336 /* two weeks of hours */
};

typedef enum Precision {
    PRECISION_BF16,
    PRECISION_FP8,
    PRECISION_FP16,
    PRECISION_FP32,
    PRECISION_FP4 /* 4-bit weights with a scale a block, widened to 16 bits for products */
} Precision;
typedef enum ExpertPrecision { EXPERTS_AS_WEIGHTS, EXPERTS_FP4 } ExpertPrecision;
typedef enum Recompute { RECOMPUTE_NONE, RECOMPUTE_SELECTIVE, RECOMPUTE_FULL } Recompute;
typedef enum SelectiveScope {
    SELECTIVE_SCORES,    /* attention scores: Megatron-LM (Korthikanti et al. 2022, section 5) */
    SELECTIVE_OPERATORS, /* all but attention and every second matrix product: torchtitan */
    SELECTIVE_MODULES    /* norms and activation functions: Megatron-Core, recompute_modules */
} SelectiveScope;
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

typedef enum LayoutOrder {
    OUTERMOST_PIPELINE, /* a stage of all replicas side by side, then the next stage */
    OUTERMOST_DATA      /* all stages of a replica side by side, then the next replica */
} LayoutOrder;

typedef enum ExpertDispatch {
    DISPATCH_COPIES, /* every copy of a token: an all-to-all */
    DISPATCH_NODES   /* once to each node that has experts of it, on by NVLink (DeepEP) */
} ExpertDispatch;
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
    EXPERT_LOAD_AUXILIARY_LOSS /* lognormal spread that balancing leaves */
} ExpertLoadModel;
typedef enum RestartClock { RESTART_EXPOSED, RESTART_SAFE } RestartClock; /* closed forms S1, S2 */
typedef enum FailureUnit {
    FAILURE_PER_GPU,
    FAILURE_PER_NODE,
    FAILURE_PER_JOB,
    FAILURE_PER_NIC,   /* a port with its cable */
    FAILURE_PER_DOMAIN /* domain_nodes nodes that share a switch, a rack, a power feed */
} FailureUnit;
typedef enum FailureClock {
    FAILURE_CLOCK_RUN, /* rate while the job runs */
    FAILURE_CLOCK_WALL /* events over elapsed time, down time included */
} FailureClock;
typedef enum CheckpointInterval { INTERVAL_FIXED, INTERVAL_OPTIMAL } CheckpointInterval;
typedef enum KvSharding { KV_REPLICATED, KV_BY_BATCH } KvSharding;
typedef enum BatchPolicy {
    BATCH_DECODE_FIRST,  /* every iteration serves all answers; prompts take what is left of it */
    BATCH_PREFILL_FIRST, /* answers wait while a prompt can be read */
    BATCH_STATIC /* requests are taken together and leave together, with the longest answer */
} BatchPolicy;
typedef enum KvAdmission {
    ADMIT_PROMPT, /* memory for the prompt is enough to start; answers may be thrown out later */
    ADMIT_WHOLE   /* memory for the longest answer is set aside first */
} KvAdmission;
/* What happens to keys and values of a sequence that is thrown out of memory. */
typedef enum PreemptionRule { PREEMPT_RECOMPUTE, PREEMPT_SWAP } PreemptionRule;
/* How a draft token is accepted: as the target's distribution demands, or more often, at a price in
 * quality. */
typedef enum AcceptanceRule { ACCEPT_EXACT, ACCEPT_RELAXED } AcceptanceRule;
typedef enum ArrivalProcess { ARRIVALS_POISSON, ARRIVALS_GAMMA, ARRIVALS_EVEN } ArrivalProcess;
typedef enum ScenarioKind { SCENARIO_TRAINING, SCENARIO_SERVING } ScenarioKind;

/* An image encoder beside the decoder, whose output the decoder reads through cross-attention
 * layers of its own (Flamingo, Alayrac et al. 2022; Llama 3, Grattafiori et al. 2024, section 7).
 * All zero: text only. */
typedef struct VisionSpec {
    double layers, d_model, d_ff, heads; /* of the encoder: a plain transformer over patches */
    double patches;                      /* of one image, whole tiles together */
    double image_tokens;   /* vectors of one image that the decoder sees; 0: as many as patches */
    double image_width;    /* of each of them; 0: d_model */
    double cross_every;    /* a cross-attention layer beside every n-th layer of the decoder */
    double cross_kv_heads; /* 0: as many as query heads */
    double cross_d_ff;     /* hidden width of the MLP of a cross-attention layer; 0: it has none */
    double images;         /* in one training sequence */
    double seen_images;    /* of these that one token attends to; 0: all */
    double bytes;          /* of one image as it is loaded */
} VisionSpec;

/* A decoder-only transformer. Dense when experts == 1. */
typedef struct ModelSpec {
    char name[NAME_BYTES];
    double layers;
    double d_model;
    double d_ff;     /* hidden width of one MLP (of one expert) */
    double heads;    /* query heads */
    double kv_heads; /* 1: multi-query; heads: multi-head */
    double head_dim; /* heads * head_dim need not equal d_model */
    double vocab_size;
    double experts;           /* 1: dense */
    double experts_per_token; /* top-k */
    double shared_experts;
    int gated_mlp;       /* 0: two matrices a MLP; 1: three (SwiGLU) */
    int tied_embeddings; /* 1: input and output embedding share one matrix */
    /* Zero in each of these is the plain transformer. */
    double expert_d_ff;       /* width of a routed expert where it is not d_ff */
    double shared_d_ff;       /* width of a shared expert; 0: as a routed one */
    double dense_layers;      /* the first so many layers of an MoE model have one MLP of d_ff */
    double moe_every;         /* of the layers behind them every n-th has experts; 0 and 1: all */
    double kv_lora_rank;      /* multi-head latent attention (DeepSeek-V2, section 2.1); 0: none */
    double q_lora_rank;       /* latent attention: 0: queries come straight from the stream */
    double rope_head_dim;     /* latent attention: rotary channels of a head, one key for all */
    double nope_head_dim;     /* latent attention: the other query and key channels of a head */
    double v_head_dim;        /* latent attention: value channels of a head */
    double attention_window;  /* tokens that a token looks back at most; 0: all */
    double window_layers;     /* layers that the window holds for; 0: all */
    double routed_groups;     /* of experts that one token's copies go to at most; 0: any */
    double learned_positions; /* rows of a table of positions; 0: none (rotary or none) */
    VisionSpec vision;
} ModelSpec;

/* t = launch + (t_compute^p + t_memory^p)^(1/p) with tile and wave quantisation; see hw/gemm.h. */
typedef struct GemmFit {
    double launch_s;
    double compute_efficiency; /* fraction of peak FLOP/s that a large tile reaches */
    double memory_efficiency;  /* fraction of HBM bandwidth */
    double k_overhead;         /* fill and drain of the k loop, in elements of k */
    double tile_penalty;       /* g */
    double split_k_cost;       /* of one doubling of the split, in launches (a plain number) */
    double overlap_exponent;   /* p */
    double wave_quantisation;  /* lambda: 0 persistent kernels, 1 whole waves */
    double quantise_cost;      /* bytes moved per element of A to quantise it (fp8); 0: none */
} GemmFit;

/* A MoE layer as one kernel family runs it, beside the products' own constants; see hw/moe_layer.h.
 */
typedef struct MoeLayerFit {
    double launch_s;           /* router, permutation and activation; 0: no such kernels */
    double compute_efficiency; /* of grouped products, as a share of plain products' */
    double memory_efficiency;  /* likewise of reading the experts' weights */
    double overlap_exponent;   /* of experts that wait for memory and experts that compute */
    double row_passes;         /* times that routed rows are moved beside the products */
    double token_passes;       /* times that all tokens are: quantised, scattered, combined */
    /* Tiles that the kernels keep to, whatever the shape; 0: they choose. */
    double tile_rows, tile_columns;
    double few_tile_rows, few_tile_columns; /* with no more tokens than experts */
    double tile_traffic;                    /* share of the tiles' operands that HBM delivers */
} MoeLayerFit;

/* Attention throughput P * s / (s + s0) in causal-halved FLOP/s, forward and backward together. */
typedef struct AttentionFit {
    double flops_per_s; /* P; 0: this kernel does not exist on this GPU */
    double half_length; /* s0, tokens */
} AttentionFit;

typedef enum DeviceClass { DEVICE_GPU, DEVICE_CPU } DeviceClass;
typedef enum EvidenceTier { TIER_DATASHEET, TIER_PUBLISHED, TIER_MEASURED } EvidenceTier;

/* t = launch + ((bytes / B)^q + (flops / P)^q)^(1/q) of one kind of kernel; see
 * hw/calibration/fit.h. */
typedef struct MeasuredKernel {
    double launch_s;
    double bytes_per_s; /* B; 0: this kernel was not measured */
    double flops_per_s; /* P; 0: it only moves bytes */
    double overlap_exponent;
    double element_bytes; /* of its operands */
} MeasuredKernel;

/* Tiles that the products of a layer keep to, whatever its shape, and the cache that their operands
 * are read from. Rows 0: the kernels choose. */
typedef struct MoeTiles {
    double rows, columns;
    double few_rows; /* with no more tokens than experts; 0: the same */
    double cache_bytes;
} MoeTiles;

/* A MoE layer that was measured whole; the form is gpu_whole_layer_seconds, hw/moe_layer.h. */
typedef struct MeasuredLayerKernels {
    MeasuredKernel products;
    double moved_bytes_per_s; /* of the other kernels; 0: as the products' */
    double reread_share;
    MoeTiles tiles;
} MeasuredLayerKernels;

/* What was measured of a device, beside its catalogue entry; see hw/calibration/profile.h. */
typedef struct CalibrationSpec {
    char name[NAME_BYTES];
    char gpu[NAME_BYTES]; /* the catalogue's name of the device; empty: no profile */
    char device[TITLE_BYTES];
    DeviceClass device_class;
    EvidenceTier tier;
    MeasuredKernel gemm, moe_gemm, router, permute, combine, copy;
    MeasuredLayerKernels moe_layer;
    MeasuredKernel activation, activation_plain; /* with a gate, and without */
} CalibrationSpec;

/* Power of a board as shares of its limit; see hw/power.h. */
typedef struct PowerFit {
    double idle;    /* weights in memory, nothing runs; 0: as active */
    double active;  /* kernels run, however little they do; 0: no fit */
    double memory;  /* added at full bandwidth */
    double compute; /* added at peak FLOP/s */
} PowerFit;

typedef struct GpuSpec {
    char name[NAME_BYTES];
    DeviceClass device_class;
    double peak_bf16_flops_per_s; /* dense */
    double peak_fp8_flops_per_s;  /* 0: no fp8 */
    double unaligned_flops_per_s; /* of products whose rows are not aligned; 0: as the others */
    double memory_bytes;          /* capacity as sold */
    double memory_usable;         /* fraction left after driver and ECC */
    double memory_bytes_per_s;
    double stream_efficiency; /* fraction of HBM bandwidth that copy-like operators reach */
    double elementwise_launch_s;
    double sms;
    double tdp_w;
    PowerFit power;
    double jitter; /* relative standard deviation of one microbatch's compute between GPUs */
    double
        sustained; /* of the matrix throughput of single kernels, under a training's power; 0: 1 */
    GemmFit gemm_bf16;
    GemmFit gemm_fp8;
    MoeLayerFit moe_cutlass_bf16, moe_cutlass_fp8, moe_cutlass_fp8_block, moe_triton_bf16,
        moe_triton_tuned_bf16;
    AttentionFit attention_unfused, attention_flash1, attention_flash2, attention_flash3;
    /* decode attention: t = launch + ((KV bytes / (bandwidth * efficiency))^p + (rows/SMs *
     * tau)^p)^(1/p) */
    double decode_launch_s, decode_memory_efficiency, decode_block_s, decode_exponent;
    double decode_flops_per_s; /* of latent attention; 0: as plain products */
    double decode_pairs_per_s; /* query heads x tokens, of kernels by query head; 0: no bound */
    CalibrationSpec calibration;
} GpuSpec;

/* t = base + per_rank*(n-1) + W/B + sqrt(c*W), W the bytes on the wire; see hw/collective.h. */
typedef struct CollectiveFit {
    double base_s;
    double per_rank_s;
    double bytes_per_s;        /* B */
    double chunk_s2_per_byte;  /* c, so that sqrt(c * W) is in seconds */
    double two_rank_bandwidth; /* phi2: share of B when n == 2 */
    /* The low-latency protocol of short messages: base + per_rank*(n-1) + sqrt(short_c*W). */
    double short_bytes;             /* messages up to this; 0: no such protocol */
    double short_chunk_s2_per_byte; /* short_c */
    double long_start_s;            /* what a longer message adds to base */
} CollectiveFit;

/* One way of a token to its experts or back inside an NVLink domain; see hw/expert_dispatch.h. */
typedef struct ExpertNodeFit {
    double low_latency_start_s;
    double low_latency_bytes_per_s; /* 0: not fitted */
    double start_s;
    double sm_bytes_per_s; /* of one multiprocessor that copies; 0: not fitted */
    double chunk_s2_per_byte;
} ExpertNodeFit;

/* The same between nodes: `hop` is added for each doubling of the nodes. */
typedef struct ExpertFabricFit {
    double low_latency_start_s, low_latency_hop_s;
    double low_latency_efficiency; /* share of a GPU's network ports; 0: not fitted */
    double start_s, hop_s;
    double efficiency;     /* share of a GPU's network ports; 0: not fitted */
    double sm_bytes_per_s; /* of one multiprocessor that passes copies on inside nodes */
    double chunk_s2_per_byte;
} ExpertFabricFit;

typedef struct NodeSpec {
    char name[NAME_BYTES];
    double gpus;            /* GPUs in one NVLink domain */
    double nics;            /* network ports */
    double nic_bytes_per_s; /* one port, one direction */
    double power_w;         /* sustained power of the node under load */
    CollectiveFit all_reduce, all_gather, reduce_scatter, all_to_all;
    double eager_launch_s; /* added to every collective that is not graph-captured */
    ExpertNodeFit expert_dispatch, expert_combine;
    double collective_sms;       /* multiprocessors that a collective holds while it runs */
    double memory_per_wire_byte; /* bytes that HBM moves for each byte on the wire */
    double host_bytes_per_s;     /* between one GPU and host memory, one direction; 0: unknown */
    double host_time;            /* of launching a layer, over that of a DGX H100; 0: 1 */
} NodeSpec;

/* How rings that are larger than a segment pass through the segments. */
typedef enum SegmentRings {
    RINGS_ORDERED,  /* each segment once: only its last member sends to the next segment */
    RINGS_SCATTERED /* neighbours on a ring may lie in different segments */
} SegmentRings;

typedef struct FabricSpec {
    char name[NAME_BYTES];
    double efficiency;    /* eta: share of line rate that large collectives reach */
    double ring_hop_s;    /* latency of one ring step between nodes */
    double tree_hop_s;    /* latency of one level of an all-reduce tree between nodes; 0: no tree */
    double base_s;        /* fixed cost of one collective between nodes */
    double p2p_latency_s; /* one send between pipeline stages */
    double p2p_efficiency;      /* share of a NIC's line rate that one send reaches */
    double bucket_bytes;        /* gradient bucket of data-parallel collectives */
    double oversubscription;    /* 1: non-blocking */
    double segment_gpus;        /* of a part of the cluster that is non-blocking inside; 0: all */
    double segment_bytes_per_s; /* of one node to other segments, one direction */
    SegmentRings segment_rings;
    double chunk_s2_per_byte; /* c of a level of the tree between nodes; 0: that of the node */
    ExpertFabricFit expert_dispatch, expert_combine;
    double sms_per_port; /* multiprocessors that keep one network port busy */
} FabricSpec;

typedef struct HardwareSpec {
    char name[NAME_BYTES];
    double gpus; /* in the job */
    GpuSpec gpu;
    NodeSpec node;
    FabricSpec fabric;
    /* A cluster bought in waves. Pipeline stages on older GPUs may have fewer layers; replicas on
     * older GPUs hold up all others. Nodes and network are those of the newer ones. */
    GpuSpec older_gpu;
    double older_stages;   /* so many of the last stages of every replica */
    double older_layers;   /* of each of them; 0: as many as the others */
    double older_replicas; /* so many whole replicas */
} HardwareSpec;

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
} ParallelSpec;

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
    double exponent;      /* zipf */
    double drift;         /* sigma from one microbatch to the next, any model but balanced */
} ExpertLoadSpec;

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
    double gradient_bytes_per_param; /* stored; 0: one gradient in gradient_precision */
    double
        frozen; /* share of the parameters that is not trained: 1 for LoRA, but for its adapters */
    double logit_bytes; /* of one logit with all that its loss keeps; 0: 16 and 32 bits */
    ParallelSpec parallel;
} TrainingSpec;

typedef struct FailureClass {
    char name[NAME_BYTES];
    FailureUnit unit;
    double rate_per_s;  /* of one unit */
    double detection_s; /* of a crash */
    double hang_share;  /* of these failures that are no crash but a standstill */
    double hang_detection_s;
    FailureClock clock;
    LawKind law; /* of the time between failures of the job by this class */
    double shape;
    double domain_nodes;     /* nodes of one domain */
    double nodes;            /* that one event takes out */
    double process_restart;  /* share that restarting the processes cures: no node replaced */
    double outage_s;         /* standstill before anything is replaced or restarted */
    int planned;             /* 1: announced; saved first */
    double notice_s;         /* 0: none */
    double spoiled_s;        /* useful time before the failure that is worthless too */
    double memory_survives;  /* share of failures after which copies in memory are still there */
    char trace[TRACE_BYTES]; /* CSV of times since the start instead of a rate; "": none */
} FailureClass;

/* Published rates of one cluster, shipped under configs/hw/failures. */
typedef struct FailureSet {
    char name[NAME_BYTES];
    size_t class_count;
    FailureClass classes[MAX_FAILURE_CLASSES];
} FailureSet;

/* Copies in the memory of a peer, beside saves to storage. */
typedef struct MemorySaveSpec {
    double storage_every; /* one save in so many goes to storage as well; 0: no copies in memory */
    double blocking_s;    /* stall of every save */
    double bytes_per_s;   /* of a node's copy, out and back */
    double survives;      /* share of failures after which a copy is left */
} MemorySaveSpec;

typedef struct RandomTimeSpec {
    double mean_s;
    LawKind law;
    double shape;
} RandomTimeSpec;

typedef struct SpareSpec {
    double nodes;
    int limited;  /* 1: `nodes` was given; 0: a replacement is always found */
    double crews; /* 0: as many as needed */
    RandomTimeSpec repair;
} SpareSpec;

typedef struct LemonSpec {
    double share; /* 0: none */
    double rate_factor;
    double removed_after; /* failures; 0: never */
} LemonSpec;

typedef struct ElasticSpec {
    int allowed; /* 1: the job goes on without a failed data-parallel replica */
    double minimum_replicas;
    double drop_s, rejoin_s;
    RandomTimeSpec away;
} ElasticSpec;

typedef struct SlowNodeSpec {
    double rate_per_s; /* of one node; 0: none */
    RandomTimeSpec duration;
    double factor;        /* of the step time */
    double second_factor; /* of second_share of the slow nodes */
    double second_share;
    double evict_after_s; /* 0: never */
    double eviction_s;    /* standstill */
} SlowNodeSpec;

typedef struct SpikeSpec {
    double per_step; /* 0: none */
    double lag_steps;
    double back_steps;
} SpikeSpec;

typedef struct ReliabilitySpec {
    FailureSet failures;
    size_t class_count;
    FailureClass classes[MAX_FAILURE_CLASSES]; /* beside those of `failures` */
    double replacement_s;                      /* find and attach a healthy node */
    double scheduling_s;                       /* until the job has its nodes together again */
    double init_s;                             /* processes, communicators */
    double init_per_gpu_s;                     /* what initialisation grows by with each GPU */
    double warm_up_s;                          /* after the load: compilation, first steps */
    RestartClock restart_clock;
    double state_bytes_per_param; /* checkpoint size */
    double read_bytes_per_s;      /* aggregate storage bandwidth at restart */
    double write_bytes_per_s;
    double node_read_bytes_per_s; /* what one node can draw; 0: no limit */
    double node_write_bytes_per_s;
    int asynchronous;  /* 1: training goes on while the snapshot is written */
    double blocking_s; /* stall of an asynchronous save */
    CheckpointInterval interval_rule;
    double interval_s; /* when fixed: useful time between saves */
    MemorySaveSpec memory;
    SpareSpec spares;
    LemonSpec lemons;
    ElasticSpec elastic;
    SlowNodeSpec slow_nodes;
    SpikeSpec loss_spikes;
    double slowdown; /* share of throughput lost to stragglers over the run */
} ReliabilitySpec;

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

/* What hours of a GPU are paid by. */
typedef enum PriceBasis {
    PRICE_HOURLY, /* gpu_hour */
    PRICE_TABLE,  /* what `rent` says of a year and a kind of contract */
    PRICE_OWNED   /* machines of one's own: `own` */
} PriceBasis;
typedef enum Contract {
    CONTRACT_ON_DEMAND,
    CONTRACT_RESERVED_1Y,
    CONTRACT_RESERVED_3Y,
    CONTRACT_SPOT
} Contract;

/* What sellers asked for one hour of a GPU in one year under one kind of contract. */
typedef struct RentOffer {
    double year;
    Contract contract;
    double low_usd, median_usd, high_usd;
    double sellers; /* that the three are taken from */
} RentOffer;

typedef struct RentTable {
    char name[NAME_BYTES];
    size_t offer_count;
    RentOffer offers[MAX_RENT_OFFERS];
} RentTable;

/* What owning costs. Straight-line: the price less what is left, over the years of use. */
typedef struct OwnSpec {
    char name[NAME_BYTES];
    double node_usd;             /* a node as bought */
    double network_share;        /* of the price of nodes and network together */
    double facility_usd;         /* of each node: power and cooling up to it */
    double storage_bytes;        /* of the cluster */
    double storage_usd_per_byte; /* as bought */
    double useful_s;             /* until the machines are written off */
    double residual;             /* share of the price of the nodes left then */
    double capital_per_s;        /* interest on what is tied up on average */
    double utilisation;          /* share of its life for which somebody pays */
    double staff_usd_per_hour;   /* of the whole cluster */
} OwnSpec;

typedef struct PriceSpec {
    char name[NAME_BYTES];
    PriceBasis basis;
    double gpu_hour_usd;
    Contract contract;
    double year;          /* of the contract */
    double rent_quantile; /* 0 the cheapest seller, 0.5 the median, 1 the dearest */
    RentTable rent;
    OwnSpec own;
    double energy_usd_per_j;
    int energy_included; /* 1: the rent includes power */
    double pue;
    double co2_kg_per_j;
    double wanted_per_1k_usd; /* a price to be met, of prompts and answers; 0: none */
    double list_per_1k_input_usd, list_per_1k_output_usd; /* what readers pay; 0: no list price */
} PriceSpec;

/* Of the rounds, the share in which the draft at one position is accepted (and so are those before
 * it). */
typedef struct AcceptedShare {
    double share;
} AcceptedShare;

/* Speculative decoding; see models/speculation.h. */
typedef struct SpeculationSpec {
    double length;         /* draft tokens a round; 0: none */
    double acceptance;     /* of a draft whose predecessors were accepted */
    size_t position_count; /* 0: `acceptance` at every position */
    AcceptedShare positions[MAX_DRAFT_TOKENS];
    AcceptanceRule rule;
    double relaxed_acceptance; /* rule: relaxed, in place of acceptance */
    double lenience;           /* rule: relaxed: a token is taken at most 1/lenience times as often
                                  as the model would */
    double draft_share;        /* without a draft model: cost of a step over the target's */
    double draft_tensor;       /* ways of the draft model; 0: as the target */
    double draft_overhead;     /* of an iteration's host cost, what each draft step has as well */
    double most_sequences;     /* no drafts while more decode; 0: always */
    ModelSpec draft;           /* layers 0: none */
} SpeculationSpec;

/* What one side of a disaggregated cluster does otherwise than the serving section; 0: as there. */
typedef enum SidePrecision {
    SIDE_PRECISION_AS_SERVING,
    SIDE_PRECISION_FIRST /* + Precision */
} SidePrecision;
enum { MAX_SIDE_REPLICAS = 256 };
typedef struct ServingSideSpec {
    double replicas;
    double tensor, pipeline, expert;
    double max_batch;
    double prefill_chunk_tokens, iteration_tokens;
    SidePrecision weight_precision, kv_precision;
} ServingSideSpec;

typedef enum KvPath { KV_OVER_FABRIC, KV_WITHIN_NODE } KvPath;
typedef enum KvOverlap { KV_AFTER_PROMPT, KV_BY_LAYER } KvOverlap;
typedef enum FirstTokenFrom { FIRST_TOKEN_FROM_DECODE, FIRST_TOKEN_FROM_PREFILL } FirstTokenFrom;

/* How keys and values go from the side that reads prompts to the side that answers. */
typedef struct KvLinkSpec {
    KvPath path;
    double bytes_per_s; /* of one GPU, one direction; 0: as the path's hardware gives it */
    double latency_s;   /* of one transfer, beside the path's own */
    KvOverlap overlap;
} KvLinkSpec;

/* Prompts are read by some replicas and answers given by others. Both sides have one replica at
 * least, or there is no such thing. */
typedef struct DisaggregatedSpec {
    ServingSideSpec prefill, decode;
    KvLinkSpec link;
    FirstTokenFrom first_token; /* the side that hands a request's first token out */
} DisaggregatedSpec;

typedef struct ServingSpec {
    double tensor;
    double pipeline;
    double replicas; /* copies of the cluster of tensor*pipeline GPUs */
    double context_limit;
    double prompt_tokens; /* mean of the request mix */
    double output_tokens;
    double length_sigma; /* lognormal sigma of both lengths; 0: fixed */
    double max_batch;    /* sequences in flight in the whole pipeline; memory may cap it further */
    double utilisation;  /* share of the day's capacity that paying tokens use */
    Precision weight_precision;
    ExpertPrecision expert_precision;
    Precision kv_precision;
    int wide_tables; /* embedding and head in 16 bits, whatever the weights have */
    KvSharding kv_sharding;
    double reserved_bytes;   /* per GPU */
    double stream_buffers;   /* of the hidden state of all prompt tokens of a pass, in 16 bits */
    double layer_overhead_s; /* launch cost of one layer in this engine */
    double step_overhead_s;  /* host cost of one iteration */
    double prefill_chunk_tokens;
    /* Below: what a simulation under load asks for besides; zero is structural. */
    char name[NAME_BYTES]; /* of the engine, when one is named (configs/calibration) */
    BatchPolicy batching;
    KvAdmission kv_admission;
    double kv_block_tokens;
    double iteration_tokens;    /* prompt and answer tokens of one iteration; 0: no such limit */
    double sequence_overhead_s; /* host cost of one sequence in one iteration */
    double request_overhead_s;  /* before the scheduler sees a request */
    double request_intake_s;    /* of which one request after the other takes so much */
    double kernel_overhead;     /* share of added time for what a kernel table does not see */
    int captured_graphs;        /* collectives are launched with the rest */
    double layer_host_s;        /* host time to launch a layer, which runs beside the GPU's */
    double compute_overhead;    /* share of added time of work that does not wait for memory */
    double expert_overhead;     /* share of added time of routed experts */
    double kernel_launch;       /* of single kernels' launch costs, what this engine leaves */
    double collective_start;    /* of an all-reduce's fixed costs, likewise */
    AttentionKernel attention;  /* of prompts */
    /* Decoding of at most so many sequences (of each group of attention) is launched as one graph,
     * without waiting for the host; 0: no graphs, or none with a limit. */
    double graph_sequences;
    int graphs_in_groups;       /* also when groups of attention differ in their sequences */
    double expert_layer_host_s; /* layer_host of a layer with experts; 0: the same */
    MoeKernels moe_kernels;     /* family of the experts' kernels */
    double long_pass_tokens;   /* prompts of one pass, past which an engine gets slower; 0: never */
    double long_pass_overhead; /* share of time that such a pass takes longer */
    double expert;             /* ways that share whole experts; 1: experts are cut */
    double attention_data;     /* groups among the tensor ways, each with its own requests */
    double redundant_experts;  /* copies of popular experts beside the model's */
    ExpertLoadSpec expert_load;
    int two_batch_overlap; /* exchanges of tokens run beside the other half of the batch */
    /* Query heads for each KV head, and width of a head, that the decode kernel for groups is
     * written for; others are attended by query head. 0: any. */
    double grouped_heads, grouped_head_dim;
    ArrivalProcess arrivals;
    double arrival_cv;               /* of the gaps between requests, arrivals: gamma */
    double reader_slow, reader_fast; /* tokens/s that readers want; 0: not said */
    double diurnal_swing;            /* rate * (1 + swing * sin(2 pi t / day)) */
    SpeculationSpec speculation;
    PreemptionRule preemption;
    int prefix_cache;       /* keys and values of shared beginnings are kept */
    double prefix_share;    /* of the prompts of the mix, those that begin with a shared text */
    double prefix_tokens;   /* of such a text */
    double prefixes;        /* different ones */
    double prefix_exponent; /* of Zipf's law of their popularity; 0: all alike */
    double prefix_piece;    /* prompt tokens that one of a trace's hash_ids stands for */
    double swap_bytes; /* of host memory for each GPU, for keys and values of preempted sequences */
    DisaggregatedSpec disaggregated;
} ServingSpec;

typedef enum Routing {
    ROUTE_ROUND_ROBIN, /* replicas in turn, wherever they stand */
    ROUTE_LEAST_LOADED,
    ROUTE_NEAREST /* by network latency; on to the next when the nearest is too full */
} Routing;
typedef enum Failover {
    FAILOVER_RETRY, /* what runs is lost and asked again elsewhere */
    FAILOVER_DRAIN  /* what runs is finished, nothing new is taken */
} Failover;

/* Replicas of the serving cluster in one datacentre. Zero in a price: as `prices` says. */
typedef struct ClusterSpec {
    char name[NAME_BYTES];
    double replicas, minimum; /* held; up at any time */
    double gpu_hour_usd, energy_usd_per_j, pue, co2_kg_per_j;
    double outage_start_s, outage_s; /* one window; 0: none */
    double failures_per_s, repair_s; /* of the whole datacentre, drawn */
} ClusterSpec;

/* People who ask. */
typedef struct RegionSpec {
    char name[NAME_BYTES];
    double share;  /* of all requests; shares are scaled to a sum of 1 */
    double zone_s; /* local time less fleet time */
    double swing;  /* rate over the day: 1 + swing * cos(2 pi (local time - peak) / day) */
    double peak_s; /* time of day, local */
    double curve;  /* or the curve of this number, by local time; 0: none */
} RegionSpec;

typedef struct LinkSpec {
    char region[NAME_BYTES], cluster[NAME_BYTES];
    double latency_s; /* one way */
} LinkSpec;

typedef struct CurvePoint {
    double curve, hour, rate; /* until the next point of the curve; only ratios count */
} CurvePoint;

/* Clusters in datacentres, who asks them, and how requests find them. See sim/serving/fleet.h. */
typedef struct FleetSpec {
    double duration_s;
    Routing routing;
    double spill;  /* nearest: requests for each replica beyond which the next is asked; 0: none */
    double poll_s; /* age of what the router knows; 0: it knows all at once */
    Failover failover;
    double detect_s;   /* from a failure until requests are asked again */
    double target;     /* autoscaling: share of the stable maximum wanted; 0: all replicas are up */
    double interval_s; /* between its decisions */
    double start_up_s; /* of a replica, weights loaded */
    double down_delay_s; /* for which fewer replicas must have been enough */
    double reuse;        /* share of a released replica's price that other work pays */
    size_t cluster_count;
    ClusterSpec clusters[MAX_CLUSTERS];
    size_t region_count;
    RegionSpec regions[MAX_REGIONS];
    size_t link_count;
    LinkSpec links[MAX_CLUSTERS * MAX_REGIONS];
    size_t curve_count;
    CurvePoint curves[MAX_CURVE_POINTS];
} FleetSpec;

/* One uncertain input: which field, and from what it is drawn. */
typedef enum Distribution {
    DRAW_UNIFORM,
    DRAW_LOG_UNIFORM,
    DRAW_NORMAL,
    DRAW_LOGNORMAL,
    DRAW_CHOICE
} Distribution;

typedef struct UncertainInput {
    char path[128];      /* dotted key, e.g. "reliability.interval" */
    size_t offset;       /* of the field in Scenario */
    int is_integer_enum; /* the field is an int (enum or bool), drawn from choices */
    int is_whole;        /* the field counts whole things: draws are rounded */
    Distribution distribution;
    double low;              /* bounds for uniform and log-uniform; p5 for normal and lognormal */
    double high;             /* p95 for normal and lognormal */
    double minimum, maximum; /* the field's bounds: draws are clipped to them */
    size_t choice_count;
    double choices[MAX_CHOICES];
} UncertainInput;

typedef struct Scenario {
    char name[NAME_BYTES];
    char title[TITLE_BYTES];
    ScenarioKind kind;
    ModelSpec model;
    HardwareSpec hardware;
    TrainingSpec training;
    ReliabilitySpec reliability;
    PriceSpec prices;
    ServingSpec serving;
    FleetSpec fleet;
    DataSpec data;
    LawSpec law;
    size_t course_count; /* 0: one phase, as `training` says */
    CoursePhase course[MAX_COURSE_PHASES];
    size_t uncertain_count;
    UncertainInput uncertain[MAX_UNCERTAIN];
} Scenario;

#endif
