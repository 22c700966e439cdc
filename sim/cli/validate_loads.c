/* `validate` on a table of expert loads. */
#include "sim/cli/validate_kinds.h"

#include "reports/files.h"
#include "reports/load_oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Status write_files(const Session *session, const LoadOracle *oracle,
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
        terminal_load_oracle(report.out, oracle, provenance, plain);
        status = files_result(directory, "validation.json", json, &report, &error);
    }
    if (status != STATUS_OK)
        return session_fail(session, &error);
    session_note(session, "report.txt, validation.json in %s/", directory);
    return STATUS_OK;
}

/* With --fail-above, the largest share of rows that may be farther apart than chance allows. */
static Status hold_bound(const Session *session, const LoadOracle *oracle)
{
    const double bound = session->line.fail_above;
    const double share = (double)oracle->not_ok / (double)oracle->row_count;
    if (bound < 0 || share <= bound)
        return STATUS_OK;
    session_note(session, "%zu of %zu rows are not ok, above %.2f%%", oracle->not_ok,
                 oracle->row_count, 100 * bound);
    return STATUS_NO;
}

Status validate_loads(Session *session, const CsvTable *table)
{
    const CommandLine *line = &session->line;
    Error error = {0};
    LoadOracle oracle = {0};
    char *json = NULL;
    ForecastOptions options = session_forecast_options(session);
    const Provenance provenance = session_provenance(session, table->sha256);
    Status status = STATUS_OK;
    if (line->plot || line->fit_count > 0 || line->set_count > 0 || line->split != NULL)
        status = error_set(&error, STATUS_USAGE,
                           "--plot, --fit, --set and --split have no meaning for expert loads");
    if (status == STATUS_OK)
        status = load_oracle_run(table, &options, &oracle, &error);
    session_progress_clear(session);
    if (status == STATUS_OK) {
        json = json_load_oracle(&oracle, &provenance, &error);
        status = json != NULL ? STATUS_OK : STATUS_ENVIRONMENT;
    }
    if (status != STATUS_OK) {
        status = session_fail(session, &error);
        goto cleanup;
    }
    if (line->json)
        fputs(json, stdout);
    else
        terminal_load_oracle(stdout, &oracle, &provenance, session->style);
    status = session_flush(session);
    if (status == STATUS_OK)
        status = write_files(session, &oracle, &provenance, json);
    if (status == STATUS_OK)
        status = hold_bound(session, &oracle);
cleanup:
    free(json);
    load_oracle_free(&oracle);
    return status;
}
