/* `train` and `serve`: read one scenario, simulate it, report it. */
#include "sim/cli/serve_under_load.h"
#include "sim/cli/verbs.h"

#include "models/plan_check.h"
#include "reports/files.h"
#include "reports/json.h"
#include "reports/store.h"
#include "reports/terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct ForecastRun {
    Scenario scenario;
    ErrorList errors;
    ResolvedList inputs; /* every value with its origin, for the workbook */
    Provenance provenance;
    TrainForecast train;
    ServeForecast serve;
    char *json;
    const MetricSet *metrics;
} ForecastRun;

static Status read_scenario(Session *session, ScenarioKind kind, ForecastRun *run)
{
    const CommandLine *line = &session->line;
    const char *name = line->operands[0];
    Error error;
    Status status =
        scenario_read(&session->paths, name, line->sets, line->set_count, &run->scenario,
                      &run->inputs, run->provenance.sha256, &run->errors);
    if (status != STATUS_OK)
        return session_fail_list(session, status, &run->errors);
    if (run->scenario.kind != kind) {
        error_set(&error, STATUS_INVALID, "'%s' is a %s scenario", name,
                  run->scenario.kind == SCENARIO_TRAINING ? "training" : "serving");
        error_hint(&error, "use 'flopcast %s %s'",
                   run->scenario.kind == SCENARIO_TRAINING ? "train" : "serve", name);
        return session_fail(session, &error);
    }
    status = plan_check(&run->scenario, &error);
    if (status != STATUS_OK) {
        snprintf(error.file, sizeof error.file, "%s", name);
        return session_fail(session, &error);
    }
    return STATUS_OK;
}

static Status store_run(const Session *session, const ForecastRun *run)
{
    if (session->line.database == NULL)
        return STATUS_OK;
    Error error;
    Store *store = NULL;
    char run_id[13];
    char *canonical = NULL;
    Status status = scenario_canonical(&run->scenario, &canonical, &error);
    if (status == STATUS_OK)
        status = store_open(session->line.database, &store, &error);
    if (status == STATUS_OK)
        status = store_save(store, &run->provenance, canonical, run->metrics, run_id, &error);
    store_close(store);
    free(canonical);
    if (status != STATUS_OK)
        return session_fail(session, &error);
    session_note(session, "stored as run %s in %s", run_id, session->line.database);
    return STATUS_OK;
}

/* The document, and the text that the terminal shows, without colours. */
static Status write_documents(const char *directory, const ForecastRun *run, Error *error)
{
    const TerminalStyle plain = {0};
    const int training = run->scenario.kind == SCENARIO_TRAINING;
    TextFile report;
    const Status status = files_begin(&report, error);
    if (status != STATUS_OK)
        return status;
    if (training)
        terminal_train(report.out, &run->scenario, &run->train, &run->provenance, plain);
    else
        terminal_serve(report.out, &run->scenario, &run->serve, &run->provenance, plain);
    return files_result(directory, training ? "train.json" : "serve.json", run->json, &report,
                        error);
}

static Status write_files(const Session *session, const ForecastRun *run)
{
    char base[NAME_BYTES], path[ERROR_PATH_BYTES], workbook[NAME_BYTES + 8];
    Error error;
    size_t pictures = 0;
    const char *directory = session_output_directory(session, path, sizeof path);
    if (directory == NULL)
        return STATUS_OK;
    int training = run->scenario.kind == SCENARIO_TRAINING;
    session_base_name(session->line.operands[0], base, sizeof base);
    snprintf(workbook, sizeof workbook, "%s.xlsx", base);
    Status status = write_documents(directory, run, &error);
    if (status == STATUS_OK)
        status = training ? csv_train(directory, &run->train, &run->provenance, &error)
                          : csv_serve(directory, &run->serve, &run->provenance, &error);
    if (status == STATUS_OK)
        status = training ? workbook_train(directory, workbook, &run->scenario, &run->train,
                                           &run->inputs, &run->provenance, &error)
                          : workbook_serve(directory, workbook, &run->scenario, run->metrics, NULL,
                                           &run->inputs, &run->provenance, &error);
    if (status != STATUS_OK)
        return session_fail(session, &error);
    if (training && plots_train(directory, &run->scenario, &run->train, &run->provenance, &pictures,
                                &error) != STATUS_OK)
        session_note(session, "%s", error.message);
    session_note(session, "report in %s/", directory);
    return STATUS_OK;
}

static Status forecast(Session *session, ScenarioKind kind)
{
    Error error;
    ForecastRun *run = calloc(1, sizeof *run);
    if (run == NULL) {
        error_set(&error, STATUS_ENVIRONMENT, "out of memory");
        return session_fail(session, &error);
    }
    Status status = read_scenario(session, kind, run);
    if (status != STATUS_OK)
        goto cleanup;
    ForecastOptions options = session_forecast_options(session);
    run->provenance = session_provenance(session, run->provenance.sha256);
    run->provenance.reps = options.reps;

    int training = kind == SCENARIO_TRAINING;
    Status answer = STATUS_OK;
    status = training ? train_forecast(&run->scenario, &options, &run->train, &error)
                      : serve_forecast(&run->scenario, &options, &run->serve, &error);
    run->metrics = training ? &run->train.metrics : &run->serve.metrics;
    if (status == STATUS_OK && training)
        run->provenance.reps = run->train.reps;
    session_progress_clear(session);
    if (status == STATUS_NO && training && session->line.json) {
        answer = STATUS_NO; /* the document says what does not fit */
        session_note(session, "flopcast: %s", error.message);
        status = STATUS_OK;
    }
    if (status != STATUS_OK) {
        session_fail(session, &error);
        goto cleanup;
    }
    if (!training && !run->serve.memory.fits)
        answer = STATUS_NO;

    run->json = training ? json_train(&run->scenario, &run->train, &run->provenance, &error)
                         : json_serve(&run->scenario, &run->serve, &run->provenance, &error);
    if (run->json == NULL) {
        status = session_fail(session, &error);
        goto cleanup;
    }
    if (session->line.json)
        fputs(run->json, stdout);
    else if (training)
        terminal_train(stdout, &run->scenario, &run->train, &run->provenance, session->style);
    else
        terminal_serve(stdout, &run->scenario, &run->serve, &run->provenance, session->style);
    status = session_flush(session);
    if (status == STATUS_OK && answer == STATUS_OK)
        status = write_files(session, run);
    if (status == STATUS_OK && answer == STATUS_OK)
        status = store_run(session, run);
    if (status == STATUS_OK)
        status = answer;
    if (status == STATUS_OK && run->train.precision > options.precision.relative) {
        session_note(session, "flopcast: %s is known to %.2g%% after %zu replications",
                     options.precision.metric, 100 * run->train.precision, run->train.reps);
        status = STATUS_NO; /* outside the bound that was asked for */
    }
cleanup:
    free(run->json);
    resolved_list_free(&run->inputs);
    if (run->metrics == &run->train.metrics && run->metrics != NULL)
        train_forecast_free(&run->train);
    else if (run->metrics == &run->serve.metrics && run->metrics != NULL)
        serve_forecast_free(&run->serve);
    free(run);
    return status;
}

Status verb_train(Session *session)
{
    return forecast(session, SCENARIO_TRAINING);
}

Status verb_serve(Session *session)
{
    const CommandLine *line = &session->line;
    if (line->load != NULL || line->trace != NULL || line->slo != NULL || line->find ||
        line->fleet || line->skip_bad || line->margin >= 0)
        return serve_under_load(session);
    return forecast(session, SCENARIO_SERVING);
}
