/* The small documents: errors of input files and resolved configurations. */
#include "reports/json.h"

#include "reports/json_build.h"

char *json_errors(const ErrorList *errors, Error *error)
{
    JsonBuilder builder;
    json_start(&builder, NULL);
    if (builder.failed)
        return json_finish(&builder, error);
    json_t *list = json_array();
    for (size_t i = 0; i < errors->count; i++) {
        const Error *problem = &errors->errors[i];
        json_t *entry = json_object();
        json_put(&builder, entry, "file", json_text(problem->file));
        json_put(&builder, entry, "line", json_integer(problem->line));
        json_put(&builder, entry, "column", json_integer(problem->column));
        json_put(&builder, entry, "message", json_text(problem->message));
        json_put(&builder, entry, "hint", json_text(problem->hint));
        json_append(&builder, list, entry);
    }
    json_put(&builder, builder.root, "errors", list);
    json_put(&builder, builder.root, "total", json_count(errors->total));
    return json_finish(&builder, error);
}

char *json_resolved(const char *name, const ResolvedList *values, const char *sha256, Error *error)
{
    JsonBuilder builder;
    json_start(&builder, NULL);
    if (builder.failed)
        return json_finish(&builder, error);
    json_t *list = json_array();
    for (size_t i = 0; i < values->count; i++) {
        const ResolvedValue *value = &values->values[i];
        json_t *entry = json_object();
        json_put(&builder, entry, "path", json_text(value->path));
        json_put(&builder, entry, "value", json_text(value->value));
        json_put(&builder, entry, "origin", json_text(value->origin));
        json_put(&builder, entry, "source", json_text(value->source));
        json_put(&builder, entry, "is_default", json_truth(value->is_default));
        json_put(&builder, entry, "is_range", json_truth(value->is_range));
        json_append(&builder, list, entry);
    }
    json_put(&builder, builder.root, "values", list);
    json_put(&builder, builder.root, "name", json_text(name));
    json_put(&builder, builder.root, "sha256", json_text(sha256));
    return json_finish(&builder, error);
}
