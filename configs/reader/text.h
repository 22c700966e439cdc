/* Text from outside on its way into messages: checked UTF-8, no control characters, short. */
#ifndef CONFIGS_READER_TEXT_H
#define CONFIGS_READER_TEXT_H

#include <stdbool.h>
#include <stddef.h>

enum { TEXT_BRIEF_BYTES = 72 };

/* Bytes of the valid UTF-8 sequence at `text` (1 to 4), or 0 when there is none in `bytes`. */
size_t text_sequence_bytes(const unsigned char *text, size_t bytes);

/* Characters (not bytes) of a valid UTF-8 text. */
size_t text_characters(const char *text, size_t bytes);

/* Replaces, in place, invalid UTF-8 and control characters by '?', so that the text can be shown on
 * a terminal and written as JSON. */
void text_make_printable(char *text);

/* `text` shortened to fit, with "..." when cut, printable. Returns `brief`. */
const char *text_brief(char brief[TEXT_BRIEF_BYTES], const char *text);

/* Copies into a fixed field; false when it does not fit (then `out` is empty). */
bool text_copy(char *out, size_t out_bytes, const char *text);

/* prefix.key, or key alone when the prefix is empty; cut when it does not fit. */
void text_join_path(char *out, size_t out_bytes, const char *prefix, const char *key);

#endif
