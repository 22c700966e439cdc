/* The KV blocks of a lane: how many, who is let in, thrown out and brought back. */
#include "sim/serving/lane_parts.h"

#include <math.h>

uint64_t lane_blocks_of(const LaneLimits *limits, double tokens)
{
    return (uint64_t)ceil(tokens / limits->block_tokens);
}

uint64_t lane_blocks_held(const Lane *lane, const LaneRequest *request, uint64_t tokens)
{
    if (lane->limits.admission == ADMIT_WHOLE || lane_speculates(lane))
        return request->held_blocks;
    const uint64_t block = lane->limits.block_tokens;
    return (tokens - request->shared + block - 1) / block;
}

/* Blocks that `repeats` further iterations open: a sequence with t tokens opens one when t is a
 * multiple of the block, and t grows by one an iteration. */
uint64_t lane_blocks_opened(const Lane *lane, uint64_t repeats)
{
    if (lane->limits.admission == ADMIT_WHOLE)
        return 0;
    if (lane_speculates(lane))
        return lane->opening;
    const uint64_t block = lane->limits.block_tokens;
    uint64_t opened = repeats / block * lane->decoding;
    for (uint64_t i = 0; i < repeats % block; i++)
        opened += lane->residues[(block - (lane->step + i) % block) % block];
    return opened;
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

uint64_t lane_blocks_to_start(const Lane *lane, const QueuedRequest *asked)
{
    return blocks_to_start(lane, asked, 0);
}

static uint32_t prefix_of(const Lane *lane, const QueuedRequest *asked)
{
    return lane->cache.tree != NULL ? asked->prefix : 0;
}

/* KV tokens of a sequence in the middle of its answer: its newest token has none yet. */
static uint32_t swapped_tokens(const QueuedRequest *asked)
{
    return asked->prompt + asked->given - 1;
}

/* Room for the first swapped sequence and for the next tokens of all. */
int lane_swapped_fits(const Lane *lane)
{
    const QueuedRequest *head = waiting_first(&lane->swapped);
    if (head == NULL || lane->unused_count == 0)
        return 0;
    const double next = fmin(swapped_tokens(head) + 1.0 + (double)lane->limits.speculation.length,
                             (double)head->prompt + head->output);
    return lane_blocks_of(&lane->limits, next) + lane_blocks_opened(lane, 1) <=
           lane_blocks_free(lane);
}

int lane_head_fits(const Lane *lane, const WaitingLine *line)
{
    const QueuedRequest *head = waiting_first(line);
    if (head == NULL || lane->unused_count == 0 || lane->swapped.count > 0)
        return 0;
    if (blocks_to_start(lane, head, 0) <= lane_blocks_free(lane))
        return 1;
    const uint32_t prefix = prefix_of(lane, head);
    return prefix != 0 && blocks_to_start(lane, head, prefix_cache_tokens(&lane->cache, prefix)) +
                                  prefix_cache_unused(&lane->cache, prefix) <=
                              lane_blocks_free(lane);
}

/* The youngest goes back to the head of the line, where what it had must be read again, or to the
 * host. */
Status lane_preempt_youngest(Lane *lane, WaitingLine *line, Error *error)
{
    QueuedRequest asked;
    if (lane->reading_count > 0) {
        const uint32_t index = lane_reader(lane, lane->reading_count - 1);
        asked = lane->requests[index].asked;
        lane->blocks_used -= lane->requests[index].held_blocks;
        lane->blocks_used -= prefix_cache_leave(&lane->cache, lane->requests[index].prefix);
        lane->reading_count--;
        lane->unused[lane->unused_count++] = index;
    } else {
        const uint32_t index = lane->newest;
        const LaneRequest *request = &lane->requests[index];
        asked = request->asked;
        asked.given += (uint32_t)(lane_tokens_held(lane, request) - request->to_read);
        if (lane_speculates(lane))
            lane->opening -= lane_blocks_wanted(lane, request) - request->held_blocks;
        lane_leave(lane, index);
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

void lane_admit(Lane *lane, WaitingLine *line)
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

void lane_resume(Lane *lane, const QueuedRequest *asked)
{
    const uint32_t index = lane->unused[--lane->unused_count];
    LaneRequest *request = &lane->requests[index];
    request->asked = *asked;
    request->to_read = request->read = swapped_tokens(asked);
    request->chunk = 0;
    request->prefix = request->shared = 0; /* what comes back is its own */
    request->held_blocks = lane->limits.admission == ADMIT_WHOLE
                               ? (uint32_t)blocks_to_start(lane, asked, 0)
                               : (uint32_t)lane_blocks_of(&lane->limits, request->to_read);
    lane->blocks_used += request->held_blocks;
    lane_join(lane, index);
}

/* Brings back what fits, to decode in this very iteration. */
void lane_swap_in(Lane *lane)
{
    while (lane_swapped_fits(lane)) {
        const QueuedRequest asked = *waiting_first(&lane->swapped);
        const uint32_t tokens = swapped_tokens(&asked);
        lane->swapped_blocks -= lane_blocks_of(&lane->limits, tokens);
        lane->swap_tokens += tokens;
        waiting_pop(&lane->swapped);
        lane_resume(lane, &asked);
    }
}

/* A place and blocks for a request whose keys and values will come. */
void lane_reserve(Lane *lane, WaitingLine *line)
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

void lane_release(Lane *lane, uint64_t blocks, uint32_t prefix)
{
    if (lane->cache.tree != NULL)
        lane->blocks_used -= prefix_cache_leave(&lane->cache, prefix);
    lane->blocks_used -= blocks;
    lane->parked_blocks -= blocks;
}

/* Gives back what a sequence about to decode holds beyond its tokens: the block of the next token
 * is opened when its turn comes. */
void lane_trim_blocks(Lane *lane, LaneRequest *request)
{
    if (lane->limits.admission != ADMIT_PROMPT)
        return;
    const uint64_t needed =
        lane_blocks_of(&lane->limits, (double)request->to_read - request->shared);
    lane->blocks_used -= request->held_blocks - needed;
    request->held_blocks = (uint32_t)needed;
}
