#include "sim/cli/helper_program.h"

#include "hw/calibration/import.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Between two records; measuring the largest point takes seconds. */
static const double silence_limit_s = 300;
enum { LOOK_MS = 200, READ_BYTES = 1 << 16 };

typedef struct Reading {
    Session *session;
    ForecastOptions progress;
    HelperResult *result;
    size_t capacity, line_start; /* of the line that is not complete yet */
} Reading;

/* In one of the folders of PATH. */
static int find_on_path(const char *name, char *path, size_t path_bytes)
{
    const char *folder = getenv("PATH");
    while (folder != NULL && *folder != '\0') {
        const size_t length = strcspn(folder, ":");
        const int written =
            snprintf(path, path_bytes, "%.*s/%s", (int)(length < path_bytes ? length : path_bytes),
                     folder, name);
        /* an empty entry means the working folder, from which nothing is started unasked */
        if (length > 0 && written > 0 && (size_t)written < path_bytes && access(path, X_OK) == 0)
            return 1;
        folder += length + (folder[length] == ':');
    }
    return 0;
}

/* Beside this program. */
static int find_beside(const char *name, char *path, size_t path_bytes)
{
    char program[ERROR_PATH_BYTES];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0)
        return 0;
    program[length] = '\0';
    char *slash = strrchr(program, '/');
    if (slash == NULL)
        return 0;
    slash[1] = '\0';
    const int written = snprintf(path, path_bytes, "%s%s", program, name);
    return written > 0 && (size_t)written < path_bytes && access(path, X_OK) == 0;
}

/* Progress lines are shown and leave the text. Returns 1 when the user has interrupted. */
static int take_lines(Reading *reading)
{
    HelperResult *result = reading->result;
    int interrupted = 0;
    for (;;) {
        char *start = result->text + reading->line_start;
        const size_t rest = result->bytes - reading->line_start;
        char *newline = memchr(start, '\n', rest);
        CalProgress progress;
        if (newline == NULL)
            return interrupted;
        const size_t length = (size_t)(newline - start) + 1;
        if (cal_progress_line(start, length - 1, &progress)) {
            snprintf(reading->session->task, sizeof reading->session->task, "measuring %.40s",
                     progress.what);
            interrupted = reading->progress.progress(reading->progress.progress_context,
                                                     (size_t)progress.done, (size_t)progress.of);
            memmove(start, newline + 1, rest - length);
            result->bytes -= length;
        } else {
            reading->line_start += length;
        }
    }
}

static Status append(Reading *reading, const char *bytes, size_t count, Error *error)
{
    HelperResult *result = reading->result;
    if (result->bytes + count > CAL_MAX_FILE_BYTES)
        return error_set(error, STATUS_ENVIRONMENT,
                         "the measuring program wrote more than %d bytes", CAL_MAX_FILE_BYTES);
    if (result->bytes + count + 1 > reading->capacity) {
        const size_t capacity = 2 * (result->bytes + count + 1);
        char *text = realloc(result->text, capacity);
        if (text == NULL)
            return error_set(error, STATUS_ENVIRONMENT, "out of memory");
        result->text = text;
        reading->capacity = capacity;
    }
    memcpy(result->text + result->bytes, bytes, count);
    result->bytes += count;
    result->text[result->bytes] = '\0';
    return STATUS_OK;
}

static Status read_all(Reading *reading, int input, Error *error)
{
    char *buffer = malloc(READ_BYTES);
    double silent_s = 0;
    Status status =
        buffer != NULL ? STATUS_OK : error_set(error, STATUS_ENVIRONMENT, "out of memory");
    while (status == STATUS_OK) {
        struct pollfd ready = {.fd = input, .events = POLLIN};
        const int found = poll(&ready, 1, LOOK_MS);
        if (found < 0 && errno != EINTR)
            status = error_set(error, STATUS_ENVIRONMENT,
                               "cannot wait for the measuring program: %s", strerror(errno));
        if (found <= 0) {
            silent_s += LOOK_MS / 1e3;
            if (session_interrupted())
                status = error_set(error, STATUS_INTERRUPTED, "interrupted while measuring");
            else if (silent_s > silence_limit_s)
                status =
                    error_set(error, STATUS_ENVIRONMENT,
                              "the measuring program said nothing for %.0f s", silence_limit_s);
            continue;
        }
        const ssize_t count = read(input, buffer, READ_BYTES);
        if (count == 0)
            break;
        if (count < 0 && errno != EINTR)
            status = error_set(error, STATUS_ENVIRONMENT, "cannot read what was measured: %s",
                               strerror(errno));
        if (count <= 0)
            continue;
        silent_s = 0;
        status = append(reading, buffer, (size_t)count, error);
        if (status == STATUS_OK && (take_lines(reading) || session_interrupted()))
            status = error_set(error, STATUS_INTERRUPTED, "interrupted while measuring");
    }
    free(buffer);
    return status;
}

static void read_complaint(FILE *file, char *complaint, size_t bytes)
{
    complaint[0] = '\0';
    rewind(file);
    if (fgets(complaint, (int)bytes, file) == NULL)
        complaint[0] = '\0';
    complaint[strcspn(complaint, "\n")] = '\0';
}

static int wait_for(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return 128;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Status helper_run(Session *session, const char *name, const char *const *arguments,
                  size_t argument_count, HelperResult *result, Error *error)
{
    char path[ERROR_PATH_BYTES + 64], *words[HELPER_ARGUMENTS + 2] = {path};
    Reading reading = {
        .session = session, .progress = session_forecast_options(session), .result = result};
    posix_spawn_file_actions_t actions;
    int pipe_ends[2] = {-1, -1};
    pid_t child = 0;
    *result = (HelperResult){.exit_status = HELPER_MISSING};
    if (!find_beside(name, path, sizeof path) && !find_on_path(name, path, sizeof path))
        return STATUS_OK;
    for (size_t i = 0; i < argument_count && i < HELPER_ARGUMENTS; i++)
        words[i + 1] = (char *)arguments[i];
    FILE *complaints = tmpfile();
    if (complaints == NULL || pipe(pipe_ends) != 0) {
        error_set(error, STATUS_ENVIRONMENT, "cannot start '%.200s': %s", path, strerror(errno));
        if (complaints != NULL)
            fclose(complaints);
        return STATUS_ENVIRONMENT;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, fileno(complaints), STDERR_FILENO);
    posix_spawn_file_actions_addclose(&actions, pipe_ends[0]);
    posix_spawn_file_actions_addclose(&actions, pipe_ends[1]);
    const int code = posix_spawn(&child, path, &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_ends[1]);
    Status status = code == 0 ? STATUS_OK
                              : error_set(error, STATUS_ENVIRONMENT, "cannot start '%.200s': %s",
                                          path, strerror(code));
    if (code == 0) {
        status = read_all(&reading, pipe_ends[0], error);
        if (status != STATUS_OK)
            kill(child, SIGTERM);
    }
    close(pipe_ends[0]); /* a program that still writes ends by SIGPIPE */
    if (code == 0)
        result->exit_status = wait_for(child);
    session_progress_clear(session);
    read_complaint(complaints, result->complaint, sizeof result->complaint);
    fclose(complaints);
    if (status != STATUS_OK) {
        free(result->text);
        result->text = NULL;
    }
    return status;
}
