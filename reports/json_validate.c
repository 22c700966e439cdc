#include "reports/json_build.h"
#include "reports/validation.h"

json_t *json_error_statistics(JsonBuilder *builder, const ErrorStatistics *statistics)
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

static json_t *row_object(JsonBuilder *builder, const ValidatedRow *row)
{
    json_t *object = json_object(), *defaults = json_array();
    json_put(builder, object, "id", json_text(row->row->id));
    json_put(builder, object, "split", json_text(row->row->split));
    json_put(builder, object, "hardware", json_text(row->hardware));
    json_put(builder, object, "stack", json_text(row->stack));
    json_put(builder, object, "gpus", json_number(row->setup[SETUP_GPUS]));
    json_put(builder, object, "layout", json_text(row->layout));
    json_put(builder, object, "measured", json_number(row->measured));
    json_put(builder, object, "predicted", json_number(row->predicted));
    json_put(builder, object, "error", json_number(row->error));
    for (int i = 0; i < MEASURED_DEFAULTS; i++) {
        char text[MEASURED_DEFAULT_BYTES];
        if (default_taken(&row->defaults, (MeasuredDefault)i))
            json_append(builder, defaults,
                        json_text(default_text(&row->defaults, (MeasuredDefault)i, text)));
    }
    json_put(builder, object, "defaults", defaults);
    json_put(builder, object, "fits", json_truth(row->fits));
    json_put(builder, object, "memory_bytes", json_number(row->memory_bytes));
    json_put(builder, object, "capacity_bytes", json_number(row->capacity_bytes));
    return object;
}

static json_t *ratios_object(JsonBuilder *builder, const ValidationResult *result)
{
    json_t *object = json_object(), *kinds = json_object(), *pairs = json_array();
    json_put(builder, object, "summary", json_error_statistics(builder, &result->ratio_summary));
    for (int kind = 0; kind < RATIO_KINDS; kind++)
        json_put(builder, kinds, RATIO_KIND_NAMES[kind],
                 json_error_statistics(builder, &result->ratio_kinds[kind]));
    json_put(builder, object, "kinds", kinds);
    for (size_t i = 0; i < result->ratio_count; i++) {
        const RatioPair *pair = &result->ratios[i];
        json_t *one = json_object();
        json_put(builder, one, "varied", json_text(RATIO_KIND_NAMES[pair->kind]));
        json_put(builder, one, "id", json_text(result->rows[pair->row].row->id));
        json_put(builder, one, "reference", json_text(result->rows[pair->reference].row->id));
        json_put(builder, one, "measured", json_number(pair->measured));
        json_put(builder, one, "predicted", json_number(pair->predicted));
        json_put(builder, one, "error", json_number(pair->error));
        json_append(builder, pairs, one);
    }
    json_put(builder, object, "pairs", pairs);
    return object;
}

static json_t *regret_object(JsonBuilder *builder, const ValidationResult *result)
{
    json_t *object = json_object(), *jobs = json_array();
    const double worst = result->choice_count > 0 ? result->choices[0].regret : 0;
    json_put(builder, object, "n", json_count(result->choice_count));
    json_put(builder, object, "mean", json_number(result->mean_regret));
    json_put(builder, object, "max", json_number(worst));
    for (size_t i = 0; i < result->choice_count; i++) {
        const LayoutChoice *choice = &result->choices[i];
        json_t *job = json_object();
        json_put(builder, job, "layouts", json_count(choice->layouts));
        json_put(builder, job, "picked", json_text(result->rows[choice->picked].row->id));
        json_put(builder, job, "best", json_text(result->rows[choice->best].row->id));
        json_put(builder, job, "regret", json_number(choice->regret));
        json_append(builder, jobs, job);
    }
    json_put(builder, object, "jobs", jobs);
    return object;
}

char *json_validation(const ValidationResult *result, const Provenance *provenance, Error *error)
{
    JsonBuilder builder;
    json_start(&builder, provenance);
    if (builder.failed)
        return json_finish(&builder, error);
    json_t *rows = json_array(), *skipped = json_array(), *groups = json_object();
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
    for (int kind = 0; kind < GROUP_KINDS; kind++) {
        json_t *list = json_array();
        for (size_t i = 0; i < result->group_count; i++) {
            const ErrorGroup *group = &result->groups[i];
            if (group->kind != (GroupKind)kind)
                continue;
            json_t *object = json_error_statistics(&builder, &group->statistics);
            json_put(&builder, object, "label", json_text(group->label));
            json_append(&builder, list, object);
        }
        json_put(&builder, groups, GROUP_KIND_NAMES[kind], list);
    }
    json_put(&builder, builder.root, "rows", rows);
    json_put(&builder, builder.root, "skipped", skipped);
    json_put(&builder, builder.root, "summary", json_error_statistics(&builder, &result->summary));
    json_put(&builder, builder.root, "groups", groups);
    json_put(&builder, builder.root, "ratios", ratios_object(&builder, result));
    json_put(&builder, builder.root, "regret", regret_object(&builder, result));
    json_put(&builder, builder.root, "not_fitting", json_count(result->not_fitting));
    return json_finish(&builder, error);
}
