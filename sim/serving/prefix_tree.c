#include "sim/serving/prefix_tree.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 1024 };

static Status make_room(PrefixTree *tree, uint32_t node, Error *error)
{
    size_t room = tree->room > 0 ? tree->room : FIRST_ROOM;
    if (node < tree->room)
        return STATUS_OK;
    if (node >= MAX_PREFIX_NODES)
        return error_set(error, STATUS_NO, "a shared piece is numbered %u (allowed: below %d)",
                         node, (int)MAX_PREFIX_NODES);
    while (room <= node)
        room *= 2;
    PrefixNode *nodes = realloc(tree->nodes, room * sizeof *nodes);
    if (nodes == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu shared pieces", room);
    memset(nodes + tree->room, 0, (room - tree->room) * sizeof *nodes);
    tree->nodes = nodes;
    tree->room = room;
    return STATUS_OK;
}

Status prefix_tree_add(PrefixTree *tree, uint32_t node, uint32_t parent, Error *error)
{
    Status status = make_room(tree, node, error);
    if (status == STATUS_OK)
        status = make_room(tree, parent, error);
    if (status != STATUS_OK)
        return status;
    PrefixNode *added = &tree->nodes[node];
    if (node == 0 || (parent != 0 && tree->nodes[parent].depth == 0))
        return error_set(error, STATUS_NO, "a shared piece follows one that is not known");
    if (added->depth > 0 && added->parent != parent)
        return error_set(error, STATUS_NO, "a shared piece follows another one than before");
    added->parent = parent;
    added->depth = tree->nodes[parent].depth + 1;
    return STATUS_OK;
}

void prefix_tree_free(PrefixTree *tree)
{
    free(tree->nodes);
    *tree = (PrefixTree){0};
}
