#include "tests/unit/report_directory.h"
#include "tests/unit/report_fixture.h"

#include "reports/files.h"
#include "reports/store.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

typedef struct Place {
    char directory[TEST_PATH_BYTES];
    char path[2 * TEST_PATH_BYTES];
    Fixture *fixture;
} Place;

static int set_up(void **state)
{
    Place *place = calloc(1, sizeof *place);
    directory_make(place->directory);
    snprintf(place->path, sizeof place->path, "%s/runs.db", place->directory);
    place->fixture = fixture_make();
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    Place *place = *state;
    directory_remove(place->directory);
    fixture_free(place->fixture);
    free(place);
    return 0;
}

/* The single number that a query of the file gives. */
static double query(const Place *place, const char *sql)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open(place->path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(database, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    double value = sqlite3_column_double(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(database);
    return value;
}

static void save(const Place *place, const Provenance *provenance, const char *canonical,
                 char run_id[13])
{
    Store *store = NULL;
    Error error = {0};
    assert_int_equal(store_open(place->path, &store, &error), STATUS_OK);
    assert_int_equal(store_save(store, provenance, canonical,
                                &place->fixture->scenarios[0].train.metrics, run_id, &error),
                     STATUS_OK);
    store_close(store);
}

static void the_same_run_twice_is_one_row(void **state)
{
    const Place *place = *state;
    char first[13], second[13];
    save(place, &place->fixture->provenance, "{}\n", first);
    save(place, &place->fixture->provenance, "{}\n", second);
    assert_string_equal(first, second);
    assert_int_equal(strspn(first, "0123456789abcdef"), 12);
    assert_int_equal((int)query(place, "SELECT count(*) FROM runs"), 1);
    assert_int_equal((int)query(place, "SELECT count(*) FROM configs"), 1);
    assert_int_equal((int)query(place, "SELECT count(*) FROM metrics"),
                     (int)place->fixture->scenarios[0].train.metrics.count);
    assert_true(query(place, "SELECT p50 FROM metrics WHERE name = 'run.days'") == 104.0);
    assert_int_equal((int)query(place, "PRAGMA user_version"), RESULT_SCHEMA_VERSION);
}

static void another_seed_verb_or_configuration_is_another_run(void **state)
{
    const Place *place = *state;
    char ids[4][13];
    Provenance provenance = place->fixture->provenance;
    save(place, &provenance, "{}\n", ids[0]);
    provenance.seed = UINT64_MAX;
    save(place, &provenance, "{}\n", ids[1]);
    provenance.verb = "train";
    save(place, &provenance, "{}\n", ids[2]);
    save(place, &provenance, "{\"a\":1}\n", ids[3]);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(ids[i], ids[j]);
    assert_int_equal((int)query(place, "SELECT count(*) FROM runs"), 4);
    assert_int_equal((int)query(place, "SELECT count(*) FROM configs"), 2);
    assert_int_equal((int)query(place, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
}

typedef struct Listing {
    size_t count;
    unsigned long long seeds[4];
} Listing;

static void list_row(void *context, const char *run_id, const char *verb, const char *scenario,
                     const char *sha256, unsigned long long seed, size_t reps,
                     const char *created_utc)
{
    Listing *listing = context;
    assert_int_equal(strlen(run_id), 12);
    assert_string_equal(verb, "audit");
    assert_string_equal(scenario, "gpt4-leak");
    assert_int_equal(strlen(sha256), 64);
    assert_int_equal(reps, FIXTURE_REPS);
    assert_int_equal(strlen(created_utc), strlen("2026-01-01T00:00:00Z"));
    assert_true(listing->count < 4);
    listing->seeds[listing->count++] = seed;
}

static void runs_are_listed_newest_first(void **state)
{
    const Place *place = *state;
    const unsigned long long seeds[] = {7, UINT64_MAX, 9, 7}; /* 7 again: the newest now */
    Provenance provenance = place->fixture->provenance;
    Listing listing = {0};
    Store *store = NULL;
    char id[13];
    for (size_t i = 0; i < 4; i++) {
        provenance.seed = seeds[i];
        save(place, &provenance, "{}\n", id);
    }
    assert_int_equal(store_open(place->path, &store, NULL), STATUS_OK);
    assert_int_equal(store_list(store, list_row, &listing, NULL), STATUS_OK);
    store_close(store);
    assert_int_equal(listing.count, 3);
    assert_true(listing.seeds[0] == 7 && listing.seeds[1] == 9 && listing.seeds[2] == UINT64_MAX);
}

static void refused(const Place *place, Status status, const char *reason)
{
    Store *store = NULL;
    Error error = {0};
    assert_int_equal(store_open(place->path, &store, &error), status);
    assert_null(store);
    assert_non_null(strstr(error.message, reason));
    assert_non_null(strstr(error.message, place->path));
}

static void a_file_that_is_no_database_is_refused_untouched(void **state)
{
    const Place *place = *state;
    char text[4096];
    memset(text, 'j', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(files_write_text(place->directory, "runs.db", text, NULL), STATUS_OK);
    refused(place, STATUS_ENVIRONMENT, "not a database");
    char *after = fixture_read(place->directory, "runs.db", NULL);
    assert_string_equal(after, text);
    free(after);
}

static void a_torn_database_is_an_error(void **state)
{
    const Place *place = *state;
    char id[13];
    save(place, &place->fixture->provenance, "{}\n", id);
    FILE *file = fopen(place->path, "r+b");
    assert_non_null(file);
    fseek(file, 100, SEEK_SET); /* behind the header: the root page of the schema */
    for (int i = 0; i < 4000; i++)
        fputc(0xA5, file);
    fclose(file);
    Store *store = NULL;
    Error error = {0};
    assert_int_equal(store_open(place->path, &store, &error), STATUS_ENVIRONMENT);
    assert_null(store);
    assert_true(error.message[0] != '\0');
}

static void execute(const Place *place, const char *sql)
{
    sqlite3 *database = NULL;
    assert_int_equal(sqlite3_open(place->path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
}

static void another_schema_version_is_refused(void **state)
{
    const Place *place = *state;
    char id[13];
    save(place, &place->fixture->provenance, "{}\n", id);
    execute(place, "PRAGMA user_version = 99");
    refused(place, STATUS_INVALID, "schema version 99");
}

static void another_programs_database_is_refused(void **state)
{
    const Place *place = *state;
    execute(place, "CREATE TABLE theirs (a)");
    refused(place, STATUS_INVALID, "another program");
    assert_int_equal((int)query(place, "SELECT count(*) FROM sqlite_schema"), 1);
}

static void a_missing_directory_is_an_error(void **state)
{
    Place *place = *state;
    snprintf(place->path, sizeof place->path, "%s/absent/runs.db", place->directory);
    refused(place, STATUS_ENVIRONMENT, "unable to open");
    assert_int_equal(directory_count(place->directory, 0), 0);
}

/* A metric of two equal names cannot be saved; nothing of that run may stay. */
static void a_failed_save_leaves_nothing(void **state)
{
    const Place *place = *state;
    double one = 1;
    Metric twins[2] = {{.name = "x", .count = 1, .values = &one},
                       {.name = "x", .count = 1, .values = &one}};
    const MetricSet set = {.count = 2, .capacity = 2, .metrics = twins};
    Store *store = NULL;
    Error error = {0};
    char id[13];
    assert_int_equal(store_open(place->path, &store, NULL), STATUS_OK);
    assert_int_equal(store_save(store, &place->fixture->provenance, "{}\n", &set, id, &error),
                     STATUS_ENVIRONMENT);
    assert_non_null(strstr(error.message, "UNIQUE"));
    store_close(store);
    assert_int_equal((int)query(place, "SELECT (SELECT count(*) FROM runs) + (SELECT count(*) FROM"
                                       " configs) + (SELECT count(*) FROM metrics)"),
                     0);
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(the_same_run_twice_is_one_row),
        STORE_TEST(another_seed_verb_or_configuration_is_another_run),
        STORE_TEST(runs_are_listed_newest_first),
        STORE_TEST(a_file_that_is_no_database_is_refused_untouched),
        STORE_TEST(a_torn_database_is_an_error),
        STORE_TEST(another_schema_version_is_refused),
        STORE_TEST(another_programs_database_is_refused),
        STORE_TEST(a_missing_directory_is_an_error),
        STORE_TEST(a_failed_save_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
