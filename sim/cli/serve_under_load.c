#include "sim/cli/serve_under_load.h"

#include "configs/reader/sample.h"
#include "configs/reader/units.h"
#include "models/plan_check.h"
#include "reports/files.h"
#include "reports/serve_load.h"
#include "reports/speculation.h"
#include "sim/cli/serve_find.h"
#include "sim/cli/serve_fleet.h"
#include "sim/serving/split.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Requests that are drawn for one load: with a tenth as warm-up the 99th percentile rests on 180.
 */
enum { DRAWN_REQUESTS = 20000 };

static Status read_options(Session *session, LoadOptions *options, Error *error)
{
    const CommandLine *line = &session->line;
    const ForecastOptions forecast = session_forecast_options(session);
    *options = (LoadOptions){.trace = line->trace,
                             .skip_bad = line->skip_bad,
                             .find_rate = line->find == FIND_RATE || line->find == FIND_RATIO,
                             .requests = DRAWN_REQUESTS,
                             .seed = forecast.seed,
                             .progress = forecast.progress,
                             .progress_context = forecast.progress_context};
    static const char *const WORDS[] = {"nothing", "rate", "gpus", "price", "ratio"};
    if (line->load != NULL && line->find && line->find != FIND_GPUS)
        return error_set(error, STATUS_USAGE, "--load and --find %s exclude each other",
                         WORDS[line->find]);
    if (line->find == FIND_GPUS && line->load == NULL) {
        error_set(error, STATUS_USAGE, "--find gpus needs --load");
        error_hint(error, "requests per second that the GPUs are to serve");
        return STATUS_USAGE;
    }
    if (line->find && line->slo == NULL) {
        error_set(error, STATUS_USAGE, "--find %s needs --slo", WORDS[line->find]);
        error_hint(error, "for example --slo 'ttft<2s,tpot<33ms'");
        return STATUS_USAGE;
    }
    if (line->margin >= 0 && !(line->find == FIND_PRICE && line->margin < 1))
        return error_set(error, STATUS_USAGE,
                         "--margin goes with --find price and is a share below 1");
    if (line->fleet && (line->trace != NULL || line->find))
        return error_set(error, STATUS_USAGE, "--fleet takes neither --trace nor --find");
    if (line->skip_bad && line->trace == NULL)
        return error_set(error, STATUS_USAGE, "--skip-bad needs --trace");
    if (line->load != NULL &&
        !units_parse(DIMENSION_COUNT, NULL, line->load, &options->rate_per_s, error)) {
        error->status = STATUS_USAGE;
        error_hint(error, "requests per second, for example 25 or 1.5k");
        return STATUS_USAGE;
    }
    if (line->load != NULL && !(options->rate_per_s > 0 && options->rate_per_s <= 1e9)) {
        error_set(error, STATUS_USAGE, "--load: '%.40s' is no rate", line->load);
        error_hint(error, "requests per second, above 0, at most 1e9");
        return STATUS_USAGE;
    }
    return line->slo != NULL ? slo_parse(line->slo, &options->slo, error) : STATUS_OK;
}

static Status read_serving(Session *session, Scenario *scenario, Provenance *provenance)
{
    const CommandLine *line = &session->line;
    ErrorList *errors = calloc(1, sizeof *errors);
    Error error;
    if (errors == NULL) {
        error_set(&error, STATUS_ENVIRONMENT, "out of memory");
        return session_fail(session, &error);
    }
    Status status = scenario_read(&session->paths, line->operands[0], line->sets, line->set_count,
                                  scenario, NULL, provenance->sha256, errors);
    if (status != STATUS_OK) {
        status = session_fail_list(session, status, errors);
    } else if (scenario->kind != SCENARIO_SERVING) {
        error_set(&error, STATUS_INVALID, "'%s' is a training scenario", line->operands[0]);
        error_hint(&error, "use 'flopcast train %s'", line->operands[0]);
        status = session_fail(session, &error);
    } else if (plan_check(scenario, &error) != STATUS_OK) {
        snprintf(error.file, sizeof error.file, "%s", line->operands[0]);
        status = session_fail(session, &error);
    }
    free(errors);
    return status;
}

static Status write_files(const Session *session, const Scenario *scenario,
                          const LoadForecast *forecast, const LoadForecast *plain,
                          const LoadOptions *options, const Provenance *provenance,
                          const char *json)
{
    char base[NAME_BYTES], path[ERROR_PATH_BYTES];
    TextFile file;
    Error error;
    const TerminalStyle no_color = {0};
    session_base_name(session->line.operands[0], base, sizeof base);
    const char *directory = session_output_directory(session, base, path, sizeof path);
    if (directory == NULL)
        return STATUS_OK;
    Status status = files_make_directory(directory, &error);
    if (status == STATUS_OK)
        status = files_write_text(directory, "serve.json", json, &error);
    if (status == STATUS_OK)
        status = files_begin(&file, &error);
    if (status == STATUS_OK) {
        terminal_serve_load(file.out, scenario, forecast, plain, options, provenance, no_color);
        status = files_finish(&file, directory, "report.txt", &error);
    }
    if (status == STATUS_OK && plain != NULL)
        status = speculation_files(directory, &scenario->serving.speculation, forecast, provenance,
                                   &error);
    if (status != STATUS_OK)
        return session_fail(session, &error);
    session_note(session, "%s in %s/",
                 plain == NULL ? "report.txt and serve.json"
                               : "report.txt, serve.json, speculation.csv and speculation.png",
                 directory);
    return STATUS_OK;
}

/* The same load without drafts, to be held against it. */
static Status without_speculation(const Scenario *scenario, const LoadOptions *options,
                                  LoadForecast **plain, Error *error)
{
    Scenario *other = malloc(sizeof *other);
    Status status = STATUS_OK;
    *plain = calloc(1, sizeof **plain);
    if (other == NULL || *plain == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    scenario_midpoint(scenario, other);
    other->serving.speculation.length = 0;
    status = serve_load(other, options, *plain, error);
cleanup:
    free(other);
    return status;
}

/* The best split of the cluster's GPUs takes the place of its own. */
static Status find_split(Session *session, Scenario *scenario, const LoadOptions *options,
                         SplitTable **splits, Error *error)
{
    *splits = malloc(sizeof **splits);
    if (*splits == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    const size_t threads = session_forecast_options(session).threads;
    const Status status = serve_splits(scenario, options, threads, *splits, error);
    if (status == STATUS_OK && (*splits)->found) {
        const SplitPoint *best = &(*splits)->points[(*splits)->best];
        scenario->serving.disaggregated.prefill.replicas = best->prefill;
        scenario->serving.disaggregated.decode.replicas = best->decode;
    }
    return status;
}

Status serve_under_load(Session *session)
{
    Error error = {0};
    LoadOptions options;
    Scenario *scenario = calloc(1, sizeof *scenario);
    LoadForecast *forecast = calloc(1, sizeof *forecast), *plain = NULL;
    Provenance provenance = {.verb = session->line.verb->name,
                             .scenario = session->line.operands[0],
                             .seed = session->line.seed,
                             .reps = 1,
                             .set_count = session->line.set_count,
                             .sets = session->line.sets};
    SplitTable *splits = NULL;
    char *json = NULL;
    Status status = scenario == NULL || forecast == NULL
                        ? error_set(&error, STATUS_ENVIRONMENT, "out of memory")
                        : read_options(session, &options, &error);
    if (status != STATUS_OK) {
        status = session_fail(session, &error);
        goto cleanup;
    }
    status = read_serving(session, scenario, &provenance);
    if (status != STATUS_OK)
        goto cleanup;
    if (session->line.fleet) {
        status = serve_fleet(session, scenario, &options, &provenance);
        goto cleanup;
    }
    if (session->line.find == FIND_GPUS || session->line.find == FIND_PRICE) {
        status = serve_find(session, scenario, &options, &provenance);
        goto cleanup;
    }
    if (session->line.find == FIND_RATIO)
        status = find_split(session, scenario, &options, &splits, &error);
    if (status == STATUS_OK)
        status = serve_load(scenario, &options, forecast, &error);
    forecast->splits = splits;
    if (status == STATUS_OK && scenario->serving.speculation.length > 0)
        status = without_speculation(scenario, &options, &plain, &error);
    session_progress_clear(session);
    if (status == STATUS_OK) {
        json = json_serve_load(scenario, forecast, plain, &options, &provenance, &error);
        status = json != NULL ? STATUS_OK : STATUS_ENVIRONMENT;
    }
    if (status != STATUS_OK) {
        status = session_fail(session, &error);
        goto cleanup;
    }
    if (session->line.json)
        fputs(json, stdout);
    else
        terminal_serve_load(stdout, scenario, forecast, plain, &options, &provenance,
                            session->style);
    status = session_flush(session);
    if (status == STATUS_OK)
        status = write_files(session, scenario, forecast, plain, &options, &provenance, json);
    const int answered =
        options.find_rate ? forecast->found : forecast->point.stable && forecast->point.holds;
    if (status == STATUS_OK && !answered)
        status = STATUS_NO;
cleanup:
    free(json);
    free(splits);
    free(plain);
    free(forecast);
    free(scenario);
    return status;
}
