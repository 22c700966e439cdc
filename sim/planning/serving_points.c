#include "sim/planning/serving_points.h"

#include "models/plan_check.h"
#include "sim/engine/random.h"
#include "sim/planning/point_layout.h"
#include "sim/planning/serving_names.h"
#include "sim/planning/serving_table.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bounds of what a table may say. */
#define MOST_TOKENS  1e7
#define MOST_CLIENTS 1e4
#define MOST_READ    1e9 /* tokens of all prompts in flight */
#define MOST_WAYS    4096
#define MOST_MS      1e9

typedef enum Column {
    COLUMN_ID,
    COLUMN_BACKEND,
    COLUMN_MODEL,
    COLUMN_SYSTEM,
    COLUMN_ISL,
    COLUMN_OSL,
    NEEDED_COLUMNS,
    COLUMN_VERSION = NEEDED_COLUMNS,
    COLUMN_PRECISION,
    COLUMN_MODE,
    COLUMN_GEMM,
    COLUMN_MOE,
    COLUMN_CLIENTS,
    COLUMN_TTFT,
    COLUMN_TPOT,
    COLUMN_MEASURED,
    COLUMNS
} Column;

static const char *const COLUMN_NAMES[COLUMNS] = {"id",
                                                  "backend",
                                                  "model_path",
                                                  "system",
                                                  "isl",
                                                  "osl",
                                                  "backend_version",
                                                  "precision",
                                                  "mode",
                                                  "gemm_quant_mode",
                                                  "moe_quant_mode",
                                                  "concurrency",
                                                  "silicon_ttft_ms",
                                                  "silicon_tpot_ms",
                                                  "measured"};

/* Engines whose layout a table gives: those that do all, or those of either side. */
typedef enum Engines { ENGINES_ALIKE, ENGINES_PREFILL, ENGINES_DECODE, ENGINES } Engines;
static const char *const ENGINES_PREFIXES[ENGINES] = {"", "prefill_", "decode_"};

typedef struct Reading {
    const ConfigPaths *paths;
    const CsvTable *table;
    const char *const *sets;
    size_t set_count;
    int columns[COLUMNS];
    int layout_columns[ENGINES][LAYOUT_CELLS];
    ServingRows *rows;
    char reason[160]; /* why the row at hand is skipped */
} Reading;

/* What a row says, in this program's words. */
typedef struct Point {
    const char *hardware, *model, *engine, *weights, *experts, *kv;
    const char *format; /* of the weights; NULL: none */
    double prompt, output, shortest;
    double clients;
    int disaggregated;
    PointLayout layouts[ENGINES]; /* either the first or the others */
    double ttft_s, tpot_s;        /* 0: not given */
    char assumed[ASSUMED_BYTES];
} Point;

static const char *text_of(const Reading *reading, size_t row, Column column)
{
    return reading->columns[column] >= 0
               ? reading->table->rows[row].cells[reading->columns[column]].text
               : "";
}

/* `empty` for a cell without text; -1 for one that is no number within 0..most. */
static double number_of(const char *text, double empty, double most)
{
    double value;
    while (isspace((unsigned char)*text))
        text++;
    if (*text == '\0')
        return empty;
    return csv_number(text, &value) && value >= 0 && value <= most ? value : -1;
}

static double quantity(const Reading *reading, size_t row, Column column, double empty, double most)
{
    return number_of(text_of(reading, row, column), empty, most);
}

static const char *layout_text(const Reading *reading, size_t row, Engines engines, LayoutCell cell)
{
    const int column = reading->layout_columns[engines][cell];
    return column >= 0 ? reading->table->rows[row].cells[column].text : "";
}

static int is_blank(const char *text)
{
    return text[strspn(text, " \t")] == '\0';
}

/* The name that a rule of `column` gives to the text of a cell, or else another spelling of it;
 * NULL with the reason, which names the cell. */
static const char *name_of(Reading *reading, const char *column, const char *spelling,
                           const char *cell, const char *text, Point *point)
{
    return name_by_rules(&reading->rows->names, &reading->rows->spellings, column, spelling, cell,
                         text, point->assumed, reading->reason, sizeof reading->reason);
}

/* NULL, or which cell cannot be told. */
static const char *read_layout(Reading *reading, size_t row, int multiplied, int whole_experts,
                               Engines engines, Point *point)
{
    PointLayout *const layout = &point->layouts[engines];
    double cells[LAYOUT_CELLS];
    for (size_t i = 0; i < LAYOUT_CELLS; i++) {
        const double most = i == LAYOUT_BATCH     ? MOST_CLIENTS
                            : i == LAYOUT_WORKERS ? MAX_SIDE_REPLICAS
                                                  : MOST_WAYS;
        const char *text = layout_text(reading, row, engines, (LayoutCell)i);
        const char *const prefix = ENGINES_PREFIXES[engines];
        cells[i] = number_of(text, 0, most);
        if (cells[i] < 0 || cells[i] != floor(cells[i])) {
            snprintf(reading->reason, sizeof reading->reason,
                     "%s%s: '%.20s' is no whole number up to %.0f", prefix, LAYOUT_CELL_NAMES[i],
                     text, most);
            return reading->reason;
        }
        if (i == LAYOUT_WORKERS && engines != ENGINES_ALIKE && cells[i] < 1) {
            snprintf(reading->reason, sizeof reading->reason,
                     "%s%s: empty, and no number of engines is guessed", prefix,
                     LAYOUT_CELL_NAMES[i]);
            return reading->reason;
        }
    }
    if (engines == ENGINES_ALIKE)
        cells[LAYOUT_WORKERS] = 1;
    if (cells[LAYOUT_TENSOR] < 1)
        assume(point->assumed, "%s%s: 1", ENGINES_PREFIXES[engines],
               LAYOUT_CELL_NAMES[LAYOUT_TENSOR]);
    point_layout_of(cells, layout);
    point_layout_undo_product(text_of(reading, row, COLUMN_ID), multiplied, layout);
    if (whole_experts)
        layout->expert = layout->tensor * layout->attention_data;
    return NULL;
}

/* The same of all engines, and the number of clients. */
static const char *read_layouts(Reading *reading, size_t row, int multiplied, int whole_experts,
                                Point *point)
{
    const Engines first = point->disaggregated ? ENGINES_PREFILL : ENGINES_ALIKE;
    const Engines last = point->disaggregated ? ENGINES_DECODE : ENGINES_ALIKE;
    for (int engines = first; engines <= (int)last; engines++)
        if (read_layout(reading, row, multiplied, whole_experts, (Engines)engines, point) != NULL)
            return reading->reason;
    const double clients = quantity(reading, row, COLUMN_CLIENTS, 0, MOST_CLIENTS);
    if (clients < 0)
        return "concurrency: no number of clients up to 10000";
    /* What an engine that answers can hold is no number of clients: another side limits them. */
    if (clients < 1 && point->disaggregated)
        return "concurrency: empty, and disaggregated clients are not guessed";
    if (clients < 1 && point->layouts[last].batch < 1)
        return "concurrency, batch_size: empty, no number of clients";
    /* Without a number of clients, that of sequences in each copy of attention. */
    if (clients < 1)
        assume(point->assumed, "concurrency: %.0f, of batch_size", point->layouts[last].batch);
    point->clients = floor(clients >= 1 ? clients : point->layouts[last].batch);
    if (!(point->clients <= MOST_CLIENTS))
        return "batch_size: more clients in all than 10000";
    return point->clients * (point->prompt + point->output) > MOST_READ
               ? "isl, osl, concurrency: more tokens in flight than any benchmark has"
               : NULL;
}

/* Whether prompts are read by engines of their own: where no mode is given, a side's engines say.
 */
static int reads_apart(const Reading *reading, size_t row)
{
    const CsvTable *names = &reading->rows->names;
    const char *mode = text_of(reading, row, COLUMN_MODE);
    const size_t rule = rule_find(names, "mode", mode);
    if (mode[0] == '\0')
        return layout_text(reading, row, ENGINES_PREFILL, LAYOUT_WORKERS)[0] != '\0';
    return rule < names->row_count && strcmp(rule_cell(names, rule, "name"), "disaggregated") == 0;
}

/* What leaves a row out whatever else it says: its mode, or the run it is of. */
static const char *left_out(Reading *reading, size_t row)
{
    const CsvTable *names = &reading->rows->names;
    char run[256];
    snprintf(run, sizeof run, "%.100s %.60s %.60s", text_of(reading, row, COLUMN_MODEL),
             text_of(reading, row, COLUMN_VERSION), text_of(reading, row, COLUMN_MEASURED));
    const struct {
        const char *cell;
        size_t rule;
    } rules[] = {{"mode", rule_find(names, "mode", text_of(reading, row, COLUMN_MODE))},
                 {"backend_version", rule_find(names, "run", run)}};
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (rules[i].rule < names->row_count &&
            rule_cell(names, rules[i].rule, "skip")[0] != '\0') {
            snprintf(reading->reason, sizeof reading->reason, "%s: %s", rules[i].cell,
                     rule_cell(names, rules[i].rule, "skip"));
            return reading->reason;
        }
    return NULL;
}

/* "vllm 0.12.0 Qwen/Qwen3-32B": the backend as rules spell it, and a version without its "v". */
static void write_engine(Reading *reading, size_t row, const char *last, char *text, size_t bytes)
{
    const char *backend = text_of(reading, row, COLUMN_BACKEND);
    const char *version = text_of(reading, row, COLUMN_VERSION);
    char unused[sizeof reading->reason];
    const char *name =
        spelled(&reading->rows->spellings, "backend", "backend", backend, unused, sizeof unused);
    version += strspn(version, " \t");
    version += (*version == 'v' || *version == 'V') && isdigit((unsigned char)version[1]);
    snprintf(text, bytes, "%.60s %.60s %.100s", name != NULL ? name : backend, version, last);
}

/* The engine file of a row; NULL with the reason. */
static const char *find_engine(Reading *reading, size_t row, const char *engine, Point *point)
{
    const CsvTable *names = &reading->rows->names;
    const size_t rule = rule_find(names, "engine", engine);
    const char *version = text_of(reading, row, COLUMN_VERSION);
    if (rule < names->row_count) {
        const char *name = rule_cell(names, rule, "name");
        if (is_blank(version))
            assume(point->assumed, "backend_version: as %.60s", name);
        return name;
    }
    const char *measured = text_of(reading, row, COLUMN_MEASURED);
    const double year = year_in(measured), month = strlen(measured) >= 7 ? atof(measured + 5) : 6;
    char text[NAME_TEXT_BYTES];
    snprintf(text, sizeof text, "%.100s %.100s", text_of(reading, row, COLUMN_BACKEND), version);
    const char *name = engine_nearest(&reading->rows->engines, text,
                                      year > 0 ? year + month / 12 : 0, point->assumed);
    if (name == NULL)
        snprintf(reading->reason, sizeof reading->reason,
                 "backend: '%.40s' is no engine known here", text_of(reading, row, COLUMN_BACKEND));
    return name;
}

/* Hardware, model, engine and precisions; NULL, or why one cannot be told. */
static const char *read_names(Reading *reading, size_t row, const char *engine, Point *point)
{
    const CsvTable *names = &reading->rows->names;
    char precision[256];
    point->hardware = name_of(reading, "system", "hardware", "system",
                              text_of(reading, row, COLUMN_SYSTEM), point);
    if (point->hardware == NULL)
        return reading->reason;
    point->model = name_of(reading, "model_path", "model", "model_path",
                           text_of(reading, row, COLUMN_MODEL), point);
    if (point->model == NULL)
        return reading->reason;
    point->engine = find_engine(reading, row, engine, point);
    if (point->engine == NULL)
        return reading->reason;
    const char *gemm = text_of(reading, row, COLUMN_GEMM);
    if (is_blank(gemm))
        gemm = text_of(reading, row, COLUMN_PRECISION);
    if (is_blank(gemm)) {
        gemm = "";
        assume(point->assumed, "precision: bf16");
    }
    point->weights = name_of(reading, "gemm", "precision", "gemm_quant_mode", gemm, point);
    if (point->weights == NULL)
        return reading->reason;
    point->format = weights_format(point->weights, point->assumed);
    const char *moe = text_of(reading, row, COLUMN_MOE);
    point->experts =
        name_of(reading, "moe", "precision", "moe_quant_mode", is_blank(moe) ? gemm : moe, point);
    if (point->experts == NULL)
        return reading->reason;
    write_engine(reading, row, gemm, precision, sizeof precision);
    const size_t kv = rule_find(names, "kv", precision);
    point->kv = kv < names->row_count ? rule_cell(names, kv, "name") : "bf16";
    return NULL;
}

/* NULL, or why the row cannot be told. */
static const char *read_point(Reading *reading, size_t row, Point *point)
{
    const CsvTable *names = &reading->rows->names;
    char engine[256];
    if (left_out(reading, row) != NULL)
        return reading->reason;
    write_engine(reading, row, text_of(reading, row, COLUMN_MODEL), engine, sizeof engine);
    if (read_names(reading, row, engine, point) != NULL)
        return reading->reason;
    const int whole_experts = rule_find(names, "whole_experts", engine) < names->row_count;
    const size_t source = rule_find(names, "id", text_of(reading, row, COLUMN_ID));
    point->shortest = source < names->row_count ? rule_number(names, source, "shortest") : 1;
    const int multiplied =
        source < names->row_count && strcmp(rule_cell(names, source, "name"), "multiplied") == 0;

    point->prompt = quantity(reading, row, COLUMN_ISL, 0, MOST_TOKENS);
    point->output = quantity(reading, row, COLUMN_OSL, 0, MOST_TOKENS);
    if (!(point->prompt >= 1 && point->output >= 1))
        return "isl, osl: no numbers of tokens";
    const double ttft_ms = quantity(reading, row, COLUMN_TTFT, 0, MOST_MS);
    const double tpot_ms = quantity(reading, row, COLUMN_TPOT, 0, MOST_MS);
    if (ttft_ms < 0 || tpot_ms < 0 || (ttft_ms == 0 && tpot_ms == 0))
        return "silicon_ttft_ms, silicon_tpot_ms: no times above 0";
    point->ttft_s = ttft_ms / 1e3;
    point->tpot_s = tpot_ms / 1e3;
    point->disaggregated = reads_apart(reading, row);
    return read_layouts(reading, row, multiplied, whole_experts, point);
}

static double gpus_of(const Point *point)
{
    const PointLayout *const layouts = point->layouts;
    return point->disaggregated ? point_layout_gpus(&layouts[ENGINES_PREFILL]) +
                                      point_layout_gpus(&layouts[ENGINES_DECODE])
                                : point_layout_gpus(&layouts[ENGINES_ALIKE]);
}

/* Keys of one layout, as a block of `serving` or of one of its sides. */
static size_t write_layout(const PointLayout *layout, char *text, size_t bytes)
{
    const int written =
        snprintf(text, bytes, "tensor: %.0f, attention_data: %.0f, pipeline: %.0f, expert: %.0f",
                 layout->tensor * layout->attention_data, layout->attention_data, layout->pipeline,
                 layout->expert);
    return written > 0 ? (size_t)written : 0;
}

static void write_scenario(const Point *point, char *text, size_t bytes)
{
    char alike[201], prefill[201], decode[201], layout[768];
    const PointLayout *const layouts = point->layouts;
    write_layout(&layouts[point->disaggregated ? ENGINES_DECODE : ENGINES_ALIKE], alike,
                 sizeof alike);
    snprintf(layout, sizeof layout, "%s", alike);
    if (point->disaggregated) {
        write_layout(&layouts[ENGINES_PREFILL], prefill, sizeof prefill);
        write_layout(&layouts[ENGINES_DECODE], decode, sizeof decode);
        snprintf(layout, sizeof layout,
                 "%.200s, disaggregated: {prefill: {replicas: %.0f, %.200s}, decode: {replicas: "
                 "%.0f, %.200s}}",
                 alike, layouts[ENGINES_PREFILL].workers, prefill, layouts[ENGINES_DECODE].workers,
                 decode);
    }
    snprintf(text, bytes,
             "schema: 1\ntitle: measured row\nkind: serving\nmodel: %s\n"
             "hardware: {base: %s, gpus: %.0f}\n"
             "serving: {base: %s, %s, context_limit: %.0f, prompt_tokens: %.0f, "
             "output_tokens: %.0f, utilisation: 50%%, weight_precision: %s, expert_precision: %s, "
             "kv_precision: %s%s%s}\n"
             "prices: {gpu_hour: $0/h, energy: $0/kWh, pue: 1, co2: 0kg/kWh}\n",
             point->model, point->hardware, gpus_of(point), point->engine, layout,
             point->prompt + point->output, point->prompt, point->output, point->weights,
             point->experts, point->kv, point->format != NULL ? ", weights: " : "",
             point->format != NULL ? point->format : "");
}

/* The scenario of a row; NULL, or why it cannot be simulated. */
static const char *find_scenario(Reading *reading, const char *text, Scenario **scenario,
                                 Status *status, Error *error)
{
    Scenario *read = calloc(1, sizeof *read);
    Error checked = {0};
    if (read == NULL) {
        *status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
        return NULL;
    }
    if (serving_scenario_read(reading->paths, text, reading->sets, reading->set_count, read,
                              reading->reason, sizeof reading->reason) != STATUS_OK) {
        free(read);
        return reading->reason;
    }
    if (plan_check(read, &checked) != STATUS_OK) {
        snprintf(reading->reason, sizeof reading->reason, "%.140s", checked.message);
        free(read);
        return reading->reason;
    }
    reading->rows->scenarios[reading->rows->scenario_count++] = read;
    *scenario = read;
    return NULL;
}

/* The numbers of a point as rows. */
static void push_numbers(Reading *reading, const Point *point, ServingRow *row)
{
    const double output = point->output * (1 + row->shortest) / 2;
    const double answer_s = point->ttft_s + (output - 1) * point->tpot_s;
    const struct {
        const char *suffix;
        ServingMetric metric;
        double measured;
    } numbers[] = {
        {"ttft", METRIC_TTFT_MEAN_S, point->ttft_s},
        {"tpot", METRIC_TPOT_MEAN_S, output > 1 ? point->tpot_s : 0},
        {"rate", METRIC_STEADY_PER_S_PER_GPU,
         point->ttft_s > 0 && (point->tpot_s > 0 || output <= 1)
             ? row->batch * output / answer_s / row->gpus
             : 0},
    };
    /* A client that waits longer for its answer to begin than for the answer itself. */
    row->queued = point->ttft_s > (output - 1) * point->tpot_s;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (!(numbers[i].measured > 0))
            continue;
        row->metric = numbers[i].metric;
        row->measured = numbers[i].measured;
        snprintf(row->label, sizeof row->label, "%.140s-%s", row->id, numbers[i].suffix);
        serving_rows_push(reading->rows, row);
    }
}

/* A deployment with its lengths, whatever the number of clients. */
static void name_group(const Point *point, const ServingRow *row, char *group, size_t bytes)
{
    const PointLayout *layout = &point->layouts[point->disaggregated ? ENGINES_DECODE : 0];
    const int written =
        snprintf(group, bytes, "%s %s %s %s %.0f %.0f %.0f %.0f %.0f", row->engine, row->model,
                 row->gpu, point->weights, layout->tensor, layout->attention_data, layout->expert,
                 point->prompt, point->output);
    if (!point->disaggregated || written < 0 || (size_t)written >= bytes)
        return;
    const PointLayout *prefill = &point->layouts[ENGINES_PREFILL];
    snprintf(group + written, bytes - (size_t)written, " %.0f %.0f %.0f %.0f", layout->workers,
             prefill->workers, prefill->tensor, prefill->attention_data);
}

/* NULL, or why the row is skipped; *error is for what stops the reading. */
static const char *add_row(Reading *reading, size_t index, Status *status, Error *error)
{
    ServingRow row = {.line = reading->table->rows[index].line,
                      .id = text_of(reading, index, COLUMN_ID),
                      .what = CASE_CLOSED_LOOP,
                      .replicas = 1};
    Point point = {0};
    char text[2048], group[256];
    if (reading->table->rows[index].problem[0] != '\0')
        return reading->table->rows[index].problem;
    const char *reason = read_point(reading, index, &point);
    if (reason != NULL)
        return reason;
    write_scenario(&point, text, sizeof text);
    reason = find_scenario(reading, text, &row.scenario, status, error);
    if (reason != NULL || *status != STATUS_OK)
        return reason;
    memcpy(row.assumed, point.assumed, sizeof row.assumed);
    row.batch = point.clients;
    row.gpus = gpus_of(&point);
    row.shortest = point.shortest > 0 ? point.shortest : 1;
    snprintf(row.engine, sizeof row.engine, "%.60s",
             strncmp(point.engine, "engine-", strlen("engine-")) == 0
                 ? point.engine + strlen("engine-")
                 : point.engine);
    snprintf(row.gpu, sizeof row.gpu, "%.60s", point.hardware);
    snprintf(row.model, sizeof row.model, "%.60s", point.model);
    name_group(&point, &row, group, sizeof group);
    row.fold = (int)(random_hash(group) % SERVING_FOLDS);
    row.held_back = row.fold == 0;
    push_numbers(reading, &point, &row);
    return NULL;
}

Status serving_points_read(const ConfigPaths *paths, const CsvTable *table, const char *const *sets,
                           size_t set_count, ServingRows *rows, Error *error)
{
    enum { NUMBERS = 3 };
    Reading reading = {
        .paths = paths, .table = table, .sets = sets, .set_count = set_count, .rows = rows};
    *rows = (ServingRows){0};
    for (size_t i = 0; i < COLUMNS; i++)
        reading.columns[i] = csv_column(table, COLUMN_NAMES[i]);
    for (size_t engines = 0; engines < ENGINES; engines++)
        for (size_t i = 0; i < LAYOUT_CELLS; i++) {
            char name[64];
            snprintf(name, sizeof name, "%s%s", ENGINES_PREFIXES[engines], LAYOUT_CELL_NAMES[i]);
            reading.layout_columns[engines][i] = csv_column(table, name);
        }
    const char *missing = NULL;
    for (size_t i = 0; i < NEEDED_COLUMNS && missing == NULL; i++)
        if (reading.columns[i] < 0)
            missing = COLUMN_NAMES[i];
    if (missing == NULL && reading.columns[COLUMN_TTFT] < 0 && reading.columns[COLUMN_TPOT] < 0)
        missing = COLUMN_NAMES[COLUMN_TPOT];
    if (missing != NULL) {
        error_set(error, STATUS_INVALID, "no column '%s'", missing);
        snprintf(error->file, sizeof error->file, "%s", table->file);
        error->line = 1;
        return STATUS_INVALID;
    }
    Status status = rules_read(paths, "serving_deployments", &rows->names, error);
    if (status == STATUS_OK)
        status = serving_names_read(paths, rows, error);
    if (status == STATUS_OK)
        status = serving_rows_reserve(rows, table->row_count, NUMBERS, error);
    for (size_t i = 0; i < table->row_count && status == STATUS_OK; i++) {
        const char *reason = add_row(&reading, i, &status, error);
        if (reason != NULL)
            serving_rows_skip(rows, table->rows[i].line, text_of(&reading, i, COLUMN_ID), reason);
    }
    return status;
}
