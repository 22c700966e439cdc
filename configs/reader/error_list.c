/* The list of problems that a reader collects. */
#include "configs/reader/place.h"
#include "configs/reader/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void error_list_add(ErrorList *list, const Error *error)
{
    list->total++;
    if (list->count < MAX_ERRORS)
        list->errors[list->count++] = *error;
}

void report(ErrorList *errors, const Place *place, const char *hint, const char *format, ...)
{
    if (errors->count >= MAX_ERRORS) {
        errors->total++;
        return;
    }
    Error error = {.status = STATUS_INVALID};
    if (place != NULL) {
        error.status = place->is_override ? STATUS_USAGE : STATUS_INVALID;
        error.line = place->line;
        error.column = place->column;
        error.width = place->width;
        snprintf(error.file, sizeof error.file, "%s", place->file);
        text_make_printable(error.file);
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error.message, sizeof error.message, format, arguments);
    va_end(arguments);
    text_make_printable(error.message);
    if (hint != NULL) {
        snprintf(error.hint, sizeof error.hint, "%s", hint);
        text_make_printable(error.hint);
    }
    error_list_add(errors, &error);
}

Status report_no_memory(ErrorList *errors)
{
    Error error;
    Status status = error_set(&error, STATUS_ENVIRONMENT, "out of memory");
    error_list_add(errors, &error);
    return status;
}

ErrorMark error_list_mark(const ErrorList *errors)
{
    return (ErrorMark){.count = errors->count, .total = errors->total};
}

Status error_list_status(const ErrorList *errors, ErrorMark mark)
{
    static const Status GRAVEST_FIRST[] = {STATUS_ENVIRONMENT, STATUS_INVALID, STATUS_USAGE};
    if (errors->total == mark.total)
        return STATUS_OK;
    for (size_t s = 0; s < sizeof GRAVEST_FIRST / sizeof GRAVEST_FIRST[0]; s++)
        for (size_t i = mark.count; i < errors->count; i++)
            if (errors->errors[i].status == GRAVEST_FIRST[s])
                return GRAVEST_FIRST[s];
    return STATUS_INVALID; /* the list was full already */
}

void error_list_sort(ErrorList *errors, ErrorMark mark)
{
    Error *list = errors->errors + mark.count;
    size_t count = errors->count - mark.count;
    size_t rank[MAX_ERRORS]; /* of the file: the index of its first error */
    for (size_t i = 0; i < count; i++) {
        rank[i] = 0;
        while (strcmp(list[rank[i]].file, list[i].file) != 0)
            rank[i]++;
    }
    for (size_t i = 1; i < count; i++) { /* insertion: stable, and the list is short */
        Error moving = list[i];
        size_t moving_rank = rank[i];
        size_t at = i;
        for (; at > 0; at--) {
            const Error *before = &list[at - 1];
            bool after = rank[at - 1] != moving_rank   ? rank[at - 1] > moving_rank
                         : before->line != moving.line ? before->line > moving.line
                                                       : before->column > moving.column;
            if (!after)
                break;
            list[at] = *before;
            rank[at] = rank[at - 1];
        }
        list[at] = moving;
        rank[at] = moving_rank;
    }
}
