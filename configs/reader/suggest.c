#include "configs/reader/suggest.h"

#include <string.h>

enum { MAX_WORD = 63, FAR = 1000, NEAR = 2 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t suggest_distance(const char *a, const char *b)
{
    size_t a_length = strlen(a);
    size_t b_length = strlen(b);
    if (a_length > MAX_WORD || b_length > MAX_WORD)
        return FAR;
    size_t rows[3][MAX_WORD + 1]; /* of the distance table: two before, one before, this */
    size_t *before_last = rows[0];
    size_t *last = rows[1];
    size_t *row = rows[2];
    for (size_t j = 0; j <= b_length; j++)
        last[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t replace = last[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(replace, least(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before_last[j - 2] + 1);
        }
        size_t *free_row = before_last;
        before_last = last;
        last = row;
        row = free_row;
    }
    return last[b_length];
}

void suggest_offer(Suggestion *suggestion, const char *candidate)
{
    size_t distance = suggest_distance(suggestion->word, candidate);
    size_t length = strlen(suggestion->word);
    if (strlen(candidate) > length)
        length = strlen(candidate);
    if (distance > NEAR || 3 * distance > length)
        return;
    if (suggestion->best == NULL || distance < suggestion->distance) {
        suggestion->best = candidate;
        suggestion->distance = distance;
    }
}
