/* The state of a fleet while it is simulated, shared by its files: fleet.c (events and routing),
 * fleet_cluster.c (replicas: start, release, failure), fleet_result.c (sums, money). */
#ifndef SIM_SERVING_FLEET_STATE_H
#define SIM_SERVING_FLEET_STATE_H

#include "sim/engine/time_heap.h"
#include "sim/serving/arrivals.h"
#include "sim/serving/fleet.h"
#include "sim/serving/latency_histogram.h"
#include "sim/serving/unit.h"

typedef enum SlotState {
    SLOT_RELEASED, /* lent to other work */
    SLOT_STARTING,
    SLOT_READY,
    SLOT_DRAINING, /* finishes what it has */
    SLOT_DOWN      /* its datacentre is */
} SlotState;

/* What a replica did, of units that are gone and of the one that is there. */
typedef struct UseSums {
    double busy_s, prefill_s, bytes, flops, block_seconds, tokens;
} UseSums;

/* A replica. */
typedef struct Slot {
    struct Fleet *fleet;
    size_t cluster;
    ServingUnit *unit;
    SlotState state;
    double since_s; /* of the state */
    size_t in_system;
    uint32_t first; /* of its requests, NO_RECORD: none */
    UseSums before; /* of units that are gone */
} Slot;

typedef struct Cluster {
    const ClusterSpec *spec;
    Scenario *scenario; /* at this datacentre's prices */
    size_t first_slot, slot_count;
    size_t ready, turn;
    size_t in_system;     /* requests on the way included */
    int down;             /* outages that overlap */
    double arrivals;      /* since the autoscaler's last decision */
    double fewer_since_s; /* fewer replicas are enough since then; negative: they are not */
    RandomStream failures;
    UseSums at_bin; /* when the last bin ended */
    double on_at_bin, released_at_bin;
    LatencyHistogram latency[LATENCY_KINDS];
    ClusterResult *result;
} Cluster;

/* A request from being asked until it is answered. */
typedef struct Record {
    double asked_s, first_s; /* first token, as the datacentre gave it; negative: none yet */
    uint32_t prompt, output;
    uint32_t region, cluster, slot;
    uint32_t older, newer; /* in its slot, or unused ones */
} Record;

typedef struct Region {
    ArrivalStream stream;
    RateCurve curve;
    Arrival next;
    double latency_s[MAX_CLUSTERS];
    size_t nearest[MAX_CLUSTERS]; /* clusters by latency */
} Region;

typedef struct Fleet {
    const Scenario *scenario;
    const FleetSpec *spec;
    const FleetOptions *options;
    FleetResult *result;
    size_t cluster_count, region_count, slot_count, turn;
    Cluster clusters[MAX_CLUSTERS];
    Region regions[MAX_REGIONS];
    Slot slots[MAX_FLEET_REPLICAS];
    Record *records;
    size_t record_room;
    uint32_t unused;                      /* first of the unused records */
    TimeHeap on_the_way, again, controls; /* tags: record, record, control */
    double seen_s;                        /* when the router last looked */
    LatencyHistogram latency[LATENCY_KINDS];
} Fleet; /* allocate it */

extern const uint32_t NO_RECORD;

/* ---- fleet_cluster.c ---- */

/* Clusters, replicas and their first events. */
Status clusters_open(Fleet *fleet, Error *error);
void clusters_close(Fleet *fleet);

/* Brings every replica that is on to now_s. */
Status clusters_advance(Fleet *fleet, double now_s, Error *error);

/* One of the events in fleet->controls. */
Status clusters_control(Fleet *fleet, const TimedTag *event, Error *error);

/* The replica of a cluster that takes the next request; slot_count: none. */
size_t cluster_pick(Cluster *cluster, const Fleet *fleet);

void slot_link(Fleet *fleet, Slot *slot, uint32_t record);
void slot_unlink(Fleet *fleet, Slot *slot, uint32_t record);

/* Replica seconds until now_s: lent to other work; starting, answering or draining. */
double cluster_released_s(const Fleet *fleet, const Cluster *cluster, double now_s);
double cluster_on_s(const Fleet *fleet, const Cluster *cluster, double now_s);
UseSums cluster_use(const Fleet *fleet, const Cluster *cluster);

/* ---- fleet.c ---- */

void fleet_first_token(void *slot, const QueuedRequest *request, double now_s);
void fleet_finished(void *slot, const QueuedRequest *request, double now_s);

/* ---- fleet_result.c ---- */

void fleet_close_bin(Fleet *fleet, size_t bin, double now_s);
void fleet_conclude(Fleet *fleet);

#endif
