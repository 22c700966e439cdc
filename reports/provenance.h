/* What every result carries, so that it can be made again. */
#ifndef REPORTS_PROVENANCE_H
#define REPORTS_PROVENANCE_H

#include "configs/reader/reader.h"

enum { RESULT_SCHEMA_VERSION = 1 };

extern const char PROGRAM_VERSION[]; /* from git describe, generated at build time */

typedef struct Provenance {
    const char *verb;     /* "train", "serve", "audit" */
    const char *scenario; /* name or path as given */
    char sha256[SHA256_HEX_BYTES];
    unsigned long long seed;
    size_t reps;
    size_t set_count;
    const char *const *sets;
} Provenance;

#endif
