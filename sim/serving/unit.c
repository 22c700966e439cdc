#include "sim/serving/unit.h"

#include "hw/stored_weights.h"

#include <stdlib.h>

/* One of the two. */
struct ServingUnit {
    Replica *replica;
    DisaggregatedGroup *group;
    double gpus;
};

double unit_peak_flops_per_s(const Scenario *scenario)
{
    const ServingSpec *serving = &scenario->serving;
    const GpuSpec *gpu = &scenario->hardware.gpu;
    double sum = 0;
    if (!serving_is_disaggregated(serving))
        return serving_gpus(serving) * gpu_served_peak_flops_per_s(gpu, serving);
    for (int side = 0; side < SERVING_SIDES; side++) {
        Scenario one;
        serving_side_scenario(scenario, (ServingSide)side, &one);
        sum += one.serving.replicas * serving_gpus(&one.serving) *
               gpu_served_peak_flops_per_s(gpu, &one.serving);
    }
    return sum;
}

static Status create(const Scenario *scenario, const LaneSink *sink, int step_by_step,
                     GroupPart part, ServingUnit **created, Error *error)
{
    *created = NULL;
    ServingUnit *unit = calloc(1, sizeof *unit);
    if (unit == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    unit->gpus = serving_gpus(&scenario->serving);
    const Status status =
        serving_is_disaggregated(&scenario->serving)
            ? group_create(scenario, sink, step_by_step, part, &unit->group, error)
            : replica_create(scenario, sink, step_by_step, &unit->replica, error);
    if (status != STATUS_OK) {
        unit_destroy(unit);
        return status;
    }
    *created = unit;
    return STATUS_OK;
}

Status unit_create(const Scenario *scenario, const LaneSink *sink, int step_by_step,
                   ServingUnit **unit, Error *error)
{
    return create(scenario, sink, step_by_step, GROUP_WHOLE, unit, error);
}

Status unit_create_side(const Scenario *scenario, ServingSide side, const LaneSink *sink,
                        ServingUnit **unit, Error *error)
{
    return create(scenario, sink, 0,
                  side == SIDE_PREFILL ? GROUP_PREFILL_ALONE : GROUP_DECODE_ALONE, unit, error);
}

void unit_destroy(ServingUnit *unit)
{
    if (unit == NULL)
        return;
    replica_destroy(unit->replica);
    group_destroy(unit->group);
    free(unit);
}

void unit_seed(ServingUnit *unit, uint64_t seed)
{
    if (unit->group != NULL)
        group_seed(unit->group, seed);
    else
        replica_seed(unit->replica, seed);
}

Status unit_share(ServingUnit *unit, const PrefixTree *tree, Error *error)
{
    return unit->group != NULL ? group_share(unit->group, tree, error)
                               : replica_share(unit->replica, tree, error);
}

void unit_watch(ServingUnit *unit, OccupancySeries series[SERVING_SIDES])
{
    if (unit->group != NULL)
        group_watch(unit->group, series);
    else
        replica_watch(unit->replica, &series[SIDE_DECODE]);
}

Status unit_offer(ServingUnit *unit, const QueuedRequest *request, Error *error)
{
    return unit->group != NULL ? group_offer(unit->group, request, error)
                               : replica_offer(unit->replica, request, error);
}

Status unit_advance(ServingUnit *unit, double until_s, Error *error)
{
    return unit->group != NULL ? group_advance(unit->group, until_s, error)
                               : replica_advance(unit->replica, until_s, error);
}

void unit_hold(ServingUnit *unit, double until_s)
{
    if (unit->group != NULL)
        group_hold(unit->group, until_s);
    else
        replica_hold(unit->replica, until_s);
}

double unit_now(const ServingUnit *unit)
{
    return unit->group != NULL ? group_now(unit->group) : replica_now(unit->replica);
}

size_t unit_waiting(const ServingUnit *unit)
{
    return unit->group != NULL ? group_waiting(unit->group) : replica_waiting(unit->replica);
}

const ReplicaMemory *unit_memory(const ServingUnit *unit)
{
    return unit->group != NULL ? group_memory(unit->group, SIDE_DECODE)
                               : replica_memory(unit->replica);
}

ReplicaCounters unit_counters(const ServingUnit *unit)
{
    ReplicaCounters sum = {0};
    for (int side = 0; side < SERVING_SIDES; side++) {
        const SideUse use = unit_side(unit, (ServingSide)side);
        replica_counters_add(&sum, &use.counters);
    }
    return sum;
}

SideUse unit_side(const ServingUnit *unit, ServingSide side)
{
    if (unit->group != NULL)
        return group_side(unit->group, side);
    if (side != SIDE_DECODE)
        return (SideUse){0};
    return (SideUse){.replicas = 1,
                     .gpus = unit->gpus,
                     .memory = *replica_memory(unit->replica),
                     .counters = replica_counters(unit->replica)};
}

const TransferUse *unit_transfers(const ServingUnit *unit)
{
    return unit->group != NULL ? group_transfers(unit->group) : NULL;
}
