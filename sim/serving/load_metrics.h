/* A load as metrics for claims: each replication draws the uncertain inputs (as serve_forecast
 * does: the same seed gives the same draws), finds the stable maximum and simulates the sold share
 * of it (serving.utilisation). */
#ifndef SIM_SERVING_LOAD_METRICS_H
#define SIM_SERVING_LOAD_METRICS_H

#include "configs/reader/scenario.h"
#include "sim/engine/forecast_options.h"
#include "sim/engine/metrics.h"

/* Adds load.*, throughput.*, latency.*, utilisation.*, kv.*, batch.*, cost.* and, for a scenario
 * that speculates, speculation.*. A draw that does not fit is drawn again; where none fits, the
 * midpoint stands in. STATUS_NO when not even that fits. */
Status load_metrics(const Scenario *scenario, const ForecastOptions *options, MetricSet *metrics,
                    Error *error);

/* The same of one load that was simulated: one value each. */
struct LoadForecast;
Status load_metrics_of(const Scenario *scenario, const struct LoadForecast *forecast,
                       MetricSet *metrics, Error *error);

#endif
