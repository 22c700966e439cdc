/* The serving of a Scenario: engine, requests, speculation, sides of a disaggregated cluster. */
#ifndef CONFIGS_READER_SCENARIO_SERVING_H
#define CONFIGS_READER_SCENARIO_SERVING_H

#include "configs/reader/scenario_common.h"
#include "configs/reader/scenario_model.h"

#include <stddef.h>

enum { MAX_DRAFT_TOKENS = 32 };

/* Of weights in 8 bits: multiplied in 8 bits with inputs that are quantised on the way, where the
 * GPU can (W8A8), or widened to 16 bits ("weight-only", W8A16). */
typedef enum WeightProducts { PRODUCTS_AS_WEIGHTS, PRODUCTS_WIDE } WeightProducts;

/* A precision where another place has one as well; 0: as there. */
typedef enum SidePrecision {
    SIDE_PRECISION_AS_SERVING,
    SIDE_PRECISION_FIRST /* + Precision */
} SidePrecision;

/* How weights of few bits are stored and multiplied; all zero: not said. See hw/stored_weights.h.
 */
typedef struct WeightFormat {
    char name[NAME_BYTES];
    SidePrecision of; /* the weight_precision that it is a format of; 0: any */
    WeightProducts products;
    int wide_tables;      /* embedding and output head stay in 16 bits */
    double group;         /* weights that share a scale; 0: a whole column, which is not counted */
    double group_bits;    /* of a scale and its zero point */
    double wide_rate;     /* of the FLOP/s of 16-bit products, what kernels that widen reach */
    double wide_read;     /* of the bandwidth at which 16-bit products read weights, likewise */
    double unpack_tokens; /* products of so many tokens write weights out in 16 bits first; 0: none
                             does */
} WeightFormat;

typedef enum ExpertPrecision { EXPERTS_AS_WEIGHTS, EXPERTS_FP4 } ExpertPrecision;
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
    int reads_delivered;       /* of a side (models/serving_side.h), no key: the draft reads prompts
                                  here that the other side read without it */
} SpeculationSpec;

enum { MAX_SIDE_REPLICAS = 256 };
/* Whether a side has part in speculation. */
typedef enum SideDrafts { DRAFTS_AS_SERVING, DRAFTS_NONE } SideDrafts;

/* What one side of a disaggregated cluster does otherwise than the serving section; 0: as there.
 * The keys that both have stand in serving_side_keys.h. */
typedef struct ServingSideSpec {
    double replicas;
    double tensor, pipeline, expert, attention_data;
    double max_batch;
    double prefill_chunk_tokens, iteration_tokens;
    SidePrecision weight_precision, kv_precision;
    int prefix_cache;     /* 1 + whether */
    WeightFormat weights; /* of a weight_precision of its own */
    SideDrafts drafts;
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
    WeightFormat weights;
    ExpertPrecision expert_precision;
    Precision kv_precision;
    int wide_tables; /* embedding and head in 16 bits, whatever the weights have */
    KvSharding kv_sharding;
    double reserved_bytes;   /* per GPU */
    double stream_buffers;   /* of the hidden state of all prompt tokens of a pass, in 16 bits */
    double layer_overhead_s; /* launch cost of one layer in this engine */
    double step_overhead_s;  /* host cost of one iteration */
    double prefill_chunk_tokens;
    /* Below: what requests and schedulers ask for besides; zero is structural. */
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
    int graphs_in_groups;           /* also when groups of attention differ in their sequences */
    double expert_layer_host_s;     /* layer_host of a layer with experts; 0: the same */
    double expert_layer_overhead_s; /* of a layer with experts, beside layer_overhead */
    MoeKernels moe_kernels;         /* family of the experts' kernels */
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
    double reader_load; /* share of the stable maximum at which prices stand against these speeds */
    double diurnal_swing; /* rate * (1 + swing * sin(2 pi t / day)) */
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

#endif
