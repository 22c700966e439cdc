/* posix_spawn_file_actions_addchdir_np */
#define _GNU_SOURCE

#include "reports/gnuplot.h"

#include "reports/ascii.h"
#include "reports/files.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, WIDTH_PIXELS = 1000, HEIGHT_PIXELS = 560 };

extern char **environ;

void gnuplot_quote(FILE *script, const char *text)
{
    char ascii[512];
    ascii_copy(text, ascii, sizeof ascii);
    fputc('\'', script);
    for (const char *c = ascii; *c != '\0'; c++) {
        if (*c == '\'')
            fputc('\'', script);
        fputc(*c, script);
    }
    fputc('\'', script);
}

void gnuplot_begin(FILE *script, const char *name, const char *title, const char *subtitle)
{
    fprintf(
        script,
        "# Draws %s.svg and %s.png from %s.dat: gnuplot %s.gp\n"
        "if (!exists('svg_file')) svg_file = '%s.svg'\n"
        "if (!exists('png_file')) png_file = '%s.png'\n"
        "set terminal svg size %d,%d dynamic noenhanced font 'DejaVu Sans,Helvetica,sans-serif,12'"
        " background '#ffffff'\n"
        "set output svg_file\n"
        "set encoding utf8\n"
        "set border 3 linecolor rgb '" COLOR_INK "'\n"
        "set tics nomirror out textcolor rgb '" COLOR_INK "'\n"
        "set label 1000 ",
        name, name, name, name, name, name, WIDTH_PIXELS, HEIGHT_PIXELS);
    gnuplot_quote(script, title);
    fprintf(script, " at screen 0.02,0.955 left font ',15' textcolor rgb '" COLOR_INK "'\n"
                    "set label 1001 ");
    gnuplot_quote(script, subtitle);
    fprintf(script, " at screen 0.02,0.90 left font ',11' textcolor rgb '#666666'\n");
}

void gnuplot_end(FILE *script)
{
    fprintf(
        script,
        "set terminal pngcairo size %d,%d noenhanced font 'DejaVu Sans,11' background '#ffffff'\n"
        "set output png_file\n"
        "replot\n"
        "set output\n",
        WIDTH_PIXELS, HEIGHT_PIXELS);
}

void gnuplot_panels(FILE *script, const char *name, const char *title, const char *subtitle,
                    GnuplotPanels put, const void *context)
{
    gnuplot_begin(script, name, title, subtitle);
    put(script, context);
    fprintf(script, "set terminal pngcairo size 1000,560 noenhanced font 'DejaVu Sans,11' "
                    "background '#ffffff'\nset output png_file\nset label 1000 ");
    gnuplot_quote(script, title);
    fprintf(script, " at screen 0.02,0.955 left font ',15' textcolor rgb '" COLOR_INK "'\n"
                    "set label 1001 ");
    gnuplot_quote(script, subtitle);
    fprintf(script, " at screen 0.02,0.91 left font ',10' textcolor rgb '#666666'\n"
                    "unset xlabel\n");
    put(script, context);
    fprintf(script, "set output\n");
}

double gnuplot_tick(double most)
{
    const double quarter = fmax(most, 1e-9) / 4;
    const double power = pow(10, floor(log10(quarter)));
    const double times = quarter / power;
    return power * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
}

/* This process's environment with the C locale, so that numbers keep their points. */
static char **c_locale_environment(void)
{
    static char locale[] = "LC_ALL=C";
    size_t count = 0, kept = 0;
    while (environ[count] != NULL)
        count++;
    char **copy = calloc(count + 2, sizeof *copy);
    if (copy == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], "LC_ALL=", 7) != 0)
            copy[kept++] = environ[i];
    copy[kept] = locale;
    return copy;
}

/* The line of gnuplot's complaint that says what is wrong: its last one that is not empty. */
static void read_complaint(const char *path, char *line, size_t line_bytes)
{
    char text[256];
    FILE *log = fopen(path, "r");
    snprintf(line, line_bytes, "no message");
    if (log == NULL)
        return;
    while (fgets(text, sizeof text, log) != NULL) {
        char *start = text + strspn(text, " \t^\r\n");
        start[strcspn(start, "\r\n")] = '\0';
        if (start[0] != '\0')
            ascii_copy(start, line, line_bytes);
    }
    fclose(log);
}

/* Starts gnuplot in `directory` with its messages in `log`; 0 or an errno value. */
static int start(const char *directory, const char *log, char *const *arguments, pid_t *process)
{
    posix_spawn_file_actions_t actions;
    int code = posix_spawn_file_actions_init(&actions);
    if (code != 0)
        return code;
    char **environment = c_locale_environment();
    if (environment == NULL)
        code = ENOMEM;
    if (code == 0)
        code = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (code == 0)
        code = posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    if (code == 0)
        code =
            posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (code == 0)
        code = posix_spawn_file_actions_addchdir_np(&actions, directory);
    if (code == 0)
        code = posix_spawnp(process, "gnuplot", &actions, NULL, arguments, environment);
    free(environment);
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

Status gnuplot_run(const char *directory, const char *name, int *missing, Error *error)
{
    char svg[PATH_BYTES] = "", png[PATH_BYTES] = "", log[PATH_BYTES] = "";
    char file[128], script[128], outputs[2 * 256 + 64], complaint[256];
    const char *where = directory[0] != '\0' ? directory : ".";
    pid_t process = 0;
    int state = 0;
    *missing = 0;
    snprintf(script, sizeof script, "%s.gp", name);
    snprintf(file, sizeof file, "%s.svg", name);
    Status status = files_temporary(where, file, svg, sizeof svg, error);
    if (status != STATUS_OK)
        return status;
    snprintf(file, sizeof file, "%s.png", name);
    status = files_temporary(where, file, png, sizeof png, error);
    if (status != STATUS_OK)
        return status;
    snprintf(file, sizeof file, "%s.log", name);
    status = files_temporary(where, file, log, sizeof log, error);
    if (status != STATUS_OK)
        return status;
    snprintf(outputs, sizeof outputs, "svg_file='%.250s'; png_file='%.250s'", base_name(svg),
             base_name(png));
    char program[] = "gnuplot", flag[] = "-e";
    char *const arguments[] = {program, flag, outputs, script, NULL};

    int code = start(where, log, arguments, &process);
    if (code != 0) {
        *missing = code == ENOENT;
        status = error_set(error, STATUS_ENVIRONMENT, "cannot start gnuplot: %s", strerror(code));
        goto cleanup;
    }
    while (waitpid(process, &state, 0) < 0 && errno == EINTR)
        continue;
    if (!WIFEXITED(state) || WEXITSTATUS(state) != 0) {
        *missing = WIFEXITED(state) && WEXITSTATUS(state) == 127;
        read_complaint(log, complaint, sizeof complaint);
        status = error_set(error, STATUS_ENVIRONMENT, "gnuplot failed on %s/%s: %s", where, script,
                           complaint);
        goto cleanup;
    }
    snprintf(file, sizeof file, "%s.svg", name);
    status = files_commit(where, file, svg, error);
    if (status == STATUS_OK) {
        snprintf(file, sizeof file, "%s.png", name);
        status = files_commit(where, file, png, error);
    }
cleanup:
    files_discard(log);
    if (status != STATUS_OK) {
        files_discard(svg);
        files_discard(png);
    }
    return status;
}

Status gnuplot_figure(const char *directory, const char *name, Error *error)
{
    int missing = 0;
    const Status status = gnuplot_run(directory, name, &missing, error);
    return missing ? error_set(error, STATUS_ENVIRONMENT,
                               "gnuplot not found: 1 figure skipped (apt-get install gnuplot-nox)")
                   : status;
}
