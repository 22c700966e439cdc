/* What a GPU and the machines around it draw, by how hard they work. */
#ifndef HW_POWER_H
#define HW_POWER_H

#include "configs/reader/scenario.h"

/* Shares of what the hardware could do, of one GPU in the mean over some time. */
typedef struct GpuUse {
    double busy;      /* share of the time in which kernels run */
    double bandwidth; /* bytes read over bandwidth * time */
    double flops;     /* FLOPs over peak FLOP/s * time, at the precision of the weights */
} GpuUse;

/* Watts of one board: limit * (idle * (1 - busy) + active * busy + memory * bandwidth + compute *
 * flops), at most limit * busy + idle for the rest. Linear in each use, so that means over time may
 * be put in; fitted in configs/hw (A100: Splitwise's
 * table of average power, 3% median on the model that was held back). A GPU without such a fit
 * draws its share of the node's sustained power at all times: 0 here. */
double power_gpu_w(const GpuSpec *gpu, const GpuUse *use);

/* Watts of `gpus` GPUs as the datacentre draws them from the grid: boards, hosts and cooling. A
 * host (processors, ports, switches, fans) draws what the node's sustained power leaves beyond its
 * boards' limits, whether or not anything runs. */
double power_grid_w(const Scenario *scenario, double gpus, const GpuUse *use);

#endif
