#include "configs/reader/text.h"

#include <stdio.h>
#include <string.h>

size_t text_sequence_bytes(const unsigned char *text, size_t bytes)
{
    if (bytes == 0)
        return 0;
    /* Unicode 15, table 3-7: well-formed sequences, by first byte and range of the second. */
    static const struct {
        unsigned char first_low, first_high, second_low, second_high;
        size_t length;
    } FORMS[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof FORMS / sizeof FORMS[0]; i++) {
        if (text[0] < FORMS[i].first_low || text[0] > FORMS[i].first_high)
            continue;
        size_t length = FORMS[i].length;
        if (length > bytes)
            return 0;
        if (length > 1 && (text[1] < FORMS[i].second_low || text[1] > FORMS[i].second_high))
            return 0;
        for (size_t j = 2; j < length; j++)
            if ((text[j] & 0xc0) != 0x80)
                return 0;
        return length;
    }
    return 0;
}

size_t text_characters(const char *text, size_t bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < bytes; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

void text_make_printable(char *text)
{
    size_t bytes = strlen(text);
    for (size_t i = 0; i < bytes;) {
        unsigned char *at = (unsigned char *)text + i;
        size_t length = text_sequence_bytes(at, bytes - i);
        /* C1 controls are two bytes: 0xc2 0x80..0x9f. */
        bool control = length == 1 ? (*at < 0x20 || *at == 0x7f)
                                   : (length == 2 && at[0] == 0xc2 && at[1] < 0xa0);
        if (length == 0 || control)
            memset(at, '?', length == 0 ? 1 : length);
        i += length == 0 ? 1 : length;
    }
}

const char *text_brief(char brief[TEXT_BRIEF_BYTES], const char *text)
{
    static const char MORE[] = "...";
    size_t bytes = strlen(text);
    if (bytes < TEXT_BRIEF_BYTES) {
        memcpy(brief, text, bytes + 1);
    } else {
        size_t keep = TEXT_BRIEF_BYTES - sizeof MORE;
        while (keep > 0 && ((unsigned char)text[keep] & 0xc0) == 0x80)
            keep--; /* not in the middle of a character */
        memcpy(brief, text, keep);
        memcpy(brief + keep, MORE, sizeof MORE);
    }
    text_make_printable(brief);
    return brief;
}

bool text_copy(char *out, size_t out_bytes, const char *text)
{
    size_t bytes = strlen(text);
    if (bytes >= out_bytes) {
        out[0] = '\0';
        return false;
    }
    memcpy(out, text, bytes + 1);
    return true;
}

void text_join_path(char *out, size_t out_bytes, const char *prefix, const char *key)
{
    snprintf(out, out_bytes, "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", key);
}
