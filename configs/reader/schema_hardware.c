/* Keys of GPUs, nodes and fabrics. Nothing here has a default but what means "none": numbers about
 * hardware come from files that name their source. */
#include "configs/reader/schema.h"

/* Bounds, SI: wide enough for any machine, narrow enough that products stay finite. */
#define MAX_FLOPS_PER_S 1e18
#define MAX_BYTES       1e15
#define MAX_BYTES_PER_S 1e15
#define MAX_LATENCY_S   10.0

#define GEMM(KEY, MEMBER, DIMENSION, MINIMUM, MAXIMUM, HELP)                                       \
    NUMBER_FIELD(KEY, GemmFit, MEMBER, DIMENSION, MINIMUM, MAXIMUM, NULL, 0, HELP)

static const Field GEMM_FIELDS[] = {
    GEMM("launch", launch_s, DIMENSION_SECONDS, 0, MAX_LATENCY_S, "time before the first tile"),
    GEMM("compute_efficiency", compute_efficiency, DIMENSION_RATIO, 0.001, 2,
         "share of peak FLOP/s that a large tile reaches"),
    GEMM("memory_efficiency", memory_efficiency, DIMENSION_RATIO, 0.001, 2,
         "share of HBM bandwidth"),
    GEMM("k_overhead", k_overhead, DIMENSION_NUMBER, 0, 1e6,
         "fill and drain of the k loop, in elements of k"),
    GEMM("tile_penalty", tile_penalty, DIMENSION_NUMBER, 0, 1e6, "penalty of small tiles"),
    GEMM("split_k_cost", split_k_cost, DIMENSION_NUMBER, 0, 1e6, "cost of splitting k"),
    GEMM("overlap_exponent", overlap_exponent, DIMENSION_NUMBER, 1, 100,
         "how compute and memory time add up: 1 sum, large maximum"),
    GEMM("wave_quantisation", wave_quantisation, DIMENSION_RATIO, 0, 1,
         "0 persistent kernels, 1 whole waves"),
    NUMBER_FIELD("quantise_cost", GemmFit, quantise_cost, DIMENSION_NUMBER, 0, 1e6, "0", 0,
                 "bytes moved per element of A to quantise it"),
};
static const Schema GEMM_SCHEMA = {.name = "gemm", GROUP_FIELDS(GEMM_FIELDS)};

#define MOE(KEY, MEMBER, DIMENSION, MINIMUM, MAXIMUM, HELP)                                        \
    NUMBER_FIELD(KEY, MoeLayerFit, MEMBER, DIMENSION, MINIMUM, MAXIMUM, NULL, 0, HELP)

#define MOE_TILE(KEY, MEMBER, MAXIMUM, HELP)                                                       \
    NUMBER_FIELD(KEY, MoeLayerFit, MEMBER, DIMENSION_NUMBER, 0, MAXIMUM, "0", 0, HELP)

static const Field MOE_FIELDS[] = {
    MOE("launch", launch_s, DIMENSION_SECONDS, 0, MAX_LATENCY_S,
        "of router, permutation and activation"),
    MOE("compute_efficiency", compute_efficiency, DIMENSION_RATIO, 0.001, 5,
        "of grouped products, as a share of plain products'"),
    MOE("memory_efficiency", memory_efficiency, DIMENSION_RATIO, 0.001, 5,
        "of reading weights, as a share of plain products'"),
    MOE("overlap_exponent", overlap_exponent, DIMENSION_NUMBER, 1, 100,
        "how compute and memory time of unlike experts add up: 1 sum, large maximum"),
    MOE("row_passes", row_passes, DIMENSION_NUMBER, 0, 1000,
        "times that routed rows are moved beside the products"),
    MOE("token_passes", token_passes, DIMENSION_NUMBER, 0, 1000,
        "times that all tokens are moved: quantised, scattered, combined"),
    MOE_TILE("tile_rows", tile_rows, 4096, "tile that the kernels keep to; 0: they choose"),
    MOE_TILE("tile_columns", tile_columns, 4096, "its columns"),
    MOE_TILE("few_tile_rows", few_tile_rows, 4096, "tile with no more tokens than experts"),
    MOE_TILE("few_tile_columns", few_tile_columns, 4096, "its columns"),
    MOE_TILE("tile_traffic", tile_traffic, 1, "share of the tiles' operands that HBM delivers"),
};
static const Schema MOE_SCHEMA = {.name = "moe_layer", GROUP_FIELDS(MOE_FIELDS)};

static const Field ATTENTION_FIELDS[] = {
    NUMBER_FIELD("peak", AttentionFit, flops_per_s, DIMENSION_FLOPS_PER_S, 0, MAX_FLOPS_PER_S, NULL,
                 0, "FLOP/s at long sequences, causal half; 0: this GPU has no such kernel"),
    NUMBER_FIELD("half_length", AttentionFit, half_length, DIMENSION_TOKENS, 0, 1e9, NULL, 0,
                 "sequence length at half of the peak"),
};
static const Schema ATTENTION_SCHEMA = {.name = "attention", GROUP_FIELDS(ATTENTION_FIELDS)};

#define GPU(KEY, MEMBER, DIMENSION, MINIMUM, MAXIMUM, HELP)                                        \
    NUMBER_FIELD(KEY, GpuSpec, MEMBER, DIMENSION, MINIMUM, MAXIMUM, NULL, 0, HELP)
#define KERNEL(KEY, MEMBER)                                                                        \
    GROUP_FIELD(KEY, GpuSpec, MEMBER, &ATTENTION_SCHEMA, NULL, FIELD_MAY_MISS,                     \
                "fit of this attention kernel")
#define MOE_LAYER(KEY, MEMBER)                                                                     \
    GROUP_FIELD(KEY, GpuSpec, MEMBER, &MOE_SCHEMA, NULL, FIELD_MAY_MISS,                           \
                "fit of MoE layers by this kernel family")

static const char *const DEVICE_CLASS_WORDS[] = {"gpu", "cpu", NULL};
static const char *const TIER_WORDS[] = {"datasheet", "published", "measured", NULL};

#define MEASURED(TYPE, KEY, MEMBER, DIMENSION, MINIMUM, MAXIMUM, FALLBACK, HELP)                   \
    NUMBER_FIELD(KEY, TYPE, MEMBER, DIMENSION, MINIMUM, MAXIMUM, FALLBACK, 0, HELP)

/* The fields of a kernel of its own, or of one inside a structure: AT is its path there. */
#define MEASURED_KERNEL(TYPE, AT)                                                                  \
    MEASURED(TYPE, "launch", AT launch_s, DIMENSION_SECONDS, 0, MAX_LATENCY_S, "0s",               \
             "of one call"),                                                                       \
        MEASURED(TYPE, "bandwidth", AT bytes_per_s, DIMENSION_BYTES_PER_S, 1, MAX_BYTES_PER_S,     \
                 NULL, "of its operands and results"),                                             \
        MEASURED(TYPE, "peak", AT flops_per_s, DIMENSION_FLOPS_PER_S, 0, MAX_FLOPS_PER_S,          \
                 "0FLOP/s", "of its arithmetic; 0: it only moves bytes"),                          \
        MEASURED(TYPE, "overlap_exponent", AT overlap_exponent, DIMENSION_NUMBER, 1, 100, "1",     \
                 "how the two times add up: 1 sum, large maximum"),                                \
        MEASURED(TYPE, "element", AT element_bytes, DIMENSION_BYTES, 0, 16, "2B",                  \
                 "size of an operand")

static const Field MEASURED_FIELDS[] = {MEASURED_KERNEL(MeasuredKernel, )};
static const Schema MEASURED_SCHEMA = {.name = "measured", GROUP_FIELDS(MEASURED_FIELDS)};

#define LAYER(KEY, MEMBER, DIMENSION, MAXIMUM, FALLBACK, HELP)                                     \
    MEASURED(MeasuredLayerKernels, KEY, MEMBER, DIMENSION, 0, MAXIMUM, FALLBACK, HELP)

static const Field MEASURED_LAYER_FIELDS[] = {
    MEASURED_KERNEL(MeasuredLayerKernels, products.),
    LAYER("row_bandwidth", moved_bytes_per_s, DIMENSION_BYTES_PER_S, MAX_BYTES_PER_S, "0B/s",
          "of the kernels around the products; 0: the same"),
    LAYER("reread_share", reread_share, DIMENSION_NUMBER, 1, "0",
          "of what tiles read again once the tokens do not fit in the cache"),
    LAYER("tile_rows", tiles.rows, DIMENSION_NUMBER, 4096, "0",
          "height of the tiles; 0: chosen by shape"),
    LAYER("few_tile_rows", tiles.few_rows, DIMENSION_NUMBER, 4096, "0",
          "with no more tokens than experts; 0: the same"),
    LAYER("tile_columns", tiles.columns, DIMENSION_NUMBER, 4096, "0", "width of the tiles"),
    LAYER("cache", tiles.cache_bytes, DIMENSION_BYTES, 1e10, "0B", "last before the memory"),
};
static const Schema MEASURED_LAYER_SCHEMA = {.name = "measured_layer",
                                             GROUP_FIELDS(MEASURED_LAYER_FIELDS)};

#define MEASURED_GROUP(KEY, MEMBER, HELP)                                                          \
    GROUP_FIELD(KEY, CalibrationSpec, MEMBER, &MEASURED_SCHEMA, NULL, FIELD_MAY_MISS, HELP)

static const Field CALIBRATION_FIELDS[] = {
    TEXT_FIELD("name", CalibrationSpec, name, "custom", FIELD_LABEL, "label in reports"),
    TEXT_FIELD("gpu", CalibrationSpec, gpu, NULL, 0, "device of the catalogue that was measured"),
    TEXT_FIELD("device", CalibrationSpec, device, "", FIELD_LABEL, "what the device calls itself"),
    WORD_FIELD("class", CalibrationSpec, device_class, DEVICE_CLASS_WORDS, NULL,
               "what was measured"),
    WORD_FIELD("tier", CalibrationSpec, tier, TIER_WORDS, NULL, "what the numbers rest on"),
    MEASURED_GROUP("gemm", gemm, "matrix products"),
    MEASURED_GROUP("moe_gemm", moe_gemm, "products of all experts of a layer"),
    GROUP_FIELD("moe_layer", CalibrationSpec, moe_layer, &MEASURED_LAYER_SCHEMA, NULL,
                FIELD_MAY_MISS, "a MoE layer that was measured whole"),
    MEASURED_GROUP("router", router, "logits, choice, sort"),
    MEASURED_GROUP("permute", permute, "rows gathered by expert"),
    MEASURED_GROUP("activation", activation, "between the experts' products, with a gate"),
    MEASURED_GROUP("activation_plain", activation_plain, "the same without a gate"),
    MEASURED_GROUP("combine", combine, "rows summed by weight"),
    MEASURED_GROUP("copy", copy, "operators that only move bytes"),
};
const Schema CALIBRATION_SCHEMA = {.name = "calibration", GROUP_FIELDS(CALIBRATION_FIELDS)};

#define POWER(KEY, MEMBER, HELP)                                                                   \
    NUMBER_FIELD(KEY, PowerFit, MEMBER, DIMENSION_FRACTION, 0, 10, "0", 0, HELP)

static const Field POWER_FIELDS[] = {
    POWER("idle", idle, "of the limit, with weights in memory and nothing running; 0: as active"),
    POWER("active", active, "of the limit, while kernels run, however little they do"),
    POWER("memory", memory, "of the limit, added at full memory bandwidth"),
    POWER("compute", compute, "of the limit, added at peak FLOP/s"),
};
static const Schema POWER_SCHEMA = {.name = "power", GROUP_FIELDS(POWER_FIELDS)};

static const Field GPU_FIELDS[] = {
    TEXT_FIELD("name", GpuSpec, name, "custom", FIELD_LABEL, "label in reports"),
    WORD_FIELD("class", GpuSpec, device_class, DEVICE_CLASS_WORDS, "gpu",
               "a CPU can be forecast like a GPU"),
    GPU("peak_bf16", peak_bf16_flops_per_s, DIMENSION_FLOPS_PER_S, 1e6, MAX_FLOPS_PER_S,
        "dense peak"),
    NUMBER_FIELD("peak_fp8", GpuSpec, peak_fp8_flops_per_s, DIMENSION_FLOPS_PER_S, 0,
                 MAX_FLOPS_PER_S, "0", 0, "dense peak; 0: no fp8"),
    NUMBER_FIELD("peak_int8", GpuSpec, peak_int8_flops_per_s, DIMENSION_FLOPS_PER_S, 0,
                 MAX_FLOPS_PER_S, "0", 0, "dense peak of 8-bit integers; 0: no such tensor cores"),
    NUMBER_FIELD("peak_unaligned", GpuSpec, unaligned_flops_per_s, DIMENSION_FLOPS_PER_S, 0,
                 MAX_FLOPS_PER_S, "0", 0,
                 "of batched products whose rows are no multiple of 16 bytes; 0: as the others"),
    GPU("memory", memory_bytes, DIMENSION_BYTES, 1e6, MAX_BYTES, "capacity as sold"),
    GPU("memory_usable", memory_usable, DIMENSION_FRACTION, 0.01, 1,
        "share left after driver and ECC"),
    GPU("memory_bandwidth", memory_bytes_per_s, DIMENSION_BYTES_PER_S, 1e6, MAX_BYTES_PER_S,
        "of HBM"),
    GPU("stream_efficiency", stream_efficiency, DIMENSION_FRACTION, 0.001, 1,
        "share of HBM bandwidth that copy-like operators reach"),
    GPU("elementwise_launch", elementwise_launch_s, DIMENSION_SECONDS, 0, MAX_LATENCY_S,
        "per small operator"),
    NUMBER_FIELD("sms", GpuSpec, sms, DIMENSION_COUNT, 1, 1e6, NULL, FIELD_WHOLE,
                 "streaming multiprocessors"),
    GPU("tdp", tdp_w, DIMENSION_WATTS, 1, 1e5, "board power limit"),
    GROUP_FIELD("power", GpuSpec, power, &POWER_SCHEMA, NULL, FIELD_MAY_MISS,
                "fit of the board's power; without it a node draws its sustained power always"),
    GPU("jitter", jitter, DIMENSION_FRACTION, 0, 1,
        "relative standard deviation of one microbatch's compute between GPUs"),
    NUMBER_FIELD("sustained", GpuSpec, sustained, DIMENSION_FRACTION, 0.1, 1, "1", 0,
                 "share of single kernels' matrix throughput left under a training's power"),
    GROUP_FIELD("gemm_bf16", GpuSpec, gemm_bf16, &GEMM_SCHEMA, NULL, 0, "fit of matrix products"),
    GROUP_FIELD("gemm_fp8", GpuSpec, gemm_fp8, &GEMM_SCHEMA, NULL, FIELD_MAY_MISS,
                "fit of matrix products, where there is fp8"),
    MOE_LAYER("moe_cutlass_bf16", moe_cutlass_bf16),
    MOE_LAYER("moe_cutlass_fp8", moe_cutlass_fp8),
    MOE_LAYER("moe_cutlass_fp8_block", moe_cutlass_fp8_block),
    MOE_LAYER("moe_triton_bf16", moe_triton_bf16),
    MOE_LAYER("moe_triton_tuned_bf16", moe_triton_tuned_bf16),
    KERNEL("attention_unfused", attention_unfused),
    KERNEL("attention_flash1", attention_flash1),
    KERNEL("attention_flash2", attention_flash2),
    KERNEL("attention_flash3", attention_flash3),
    GPU("decode_launch", decode_launch_s, DIMENSION_SECONDS, 0, MAX_LATENCY_S,
        "of decode attention"),
    GPU("decode_memory_efficiency", decode_memory_efficiency, DIMENSION_FRACTION, 0.001, 1,
        "share of HBM bandwidth when reading keys and values"),
    GPU("decode_block", decode_block_s, DIMENSION_SECONDS, 0, MAX_LATENCY_S,
        "one row on one multiprocessor"),
    GPU("decode_exponent", decode_exponent, DIMENSION_NUMBER, 1, 100, "how the two times add up"),
    NUMBER_FIELD("decode_flops", GpuSpec, decode_flops_per_s, DIMENSION_FLOPS_PER_S, 0,
                 MAX_FLOPS_PER_S, "0FLOP/s", 0,
                 "decode attention over latents; 0: as large matrix products"),
    NUMBER_FIELD("decode_pairs", GpuSpec, decode_pairs_per_s, DIMENSION_NUMBER, 0, 1e18, "0", 0,
                 "query heads x tokens a second of decode attention by query head; 0: no bound"),
    GROUP_FIELD("calibration", GpuSpec, calibration, &CALIBRATION_SCHEMA, "calibration",
                FIELD_MAY_MISS, "a profile that `flopcast calibrate` wrote, or its keys"),
};
const Schema GPU_SCHEMA = {.name = "gpu", GROUP_FIELDS(GPU_FIELDS)};

#define COLLECTIVE(KEY, MEMBER, DIMENSION, MINIMUM, MAXIMUM, HELP)                                 \
    NUMBER_FIELD(KEY, CollectiveFit, MEMBER, DIMENSION, MINIMUM, MAXIMUM, NULL, 0, HELP)

#define OPTIONAL(KEY, STRUCT, MEMBER, DIMENSION, MAXIMUM, NONE, HELP)                              \
    NUMBER_FIELD(KEY, STRUCT, MEMBER, DIMENSION, 0, MAXIMUM, NONE, 0, HELP)

static const Field COLLECTIVE_FIELDS[] = {
    COLLECTIVE("start", base_s, DIMENSION_SECONDS, 0, MAX_LATENCY_S,
               "fixed time of one collective"),
    COLLECTIVE("per_rank", per_rank_s, DIMENSION_SECONDS, 0, MAX_LATENCY_S,
               "added by each further rank"),
    COLLECTIVE("bandwidth", bytes_per_s, DIMENSION_BYTES_PER_S, 1, MAX_BYTES_PER_S, "on the wire"),
    COLLECTIVE("chunk", chunk_s2_per_byte, DIMENSION_S2_PER_BYTE, 0, 1,
               "c of the sqrt(c * bytes) term"),
    COLLECTIVE("two_rank_bandwidth", two_rank_bandwidth, DIMENSION_RATIO, 0.001, 10,
               "share of the bandwidth when there are two ranks"),
    OPTIONAL("short", CollectiveFit, short_bytes, DIMENSION_BYTES, MAX_BYTES, "0B",
             "longest message of the low-latency protocol; 0: there is none"),
    OPTIONAL("short_chunk", CollectiveFit, short_chunk_s2_per_byte, DIMENSION_S2_PER_BYTE, 1,
             "0us2/kB", "c of short messages, which have no other term that grows with the bytes"),
    OPTIONAL("long_start", CollectiveFit, long_start_s, DIMENSION_SECONDS, MAX_LATENCY_S, "0s",
             "added to the start of a longer message"),
};
static const Schema COLLECTIVE_SCHEMA = {.name = "collective", GROUP_FIELDS(COLLECTIVE_FIELDS)};

#define EXPERT_NODE(KEY, MEMBER, DIMENSION, MAXIMUM, NONE, HELP)                                   \
    OPTIONAL(KEY, ExpertNodeFit, MEMBER, DIMENSION, MAXIMUM, NONE, HELP)

static const Field EXPERT_NODE_FIELDS[] = {
    EXPERT_NODE("low_latency_start", low_latency_start_s, DIMENSION_SECONDS, MAX_LATENCY_S, "0s",
                "fixed time of the low-latency mode"),
    EXPERT_NODE("low_latency_bandwidth", low_latency_bytes_per_s, DIMENSION_BYTES_PER_S,
                MAX_BYTES_PER_S, "0B/s", "of all copies in the low-latency mode; 0: not known"),
    EXPERT_NODE("start", start_s, DIMENSION_SECONDS, MAX_LATENCY_S, "0s",
                "fixed time of the normal mode"),
    EXPERT_NODE("sm_bandwidth", sm_bytes_per_s, DIMENSION_BYTES_PER_S, MAX_BYTES_PER_S, "0B/s",
                "of one multiprocessor that copies in the normal mode; 0: not known"),
    EXPERT_NODE("chunk", chunk_s2_per_byte, DIMENSION_S2_PER_BYTE, 1, "0us2/kB",
                "c of the sqrt(c * bytes) term of the normal mode"),
};
static const Schema EXPERT_NODE_SCHEMA = {.name = "expert_node", GROUP_FIELDS(EXPERT_NODE_FIELDS)};

#define EXPERT_FABRIC(KEY, MEMBER, DIMENSION, MAXIMUM, NONE, HELP)                                 \
    OPTIONAL(KEY, ExpertFabricFit, MEMBER, DIMENSION, MAXIMUM, NONE, HELP)

static const Field EXPERT_FABRIC_FIELDS[] = {
    EXPERT_FABRIC("low_latency_start", low_latency_start_s, DIMENSION_SECONDS, MAX_LATENCY_S, "0s",
                  "fixed time of the low-latency mode"),
    EXPERT_FABRIC("low_latency_hop", low_latency_hop_s, DIMENSION_SECONDS, MAX_LATENCY_S, "0s",
                  "added by each doubling of the nodes"),
    EXPERT_FABRIC("low_latency_efficiency", low_latency_efficiency, DIMENSION_FRACTION, 1, "0",
                  "share of a GPU's ports in the low-latency mode; 0: not known"),
    EXPERT_FABRIC("start", start_s, DIMENSION_SECONDS, MAX_LATENCY_S, "0s",
                  "fixed time of the normal mode"),
    EXPERT_FABRIC("hop", hop_s, DIMENSION_SECONDS, MAX_LATENCY_S, "0s",
                  "added by each doubling of the nodes"),
    EXPERT_FABRIC("efficiency", efficiency, DIMENSION_FRACTION, 1, "0",
                  "share of a GPU's ports in the normal mode; 0: not known"),
    EXPERT_FABRIC("sm_bandwidth", sm_bytes_per_s, DIMENSION_BYTES_PER_S, MAX_BYTES_PER_S, "0B/s",
                  "of one multiprocessor that passes copies on inside nodes; 0: no bound"),
    EXPERT_FABRIC("chunk", chunk_s2_per_byte, DIMENSION_S2_PER_BYTE, 1, "0us2/kB",
                  "c of the sqrt(c * bytes) term of the normal mode"),
};
static const Schema EXPERT_FABRIC_SCHEMA = {.name = "expert_fabric",
                                            GROUP_FIELDS(EXPERT_FABRIC_FIELDS)};

#define NODE_COLLECTIVE(KEY, MEMBER)                                                               \
    GROUP_FIELD(KEY, NodeSpec, MEMBER, &COLLECTIVE_SCHEMA, NULL, 0, "fit inside one NVLink domain")

static const Field NODE_FIELDS[] = {
    TEXT_FIELD("name", NodeSpec, name, "custom", FIELD_LABEL, "label in reports"),
    NUMBER_FIELD("gpus", NodeSpec, gpus, DIMENSION_COUNT, 1, 4096, NULL, FIELD_WHOLE,
                 "GPUs in one NVLink domain"),
    NUMBER_FIELD("nics", NodeSpec, nics, DIMENSION_COUNT, 1, 4096, NULL, FIELD_WHOLE,
                 "network ports"),
    NUMBER_FIELD("host_bandwidth", NodeSpec, host_bytes_per_s, DIMENSION_BYTES_PER_S, 0, 1e15, "0",
                 0, "between one GPU and host memory, one direction; 0: unknown"),
    NUMBER_FIELD("nic_bandwidth", NodeSpec, nic_bytes_per_s, DIMENSION_BYTES_PER_S, 1,
                 MAX_BYTES_PER_S, NULL, 0, "of one port in one direction"),
    NUMBER_FIELD("power", NodeSpec, power_w, DIMENSION_WATTS, 1, 1e7, NULL, 0,
                 "sustained, under load"),
    NODE_COLLECTIVE("all_reduce", all_reduce),
    NODE_COLLECTIVE("all_gather", all_gather),
    NODE_COLLECTIVE("reduce_scatter", reduce_scatter),
    NODE_COLLECTIVE("all_to_all", all_to_all),
    NUMBER_FIELD("eager_launch", NodeSpec, eager_launch_s, DIMENSION_SECONDS, 0, MAX_LATENCY_S,
                 NULL, 0, "added to every collective that is not graph-captured"),
    GROUP_FIELD("expert_dispatch", NodeSpec, expert_dispatch, &EXPERT_NODE_SCHEMA, NULL,
                FIELD_MAY_MISS, "tokens to experts by a dispatch kernel such as DeepEP's"),
    GROUP_FIELD("expert_combine", NodeSpec, expert_combine, &EXPERT_NODE_SCHEMA, NULL,
                FIELD_MAY_MISS, "the way back"),
    NUMBER_FIELD("collective_sms", NodeSpec, collective_sms, DIMENSION_COUNT, 0, 1e6, "0", 0,
                 "multiprocessors that a collective holds beside computing; 0: none"),
    NUMBER_FIELD("memory_per_wire_byte", NodeSpec, memory_per_wire_byte, DIMENSION_NUMBER, 0, 100,
                 "0", 0, "bytes that HBM moves for each byte of a collective on the wire"),
    NUMBER_FIELD("host_time", NodeSpec, host_time, DIMENSION_NUMBER, 0, 100, "1", 0,
                 "of the host to launch a layer, over that of a DGX H100"),
};
const Schema NODE_SCHEMA = {.name = "node", GROUP_FIELDS(NODE_FIELDS)};

#define FABRIC(KEY, MEMBER, DIMENSION, MINIMUM, MAXIMUM, HELP)                                     \
    NUMBER_FIELD(KEY, FabricSpec, MEMBER, DIMENSION, MINIMUM, MAXIMUM, NULL, 0, HELP)

static const char *const RINGS_WORDS[] = {"ordered", "scattered", NULL};

static const Field FABRIC_FIELDS[] = {
    TEXT_FIELD("name", FabricSpec, name, "custom", FIELD_LABEL, "label in reports"),
    FABRIC("efficiency", efficiency, DIMENSION_FRACTION, 0.001, 1,
           "share of line rate of large collectives"),
    FABRIC("ring_hop", ring_hop_s, DIMENSION_SECONDS, 0, MAX_LATENCY_S,
           "latency of one ring step between nodes"),
    NUMBER_FIELD("tree_hop", FabricSpec, tree_hop_s, DIMENSION_SECONDS, 0, MAX_LATENCY_S, "0s", 0,
                 "latency of one level of an all-reduce tree between nodes; 0: no tree"),
    FABRIC("collective_base", base_s, DIMENSION_SECONDS, 0, MAX_LATENCY_S,
           "fixed time of one collective between nodes"),
    FABRIC("p2p_latency", p2p_latency_s, DIMENSION_SECONDS, 0, MAX_LATENCY_S,
           "one send between stages"),
    FABRIC("p2p_efficiency", p2p_efficiency, DIMENSION_FRACTION, 0.001, 1,
           "share of a port's line rate of one send"),
    FABRIC("bucket", bucket_bytes, DIMENSION_BYTES, 1, MAX_BYTES,
           "gradient bucket of data-parallel collectives"),
    NUMBER_FIELD("oversubscription", FabricSpec, oversubscription, DIMENSION_NUMBER, 1, 1000, "1",
                 0, "1 is non-blocking"),
    NUMBER_FIELD("segment_gpus", FabricSpec, segment_gpus, DIMENSION_COUNT, 0, 1e7, "0",
                 FIELD_WHOLE, "GPUs of a segment that is non-blocking inside; 0: one segment"),
    NUMBER_FIELD("segment_link", FabricSpec, segment_bytes_per_s, DIMENSION_BYTES_PER_S, 0,
                 MAX_BYTES_PER_S, "0", 0, "of one node to other segments, one direction"),
    WORD_FIELD("segment_rings", FabricSpec, segment_rings, RINGS_WORDS, "ordered",
               "do rings pass each segment once (ordered), or back and forth (scattered)?"),
    OPTIONAL("chunk", FabricSpec, chunk_s2_per_byte, DIMENSION_S2_PER_BYTE, 1, "0us2/kB",
             "c of the sqrt(c * log2(nodes) * bytes) term of an all-reduce between nodes; 0: the "
             "node's, without the nodes"),
    GROUP_FIELD("expert_dispatch", FabricSpec, expert_dispatch, &EXPERT_FABRIC_SCHEMA, NULL,
                FIELD_MAY_MISS, "tokens to experts by a dispatch kernel such as DeepEP's"),
    GROUP_FIELD("expert_combine", FabricSpec, expert_combine, &EXPERT_FABRIC_SCHEMA, NULL,
                FIELD_MAY_MISS, "the way back"),
    NUMBER_FIELD("sms_per_port", FabricSpec, sms_per_port, DIMENSION_COUNT, 0, 1e6, "0", 0,
                 "multiprocessors that keep one network port busy; 0: none"),
};
const Schema FABRIC_SCHEMA = {.name = "fabric", GROUP_FIELDS(FABRIC_FIELDS)};

static const Field HARDWARE_FIELDS[] = {
    TEXT_FIELD("name", HardwareSpec, name, "custom", FIELD_LABEL, "label in reports"),
    NUMBER_FIELD("gpus", HardwareSpec, gpus, DIMENSION_COUNT, 1, 1e7, NULL,
                 FIELD_WHOLE | FIELD_OF_JOB | FIELD_STEPPED, "GPUs in the job"),
    GROUP_FIELD("gpu", HardwareSpec, gpu, &GPU_SCHEMA, "gpu", 0,
                "a name in configs/hw or its keys"),
    GROUP_FIELD("node", HardwareSpec, node, &NODE_SCHEMA, "node", 0,
                "a name in configs/hw or its keys"),
    GROUP_FIELD("fabric", HardwareSpec, fabric, &FABRIC_SCHEMA, "fabric", 0,
                "a name in configs/hw or its keys"),
    GROUP_FIELD("older_gpu", HardwareSpec, older_gpu, &GPU_SCHEMA, "gpu", FIELD_MAY_MISS,
                "of a cluster bought in waves: a name in configs/hw or its keys"),
    NUMBER_FIELD("older_stages", HardwareSpec, older_stages, DIMENSION_COUNT, 0, 1024, "0",
                 FIELD_WHOLE | FIELD_STEPPED, "last pipeline stages that run on older GPUs"),
    NUMBER_FIELD("older_layers", HardwareSpec, older_layers, DIMENSION_COUNT, 0, 10000, "0",
                 FIELD_WHOLE | FIELD_STEPPED, "layers of each of them; 0: as many as the others"),
    NUMBER_FIELD("older_replicas", HardwareSpec, older_replicas, DIMENSION_COUNT, 0, 1e7, "0",
                 FIELD_WHOLE | FIELD_STEPPED, "whole replicas that run on older GPUs"),
};
const Schema HARDWARE_SCHEMA = {.name = "hardware", GROUP_FIELDS(HARDWARE_FIELDS)};
