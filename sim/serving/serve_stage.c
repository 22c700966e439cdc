#include "hw/attention.h"
#include "hw/collective.h"
#include "hw/gemm.h"
#include "sim/serving/stage_cost.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <string.h>

enum { MAX_EXPERT_ROWS = 4096, ACTIVATION_BYTES = 2 };

/* Products run in 8 bits only where the GPU has them; elsewhere weights are widened to 16 bits. */
static Precision product_precision(const StageCostKey *key)
{
    if (key->weight_precision == PRECISION_FP8 && key->hardware.gpu.peak_fp8_flops_per_s <= 0)
        return PRECISION_BF16;
    return key->weight_precision;
}

/* Seconds that reading `bytes` of weights takes at the rate that large matrix products reach. */
static double weight_read_s(const GpuSpec *gpu, Precision precision, double bytes)
{
    const GemmFit *fit = precision == PRECISION_FP8 ? &gpu->gemm_fp8 : &gpu->gemm_bf16;
    return bytes / (gpu->memory_bytes_per_s * fit->memory_efficiency);
}

/* Books a product of `seconds` that reads `bytes` of weights: the reading as such, and the rest. */
static void add_product(const GpuSpec *gpu, Precision precision, double seconds, double bytes,
                        TokenCost *cost)
{
    const double reading = fmin(seconds, weight_read_s(gpu, precision, bytes));
    cost->weights_s += reading;
    cost->compute_s += seconds - reading;
    cost->weights_bytes += bytes;
}

static void add_gemm(const StageCostKey *key, double m, double n, double k, TokenCost *cost)
{
    const Precision precision = product_precision(key);
    const GpuSpec *gpu = &key->hardware.gpu;
    add_product(gpu, precision, gpu_gemm_seconds(gpu, precision, m, n, k),
                n * k * precision_bytes(precision), cost);
}

/* rows over `touched` experts as tokens that choose independently spread them: an expert's load is
 * binomial with the mean rows / touched; the experts stand at its normal quantiles. */
static double grouped_seconds(const StageCostKey *key, double rows, size_t touched, double n,
                              double k)
{
    const ModelSpec *model = &key->model;
    const double mean = rows / (double)touched;
    const double chosen = fmin(1, model->experts_per_token / model->experts);
    const double deviation = sqrt(mean * (1 - chosen));
    double each[MAX_EXPERT_ROWS];
    double sum = 0;

    for (size_t expert = 0; expert < touched; expert++) {
        const double rank = ((double)expert + 0.5) / (double)touched;
        /* An expert that is touched at all has a row. */
        each[expert] = fmax(fmin(1, mean), mean + deviation * gsl_cdf_ugaussian_Pinv(rank));
        sum += each[expert];
    }
    for (size_t expert = 0; expert < touched; expert++)
        each[expert] *= rows / sum;
    return gpu_grouped_gemm_seconds(&key->hardware.gpu, product_precision(key), each, touched, n,
                                    k);
}

/* Ranks among which whole experts are shared. */
static double expert_ways(const StageCostKey *key)
{
    return fmin(fmax(1, key->expert), key->model.experts);
}

/* Rows of one rank, over the mean: each of `ways` ranks has a binomial share of tokens * k rows,
 * and a layer waits for the fullest one. Its expected load is that of the largest of `ways`
 * normals, estimated by the quantile (ways - 0.375) / (ways + 0.25) (Blom 1958). */
static double fullest_rank(double rows, double ways)
{
    if (ways <= 1 || rows <= 0)
        return 1;
    const double mean = rows / ways;
    const double deviation = sqrt(mean * (1 - 1 / ways));
    const double rank = gsl_cdf_ugaussian_Pinv((ways - 0.375) / (ways + 0.25));
    return fmin(ways, 1 + rank * deviation / mean);
}

/* Between two whole numbers of experts the time is in proportion. */
static void add_grouped_gemm(const StageCostKey *key, double tokens, double n, double k,
                             TokenCost *cost)
{
    const ModelSpec *model = &key->model;
    const Precision precision = product_precision(key);
    const double all_rows = tokens * fmin(model->experts_per_token, model->experts);
    const double ways = expert_ways(key);
    const double rows = all_rows / ways * fullest_rank(all_rows, ways);
    const double most = fmin(ceil(model->experts / ways), MAX_EXPERT_ROWS);
    const double touched = fmin(most, fmax(1, model_experts_touched(model, tokens) / ways));
    const double below = floor(touched);
    const double share = touched - below;
    double seconds = grouped_seconds(key, rows, (size_t)below, n, k);

    if (share > 0)
        seconds += share * (grouped_seconds(key, rows, (size_t)below + 1, n, k) - seconds);
    add_product(&key->hardware.gpu, precision, seconds,
                touched * n * k * precision_bytes(precision), cost);
}

/* Norms, residual additions, rotary embedding, activation, and for experts gathering rows and
 * adding the results up: each reads and writes its elements once. */
static double memory_bound_s(const StageCostKey *key, double tokens, double qkv_width,
                             double ff_width)
{
    const ModelSpec *model = &key->model;
    const double d = model->d_model;
    const double used = model->experts > 1 ? model->experts_per_token : 1;
    const double activation = (model->gated_mlp ? 3 : 2) * ff_width;
    const double elements[] = {
        2 * d,                                       /* norm before attention */
        2 * qkv_width,                               /* rotary embedding */
        3 * d,                                       /* residual */
        2 * d,                                       /* norm before the MLP */
        activation * (used + model->shared_experts), /* activation function */
        3 * d,                                       /* residual */
        model->experts > 1 ? 2 * used * d : 0,       /* gather rows by expert */
        model->experts > 1 ? (used + 1) * d : 0,     /* weighted sum of the results */
    };
    double seconds = 0;
    for (size_t i = 0; i < sizeof elements / sizeof elements[0]; i++)
        if (elements[i] > 0)
            seconds += gpu_memory_bound_seconds(&key->hardware.gpu,
                                                tokens * elements[i] * ACTIVATION_BYTES);
    return seconds;
}

static double tensor_collective_s(const StageCostKey *key, Collective collective, double bytes)
{
    if (key->tensor <= 1)
        return 0;
    return collective_seconds(&key->hardware, collective, bytes, key->tensor,
                              fmin(key->tensor, key->hardware.node.gpus));
}

static double send_s(const StageCostKey *key, double tokens)
{
    if (key->pipeline <= 1)
        return 0;
    const int same_node = key->tensor * key->pipeline <= key->hardware.node.gpus;
    return p2p_seconds(&key->hardware, tokens * key->model.d_model * ACTIVATION_BYTES, same_node);
}

/* One layer on one rank for `tokens` tokens, and what the ends of a stage add. */
static TokenCost cost_of_tokens(const StageCostKey *key, double tokens)
{
    const ModelSpec *model = &key->model;
    const double d = model->d_model;
    const double heads = ceil(model->heads / key->tensor);
    const double kv_heads = fmax(1, ceil(model->kv_heads / key->tensor));
    const double qkv_width = (heads + 2 * kv_heads) * model->head_dim;
    const double ff_width = ceil(model->d_ff / key->tensor);
    const double up_width = (model->gated_mlp ? 2 : 1) * ff_width;
    /* An expert on one rank: whole, or its share of the tensor ways that are left. */
    const double expert_width =
        ceil(model_expert_width(model) / fmax(1, key->tensor / expert_ways(key)));
    TokenCost cost = {0};

    if (tokens <= 0)
        return cost;

    add_gemm(key, tokens, qkv_width, d, &cost);
    add_gemm(key, tokens, d, heads * model->head_dim, &cost);
    if (model->experts > 1) {
        add_gemm(key, tokens, model->experts, d, &cost);
        add_grouped_gemm(key, tokens, (model->gated_mlp ? 2 : 1) * expert_width, d, &cost);
        add_grouped_gemm(key, tokens, d, expert_width, &cost);
    }
    const double dense = model->experts > 1 ? model->shared_experts : 1 + model->shared_experts;
    if (dense > 0) {
        add_gemm(key, tokens, dense * up_width, d, &cost);
        add_gemm(key, tokens, d, dense * ff_width, &cost);
    }
    cost.compute_s += memory_bound_s(key, tokens, qkv_width, ff_width);

    /* After attention and after the MLP the ranks add up their parts of the hidden state. */
    const double hidden_bytes = tokens * d * ACTIVATION_BYTES;
    cost.collective_s = 2 * tensor_collective_s(key, COLLECTIVE_ALL_REDUCE, hidden_bytes);
    /* KV cut by sequences: queries go to the rank that has the sequence, results come back
     * (Pope et al. 2022, section 3.3). */
    if (key->kv_sharding == KV_BY_BATCH)
        cost.collective_s +=
            2 * tensor_collective_s(key, COLLECTIVE_ALL_TO_ALL,
                                    tokens * heads * model->head_dim * ACTIVATION_BYTES);
    cost.send_s = send_s(key, tokens);

    /* The head's weights are read once for the pass; the logits of all ranks are gathered. */
    const Precision precision = product_precision(key);
    const double vocabulary = ceil(model->vocab_size / key->tensor);
    cost.head_s = gpu_gemm_seconds(&key->hardware.gpu, precision, tokens, vocabulary, d) +
                  tensor_collective_s(key, COLLECTIVE_ALL_GATHER,
                                      tokens * model->vocab_size * ACTIVATION_BYTES);
    cost.head_bytes = vocabulary * d * precision_bytes(precision);
    return cost;
}

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
        cost->grid[point] = cost_of_tokens(&cost->key, grid_tokens(point));
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
    scale_launches(serving, &key.hardware);
    key.weight_precision = serving->weight_precision;
    key.kv_sharding = serving->kv_sharding;
    /* Bytes between members may differ for equal keys: the grid is then filled again, to the same
     * values. */
    if (memcmp(&key, &cost->key, sizeof key) != 0) {
        memset(cost->filled, 0, sizeof cost->filled);
        cost->key = key;
    }
    cost->kv_sharding = serving->kv_sharding;
    cost->kv_element_bytes = precision_bytes(serving->kv_precision);
    cost->layer_overhead_s = serving->layer_overhead_s;
    cost->step_overhead_s = serving->step_overhead_s;
    cost->sequence_overhead_s = serving->sequence_overhead_s;
    cost->layer_host_s = serving->layer_host_s;
    cost->kernel_share = 1 + serving->kernel_overhead;
    cost->attention = serving->attention;
}

TokenCost stage_cost_tokens(StageCost *cost, double tokens)
{
    if (tokens <= 0)
        return (TokenCost){0};
    const size_t point = grid_point(tokens);
    const double below = grid_tokens(point);
    const TokenCost *a = grid_cost(cost, point);
    if (tokens == below)
        return *a;

    const TokenCost *b = grid_cost(cost, point + 1);
    const double t = (tokens - below) / (grid_tokens(point + 1) - below);
    return (TokenCost){
        .weights_s = a->weights_s + t * (b->weights_s - a->weights_s),
        .compute_s = a->compute_s + t * (b->compute_s - a->compute_s),
        .collective_s = a->collective_s + t * (b->collective_s - a->collective_s),
        .weights_bytes = a->weights_bytes + t * (b->weights_bytes - a->weights_bytes),
        .head_s = a->head_s + t * (b->head_s - a->head_s),
        .head_bytes = a->head_bytes + t * (b->head_bytes - a->head_bytes),
        .send_s = a->send_s + t * (b->send_s - a->send_s),
    };
}

/* Sequences, KV heads and query heads that the rank with most work attends for. */
typedef struct DecodeShare {
    double sequences, kv_heads, heads;
} DecodeShare;

static DecodeShare decode_share(const StageCost *cost, double sequences)
{
    const ModelSpec *model = &cost->key.model;
    const double tensor = cost->key.tensor;
    if (cost->kv_sharding == KV_BY_BATCH)
        return (DecodeShare){ceil(sequences / tensor), model->kv_heads, model->heads};
    return (DecodeShare){sequences, fmax(1, ceil(model->kv_heads / tensor)),
                         ceil(model->heads / tensor)};
}

double stage_cost_kv_bytes(const StageCost *cost, const PassLoad *load)
{
    const DecodeShare share = decode_share(cost, load->decode);
    return 2 * share.sequences * load->context * share.kv_heads * cost->key.model.head_dim *
           cost->kv_element_bytes;
}

/* Checking drafts reads keys and values once for all queries of a sequence; these attend as the
 * tokens of a prompt do (a causal square of twice their context). */
static double verification_s(const StageCost *cost, const DecodeShare *share, const PassLoad *load)
{
    const double queries = share->sequences * (1 + load->drafts);
    const double length = fmax(1, 2 * load->context);
    return queries / length *
           gpu_attention_forward_seconds(&cost->key.hardware.gpu, cost->attention, 1, length,
                                         share->heads, cost->key.model.head_dim);
}

/* Where the host launches more slowly than the GPU works, the GPU waits: overhead. */
static void wait_for_host(const StageCost *cost, ServeStageTime *layer)
{
    const double busy_s = layer->weights_s + layer->kv_s + layer->compute_s + layer->collective_s;
    layer->overhead_s += fmax(0, cost->layer_host_s - busy_s - layer->overhead_s);
}

/* One layer without the send and without the step's overhead. */
static ServeStageTime layer_time(StageCost *cost, const TokenCost *tokens, const PassLoad *load)
{
    const ModelSpec *model = &cost->key.model;
    const GpuSpec *gpu = &cost->key.hardware.gpu;
    ServeStageTime time = {0};

    time.weights_s = tokens->weights_s;
    time.compute_s = tokens->compute_s;
    time.collective_s = tokens->collective_s;
    time.overhead_s = cost->layer_overhead_s;
    if (load->decode > 0) {
        const DecodeShare share = decode_share(cost, load->decode);
        time.kv_s =
            gpu_attention_decode_seconds(gpu, share.sequences, load->context, share.kv_heads,
                                         share.heads, model->head_dim, cost->kv_element_bytes);
        if (load->drafts > 0)
            time.kv_s = fmax(time.kv_s, verification_s(cost, &share, load));
    }
    if (load->prefill > 0) {
        /* Prompt tokens that attend to c tokens in the mean cost what the tokens of a causal square
         * of length 2c cost each. */
        const double length = fmax(1, 2 * load->prefill_context);
        time.compute_s +=
            load->prefill / length *
            gpu_attention_forward_seconds(gpu, cost->attention, 1, length,
                                          ceil(model->heads / cost->key.tensor), model->head_dim);
    }
    time.weights_s *= cost->kernel_share;
    time.kv_s *= cost->kernel_share;
    time.compute_s *= cost->kernel_share;
    time.collective_s *= cost->kernel_share;
    wait_for_host(cost, &time);
    return time;
}

static void stage_sum(ServeStageTime *time)
{
    time->total_s =
        time->weights_s + time->kv_s + time->compute_s + time->collective_s + time->overhead_s;
}

ServeStageTime stage_cost_time(StageCost *cost, double layers, const PassLoad *load)
{
    const TokenCost tokens = stage_cost_tokens(cost, pass_tokens(load));
    ServeStageTime time = layer_time(cost, &tokens, load);

    time.weights_s *= layers;
    time.kv_s *= layers;
    time.compute_s *= layers;
    time.collective_s = layers * time.collective_s + tokens.send_s;
    time.overhead_s =
        layers * time.overhead_s + cost->step_overhead_s + load->decode * cost->sequence_overhead_s;
    stage_sum(&time);
    return time;
}

void stage_cost_pipeline(StageCost *cost, const StageLayout *layout, const PassLoad *load,
                         double *total_s, size_t *slowest)
{
    const TokenCost tokens = stage_cost_tokens(cost, pass_tokens(load));
    ServeStageTime layer = layer_time(cost, &tokens, load);

    stage_sum(&layer);
    *slowest = 0;
    for (size_t stage = 0; stage < layout->stages; stage++) {
        const int last = stage + 1 == layout->stages;
        /* Only decoding sequences are sampled, at every draft; a pass of prompts alone ends one of
         * them. */
        const double end =
            last ? stage_cost_tokens(cost, fmax(1, pass_logits(load))).head_s : tokens.send_s;
        total_s[stage] = layout->layers[stage] * layer.total_s + cost->kernel_share * end +
                         cost->step_overhead_s + load->decode * cost->sequence_overhead_s;
        if (total_s[stage] > total_s[*slowest])
            *slowest = stage;
    }
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
