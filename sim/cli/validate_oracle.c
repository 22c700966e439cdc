/* `validate` on a table of reliability results. */
#include "sim/cli/validate_kinds.h"

#include "reports/files.h"
#include "reports/oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Options of other tables that would say nothing here. */
static Status check_options(const CommandLine *line, Error *error)
{
    const struct {
        const char *option;
        int given;
    } others[] = {{"--split", line->split != NULL},
                  {"--fit", line->fit_count > 0},
                  {"--fail-above", line->fail_above >= 0},
                  {"--plot", line->plot},
                  {"--set", line->set_count > 0}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (others[i].given) {
            error_set(error, STATUS_USAGE, "%s does not apply to a table of reliability results",
                      others[i].option);
            error_hint(error, "--seed, --reps, --jobs, --json and --out do");
            return STATUS_USAGE;
        }
    if (line->reps > 0 && line->reps < ORACLE_LEAST_REPLICATIONS)
        return error_set(error, STATUS_USAGE,
                         "--reps %zu: a standard error needs at least %d replications", line->reps,
                         ORACLE_LEAST_REPLICATIONS);
    return STATUS_OK;
}

static Status write_files(const Session *session, const OracleResult *result,
                          const Provenance *provenance, const char *json)
{
    const char *directory = session->line.out_directory;
    const TerminalStyle plain = {0};
    TextFile report;
    Error error;
    if (directory == NULL)
        return STATUS_OK;
    Status status = files_begin(&report, &error);
    if (status == STATUS_OK) {
        terminal_oracle(report.out, result, provenance, plain);
        status = files_result(directory, "validation.json", json, &report, &error);
    }
    if (status == STATUS_OK)
        status = csv_oracle(directory, result, &error);
    if (status != STATUS_OK)
        return session_fail(session, &error);
    session_note(session, "report.txt, validation.json, validation.csv in %s/", directory);
    return STATUS_OK;
}

Status validate_oracle(Session *session, const CsvTable *table)
{
    const CommandLine *line = &session->line;
    Error error = {0};
    OracleResult result = {0};
    char *json = NULL;
    ForecastOptions options = session_forecast_options(session);
    options.reps = line->reps;
    Status status = check_options(line, &error);
    if (status == STATUS_OK)
        status = oracle_validate(&session->paths, table, &options, &result, &error);
    session_progress_clear(session);
    if (status != STATUS_OK) {
        status = session_fail(session, &error);
        goto cleanup;
    }
    Provenance provenance = session_provenance(session, table->sha256);
    provenance.reps = result.replications;
    json = json_oracle(&result, &provenance, &error);
    if (json == NULL) {
        status = session_fail(session, &error);
        goto cleanup;
    }
    if (line->json)
        fputs(json, stdout);
    else
        terminal_oracle(stdout, &result, &provenance, session->style);
    status = session_flush(session);
    if (status == STATUS_OK)
        status = write_files(session, &result, &provenance, json);
    if (status == STATUS_OK && result.ok < result.row_count)
        status = STATUS_NO;
cleanup:
    free(json);
    oracle_free(&result);
    return status;
}
