#include "sim/cli/verbs.h"

#include "configs/reader/claims.h"
#include "models/plan_check.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A scenario is checked value by value, then as a plan. */
static Status check_scenario(const Session *session, const char *path, ErrorList *errors)
{
    Scenario scenario;
    Error error;
    Status status = scenario_read(&session->paths, path, session->line.sets,
                                  session->line.set_count, &scenario, NULL, NULL, errors);
    if (status != STATUS_OK)
        return status;
    status = plan_check(&scenario, &error);
    if (status == STATUS_OK)
        return status;
    snprintf(error.file, sizeof error.file, "%s", path);
    error_list_add(errors, &error);
    return status;
}

static Status check_claims(const Session *session, const char *path, ErrorList *errors)
{
    ClaimFile *file = malloc(sizeof *file);
    if (file == NULL) {
        Error error;
        error_set(&error, STATUS_ENVIRONMENT, "out of memory");
        error_list_add(errors, &error);
        return STATUS_ENVIRONMENT;
    }
    Status status = claims_read(&session->paths, path, file, NULL, errors);
    for (size_t i = 0; i < file->scenario_count && status == STATUS_OK; i++)
        status = check_scenario(session, file->scenarios[i].scenario, errors);
    free(file);
    return status;
}

static Status check_part(const Session *session, const char *kind, const char *path,
                         ErrorList *errors)
{
    Scenario scenario;
    return part_read(&session->paths, kind, path, session->line.sets, session->line.set_count,
                     &scenario, NULL, NULL, errors);
}

/* A name is looked up as a scenario, then as a claim file, a model, a hardware part. */
static Status check_one(const Session *session, const char *name, ErrorList *errors)
{
    static const char *const KINDS[] = {"scenarios", "claims",      "models",
                                        "hw",        "calibration", "hw/failures"};
    char path[ERROR_PATH_BYTES];
    Error error, first_error;
    const char *kind = NULL;
    Status status = STATUS_INVALID;
    for (int k = 0; k < 6 && status != STATUS_OK; k++) {
        status = config_locate(&session->paths, KINDS[k], name, path, sizeof path, &error);
        kind = KINDS[k];
        if (k == 0)
            first_error = error;
    }
    if (status != STATUS_OK) {
        error_list_add(errors, &first_error);
        return status;
    }
    if (strchr(name, '/') != NULL || strcmp(path, name) == 0) {
        const char *by_content = config_kind_of_file(path);
        kind = by_content != NULL ? by_content : "scenarios";
    }
    if (strcmp(kind, "scenarios") == 0)
        return check_scenario(session, path, errors);
    if (strcmp(kind, "claims") == 0)
        return check_claims(session, path, errors);
    return check_part(session, kind, path, errors);
}

Status verb_check(Session *session)
{
    ErrorList *errors = calloc(1, sizeof *errors);
    Error error;
    Status worst = STATUS_OK;
    if (errors == NULL) {
        error_set(&error, STATUS_ENVIRONMENT, "out of memory");
        return session_fail(session, &error);
    }
    for (size_t i = 0; i < session->line.operand_count; i++) {
        Status status = check_one(session, session->line.operands[i], errors);
        if (status != STATUS_OK)
            worst = status;
        else if (!session->line.json && !session->line.quiet)
            printf("%s: ok\n", session->line.operands[i]);
    }
    if (worst != STATUS_OK)
        session_fail_list(session, worst, errors);
    else if (session->line.json)
        puts("{\"errors\": []}");
    free(errors);
    Status flushed = session_flush(session);
    return worst != STATUS_OK ? worst : flushed;
}
