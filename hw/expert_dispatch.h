/* Time to send tokens to their experts and back with kernels that know the routing (DeepEP), which
 * an all-to-all of every copy does not. Two modes; forms and constants: fits to published
 * DeepEP timings. */
#ifndef HW_EXPERT_DISPATCH_H
#define HW_EXPERT_DISPATCH_H

#include "configs/reader/scenario.h"

typedef enum ExpertDirection { EXPERT_DISPATCH, EXPERT_COMBINE } ExpertDirection;

/* What every rank sends (and receives: a balanced load). */
typedef struct ExpertExchange {
    double token_bytes;           /* all tokens of one rank, each once */
    double copies;                /* experts of a token */
    double ranks, ranks_per_node; /* that hold the experts; of them in one NVLink domain */
    double node_limit;            /* nodes that a token's copies go to at most; 0: any */
    double sms;                   /* multiprocessors that copy (normal mode) */
} ExpertExchange;

/* Expected number of `places` with at least one of `copies`, each anywhere: p (1 - (1-1/p)^c). */
double expert_places(double places, double copies);

/* Normal mode (training, prefill): one copy of a token to each node that has experts of it, on from
 * there over NVLink at the same time. Where the node or the fabric has no fit: the all-to-alls that
 * would move the same bytes, the slower of the two. */
double expert_exchange_seconds(const HardwareSpec *hardware, ExpertDirection direction,
                               const ExpertExchange *exchange);

/* Low-latency mode (decoding): every copy goes straight to its rank, nothing is passed on. Where
 * there is no fit: an all-to-all of all copies. */
double expert_low_latency_seconds(const HardwareSpec *hardware, ExpertDirection direction,
                                  const ExpertExchange *exchange);

#endif
