#include "sim/cli/serve_fleet.h"

#include "reports/files.h"
#include "reports/fleet.h"

#include <stdio.h>
#include <stdlib.h>

static Status write_fleet(const Session *session, const Scenario *scenario,
                          const FleetResult *result, const FleetOptions *options,
                          const Provenance *provenance, const char *json)
{
    char path[ERROR_PATH_BYTES];
    TextFile file = {0};
    Error error;
    const TerminalStyle plain = {0};
    const char *directory = session_output_directory(session, path, sizeof path);
    if (directory == NULL)
        return STATUS_OK;
    Status status = files_begin(&file, &error);
    if (status == STATUS_OK) {
        terminal_fleet(file.out, scenario, result, options, provenance, plain);
        status = files_result(directory, "fleet.json", json, &file, &error);
    }
    if (status == STATUS_OK)
        status = csv_fleet(directory, result, &error);
    if (status != STATUS_OK)
        return session_fail(session, &error);
    if (plot_fleet(directory, scenario, result, provenance, &error) != STATUS_OK)
        session_note(session, "%s", error.message);
    session_note(session, "report in %s/", directory);
    return STATUS_OK;
}

Status serve_fleet(Session *session, const Scenario *scenario, const LoadOptions *load,
                   const Provenance *provenance)
{
    const FleetOptions options = {.rate_per_s = load->rate_per_s,
                                  .slo = load->slo,
                                  .seed = load->seed,
                                  .progress = load->progress,
                                  .progress_context = load->progress_context};
    Error error = {0};
    char *json = NULL;
    FleetResult *result = malloc(sizeof *result);
    Status status = result == NULL ? error_set(&error, STATUS_ENVIRONMENT, "out of memory")
                                   : fleet_simulate(scenario, &options, result, &error);
    session_progress_clear(session);
    if (status == STATUS_OK) {
        json = json_fleet(scenario, result, &options, provenance, &error);
        status = json != NULL ? STATUS_OK : STATUS_ENVIRONMENT;
    }
    if (status != STATUS_OK) {
        status = session_fail(session, &error);
        goto cleanup;
    }
    if (session->line.json)
        fputs(json, stdout);
    else
        terminal_fleet(stdout, scenario, result, &options, provenance, session->style);
    status = session_flush(session);
    if (status == STATUS_OK)
        status = write_fleet(session, scenario, result, &options, provenance, json);
    if (status == STATUS_OK && options.slo.count > 0 && !result->holds)
        status = STATUS_NO;
cleanup:
    free(json);
    free(result);
    return status;
}
