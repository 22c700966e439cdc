#include "sim/serving/lane_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

Status lane_init(Lane *lane, const LaneLimits *limits, Error *error)
{
    memset(lane, 0, sizeof *lane);
    return lane_renew(lane, limits, error);
}

static Status allocate(Lane *lane, size_t count, Error *error)
{
    lane->requests = calloc(count, sizeof *lane->requests);
    lane->unused = calloc(count, sizeof *lane->unused);
    lane->heap = calloc(count, sizeof *lane->heap);
    lane->reading = calloc(count, sizeof *lane->reading);
    lane->placed = calloc(count, sizeof *lane->placed);
    lane->arrived = calloc(count, sizeof *lane->arrived);
    lane->room = count;
    if (!lane->requests || !lane->unused || !lane->heap || !lane->reading || !lane->placed ||
        !lane->arrived) {
        lane_free(lane);
        return error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu sequences", count);
    }
    return STATUS_OK;
}

/* Everything but its memory. */
static void forget(Lane *lane)
{
    const Lane old = *lane;
    memset(lane, 0, sizeof *lane);
    lane->room = old.room;
    lane->requests = old.requests;
    lane->unused = old.unused;
    lane->heap = old.heap;
    lane->reading = old.reading;
    lane->placed = old.placed;
    lane->arrived = old.arrived;
    lane->swapped.ring = old.swapped.ring;
    lane->swapped.room = old.swapped.room;
}

Status lane_renew(Lane *lane, const LaneLimits *limits, Error *error)
{
    const size_t count = limits->sequences;
    Status status = STATUS_OK;
    if (lane->room < count) {
        lane_free(lane);
        status = allocate(lane, count, error);
    }
    if (status != STATUS_OK)
        return status;
    prefix_cache_free(&lane->cache);
    forget(lane);
    lane->limits = *limits;
    lane->oldest = lane->newest = NO_REQUEST;
    for (size_t i = 0; i < count; i++)
        lane->unused[i] = (uint32_t)(count - 1 - i);
    lane->unused_count = count;
    lane->swapped.most = SIZE_MAX;
    lane_seed(lane, 0, 0);
    return STATUS_OK;
}

void lane_seed(Lane *lane, uint64_t seed, uint64_t index)
{
    lane->accepted = random_stream(seed, "accepted drafts", index);
}

void lane_free(Lane *lane)
{
    free(lane->requests);
    free(lane->unused);
    free(lane->heap);
    free(lane->reading);
    waiting_free(&lane->swapped);
    free(lane->placed);
    free(lane->arrived);
    prefix_cache_free(&lane->cache);
    lane->room = 0;
    lane->requests = NULL;
    lane->unused = lane->heap = lane->reading = lane->placed = lane->arrived = NULL;
}

int lane_has_work(const Lane *lane, const WaitingLine *line)
{
    return lane->decoding > 0 || lane->reading_count > 0 || lane->arrived_count > 0 ||
           lane_swapped_fits(lane) || lane_head_fits(lane, line);
}

/* ---- iterations --------------------------------------------------------------------------------
 */

/* Takes the next static batch. */
static void take_batch(Lane *lane, WaitingLine *line)
{
    lane->longest = 0;
    while (lane_head_fits(lane, line)) {
        const uint64_t steps = waiting_first(line)->output - 1;
        lane->longest = steps > lane->longest ? steps : lane->longest;
        lane_admit(lane, line);
    }
}

void lane_deliver(Lane *lane, uint32_t place, double now_s, const LaneSink *sink)
{
    LaneRequest *request = &lane->requests[place];
    lane->parked_blocks -= request->held_blocks;
    lane->arrived[lane->arrived_count++] = place;
    request->asked.first_s = now_s;
    if (sink->first_token != NULL)
        sink->first_token(sink->context, &request->asked, now_s);
}

static void join_arrived(Lane *lane)
{
    for (size_t i = 0; i < lane->arrived_count; i++) {
        const LaneRequest *request = &lane->requests[lane->arrived[i]];
        lane->draft_tokens += request->to_read;
        lane->draft_pairs += request->to_read * (request->to_read + 1.0) / 2;
        lane_trim_blocks(lane, &lane->requests[lane->arrived[i]]);
        lane_join(lane, lane->arrived[i]);
    }
    lane->arrived_count = 0;
}

/* Prompts are read elsewhere: all that fit decode in this very iteration. */
static void take_prefilled(Lane *lane, WaitingLine *line)
{
    while (lane_head_fits(lane, line)) {
        lane_reserve(lane, line);
        const uint32_t index = lane->placed[lane->placed_count - 1];
        lane->parked_blocks -= lane->requests[index].held_blocks;
        lane_trim_blocks(lane, &lane->requests[index]);
        lane_join(lane, index);
    }
}

/* Gives `left` tokens to readers in the order of their coming, and takes new ones in. */
static void plan_reading(Lane *lane, WaitingLine *line, double left, int take, PassLoad *load)
{
    double pairs = 0;
    lane->chunks = 0;
    while (left >= 1) {
        if (lane->chunks == lane->reading_count) {
            if (!take || !lane_head_fits(lane, line))
                break;
            if (waiting_is_remote(waiting_first(line))) {
                lane_reserve(lane, line);
                continue;
            }
            lane_admit(lane, line);
        }
        LaneRequest *request = &lane->requests[lane_reader(lane, lane->chunks++)];
        const double chunk = fmin(left, request->to_read - request->read);
        request->chunk = (uint32_t)chunk;
        left -= request->chunk;
        load->prefill += request->chunk;
        /* A token attends to all before it: read + (chunk + 1) / 2 in the mean. */
        pairs += request->chunk * (request->read + (request->chunk + 1) / 2.0);
    }
    load->prefill_context = load->prefill > 0 ? pairs / load->prefill : 0;
}

Status lane_plan(Lane *lane, WaitingLine *line, PassLoad *load, Error *error)
{
    const LaneLimits *limits = &lane->limits;
    join_arrived(lane);
    lane->placed_count = 0;
    if (limits->prompt_tokens < 1)
        take_prefilled(lane, line);
    if (lane_is_static(lane) && lane->decoding == 0 && lane->reading_count == 0)
        take_batch(lane, line);
    const int prompts_first =
        (lane_is_static(lane) && lane->reading_count > 0) ||
        (limits->batching == BATCH_PREFILL_FIRST &&
         (lane->reading_count > 0 ||
          (lane_head_fits(lane, line) && !waiting_is_remote(waiting_first(line)))));
    const uint64_t preempted = lane->preempted;

    memset(load, 0, sizeof *load);
    lane->chunks = 0;
    lane->swap_tokens = 0;
    lane->decodes = lane->decoding > 0 && !prompts_first;
    while (lane->decodes && lane_blocks_opened(lane, 1) > lane_blocks_free(lane)) {
        const Status status = lane_preempt_youngest(lane, line, error);
        if (status != STATUS_OK)
            return status;
        lane->decodes = lane->decoding > 0;
    }
    lane->unsettled = lane->preempted != preempted;
    if (!lane->unsettled && lane->swapped.count > 0)
        lane_swap_in(lane);
    lane->unsettled |= lane->swap_tokens > 0;
    lane->decodes = lane->decoding > 0 && !prompts_first;
    load->swapped = lane->swap_tokens;
    lane->drafts = 0;
    if (lane->decodes) {
        load->decode = (double)lane->decoding;
        if (limits->drafting_sequences <= 0 || load->decode <= limits->drafting_sequences)
            lane->drafts = limits->speculation.length;
        load->drafts = (double)lane->drafts;
        load->context = lane->kv_tokens / load->decode + 1 + load->drafts / 2;
        if (limits->draft_reads_delivered && lane->draft_tokens > 0) {
            load->draft_prefill = lane->draft_tokens;
            load->draft_prefill_context = lane->draft_pairs / lane->draft_tokens;
        }
        lane->draft_tokens = lane->draft_pairs = 0;
        /* The next tokens' blocks come before those of newcomers. */
        lane->blocks_used += lane_blocks_opened(lane, 1);
        lane->opening = 0;
    }
    double left = limits->prompt_tokens;
    if (limits->iteration_tokens > 0)
        left = fmin(left, limits->iteration_tokens - pass_tokens(load));
    plan_reading(lane, line, left, !lane->unsettled && !lane_is_static(lane), load);
    prefix_cache_trim(&lane->cache, lane_blocks_free(lane));
    return STATUS_OK;
}

uint64_t lane_repeats(const Lane *lane)
{
    if (!lane->decodes || lane->unsettled || lane->reading_count > 0 || lane_speculates(lane))
        return 1;
    const uint64_t ends_in = lane->requests[lane->heap[0]].last_step - lane->step;
    /* The blocks of the first iteration are taken already. */
    const uint64_t room = lane_blocks_free(lane) + lane_blocks_opened(lane, 1);
    if (lane_blocks_opened(lane, ends_in) <= room)
        return ends_in;
    uint64_t fits = 1, fails = ends_in;
    while (fails - fits > 1) {
        const uint64_t middle = fits + (fails - fits) / 2;
        if (lane_blocks_opened(lane, middle) <= room)
            fits = middle;
        else
            fails = middle;
    }
    return fits;
}

static void give_first_token(Lane *lane, uint32_t index, double now_s, const LaneSink *sink)
{
    LaneRequest *request = &lane->requests[index];
    request->asked.given++;
    prefix_cache_computed(&lane->cache, request->prefix);
    if (request->asked.first_s < 0) {
        request->asked.first_s = now_s;
        if (sink->first_token != NULL)
            sink->first_token(sink->context, &request->asked, now_s);
    }
    lane_trim_blocks(lane, request);
    if (request->asked.given < request->asked.output ||
        (lane_is_static(lane) && lane->longest > 0)) {
        lane_join(lane, index);
        return;
    }
    const QueuedRequest done = request->asked;
    const uint64_t held = request->held_blocks;
    lane->unused[lane->unused_count++] = index;
    if (sink->kept != NULL) { /* what it shares stays with it as well */
        lane->parked_blocks += held;
        sink->kept(sink->context, &done, lane->index, held, now_s);
        return;
    }
    lane->blocks_used -= held + prefix_cache_leave(&lane->cache, request->prefix);
    sink->finished(sink->context, &done, now_s);
}

/* Takes out a sequence that has its whole answer. */
static void end(Lane *lane, uint32_t index, double now_s, const LaneSink *sink)
{
    QueuedRequest done = lane->requests[index].asked;
    done.given = done.output;
    lane_leave(lane, index);
    sink->finished(sink->context, &done, now_s);
}

/* One round of speculation; returns the tokens given. */
static double finish_round(Lane *lane, double now_s, const LaneSink *sink)
{
    double given = 0;
    uint32_t next;
    for (uint32_t index = lane->oldest; index != NO_REQUEST; index = next) {
        LaneRequest *request = &lane->requests[index];
        const uint32_t left = request->asked.output - request->asked.given - request->grown;
        uint32_t got = 1;
        next = request->newer;
        if (lane->drafts > 0)
            got = speculation_draw(&lane->limits.speculation, random_uniform(&lane->accepted));
        got = got < left ? got : left;
        request->held_blocks = lane_blocks_wanted(lane, request); /* given to it by lane_plan */
        request->grown += got;
        lane->kv_tokens += got;
        given += got;
        if (got == left)
            end(lane, index, now_s, sink);
        else
            lane->opening += lane_blocks_wanted(lane, request) - request->held_blocks;
    }
    return given;
}

/* `repeats` tokens for each sequence; returns the tokens given: those of a static batch at its end.
 */
static double finish_steps(Lane *lane, uint64_t repeats, double now_s, const LaneSink *sink)
{
    double given = (double)repeats * (double)lane->decoding;
    const uint64_t first = lane_blocks_opened(lane, 1);
    lane->blocks_used += lane_blocks_opened(lane, repeats) - first;
    prefix_cache_trim(&lane->cache, lane_blocks_free(lane));
    lane->kv_tokens += given;
    lane->step += repeats;
    if (lane_is_static(lane))
        given = 0;
    while (lane->decoding > 0 && lane->requests[lane->heap[0]].last_step == lane->step) {
        const QueuedRequest *asked = &lane->requests[lane->heap[0]].asked;
        if (lane_is_static(lane))
            given += asked->output - asked->given;
        end(lane, lane->heap[0], now_s, sink);
    }
    return given;
}

double lane_finish(Lane *lane, uint64_t repeats, double now_s, const LaneSink *sink)
{
    double given = 0;
    if (lane->decodes)
        given = lane_speculates(lane) ? finish_round(lane, now_s, sink)
                                      : finish_steps(lane, repeats, now_s, sink);
    for (; lane->chunks > 0; lane->chunks--) {
        const uint32_t index = lane_reader(lane, 0);
        LaneRequest *request = &lane->requests[index];
        request->read += request->chunk;
        request->chunk = 0;
        if (request->read < request->to_read)
            break; /* the last one served, in part */
        lane->reading_first = (lane->reading_first + 1) % lane->limits.sequences;
        lane->reading_count--;
        give_first_token(lane, index, now_s, sink);
    }
    lane->chunks = 0;
    lane->decodes = 0;
    return given;
}
