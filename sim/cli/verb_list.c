#include "sim/cli/verbs.h"

#include "reports/store.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const KINDS[] = {"scenarios", "claims",      "models",
                                    "hw",        "hw/failures", "calibration"};
enum { KIND_COUNT = sizeof KINDS / sizeof KINDS[0] };

static void print_run(void *context, const char *run_id, const char *verb, const char *scenario,
                      const char *sha256, unsigned long long seed, size_t reps,
                      const char *created_utc)
{
    json_t *rows = context;
    if (rows != NULL)
        json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s}", "run", run_id,
                                              "verb", verb, "scenario", scenario, "scenario_sha256",
                                              sha256, "seed", (json_int_t)seed, "reps",
                                              (json_int_t)reps, "created", created_utc));
    else
        printf("%s  %-5s  %-28s  %.12s  seed %llu  reps %zu  %s\n", run_id, verb, scenario, sha256,
               seed, reps, created_utc);
}

static Status print_document(Session *session, json_t *document)
{
    char *text = document != NULL ? json_dumps(document, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    json_decref(document);
    if (text == NULL) {
        Error error;
        error_set(&error, STATUS_ENVIRONMENT, "out of memory");
        return session_fail(session, &error);
    }
    puts(text);
    free(text);
    return session_flush(session);
}

static Status list_runs(Session *session)
{
    Error error;
    Store *store = NULL;
    if (session->line.database == NULL) {
        error_set(&error, STATUS_USAGE, "'list runs' needs --db FILE");
        return session_fail(session, &error);
    }
    json_t *rows = session->line.json ? json_array() : NULL;
    Status status = store_open(session->line.database, &store, &error);
    if (status == STATUS_OK)
        status = store_list(store, print_run, rows, &error);
    store_close(store);
    if (status != STATUS_OK) {
        json_decref(rows);
        return session_fail(session, &error);
    }
    return session->line.json ? print_document(session, json_pack("{s:o}", "runs", rows))
                              : session_flush(session);
}

Status verb_list(Session *session)
{
    const char *wanted = session->line.operand_count > 0 ? session->line.operands[0] : NULL;
    Error error;
    if (wanted != NULL && strcmp(wanted, "runs") == 0)
        return list_runs(session);

    int bare = wanted != NULL && strcmp(wanted, "names") == 0;
    int known = wanted == NULL || bare;
    for (int k = 0; k < KIND_COUNT && !known; k++)
        known = strcmp(wanted, KINDS[k]) == 0;
    if (!known) {
        error_set(&error, STATUS_USAGE, "nothing to list under '%.60s'", wanted);
        error_hint(&error, "one of: models hw scenarios claims calibration names runs");
        return session_fail(session, &error);
    }
    json_t *document = session->line.json ? json_object() : NULL;
    for (int k = 0; k < KIND_COUNT; k++) {
        ConfigNames names;
        if (wanted != NULL && !bare && strcmp(wanted, KINDS[k]) != 0)
            continue;
        Status status = config_names(&session->paths, KINDS[k], &names, &error);
        if (status != STATUS_OK) {
            json_decref(document);
            return session_fail(session, &error);
        }
        json_t *list = document != NULL ? json_array() : NULL;
        if (document == NULL && wanted == NULL)
            printf("%s%s:\n", k > 0 ? "\n" : "", KINDS[k]);
        for (size_t i = 0; i < names.count; i++) {
            if (list != NULL)
                json_array_append_new(list, json_string(names.names[i]));
            else
                printf("%s%s\n", wanted == NULL ? "  " : "", names.names[i]);
        }
        if (document != NULL)
            json_object_set_new(document, KINDS[k], list);
        config_names_free(&names);
    }
    return document != NULL ? print_document(session, document) : session_flush(session);
}
