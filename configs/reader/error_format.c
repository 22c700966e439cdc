/* A problem as text for people. */
#include "configs/reader/file.h"
#include "configs/reader/reader.h"
#include "configs/reader/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_COLUMNS = 96 }; /* of a source line */

/* Line `number` of a text; its bytes without the line end, or NULL when there is none. */
static const char *find_line(const char *text, size_t bytes, int number, size_t *line_bytes)
{
    const char *end = text + bytes;
    for (int line = 1; line < number; line++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        if (newline == NULL)
            return NULL;
        text = newline + 1;
    }
    const char *newline = memchr(text, '\n', (size_t)(end - text));
    *line_bytes = (size_t)((newline != NULL ? newline : end) - text);
    if (*line_bytes > 0 && text[*line_bytes - 1] == '\r')
        (*line_bytes)--;
    return text;
}

/* Bytes of the first `columns` characters. */
static size_t bytes_of_columns(const char *text, size_t bytes, size_t columns)
{
    size_t at = 0;
    while (columns > 0 && at < bytes) {
        size_t length = text_sequence_bytes((const unsigned char *)text + at, bytes - at);
        at += length > 0 ? length : 1;
        columns--;
    }
    return at;
}

/* The source line with "^~~~" under the value:
 *
 *     5 |   fabirc: 400Gb/s
 *       |   ^~~~~~
 */
static void append_caret(const Error *error, const char *line, size_t line_bytes, char *text,
                         size_t text_bytes)
{
    size_t column = (size_t)error->column - 1;
    size_t width = error->width > 1 ? (size_t)error->width : 1;
    /* A long line is shown from where the value comes into sight. */
    size_t skipped = column + 20 > SHOWN_COLUMNS ? column - SHOWN_COLUMNS / 2 : 0;
    size_t from = bytes_of_columns(line, line_bytes, skipped);
    size_t bytes = bytes_of_columns(line + from, line_bytes - from, SHOWN_COLUMNS);
    size_t columns = text_characters(line + from, bytes);
    column -= skipped;
    if (column > columns)
        column = columns;
    if (width > SHOWN_COLUMNS - column)
        width = column < SHOWN_COLUMNS ? SHOWN_COLUMNS - column : 1;

    char shown[4 * SHOWN_COLUMNS + 1];
    memcpy(shown, line + from, bytes);
    shown[bytes] = '\0';
    text_make_printable(shown);
    char marks[SHOWN_COLUMNS + 1];
    memset(marks, '~', sizeof marks);
    marks[0] = '^';
    size_t used = strlen(text);
    snprintf(text + used, text_bytes - used, "\n%5d | %s\n      | %*s%.*s", error->line, shown,
             (int)column, "", (int)width, marks);
}

void error_format(const Error *error, char *text, size_t text_bytes)
{
    if (text_bytes == 0)
        return;
    char place[ERROR_PATH_BYTES + 32] = "";
    if (error->file[0] != '\0' && error->line > 0)
        snprintf(place, sizeof place, "%s:%d:%d: ", error->file, error->line, error->column);
    else if (error->file[0] != '\0')
        snprintf(place, sizeof place, "%s: ", error->file);
    bool hinted = error->hint[0] != '\0';
    snprintf(text, text_bytes, "%serror: %s%s%s%s", place, error->message, hinted ? " (" : "",
             error->hint, hinted ? ")" : "");
    text_make_printable(text);
    if (error->line <= 0 || error->column <= 0 || error->file[0] == '\0')
        return;
    FileText file;
    if (file_read(error->file, &file, NULL) != STATUS_OK)
        return;
    size_t line_bytes = 0;
    const char *line = find_line(file.bytes, file.count, error->line, &line_bytes);
    if (line != NULL)
        append_caret(error, line, line_bytes, text, text_bytes);
    free(file.bytes);
}
