/* Rows of serving tables as nobody wrote them yet: engines of other versions, names in other
 * spellings, cells left empty or filled with anything, columns in any order. Whatever a row says,
 * it is simulated, with what was taken for granted named, or skipped for a reason that names a
 * cell. */
#include "sim/engine/random.h"
#include "sim/planning/serving_names.h"
#include "sim/planning/serving_points.h"
#include "sim/planning/serving_rows.h"
#include "sim/planning/serving_table.h"
#include "tests/unit/shipped.h"

#include <ctype.h>
#include <math.h>
#include <unistd.h>

enum { TEXT_BYTES = 1 << 16, MOST_COLUMNS = 24 };

typedef Status (*Reader)(const ConfigPaths *paths, const CsvTable *table, const char *const *sets,
                         size_t set_count, ServingRows *rows, Error *error);

/* A kind of table: its reader, columns and a row that can be simulated. */
typedef struct Kind {
    Reader read;
    size_t count;
    const char *columns[MOST_COLUMNS], *cells[MOST_COLUMNS];
} Kind;

static const Kind RATES = {
    serving_rows_read,
    17,
    {"id", "source", "model", "params_total_b", "params_active_b", "hardware", "n_gpus",
     "parallelism", "precision", "input_tokens", "output_tokens", "batch_or_concurrency",
     "scenario", "metric", "value", "unit", "notes"},
    {"a", "vLLM 0.13 on one node (2026)", "Llama-3.1-70B", "70", "70", "H100-SXM-80GB", "4", "tp4",
     "fp8", "1000", "50", "16", "server closed-loop", "tpot", "20", "ms", "TTFT 300 ms"}};

static const Kind POINTS = {
    serving_points_read,
    19,
    {"id", "backend", "backend_version", "model_path", "system", "precision", "mode", "isl", "osl",
     "gemm_quant_mode", "moe_quant_mode", "batch_size", "concurrency", "tp_size",
     "attention_dp_size", "moe_tp_size", "moe_ep_size", "silicon_ttft_ms", "silicon_tpot_ms"},
    {"a", "vllm", "0.13.1", "Qwen/Qwen3-32B", "h100_sxm", "fp8", "agg", "1000", "50", "fp8", "fp8",
     "16", "16", "4", "1", "1", "1", "300", "20"}};

typedef struct Fixture {
    CsvTable table;
    ServingRows rows;
    Error error;
} Fixture;

/* A table of one row, its columns in the order given (NULL: as they are). */
static void read_row(Fixture *fixture, const Kind *kind, const char *const *cells,
                     const size_t *order)
{
    static char text[TEXT_BYTES];
    ConfigPaths paths;
    size_t at = 0;
    memset(fixture, 0, sizeof *fixture);
    for (int line = 0; line < 2; line++)
        for (size_t i = 0; i < kind->count; i++) {
            const size_t column = order != NULL ? order[i] : i;
            const char *cell = line == 0 ? kind->columns[column] : cells[column];
            at += (size_t)snprintf(text + at, sizeof text - at, "\"%s\"%s", cell,
                                   i + 1 < kind->count ? "," : "\n");
            assert_true(at < sizeof text);
        }
    assert_int_equal(config_paths_find(NULL, &paths, &fixture->error), STATUS_OK);
    assert_int_equal(
        csv_read_text("rows.csv", text, strlen(text), &fixture->table, &fixture->error), STATUS_OK);
    if (kind->read(&paths, &fixture->table, NULL, 0, &fixture->rows, &fixture->error) != STATUS_OK)
        fail_msg("%s", fixture->error.message);
}

static void release(Fixture *fixture)
{
    serving_rows_free(&fixture->rows);
    csv_free(&fixture->table);
}

static void cells_of(const Kind *kind, const char **cells)
{
    memcpy(cells, kind->cells, sizeof kind->cells);
}

static void set_cell(const Kind *kind, const char **cells, const char *column, const char *text)
{
    for (size_t i = 0; i < kind->count; i++)
        if (strcmp(kind->columns[i], column) == 0) {
            cells[i] = text;
            return;
        }
    fail_msg("no column %s", column);
}

/* Predicts what is not too large for a test; every number is positive. */
static void predict_all(Fixture *fixture)
{
    const ServingRows *rows = &fixture->rows;
    size_t count;
    for (size_t i = 0; i < rows->count; i += count) {
        double predicted[MOST_TOGETHER];
        const ServingRow *row = &rows->rows[i];
        const ServingSpec *serving = &row->scenario->serving;
        count = serving_rows_together(rows, i);
        if (row->batch > 64 || serving->prompt_tokens + serving->output_tokens > 4000)
            continue;
        const Status status =
            serving_rows_predict(row, count, row->scenario, predicted, &fixture->error);
        assert_true(status == STATUS_OK || status == STATUS_NO);
        for (size_t j = 0; j < count && status == STATUS_OK; j++)
            assert_true(predicted[j] >= 0 && predicted[j] < HUGE_VAL);
    }
}

/* ---- names -------------------------------------------------------------------------------------
 */

static void plain_names(void **state)
{
    (void)state;
    char plain[NAME_TEXT_BYTES], tight[6], assumed[ASSUMED_BYTES] = "";
    name_plain("Meta-Llama 3.1_70B (FP8)", plain, sizeof plain);
    assert_string_equal(plain, "metallama3.170bfp8");
    name_plain("abcdefgh", tight, sizeof tight);
    assert_string_equal(tight, "abcde");
    assert_near(year_in("release of 12024, then 2025-03"), 2025, 0);
    assert_near(year_in("no year, 1999 and 0.2024e3"), 0, 0);
    for (int i = 0; i < 50; i++)
        assume(assumed, "cell %d: something", i);
    assert_true(strlen(assumed) < ASSUMED_BYTES);
    assert_true(strncmp(assumed, "cell 0: something; cell 1", 25) == 0);
}

static void nearest_engines(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double year;
        const char *engine;
    } cases[] = {
        {"vLLM 0.13", 0, "engine-vllm-0.12"},
        {"vllm v0.18.2", 0, "engine-vllm-0.18"},
        {"vLLM 1.4", 0, "engine-vllm-0.18"},
        {"vLLM version 0.2", 0, "engine-vllm-2024"}, /* older than any: the oldest */
        {"vLLM", 2024.5, "engine-vllm-2024"},
        {"vLLM", 0, "engine-vllm-0.18"},
        {"SGLang v0.5.6", 0, "engine-sglang-0.5.6"},
        {"sglang 0.5.10", 0, "engine-sglang-0.5.9"},
        {"SGLang", 2019, "engine-sglang-2025"},
        {"TensorRT-LLM 1.2", 0, "engine-trtllm-1.1"},
        {"NVIDIA/TensorRT-LLM docs/performance.md v0.12.0 (2024)", 2024.5, "engine-trtllm-2024"},
        {"TRT-LLM 0.8", 0, "engine-trtllm-2023"},
        {"LMDeploy 0.7", 2024.5, "engine-vllm-2024"}, /* its version is not vLLM's */
        {"TGI 3.0", 2026.5, "engine-vllm-0.18"},
        {"text-generation-inference", 2024.5, "engine-vllm-2024"},
        {"a gateway of our own", 2026, NULL},
        {"", 0, NULL},
    };
    ConfigPaths paths;
    Error error = {0};
    ServingRows rows = {0};
    assert_int_equal(config_paths_find(NULL, &paths, &error), STATUS_OK);
    assert_int_equal(serving_names_read(&paths, &rows, &error), STATUS_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char assumed[ASSUMED_BYTES] = "";
        const char *engine = engine_nearest(&rows.engines, cases[i].text, cases[i].year, assumed);
        if (cases[i].engine == NULL) {
            assert_null(engine);
            assert_string_equal(assumed, "");
            continue;
        }
        if (engine == NULL || strcmp(engine, cases[i].engine) != 0)
            fail_msg("'%s': %s, not %s", cases[i].text, engine != NULL ? engine : "none",
                     cases[i].engine);
        assert_non_null(strstr(assumed, cases[i].engine));
    }
    serving_rows_free(&rows);
}

/* Every engine and name that the tables give is there to be read. */
static void shipped_names_exist(void **state)
{
    (void)state;
    static const char *const folders[][2] = {{"hardware", "hw"}, {"model", "models"}};
    ConfigPaths paths;
    Error error = {0};
    ServingRows rows = {0};
    char path[2048];
    assert_int_equal(config_paths_find(NULL, &paths, &error), STATUS_OK);
    assert_int_equal(serving_names_read(&paths, &rows, &error), STATUS_OK);
    for (size_t i = 0; i < rows.engines.row_count; i++) {
        const char *name = rule_cell(&rows.engines, i, "name");
        snprintf(path, sizeof path, "%s/calibration/%s.yaml", paths.root, name);
        if (name[0] != '\0' && access(path, R_OK) != 0)
            fail_msg("no %s", path);
    }
    for (size_t i = 0; i < rows.spellings.row_count; i++)
        for (size_t j = 0; j < sizeof folders / sizeof *folders; j++) {
            const char *name = rule_cell(&rows.spellings, i, "name");
            snprintf(path, sizeof path, "%s/%s/%s.yaml", paths.root, folders[j][1], name);
            if (name[0] != '\0' &&
                strcmp(rule_cell(&rows.spellings, i, "column"), folders[j][0]) == 0 &&
                access(path, R_OK) != 0)
                fail_msg("no %s", path);
        }
    serving_rows_free(&rows);
}

static void other_spellings(void **state)
{
    (void)state;
    static const struct {
        const Kind *kind;
        const char *column, *text, *model, *gpu, *engine;
    } cases[] = {
        {&RATES, "model", "meta-llama/Meta-Llama-3.1-70B-Instruct", "llama3-70b", NULL, NULL},
        {&RATES, "model", "Llama 3.3 70B", "llama3-70b", NULL, NULL},
        {&RATES, "model", "llama-2-70b-chat-hf", "llama2-70b", NULL, NULL},
        {&RATES, "model", "mixtral 8x7B instruct v0.1", "mixtral-8x7b", NULL, NULL},
        {&RATES, "hardware", "NVIDIA H100 80GB HBM3", NULL, "h100-ndr", NULL},
        {&RATES, "hardware", "8x H200 SXM", NULL, "h200-ndr", NULL},
        {&RATES, "source", "SGLang v0.5.6 blog", NULL, NULL, "sglang-0.5.6"},
        {&RATES, "source", "LMDeploy benchmark, 2024", NULL, NULL, "vllm-2024"},
        {&RATES, "parallelism", "TP=4", NULL, NULL, NULL},
        {&RATES, "scenario", "Server Closed-Loop", NULL, NULL, NULL},
        {&RATES, "precision", "FP8 (E4M3)", NULL, NULL, NULL},
        {&RATES, "precision", "INT4 (AWQ)", NULL, NULL, NULL},
        {&RATES, "precision", "w8a8", NULL, NULL, NULL},
        {&POINTS, "gemm_quant_mode", "gptq-int4", NULL, NULL, NULL},
        {&POINTS, "model_path", "qwen3-32b-fp8", "qwen3-32b", NULL, NULL},
        {&POINTS, "model_path", "nvidia/Llama-3.3-70B-Instruct-FP8", "llama3-70b", NULL, NULL},
        {&POINTS, "system", "H200", NULL, "h200-ndr", NULL},
        {&POINTS, "system", "h800_sxm", NULL, "h800-ndr", NULL},
        {&POINTS, "backend", "TensorRT-LLM", NULL, NULL, NULL},
        {&POINTS, "backend", "vLLM", NULL, NULL, "vllm-0.12"},
        {&POINTS, "backend", "dynamo-sglang", NULL, NULL, NULL},
        {&POINTS, "backend_version", "v0.16.0rc1", NULL, NULL, "vllm-0.16"},
        {&POINTS, "backend_version", "9.9", NULL, NULL, "vllm-0.18"},
        {&POINTS, "gemm_quant_mode", "fp8_block_scaled", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *cells[MOST_COLUMNS];
        Fixture fixture;
        cells_of(cases[i].kind, cells);
        set_cell(cases[i].kind, cells, cases[i].column, cases[i].text);
        read_row(&fixture, cases[i].kind, cells, NULL);
        if (fixture.rows.count == 0)
            fail_msg("'%s': %s", cases[i].text, fixture.rows.skipped[0].reason);
        const ServingRow *row = fixture.rows.rows;
        if (cases[i].model != NULL)
            assert_string_equal(row->model, cases[i].model);
        if (cases[i].gpu != NULL)
            assert_string_equal(row->gpu, cases[i].gpu);
        if (cases[i].engine != NULL)
            assert_string_equal(row->engine, cases[i].engine);
        predict_all(&fixture);
        release(&fixture);
    }
}

/* ---- cells -------------------------------------------------------------------------------------
 */

/* Whether a word stands in a text, not as a part of another. */
static int has_word(const char *text, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        if ((at == text || !isalnum((unsigned char)at[-1])) &&
            !isalnum((unsigned char)at[length]) && at[length] != '_')
            return 1;
    return 0;
}

/* What becomes of a row without a cell: skipped for it, simulated with a default that is named, or
 * simulated as if nothing were missing. */
static void empty_cells(void **state)
{
    (void)state;
    static const struct {
        const Kind *kind;
        const char *skipped, *named; /* columns between blanks; all others carry nothing */
    } cases[] = {
        {&RATES,
         " source model hardware input_tokens output_tokens batch_or_concurrency scenario metric "
         "value unit ",
         " n_gpus parallelism precision "},
        {&POINTS, " backend model_path system isl osl ", " backend_version concurrency tp_size "},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
        for (size_t i = 0; i < cases[k].kind->count; i++) {
            const Kind *kind = cases[k].kind;
            const char *cells[MOST_COLUMNS];
            char padded[64];
            Fixture fixture;
            cells_of(kind, cells);
            cells[i] = i % 2 == 0 ? "" : "  ";
            snprintf(padded, sizeof padded, " %s ", kind->columns[i]);
            read_row(&fixture, kind, cells, NULL);
            const ServingRows *rows = &fixture.rows;
            if (strstr(cases[k].skipped, padded) != NULL) {
                assert_int_equal(rows->skipped_count, 1);
                if (!has_word(rows->skipped[0].reason, kind->columns[i]))
                    fail_msg("%s: '%s'", kind->columns[i], rows->skipped[0].reason);
            } else {
                if (rows->skipped_count > 0)
                    fail_msg("%s: '%s'", kind->columns[i], rows->skipped[0].reason);
                if (strstr(cases[k].named, padded) != NULL &&
                    !has_word(rows->rows[0].assumed, kind->columns[i]))
                    fail_msg("%s: '%s'", kind->columns[i], rows->rows[0].assumed);
                predict_all(&fixture);
            }
            release(&fixture);
        }
}

static int names_a_cell(const Kind *kind, const char *reason)
{
    for (size_t i = 1; i < kind->count; i++)
        if (has_word(reason, kind->columns[i]))
            return 1;
    /* What no plan can be names the keys of a scenario. */
    return strstr(reason, "serving.") != NULL || strstr(reason, "hardware.") != NULL ||
           strstr(reason, "model.") != NULL;
}

/* Cells filled with anything, two at a time, the columns in any order. */
static void random_rows(void **state)
{
    (void)state;
    static const char *const fillings[] = {
        "",
        " ",
        "nan",
        "inf",
        "-1",
        "0",
        "1e300",
        "0.5",
        "7",
        "1e9",
        "64",
        "tp0",
        "tp7 pp3 ep5",
        "ep64 dp-attention",
        "vLLM",
        "H100",
        "unknown",
        "fp8",
        "int4",
        "%s%n%x",
        "\xff\xfe",
        "*",
        "[",
        "decode-only",
        "oom",
        "s",
        "offline",
        "server",
        "per GPU",
        "a text of more characters than any cell of a table has, which goes on and on and on and "
        "on and on and on and on and on and on and on and on and on and on and on and on and on "
        "and on and on and on and on and on and on and on and on and on and on and on and on"};
    const Kind *const kinds[] = {&RATES, &POINTS};
    enum { TRIALS = 400, FILLINGS = sizeof fillings / sizeof *fillings };
    RandomStream stream = random_stream(1, "cells", 0);
    size_t simulated = 0, skipped = 0;
    for (size_t trial = 0; trial < TRIALS; trial++) {
        const Kind *kind = kinds[trial % 2];
        const char *cells[MOST_COLUMNS];
        size_t order[MOST_COLUMNS];
        Fixture fixture;
        cells_of(kind, cells);
        for (size_t i = 0; i < kind->count; i++) {
            const size_t other = (size_t)((double)(i + 1) * random_uniform(&stream));
            order[i] = order[other];
            order[other] = i;
        }
        for (int filled = 0; filled < 2; filled++)
            cells[(size_t)((double)kind->count * random_uniform(&stream))] =
                fillings[(size_t)(FILLINGS * random_uniform(&stream))];
        read_row(&fixture, kind, cells, order);
        const ServingRows *rows = &fixture.rows;
        assert_true((rows->count > 0) != (rows->skipped_count > 0));
        if (rows->skipped_count > 0 && !names_a_cell(kind, rows->skipped[0].reason))
            fail_msg("'%s' names no cell", rows->skipped[0].reason);
        simulated += rows->count > 0;
        skipped += rows->skipped_count;
        predict_all(&fixture);
        release(&fixture);
    }
    assert_true(simulated > TRIALS / 10 && skipped > TRIALS / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_names),     cmocka_unit_test(nearest_engines),
        cmocka_unit_test(other_spellings), cmocka_unit_test(shipped_names_exist),
        cmocka_unit_test(empty_cells),     cmocka_unit_test(random_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
