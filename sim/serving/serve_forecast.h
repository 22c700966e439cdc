/* Serving at full load as a forecast: the uncertain inputs are drawn, each draw is simulated. */
#ifndef SIM_SERVING_SERVE_FORECAST_H
#define SIM_SERVING_SERVE_FORECAST_H

#include "sim/engine/forecast_options.h"
#include "sim/engine/metrics.h"
#include "sim/serving/serve_outcome.h"

/* The uncertain inputs of one replication, each from a stream named by its path. */
void serve_sample(const Scenario *scenario, unsigned long long seed, unsigned long long replication,
                  Scenario *sampled);

typedef struct ServeForecast {
    ServeMemory memory;
    ServeOutcome nominal; /* midpoint scenario */
    ServeStageTime stage; /* midpoint scenario, at its batch */
    MetricSet metrics;    /* names by the JSON contract: feasible, throughput.*, latency.ttft_s.p50,
                             utilisation.*, kv.*, cost.* */
    size_t reps;
} ServeForecast;

/* Infeasible is a result (metric feasible = 0 and memory.reason), not an error; metrics then hold
 * model.*, memory.* and kv.* only. A draw of the uncertain inputs that does not fit although the
 * midpoint does is drawn again; feasible_share says how many first draws fitted. The same seed
 * gives the same bytes for any number of threads. */
Status serve_forecast(const Scenario *scenario, const ForecastOptions *options,
                      ServeForecast *forecast, Error *error);
void serve_forecast_free(ServeForecast *forecast);

#endif
