/* The hardware of a Scenario: GPU, node and fabric with the constants of their kernels and
 * collectives. */
#ifndef CONFIGS_READER_SCENARIO_HARDWARE_H
#define CONFIGS_READER_SCENARIO_HARDWARE_H

#include "configs/reader/scenario_common.h"

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
    double peak_int8_flops_per_s; /* 0: no such tensor cores */
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

#endif
