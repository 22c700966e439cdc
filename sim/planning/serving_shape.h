/* How a published row says that its GPUs are laid out: "tp8 pp3", "tp4 moe_ep4", "4 replicas of
 * tp2", "ep72", "tp8 (MoE: attention-DP + EP enabled)". */
#ifndef SIM_PLANNING_SERVING_SHAPE_H
#define SIM_PLANNING_SERVING_SHAPE_H

#include "configs/reader/scenario.h"

typedef struct ServingShape {
    double tensor; /* 0: the words do not say */
    double pipeline, expert;
    double attention_data;
} ServingShape;

/* Words in any order and case, numbers behind them: tp, pp, ep or moe_ep, dp-attention or
 * attention-dp (all tensor ways are groups of their own), dpN (so many groups). Experts over N
 * ranks and no tensor ways mean that attention runs on each rank for itself. Of a dense model what
 * is said of experts does not count. */
ServingShape serving_shape(const char *text, const ModelSpec *model);

/* Ways that a row leaves out: the fewest tensor ways, up to a node, with which weights of
 * `weight_bytes` a parameter leave two fifths of a GPU to keys and values. */
double serving_tensor_that_fits(const ModelSpec *model, const HardwareSpec *hardware,
                                double weight_bytes, double gpus);

#endif
