#include "sim/serving/fleet_state.h"

#include "configs/reader/sample.h"
#include "sim/serving/serve_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const uint32_t NO_RECORD = UINT32_MAX;

enum { FIRST_RECORDS = 1024, MOST_RECORDS = 1 << 24 };

/* ---- requests -----------------------------------------------------------------------------------
 */

/* Doubles the room for requests that are under way. */
static Status grow(Fleet *fleet, Error *error)
{
    const size_t room = fleet->record_room == 0 ? FIRST_RECORDS : 2 * fleet->record_room;
    if (room > MOST_RECORDS)
        return error_set(error, STATUS_NO, "more than %d requests are under way: past all capacity",
                         (int)MOST_RECORDS);
    Record *records = realloc(fleet->records, room * sizeof *records);
    if (records == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu requests", room);
    for (size_t i = room; i > fleet->record_room; i--) {
        records[i - 1].newer = fleet->unused;
        fleet->unused = (uint32_t)(i - 1);
    }
    fleet->records = records;
    fleet->record_room = room;
    return STATUS_OK;
}

static void forget(Fleet *fleet, uint32_t index)
{
    fleet->records[index].newer = fleet->unused;
    fleet->unused = index;
}

void fleet_first_token(void *context, const QueuedRequest *request, double now_s)
{
    const Slot *slot = context;
    Record *record = &slot->fleet->records[request->tag];
    if (record->first_s < 0)
        record->first_s = now_s;
}

void fleet_finished(void *context, const QueuedRequest *request, double now_s)
{
    Slot *slot = context;
    Fleet *fleet = slot->fleet;
    Cluster *cluster = &fleet->clusters[slot->cluster];
    ClusterResult *result = cluster->result;
    const Record *record = &fleet->records[request->tag];
    const double back_s = fleet->regions[record->region].latency_s[slot->cluster];
    const double first_s = record->first_s >= 0 ? record->first_s : now_s;
    const double decoded = request->output - 1.0;
    const double values[LATENCY_KINDS] = {
        [LATENCY_TTFT] = first_s + back_s - record->asked_s,
        [LATENCY_TPOT] = decoded > 0 ? (now_s - first_s) / decoded : 0,
        [LATENCY_E2E] = now_s + back_s - record->asked_s,
    };
    int good = 1;
    for (size_t kind = 0; kind < LATENCY_KINDS; kind++)
        if (kind != LATENCY_TPOT || decoded > 0) {
            histogram_add(&cluster->latency[kind], values[kind]);
            histogram_add(&fleet->latency[kind], values[kind]);
        }
    for (size_t i = 0; i < fleet->options->slo.count; i++)
        good &= values[fleet->options->slo.limits[i].kind] < fleet->options->slo.limits[i].limit_s;
    result->finished++;
    result->good += good;
    result->input_tokens += request->prompt;
    result->output_tokens += request->output;
    cluster->in_system--;
    slot_unlink(fleet, slot, request->tag);
    forget(fleet, request->tag);
}

/* ---- routing ------------------------------------------------------------------------------------
 */

static int takes(const Cluster *cluster)
{
    return cluster->ready > 0;
}

static double load_of(const Cluster *cluster)
{
    return (double)cluster->in_system / (double)cluster->ready;
}

static size_t least_loaded(const Fleet *fleet, const Region *region)
{
    size_t best = fleet->cluster_count;
    for (size_t i = 0; i < fleet->cluster_count; i++) {
        const size_t at = region->nearest[i]; /* of equal loads the nearer */
        const Cluster *cluster = &fleet->clusters[at];
        if (takes(cluster) &&
            (best == fleet->cluster_count || load_of(cluster) < load_of(&fleet->clusters[best])))
            best = at;
    }
    return best;
}

static size_t nearest(const Fleet *fleet, const Region *region)
{
    const double spill = fleet->spec->spill;
    for (size_t i = 0; i < fleet->cluster_count; i++) {
        const Cluster *cluster = &fleet->clusters[region->nearest[i]];
        if (takes(cluster) && (!(spill > 0) || load_of(cluster) < spill))
            return region->nearest[i];
    }
    return least_loaded(fleet, region);
}

/* Replicas in turn over all datacentres. */
static size_t in_turn(Fleet *fleet)
{
    for (size_t i = 0; i < fleet->slot_count; i++) {
        const size_t at = (fleet->turn + i) % fleet->slot_count;
        if (fleet->slots[at].state == SLOT_READY) {
            fleet->turn = at + 1;
            return fleet->slots[at].cluster;
        }
    }
    return fleet->cluster_count;
}

/* Sends a request on its way; one that finds no datacentre up is lost. */
static Status dispatch(Fleet *fleet, uint32_t index, double now_s, Error *error)
{
    Record *record = &fleet->records[index];
    const Region *region = &fleet->regions[record->region];
    const Routing routing = fleet->spec->routing;
    if (routing != ROUTE_ROUND_ROBIN && now_s - fleet->seen_s >= fleet->spec->poll_s) {
        const Status status = clusters_advance(fleet, now_s, error);
        if (status != STATUS_OK)
            return status;
    }
    const size_t chosen = routing == ROUTE_ROUND_ROBIN    ? in_turn(fleet)
                          : routing == ROUTE_LEAST_LOADED ? least_loaded(fleet, region)
                                                          : nearest(fleet, region);
    if (chosen == fleet->cluster_count) {
        fleet->result->lost++;
        forget(fleet, index);
        return STATUS_OK;
    }
    record->cluster = (uint32_t)chosen;
    fleet->clusters[chosen].in_system++;
    const double at_s =
        now_s + region->latency_s[chosen] + fleet->scenario->serving.request_overhead_s;
    if (!time_heap_push(&fleet->on_the_way, at_s, index))
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    return STATUS_OK;
}

/* A request reaches its datacentre. */
static Status arrive(Fleet *fleet, const TimedTag *event, Error *error)
{
    const uint32_t index = (uint32_t)event->tag;
    Record *record = &fleet->records[index];
    Cluster *cluster = &fleet->clusters[record->cluster];
    const size_t chosen = cluster_pick(cluster, fleet);
    if (chosen == fleet->slot_count) { /* it went down meanwhile */
        cluster->in_system--;
        return dispatch(fleet, index, event->at_s, error);
    }
    Slot *slot = &fleet->slots[chosen];
    Status status = unit_advance(slot->unit, event->at_s, error);
    if (status != STATUS_OK)
        return status;
    cluster->arrivals++;
    cluster->result->asked++;
    const size_t bin = (size_t)fmin(FLEET_BINS - 1, event->at_s / fleet->result->bin_s);
    cluster->result->bins[bin].asked++;
    const QueuedRequest request = {.arrival_s = event->at_s,
                                   .first_s = -1,
                                   .prompt = record->prompt,
                                   .output = record->output,
                                   .tag = index};
    slot_link(fleet, slot, index);
    status = unit_offer(slot->unit, &request, error);
    if (status != STATUS_NO)
        return status;
    slot_unlink(fleet, slot, index);
    cluster->in_system--;
    cluster->result->rejected++;
    forget(fleet, index);
    return STATUS_OK;
}

/* A region asks its next request. */
static Status ask(Fleet *fleet, size_t which, Error *error)
{
    Region *region = &fleet->regions[which];
    int more = 1;
    Status status = fleet->unused == NO_RECORD ? grow(fleet, error) : STATUS_OK;
    if (status != STATUS_OK)
        return status;
    const uint32_t index = fleet->unused;
    Record *record = &fleet->records[index];
    fleet->unused = record->newer;
    *record = (Record){.asked_s = region->next.at_s,
                       .first_s = -1,
                       .prompt = (uint32_t)region->next.prompt,
                       .output = (uint32_t)region->next.output,
                       .region = (uint32_t)which};
    fleet->result->asked++;
    status = dispatch(fleet, index, region->next.at_s, error);
    if (status == STATUS_OK)
        status = arrivals_next(&region->stream, &region->next, &more, error);
    return status;
}

/* ---- the day ------------------------------------------------------------------------------------
 */

static size_t region_that_asks_next(const Fleet *fleet)
{
    size_t first = 0;
    for (size_t i = 1; i < fleet->region_count; i++)
        if (fleet->regions[i].next.at_s < fleet->regions[first].next.at_s)
            first = i;
    return first;
}

static Status close_bin(Fleet *fleet, size_t bin, Error *error)
{
    const FleetOptions *options = fleet->options;
    const double now_s = (double)(bin + 1) * fleet->result->bin_s;
    const Status status = clusters_advance(fleet, now_s, error);
    if (status != STATUS_OK)
        return status;
    fleet_close_bin(fleet, bin, now_s);
    if (options->progress != NULL &&
        options->progress(options->progress_context, bin + 1, FLEET_BINS))
        return error_set(error, STATUS_INTERRUPTED, "interrupted after %zu of %d parts", bin + 1,
                         (int)FLEET_BINS);
    return STATUS_OK;
}

/* At the same time: bins end, datacentres change, requests arrive, are asked again, are asked. */
static Status run(Fleet *fleet, Error *error)
{
    const double end_s = fleet->result->seconds;
    size_t bins = 0;
    Status status = STATUS_OK;
    while (status == STATUS_OK) {
        const size_t region = region_that_asks_next(fleet);
        const double ask_s =
            fleet->regions[region].next.at_s < end_s ? fleet->regions[region].next.at_s : HUGE_VAL;
        const double bin_s =
            bins < FLEET_BINS ? (double)(bins + 1) * fleet->result->bin_s : HUGE_VAL;
        const double control_s = time_heap_first_s(&fleet->controls);
        const double arrive_s = time_heap_first_s(&fleet->on_the_way);
        const double again_s = time_heap_first_s(&fleet->again);
        const double next_s = fmin(fmin(ask_s, bin_s), fmin(arrive_s, again_s));
        if (next_s == HUGE_VAL)
            break; /* what datacentres would do later concerns nobody */
        if (bin_s <= fmin(next_s, control_s)) {
            status = close_bin(fleet, bins++, error);
        } else if (control_s <= next_s) {
            const TimedTag event = time_heap_pop(&fleet->controls);
            status = clusters_control(fleet, &event, error);
        } else if (arrive_s <= next_s) {
            const TimedTag event = time_heap_pop(&fleet->on_the_way);
            status = arrive(fleet, &event, error);
        } else if (again_s <= next_s) {
            const TimedTag event = time_heap_pop(&fleet->again);
            status = dispatch(fleet, (uint32_t)event.tag, event.at_s, error);
        } else {
            status = ask(fleet, region, error);
        }
    }
    return status;
}

/* ---- opening ------------------------------------------------------------------------------------
 */

static size_t cluster_named(const FleetSpec *spec, const char *name)
{
    size_t i = 0;
    while (i < spec->cluster_count && strcmp(spec->clusters[i].name, name) != 0)
        i++;
    return i;
}

static size_t region_named(const FleetSpec *spec, const char *name)
{
    size_t i = 0;
    while (i < spec->region_count && strcmp(spec->regions[i].name, name) != 0)
        i++;
    return i;
}

static Status set_links(Fleet *fleet, Error *error)
{
    const FleetSpec *spec = fleet->spec;
    for (size_t i = 0; i < spec->link_count; i++) {
        const LinkSpec *link = &spec->links[i];
        const size_t region = region_named(spec, link->region);
        const size_t cluster = cluster_named(spec, link->cluster);
        if (region == spec->region_count || cluster == spec->cluster_count)
            return error_set(error, STATUS_INVALID, "fleet.links: there is no %s '%.40s'",
                             region == spec->region_count ? "region" : "cluster",
                             region == spec->region_count ? link->region : link->cluster);
        fleet->regions[region].latency_s[cluster] = link->latency_s;
    }
    for (size_t r = 0; r < spec->region_count; r++) {
        Region *region = &fleet->regions[r];
        for (size_t i = 0; i < spec->cluster_count; i++) {
            size_t place = i; /* insertion: equal latencies stay in order */
            while (place > 0 &&
                   region->latency_s[region->nearest[place - 1]] > region->latency_s[i]) {
                region->nearest[place] = region->nearest[place - 1];
                place--;
            }
            region->nearest[place] = i;
        }
    }
    return STATUS_OK;
}

static Status open_regions(Fleet *fleet, Error *error)
{
    const FleetSpec *spec = fleet->spec;
    double shares = 0;
    int more = 1;
    Status status = STATUS_OK;
    fleet->region_count = spec->region_count;
    for (size_t i = 0; i < spec->region_count; i++)
        shares += spec->regions[i].share;
    if (!(shares > 0))
        return error_set(error, STATUS_INVALID, "fleet.regions: no region asks anything");
    for (size_t i = 0; i < spec->region_count && status == STATUS_OK; i++) {
        Region *region = &fleet->regions[i];
        const double rate = fleet->result->rate_per_s * spec->regions[i].share / shares;
        region->next.at_s = HUGE_VAL;
        status = rate_curve_of_region(spec, &spec->regions[i], &region->curve, error);
        if (status != STATUS_OK || !(rate > 0))
            continue;
        region->stream =
            arrivals_on_curve(fleet->scenario, rate, &region->curve, fleet->options->seed, i);
        status = arrivals_next(&region->stream, &region->next, &more, error);
    }
    return status == STATUS_OK ? set_links(fleet, error) : status;
}

/* The stable maximum of one replica, and the rate that is meant. */
static Status set_rate(Fleet *fleet, Scenario *scenario, Error *error)
{
    const double replicas = scenario->serving.replicas;
    const LoadOptions load = {.seed = fleet->options->seed};
    FleetResult *result = fleet->result;
    double held = 0;
    LoadForecast *one = malloc(sizeof *one);
    if (one == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    scenario->serving.replicas = 1;
    const Status status = serve_load(scenario, &load, one, error);
    scenario->serving.replicas = replicas;
    if (status == STATUS_OK) {
        for (size_t i = 0; i < fleet->spec->cluster_count; i++) {
            held += fleet->spec->clusters[i].replicas;
            result->clusters[i].replicas = fleet->spec->clusters[i].replicas;
            snprintf(result->clusters[i].name, sizeof result->clusters[i].name, "%s",
                     fleet->spec->clusters[i].name);
        }
        result->maximum_per_s = one->stable_maximum_per_s;
        result->rate_per_s = fleet->options->rate_per_s > 0
                                 ? fleet->options->rate_per_s
                                 : scenario->serving.utilisation * held * result->maximum_per_s;
    }
    free(one);
    return status;
}

Status fleet_simulate(const Scenario *given, const FleetOptions *options, FleetResult *result,
                      Error *error)
{
    Scenario *scenario = malloc(sizeof *scenario);
    Fleet *fleet = calloc(1, sizeof *fleet);
    Status status = STATUS_OK;
    memset(result, 0, sizeof *result);
    if (scenario == NULL || fleet == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    scenario_midpoint(given, scenario);
    fleet->scenario = scenario;
    fleet->spec = &scenario->fleet;
    fleet->options = options;
    fleet->result = result;
    fleet->unused = NO_RECORD;
    result->cluster_count = scenario->fleet.cluster_count;
    result->seconds = scenario->fleet.duration_s;
    result->bin_s = result->seconds / FLEET_BINS;
    result->gpus_per_replica = serving_gpus(&scenario->serving);
    if (scenario->fleet.cluster_count == 0 || scenario->fleet.region_count == 0) {
        status = error_set(error, STATUS_INVALID, "the scenario has no fleet");
        error_hint(error, "give fleet.clusters and fleet.regions, as gpt4-fleet does");
        goto cleanup;
    }
    status = set_rate(fleet, scenario, error);
    if (status == STATUS_OK)
        status = clusters_open(fleet, error);
    if (status == STATUS_OK)
        status = open_regions(fleet, error);
    if (status == STATUS_OK)
        status = run(fleet, error);
    if (status ==
        STATUS_OK) /* money is counted to the end of the day, latencies to the last answer */
        status = clusters_advance(fleet, HUGE_VAL, error);
    if (status == STATUS_OK)
        fleet_conclude(fleet);
cleanup:
    if (fleet != NULL) {
        clusters_close(fleet);
        time_heap_free(&fleet->on_the_way);
        time_heap_free(&fleet->again);
        time_heap_free(&fleet->controls);
        free(fleet->records);
    }
    free(fleet);
    free(scenario);
    return status;
}
