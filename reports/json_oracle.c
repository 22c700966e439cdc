#include "reports/json_build.h"
#include "reports/oracle.h"
#include "reports/validation.h"

static json_t *row_object(JsonBuilder *builder, const OracleRow *row)
{
    json_t *object = json_object();
    json_put(builder, object, "id", json_text(row->id));
    json_put(builder, object, "line", json_number(row->line));
    json_put(builder, object, "model", json_text(row->model));
    json_put(builder, object, "parameters", json_text(row->parameters));
    json_put(builder, object, "metric", json_text(row->metric));
    json_put(builder, object, "measured", json_number(row->expected));
    json_put(builder, object, "predicted", json_number(row->closed_form));
    json_put(builder, object, "error", json_number(row->error));
    json_put(builder, object, "allowed_error", json_number(row->allowed_error));
    json_put(builder, object, "simulated",
             row->has_simulation ? json_number(row->simulated) : json_null());
    json_put(builder, object, "standard_error",
             row->has_simulation ? json_number(row->standard_error) : json_null());
    json_put(builder, object, "z", row->has_simulation ? json_number(row->z) : json_null());
    json_put(builder, object, "ok", json_truth(row->ok));
    json_put(builder, object, "note", json_text(row->note));
    return object;
}

static json_t *group_object(JsonBuilder *builder, const OracleGroup *group)
{
    json_t *object = json_object();
    json_put(builder, object, "model", json_text(group->model));
    json_put(builder, object, "n", json_count(group->rows));
    json_put(builder, object, "ok", json_count(group->ok));
    json_put(builder, object, "simulated", json_count(group->simulated));
    json_put(builder, object, "max_abs_error", json_number(group->max_abs_error));
    json_put(builder, object, "max_abs_z", json_number(group->max_abs_z));
    return object;
}

char *json_oracle(const OracleResult *result, const Provenance *provenance, Error *error)
{
    JsonBuilder builder;
    json_start(&builder, provenance);
    if (builder.failed)
        return json_finish(&builder, error);
    json_t *rows = json_array(), *skipped = json_array(), *models = json_array();
    for (size_t i = 0; i < result->row_count; i++)
        json_append(&builder, rows, row_object(&builder, &result->rows[i]));
    for (size_t i = 0; i < result->skipped_count; i++) {
        const SkippedRow *row = &result->skipped[i];
        json_t *object = json_object();
        json_put(&builder, object, "id", json_text(row->id));
        json_put(&builder, object, "line", json_number(row->line));
        json_put(&builder, object, "reason", json_text(row->reason));
        json_append(&builder, skipped, object);
    }
    for (size_t i = 0; i < result->group_count; i++)
        json_append(&builder, models, group_object(&builder, &result->groups[i]));
    json_t *summary = json_error_statistics(&builder, &result->summary);
    json_put(&builder, summary, "ok", json_count(result->ok));
    json_put(&builder, summary, "simulated", json_count(result->simulated));
    json_put(&builder, summary, "not_simulated", json_count(result->not_simulated));
    json_put(&builder, summary, "max_abs_z", json_number(result->max_abs_z));
    json_put(&builder, summary, "mean_z2", json_number(result->mean_z2));
    json_put(&builder, builder.root, "rows", rows);
    json_put(&builder, builder.root, "skipped", skipped);
    json_put(&builder, builder.root, "models", models);
    json_put(&builder, builder.root, "summary", summary);
    return json_finish(&builder, error);
}
