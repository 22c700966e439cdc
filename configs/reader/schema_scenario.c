/* Keys of a scenario. Defaults are structural (one way of parallelism, no overlap, balanced
 * experts) or definitions; whatever describes the world is required. */
#include "configs/reader/schema.h"
#include "configs/reader/schema_words.h"
#include "configs/reader/serving_side_keys.h"

#include <assert.h>

/* Words are stored through int. */
static_assert(sizeof(PipelineSchedule) == sizeof(int), "enums are read as int");

/* In the order of the enums in scenario.h. */
static const char *const KIND_WORDS[] = {"training", "serving", NULL};
static const char *const MOE_KERNEL_WORDS[] = {"grouped", "cutlass",      "cutlass_block",
                                               "triton",  "triton_tuned", NULL};
static const char *const EXPERT_PRECISION_WORDS[] = {"as_weights", "fp4", NULL};
static const char *const LOAD_WORDS[] = {"balanced", "uniform",        "lognormal", "dirichlet",
                                         "zipf",     "auxiliary_loss", "power_law", NULL};
static const char *const RECOMPUTE_WORDS[] = {"none", "selective", "full", NULL};
static const char *const SCOPE_WORDS[] = {"scores",  "operators", "modules",
                                          "experts", "but_qkv",   NULL};
static const char *const FP8_SCALING_WORDS[] = {"tensor", "row", NULL};
static const char *const DROPOUT_WORDS[] = {"masked", "none", NULL};
static const char *const SCHEDULE_WORDS[] = {"1f1b",  "gpipe",    "interleaved", "zb_h1",
                                             "zb_2p", "dualpipe", NULL};
static const char *const OWNER_WORDS[] = {"all", "one", NULL};
static const char *const COPIES_WORDS[] = {"none", "flat", "each", NULL};
static const char *const OUTERMOST_WORDS[] = {"pipeline", "data", NULL};
static const char *const DISPATCH_WORDS[] = {"copies", "nodes", NULL};
static const char *const ATTENTION_WORDS[] = {"unfused", "flash1", "flash2", "flash3", NULL};
static const char *const BATCHING_WORDS[] = {"decode_first", "prefill_first", "static", NULL};
static const char *const ADMISSION_WORDS[] = {"prompt", "whole", NULL};
static const char *const PREEMPTION_WORDS[] = {"recompute", "swap", NULL};
static const char *const ARRIVAL_WORDS[] = {"poisson", "gamma", "even", NULL};
static const char *const SHARDING_WORDS[] = {"replicated", "by_batch", NULL};

#define MAX_WAYS           1024 /* pipeline stages that a memory plan holds: models/memory.h */
#define MAX_RESERVED_BYTES 1e15

#define WAYS(KEY, S, MEMBER, MAXIMUM, HELP)                                                        \
    NUMBER_FIELD(KEY, S, MEMBER, DIMENSION_COUNT, 1, MAXIMUM, "1", FIELD_WHOLE | FIELD_STEPPED,    \
                 HELP)

static const Field PARALLEL_FIELDS[] = {
    WAYS("tensor", ParallelSpec, tensor, MAX_WAYS, "tensor-parallel ways"),
    WAYS("pipeline", ParallelSpec, pipeline, MAX_WAYS, "pipeline stages"),
    WAYS("data", ParallelSpec, data, 1e7, "data-parallel replicas"),
    WAYS("expert", ParallelSpec, expert, 10000,
         "expert-parallel ways; 1: experts are cut by tensor parallelism"),
    WORD_FIELD("sequence_parallel", ParallelSpec, sequence_parallel, BOOL_WORDS, "true",
               "norms and dropout cut along the sequence"),
    NUMBER_FIELD("zero_stage", ParallelSpec, zero_stage, DIMENSION_COUNT, 0, 3, "1",
                 FIELD_WHOLE | FIELD_STEPPED,
                 "what data-parallel ranks share: 0 nothing, 1 optimizer, 2 gradients, 3 weights"),
    WAYS("micro_batch", ParallelSpec, micro_batch, 1e5, "sequences of one microbatch"),
    WORD_FIELD("schedule", ParallelSpec, schedule, SCHEDULE_WORDS, "1f1b", "of the pipeline"),
    WAYS("virtual_stages", ParallelSpec, virtual_stages, MAX_WAYS,
         "model chunks of a pipeline stage; above 1 only with schedule: interleaved"),
    WORD_FIELD("recompute", ParallelSpec, recompute, RECOMPUTE_WORDS, "none",
               "activations computed again backward"),
    WORD_FIELD("overlap_grad_reduce", ParallelSpec, overlap_grad_reduce, BOOL_WORDS, "false",
               "reduce gradients beside the last backward"),
    WORD_FIELD("overlap_param_gather", ParallelSpec, overlap_param_gather, BOOL_WORDS, "false",
               "gather parameters beside the next forward"),
    NUMBER_FIELD("tensor_overlap", ParallelSpec, tensor_overlap, DIMENSION_FRACTION, 0, 1, "0", 0,
                 "share of tensor-parallel communication hidden under compute"),
    WAYS("context", ParallelSpec, context, MAX_WAYS,
         "context-parallel ways: sequences cut, keys and values passed in a ring"),
    NUMBER_FIELD("expert_tensor", ParallelSpec, expert_tensor, DIMENSION_COUNT, 0, MAX_WAYS, "0",
                 FIELD_WHOLE | FIELD_STEPPED, "tensor ways of the experts; 0: as tensor"),
    NUMBER_FIELD("shard_group", ParallelSpec, shard_group, DIMENSION_COUNT, 0, 1e7, "0",
                 FIELD_WHOLE | FIELD_STEPPED,
                 "ranks among which ZeRO divides, copied over the others; 0: all"),
    WORD_FIELD("dispatch", ParallelSpec, dispatch, DISPATCH_WORDS, "copies",
               "what crosses the network to experts: every copy of a token, or one for each node"),
    NUMBER_FIELD("expert_overlap", ParallelSpec, expert_overlap, DIMENSION_FRACTION, 0, 1, "0", 0,
                 "share of expert-parallel communication hidden under compute"),
    WORD_FIELD(
        "selective_scope", ParallelSpec, selective_scope, SCOPE_WORDS, "scores",
        "of recompute: selective: attention scores; all operators but attention and every second "
        "matrix product; the modules norm and activation; norms and the whole layer of experts; or "
        "all but queries, keys and values"),
    WORD_FIELD("outermost", ParallelSpec, outermost, OUTERMOST_WORDS, "pipeline",
               "ways that lie farthest apart: pipeline stages, or whole replicas (data)"),
    NUMBER_FIELD("gather_limit", ParallelSpec, gather_limit, DIMENSION_COUNT, 0, 1e13, "0", 0,
                 "parameters that ZeRO-3 holds gathered at once; 0: two layers"),
    NUMBER_FIELD("dispatch_sms", ParallelSpec, dispatch_sms, DIMENSION_COUNT, 1, 1e4, "20",
                 FIELD_WHOLE,
                 "multiprocessors that a dispatch by nodes occupies (DeepEP's own default: 20)"),
    WORD_FIELD("zero_owner", ParallelSpec, zero_owner, OWNER_WORDS, "all",
               "of a parameter under ZeRO-3: a slice on all ranks, or the whole on one of them"),
    WORD_FIELD(
        "zero_copies", ParallelSpec, zero_copies, COPIES_WORDS, "none",
        "what ZeRO-3 copies beside its collectives: nothing, gradients into flat ones (FSDP), "
        "or each parameter out and each gradient in (FSDP2)"),
    WORD_FIELD(
        "recompute_stops", ParallelSpec, recompute_stops, BOOL_WORDS, "false",
        "recomputing ends where the backward has what it needs, before a layer's last product"),
};
static const Schema PARALLEL_SCHEMA = {.name = "parallel", GROUP_FIELDS(PARALLEL_FIELDS)};

/* Concentration 1 is every popularity alike, exponent 1 Zipf's law: definitions, not measurements.
 */
static const Field EXPERT_LOAD_FIELDS[] = {
    WORD_FIELD("model", ExpertLoadSpec, model, LOAD_WORDS, "balanced",
               "balanced: equal by force; uniform: equal but for chance; or unequally popular"),
    NUMBER_FIELD("sigma", ExpertLoadSpec, sigma, DIMENSION_NUMBER, 0, 5, "0", 0,
                 "lognormal spread of popularity, or what an auxiliary loss leaves of it"),
    NUMBER_FIELD("concentration", ExpertLoadSpec, concentration, DIMENSION_NUMBER, 0.001, 1e6, "1",
                 0, "of a symmetric Dirichlet popularity; small: uneven"),
    NUMBER_FIELD("exponent", ExpertLoadSpec, exponent, DIMENSION_NUMBER, 0, 10, "1", 0,
                 "of a Zipf popularity (rank^-s), or of a power law's density (x^-a)"),
    NUMBER_FIELD("span", ExpertLoadSpec, span, DIMENSION_NUMBER, 1, 1e12, "1", 0,
                 "of a power law: the largest popularity over the least; kernel tables draw with "
                 "0.8 of the tokens"),
    NUMBER_FIELD("drift", ExpertLoadSpec, drift, DIMENSION_NUMBER, 0, 5, "0", 0,
                 "lognormal sigma of popularity from one microbatch to the next"),
};
static const Schema EXPERT_LOAD_SCHEMA = {.name = "expert load", GROUP_FIELDS(EXPERT_LOAD_FIELDS)};

/* Of serving: no drift, since what a pass is expected to take is asked for. */
static const Field SERVED_LOAD_FIELDS[] = {
    WORD_FIELD("model", ExpertLoadSpec, model, LOAD_WORDS, "uniform",
               "uniform: equal but for chance; balanced: equal by force; or unequally popular"),
    NUMBER_FIELD("sigma", ExpertLoadSpec, sigma, DIMENSION_NUMBER, 0, 5, "0", 0,
                 "lognormal spread of popularity, or what an auxiliary loss leaves of it"),
    NUMBER_FIELD("concentration", ExpertLoadSpec, concentration, DIMENSION_NUMBER, 0.001, 1e6, "1",
                 0, "of a symmetric Dirichlet popularity; small: uneven"),
    NUMBER_FIELD("exponent", ExpertLoadSpec, exponent, DIMENSION_NUMBER, 0, 10, "1", 0,
                 "of a Zipf popularity (rank^-s), or of a power law's density (x^-a)"),
    NUMBER_FIELD("span", ExpertLoadSpec, span, DIMENSION_NUMBER, 1, 1e12, "1", 0,
                 "of a power law: the largest popularity over the least; kernel tables draw with "
                 "0.8 of the tokens"),
};
static const Schema SERVED_LOAD_SCHEMA = {.name = "expert load of serving",
                                          GROUP_FIELDS(SERVED_LOAD_FIELDS)};

static const Field TRAINING_FIELDS[] = {
    TEXT_FIELD("name", TrainingSpec, name, "custom", FIELD_LABEL, "software stack, for reports"),
    NUMBER_FIELD("tokens", TrainingSpec, tokens, DIMENSION_TOKENS, 1, 1e18, NULL, 0,
                 "to be trained on in all"),
    NUMBER_FIELD("batch_tokens", TrainingSpec, batch_tokens, DIMENSION_TOKENS, 1, 1e12, NULL, 0,
                 "of one optimizer step"),
    NUMBER_FIELD("sequence_length", TrainingSpec, sequence_length, DIMENSION_TOKENS, 1, 1e8, NULL,
                 FIELD_WHOLE, "of a training sample"),
    WORD_FIELD("precision", TrainingSpec, precision, PRECISION_WORDS, "bf16",
               "of the matrix products"),
    WORD_FIELD("gradient_precision", TrainingSpec, gradient_precision, PRECISION_WORDS, "fp32",
               "of stored gradients"),
    NUMBER_FIELD("optimizer_bytes_per_param", TrainingSpec, optimizer_bytes_per_param,
                 DIMENSION_NUMBER, 0, 64, "12", 0, "Adam with fp32 master weights: 12"),
    WORD_FIELD("attention", TrainingSpec, attention, ATTENTION_WORDS, NULL, "attention kernel"),
    NUMBER_FIELD("kernel_overhead", TrainingSpec, kernel_overhead, DIMENSION_FRACTION, 0, 10, "0",
                 0, "share of added time for what a kernel table does not see"),
    GROUP_FIELD("expert_load", TrainingSpec, expert_load, &EXPERT_LOAD_SCHEMA, NULL, FIELD_MAY_MISS,
                "how popular the experts of a layer are"),
    NUMBER_FIELD("reserved", TrainingSpec, reserved_bytes, DIMENSION_BYTES, 0, MAX_RESERVED_BYTES,
                 NULL, 0, "framework, buffers and fragmentation of a GPU"),
    NUMBER_FIELD("capacity_factor", TrainingSpec, capacity_factor, DIMENSION_NUMBER, 0, 1000, "0",
                 0, "rows of each expert over the mean, padded and cut; 0: dropless"),
    NUMBER_FIELD("launch", TrainingSpec, launch_s, DIMENSION_SECONDS, 0, 1, "0s", 0,
                 "host time of one kernel launch that nothing hides"),
    NUMBER_FIELD("fused", TrainingSpec, fused, DIMENSION_FRACTION, 0, 1, "0", 0,
                 "share of element-wise operators that a fused stack saves"),
    WORD_FIELD("dropout", TrainingSpec, dropout, DROPOUT_WORDS, "masked",
               "masked: masks of dropout behind attention and MLP are kept"),
    NUMBER_FIELD("frozen", TrainingSpec, frozen, DIMENSION_FRACTION, 0, 1, "0", 0,
                 "share of the parameters that is not trained (LoRA: 1)"),
    WORD_FIELD("fp8_inputs", TrainingSpec, fp8_inputs, BOOL_WORDS, "false",
               "inputs of fp8 matrix products are kept in fp8 only"),
    WORD_FIELD("fp8_scaling", TrainingSpec, fp8_scaling, FP8_SCALING_WORDS, "tensor",
               "values of an fp8 operand that share a scale: the tensor's, or a row's"),
    WORD_FIELD("fp8_gather", TrainingSpec, fp8_gather, BOOL_WORDS, "false",
               "what fp8 products read is gathered in fp8: weights under ZeRO-3, activations"),
    NUMBER_FIELD("gradient_bytes_per_param", TrainingSpec, gradient_bytes_per_param,
                 DIMENSION_NUMBER, 0, 64, "0", 0,
                 "stored gradients with their copies; 0: one of gradient_precision"),
    NUMBER_FIELD("logit_bytes", TrainingSpec, logit_bytes, DIMENSION_NUMBER, 0, 64, "0", 0,
                 "kept of one logit until its loss has gone backward; 0: in 16 and in 32 bits"),
    GROUP_FIELD("parallel", TrainingSpec, parallel, &PARALLEL_SCHEMA, NULL, 0,
                "how one step is laid out"),
};
const Schema TRAINING_SCHEMA = {.name = "training", GROUP_FIELDS(TRAINING_FIELDS)};

#define SECTION_NUMBER(KEY, MEMBER, DIMENSION, LEAST, MOST, FALLBACK, FLAGS, HELP)                 \
    NUMBER_FIELD(KEY, ServingSpec, MEMBER, DIMENSION, LEAST, MOST, FALLBACK, FLAGS, HELP),
#define SECTION_WORD(KEY, MEMBER, TYPE, WORDS, OF_SIDE, FALLBACK, HELP)                            \
    WORD_FIELD(KEY, ServingSpec, MEMBER, WORDS, FALLBACK, HELP),

static const Field SERVING_FIELDS[] = {
    /* clang-format off */
    SIDE_NUMBERS(SECTION_NUMBER)
    SIDE_WORDS(SECTION_WORD)
    /* clang-format on */
    WAYS("replicas", ServingSpec, replicas, 1e6, "copies of the cluster of tensor * pipeline GPUs"),
    NUMBER_FIELD("context_limit", ServingSpec, context_limit, DIMENSION_TOKENS, 1, 1e8, NULL,
                 FIELD_WHOLE, "longest sequence"),
    NUMBER_FIELD("prompt_tokens", ServingSpec, prompt_tokens, DIMENSION_TOKENS, 1, 1e8, NULL, 0,
                 "mean of the request mix"),
    NUMBER_FIELD("output_tokens", ServingSpec, output_tokens, DIMENSION_TOKENS, 1, 1e8, NULL, 0,
                 "mean of the request mix"),
    NUMBER_FIELD("length_sigma", ServingSpec, length_sigma, DIMENSION_NUMBER, 0, 5, "0", 0,
                 "lognormal sigma of both lengths; 0: fixed"),
    NUMBER_FIELD("utilisation", ServingSpec, utilisation, DIMENSION_FRACTION, 0.001, 1, NULL, 0,
                 "share of the day's capacity that paying tokens use"),
    GROUP_FIELD("weights", ServingSpec, weights, &WEIGHTS_SCHEMA, "weights", FIELD_MAY_MISS,
                "how they are stored and multiplied: a name in configs/calibration or its keys"),
    WORD_FIELD("wide_tables", ServingSpec, wide_tables, BOOL_WORDS, "false",
               "embedding and output head stay in 16 bits, whatever weight_precision says"),
    WORD_FIELD("expert_precision", ServingSpec, expert_precision, EXPERT_PRECISION_WORDS,
               "as_weights",
               "of routed experts; fp4: 4 bits and a scale a block, products in 16 bits"),
    WORD_FIELD(
        "kv_sharding", ServingSpec, kv_sharding, SHARDING_WORDS, "replicated",
        "where tensor ways exceed KV heads: every rank keeps all, or its share of the sequences"),
    NUMBER_FIELD("reserved", ServingSpec, reserved_bytes, DIMENSION_BYTES, 0, MAX_RESERVED_BYTES,
                 NULL, 0, "framework, buffers and fragmentation of a GPU"),
    NUMBER_FIELD("stream_buffers", ServingSpec, stream_buffers, DIMENSION_NUMBER, 0, 1000, "0", 0,
                 "16-bit copies of the hidden state of the prompts of a pass; 0: in reserved"),
    NUMBER_FIELD("layer_overhead", ServingSpec, layer_overhead_s, DIMENSION_SECONDS, 0, 10, NULL, 0,
                 "launch cost of one layer"),
    NUMBER_FIELD("step_overhead", ServingSpec, step_overhead_s, DIMENSION_SECONDS, 0, 10, NULL, 0,
                 "host cost of one iteration"),
    TEXT_FIELD("name", ServingSpec, name, "custom", FIELD_LABEL, "of the engine, for reports"),
    WORD_FIELD("batching", ServingSpec, batching, BATCHING_WORDS, "decode_first",
               "every iteration serves all answers first, or waiting prompts; static, under a "
               "load: a batch is taken when the last one is done"),
    WORD_FIELD("kv_admission", ServingSpec, kv_admission, ADMISSION_WORDS, "prompt",
               "a request starts when its prompt fits, or its longest answer as well"),
    NUMBER_FIELD("kv_block", ServingSpec, kv_block_tokens, DIMENSION_TOKENS, 1, 1024, "16",
                 FIELD_WHOLE, "tokens of one block of KV memory"),
    NUMBER_FIELD("sequence_overhead", ServingSpec, sequence_overhead_s, DIMENSION_SECONDS, 0, 1,
                 "0s", 0, "host cost of one sequence in one iteration"),
    NUMBER_FIELD("request_overhead", ServingSpec, request_overhead_s, DIMENSION_SECONDS, 0, 100,
                 "0s", 0, "before a request reaches the scheduler"),
    NUMBER_FIELD("request_intake", ServingSpec, request_intake_s, DIMENSION_SECONDS, 0, 100, "0s",
                 0,
                 "after that, one request behind the other: clients that ask at once reach the "
                 "scheduler apart"),
    NUMBER_FIELD("kernel_overhead", ServingSpec, kernel_overhead, DIMENSION_FRACTION, 0, 10, "0", 0,
                 "share of added time for what a kernel table does not see"),
    WORD_FIELD("captured_graphs", ServingSpec, captured_graphs, BOOL_WORDS, "false",
               "collectives are launched with the kernels around them"),
    NUMBER_FIELD("layer_host", ServingSpec, layer_host_s, DIMENSION_SECONDS, 0, 1, "0s", 0,
                 "host time to launch one layer: a layer takes at least this long"),
    NUMBER_FIELD("expert_overhead", ServingSpec, expert_overhead, DIMENSION_FRACTION, -0.9, 10, "0",
                 0, "share of added time of routed experts by this engine's kernels"),
    NUMBER_FIELD("compute_overhead", ServingSpec, compute_overhead, DIMENSION_FRACTION, 0, 10, "0",
                 0,
                 "share of added time of work that does not wait for memory: clocks under power"),
    NUMBER_FIELD(
        "kernel_launch", ServingSpec, kernel_launch, DIMENSION_FRACTION, 0.01, 4, "100%", 0,
        "of single kernels' launch costs, what graphs and fusion leave; above 100%: more kernels"),
    NUMBER_FIELD("collective_start", ServingSpec, collective_start, DIMENSION_FRACTION, 0.01, 4,
                 "100%", 0,
                 "of an all-reduce's fixed costs, what the engine's own kernels leave, or add"),
    WORD_FIELD("attention", ServingSpec, attention, ATTENTION_WORDS, "flash2", "of prompts"),
    NUMBER_FIELD("graph_sequences", ServingSpec, graph_sequences, DIMENSION_COUNT, 0, 1e7, "0",
                 FIELD_WHOLE,
                 "sequences whose decoding is one graph, past layer_host; 0: layer_host always"),
    WORD_FIELD("graphs_in_groups", ServingSpec, graphs_in_groups, BOOL_WORDS, "true",
               "graphs are used also when groups of attention differ in their sequences"),
    NUMBER_FIELD("expert_layer_host", ServingSpec, expert_layer_host_s, DIMENSION_SECONDS, 0, 1,
                 "0s", 0, "layer_host of a layer with experts; 0: the same"),
    NUMBER_FIELD("expert_layer_overhead", ServingSpec, expert_layer_overhead_s, DIMENSION_SECONDS,
                 0, 1, "0s", 0,
                 "of a layer with experts: routing, sorting, small kernels that no table prices"),
    NUMBER_FIELD("long_pass_tokens", ServingSpec, long_pass_tokens, DIMENSION_TOKENS, 0, 1e8, "0",
                 FIELD_WHOLE, "prompt tokens of a pass past which an engine slows down; 0: never"),
    NUMBER_FIELD("long_pass_overhead", ServingSpec, long_pass_overhead, DIMENSION_FRACTION, 0, 10,
                 "0", 0, "share of added time of such a pass"),
    WORD_FIELD("moe_kernels", ServingSpec, moe_kernels, MOE_KERNEL_WORDS, "grouped",
               "family of the kernels that run experts"),
    NUMBER_FIELD("redundant_experts", ServingSpec, redundant_experts, DIMENSION_COUNT, 0, 65536,
                 "0", FIELD_WHOLE, "copies of popular experts beside the model's own"),
    WORD_FIELD("two_batch_overlap", ServingSpec, two_batch_overlap, BOOL_WORDS, "false",
               "tokens travel to their experts while the other half of the batch computes"),
    NUMBER_FIELD("grouped_heads", ServingSpec, grouped_heads, DIMENSION_COUNT, 0, 1e4, "0",
                 FIELD_WHOLE,
                 "query heads a KV head that decode attention takes together; 0: any number"),
    NUMBER_FIELD("grouped_head_dim", ServingSpec, grouped_head_dim, DIMENSION_COUNT, 0, 1e4, "0",
                 FIELD_WHOLE, "width of a head for which it does; 0: any"),
    WORD_FIELD("arrivals", ServingSpec, arrivals, ARRIVAL_WORDS, "poisson",
               "gaps between requests"),
    NUMBER_FIELD("arrival_cv", ServingSpec, arrival_cv, DIMENSION_NUMBER, 0.01, 100, "1", 0,
                 "arrivals: gamma: deviation over mean of the gaps"),
    NUMBER_FIELD("reader_slow", ServingSpec, reader_slow, DIMENSION_NUMBER, 0, 1e6, "0", 0,
                 "tokens/s with which a slow reader is content; 0: not said"),
    NUMBER_FIELD("reader_fast", ServingSpec, reader_fast, DIMENSION_NUMBER, 0, 1e6, "0", 0,
                 "tokens/s with which a fast reader is content; 0: not said"),
    NUMBER_FIELD("reader_load", ServingSpec, reader_load, DIMENSION_FRACTION, 0.01, 0.99, "95%", 0,
                 "--find price: share of the stable maximum at which the price is drawn against "
                 "reading speed"),
    NUMBER_FIELD("diurnal_swing", ServingSpec, diurnal_swing, DIMENSION_FRACTION, 0, 0.999, "0", 0,
                 "rate over a day: mean * (1 + swing * sin)"),
    WORD_FIELD("preemption", ServingSpec, preemption, PREEMPTION_WORDS, "recompute",
               "what a sequence loses with its memory: read again, or kept by the host"),
    NUMBER_FIELD("swap_space", ServingSpec, swap_bytes, DIMENSION_BYTES, 0, MAX_RESERVED_BYTES,
                 "4GiB", 0, "preemption: swap: host memory of a GPU (vLLM's default: 4 GiB)"),
    NUMBER_FIELD("prefix_share", ServingSpec, prefix_share, DIMENSION_FRACTION, 0, 1, "0", 0,
                 "of the mix's prompts, those that begin with a shared text"),
    NUMBER_FIELD("prefix_tokens", ServingSpec, prefix_tokens, DIMENSION_TOKENS, 0, 1e7, "0",
                 FIELD_WHOLE, "of a shared text, part of the prompt; cut to whole blocks"),
    NUMBER_FIELD("prefixes", ServingSpec, prefixes, DIMENSION_COUNT, 1, 1e5, "1", FIELD_WHOLE,
                 "different shared texts"),
    NUMBER_FIELD("prefix_exponent", ServingSpec, prefix_exponent, DIMENSION_NUMBER, 0, 10, "1", 0,
                 "of Zipf's law of their popularity; 0: all alike"),
    NUMBER_FIELD("prefix_piece", ServingSpec, prefix_piece, DIMENSION_TOKENS, 1, 1e6, "512",
                 FIELD_WHOLE, "prompt tokens of one of a trace's hash_ids (Mooncake: 512)"),
    GROUP_FIELD("expert_load", ServingSpec, expert_load, &SERVED_LOAD_SCHEMA, NULL, FIELD_MAY_MISS,
                "how popular the experts of a layer are"),
    GROUP_FIELD("speculation", ServingSpec, speculation, &SPECULATION_SCHEMA, NULL, FIELD_MAY_MISS,
                "several tokens a sequence and iteration: drafts that the model checks at once"),
    GROUP_FIELD("disaggregated", ServingSpec, disaggregated, &DISAGGREGATED_SCHEMA, NULL,
                FIELD_MAY_MISS, "prompts read by some replicas, answers given by others"),
};
const Schema SERVING_SCHEMA = {.name = "serving", GROUP_FIELDS(SERVING_FIELDS)};

/* Which sections a kind needs is checked in scenario_read.c. */
static const Field SCENARIO_FIELDS[] = {
    TEXT_FIELD("name", Scenario, name, "custom", FIELD_LABEL, "label in reports"),
    TEXT_FIELD("title", Scenario, title, "", FIELD_LABEL, "one line for reports"),
    {.key = "kind",
     .kind = FIELD_WORD,
     .flags = FIELD_FIXED,
     .offset = offsetof(Scenario, kind),
     .help = "what is simulated: training or serving",
     .words = KIND_WORDS},
    GROUP_FIELD("model", Scenario, model, &MODEL_SCHEMA, "model", FIELD_MAY_MISS,
                "a name in configs/models or its keys"),
    GROUP_FIELD("hardware", Scenario, hardware, &HARDWARE_SCHEMA, "hardware", FIELD_MAY_MISS,
                "a name in configs/hw or its keys"),
    GROUP_FIELD("training", Scenario, training, &TRAINING_SCHEMA, "stack", FIELD_MAY_MISS,
                "the training job; its `base:` may name a software stack in configs/calibration"),
    GROUP_FIELD("reliability", Scenario, reliability, &RELIABILITY_SCHEMA, NULL, FIELD_MAY_MISS,
                "failures and checkpoints"),
    GROUP_FIELD("prices", Scenario, prices, &PRICE_SCHEMA, NULL, FIELD_MAY_MISS,
                "rent or machines of one's own, energy, carbon"),
    GROUP_FIELD("data", Scenario, data, &DATA_SCHEMA, NULL, FIELD_MAY_MISS,
                "what is trained on, and how fast it is read"),
    GROUP_FIELD("law", Scenario, law, &LAW_SCHEMA, "law", FIELD_MAY_MISS,
                "published laws of the loss: a name in configs/calibration or its keys"),
    LIST_FIELD("course", FIELD_LIST, Scenario, course, course_count, &COURSE_SCHEMA, FIELD_MAY_MISS,
               "phases of the run, each with what it does otherwise"),
    GROUP_FIELD("serving", Scenario, serving, &SERVING_SCHEMA, "engine", FIELD_MAY_MISS,
                "the serving cluster"),
    GROUP_FIELD("fleet", Scenario, fleet, &FLEET_SCHEMA, NULL, FIELD_MAY_MISS,
                "clusters in several datacentres and the regions that ask them"),
};
const Schema SCENARIO_SCHEMA = {.name = "scenario", GROUP_FIELDS(SCENARIO_FIELDS)};
