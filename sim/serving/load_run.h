/* One load or the stable maximum of a cluster, simulated on units that serve_load.c has described;
 * used by the files of serve_load.h alone. */
#ifndef SIM_SERVING_LOAD_RUN_H
#define SIM_SERVING_LOAD_RUN_H

#include "sim/serving/arrivals.h"
#include "sim/serving/latency_histogram.h"
#include "sim/serving/serve_load.h"

/* Everything that one simulated load needs; allocated once for all of them. */
typedef struct LoadRun {
    const Scenario *scenario;
    const LoadOptions *options;
    double overhead_s;
    PrefixTree *shared; /* beginnings of prompts */
    size_t unit_count;
    ServingUnit *units[MAX_LOAD_REPLICAS];
    LatencyHistogram latency[LATENCY_KINDS];
    double finished, input_tokens, output_tokens; /* all */
    double counted, good;                         /* of requests behind the warm-up */
    TransferUse transfers;                        /* of all units */
    OccupancySeries over_time[SERVING_SIDES];     /* of the last load, where it is wanted */
    /* saturation only */
    ArrivalStream *stream;
    ServingUnit *saturated;
    uint64_t backlog_left;
    double first_s, first_finished, last_s, last_finished, begin_finished;
    Status status; /* of the stream, with its error; bad rows that are passed over leave none */
    Error error;
} LoadRun;

/* An arrival as units are offered it; `counts`: it is part of the latencies. */
QueuedRequest load_queued(const Arrival *arrival, double at_s, int counts);

/* The requests of a load: drawn at rate_per_s, or a trace whose times are stretched. trace_close
 * `trace` when done. */
Status load_open_stream(const LoadRun *run, double rate_per_s, double stretch, TraceReader **trace,
                        ArrivalStream *stream, Error *error);

/* What is drawn inside a unit has a seed for each of them. */
uint64_t load_unit_seed(const LoadRun *run, size_t index);

/* load_point.c: one load. `stretch`: of the times of a trace. */
Status load_simulate_point(LoadRun *run, double rate_per_s, double stretch, double maximum_per_s,
                           LoadForecast *forecast, LoadPoint *point, Error *error);

/* rate_search.c: the largest load that holds the objective, with all that were tried. */
Status load_find_rate(LoadRun *run, double recorded_per_s, LoadForecast *forecast, Error *error);

/* stable_maximum.c: requests per second finished by all units when the line is never empty; with a
 * side, if the other one took no time (SERVING_SIDES: both as they are). STATUS_NO when nothing
 * fits. */
Status load_stable_maximum(LoadRun *run, ServingSide side, double *per_s, Error *error);

#endif
