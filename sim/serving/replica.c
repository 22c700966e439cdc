#include "sim/serving/replica.h"

#include "models/architecture.h"
#include "sim/serving/iteration_time.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SEQUENCES = 1 << 20 };

/* What a lane is doing. */
typedef struct LaneClock {
    int running;
    double at_s;      /* running: its end; else when it is free to start */
    uint64_t repeats; /* of the iterations under way */
    PassLoad load;    /* of the first of them */
    double started_s;
    /* what they cost */
    double busy_s, swap_s;
    double prefill_s, bytes;
    ServeStageTime slowest;
    double watched_s; /* its memory and places are in the series up to here */
} LaneClock;

struct Replica {
    StageCost cost;
    StageLayout layout;
    IterationTime time;
    DraftCost draft;
    ReplicaMemory memory;
    LaneLimits limits;
    LaneSink sink;
    WaitingLine line;
    size_t lane_count, lane_room;
    Lane *lanes;
    LaneClock *clocks;
    uint32_t *running; /* lanes at work, a ring in the order of their starts and ends */
    size_t running_first, running_count;
    uint32_t *idle; /* the others */
    size_t idle_count;
    uint64_t blocks_used; /* of all lanes, but for what the one that ends an iteration changes */
    const Lane *ending;   /* NULL: none does */
    uint64_t ending_blocks;
    double stage_free_s[MAX_STAGES];
    double stage_s[MAX_STAGES];
    double swap_s_per_token; /* of a GPU's share of its keys and values, one way */
    double now_s;
    double until_s;                  /* of the advance under way */
    uint64_t most_repeats;           /* of a run of like iterations */
    double matmul_flops, pair_flops; /* of a token, and of a pair of tokens that attend */
    double layers, ranks;            /* of the model; GPUs that share a layer */
    int step_by_step;
    int prefix_cache;
    ReplicaCounters counters;
    OccupancySeries *series; /* NULL: nobody wants it */
    double line_watched_s;
};

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
    limits->blocks = (uint64_t)floor(memory->kv_capacity_tokens / serving->kv_block_tokens / lanes);
    replica->memory = (ReplicaMemory){
        .capacity_bytes = memory->capacity_bytes,
        .weights_bytes = memory->weights_bytes,
        .draft_weights_bytes = memory->draft_weights_bytes,
        .reserved_bytes = memory->reserved_bytes,
        .kv_bytes_per_token_gpu = memory->kv_bytes_per_token_gpu,
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

void replica_watch(Replica *replica, OccupancySeries *series)
{
    replica->series = series;
}

/* Before anything in a lane changes at now_s: what it held until then. */
static void watch_lane(Replica *replica, size_t index, double now_s)
{
    const Lane *lane = &replica->lanes[index];
    if (replica->series == NULL)
        return;
    const OccupancyPart now = {.kv_blocks = (double)lane->blocks_used,
                               .running = (double)(lane->limits.sequences - lane->unused_count),
                               .waiting = (double)lane->swapped.count};
    occupancy_add(replica->series, replica->clocks[index].watched_s, now_s, &now);
    replica->clocks[index].watched_s = fmax(replica->clocks[index].watched_s, now_s);
}

/* The same of the line. */
static void watch_line(Replica *replica, double now_s)
{
    if (replica->series == NULL)
        return;
    const OccupancyPart now = {.waiting = (double)replica->line.count};
    occupancy_add(replica->series, replica->line_watched_s, now_s, &now);
    replica->line_watched_s = fmax(replica->line_watched_s, now_s);
}

/* Idle schedulers look again at this time. */
static void wake(Replica *replica, double at_s)
{
    for (size_t i = 0; i < replica->idle_count; i++) {
        LaneClock *clock = &replica->clocks[replica->idle[i]];
        clock->at_s = fmax(clock->at_s, at_s);
    }
}

Status replica_can_hold(const Replica *replica, const QueuedRequest *request, Error *error)
{
    const uint64_t blocks =
        lane_blocks_of(&replica->limits, (double)request->prompt + request->output);
    if (blocks > replica->limits.blocks)
        return error_set(
            error, STATUS_NO,
            "a request of %u + %u tokens needs %llu blocks of %u, a scheduler has %llu",
            request->prompt, request->output, (unsigned long long)blocks,
            replica->limits.block_tokens, (unsigned long long)replica->limits.blocks);
    return STATUS_OK;
}

Status replica_offer(Replica *replica, const QueuedRequest *request, Error *error)
{
    Status status = replica_can_hold(replica, request, error);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; request->prefix != 0 && i < replica->lane_count; i++) {
        status = prefix_cache_follow(&replica->lanes[i].cache, error);
        if (status != STATUS_OK)
            return status;
    }
    wake(replica, request->arrival_s);
    watch_line(replica, request->arrival_s);
    status = waiting_push(&replica->line, request, error);
    replica->counters.largest_line =
        fmax(replica->counters.largest_line, (double)replica->line.count);
    return status;
}

/* The lane with the next event and its time; lane_count when there is none. At the same time ends
 * go before starts. Iterations end in the order of their starts: no stage changes it. */
static size_t next_lane(const Replica *replica, double *at_s)
{
    size_t best = replica->lane_count;
    *at_s = HUGE_VAL;
    if (replica->running_count > 0) {
        best = replica->running[replica->running_first];
        *at_s = replica->clocks[best].at_s;
    }
    for (size_t i = 0; i < replica->idle_count; i++) {
        const size_t lane = replica->idle[i];
        const double start_s = fmax(replica->clocks[lane].at_s, replica->stage_free_s[0]);
        const int earlier =
            start_s < *at_s || (start_s == *at_s && !replica->clocks[best].running && lane < best);
        if (earlier && lane_has_work(&replica->lanes[lane], &replica->line)) {
            *at_s = start_s;
            best = lane;
        }
    }
    return best;
}

static void set_running(Replica *replica, size_t lane)
{
    size_t i = 0;
    while (replica->idle[i] != lane)
        i++;
    replica->idle[i] = replica->idle[--replica->idle_count];
    i = replica->running_first + replica->running_count++;
    replica->running[i < replica->lane_count ? i : i - replica->lane_count] = (uint32_t)lane;
    replica->clocks[lane].running = 1;
}

static void set_idle(Replica *replica, size_t lane)
{
    replica->running_first =
        replica->running_first + 1 < replica->lane_count ? replica->running_first + 1 : 0;
    replica->running_count--;
    replica->idle[replica->idle_count++] = (uint32_t)lane;
    replica->clocks[lane].running = 0;
}

/* Weights that the tokens use and KV, of all layers and ranks, and what drafting reads. */
static double bytes_read(Replica *replica, const PassLoad *load, double repeats)
{
    const TokenCost tokens = stage_cost_tokens(&replica->cost, pass_tokens(load));
    PassLoad middle = *load;
    middle.context += (repeats - 1) / 2;
    const double own =
        replica->ranks * (stage_cost_weight_bytes(&replica->cost, replica->layers, &tokens) +
                          replica->layers * stage_cost_kv_bytes(&replica->cost, &middle) +
                          tokens.head.weights_bytes);
    return repeats * (own + draft_cost_bytes(&replica->draft, &middle));
}

static double later(double a, double b)
{
    return a > b ? a : b;
}

/* Sends one iteration through the stages; returns its end. */
static double pass_stages(Replica *replica, LaneClock *clock)
{
    const PassLoad *load = &clock->load;
    const double swap_s = load->swapped * replica->swap_s_per_token;
    double at_s = clock->started_s;
    const size_t slowest =
        iteration_stages(&replica->time, load, replica->stage_s, &clock->slowest);
    clock->bytes = bytes_read(replica, load, 1);
    if (load->prefill > 0) {
        PassLoad answers = *load;
        answers.prefill = 0;
        clock->prefill_s = clock->slowest.total_s;
        if (load->decode > 0)
            clock->prefill_s -= iteration_stage_s(&replica->time, slowest, &answers);
    }
    clock->swap_s = swap_s;
    clock->slowest.overhead_s += swap_s;
    clock->slowest.total_s += swap_s;
    clock->busy_s = replica->stage_s[0] + swap_s;
    for (size_t i = 0; i < replica->layout.stages; i++) {
        at_s = later(at_s, replica->stage_free_s[i]) + replica->stage_s[i] + swap_s;
        replica->stage_free_s[i] = at_s;
    }
    return at_s;
}

/* Iterations of decoding alone on one stage; returns the end of the last. */
static double run_iterations(Replica *replica, LaneClock *clock, uint64_t repeats, double until_s)
{
    memset(&clock->slowest, 0, sizeof clock->slowest);
    clock->busy_s = iteration_run(&replica->time, &clock->load, repeats, until_s - clock->started_s,
                                  &clock->repeats, &clock->slowest);
    clock->bytes = bytes_read(replica, &clock->load, (double)clock->repeats);
    replica->stage_free_s[0] = clock->started_s + clock->busy_s;
    return replica->stage_free_s[0];
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static Status start(Replica *replica, size_t index, double start_s, double until_s, Error *error)
{
    Lane *lane = &replica->lanes[index];
    LaneClock *clock = &replica->clocks[index];
    const uint64_t blocks = lane->blocks_used;
    watch_lane(replica, index, start_s);
    watch_line(replica, start_s);
    const Status status = lane_plan(lane, &replica->line, &clock->load, error);
    replica->blocks_used += lane->blocks_used - blocks;
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < lane->placed_count && replica->sink.placed != NULL; i++)
        replica->sink.placed(replica->sink.context, &lane->requests[lane->placed[i]].asked, index,
                             lane->placed[i], start_s);
    if (lane->placed_count > 0 && clock->load.decode + clock->load.prefill <= 0) {
        clock->at_s = start_s; /* nothing runs before their keys and values come */
        return STATUS_OK;
    }
    const uint64_t repeats =
        replica->step_by_step ? 1 : least(lane_repeats(lane), replica->most_repeats);
    set_running(replica, index);
    clock->started_s = start_s;
    clock->repeats = 1;
    clock->prefill_s = clock->swap_s = 0;
    clock->at_s = replica->layout.stages == 1 && repeats > 1
                      ? run_iterations(replica, clock, repeats, until_s)
                      : pass_stages(replica, clock);
    return STATUS_OK;
}

/* `given`: tokens that decoding sequences got; `blocks`: in use meanwhile. */
static void count(Replica *replica, const LaneClock *clock, double given, double blocks)
{
    ReplicaCounters *counters = &replica->counters;
    const PassLoad *load = &clock->load;
    const double repeats = (double)clock->repeats;
    const double pairs =
        given * (load->context + (repeats - 1) / 2) + load->prefill * load->prefill_context;

    counters->iterations += repeats;
    counters->busy_s += clock->busy_s;
    counters->swap_s += clock->swap_s;
    counters->prefill_s += clock->prefill_s;
    stage_time_add(&counters->slowest, &clock->slowest, 1);
    counters->bytes += clock->bytes;
    counters->output_tokens += given;
    counters->input_tokens += load->prefill;
    counters->sequence_iterations += repeats * load->decode;
    counters->flops +=
        (given + load->prefill) * replica->matmul_flops + pairs * replica->pair_flops;
    counters->block_seconds += blocks * (clock->at_s - clock->started_s);
    if (load->drafts > 0) {
        counters->rounds += repeats * load->decode;
        counters->round_tokens += given;
    }
}

static void finish(Replica *replica, size_t index)
{
    Lane *lane = &replica->lanes[index];
    LaneClock *clock = &replica->clocks[index];
    const size_t readers = lane->reading_count;
    set_idle(replica, index);
    replica->now_s = clock->at_s;
    watch_lane(replica, index, clock->at_s);
    const double blocks = (double)(lane->blocks_used - lane->parked_blocks);
    replica->ending = lane;
    replica->ending_blocks = lane->blocks_used;
    const double given = lane_finish(lane, clock->repeats, clock->at_s, &replica->sink);
    replica->blocks_used = replica_blocks_used(replica);
    replica->ending = NULL;
    count(replica, clock, given, blocks);
    replica->counters.output_tokens += (double)(readers - lane->reading_count);
}

void replica_hold(Replica *replica, double until_s)
{
    replica->until_s = fmin(replica->until_s, until_s);
}

size_t replica_lane_count(const Replica *replica)
{
    return replica->lane_count;
}

const Lane *replica_lane(const Replica *replica, size_t index)
{
    return &replica->lanes[index];
}

StageCost *replica_cost(Replica *replica)
{
    return &replica->cost;
}

uint64_t replica_blocks_used(const Replica *replica)
{
    return replica->ending == NULL
               ? replica->blocks_used
               : replica->blocks_used + replica->ending->blocks_used - replica->ending_blocks;
}

void replica_resume(Replica *replica, size_t lane, const QueuedRequest *request)
{
    const uint64_t blocks = replica->lanes[lane].blocks_used;
    lane_resume(&replica->lanes[lane], request);
    replica->blocks_used += replica->lanes[lane].blocks_used - blocks;
}

Status replica_iterate(Replica *replica, uint64_t iterations, Error *error)
{
    const double end = replica->counters.iterations + (double)iterations;
    Status status = STATUS_OK;
    while (replica->counters.iterations < end && status == STATUS_OK) {
        double at_s;
        const size_t index = next_lane(replica, &at_s);
        replica->most_repeats = (uint64_t)(end - replica->counters.iterations);
        if (index == replica->lane_count)
            status = error_set(error, STATUS_NO, "no request is left to work on");
        else if (replica->clocks[index].running)
            finish(replica, index);
        else
            status = start(replica, index, at_s, HUGE_VAL, error);
    }
    replica->most_repeats = UINT64_MAX;
    return status;
}

void replica_count_anew(Replica *replica)
{
    memset(&replica->counters, 0, sizeof replica->counters);
    for (size_t i = 0; i < replica->lane_count; i++) {
        Lane *lane = &replica->lanes[i];
        lane->preempted = lane->swaps = 0;
        lane->cache.asked_tokens = lane->cache.hit_tokens = 0;
    }
}

Status replica_advance(Replica *replica, double until_s, Error *error)
{
    replica->until_s = until_s;
    for (;;) {
        double at_s;
        const size_t index = next_lane(replica, &at_s);
        if (index == replica->lane_count)
            return STATUS_OK;
        if (replica->clocks[index].running) {
            if (at_s > replica->until_s)
                return STATUS_OK;
            finish(replica, index);
            continue;
        }
        if (at_s >= replica->until_s)
            return STATUS_OK;
        const Status status = start(replica, index, at_s, replica->until_s, error);
        if (status != STATUS_OK)
            return status;
    }
}

double replica_next_s(const Replica *replica, int *starts)
{
    double at_s;
    const size_t index = next_lane(replica, &at_s);
    *starts = index < replica->lane_count && !replica->clocks[index].running;
    return at_s;
}

Status replica_start(Replica *replica, double at_s, double until_s, Error *error)
{
    for (;;) {
        double start_s;
        const size_t index = next_lane(replica, &start_s);
        if (start_s > at_s || index == replica->lane_count || replica->clocks[index].running)
            return STATUS_OK;
        const Status status = start(replica, index, start_s, until_s, error);
        if (status != STATUS_OK)
            return status;
    }
}

/* A run of several iterations ends with the first that ends at or behind at_s. */
static void cut_short(Replica *replica, double at_s)
{
    LaneClock *clock = &replica->clocks[0];
    if (replica->layout.stages > 1 || !clock->running || clock->repeats <= 1 || clock->at_s <= at_s)
        return;
    clock->at_s = run_iterations(replica, clock, clock->repeats, at_s);
}

Status replica_offer_early(Replica *replica, const QueuedRequest *request, Error *error)
{
    cut_short(replica, request->arrival_s);
    return replica_offer(replica, request, error);
}

void replica_release(Replica *replica, size_t lane, uint64_t blocks, double since_s, double now_s)
{
    replica->counters.block_seconds += (double)blocks * (now_s - since_s);
    watch_lane(replica, lane, now_s);
    lane_release(&replica->lanes[lane], blocks);
    if (replica->ending != &replica->lanes[lane])
        replica->blocks_used -= blocks;
    wake(replica, now_s);
}

void replica_deliver(Replica *replica, size_t lane, uint64_t place, double since_s, double now_s)
{
    const uint64_t blocks = replica->lanes[lane].requests[place].held_blocks;
    replica->counters.block_seconds += (double)blocks * (now_s - since_s);
    cut_short(replica, now_s);
    watch_lane(replica, lane, now_s);
    lane_deliver(&replica->lanes[lane], (uint32_t)place, now_s, &replica->sink);
    wake(replica, now_s);
}

double replica_now(const Replica *replica)
{
    return replica->now_s;
}

size_t replica_waiting(const Replica *replica)
{
    return replica->line.count;
}

const ReplicaMemory *replica_memory(const Replica *replica)
{
    return &replica->memory;
}

ReplicaCounters replica_counters(const Replica *replica)
{
    ReplicaCounters counters = replica->counters;
    counters.preempted = counters.swapped = counters.cache_asked = counters.cache_hit = 0;
    for (size_t i = 0; i < replica->lane_count; i++) {
        counters.preempted += (double)replica->lanes[i].preempted;
        counters.swapped += (double)replica->lanes[i].swaps;
        counters.cache_asked += replica->lanes[i].cache.asked_tokens;
        counters.cache_hit += replica->lanes[i].cache.hit_tokens;
    }
    return counters;
}

void replica_counters_add(ReplicaCounters *sum, const ReplicaCounters *counters)
{
    sum->input_tokens += counters->input_tokens;
    sum->output_tokens += counters->output_tokens;
    sum->preempted += counters->preempted;
    sum->iterations += counters->iterations;
    sum->busy_s += counters->busy_s;
    sum->prefill_s += counters->prefill_s;
    stage_time_add(&sum->slowest, &counters->slowest, 1);
    sum->flops += counters->flops;
    sum->bytes += counters->bytes;
    sum->block_seconds += counters->block_seconds;
    sum->sequence_iterations += counters->sequence_iterations;
    sum->swapped += counters->swapped;
    sum->swap_s += counters->swap_s;
    sum->cache_asked += counters->cache_asked;
    sum->cache_hit += counters->cache_hit;
    sum->rounds += counters->rounds;
    sum->round_tokens += counters->round_tokens;
    sum->largest_line = fmax(sum->largest_line, counters->largest_line);
}
