/* Errors as values.
 *
 * A function that can fail returns a Status and fills the caller's Error. The numeric value of a
 * Status is the exit status of the program that meets it (the command-line contract), so no second
 * table translates one into the other. Library code never prints and never exits.
 */
#ifndef CONFIGS_READER_ERROR_H
#define CONFIGS_READER_ERROR_H

typedef enum Status {
    STATUS_OK = 0,          /* done */
    STATUS_NO = 1,          /* the answer is no: does not fit, misses a bound that was asked for */
    STATUS_USAGE = 2,       /* wrong command line */
    STATUS_INVALID = 3,     /* invalid input file */
    STATUS_ENVIRONMENT = 4, /* disk, memory, missing tool or device */
    STATUS_INTERRUPTED = 130
} Status;

enum { ERROR_TEXT_BYTES = 512, ERROR_PATH_BYTES = 256 };

/* One problem. `file` is empty when the problem has no place in a file; line and column count from
 * 1 and are 0 when unknown; `hint` says what is allowed or the nearest valid name, or is empty. */
typedef struct Error {
    Status status;
    int line;
    int column;
    int width; /* columns to underline, 0 when unknown */
    char file[ERROR_PATH_BYTES];
    char message[ERROR_TEXT_BYTES];
    char hint[ERROR_TEXT_BYTES];
} Error;

/* Fills `error` (may be NULL) and returns `status`, so that a caller can write
 * `return error_set(error, STATUS_ENVIRONMENT, "out of memory");`. Clears the place and the hint.
 */
Status error_set(Error *error, Status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds a hint to an error already set. */
void error_hint(Error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
