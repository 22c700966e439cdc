#include "reports/serving_validation.h"

#include "reports/ascii.h"
#include "reports/json_build.h"
#include "reports/terminal_parts.h"

#include <stdio.h>
#include <string.h>

enum { SHORT_ID = 10, LONG_ID = 36 }; /* columns */
enum { WORST_ROWS = 15, KIND = 0, METRIC = 1, ENGINE = 2, GPU = 3, MODEL = 4 };

static int is_rate(const KernelRow *row)
{
    return strcmp(row->group[KIND], "throughput") == 0;
}

static void print_statistics(FILE *out, const char *label, const ErrorStatistics *all,
                             const ErrorStatistics *held)
{
    ascii_linef(out, "  %-24s %4zu %6.1f%% %6.1f%% %+6.1f%% | %3zu %6.1f%% %6.1f%%", label, all->n,
                100 * all->median_abs, 100 * all->p90_abs, 100 * all->bias, held->n,
                100 * held->median_abs, 100 * held->p90_abs);
}

/* An id that is longer than a column shows its end: the beginning repeats model and engine. */
static void print_row(FILE *out, const KernelRow *row, int id_width)
{
    const size_t length = strlen(row->id);
    const char *id = length > (size_t)id_width ? row->id + length - id_width : row->id;
    char measured[64], predicted[64];
    format_quantity(row->measured_s, is_rate(row) ? "1/s" : "s", measured, sizeof measured);
    format_quantity(row->predicted_s, is_rate(row) ? "1/s" : "s", predicted, sizeof predicted);
    if (id_width == SHORT_ID)
        ascii_linef(out, "  %-*s %+5.0f%% %10s %10s  %.13s %.17s", SHORT_ID, id, 100 * row->error,
                    measured, predicted, row->group[MODEL], row->group[ENGINE]);
    else
        ascii_linef(out, "  %-*s %+5.0f%% %10s %10s  %.13s", id_width, id, 100 * row->error,
                    measured, predicted, row->group[ENGINE]);
}

static size_t count_assumed(const KernelValidation *result)
{
    size_t count = 0;
    for (size_t i = 0; i < result->row_count; i++)
        count += result->rows[i].assumed[0] != '\0';
    return count;
}

void terminal_serving_validation(FILE *out, const KernelValidation *result,
                                 const Provenance *provenance, TerminalStyle style)
{
    size_t worst[WORST_ROWS];
    const size_t count = kernel_validation_worst(result, worst, WORST_ROWS);
    ascii_linef(out, "%zu published speeds of serving engines, %zu rows skipped", result->row_count,
                result->skipped_count);
    int id_width = SHORT_ID;
    for (size_t i = 0; i < count; i++)
        if (strlen(result->rows[worst[i]].id) > SHORT_ID)
            id_width = LONG_ID;
    ascii_linef(out, "  %-*s %6s %10s %10s", id_width, "worst", "error", "measured", "predicted");
    for (size_t i = 0; i < count; i++)
        print_row(out, &result->rows[worst[i]], id_width);
    ascii_linef(out, "  %-24s %4s %7s %7s %7s | %3s %7s %7s", "error of", "rows", "median", "p90",
                "bias", "", "held b.", "p90");
    print_statistics(out, "all", &result->summary, &result->held_back);
    for (size_t kind = 0; kind < KERNEL_GROUP_KINDS && result->group_names[kind] != NULL; kind++) {
        ascii_linef(out, "by %s", result->group_names[kind]);
        for (size_t i = 0; i < result->group_count; i++)
            if (result->groups[i].kind == kind)
                print_statistics(out, result->groups[i].label, &result->groups[i].all,
                                 &result->groups[i].held_back);
    }
    if (count_assumed(result) > 0)
        ascii_linef(out, "assumed in %zu: cells left out or spelled otherwise (--json: assumed)",
                    count_assumed(result));
    for (size_t i = 0; i < result->skip_kind_count; i++)
        ascii_linef(out, "skipped %3zu: %s", result->skip_kinds[i].count,
                    result->skip_kinds[i].example);
    terminal_provenance(out, provenance, style);
}

static json_t *statistics_object(JsonBuilder *builder, const ErrorStatistics *statistics)
{
    json_t *object = json_object();
    json_put(builder, object, "n", json_count(statistics->n));
    json_put(builder, object, "median_abs_error", json_number(statistics->median_abs));
    json_put(builder, object, "mean_abs_error", json_number(statistics->mean_abs));
    json_put(builder, object, "p90_abs_error", json_number(statistics->p90_abs));
    json_put(builder, object, "max_abs_error", json_number(statistics->max_abs));
    json_put(builder, object, "bias", json_number(statistics->bias));
    return object;
}

char *json_serving_validation(const KernelValidation *result, const Provenance *provenance,
                              Error *error)
{
    JsonBuilder builder;
    json_start(&builder, provenance);
    if (builder.failed)
        return json_finish(&builder, error);
    json_t *rows = json_array(), *skipped = json_array(), *groups = json_array();
    for (size_t i = 0; i < result->row_count; i++) {
        const KernelRow *row = &result->rows[i];
        json_t *object = json_object();
        json_put(&builder, object, "id", json_text(row->id));
        json_put(&builder, object, "line", json_count((unsigned long long)row->line));
        json_put(&builder, object, "kind", json_text(row->group[KIND]));
        json_put(&builder, object, "metric", json_text(row->group[METRIC]));
        json_put(&builder, object, "engine", json_text(row->group[ENGINE]));
        json_put(&builder, object, "gpu", json_text(row->group[GPU]));
        json_put(&builder, object, "model", json_text(row->group[MODEL]));
        json_put(&builder, object, "held_back", json_truth(row->held_back));
        json_put(&builder, object, "assumed", json_text(row->assumed));
        json_put(&builder, object, "measured", json_number(row->measured_s));
        json_put(&builder, object, "predicted", json_number(row->predicted_s));
        json_put(&builder, object, "error", json_number(row->error));
        json_append(&builder, rows, object);
    }
    for (size_t i = 0; i < result->skipped_count; i++) {
        json_t *object = json_object();
        json_put(&builder, object, "id", json_text(result->skipped[i].id));
        json_put(&builder, object, "line", json_count((unsigned long long)result->skipped[i].line));
        json_put(&builder, object, "reason", json_text(result->skipped[i].reason));
        json_append(&builder, skipped, object);
    }
    for (size_t i = 0; i < result->group_count; i++) {
        const KernelGroup *group = &result->groups[i];
        json_t *object = json_object();
        json_put(&builder, object, "by", json_text(result->group_names[group->kind]));
        json_put(&builder, object, "label", json_text(group->label));
        json_put(&builder, object, "all", statistics_object(&builder, &group->all));
        json_put(&builder, object, "held_back", statistics_object(&builder, &group->held_back));
        json_append(&builder, groups, object);
    }
    json_put(&builder, builder.root, "rows", rows);
    json_put(&builder, builder.root, "skipped", skipped);
    json_put(&builder, builder.root, "groups", groups);
    json_put(&builder, builder.root, "summary", statistics_object(&builder, &result->summary));
    json_put(&builder, builder.root, "held_back", statistics_object(&builder, &result->held_back));
    return json_finish(&builder, error);
}
