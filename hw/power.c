#include "hw/power.h"

#include <math.h>

static int has_fit(const GpuSpec *gpu)
{
    return gpu->power.active > 0;
}

double power_gpu_w(const GpuSpec *gpu, const GpuUse *use)
{
    const PowerFit *fit = &gpu->power;
    if (!has_fit(gpu))
        return 0;
    const double idle = fit->idle > 0 ? fit->idle : fit->active;
    const double at_rest = idle * (1 - use->busy);
    const double at_work =
        fit->active * use->busy + fit->memory * use->bandwidth + fit->compute * use->flops;
    return gpu->tdp_w * (at_rest + fmin(use->busy, at_work));
}

double power_grid_w(const Scenario *scenario, double gpus, const GpuUse *use)
{
    const NodeSpec *node = &scenario->hardware.node;
    const GpuSpec *gpu = &scenario->hardware.gpu;
    const double nodes = gpus / fmax(1, node->gpus);
    if (!has_fit(gpu))
        return scenario->prices.pue * nodes * node->power_w;
    const double host_w = fmax(0, node->power_w - node->gpus * gpu->tdp_w);
    return scenario->prices.pue * (nodes * host_w + gpus * power_gpu_w(gpu, use));
}
