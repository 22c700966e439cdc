#include "sim/cli/verbs.h"

#include "reports/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Status read_anything(const Session *session, const char *name, Scenario *scenario,
                            ResolvedList *values, char sha256[SHA256_HEX_BYTES], ErrorList *errors)
{
    static const char *const KINDS[] = {"scenarios", "models", "hw", "calibration", "hw/failures"};
    char path[ERROR_PATH_BYTES];
    Error error, first_error;
    const CommandLine *line = &session->line;
    for (int k = 0; k < 5; k++) {
        Status status = config_locate(&session->paths, KINDS[k], name, path, sizeof path, &error);
        if (k == 0)
            first_error = error;
        if (status != STATUS_OK)
            continue;
        const char *kind = KINDS[k];
        if (strcmp(path, name) == 0) {
            const char *by_content = config_kind_of_file(path);
            kind = by_content != NULL ? by_content : kind;
        }
        if (strcmp(kind, "claims") == 0) {
            error_set(&error, STATUS_INVALID, "'%s' is a claim file", name);
            error_hint(&error, "'flopcast audit' runs it, 'flopcast check' checks it");
            error_list_add(errors, &error);
            return STATUS_INVALID;
        }
        return strcmp(kind, "scenarios") == 0
                   ? scenario_read(&session->paths, path, line->sets, line->set_count, scenario,
                                   values, sha256, errors)
                   : part_read(&session->paths, kind, path, line->sets, line->set_count, scenario,
                               values, sha256, errors);
    }
    error_list_add(errors, &first_error);
    return first_error.status;
}

static void print_values(const ResolvedList *values)
{
    for (size_t i = 0; i < values->count; i++) {
        const ResolvedValue *value = &values->values[i];
        printf("%-44s %-24s %s\n", value->path, value->value, value->origin);
        if (value->source[0] != '\0')
            printf("%46s# %s\n", "", value->source);
    }
}

Status verb_show(Session *session)
{
    Error error;
    Status status = STATUS_ENVIRONMENT;
    char sha256[SHA256_HEX_BYTES] = "";
    char *text = NULL;
    ResolvedList values = {0, 0, NULL};
    ErrorList *errors = calloc(1, sizeof *errors);
    Scenario *scenario = calloc(1, sizeof *scenario);
    const char *name = session->line.operands[0];
    if (errors == NULL || scenario == NULL) {
        error_set(&error, STATUS_ENVIRONMENT, "out of memory");
        session_fail(session, &error);
        goto cleanup;
    }
    status = read_anything(session, name, scenario, &values, sha256, errors);
    if (status != STATUS_OK) {
        session_fail_list(session, status, errors);
        goto cleanup;
    }
    if (session->line.canonical)
        status = scenario_canonical(scenario, &text, &error);
    else if (session->line.json && (text = json_resolved(name, &values, sha256, &error)) == NULL)
        status = error.status;
    if (status != STATUS_OK) {
        session_fail(session, &error);
        goto cleanup;
    }
    if (text == NULL) {
        print_values(&values);
        printf("\nsha256 of the canonical form: %s\n", sha256);
        status = session_flush(session);
    } else {
        status = session_print(session, text);
    }
cleanup:
    free(text);
    resolved_list_free(&values);
    free(errors);
    free(scenario);
    return status;
}
