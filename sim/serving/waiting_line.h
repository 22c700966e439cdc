/* Requests that no scheduler has taken yet: first come, first served, except that a request thrown
 * out of memory goes back to the head. A ring that grows by doubling up to a bound. */
#ifndef SIM_SERVING_WAITING_LINE_H
#define SIM_SERVING_WAITING_LINE_H

#include "configs/reader/error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct QueuedRequest {
    double arrival_s;
    double first_s; /* its first token; negative: none yet */
    uint32_t prompt, output;
    uint32_t given;  /* answer tokens that it has had; before first_s: elsewhere, with its prompt */
    uint32_t tag;    /* of the caller */
    uint32_t prefix; /* shared beginning of the prompt (prefix_tree.h); 0: none */
} QueuedRequest;

/* Whether its prompt was read elsewhere, so that keys and values have to be fetched. */
static inline int waiting_is_remote(const QueuedRequest *request)
{
    return request->given > 0 && request->first_s < 0;
}

typedef struct WaitingLine {
    QueuedRequest *ring;
    size_t room, count, head; /* room: a power of two, or 0 */
    size_t most;              /* count beyond which nothing is taken */
} WaitingLine;

/* STATUS_NO when `most` wait already. */
Status waiting_push(WaitingLine *line, const QueuedRequest *request, Error *error);
Status waiting_push_head(WaitingLine *line, const QueuedRequest *request, Error *error);

const QueuedRequest *waiting_first(const WaitingLine *line); /* NULL: nobody waits */
void waiting_pop(WaitingLine *line);
void waiting_free(WaitingLine *line);

#endif
