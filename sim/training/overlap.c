#include "sim/training/overlap.h"

#include <math.h>

/* No collective takes all of a GPU. */
static const double MOST_DEMAND = 0.9;

StreamDemand stream_demand(const HardwareSpec *hardware, Collective collective, double ranks,
                           double ranks_per_node)
{
    const NodeSpec *node = &hardware->node;
    const double per_node = fmax(1.0, fmin(fmin(ranks_per_node, node->gpus), ranks));
    double channels = node->collective_sms;
    if (ranks <= 1.0)
        return (StreamDemand){0};
    if (per_node < ranks) {
        const double ports = fmax(1.0, node->nics * per_node / node->gpus);
        channels = fmin(channels, ports * hardware->fabric.sms_per_port);
    }
    const double wire_bytes_per_s =
        collective_bus_bytes_per_s(hardware, collective, ranks, per_node);
    return (StreamDemand){
        .multiprocessors = channels / hardware->gpu.sms,
        .memory = node->memory_per_wire_byte * wire_bytes_per_s / hardware->gpu.memory_bytes_per_s,
    };
}

StreamRates stream_rates(const GpuSpec *gpu, StreamDemand demand, double memory_share)
{
    const double asked = gpu->stream_efficiency + demand.memory;
    const double product = 1.0 - fmin(MOST_DEMAND, demand.multiprocessors);
    const double moving = demand.memory > 0.0 ? fmin(1.0, 1.0 / asked) : 1.0;
    /* A second of computing alone takes so long, and so much communication passes beside it. */
    const double products_s = (1.0 - memory_share) / product;
    const double moving_s = memory_share / moving;
    return (StreamRates){
        .compute = 1.0 / (products_s + moving_s),
        .communication = (products_s + moving_s * moving) / (products_s + moving_s),
    };
}
