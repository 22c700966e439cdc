/* The fleet of a Scenario: clusters in datacentres, who asks them, and how requests find them. */
#ifndef CONFIGS_READER_SCENARIO_FLEET_H
#define CONFIGS_READER_SCENARIO_FLEET_H

#include "configs/reader/scenario_common.h"

#include <stddef.h>

enum { MAX_CLUSTERS = 12, MAX_REGIONS = 12, MAX_CURVE_POINTS = 336 /* two weeks of hours */ };

typedef enum Routing {
    ROUTE_ROUND_ROBIN, /* replicas in turn, wherever they stand */
    ROUTE_LEAST_LOADED,
    ROUTE_NEAREST /* by network latency; on to the next when the nearest is too full */
} Routing;
typedef enum Failover {
    FAILOVER_RETRY, /* what runs is lost and asked again elsewhere */
    FAILOVER_DRAIN  /* what runs is finished, nothing new is taken */
} Failover;

/* Replicas of the serving cluster in one datacentre. Zero in a price: as `prices` says. */
typedef struct ClusterSpec {
    char name[NAME_BYTES];
    double replicas, minimum; /* held; up at any time */
    double gpu_hour_usd, energy_usd_per_j, pue, co2_kg_per_j;
    double outage_start_s, outage_s; /* one window; 0: none */
    double failures_per_s, repair_s; /* of the whole datacentre, drawn */
} ClusterSpec;

/* People who ask. */
typedef struct RegionSpec {
    char name[NAME_BYTES];
    double share;  /* of all requests; shares are scaled to a sum of 1 */
    double zone_s; /* local time less fleet time */
    double swing;  /* rate over the day: 1 + swing * cos(2 pi (local time - peak) / day) */
    double peak_s; /* time of day, local */
    double curve;  /* or the curve of this number, by local time; 0: none */
} RegionSpec;

typedef struct LinkSpec {
    char region[NAME_BYTES], cluster[NAME_BYTES];
    double latency_s; /* one way */
} LinkSpec;

typedef struct CurvePoint {
    double curve, hour, rate; /* until the next point of the curve; only ratios count */
} CurvePoint;

/* Clusters in datacentres, who asks them, and how requests find them. See sim/serving/fleet.h. */
typedef struct FleetSpec {
    double duration_s;
    Routing routing;
    double spill;  /* nearest: requests for each replica beyond which the next is asked; 0: none */
    double poll_s; /* age of what the router knows; 0: it knows all at once */
    Failover failover;
    double detect_s;   /* from a failure until requests are asked again */
    double target;     /* autoscaling: share of the stable maximum wanted; 0: all replicas are up */
    double interval_s; /* between its decisions */
    double start_up_s; /* of a replica, weights loaded */
    double down_delay_s; /* for which fewer replicas must have been enough */
    double reuse;        /* share of a released replica's price that other work pays */
    size_t cluster_count;
    ClusterSpec clusters[MAX_CLUSTERS];
    size_t region_count;
    RegionSpec regions[MAX_REGIONS];
    size_t link_count;
    LinkSpec links[MAX_CLUSTERS * MAX_REGIONS];
    size_t curve_count;
    CurvePoint curves[MAX_CURVE_POINTS];
} FleetSpec;

#endif
