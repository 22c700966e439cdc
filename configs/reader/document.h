/* Files to one tree: `base:` and named parts merged in, overrides applied. */
#ifndef CONFIGS_READER_DOCUMENT_H
#define CONFIGS_READER_DOCUMENT_H

#include "configs/reader/file.h"
#include "configs/reader/schema.h"
#include "configs/reader/tree.h"

enum { MAX_BASE_DEPTH = 8, MAX_FILES = 64, SCHEMA_VERSION = 1 };

typedef struct Document {
    const ConfigPaths *paths; /* NULL: no shipped files */
    ErrorList *errors;
    ErrorMark mark; /* where this document's problems begin */
    NodePool pool;
    size_t files; /* read so far */
    size_t depth; /* of files that are being read */
    struct {
        dev_t device;
        ino_t inode;
    } open_files[MAX_BASE_DEPTH + 1];
    bool
        incomplete; /* a file that was named could not be read: what it would hold is not missing */
} Document;

/* The merged mapping of a file of this part, or of a text; NULL with problems reported. */
Node *document_file(Document *document, const Part *part, const char *path, const Place *asked);
Node *document_text(Document *document, const Part *part, const char *label, const char *text,
                    size_t bytes);

/* The file that a name in a configuration stands for, merged. */
Node *document_named(Document *document, const Part *part, const Node *name);

/* Includes what `node`, a value for a group of this part, names; the mapping to use instead of it.
 */
Node *document_expand(Document *document, const Part *part, Node *node);

/* `over` laid over `under` by schema: groups mix, anything else replaces. Returns the result. */
Node *document_merge(Document *document, const Schema *schema, Node *under, Node *over);

/* "key=value" on `root`, the tree of the whole scenario. */
void document_override(Document *document, Node *root, const char *set);

void document_free(Document *document);

/* Every node below learns the nearest `source:`. */
void document_spread_sources(Document *document, Node *node, const char *inherited);

/* Checks and takes out `schema: 1`; of a part also `part: WORD`. */
bool document_check_header(Document *document, const Part *part, Node *root);

#endif
