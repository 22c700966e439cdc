#include "sim/serving/fleet_state.h"

#include <stdlib.h>
#include <string.h>

/* Events of datacentres, by the high half of their tag; of equal times in this order. */
typedef enum Control {
    CONTROL_UP,       /* a planned window ends */
    CONTROL_REPAIRED, /* a drawn failure ends; the next one is drawn */
    CONTROL_DOWN,
    CONTROL_READY,
    CONTROL_SCALE
} Control;

static const double rounding_s = 1e-6;

static Status schedule(Fleet *fleet, double at_s, Control control, size_t index, Error *error)
{
    if (!time_heap_push(&fleet->controls, at_s, (uint64_t)control << 32 | index))
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    return STATUS_OK;
}

/* ---- requests of a replica ----------------------------------------------------------------------
 */

void slot_link(Fleet *fleet, Slot *slot, uint32_t index)
{
    Record *record = &fleet->records[index];
    record->slot = (uint32_t)(slot - fleet->slots);
    record->older = NO_RECORD;
    record->newer = slot->first;
    if (slot->first != NO_RECORD)
        fleet->records[slot->first].older = index;
    slot->first = index;
    slot->in_system++;
}

void slot_unlink(Fleet *fleet, Slot *slot, uint32_t index)
{
    const Record *record = &fleet->records[index];
    if (record->older != NO_RECORD)
        fleet->records[record->older].newer = record->newer;
    else
        slot->first = record->newer;
    if (record->newer != NO_RECORD)
        fleet->records[record->newer].older = record->older;
    slot->in_system--;
}

/* ---- states of a replica ------------------------------------------------------------------------
 */

static int is_on(SlotState state)
{
    return state == SLOT_STARTING || state == SLOT_READY || state == SLOT_DRAINING;
}

static void enter(Fleet *fleet, Slot *slot, SlotState state, double now_s)
{
    Cluster *cluster = &fleet->clusters[slot->cluster];
    const double spent_s = now_s - slot->since_s;
    if (is_on(slot->state))
        cluster->result->on_s += spent_s;
    else if (slot->state == SLOT_RELEASED)
        cluster->result->released_s += spent_s;
    cluster->ready -= slot->state == SLOT_READY;
    cluster->ready += state == SLOT_READY;
    cluster->result->most_ready = fmax(cluster->result->most_ready, (double)cluster->ready);
    slot->state = state;
    slot->since_s = now_s;
}

static UseSums add(UseSums a, const UseSums *b)
{
    a.busy_s += b->busy_s;
    a.prefill_s += b->prefill_s;
    a.bytes += b->bytes;
    a.flops += b->flops;
    a.block_seconds += b->block_seconds;
    a.tokens += b->tokens;
    return a;
}

static UseSums slot_use(const Slot *slot)
{
    if (slot->unit == NULL)
        return slot->before;
    const ReplicaCounters counters = unit_counters(slot->unit);
    return add(slot->before, &(UseSums){.busy_s = counters.busy_s,
                                        .prefill_s = counters.prefill_s,
                                        .bytes = counters.bytes,
                                        .flops = counters.flops,
                                        .block_seconds = counters.block_seconds,
                                        .tokens = counters.input_tokens + counters.output_tokens});
}

UseSums cluster_use(const Fleet *fleet, const Cluster *cluster)
{
    UseSums sum = {0};
    for (size_t i = 0; i < cluster->slot_count; i++) {
        const UseSums use = slot_use(&fleet->slots[cluster->first_slot + i]);
        sum = add(sum, &use);
    }
    return sum;
}

double cluster_released_s(const Fleet *fleet, const Cluster *cluster, double now_s)
{
    double released_s = cluster->result->released_s;
    for (size_t i = 0; i < cluster->slot_count; i++) {
        const Slot *slot = &fleet->slots[cluster->first_slot + i];
        if (slot->state == SLOT_RELEASED)
            released_s += now_s - slot->since_s;
    }
    return released_s;
}

double cluster_on_s(const Fleet *fleet, const Cluster *cluster, double now_s)
{
    double on_s = cluster->result->on_s;
    for (size_t i = 0; i < cluster->slot_count; i++) {
        const Slot *slot = &fleet->slots[cluster->first_slot + i];
        if (is_on(slot->state))
            on_s += now_s - slot->since_s;
    }
    return on_s;
}

static Status new_unit(Slot *slot, Error *error)
{
    const Fleet *fleet = slot->fleet;
    const LaneSink sink = {
        .first_token = fleet_first_token, .finished = fleet_finished, .context = slot};
    return unit_create(fleet->clusters[slot->cluster].scenario, &sink, 0, &slot->unit, error);
}

/* Begins to start a replica; it answers start_up later. */
static Status start(Fleet *fleet, Slot *slot, double now_s, Error *error)
{
    Cluster *cluster = &fleet->clusters[slot->cluster];
    cluster->result->starts++;
    enter(fleet, slot, SLOT_STARTING, now_s);
    return schedule(fleet, now_s + fleet->spec->start_up_s, CONTROL_READY,
                    (size_t)(slot - fleet->slots), error);
}

/* No new requests; released at once when it has none. */
static void drain(Fleet *fleet, Slot *slot, double now_s)
{
    enter(fleet, slot, slot->in_system > 0 ? SLOT_DRAINING : SLOT_RELEASED, now_s);
}

/* ---- autoscaling --------------------------------------------------------------------------------
 */

static double wanted_replicas(const Fleet *fleet, const Cluster *cluster)
{
    const FleetSpec *spec = fleet->spec;
    double waiting = 0;
    for (size_t i = 0; i < cluster->slot_count; i++) {
        const Slot *slot = &fleet->slots[cluster->first_slot + i];
        waiting += (double)unit_waiting(slot->unit);
    }
    const double demand_per_s = (cluster->arrivals + waiting) / spec->interval_s;
    const double wanted = ceil(demand_per_s / (spec->target * fleet->result->maximum_per_s));
    return fmin((double)cluster->slot_count, fmax(cluster->spec->minimum, wanted));
}

static Status scale(Fleet *fleet, Cluster *cluster, double now_s, Error *error)
{
    Status status = STATUS_OK;
    const double wanted = wanted_replicas(fleet, cluster);
    double up = 0;
    for (size_t i = 0; i < cluster->slot_count; i++) {
        const SlotState state = fleet->slots[cluster->first_slot + i].state;
        up += state == SLOT_READY || state == SLOT_STARTING;
    }
    cluster->arrivals = 0;
    if (!(wanted < up))
        cluster->fewer_since_s = -1;
    else if (cluster->fewer_since_s < 0)
        cluster->fewer_since_s = now_s;

    /* Up: those that still finish something need no start; then the released ones. */
    for (size_t i = 0; i < cluster->slot_count && up < wanted; i++) {
        Slot *slot = &fleet->slots[cluster->first_slot + i];
        if (slot->state == SLOT_DRAINING) {
            enter(fleet, slot, SLOT_READY, now_s);
            up++;
        }
    }
    for (size_t i = 0; i < cluster->slot_count && up < wanted && status == STATUS_OK; i++) {
        Slot *slot = &fleet->slots[cluster->first_slot + i];
        if (slot->state == SLOT_RELEASED) {
            status = start(fleet, slot, now_s, error);
            up++;
        }
    }
    /* Down: the last ones first. */
    if (wanted < up && now_s - cluster->fewer_since_s >= fleet->spec->down_delay_s)
        for (size_t i = cluster->slot_count; i > 0 && up > wanted; i--) {
            Slot *slot = &fleet->slots[cluster->first_slot + i - 1];
            if (slot->state == SLOT_READY) {
                drain(fleet, slot, now_s);
                up--;
            }
        }
    return status;
}

/* ---- failures -----------------------------------------------------------------------------------
 */

/* What runs in a replica is asked again from its beginning. */
static Status interrupt(Fleet *fleet, Slot *slot, double now_s, Error *error)
{
    Cluster *cluster = &fleet->clusters[slot->cluster];
    while (slot->first != NO_RECORD) {
        const uint32_t record = slot->first;
        slot_unlink(fleet, slot, record);
        cluster->in_system--;
        cluster->result->interrupted++;
        if (!time_heap_push(&fleet->again, now_s + fleet->spec->detect_s, record))
            return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    }
    slot->before = slot_use(slot);
    unit_destroy(slot->unit);
    slot->unit = NULL;
    return new_unit(slot, error);
}

static Status go_down(Fleet *fleet, Cluster *cluster, double now_s, Error *error)
{
    Status status = STATUS_OK;
    if (cluster->down++ > 0)
        return STATUS_OK;
    cluster->result->outages++;
    for (size_t i = 0; i < cluster->slot_count && status == STATUS_OK; i++) {
        Slot *slot = &fleet->slots[cluster->first_slot + i];
        const int drains = fleet->spec->failover == FAILOVER_DRAIN && slot->in_system > 0;
        if (!drains && slot->in_system > 0)
            status = interrupt(fleet, slot, now_s, error);
        enter(fleet, slot, drains ? SLOT_DRAINING : SLOT_DOWN, now_s);
    }
    return status;
}

/* All of it starts; the autoscaler releases what was not needed. */
static Status come_up(Fleet *fleet, Cluster *cluster, double now_s, Error *error)
{
    Status status = STATUS_OK;
    if (--cluster->down > 0)
        return STATUS_OK;
    for (size_t i = 0; i < cluster->slot_count && status == STATUS_OK; i++) {
        Slot *slot = &fleet->slots[cluster->first_slot + i];
        if (slot->state == SLOT_DRAINING)
            enter(fleet, slot, SLOT_READY, now_s);
        else
            status = start(fleet, slot, now_s, error);
    }
    return status;
}

static Status schedule_failure(Fleet *fleet, size_t index, double now_s, Error *error)
{
    Cluster *cluster = &fleet->clusters[index];
    if (!(cluster->spec->failures_per_s > 0))
        return STATUS_OK;
    const double gap_s = random_exponential(&cluster->failures) / cluster->spec->failures_per_s;
    Status status = schedule(fleet, now_s + gap_s, CONTROL_DOWN, index, error);
    if (status == STATUS_OK)
        status = schedule(fleet, now_s + gap_s + cluster->spec->repair_s, CONTROL_REPAIRED, index,
                          error);
    return status;
}

Status clusters_control(Fleet *fleet, const TimedTag *event, Error *error)
{
    const size_t index = (size_t)(event->tag & UINT32_MAX);
    const Control control = (Control)(event->tag >> 32);
    Status status = clusters_advance(fleet, event->at_s, error);
    if (status != STATUS_OK)
        return status;
    if (control == CONTROL_READY) {
        Slot *slot = &fleet->slots[index];
        /* One that went down while it started starts again when its datacentre is back. */
        if (slot->state == SLOT_STARTING &&
            event->at_s - slot->since_s >= fleet->spec->start_up_s - rounding_s)
            enter(fleet, slot, SLOT_READY, event->at_s);
        return STATUS_OK;
    }
    Cluster *cluster = &fleet->clusters[index];
    if (control == CONTROL_DOWN)
        return go_down(fleet, cluster, event->at_s, error);
    if (control == CONTROL_UP || control == CONTROL_REPAIRED) {
        status = come_up(fleet, cluster, event->at_s, error);
        if (status == STATUS_OK && control == CONTROL_REPAIRED)
            status = schedule_failure(fleet, index, event->at_s, error);
        return status;
    }
    if (!cluster->down)
        status = scale(fleet, cluster, event->at_s, error);
    if (status == STATUS_OK)
        status =
            schedule(fleet, event->at_s + fleet->spec->interval_s, CONTROL_SCALE, index, error);
    return status;
}

/* ---- opening, moving, picking -------------------------------------------------------------------
 */

static void set_prices(PriceSpec *prices, const ClusterSpec *spec)
{
    if (spec->gpu_hour_usd > 0) {
        prices->basis = PRICE_HOURLY;
        prices->gpu_hour_usd = spec->gpu_hour_usd;
    }
    if (spec->energy_usd_per_j > 0)
        prices->energy_usd_per_j = spec->energy_usd_per_j;
    if (spec->pue > 0)
        prices->pue = spec->pue;
    if (spec->co2_kg_per_j > 0)
        prices->co2_kg_per_j = spec->co2_kg_per_j;
}

static Status open_cluster(Fleet *fleet, size_t index, Error *error)
{
    Cluster *cluster = &fleet->clusters[index];
    const ClusterSpec *spec = &fleet->spec->clusters[index];
    Status status = STATUS_OK;

    cluster->spec = spec;
    cluster->result = &fleet->result->clusters[index];
    cluster->fewer_since_s = -1;
    cluster->failures = random_stream(fleet->options->seed, "datacentre failures", index);
    cluster->first_slot = fleet->slot_count;
    cluster->scenario = malloc(sizeof *cluster->scenario);
    if (cluster->scenario == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    *cluster->scenario = *fleet->scenario;
    set_prices(&cluster->scenario->prices, spec);
    if ((double)fleet->slot_count + spec->replicas > MAX_FLEET_REPLICAS)
        return error_set(error, STATUS_INVALID, "fleet.clusters: more than %d replicas in all",
                         (int)MAX_FLEET_REPLICAS);
    for (size_t i = 0; i < (size_t)spec->replicas && status == STATUS_OK; i++) {
        Slot *slot = &fleet->slots[fleet->slot_count++];
        slot->fleet = fleet;
        slot->cluster = index;
        slot->first = NO_RECORD;
        cluster->slot_count++;
        status = new_unit(slot, error);
        enter(fleet, slot, SLOT_READY, 0);
    }
    if (status == STATUS_OK && spec->outage_s > 0) {
        status = schedule(fleet, spec->outage_start_s, CONTROL_DOWN, index, error);
        if (status == STATUS_OK)
            status =
                schedule(fleet, spec->outage_start_s + spec->outage_s, CONTROL_UP, index, error);
    }
    if (status == STATUS_OK)
        status = schedule_failure(fleet, index, 0, error);
    if (status == STATUS_OK && fleet->spec->target > 0)
        status = schedule(fleet, fleet->spec->interval_s, CONTROL_SCALE, index, error);
    return status;
}

Status clusters_open(Fleet *fleet, Error *error)
{
    Status status = STATUS_OK;
    fleet->cluster_count = fleet->spec->cluster_count;
    for (size_t i = 0; i < fleet->cluster_count && status == STATUS_OK; i++)
        status = open_cluster(fleet, i, error);
    return status;
}

void clusters_close(Fleet *fleet)
{
    for (size_t i = 0; i < fleet->slot_count; i++)
        unit_destroy(fleet->slots[i].unit);
    for (size_t i = 0; i < fleet->cluster_count; i++)
        free(fleet->clusters[i].scenario);
}

Status clusters_advance(Fleet *fleet, double now_s, Error *error)
{
    Status status = STATUS_OK;
    for (size_t i = 0; i < fleet->slot_count && status == STATUS_OK; i++) {
        Slot *slot = &fleet->slots[i];
        if (slot->in_system > 0)
            status = unit_advance(slot->unit, now_s, error);
        if (slot->state == SLOT_DRAINING && slot->in_system == 0)
            enter(fleet, slot, fleet->clusters[slot->cluster].down ? SLOT_DOWN : SLOT_RELEASED,
                  fmin(now_s, fmax(slot->since_s, unit_now(slot->unit))));
    }
    fleet->seen_s = now_s;
    return status;
}

size_t cluster_pick(Cluster *cluster, const Fleet *fleet)
{
    const int in_turn = fleet->spec->routing == ROUTE_ROUND_ROBIN;
    size_t best = fleet->slot_count;
    for (size_t i = 0; i < cluster->slot_count; i++) {
        const size_t at =
            cluster->first_slot + (in_turn ? (cluster->turn + i) % cluster->slot_count : i);
        const Slot *slot = &fleet->slots[at];
        if (slot->state != SLOT_READY)
            continue;
        if (in_turn) {
            cluster->turn = at - cluster->first_slot + 1;
            return at;
        }
        if (best == fleet->slot_count || slot->in_system < fleet->slots[best].in_system)
            best = at;
    }
    return best;
}
