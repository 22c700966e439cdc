/* The scheduler of one batch that circulates through a replica: continuous batching over paged KV
 * memory. A pipeline of P stages has P of them, each with its share of the blocks and sequences
 * (one scheduler a virtual engine, as in vLLM); without a pipeline there is one.
 *
 * A sequence is read (its prompt, in chunks), then decodes one token an iteration. `step` counts
 * the iterations that decode, so that a sequence knows its last one when it starts and nothing is
 * touched sequence by sequence in between. Blocks are counted exactly: sequences are kept in a
 * histogram of (tokens - step) mod block, from which the blocks that the next k iterations open
 * follow.
 *
 * A static batch (request-level batching, Yu et al. 2022, ORCA, section 2) is taken from the line
 * when the one before it is done: as many as fit. Its prompts are read, then all decode until the
 * longest answer is there; those that are done before take their place in every iteration and are
 * handed over at its end.
 *
 * A sequence that is thrown out goes back to the head of the line and is read again, or, with room
 * left in host memory, keeps its keys and values there: it comes back before anybody new is taken,
 * when the blocks for it and for the next tokens of all others are free. Both ways are charged to
 * the iteration before which they happen (vLLM of 2023-24 moves blocks ahead of the pass).
 *
 * With a prefix cache the whole pieces of a prompt belong to the cache, and a sequence holds blocks
 * for what lies behind them: pieces that are there need not be read, pieces that others use as well
 * take no memory again.
 *
 * Under speculation each decoding sequence draws the tokens of every round from the exact
 * distribution (models/speculation.h), from a stream of the lane's own, in the order of their age:
 * a round costs time in proportion to its sequences, some 10 ns each. A sequence then holds blocks
 * for all drafts of the coming round (but never more than its longest answer needs); those that a
 * rejection leaves empty stay with it, as in vLLM.
 *
 * Prompts and answers may be worked on by different replicas. A sink with `kept` makes a lane stop
 * behind the prompt and hold its blocks until they are released; a request whose prompt was read
 * elsewhere (waiting_is_remote) is given its blocks and place, and decodes once lane_deliver says
 * that its keys and values are there.
 */
#ifndef SIM_SERVING_LANE_H
#define SIM_SERVING_LANE_H

#include "configs/reader/scenario.h"
#include "models/speculation.h"
#include "sim/engine/random.h"
#include "sim/serving/prefix_cache.h"
#include "sim/serving/stage_cost.h"
#include "sim/serving/waiting_line.h"

enum { MAX_BLOCK_TOKENS = 1024 };

typedef struct LaneRequest {
    QueuedRequest asked;
    uint32_t to_read, read, chunk; /* tokens of the prompt, and of an answer lost with its memory */
    uint32_t held_blocks; /* admission: whole; else of the prompt, and under speculation of all */
    uint32_t prefix, shared; /* piece of the cache that it uses, and tokens down to it; 0: none */
    uint32_t grown;          /* tokens since it joined; under speculation only */
    uint64_t join_step, last_step; /* of decoding */
    uint32_t place;                /* in the heap */
    uint32_t older, newer;         /* decoding, by age; NO_REQUEST: none */
} LaneRequest;

typedef struct LaneLimits {
    BatchPolicy batching;
    KvAdmission admission;
    uint32_t block_tokens;
    double iteration_tokens, prompt_tokens; /* of one iteration; prompt_tokens 0: prompts are read
                                               elsewhere, requests come with keys and values */
    size_t sequences;
    uint64_t blocks;
    AcceptedTokens speculation; /* length 0: none */
    uint64_t host_blocks;       /* for swapped sequences; 0: what is thrown out is read again */
    double drafting_sequences;  /* no drafts while more decode; 0: always */
    int draft_reads_delivered;  /* prompts read elsewhere were not read by the draft there */
} LaneLimits;

typedef struct Lane {
    LaneLimits limits;
    size_t room;           /* places that the arrays below have been made for */
    size_t index;          /* of the caller, for `kept` */
    LaneRequest *requests; /* limits.sequences */
    uint32_t *unused;
    size_t unused_count;
    uint32_t *heap; /* decoding, by last step */
    size_t decoding;
    uint32_t *reading; /* a ring of limits.sequences, by age */
    size_t reading_first, reading_count;
    size_t chunks; /* readers that the iteration under way serves, from the first */
    uint32_t oldest, newest;
    uint64_t step;
    uint64_t blocks_used;
    double kv_tokens; /* of decoding sequences */
    uint32_t residues[MAX_BLOCK_TOKENS];
    uint64_t longest; /* static batch: answer tokens of the longest after the first */
    uint64_t opening; /* speculation: blocks that the next round takes */
    size_t drafts;    /* of the iteration under way */
    double draft_tokens, draft_pairs; /* of prompts that came, until the draft has read them */
    RandomStream accepted;            /* one uniform a sequence and round */
    PrefixCache cache;
    WaitingLine swapped; /* kept by the host, the oldest first */
    uint64_t swapped_blocks;
    double swap_tokens; /* moved before the iteration under way */
    uint64_t swaps;     /* of the preempted, those that went to the host */
    uint64_t preempted;
    uint32_t *placed; /* given a place by the last plan */
    size_t placed_count;
    uint32_t *arrived; /* their keys and values are here: they decode from the next iteration on */
    size_t arrived_count;
    uint64_t parked_blocks; /* of blocks_used: of keys and values that are being moved */
    int decodes;            /* whether the iteration under way decodes */
    int unsettled;          /* sequences were thrown out for it: the next one may take some back */
} Lane;

/* What one iteration gave. */
typedef void (*LaneFinished)(void *context, const QueuedRequest *request, double now_s);
/* A request in `lane` whose keys and values move. */
typedef void (*LaneMoves)(void *context, const QueuedRequest *request, size_t lane, uint64_t held,
                          double now_s);
typedef struct LaneSink {
    LaneFinished first_token; /* may be NULL */
    LaneFinished finished;
    LaneMoves placed; /* may be NULL; `held` is its place: it will be read, or, remote, is waiting
                         for lane_deliver */
    LaneMoves kept;   /* the prompt is read; `held` blocks stay until lane_release. NULL: answers
                         are given here */
    void *context;
} LaneSink;

Status lane_init(Lane *lane, const LaneLimits *limits, Error *error);
void lane_free(Lane *lane);

/* Empties a lane that was zeroed or in use; allocates only for more places than it has had. */
Status lane_renew(Lane *lane, const LaneLimits *limits, Error *error);

/* Which drafts are accepted; before the first plan. */
void lane_seed(Lane *lane, uint64_t seed, uint64_t index);

/* Blocks that a whole request needs; one with more than limits.blocks can never run. */
uint64_t lane_blocks_of(const LaneLimits *limits, double tokens);

/* Blocks that a request must be given to start. */
uint64_t lane_blocks_to_start(const Lane *lane, const QueuedRequest *asked);

/* A request met in the middle of its answer (`given` of it is there) before the first plan; there
 * is a place and there are blocks for it. */
void lane_resume(Lane *lane, const QueuedRequest *asked);

/* Whether there is anything to do: running, or the head of the line fits. */
int lane_has_work(const Lane *lane, const WaitingLine *line);

/* Chooses the next iteration: takes requests from the line, throws the youngest out when memory for
 * the next tokens is short. `load` counts what runs. Nothing to run leaves it zero. */
Status lane_plan(Lane *lane, WaitingLine *line, PassLoad *load, Error *error);

/* How many iterations like the planned one may follow each other before a sequence ends or blocks
 * run out: at least 1; 1 when prompts are read or drafts are drawn. */
uint64_t lane_repeats(const Lane *lane);

/* Ends `repeats` iterations at now_s; returns the tokens that decoding sequences got. */
double lane_finish(Lane *lane, uint64_t repeats, double now_s, const LaneSink *sink);

/* The keys and values of a prompt that was kept are elsewhere now. */
void lane_release(Lane *lane, uint64_t blocks, uint32_t prefix);

/* Those of the request at `place` are here: its first token counts as given at now_s. */
void lane_deliver(Lane *lane, uint32_t place, double now_s, const LaneSink *sink);

#endif
