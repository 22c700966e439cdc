#include "sim/cli/serve_find.h"

#include "reports/serving_search.h"

#include <stdlib.h>

static void screen(FILE *out, const void *report, TerminalStyle style)
{
    terminal_serving_search(out, report, style);
}

static Status write_files(const Session *session, const SearchReport *report,
                          const SessionResult *result)
{
    char path[ERROR_PATH_BYTES];
    Error error;
    const char *directory = session_output_directory(session, path, sizeof path);
    if (directory == NULL)
        return STATUS_OK;
    Status status = session_save(result, directory, &error);
    if (status == STATUS_OK)
        status = csv_serving_search(directory, report, &error);
    if (status != STATUS_OK)
        return session_fail(session, &error);
    if (report->curve != NULL && plot_price_speed(directory, report, &error) != STATUS_OK)
        session_note(session, "%s", error.message);
    session_note(session, "report in %s/", directory);
    return STATUS_OK;
}

Status serve_find(Session *session, const Scenario *scenario, const LoadOptions *load,
                  const Provenance *provenance)
{
    const int price = session->line.find == FIND_PRICE;
    Error error = {0};
    char *json = NULL;
    ServingSearch *search = malloc(sizeof *search);
    PriceSpeed *curve = malloc(sizeof *curve);
    Status status = search == NULL || curve == NULL
                        ? error_set(&error, STATUS_ENVIRONMENT, "out of memory")
                        : (price ? search_price : search_gpus)(scenario, load, search, &error);
    if (status == STATUS_OK && price)
        status = price_speed(scenario, load->seed, session->line.jobs, curve, &error);
    session_progress_clear(session);
    const SearchReport report = {.scenario = scenario,
                                 .options = load,
                                 .search = search,
                                 .curve = price ? curve : NULL,
                                 .margin = session->line.margin,
                                 .provenance = provenance};
    if (status == STATUS_OK) {
        json = json_serving_search(&report, &error);
        status = json != NULL ? STATUS_OK : STATUS_ENVIRONMENT;
    }
    if (status != STATUS_OK) {
        status = session_fail(session, &error);
        goto cleanup;
    }
    const SessionResult result = {json, "serve-find.json", screen, &report};
    status = session_show(session, &result);
    if (status == STATUS_OK)
        status = write_files(session, &report, &result);
    if (status == STATUS_OK && !search->found)
        status = STATUS_NO;
cleanup:
    free(json);
    free(curve);
    free(search);
    return status;
}
