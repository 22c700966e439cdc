#include "tests/unit/report_directory.h"
#include "tests/unit/report_fixture.h"

#include "reports/files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void text_replaces_the_old_file_whole(void **state)
{
    (void)state;
    char directory[TEST_PATH_BYTES];
    directory_make(directory);
    assert_int_equal(files_write_text(directory, "a.txt", "a long first text\n", NULL), STATUS_OK);
    assert_int_equal(files_write_text(directory, "a.txt", "second\n", NULL), STATUS_OK);
    char *text = fixture_read(directory, "a.txt", NULL);
    assert_string_equal(text, "second\n");
    free(text);
    assert_int_equal(directory_count(directory, 0), 1);
    directory_remove(directory);
}

static void a_place_that_cannot_be_written_is_an_error_and_stays_empty(void **state)
{
    (void)state;
    char directory[TEST_PATH_BYTES], inside[2 * TEST_PATH_BYTES], name[300];
    Error error = {0};
    directory_make(directory);
    assert_int_equal(files_write_text(directory, "file", "x", NULL), STATUS_OK);
    snprintf(inside, sizeof inside, "%s/file", directory); /* a file is no directory */
    assert_int_equal(files_write_text(inside, "a.txt", "y", &error), STATUS_ENVIRONMENT);
    assert_non_null(strstr(error.message, "Not a directory"));
    assert_int_equal(files_make_directory(inside, &error), STATUS_ENVIRONMENT);
    snprintf(inside, sizeof inside, "%s/absent", directory);
    assert_int_equal(files_write_text(inside, "a.txt", "y", &error), STATUS_ENVIRONMENT);
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_int_equal(files_write_text(directory, name, "y", &error), STATUS_ENVIRONMENT);
    assert_int_equal(directory_count(directory, 0), 1);
    /* a directory stands where the file should go: the rename fails and nothing is left beside it
     */
    snprintf(inside, sizeof inside, "%s/taken/sub", directory);
    assert_int_equal(files_make_directory(inside, NULL), STATUS_OK);
    assert_int_equal(files_write_text(directory, "taken", "y", &error), STATUS_ENVIRONMENT);
    assert_int_equal(directory_count(directory, 1), 0);
    directory_remove(directory);
}

static void directories_are_made_with_their_parents(void **state)
{
    (void)state;
    char directory[TEST_PATH_BYTES], deep[2 * TEST_PATH_BYTES];
    directory_make(directory);
    snprintf(deep, sizeof deep, "%s/a//b/c/", directory);
    assert_int_equal(files_make_directory(deep, NULL), STATUS_OK);
    assert_int_equal(files_make_directory(deep, NULL), STATUS_OK); /* again does nothing */
    assert_int_equal(files_write_text(deep, "x", "1", NULL), STATUS_OK);
    assert_int_not_equal(files_make_directory("", NULL), STATUS_OK);
    directory_remove(directory);
}

/* Reads one record of RFC 4180; returns the number of fields, 0 at the end. */
static size_t read_record(const char **at, char fields[][1600], size_t capacity)
{
    size_t count = 0;
    const char *c = *at;
    if (*c == '\0')
        return 0;
    for (;;) {
        size_t used = 0;
        assert_true(count < capacity);
        if (*c == '"') {
            for (c++; !(c[0] == '"' && c[1] != '"'); c++) {
                assert_int_not_equal(*c, '\0');
                if (*c == '"')
                    c++;
                fields[count][used++] = *c;
            }
            c++;
        } else {
            while (*c != ',' && *c != '\r') {
                assert_int_not_equal(*c, '"');
                assert_int_not_equal(*c, '\0');
                fields[count][used++] = *c++;
            }
        }
        fields[count++][used] = '\0';
        if (*c == ',') {
            c++;
            continue;
        }
        assert_memory_equal(c, "\r\n", 2);
        *at = c + 2;
        return count;
    }
}

static char records[64][1600];

static void claims_csv_reads_back(void **state)
{
    (void)state;
    char directory[TEST_PATH_BYTES];
    Fixture *fixture = fixture_make();
    directory_make(directory);
    assert_int_equal(csv_audit(directory, &fixture->audit, &fixture->provenance, NULL), STATUS_OK);
    char *text = fixture_read(directory, "claims.csv", NULL);
    const char *at = text;
    assert_int_equal(read_record(&at, records, 64), 20);
    assert_string_equal(records[0], "id");
    assert_string_equal(records[12], "reason");
    for (size_t i = 0; i < FIXTURE_CLAIMS; i++) {
        const ClaimResult *result = &fixture->results[i];
        assert_int_equal(read_record(&at, records, 64), 20);
        assert_string_equal(records[0], result->claim->id);
        if (result->claim->has_high)
            assert_true(strtod(records[4], NULL) == result->claim->high);
        else
            assert_string_equal(records[4], "");
        if (result->has_simulated) /* %.17g gives the very number back */
            assert_true(strtod(records[9], NULL) == result->simulated.p50);
        assert_string_equal(records[11], verdict_name(result->verdict));
        assert_string_equal(records[16], fixture->provenance.sha256);
        assert_string_equal(records[19], "training.tokens=13T");
        if (i == 4) /* texts that a spreadsheet would compute are kept texts */
            assert_memory_equal(records[12], "'-1.2 points", 12);
        if (i == 7)
            assert_string_equal(records[2], "cost per 1k tokens, \"8k\"");
        if (i == 8)
            assert_string_equal(records[2], "'=speculative decoding");
    }
    assert_int_equal(read_record(&at, records, 64), 0);
    for (const char *c = text; *c != '\0'; c++)
        assert_true((unsigned char)*c < 0x80);
    free(text);
    directory_remove(directory);
    fixture_free(fixture);
}

static void runs_csv_has_a_row_a_replication(void **state)
{
    (void)state;
    char directory[TEST_PATH_BYTES];
    Fixture *fixture = fixture_make();
    const MetricSet *metrics = &fixture->scenarios[0].train.metrics;
    directory_make(directory);
    assert_int_equal(csv_train(directory, &fixture->scenarios[0].train, &fixture->provenance, NULL),
                     STATUS_OK);
    char *text = fixture_read(directory, "runs.csv", NULL);
    const char *at = text;
    size_t columns = read_record(&at, records, 64), days = 0;
    for (size_t i = 0; i < columns; i++)
        if (strcmp(records[i], "run.days [days]") == 0)
            days = i;
    assert_int_not_equal(days, 0);
    for (size_t i = 0; i < FIXTURE_REPS; i++) {
        assert_int_equal(read_record(&at, records, 64), columns);
        assert_int_equal(strtoul(records[0], NULL, 10), i);
        assert_true(strtod(records[days], NULL) == metrics_find(metrics, "run.days")->values[i]);
    }
    assert_int_equal(read_record(&at, records, 64), 0);
    free(text);
    text = fixture_read(directory, "metrics.csv", NULL);
    at = text;
    size_t rows = 0;
    while (read_record(&at, records, 64) != 0)
        rows++;
    assert_int_equal(rows, metrics->count + 1);
    free(text);
    assert_int_equal(csv_serve(directory, &fixture->scenarios[2].serve, &fixture->provenance, NULL),
                     STATUS_OK);
    assert_int_equal(directory_count(directory, 1), 0);
    directory_remove(directory);
    fixture_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_replaces_the_old_file_whole),
        cmocka_unit_test(a_place_that_cannot_be_written_is_an_error_and_stays_empty),
        cmocka_unit_test(directories_are_made_with_their_parents),
        cmocka_unit_test(claims_csv_reads_back),
        cmocka_unit_test(runs_csv_has_a_row_a_replication),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
