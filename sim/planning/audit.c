#include "sim/planning/audit.h"

#include "models/plan_check.h"
#include "sim/planning/verdict.h"
#include "sim/serving/load_metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_error(ErrorList *errors, const ClaimFile *file, int line, int column,
                      const Error *error)
{
    Error located = *error;
    if (located.file[0] == '\0') {
        snprintf(located.file, sizeof located.file, "%s", file->path);
        located.line = line;
        located.column = column;
    }
    error_list_add(errors, &located);
}

/* The overrides of a scenario: its own in the claim file, then those of the command line. */
static Status collect_sets(const ClaimScenario *spec, const char *const *sets, size_t set_count,
                           const char ***all, size_t *count, Error *error)
{
    *count = spec->set_count + set_count;
    *all = calloc(*count + 1, sizeof **all);
    if (*all == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    for (size_t i = 0; i < spec->set_count; i++)
        (*all)[i] = spec->sets[i];
    for (size_t i = 0; i < set_count; i++)
        (*all)[spec->set_count + i] = sets[i];
    return STATUS_OK;
}

static Status simulate(const ForecastOptions *options, AuditScenario *entry, Error *error)
{
    ForecastOptions own = *options;
    if (entry->spec->reps > 0)
        own.reps =
            (size_t)entry->spec->reps < options->reps ? (size_t)entry->spec->reps : options->reps;
    Status status = plan_check(&entry->scenario, error);
    if (status != STATUS_OK)
        return status;
    if (entry->scenario.kind == SCENARIO_SERVING && entry->spec->under_load) {
        status = load_metrics(&entry->scenario, &own, &entry->load, error);
        entry->metrics = &entry->load;
        entry->serve.reps = own.reps;
        if (status == STATUS_NO) {
            entry->infeasible = 1;
            snprintf(entry->reason, sizeof entry->reason, "%s", error->message);
            status = STATUS_OK;
        }
    } else if (entry->scenario.kind == SCENARIO_TRAINING) {
        status = train_forecast(&entry->scenario, &own, &entry->train, error);
        entry->metrics = &entry->train.metrics;
        if (status == STATUS_NO) {
            entry->infeasible = 1;
            snprintf(entry->reason, sizeof entry->reason, "%s", error->message);
            status = STATUS_OK;
        }
    } else {
        status = serve_forecast(&entry->scenario, &own, &entry->serve, error);
        entry->metrics = &entry->serve.metrics;
        if (status == STATUS_OK && !entry->serve.memory.fits) {
            entry->infeasible = 1;
            snprintf(entry->reason, sizeof entry->reason, "%s", entry->serve.memory.reason);
        }
    }
    return status;
}

/* A wrong `set:` of the claim file is an error of that file, not of the command line. */
static Status blame_claim_file(const ConfigPaths *paths, const ClaimFile *file,
                               AuditScenario *entry, ErrorList *errors, size_t first)
{
    const char *own[MAX_CLAIM_SETS];
    const ClaimScenario *spec = entry->spec;
    ErrorList *ignored = calloc(1, sizeof *ignored);
    if (ignored == NULL)
        return STATUS_ENVIRONMENT;
    for (size_t i = 0; i < spec->set_count; i++)
        own[i] = spec->sets[i];
    Status status = scenario_read(paths, spec->scenario, own, spec->set_count, &entry->scenario,
                                  NULL, entry->sha256, ignored);
    free(ignored);
    if (status != STATUS_USAGE)
        return STATUS_USAGE;
    for (size_t i = first; i < errors->count; i++) {
        Error *error = &errors->errors[i];
        snprintf(error->file, sizeof error->file, "%s", file->path);
        error->line = spec->line;
        error->column = spec->column;
        error->status = STATUS_INVALID;
    }
    return STATUS_INVALID;
}

/* Reads all scenarios first, so that every error of the input is reported before anything is
 * simulated. */
static Status read_scenarios(const ConfigPaths *paths, const ClaimFile *file,
                             const char *const *sets, size_t set_count, AuditResult *result,
                             ErrorList *errors)
{
    Status worst = STATUS_OK;
    for (size_t i = 0; i < file->scenario_count; i++) {
        AuditScenario *entry = &result->scenarios[i];
        Error error;
        const char **all = NULL;
        size_t count = 0;
        entry->spec = &file->scenarios[i];
        result->scenario_count = i + 1;
        Status status = collect_sets(entry->spec, sets, set_count, &all, &count, &error);
        size_t errors_before = errors->count;
        if (status == STATUS_OK)
            status = scenario_read(paths, entry->spec->scenario, all, count, &entry->scenario, NULL,
                                   entry->sha256, errors);
        else
            error_list_add(errors, &error);
        if (status == STATUS_USAGE)
            status = blame_claim_file(paths, file, entry, errors, errors_before);
        free(all);
        if (status == STATUS_OK) {
            status = plan_check(&entry->scenario, &error);
            if (status != STATUS_OK)
                add_error(errors, file, entry->spec->line, entry->spec->column, &error);
        }
        if (status != STATUS_OK)
            worst = status;
        if (strcmp(file->headline, entry->spec->name) == 0)
            result->headline = entry;
    }
    return worst;
}

static Status judge_all(const ClaimFile *file, AuditResult *result, ErrorList *errors)
{
    const char *names[MAX_CLAIM_SCENARIOS];
    const MetricSet *metrics[MAX_CLAIM_SCENARIOS];
    for (size_t i = 0; i < result->scenario_count; i++) {
        names[i] = result->scenarios[i].spec->name;
        metrics[i] = result->scenarios[i].metrics;
    }
    ExpressionScope scope = {result->scenario_count, names, metrics};
    Status worst = STATUS_OK;
    for (size_t i = 0; i < file->claim_count; i++) {
        const Claim *claim = &file->claims[i];
        Error error;
        Status status = claim_judge(claim, &scope, &result->claims[i], &error);
        if (status != STATUS_OK) {
            Error located;
            error_set(&located, status, "claim %s: %s", claim->id, error.message);
            error_hint(&located, "%s", error.hint);
            add_error(errors, file, claim->line, claim->column, &located);
            worst = status;
        }
        result->verdicts[result->claims[i].verdict]++;
    }
    return worst;
}

size_t drivers_find(const MetricSet *metrics, const char *target, Driver *drivers, size_t capacity)
{
    const Metric *days = metrics_find(metrics, target);
    size_t count = 0;
    if (days == NULL || days->count < 3)
        return 0;
    for (size_t i = 0; i < metrics->count; i++) {
        const Metric *metric = &metrics->metrics[i];
        Driver driver;
        if (strncmp(metric->name, "input.", 6) != 0 || metric->count != days->count)
            continue;
        if (statistics_rank_correlation(metric->values, days->values, days->count, &driver.rho,
                                        NULL) != STATUS_OK)
            continue;
        snprintf(driver.input, sizeof driver.input, "%s", metric->name + 6);
        /* insertion by strength; equal strengths keep the order of the inputs */
        size_t at = count < capacity ? count : capacity;
        while (at > 0 && fabs(drivers[at - 1].rho) < fabs(driver.rho))
            at--;
        if (at == capacity)
            continue;
        size_t last = count < capacity ? count : capacity - 1;
        memmove(&drivers[at + 1], &drivers[at], (last - at) * sizeof *drivers);
        drivers[at] = driver;
        if (count < capacity)
            count++;
    }
    return count;
}

Status audit_run(const ConfigPaths *paths, const ClaimFile *file, const char *const *sets,
                 size_t set_count, const ForecastOptions *options, AuditResult *result,
                 ErrorList *errors)
{
    Error error;
    Status status;
    memset(result, 0, sizeof *result);
    result->file = file;
    result->scenarios = calloc(file->scenario_count + 1, sizeof *result->scenarios);
    result->claims = calloc(file->claim_count + 1, sizeof *result->claims);
    if (result->scenarios == NULL || result->claims == NULL) {
        status = error_set(&error, STATUS_ENVIRONMENT, "out of memory");
        error_list_add(errors, &error);
        goto cleanup;
    }
    status = read_scenarios(paths, file, sets, set_count, result, errors);
    for (size_t i = 0; i < result->scenario_count && status == STATUS_OK; i++) {
        const ClaimScenario *spec = &file->scenarios[i];
        status = simulate(options, &result->scenarios[i], &error);
        if (status != STATUS_OK)
            add_error(errors, file, spec->line, spec->column, &error);
    }
    if (status == STATUS_OK)
        status = judge_all(file, result, errors);
    if (status == STATUS_OK && result->headline != NULL && result->headline->metrics != NULL)
        result->driver_count =
            drivers_find(result->headline->metrics, "run.days", result->drivers, MAX_DRIVERS);
cleanup:
    if (status != STATUS_OK)
        audit_free(result);
    return status;
}

void audit_free(AuditResult *result)
{
    for (size_t i = 0; i < result->scenario_count; i++) {
        AuditScenario *entry = &result->scenarios[i];
        if (entry->metrics == NULL)
            continue;
        metrics_free(&entry->load);
        if (entry->scenario.kind == SCENARIO_TRAINING)
            train_forecast_free(&entry->train);
        else
            serve_forecast_free(&entry->serve);
    }
    free(result->scenarios);
    free(result->claims);
    memset(result, 0, sizeof *result);
}
