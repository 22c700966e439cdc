/* Plain text for terminals and ASCII files. */
#ifndef REPORTS_ASCII_H
#define REPORTS_ASCII_H

#include <stddef.h>
#include <stdio.h>

enum { SCREEN_COLUMNS = 80, LINE_BYTES = 400 };

/* Copies `text`; each UTF-8 sequence and each control character becomes one '?' (tabs and line ends
 * a space), so that nothing from a file can move the cursor or break a column. */
void ascii_copy(const char *text, char *out, size_t out_bytes);

/* Writes at most SCREEN_COLUMNS columns of ASCII text and a line end; what is cut ends in "...". */
void ascii_line(FILE *out, const char *text);
void ascii_linef(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Breaks text at spaces so that no line is longer than SCREEN_COLUMNS; words that are longer are
 * cut in two. Every line starts with `indent` spaces. */
void ascii_wrap(FILE *out, const char *text, size_t indent);
void ascii_wrapf(FILE *out, size_t indent, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ANSI colours by role; an empty string when colours are off. */
typedef enum StyleRole {
    STYLE_PLAIN,
    STYLE_STRONG,
    STYLE_GOOD,
    STYLE_WARN,
    STYLE_BAD,
    STYLE_FAINT
} StyleRole;
const char *style_code(StyleRole role, int color);

#endif
