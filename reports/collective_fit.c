#include "reports/collective_fit.h"

#include "reports/files.h"
#include "reports/json_build.h"
#include "reports/validation.h"

#include <string.h>

static void write_unit(FILE *out, const CollectiveUnitFit *fit)
{
    const char *indent = fit->group[0] != '\0' ? "  " : "";
    if (fit->group[0] != '\0')
        fprintf(out, "%s:\n", fit->group);
    for (size_t i = 0; i < fit->value_count; i++)
        fprintf(out, "%s%s: %.4g%s\n", indent, fit->values[i].key, fit->values[i].value,
                fit->values[i].suffix);
    fprintf(out, "%ssource: \"fit to %zu rows%s%s, mean error %.1f%%", indent, fit->fitted.n,
            fit->mode[0] != '\0' ? " of the mode: " : "", fit->mode, 100 * fit->fitted.mean_abs);
    if (fit->held_back.n > 0)
        fprintf(out, "; %.1f%% on %zu held back", 100 * fit->held_back.mean_abs, fit->held_back.n);
    fputs("\"\n", out);
}

void yaml_collective_fits(FILE *out, const CollectiveFits *fits)
{
    for (size_t i = 0; i < fits->count; i++) {
        if (i == 0 || strcmp(fits->fits[i].fit, fits->fits[i - 1].fit) != 0)
            fprintf(out, "%s# %s\n", i > 0 ? "\n" : "", fits->fits[i].fit);
        write_unit(out, &fits->fits[i]);
    }
}

char *json_collective_fits(const CollectiveFits *fits, const Provenance *provenance, Error *error)
{
    JsonBuilder builder;
    json_start(&builder, provenance);
    if (builder.failed)
        return json_finish(&builder, error);
    json_t *list = json_array();
    for (size_t i = 0; i < fits->count; i++) {
        const CollectiveUnitFit *fit = &fits->fits[i];
        json_t *object = json_object(), *values = json_object();
        for (size_t v = 0; v < fit->value_count; v++)
            json_put(&builder, values, fit->values[v].key, json_number(fit->values[v].value));
        json_put(&builder, object, "fit", json_text(fit->fit));
        json_put(&builder, object, "group", json_text(fit->group));
        json_put(&builder, object, "mode", json_text(fit->mode));
        json_put(&builder, object, "values", values);
        json_put(&builder, object, "fitted", json_error_statistics(&builder, &fit->fitted));
        json_put(&builder, object, "held_back", json_error_statistics(&builder, &fit->held_back));
        json_append(&builder, list, object);
    }
    json_put(&builder, builder.root, "fits", list);
    return json_finish(&builder, error);
}

Status write_collective_fits(const char *directory, const CollectiveFits *fits, Error *error)
{
    TextFile file;
    Status status = files_begin(&file, error);
    if (status != STATUS_OK)
        return status;
    yaml_collective_fits(file.out, fits);
    return files_finish(&file, directory, "collective_fits.yaml", error);
}
