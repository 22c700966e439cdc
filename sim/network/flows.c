#include "sim/network/flows.h"

#include <math.h>
#include <stdlib.h>

typedef struct Flow {
    double start_s, left_bytes;
    double bytes_per_s; /* 0 before it starts to move */
    size_t links[FLOW_LINKS];
    uint64_t tag;
    int moves, fixed; /* fixed: its rate is found, while rates are solved */
} Flow;

typedef struct Link {
    double bytes_per_s, bytes;
    double left_per_s; /* while rates are solved */
    size_t growing;    /* likewise: flows over it whose rate is not found */
} Link;

struct FlowNetwork {
    double now_s;
    size_t link_count, count, room;
    Link *links;
    Flow *flows; /* in the order of their starting */
};

Status flows_create(const double *bytes_per_s, size_t links, FlowNetwork **created, Error *error)
{
    *created = NULL;
    for (size_t i = 0; i < links; i++)
        if (!(bytes_per_s[i] > 0))
            return error_set(error, STATUS_INVALID, "link %zu moves %g bytes/s: above 0 is needed",
                             i, bytes_per_s[i]);
    FlowNetwork *network = calloc(1, sizeof *network);
    if (network != NULL)
        network->links = calloc(links > 0 ? links : 1, sizeof *network->links);
    if (network == NULL || network->links == NULL) {
        flows_destroy(network);
        return error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu links", links);
    }
    network->link_count = links;
    for (size_t i = 0; i < links; i++)
        network->links[i].bytes_per_s = bytes_per_s[i];
    *created = network;
    return STATUS_OK;
}

void flows_destroy(FlowNetwork *network)
{
    if (network == NULL)
        return;
    free(network->links);
    free(network->flows);
    free(network);
}

/* Links of a flow, each once. */
static size_t links_of(const Flow *flow)
{
    return flow->links[1] == flow->links[0] ? 1 : FLOW_LINKS;
}

static void fix(FlowNetwork *network, Flow *flow, double bytes_per_s)
{
    flow->bytes_per_s = bytes_per_s;
    flow->fixed = 1;
    for (size_t i = 0; i < links_of(flow); i++) {
        Link *link = &network->links[flow->links[i]];
        link->left_per_s = fmax(0, link->left_per_s - bytes_per_s);
        link->growing--;
    }
}

static void solve(FlowNetwork *network)
{
    size_t growing = 0;
    for (size_t i = 0; i < network->link_count; i++) {
        network->links[i].left_per_s = network->links[i].bytes_per_s;
        network->links[i].growing = 0;
    }
    for (size_t i = 0; i < network->count; i++) {
        Flow *flow = &network->flows[i];
        flow->fixed = !flow->moves;
        for (size_t j = 0; flow->moves && j < links_of(flow); j++)
            network->links[flow->links[j]].growing++;
        growing += flow->moves != 0;
    }
    while (growing > 0) {
        /* The link that fills first, and the rate of each flow over it then. */
        double least = HUGE_VAL;
        size_t full = network->link_count;
        for (size_t i = 0; i < network->link_count; i++) {
            const Link *link = &network->links[i];
            if (link->growing > 0 && link->left_per_s / (double)link->growing < least) {
                least = link->left_per_s / (double)link->growing;
                full = i;
            }
        }
        for (size_t i = 0; i < network->count; i++) {
            Flow *flow = &network->flows[i];
            if (flow->fixed ||
                (full < network->link_count && flow->links[0] != full && flow->links[1] != full))
                continue;
            fix(network, flow, least);
            growing--;
        }
    }
}

static double end_s(const FlowNetwork *network, const Flow *flow)
{
    if (!flow->moves)
        return HUGE_VAL;
    return flow->left_bytes > 0 ? network->now_s + flow->left_bytes / flow->bytes_per_s
                                : network->now_s;
}

Status flows_start(FlowNetwork *network, double start_s, double bytes,
                   const size_t links[FLOW_LINKS], uint64_t tag, Error *error)
{
    if (network->count == network->room) {
        const size_t room = network->room > 0 ? 2 * network->room : 64;
        Flow *flows = realloc(network->flows, room * sizeof *flows);
        if (flows == NULL)
            return error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu flows", room);
        network->flows = flows;
        network->room = room;
    }
    network->flows[network->count++] = (Flow){.start_s = fmax(start_s, network->now_s),
                                              .left_bytes = bytes,
                                              .links = {links[0], links[1]},
                                              .tag = tag};
    return STATUS_OK;
}

double flows_next_s(const FlowNetwork *network)
{
    double next_s = HUGE_VAL;
    for (size_t i = 0; i < network->count; i++) {
        const Flow *flow = &network->flows[i];
        next_s = fmin(next_s, flow->moves ? end_s(network, flow) : flow->start_s);
    }
    return next_s;
}

/* Everything moves on to at_s; no flow starts or ends before then. */
static void move(FlowNetwork *network, double at_s)
{
    const double seconds = at_s - network->now_s;
    for (size_t i = 0; i < network->count && seconds > 0; i++) {
        Flow *flow = &network->flows[i];
        if (!flow->moves)
            continue;
        const double bytes = fmin(flow->left_bytes, seconds * flow->bytes_per_s);
        flow->left_bytes -= bytes;
        for (size_t j = 0; j < links_of(flow); j++)
            network->links[flow->links[j]].bytes += bytes;
    }
    network->now_s = fmax(network->now_s, at_s);
}

/* The flow that ends next, and when; count: none does before another starts. */
static size_t next_end(const FlowNetwork *network, double *at_s)
{
    size_t next = network->count;
    *at_s = HUGE_VAL;
    for (size_t i = 0; i < network->count; i++) {
        const double end = end_s(network, &network->flows[i]);
        if (end < *at_s) {
            *at_s = end;
            next = i;
        }
    }
    return next;
}

static double next_start(const FlowNetwork *network)
{
    double at_s = HUGE_VAL;
    for (size_t i = 0; i < network->count; i++)
        if (!network->flows[i].moves)
            at_s = fmin(at_s, network->flows[i].start_s);
    return at_s;
}

int flows_end_next(FlowNetwork *network, double until_s, uint64_t *tag)
{
    for (;;) {
        double at_s;
        const size_t ends = next_end(network, &at_s);
        const double start_s = next_start(network);
        if (fmin(at_s, start_s) > until_s || fmin(at_s, start_s) == HUGE_VAL)
            return 0;
        if (at_s <= start_s) {
            Flow *const flow = &network->flows[ends];
            move(network, at_s);
            /* What rounding left of it. */
            for (size_t j = 0; j < links_of(flow); j++)
                network->links[flow->links[j]].bytes += flow->left_bytes;
            *tag = flow->tag;
            network->count--;
            for (size_t i = ends; i < network->count; i++)
                network->flows[i] = network->flows[i + 1];
            solve(network);
            return 1;
        }
        move(network, start_s);
        for (size_t i = 0; i < network->count; i++)
            if (network->flows[i].start_s <= start_s)
                network->flows[i].moves = 1;
        solve(network);
    }
}

double flows_link_bytes(const FlowNetwork *network, size_t link)
{
    return network->links[link].bytes;
}

size_t flows_count(const FlowNetwork *network)
{
    return network->count;
}
