#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/reader_text.h"

#include <math.h>
#include <stdlib.h>

static Reading reading; /* large */

static void read_good(const char *text, const char *const *sets, size_t set_count)
{
    read_scenario(&reading, text, sets, set_count);
    if (reading.status != STATUS_OK)
        fail_msg("%s", first_problem(&reading));
}

static void values_and_defaults(void **state)
{
    (void)state;
    read_good(READER_SCENARIO, NULL, 0);
    const Scenario *s = &reading.scenario;
    assert_string_equal(s->name, "test");
    assert_int_equal(s->kind, SCENARIO_TRAINING);
    assert_string_equal(s->model.name, "gpt4-leak");
    near(s->model.layers, 120); /* configs/models/gpt4-leak.yaml */
    near(s->hardware.gpus, 64);
    assert_string_equal(s->hardware.gpu.name, "a100-sxm-80g");
    near(s->hardware.gpu.peak_bf16_flops_per_s, 312e12);
    near(s->training.tokens, 1e12);
    near(s->training.reserved_bytes, 4e9);
    assert_int_equal(s->training.attention, ATTENTION_FLASH2);
    near(s->training.parallel.tensor, 8);
    near(s->training.parallel.zero_stage, 1);                    /* default */
    assert_int_equal(s->training.parallel.sequence_parallel, 1); /* default */
    assert_int_equal(s->reliability.class_count, 1);
    assert_string_equal(s->reliability.classes[0].name, "node");
    assert_int_equal(s->reliability.classes[0].unit, FAILURE_PER_NODE);
    near(s->reliability.classes[0].rate_per_s, 6.5e-3 / 86400);
    near(s->reliability.interval_s, 1800);
    near(s->prices.energy_usd_per_j, 0.08 / 3.6e6);
    assert_int_equal(strlen(reading.sha256), 64);
    resolved_list_free(&reading.resolved);
}

static void origins_and_sources(void **state)
{
    (void)state;
    static const char *const SETS[] = {"reliability.interval=20min"};
    read_good(
        "schema: 1\nbase: gpt4-a100\nsource: mine\ntraining: {tokens: 2T, batch_tokens: {value: "
        "4M, source: his}}\n",
        SETS, 1);
    assert_string_equal(find_value(&reading, "training.tokens")->origin, "test.yaml:4:20");
    assert_string_equal(find_value(&reading, "training.tokens")->value, "2T");
    assert_string_equal(find_value(&reading, "training.tokens")->source, "mine");
    assert_string_equal(find_value(&reading, "training.batch_tokens")->source, "his");
    assert_string_equal(find_value(&reading, "reliability.interval")->origin, "--set");
    assert_string_equal(find_value(&reading, "reliability.interval")->value, "20min");
    const ResolvedValue *fallback = find_value(&reading, "hardware.gpu.peak_fp8");
    assert_string_equal(fallback->origin, "default");
    assert_true(fallback->is_default);
    /* A value of the base keeps the source of its own file, whatever the overlay says around it. */
    assert_null(strstr(find_value(&reading, "training.sequence_length")->source, "mine"));
    assert_non_null(
        strstr(find_value(&reading, "hardware.gpu.tdp")->origin, "configs/hw/a100-sxm-80g.yaml:"));
    const ResolvedValue *range = find_value(&reading, "hardware.gpu.jitter");
    assert_true(range->is_range);
    assert_memory_equal(range->value, "{low: ", 6);
    resolved_list_free(&reading.resolved);
}

static const UncertainInput *find_input(const char *path)
{
    for (size_t i = 0; i < reading.scenario.uncertain_count; i++)
        if (strcmp(reading.scenario.uncertain[i].path, path) == 0)
            return &reading.scenario.uncertain[i];
    fail_msg("'%s' is not uncertain", path);
    return NULL;
}

static void ranges(void **state)
{
    (void)state;
    static const char *const SETS[] = {
        "reliability.interval={low: 5min, high: 20min, scale: log}",
        "training.parallel.recompute={one_of: [full, none]}",
        "training.tokens={p5: 1T, p95: 3T}",
        "reliability.classes.0.rate={low: 1/d, high: 3/d}",
        "training.kernel_overhead={low: 5%, high: 5%}",
        "training.parallel.micro_batch={one_of: [2, 4]}",
    };
    read_good(READER_SCENARIO, SETS, sizeof SETS / sizeof SETS[0]);
    const UncertainInput *interval = find_input("reliability.interval");
    assert_int_equal(interval->distribution, DRAW_LOG_UNIFORM);
    near(interval->low, 300);
    near(interval->high, 1200);
    near(reading.scenario.reliability.interval_s, 600); /* geometric mean */
    const UncertainInput *recompute = find_input("training.parallel.recompute");
    assert_int_equal(recompute->distribution, DRAW_CHOICE);
    assert_true(recompute->is_integer_enum);
    assert_int_equal(recompute->choice_count, 2);
    assert_int_equal(reading.scenario.training.parallel.recompute, RECOMPUTE_FULL); /* the first */
    assert_int_equal(find_input("training.tokens")->distribution, DRAW_NORMAL);
    near(reading.scenario.training.tokens, 2e12);
    near(reading.scenario.reliability.classes[0].rate_per_s, 2.0 / 86400);
    near(find_input("reliability.classes.0.rate")->low, 1.0 / 86400);
    near(find_input("training.parallel.micro_batch")->choices[1], 4);
    for (size_t i = 0; i < reading.scenario.uncertain_count; i++) /* a point is no range */
        assert_string_not_equal(reading.scenario.uncertain[i].path, "training.kernel_overhead");
    near(reading.scenario.training.kernel_overhead, 0.05);
    resolved_list_free(&reading.resolved);
}

static void named_parts_are_replaced(void **state)
{
    (void)state;
    static const char *const SETS[] = {"hardware=h100-ndr", "hardware.gpu.tdp=500W",
                                       "model=gpt3-175b",
                                       "hardware.gpu={base: a100-sxm-80g, memory: 96GB}"};
    read_good(READER_SCENARIO, SETS, 2);
    assert_string_equal(reading.scenario.hardware.node.name, "dgx-h100");
    near(reading.scenario.hardware.gpus, 64); /* belongs to the job */
    near(reading.scenario.hardware.gpu.tdp_w, 500);
    resolved_list_free(&reading.resolved);
    read_good(READER_SCENARIO, SETS + 2, 2);
    near(reading.scenario.model.layers, 96); /* GPT-3, table 2.1 of Brown et al. 2020 */
    near(reading.scenario.model.experts, 1); /* nothing of the model before is left */
    near(reading.scenario.hardware.gpu.memory_bytes, 96e9);
    near(reading.scenario.hardware.gpu.sms, 108);
    resolved_list_free(&reading.resolved);
}

#define TEN "0123456789"

/* One problem each: the text after `schema: 1` and the base, the place and parts of message and
 * hint. */
static void problems_in_files(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int line, column;
        const char *message, *hint;
    } CASES[] = {
        {"fabirc: 400Gb/s\n", 3, 1, "unknown key 'fabirc'", "'fabric' exists under 'hardware'"},
        {"gpus: 100\n", 3, 1, "unknown key 'gpus'", "'gpus' exists under 'hardware'"},
        {"training: {tokns: 1T}\n", 3, 12, "unknown key 'tokns' in 'training'", "'tokens'"},
        {"training: {tokens: 13 TB}\n", 3, 20, "amount of bytes", "13T"},
        {"training: {tokens: nan}\n", 3, 20, "not a finite number", ""},
        {"training: {tokens: }\n", 3, 20, "has no value", ""},
        {"training: {tokens: [1]}\n", 3, 20, "one value is needed", ""},
        {"prices: 5\n", 3, 9, "must be a mapping", ""},
        {"training: {sequence_length: 12.5}\n", 3, 29, "not a whole number", ""},
        {"training: {parallel: {pipeline: 1025}}\n", 3, 33, "out of range", "1 to 1024"},
        {"training: {parallel: {data: -3}}\n", 3, 29, "out of range", ""},
        {"training: {parallel: {tensor: {low: 1, high: 8}}}\n", 3, 31, "no values between",
         "one_of"},
        {"training: {precision: bf61}\n", 3, 23, "none of the allowed words", "'bf16'"},
        {"training: {fp8_scaling: rows}\n", 3, 25, "none of the allowed words", "'row'"},
        {"training: {parallel: {selective_scope: expert}}\n", 3, 40, "none of the allowed words",
         "'experts'"},
        {"training: {parallel: {zero_copies: flats}}\n", 3, 36, "none of the allowed words",
         "'flat'"},
        {"training: {precision: {one_of: []}}\n", 3, 32, "1 to 8 values", ""},
        {"training: {precision: {one_of: [fp8, fp8]}}\n", 3, 38, "same choice twice", ""},
        {"kind: {one_of: [training, serving]}\n", 3, 7, "one value is needed", ""},
        {"reliability: {interval: 90}\n", 3, 25, "has no unit", "'90min'"},
        {"reliability: {interval: {low: 3min, high: 1min}}\n", 3, 31, "above", ""},
        {"reliability: {interval: {low: 3min}}\n", 3, 25, "both low and high", ""},
        {"reliability: {interval: {low: 1min, high: 2min, scal: log}}\n", 3, 49,
         "unknown key 'scal'", "'scale'"},
        {"reliability: {interval: {value: 1min, low: 2min}}\n", 3, 25, "both 'value' and 'low'",
         ""},
        {"reliability: {interval: {low: 1min, p95: 2min}}\n", 3, 25, "two kinds", ""},
        {"reliability: {blocking: {low: 0s, high: 2s, scale: log}}\n", 3, 31, "above 0", ""},
        {"reliability: {classes: {}}\n", 3, 24, "must be a list", ""},
        {"reliability: {classes: [{name: a, unit: gpu, rate: 1/d}]}\n", 3, 25,
         "missing key 'detection'", ""},
        {"reliability: {classes: [{name: a, unit: gpu, rate: 1/d, detection: 1s}, {name: a, unit: "
         "gpu, "
         "rate: 1/d, detection: 1s}]}\n",
         3, 80, "already used", ""},
        {"model: gpt4-leek\n", 3, 8, "nothing called 'gpt4-leek'", "'gpt4-leak'"},
        {"model: {base: gpt4-leak, layers: 0}\n", 3, 34, "out of range", "1 to 10k"},
        {"hardware: {gpu: {name: x}}\nmodel: a100-sxm-80g\n", 4, 8, "nothing called", ""},
        {"hardware: {gpu: gpt4-leak}\n", 3, 17, "nothing called", ""},
        {"hardware: {gpu: dgx-a100}\n", 0, 0, "not a gpu", "part: gpu"},
        {"source: {a: b}\n", 3, 9, "text or a list of texts", ""},
        {"base: x\n", 3, 1, "already given", ""},
        {"title: " TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "\n", 3, 8,
         "at most 159", ""},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char text[1024];
        snprintf(text, sizeof text, "schema: 1\nbase: gpt4-a100\n%s", CASES[i].text);
        read_scenario(&reading, text, NULL, 0);
        if (reading.status != STATUS_INVALID)
            fail_msg("case %zu gave status %d", i, reading.status);
        const Error *error = &reading.errors.errors[0];
        bool placed = CASES[i].line == 0 ||
                      (error->line == CASES[i].line && error->column == CASES[i].column);
        if (!placed || strstr(error->message, CASES[i].message) == NULL ||
            strstr(error->hint, CASES[i].hint) == NULL)
            fail_msg("case %zu: %s", i, first_problem(&reading));
        assert_int_equal(reading.resolved.count, 0);
        assert_int_equal(reading.scenario.training.tokens, 0); /* nothing is half-read */
    }
}

static void headers_and_sections(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } CASES[] = {
        {"kind: training\n", "missing key 'schema'"},
        {"schema: 2\nbase: gpt4-a100\n", "'2' is not a version"},
        {"- schema\n", "must be a mapping"},
        {"schema: 1\nmodel: gpt4-leak\n", "missing key 'kind'"},
        {"schema: 1\nkind: serving\nmodel: gpt4-leak\n", "missing section 'hardware'"},
        {READER_HEAD READER_RELIABILITY READER_PRICES, "missing section 'training'"},
        {READER_HEAD READER_TRAINING READER_PRICES, "missing section 'reliability'"},
        {READER_HEAD READER_TRAINING READER_RELIABILITY, "missing section 'prices'"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        read_scenario(&reading, CASES[i].text, NULL, 0);
        assert_int_equal(reading.status, STATUS_INVALID);
        if (strstr(first_problem(&reading), CASES[i].message) == NULL)
            fail_msg("case %zu: %s", i, first_problem(&reading));
    }
}

static void interval_is_needed_when_fixed(void **state)
{
    (void)state;
    static const char TEXT[] = READER_HEAD READER_TRAINING READER_PRICES
        "reliability: {classes: [], replacement: 1min, init: 1min, state_bytes_per_param: 12, "
        "read_bandwidth: 1GB/s, write_bandwidth: 1GB/s}\n";
    static const char *const OPTIMAL[] = {"reliability.interval_rule=optimal"};
    static const char *const EITHER[] = {"reliability.interval_rule={one_of: [optimal, fixed]}"};
    read_scenario(&reading, TEXT, NULL, 0);
    assert_non_null(strstr(first_problem(&reading), "missing key 'interval'"));
    read_scenario(&reading, TEXT, EITHER, 1);
    assert_non_null(strstr(first_problem(&reading), "missing key 'interval'"));
    read_good(TEXT, OPTIMAL, 1);
    resolved_list_free(&reading.resolved);
}

static void problems_in_overrides(void **state)
{
    (void)state;
    static const struct {
        const char *set, *message, *hint;
    } CASES[] = {
        {"foo", "has no '='", "KEY=VALUE"},
        {"=3", "has no key", "KEY=VALUE"},
        {"training.tokens=", "has no value", "KEY=VALUE"},
        {"..=3", "not a dotted key", ""},
        {"gpus=1", "unknown key 'gpus'", "'gpus' exists under 'hardware'"},
        {"training.tokns=1", "unknown key 'tokns' in 'training'", "'tokens'"},
        {"prices=3", "must be a mapping", ""},
        {"reliability.interval=90", "has no unit", "'90min'"},
        {"reliability.interval.low=3s", "is one value", "{low: ..., high: ...}"},
        {"reliability.classes.1.rate=1/d", "no entry '1'", "0 to 0"},
        {"reliability.classes.x.rate=1/d", "no entry 'x'", ""},
        {"reliability.classes.0=1/d", "is an entry", ""},
        {"reliability.interval={low: 5", "did not find expected", ""},
        {"hardware.gpu=h100-sxmm", "nothing called", "'h100-sxm'"},
        {"training.parallel.zero_stage=4", "out of range", "0 to 3"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        read_scenario(&reading, READER_SCENARIO, &CASES[i].set, 1);
        if (reading.status != STATUS_USAGE)
            fail_msg("'%s' gave status %d: %s", CASES[i].set, reading.status,
                     first_problem(&reading));
        const Error *error = &reading.errors.errors[0];
        if (strstr(error->message, CASES[i].message) == NULL ||
            strstr(error->hint, CASES[i].hint) == NULL)
            fail_msg("'%s': %s", CASES[i].set, first_problem(&reading));
        assert_memory_equal(error->file, "--set ", 6);
    }
}

static void all_problems_at_once(void **state)
{
    (void)state;
    read_scenario(&reading,
                  "schema: 1\nbase: gpt4-a100\nzzz: 1\ntraining: {tokens: x}\nprices: {pue: 0.5}\n",
                  NULL, 0);
    assert_int_equal(reading.errors.count, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(reading.errors.errors[i].line, 3 + i);
}

/* More than the list holds: counted all the same. */
static void many_problems(void **state)
{
    (void)state;
    char text[8192] = "schema: 1\nbase: gpt4-a100\n";
    char *at = text + strlen(text);
    for (int i = 0; i < 100; i++)
        at += sprintf(at, "unknown%d: 1\n", i);
    read_scenario(&reading, text, NULL, 0);
    assert_int_equal(reading.status, STATUS_INVALID);
    assert_int_equal(reading.errors.count, MAX_ERRORS);
    assert_int_equal(reading.errors.total, 100);
}

static void errors_of_several_readings_add_up(void **state)
{
    (void)state;
    static ErrorList errors;
    static Scenario scenario;
    static const char BAD[] = "schema: 1\nbase: gpt4-a100\nzzz: 1\n";
    memset(&errors, 0, sizeof errors);
    for (size_t i = 1; i <= 2; i++) {
        assert_int_equal(scenario_read_text(&READER_PATHS, "a.yaml", BAD, sizeof BAD - 1, NULL, 0,
                                            &scenario, NULL, NULL, &errors),
                         STATUS_INVALID);
        assert_int_equal(errors.count, i);
    }
    assert_int_equal(
        scenario_read(&READER_PATHS, "gpt4-a100", NULL, 0, &scenario, NULL, NULL, &errors),
        STATUS_OK);
    assert_int_equal(errors.count, 2);
}

static void hash_of(char sha256[SHA256_HEX_BYTES], const char *text)
{
    read_good(text, NULL, 0);
    memcpy(sha256, reading.sha256, SHA256_HEX_BYTES);
    resolved_list_free(&reading.resolved);
}

static void hash_is_of_the_meaning(void **state)
{
    (void)state;
    char plain[SHA256_HEX_BYTES];
    char other[SHA256_HEX_BYTES];
    hash_of(plain, READER_SCENARIO);
    hash_of(other, READER_PRICES
            "# a comment\ntitle: a label\n" READER_RELIABILITY READER_TRAINING READER_HEAD);
    assert_string_equal(plain, other);
    static const char *const SPELLINGS[] = {"reliability.interval=0.5h", "training.tokens=1_000G",
                                            "prices.pue={value: 1.20, source: x}",
                                            "training.parallel.zero_stage=1", "name=other"};
    for (size_t i = 0; i < sizeof SPELLINGS / sizeof SPELLINGS[0]; i++) {
        read_good(READER_SCENARIO, &SPELLINGS[i], 1);
        assert_string_equal(plain, reading.sha256);
        resolved_list_free(&reading.resolved);
    }
    static const char *const CHANGES[] = {
        "reliability.interval=31min", "training.parallel.recompute=full",
        "reliability.classes.0.name=x",
        "reliability.interval={low: 20min, high: 40min}" /* the same median, another input */};
    for (size_t i = 0; i < sizeof CHANGES / sizeof CHANGES[0]; i++) {
        read_good(READER_SCENARIO, &CHANGES[i], 1);
        assert_string_not_equal(plain, reading.sha256);
        resolved_list_free(&reading.resolved);
    }
}

static void canonical_form(void **state)
{
    (void)state;
    char *text = NULL;
    Error error;
    read_good(READER_SCENARIO, NULL, 0);
    assert_int_equal(scenario_canonical(&reading.scenario, &text, &error), STATUS_OK);
    assert_memory_equal(text, "{\"course\":[],\"data\":{", 21);
    assert_non_null(strstr(text, "\"hardware\":{\"fabric\":{"));
    assert_non_null(strstr(text, "\"interval\":1800.0"));
    assert_non_null(strstr(text, "\"attention\":\"flash2\""));
    assert_non_null(strstr(text, "\"sequence_parallel\":true"));
    assert_non_null(strstr(text, "\"schema\":1"));
    assert_int_equal(text[strlen(text) - 1], '\n');
    free(text);
    resolved_list_free(&reading.resolved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_defaults),
        cmocka_unit_test(origins_and_sources),
        cmocka_unit_test(ranges),
        cmocka_unit_test(named_parts_are_replaced),
        cmocka_unit_test(problems_in_files),
        cmocka_unit_test(headers_and_sections),
        cmocka_unit_test(interval_is_needed_when_fixed),
        cmocka_unit_test(problems_in_overrides),
        cmocka_unit_test(all_problems_at_once),
        cmocka_unit_test(many_problems),
        cmocka_unit_test(errors_of_several_readings_add_up),
        cmocka_unit_test(hash_is_of_the_meaning),
        cmocka_unit_test(canonical_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
