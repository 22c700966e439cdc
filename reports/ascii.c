#include "reports/ascii.h"

#include <stdarg.h>
#include <string.h>

void ascii_copy(const char *text, char *out, size_t out_bytes)
{
    size_t used = 0;
    for (const char *c = text; *c != '\0' && used + 1 < out_bytes; c++) {
        unsigned char byte = (unsigned char)*c;
        if ((byte & 0xC0) == 0x80)
            continue; /* inside a UTF-8 sequence whose first byte was answered with '?' */
        if (byte == '\t' || byte == '\n' || byte == '\r')
            out[used++] = ' ';
        else
            out[used++] = byte < 0x20 || byte > 0x7E ? '?' : *c;
    }
    if (out_bytes > 0)
        out[used] = '\0';
}

void ascii_line(FILE *out, const char *text)
{
    char line[LINE_BYTES];
    ascii_copy(text, line, sizeof line);
    size_t length = strlen(line);
    if (length > SCREEN_COLUMNS) {
        memcpy(line + SCREEN_COLUMNS - 3, "...", 4);
        length = SCREEN_COLUMNS;
    }
    while (length > 0 && line[length - 1] == ' ')
        line[--length] = '\0';
    fprintf(out, "%s\n", line);
}

void ascii_linef(FILE *out, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    ascii_line(out, line);
}

void ascii_wrap(FILE *out, const char *text, size_t indent)
{
    const size_t room = SCREEN_COLUMNS - indent;
    const char *at = text;
    while (*at == ' ')
        at++;
    while (*at != '\0') {
        size_t length = strlen(at);
        size_t take = length <= room ? length : room;
        if (length > room) { /* back to the last space, unless one word fills the line */
            size_t space = take;
            while (space > 0 && at[space] != ' ')
                space--;
            if (space > 0)
                take = space;
        }
        char line[SCREEN_COLUMNS + 1];
        memcpy(line, at, take);
        line[take] = '\0';
        fprintf(out, "%*s%s\n", (int)indent, "", line);
        at += take;
        while (*at == ' ')
            at++;
    }
}

void ascii_wrapf(FILE *out, size_t indent, const char *format, ...)
{
    char text[LINE_BYTES], plain[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ascii_copy(text, plain, sizeof plain);
    ascii_wrap(out, plain, indent);
}

const char *style_code(StyleRole role, int color)
{
    static const char *const codes[] = {"\033[0m",  "\033[1m",  "\033[32m",
                                        "\033[33m", "\033[31m", "\033[2m"};
    return color ? codes[role] : "";
}
