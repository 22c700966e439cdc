/* What every verb shares: the command line, where configs lie, how errors, notes and progress reach
 * the terminal, and Ctrl-C. */
#ifndef SIM_CLI_SESSION_H
#define SIM_CLI_SESSION_H

#include "configs/reader/reader.h"
#include "reports/provenance.h"
#include "reports/terminal.h"
#include "sim/cli/options.h"

typedef struct Session {
    CommandLine line;
    ConfigPaths paths;
    TerminalStyle style;
    int show_progress; /* stderr is a terminal and --quiet was not given */
    double started_s;  /* for the rate and the time left */
    double last_drawn_s;
    char task[64];
} Session;

Status session_start(int argc, char *const *argv, Session *session, Error *error);

ForecastOptions session_forecast_options(Session *session);

/* One deterministic result of the inputs that `sha256` stands for; more replications are the
 * caller's to say. */
Provenance session_provenance(const Session *session, const char *sha256);

/* Errors go to stderr, and with --json as a document to stdout as well. Return the status to exit
 * with. */
Status session_fail(const Session *session, const Error *error);
Status session_fail_list(const Session *session, Status status, const ErrorList *errors);

/* One line on stderr unless --quiet. */
void session_note(const Session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void session_progress_clear(Session *session);

/* Ctrl-C was pressed. */
int session_interrupted(void);

/* The directory of --out, or with --report out/NAME (of the first operand, by session_base_name),
 * or NULL. `text` holds it where it must be made up. */
const char *session_output_directory(const Session *session, char *text, size_t text_bytes);

/* Name of a scenario or claim file without folders and ending. */
void session_base_name(const char *path, char *name, size_t name_bytes);

/* Prints to stdout; STATUS_ENVIRONMENT when it cannot be written (a closed pipe, a full disk). */
Status session_print(const Session *session, const char *text);
Status session_flush(const Session *session);

/* A result in both its forms. */
typedef struct SessionResult {
    const char *json, *json_name; /* the document, and its file */
    void (*screen)(FILE *out, const void *report, TerminalStyle style);
    const void *report;
} SessionResult;

/* With --json the document, else the screen; as session_print. */
Status session_show(const Session *session, const SessionResult *result);

/* Both in `directory`: the document and report.txt. */
Status session_save(const SessionResult *result, const char *directory, Error *error);

#endif
