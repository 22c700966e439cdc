#include "reports/leave_out.h"

#include "reports/ascii.h"
#include "reports/json_build.h"
#include "reports/validation.h"

static void print_line(FILE *out, const char *name, size_t skipped, const ErrorStatistics *errors)
{
    char text[LEFT_OUT_NAME_BYTES];
    ascii_copy(name, text, sizeof text);
    ascii_linef(out, "%-20s %5zu %8zu %8.1f%% %8.1f%% %8.1f%% %+8.1f%%", text, errors->n, skipped,
                100 * errors->median_abs, 100 * errors->mean_abs, 100 * errors->p90_abs,
                100 * errors->bias);
}

void terminal_leave_out(FILE *out, const LeaveOut *result, const Provenance *provenance)
{
    ascii_linef(out, "%-20s %5s %8s %9s %9s %9s %9s", "source left out", "rows", "skipped",
                "median", "mean", "p90", "bias");
    for (size_t i = 0; i < result->source_count; i++)
        print_line(out, result->sources[i].name, result->sources[i].skipped,
                   &result->sources[i].errors);
    print_line(out, "all", result->skipped, &result->all);
    ascii_linef(out, "split pool, as rows of unknown sources; seed %llu, sha256 %.12s, flopcast %s",
                provenance->seed, provenance->sha256, PROGRAM_VERSION);
}

static json_t *source_object(JsonBuilder *builder, const LeftOutSource *source)
{
    json_t *object = json_object();
    json_put(builder, object, "source", json_text(source->name));
    json_put(builder, object, "skipped", json_count(source->skipped));
    json_put(builder, object, "errors", json_error_statistics(builder, &source->errors));
    return object;
}

char *json_leave_out(const LeaveOut *result, const Provenance *provenance, Error *error)
{
    JsonBuilder builder;
    json_start(&builder, provenance);
    if (builder.failed)
        return json_finish(&builder, error);
    json_t *sources = json_array(), *rows = json_array();
    for (size_t i = 0; i < result->source_count; i++)
        json_append(&builder, sources, source_object(&builder, &result->sources[i]));
    for (size_t i = 0; i < result->row_count; i++) {
        json_t *row = json_object();
        json_put(&builder, row, "id", json_text(result->rows[i].row->id));
        json_put(&builder, row, "stack", json_text(result->rows[i].stack));
        json_put(&builder, row, "error", json_number(result->rows[i].error));
        json_append(&builder, rows, row);
    }
    json_put(&builder, builder.root, "sources", sources);
    json_put(&builder, builder.root, "rows", rows);
    json_put(&builder, builder.root, "skipped", json_count(result->skipped));
    json_put(&builder, builder.root, "summary", json_error_statistics(&builder, &result->all));
    return json_finish(&builder, error);
}
