/* `validate` on a table of training steps. */
#include "sim/cli/validate_kinds.h"

#include "reports/files.h"
#include "reports/leave_out.h"
#include "reports/stack_fit.h"
#include "reports/validation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Status write_files(const Session *session, const ValidationResult *result,
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
        terminal_validation(report.out, result, provenance, plain);
        status = files_result(directory, "validation.json", json, &report, &error);
    }
    if (status == STATUS_OK)
        status = csv_validation(directory, result, &error);
    if (status != STATUS_OK)
        return session_fail(session, &error);
    int drawn = 0;
    if (session->line.plot) {
        drawn = plot_validation(directory, result, provenance, &error) == STATUS_OK;
        if (!drawn)
            session_note(session, "%s", error.message);
    }
    session_note(session,
                 "report.txt, validation.json, validation.csv, validation-ratios.csv%s in %s/",
                 drawn ? " and validation.png" : "", directory);
    return STATUS_OK;
}

static Status fit_stacks(Session *session, const MeasurementFile *file,
                         const Provenance *provenance)
{
    const CommandLine *line = &session->line;
    const char *directory = line->out_directory;
    StackFits fits = {0};
    Error error = {0};
    char *json = NULL;
    ForecastOptions options = session_forecast_options(session);
    const int unknown = stack_is_unknown(line->fits[0]);
    Status status = STATUS_OK;
    for (size_t i = 1; i < line->fit_count; i++)
        if (stack_is_unknown(line->fits[i]) != unknown)
            status = error_set(&error, STATUS_USAGE,
                               "--fit %s and --fit %s: stacks of unknown sources are fitted apart "
                               "from the others, which they build on",
                               line->fits[0], line->fits[i]);
    if (status == STATUS_OK && unknown && line->folds > 0)
        status = error_set(&error, STATUS_USAGE,
                           "--folds does not apply to stacks of unknown "
                           "sources: --leave-out source does");
    if (status == STATUS_OK)
        status = unknown ? stack_unknown_fit(&session->paths, file, line->fits, line->fit_count,
                                             &options, &fits, &error)
                         : stack_fit(&session->paths, file, line->fits, line->fit_count,
                                     line->folds, &options, &fits, &error);
    session_progress_clear(session);
    if (status == STATUS_OK && line->json) {
        json = json_stack_fits(&fits, provenance, &error);
        status = json != NULL ? STATUS_OK : STATUS_ENVIRONMENT;
    }
    if (status == STATUS_OK && directory != NULL)
        status = files_make_directory(directory, &error);
    if (status == STATUS_OK && directory != NULL)
        status = yaml_stack_fits(directory, &session->paths, &fits, &error);
    if (status != STATUS_OK) {
        status = session_fail(session, &error);
        goto cleanup;
    }
    if (line->json)
        fputs(json, stdout);
    else
        terminal_stack_fits(stdout, &fits, provenance);
    status = session_flush(session);
cleanup:
    free(json);
    stack_fits_free(&fits);
    return status;
}

static Status leave_sources_out(Session *session, const MeasurementFile *file,
                                const Provenance *provenance)
{
    const ForecastOptions options = session_forecast_options(session);
    LeaveOut result = {0};
    Error error = {0};
    char *json = NULL;
    Status status = stack_leave_out(&session->paths, file, &options, &result, &error);
    session_progress_clear(session);
    if (status == STATUS_OK && session->line.json) {
        json = json_leave_out(&result, provenance, &error);
        status = json != NULL ? STATUS_OK : STATUS_ENVIRONMENT;
    }
    if (status != STATUS_OK) {
        status = session_fail(session, &error);
        goto cleanup;
    }
    if (session->line.json)
        fputs(json, stdout);
    else
        terminal_leave_out(stdout, &result, provenance);
    status = session_flush(session);
    if (status == STATUS_OK)
        status = validate_hold_bound(session, result.all.median_abs);
cleanup:
    free(json);
    leave_out_free(&result);
    return status;
}

Status validate_steps(Session *session, const CsvTable *table)
{
    const CommandLine *line = &session->line;
    Error error = {0};
    MeasurementFile file = {0};
    ValidationResult result = {0};
    char *json = NULL;
    Status status = line->plot && line->out_directory == NULL
                        ? error_set(&error, STATUS_USAGE, "--plot needs --out DIR")
                    : line->reps > 0
                        ? error_set(&error, STATUS_USAGE, "--reps does not apply to training steps")
                        : measurements_read(table->file, &file, &error);
    ForecastOptions options = session_forecast_options(session);
    const Provenance provenance = session_provenance(session, file.table.sha256);
    if (status == STATUS_OK && line->leave_out != 0) {
        status = leave_sources_out(session, &file, &provenance);
        goto cleanup;
    }
    if (status == STATUS_OK && line->fit_count > 0) {
        status = fit_stacks(session, &file, &provenance);
        goto cleanup;
    }
    if (status == STATUS_OK)
        status = validate_training(&session->paths, &file, line->split, line->sets, line->set_count,
                                   &options, &result, &error);
    session_progress_clear(session);
    if (status != STATUS_OK) {
        status = session_fail(session, &error);
        goto cleanup;
    }
    json = json_validation(&result, &provenance, &error);
    if (json == NULL) {
        status = session_fail(session, &error);
        goto cleanup;
    }
    if (line->json)
        fputs(json, stdout);
    else
        terminal_validation(stdout, &result, &provenance, session->style);
    status = session_flush(session);
    if (status == STATUS_OK)
        status = write_files(session, &result, &provenance, json);
    if (status == STATUS_OK)
        status = validate_hold_bound(session, result.summary.median_abs);
cleanup:
    free(json);
    validation_free(&result);
    measurements_free(&file);
    return status;
}
