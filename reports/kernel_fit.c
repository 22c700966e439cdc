#include "reports/kernel_fit.h"

#include "configs/reader/file.h"
#include "reports/ascii.h"
#include "reports/files.h"
#include "reports/json_build.h"
#include "reports/validation.h"

#include <stdlib.h>
#include <string.h>

/* ---- terminal ----------------------------------------------------------------------------------
 */

static void print_errors(FILE *out, const char *label, const char *which,
                         const ErrorStatistics *used, const ErrorStatistics *held)
{
    ascii_linef(out, "%-28.28s %-8s %5zu %6.2f%% %+6.1f%% %5zu %6.2f%% %+6.1f%%", label, which,
                used->n, 100 * used->mean_abs, 100 * used->bias, held->n, 100 * held->mean_abs,
                100 * held->bias);
}

void terminal_kernel_fits(FILE *out, const KernelFits *fits, const Provenance *provenance)
{
    ascii_linef(out, "%-28s %-8s %5s %7s %7s %5s %7s %7s", "constants", "", "rows", "mean", "bias",
                "held", "mean", "bias");
    for (size_t i = 0; i < fits->count; i++) {
        const KernelFit *fit = &fits->fits[i];
        char label[2 * NAME_BYTES];
        snprintf(label, sizeof label, "%s %s", fit->gpu, fit->form->group);
        print_errors(out, label, "shipped", &fit->fitted_before, &fit->held_before);
        print_errors(out, "", "fitted", &fit->fitted_after, &fit->held_after);
        for (size_t p = 0; p < fit->form->parameter_count; p++) {
            const KernelParameter *parameter = &fit->form->parameters[p];
            ascii_linef(out, "  %-20s %10.4g%-3s fitted %10.4g%s", parameter->key,
                        fit->shipped[p] / parameter->unit, parameter->suffix,
                        fit->value[p] / parameter->unit, parameter->suffix);
        }
    }
    ascii_linef(out, "held: a fifth, by shape, not used; sha256 %.12s, flopcast %s",
                provenance->sha256, PROGRAM_VERSION);
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

static json_t *values_object(JsonBuilder *builder, const KernelFit *fit, const double *values)
{
    json_t *object = json_object();
    for (size_t p = 0; p < fit->form->parameter_count; p++)
        json_put(builder, object, fit->form->parameters[p].key, json_number(values[p]));
    return object;
}

char *json_kernel_fits(const KernelFits *fits, const Provenance *provenance, Error *error)
{
    JsonBuilder builder;
    json_start(&builder, provenance);
    if (builder.failed)
        return json_finish(&builder, error);
    json_t *list = json_array();
    for (size_t i = 0; i < fits->count; i++) {
        const KernelFit *fit = &fits->fits[i];
        json_t *object = json_object();
        json_put(&builder, object, "gpu", json_text(fit->gpu));
        json_put(&builder, object, "group", json_text(fit->form->group));
        json_put(&builder, object, "source", json_text(fit->source));
        json_put(&builder, object, "shipped", values_object(&builder, fit, fit->shipped));
        json_put(&builder, object, "fitted", values_object(&builder, fit, fit->value));
        json_put(&builder, object, "errors.used.shipped",
                 json_error_statistics(&builder, &fit->fitted_before));
        json_put(&builder, object, "errors.used.fitted",
                 json_error_statistics(&builder, &fit->fitted_after));
        json_put(&builder, object, "errors.held_back.shipped",
                 json_error_statistics(&builder, &fit->held_before));
        json_put(&builder, object, "errors.held_back.fitted",
                 json_error_statistics(&builder, &fit->held_after));
        json_append(&builder, list, object);
    }
    json_put(&builder, builder.root, "fits", list);
    return json_finish(&builder, error);
}

/* ---- files -------------------------------------------------------------------------------------
 */

static void write_group(FILE *out, const KernelFit *fit)
{
    fprintf(out, "%s:\n", fit->form->group);
    for (size_t p = 0; p < fit->form->parameter_count; p++) {
        const KernelParameter *parameter = &fit->form->parameters[p];
        if (fit->value[p] != 0 || parameter->needed)
            fprintf(out, "  %s: %.4g%s\n", parameter->key, fit->value[p] / parameter->unit,
                    parameter->suffix);
    }
    fprintf(out, "  source: \"fit to %zu rows, judged on %zu held back: mean error %.1f%% (",
            fit->fitted_after.n, fit->held_after.n, 100 * fit->held_after.mean_abs);
    for (const char *c = fit->source; *c != '\0'; c++)
        fputc(*c >= ' ' && *c <= '~' && *c != '"' && *c != '\\' ? *c : ' ', out);
    fputs(")\"\n", out);
}

/* The GPU's file line by line: a group that was fitted is replaced, one that is not there yet comes
 * last. The files are this program's own: groups start at the first column, what belongs to them is
 * indented. */
static void write_file(FILE *out, const char *text, const KernelFits *fits, const char *gpu,
                       int *written)
{
    int inside = 0;
    for (const char *line = text, *next; *line != '\0'; line = next) {
        const size_t length = strcspn(line, "\n");
        next = line + length + (line[length] == '\n');
        inside = inside && line[0] == ' ';
        for (size_t i = 0; i < fits->count; i++) {
            const size_t name = strlen(fits->fits[i].form->group);
            if (strcmp(fits->fits[i].gpu, gpu) != 0 ||
                strncmp(line, fits->fits[i].form->group, name) != 0 || line[name] != ':')
                continue;
            write_group(out, &fits->fits[i]);
            written[i] = inside = 1;
        }
        if (!inside)
            fwrite(line, 1, (size_t)(next - line), out);
    }
    for (size_t i = 0; i < fits->count; i++)
        if (strcmp(fits->fits[i].gpu, gpu) == 0 && written[i] == 0) {
            write_group(out, &fits->fits[i]);
            written[i] = 1;
        }
}

Status yaml_kernel_fits(const char *directory, const ConfigPaths *paths, const KernelFits *fits,
                        Error *error)
{
    int *written = calloc(fits->count + 1, sizeof *written);
    Status status =
        written != NULL ? STATUS_OK : error_set(error, STATUS_ENVIRONMENT, "out of memory");
    for (size_t i = 0; status == STATUS_OK && i < fits->count; i++) {
        const char *gpu = fits->fits[i].gpu;
        char path[ERROR_PATH_BYTES + NAME_BYTES + 32], name[NAME_BYTES + 8];
        FileText text = {0};
        TextFile file = {0};
        if (written[i] != 0)
            continue;
        snprintf(path, sizeof path, "%s/hw/%s.yaml", paths->root, gpu);
        snprintf(name, sizeof name, "%s.yaml", gpu);
        status = file_read(path, &text, error);
        if (status == STATUS_OK)
            status = files_begin(&file, error);
        if (status == STATUS_OK) {
            write_file(file.out, text.bytes, fits, gpu, written);
            status = files_finish(&file, directory, name, error);
        }
        free(text.bytes);
    }
    free(written);
    return status;
}
