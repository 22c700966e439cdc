#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/reader_text.h"

#include <math.h>
#include <stdlib.h>

static Reading reading; /* large */

/* Files of a folder of its own, gone at the end. */
typedef struct Folder {
    char path[64];
} Folder;

static void write_file(const Folder *folder, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void read_file_of(const Folder *folder, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    memset(&reading, 0, sizeof reading);
    reading.status = scenario_read(&READER_PATHS, path, NULL, 0, &reading.scenario, NULL,
                                   reading.sha256, &reading.errors);
}

static void bases(void **state)
{
    (void)state;
    Folder folder = {"/tmp/flopcast-test-XXXXXX"};
    assert_non_null(mkdtemp(folder.path));
    write_file(&folder, "a.yaml", READER_SCENARIO);
    write_file(&folder, "b.yaml", "schema: 1\nbase: ./a.yaml\ntraining: {tokens: 2T}\n");
    write_file(&folder, "c.yaml",
               "schema: 1\nbase: [a.yaml, b.yaml]\ntraining: {batch_tokens: 8M}\n");
    write_file(&folder, "loop.yaml", "schema: 1\nbase: pool.yaml\n");
    write_file(&folder, "pool.yaml", "schema: 1\nbase: loop.yaml\n");
    write_file(&folder, "broken.yaml", "schema: 1\nbase: nowhere.yaml\n");
    read_file_of(&folder, "c.yaml");
    assert_int_equal(reading.status, STATUS_OK);
    assert_string_equal(reading.scenario.name, "c");
    near(reading.scenario.training.tokens, 2e12);
    near(reading.scenario.training.batch_tokens, 8e6);
    near(reading.scenario.training.sequence_length, 2048);
    read_file_of(&folder, "loop.yaml");
    assert_int_equal(reading.status, STATUS_INVALID);
    assert_int_equal(reading.errors.count, 1); /* what the loop hides is not called missing */
    assert_non_null(strstr(first_problem(&reading), "includes itself"));
    assert_non_null(strstr(reading.errors.errors[0].file, "pool.yaml"));
    read_file_of(&folder, "broken.yaml");
    assert_int_equal(reading.errors.count, 1); /* nothing else is called missing */
    assert_non_null(strstr(first_problem(&reading), "broken.yaml:2:7: cannot read"));

    /* A chain of files is bounded. */
    for (int i = 0; i < 12; i++) {
        char name[32];
        char text[64];
        snprintf(name, sizeof name, "chain%d.yaml", i);
        snprintf(text, sizeof text, "schema: 1\nbase: chain%d.yaml\n", i + 1);
        write_file(&folder, name, text);
    }
    read_file_of(&folder, "chain0.yaml");
    assert_non_null(strstr(first_problem(&reading), "more than 8 deep"));

    /* So is a fan: 3^5 files would be read. */
    for (int i = 0; i < 5; i++) {
        char name[32];
        char text[96];
        snprintf(name, sizeof name, "fan%d.yaml", i);
        snprintf(text, sizeof text, "schema: 1\nbase: [fan%d.yaml, fan%d.yaml, fan%d.yaml]\n",
                 i + 1, i + 1, i + 1);
        write_file(&folder, name, text);
    }
    write_file(&folder, "fan5.yaml", READER_SCENARIO);
    read_file_of(&folder, "fan0.yaml");
    assert_int_equal(reading.status, STATUS_INVALID);
    assert_non_null(strstr(first_problem(&reading), "more than 64 files"));

    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder.path);
    assert_int_equal(system(command), 0);
}

static void shipped_files_read(void **state)
{
    (void)state;
    static const char *const KINDS[] = {"scenarios", "models", "hw"};
    for (size_t k = 0; k < 3; k++) {
        ConfigNames names;
        Error error;
        assert_int_equal(config_names(&READER_PATHS, KINDS[k], &names, &error), STATUS_OK);
        assert_true(names.count > 0);
        for (size_t i = 0; i < names.count; i++) {
            memset(&reading, 0, sizeof reading);
            reading.status =
                k == 0
                    ? scenario_read(&READER_PATHS, names.names[i], NULL, 0, &reading.scenario,
                                    &reading.resolved, reading.sha256, &reading.errors)
                    : part_read(&READER_PATHS, KINDS[k], names.names[i], NULL, 0, &reading.scenario,
                                &reading.resolved, reading.sha256, &reading.errors);
            if (reading.status != STATUS_OK)
                fail_msg("%s: %s", names.names[i], first_problem(&reading));
            char path[ERROR_PATH_BYTES];
            assert_int_equal(
                config_locate(&READER_PATHS, KINDS[k], names.names[i], path, sizeof path, &error),
                STATUS_OK);
            assert_string_equal(config_kind_of_file(path), KINDS[k]);
            /* Every number about the world names its source. */
            for (size_t v = 0; v < reading.resolved.count; v++) {
                const ResolvedValue *value = &reading.resolved.values[v];
                bool measured =
                    strchr(value->value, '/') != NULL && strstr(value->path, "title") == NULL;
                if (measured && !value->is_default && value->source[0] == '\0')
                    fail_msg("%s: %s has no source", names.names[i], value->path);
            }
            resolved_list_free(&reading.resolved);
        }
        config_names_free(&names);
    }
}

static void parts_on_their_own(void **state)
{
    (void)state;
    static const char *const SETS[] = {"hardware.gpu.tdp=300W"};
    memset(&reading, 0, sizeof reading);
    assert_int_equal(part_read(&READER_PATHS, "hw", "a100-sxm-80g", SETS, 1, &reading.scenario,
                               &reading.resolved, reading.sha256, &reading.errors),
                     STATUS_OK);
    near(reading.scenario.hardware.gpu.tdp_w, 300);
    near(reading.scenario.hardware.gpus, 0);
    assert_string_equal(find_value(&reading, "hardware.gpu.tdp")->origin, "--set");
    resolved_list_free(&reading.resolved);
    assert_int_equal(part_read(&READER_PATHS, "models", "configs/hw/dgx-a100.yaml", NULL, 0,
                               &reading.scenario, NULL, NULL, &reading.errors),
                     STATUS_INVALID);
    assert_non_null(strstr(first_problem(&reading), "not a part that belongs here"));
}

static void names_and_paths(void **state)
{
    (void)state;
    char path[ERROR_PATH_BYTES];
    Error error;
    assert_int_equal(config_locate(&READER_PATHS, "hw", "h100-sxm", path, sizeof path, &error),
                     STATUS_OK);
    assert_string_equal(path, "configs/hw/h100-sxm.yaml");
    assert_int_equal(config_locate(&READER_PATHS, "hw", "x/y", path, sizeof path, &error),
                     STATUS_OK);
    assert_string_equal(path, "x/y");
    assert_int_equal(config_locate(&READER_PATHS, "hw", "h100-sxn", path, sizeof path, &error),
                     STATUS_INVALID);
    assert_string_equal(error.hint, "did you mean 'h100-sxm'?");
    assert_int_equal(config_locate(&READER_PATHS, "hw", "h100", path, sizeof path, &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.hint, "h100-sxm"));
    assert_null(strstr(error.hint, "a100"));
    assert_int_equal(config_locate(&READER_PATHS, "hw", "", path, sizeof path, &error),
                     STATUS_INVALID);
    assert_int_equal(config_locate(NULL, "hw", "a", path, sizeof path, &error), STATUS_INVALID);
    ConfigPaths paths;
    setenv("FLOPCAST_CONFIGS", "/nowhere", 1);
    assert_int_equal(config_paths_find(NULL, &paths, &error), STATUS_ENVIRONMENT);
    setenv("FLOPCAST_CONFIGS", "configs", 1);
    assert_int_equal(config_paths_find(NULL, &paths, &error), STATUS_OK);
    unsetenv("FLOPCAST_CONFIGS");
    assert_int_equal(config_paths_find(NULL, &paths, &error), STATUS_OK);
    assert_string_equal(paths.root, "configs");
}

static void errors_for_people(void **state)
{
    (void)state;
    Folder folder = {"/tmp/flopcast-test-XXXXXX"};
    assert_non_null(mkdtemp(folder.path));
    write_file(&folder, "x.yaml",
               "schema: 1\nbase: gpt4-a100\nfabirc: 400Gb/s\ntraining: {tokens: 9\xc2\xb5}\n");
    read_file_of(&folder, "x.yaml");
    char text[2048];
    char expected[2048];
    error_format(&reading.errors.errors[0], text, sizeof text);
    snprintf(expected, sizeof expected,
             "%s/x.yaml:3:1: error: unknown key 'fabirc' at the top level ('fabric' exists under "
             "'hardware')\n"
             "    3 | fabirc: 400Gb/s\n"
             "      | ^~~~~~",
             folder.path);
    assert_string_equal(text, expected);
    error_format(&reading.errors.errors[1], text, sizeof text);
    assert_non_null(
        strstr(text, "    4 | training: {tokens: 9\xc2\xb5}\n      |                    ^~"));
    error_format(&reading.errors.errors[1], text, 20); /* cut, not overrun */
    assert_int_equal(strlen(text), 19);
    Error bare;
    error_set(&bare, STATUS_INVALID, "odd \x1b[2J");
    error_format(&bare, text, sizeof text);
    assert_string_equal(text, "error: odd ?[2J");
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder.path);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bases),
        cmocka_unit_test(shipped_files_read),
        cmocka_unit_test(parts_on_their_own),
        cmocka_unit_test(names_and_paths),
        cmocka_unit_test(errors_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
