#include "sim/cli/serve_fleet.h"

#include "reports/fleet.h"

#include <stdlib.h>

typedef struct FleetReport {
    const Scenario *scenario;
    const FleetResult *result;
    const FleetOptions *options;
    const Provenance *provenance;
} FleetReport;

static void screen(FILE *out, const void *report, TerminalStyle style)
{
    const FleetReport *fleet = report;
    terminal_fleet(out, fleet->scenario, fleet->result, fleet->options, fleet->provenance, style);
}

static Status write_files(const Session *session, const FleetReport *fleet,
                          const SessionResult *result)
{
    char path[ERROR_PATH_BYTES];
    Error error;
    const char *directory = session_output_directory(session, path, sizeof path);
    if (directory == NULL)
        return STATUS_OK;
    Status status = session_save(result, directory, &error);
    if (status == STATUS_OK)
        status = csv_fleet(directory, fleet->result, &error);
    if (status != STATUS_OK)
        return session_fail(session, &error);
    if (plot_fleet(directory, fleet->scenario, fleet->result, fleet->provenance, &error) !=
        STATUS_OK)
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
    const FleetReport report = {scenario, result, &options, provenance};
    const SessionResult shown = {json, "fleet.json", screen, &report};
    status = session_show(session, &shown);
    if (status == STATUS_OK)
        status = write_files(session, &report, &shown);
    if (status == STATUS_OK && options.slo.count > 0 && !result->holds)
        status = STATUS_NO;
cleanup:
    free(json);
    free(result);
    return status;
}
