#include "sim/training/data_parallel.h"

#include "hw/collective.h"
#include "hw/gemm.h"
#include "models/architecture.h"
#include "models/plan_check.h"

#include <math.h>

/* `stride` GPUs side by side hold one copy. */
static CopyGroup copy_group(const Scenario *scenario, double copies, double stride)
{
    const HardwareSpec *hardware = &scenario->hardware;
    const ParallelSpec *parallel = &scenario->training.parallel;
    const double node_gpus = hardware->node.gpus;
    const double shards = fmin(plan_shard_ranks(parallel), copies);
    const double replicas = copies / shards;
    /* With replicas side by side a stage's copies are apart by all stages. */
    const double apart =
        parallel->outermost == OUTERMOST_DATA ? stride * parallel->pipeline : stride;
    /* GPUs among which all copies of one stage lie, and those of one sharding group */
    const double extent = copies * apart, shards_extent = shards * apart;
    CopyGroup group = {
        .shards = shards,
        .replicas = replicas,
        .shards_per_node = fmin(shards, fmax(1.0, floor(node_gpus / stride))),
        .replicas_per_node = fmin(replicas, fmax(1.0, floor(node_gpus / (stride * shards)))),
    };
    if (parallel->zero_stage < 1.0) { /* there are no shards: one group of all copies */
        group.all_reduce =
            collective_group(hardware, COLLECTIVE_ALL_REDUCE, shards * replicas,
                             group.shards_per_node * group.replicas_per_node, extent);
        return group;
    }
    group.reduce_scatter = collective_group(hardware, COLLECTIVE_REDUCE_SCATTER, shards,
                                            group.shards_per_node, shards_extent);
    group.over_groups = collective_group(hardware, COLLECTIVE_ALL_REDUCE, replicas,
                                         group.replicas_per_node, extent);
    group.all_gather = collective_group(hardware, COLLECTIVE_ALL_GATHER, shards,
                                        group.shards_per_node, shards_extent);
    return group;
}

DataParallelGroups data_parallel_groups(const Scenario *scenario)
{
    const ParallelSpec *parallel = &scenario->training.parallel;
    DataParallelGroups groups = {
        .scenario = scenario,
        .common = copy_group(scenario, plan_gradient_ranks(parallel), parallel->tensor)};
    /* The ways of an expert lie side by side, its copies apart by as many GPUs. */
    if (plan_experts_are_spread(parallel))
        groups.spread = copy_group(scenario, plan_expert_copies(parallel),
                                   plan_expert_tensor_ways(parallel) * parallel->expert);
    return groups;
}

/* Data-parallel frameworks communicate in buckets, one collective each: whole ones and a rest. */
static double bucketed_seconds(const CollectiveGroup *group, double bytes, double bucket_bytes)
{
    if (group->ranks <= 1.0 || bytes <= 0.0)
        return 0.0;
    if (!(bucket_bytes > 0.0) || bucket_bytes >= bytes)
        return collective_group_seconds(group, bytes);

    double whole = floor(bytes / bucket_bytes);
    double rest_bytes = bytes - whole * bucket_bytes;
    double seconds = whole * collective_group_seconds(group, bucket_bytes);
    if (rest_bytes > 0.0)
        seconds += collective_group_seconds(group, rest_bytes);
    return seconds;
}

static double reduce_seconds(const Scenario *scenario, const CopyGroup *group, double bytes,
                             double bucket_bytes)
{
    if (scenario->training.parallel.zero_stage < 1.0)
        return bucketed_seconds(&group->all_reduce, bytes, bucket_bytes);
    return bucketed_seconds(&group->reduce_scatter, bytes, bucket_bytes) +
           bucketed_seconds(&group->over_groups, bytes / group->shards, bucket_bytes);
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

/* What PyTorch's FSDP moves in the memory of a rank for each unit that it gathers whole. Version 1
 * keeps flat parameters, of which the modules have views: the gradients of the views are put side
 * by side (autograd of split), converted to the precision of the reduction and divided beforehand
 * (torch/distributed/fsdp/_runtime_utils.py, _reduce_grad). Version 2 copies each parameter out of
 * what was gathered and each gradient, converted on the way, into what is reduced
 * (fully_shard/_fsdp_collectives.py, all_gather_copy_out and chunk_cat). */
static void add_copies(const Scenario *scenario, double parameters, double trained,
                       double weight_bytes, DataParallelTime *time)
{
    const TrainingSpec *training = &scenario->training;
    const GpuSpec *gpu = &scenario->hardware.gpu;
    const double computed = precision_bytes(PRECISION_BF16); /* of a gradient, as it is made */
    const double reduced = precision_bytes(training->gradient_precision);
    const double converted = reduced > computed ? computed + reduced : 0.0;
    switch (training->parallel.zero_copies) {
    case COPIES_FLAT:
        time->reduce_copies_s =
            gpu_memory_bound_seconds(gpu, trained * (2.0 * computed + converted + 2.0 * reduced));
        break;
    case COPIES_EACH:
        time->gather_copies_s = gpu_memory_bound_seconds(gpu, parameters * 2.0 * weight_bytes);
        time->reduce_copies_s = gpu_memory_bound_seconds(gpu, trained * (computed + reduced));
        break;
    case COPIES_NONE:
        break;
    }
}

static DataParallelTime group_time(const Scenario *scenario, const CopyGroup *group,
                                   double parameters, double bucket_bytes)
{
    const TrainingSpec *training = &scenario->training;
    const HardwareSpec *hardware = &scenario->hardware;
    const int sharded = training->parallel.zero_stage >= 1.0;
    /* what the products read */
    const double weight_bytes = precision_bytes(
        training->fp8_gather && training->parallel.zero_stage >= 3.0 ? training->precision
                                                                     : PRECISION_BF16);
    const double gradient_bytes = precision_bytes(training->gradient_precision);
    /* Frozen parameters have no gradient and no update; only full sharding still gathers them. */
    const double trained = parameters * (1.0 - training->frozen);
    const double gathered = training->parallel.zero_stage >= 3.0 ? parameters : trained;

    DataParallelTime time = {
        .reduce_s = reduce_seconds(scenario, group, trained * gradient_bytes, bucket_bytes)};
    if (sharded)
        time.gather_s = bucketed_seconds(&group->all_gather, gathered * weight_bytes, bucket_bytes);

    if (training->parallel.zero_stage >= 3.0 && training->parallel.zero_owner == OWNER_ONE) {
        time.gather_s = owner_seconds(hardware, group, parameters * weight_bytes);
        time.reduce_s = owner_seconds(hardware, group, trained * gradient_bytes);
    }

    if (training->parallel.zero_stage >= 3.0 && group->shards > 1.0)
        add_copies(scenario, parameters, trained, weight_bytes, &time);

    /* Adam reads and writes its state, reads the gradient, writes the weight. */
    double own_parameters = sharded ? trained / group->shards : trained;
    double moved_bytes = 2.0 * training->optimizer_bytes_per_param + gradient_bytes + weight_bytes;
    if (own_parameters > 0.0)
        time.optimizer_s = gpu_memory_bound_seconds(&hardware->gpu, own_parameters * moved_bytes);
    return time;
}

static DataParallelTime both_groups_time(const DataParallelGroups *groups, double parameters,
                                         double spread, double bucket_bytes)
{
    DataParallelTime time =
        group_time(groups->scenario, &groups->common, parameters - spread, bucket_bytes);
    if (spread > 0.0) {
        DataParallelTime experts =
            group_time(groups->scenario, &groups->spread, spread, bucket_bytes);
        time.reduce_s += experts.reduce_s;
        time.gather_s += experts.gather_s;
        time.gather_copies_s += experts.gather_copies_s;
        time.reduce_copies_s += experts.reduce_copies_s;
        time.optimizer_s += experts.optimizer_s;
    }
    return time;
}

DataParallelTime data_parallel_time(const DataParallelGroups *groups, double parameters,
                                    double spread)
{
    return both_groups_time(groups, parameters, spread,
                            groups->scenario->hardware.fabric.bucket_bytes);
}

DataParallelTime data_parallel_layer_time(const DataParallelGroups *groups, double parameters,
                                          double spread)
{
    return both_groups_time(groups, parameters, spread, 0.0);
}

StreamDemand data_parallel_demand(const DataParallelGroups *groups)
{
    const HardwareSpec *hardware = &groups->scenario->hardware;
    const CopyGroup *group = &groups->common;
    if (group->shards > 1.0 && groups->scenario->training.parallel.zero_stage >= 1.0)
        return stream_demand(hardware, COLLECTIVE_REDUCE_SCATTER, group->shards,
                             group->shards_per_node);
    return stream_demand(hardware, COLLECTIVE_ALL_REDUCE, group->shards * group->replicas,
                         group->shards_per_node * group->replicas_per_node);
}
