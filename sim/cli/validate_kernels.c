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

static Status write_report(const char *directory, const KernelValidation *result,
                           const Provenance *provenance, Error *error)
{
    TextFile file;
    const TerminalStyle plain = {0};
    Status status = files_begin(&file, error);
    if (status != STATUS_OK)
        return status;
    terminal_kernel_validation(file.out, result, provenance, plain);
    return files_finish(&file, directory, "report.txt", error);
}

static Status write_files(const Session *session, const KernelValidation *result,
                          const Provenance *provenance, const char *json)
{
    const char *directory = session->line.out_directory;
    Error error;
    if (directory == NULL)
        return STATUS_OK;
    Status status = files_make_directory(directory, &error);
    if (status == STATUS_OK)
        status = files_write_text(directory, "validation.json", json, &error);
    if (status == STATUS_OK)
        status = write_report(directory, result, provenance, &error);
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
    Provenance provenance = {.verb = line->verb->name,
                             .scenario = line->operands[0],
                             .seed = line->seed,
                             .reps = 1,
                             .set_count = line->set_count,
                             .sets = line->sets};
    memcpy(provenance.sha256, table->sha256, sizeof provenance.sha256);
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
