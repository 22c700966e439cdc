/* From a tree of nodes to a struct, by a schema. */
#ifndef CONFIGS_READER_DECODE_H
#define CONFIGS_READER_DECODE_H

#include "configs/reader/schema.h"
#include "configs/reader/tree.h"

enum { FIELD_PATH_BYTES = 128 };

typedef struct Decoder {
    const Schema *root;     /* for suggestions */
    void *target;           /* the struct that offsets count from */
    Scenario *uncertain;    /* gets the ranges; NULL: ranges are refused */
    ResolvedList *resolved; /* may be NULL */
    ErrorList *errors;
    bool incomplete; /* what is not there is not reported: a file is missing already */
    bool part_only;  /* a part on its own: what belongs to the job may miss */
} Decoder;

/* Fills the struct at target + offset from `mapping` and the table's defaults. `mapping` NULL: the
 * group was left out; its defaults are filled in, and what has none stays zero. Unknown keys,
 * missing keys and bad values are reported. */
void decode_group(Decoder *decoder, const Schema *schema, const Node *mapping, size_t offset,
                  const char *path);

/* One value (number, word, text), as given or as the table's default when `node` is NULL. */
void decode_value(Decoder *decoder, const Field *field, const Node *node, size_t offset,
                  const char *path);

/* Adds a line to the list of resolved values; `node` NULL: a default. */
void decode_record(Decoder *decoder, const char *path, const char *value, const Node *node,
                   bool is_range);

/* `source:` as one text; NULL when there is none or it is neither a text nor a list of texts. */
bool decode_is_text_or_texts(const Node *node);

#endif
