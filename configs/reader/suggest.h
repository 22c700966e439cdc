/* The nearest valid name. */
#ifndef CONFIGS_READER_SUGGEST_H
#define CONFIGS_READER_SUGGEST_H

#include <stddef.h>

/* Edits (insert, delete, replace, swap neighbours) between two names; long names count as far.
 * Restricted Damerau-Levenshtein distance (optimal string alignment). */
size_t suggest_distance(const char *a, const char *b);

/* Keeps the best of the candidates offered one after the other. Zero-initialise but for `word`. */
typedef struct Suggestion {
    const char *word; /* what was written */
    const char *best; /* NULL: none is near */
    size_t distance;
} Suggestion;

/* Near means at most 2 edits and at most a third of the longer name. The first of equals stays. */
void suggest_offer(Suggestion *suggestion, const char *candidate);

#endif
