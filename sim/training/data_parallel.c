#include "sim/training/data_parallel.h"

#include "hw/collective.h"
#include "hw/gemm.h"
#include "models/architecture.h"

#include <math.h>

/* Data-parallel frameworks communicate in buckets, one collective each: whole ones and a rest. */
static double bucketed_seconds(const HardwareSpec *hardware, Collective collective, double bytes,
                               double ranks, double ranks_per_node)
{
    if (ranks <= 1.0 || bytes <= 0.0)
        return 0.0;
    double bucket_bytes = hardware->fabric.bucket_bytes;
    if (!(bucket_bytes > 0.0) || bucket_bytes >= bytes)
        return collective_seconds(hardware, collective, bytes, ranks, ranks_per_node);

    double whole = floor(bytes / bucket_bytes);
    double rest_bytes = bytes - whole * bucket_bytes;
    double seconds =
        whole * collective_seconds(hardware, collective, bucket_bytes, ranks, ranks_per_node);
    if (rest_bytes > 0.0)
        seconds += collective_seconds(hardware, collective, rest_bytes, ranks, ranks_per_node);
    return seconds;
}

/* Parameters with the same `ranks` copies; `stride` GPUs of a node belong to one copy. */
static DataParallelTime group_time(const Scenario *scenario, double parameters, double ranks,
                                   double stride)
{
    const TrainingSpec *training = &scenario->training;
    const HardwareSpec *hardware = &scenario->hardware;
    double zero_stage = training->parallel.zero_stage;
    double ranks_per_node = fmin(ranks, fmax(1.0, floor(hardware->node.gpus / stride)));
    double weight_bytes = precision_bytes(PRECISION_BF16); /* the copy that the products read */
    double gradient_bytes = precision_bytes(training->gradient_precision);

    DataParallelTime time = {0};
    Collective reduction = zero_stage >= 1.0 ? COLLECTIVE_REDUCE_SCATTER : COLLECTIVE_ALL_REDUCE;
    time.reduce_s =
        bucketed_seconds(hardware, reduction, parameters * gradient_bytes, ranks, ranks_per_node);
    if (zero_stage >= 1.0)
        time.gather_s = bucketed_seconds(hardware, COLLECTIVE_ALL_GATHER, parameters * weight_bytes,
                                         ranks, ranks_per_node);

    /* Adam reads and writes its state, reads the gradient, writes the weight. */
    double own_parameters = zero_stage >= 1.0 ? parameters / ranks : parameters;
    double moved_bytes = 2.0 * training->optimizer_bytes_per_param + gradient_bytes + weight_bytes;
    if (own_parameters > 0.0)
        time.optimizer_s = gpu_memory_bound_seconds(&hardware->gpu, own_parameters * moved_bytes);
    return time;
}

DataParallelTime data_parallel_time(const Scenario *scenario, double parameters,
                                    double expert_parameters)
{
    const ParallelSpec *parallel = &scenario->training.parallel;
    DataParallelTime time =
        group_time(scenario, parameters - expert_parameters, parallel->data, parallel->tensor);
    if (expert_parameters > 0.0) {
        DataParallelTime experts =
            group_time(scenario, expert_parameters, fmax(1.0, parallel->data / parallel->expert),
                       parallel->tensor * parallel->expert);
        time.reduce_s += experts.reduce_s;
        time.gather_s += experts.gather_s;
        time.optimizer_s += experts.optimizer_s;
    }
    return time;
}
