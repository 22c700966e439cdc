/* Which failure rates, save times and restart times leave which share of the time for work: the
 * closed forms of a run (sim/training/run.h) on a grid, at the best interval between saves. */
#ifndef SIM_PLANNING_FAILURE_MAP_H
#define SIM_PLANNING_FAILURE_MAP_H

#include "configs/reader/scenario.h"
#include "sim/training/forecast.h"

enum { MAP_RATES = 49, MAP_RESTARTS = 45, MAP_SAVES = 3 };

typedef struct FailureMap {
    RestartClock clock;
    double nodes;                   /* of the job */
    double rate[MAP_RATES];         /* failures in 1000 node-days; logarithmic */
    double restart_s[MAP_RESTARTS]; /* from failure to work; logarithmic */
    double save_s[MAP_SAVES];       /* stall of a save */
    double goodput[MAP_SAVES][MAP_RESTARTS][MAP_RATES];
    /* of the forecast: medians without failures, and where its own run lies on the map */
    double fault_free_mfu_6nd, fault_free_days, fault_free_usd;
    double own_rate, own_restart_s, own_save_s; /* 0: it does not fail or save */
} FailureMap;

/* 0 when the forecast has no run. */
int failure_map(const Scenario *scenario, const TrainForecast *forecast, FailureMap *map);

/* Goodput at the exact optimal interval: S1 (exposed restarts) or S2 (safe ones). */
double failure_map_goodput(RestartClock clock, double mtbf_s, double save_s, double restart_s);

/* The restart time that leaves just this goodput; 0 when none does. */
double failure_map_restart_s(RestartClock clock, double mtbf_s, double save_s, double goodput);

/* Mean time between failures of the job at a rate of the map. */
double failure_map_mtbf_s(const FailureMap *map, double rate);

#endif
