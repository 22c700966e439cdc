/* What a load has in memory and in line over time: as JSON, CSV, a sheet's rows and a picture. */
#ifndef REPORTS_LOAD_OVER_TIME_H
#define REPORTS_LOAD_OVER_TIME_H

#include "reports/json_build.h"
#include "reports/provenance.h"
#include "sim/serving/serve_load.h"

/* One part of the time of all replicas of a side. */
typedef struct LoadPart {
    double end_s;
    double kv_blocks, kv_occupancy; /* in use; of all that there are */
    double running, waiting;        /* sequences in the batch; requests in line or thrown out */
} LoadPart;

/* Of a side; a replica that does both stands as the decode side. `parts` has OCCUPANCY_PARTS;
 * returns how many there are. */
size_t load_over_time(const LoadForecast *forecast, ServingSide side, LoadPart *parts);

/* over_time.{part_s, parts}, and disaggregated.prefill.over_time where there is such a side. */
void json_put_over_time(JsonBuilder *builder, const LoadForecast *forecast);

/* load-over-time.csv */
Status csv_load_over_time(const char *directory, const LoadForecast *forecast, Error *error);

/* load-over-time.png and .svg, with script and data beside them. STATUS_ENVIRONMENT with one clear
 * line when there is no gnuplot. */
Status plot_load_over_time(const char *directory, const Scenario *scenario,
                           const LoadForecast *forecast, const Provenance *provenance,
                           Error *error);

#endif
