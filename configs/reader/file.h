/* Whole configuration files in memory. */
#ifndef CONFIGS_READER_FILE_H
#define CONFIGS_READER_FILE_H

#include "configs/reader/error.h"

#include <stddef.h>
#include <sys/types.h>

typedef struct FileText {
    char *bytes; /* free() it; ends with a NUL that does not count */
    size_t count;
    dev_t device; /* which file this is, whatever its name */
    ino_t inode;
} FileText;

/* Regular files up to TREE_MAX_BYTES. STATUS_INVALID: there is none, or it is no such file;
 * STATUS_ENVIRONMENT: the machine refuses. */
Status file_read(const char *path, FileText *text, Error *error);

/* The same for files that may be larger: tables. */
Status file_read_bounded(const char *path, size_t max_bytes, FileText *text, Error *error);

#endif
