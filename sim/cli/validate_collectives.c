/* `validate` on a table of collectives. */
#include "reports/collective_fit.h"
#include "reports/files.h"
#include "sim/cli/validate_kernels.h"
#include "sim/cli/validate_kinds.h"
#include "sim/planning/collective_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Status show_fits(const Session *session, const CsvTable *table, const CollectiveFits *fits,
                        Error *error)
{
    const CommandLine *line = &session->line;
    const Provenance provenance = session_provenance(session, table->sha256);
    char *json = json_collective_fits(fits, &provenance, error);
    if (json == NULL)
        return STATUS_ENVIRONMENT;
    Status status = STATUS_OK;
    if (line->out_directory != NULL)
        status = files_make_directory(line->out_directory, error);
    if (status == STATUS_OK && line->out_directory != NULL)
        status = write_collective_fits(line->out_directory, fits, error);
    if (status == STATUS_OK && line->json)
        fputs(json, stdout);
    else if (status == STATUS_OK)
        yaml_collective_fits(stdout, fits);
    free(json);
    return status;
}

static Status fit_constants(Session *session, const CsvTable *table, const CollectiveRows *rows)
{
    Error error = {0};
    CollectiveFits fits = {0};
    Status status =
        collective_fit(rows, session->line.fits, session->line.fit_count, &fits, &error);
    if (status == STATUS_OK)
        status = show_fits(session, table, &fits, &error);
    collective_fits_free(&fits);
    return status == STATUS_OK ? session_flush(session) : session_fail(session, &error);
}

Status validate_collectives(Session *session, const CsvTable *table)
{
    const CommandLine *line = &session->line;
    Error error = {0};
    CollectiveRows rows = {0};
    KernelValidation result = {0};
    KernelPart part;
    Status status = validate_kernels_options(session, &part, &error);
    if (status == STATUS_OK)
        status = collective_rows_read(&session->paths, table, line->sets, line->set_count, &rows,
                                      &error);
    if (status == STATUS_OK && line->fit_count > 0) {
        status = fit_constants(session, table, &rows);
        goto cleanup;
    }
    if (status == STATUS_OK)
        status = collective_validate(&rows, part, table->file, &result, &error);
    status = status == STATUS_OK ? validate_kernels_report(session, table, &result)
                                 : session_fail(session, &error);
cleanup:
    kernel_validation_free(&result);
    collective_rows_free(&rows);
    return status;
}
