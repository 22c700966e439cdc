/* Nodes and the pool that owns them. */
#include "configs/reader/tree.h"

#include <stdlib.h>
#include <string.h>

typedef struct PoolText {
    struct PoolText *next;
    char text[];
} PoolText;

void pool_free(NodePool *pool)
{
    for (Node *node = pool->first; node != NULL;) {
        Node *next = node->next;
        free(node->text);
        free(node->items);
        free(node);
        node = next;
    }
    for (PoolText *text = pool->texts; text != NULL;) {
        PoolText *next = text->next;
        free(text);
        text = next;
    }
    *pool = (NodePool){0};
}

const char *pool_text(NodePool *pool, const char *text)
{
    for (const PoolText *known = pool->texts; known != NULL; known = known->next)
        if (strcmp(known->text, text) == 0)
            return known->text;
    size_t bytes = strlen(text) + 1;
    PoolText *copy = malloc(sizeof *copy + bytes);
    if (copy == NULL)
        return NULL;
    memcpy(copy->text, text, bytes);
    copy->next = pool->texts;
    pool->texts = copy;
    return copy->text;
}

static Node *pool_node(NodePool *pool, NodeKind kind, const Place *place)
{
    if (pool->count >= TREE_MAX_POOL_NODES)
        return NULL;
    Node *node = calloc(1, sizeof *node);
    if (node == NULL)
        return NULL;
    node->kind = kind;
    node->place = *place;
    node->next = pool->first;
    pool->first = node;
    pool->count++;
    return node;
}

Node *pool_scalar(NodePool *pool, const Place *place, const char *text, size_t bytes)
{
    Node *node = pool_node(pool, NODE_SCALAR, place);
    if (node == NULL)
        return NULL;
    node->text = malloc(bytes + 1);
    if (node->text == NULL)
        return NULL; /* the pool frees the node */
    if (bytes > 0)
        memcpy(node->text, text, bytes);
    node->text[bytes] = '\0';
    return node;
}

Node *pool_collection(NodePool *pool, NodeKind kind, const Place *place)
{
    return pool_node(pool, kind, place);
}

static bool reserve_items(Node *node, size_t needed)
{
    if (needed <= node->capacity)
        return true;
    size_t capacity = node->capacity < 8 ? 8 : 2 * node->capacity; /* bounded by TREE_MAX_NODES */
    Node **items = realloc(node->items, capacity * sizeof *items);
    if (items == NULL)
        return false;
    node->items = items;
    node->capacity = capacity;
    return true;
}

bool sequence_append(Node *sequence, Node *item)
{
    if (!reserve_items(sequence, sequence->count + 1))
        return false;
    sequence->items[sequence->count++] = item;
    return true;
}

bool mapping_append(Node *mapping, Node *key, Node *value)
{
    if (!reserve_items(mapping, 2 * (mapping->count + 1)))
        return false;
    mapping->items[2 * mapping->count] = key;
    mapping->items[2 * mapping->count + 1] = value;
    mapping->count++;
    return true;
}

/* The index of an entry, or `count`. */
static size_t mapping_index(const Node *mapping, const char *key)
{
    size_t index = 0;
    while (index < mapping->count && strcmp(mapping->items[2 * index]->text, key) != 0)
        index++;
    return index;
}

Node *mapping_key(const Node *mapping, const char *key)
{
    if (mapping == NULL || mapping->kind != NODE_MAPPING)
        return NULL;
    size_t index = mapping_index(mapping, key);
    return index < mapping->count ? mapping->items[2 * index] : NULL;
}

Node *mapping_find(const Node *mapping, const char *key)
{
    if (mapping == NULL || mapping->kind != NODE_MAPPING)
        return NULL;
    size_t index = mapping_index(mapping, key);
    return index < mapping->count ? mapping->items[2 * index + 1] : NULL;
}

bool mapping_put(Node *mapping, Node *key, Node *value)
{
    size_t index = mapping_index(mapping, key->text);
    if (index == mapping->count)
        return mapping_append(mapping, key, value);
    mapping->items[2 * index] = key;
    mapping->items[2 * index + 1] = value;
    return true;
}

Node *mapping_take(Node *mapping, const char *key)
{
    if (mapping == NULL || mapping->kind != NODE_MAPPING)
        return NULL;
    size_t index = mapping_index(mapping, key);
    if (index == mapping->count)
        return NULL;
    Node *value = mapping->items[2 * index + 1];
    memmove(&mapping->items[2 * index], &mapping->items[2 * index + 2],
            2 * (mapping->count - index - 1) * sizeof *mapping->items);
    mapping->count--;
    return value;
}
