/* `validate` on tables of kernels of one GPU: matrix products and MoE layers. */
#include "sim/cli/validate_kernels.h"
#include "sim/cli/validate_kinds.h"

#include "reports/files.h"
#include "reports/kernel_fit.h"
#include "sim/planning/kernel_gemm.h"
#include "sim/planning/kernel_moe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef Status (*CasesReader)(const ConfigPaths *paths, const CsvTable *table,
                              const char *const *sets, size_t set_count, KernelCases *cases,
                              Error *error);

static Status fit_cases(Session *session, const CsvTable *table, KernelCases *cases)
{
    const CommandLine *line = &session->line;
    const char *directory = line->out_directory;
    const ForecastOptions options = session_forecast_options(session);
    KernelFits fits = {0};
    Error error = {0};
    char *json = NULL;
    const Provenance provenance = session_provenance(session, table->sha256);
    Status status = kernel_cases_fit(cases, line->fits, line->fit_count, &options, &fits, &error);
    session_progress_clear(session);
    if (status == STATUS_OK && line->json) {
        json = json_kernel_fits(&fits, &provenance, &error);
        status = json != NULL ? STATUS_OK : STATUS_ENVIRONMENT;
    }
    if (status == STATUS_OK && directory != NULL)
        status = files_make_directory(directory, &error);
    if (status == STATUS_OK && directory != NULL)
        status = yaml_kernel_fits(directory, &session->paths, &fits, &error);
    if (status != STATUS_OK) {
        status = session_fail(session, &error);
        goto cleanup;
    }
    if (line->json)
        fputs(json, stdout);
    else
        terminal_kernel_fits(stdout, &fits, &provenance);
    status = session_flush(session);
cleanup:
    free(json);
    kernel_fits_free(&fits);
    return status;
}

static Status validate_cases(Session *session, const CsvTable *table, CasesReader read)
{
    const CommandLine *line = &session->line;
    const ForecastOptions options = session_forecast_options(session);
    KernelCases *cases = calloc(1, sizeof *cases);
    KernelValidation result = {0};
    KernelPart part = KERNEL_ALL;
    Error error = {0};
    Status status = cases != NULL ? validate_kernels_options(session, &part, &error)
                                  : error_set(&error, STATUS_ENVIRONMENT, "out of memory");
    if (status == STATUS_OK)
        status = read(&session->paths, table, line->sets, line->set_count, cases, &error);
    if (status == STATUS_OK && line->fit_count > 0) {
        status = fit_cases(session, table, cases);
        goto cleanup;
    }
    if (status == STATUS_OK)
        status = kernel_cases_validate(cases, part, table->file, &options, &result, &error);
    session_progress_clear(session);
    status = status == STATUS_OK ? validate_kernels_report(session, table, &result)
                                 : session_fail(session, &error);
cleanup:
    kernel_validation_free(&result);
    if (cases != NULL)
        kernel_cases_free(cases);
    free(cases);
    return status;
}

Status validate_gemm(Session *session, const CsvTable *table)
{
    return validate_cases(session, table, kernel_gemm_read);
}

Status validate_moe_layers(Session *session, const CsvTable *table)
{
    return validate_cases(session, table, kernel_moe_read);
}
