/* The command line: the option table, its errors, and that no two options or letters collide. */
#include "sim/cli/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static Status nothing(struct Session *session)
{
    (void)session;
    return STATUS_OK;
}

const Verb VERBS[] = {
    {"train", "SCENARIO", 1, 1, "", "", "flopcast train gpt4-a100",
     OPTIONS_COMMON | OPTIONS_INPUT | OPTIONS_SIMULATE | OPTIONS_OUTPUT, nothing},
    {"list", "[WHAT]", 0, 1, "", "", "flopcast list", OPTIONS_COMMON, nothing},
};
const size_t VERB_COUNT = 2;

static Status parse(const char *const *words, CommandLine *line, Error *error)
{
    char *argv[32] = {(char *)"flopcast"};
    int argc = 1;
    for (; words[argc - 1] != NULL; argc++)
        argv[argc] = (char *)words[argc - 1];
    return command_line_parse(argc, argv, line, error);
}

static void test_everything_at_once(void **state)
{
    (void)state;
    CommandLine line;
    Error error;
    const char *const words[] = {"train",     "--json",      "gpt4",   "--set",
                                 "a.b=1",     "--set=c=2=3", "--seed", "18446744073709551615",
                                 "--reps=10", "-j2",         "-n",     "7",
                                 "-q",        "--detail",    "gpus",   "--out",
                                 "d",         NULL};
    assert_int_equal(parse(words, &line, &error), STATUS_OK);
    assert_string_equal(line.operands[0], "gpt4");
    assert_int_equal(line.operand_count, 1);
    assert_int_equal(line.set_count, 2);
    assert_string_equal(line.sets[1], "c=2=3");
    assert_true(line.seed == UINT64_MAX);
    assert_int_equal(line.reps, 7);
    assert_int_equal(line.jobs, 2);
    assert_int_equal(line.detail, DETAIL_GPUS);
    assert_true(line.json && line.quiet && !line.report);
    assert_string_equal(line.out_directory, "d");
}

static void test_defaults(void **state)
{
    (void)state;
    CommandLine line;
    Error error;
    const char *const words[] = {"train", "--", "--json", NULL};
    assert_int_equal(parse(words, &line, &error), STATUS_OK);
    assert_string_equal(line.operands[0], "--json");
    assert_int_equal(line.seed, 1);
    assert_int_equal(line.detail, DETAIL_REPLICAS);
    assert_null(line.out_directory);
}

static void test_errors_name_the_nearest(void **state)
{
    (void)state;
    static const struct {
        const char *words[4];
        const char *message, *hint;
    } cases[] = {
        {{"trian", "x", NULL}, "unknown command 'trian'", "train"},
        {{"train", "x", "--sede=3", NULL}, "no option '--sede'", "--seed"},
        {{"train", "x", "--json=1", NULL}, "takes no value", ""},
        {{"train", "x", "--seed", NULL}, "needs a value", ""},
        {{"train", "x", "--seed=-1", NULL}, "not a whole number", ""},
        {{"train", "x", "--reps=0", NULL}, "not a whole number", "1 to"},
        {{"train", "x", "--reps=1e3", NULL}, "not a whole number", ""},
        {{"train", "x", "--seed=18446744073709551616", NULL}, "not a whole number", ""},
        {{"train", "x", "--detail=all", NULL}, "not a choice", "folded replicas gpus"},
        {{"train", "x", "--set=a", NULL}, "not KEY=VALUE", ""},
        {{"train", "x", "--out=", NULL}, "not empty", ""},
        {{"train", "x", "y", NULL}, "one too many", ""},
        {{"train", NULL}, "needs SCENARIO", "flopcast train"},
        {{"list", "--seed=1", NULL}, "'list' has no option '--seed'", ""},
        {{"train", "x", "--js", NULL},
         "no option '--js'",
         ""}, /* no abbreviations: new options stay safe */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CommandLine line;
        Error error;
        assert_int_equal(parse(cases[i].words, &line, &error), STATUS_USAGE);
        if (strstr(error.message, cases[i].message) == NULL ||
            strstr(error.hint, cases[i].hint) == NULL)
            fail_msg("case %zu: %s (%s)", i, error.message, error.hint);
    }
}

static void test_table_is_consistent(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPTION_SPEC_COUNT; i++) {
        const OptionSpec *spec = &OPTION_SPECS[i];
        assert_true(strlen(spec->help) > 0);
        assert_true((spec->argument == NULL) == (spec->kind == OPTION_FLAG));
        for (size_t j = i + 1; j < OPTION_SPEC_COUNT; j++) {
            assert_string_not_equal(spec->name, OPTION_SPECS[j].name);
            assert_false(spec->letter != 0 && spec->letter == OPTION_SPECS[j].letter);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_at_once),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_errors_name_the_nearest),
        cmocka_unit_test(test_table_is_consistent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
