#include "sim/serving/serve_memory.h"
#include "models/architecture.h"
#include "models/memory.h"
#include "models/weight_format.h"
#include "sim/serving/draft_cost.h"
#include "sim/serving/stage_cost.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What one GPU of a stage holds. */
typedef struct StageShare {
    double weights_bytes;
    double exchange_bytes;      /* buffers of tokens on their way to experts and back */
    double stream_bytes;        /* buffers of prompts that are read */
    double draft_weights_bytes; /* of speculation's draft model: on every stage */
    double kv_bytes_per_token;  /* the draft's included */
    double draft_kv_bytes_per_token;
    double parameters; /* of the whole stage, one copy of everything */
} StageShare;

/* What does not grow with sequences, beside what is reserved. */
static double used_bytes(const StageShare *share)
{
    return share->weights_bytes + share->draft_weights_bytes + share->exchange_bytes +
           share->stream_bytes;
}

/* Without sharding by batch a rank needs the keys and values of all KV heads that its query heads
 * use: with fewer KV heads than ranks (multi-query attention: one) every rank holds a copy. */
double serve_kv_heads_on_rank(const ServingSpec *serving, const ModelSpec *model)
{
    const double ways = stage_attention_ways(serving->attention_data, serving->tensor);
    return fmax(1, ceil(model->kv_heads / ways));
}

double serve_kv_elements_on_rank(const ServingSpec *serving, const ModelSpec *model)
{
    const double ways = stage_attention_ways(serving->attention_data, serving->tensor);
    const int by_batch = serving->kv_sharding == KV_BY_BATCH;
    if (model_has_latent_attention(model))
        return (model->kv_lora_rank + model->rope_head_dim) / (by_batch ? ways : 1);
    const double heads = by_batch ? model->kv_heads / ways : serve_kv_heads_on_rank(serving, model);
    return 2 * heads * model->head_dim;
}

/* Parameters of one layer's attention that every rank of a group has whole: keys and values of
 * heads that are not cut, or the products down to the latents; `one_copy` without the copies. */
static double whole_attention(const ServingSpec *serving, const ModelSpec *model, double *one_copy)
{
    if (model_has_latent_attention(model))
        return *one_copy = model->d_model *
                               (model->q_lora_rank + model->kv_lora_rank + model->rope_head_dim) +
                           model_indexer_weights(model);
    const double looking = 1 - model_linear_share(model);
    *one_copy = looking * 2 * model->d_model * model->kv_heads * model->head_dim;
    return looking * 2 * model->d_model * serve_kv_heads_on_rank(serving, model) * model->head_dim;
}

static StageShare stage_share(const Scenario *scenario, const StageLayout *layout, size_t stage)
{
    const ModelSpec *model = &scenario->model;
    const ServingSpec *serving = &scenario->serving;
    const ModelParameters count = model_parameters(model);
    const double layers = layout->layers[stage];
    const double with_experts = stage_expert_layers(model, layout, stage);
    const double ways = stage_attention_ways(serving->attention_data, serving->tensor);
    const double groups = stage_attention_groups(serving->attention_data, serving->tensor);
    StageShare share = {0};

    /* Cut over the ranks of a group: attention, dense MLPs, shared experts. Over all ranks: routed
     * experts. Whole on each rank: router, norms, and what of attention is not cut. */
    double one_copy;
    const double whole = whole_attention(serving, model, &one_copy);
    const double grouped = layers * (count.attention_per_layer - one_copy) +
                           (layers - with_experts) * count.dense_mlp_per_layer +
                           with_experts * count.shared_per_layer;
    const double routed = with_experts * model->experts * count.expert_per_layer;
    const double copies = with_experts * serving->redundant_experts * count.expert_per_layer;
    const double other = layers * count.norms_per_layer + with_experts * count.router_per_layer;

    /* The input embedding sits on the first stage, the output head on the last. */
    const double matrix = model->vocab_size * model->d_model;
    double embedding = 0;
    if (stage == 0)
        embedding += matrix;
    if (stage + 1 == layout->stages && !(layout->stages == 1 && model->tied_embeddings))
        embedding += matrix;

    share.parameters = grouped + routed + layers * one_copy + other + embedding;
    share.weights_bytes =
        serving_matrix_bytes(serving) * (grouped / ways + layers * whole + other) +
        serving_expert_bytes(serving) * (routed + copies) / serving->tensor +
        serving_table_bytes(serving) * embedding / ways;

    /* Keys and values of one token in the layers of this stage, over the groups of which one has
     * it. */
    /* Of layers with a window a sequence keeps no more than that: of one of full length, in the
     * mean over its tokens. */
    const double kept =
        model->attention_window > 0 ? fmin(1, model->attention_window / serving->context_limit) : 1;
    const double windowed = model_windowed_share(model);
    const double looking = 1 - model_linear_share(model);
    const double key_bytes =
        serve_kv_elements_on_rank(serving, model) * precision_bytes(serving->kv_precision) +
        model_index_key_bytes(model);
    /* The state of linear layers likewise. */
    const double state_bytes = model_linear_state(model) * STATE_BYTES / ways;
    share.kv_bytes_per_token = layers *
                               (looking * (1 - windowed + windowed * kept) * key_bytes +
                                (1 - looking) * state_bytes / serving->context_limit) /
                               groups;
    return share;
}

/* An engine that reads all prompts of a batch in one pass keeps the hidden state of their tokens
 * several times over, whole on each rank. */
static double stream_bytes(const Scenario *scenario)
{
    const ServingSpec *serving = &scenario->serving;
    const double element_bytes = 2;
    const double tokens =
        fmin(serving->max_batch * serving->prompt_tokens, serving->prefill_chunk_tokens);
    return serving->stream_buffers * tokens * scenario->model.d_model * element_bytes;
}

/* In one node the tokens of all groups are gathered on each rank and the experts' results scattered
 * from there: two buffers of 16 bits for what one iteration may hold. (Between nodes the engine's
 * own buffers count as reserved.) */
static double exchange_bytes(const Scenario *scenario)
{
    const ServingSpec *serving = &scenario->serving;
    const double groups = stage_attention_groups(serving->attention_data, serving->tensor);
    const double buffers = 2, element_bytes = 2;
    if (groups <= 1 || scenario->model.experts <= 1 ||
        serving->tensor > scenario->hardware.node.gpus)
        return 0;
    return groups * serving->iteration_tokens * scenario->model.d_model * buffers * element_bytes;
}

/* The draft model's weights on every stage, and keys and values of the sequences that draft there
 * (draft_cost.h). */
static void add_draft(const Scenario *scenario, StageShare *share, double stages)
{
    Scenario own;
    StageLayout layout;
    if (scenario->serving.speculation.length <= 0 ||
        scenario->serving.speculation.draft.layers <= 0)
        return;
    draft_scenario(scenario, &own);
    stage_layout(&own.model, 1, &layout);
    const StageShare draft = stage_share(&own, &layout, 0);
    share->draft_weights_bytes = draft.weights_bytes;
    share->draft_kv_bytes_per_token = draft.kv_bytes_per_token / stages;
    share->kv_bytes_per_token += share->draft_kv_bytes_per_token;
}

/* Capacity for KV tokens with the most loaded stage as `worst`; negative when weights do not fit.
 */
static double kv_tokens(const Scenario *scenario, double free_bytes, StageShare *worst,
                        double *largest_stage)
{
    StageLayout layout;
    double least = HUGE_VAL;

    *largest_stage = 0;
    stage_layout(&scenario->model, (size_t)scenario->serving.pipeline, &layout);
    for (size_t stage = 0; stage < layout.stages; stage++) {
        StageShare share = stage_share(scenario, &layout, stage);
        share.exchange_bytes = exchange_bytes(scenario);
        share.stream_bytes = stream_bytes(scenario);
        add_draft(scenario, &share, (double)layout.stages);
        const double left = free_bytes - used_bytes(&share);
        /* A stage without room is ranked by what it lacks, one with room by the tokens that fit. */
        const double tokens = left < 0 ? left : left / share.kv_bytes_per_token;
        if (tokens < least) {
            least = tokens;
            *worst = share;
        }
        *largest_stage = fmax(*largest_stage, share.parameters);
    }
    return least;
}

static int fits_with(const Scenario *scenario)
{
    const GpuSpec *gpu = &scenario->hardware.gpu;
    StageShare worst;
    double largest;
    const double free_bytes =
        gpu->memory_bytes * gpu->memory_usable - scenario->serving.reserved_bytes;
    return kv_tokens(scenario, free_bytes, &worst, &largest) >= scenario->serving.context_limit;
}

/* The smallest single change found under which a sequence of full length fits. */
static void find_remedy(const Scenario *scenario, char *text, size_t text_bytes)
{
    Scenario tried = *scenario;

    tried.serving.kv_sharding = KV_BY_BATCH;
    if (fits_with(&tried)) {
        snprintf(text, text_bytes, "kv_sharding: by_batch would fit");
        return;
    }
    tried = *scenario;
    const double fp8 = precision_bytes(PRECISION_FP8);
    if (serving_matrix_bytes(&tried.serving) > fp8) {
        tried.serving.weight_precision = PRECISION_FP8;
        tried.serving.weights = (WeightFormat){0};
    }
    tried.serving.kv_precision = PRECISION_FP8;
    if (fits_with(&tried)) {
        snprintf(text, text_bytes, "fp8 weights and KV would fit");
        return;
    }
    tried = *scenario;
    const double most = fmin(scenario->model.layers, MAX_STAGES);
    for (double stages = scenario->serving.pipeline + 1; stages <= most; stages++) {
        tried.serving.pipeline = stages;
        if (fits_with(&tried)) {
            snprintf(text, text_bytes, "%.0f pipeline stages of %.0f GPUs would fit", stages,
                     scenario->serving.tensor);
            return;
        }
    }
    snprintf(text, text_bytes, "neither KV by batch, fp8, nor %.0f stages would fit", most);
}

static void explain(const Scenario *scenario, const StageShare *worst, double free_bytes,
                    ServeMemory *memory)
{
    const ServingSpec *serving = &scenario->serving;
    const double left = free_bytes - used_bytes(worst);
    char remedy[96];

    if (memory->fits) {
        if (memory->max_sequences < serving->max_batch)
            snprintf(
                memory->limit, sizeof memory->limit,
                "KV memory holds %.0f sequences of %.0f tokens (%.1f for each of %.0f stages; "
                "%.0f of the mean request), max_batch is %.0f: %.1f GB free on a GPU, %.0f B a "
                "token",
                memory->max_sequences, serving->context_limit,
                memory->max_sequences / serving->pipeline, serving->pipeline,
                memory->max_sequences_mean, serving->max_batch, left / 1e9,
                worst->kv_bytes_per_token);
        return;
    }
    find_remedy(scenario, remedy, sizeof remedy);
    if (left < 0)
        snprintf(memory->reason, sizeof memory->reason,
                 "weights need %.1f GB on a GPU of the most loaded stage, %.1f GB of %.1f GB are "
                 "free after %.1f GB reserved; %s",
                 used_bytes(worst) / 1e9, free_bytes / 1e9, memory->capacity_bytes / 1e9,
                 serving->reserved_bytes / 1e9, remedy);
    else
        snprintf(memory->reason, sizeof memory->reason,
                 "one sequence of %.0f tokens needs %.2f GB of keys and values on a GPU, %.2f GB "
                 "are free (room for %.0f tokens); %s",
                 serving->context_limit, serving->context_limit * worst->kv_bytes_per_token / 1e9,
                 left / 1e9, memory->kv_capacity_tokens, remedy);
}

void serve_memory(const Scenario *scenario, ServeMemory *memory)
{
    const GpuSpec *gpu = &scenario->hardware.gpu;
    const ModelSpec *model = &scenario->model;
    const ServingSpec *serving = &scenario->serving;
    const double element = precision_bytes(serving->kv_precision);
    StageShare worst = {0};

    memset(memory, 0, sizeof *memory);
    memory->capacity_bytes = gpu->memory_bytes * gpu->memory_usable;
    memory->reserved_bytes = serving->reserved_bytes;
    memory->kv_bytes_per_token = model_kv_bytes_per_token(model, element);
    memory->kv_bytes_per_token_mha = model->layers * model->heads *
                                     (model_query_head_dim(model) + model_value_head_dim(model)) *
                                     element;

    const double free_bytes = memory->capacity_bytes - memory->reserved_bytes;
    const double tokens = kv_tokens(scenario, free_bytes, &worst, &memory->params_per_node);
    const double mean_length =
        fmin(serving->prompt_tokens + serving->output_tokens, serving->context_limit);

    memory->weights_bytes = worst.weights_bytes;
    memory->draft_weights_bytes = worst.draft_weights_bytes;
    memory->kv_bytes_per_token_gpu = worst.kv_bytes_per_token;
    memory->draft_kv_bytes_per_token_gpu = worst.draft_kv_bytes_per_token;
    memory->kv_capacity_tokens = fmax(0, floor(tokens));
    memory->max_sequences = floor(memory->kv_capacity_tokens / serving->context_limit);
    memory->max_sequences_mean = floor(memory->kv_capacity_tokens / mean_length);
    memory->fits = memory->max_sequences >= 1;
    explain(scenario, &worst, free_bytes, memory);
}
