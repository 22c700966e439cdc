/* Transfers over links that share bandwidth max-min fairly.
 *
 * Each flow crosses up to FLOW_LINKS links. Rates are those of progressive filling (Bertsekas and
 * Gallager, Data Networks, 2nd edition, section 6.5.2): all grow alike until a link is full, the
 * flows over it stay as they are and the others grow on. They are solved again whenever a flow
 * starts or ends, O(links + flows) for each link that fills. Nothing is allocated but for more
 * flows at once than ever before. */
#ifndef SIM_NETWORK_FLOWS_H
#define SIM_NETWORK_FLOWS_H

#include "configs/reader/error.h"

#include <stddef.h>
#include <stdint.h>

enum { FLOW_LINKS = 2 };

typedef struct FlowNetwork FlowNetwork;

/* `bytes_per_s[i]` of link i, above 0; HUGE_VAL: no limit. */
Status flows_create(const double *bytes_per_s, size_t links, FlowNetwork **network, Error *error);
void flows_destroy(FlowNetwork *network);

/* The flow begins to move at `start_s`, at or behind the time of the last event. A link may stand
 * in both places: it then counts once. `tag` is the caller's. */
Status flows_start(FlowNetwork *network, double start_s, double bytes,
                   const size_t links[FLOW_LINKS], uint64_t tag, Error *error);

/* When a flow next starts to move or ends; HUGE_VAL: there is none. */
double flows_next_s(const FlowNetwork *network);

/* Moves time on to the next end of a flow, at `until_s` at most, and takes that flow out. Of flows
 * that end at the same time the one started first. 0: none ends until then. */
int flows_end_next(FlowNetwork *network, double until_s, uint64_t *tag);

/* Bytes that went over a link until the last event. */
double flows_link_bytes(const FlowNetwork *network, size_t link);
size_t flows_count(const FlowNetwork *network);

#endif
