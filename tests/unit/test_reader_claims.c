#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "configs/reader/claims.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ClaimFile *file; /* megabytes */
static ErrorList errors;
static char sha256[SHA256_HEX_BYTES];

static int set_up(void **state)
{
    (void)state;
    file = malloc(sizeof *file);
    return file == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    free(file);
    return 0;
}

static Status read_text(const char *text)
{
    memset(&errors, 0, sizeof errors);
    return claims_read_text("c.yaml", text, strlen(text), file, sha256, &errors);
}

#define HEAD                                                                                       \
    "schema: 1\ntitle: t\nheadline: a\nscenarios:\n"                                               \
    "  a: {scenario: gpt4-a100, reps: 20, set: [training.precision=fp8, model=x]}\n  b: "          \
    "{scenario: b/c.yaml}\n"

static void everything_is_read(void **state)
{
    (void)state;
    static const char TEXT[] =
        HEAD "claims:\n"
             "  - id: C1\n    topic: size\n    claim: GPUs\n    low: 20k\n    high: 2.5e4\n    "
             "unit: GPUs\n"
             "    source: doc1 doc2\n    quantity: a.plan.gpus * 2\n    tolerance: 2%\n"
             "    readings:\n      - {label: cents, scale: 0.01, impossible_below: a.floor}\n"
             "      - {label: other, quantity: b.x}\n"
             "    evidence: [{label: e, quantity: a.y, unit: s}]\n"
             "  - {id: C2, claim: y, high: -3, holds: a.memory.fits > 0.5}\n"
             "  - {id: C3, claim: z, untestable: because}\n";
    assert_int_equal(read_text(TEXT), STATUS_OK);
    assert_string_equal(file->title, "t");
    assert_string_equal(file->headline, "a");
    assert_string_equal(file->path, "c.yaml");
    assert_int_equal(file->scenario_count, 2);
    assert_string_equal(file->scenarios[0].name, "a");
    assert_string_equal(file->scenarios[0].scenario, "gpt4-a100");
    assert_int_equal(file->scenarios[0].set_count, 2);
    assert_string_equal(file->scenarios[0].sets[1], "model=x");
    assert_true(file->scenarios[0].reps == 20);
    assert_int_equal(file->scenarios[0].line, 5);
    assert_true(file->scenarios[1].reps == 0);
    assert_int_equal(file->claim_count, 3);
    const Claim *claim = &file->claims[0];
    assert_string_equal(claim->id, "C1");
    assert_true(claim->has_low && claim->has_high);
    assert_true(claim->low == 20000 && claim->high == 25000);
    assert_true(claim->tolerance == 0.02);
    assert_string_equal(claim->quantity, "a.plan.gpus * 2");
    assert_int_equal(claim->line, 8);
    assert_int_equal(claim->column, 5);
    assert_int_equal(claim->reading_count, 2);
    assert_true(claim->readings[0].scale == 0.01);
    assert_string_equal(claim->readings[0].impossible_below, "a.floor");
    assert_true(claim->readings[1].scale == 1);
    assert_int_equal(claim->evidence_count, 1);
    assert_string_equal(claim->evidence[0].unit, "s");
    assert_true(!file->claims[1].has_low && file->claims[1].has_high);
    assert_true(file->claims[1].high == -3);
    assert_true(file->claims[1].tolerance == 0.05);
    assert_string_equal(file->claims[2].untestable, "because");
    assert_int_equal(strlen(sha256), 64);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *text; /* after the head */
        int line, column;
        const char *message, *hint;
    } CASES[] = {
        {"", 1, 1, "missing key 'claims'", ""},
        {"claims: {a: b}\n", 7, 9, "must be a list", ""},
        {"claims: [{claim: x}]\n", 7, 10, "missing key 'id'", ""},
        {"claims: [{id: a, claim: x}, {id: a, claim: y}]\n", 7, 34, "already used", ""},
        {"claims: [{id: a, claim: x, quantty: y}]\n", 7, 28, "unknown key 'quantty'", "'quantity'"},
        {"claims: [{id: a, claim: x, low: 3, high: 2}]\n", 7, 33, "low 3 is above high 2", ""},
        {"claims: [{id: a, claim: x, low: abc}]\n", 7, 33, "not a number", ""},
        {"claims: [{id: a, claim: x, low: {low: 1, high: 2}}]\n", 7, 33, "not a range", ""},
        {"claims: [{id: a, claim: x, tolerance: 5}]\n", 7, 39, "more than the whole", "'5%'"},
        {"claims: [{id: abcdefghijklmnopq, claim: x}]\n", 7, 15, "at most 15", ""},
        {"claims: [{id: a, claim: x, readings: [{scale: 2}]}]\n", 7, 39, "missing key 'label'", ""},
        {"claims: [{id: a, claim: x, evidence: [{lable: x, quantity: y}]}]\n", 7, 39,
         "missing key 'label'", ""},
        {"claims: [{id: a, claim: x}]\nheadlin: b\n", 8, 1, "unknown key 'headlin'", "'headline'"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char text[1024];
        snprintf(text, sizeof text, HEAD "%s", CASES[i].text);
        assert_int_equal(read_text(text), STATUS_INVALID);
        const Error *error = &errors.errors[0];
        if (error->line != CASES[i].line || error->column != CASES[i].column ||
            strstr(error->message, CASES[i].message) == NULL ||
            strstr(error->hint, CASES[i].hint) == NULL)
            fail_msg("case %zu: %d:%d: %s (%s)", i, error->line, error->column, error->message,
                     error->hint);
        assert_int_equal(file->claim_count, 0); /* nothing is half-read */
        assert_string_equal(sha256, "");
    }
}

static void names_of_scenarios(void **state)
{
    (void)state;
    static const char CLAIMS[] = "claims: [{id: a, claim: x}]\n";
    char text[512];
    snprintf(text, sizeof text, "schema: 1\nheadline: ab\nscenarios: {abc: {scenario: x}}\n%s",
             CLAIMS);
    assert_int_equal(read_text(text), STATUS_INVALID);
    assert_non_null(strstr(errors.errors[0].message, "none of the scenarios"));
    assert_string_equal(errors.errors[0].hint, "did you mean 'abc'?");
    snprintf(text, sizeof text, "schema: 1\nscenarios: {1b: {scenario: x, set: [foo]}, c: {}}\n%s",
             CLAIMS);
    assert_int_equal(read_text(text), STATUS_INVALID);
    assert_non_null(strstr(errors.errors[0].message, "missing key 'scenario'"));
    snprintf(text, sizeof text, "schema: 1\nscenarios: {1b: {scenario: x, set: [foo]}}\n%s",
             CLAIMS);
    assert_int_equal(read_text(text), STATUS_INVALID);
    assert_int_equal(errors.count, 2);
    assert_non_null(strstr(errors.errors[0].message, "cannot be used in expressions"));
    assert_non_null(strstr(errors.errors[1].message, "'foo' has no '='"));
}

static void too_many(void **state)
{
    (void)state;
    size_t bytes = 64 * (MAX_CLAIMS + 8);
    char *text = malloc(bytes);
    assert_non_null(text);
    for (int count = MAX_CLAIMS; count <= MAX_CLAIMS + 1; count++) {
        char *at = text + sprintf(text, "schema: 1\nclaims:\n");
        for (int i = 0; i < count; i++)
            at += sprintf(at, "- {id: C%d, claim: x}\n", i);
        assert_int_equal(read_text(text), count == MAX_CLAIMS ? STATUS_OK : STATUS_INVALID);
    }
    assert_non_null(strstr(errors.errors[0].message, "at most 256"));
    free(text);
}

/* The shipped file holds all published claims, each once. */
static void shipped(void **state)
{
    (void)state;
    static const ConfigPaths PATHS = {.root = "configs"};
    memset(&errors, 0, sizeof errors);
    assert_int_equal(claims_read(&PATHS, "gpt4-leak", file, sha256, &errors), STATUS_OK);
    assert_int_equal(file->claim_count, 55);
    assert_string_equal(file->claims[0].id, "C01");
    assert_string_equal(config_kind_of_file(file->path), "claims");
    assert_int_equal(claims_read(&PATHS, "gpt4-leek", file, NULL, &errors), STATUS_INVALID);
    assert_string_equal(errors.errors[0].hint, "did you mean 'gpt4-leak'?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_read),
        cmocka_unit_test(refused),
        cmocka_unit_test(names_of_scenarios),
        cmocka_unit_test(too_many),
        cmocka_unit_test(shipped),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
