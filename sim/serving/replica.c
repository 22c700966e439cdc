#include "sim/serving/replica_parts.h"

#include <math.h>
#include <string.h>

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
                      ? replica_run(replica, clock, repeats, until_s)
                      : replica_pass(replica, clock);
    return STATUS_OK;
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
    replica_count(replica, clock, given, blocks);
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
    clock->at_s = replica_run(replica, clock, clock->repeats, at_s);
}

Status replica_offer_early(Replica *replica, const QueuedRequest *request, Error *error)
{
    cut_short(replica, request->arrival_s);
    return replica_offer(replica, request, error);
}

void replica_release(Replica *replica, size_t lane, uint64_t blocks, uint32_t prefix,
                     double since_s, double now_s)
{
    replica->counters.block_seconds += (double)blocks * (now_s - since_s);
    watch_lane(replica, lane, now_s);
    Lane *from = &replica->lanes[lane];
    const uint64_t before = from->blocks_used;
    lane_release(from, blocks, prefix);
    if (replica->ending != from)
        replica->blocks_used -= before - from->blocks_used;
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
