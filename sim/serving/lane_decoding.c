/* The sequences of a lane that decode: a heap by last step, a list by age. */
#include "sim/serving/lane_parts.h"

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

static uint32_t residue(const Lane *lane, const LaneRequest *request)
{
    const uint32_t block = lane->limits.block_tokens;
    return (uint32_t)((request->to_read % block + block - request->join_step % block) % block);
}

/* Iterations until a sequence that joins now leaves; under speculation nobody knows. */
static uint64_t answer_steps(const Lane *lane, const LaneRequest *request)
{
    if (lane_speculates(lane))
        return UINT64_MAX - lane->step;
    return lane_is_static(lane) ? lane->longest : request->asked.output - request->asked.given;
}

void lane_join(Lane *lane, uint32_t index)
{
    LaneRequest *request = &lane->requests[index];
    request->join_step = lane->step;
    request->last_step = lane->step + answer_steps(lane, request);
    request->grown = 0;
    if (lane_speculates(lane))
        lane->opening += lane_blocks_wanted(lane, request) - request->held_blocks;
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
void lane_leave(Lane *lane, uint32_t index)
{
    LaneRequest *request = &lane->requests[index];
    const uint64_t tokens = lane_tokens_held(lane, request);
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
    lane->blocks_used -= lane_blocks_held(lane, request, tokens);
    lane->blocks_used -= prefix_cache_leave(&lane->cache, request->prefix);
    lane->residues[residue(lane, request)]--;
    lane->unused[lane->unused_count++] = index;
}
