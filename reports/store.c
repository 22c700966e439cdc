#include "reports/store.h"

#include <sha256.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUSY_WAIT_MS = 10000, RUN_ID_DIGITS = 12 };

struct Store {
    sqlite3 *database;
};

/* seed is text: SQLite's integers are signed and the seed is not. */
static const char schema_sql[] =
    "CREATE TABLE configs ("
    "  sha256 TEXT PRIMARY KEY,"
    "  canonical TEXT NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE runs ("
    "  run_id TEXT PRIMARY KEY,"
    "  verb TEXT NOT NULL,"
    "  scenario TEXT NOT NULL,"
    "  scenario_sha256 TEXT NOT NULL,"
    "  config_sha256 TEXT NOT NULL REFERENCES configs(sha256),"
    "  seed TEXT NOT NULL,"
    "  reps INTEGER NOT NULL,"
    "  sets TEXT NOT NULL,"
    "  program_version TEXT NOT NULL,"
    "  schema_version INTEGER NOT NULL,"
    "  created_utc TEXT NOT NULL,"
    "  number INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE metrics ("
    "  run_id TEXT NOT NULL REFERENCES runs(run_id) ON DELETE CASCADE,"
    "  name TEXT NOT NULL,"
    "  unit TEXT NOT NULL,"
    "  count INTEGER NOT NULL,"
    "  mean REAL NOT NULL, p5 REAL NOT NULL, p50 REAL NOT NULL, p95 REAL NOT NULL,"
    "  minimum REAL NOT NULL, maximum REAL NOT NULL,"
    "  PRIMARY KEY (run_id, name)"
    ") STRICT, WITHOUT ROWID;";

static Status failed(Store *store, const char *what, Error *error)
{
    const char *reason =
        store->database != NULL ? sqlite3_errmsg(store->database) : "out of memory";
    return error_set(error, STATUS_ENVIRONMENT, "cannot %s: %s", what, reason);
}

static Status execute(Store *store, const char *sql, const char *what, Error *error)
{
    if (sqlite3_exec(store->database, sql, NULL, NULL, NULL) != SQLITE_OK)
        return failed(store, what, error);
    return STATUS_OK;
}

static Status query_integer(Store *store, const char *sql, long long *value, Error *error)
{
    sqlite3_stmt *statement = NULL;
    Status status = STATUS_OK;
    if (sqlite3_prepare_v2(store->database, sql, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW)
        status = failed(store, "read the store", error);
    else
        *value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return status;
}

/* Makes the tables in a new file. Two programs may open the same new file: the second finds the
 * tables. */
static Status ensure_schema(Store *store, const char *path, Error *error)
{
    long long version = 0, tables = 0;
    char sql[64];
    Status status = execute(store, "BEGIN IMMEDIATE", "write to the store", error);
    if (status != STATUS_OK)
        return status;
    status = query_integer(store, "PRAGMA user_version", &version, error);
    if (status == STATUS_OK)
        status = query_integer(store, "SELECT count(*) FROM sqlite_schema", &tables, error);
    if (status == STATUS_OK && version == 0 && tables > 0)
        status = error_set(error, STATUS_INVALID, "'%s' is a database of another program", path);
    else if (status == STATUS_OK && version != 0 && version != RESULT_SCHEMA_VERSION)
        status = error_set(error, STATUS_INVALID,
                           "'%s' has schema version %lld, this program writes version %d", path,
                           version, RESULT_SCHEMA_VERSION);
    if (status == STATUS_OK && tables == 0) {
        status = execute(store, schema_sql, "make the store's tables", error);
        snprintf(sql, sizeof sql, "PRAGMA user_version = %d", RESULT_SCHEMA_VERSION);
        if (status == STATUS_OK)
            status = execute(store, sql, "make the store's tables", error);
    }
    if (status != STATUS_OK) {
        sqlite3_exec(store->database, "ROLLBACK", NULL, NULL, NULL);
        return status;
    }
    return execute(store, "COMMIT", "write to the store", error);
}

Status store_open(const char *path, Store **result, Error *error)
{
    Error reason;
    Store *store = calloc(1, sizeof *store);
    *result = NULL;
    if (store == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    Status status = STATUS_OK;
    if (sqlite3_open_v2(path, &store->database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
        SQLITE_OK) {
        status = failed(store, "open it", &reason);
        goto cleanup;
    }
    sqlite3_busy_timeout(store->database, BUSY_WAIT_MS);
    status = execute(store, "PRAGMA foreign_keys = ON", "set up the store", &reason);
    if (status == STATUS_OK)
        status = ensure_schema(store, path, &reason);
    /* A file system without shared memory refuses WAL and keeps the rollback journal: as safe,
     * slower. */
    if (status == STATUS_OK)
        status = execute(store, "PRAGMA journal_mode = WAL", "set up the store", &reason);
cleanup:
    if (status != STATUS_OK) {
        store_close(store);
        if (status == STATUS_INVALID)
            error_set(error, status, "%s", reason.message);
        else
            error_set(error, status, "store '%.200s': %.250s", path, reason.message);
        error_hint(error, "name another file with --db");
        return status;
    }
    *result = store;
    return STATUS_OK;
}

void store_close(Store *store)
{
    if (store == NULL)
        return;
    sqlite3_close(store->database);
    free(store);
}

/* Hash over the fields of a run, each ended by a zero byte so that no two lists of fields run
 * together. */
static void run_identity(const Provenance *provenance, const char *canonical, char run_id[13])
{
    char numbers[64], hex[SHA256_DIGEST_STRING_LENGTH];
    const char *fields[] = {provenance->verb, provenance->sha256, canonical, numbers,
                            PROGRAM_VERSION};
    SHA2_CTX context;
    snprintf(numbers, sizeof numbers, "%llu %zu", provenance->seed, provenance->reps);
    SHA256Init(&context);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        SHA256Update(&context, (const uint8_t *)fields[i], strlen(fields[i]) + 1);
    SHA256End(&context, hex);
    memcpy(run_id, hex, RUN_ID_DIGITS);
    run_id[RUN_ID_DIGITS] = '\0';
}

static int bind_text(sqlite3_stmt *statement, int column, const char *text)
{
    return sqlite3_bind_text(statement, column, text, -1, SQLITE_STATIC);
}

/* Runs a statement that returns no rows, and frees it. */
static Status finish(Store *store, sqlite3_stmt *statement, Error *error)
{
    Status status = STATUS_OK;
    if (statement == NULL || sqlite3_step(statement) != SQLITE_DONE)
        status = failed(store, "save the run", error);
    sqlite3_finalize(statement);
    return status;
}

static sqlite3_stmt *prepare(Store *store, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    sqlite3_prepare_v2(store->database, sql, -1, &statement, NULL);
    return statement;
}

static Status save_config(Store *store, const char *canonical, const char *hash, Error *error)
{
    sqlite3_stmt *statement =
        prepare(store, "INSERT INTO configs VALUES (?1, ?2) ON CONFLICT DO NOTHING");
    if (statement != NULL) {
        bind_text(statement, 1, hash);
        bind_text(statement, 2, canonical);
    }
    return finish(store, statement, error);
}

/* "a=1\nb=2": one override a line, none of which can hold a line end. */
static char *join_sets(const Provenance *provenance)
{
    size_t bytes = 1;
    for (size_t i = 0; i < provenance->set_count; i++)
        bytes += strlen(provenance->sets[i]) + 1;
    char *text = calloc(1, bytes);
    if (text == NULL)
        return NULL;
    size_t used = 0;
    for (size_t i = 0; i < provenance->set_count; i++) {
        size_t length = strlen(provenance->sets[i]);
        if (i > 0)
            text[used++] = '\n';
        memcpy(text + used, provenance->sets[i], length);
        used += length;
    }
    return text;
}

static Status save_run(Store *store, const Provenance *provenance, const char *run_id,
                       const char *hash, Error *error)
{
    char seed[32];
    char *sets = join_sets(provenance);
    if (sets == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    snprintf(seed, sizeof seed, "%llu", provenance->seed);
    sqlite3_stmt *statement = prepare(
        store,
        "INSERT INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
        " strftime('%Y-%m-%dT%H:%M:%SZ', 'now'), (SELECT ifnull(max(number), 0) + 1 FROM runs))"
        " ON CONFLICT(run_id) DO UPDATE SET scenario = excluded.scenario,"
        " sets = excluded.sets, created_utc = excluded.created_utc, number = excluded.number");
    if (statement != NULL) {
        bind_text(statement, 1, run_id);
        bind_text(statement, 2, provenance->verb);
        bind_text(statement, 3, provenance->scenario);
        bind_text(statement, 4, provenance->sha256);
        bind_text(statement, 5, hash);
        bind_text(statement, 6, seed);
        sqlite3_bind_int64(statement, 7, (sqlite3_int64)provenance->reps);
        bind_text(statement, 8, sets);
        bind_text(statement, 9, PROGRAM_VERSION);
        sqlite3_bind_int(statement, 10, RESULT_SCHEMA_VERSION);
    }
    Status status = finish(store, statement, error);
    free(sets);
    return status;
}

static Status save_metrics(Store *store, const char *run_id, const MetricSet *metrics, Error *error)
{
    sqlite3_stmt *statement = prepare(store, "DELETE FROM metrics WHERE run_id = ?1");
    if (statement != NULL)
        bind_text(statement, 1, run_id);
    Status status = finish(store, statement, error);
    if (status != STATUS_OK)
        return status;
    statement =
        prepare(store, "INSERT INTO metrics VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
    if (statement == NULL)
        return failed(store, "save the run", error);
    for (size_t i = 0; i < metrics->count && status == STATUS_OK; i++) {
        const Metric *metric = &metrics->metrics[i];
        Summary summary;
        status = metrics_summary(metric, &summary, error);
        if (status != STATUS_OK)
            break;
        const double values[] = {summary.mean, summary.p5,      summary.p50,
                                 summary.p95,  summary.minimum, summary.maximum};
        bind_text(statement, 1, run_id);
        bind_text(statement, 2, metric->name);
        bind_text(statement, 3, metric->unit);
        sqlite3_bind_int64(statement, 4, (sqlite3_int64)metric->count);
        for (int v = 0; v < (int)(sizeof values / sizeof *values); v++)
            sqlite3_bind_double(statement, 5 + v, values[v]);
        if (sqlite3_step(statement) != SQLITE_DONE)
            status = failed(store, "save the run", error);
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
    return status;
}

Status store_save(Store *store, const Provenance *provenance, const char *canonical_scenario,
                  const MetricSet *metrics, char run_id[13], Error *error)
{
    char hash[SHA256_DIGEST_STRING_LENGTH];
    run_identity(provenance, canonical_scenario, run_id);
    SHA256Data((const uint8_t *)canonical_scenario, strlen(canonical_scenario), hash);
    Status status = execute(store, "BEGIN IMMEDIATE", "write to the store", error);
    if (status != STATUS_OK)
        return status;
    status = save_config(store, canonical_scenario, hash, error);
    if (status == STATUS_OK)
        status = save_run(store, provenance, run_id, hash, error);
    if (status == STATUS_OK)
        status = save_metrics(store, run_id, metrics, error);
    if (status == STATUS_OK)
        status = execute(store, "COMMIT", "write to the store", error);
    if (status != STATUS_OK)
        sqlite3_exec(store->database, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

static const char *column_text(sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);
    return text != NULL ? (const char *)text : "";
}

Status store_list(Store *store, StoreRow row, void *context, Error *error)
{
    sqlite3_stmt *statement =
        prepare(store, "SELECT run_id, verb, scenario, scenario_sha256, seed, reps, created_utc"
                       " FROM runs ORDER BY number DESC");
    int code = SQLITE_ERROR;
    while (statement != NULL && (code = sqlite3_step(statement)) == SQLITE_ROW)
        row(context, column_text(statement, 0), column_text(statement, 1),
            column_text(statement, 2), column_text(statement, 3),
            strtoull(column_text(statement, 4), NULL, 10),
            (size_t)sqlite3_column_int64(statement, 5), column_text(statement, 6));
    Status status = code == SQLITE_DONE ? STATUS_OK : failed(store, "list the runs", error);
    sqlite3_finalize(statement);
    return status;
}
