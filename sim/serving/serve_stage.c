#include "hw/attention.h"
#include "hw/collective.h"
#include "hw/gemm.h"
#include "models/weight_format.h"
#include "sim/serving/stage_cost.h"

#include <math.h>
#include <string.h>

static double grid_tokens(size_t point)
{
    if (point <= TOKEN_GRID_EXACT)
        return (double)point;
    const size_t past = point - TOKEN_GRID_EXACT;
    const double octave = ldexp(TOKEN_GRID_EXACT, (int)(past / TOKEN_GRID_PER_OCTAVE));
    return octave * (1 + (double)(past % TOKEN_GRID_PER_OCTAVE) / TOKEN_GRID_PER_OCTAVE);
}

/* The last point at or below `tokens`; the point after it exists. */
static size_t grid_point(double tokens)
{
    if (tokens < TOKEN_GRID_EXACT)
        return (size_t)tokens;
    int exponent;
    const double mantissa = frexp(tokens / TOKEN_GRID_EXACT, &exponent); /* 0.5 <= mantissa < 1 */
    const size_t step = (size_t)((2 * mantissa - 1) * TOKEN_GRID_PER_OCTAVE);
    const size_t point = TOKEN_GRID_EXACT + (size_t)(exponent - 1) * TOKEN_GRID_PER_OCTAVE + step;
    return point < TOKEN_GRID_POINTS - 1 ? point : TOKEN_GRID_POINTS - 2;
}

static const TokenCost *grid_cost(StageCost *cost, size_t point)
{
    if (!cost->filled[point]) {
        cost->grid[point] = token_cost(&cost->key, &cost->choice, grid_tokens(point));
        cost->filled[point] = 1;
    }
    return &cost->grid[point];
}

/* Launches as this engine makes them; the hardware's constants are those of kernels on their own.
 * Zero stands in scenarios made by hand for an engine that says nothing. */
static void scale_launches(const ServingSpec *serving, HardwareSpec *hardware)
{
    GpuSpec *gpu = &hardware->gpu;
    const double launch = serving->kernel_launch > 0 ? serving->kernel_launch : 1;
    const double start = serving->collective_start > 0 ? serving->collective_start : 1;
    if (serving->captured_graphs)
        hardware->node.eager_launch_s = 0;
    gpu->gemm_bf16.launch_s *= launch;
    gpu->gemm_fp8.launch_s *= launch;
    gpu->elementwise_launch_s *= launch;
    gpu->decode_launch_s *= launch;
    hardware->node.all_reduce.base_s *= start;
    hardware->node.all_reduce.per_rank_s *= start;
    hardware->node.all_reduce.long_start_s *= start;
}

void stage_cost_prepare(StageCost *cost, const Scenario *scenario)
{
    const ServingSpec *serving = &scenario->serving;
    StageCostKey key;

    memset(&key, 0, sizeof key);
    key.model = scenario->model;
    key.hardware = scenario->hardware;
    key.tensor = serving->tensor;
    key.pipeline = serving->pipeline;
    key.expert = serving->expert;
    key.attention_data = serving->attention_data;
    key.redundant_experts = serving->redundant_experts;
    key.expert_load = serving->expert_load;
    key.moe_kernels = serving->moe_kernels;
    scale_launches(serving, &key.hardware);
    const WeightFormat expert_format = serving_expert_format(serving);
    const GpuSpec *gpu = &key.hardware.gpu;
    key.matrices = gpu_stored_weights(gpu, serving->weight_precision, serving_matrix_bytes(serving),
                                      &serving->weights);
    key.experts = gpu_stored_weights(gpu, serving_expert_precision(serving),
                                     serving_expert_bytes(serving), &expert_format);
    key.tables = key.matrices;
    if (serving_tables_are_wide(serving))
        key.tables =
            gpu_stored_weights(gpu, PRECISION_BF16, serving_table_bytes(serving), &expert_format);
    key.kv_sharding = serving->kv_sharding;
    /* Bytes between members may differ for equal keys: the grid is then filled again, to the same
     * values. */
    if (memcmp(&key, &cost->key, sizeof key) != 0) {
        memset(cost->filled, 0, sizeof cost->filled);
        cost->last_tokens = 0;
        cost->key = key;
        expert_choice_prepare(&cost->choice, &key.expert_load, &key.model);
    }
    cost->last_sequences = cost->last_context = 0;
    cost->kv_sharding = serving->kv_sharding;
    cost->kv_element_bytes = precision_bytes(serving->kv_precision);
    cost->layer_overhead_s[LAYER_DENSE] = serving->layer_overhead_s;
    cost->layer_overhead_s[LAYER_EXPERTS] =
        serving->layer_overhead_s + serving->expert_layer_overhead_s;
    cost->step_overhead_s = serving->step_overhead_s;
    cost->sequence_overhead_s = serving->sequence_overhead_s;
    cost->layer_host_s[LAYER_DENSE] = cost->layer_host_s[LAYER_EXPERTS] = serving->layer_host_s;
    if (serving->expert_layer_host_s > 0)
        cost->layer_host_s[LAYER_EXPERTS] = serving->expert_layer_host_s;
    if (scenario->hardware.node.host_time > 0)
        for (size_t kind = 0; kind < LAYER_KINDS; kind++)
            cost->layer_host_s[kind] *= scenario->hardware.node.host_time;
    cost->graph_sequences = serving->graph_sequences;
    cost->graphs_in_groups = serving->graphs_in_groups;
    cost->kernel_share = 1 + serving->kernel_overhead;
    cost->long_pass_tokens = serving->long_pass_tokens;
    cost->long_pass_share = 1 + serving->long_pass_overhead;
    cost->compute_share = 1 + serving->compute_overhead;
    cost->routed_share = 1 + serving->expert_overhead;
    cost->attention = serving->attention;
    cost->grouped_heads = serving->grouped_heads;
    cost->grouped_head_dim = serving->grouped_head_dim;
    cost->two_batch_overlap = serving->two_batch_overlap;
    cost->expert_share = model_expert_layers(&scenario->model) / scenario->model.layers;
}

/* The points around a number of tokens, and how far it is from the first to the second; `b` is NULL
 * on a point. */
static double around(StageCost *cost, double tokens, const TokenCost **a, const TokenCost **b)
{
    const size_t point = grid_point(tokens);
    const double below = grid_tokens(point);
    *a = grid_cost(cost, point);
    *b = NULL;
    if (tokens == below)
        return 0;
    *b = grid_cost(cost, point + 1);
    return (tokens - below) / (grid_tokens(point + 1) - below);
}

TokenCost stage_cost_tokens(StageCost *cost, double tokens)
{
    const TokenCost *a, *b;
    if (tokens <= 0)
        return (TokenCost){0};
    if (tokens != cost->last_tokens) {
        const double t = around(cost, tokens, &a, &b);
        cost->last = b == NULL ? *a : token_cost_between(a, b, t);
        cost->last_tokens = tokens;
    }
    return cost->last;
}

/* The output head for so many logits. */
static LayerCost head_cost(StageCost *cost, double logits)
{
    const TokenCost *a, *b;
    const double t = around(cost, logits, &a, &b);
    return b == NULL ? a->head : layer_cost_between(&a->head, &b->head, t);
}

/* The work of the rank with most of it: its group of attention has the most sequences. */
static DecodeAttention decode_share(const StageCost *cost, const PassLoad *load)
{
    const StageCostKey *key = &cost->key;
    const ModelSpec *model = &key->model;
    const double groups = stage_attention_groups(key->attention_data, key->tensor);
    const double ways = stage_attention_ways(key->attention_data, key->tensor);
    const double sequences = groups > 1 ? ceil(load->decode / groups) : load->decode;
    DecodeAttention share = {.sequences = sequences,
                             .context = load->context,
                             .kv_heads = fmax(1, ceil(model->kv_heads / ways)),
                             .heads = ceil(model->heads / ways),
                             .key_dim = model->head_dim,
                             .value_dim = model->head_dim,
                             .kv_element_bytes = cost->kv_element_bytes};
    if (cost->kv_sharding == KV_BY_BATCH) {
        share.sequences = ceil(sequences / ways);
        share.kv_heads = model->kv_heads;
        share.heads = model->heads;
    }
    if (model_has_latent_attention(model)) {
        share.latent = 1;
        share.key_dim = model->kv_lora_rank + model->rope_head_dim;
        share.value_dim = model->kv_lora_rank;
        return share;
    }
    share.by_query_head =
        (cost->grouped_heads > 0 && model->heads / model->kv_heads != cost->grouped_heads) ||
        (cost->grouped_head_dim > 0 && model->head_dim != cost->grouped_head_dim);
    return share;
}

double stage_cost_kv_bytes(const StageCost *cost, const PassLoad *load)
{
    const DecodeAttention share = decode_share(cost, load);
    const double elements =
        share.latent ? share.key_dim : share.kv_heads * (share.key_dim + share.value_dim);
    const ModelSpec *model = &cost->key.model;
    const double windowed = model->sparse_keys > 0 ? 1 : model_windowed_share(model);
    const double looked_at = model->sparse_keys > 0 ? model->sparse_keys : model->attention_window;
    const double context =
        (1 - windowed) * load->context + windowed * fmin(load->context, looked_at);
    const double index_bytes = load->context * model_index_key_bytes(model);
    const double linear = model_linear_share(model);
    const double ways = stage_attention_ways(cost->key.attention_data, cost->key.tensor);
    const double looking_bytes = context * elements * cost->kv_element_bytes + index_bytes;
    return share.sequences * ((1 - linear) * looking_bytes +
                              linear * 2 * model_linear_state(model) * STATE_BYTES / ways);
}

double stage_cost_weight_bytes(const StageCost *cost, double layers, const TokenCost *tokens)
{
    const double experts = layers * cost->expert_share;
    return layers * tokens->attention.weights_bytes +
           (layers - experts) * tokens->mlp[LAYER_DENSE].weights_bytes +
           experts * (tokens->mlp[LAYER_EXPERTS].weights_bytes + tokens->routed.weights_bytes);
}

/* Where the host launches more slowly than the GPU works, the GPU waits: overhead. A graph is
 * launched ahead. */
static void wait_for_host(const StageCost *cost, LayerKind kind, const PassLoad *load,
                          ServeStageTime *layer)
{
    const double groups = stage_attention_groups(cost->key.attention_data, cost->key.tensor);
    const int one_graph = load->prefill <= 0 && (groups <= 1 || cost->graphs_in_groups) &&
                          load->decode <= groups * cost->graph_sequences;
    if (one_graph)
        return;
    const double busy_s = layer->weights_s + layer->kv_s + layer->compute_s + layer->collective_s;
    layer->overhead_s += fmax(0, cost->layer_host_s[kind] - busy_s - layer->overhead_s);
}

/* Checking drafts reads keys and values once for all queries of a sequence; these attend as the
 * tokens of a prompt do (a causal square of twice their context). */
static double verification_s(const StageCost *cost, const DecodeAttention *share,
                             const PassLoad *load)
{
    const double queries = share->sequences * (1 + load->drafts);
    const double length = fmax(1, 2 * share->context);
    return queries / length *
           gpu_attention_forward_seconds(&cost->key.hardware.gpu, cost->attention, 1, length,
                                         share->heads, (share->key_dim + share->value_dim) / 2);
}

/* Prompt tokens of the group that has most of them: a prompt is read by one group, and a pass takes
 * as long as the fullest group. */
static double fullest_prompts(const StageCost *cost, const PassLoad *load)
{
    const double groups = stage_attention_groups(cost->key.attention_data, cost->key.tensor);
    const double prompt = 2 * load->prefill_context;
    if (groups <= 1 || load->prefill <= 0)
        return load->prefill;
    return fmin(load->prefill, fmax(load->prefill / groups, prompt));
}

/* The same sequences are asked for with and without the prompts beside them. */
static double decode_s(StageCost *cost, const DecodeAttention *share)
{
    if (share->sequences != cost->last_sequences || share->context != cost->last_context) {
        cost->last_decode_s = gpu_decode_seconds(&cost->key.hardware.gpu, share);
        cost->last_sequences = share->sequences;
        cost->last_context = share->context;
    }
    return cost->last_decode_s;
}

/* Keys, values and prompts, in layers that look back `window` tokens (0: all), of which there are
 * `layers` for each layer of the model. */
static void add_looking_back(StageCost *cost, const PassLoad *load, double window, double layers,
                             ServeStageTime *time)
{
    const StageCostKey *key = &cost->key;
    const ModelSpec *model = &key->model;
    const GpuSpec *gpu = &key->hardware.gpu;
    if (load->decode > 0) {
        DecodeAttention share = decode_share(cost, load);
        if (window > 0)
            share.context = fmin(share.context, window);
        double seconds = decode_s(cost, &share);
        if (load->drafts > 0)
            seconds = fmax(seconds, verification_s(cost, &share, load));
        time->kv_s += layers * seconds;
    }
    if (load->prefill > 0) {
        /* Prompt tokens that attend to c tokens in the mean cost what the tokens of a causal square
         * of length 2c cost each. A group reads its own prompts: at least one. */
        const double context =
            window > 0 ? fmin(load->prefill_context, window) : load->prefill_context;
        const double length = fmax(1, 2 * context);
        const double ways = stage_attention_ways(key->attention_data, key->tensor);
        /* A token that looks at chosen ones has them to itself: queries meet the latents, as in
         * decoding. */
        const int chosen = model->sparse_keys > 0 && 2 * load->prefill_context > model->sparse_keys;
        const double head_dim =
            chosen ? model->kv_lora_rank + model->rope_head_dim / 2
                   : (model_query_head_dim(model) + model_value_head_dim(model)) / 2;
        time->compute_s += layers * fullest_prompts(cost, load) / length *
                           gpu_attention_forward_seconds(gpu, cost->attention, 1, length,
                                                         ceil(model->heads / ways), head_dim);
    }
}

/* The indexer of sparse attention: every query of a token meets the keys of all tokens before it.
 * Decoding reads these keys; prompts multiply them, and write a score for each pair, of which the
 * largest are looked for. */
static void add_indexer(const StageCost *cost, const PassLoad *load, ServeStageTime *time)
{
    const StageCostKey *key = &cost->key;
    const ModelSpec *model = &key->model;
    const GpuSpec *gpu = &key->hardware.gpu;
    static const double score_bytes = 4; /* fp32 */
    if (load->decode > 0) {
        const DecodeAttention keys = {.sequences = decode_share(cost, load).sequences,
                                      .context = load->context,
                                      .kv_heads = 1,
                                      .heads = model->index_heads,
                                      .key_dim = model_index_key_bytes(model),
                                      .kv_element_bytes = 1};
        time->kv_s += gpu_decode_seconds(gpu, &keys);
    }
    if (load->prefill > 0) {
        const double tokens = fullest_prompts(cost, load);
        const double context = fmax(1, load->prefill_context);
        const Precision precision = gpu->peak_fp8_flops_per_s > 0 ? PRECISION_FP8 : PRECISION_BF16;
        time->compute_s += gpu_gemm_seconds(gpu, precision, tokens * model->index_heads, context,
                                            model->index_head_dim) +
                           gpu_memory_bound_seconds(gpu, 2 * score_bytes * tokens * context);
    }
}

/* Linear layers, `layers` for each layer of the model. Decoding reads and writes the state of each
 * sequence; a prompt's chunks multiply keys, values, queries and state: four matrices of head_dim
 * squared for a token and value head. */
static void add_linear(const StageCost *cost, const PassLoad *load, double layers,
                       ServeStageTime *time)
{
    const StageCostKey *key = &cost->key;
    const ModelSpec *model = &key->model;
    const GpuSpec *gpu = &key->hardware.gpu;
    const double ways = stage_attention_ways(key->attention_data, key->tensor);
    const double heads = ceil(model->linear_value_heads / ways);
    const double dim = model->linear_head_dim;
    if (load->decode > 0)
        time->kv_s +=
            layers * gpu_memory_bound_seconds(gpu, 2 * decode_share(cost, load).sequences * heads *
                                                       dim * dim * STATE_BYTES);
    if (load->prefill > 0)
        time->compute_s +=
            layers * gpu_gemm_seconds(gpu, PRECISION_BF16, fullest_prompts(cost, load) * heads,
                                      4 * dim, dim);
}

/* What attention does beside its matrix products, in the mean over layers. */
static void add_attention(StageCost *cost, const PassLoad *load, ServeStageTime *time)
{
    const ModelSpec *model = &cost->key.model;
    const double linear = model_linear_share(model);
    if (linear > 0) {
        add_looking_back(cost, load, 0, 1 - linear, time);
        add_linear(cost, load, linear, time);
        return;
    }
    if (model->sparse_keys > 0) {
        add_looking_back(cost, load, model->sparse_keys, 1, time);
        add_indexer(cost, load, time);
        return;
    }
    const double windowed = model_windowed_share(model);
    if (windowed > 0)
        add_looking_back(cost, load, model->attention_window, windowed, time);
    if (windowed < 1)
        add_looking_back(cost, load, 0, 1 - windowed, time);
}

/* Exchanges of tokens hide behind the other half of the batch as far as that computes. */
static double exposed_s(const StageCost *cost, const ServeStageTime *time, double exchange_s)
{
    if (!cost->two_batch_overlap)
        return exchange_s;
    return fmax(0, exchange_s - time->weights_s - time->kv_s - time->compute_s);
}

/* One layer of a kind for one batch, or for one half of it. */
static ServeStageTime batch_time(StageCost *cost, const TokenCost *tokens, LayerKind kind,
                                 const PassLoad *load)
{
    const LayerCost *const parts[] = {&tokens->attention, &tokens->mlp[kind], &tokens->routed};
    const size_t count = kind == LAYER_EXPERTS ? 3 : 2;
    ServeStageTime time = {0};
    for (size_t i = 0; i < count; i++) {
        const double share = parts[i] == &tokens->routed ? cost->routed_share : 1;
        time.weights_s += share * parts[i]->weights_s;
        time.compute_s += share * parts[i]->compute_s;
        time.collective_s += parts[i]->collective_s;
    }
    add_attention(cost, load, &time);
    if (kind == LAYER_EXPERTS)
        time.collective_s += exposed_s(cost, &time, tokens->routed.exchange_s);
    return time;
}

/* What the tokens of a pass cost in one go: under two-batch overlap of each half of them. */
static TokenCost tokens_of_pass(StageCost *cost, const PassLoad *load)
{
    const double halves = cost->two_batch_overlap ? 2 : 1;
    const double groups = stage_attention_groups(cost->key.attention_data, cost->key.tensor);
    const double tokens = pass_tokens(load) / halves;
    if (groups <= 1)
        return stage_cost_tokens(cost, tokens);
    const double fullest =
        (ceil(load->decode / groups) * (1 + load->drafts) + fullest_prompts(cost, load)) * groups /
        halves;
    TokenCost pass = stage_cost_tokens(cost, fullest);
    pass.routed = stage_cost_tokens(cost, tokens).routed;
    return pass;
}

/* One layer of a kind without the send and without the step's overhead. */
static ServeStageTime layer_time(StageCost *cost, const TokenCost *tokens, LayerKind kind,
                                 const PassLoad *load)
{
    const double halves = cost->two_batch_overlap ? 2 : 1;
    PassLoad part = *load;
    part.decode /= halves;
    part.prefill /= halves;
    const int is_long = cost->long_pass_tokens > 0 && load->prefill > cost->long_pass_tokens;
    const double share = halves * cost->kernel_share * (is_long ? cost->long_pass_share : 1);
    ServeStageTime time = batch_time(cost, tokens, kind, &part);

    time.weights_s *= share;
    time.kv_s *= share;
    time.compute_s *= share * cost->compute_share;
    time.collective_s *= share;
    time.overhead_s = cost->layer_overhead_s[kind];
    wait_for_host(cost, kind, load, &time);
    return time;
}

void stage_time_add(ServeStageTime *sum, const ServeStageTime *part, double times)
{
    sum->weights_s += times * part->weights_s;
    sum->kv_s += times * part->kv_s;
    sum->compute_s += times * part->compute_s;
    sum->collective_s += times * part->collective_s;
    sum->overhead_s += times * part->overhead_s;
    sum->drafts_s += times * part->drafts_s;
    sum->total_s += times * part->total_s;
}

/* What the engine's host does for a step; each group of attention has a scheduler of its own. */
static double host_s(const StageCost *cost, const PassLoad *load)
{
    const double groups = stage_attention_groups(cost->key.attention_data, cost->key.tensor);
    return cost->step_overhead_s + load->decode / groups * cost->sequence_overhead_s;
}

static void stage_sum(ServeStageTime *time)
{
    time->total_s =
        time->weights_s + time->kv_s + time->compute_s + time->collective_s + time->overhead_s;
}

/* What one pass costs, before it is known which layers a stage has. */
typedef struct PassCost {
    ServeStageTime layer[LAYER_KINDS]; /* one of each that the model has */
    double send_s, host_s;
} PassCost;

static PassCost pass_cost(StageCost *cost, const PassLoad *load)
{
    const TokenCost tokens = tokens_of_pass(cost, load);
    PassCost pass = {.send_s = cost->kernel_share * tokens.send_s, .host_s = host_s(cost, load)};
    for (size_t kind = 0; kind < LAYER_KINDS; kind++) {
        const int absent =
            kind == LAYER_EXPERTS ? cost->expert_share <= 0 : cost->expert_share >= 1;
        if (absent)
            continue;
        pass.layer[kind] = layer_time(cost, &tokens, (LayerKind)kind, load);
        stage_sum(&pass.layer[kind]);
    }
    return pass;
}

/* Layers of a stage, of which `experts` have experts, without the send or the head behind them. */
static ServeStageTime stage_parts(const PassCost *pass, double layers, double experts)
{
    ServeStageTime time = {.overhead_s = pass->host_s};
    stage_time_add(&time, &pass->layer[LAYER_DENSE], layers - experts);
    stage_time_add(&time, &pass->layer[LAYER_EXPERTS], experts);
    return time;
}

ServeStageTime stage_cost_time(StageCost *cost, double layers, const PassLoad *load)
{
    const PassCost pass = pass_cost(cost, load);
    ServeStageTime time = stage_parts(&pass, layers, layers * cost->expert_share);
    time.collective_s += pass.send_s;
    stage_sum(&time);
    return time;
}

/* Layers with experts of a stage; where two kinds of layer mix, by their places. */
static double expert_layers_of(const StageCost *cost, const StageLayout *layout, size_t stage)
{
    if (cost->expert_share <= 0)
        return 0;
    return cost->expert_share >= 1 ? layout->layers[stage]
                                   : stage_expert_layers(&cost->key.model, layout, stage);
}

/* Only decoding sequences are sampled, at every draft; a pass of prompts alone ends one of them. */
static ServeStageTime head_time(StageCost *cost, const PassLoad *load)
{
    const LayerCost head = head_cost(cost, fmax(1, pass_logits(load)));
    ServeStageTime time = {.weights_s = cost->kernel_share * head.weights_s,
                           .compute_s = cost->kernel_share * head.compute_s,
                           .collective_s = cost->kernel_share * head.collective_s};
    stage_sum(&time);
    return time;
}

/* Of the whole stage; the last one has the head in place of the send. */
static ServeStageTime whole_stage(StageCost *cost, const StageLayout *layout, size_t stage,
                                  const PassCost *pass, const ServeStageTime *head)
{
    ServeStageTime time =
        stage_parts(pass, layout->layers[stage], expert_layers_of(cost, layout, stage));
    if (stage + 1 == layout->stages)
        stage_time_add(&time, head, 1);
    else
        time.collective_s += pass->send_s;
    stage_sum(&time);
    return time;
}

size_t stage_cost_pipeline(StageCost *cost, const StageLayout *layout, const PassLoad *load,
                           double *total_s, ServeStageTime *slowest)
{
    const PassCost pass = pass_cost(cost, load);
    const ServeStageTime head = head_time(cost, load);
    const size_t last = layout->stages - 1;
    const int mixed = cost->expert_share > 0 && cost->expert_share < 1;
    const double dense_s = pass.layer[LAYER_DENSE].total_s;
    const double experts_s = pass.layer[LAYER_EXPERTS].total_s;
    const double layer_s = dense_s + experts_s; /* of the one kind there is, if not mixed */
    const double else_s = pass.send_s + pass.host_s;
    size_t at = 0;
    for (size_t stage = 0; stage <= last; stage++) {
        const double layers = layout->layers[stage];
        if (mixed) {
            const double experts = expert_layers_of(cost, layout, stage);
            total_s[stage] = (layers - experts) * dense_s + experts * experts_s + else_s;
        } else {
            total_s[stage] = layers * layer_s + else_s;
        }
        if (stage == last)
            total_s[stage] += head.total_s - pass.send_s;
        if (total_s[stage] > total_s[at])
            at = stage;
    }
    *slowest = whole_stage(cost, layout, at, &pass, &head);
    slowest->total_s = total_s[at];
    return at;
}

double stage_cost_stage_s(StageCost *cost, const StageLayout *layout, size_t stage,
                          const PassLoad *load)
{
    const PassCost pass = pass_cost(cost, load);
    const ServeStageTime head =
        stage + 1 == layout->stages ? head_time(cost, load) : (ServeStageTime){0};
    return whole_stage(cost, layout, stage, &pass, &head).total_s;
}

ServeStageTime serve_stage_time(const Scenario *scenario, double layers, double decode_sequences,
                                double context, double prefill_tokens, double prefill_context)
{
    StageCost cost;
    const PassLoad load = {.decode = decode_sequences,
                           .context = context,
                           .prefill = prefill_tokens,
                           .prefill_context = prefill_context};

    memset(&cost, 0, sizeof cost);
    stage_cost_prepare(&cost, scenario);
    return stage_cost_time(&cost, layers, &load);
}
