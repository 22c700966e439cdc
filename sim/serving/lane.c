#include "sim/serving/lane.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t NO_REQUEST = UINT32_MAX;

Status lane_init(Lane *lane, const LaneLimits *limits, Error *error)
{
    memset(lane, 0, sizeof *lane);
    lane->limits = *limits;
    lane->oldest = lane->newest = NO_REQUEST;
    const size_t count = limits->sequences;
    lane->requests = calloc(count, sizeof *lane->requests);
    lane->unused = calloc(count, sizeof *lane->unused);
    lane->heap = calloc(count, sizeof *lane->heap);
    lane->reading = calloc(count, sizeof *lane->reading);
    lane->placed = calloc(count, sizeof *lane->placed);
    lane->arrived = calloc(count, sizeof *lane->arrived);
    if (!lane->requests || !lane->unused || !lane->heap || !lane->reading || !lane->placed ||
        !lane->arrived) {
        lane_free(lane);
        return error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu sequences", count);
    }
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
    lane->requests = NULL;
    lane->unused = lane->heap = lane->reading = lane->placed = lane->arrived = NULL;
}

uint64_t lane_blocks_of(const LaneLimits *limits, double tokens)
{
    return (uint64_t)ceil(tokens / limits->block_tokens);
}

/* ---- decoding sequences: a heap by last step, a list by age ------------------------------------
 */

static void heap_put(Lane *lane, size_t place, uint32_t index)
{
    lane->heap[place] = index;
    lane->requests[index].place = (uint32_t)place;
}

static int ends_before(const Lane *lane, uint32_t a, uint32_t b)
{
    const LaneRequest *first = &lane->requests[a], *second = &lane->requests[b];
    return first->last_step < second->last_step || (first->last_step == second->last_step && a < b);
}

static void heap_up(Lane *lane, size_t place, uint32_t index)
{
    while (place > 0 && ends_before(lane, index, lane->heap[(place - 1) / 2])) {
        heap_put(lane, place, lane->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    heap_put(lane, place, index);
}

static void heap_down(Lane *lane, size_t place, uint32_t index)
{
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= lane->decoding)
            break;
        if (child + 1 < lane->decoding &&
            ends_before(lane, lane->heap[child + 1], lane->heap[child]))
            child++;
        if (!ends_before(lane, lane->heap[child], index))
            break;
        heap_put(lane, place, lane->heap[child]);
        place = child;
    }
    heap_put(lane, place, index);
}

static void heap_remove(Lane *lane, uint32_t index)
{
    const size_t place = lane->requests[index].place;
    const uint32_t last = lane->heap[--lane->decoding];
    if (last == index)
        return;
    heap_up(lane, place, last);
    heap_down(lane, lane->requests[last].place, last);
}

static int speculates(const Lane *lane)
{
    return lane->limits.speculation.length > 0;
}

static int is_static(const Lane *lane)
{
    return lane->limits.batching == BATCH_STATIC;
}

static uint32_t residue(const Lane *lane, const LaneRequest *request)
{
    const uint32_t block = lane->limits.block_tokens;
    return (uint32_t)((request->to_read % block + block - request->join_step % block) % block);
}

/* KV tokens of a decoding sequence. */
static uint64_t tokens_held(const Lane *lane, const LaneRequest *request)
{
    return request->to_read + (speculates(lane) ? request->grown : lane->step - request->join_step);
}

/* Speculation: blocks for the next round of a sequence, at least those that it has. */
static uint32_t blocks_wanted(const Lane *lane, const LaneRequest *request)
{
    if (lane->limits.admission == ADMIT_WHOLE)
        return request->held_blocks;
    const uint64_t after =
        tokens_held(lane, request) + 1 + lane->limits.speculation.length - request->shared;
    const uint64_t most = (uint64_t)request->asked.prompt + request->asked.output - request->shared;
    const uint64_t block = lane->limits.block_tokens;
    const uint64_t blocks = ((after < most ? after : most) + block - 1) / block;
    return blocks > request->held_blocks ? (uint32_t)blocks : request->held_blocks;
}

static uint64_t blocks_held(const Lane *lane, const LaneRequest *request, uint64_t tokens)
{
    if (lane->limits.admission == ADMIT_WHOLE || speculates(lane))
        return request->held_blocks;
    const uint64_t block = lane->limits.block_tokens;
    return (tokens - request->shared + block - 1) / block;
}

/* Iterations until a sequence that joins now leaves; under speculation nobody knows. */
static uint64_t answer_steps(const Lane *lane, const LaneRequest *request)
{
    if (speculates(lane))
        return UINT64_MAX - lane->step;
    return is_static(lane) ? lane->longest : request->asked.output - request->asked.given;
}

static void join(Lane *lane, uint32_t index)
{
    LaneRequest *request = &lane->requests[index];
    request->join_step = lane->step;
    request->last_step = lane->step + answer_steps(lane, request);
    request->grown = 0;
    if (speculates(lane))
        lane->opening += blocks_wanted(lane, request) - request->held_blocks;
    lane->decoding++;
    heap_up(lane, lane->decoding - 1, index);
    request->older = lane->newest;
    request->newer = NO_REQUEST;
    if (lane->newest != NO_REQUEST)
        lane->requests[lane->newest].newer = index;
    else
        lane->oldest = index;
    lane->newest = index;
    lane->kv_tokens += request->to_read;
    lane->residues[residue(lane, request)]++;
}

/* Takes a sequence out of the decoding ones and its blocks back. */
static void leave(Lane *lane, uint32_t index)
{
    LaneRequest *request = &lane->requests[index];
    const uint64_t tokens = tokens_held(lane, request);
    heap_remove(lane, index);
    if (request->older != NO_REQUEST)
        lane->requests[request->older].newer = request->newer;
    else
        lane->oldest = request->newer;
    if (request->newer != NO_REQUEST)
        lane->requests[request->newer].older = request->older;
    else
        lane->newest = request->older;
    lane->kv_tokens -= (double)tokens;
    lane->blocks_used -= blocks_held(lane, request, tokens);
    lane->blocks_used -= prefix_cache_leave(&lane->cache, request->prefix);
    lane->residues[residue(lane, request)]--;
    lane->unused[lane->unused_count++] = index;
}

/* ---- memory ------------------------------------------------------------------------------------
 */

/* Blocks that `repeats` further iterations open: a sequence with t tokens opens one when t is a
 * multiple of the block, and t grows by one an iteration. */
static uint64_t blocks_opened(const Lane *lane, uint64_t repeats)
{
    if (lane->limits.admission == ADMIT_WHOLE)
        return 0;
    if (speculates(lane))
        return lane->opening;
    const uint64_t block = lane->limits.block_tokens;
    uint64_t opened = repeats / block * lane->decoding;
    for (uint64_t i = 0; i < repeats % block; i++)
        opened += lane->residues[(block - (lane->step + i) % block) % block];
    return opened;
}

static uint64_t blocks_free(const Lane *lane)
{
    return lane->limits.blocks - lane->blocks_used;
}

/* Blocks that a request must be given to start: its prompt and the next token, or all of it; the
 * token that came with a prompt from elsewhere is that next one. Without the `shared` tokens that
 * the cache holds. */
static uint64_t blocks_to_start(const Lane *lane, const QueuedRequest *asked, uint32_t shared)
{
    const double tokens = lane->limits.admission == ADMIT_WHOLE
                              ? (double)asked->prompt + asked->output
                              : (double)asked->prompt + asked->given + !waiting_is_remote(asked);
    return lane_blocks_of(&lane->limits, tokens - shared);
}

static uint32_t prefix_of(const Lane *lane, const QueuedRequest *asked)
{
    return lane->cache.tree != NULL ? asked->prefix : 0;
}

/* KV tokens of a sequence that the host keeps. */
static uint32_t swapped_tokens(const QueuedRequest *asked)
{
    return asked->prompt + asked->given - 1;
}

/* Room for the first swapped sequence and for the next tokens of all. */
static int swapped_fits(const Lane *lane)
{
    const QueuedRequest *head = waiting_first(&lane->swapped);
    if (head == NULL || lane->unused_count == 0)
        return 0;
    const double next = fmin(swapped_tokens(head) + 1.0 + (double)lane->limits.speculation.length,
                             (double)head->prompt + head->output);
    return lane_blocks_of(&lane->limits, next) + blocks_opened(lane, 1) <= blocks_free(lane);
}

static int head_fits(const Lane *lane, const WaitingLine *line)
{
    const QueuedRequest *head = waiting_first(line);
    if (head == NULL || lane->unused_count == 0 || lane->swapped.count > 0)
        return 0;
    if (blocks_to_start(lane, head, 0) <= blocks_free(lane))
        return 1;
    const uint32_t prefix = prefix_of(lane, head);
    return prefix != 0 && blocks_to_start(lane, head, prefix_cache_tokens(&lane->cache, prefix)) +
                                  prefix_cache_unused(&lane->cache, prefix) <=
                              blocks_free(lane);
}

int lane_has_work(const Lane *lane, const WaitingLine *line)
{
    return lane->decoding > 0 || lane->reading_count > 0 || lane->arrived_count > 0 ||
           swapped_fits(lane) || head_fits(lane, line);
}

static uint32_t reader(const Lane *lane, size_t i)
{
    const size_t at = lane->reading_first + i;
    return lane->reading[at < lane->limits.sequences ? at : at - lane->limits.sequences];
}

/* The youngest goes back to the head of the line, where what it had must be read again, or to the
 * host. */
static Status throw_out_youngest(Lane *lane, WaitingLine *line, Error *error)
{
    QueuedRequest asked;
    if (lane->reading_count > 0) {
        const uint32_t index = reader(lane, lane->reading_count - 1);
        asked = lane->requests[index].asked;
        lane->blocks_used -= lane->requests[index].held_blocks;
        lane->blocks_used -= prefix_cache_leave(&lane->cache, lane->requests[index].prefix);
        lane->reading_count--;
        lane->unused[lane->unused_count++] = index;
    } else {
        const uint32_t index = lane->newest;
        const LaneRequest *request = &lane->requests[index];
        asked = request->asked;
        asked.given += (uint32_t)(tokens_held(lane, request) - request->to_read);
        if (speculates(lane))
            lane->opening -= blocks_wanted(lane, request) - request->held_blocks;
        leave(lane, index);
        const uint64_t blocks = lane_blocks_of(&lane->limits, swapped_tokens(&asked));
        if (lane->swapped_blocks + blocks <= lane->limits.host_blocks) {
            lane->preempted++;
            lane->swaps++;
            lane->swapped_blocks += blocks;
            lane->swap_tokens += swapped_tokens(&asked);
            return waiting_push_head(&lane->swapped, &asked, error);
        }
    }
    lane->preempted++;
    return waiting_push_head(line, &asked, error);
}

/* ---- iterations --------------------------------------------------------------------------------
 */

static void admit(Lane *lane, WaitingLine *line)
{
    const QueuedRequest *head = waiting_first(line);
    const uint32_t index = lane->unused[--lane->unused_count];
    LaneRequest *request = &lane->requests[index];
    size_t at = lane->reading_first + lane->reading_count++;
    if (at >= lane->limits.sequences)
        at -= lane->limits.sequences;
    lane->reading[at] = index;
    request->asked = *head;
    request->to_read = head->prompt + head->given;
    request->chunk = 0;
    request->prefix = prefix_of(lane, head);
    request->shared = prefix_cache_tokens(&lane->cache, request->prefix);
    /* The last token is always read: its logits are wanted. */
    const uint32_t hit = prefix_cache_hit(&lane->cache, request->prefix);
    request->read = hit < request->to_read ? hit : request->to_read - 1;
    request->held_blocks = (uint32_t)blocks_to_start(lane, head, request->shared);
    lane->blocks_used += request->held_blocks + prefix_cache_take(&lane->cache, request->prefix);
    lane->cache.asked_tokens += request->to_read;
    lane->cache.hit_tokens += request->read;
    lane->placed[lane->placed_count++] = index;
    waiting_pop(line);
}

/* Brings back what fits, to decode in this very iteration. */
static void swap_in(Lane *lane)
{
    while (swapped_fits(lane)) {
        const uint32_t index = lane->unused[--lane->unused_count];
        LaneRequest *request = &lane->requests[index];
        request->asked = *waiting_first(&lane->swapped);
        request->to_read = request->read = swapped_tokens(&request->asked);
        request->chunk = 0;
        request->prefix = request->shared = 0; /* what comes back is its own */
        request->held_blocks = (uint32_t)lane_blocks_of(&lane->limits, request->to_read);
        lane->blocks_used += request->held_blocks;
        lane->swapped_blocks -= request->held_blocks;
        lane->swap_tokens += request->to_read;
        waiting_pop(&lane->swapped);
        join(lane, index);
    }
}

/* Takes the next static batch. */
static void take_batch(Lane *lane, WaitingLine *line)
{
    lane->longest = 0;
    while (head_fits(lane, line)) {
        const uint64_t steps = waiting_first(line)->output - 1;
        lane->longest = steps > lane->longest ? steps : lane->longest;
        admit(lane, line);
    }
}

/* A place and blocks for a request whose keys and values will come. */
static void reserve(Lane *lane, WaitingLine *line)
{
    const QueuedRequest *head = waiting_first(line);
    const uint32_t index = lane->unused[--lane->unused_count];
    LaneRequest *request = &lane->requests[index];
    request->asked = *head;
    request->to_read = head->prompt + head->given - 1; /* its newest token has none yet */
    request->prefix = request->shared = 0;             /* what comes from elsewhere is its own */
    request->held_blocks = (uint32_t)blocks_to_start(lane, head, 0);
    lane->blocks_used += request->held_blocks;
    lane->parked_blocks += request->held_blocks;
    lane->placed[lane->placed_count++] = index;
    waiting_pop(line);
}

void lane_release(Lane *lane, uint64_t blocks)
{
    lane->blocks_used -= blocks;
    lane->parked_blocks -= blocks;
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

/* Gives back what a sequence about to decode holds beyond its tokens: the block of the next token
 * is opened when its turn comes. */
static void trim_blocks(Lane *lane, LaneRequest *request)
{
    if (lane->limits.admission != ADMIT_PROMPT)
        return;
    const uint64_t needed =
        lane_blocks_of(&lane->limits, (double)request->to_read - request->shared);
    lane->blocks_used -= request->held_blocks - needed;
    request->held_blocks = (uint32_t)needed;
}

static void join_arrived(Lane *lane)
{
    for (size_t i = 0; i < lane->arrived_count; i++) {
        trim_blocks(lane, &lane->requests[lane->arrived[i]]);
        join(lane, lane->arrived[i]);
    }
    lane->arrived_count = 0;
}

/* Gives `left` tokens to readers in the order of their coming, and takes new ones in. */
static void plan_reading(Lane *lane, WaitingLine *line, double left, int take, PassLoad *load)
{
    double pairs = 0;
    lane->chunks = 0;
    while (left >= 1) {
        if (lane->chunks == lane->reading_count) {
            if (!take || !head_fits(lane, line))
                break;
            if (waiting_is_remote(waiting_first(line))) {
                reserve(lane, line);
                continue;
            }
            admit(lane, line);
        }
        LaneRequest *request = &lane->requests[reader(lane, lane->chunks++)];
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
    if (is_static(lane) && lane->decoding == 0 && lane->reading_count == 0)
        take_batch(lane, line);
    const int prompts_first =
        (is_static(lane) && lane->reading_count > 0) ||
        (limits->batching == BATCH_PREFILL_FIRST &&
         (lane->reading_count > 0 ||
          (head_fits(lane, line) && !waiting_is_remote(waiting_first(line)))));
    const uint64_t preempted = lane->preempted;

    memset(load, 0, sizeof *load);
    lane->chunks = 0;
    lane->swap_tokens = 0;
    lane->decodes = lane->decoding > 0 && !prompts_first;
    while (lane->decodes && blocks_opened(lane, 1) > blocks_free(lane)) {
        const Status status = throw_out_youngest(lane, line, error);
        if (status != STATUS_OK)
            return status;
        lane->decodes = lane->decoding > 0;
    }
    lane->unsettled = lane->preempted != preempted;
    if (!lane->unsettled && lane->swapped.count > 0)
        swap_in(lane);
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
        /* The next tokens' blocks come before those of newcomers. */
        lane->blocks_used += blocks_opened(lane, 1);
        lane->opening = 0;
    }
    double left = limits->prompt_tokens;
    if (limits->iteration_tokens > 0)
        left = fmin(left, limits->iteration_tokens - pass_tokens(load));
    plan_reading(lane, line, left, !lane->unsettled && !is_static(lane), load);
    prefix_cache_trim(&lane->cache, blocks_free(lane));
    return STATUS_OK;
}

uint64_t lane_repeats(const Lane *lane)
{
    if (!lane->decodes || lane->unsettled || lane->reading_count > 0 || speculates(lane))
        return 1;
    const uint64_t ends_in = lane->requests[lane->heap[0]].last_step - lane->step;
    /* The blocks of the first iteration are taken already. */
    const uint64_t room = blocks_free(lane) + blocks_opened(lane, 1);
    if (blocks_opened(lane, ends_in) <= room)
        return ends_in;
    uint64_t fits = 1, fails = ends_in;
    while (fails - fits > 1) {
        const uint64_t middle = fits + (fails - fits) / 2;
        if (blocks_opened(lane, middle) <= room)
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
    trim_blocks(lane, request);
    if (request->asked.given < request->asked.output || (is_static(lane) && lane->longest > 0)) {
        join(lane, index);
        return;
    }
    const QueuedRequest done = request->asked;
    const uint64_t held = request->held_blocks;
    lane->blocks_used -= prefix_cache_leave(&lane->cache, request->prefix);
    lane->unused[lane->unused_count++] = index;
    if (sink->kept != NULL) {
        lane->parked_blocks += held;
        sink->kept(sink->context, &done, lane->index, held, now_s);
        return;
    }
    lane->blocks_used -= held;
    sink->finished(sink->context, &done, now_s);
}

/* Takes out a sequence that has its whole answer. */
static void end(Lane *lane, uint32_t index, double now_s, const LaneSink *sink)
{
    QueuedRequest done = lane->requests[index].asked;
    done.given = done.output;
    leave(lane, index);
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
        request->held_blocks = blocks_wanted(lane, request); /* given to it by lane_plan */
        request->grown += got;
        lane->kv_tokens += got;
        given += got;
        if (got == left)
            end(lane, index, now_s, sink);
        else
            lane->opening += blocks_wanted(lane, request) - request->held_blocks;
    }
    return given;
}

/* `repeats` tokens for each sequence; returns the tokens given: those of a static batch at its end.
 */
static double finish_steps(Lane *lane, uint64_t repeats, double now_s, const LaneSink *sink)
{
    double given = (double)repeats * (double)lane->decoding;
    const uint64_t first = blocks_opened(lane, 1);
    lane->blocks_used += blocks_opened(lane, repeats) - first;
    prefix_cache_trim(&lane->cache, blocks_free(lane));
    lane->kv_tokens += given;
    lane->step += repeats;
    if (is_static(lane))
        given = 0;
    while (lane->decoding > 0 && lane->requests[lane->heap[0]].last_step == lane->step) {
        const QueuedRequest *asked = &lane->requests[lane->heap[0]].asked;
        if (is_static(lane))
            given += asked->output - asked->given;
        end(lane, lane->heap[0], now_s, sink);
    }
    return given;
}

double lane_finish(Lane *lane, uint64_t repeats, double now_s, const LaneSink *sink)
{
    double given = 0;
    if (lane->decodes)
        given = speculates(lane) ? finish_round(lane, now_s, sink)
                                 : finish_steps(lane, repeats, now_s, sink);
    for (; lane->chunks > 0; lane->chunks--) {
        const uint32_t index = reader(lane, 0);
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
