/* Latencies of requests (sim/serving/slo.h), as the reports of one load and of a fleet show them.
 * `of_s` holds LATENCY_STATISTICS seconds for each of LATENCY_KINDS, one kind after the other. */
#ifndef REPORTS_LATENCIES_H
#define REPORTS_LATENCIES_H

#include "reports/json_build.h"
#include "sim/serving/slo.h"

#include <stdio.h>

/* A table with a row for each kind. */
void terminal_latencies(FILE *out, const double *of_s);

/* latency.{ttft,tpot,e2e}_s.{p50,...} below `object`. */
void json_put_latencies(JsonBuilder *builder, json_t *object, const double *of_s);

#endif
