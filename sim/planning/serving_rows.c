#include "sim/planning/serving_rows.h"

#include "configs/reader/sample.h"
#include "models/plan_check.h"
#include "sim/engine/random.h"
#include "sim/planning/serving_names.h"
#include "sim/planning/serving_shape.h"
#include "sim/planning/serving_table.h"

#include <ctype.h>
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bounds of what a table may say. */
#define MOST_TOKENS 1e7
#define MOST_BATCH  1e6
#define MOST_GPUS   1e5

enum { GPUS_OF_A_NODE = 8 }; /* in "per node" */

typedef enum Column {
    COLUMN_ID,
    COLUMN_SOURCE,
    COLUMN_MODEL,
    COLUMN_HARDWARE,
    COLUMN_GPUS,
    COLUMN_PARALLELISM,
    COLUMN_PRECISION,
    COLUMN_INPUT,
    COLUMN_OUTPUT,
    COLUMN_BATCH,
    COLUMN_SCENARIO,
    COLUMN_METRIC,
    COLUMN_VALUE,
    COLUMN_UNIT,
    COLUMN_NOTES,
    NEEDED_COLUMNS,
    COLUMN_SPLIT = NEEDED_COLUMNS,
    COLUMNS
} Column;

static const char *const COLUMN_NAMES[COLUMNS] = {
    "id",          "source",    "model",        "hardware",      "n_gpus",
    "parallelism", "precision", "input_tokens", "output_tokens", "batch_or_concurrency",
    "scenario",    "metric",    "value",        "unit",          "notes",
    "split"};

/* What the words of a row ask for; the first line that fits. Rates come in the unit of the row. */
static const struct {
    const char *scenario, *metric; /* patterns */
    ServingCase what;
    ServingMetric wanted;
} CASES[] = {
    {"static-batch*", "request_batch_latency", CASE_STATIC, METRIC_BATCH_S},
    {"static-batch*", "oom", CASE_MEMORY, METRIC_FITS},
    {"offline static-batch*", "output_tokens_per_s*", CASE_STATIC, METRIC_OUTPUT_PER_S},
    {"prefill-only", "first_token_latency", CASE_STATIC, METRIC_FIRST_S},
    {"prefill-only", "prompt_time", CASE_STATIC, METRIC_FIRST_S},
    {"prefill-only", "ttft*", CASE_STATIC, METRIC_FIRST_S},
    {"prefill-only", "input_tokens_per_s*", CASE_PROMPTS, METRIC_INPUT_PER_S},
    {"decode-only", "token_time", CASE_STATIC, METRIC_TOKEN_S},
    {"decode-only", "ms_per_token", CASE_STATIC, METRIC_TOKEN_S},
    {"decode-only", "tpot*", CASE_STATIC, METRIC_TOKEN_S},
    {"decode-only", "output_tokens_per_s*", CASE_TOKENS, METRIC_OUTPUT_PER_S},
    {"decode-dominated static", "ms_per_token_over_batch", CASE_STATIC, METRIC_TOKEN_SHARE_S},
    {"offline*", "output_tokens_per_s*", CASE_SATURATED, METRIC_OUTPUT_PER_S},
    {"offline*", "tokens_per_s*", CASE_SATURATED, METRIC_OUTPUT_PER_S},
    {"offline*", "requests_per_s", CASE_SATURATED, METRIC_REQUESTS_PER_S},
    {"server", "tokens_per_s*", CASE_LARGEST, METRIC_OUTPUT_PER_S},
    {"server", "output_tokens_per_s*", CASE_LARGEST, METRIC_OUTPUT_PER_S},
    {"server", "ttft_mean", CASE_OPEN_LOOP, METRIC_TTFT_MEAN_S},
    {"server", "ttft_p99", CASE_OPEN_LOOP, METRIC_TTFT_P99_S},
    {"server", "tpot_mean", CASE_OPEN_LOOP, METRIC_TPOT_MEAN_S},
    {"server", "tpot_p99", CASE_OPEN_LOOP, METRIC_TPOT_P99_S},
    {"server goodput", "requests_per_s", CASE_LARGEST, METRIC_REQUESTS_PER_S},
    {"server max rate", "requests_per_s", CASE_SATURATED, METRIC_REQUESTS_PER_S},
    {"server max rate", "*tokens_per_s*", CASE_SATURATED, METRIC_OUTPUT_PER_S},
    {"server closed-loop", "tpot*", CASE_CLOSED_LOOP, METRIC_TPOT_MEAN_S},
    {"server closed-loop", "ttft*", CASE_CLOSED_LOOP, METRIC_TTFT_MEAN_S},
    {"server closed-loop", "output_tokens_per_s*", CASE_CLOSED_LOOP, METRIC_OUTPUT_PER_S},
    {"server closed-loop", "requests_per_s", CASE_CLOSED_LOOP, METRIC_REQUESTS_PER_S},
};
enum { CASE_COUNT = sizeof CASES / sizeof CASES[0] };

/* What a unit counts a rate for; a rate is predicted for all GPUs of the row. */
typedef enum RateOf { RATE_OF_ALL, RATE_OF_GPU, RATE_OF_NODE } RateOf;
static const struct {
    const char *unit;
    double si;
    RateOf of;
} UNITS[] = {{"ms", 1e-3, RATE_OF_ALL},          {"ms/token", 1e-3, RATE_OF_ALL},
             {"tok/s", 1, RATE_OF_ALL},          {"tok/s/GPU", 1, RATE_OF_GPU},
             {"tok/s/node", 1, RATE_OF_NODE},    {"req/s", 1, RATE_OF_ALL},
             {"bool", 1, RATE_OF_ALL},           {"s", 1, RATE_OF_ALL},
             {"us", 1e-6, RATE_OF_ALL},          {"tokens/s", 1, RATE_OF_ALL},
             {"tok/sec", 1, RATE_OF_ALL},        {"tokens/s/GPU", 1, RATE_OF_GPU},
             {"tokens/s/node", 1, RATE_OF_NODE}, {"requests/s", 1, RATE_OF_ALL}};
enum { UNIT_COUNT = sizeof UNITS / sizeof UNITS[0] };

typedef struct Reading {
    const ConfigPaths *paths;
    const CsvTable *table;
    const char *const *sets;
    size_t set_count;
    int columns[COLUMNS];
    ServingRows *rows;
    char reason[160]; /* why the row at hand is skipped */
} Reading;

static const char *text_of(const Reading *reading, size_t row, Column column)
{
    return reading->columns[column] >= 0
               ? reading->table->rows[row].cells[reading->columns[column]].text
               : "";
}

static void skip(Reading *reading, size_t row, const char *reason)
{
    serving_rows_skip(reading->rows, reading->table->rows[row].line,
                      text_of(reading, row, COLUMN_ID), reason);
}

/* The rule for a text in `column` of serving_names.csv; the table's row count when there is none.
 */
static size_t name_rule(const Reading *reading, const char *column, const char *text)
{
    return rule_find(&reading->rows->names, column, text);
}

/* The name for the text of a cell, by its own spelling before any other; NULL with the reason. */
static const char *name_of(Reading *reading, Column cell, const char *text, ServingRow *row)
{
    const char *column = COLUMN_NAMES[cell];
    return name_by_rules(&reading->rows->names, &reading->rows->spellings, column, column, column,
                         text, row->assumed, reading->reason, sizeof reading->reason);
}

/* The number that follows `mark` in a text; 0: none. */
static double number_after(const char *text, const char *mark)
{
    const char *at = strstr(text, mark);
    return at != NULL ? strtod(at + strlen(mark), NULL) : 0;
}

typedef struct Lengths {
    double prompt, output, sigma, ttft_limit_s, tpot_limit_s, shortest;
    const char *skip;
} Lengths;

static Lengths find_lengths(const Reading *reading, size_t row)
{
    const CsvTable *mixes = &reading->rows->mixes;
    Lengths lengths = {0};
    for (size_t i = 0; i < mixes->row_count; i++)
        if (fnmatch(rule_cell(mixes, i, "source"), text_of(reading, row, COLUMN_SOURCE), 0) == 0 &&
            fnmatch(rule_cell(mixes, i, "model"), text_of(reading, row, COLUMN_MODEL), 0) == 0) {
            lengths = (Lengths){rule_number(mixes, i, "input_tokens"),
                                rule_number(mixes, i, "output_tokens"),
                                rule_number(mixes, i, "sigma"),
                                rule_number(mixes, i, "ttft_limit_s"),
                                rule_number(mixes, i, "tpot_limit_s"),
                                rule_number(mixes, i, "shortest"),
                                rule_cell(mixes, i, "skip")};
            break;
        }
    double value;
    if (csv_number(text_of(reading, row, COLUMN_INPUT), &value) && value > 0)
        lengths.prompt = value;
    if (csv_number(text_of(reading, row, COLUMN_OUTPUT), &value) && value > 0)
        lengths.output = value;
    return lengths;
}

/* The engine of a row, by its notes before its source, else the nearest one that these name; NULL
 * with the reason. */
static const char *find_engine(Reading *reading, size_t row, const char **kv, ServingRow *result)
{
    const CsvTable *names = &reading->rows->names;
    const char *source = text_of(reading, row, COLUMN_SOURCE);
    const char *notes = text_of(reading, row, COLUMN_NOTES);
    char text[2 * NAME_TEXT_BYTES];
    size_t rule = name_rule(reading, "notes", notes);
    if (rule == names->row_count)
        rule = name_rule(reading, "source", source);
    if (rule < names->row_count && rule_cell(names, rule, "skip")[0] != '\0') {
        snprintf(reading->reason, sizeof reading->reason, "source, notes: %s",
                 rule_cell(names, rule, "skip"));
        return NULL;
    }
    if (rule < names->row_count && rule_cell(names, rule, "name")[0] != '\0') {
        *kv = rule_cell(names, rule, "kv");
        return rule_cell(names, rule, "name");
    }
    /* A year without its month: its middle. */
    snprintf(text, sizeof text, "%.250s %.250s", notes, source);
    const double year = fmax(year_in(notes), year_in(source));
    const char *engine =
        engine_nearest(&reading->rows->engines, text, year > 0 ? year + 0.5 : 0, result->assumed);
    *kv = "bf16";
    if (engine == NULL)
        snprintf(reading->reason, sizeof reading->reason,
                 "source, notes: neither names an engine that is known");
    return engine;
}

/* What the names of a row stand for. */
typedef struct RowNames {
    const char *model, *hardware, *engine;
    const char *weights, *kv; /* precisions */
    const char *format;       /* of the weights; NULL: none */
} RowNames;

/* The scenario of a row as text. */
static void write_scenario(const ServingRow *row, const RowNames *names, const ServingShape *shape,
                           const Lengths *lengths, char *text, size_t bytes)
{
    const double longest = lengths->prompt + lengths->output;
    const double room = lengths->sigma > 0 ? 8 : 1;
    char limits[128] = "", format[128] = "";
    if (names->format != NULL)
        snprintf(format, sizeof format, "  weights: %s\n", names->format);
    if (row->what == CASE_STATIC)
        snprintf(limits, sizeof limits,
                 "  max_batch: %.0f\n  iteration_tokens: 0\n  prefill_chunk_tokens: 100M\n",
                 row->batch);
    else if (row->batch > 0 && row->what != CASE_CLOSED_LOOP)
        snprintf(limits, sizeof limits, "  max_batch: %.0f\n", row->batch);
    snprintf(text, bytes,
             "schema: 1\ntitle: measured row\nkind: serving\nmodel: %s\n"
             "hardware: {base: %s, gpus: %.0f}\n"
             "serving:\n  base: %s\n  tensor: %.0f\n  pipeline: %.0f\n  expert: %.0f\n"
             "  attention_data: %.0f\n"
             "  context_limit: %.0f\n  prompt_tokens: %.0f\n  output_tokens: %.0f\n"
             "  length_sigma: %g\n  utilisation: 50%%\n  weight_precision: %s\n"
             "  kv_precision: %s\n%s%s"
             "prices: {gpu_hour: $0/h, energy: $0/kWh, pue: 1, co2: 0kg/kWh}\n",
             names->model, names->hardware, shape->tensor * shape->pipeline, names->engine,
             shape->tensor, shape->pipeline, shape->expert, shape->attention_data, room * longest,
             lengths->prompt, lengths->output, lengths->sigma, names->weights, names->kv, format,
             limits);
}

static Status part_of(const Reading *reading, const char *kind, const char *name, Scenario *part)
{
    ErrorList *errors = calloc(1, sizeof *errors);
    Scenario *read = calloc(1, sizeof *read);
    Status status = STATUS_ENVIRONMENT;
    if (errors != NULL && read != NULL) {
        status = part_read(reading->paths, kind, name, NULL, 0, read, NULL, NULL, errors);
        if (status == STATUS_OK)
            scenario_midpoint(read, part);
    }
    free(read);
    free(errors);
    return status;
}

/* Requests of a whole run with these lengths; 0: the source does not say. */
static double requests_of(const Reading *reading, size_t row, const Lengths *lengths)
{
    const CsvTable *runs = &reading->rows->runs;
    for (size_t i = 0; i < runs->row_count; i++)
        if (fnmatch(rule_cell(runs, i, "source"), text_of(reading, row, COLUMN_SOURCE), 0) == 0 &&
            rule_number(runs, i, "input_tokens") == lengths->prompt &&
            rule_number(runs, i, "output_tokens") == lengths->output)
            return rule_number(runs, i, "requests");
    return 0;
}

/* The number of a batch cell, of all GPUs: "256 per GPU" is for each. */
static double batch_of(const char *text, double gpus)
{
    const double number = floor(strtod(text, NULL));
    return strstr(text, "per GPU") != NULL || strstr(text, "/GPU") != NULL ? number * gpus : number;
}

/* Fills batch, rate, limits and lengths from the cells, with row->gpus; NULL, or why the row cannot
 * be told. */
static const char *read_quantities(Reading *reading, size_t index, ServingRow *row,
                                   Lengths *lengths)
{
    const char *batch = text_of(reading, index, COLUMN_BATCH);
    const char *unit = text_of(reading, index, COLUMN_UNIT);
    double value = 0;
    size_t match = 0;
    if (!csv_number(text_of(reading, index, COLUMN_VALUE), &value) || !(value > 0) || value > 1e15)
        return "value: no number above 0";
    while (match < UNIT_COUNT && strcmp(UNITS[match].unit, unit) != 0)
        match++;
    if (match == UNIT_COUNT)
        return "unit: none of those known";
    row->measured = value * UNITS[match].si;
    row->rate_of = UNITS[match].of == RATE_OF_ALL   ? row->gpus
                   : UNITS[match].of == RATE_OF_GPU ? 1
                                                    : GPUS_OF_A_NODE;

    *lengths = find_lengths(reading, index);
    if ((row->what == CASE_STATIC && row->metric == METRIC_FIRST_S) || row->what == CASE_PROMPTS)
        lengths->output = 1;
    if (row->what == CASE_TOKENS && !(lengths->output >= 1))
        lengths->output = 1; /* the row's context is what its prompt says */
    if (lengths->skip != NULL && lengths->skip[0] != '\0') {
        snprintf(reading->reason, sizeof reading->reason, "model, source: %s", lengths->skip);
        return reading->reason;
    }
    if (row->what == CASE_TOKENS && !(lengths->prompt >= 1) && lengths->output > 1) {
        /* Only a context is given. */
        lengths->prompt = lengths->output;
        lengths->output = 1;
    }
    if (!(lengths->prompt >= 1 && lengths->output >= 1))
        return "input_tokens, output_tokens: the row gives no prompt or answer length";
    if (lengths->prompt > MOST_TOKENS || lengths->output > MOST_TOKENS)
        return "input_tokens, output_tokens: beyond any model";
    row->batch = batch_of(batch, row->gpus);
    const char *server = strstr(batch, "offline, ");
    if (server != NULL && (row->what == CASE_LARGEST || row->what == CASE_OPEN_LOOP))
        row->batch = floor(strtod(server + strlen("offline, "), NULL));
    if (!(row->batch >= 0 && row->batch <= MOST_BATCH))
        return "batch_or_concurrency: out of range";
    if (row->batch < 1 && (row->what == CASE_STATIC || row->what == CASE_CLOSED_LOOP ||
                           row->what == CASE_MEMORY || row->what == CASE_TOKENS))
        return "batch_or_concurrency: the row gives none";
    if (row->what == CASE_LARGEST && !(lengths->ttft_limit_s > 0))
        return "source, model: the row gives no latency limit";
    row->requests = requests_of(reading, index, lengths);
    row->ttft_limit_s = lengths->ttft_limit_s;
    row->tpot_limit_s = lengths->tpot_limit_s;
    row->shortest = lengths->shortest > 0 ? lengths->shortest : 1;
    if (row->what == CASE_OPEN_LOOP) {
        row->rate_per_s =
            number_after(text_of(reading, index, COLUMN_NOTES), "at ") / lengths->output;
        if (!(row->rate_per_s > 0))
            return "notes: the row gives no rate ('at N')";
    }
    return NULL;
}

/* Stored precision in this program's words. */
static const char *precision_of(Reading *reading, size_t index, ServingRow *row)
{
    const char *text = text_of(reading, index, COLUMN_PRECISION);
    if (text[strspn(text, " ")] == '\0') {
        assume(row->assumed, "precision: bf16");
        return "bf16";
    }
    return spelled(&reading->rows->spellings, "precision", "precision", text, reading->reason,
                   sizeof reading->reason);
}

/* NULL, or why one of them is not known. */
static const char *find_names(Reading *reading, size_t index, RowNames *names, ServingRow *row)
{
    const char *kv = "";
    names->hardware =
        name_of(reading, COLUMN_HARDWARE, text_of(reading, index, COLUMN_HARDWARE), row);
    if (names->hardware == NULL)
        return reading->reason;
    names->model = name_of(reading, COLUMN_MODEL, text_of(reading, index, COLUMN_MODEL), row);
    if (names->model == NULL)
        return reading->reason;
    const size_t layout =
        name_rule(reading, "parallelism", text_of(reading, index, COLUMN_PARALLELISM));
    if (layout < reading->rows->names.row_count) {
        snprintf(reading->reason, sizeof reading->reason, "parallelism: %s",
                 rule_cell(&reading->rows->names, layout, "skip"));
        return reading->reason;
    }
    names->engine = find_engine(reading, index, &kv, row);
    if (names->engine == NULL)
        return reading->reason;
    names->weights = precision_of(reading, index, row);
    if (names->weights == NULL)
        return reading->reason;
    names->format = weights_format(names->weights, row->assumed);
    names->kv = strcmp(kv, "same") == 0 && names->format == NULL ? names->weights : "bf16";
    return NULL;
}

/* Ways and GPUs of a row, either from the other where it leaves one out; its model and hardware are
 * read for that. NULL, or which cell cannot be told; *status is for what stops the reading. */
static const char *find_shape(const Reading *reading, size_t index, const RowNames *names,
                              ServingRow *row, ServingShape *shape, Status *status, Error *error)
{
    const char *gpus = text_of(reading, index, COLUMN_GPUS);
    const int alone = gpus[strspn(gpus, " ")] == '\0';
    if (!alone && (!csv_number(gpus, &row->gpus) || !(row->gpus >= 1) || !(row->gpus <= MOST_GPUS)))
        return "n_gpus: no number of GPUs";
    Scenario *part = calloc(1, sizeof *part);
    if (part == NULL) {
        *status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
        return NULL;
    }
    *status = part_of(reading, "models", names->model, part);
    const ModelSpec model = part->model;
    if (*status == STATUS_OK)
        *shape = serving_shape(text_of(reading, index, COLUMN_PARALLELISM), &model);
    if (*status == STATUS_OK && shape->tensor == 0 && !alone) {
        *status = part_of(reading, "hw", names->hardware, part);
        shape->tensor = serving_tensor_that_fits(
            &model, &part->hardware, strcmp(names->weights, "bf16") == 0 ? 2 : 1, row->gpus);
        assume(row->assumed, "parallelism: tp%.0f, as the weights fit", shape->tensor);
    }
    free(part);
    if (*status != STATUS_OK)
        error_set(error, *status, "serving_names.csv names '%s' or '%s', which cannot be read",
                  names->model, names->hardware);
    else if (shape->tensor == 0)
        return "n_gpus, parallelism: neither says how many GPUs there are";
    if (alone) {
        row->gpus = shape->tensor * shape->pipeline;
        assume(row->assumed, "n_gpus: %.0f, as parallelism says", row->gpus);
    }
    return NULL;
}

/* A text in lower case. */
static const char *lower(const char *text, char *out, size_t bytes)
{
    size_t at = 0;
    for (; text[at] != '\0' && at + 1 < bytes; at++)
        out[at] = (char)tolower((unsigned char)text[at]);
    out[at] = '\0';
    return out;
}

static size_t case_of(const Reading *reading, size_t index)
{
    char scenario[NAME_TEXT_BYTES], metric[NAME_TEXT_BYTES];
    size_t match = 0;
    lower(text_of(reading, index, COLUMN_SCENARIO), scenario, sizeof scenario);
    lower(text_of(reading, index, COLUMN_METRIC), metric, sizeof metric);
    while (match < CASE_COUNT && (fnmatch(CASES[match].scenario, scenario, 0) != 0 ||
                                  fnmatch(CASES[match].metric, metric, 0) != 0))
        match++;
    return match;
}

/* NULL, or why the row is skipped; *error is for what stops the reading. */
static const char *add_row(Reading *reading, size_t index, Status *status, Error *error)
{
    ServingRow row = {.line = reading->table->rows[index].line,
                      .id = text_of(reading, index, COLUMN_ID)};
    ServingShape shape = {0};
    Lengths lengths;
    RowNames names = {0};
    char text[2048];
    if (reading->table->rows[index].problem[0] != '\0')
        return reading->table->rows[index].problem;
    const size_t match = case_of(reading, index);
    if (match == CASE_COUNT)
        return "scenario, metric: not a speed that one engine replica has";
    row.what = CASES[match].what;
    row.metric = CASES[match].wanted;
    const char *reason = find_names(reading, index, &names, &row);
    if (reason == NULL)
        reason = find_shape(reading, index, &names, &row, &shape, status, error);
    if (*status != STATUS_OK)
        return NULL;
    if (reason == NULL)
        reason = read_quantities(reading, index, &row, &lengths);
    if (reason != NULL)
        return reason;

    Scenario *scenario = calloc(1, sizeof *scenario);
    if (scenario == NULL) {
        *status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
        return NULL;
    }
    row.replicas = fmax(1, floor(row.gpus / (shape.tensor * shape.pipeline)));
    if (row.what == CASE_STATIC)
        row.replicas = 1;
    write_scenario(&row, &names, &shape, &lengths, text, sizeof text);
    if (serving_scenario_read(reading->paths, text, reading->sets, reading->set_count, scenario,
                              reading->reason, sizeof reading->reason) != STATUS_OK) {
        free(scenario);
        return reading->reason;
    }
    Error checked = {0};
    if (plan_check(scenario, &checked) != STATUS_OK) {
        snprintf(reading->reason, sizeof reading->reason, "%.140s", checked.message);
        free(scenario);
        return reading->reason;
    }
    reading->rows->scenarios[reading->rows->scenario_count++] = scenario;
    row.scenario = scenario;
    snprintf(row.label, sizeof row.label, "%.80s", row.id);
    snprintf(row.engine, sizeof row.engine, "%.60s", names.engine + strlen("engine-"));
    snprintf(row.gpu, sizeof row.gpu, "%s", names.hardware);
    snprintf(row.model, sizeof row.model, "%s", names.model);
    const char *split = text_of(reading, index, COLUMN_SPLIT);
    row.fold = (int)(random_hash(row.id) / SERVING_FOLDS % SERVING_FOLDS);
    row.source = random_hash(text_of(reading, index, COLUMN_SOURCE));
    row.held_back = split[0] != '\0' ? strcmp(split, "validation") == 0 : kernel_held_back(row.id);
    serving_rows_push(reading->rows, &row);

    /* A second number in the notes. */
    const double ttft_ms = number_after(text_of(reading, index, COLUMN_NOTES), "TTFT ");
    if (row.what == CASE_CLOSED_LOOP && row.metric == METRIC_TPOT_MEAN_S && ttft_ms > 0) {
        row.metric = METRIC_TTFT_MEAN_S;
        row.measured = ttft_ms / 1e3;
        snprintf(row.label, sizeof row.label, "%.80s-ttft", row.id);
        serving_rows_push(reading->rows, &row);
    }
    return NULL;
}

Status serving_rows_read(const ConfigPaths *paths, const CsvTable *table, const char *const *sets,
                         size_t set_count, ServingRows *rows, Error *error)
{
    Reading reading = {
        .paths = paths, .table = table, .sets = sets, .set_count = set_count, .rows = rows};
    *rows = (ServingRows){0};
    for (size_t i = 0; i < COLUMNS; i++) {
        reading.columns[i] = csv_column(table, COLUMN_NAMES[i]);
        if (reading.columns[i] < 0 && i < NEEDED_COLUMNS) {
            error_set(error, STATUS_INVALID, "no column '%s'", COLUMN_NAMES[i]);
            snprintf(error->file, sizeof error->file, "%s", table->file);
            error->line = 1;
            return STATUS_INVALID;
        }
    }
    Status status = rules_read(paths, "serving_names", &rows->names, error);
    if (status == STATUS_OK)
        status = rules_read(paths, "serving_mixes", &rows->mixes, error);
    if (status == STATUS_OK)
        status = rules_read(paths, "serving_runs", &rows->runs, error);
    if (status == STATUS_OK)
        status = serving_names_read(paths, rows, error);
    if (status != STATUS_OK)
        return status;
    status = serving_rows_reserve(rows, table->row_count, 2, error);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < table->row_count && status == STATUS_OK; i++) {
        const char *reason = add_row(&reading, i, &status, error);
        if (reason != NULL)
            skip(&reading, i, reason);
    }
    return status;
}
