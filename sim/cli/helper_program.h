/* A program of flopcast's own that measures: it stands beside this one or on PATH, and what it
 * writes on standard output are the records of hw/calibration/records.h. */
#ifndef SIM_CLI_HELPER_PROGRAM_H
#define SIM_CLI_HELPER_PROGRAM_H

#include "sim/cli/session.h"

enum { HELPER_ARGUMENTS = 16, HELPER_MISSING = -1 };

typedef struct HelperResult {
    int exit_status; /* of the program, 128 + signal, or HELPER_MISSING */
    char *text;      /* what it wrote but progress; free() it */
    size_t bytes;
    char complaint[ERROR_TEXT_BYTES]; /* first line of its standard error */
} HelperResult;

/* Runs the program with these arguments (the name itself and the last NULL are added), shows its
 * progress. STATUS_OK when it ran or is missing; STATUS_ENVIRONMENT when it cannot be run, wrote
 * too much or nothing for too long; STATUS_INTERRUPTED. */
Status helper_run(Session *session, const char *name, const char *const *arguments,
                  size_t argument_count, HelperResult *result, Error *error);

#endif
