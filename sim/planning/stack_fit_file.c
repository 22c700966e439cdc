#include "configs/reader/file.h"
#include "sim/planning/stack_fit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- text that grows ---------------------------------------------------------------------------
 */

typedef struct Growing {
    char *bytes;
    size_t count, capacity;
    int failed;
} Growing;

static void append(Growing *text, const char *bytes, size_t count)
{
    if (text->failed)
        return;
    if (text->count + count + 1 > text->capacity) {
        const size_t wanted = 2 * (text->count + count + 1);
        char *grown = realloc(text->bytes, wanted);
        text->failed = grown == NULL;
        if (text->failed)
            return;
        text->bytes = grown;
        text->capacity = wanted;
    }
    memcpy(text->bytes + text->count, bytes, count);
    text->count += count;
    text->bytes[text->count] = '\0';
}

/* ---- values ------------------------------------------------------------------------------------
 */

static const char *plain_name(const char *stack)
{
    return strncmp(stack, "stack-", 6) == 0 ? stack + 6 : stack;
}

static void write_value(const StackFit *fit, FitParameter which, const char *indent, Growing *text)
{
    const FitParameterSpec *spec = &FIT_PARAMETER_SPECS[which];
    char line[640], origin[320];
    const char *owner = plain_name(fit->with[0] != '\0' ? fit->with : fit->stack);
    if (strcmp(owner, "common") == 0)
        owner = "all stacks, each counting alike";
    const int own = fit->with[0] == '\0';
    if (fit->fitted[which] != 0)
        snprintf(origin, sizeof origin,
                 "fitted on %zu pool rows of %s%s (%s), mean error %.1f%% -> %.1f%%%s",
                 fit->fit_rows, owner, own ? "" : " and those that share its parameters",
                 fit->families, 100 * fit->before.mean_abs, 100 * fit->after.mean_abs,
                 own ? "" : " here");
    else
        snprintf(origin, sizeof origin, "%zu pool rows of %s do not tell it from %s%s",
                 fit->fit_rows, owner, spec->neutral > 0 ? "the middle" : "none",
                 own ? "" : ", whose parameters this stack shares");
    const double value = fit->fitted[which] != 0 ? fit->value[which] : spec->neutral;
    snprintf(line, sizeof line, "%s%s: {value: %.4g%s, source: \"%s\"}\n", indent, spec->key,
             round(100 * value / spec->unit) / 100, spec->suffix, origin);
    append(text, line, strlen(line));
}

/* A parameter that the file leaves to its base, at the neutral value, is not written at all. */
static int is_written(const StackFit *fit, int which)
{
    return fit->fitted[which] != 0 || which == FIT_KERNEL_OVERHEAD;
}

/* Which parameter a line of the file sets, or -1. */
static int parameter_of_line(const char *line, int in_parallel)
{
    const size_t indent = strspn(line, " ");
    for (int i = 0; i < FIT_PARAMETERS; i++) {
        const FitParameterSpec *spec = &FIT_PARAMETER_SPECS[i];
        const size_t length = strlen(spec->key);
        if ((spec->group[0] != '\0') == (in_parallel && indent > 0) &&
            strncmp(line + indent, spec->key, length) == 0 && line[indent + length] == ':')
            return i;
    }
    return -1;
}

/* What an earlier fit wrote is no documentation. */
static int is_of_a_fit(const char *line, size_t length)
{
    const char *found = strstr(line, "pool rows of");
    return found != NULL && found < line + length;
}

static void write_missing(const StackFit *fit, const char *group, const char *indent, int *written,
                          Growing *text)
{
    for (int i = 0; i < FIT_PARAMETERS; i++)
        if (strcmp(FIT_PARAMETER_SPECS[i].group, group) == 0 && written[i] == 0 &&
            is_written(fit, i)) {
            write_value(fit, (FitParameter)i, indent, text);
            written[i] = 1;
        }
}

/* Line by line: a line that sets a parameter is replaced where the rows tell it, kept where not and
 * the file documents it; the others are added at the end of their group. The files are this
 * program's own: one value a line, `parallel:` the last group. */
Status stack_fit_yaml(const ConfigPaths *paths, const StackFit *fit, char **text, Error *error)
{
    char path[ERROR_PATH_BYTES + NAME_BYTES + 32];
    FileText file = {0};
    Growing out = {0};
    int written[FIT_PARAMETERS] = {0}, in_parallel = 0;
    *text = NULL;
    snprintf(path, sizeof path, "%s/calibration/%s.yaml", paths->root, fit->stack);
    Status status = file_read(path, &file, error);
    if (status != STATUS_OK)
        return status;
    for (const char *line = file.bytes, *next; *line != '\0'; line = next) {
        const size_t length = strcspn(line, "\n");
        next = line + length + (line[length] == '\n');
        if (strncmp(line, "parallel:", 9) == 0) {
            write_missing(fit, "", "", written, &out);
            in_parallel = 1;
        }
        const int which = parameter_of_line(line, in_parallel);
        const int documented =
            which >= 0 && FIT_PARAMETER_SPECS[which].neutral > 0 && !is_of_a_fit(line, length);
        if (documented && fit->fitted[which] == 0) {
            written[which] = 1; /* stays as it is */
        } else if (which >= 0) {
            if ((is_written(fit, which) || FIT_PARAMETER_SPECS[which].neutral > 0) &&
                written[which] == 0)
                write_value(fit, (FitParameter)which, in_parallel ? "  " : "", &out);
            written[which] = 1;
            continue;
        }
        append(&out, line, (size_t)(next - line));
    }
    write_missing(fit, "", "", written, &out);
    if (in_parallel)
        write_missing(fit, "parallel", "  ", written, &out);
    free(file.bytes);
    if (out.failed || out.bytes == NULL) {
        free(out.bytes);
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    }
    *text = out.bytes;
    return STATUS_OK;
}
