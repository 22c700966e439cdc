#include "reports/stack_fit.h"

#include "reports/ascii.h"
#include "reports/files.h"
#include "reports/json_build.h"
#include "reports/validation.h"

#include <stdlib.h>
#include <string.h>

/* ---- terminal ----------------------------------------------------------------------------------
 */

static void print_errors(FILE *out, const char *label, const char *when,
                         const ErrorStatistics *statistics)
{
    ascii_linef(out, "%-24.24s %-8s %5zu %8.1f%% %8.1f%% %8.1f%% %+8.1f%%", label, when,
                statistics->n, 100 * statistics->median_abs, 100 * statistics->mean_abs,
                100 * statistics->p90_abs, 100 * statistics->bias);
}

static void print_values(FILE *out, const StackFit *fit)
{
    for (int i = 0; i < FIT_PARAMETERS; i++) {
        const FitParameterSpec *spec = &FIT_PARAMETER_SPECS[i];
        if (fit->fitted[i] != 0)
            ascii_linef(out, "  %s %.4g%s", spec->key, fit->value[i] / spec->unit, spec->suffix);
    }
    if (fit->with[0] != '\0')
        ascii_linef(out, "  shared with %s", fit->with);
}

void terminal_stack_fits(FILE *out, const StackFits *fits, const Provenance *provenance)
{
    ascii_linef(out, "%-24s %-8s %5s %9s %9s %9s %9s", "stack", "", "rows", "median", "mean", "p90",
                "bias");
    for (size_t i = 0; i < fits->count; i++) {
        const StackFit *fit = &fits->fits[i];
        print_errors(out, fit->stack, "before", &fit->before);
        print_errors(out, "", "after", &fit->after);
        if (fit->held_out.n > 0)
            print_errors(out, "", "held out", &fit->held_out);
        print_values(out, fit);
    }
    if (fits->after.n > 0 && fits->count > 1)
        print_errors(out, "all", "after", &fits->after);
    if (fits->held_out.n > 0 && fits->count > 1)
        print_errors(out, "", "held out", &fits->held_out);
    ascii_linef(out, "split pool; seed %llu, sha256 %.12s, flopcast %s", provenance->seed,
                provenance->sha256, PROGRAM_VERSION);
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

static json_t *fit_object(JsonBuilder *builder, const StackFit *fit)
{
    json_t *object = json_object(), *parameters = json_object();
    json_put(builder, object, "stack", json_text(fit->stack));
    json_put(builder, object, "shared_with", json_text(fit->with[0] != '\0' ? fit->with : NULL));
    json_put(builder, object, "fit_rows", json_count(fit->fit_rows));
    for (int i = 0; i < FIT_PARAMETERS; i++)
        if (fit->fitted[i] != 0)
            json_put(builder, parameters, FIT_PARAMETER_SPECS[i].key, json_number(fit->value[i]));
    json_put(builder, object, "parameters", parameters);
    json_put(builder, object, "before", json_error_statistics(builder, &fit->before));
    json_put(builder, object, "after", json_error_statistics(builder, &fit->after));
    if (fit->held_out.n > 0)
        json_put(builder, object, "held_out", json_error_statistics(builder, &fit->held_out));
    return object;
}

char *json_stack_fits(const StackFits *fits, const Provenance *provenance, Error *error)
{
    JsonBuilder builder;
    json_start(&builder, provenance);
    if (builder.failed)
        return json_finish(&builder, error);
    json_t *list = json_array();
    for (size_t i = 0; i < fits->count; i++)
        json_append(&builder, list, fit_object(&builder, &fits->fits[i]));
    json_put(&builder, builder.root, "fits", list);
    json_put(&builder, builder.root, "after", json_error_statistics(&builder, &fits->after));
    if (fits->held_out.n > 0)
        json_put(&builder, builder.root, "held_out",
                 json_error_statistics(&builder, &fits->held_out));
    return json_finish(&builder, error);
}

/* ---- files -------------------------------------------------------------------------------------
 */

Status yaml_stack_fits(const char *directory, const ConfigPaths *paths, const StackFits *fits,
                       Error *error)
{
    Status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < fits->count; i++) {
        const StackFit *fit = &fits->fits[i];
        char name[NAME_BYTES + 8], *text = NULL;
        if (fit->fit_rows == 0)
            continue;
        snprintf(name, sizeof name, "%s.yaml", fit->stack);
        status = stack_fit_yaml(paths, fit, &text, error);
        if (status == STATUS_OK)
            status = files_write_text(directory, name, text, error);
        free(text);
    }
    return status;
}
