#include "sim/serving/disaggregated.h"

#include "hw/collective.h"
#include "sim/engine/random.h"
#include "sim/network/flows.h"

#include <math.h>
#include <stdlib.h>

static const uint32_t NO_HANDOVER = UINT32_MAX;

/* A request between its arrival and its last token; its index is the tag that replicas see. */
typedef struct Handover {
    QueuedRequest asked; /* as offered */
    double first_s;
    uint32_t members[SERVING_SIDES];
    size_t kept_lane, placed_lane;
    uint64_t kept_blocks, place;
    double reading_s, kept_s; /* the prompt: begun, and read to its end */
    double placed_s;          /* blocks on the decode side */
    double sent_s;            /* the transfer was asked for */
    uint32_t next_unused;
} Handover;

typedef struct Member {
    DisaggregatedGroup *group;
    Replica *replica;
    uint32_t index;
    ServingSide side;
    double outstanding; /* prefill: prompt tokens to read; decode: requests */
    double next_s;      /* of its next event, unless it was touched since */
    int starts, touched;
} Member;

struct DisaggregatedGroup {
    double until_s; /* of the advance under way */
    GroupPart part;
    LaneSink sink;
    DisaggregatedSpec spec;
    uint32_t first[SERVING_SIDES], count[SERVING_SIDES]; /* among the members */
    double gpus[SERVING_SIDES];
    uint32_t member_count;
    Member *members;
    FlowNetwork *network; /* link i: the ports of member i */
    double latency_s, layers;
    double kv_block_tokens, kv_block_bytes; /* of the decode side, on all GPUs of a replica */
    Handover *handovers;
    uint32_t handover_room, unused;
    TransferUse transfers;
    Status status; /* of what went wrong inside a callback */
    Error error;
};

/* ---- requests under way -------------------------------------------------------------------------
 */

static uint32_t take_handover(DisaggregatedGroup *group, Error *error)
{
    if (group->unused == NO_HANDOVER) {
        const uint32_t room = group->handover_room > 0 ? 2 * group->handover_room : 256;
        Handover *grown = realloc(group->handovers, room * sizeof *grown);
        if (grown == NULL) {
            error_set(error, STATUS_ENVIRONMENT, "out of memory for %u requests", room);
            return NO_HANDOVER;
        }
        group->handovers = grown;
        for (uint32_t i = room; i-- > group->handover_room;) {
            grown[i].next_unused = group->unused;
            group->unused = i;
        }
        group->handover_room = room;
    }
    const uint32_t index = group->unused;
    group->unused = group->handovers[index].next_unused;
    return index;
}

static void give_handover_back(DisaggregatedGroup *group, uint32_t index)
{
    group->handovers[index].next_unused = group->unused;
    group->unused = index;
}

static Member *member_of(const DisaggregatedGroup *group, const Handover *handover,
                         ServingSide side)
{
    return &group->members[handover->members[side]];
}

/* The one with the least to do, the first of several. */
static Member *least_loaded(const DisaggregatedGroup *group, ServingSide side)
{
    Member *least = &group->members[group->first[side]];
    for (uint32_t i = 1; i < group->count[side]; i++) {
        Member *const member = &group->members[group->first[side] + i];
        if (member->outstanding < least->outstanding)
            least = member;
    }
    return least;
}

static void note(DisaggregatedGroup *group, Status status)
{
    if (group->status == STATUS_OK)
        group->status = status;
}

static void offer_prefill(DisaggregatedGroup *group, uint32_t index, double now_s)
{
    Member *const member = least_loaded(group, SIDE_PREFILL);
    Handover *const handover = &group->handovers[index];
    const QueuedRequest request = {.arrival_s = now_s,
                                   .first_s = -1,
                                   .prompt = handover->asked.prompt,
                                   .output = 1,
                                   .tag = index,
                                   .prefix = handover->asked.prefix};
    handover->members[SIDE_PREFILL] = member->index;
    member->outstanding += request.prompt;
    member->touched = 1;
    note(group, replica_offer_early(member->replica, &request, &group->error));
}

static void offer_decode(DisaggregatedGroup *group, uint32_t index, double now_s)
{
    Member *const member = least_loaded(group, SIDE_DECODE);
    Handover *const handover = &group->handovers[index];
    const uint32_t output = handover->asked.output;
    const QueuedRequest request = {.arrival_s = now_s,
                                   .first_s = -1,
                                   .prompt = handover->asked.prompt,
                                   .output = output > 1 ? output : 2,
                                   .given = 1,
                                   .tag = index};
    handover->members[SIDE_DECODE] = member->index;
    member->outstanding++;
    member->touched = 1;
    note(group, replica_offer_early(member->replica, &request, &group->error));
}

static void tell_first_token(const DisaggregatedGroup *group, uint32_t index, double now_s)
{
    Handover *const handover = &group->handovers[index];
    QueuedRequest told = handover->asked;
    told.given = 1;
    told.first_s = handover->first_s = now_s;
    if (group->sink.first_token != NULL)
        group->sink.first_token(group->sink.context, &told, now_s);
}

static void tell_finished(DisaggregatedGroup *group, uint32_t index, double now_s)
{
    QueuedRequest done = group->handovers[index].asked;
    done.first_s = group->handovers[index].first_s;
    done.given = done.output;
    give_handover_back(group, index);
    group->sink.finished(group->sink.context, &done, now_s);
}

/* ---- keys and values ---------------------------------------------------------------------------
 */

static double kv_bytes(const DisaggregatedGroup *group, const Handover *handover)
{
    return ceil(handover->asked.prompt / group->kv_block_tokens) * group->kv_block_bytes;
}

static void send(DisaggregatedGroup *group, uint32_t index, double now_s)
{
    Handover *const handover = &group->handovers[index];
    const size_t links[FLOW_LINKS] = {handover->members[SIDE_PREFILL],
                                      handover->members[SIDE_DECODE]};
    const double bytes = kv_bytes(group, handover);
    double left = bytes;
    if (group->spec.link.overlap == KV_BY_LAYER) {
        const double ports = fmin(group->transfers.ports_bytes_per_s[SIDE_PREFILL],
                                  group->transfers.ports_bytes_per_s[SIDE_DECODE]);
        left = fmax(bytes / group->layers, bytes - ports * (now_s - handover->reading_s));
    }
    handover->sent_s = now_s;
    group->transfers.count++;
    group->transfers.bytes += bytes;
    note(group,
         flows_start(group->network, now_s + group->latency_s, left, links, index, &group->error));
}

static void arrive(DisaggregatedGroup *group, uint32_t index, double now_s)
{
    const Handover *const handover = &group->handovers[index];
    Member *const from = member_of(group, handover, SIDE_PREFILL);
    Member *const to = member_of(group, handover, SIDE_DECODE);
    histogram_add(&group->transfers.wait_s, fmax(0, handover->placed_s - handover->kept_s));
    histogram_add(&group->transfers.network_s, now_s - handover->sent_s);
    histogram_add(&group->transfers.total_s, now_s - handover->kept_s);
    from->touched = to->touched = 1;
    replica_release(from->replica, handover->kept_lane, handover->kept_blocks,
                    handover->asked.prefix, handover->kept_s, now_s);
    replica_deliver(to->replica, handover->placed_lane, handover->place, handover->placed_s, now_s);
}

/* ---- what replicas tell ------------------------------------------------------------------------
 */

static void on_placed(void *context, const QueuedRequest *request, size_t lane, uint64_t place,
                      double now_s)
{
    Member *const member = context;
    DisaggregatedGroup *const group = member->group;
    Handover *const handover = &group->handovers[request->tag];
    if (member->side == SIDE_PREFILL) {
        handover->reading_s = now_s;
        return;
    }
    if (!waiting_is_remote(request))
        return; /* thrown out, to be read again */
    handover->placed_lane = lane;
    handover->place = place;
    handover->placed_s = now_s;
    if (group->part == GROUP_DECODE_ALONE) {
        member->touched = 1;
        replica_deliver(member->replica, lane, place, now_s, now_s);
    } else if (group->spec.link.overlap == KV_BY_LAYER) {
        offer_prefill(group, request->tag, now_s);
    } else {
        send(group, request->tag, now_s);
    }
}

static void on_kept(void *context, const QueuedRequest *request, size_t lane, uint64_t blocks,
                    double now_s)
{
    Member *const member = context;
    DisaggregatedGroup *const group = member->group;
    Handover *const handover = &group->handovers[request->tag];
    member->outstanding -= request->prompt;
    handover->kept_lane = lane;
    handover->kept_blocks = blocks;
    handover->kept_s = now_s;
    const int ends = handover->asked.output <= 1 || group->part == GROUP_PREFILL_ALONE;
    if (ends || group->spec.first_token == FIRST_TOKEN_FROM_PREFILL)
        tell_first_token(group, request->tag, now_s);
    if (ends) {
        replica_release(member->replica, lane, blocks, handover->asked.prefix, now_s, now_s);
        tell_finished(group, request->tag, now_s);
    } else if (group->spec.link.overlap == KV_BY_LAYER) {
        send(group, request->tag, now_s);
    } else {
        offer_decode(group, request->tag, now_s);
    }
}

/* Keys and values have come. */
static void on_first_token(void *context, const QueuedRequest *request, double now_s)
{
    const Member *const member = context;
    const DisaggregatedGroup *const group = member->group;
    if (member->side == SIDE_DECODE &&
        (group->spec.first_token == FIRST_TOKEN_FROM_DECODE || group->part == GROUP_DECODE_ALONE))
        tell_first_token(group, request->tag, now_s);
}

static void on_finished(void *context, const QueuedRequest *request, double now_s)
{
    Member *const member = context;
    member->outstanding--;
    tell_finished(member->group, request->tag, now_s);
}

/* ---- life --------------------------------------------------------------------------------------
 */

static Status create_side(DisaggregatedGroup *group, const Scenario *scenario, ServingSide side,
                          int step_by_step, Error *error)
{
    for (uint32_t i = 0; i < group->count[side]; i++) {
        Member *const member = &group->members[group->first[side] + i];
        const LaneSink sink = {.first_token = on_first_token,
                               .finished = on_finished,
                               .placed = on_placed,
                               .kept = side == SIDE_PREFILL ? on_kept : NULL,
                               .context = member};
        member->group = group;
        member->index = group->first[side] + i;
        member->side = side;
        member->touched = 1;
        const Status status =
            replica_create(scenario, &sink, step_by_step, &member->replica, error);
        if (status != STATUS_OK) {
            const Error found = *error;
            return error_set(error, status, "%s side: %s", SERVING_SIDE_WORDS[side], found.message);
        }
    }
    return STATUS_OK;
}

/* Bandwidth of one GPU's way out, and the time that a transfer takes however short it is. */
static void set_link(DisaggregatedGroup *group, const HardwareSpec *hardware,
                     double *bytes_per_s_of_gpu)
{
    const KvLinkSpec *link = &group->spec.link;
    const int inside = link->path == KV_WITHIN_NODE;
    *bytes_per_s_of_gpu = inside
                              ? hardware->node.all_gather.bytes_per_s
                              : hardware->fabric.p2p_efficiency * port_bytes_per_s_of_gpu(hardware);
    if (link->bytes_per_s > 0)
        *bytes_per_s_of_gpu = link->bytes_per_s;
    group->latency_s = link->latency_s +
                       (inside ? hardware->node.all_gather.base_s : hardware->fabric.p2p_latency_s);
}

static Status create_network(DisaggregatedGroup *group, const HardwareSpec *hardware, Error *error)
{
    double of_gpu;
    double *const ports = calloc(group->member_count, sizeof *ports);
    if (ports == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    set_link(group, hardware, &of_gpu);
    for (uint32_t i = 0; i < group->member_count; i++) {
        const ServingSide side = group->members[i].side;
        ports[i] = group->gpus[side] * of_gpu;
        group->transfers.ports_bytes_per_s[side] = ports[i];
    }
    const Status status = flows_create(ports, group->member_count, &group->network, error);
    free(ports);
    return status;
}

static Status check(const ServingSpec *serving, Error *error)
{
    for (int side = 0; side < SERVING_SIDES; side++) {
        const double replicas = serving_side_replicas(serving, (ServingSide)side);
        if (!(replicas >= 1 && replicas <= MAX_SIDE_REPLICAS))
            return error_set(error, STATUS_INVALID,
                             "serving.disaggregated.%s.replicas is %g: 1 to %d are simulated",
                             SERVING_SIDE_WORDS[side], replicas, (int)MAX_SIDE_REPLICAS);
    }
    return STATUS_OK;
}

Status group_create(const Scenario *scenario, const LaneSink *sink, int step_by_step,
                    GroupPart part, DisaggregatedGroup **created, Error *error)
{
    *created = NULL;
    Status status = check(&scenario->serving, error);
    if (status != STATUS_OK)
        return status;
    Scenario *const one = malloc(sizeof *one);
    DisaggregatedGroup *group = calloc(1, sizeof *group);
    if (one == NULL || group == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    group->part = part;
    group->sink = *sink;
    group->spec = scenario->serving.disaggregated;
    group->layers = scenario->model.layers;
    group->unused = NO_HANDOVER;
    for (int side = 0; side < SERVING_SIDES; side++) {
        group->first[side] = group->member_count;
        group->count[side] = (uint32_t)serving_side_replicas(&scenario->serving, (ServingSide)side);
        group->gpus[side] = serving_side_gpus(&scenario->serving, (ServingSide)side);
        group->member_count += group->count[side];
    }
    group->members = calloc(group->member_count, sizeof *group->members);
    if (group->members == NULL)
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
    for (int side = 0; side < SERVING_SIDES && status == STATUS_OK; side++) {
        serving_side_scenario(scenario, (ServingSide)side, one);
        status = create_side(group, one, (ServingSide)side, step_by_step, error);
    }
    if (status == STATUS_OK)
        status = create_network(group, &scenario->hardware, error);
    if (status != STATUS_OK)
        goto cleanup;
    const ReplicaMemory *memory = group_memory(group, SIDE_DECODE);
    group->kv_block_tokens = memory->block_tokens;
    /* The draft's keys and values come along where the draft read the prompt as well. */
    const int without_draft = scenario->serving.disaggregated.prefill.drafts == DRAFTS_NONE;
    const double token_bytes =
        memory->kv_bytes_per_token_gpu - (without_draft ? memory->draft_kv_bytes_per_token_gpu : 0);
    group->kv_block_bytes = memory->block_tokens * token_bytes * group->gpus[SIDE_DECODE];
    *created = group;
cleanup:
    if (status != STATUS_OK)
        group_destroy(group);
    free(one);
    return status;
}

void group_destroy(DisaggregatedGroup *group)
{
    if (group == NULL)
        return;
    for (uint32_t i = 0; group->members != NULL && i < group->member_count; i++)
        replica_destroy(group->members[i].replica);
    flows_destroy(group->network);
    free(group->members);
    free(group->handovers);
    free(group);
}

/* Each replica has a seed of its own. */
void group_seed(DisaggregatedGroup *group, uint64_t seed)
{
    for (uint32_t i = 0; i < group->member_count; i++) {
        RandomStream seeds = random_stream(seed, "replica", i);
        replica_seed(group->members[i].replica, random_u64(&seeds));
    }
}

/* ---- time --------------------------------------------------------------------------------------
 */

Status group_share(DisaggregatedGroup *group, const PrefixTree *tree, Error *error)
{
    Status status = STATUS_OK;
    for (uint32_t i = 0; i < group->member_count && status == STATUS_OK; i++)
        status = replica_share(group->members[i].replica, tree, error);
    return status;
}

void group_watch(DisaggregatedGroup *group, OccupancySeries series[SERVING_SIDES])
{
    for (uint32_t i = 0; i < group->member_count; i++)
        replica_watch(group->members[i].replica, &series[group->members[i].side]);
}

Status group_offer(DisaggregatedGroup *group, const QueuedRequest *request, Error *error)
{
    QueuedRequest prompt = *request;
    prompt.output = 1;
    Status status =
        replica_can_hold(group->members[group->first[SIDE_PREFILL]].replica, &prompt, error);
    if (status == STATUS_OK)
        status =
            replica_can_hold(group->members[group->first[SIDE_DECODE]].replica, request, error);
    if (status == STATUS_OK && group_waiting(group) >= MAX_WAITING)
        status = error_set(error, STATUS_NO, "more than %d requests wait", (int)MAX_WAITING);
    if (status != STATUS_OK)
        return status;
    const uint32_t index = take_handover(group, error);
    if (index == NO_HANDOVER)
        return error->status;
    group->handovers[index] = (Handover){.asked = *request, .first_s = -1};
    const int decode_first = group->part == GROUP_DECODE_ALONE ||
                             (group->part == GROUP_WHOLE &&
                              group->spec.link.overlap == KV_BY_LAYER && request->output > 1);
    if (decode_first)
        offer_decode(group, index, request->arrival_s);
    else
        offer_prefill(group, index, request->arrival_s);
    if (group->status != STATUS_OK)
        *error = group->error;
    return group->status;
}

/* The time of the next event of anything. */
static double next_event_s(DisaggregatedGroup *group)
{
    double at_s = flows_next_s(group->network);
    for (uint32_t i = 0; i < group->member_count; i++) {
        Member *const member = &group->members[i];
        if (member->touched)
            member->next_s = replica_next_s(member->replica, &member->starts);
        member->touched = 0;
        at_s = fmin(at_s, member->next_s);
    }
    return at_s;
}

/* Iterations and transfers that end at that time. */
static int end_all(DisaggregatedGroup *group, double at_s)
{
    int ended = 0;
    uint64_t tag;
    for (uint32_t i = 0; i < group->member_count; i++) {
        Member *const member = &group->members[i];
        if (member->starts || member->next_s > at_s)
            continue;
        note(group, replica_advance(member->replica, at_s, &group->error));
        member->touched = 1;
        ended = 1;
    }
    while (flows_end_next(group->network, at_s, &tag)) {
        arrive(group, (uint32_t)tag, at_s);
        ended = 1;
    }
    return ended;
}

/* In the order of time over all replicas: iterations and transfers that end, then iterations that
 * start. A run of like iterations on a replica without pipeline is planned to its end and cut short
 * when something comes in between. */
void group_hold(DisaggregatedGroup *group, double until_s)
{
    group->until_s = fmin(group->until_s, until_s);
}

Status group_advance(DisaggregatedGroup *group, double until_s, Error *error)
{
    group->until_s = until_s;
    while (group->status == STATUS_OK) {
        const double at_s = next_event_s(group);
        if (at_s > group->until_s || at_s == HUGE_VAL)
            return STATUS_OK;
        const int ended = end_all(group, at_s);
        if (at_s >= group->until_s) {
            if (!ended)
                return STATUS_OK;
            continue;
        }
        next_event_s(group);
        for (uint32_t i = 0; i < group->member_count; i++) {
            Member *const member = &group->members[i];
            if (!member->starts || member->next_s > at_s)
                continue;
            note(group, replica_start(member->replica, at_s, group->until_s, &group->error));
            member->touched = 1;
        }
    }
    *error = group->error;
    return group->status;
}

double group_now(const DisaggregatedGroup *group)
{
    double now_s = 0;
    for (uint32_t i = 0; i < group->member_count; i++)
        now_s = fmax(now_s, replica_now(group->members[i].replica));
    return now_s;
}

size_t group_waiting(const DisaggregatedGroup *group)
{
    size_t waiting = 0;
    for (uint32_t i = 0; i < group->member_count; i++)
        waiting += replica_waiting(group->members[i].replica);
    return waiting;
}

SideUse group_side(const DisaggregatedGroup *group, ServingSide side)
{
    SideUse use = {.replicas = group->count[side],
                   .gpus = group->gpus[side],
                   .memory = *group_memory(group, side)};
    for (uint32_t i = 0; i < group->count[side]; i++) {
        const ReplicaCounters counters =
            replica_counters(group->members[group->first[side] + i].replica);
        replica_counters_add(&use.counters, &counters);
    }
    return use;
}

const ReplicaMemory *group_memory(const DisaggregatedGroup *group, ServingSide side)
{
    return replica_memory(group->members[group->first[side]].replica);
}

const TransferUse *group_transfers(const DisaggregatedGroup *group)
{
    return &group->transfers;
}
