/* The canonical form of any struct that a schema fills. */
#ifndef CONFIGS_READER_CANONICAL_H
#define CONFIGS_READER_CANONICAL_H

#include "configs/reader/reader.h"
#include "configs/reader/schema.h"

/* JSON, keys sorted, SI units, %.17g, one line with '\n'; labels left out. `uncertain` (may be
 * NULL): the scenario whose ranges belong to it. malloc'ed; NULL when memory ran out. */
char *canonical_text(const Schema *schema, const void *target, const Scenario *uncertain);

void canonical_sha256(const char *text, char sha256[SHA256_HEX_BYTES]);

#endif
