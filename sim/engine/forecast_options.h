/* What every Monte Carlo forecast is asked for. */
#ifndef SIM_ENGINE_FORECAST_OPTIONS_H
#define SIM_ENGINE_FORECAST_OPTIONS_H

#include "sim/engine/confidence.h"

#include <stddef.h>

typedef enum SimulationDetail { DETAIL_FOLDED, DETAIL_REPLICAS, DETAIL_GPUS } SimulationDetail;

typedef struct ForecastOptions {
    unsigned long long seed;
    size_t reps;
    PrecisionTarget precision; /* go on beyond reps until it is met; training only */
    size_t threads;            /* 0: all processors */
    SimulationDetail detail;
    /* called now and then with replications done; may be NULL; returns non-zero to interrupt */
    int (*progress)(void *context, size_t done, size_t total);
    void *progress_context;
} ForecastOptions;

#endif
