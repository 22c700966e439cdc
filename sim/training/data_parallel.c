#include "sim/training/data_parallel.h"

#include "hw/collective.h"
#include "hw/gemm.h"
#include "models/architecture.h"
#include "models/plan_check.h"

#include <math.h>

/* Ranks that hold copies of the same parameters: sharding groups of neighbours, and one rank of
 * each group for the sum over groups. */
typedef struct CopyGroup {
    double shards, replicas; /* ranks of a sharding group; sharding groups */
    double shards_per_node, replicas_per_node;
    double extent;        /* GPUs among which all copies of one stage lie */
    double shards_extent; /* those of one sharding group */
} CopyGroup;

/* `stride` GPUs side by side hold one copy. */
static CopyGroup copy_group(const Scenario *scenario, double copies, double stride)
{
    const ParallelSpec *parallel = &scenario->training.parallel;
    const double node_gpus = scenario->hardware.node.gpus;
    const double shards = fmin(plan_shard_ranks(parallel), copies);
    const double replicas = copies / shards;
    /* With replicas side by side a stage's copies are apart by all stages. */
    const double apart =
        parallel->outermost == OUTERMOST_DATA ? stride * parallel->pipeline : stride;
    return (CopyGroup){
        .extent = copies * apart,
        .shards_extent = shards * apart,
        .shards = shards,
        .replicas = replicas,
        .shards_per_node = fmin(shards, fmax(1.0, floor(node_gpus / stride))),
        .replicas_per_node = fmin(replicas, fmax(1.0, floor(node_gpus / (stride * shards)))),
    };
}

/* Data-parallel frameworks communicate in buckets, one collective each: whole ones and a rest. */
static double bucketed_seconds(const HardwareSpec *hardware, Collective collective, double bytes,
                               double bucket_bytes, double ranks, double ranks_per_node,
                               double extent)
{
    if (ranks <= 1.0 || bytes <= 0.0)
        return 0.0;
    if (!(bucket_bytes > 0.0) || bucket_bytes >= bytes)
        return collective_seconds_of(hardware, collective, bytes, ranks, ranks_per_node, extent);

    double whole = floor(bytes / bucket_bytes);
    double rest_bytes = bytes - whole * bucket_bytes;
    double seconds = whole * collective_seconds_of(hardware, collective, bucket_bytes, ranks,
                                                   ranks_per_node, extent);
    if (rest_bytes > 0.0)
        seconds +=
            collective_seconds_of(hardware, collective, rest_bytes, ranks, ranks_per_node, extent);
    return seconds;
}

static double reduce_seconds(const Scenario *scenario, const CopyGroup *group, double bytes,
                             double bucket_bytes)
{
    const HardwareSpec *hardware = &scenario->hardware;
    if (scenario->training.parallel.zero_stage < 1.0) {
        /* Without ZeRO there are no shards: one group of all copies. */
        const double per_node = group->shards_per_node * group->replicas_per_node;
        return bucketed_seconds(hardware, COLLECTIVE_ALL_REDUCE, bytes, bucket_bytes,
                                group->shards * group->replicas, per_node, group->extent);
    }
    return bucketed_seconds(hardware, COLLECTIVE_REDUCE_SCATTER, bytes, bucket_bytes, group->shards,
                            group->shards_per_node, group->shards_extent) +
           bucketed_seconds(hardware, COLLECTIVE_ALL_REDUCE, bytes / group->shards, bucket_bytes,
                            group->replicas, group->replicas_per_node, group->extent);
}

/* A parameter that one rank holds whole leaves it through that rank's own port, and its gradient
 * comes back the same way, whatever the others' ports could carry (Rajbhandari et al. 2021,
 * 2104.07857, section 6.1, on ZeRO-3 before slices). Both are pipelined along a chain of nodes. */
static double owner_seconds(const HardwareSpec *hardware, const CopyGroup *group, double bytes)
{
    const int same_node = group->shards <= group->shards_per_node;
    if (group->shards <= 1.0 || bytes <= 0.0)
        return 0.0;
    const double nodes = ceil(group->shards / group->shards_per_node);
    return p2p_seconds(hardware, bytes, same_node) + (nodes - 1.0) * hardware->fabric.ring_hop_s;
}

static DataParallelTime group_time(const Scenario *scenario, double parameters, double copies,
                                   double stride, double bucket_bytes)
{
    const TrainingSpec *training = &scenario->training;
    const HardwareSpec *hardware = &scenario->hardware;
    const int sharded = training->parallel.zero_stage >= 1.0;
    const CopyGroup group = copy_group(scenario, copies, stride);
    const double weight_bytes = precision_bytes(PRECISION_BF16); /* what the products read */
    const double gradient_bytes = precision_bytes(training->gradient_precision);
    /* Frozen parameters have no gradient and no update; only full sharding still gathers them. */
    const double trained = parameters * (1.0 - training->frozen);
    const double gathered = training->parallel.zero_stage >= 3.0 ? parameters : trained;

    DataParallelTime time = {
        .reduce_s = reduce_seconds(scenario, &group, trained * gradient_bytes, bucket_bytes)};
    if (sharded)
        time.gather_s =
            bucketed_seconds(hardware, COLLECTIVE_ALL_GATHER, gathered * weight_bytes, bucket_bytes,
                             group.shards, group.shards_per_node, group.shards_extent);

    if (training->parallel.zero_stage >= 3.0 && training->parallel.zero_owner == OWNER_ONE) {
        time.gather_s = owner_seconds(hardware, &group, parameters * weight_bytes);
        time.reduce_s = owner_seconds(hardware, &group, trained * gradient_bytes);
    }

    /* Adam reads and writes its state, reads the gradient, writes the weight. */
    double own_parameters = sharded ? trained / group.shards : trained;
    double moved_bytes = 2.0 * training->optimizer_bytes_per_param + gradient_bytes + weight_bytes;
    if (own_parameters > 0.0)
        time.optimizer_s = gpu_memory_bound_seconds(&hardware->gpu, own_parameters * moved_bytes);
    return time;
}

static DataParallelTime both_groups_time(const Scenario *scenario, double parameters,
                                         double expert_parameters, double bucket_bytes)
{
    const ParallelSpec *parallel = &scenario->training.parallel;
    DataParallelTime time =
        group_time(scenario, parameters - expert_parameters, plan_gradient_ranks(parallel),
                   parallel->tensor, bucket_bytes);
    if (expert_parameters > 0.0) {
        /* The ways of an expert lie side by side, its copies apart by as many GPUs. */
        DataParallelTime experts =
            group_time(scenario, expert_parameters, plan_expert_copies(parallel),
                       plan_expert_tensor_ways(parallel) * parallel->expert, bucket_bytes);
        time.reduce_s += experts.reduce_s;
        time.gather_s += experts.gather_s;
        time.optimizer_s += experts.optimizer_s;
    }
    return time;
}

DataParallelTime data_parallel_time(const Scenario *scenario, double parameters,
                                    double expert_parameters)
{
    return both_groups_time(scenario, parameters, expert_parameters,
                            scenario->hardware.fabric.bucket_bytes);
}

DataParallelTime data_parallel_layer_time(const Scenario *scenario, double parameters,
                                          double expert_parameters)
{
    return both_groups_time(scenario, parameters, expert_parameters, 0.0);
}

StreamDemand data_parallel_demand(const Scenario *scenario)
{
    const ParallelSpec *parallel = &scenario->training.parallel;
    const CopyGroup group = copy_group(scenario, plan_gradient_ranks(parallel), parallel->tensor);
    if (group.shards > 1.0 && parallel->zero_stage >= 1.0)
        return stream_demand(&scenario->hardware, COLLECTIVE_REDUCE_SCATTER, group.shards,
                             group.shards_per_node);
    return stream_demand(&scenario->hardware, COLLECTIVE_ALL_REDUCE, group.shards * group.replicas,
                         group.shards_per_node * group.replicas_per_node);
}
