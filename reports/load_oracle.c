#include "reports/load_oracle.h"

#include "reports/ascii.h"
#include "reports/json_build.h"
#include "reports/validation.h"

#include <math.h>
#include <string.h>

enum { ROWS_SHOWN = 10, QUANTITIES_SHOWN = 24, SKIPPED_SHOWN = 10, ROW_INDENT = 2 };

/* ---- text --------------------------------------------------------------------------------------
 */

/* Indices of the rows farthest apart, farthest first; returns how many. */
static size_t farthest(const LoadOracle *oracle, size_t *indices)
{
    size_t count = 0;
    for (size_t i = 0; i < oracle->row_count; i++) {
        size_t at = count;
        while (at > 0 && oracle->rows[indices[at - 1]].apart < oracle->rows[i].apart)
            at--;
        if (at == ROWS_SHOWN)
            continue;
        count += count < ROWS_SHOWN;
        for (size_t j = count - 1; j > at; j--)
            indices[j] = indices[j - 1];
        indices[at] = i;
    }
    return count;
}

static void print_farthest(FILE *out, const LoadOracle *oracle)
{
    size_t indices[ROWS_SHOWN];
    char id[LOAD_ID_BYTES];
    const size_t count = farthest(oracle, indices);
    ascii_linef(out, "%-52s %9s %9s %7s", "farthest apart", "expected", "here", "std.err");
    for (size_t i = 0; i < count; i++) {
        const LoadRow *row = &oracle->rows[indices[i]];
        ascii_copy(row->id, id, sizeof id);
        ascii_linef(out, "%-52.52s %9.5g %9.5g %6.1f%s", id, row->measured, row->predicted,
                    row->apart, row->ok ? "" : "*");
    }
}

typedef struct QuantityCount {
    const char *name;
    size_t rows, not_ok;
    double apart;
} QuantityCount;

static void print_quantities(FILE *out, const LoadOracle *oracle)
{
    QuantityCount counts[QUANTITIES_SHOWN] = {{0}};
    size_t used = 0;
    char name[32];
    for (size_t i = 0; i < oracle->row_count; i++) {
        const LoadRow *row = &oracle->rows[i];
        size_t at = 0;
        while (at < used && strcmp(counts[at].name, row->quantity) != 0)
            at++;
        if (at == QUANTITIES_SHOWN)
            continue;
        used += at == used;
        counts[at].name = row->quantity;
        counts[at].rows++;
        counts[at].not_ok += row->ok == 0;
        counts[at].apart = fmax(counts[at].apart, row->apart);
    }
    ascii_linef(out, "%-28s %8s %8s %16s", "quantity", "rows", "not ok", "most std.err");
    for (size_t i = 0; i < used; i++) {
        ascii_copy(counts[i].name, name, sizeof name);
        ascii_linef(out, "%-28s %8zu %8zu %16.1f", name, counts[i].rows, counts[i].not_ok,
                    counts[i].apart);
    }
    ascii_linef(out, "%-28s %8zu %8zu", "all", oracle->row_count, oracle->not_ok);
}

void terminal_load_oracle(FILE *out, const LoadOracle *oracle, const Provenance *provenance,
                          TerminalStyle style)
{
    print_farthest(out, oracle);
    fputc('\n', out);
    print_quantities(out, oracle);
    fputc('\n', out);
    ascii_linef(out,
                "relative error: median %.2f%%, mean %.2f%%, p90 %.2f%% (* more than %g standard "
                "errors)",
                100 * oracle->summary.median_abs, 100 * oracle->summary.mean_abs,
                100 * oracle->summary.p90_abs, LOAD_AGREEMENT);
    if (oracle->skipped_count > 0)
        ascii_linef(out, "%zu rows skipped:", oracle->skipped_count);
    for (size_t i = 0; i < oracle->skipped_count && i < SKIPPED_SHOWN; i++) {
        char line[LOAD_REASON_BYTES + 32], reason[LOAD_REASON_BYTES];
        ascii_copy(oracle->skipped[i].reason, reason, sizeof reason);
        snprintf(line, sizeof line, "line %d: %s", oracle->skipped[i].line, reason);
        ascii_wrap(out, line, ROW_INDENT);
    }
    if (oracle->skipped_count > SKIPPED_SHOWN)
        ascii_linef(out, "  and %zu more (--json lists every row)",
                    oracle->skipped_count - SKIPPED_SHOWN);
    fputs(style_code(STYLE_FAINT, style.color), out);
    ascii_linef(out, "seed %llu, sha256 %.12s, flopcast %s", provenance->seed, provenance->sha256,
                PROGRAM_VERSION);
    fputs(style_code(STYLE_PLAIN, style.color), out);
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

static json_t *row_object(JsonBuilder *builder, const LoadRow *row)
{
    json_t *object = json_object();
    json_put(builder, object, "id", json_text(row->id));
    json_put(builder, object, "line", json_number(row->line));
    json_put(builder, object, "measured", json_number(row->measured));
    json_put(builder, object, "measured_standard_error", json_number(row->measured_error));
    json_put(builder, object, "predicted", json_number(row->predicted));
    json_put(builder, object, "predicted_standard_error", json_number(row->predicted_error));
    json_put(builder, object, "standard_errors_apart", json_number(row->apart));
    json_put(builder, object, "error", json_number(row->error));
    json_put(builder, object, "ok", json_truth(row->ok));
    return object;
}

char *json_load_oracle(const LoadOracle *oracle, const Provenance *provenance, Error *error)
{
    JsonBuilder builder;
    json_start(&builder, provenance);
    if (builder.failed)
        return json_finish(&builder, error);
    json_t *rows = json_array(), *skipped = json_array();
    for (size_t i = 0; i < oracle->row_count; i++)
        json_append(&builder, rows, row_object(&builder, &oracle->rows[i]));
    for (size_t i = 0; i < oracle->skipped_count; i++) {
        json_t *object = json_object();
        json_put(&builder, object, "line", json_number(oracle->skipped[i].line));
        json_put(&builder, object, "reason", json_text(oracle->skipped[i].reason));
        json_append(&builder, skipped, object);
    }
    json_t *summary = json_error_statistics(&builder, &oracle->summary);
    json_put(&builder, summary, "rows", json_count(oracle->row_count));
    json_put(&builder, summary, "not_ok", json_count(oracle->not_ok));
    json_put(&builder, builder.root, "rows", rows);
    json_put(&builder, builder.root, "skipped", skipped);
    json_put(&builder, builder.root, "summary", summary);
    return json_finish(&builder, error);
}
