/* Data-parallel communication and the optimizer of one pipeline stage. Inside sim/training only. */
#ifndef SIM_TRAINING_DATA_PARALLEL_H
#define SIM_TRAINING_DATA_PARALLEL_H

#include "configs/reader/scenario.h"
#include "sim/training/overlap.h"

/* Seconds of the whole stage, nothing hidden. Source of what ZeRO moves: Rajbhandari et al. 2020,
 * section 7. */
typedef struct DataParallelTime {
    double reduce_s;    /* gradients: all-reduce (stage 0) or reduce-scatter */
    double gather_s;    /* weights: all-gather (stage 1 and up) */
    double optimizer_s; /* reads and writes of this GPU's share of the optimizer state */
} DataParallelTime;

/* `parameters` on one GPU of the stage, of which `expert_parameters` belong to experts that are
 * spread and so have plan_expert_copies() copies, not data * context. Gradients of a stage travel
 * in buckets. With sharding groups smaller than all ranks (hybrid sharding, Zhao et al. 2023,
 * section 3.2.2) a group reduces and gathers as if it were alone, and what each of its ranks has
 * left is summed over the groups. */
DataParallelTime data_parallel_time(const Scenario *scenario, double parameters,
                                    double expert_parameters);

/* The same for one layer that ZeRO-3 gathers and reduces at once, in one collective of its own. */
DataParallelTime data_parallel_layer_time(const Scenario *scenario, double parameters,
                                          double expert_parameters);

/* What these collectives take from computing beside them, as those of parameters that are not
 * spread. */
StreamDemand data_parallel_demand(const Scenario *scenario);

#endif
