#include "sim/serving/unit.h"

#include <stdlib.h>

struct ServingUnit {
    Replica *replica;
};

double unit_gpus(const ServingSpec *serving)
{
    return serving->tensor * serving->pipeline;
}

Status unit_create(const Scenario *scenario, const LaneSink *sink, int step_by_step,
                   ServingUnit **created, Error *error)
{
    *created = NULL;
    ServingUnit *unit = calloc(1, sizeof *unit);
    if (unit == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    const Status status = replica_create(scenario, sink, step_by_step, &unit->replica, error);
    if (status != STATUS_OK) {
        unit_destroy(unit);
        return status;
    }
    *created = unit;
    return STATUS_OK;
}

void unit_destroy(ServingUnit *unit)
{
    if (unit == NULL)
        return;
    replica_destroy(unit->replica);
    free(unit);
}

void unit_seed(ServingUnit *unit, uint64_t seed)
{
    replica_seed(unit->replica, seed);
}

Status unit_offer(ServingUnit *unit, const QueuedRequest *request, Error *error)
{
    return replica_offer(unit->replica, request, error);
}

Status unit_advance(ServingUnit *unit, double until_s, Error *error)
{
    return replica_advance(unit->replica, until_s, error);
}

double unit_now(const ServingUnit *unit)
{
    return replica_now(unit->replica);
}

size_t unit_waiting(const ServingUnit *unit)
{
    return replica_waiting(unit->replica);
}

const ReplicaMemory *unit_memory(const ServingUnit *unit)
{
    return replica_memory(unit->replica);
}

ReplicaCounters unit_counters(const ServingUnit *unit)
{
    return replica_counters(unit->replica);
}
