/* Rows that nobody has seen: the shipped table's, with cells emptied, spelled otherwise, converted
 * and moved, on other GPUs and of unknown sources. Each is predicted or skipped with a reason that
 * names a cell; what a default stands for is named; what says the same gives the same. */
#include "configs/reader/measured_cell.h"
#include "models/architecture.h"
#include "sim/engine/random.h"
#include "sim/planning/validate.h"
#include "tests/unit/shipped.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 1 << 20, EVERY = 19, MOST_COLUMNS = 64, CELL_BYTES = 512 };

typedef struct Table {
    CsvTable csv;
    char *text; /* of the rows under way */
    size_t used;
} Table;

typedef struct Run {
    MeasurementFile file;
    ValidationResult result;
} Run;

static ConfigPaths shipped_paths(void)
{
    ConfigPaths paths;
    assert_int_equal(config_paths_find(NULL, &paths, NULL), STATUS_OK);
    return paths;
}

static int setup(void **state)
{
    Table *table = calloc(1, sizeof *table);
    const ConfigPaths paths = shipped_paths();
    char path[ERROR_PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/measurements/training_validation.csv", paths.root);
    assert_non_null(table);
    table->text = malloc(TEXT_BYTES);
    assert_non_null(table->text);
    assert_int_equal(csv_read(path, &table->csv, NULL), STATUS_OK);
    *state = table;
    return 0;
}

static int teardown(void **state)
{
    Table *table = *state;
    csv_free(&table->csv);
    free(table->text);
    free(table);
    return 0;
}

/* ---- making rows -------------------------------------------------------------------------------
 */

static void put_cell(Table *table, const char *cell, char end)
{
    char *out = table->text;
    assert_true(table->used + 2 * strlen(cell) + 8 < TEXT_BYTES);
    out[table->used++] = '"';
    for (const char *at = cell; *at != '\0'; at++) {
        if (*at == '"')
            out[table->used++] = '"';
        out[table->used++] = *at;
    }
    out[table->used++] = '"';
    out[table->used++] = end;
    out[table->used] = '\0';
}

/* Column `c` in this test's order. */
static size_t place(const Table *table, size_t c, int reversed)
{
    return reversed ? table->csv.columns - 1 - c : c;
}

static void start(Table *table, int reversed)
{
    table->used = 0;
    for (size_t c = 0; c < table->csv.columns; c++)
        put_cell(table, table->csv.header[place(table, c, reversed)].text,
                 c + 1 < table->csv.columns ? ',' : '\n');
}

typedef struct Change {
    const char *column, *value;
} Change;

static const char *cell_of(const Table *table, size_t row, const char *column)
{
    const int at = csv_column(&table->csv, column);
    assert_true(at >= 0);
    return table->csv.rows[row].cells[at].text;
}

static void add(Table *table, size_t row, const Change *changes, size_t count, int reversed)
{
    for (size_t c = 0; c < table->csv.columns; c++) {
        const size_t at = place(table, c, reversed);
        const char *text = table->csv.rows[row].cells[at].text;
        for (size_t i = 0; i < count; i++)
            if (strcmp(changes[i].column, table->csv.header[at].text) == 0)
                text = changes[i].value;
        put_cell(table, text, c + 1 < table->csv.columns ? ',' : '\n');
    }
}

static void run(const Table *table, Run *run_of)
{
    const ConfigPaths paths = shipped_paths();
    const ForecastOptions options = {.seed = 1, .threads = 2};
    Error error = {0};
    *run_of = (Run){0};
    if (measurements_read_text("rows.csv", table->text, table->used, &run_of->file, &error) !=
            STATUS_OK ||
        validate_training(&paths, &run_of->file, NULL, NULL, 0, &options, &run_of->result,
                          &error) != STATUS_OK)
        fail_msg("%s (%s)", error.message, error.hint);
}

static void release(Run *run_of)
{
    validation_free(&run_of->result);
    measurements_free(&run_of->file);
}

static const ValidatedRow *find(const Run *run_of, const char *id)
{
    for (size_t i = 0; i < run_of->result.row_count; i++)
        if (strcmp(run_of->result.rows[i].row->id, id) == 0)
            return &run_of->result.rows[i];
    return NULL;
}

static const char *reason_of(const Run *run_of, const char *id)
{
    for (size_t i = 0; i < run_of->result.skipped_count; i++)
        if (strcmp(run_of->result.skipped[i].id, id) == 0)
            return run_of->result.skipped[i].reason;
    return NULL;
}

/* Whether a text has a column's name, as a word of its own. */
static int says(const char *text, const char *column)
{
    static const char parts[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.";
    const size_t length = strlen(column);
    for (const char *at = strstr(text, column); at != NULL; at = strstr(at + 1, column))
        if ((at == text || strchr(parts, at[-1]) == NULL) &&
            (at[length] == '\0' || strchr(parts, at[length]) == NULL))
            return 1;
    return 0;
}

/* Every row is there once, finite when predicted, and with a reason that names a column when not.
 */
static void check_all(const Table *table, const Run *run_of, size_t rows)
{
    const ValidationResult *result = &run_of->result;
    assert_int_equal(result->row_count + result->skipped_count, rows);
    for (size_t i = 0; i < result->row_count; i++) {
        const ValidatedRow *row = &result->rows[i];
        assert_true(isfinite(row->predicted) && row->predicted > 0);
        assert_true(isfinite(row->measured) && row->measured > 0);
        assert_true(isfinite(row->memory_bytes) && row->memory_bytes > 0);
    }
    for (size_t i = 0; i < result->skipped_count; i++) {
        const char *reason = result->skipped[i].reason;
        int named = 0;
        for (size_t c = 0; c < table->csv.columns; c++)
            named = named || says(reason, table->csv.header[c].text);
        if (!named)
            fail_msg("no column is named: '%s' (%s)", reason, result->skipped[i].id);
    }
}

/* ---- cells left out ----------------------------------------------------------------------------
 */

static const struct {
    const char *column;
    MeasuredDefault means; /* MEASURED_DEFAULTS: needed, or not used */
} LEFT_OUT[] = {{"year", MEASURED_DEFAULTS},
                {"n_layers", DEFAULT_LAYERS},
                {"d_model", DEFAULT_D_MODEL},
                {"n_heads", DEFAULT_HEADS},
                {"n_kv_heads", DEFAULT_KV_HEADS},
                {"head_dim", DEFAULT_HEAD_DIM},
                {"d_ff", DEFAULT_D_FF},
                {"gated_mlp", DEFAULT_GATED},
                {"vocab", DEFAULT_VOCAB},
                {"seq_len", DEFAULT_LENGTH},
                {"gpu", MEASURED_DEFAULTS},
                {"n_gpus", DEFAULT_GPUS},
                {"gpus_per_node", MEASURED_DEFAULTS},
                {"tp", DEFAULT_TENSOR},
                {"pp", DEFAULT_PIPELINE},
                {"dp", DEFAULT_DATA},
                {"cp", DEFAULT_CONTEXT},
                {"zero_stage", DEFAULT_ZERO},
                {"recompute", MEASURED_DEFAULTS},
                {"micro_batch", DEFAULT_MICRO},
                {"global_batch_seqs", DEFAULT_BATCH},
                {"precision", DEFAULT_PRECISION},
                {"metric", MEASURED_DEFAULTS},
                {"value", MEASURED_DEFAULTS},
                {"mfu_convention", MEASURED_DEFAULTS},
                {"tokens_per_s_per_gpu", MEASURED_DEFAULTS}};
enum { LEFT_OUT_COUNT = sizeof LEFT_OUT / sizeof LEFT_OUT[0] };

static void test_cells_left_out(void **state)
{
    Table *table = *state;
    Run changed;
    size_t rows = 0;
    char id[CELL_BYTES];
    start(table, 0);
    for (size_t r = 0; r < table->csv.row_count; r += EVERY) {
        /* Ids end alike, so that what is known by an id is known of all or of none. */
        snprintf(id, sizeof id, "%s/whole", cell_of(table, r, "id"));
        const Change whole[] = {{"id", id}};
        add(table, r, whole, 1, 0);
        rows++;
        for (size_t i = 0; i < LEFT_OUT_COUNT; i++, rows++) {
            snprintf(id, sizeof id, "%s/%s", cell_of(table, r, "id"), LEFT_OUT[i].column);
            /* The conversion of the table must not hide what the metric lacks. */
            const Change changes[] = {{"id", id}, {LEFT_OUT[i].column, ""}};
            add(table, r, changes, 2, 0);
        }
    }
    run(table, &changed);
    check_all(table, &changed, rows);
    size_t predicted = 0, same = 0;
    for (size_t r = 0; r < table->csv.row_count; r += EVERY)
        for (size_t i = 0; i < LEFT_OUT_COUNT; i++) {
            snprintf(id, sizeof id, "%s/whole", cell_of(table, r, "id"));
            const ValidatedRow *whole = find(&changed, id);
            snprintf(id, sizeof id, "%s/%s", cell_of(table, r, "id"), LEFT_OUT[i].column);
            const ValidatedRow *row = find(&changed, id);
            if (whole == NULL || row == NULL)
                continue;
            predicted++;
            if (LEFT_OUT[i].means != MEASURED_DEFAULTS &&
                !default_taken(&row->defaults, LEFT_OUT[i].means))
                fail_msg("%s: the default is not named", id);
            /* As it was where the default is what the cell said. */
            if (memcmp(row->setup, whole->setup, sizeof row->setup) == 0 &&
                (strcmp(LEFT_OUT[i].column, "dp") == 0 || strcmp(LEFT_OUT[i].column, "cp") == 0 ||
                 strcmp(LEFT_OUT[i].column, "n_gpus") == 0)) {
                same++;
                assert_near(row->predicted, whole->predicted, 0);
            }
        }
    /* Most rows lack something and are predicted all the same. */
    assert_true(predicted > rows / 2);
    assert_true(same > 10);
    release(&changed);
}

/* ---- the same in other words -------------------------------------------------------------------
 */

static const Change SPELLINGS[][2] = {
    {{"A100-SXM-80GB", "NVIDIA A100-SXM4-80GB"}, {"H100-SXM-80GB", "NVIDIA H100 SXM5 80 GB"}},
    {{"full", "Full (uniform, 1 layer)"}, {"none", "no"}},
    {{"selective", "Selective recomputation"}, {"none", "off"}},
    {{"bf16", "BFloat16 (mixed)"}, {"fp8", "FP8 (E4M3)"}},
    {{"fp16", "float16"}, {"fp8", "MXFP8"}}};

/* The cell in other words, or as it is. */
static const char *respelled(const char *cell, size_t way)
{
    for (size_t i = 0; i < 2; i++)
        if (strcmp(cell, SPELLINGS[way][i].column) == 0)
            return SPELLINGS[way][i].value;
    return cell;
}

static void test_other_spellings(void **state)
{
    Table *table = *state;
    static const char *const COLUMNS[] = {"gpu", "recompute", "recompute", "precision",
                                          "precision"};
    Run changed;
    size_t rows = 0, compared = 0;
    char id[CELL_BYTES], batch[CELL_BYTES], gpus[CELL_BYTES];
    start(table, 0);
    for (size_t r = 3; r < table->csv.row_count; r += EVERY) {
        snprintf(id, sizeof id, "%s/whole", cell_of(table, r, "id"));
        const Change whole[] = {{"id", id}};
        add(table, r, whole, 1, 0);
        rows++;
        for (size_t way = 0; way < 5; way++, rows++) {
            snprintf(id, sizeof id, "%s/%zu", cell_of(table, r, "id"), way);
            snprintf(gpus, sizeof gpus, "%s (assumed)", cell_of(table, r, "n_gpus"));
            snprintf(batch, sizeof batch, " %s ", cell_of(table, r, "global_batch_seqs"));
            const Change changes[] = {
                {"id", id},
                {COLUMNS[way], respelled(cell_of(table, r, COLUMNS[way]), way)},
                {"n_gpus", cell_of(table, r, "n_gpus")[0] != '\0' ? gpus : "n/a"},
                {"global_batch_seqs", batch},
                {"zero_stage", strcmp(cell_of(table, r, "zero_stage"), "3") == 0
                                   ? "ZeRO-3"
                                   : cell_of(table, r, "zero_stage")},
                {"gated_mlp", strcmp(cell_of(table, r, "gated_mlp"), "1") == 0
                                  ? "SwiGLU"
                                  : cell_of(table, r, "gated_mlp")}};
            add(table, r, changes, sizeof changes / sizeof changes[0], 0);
        }
    }
    run(table, &changed);
    check_all(table, &changed, rows);
    for (size_t r = 3; r < table->csv.row_count; r += EVERY)
        for (size_t way = 0; way < 5; way++) {
            snprintf(id, sizeof id, "%s/%zu", cell_of(table, r, "id"), way);
            const ValidatedRow *row = find(&changed, id);
            snprintf(id, sizeof id, "%s/whole", cell_of(table, r, "id"));
            const ValidatedRow *whole = find(&changed, id);
            if (whole == NULL)
                continue;
            if (row == NULL)
                fail_msg("%s: %s", id, reason_of(&changed, id));
            compared++;
            assert_near(row->predicted, whole->predicted, 0);
            assert_near(row->measured, whole->measured, 0);
        }
    assert_true(compared > rows / 2);
    release(&changed);
}

/* Every way to write a cell gives what the plain way gives. */
static void test_cells(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        CellWords words;
        double value; /* HUGE_VAL: no number; -1: empty */
    } cases[] = {{"1,024", CELL_PLAIN, 1024},
                 {"12,288,000", CELL_PLAIN, 12288000},
                 {"8 (assumed)", CELL_PLAIN, 8},
                 {"n/a", CELL_PLAIN, -1},
                 {"?", CELL_PLAIN, -1},
                 {"not stated", CELL_PLAIN, -1},
                 {"nan", CELL_PLAIN, -1},
                 {"1,02", CELL_PLAIN, HUGE_VAL},
                 {"8 or 16", CELL_PLAIN, HUGE_VAL},
                 {"(8)", CELL_PLAIN, HUGE_VAL},
                 {"8 (a", CELL_PLAIN, HUGE_VAL},
                 {"4k", CELL_TOKENS, 4096},
                 {"128K", CELL_TOKENS, 131072},
                 {"4k", CELL_PLAIN, HUGE_VAL},
                 {"0", CELL_ABSENT, -1},
                 {"none", CELL_ABSENT, -1},
                 {"0", CELL_PLAIN, 0},
                 {"True", CELL_SWITCH, 1},
                 {"off", CELL_SWITCH, 0},
                 {"SwiGLU", CELL_GATED, 1},
                 {"GELU", CELL_GATED, 0},
                 {"ZeRO-2", CELL_SHARDING, 2},
                 {"zero stage 3", CELL_SHARDING, 3},
                 {"FSDP", CELL_SHARDING, 3},
                 {"stage 1", CELL_SHARDING, 1},
                 {"ZeRO", CELL_SHARDING, HUGE_VAL},
                 {"46.5%", CELL_MEASURED, 46.5},
                 {"~410", CELL_MEASURED, 410},
                 {"2024-07", CELL_YEAR, 2024},
                 {"July 2024", CELL_YEAR, 2024},
                 {"2024 or 2025", CELL_YEAR, HUGE_VAL},
                 {"recently", CELL_YEAR, HUGE_VAL},
                 {"2024", CELL_YEAR, 2024},
                 {"1e400", CELL_PLAIN, HUGE_VAL},
                 {"0x10", CELL_PLAIN, HUGE_VAL},
                 {"", CELL_PLAIN, -1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double value = 0;
        const bool read = cell_number(cases[i].text, cases[i].words, &value);
        if (read != isfinite(cases[i].value))
            fail_msg("'%s' is %s", cases[i].text, read ? "a number" : "none");
        if (read && isfinite(value) != (cases[i].value >= 0))
            fail_msg("'%s' is %g", cases[i].text, value);
        if (read && cases[i].value >= 0)
            assert_near(value, cases[i].value, 1e-12 * cases[i].value);
    }
}

/* ---- other metrics and another order -----------------------------------------------------------
 */

static void test_metrics_and_order(void **state)
{
    Table *table = *state;
    static const char *const METRICS[] = {"iter_seconds", "tokens/s", "samples per second",
                                          "tok/s/GPU"};
    enum { METRIC_COUNT = 4 };
    Run plain, changed;
    size_t rows = 0;
    char id[CELL_BYTES], value[CELL_BYTES];
    start(table, 0);
    for (size_t r = 5; r < table->csv.row_count; r += EVERY)
        add(table, r, NULL, 0, 0);
    run(table, &plain);
    start(table, 1);
    for (size_t r = 5; r < table->csv.row_count; r += EVERY)
        for (size_t m = 0; m < METRIC_COUNT; m++, rows++) {
            const ValidatedRow *row = find(&plain, cell_of(table, r, "id"));
            const double rate = row != NULL ? row->measured : 1;
            const double gpus = atof(cell_of(table, r, "n_gpus"));
            const double length = atof(cell_of(table, r, "seq_len"));
            const double batch = atof(cell_of(table, r, "global_batch_seqs"));
            const double values[] = {batch * length / (rate * gpus), rate * gpus,
                                     rate * gpus / length, rate};
            snprintf(id, sizeof id, "%s/%zu", cell_of(table, r, "id"), m);
            snprintf(value, sizeof value, "%.15g", fmax(1e-9, fmin(1e12, values[m])));
            const Change changes[] = {
                {"id", id}, {"metric", METRICS[m]}, {"value", value}, {"tokens_per_s_per_gpu", ""}};
            add(table, r, changes, 4, 1);
        }
    run(table, &changed);
    check_all(table, &changed, rows);
    size_t compared = 0;
    for (size_t r = 5; r < table->csv.row_count; r += EVERY)
        for (size_t m = 0; m < METRIC_COUNT; m++) {
            snprintf(id, sizeof id, "%s/%zu", cell_of(table, r, "id"), m);
            const ValidatedRow *whole = find(&plain, cell_of(table, r, "id"));
            const ValidatedRow *row = find(&changed, id);
            if (whole == NULL || row == NULL ||
                (m == 0 && cell_of(table, r, "global_batch_seqs")[0] == '\0'))
                continue;
            compared++;
            assert_near(row->measured, whole->measured, 1e-9 * whole->measured);
        }
    assert_true(compared > rows / 2);
    release(&plain);
    release(&changed);
}

/* ---- other GPUs --------------------------------------------------------------------------------
 */

#define SHAPE_HEADER                                                                               \
    "id,source,year,model,gpu,n_gpus,tp,pp,n_layers,d_model,n_heads,n_kv_heads,d_ff,gated_mlp,"    \
    "vocab,seq_len,micro_batch,global_batch_seqs,recompute,precision,metric,value\n"

static double rate_on(const char *gpu, const char *precision, int *unmeasured)
{
    Table table = {0};
    char text[1024];
    Run of;
    table.used = (size_t)snprintf(
        text, sizeof text,
        SHAPE_HEADER "z-1,A report,2024,,%s,64,4,2,32,4096,32,8,14336,1,128256,4096,1,256,full,%s,"
                     "tokens_per_s_per_gpu,5000\n",
        gpu, precision);
    table.text = text;
    run(&table, &of);
    if (of.result.row_count != 1)
        fail_msg("%s: %s", gpu, of.result.skipped[0].reason);
    const double rate = of.result.rows[0].predicted;
    *unmeasured = default_taken(&of.result.rows[0].defaults, DEFAULT_EVIDENCE);
    release(&of);
    return rate;
}

static void test_other_gpus(void **state)
{
    (void)state;
    /* Slow to fast of what differs in one thing: bandwidth, links or FLOP/s. */
    static const char *const ORDERS[][3] = {{"H20", "H100-SXM-80GB", "H200 SXM 141GB"},
                                            {"NVIDIA H800", "H100 80GB HBM3", "B200"},
                                            {"V100-SXM2-16GB", "A100 40GB", "A100 80G"},
                                            {"A800-SXM4-80GB", "A100-SXM-80GB", "GB200 NVL72"}};
    int unmeasured;
    for (size_t i = 0; i < sizeof ORDERS / sizeof ORDERS[0]; i++)
        for (size_t j = 1; j < 3; j++) {
            const double slow = rate_on(ORDERS[i][j - 1], "bf16", &unmeasured);
            const double fast = rate_on(ORDERS[i][j], "bf16", &unmeasured);
            if (!(fast >= slow))
                fail_msg("%s %g, %s %g", ORDERS[i][j - 1], slow, ORDERS[i][j], fast);
        }
    /* The H200 differs from the H100 in memory alone: never by the ratio of bandwidths. */
    const double h100 = rate_on("H100 SXM5", "bf16", &unmeasured);
    assert_false(unmeasured);
    const double h200 = rate_on("NVIDIA H200", "bf16", &unmeasured);
    assert_true(unmeasured);
    assert_true(h200 < 4800.0 / 3350.0 * h100);
    /* No step is faster than its GPU's share of peak allows. */
    assert_true(rate_on("B200 SXM", "bf16", &unmeasured) < 2250.0 / 989.5 * 1.2 * h100);
    assert_true(rate_on("B200 SXM", "fp8", &unmeasured) >=
                rate_on("B200 SXM", "bf16", &unmeasured));
    assert_true(unmeasured);
}

/* ---- models that are only named ----------------------------------------------------------------
 */

static void test_named_models(void **state)
{
    (void)state;
    static const struct {
        const char *name, *cells; /* n_layers,d_model,n_heads,n_kv_heads,d_ff,gated_mlp,vocab */
        const char *model;        /* NULL: skipped */
        double parameters;
    } cases[] = {{"Llama 3.1 70B", ",,,,,,", "llama3-70b", 70.55e9},
                 {"Meta-Llama-3-70B", ",,,,,,", "llama3-70b", 70.55e9},
                 {"LLAMA3_70B", ",,,,,,", "llama3-70b", 70.55e9},
                 {"GPT-3 175B", ",,,,,,", "gpt3-175b", 175e9},
                 {"gpt3-175b", ",,,,,,", "gpt3-175b", 175e9},
                 {"Mixtral-8x22B", ",,,,,,", "mixtral-8x22b", 140.6e9},
                 {"Qwen3_30B_A3B", ",,,,,,", "qwen3-30b-a3b", 30.5e9},
                 {"Qwen2.5-7B-Instruct", ",,,,,,", "qwen2.5-7b", 7.6e9},
                 {"DeepSeek-V3 671B", ",,,,,,", "deepseek-v3", 671e9},
                 {"Gemma-2-27B", ",,,,,,", "gemma2-27b", 27.2e9},
                 {"Llama 3.1 70B", "40,,,,,,", "llama3-70b", 36.3e9}, /* cells win */
                 {"Llama 3.1 70B", ",4096,,,,,", NULL, 0},            /* no such model */
                 {"Llama 3.1 70B 8-layer proxy", ",,,,,,", NULL, 0},
                 {"Some model 70B", ",,,,,,", NULL, 0}};
    const ConfigPaths paths = shipped_paths();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[1024];
        MeasurementFile file;
        MeasuredRules rules;
        Error error = {0};
        const MeasuredBase *base = NULL;
        Scenario *scenario = calloc(1, sizeof *scenario);
        DefaultsTaken defaults = {0};
        assert_non_null(scenario);
        const int bytes = snprintf(text, sizeof text,
                                   SHAPE_HEADER "z-1,A report,2025,%s,H100-SXM-80GB,512,4,8,%s,"
                                                "4096,1,512,none,bf16,tokens_per_s_per_gpu,900\n",
                                   cases[i].name, cases[i].cells);
        assert_int_equal(measurements_read_text("n.csv", text, (size_t)bytes, &file, &error),
                         STATUS_OK);
        assert_int_equal(measured_rules_read(&paths, &rules, &error), STATUS_OK);
        MeasuredBases bases = {.paths = &paths, .rules = &rules};
        assert_int_equal(measured_base(&bases, &file.rows[0], &base, &error), STATUS_OK);
        const Status status = measured_scenario(base, &file.rows[0], scenario, &defaults, &error);
        if (cases[i].model == NULL) {
            assert_int_equal(status, STATUS_INVALID);
            assert_non_null(strstr(error.message, "n_"));
        } else {
            char said[MEASURED_DEFAULT_BYTES];
            const double total = model_parameters(&scenario->model).total;
            if (status != STATUS_OK)
                fail_msg("%s: %s", cases[i].name, error.message);
            assert_string_equal(defaults.model, cases[i].model);
            assert_near(total, cases[i].parameters, 0.02 * cases[i].parameters);
            assert_true(default_taken(&defaults, DEFAULT_D_MODEL));
            assert_non_null(strstr(default_text(&defaults, DEFAULT_D_MODEL, said), "from model"));
        }
        measured_bases_free(&bases);
        measured_rules_free(&rules);
        measurements_free(&file);
        free(scenario);
    }
}

/* Layers that only the parameters tell. */
static void test_layers_from_parameters(void **state)
{
    (void)state;
    static const char text[] =
        "id,source,year,model,params_total_b,gpu,n_gpus,tp,pp,n_layers,d_model,n_heads,d_ff,gated_"
        "mlp,"
        "vocab,seq_len,micro_batch,global_batch_seqs,recompute,metric,value\n"
        "z-1,A report,2022,A "
        "model,39.1,A100-SXM-80GB,512,8,2,,8192,64,32768,0,51200,2048,4,1536,full,"
        "tokens_per_s_per_gpu,425\n"
        "z-2,A report,2022,A "
        "model,0.1,A100-SXM-80GB,512,8,2,,8192,64,32768,0,51200,2048,4,1536,full,"
        "tokens_per_s_per_gpu,425\n"
        "z-3,A report,2022,A model,39.1,A100-SXM-80GB,512,8,2,48,8192,64,32768,0,51200,2048,4,1536,"
        "full,tokens_per_s_per_gpu,425\n";
    char copy[sizeof text];
    memcpy(copy, text, sizeof text);
    const Table table = {.text = copy, .used = sizeof text - 1};
    Run of;
    run(&table, &of);
    assert_int_equal(of.result.row_count, 2);
    assert_true(default_taken(&of.result.rows[0].defaults, DEFAULT_LAYERS));
    assert_near(of.result.rows[0].predicted, of.result.rows[1].predicted, 0);
    assert_non_null(strstr(reason_of(&of, "z-2"), "n_layers"));
    release(&of);
}

/* A table that has few columns: what they would say is not stated. */
static void test_few_columns(void **state)
{
    (void)state;
    char text[] = "id,model,gpu,metric,value,n_gpus,tp,pp\n"
                  "z-1,Llama 3 8B,H100,tok/s/GPU,9000,8,1,1\n"
                  "z-2,Some model,H100,tok/s/GPU,9000,8,1,1\n"
                  "z-3,Llama 3 8B,,tok/s/GPU,9000,8,1,1\n";
    const Table table = {.text = text, .used = sizeof text - 1};
    Run of;
    run(&table, &of);
    assert_int_equal(of.result.row_count, 1);
    assert_true(default_taken(&of.result.rows[0].defaults, DEFAULT_LENGTH));
    assert_true(default_taken(&of.result.rows[0].defaults, DEFAULT_BATCH));
    assert_non_null(strstr(reason_of(&of, "z-2"), "n_layers"));
    assert_non_null(strstr(reason_of(&of, "z-3"), "gpu"));
    release(&of);
}

/* A column `stack` that names no file here says it in words. */
static void test_stack_in_words(void **state)
{
    (void)state;
    char text[] = "id,model,stack,year,gpu,metric,value,n_gpus,tp,pp\n"
                  "z-1,Llama 3 8B,torchtitan 0.2,2025,H100,tok/s/GPU,9000,8,1,1\n"
                  "z-2,Llama 3 8B,NeMo,2024,H100,tok/s/GPU,9000,8,1,1\n"
                  "z-3,Llama 3 8B,stack-maxtext-2024,2024,H100,tok/s/GPU,9000,8,1,1\n"
                  "z-4,Llama 3 8B,our own,2024,H100,tok/s/GPU,9000,8,1,1\n";
    const char *const stacks[] = {"stack-torchtitan-2024", "stack-nemo-2024", "stack-maxtext-2024",
                                  "stack-unknown-2024"};
    const Table table = {.text = text, .used = sizeof text - 1};
    Run of;
    run(&table, &of);
    assert_int_equal(of.result.row_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(of.result.rows[i].stack, stacks[i]);
        assert_int_equal(default_taken(&of.result.rows[i].defaults, DEFAULT_STACK) != 0, i != 2);
    }
    release(&of);
}

/* ---- anything ----------------------------------------------------------------------------------
 */

/* Random cells emptied or spoiled, three at a time, of unknown sources. */
static void test_anything(void **state)
{
    Table *table = *state;
    static const char *const JUNK[] = {
        "",      "",    "",     "?", "0",   "1",    "-1",  "2.5",  "7",        "64",   "1e9",
        "1e400", "yes", "full", "x", "NaN", "128k", "moe", "bf16", "\xff\xfe", "4096", "8 (?)"};
    Run changed;
    size_t rows = 0;
    RandomStream random = random_stream(7, "unseen rows", 0);
    start(table, 0);
    for (size_t r = 0; r < table->csv.row_count; r += 3, rows++) {
        Change changes[7] = {
            {"source", "Some report"}, {"model", "Some model"}, {"tokens_per_s_per_gpu", "900"}};
        char id[CELL_BYTES];
        snprintf(id, sizeof id, "z-%zu", r);
        changes[3] = (Change){"id", id};
        for (size_t i = 4; i < 7; i++) {
            const size_t column = (size_t)(random_uniform(&random) * (double)table->csv.columns);
            const char *name = table->csv.header[column % table->csv.columns].text;
            const size_t junk = (size_t)(random_uniform(&random) * 22) % 22;
            changes[i] = (Change){strcmp(name, "id") == 0 ? "notes" : name, JUNK[junk]};
        }
        add(table, r, changes, 7, 0);
    }
    run(table, &changed);
    check_all(table, &changed, rows);
    const size_t predicted = changed.result.row_count;
    assert_true(predicted > rows / 8); /* most cells are spoiled beyond use */
    for (size_t i = 0; i < predicted; i++)
        assert_true(default_taken(&changed.result.rows[i].defaults, DEFAULT_STACK));
    release(&changed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_cells_left_out),
        cmocka_unit_test(test_other_spellings),
        cmocka_unit_test(test_metrics_and_order),
        cmocka_unit_test(test_other_gpus),
        cmocka_unit_test(test_named_models),
        cmocka_unit_test(test_layers_from_parameters),
        cmocka_unit_test(test_few_columns),
        cmocka_unit_test(test_stack_in_words),
        cmocka_unit_test(test_anything),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
