#include "sim/cli/verbs.h"

#include "reports/files.h"
#include "reports/json.h"
#include "reports/store.h"
#include "reports/terminal.h"
#include "sim/planning/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct AuditRun {
    ClaimFile file;
    ErrorList errors;
    AuditResult result;
    Provenance provenance;
    ResolvedList inputs; /* of the headline scenario, for the workbook */
    char *json;
} AuditRun;

/* The document, and the text that the terminal shows with the details of every claim. */
static Status write_documents(const char *directory, const AuditRun *run, Error *error)
{
    const TerminalStyle plain = {0};
    TextFile report;
    const Status status = files_begin(&report, error);
    if (status != STATUS_OK)
        return status;
    terminal_audit_screen(report.out, &run->result, &run->provenance, plain);
    fputc('\n', report.out);
    terminal_audit_full(report.out, &run->result, &run->provenance, plain);
    return files_result(directory, "audit.json", run->json, &report, error);
}

/* The resolved inputs of the headline scenario, read again with their origins. */
static Status read_inputs(const Session *session, AuditRun *run)
{
    if (run->result.headline == NULL)
        return STATUS_OK;
    Scenario scenario;
    const ClaimScenario *spec = run->result.headline->spec;
    const char *sets[MAX_CLAIM_SETS + MAX_SETS];
    size_t count = 0;
    for (size_t i = 0; i < spec->set_count; i++)
        sets[count++] = spec->sets[i];
    for (size_t i = 0; i < session->line.set_count; i++)
        sets[count++] = session->line.sets[i];
    return scenario_read(&session->paths, spec->scenario, sets, count, &scenario, &run->inputs,
                         NULL, &run->errors);
}

static Status write_files(const Session *session, AuditRun *run)
{
    char base[NAME_BYTES], path[ERROR_PATH_BYTES], workbook[NAME_BYTES + 8];
    Error error;
    size_t pictures = 0;
    session_base_name(session->line.operands[0], base, sizeof base);
    const char *directory = session_output_directory(session, path, sizeof path);
    if (directory == NULL)
        return STATUS_OK;
    Status status = read_inputs(session, run);
    if (status != STATUS_OK)
        return session_fail_list(session, status, &run->errors);
    snprintf(workbook, sizeof workbook, "%s.xlsx", base);
    status = write_documents(directory, run, &error);
    if (status == STATUS_OK)
        status = csv_audit(directory, &run->result, &run->provenance, &error);
    if (status == STATUS_OK)
        status = workbook_audit(directory, workbook, &run->result, &run->inputs, &run->provenance,
                                &error);
    if (status != STATUS_OK)
        return session_fail(session, &error);
    if (plots_audit(directory, &run->result, &run->provenance, &pictures, &error) != STATUS_OK)
        session_note(session, "%s", error.message);
    session_note(session, "report.txt, audit.json, CSV files, %s and %zu plots in %s/", workbook,
                 pictures, directory);
    return STATUS_OK;
}

static Status store_runs(const Session *session, const AuditRun *run)
{
    if (session->line.database == NULL)
        return STATUS_OK;
    Error error;
    Store *store = NULL;
    Status status = store_open(session->line.database, &store, &error);
    for (size_t i = 0; i < run->result.scenario_count && status == STATUS_OK; i++) {
        const AuditScenario *entry = &run->result.scenarios[i];
        Provenance provenance = run->provenance;
        char run_id[13];
        char *canonical = NULL;
        provenance.scenario = entry->spec->scenario;
        snprintf(provenance.sha256, sizeof provenance.sha256, "%s", entry->sha256);
        status = scenario_canonical(&entry->scenario, &canonical, &error);
        if (status == STATUS_OK)
            status = store_save(store, &provenance, canonical, entry->metrics, run_id, &error);
        free(canonical);
    }
    store_close(store);
    return status == STATUS_OK ? STATUS_OK : session_fail(session, &error);
}

Status verb_audit(Session *session)
{
    Error error;
    AuditRun *run = calloc(1, sizeof *run);
    if (run == NULL) {
        error_set(&error, STATUS_ENVIRONMENT, "out of memory");
        return session_fail(session, &error);
    }
    const CommandLine *line = &session->line;
    Status status = claims_read(&session->paths, line->operands[0], &run->file,
                                run->provenance.sha256, &run->errors);
    if (status != STATUS_OK) {
        session_fail_list(session, status, &run->errors);
        goto cleanup;
    }
    ForecastOptions options = session_forecast_options(session);
    run->provenance.verb = line->verb->name;
    run->provenance.scenario = line->operands[0];
    run->provenance.seed = options.seed;
    run->provenance.reps = options.reps;
    run->provenance.set_count = line->set_count;
    run->provenance.sets = line->sets;
    status = audit_run(&session->paths, &run->file, line->sets, line->set_count, &options,
                       &run->result, &run->errors);
    session_progress_clear(session);
    if (status != STATUS_OK) {
        session_fail_list(session, status, &run->errors);
        goto cleanup;
    }
    run->json = json_audit(&run->result, &run->provenance, &error);
    if (run->json == NULL) {
        status = session_fail(session, &error);
        goto cleanup;
    }
    if (line->json)
        fputs(run->json, stdout);
    else
        terminal_audit_screen(stdout, &run->result, &run->provenance, session->style);
    status = session_flush(session);
    if (status == STATUS_OK)
        status = write_files(session, run);
    if (status == STATUS_OK)
        status = store_runs(session, run);
cleanup:
    free(run->json);
    resolved_list_free(&run->inputs);
    audit_free(&run->result);
    free(run);
    return status;
}
