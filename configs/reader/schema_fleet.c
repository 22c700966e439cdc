/* Keys of a fleet: datacentres, regions, network, routing, autoscaling. */
#include "configs/reader/schema.h"

#include <assert.h>

static_assert(sizeof(Routing) == sizeof(int) && sizeof(Failover) == sizeof(int),
              "enums are read as int");

static const char *const ROUTING_WORDS[] = {"round_robin", "least_loaded", "nearest", NULL};
static const char *const FAILOVER_WORDS[] = {"retry", "drain", NULL};

#define DAY_S  86400.0
#define YEAR_S 3.1536e7
#define TIME(KEY, S, M, MAXIMUM, FALLBACK, HELP)                                                   \
    NUMBER_FIELD(KEY, S, M, DIMENSION_SECONDS, 0, MAXIMUM, FALLBACK, 0, HELP)

static const Field CLUSTER_FIELDS[] = {
    TEXT_FIELD("name", ClusterSpec, name, NULL, FIELD_UNIQUE, "of the datacentre"),
    NUMBER_FIELD("replicas", ClusterSpec, replicas, DIMENSION_COUNT, 1, 1024, NULL,
                 FIELD_WHOLE | FIELD_STEPPED, "copies of the serving cluster that are held there"),
    NUMBER_FIELD("minimum", ClusterSpec, minimum, DIMENSION_COUNT, 1, 1024, "1",
                 FIELD_WHOLE | FIELD_STEPPED, "of them up at any time"),
    NUMBER_FIELD("gpu_hour", ClusterSpec, gpu_hour_usd, DIMENSION_USD_PER_HOUR, 0, 1e6, "0", 0,
                 "rent of one GPU there; 0: as prices"),
    NUMBER_FIELD("energy", ClusterSpec, energy_usd_per_j, DIMENSION_USD_PER_J, 0, 1, "0", 0,
                 "price of energy there; 0: as prices"),
    NUMBER_FIELD("pue", ClusterSpec, pue, DIMENSION_NUMBER, 0, 10, "0", 0,
                 "of the datacentre; 0: as prices"),
    NUMBER_FIELD("co2", ClusterSpec, co2_kg_per_j, DIMENSION_KG_PER_J, 0, 1, "0", 0,
                 "of the grid there; 0: as prices"),
    TIME("outage_start", ClusterSpec, outage_start_s, YEAR_S, "0s", "of a planned window"),
    TIME("outage", ClusterSpec, outage_s, YEAR_S, "0s", "how long it lasts; 0: none"),
    NUMBER_FIELD("failures", ClusterSpec, failures_per_s, DIMENSION_PER_SECOND, 0, 1, "0", 0,
                 "of the whole datacentre, exponential: 2/year"),
    TIME("repair", ClusterSpec, repair_s, YEAR_S, "0s", "how long a failure lasts"),
};
static const Schema CLUSTER_SCHEMA = {.name = "cluster", GROUP_FIELDS(CLUSTER_FIELDS)};

static const Field REGION_FIELDS[] = {
    TEXT_FIELD("name", RegionSpec, name, NULL, FIELD_UNIQUE, "of the people who ask"),
    NUMBER_FIELD("share", RegionSpec, share, DIMENSION_NUMBER, 0, 1e6, NULL, 0,
                 "of all requests; shares are scaled to a sum of 1"),
    NUMBER_FIELD("zone", RegionSpec, zone_s, DIMENSION_SECONDS, -DAY_S, DAY_S, "0s", 0,
                 "local time less the fleet's: -5h"),
    NUMBER_FIELD("swing", RegionSpec, swing, DIMENSION_FRACTION, 0, 1, "0", 0,
                 "rate over the day: mean * (1 + swing * cos), largest at peak"),
    TIME("peak", RegionSpec, peak_s, DAY_S, "14h", "local time of the largest rate"),
    NUMBER_FIELD("curve", RegionSpec, curve, DIMENSION_COUNT, 0, 100, "0", FIELD_WHOLE,
                 "number of a curve in curves, by local time, in place of swing; 0: none"),
};
static const Schema REGION_SCHEMA = {.name = "region", GROUP_FIELDS(REGION_FIELDS)};

static const Field LINK_FIELDS[] = {
    TEXT_FIELD("region", LinkSpec, region, NULL, 0, "who asks"),
    TEXT_FIELD("cluster", LinkSpec, cluster, NULL, 0, "who answers"),
    TIME("latency", LinkSpec, latency_s, 100, NULL, "of the network, one way"),
};
static const Schema LINK_SCHEMA = {.name = "link", GROUP_FIELDS(LINK_FIELDS)};

static const Field CURVE_FIELDS[] = {
    NUMBER_FIELD("curve", CurvePoint, curve, DIMENSION_COUNT, 1, 100, "1", FIELD_WHOLE,
                 "number of the curve"),
    NUMBER_FIELD("hour", CurvePoint, hour, DIMENSION_NUMBER, 0, 10000, NULL, 0,
                 "local, from which the rate holds; the curve repeats after its last point's hour"),
    NUMBER_FIELD("rate", CurvePoint, rate, DIMENSION_NUMBER, 0, 1e12, NULL, 0,
                 "of requests; only ratios count"),
};
static const Schema CURVE_SCHEMA = {.name = "curve point", GROUP_FIELDS(CURVE_FIELDS)};

static const Field FLEET_FIELDS[] = {
    NUMBER_FIELD("duration", FleetSpec, duration_s, DIMENSION_SECONDS, 60, YEAR_S, "1d", 0,
                 "that is simulated; day and curves begin at 0 h of fleet time"),
    WORD_FIELD("routing", FleetSpec, routing, ROUTING_WORDS, "nearest",
               "round_robin: replicas in turn; least_loaded; nearest: by network latency"),
    NUMBER_FIELD(
        "spill", FleetSpec, spill, DIMENSION_COUNT, 0, 1e7, "0", 0,
        "routing: nearest: requests for each replica above which the next nearest is asked; "
        "0: no limit"),
    TIME("poll", FleetSpec, poll_s, 3600, "0s",
         "age that the router's knowledge of finished requests may have; 0: none"),
    WORD_FIELD("failover", FleetSpec, failover, FAILOVER_WORDS, "retry",
               "of what runs in a datacentre that goes down: asked again elsewhere, or finished"),
    TIME("detect", FleetSpec, detect_s, 3600, "5s",
         "from a failure until requests are asked again"),
    NUMBER_FIELD("target", FleetSpec, target, DIMENSION_FRACTION, 0, 1, "0", 0,
                 "autoscaling: wanted share of the stable maximum; 0: all replicas are always up"),
    NUMBER_FIELD("interval", FleetSpec, interval_s, DIMENSION_SECONDS, 1, DAY_S, "1min", 0,
                 "between decisions of the autoscaler"),
    TIME("start_up", FleetSpec, start_up_s, DAY_S, "0s", "of a replica until it answers"),
    TIME("down_delay", FleetSpec, down_delay_s, DAY_S, "10min",
         "for which fewer replicas must have been enough before one is released"),
    NUMBER_FIELD("reuse", FleetSpec, reuse, DIMENSION_FRACTION, 0, 1, "0", 0,
                 "share of a released replica's price that other work pays (nights)"),
    LIST_FIELD("clusters", FIELD_LIST, FleetSpec, clusters, cluster_count, &CLUSTER_SCHEMA, 0,
               "a list of {name, replicas, ...}"),
    LIST_FIELD("regions", FIELD_LIST, FleetSpec, regions, region_count, &REGION_SCHEMA, 0,
               "a list of {name, share, ...}"),
    LIST_FIELD("links", FIELD_LIST, FleetSpec, links, link_count, &LINK_SCHEMA, FIELD_MAY_MISS,
               "a list of {region, cluster, latency}; a pair that is not there has none"),
    LIST_FIELD("curves", FIELD_LIST, FleetSpec, curves, curve_count, &CURVE_SCHEMA, FIELD_MAY_MISS,
               "rates by hour: a list of {curve, hour, rate} in the order of hours"),
};
const Schema FLEET_SCHEMA = {.name = "fleet", GROUP_FIELDS(FLEET_FIELDS)};
