/* Where a value was written, and problems reported there. */
#ifndef CONFIGS_READER_PLACE_H
#define CONFIGS_READER_PLACE_H

#include "configs/reader/reader.h"

typedef struct Place {
    const char *file; /* owned by the node pool; for an override its text "--set KEY=VALUE" */
    int line, column; /* from 1; 0 when unknown */
    int width;        /* columns to underline; 0 when unknown */
    bool is_override; /* stands on the command line: a problem here is wrong usage */
} Place;

/* Adds a problem at `place` (NULL: no place). `hint` may be NULL. The status is STATUS_USAGE for an
 * override and STATUS_INVALID for a file. */
void report(ErrorList *errors, const Place *place, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Adds "out of memory"; returns STATUS_ENVIRONMENT. */
Status report_no_memory(ErrorList *errors);

/* A caller may collect the problems of several files in one list: what one reading adds begins
 * here. */
typedef struct ErrorMark {
    size_t count, total;
} ErrorMark;

ErrorMark error_list_mark(const ErrorList *errors);

/* What a reader returns for the problems after the mark: OK when there are none, else ENVIRONMENT,
 * INVALID, USAGE, the first of these that is among them. */
Status error_list_status(const ErrorList *errors, ErrorMark mark);

/* Sorts those after the mark: files in order of first appearance, then line and column. */
void error_list_sort(ErrorList *errors, ErrorMark mark);

#endif
