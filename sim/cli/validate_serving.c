/* `validate` on a table of serving measurements. */
#include "reports/serving_validation.h"
#include "sim/cli/validate_kernels.h"
#include "sim/cli/validate_kinds.h"
#include "sim/planning/serving_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Status report(Session *session, const CsvTable *table, const KernelValidation *result)
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
    char *json = json_serving_validation(result, &provenance, &error);
    if (json == NULL)
        return session_fail(session, &error);
    if (line->json)
        fputs(json, stdout);
    else
        terminal_serving_validation(stdout, result, &provenance, session->style);
    free(json);
    Status status = session_flush(session);
    if (status == STATUS_OK && line->fail_above >= 0 &&
        result->summary.median_abs > line->fail_above)
        status = STATUS_NO;
    return status;
}

Status validate_serving(Session *session, const CsvTable *table)
{
    const CommandLine *line = &session->line;
    Error error = {0};
    ServingRows rows = {0};
    KernelValidation result = {0};
    const char *split = line->split;
    KernelPart part;
    /* The words of a column `split` are known as well. */
    if (split != NULL && strcmp(split, "validation") == 0)
        split = "held-back";
    else if (split != NULL && strcmp(split, "pool") == 0)
        split = "fitted";
    Status status = kernel_part_named(split, &part, &error);
    if (status == STATUS_OK)
        status = serving_rows_read(&session->paths, table, line->sets, line->set_count, &rows,
                                   &error);
    if (status == STATUS_OK)
        status = serving_validate(&rows, part, table->file, &result, &error);
    status = status == STATUS_OK ? report(session, table, &result) : session_fail(session, &error);
    kernel_validation_free(&result);
    serving_rows_free(&rows);
    return status;
}
