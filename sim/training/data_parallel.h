/* Data-parallel communication and the optimizer of one pipeline stage. Inside sim/training only. */
#ifndef SIM_TRAINING_DATA_PARALLEL_H
#define SIM_TRAINING_DATA_PARALLEL_H

#include "configs/reader/scenario.h"

/* Seconds of the whole stage, nothing hidden. Source of what ZeRO moves: Rajbhandari et al. 2020,
 * section 7. */
typedef struct DataParallelTime {
    double reduce_s;    /* gradients: all-reduce (stage 0) or reduce-scatter */
    double gather_s;    /* weights: all-gather (stage 1 and up) */
    double optimizer_s; /* reads and writes of this GPU's share of the optimizer state */
} DataParallelTime;

/* `parameters` on one GPU of the stage, of which `expert_parameters` belong to experts that are
 * spread over the expert-parallel group and so have data / expert copies only. */
DataParallelTime data_parallel_time(const Scenario *scenario, double parameters,
                                    double expert_parameters);

#endif
