#include "sim/training/run_cost.h"

#include "hw/price.h"

RunCost run_cost(const Scenario *scenario, const PaidTime *paid)
{
    const PriceRates rates = price_rates(scenario);
    const double spare_s = scenario->reliability.spares.nodes * paid->wall_s;
    const double node_gpus = scenario->hardware.node.gpus;
    RunCost cost = {
        .gpus_usd = rates.gpus * paid->useful_gpu_s,
        .network_usd = rates.network * paid->useful_node_s,
        .facility_usd = rates.facility * paid->useful_node_s,
        .energy_usd = rates.energy * paid->useful_node_s,
        .storage_usd = rates.storage * paid->useful_s,
        .staff_usd = rates.staff * paid->useful_s,
        .energy_j = rates.power_w * (paid->node_s + spare_s),
    };
    cost.spares_usd =
        spare_s * (rates.gpus * node_gpus + rates.network + rates.facility + rates.energy);
    cost.failures_usd =
        rates.gpus * (paid->gpu_s - paid->useful_gpu_s) +
        (rates.network + rates.facility + rates.energy) * (paid->node_s - paid->useful_node_s) +
        (rates.storage + rates.staff) * (paid->wall_s - paid->useful_s) + cost.spares_usd;
    cost.usd = cost.gpus_usd + cost.network_usd + cost.facility_usd + cost.storage_usd +
               cost.energy_usd + cost.staff_usd + cost.failures_usd;
    return cost;
}
