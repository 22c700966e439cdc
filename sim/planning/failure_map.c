#include "sim/planning/failure_map.h"

#include <math.h>
#include <string.h>

static const double hour_s = 3600, day_s = 86400, node_days = 1000;

/* Edges of the map: rates from below the best published cluster to above the worst, restarts from
 * in-place recovery to hours, saves from asynchronous to those that a job waits for. */
static const double least_rate = 1, most_rate = 25;
static const double least_restart_s = 60, most_restart_s = 7200;
static const double saves_s[MAP_SAVES] = {6, 30, 120};

double failure_map_mtbf_s(const FailureMap *map, double rate)
{
    return node_days * day_s / (rate * map->nodes);
}

double failure_map_goodput(RestartClock clock, double mtbf_s, double save_s, double restart_s)
{
    const double tau_s = run_interval_exact(mtbf_s, save_s);
    return clock == RESTART_EXPOSED ? run_ettr_s1(mtbf_s, tau_s, save_s, 0, restart_s)
                                    : run_ettr_s2(mtbf_s, tau_s, save_s, 0, restart_s);
}

double failure_map_restart_s(RestartClock clock, double mtbf_s, double save_s, double goodput)
{
    double low = 0, high = 100 * day_s;
    if (failure_map_goodput(clock, mtbf_s, save_s, low) < goodput)
        return 0;
    for (int round = 0; round < 80; round++) {
        const double middle = (low + high) / 2;
        if (failure_map_goodput(clock, mtbf_s, save_s, middle) >= goodput)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static double logarithmic(double low, double high, size_t index, size_t count)
{
    return low * pow(high / low, (double)index / (double)(count - 1));
}

static double median(const TrainForecast *forecast, const char *name)
{
    const Metric *metric = metrics_find(&forecast->metrics, name);
    Summary summary;
    if (metric == NULL || metrics_summary(metric, &summary, NULL) != STATUS_OK)
        return 0;
    return summary.p50;
}

/* Hours of a cause for each failure or save; 0 without any. */
static double each_s(const TrainForecast *forecast, const char *const *hours, const char *count)
{
    const double times = median(forecast, count);
    double sum = 0;
    for (size_t i = 0; hours[i] != NULL; i++)
        sum += median(forecast, hours[i]);
    return times > 0 ? sum * hour_s / times : 0;
}

static void place_own_run(const TrainForecast *forecast, FailureMap *map)
{
    static const char *const restart[] = {"run.lost_hours.detection", "run.lost_hours.replacement",
                                          "run.lost_hours.spare_wait", "run.lost_hours.restart",
                                          NULL};
    static const char *const save[] = {"run.lost_hours.save", NULL};
    const double goodput = median(forecast, "run.goodput");
    const double mtbf_s = median(forecast, "run.mtbf_hours") * hour_s;
    map->fault_free_mfu_6nd = goodput > 0 ? median(forecast, "run.mfu_effective_6nd") / goodput : 0;
    map->fault_free_days = median(forecast, "run.days") * goodput;
    map->fault_free_usd = median(forecast, "cost.usd") * goodput;
    map->own_rate = mtbf_s > 0 ? node_days * day_s / (mtbf_s * map->nodes) : 0;
    map->own_restart_s = each_s(forecast, restart, "run.failures");
    map->own_save_s = each_s(forecast, save, "run.saves");
}

int failure_map(const Scenario *scenario, const TrainForecast *forecast, FailureMap *map)
{
    memset(map, 0, sizeof *map);
    if (scenario->kind != SCENARIO_TRAINING || !(forecast->step.seconds > 0) ||
        !(median(forecast, "run.days") > 0))
        return 0;
    map->clock = scenario->reliability.restart_clock;
    map->nodes = fmax(1, ceil(forecast->step_input.gpus / scenario->hardware.node.gpus));
    for (size_t i = 0; i < MAP_RATES; i++)
        map->rate[i] = logarithmic(least_rate, most_rate, i, MAP_RATES);
    for (size_t i = 0; i < MAP_RESTARTS; i++)
        map->restart_s[i] = logarithmic(least_restart_s, most_restart_s, i, MAP_RESTARTS);
    for (size_t s = 0; s < MAP_SAVES; s++) {
        map->save_s[s] = saves_s[s];
        for (size_t y = 0; y < MAP_RESTARTS; y++)
            for (size_t x = 0; x < MAP_RATES; x++)
                map->goodput[s][y][x] =
                    failure_map_goodput(map->clock, failure_map_mtbf_s(map, map->rate[x]),
                                        map->save_s[s], map->restart_s[y]);
    }
    place_own_run(forecast, map);
    return 1;
}
