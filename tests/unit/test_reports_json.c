#include "tests/unit/report_fixture.h"

#include "reports/json.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static json_t *parse(char *text)
{
    assert_non_null(text);
    assert_int_equal(text[strlen(text) - 1], '\n');
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    free(text);
    return root;
}

static json_t *at(json_t *object, const char *path)
{
    char part[96];
    while (object != NULL && *path != '\0') {
        size_t length = strcspn(path, ".");
        snprintf(part, sizeof part, "%.*s", (int)length, path);
        object = json_object_get(object, part);
        path += length + (path[length] == '.');
    }
    return object;
}

static void expect_number(json_t *root, const char *path, double value)
{
    json_t *found = at(root, path);
    assert_true(json_is_number(found));
    assert_true(fabs(json_number_value(found) - value) <= 1e-12 * fabs(value));
}

static void expect_quantity(json_t *root, const char *path)
{
    json_t *found = at(root, path);
    assert_true(json_is_object(found));
    static const char *const keys[] = {"mean", "p5", "p50", "p95"};
    for (size_t i = 0; i < 4; i++)
        assert_true(json_is_number(json_object_get(found, keys[i])));
}

static void train_has_the_contract_keys(void **state)
{
    (void)state;
    Fixture *fixture = fixture_make();
    const AuditScenario *entry = &fixture->scenarios[0];
    json_t *root = parse(json_train(&entry->scenario, &entry->train, &fixture->provenance, NULL));
    assert_string_equal(json_string_value(at(root, "format_version")), "1.0");
    assert_true(json_is_string(at(root, "program_version")));
    expect_number(root, "schema_version", RESULT_SCHEMA_VERSION);
    expect_number(root, "seed", 1);
    expect_number(root, "reps", FIXTURE_REPS);
    assert_string_equal(json_string_value(at(root, "scenario")), "gpt4-leak");
    assert_int_equal(json_string_length(at(root, "scenario_sha256")), 64);
    assert_string_equal(json_string_value(json_array_get(at(root, "set"), 0)),
                        "training.tokens=13T");
    expect_number(root, "model.params_total", 1.83e12);
    static const char *const memory[] = {"weights_bytes",     "gradients_bytes", "optimizer_bytes",
                                         "activations_bytes", "overhead_bytes",  "total_bytes",
                                         "capacity_bytes"};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        assert_true(json_is_real(json_object_get(at(root, "memory"), memory[i])));
    assert_true(json_is_true(at(root, "memory.fits")));
    expect_number(root, "step.seconds", 39.21);
    expect_number(root, "step.mfu", 0.345);
    expect_number(root, "step.breakdown_s.bubble", 10.08);
    double sum = 0;
    const char *key;
    json_t *value;
    json_object_foreach(at(root, "step.breakdown_s"), key, value) sum += json_real_value(value);
    assert_true(fabs(sum - 39.21) < 1e-9);
    assert_int_equal(json_object_size(at(root, "step.breakdown_s")), 12);
    assert_string_equal(json_string_value(at(root, "step.pipeline.schedule")), "1f1b");
    expect_number(root, "step.pipeline.microbatches", FIXTURE_MICROBATCHES);
    assert_int_equal(json_array_size(at(root, "step.pipeline.stages")), FIXTURE_STAGES);
    expect_number(json_array_get(at(root, "step.pipeline.stages"), 3), "backward_s", 0.48);
    expect_quantity(root, "step.distribution.mfu");
    static const char *const quantities[] = {
        "run.days",     "run.goodput",           "run.mfu_effective",
        "run.failures", "run.gpu_hours",         "run.lost_hours.restart",
        "cost.usd",     "cost.usd_per_gpu_hour", "cost.energy_kwh"};
    for (size_t i = 0; i < sizeof quantities / sizeof *quantities; i++)
        expect_quantity(root, quantities[i]);
    expect_number(root, "run.days.p50", 104.0);
    expect_number(root, "run.flops_total", 2.3e25);
    assert_non_null(json_object_get(at(root, "inputs"), "reliability.init"));
    json_decref(root);
    fixture_free(fixture);
}

static void a_plan_that_does_not_fit_has_no_step(void **state)
{
    (void)state;
    Fixture *fixture = fixture_make();
    TrainForecast forecast = {.memory = {.fits = 0, .capacity_bytes = 40e9}};
    snprintf(forecast.memory.remedy, sizeof forecast.memory.remedy, "full recomputation");
    metrics_init(&forecast.metrics);
    fixture_set(&forecast.metrics, "memory.fits", "", 0);
    fixture_set(&forecast.metrics, "step.tokens", "tokens", 6e7);
    json_t *root =
        parse(json_train(&fixture->scenarios[0].scenario, &forecast, &fixture->provenance, NULL));
    assert_true(json_is_false(at(root, "memory.fits")));
    assert_string_equal(json_string_value(at(root, "memory.remedy")), "full recomputation");
    expect_number(root, "step.tokens", 6e7);
    assert_null(at(root, "step.seconds"));
    json_decref(root);
    metrics_free(&forecast.metrics);
    fixture_free(fixture);
}

static void serve_has_the_contract_keys(void **state)
{
    (void)state;
    Fixture *fixture = fixture_make();
    const AuditScenario *entry = &fixture->scenarios[2];
    json_t *root = parse(json_serve(&entry->scenario, &entry->serve, &fixture->provenance, NULL));
    assert_true(json_is_true(at(root, "feasible")));
    assert_true(json_is_string(at(root, "reason")));
    expect_quantity(root, "cost.usd_per_1k_tokens");
    expect_quantity(root, "throughput.output_tokens_per_s");
    expect_quantity(root, "latency.ttft_s.p50");
    expect_number(root, "kv.bytes_per_token", 61440);
    expect_number(root, "kv.max_sequences", 1098.6);
    json_decref(root);
    fixture_free(fixture);
}

static void audit_has_every_claim_and_the_headline(void **state)
{
    (void)state;
    Fixture *fixture = fixture_make();
    json_t *root = parse(json_audit(&fixture->audit, &fixture->provenance, NULL));
    json_t *claims = at(root, "claims");
    assert_int_equal(json_array_size(claims), FIXTURE_CLAIMS);
    json_t *days = json_array_get(claims, 3);
    assert_string_equal(json_string_value(json_object_get(days, "id")), "C19");
    assert_string_equal(json_string_value(json_object_get(days, "verdict")), "reproduced");
    expect_number(days, "low", 90);
    expect_number(days, "high", 100);
    expect_quantity(days, "simulated");
    json_t *text = json_array_get(claims, 8);
    assert_true(json_is_null(json_object_get(text, "low")));
    assert_true(json_is_null(json_object_get(text, "high")));
    assert_true(json_is_null(json_object_get(text, "simulated")));
    json_t *one_sided = json_array_get(claims, 9);
    assert_true(json_is_null(json_object_get(one_sided, "low")));
    expect_number(one_sided, "high", 30e9);
    expect_number(root, "summary.claims", FIXTURE_CLAIMS);
    expect_number(root, "summary.reproduced", 6);
    expect_number(root, "summary.explained", 1);
    expect_number(root, "summary.contradicted", 1);
    expect_number(root, "summary.untestable", 2);
    assert_string_equal(json_string_value(at(root, "headline.scenario")), "gpt4-a100");
    static const char *const keys[] = {"days", "cost_usd", "mfu_effective", "mfu_effective_6nd",
                                       "goodput"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        expect_quantity(at(root, "headline"), keys[i]);
    assert_string_equal(json_string_value(at(json_array_get(at(root, "drivers"), 0), "input")),
                        "training.kernel_overhead");
    assert_int_equal(json_array_size(at(root, "scenarios")), 3);
    json_decref(root);
    fixture->audit.headline = NULL;
    root = parse(json_audit(&fixture->audit, &fixture->provenance, NULL));
    assert_true(json_is_null(at(root, "headline")));
    json_decref(root);
    fixture_free(fixture);
}

static void odd_values_stay_valid_json(void **state)
{
    (void)state;
    Fixture *fixture = fixture_make();
    fixture->provenance.seed = UINT64_MAX;
    fixture->provenance.scenario = "caf\xE9 \"quoted\"\n";
    fixture->scenarios[0].train.step.hfu = (double)NAN;
    json_t *root = parse(json_train(&fixture->scenarios[0].scenario, &fixture->scenarios[0].train,
                                    &fixture->provenance, NULL));
    assert_string_equal(json_string_value(at(root, "seed")), "18446744073709551615");
    assert_string_equal(json_string_value(at(root, "scenario")), "caf? \"quoted\" ");
    assert_true(json_is_null(at(root, "step.hfu")));
    json_decref(root);
    fixture_free(fixture);
}

static void a_name_inside_another_is_refused(void **state)
{
    (void)state;
    Fixture *fixture = fixture_make();
    Error error = {0};
    fixture_set(&fixture->scenarios[0].train.metrics, "plan.gpus.total", "", 1);
    assert_null(json_train(&fixture->scenarios[0].scenario, &fixture->scenarios[0].train,
                           &fixture->provenance, &error));
    assert_non_null(strstr(error.message, "inside another"));
    fixture_free(fixture);
}

static void errors_and_resolved_values(void **state)
{
    (void)state;
    Fixture *fixture = fixture_make();
    ErrorList *errors = calloc(1, sizeof *errors);
    assert_non_null(errors);
    errors->count = errors->total = 1;
    errors->errors[0] = (Error){
        .line = 5, .column = 3, .file = "x.yaml", .message = "unknown key", .hint = "fabric"};
    json_t *root = parse(json_errors(errors, NULL));
    json_t *first = json_array_get(at(root, "errors"), 0);
    assert_string_equal(json_string_value(at(first, "file")), "x.yaml");
    expect_number(first, "line", 5);
    expect_number(first, "column", 3);
    json_decref(root);
    free(errors);
    root = parse(json_resolved("gpt4-a100", &fixture->inputs, "abc", NULL));
    assert_int_equal(json_array_size(at(root, "values")), 6);
    assert_true(json_is_true(at(json_array_get(at(root, "values"), 2), "is_range")));
    json_decref(root);
    fixture_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(train_has_the_contract_keys),
        cmocka_unit_test(a_plan_that_does_not_fit_has_no_step),
        cmocka_unit_test(serve_has_the_contract_keys),
        cmocka_unit_test(audit_has_every_claim_and_the_headline),
        cmocka_unit_test(odd_values_stay_valid_json),
        cmocka_unit_test(a_name_inside_another_is_refused),
        cmocka_unit_test(errors_and_resolved_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
