/* ZeRO-3 (FSDP): what of the gathers and reductions of a stage's layers their computation does not
 * hide. Inside sim/training only.
 *
 * Two streams. The computation goes layer by layer; the wires carry one thing at a time. While a
 * layer computes forward, the weights of the next one are gathered; while it computes backward, the
 * weights of the one before are gathered and the gradients of the one after are reduced (Zhao et
 * al. 2023, PyTorch FSDP, sections 3.3 and 4.3; one layer of prefetch, since more would need more
 * memory). So a layer of time c beside communication of time w lasts T(c, w) of two streams that
 * compete (overlap.h; max(c, w) if they did not), and the first gather and the last reduction of a
 * pass show in full:
 *   forward:  g[0] + sum over u of T(c[u], g[u + 1]) - c[u]
 *   backward: g[n - 1] + sum over u of T(b[u], g[u - 1] + r[u + 1]) - b[u] + r[0]
 */
#ifndef SIM_TRAINING_SHARDING_H
#define SIM_TRAINING_SHARDING_H

#include "sim/training/overlap.h"

/* One layer, the embedding or the head. */
typedef struct ShardedUnit {
    double forward_s, backward_s; /* all that the computing stream waits for */
    double gather_s, reduce_s;
    double gather_copies_s, reduce_copies_s; /* by the GPU itself: nothing hides them */
} ShardedUnit;

/* Sums over the units of a stage, added in the order of the forward pass. */
typedef struct ShardingSum {
    int overlap_gather, overlap_reduce;
    StreamRates rates;
    unsigned units;
    ShardedUnit last, before_last;
    double forward_s, backward_s;
} ShardingSum;

void sharding_begin(ShardingSum *sum, int overlap_gather, int overlap_reduce, StreamRates rates);
void sharding_add(ShardingSum *sum, const ShardedUnit *unit);

/* Exposed seconds of a microbatch. What is not overlapped at all shows in full. */
double sharding_forward_s(const ShardingSum *sum);
double sharding_backward_s(const ShardingSum *sum);

#endif
