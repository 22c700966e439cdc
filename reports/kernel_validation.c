#include "reports/kernel_validation.h"

#include "reports/ascii.h"
#include "reports/files.h"
#include "reports/json_build.h"
#include "reports/validation.h"

#include <string.h>

enum { WORST_ROWS = 15, SKIP_KINDS_SHOWN = 20, WRAP_INDENT = 2 };

/* ---- terminal ----------------------------------------------------------------------------------
 */

static void print_worst(FILE *out, const KernelValidation *result)
{
    size_t worst[WORST_ROWS];
    const size_t count = kernel_validation_worst(result, worst, WORST_ROWS);
    char id[KERNEL_ID_BYTES];
    ascii_linef(out, "%-48s %10s %10s %7s", "worst rows", "meas. us", "pred. us", "error");
    for (size_t i = 0; i < count; i++) {
        const KernelRow *row = &result->rows[worst[i]];
        ascii_copy(row->id, id, sizeof id);
        ascii_linef(out, "%-48.48s %10.1f %10.1f %+6.0f%%", id, 1e6 * row->measured_s,
                    1e6 * row->predicted_s, 100 * row->error);
    }
}

static void print_statistics(FILE *out, const char *label, const ErrorStatistics *all,
                             const ErrorStatistics *held_back)
{
    char text[KERNEL_LABEL_BYTES + 4], held[32] = "   -      -";
    ascii_copy(label, text, sizeof text);
    if (held_back->n > 0)
        snprintf(held, sizeof held, "%4zu %5.1f%%", held_back->n, 100 * held_back->mean_abs);
    ascii_linef(out, "%-28.28s %5zu %5.1f%% %5.1f%% %5.1f%% %4.0f%% %+5.1f%% %s", text, all->n,
                100 * all->median_abs, 100 * all->mean_abs, 100 * all->p90_abs, 100 * all->max_abs,
                100 * all->bias, held);
}

static void print_groups(FILE *out, const KernelValidation *result)
{
    ascii_linef(out, "%-28s %5s %6s %6s %6s %5s %6s %4s %6s", "errors of time", "rows", "median",
                "mean", "p90", "max", "bias", "held", "mean");
    print_statistics(out, "all", &result->summary, &result->held_back);
    for (size_t kind = 0; kind < KERNEL_GROUP_KINDS && result->group_names[kind] != NULL; kind++) {
        ascii_linef(out, "by %s", result->group_names[kind]);
        for (size_t i = 0; i < result->group_count; i++) {
            const KernelGroup *group = &result->groups[i];
            char label[KERNEL_LABEL_BYTES + 4];
            if (group->kind != kind)
                continue;
            snprintf(label, sizeof label, "  %s", group->label);
            print_statistics(out, label, &group->all, &group->held_back);
        }
    }
}

static void print_skipped(FILE *out, const KernelValidation *result)
{
    if (result->skipped_count == 0)
        return;
    ascii_linef(out, "%zu rows skipped:", result->skipped_count);
    for (size_t i = 0; i < result->skip_kind_count && i < SKIP_KINDS_SHOWN; i++) {
        char line[SKIP_REASON_BYTES + 32], reason[SKIP_REASON_BYTES];
        ascii_copy(result->skip_kinds[i].example, reason, sizeof reason);
        snprintf(line, sizeof line, "%zu x %s", result->skip_kinds[i].count, reason);
        ascii_wrap(out, line, WRAP_INDENT);
    }
    if (result->skip_kind_count > SKIP_KINDS_SHOWN)
        ascii_linef(out, "  and %zu other reasons (--json lists every row)",
                    result->skip_kind_count - SKIP_KINDS_SHOWN);
}

void terminal_kernel_validation(FILE *out, const KernelValidation *result,
                                const Provenance *provenance, TerminalStyle style)
{
    print_worst(out, result);
    fputc('\n', out);
    print_groups(out, result);
    fputc('\n', out);
    print_skipped(out, result);
    fputs(style_code(STYLE_FAINT, style.color), out);
    ascii_linef(out, "%s; held: not used in fits; sha256 %.12s, flopcast %s%s", result->what,
                provenance->sha256, PROGRAM_VERSION,
                provenance->set_count > 0 ? ", with --set" : "");
    fputs(style_code(STYLE_PLAIN, style.color), out);
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

static json_t *row_object(JsonBuilder *builder, const KernelValidation *result,
                          const KernelRow *row)
{
    json_t *object = json_object();
    json_put(builder, object, "id", json_text(row->id));
    json_put(builder, object, "line", json_number(row->line));
    json_put(builder, object, "measured", json_number(row->measured_s));
    json_put(builder, object, "predicted", json_number(row->predicted_s));
    json_put(builder, object, "error", json_number(row->error));
    json_put(builder, object, "held_back", json_truth(row->held_back));
    for (size_t kind = 0; kind < KERNEL_GROUP_KINDS && result->group_names[kind] != NULL; kind++)
        if (row->group[kind][0] != '\0')
            json_put(builder, object, result->group_names[kind], json_text(row->group[kind]));
    return object;
}

static json_t *group_object(JsonBuilder *builder, const KernelGroup *group)
{
    json_t *object = json_error_statistics(builder, &group->all);
    json_put(builder, object, "label", json_text(group->label));
    json_put(builder, object, "held_back", json_error_statistics(builder, &group->held_back));
    return object;
}

char *json_kernel_validation(const KernelValidation *result, const Provenance *provenance,
                             Error *error)
{
    JsonBuilder builder;
    json_start(&builder, provenance);
    if (builder.failed)
        return json_finish(&builder, error);
    json_t *rows = json_array(), *skipped = json_array(), *groups = json_object();
    for (size_t i = 0; i < result->row_count; i++)
        json_append(&builder, rows, row_object(&builder, result, &result->rows[i]));
    for (size_t i = 0; i < result->skipped_count; i++) {
        const SkippedRow *row = &result->skipped[i];
        json_t *object = json_object();
        json_put(&builder, object, "id", json_text(row->id));
        json_put(&builder, object, "line", json_number(row->line));
        json_put(&builder, object, "reason", json_text(row->reason));
        json_append(&builder, skipped, object);
    }
    for (size_t kind = 0; kind < KERNEL_GROUP_KINDS && result->group_names[kind] != NULL; kind++) {
        json_t *list = json_array();
        for (size_t i = 0; i < result->group_count; i++)
            if (result->groups[i].kind == kind)
                json_append(&builder, list, group_object(&builder, &result->groups[i]));
        json_put(&builder, groups, result->group_names[kind], list);
    }
    json_put(&builder, builder.root, "of", json_text(result->what));
    json_put(&builder, builder.root, "unit", json_text("s"));
    json_put(&builder, builder.root, "rows", rows);
    json_put(&builder, builder.root, "skipped", skipped);
    json_put(&builder, builder.root, "summary", json_error_statistics(&builder, &result->summary));
    json_put(&builder, builder.root, "held_back",
             json_error_statistics(&builder, &result->held_back));
    json_put(&builder, builder.root, "groups", groups);
    return json_finish(&builder, error);
}

/* ---- CSV ---------------------------------------------------------------------------------------
 */

Status csv_kernel_validation(const char *directory, const KernelValidation *result, Error *error)
{
    TextFile file;
    Status status = files_begin(&file, error);
    if (status != STATUS_OK)
        return status;
    fputs("line,id", file.out);
    for (size_t kind = 0; kind < KERNEL_GROUP_KINDS && result->group_names[kind] != NULL; kind++)
        fprintf(file.out, ",%s", result->group_names[kind]);
    fputs(",measured_s,predicted_s,error,held_back\r\n", file.out);
    for (size_t i = 0; i < result->row_count; i++) {
        const KernelRow *row = &result->rows[i];
        fprintf(file.out, "%d,", row->line);
        csv_put_text(file.out, row->id);
        for (size_t kind = 0; kind < KERNEL_GROUP_KINDS && result->group_names[kind] != NULL;
             kind++) {
            fputc(',', file.out);
            csv_put_text(file.out, row->group[kind]);
        }
        fprintf(file.out, ",%.17g,%.17g,%.17g,%d\r\n", row->measured_s, row->predicted_s,
                row->error, row->held_back);
    }
    return files_finish(&file, directory, "validation.csv", error);
}
