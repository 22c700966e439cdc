/* How the parts of a lane (lane.c: iterations; lane_decoding.c: the sequences that decode;
 * lane_memory.c: its KV blocks, who is let in, thrown out and brought back) speak to each other;
 * nobody else includes it. */
#ifndef SIM_SERVING_LANE_PARTS_H
#define SIM_SERVING_LANE_PARTS_H

#include "sim/serving/lane.h"

static const uint32_t NO_REQUEST = UINT32_MAX;

static inline int lane_speculates(const Lane *lane)
{
    return lane->limits.speculation.length > 0;
}

static inline int lane_is_static(const Lane *lane)
{
    return lane->limits.batching == BATCH_STATIC;
}

static inline uint64_t lane_blocks_free(const Lane *lane)
{
    return lane->limits.blocks - lane->blocks_used;
}

/* The i-th of those that are read, the oldest first. */
static inline uint32_t lane_reader(const Lane *lane, size_t i)
{
    const size_t at = lane->reading_first + i;
    return lane->reading[at < lane->limits.sequences ? at : at - lane->limits.sequences];
}

/* KV tokens of a decoding sequence. */
static inline uint64_t lane_tokens_held(const Lane *lane, const LaneRequest *request)
{
    return request->to_read +
           (lane_speculates(lane) ? request->grown : lane->step - request->join_step);
}

/* Speculation: blocks for the next round of a sequence, at least those that it has. */
static inline uint32_t lane_blocks_wanted(const Lane *lane, const LaneRequest *request)
{
    if (lane->limits.admission == ADMIT_WHOLE)
        return request->held_blocks;
    const uint64_t after =
        lane_tokens_held(lane, request) + 1 + lane->limits.speculation.length - request->shared;
    const uint64_t most = (uint64_t)request->asked.prompt + request->asked.output - request->shared;
    const uint64_t block = lane->limits.block_tokens;
    const uint64_t blocks = ((after < most ? after : most) + block - 1) / block;
    return blocks > request->held_blocks ? (uint32_t)blocks : request->held_blocks;
}

/* ---- sequences that decode: a heap by last step, a list by age ---------------------------------
 */

/* A sequence whose keys and values are there decodes from the next iteration on. */
void lane_join(Lane *lane, uint32_t index);

/* Takes one out of the decoding ones and its blocks back. */
void lane_leave(Lane *lane, uint32_t index);

/* ---- memory ------------------------------------------------------------------------------------
 */

/* Of its own, beside those that it shares through the prefix cache. */
uint64_t lane_blocks_held(const Lane *lane, const LaneRequest *request, uint64_t tokens);

/* Blocks that `repeats` further iterations open. */
uint64_t lane_blocks_opened(const Lane *lane, uint64_t repeats);

/* Room for the first swapped sequence, and for the head of the line. */
int lane_swapped_fits(const Lane *lane);
int lane_head_fits(const Lane *lane, const WaitingLine *line);

/* The youngest goes back to the head of the line, or to the host. */
Status lane_preempt_youngest(Lane *lane, WaitingLine *line, Error *error);

/* Takes the head of the line, which fits: to be read, or, remote, to wait for its keys and values.
 */
void lane_admit(Lane *lane, WaitingLine *line);
void lane_reserve(Lane *lane, WaitingLine *line);

/* Brings back what fits, to decode in this very iteration. */
void lane_swap_in(Lane *lane);

/* Gives back what a sequence about to decode holds beyond its tokens. */
void lane_trim_blocks(Lane *lane, LaneRequest *request);

#endif
