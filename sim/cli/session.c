#include "sim/cli/session.h"

#include "reports/files.h"
#include "reports/json.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The one thing that a signal handler may touch. */
static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

int session_interrupted(void)
{
    return interrupted;
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int want_color(void)
{
    const char *no_color = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && (no_color == NULL || no_color[0] == '\0') && terminal != NULL &&
           strcmp(terminal, "dumb") != 0;
}

Status session_start(int argc, char *const *argv, Session *session, Error *error)
{
    memset(session, 0, sizeof *session);
    Status status = command_line_parse(argc, argv, &session->line, error);
    if (status != STATUS_OK || session->line.help)
        return status;
    session->style.color = want_color();
    session->show_progress = isatty(STDERR_FILENO) && !session->line.quiet;
    session->started_s = now_s();
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_interrupt;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    char program[ERROR_PATH_BYTES];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = '\0';
    return config_paths_find(length > 0 ? program : argv[0], &session->paths, error);
}

/* Called from worker threads, one at a time. */
static int draw_progress(void *context, size_t done, size_t total)
{
    Session *session = context;
    double now = now_s();
    if (!session->show_progress || now - session->last_drawn_s < 0.1)
        return interrupted;
    session->last_drawn_s = now;
    double elapsed = now - session->started_s;
    double share = total > 0 ? (double)done / (double)total : 1;
    fprintf(stderr, "\r\033[K%s %3.0f %%  %zu/%zu", session->task, 100 * share, done, total);
    if (share > 0.02 && share < 1)
        fprintf(stderr, "  %.1f s left", elapsed / share - elapsed);
    fflush(stderr);
    return interrupted;
}

void session_progress_clear(Session *session)
{
    if (session->show_progress && session->last_drawn_s > 0)
        fputs("\r\033[K", stderr);
    session->last_drawn_s = 0;
    session->started_s = now_s();
}

ForecastOptions session_forecast_options(Session *session)
{
    const CommandLine *line = &session->line;
    ForecastOptions options = {0};
    options.seed = line->seed;
    options.reps = line->reps > 0 ? line->reps : (line->quick ? 100 : 1000);
    options.precision = line->precision;
    options.threads = line->jobs;
    options.detail = line->detail;
    options.progress = draw_progress;
    options.progress_context = session;
    snprintf(session->task, sizeof session->task, "simulating");
    return options;
}

Provenance session_provenance(const Session *session, const char *sha256)
{
    const CommandLine *line = &session->line;
    Provenance provenance = {.verb = line->verb->name,
                             .scenario = line->operands[0],
                             .seed = line->seed,
                             .reps = 1,
                             .set_count = line->set_count,
                             .sets = line->sets};
    snprintf(provenance.sha256, sizeof provenance.sha256, "%s", sha256);
    return provenance;
}

Status session_fail_list(const Session *session, Status status, const ErrorList *errors)
{
    for (size_t i = 0; i < errors->count; i++) {
        char text[2048];
        error_format(&errors->errors[i], text, sizeof text);
        size_t length = strlen(text);
        fprintf(stderr, "%s%s", text, length > 0 && text[length - 1] == '\n' ? "" : "\n");
    }
    if (errors->total > errors->count)
        fprintf(stderr, "and %zu more\n", errors->total - errors->count);
    if (session != NULL && session->line.json) {
        Error error;
        char *document = json_errors(errors, &error);
        if (document != NULL)
            fputs(document, stdout);
        free(document);
    }
    return status;
}

Status session_fail(const Session *session, const Error *error)
{
    ErrorList *list = calloc(1, sizeof *list);
    if (list == NULL) {
        fprintf(stderr, "flopcast: error: %s\n", error->message);
        return error->status;
    }
    error_list_add(list, error);
    session_fail_list(session, error->status, list);
    free(list);
    return error->status;
}

void session_note(const Session *session, const char *format, ...)
{
    if (session->line.quiet)
        return;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

const char *session_output_directory(const Session *session, char *text, size_t text_bytes)
{
    char name[NAME_BYTES];
    if (session->line.out_directory != NULL)
        return session->line.out_directory;
    if (!session->line.report)
        return NULL;
    session_base_name(session->line.operands[0], name, sizeof name);
    snprintf(text, text_bytes, "out/%s", name);
    return text;
}

void session_base_name(const char *path, char *name, size_t name_bytes)
{
    const char *slash = strrchr(path, '/');
    snprintf(name, name_bytes, "%s", slash != NULL ? slash + 1 : path);
    char *dot = strrchr(name, '.');
    if (dot != NULL && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0))
        *dot = '\0';
}

Status session_flush(const Session *session)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return STATUS_OK;
    Error error;
    error_set(&error, STATUS_ENVIRONMENT, "cannot write to standard output: %s", strerror(errno));
    fprintf(stderr, "flopcast: error: %s\n", error.message);
    (void)session;
    return STATUS_ENVIRONMENT;
}

Status session_show(const Session *session, const SessionResult *result)
{
    if (session->line.json)
        fputs(result->json, stdout);
    else
        result->screen(stdout, result->report, session->style);
    return session_flush(session);
}

Status session_save(const SessionResult *result, const char *directory, Error *error)
{
    const TerminalStyle plain = {0};
    TextFile file = {0};
    const Status status = files_begin(&file, error);
    if (status != STATUS_OK)
        return status;
    result->screen(file.out, result->report, plain);
    return files_result(directory, result->json_name, result->json, &file, error);
}

Status session_print(const Session *session, const char *text)
{
    fputs(text, stdout);
    return session_flush(session);
}
