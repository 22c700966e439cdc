/* What recomputation adds to a block's backward. */
#include "sim/training/block_time.h"

#include <math.h>

/* The experts' way there and back once more, or only there; the same tokens at the same experts, so
 * that deviations add up, not variances. */
static void add_experts_again(double share, BlockPhases *phases)
{
    const StagePhase *forward = &phases->forward;
    StagePhase *backward = &phases->backward;
    backward->expert_s += share * forward->expert_s;
    backward->expert_imbalance_s += forward->expert_imbalance_s;
    const double deviation_s =
        sqrt(forward->expert_variance_s2) + sqrt(backward->expert_variance_s2);
    backward->expert_variance_s2 = deviation_s * deviation_s;
}

/* A whole layer, or all of it but what is not needed: PyTorch's torch.utils.checkpoint without
 * reentrance stops at the last tensor that was kept (set_checkpoint_early_stop, on since version
 * 2.1), XLA removes what nothing uses. */
static void add_whole(const ParallelSpec *parallel, const BlockTime *block, double kept_s,
                      BlockPhases *phases)
{
    const int stops = parallel->recompute_stops != 0;
    const double left_s = kept_s + (stops ? block->last_s : 0.0);
    const double left_tensor_s = stops ? block->last_tensor_s : 0.0;
    phases->backward.recompute_s += fmax(0.0, block->forward.compute_s - left_s);
    phases->backward.tensor_s += fmax(0.0, block->forward.tensor_s - left_tensor_s);
    add_experts_again(stops ? 0.5 : 1.0, phases);
}

/* What a scope of selective recomputation does again: the attention core; all that torchtitan's
 * policy does not keep, which are attention's output and every second product's but for those in
 * fp8, which it does not know (_scaled_mm; the layer's sums over tensor ranks are kept, its gathers
 * are not: half of that communication); norms and activation functions; norms and all of the
 * experts; or all but queries, keys and values. */
static void add_selective(const ParallelSpec *parallel, const BlockTime *block, BlockPhases *phases)
{
    const StagePhase *forward = &block->forward;
    StagePhase *backward = &phases->backward;
    const double stopped_s = parallel->recompute_stops != 0 ? block->last_s : 0.0;
    switch (parallel->selective_scope) {
    case SELECTIVE_SCORES:
        backward->recompute_s += block->attention_s;
        backward->tensor_s += block->attention_ring_s;
        break;
    case SELECTIVE_OPERATORS:
        backward->recompute_s +=
            fmax(0.0, forward->compute_s - block->attention_s - block->kept_products_s -
                          (block->kept_products_s > 0.0 ? 0.0 : stopped_s));
        backward->tensor_s += (forward->tensor_s - block->attention_ring_s) / 2.0;
        break;
    case SELECTIVE_MODULES:
        backward->recompute_s += block->light_s;
        break;
    case SELECTIVE_EXPERTS:
        backward->recompute_s += block->norms_s + block->experts_s;
        backward->tensor_s += block->experts_tensor_s;
        add_experts_again(1.0, phases);
        break;
    case SELECTIVE_BUT_QKV:
        add_whole(parallel, block, block->qkv_s, phases);
        break;
    case SELECTIVE_SCOPES:
        break;
    }
}

BlockPhases block_with_recomputation(const ParallelSpec *parallel, const BlockTime *block)
{
    BlockPhases phases = {block->forward, block->backward};
    if (parallel->recompute == RECOMPUTE_SELECTIVE)
        add_selective(parallel, block, &phases);
    if (parallel->recompute == RECOMPUTE_FULL)
        add_whole(parallel, block, 0.0, &phases);
    return phases;
}
