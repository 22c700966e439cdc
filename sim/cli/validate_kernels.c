#include "sim/cli/validate_kernels.h"

#include "sim/cli/validate_kinds.h"

#include "reports/files.h"
#include "reports/kernel_validation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Status validate_kernels_options(const Session *session, KernelPart *part, Error *error)
{
    if (session->line.plot && session->line.out_directory == NULL)
        return error_set(error, STATUS_USAGE, "--plot needs --out DIR");
    return kernel_part_named(session->line.split, part, error);
}

static Status write_files(const Session *session, const KernelValidation *result,
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
        terminal_kernel_validation(report.out, result, provenance, plain);
        status = files_result(directory, "validation.json", json, &report, &error);
    }
    if (status == STATUS_OK)
        status = csv_kernel_validation(directory, result, &error);
    if (status != STATUS_OK)
        return session_fail(session, &error);
    int drawn = 0;
    if (session->line.plot) {
        drawn = plot_kernel_validation(directory, result, provenance, &error) == STATUS_OK;
        if (!drawn)
            session_note(session, "%s", error.message);
    }
    session_note(session, "report.txt, validation.json, validation.csv%s in %s/",
                 drawn ? " and validation.png" : "", directory);
    return STATUS_OK;
}

Status validate_kernels_report(Session *session, const CsvTable *table,
                               const KernelValidation *result)
{
    const CommandLine *line = &session->line;
    Error error = {0};
    const Provenance provenance = session_provenance(session, table->sha256);
    char *json = json_kernel_validation(result, &provenance, &error);
    if (json == NULL)
        return session_fail(session, &error);
    if (line->json)
        fputs(json, stdout);
    else
        terminal_kernel_validation(stdout, result, &provenance, session->style);
    Status status = session_flush(session);
    if (status == STATUS_OK)
        status = write_files(session, result, &provenance, json);
    if (status == STATUS_OK)
        status = validate_hold_bound(session, result->summary.median_abs);
    free(json);
    return status;
}
