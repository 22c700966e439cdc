/* The sequences of one microbatch: those that wait for their prompt to be read, in order of
 * arrival, and those that decode, ordered by the pass in which they end. A pass touches only the
 * sequences that change (O(log n) each), not every sequence that gets a token. */
#ifndef SIM_SERVING_MICROBATCH_H
#define SIM_SERVING_MICROBATCH_H

#include <stddef.h>
#include <stdint.h>

typedef enum Placed { PLACED_NOT, PLACED_WAITING, PLACED_DECODING } Placed;

typedef struct ServeRequest {
    double prompt, output;        /* tokens */
    double had_input, had_output; /* processed before the simulation began */
    double prompt_done;           /* tokens of the prompt processed so far */
    double admitted_s, first_token_s;
    uint64_t last_pass; /* of its microbatch: the pass that gives the last token */
    Placed placed;      /* in flight when the simulation begins: dated back */
    double placed_s; /* decoding: when its next token comes; waiting: when the first pass leaves */
    double passes_waited; /* before its first token, or so far */
} ServeRequest;

typedef struct Microbatch {
    uint64_t pass;  /* index of the pass under way */
    size_t waiting; /* requests in the ring */
    size_t head;
    size_t ended_prompts; /* at the head of the ring: their prompt ends with the pass under way */
    size_t decoding;
    double context_sum;  /* tokens with KV of all decoding sequences */
    double pass_prefill; /* prompt tokens of the pass under way */
    double pass_decode;  /* sequences that get a token from it */
    int idle;
    uint32_t *ring; /* request indices, room for `room` each */
    uint32_t *heap;
    size_t room;
} Microbatch;

static inline size_t microbatch_sequences(const Microbatch *microbatch)
{
    return microbatch->waiting + microbatch->decoding;
}

/* The i-th waiting request from the head of the queue. */
static inline uint32_t microbatch_waiting(const Microbatch *microbatch, size_t i)
{
    return microbatch->ring[(microbatch->head + i) % microbatch->room];
}

void microbatch_enqueue(Microbatch *microbatch, uint32_t request);
uint32_t microbatch_dequeue(Microbatch *microbatch);

/* A min-heap by last_pass; equal passes leave in any order, which no result depends on except
 * through request indices, and those are the same on every run. */
void microbatch_decode(Microbatch *microbatch, const ServeRequest *requests, uint32_t request);
uint32_t microbatch_first_to_end(const Microbatch *microbatch);
void microbatch_end_first(Microbatch *microbatch, const ServeRequest *requests);

#endif
