/* Data-parallel communication and the optimizer of one pipeline stage. Inside sim/training only. */
#ifndef SIM_TRAINING_DATA_PARALLEL_H
#define SIM_TRAINING_DATA_PARALLEL_H

#include "configs/reader/scenario.h"
#include "hw/collective.h"
#include "sim/training/overlap.h"

/* Seconds of the whole stage, nothing hidden. Source of what ZeRO moves: Rajbhandari et al. 2020,
 * section 7. */
typedef struct DataParallelTime {
    double reduce_s; /* gradients: all-reduce (stage 0) or reduce-scatter */
    double gather_s; /* weights: all-gather (stage 1 and up) */
    double gather_copies_s,
        reduce_copies_s; /* of ZeRO-3, by the GPU itself, beside its collectives */
    double optimizer_s;  /* reads and writes of this GPU's share of the optimizer state */
} DataParallelTime;

/* Ranks that hold copies of the same parameters: sharding groups of neighbours, and one rank of
 * each group for the sum over groups. */
typedef struct CopyGroup {
    double shards, replicas; /* ranks of a sharding group; sharding groups */
    double shards_per_node, replicas_per_node;
    /* Gradients: over all copies, or with ZeRO inside a sharding group and then over the groups;
     * weights inside a sharding group. */
    CollectiveGroup all_reduce, reduce_scatter, over_groups, all_gather;
} CopyGroup;

/* The groups of a plan, whose scenario must outlive them: of parameters that are not spread, and of
 * experts that are (they have plan_expert_copies() copies, not data * context). */
typedef struct DataParallelGroups {
    const Scenario *scenario;
    CopyGroup common, spread;
} DataParallelGroups;

DataParallelGroups data_parallel_groups(const Scenario *scenario);

/* `parameters` on one GPU of the stage, of which `spread` belong to experts that are spread.
 * Gradients of a stage travel in buckets. With sharding groups smaller than all ranks (hybrid
 * sharding, Zhao et al. 2023, section 3.2.2) a group reduces and gathers as if it were alone, and
 * what each of its ranks has left is summed over the groups. */
DataParallelTime data_parallel_time(const DataParallelGroups *groups, double parameters,
                                    double spread);

/* The same for one layer that ZeRO-3 gathers and reduces at once, in one collective of its own. */
DataParallelTime data_parallel_layer_time(const DataParallelGroups *groups, double parameters,
                                          double spread);

/* What these collectives take from computing beside them, as those of parameters that are not
 * spread. */
StreamDemand data_parallel_demand(const DataParallelGroups *groups);

#endif
