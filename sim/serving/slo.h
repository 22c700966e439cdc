/* A service level objective: "ttft<2s,tpot<33ms", each limit for the 99th percentile unless another
 * is named ("ttft.p90<2s"; p50, p90, p95, p99, mean). */
#ifndef SIM_SERVING_SLO_H
#define SIM_SERVING_SLO_H

#include "configs/reader/error.h"

#include <stddef.h>

typedef enum LatencyKind { LATENCY_TTFT, LATENCY_TPOT, LATENCY_E2E, LATENCY_KINDS } LatencyKind;
typedef enum LatencyStatistic {
    LATENCY_P50,
    LATENCY_P90,
    LATENCY_P95,
    LATENCY_P99,
    LATENCY_MEAN,
    LATENCY_STATISTICS
} LatencyStatistic;

extern const char *const LATENCY_WORDS[LATENCY_KINDS];
extern const char *const STATISTIC_WORDS[LATENCY_STATISTICS];

typedef struct SloLimit {
    LatencyKind kind;
    LatencyStatistic statistic;
    double limit_s;
} SloLimit;

enum { MAX_SLO_LIMITS = 8 };

typedef struct Slo {
    size_t count;
    SloLimit limits[MAX_SLO_LIMITS];
} Slo;

/* STATUS_USAGE with what is wrong and what is allowed. */
Status slo_parse(const char *text, Slo *slo, Error *error);

#endif
