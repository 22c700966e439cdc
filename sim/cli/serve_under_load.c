#include "sim/cli/serve_under_load.h"

#include "configs/reader/sample.h"
#include "configs/reader/units.h"
#include "models/plan_check.h"
#include "reports/files.h"
#include "reports/load_over_time.h"
#include "reports/serve_load.h"
#include "reports/speculation.h"
#include "sim/cli/serve_find.h"
#include "sim/cli/serve_fleet.h"
#include "sim/engine/parallel.h"
#include "sim/serving/load_metrics.h"
#include "sim/serving/split.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Requests that are drawn for one load: with a tenth as warm-up the 99th percentile rests on 180.
 */
enum { DRAWN_REQUESTS = 20000 };

/* Options of `serve` that a load does not know. */
static Status check_others(const CommandLine *line, Error *error)
{
    const struct {
        const char *option;
        int given;
    } others[] = {{"--reps", line->reps > 0},
                  {"--quick", line->quick},
                  {"--detail", line->detail != DETAIL_REPLICAS},
                  {"--db", line->database != NULL}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (others[i].given) {
            error_set(error, STATUS_USAGE, "%s does not apply to serving under a load",
                      others[i].option);
            error_hint(error, "without --load, --trace, --slo, --find and --fleet it does");
            return STATUS_USAGE;
        }
    return STATUS_OK;
}

/* Which of the options of a load go together. */
static Status check_combination(const CommandLine *line, Error *error)
{
    static const char *const WORDS[] = {"nothing", "rate", "gpus", "price", "ratio"};
    if (line->fleet && (line->trace != NULL || line->find))
        return error_set(error, STATUS_USAGE, "--fleet takes neither --trace nor --find");
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
    if (line->skip_bad && line->trace == NULL)
        return error_set(error, STATUS_USAGE, "--skip-bad needs --trace");
    return check_others(line, error);
}

static Status read_options(Session *session, LoadOptions *options, Error *error)
{
    const CommandLine *line = &session->line;
    const ForecastOptions forecast = session_forecast_options(session);
    *options = (LoadOptions){.trace = line->trace,
                             .skip_bad = line->skip_bad,
                             .find_rate = line->find == FIND_RATE || line->find == FIND_RATIO,
                             .over_time = 1,
                             .requests = DRAWN_REQUESTS,
                             .seed = forecast.seed,
                             .threads = parallel_threads(forecast.threads),
                             .progress = forecast.progress,
                             .progress_context = forecast.progress_context};
    const Status status = check_combination(line, error);
    if (status != STATUS_OK)
        return status;
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

static Status read_serving(Session *session, Scenario *scenario, ResolvedList *inputs, char *sha256)
{
    const CommandLine *line = &session->line;
    ErrorList *errors = calloc(1, sizeof *errors);
    Error error;
    if (errors == NULL) {
        error_set(&error, STATUS_ENVIRONMENT, "out of memory");
        return session_fail(session, &error);
    }
    Status status = scenario_read(&session->paths, line->operands[0], line->sets, line->set_count,
                                  scenario, inputs, sha256, errors);
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

typedef struct LoadReport {
    const Scenario *scenario;
    const LoadForecast *forecast, *plain; /* plain: without drafts; NULL: there are none */
    const LoadOptions *options;
    const ResolvedList *inputs;
    const Provenance *provenance;
} LoadReport;

static void screen(FILE *out, const void *report, TerminalStyle style)
{
    const LoadReport *load = report;
    terminal_serve_load(out, load->scenario, load->forecast, load->plain, load->options,
                        load->provenance, style);
}

static Status write_workbook(const Session *session, const char *directory, const LoadReport *load,
                             Error *error)
{
    char base[NAME_BYTES], name[NAME_BYTES + 8];
    MetricSet metrics;
    session_base_name(session->line.operands[0], base, sizeof base);
    snprintf(name, sizeof name, "%s.xlsx", base);
    metrics_init(&metrics);
    Status status = load_metrics_of(load->scenario, load->forecast, &metrics, error);
    if (status == STATUS_OK)
        status = workbook_serve(directory, name, load->scenario, &metrics, load->forecast,
                                load->inputs, load->provenance, error);
    metrics_free(&metrics);
    return status;
}

static Status write_files(const Session *session, const LoadReport *load,
                          const SessionResult *result)
{
    char path[ERROR_PATH_BYTES];
    const LoadForecast *forecast = load->forecast;
    Error error;
    const char *directory = session_output_directory(session, path, sizeof path);
    if (directory == NULL)
        return STATUS_OK;
    Status status = session_save(result, directory, &error);
    if (status == STATUS_OK)
        status = write_workbook(session, directory, load, &error);
    if (status == STATUS_OK)
        status = csv_load_over_time(directory, forecast, &error);
    const int map = load->plain != NULL && forecast->speculation.count > 0;
    if (status == STATUS_OK && map)
        status = csv_speculation(directory, forecast, load->provenance, &error);
    if (status != STATUS_OK)
        return session_fail(session, &error);
    const int drawn = map && plot_speculation(directory, &load->scenario->serving.speculation,
                                              forecast, load->provenance, &error) == STATUS_OK;
    const int pictured = plot_load_over_time(directory, load->scenario, forecast, load->provenance,
                                             &error) == STATUS_OK;
    if ((map && !drawn) || !pictured)
        session_note(session, "%s", error.message);
    session_note(session, "report.txt, serve.json, workbook, load-over-time.csv%s%s%s in %s/",
                 pictured ? ", load-over-time.png" : "", map ? ", speculation.csv" : "",
                 drawn ? ", speculation.png" : "", directory);
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
    Provenance provenance = {0};
    ResolvedList inputs = {0};
    SplitTable *splits = NULL;
    char *json = NULL;
    Status status = scenario == NULL || forecast == NULL
                        ? error_set(&error, STATUS_ENVIRONMENT, "out of memory")
                        : read_options(session, &options, &error);
    if (status != STATUS_OK) {
        status = session_fail(session, &error);
        goto cleanup;
    }
    status = read_serving(session, scenario, &inputs, provenance.sha256);
    if (status != STATUS_OK)
        goto cleanup;
    provenance = session_provenance(session, provenance.sha256);
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
    const LoadReport report = {scenario, forecast, plain, &options, &inputs, &provenance};
    const SessionResult result = {json, "serve.json", screen, &report};
    status = session_show(session, &result);
    if (status == STATUS_OK)
        status = write_files(session, &report, &result);
    const int answered =
        options.find_rate ? forecast->found : forecast->point.stable && forecast->point.holds;
    if (status == STATUS_OK && !answered)
        status = STATUS_NO;
cleanup:
    free(json);
    resolved_list_free(&inputs);
    free(splits);
    free(plain);
    free(forecast);
    free(scenario);
    return status;
}
