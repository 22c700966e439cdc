#include "sim/serving/waiting_line.h"

#include <stdlib.h>

enum { FIRST_ROOM = 64 };

/* Makes room for one more. */
static Status grow(WaitingLine *line, Error *error)
{
    if (line->count < line->room)
        return STATUS_OK;
    const size_t room = line->room == 0 ? FIRST_ROOM : 2 * line->room;
    QueuedRequest *ring = malloc(room * sizeof *ring);
    if (ring == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu waiting requests", room);
    for (size_t i = 0; i < line->count; i++)
        ring[i] = line->ring[(line->head + i) & (line->room - 1)];
    free(line->ring);
    line->ring = ring;
    line->room = room;
    line->head = 0;
    return STATUS_OK;
}

Status waiting_push(WaitingLine *line, const QueuedRequest *request, Error *error)
{
    if (line->count >= line->most)
        return error_set(error, STATUS_NO, "more than %zu requests wait", line->most);
    const Status status = grow(line, error);
    if (status == STATUS_OK)
        line->ring[(line->head + line->count++) & (line->room - 1)] = *request;
    return status;
}

Status waiting_push_head(WaitingLine *line, const QueuedRequest *request, Error *error)
{
    const Status status = grow(line, error);
    if (status != STATUS_OK)
        return status;
    line->head = (line->head + line->room - 1) & (line->room - 1);
    line->ring[line->head] = *request;
    line->count++;
    return STATUS_OK;
}

const QueuedRequest *waiting_first(const WaitingLine *line)
{
    return line->count > 0 ? &line->ring[line->head] : NULL;
}

void waiting_pop(WaitingLine *line)
{
    line->head = (line->head + 1) & (line->room - 1);
    line->count--;
}

void waiting_free(WaitingLine *line)
{
    free(line->ring);
    line->ring = NULL;
    line->room = line->count = 0;
}
