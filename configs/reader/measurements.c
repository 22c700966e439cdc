#include "configs/reader/measurements.h"

#include "configs/reader/measured_cell.h"
#include "configs/reader/suggest.h"
#include "configs/reader/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const MEASURED_METRIC_WORDS[MEASURED_METRICS] = {
    [METRIC_TOKENS_PER_S_PER_GPU] = "tokens_per_s_per_gpu",
    [METRIC_ITER_SECONDS] = "iter_seconds",
    [METRIC_TFLOPS_PER_GPU] = "tflops_per_gpu",
    [METRIC_MFU] = "mfu",
    [METRIC_DAYS] = "days",
    [METRIC_GPU_HOURS] = "gpu_hours",
    [METRIC_MEMORY_GIB] = "memory_gib",
    [METRIC_TOKENS_PER_S] = "tokens_per_s",
    [METRIC_SAMPLES_PER_S] = "samples_per_s"};

/* Other ways to write them, as words. */
static const struct {
    const char *words;
    MeasuredMetric metric;
} METRIC_SPELLINGS[] = {
    {"tokens s gpu", METRIC_TOKENS_PER_S_PER_GPU},
    {"tok s gpu", METRIC_TOKENS_PER_S_PER_GPU},
    {"tokens sec gpu", METRIC_TOKENS_PER_S_PER_GPU},
    {"tok sec gpu", METRIC_TOKENS_PER_S_PER_GPU},
    {"tokens per sec per gpu", METRIC_TOKENS_PER_S_PER_GPU},
    {"tokens per second per gpu", METRIC_TOKENS_PER_S_PER_GPU},
    {"tps per gpu", METRIC_TOKENS_PER_S_PER_GPU},
    {"tgs", METRIC_TOKENS_PER_S_PER_GPU},
    {"step seconds", METRIC_ITER_SECONDS},
    {"step time", METRIC_ITER_SECONDS},
    {"step time s", METRIC_ITER_SECONDS},
    {"iteration time", METRIC_ITER_SECONDS},
    {"iteration time s", METRIC_ITER_SECONDS},
    {"iter time s", METRIC_ITER_SECONDS},
    {"seconds per step", METRIC_ITER_SECONDS},
    {"seconds per iteration", METRIC_ITER_SECONDS},
    {"s iter", METRIC_ITER_SECONDS},
    {"s step", METRIC_ITER_SECONDS},
    {"tflops gpu", METRIC_TFLOPS_PER_GPU},
    {"tflop s gpu", METRIC_TFLOPS_PER_GPU},
    {"tflops s gpu", METRIC_TFLOPS_PER_GPU},
    {"tflops per device", METRIC_TFLOPS_PER_GPU},
    {"tflop s per gpu", METRIC_TFLOPS_PER_GPU},
    {"mfu percent", METRIC_MFU},
    {"mfu pct", METRIC_MFU},
    {"model flops utilization", METRIC_MFU},
    {"gpu h", METRIC_GPU_HOURS},
    {"tokens s", METRIC_TOKENS_PER_S},
    {"tok s", METRIC_TOKENS_PER_S},
    {"tokens per second", METRIC_TOKENS_PER_S},
    {"samples s", METRIC_SAMPLES_PER_S},
    {"samples per second", METRIC_SAMPLES_PER_S},
    {"sequences s", METRIC_SAMPLES_PER_S},
    {"sequences per s", METRIC_SAMPLES_PER_S},
    {"sequences per second", METRIC_SAMPLES_PER_S},
};

/* ---- the columns -------------------------------------------------------------------------------
 */

/* `needed`: the column must exist. An empty cell is always allowed here: whether a row can be
 * simulated without the value is for the reader of the row to say. */
typedef struct TextColumn {
    const char *name;
    size_t offset;
    int needed;
} TextColumn;

#define TEXT(NAME, MEMBER, NEEDED)                                                                 \
    {                                                                                              \
        NAME, offsetof(Measurement, MEMBER), NEEDED                                                \
    }
static const TextColumn TEXT_COLUMNS[] = {
    TEXT("id", id, 1),
    TEXT("split", split, 0),
    TEXT("source", source, 0),
    TEXT("source_locator", locator, 0),
    TEXT("model", model, 0),
    TEXT("dense_or_moe", kind, 0),
    TEXT("gpu", gpu, 1),
    TEXT("stack", stack, 0),
    TEXT("schedule", schedule, 0),
    TEXT("recompute", recompute, 0),
    TEXT("precision", precision, 0),
    TEXT("mfu_convention", convention, 0),
    TEXT("notes", notes, 0),
};
enum { TEXT_COLUMN_COUNT = sizeof TEXT_COLUMNS / sizeof TEXT_COLUMNS[0], ID_COLUMN = 0 };

/* Bounds that no measurement can be outside of; `whole`: counts of things. */
typedef struct NumberColumn {
    const char *name;
    size_t offset;
    int needed, whole;
    double minimum, maximum;
    CellWords words;
} NumberColumn;

#define SPELLED(NAME, MEMBER, NEEDED, MINIMUM, MAXIMUM, WORDS)                                     \
    {                                                                                              \
        NAME, offsetof(Measurement, MEMBER), NEEDED, 1, MINIMUM, MAXIMUM, WORDS                    \
    }
#define COUNT(NAME, MEMBER, NEEDED, MINIMUM, MAXIMUM)                                              \
    SPELLED(NAME, MEMBER, NEEDED, MINIMUM, MAXIMUM, CELL_PLAIN)
#define QUANTITY(NAME, MEMBER, MINIMUM, MAXIMUM)                                                   \
    {                                                                                              \
        NAME, offsetof(Measurement, MEMBER), 0, 0, MINIMUM, MAXIMUM, CELL_PLAIN                    \
    }
static const NumberColumn NUMBER_COLUMNS[] = {
    SPELLED("year", year, 0, 1950, 2200, CELL_YEAR),
    QUANTITY("params_total_b", params_total_b, 1e-6, 1e6),
    QUANTITY("params_active_b", params_active_b, 1e-6, 1e6),
    COUNT("n_layers", layers, 0, 1, 10000),
    COUNT("d_model", d_model, 0, 1, 1e6),
    COUNT("n_heads", heads, 0, 1, 10000),
    COUNT("n_kv_heads", kv_heads, 0, 1, 10000),
    COUNT("head_dim", head_dim, 0, 1, 65536),
    COUNT("d_ff", d_ff, 0, 1, 1e7),
    SPELLED("gated_mlp", gated_mlp, 0, 0, 1, CELL_GATED),
    SPELLED("n_experts", experts, 0, 1, 10000, CELL_ABSENT),
    SPELLED("top_k", top_k, 0, 1, 10000, CELL_ABSENT),
    COUNT("n_shared_experts", shared_experts, 0, 0, 10000),
    SPELLED("moe_layer_every", moe_every, 0, 1, 10000, CELL_ABSENT),
    COUNT("vocab", vocab, 0, 1, 1e8),
    SPELLED("seq_len", sequence_length, 0, 1, 1e8, CELL_TOKENS),
    COUNT("n_gpus", gpus, 0, 1, 1e7),
    COUNT("gpus_per_node", gpus_per_node, 0, 1, 100000),
    QUANTITY("inter_node_gbps_per_gpu", nic_gbps, 0.01, 1e6),
    COUNT("tp", tensor, 0, 1, 1024),
    COUNT("pp", pipeline, 0, 1, 1024),
    SPELLED("vpp", virtual_stages, 0, 1, 10000, CELL_ABSENT),
    COUNT("dp", data, 0, 1, 1e7),
    SPELLED("ep", expert, 0, 1, 10000, CELL_ABSENT),
    SPELLED("cp", context, 0, 1, 10000, CELL_ABSENT),
    SPELLED("sequence_parallel", sequence_parallel, 0, 0, 1, CELL_SWITCH),
    SPELLED("zero_stage", zero_stage, 0, 0, 3, CELL_SHARDING),
    COUNT("micro_batch", micro_batch, 0, 1, 1e5),
    COUNT("global_batch_seqs", batch_sequences, 0, 1, 1e9),
    QUANTITY("tokens_per_s_per_gpu", tokens_per_s_per_gpu, 1e-6, 1e12),
    {"value", offsetof(Measurement, value), 1, 0, 1e-12, 1e15, CELL_MEASURED},
};
enum {
    NUMBER_COLUMN_COUNT = sizeof NUMBER_COLUMNS / sizeof NUMBER_COLUMNS[0],
    VALUE_COLUMN = NUMBER_COLUMN_COUNT - 1,
    WORDS_BYTES = 48
};

/* Where each of them is in this file; -1: nowhere. */
typedef struct ColumnMap {
    int text[TEXT_COLUMN_COUNT], number[NUMBER_COLUMN_COUNT], metric;
} ColumnMap;

/* ---- the header --------------------------------------------------------------------------------
 */

static Status missing_column(const CsvTable *table, const char *name, Error *error)
{
    Suggestion nearest = {.word = name};
    for (size_t i = 0; i < table->columns; i++)
        suggest_offer(&nearest, table->header[i].text);
    error_set(error, STATUS_INVALID,
              "no column '%s': this is no table of training measurements that can be read", name);
    if (error == NULL)
        return STATUS_INVALID;
    if (nearest.best != NULL) {
        char brief[TEXT_BRIEF_BYTES];
        error_hint(error, "is it '%s'?", text_brief(brief, nearest.best));
    } else {
        error_hint(error, "needed: id, gpu, metric, value; and what a step needs, in columns that "
                          "configs/measurements/training_validation.csv has");
    }
    snprintf(error->file, sizeof error->file, "%s", table->file);
    error->line = table->header[0].line;
    error->column = 1;
    return STATUS_INVALID;
}

static Status map_columns(const CsvTable *table, ColumnMap *map, Error *error)
{
    for (size_t i = 0; i < TEXT_COLUMN_COUNT; i++) {
        map->text[i] = csv_column(table, TEXT_COLUMNS[i].name);
        if (map->text[i] < 0 && TEXT_COLUMNS[i].needed)
            return missing_column(table, TEXT_COLUMNS[i].name, error);
    }
    for (size_t i = 0; i < NUMBER_COLUMN_COUNT; i++) {
        map->number[i] = csv_column(table, NUMBER_COLUMNS[i].name);
        if (map->number[i] < 0 && NUMBER_COLUMNS[i].needed)
            return missing_column(table, NUMBER_COLUMNS[i].name, error);
    }
    map->metric = csv_column(table, "metric");
    return map->metric >= 0 ? STATUS_OK : missing_column(table, "metric", error);
}

/* ---- the rows ----------------------------------------------------------------------------------
 */

int measured_has(double value)
{
    return isfinite(value);
}

/* False with the reason when the cell holds something that is no such number. */
static int read_number(const NumberColumn *column, const CsvCell *cell, double *value, char *reason)
{
    char brief[TEXT_BRIEF_BYTES];
    if (!cell_number(cell->text, column->words, value)) {
        snprintf(reason, SKIP_REASON_BYTES, "%s: '%s' is no number (line %d, column %d)",
                 column->name, text_brief(brief, cell->text), cell->line, cell->column);
        return 0;
    }
    if (!measured_has(*value))
        return 1;
    if (*value < column->minimum || *value > column->maximum ||
        (column->whole && floor(*value) != *value)) {
        snprintf(reason, SKIP_REASON_BYTES, "%s: %.24s is impossible, %s%g to %g are possible",
                 column->name, text_brief(brief, cell->text),
                 column->whole ? "whole numbers from " : "", column->minimum, column->maximum);
        return 0;
    }
    return 1;
}

static int read_metric(const CsvCell *cell, MeasuredMetric *metric, char *reason)
{
    char brief[TEXT_BRIEF_BYTES], words[WORDS_BYTES], named[WORDS_BYTES];
    cell_words(cell->text, words, sizeof words);
    for (int i = 0; i < MEASURED_METRICS; i++)
        if (strcmp(words, cell_words(MEASURED_METRIC_WORDS[i], named, sizeof named)) == 0) {
            *metric = (MeasuredMetric)i;
            return 1;
        }
    for (size_t i = 0; i < sizeof METRIC_SPELLINGS / sizeof METRIC_SPELLINGS[0]; i++)
        if (strcmp(words, METRIC_SPELLINGS[i].words) == 0) {
            *metric = METRIC_SPELLINGS[i].metric;
            return 1;
        }
    snprintf(reason, SKIP_REASON_BYTES, "metric: '%s' is not one that can be read",
             text_brief(brief, cell->text));
    return 0;
}

static int read_row(const ColumnMap *map, const CsvRow *row, Measurement *measured, char *reason)
{
    *measured = (Measurement){.line = row->line};
    for (size_t i = 0; i < TEXT_COLUMN_COUNT; i++) {
        const char *text = map->text[i] >= 0 ? row->cells[map->text[i]].text : "";
        if (i != ID_COLUMN && cell_is_empty(text))
            text = "";
        *(const char **)(void *)((char *)measured + TEXT_COLUMNS[i].offset) = text;
    }
    if (row->problem[0] != '\0') {
        snprintf(reason, SKIP_REASON_BYTES, "%s", row->problem);
        return 0;
    }
    for (size_t i = 0; i < NUMBER_COLUMN_COUNT; i++) {
        const CsvCell nothing = {"", row->line, 1};
        const CsvCell *cell = map->number[i] >= 0 ? &row->cells[map->number[i]] : &nothing;
        double *value = (double *)(void *)((char *)measured + NUMBER_COLUMNS[i].offset);
        if (!read_number(&NUMBER_COLUMNS[i], cell, value, reason))
            return 0;
    }
    if (!read_metric(&row->cells[map->metric], &measured->metric, reason))
        return 0;
    const int per_cent = strchr(row->cells[map->number[VALUE_COLUMN]].text, '%') != NULL;
    if (per_cent && measured->metric != METRIC_MFU) {
        snprintf(reason, SKIP_REASON_BYTES, "value: per cent of what? metric is %s",
                 MEASURED_METRIC_WORDS[measured->metric]);
        return 0;
    }
    /* A utilisation of one per cent is published nowhere; "0.46" is a share. */
    if (measured->metric == METRIC_MFU && measured->value <= 1 && !per_cent) {
        measured->value *= 100;
        measured->mfu_is_share = 1;
    }
    if (!measured_has(measured->value) && !measured_has(measured->tokens_per_s_per_gpu)) {
        snprintf(reason, SKIP_REASON_BYTES, "value: the cell is empty");
        return 0;
    }
    return 1;
}

static Status read_rows(MeasurementFile *file, Error *error)
{
    const CsvTable *table = &file->table;
    ColumnMap map = {0};
    Status status = map_columns(table, &map, error);
    if (status != STATUS_OK)
        return status;
    file->rows = calloc(table->row_count + 1, sizeof *file->rows);
    file->skipped = calloc(table->row_count + 1, sizeof *file->skipped);
    if (file->rows == NULL || file->skipped == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    for (size_t i = 0; i < table->row_count; i++) {
        Measurement *measured = &file->rows[file->count];
        SkippedRow *skipped = &file->skipped[file->skipped_count];
        if (read_row(&map, &table->rows[i], measured, skipped->reason)) {
            file->count++;
            continue;
        }
        skipped->line = measured->line;
        skipped->id = measured->id;
        file->skipped_count++;
    }
    if (file->count > 0)
        return STATUS_OK;
    error_set(error, STATUS_INVALID, "no row of %zu can be used", table->row_count);
    if (file->skipped_count > 0)
        error_hint(error, "the first: %s", file->skipped[0].reason);
    if (error != NULL) {
        snprintf(error->file, sizeof error->file, "%s", table->file);
        error->line = file->skipped_count > 0 ? file->skipped[0].line : table->header[0].line;
        error->column = 1;
    }
    return STATUS_INVALID;
}

static Status conclude(MeasurementFile *file, Status status, Error *error)
{
    if (status == STATUS_OK)
        status = read_rows(file, error);
    if (status != STATUS_OK)
        measurements_free(file);
    return status;
}

Status measurements_read(const char *path, MeasurementFile *file, Error *error)
{
    *file = (MeasurementFile){0};
    return conclude(file, csv_read(path, &file->table, error), error);
}

Status measurements_read_text(const char *label, const char *text, size_t bytes,
                              MeasurementFile *file, Error *error)
{
    *file = (MeasurementFile){0};
    return conclude(file, csv_read_text(label, text, bytes, &file->table, error), error);
}

void measurements_free(MeasurementFile *file)
{
    free(file->rows);
    free(file->skipped);
    csv_free(&file->table);
    *file = (MeasurementFile){0};
}
