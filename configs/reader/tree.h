/* YAML text as a tree of located nodes: mappings, sequences and scalars, nothing else.
 *
 * Everything that a configuration has no use for is refused with its place: NUL and control bytes,
 * invalid UTF-8, several documents, tags, anchors and aliases, keys that are not plain texts, the
 * same key twice, and sizes beyond the bounds below. Scalars stay text; a schema decides what they
 * mean. */
#ifndef CONFIGS_READER_TREE_H
#define CONFIGS_READER_TREE_H

#include "configs/reader/place.h"

enum {
    TREE_MAX_BYTES = 1 << 20,
    TREE_MAX_DEPTH = 64,
    TREE_MAX_NODES = 20000,      /* of one text */
    TREE_MAX_POOL_NODES = 60000, /* of all texts that one document includes */
    TREE_MAX_KEYS = 1000         /* of one mapping */
};

typedef enum NodeKind { NODE_SCALAR, NODE_MAPPING, NODE_SEQUENCE } NodeKind;

typedef struct Node {
    NodeKind kind;
    bool quoted;   /* a scalar in quotes or a block text: never "no value" */
    bool replaces; /* a mapping that stands for a whole named part: merging replaces instead of
                      mixing */
    Place place;
    const char *source;  /* text of `source:` beside it or around it; NULL */
    char *text;          /* of a scalar */
    size_t count;        /* items of a sequence, entries of a mapping */
    size_t capacity;     /* of `items` */
    struct Node **items; /* sequence: its items; mapping: key and value in turn */
    struct Node *next;   /* in the pool */
} Node;

/* Owns nodes and file names; everything goes at once. Zero-initialise. */
typedef struct NodePool {
    Node *first;
    size_t count;
    struct PoolText *texts;
} NodePool;

void pool_free(NodePool *pool);

/* A copy that lives as long as the pool; NULL when memory ran out. */
const char *pool_text(NodePool *pool, const char *text);

/* New nodes; NULL when memory ran out or the pool is full. */
Node *pool_scalar(NodePool *pool, const Place *place, const char *text, size_t bytes);
Node *pool_collection(NodePool *pool, NodeKind kind, const Place *place);

/* False when memory ran out. */
bool sequence_append(Node *sequence, Node *item);
bool mapping_append(Node *mapping, Node *key, Node *value);

/* The value of a key, or NULL; a node that is no mapping has no keys. */
Node *mapping_find(const Node *mapping, const char *key);
Node *mapping_key(const Node *mapping, const char *key);

/* Replaces the value of `key` or appends the entry. */
bool mapping_put(Node *mapping, Node *key, Node *value);

/* Takes an entry out, keeping the order of the rest; returns its value or NULL. */
Node *mapping_take(Node *mapping, const char *key);

/* The root of the only document in `text`; NULL with problems in `errors`. Keys given twice are
 * problems too, but leave the tree standing, so that its other problems can be found. `file` must
 * live in the pool. */
Node *tree_parse(NodePool *pool, const char *file, const char *text, size_t bytes,
                 ErrorList *errors);

#endif
