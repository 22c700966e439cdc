/* Serving under a load: requests arrive, wait, are read and answered by `replicas` units (unit.h)
 * that take turns. Ranges of the scenario stand at their midpoints. */
#ifndef SIM_SERVING_SERVE_LOAD_H
#define SIM_SERVING_SERVE_LOAD_H

#include "sim/serving/economics.h"
#include "sim/serving/slo.h"
#include "sim/serving/speculation_map.h"
#include "sim/serving/unit.h"

enum { MAX_LOAD_POINTS = 48, MAX_LOAD_REPLICAS = 1024 };

/* Shares of the stable maximum at which a price is told. */
enum { UTILISATION_COUNT = 4 };
extern const double UTILISATIONS[UTILISATION_COUNT];

typedef struct LoadOptions {
    double rate_per_s; /* of all replicas; 0: as the trace has it, or the sold share of the stable
                          maximum (serving.utilisation) */
    const char *trace; /* CSV file; NULL: drawn from the scenario's mix */
    int skip_bad;
    int find_rate; /* the largest rate that holds the SLO */
    int over_time; /* what is in memory and in line is written down as well */
    Slo slo;
    uint64_t requests; /* drawn ones; 0: only the stable maximum is wanted */
    unsigned long long seed;
    size_t threads; /* of a search: results do not depend on it; 0: 1 */
    /* called with points done; may be NULL; non-zero interrupts */
    int (*progress)(void *context, size_t done, size_t total);
    void *progress_context;
} LoadOptions;

/* Of one side of a disaggregated cluster, mean over its replicas and time. */
typedef struct SideLoad {
    double busy; /* share of time that the first stage works */
    double kv_occupancy;
    double decoding; /* sequences of an iteration */
    double preempted;
} SideLoad;

/* Keys and values on their way between the sides: from the end of a prompt until they are where the
 * answer is given, and the two parts of that. */
typedef struct TransferLoad {
    double count, bytes_per_s;
    double total_s[LATENCY_STATISTICS], wait_s[LATENCY_STATISTICS], network_s[LATENCY_STATISTICS];
    double ports_busy[SERVING_SIDES]; /* share of what a side's ports could move */
} TransferLoad;

/* One load, simulated. Latencies are those of requests that arrived after a warm-up of a tenth of
 * the drawn ones; of a trace all count. Rates are counted between that moment and the last
 * arrival. */
typedef struct LoadPoint {
    double rate_per_s; /* offered */
    int stable;        /* below the stable maximum, and the line did not overflow */
    int holds;         /* stable, and every limit of the SLO is kept */
    double offered, finished, rejected; /* rejected: longer than KV memory */
    double seconds;
    double requests_per_s, input_tokens_per_s, output_tokens_per_s; /* of finished requests */
    double latency_s[LATENCY_KINDS][LATENCY_STATISTICS];
    double goodput_per_s; /* finished requests that keep each limit of the SLO */
    double kv_occupancy;  /* share of blocks in use, mean over time */
    double decoding;      /* sequences of an iteration, mean */
    double busy;          /* share of time that the first stage works */
    double mfu, mbu;
    double preempted, iterations, largest_line;
    double cache_hit_share;     /* of prompt tokens, those found in the prefix cache */
    double swapped, swap_share; /* preempted to host memory; share of the time moving takes */
    ServedLoad served;
    Economics economics;
    double tokens_per_round;       /* speculation: of rounds with drafts; 0: there were none */
    SideLoad sides[SERVING_SIDES]; /* disaggregated only, as is `transfer` */
    TransferLoad transfer;
} LoadPoint;

/* One side of each copy of a disaggregated cluster. */
typedef struct SideForecast {
    double replicas, gpus; /* gpus: of one replica */
    ReplicaMemory memory;
    double maximum_per_s; /* requests, if the other side took no time; all copies */
} SideForecast;

typedef struct LoadForecast {
    ReplicaMemory memory;  /* of one replica, where answers are given */
    double replicas, gpus; /* copies; gpus: of all */
    int disaggregated;
    SideForecast sides[SERVING_SIDES];
    /* Of the point's mix at shares of the stable maximum: see UTILISATIONS. */
    double usd_per_1k_by_utilisation[UTILISATION_COUNT];
    double stable_maximum_per_s; /* requests finished when the line is never empty */
    uint64_t rows_skipped;
    int found;                       /* find_rate: a rate above 0 holds the SLO */
    LoadPoint point;                 /* the load asked for, or the largest that holds */
    const struct SplitTable *splits; /* for a report, by who asked for them (split.h); else NULL */
    size_t tried_count;
    LoadPoint tried[MAX_LOAD_POINTS]; /* find_rate: in the order of trying */
    /* Of the point, of all copies; one replica that does both stands as the decode side. */
    OccupancySeries over_time[SERVING_SIDES];
    SpeculationMap speculation; /* count 0: the scenario does not speculate */
} LoadForecast;                 /* some 50 kB */

/* STATUS_NO when no sequence fits in memory; STATUS_INVALID for a trace with a bad row. A load
 * above the stable maximum is a result (stable = 0), not an error. */
Status serve_load(const Scenario *scenario, const LoadOptions *options, LoadForecast *forecast,
                  Error *error);

#endif
