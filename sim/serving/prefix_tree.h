/* Beginnings that prompts share, as a tree: a node is a piece of `piece_tokens` prompt tokens
 * behind those of its parent, and the same node means the same text from the start on. A prompt
 * names the deepest node of which it holds all tokens; 0 is the empty beginning. Nodes are known by
 * number and take 8 bytes each. */
#ifndef SIM_SERVING_PREFIX_TREE_H
#define SIM_SERVING_PREFIX_TREE_H

#include "configs/reader/error.h"

#include <stddef.h>
#include <stdint.h>

enum { MAX_PREFIX_NODES = 1 << 26 };

typedef struct PrefixNode {
    uint32_t parent;
    uint32_t depth; /* pieces down to and with this one; 0: not known yet */
} PrefixNode;

typedef struct PrefixTree {
    uint32_t piece_tokens; /* 0: nothing is shared */
    size_t room;           /* nodes 0 to room - 1 exist */
    PrefixNode *nodes;
} PrefixTree;

/* STATUS_NO when the node is known with another parent; STATUS_ENVIRONMENT without memory. */
Status prefix_tree_add(PrefixTree *tree, uint32_t node, uint32_t parent, Error *error);
void prefix_tree_free(PrefixTree *tree);

#endif
