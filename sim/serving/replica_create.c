#include "sim/serving/replica_parts.h"

#include "models/architecture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SEQUENCES = 1 << 20 };

static Status check(const Scenario *scenario, const ServeMemory *memory, Error *error)
{
    const ServingSpec *serving = &scenario->serving;
    if (!(serving->tensor >= 1 && serving->pipeline >= 1 && serving->pipeline <= MAX_STAGES &&
          serving->pipeline <= scenario->model.layers && serving->max_batch >= 1 &&
          serving->kv_block_tokens >= 1 && serving->kv_block_tokens <= MAX_BLOCK_TOKENS &&
          serving->prefill_chunk_tokens >= 0))
        return error_set(error, STATUS_INVALID,
                         "serving: tensor, pipeline (at most the layers), max_batch and kv_block "
                         "(at most %d) must be at least 1, prefill_chunk_tokens not negative",
                         (int)MAX_BLOCK_TOKENS);
    if (!memory->fits)
        return error_set(error, STATUS_NO, "%s", memory->reason);
    return STATUS_OK;
}

/* Batches that circulate: one a stage, fewer when there are not so many sequences, or when a share
 * of the memory could not hold a sequence of full length. */
static size_t lanes_of(const Scenario *scenario, size_t stages, double sequences, double blocks)
{
    const ServingSpec *serving = &scenario->serving;
    const double whole = ceil(serving->context_limit / serving->kv_block_tokens);
    return (size_t)fmax(1, fmin(fmin((double)stages, sequences), floor(blocks / fmax(1, whole))));
}

/* Places of one lane: no two differ by more than one. */
static size_t places_of(const Replica *replica, size_t lane)
{
    const size_t all = (size_t)replica->memory.sequences, lanes = replica->lane_count;
    return all / lanes + (lane < all % lanes);
}

static void set_limits(Replica *replica, const Scenario *scenario, const ServeMemory *memory)
{
    const ServingSpec *serving = &scenario->serving;
    /* Each group of attention has limits of its own; one lane schedules for all of them. */
    const double groups = stage_attention_groups(serving->attention_data, serving->tensor);
    const double blocks = floor(memory->kv_capacity_tokens / serving->kv_block_tokens);
    /* A sequence holds one block at least. */
    const double sequences =
        fmax(1, floor(fmin(fmin(groups * serving->max_batch, MOST_SEQUENCES), blocks)));
    replica->lane_count = lanes_of(scenario, replica->layout.stages, sequences, blocks);
    const double lanes = (double)replica->lane_count;
    LaneLimits *limits = &replica->limits;

    limits->batching = serving->batching;
    /* An engine that cannot throw anybody out sets memory aside for all. */
    limits->admission = serving->batching == BATCH_STATIC ? ADMIT_WHOLE : serving->kv_admission;
    limits->block_tokens = (uint32_t)serving->kv_block_tokens;
    limits->iteration_tokens = groups * serving->iteration_tokens;
    limits->prompt_tokens = floor(groups * serving->prefill_chunk_tokens);
    speculation_tokens(&serving->speculation, &limits->speculation);
    if (serving->preemption == PREEMPT_SWAP) {
        const double token_bytes = memory->kv_bytes_per_token_gpu;
        limits->host_blocks =
            (uint64_t)floor(serving->swap_bytes / token_bytes / limits->block_tokens / lanes);
        replica->swap_s_per_token = token_bytes / scenario->hardware.node.host_bytes_per_s;
    }
    limits->drafting_sequences = serving->speculation.most_sequences;
    limits->draft_reads_delivered = serving->speculation.reads_delivered;
    limits->blocks = (uint64_t)floor(memory->kv_capacity_tokens / serving->kv_block_tokens / lanes);
    replica->memory = (ReplicaMemory){
        .capacity_bytes = memory->capacity_bytes,
        .weights_bytes = memory->weights_bytes,
        .draft_weights_bytes = memory->draft_weights_bytes,
        .reserved_bytes = memory->reserved_bytes,
        .kv_bytes_per_token_gpu = memory->kv_bytes_per_token_gpu,
        .draft_kv_bytes_per_token_gpu = memory->draft_kv_bytes_per_token_gpu,
        .kv_bytes =
            (double)limits->blocks * lanes * limits->block_tokens * memory->kv_bytes_per_token_gpu,
        .blocks = (double)limits->blocks * lanes,
        .block_tokens = limits->block_tokens,
        .sequences = sequences,
    };
}

Status replica_create(const Scenario *scenario, const LaneSink *sink, int step_by_step,
                      Replica **created, Error *error)
{
    *created = NULL;
    return replica_renew(scenario, sink, step_by_step, created, error);
}

static void free_lanes(Replica *replica)
{
    for (size_t i = 0; i < replica->lane_room; i++)
        lane_free(&replica->lanes[i]);
    free(replica->lanes);
    free(replica->clocks);
    free(replica->running);
    free(replica->idle);
    replica->lane_room = 0;
    replica->lanes = NULL;
    replica->clocks = NULL;
    replica->running = replica->idle = NULL;
}

static Status allocate_lanes(Replica *replica, Error *error)
{
    const size_t count = replica->lane_count;
    if (count <= replica->lane_room)
        return STATUS_OK;
    free_lanes(replica);
    replica->lanes = calloc(count, sizeof *replica->lanes);
    replica->clocks = calloc(count, sizeof *replica->clocks);
    replica->running = calloc(count, sizeof *replica->running);
    replica->idle = calloc(count, sizeof *replica->idle);
    if (replica->lanes == NULL || replica->clocks == NULL || replica->running == NULL ||
        replica->idle == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    replica->lane_room = count;
    return STATUS_OK;
}

/* Nothing has happened yet. */
static void start_anew(Replica *replica)
{
    replica->line.count = replica->line.head = 0;
    replica->line.most = MAX_WAITING;
    replica->most_repeats = UINT64_MAX;
    replica->now_s = replica->until_s = 0;
    replica->blocks_used = 0;
    replica->ending = NULL;
    replica->series = NULL;
    replica->line_watched_s = 0;
    replica->running_first = replica->running_count = 0;
    replica->idle_count = replica->lane_count;
    for (size_t i = 0; i < replica->lane_count; i++)
        replica->idle[i] = (uint32_t)i;
    memset(replica->clocks, 0, replica->lane_count * sizeof *replica->clocks);
    memset(replica->stage_free_s, 0, replica->layout.stages * sizeof replica->stage_free_s[0]);
    memset(&replica->counters, 0, sizeof replica->counters);
}

Status replica_renew(const Scenario *scenario, const LaneSink *sink, int step_by_step,
                     Replica **kept, Error *error)
{
    const double probe_context = 1024;
    Replica *replica = *kept;
    ServeMemory memory;
    serve_memory(scenario, &memory);
    Status status = check(scenario, &memory, error);
    if (status == STATUS_OK && replica == NULL) {
        replica = calloc(1, sizeof *replica);
        if (replica == NULL)
            status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
    }
    if (status != STATUS_OK)
        goto cleanup;

    stage_layout(&scenario->model, (size_t)scenario->serving.pipeline, &replica->layout);
    stage_cost_prepare(&replica->cost, scenario);
    status = draft_cost_prepare(&replica->draft, scenario, error);
    if (status != STATUS_OK)
        goto cleanup;
    iteration_time_init(&replica->time, &replica->cost, &replica->layout, &replica->draft);
    replica->sink = *sink;
    replica->step_by_step = step_by_step;
    replica->prefix_cache = scenario->serving.prefix_cache;
    replica->layers = scenario->model.layers;
    replica->ranks = scenario->serving.tensor;
    set_limits(replica, scenario, &memory);
    const ModelFlops flops = model_flops_per_token(&scenario->model, probe_context);
    replica->matmul_flops = flops.matmul;
    replica->pair_flops = flops.attention_full / probe_context;
    if (replica->limits.blocks < 1) {
        status = error_set(error, STATUS_NO,
                           "KV memory holds no block of %u tokens for each of "
                           "%zu pipeline stages",
                           replica->limits.block_tokens, replica->lane_count);
        goto cleanup;
    }
    status = allocate_lanes(replica, error);
    for (size_t i = 0; i < replica->lane_count && status == STATUS_OK; i++) {
        replica->limits.sequences = places_of(replica, i);
        status = lane_renew(&replica->lanes[i], &replica->limits, error);
        replica->lanes[i].index = i;
    }
    if (status == STATUS_OK)
        start_anew(replica);
cleanup:
    if (status != STATUS_OK) {
        replica_destroy(replica);
        replica = NULL;
    }
    *kept = replica;
    return status;
}

void replica_destroy(Replica *replica)
{
    if (replica == NULL)
        return;
    free_lanes(replica);
    waiting_free(&replica->line);
    free(replica);
}

void replica_seed(Replica *replica, uint64_t seed)
{
    for (size_t i = 0; i < replica->lane_count; i++)
        lane_seed(&replica->lanes[i], seed, i);
}

Status replica_share(Replica *replica, const PrefixTree *tree, Error *error)
{
    const uint32_t block = replica->limits.block_tokens;
    if (!replica->prefix_cache || tree == NULL || tree->piece_tokens == 0)
        return STATUS_OK;
    if (tree->piece_tokens % block != 0)
        return error_set(error, STATUS_INVALID,
                         "shared pieces of %u tokens are not whole blocks of %u",
                         tree->piece_tokens, block);
    for (size_t i = 0; i < replica->lane_count; i++) {
        replica->lanes[i].cache.tree = tree;
        replica->lanes[i].cache.piece_blocks = tree->piece_tokens / block;
    }
    return STATUS_OK;
}
