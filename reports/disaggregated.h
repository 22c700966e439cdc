/* A load on a disaggregated cluster: its two sides and the keys and values between them. */
#ifndef REPORTS_DISAGGREGATED_H
#define REPORTS_DISAGGREGATED_H

#include "reports/json_build.h"
#include "sim/serving/serve_load.h"
#include "sim/serving/split.h"

#include <stdio.h>

/* In place of the memory of the one kind of replica; with forecast->splits where they are. */
void terminal_disaggregated(FILE *out, const LoadForecast *forecast);

/* disaggregated.{limit,gpus}, .prefill and .decode {replicas,gpus_per_replica,maximum_per_s,busy,
 * kv_occupancy,decoding,preempted,ports_busy}, .transfer {count,bytes_per_s} and {total_s,wait_s,
 * network_s}{p50,...}; with forecast->splits: .splits[]. */
void json_put_disaggregated(JsonBuilder *builder, const LoadForecast *forecast);

#endif
