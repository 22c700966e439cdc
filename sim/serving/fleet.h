/* A fleet: serving clusters in several datacentres that answer several regions over a day or more.
 *
 * A region asks at the times of its own rate curve. The router picks a datacentre when a request is
 * asked, by the requests that are there or on the way; the network takes the link's latency; on
 * arrival the datacentre picks the replica with the fewest requests (round robin: the next one).
 * Requests that finished since the router last looked (`poll`) still count as there.
 *
 * A datacentre that goes down loses what runs (`retry`: each request is asked again `detect` later,
 * from its beginning, with its first waiting time counted on) or finishes it (`drain`). A request
 * that finds no datacentre up is lost.
 *
 * The autoscaler of each datacentre wants ceil((arrivals a second + waiting / interval) / (target *
 * stable maximum)) replicas, within its bounds. A replica answers `start_up` after it was wanted;
 * it is released when fewer were enough for `down_delay`, and then finishes what it has. All are up
 * when the day begins and start when an outage ends. Released replicas are lent to other work,
 * which pays `reuse` of their price and all of their energy.
 *
 * Events follow each other in one fixed order, so that the same seed gives the same bytes whatever
 * else runs. */
#ifndef SIM_SERVING_FLEET_H
#define SIM_SERVING_FLEET_H

#include "sim/serving/economics.h"
#include "sim/serving/slo.h"

enum { FLEET_BINS = 96, MAX_FLEET_REPLICAS = 1024 };

typedef struct FleetOptions {
    double rate_per_s; /* mean over all regions; 0: serving.utilisation of all replicas' maximum */
    Slo slo;
    unsigned long long seed;
    int (*progress)(void *context, size_t done, size_t total); /* bins; non-zero interrupts */
    void *progress_context;
} FleetOptions;

/* A stretch of the day. */
typedef struct FleetBin {
    double asked;        /* requests that arrived */
    double in_system;    /* requests there at its end */
    double ready;        /* replicas that answer, at its end */
    double kv_occupancy; /* of the replicas that are on, mean */
    double tokens;       /* given and read */
} FleetBin;

typedef struct ClusterResult {
    char name[64];
    double replicas;
    double asked, finished;
    double rejected;    /* longer than KV memory, or the line overflowed */
    double interrupted; /* lost with a failure, to be asked again */
    double starts;      /* of replicas */
    double outages;
    double most_ready;
    double on_s, released_s; /* replica seconds: up, starting or draining; given to other work */
    double input_tokens, output_tokens; /* of finished requests */
    double good;                        /* finished requests within each limit of the SLO */
    double latency_s[LATENCY_KINDS][LATENCY_STATISTICS]; /* network and retries included */
    ServedLoad served; /* per second of the whole time, of the replicas that are on */
    double usd, usd_without_reuse, usd_energy;
    double energy_j, co2_kg;
    double usd_per_1k_tokens, usd_per_1k_without_reuse;
    FleetBin bins[FLEET_BINS];
} ClusterResult;

typedef struct FleetResult {
    double seconds, bin_s;
    double rate_per_s;
    double maximum_per_s; /* stable maximum of one replica */
    double gpus_per_replica;
    double asked, lost; /* by the regions; no datacentre was up */
    int holds;          /* the SLO, over all */
    size_t cluster_count;
    ClusterResult clusters[MAX_CLUSTERS];
    ClusterResult all;
} FleetResult; /* some 70 kB */

/* STATUS_INVALID: a name that does not exist, a curve that is wrong, no cluster or region;
 * STATUS_NO: the model does not fit. */
Status fleet_simulate(const Scenario *scenario, const FleetOptions *options, FleetResult *result,
                      Error *error);

#endif
