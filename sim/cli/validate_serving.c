/* `validate` on a table of serving measurements. */
#include "configs/reader/units.h"
#include "reports/serving_validation.h"
#include "sim/cli/validate_kernels.h"
#include "sim/cli/validate_kinds.h"
#include "sim/planning/deployment_fit.h"
#include "sim/planning/serving_points.h"
#include "sim/planning/serving_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Status report(Session *session, const CsvTable *table, const KernelValidation *result)
{
    const CommandLine *line = &session->line;
    Error error = {0};
    const Provenance provenance = session_provenance(session, table->sha256);
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

static double three_digits(double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.3g", value);
    return strtod(text, NULL);
}

/* The name of an engine as rows have it. */
static const char *engine_named(const char *name)
{
    return strncmp(name, "engine-", strlen("engine-")) == 0 ? name + strlen("engine-") : name;
}

/* Prints the fitted lines of an engine's file. */
static Status fit_engines(Session *session, const ServingRows *rows)
{
    const CommandLine *line = &session->line;
    const ForecastOptions options = session_forecast_options(session);
    Error error = {0};
    for (size_t i = 0; i < line->fit_count; i++) {
        EngineFit fit;
        const Status status = serving_fit(rows, engine_named(line->fits[i]), line->split == NULL,
                                          &options, &fit, &error);
        session_progress_clear(session);
        if (status != STATUS_OK)
            return session_fail(session, &error);
        printf("# engine-%s.yaml: %zu rows\n", fit.engine, fit.rows);
        if (fit.by_fold.n > 0)
            printf("# each fold of %d left out once: %zu rows, median %.1f%%, p90 %.1f%%\n",
                   SERVING_FOLDS, fit.by_fold.n, 100 * fit.by_fold.median_abs,
                   100 * fit.by_fold.p90_abs);
        if (fit.by_source.n > 0)
            printf("# each of %zu sources left out once: %zu rows, median %.1f%%, p90 %.1f%%\n",
                   fit.sources, fit.by_source.n, 100 * fit.by_source.median_abs,
                   100 * fit.by_source.p90_abs);
        for (size_t j = 0; j < ENGINE_PARAMETERS; j++) {
            char value[UNITS_TEXT_BYTES];
            units_format(ENGINE_PARAMETER[j].seconds ? DIMENSION_SECONDS : DIMENSION_FRACTION,
                         three_digits(fit.values[j]), value);
            printf(
                "%s: {value: %s, source: \"fitted to %zu pool rows of serving.csv: mean error of "
                "ln %.3f -> %.3f\"}\n",
                ENGINE_PARAMETER[j].key, value, fit.rows, fit.before, fit.after);
        }
    }
    return session_flush(session);
}

/* The same from deployments, and what its kind of fit reaches on rows that were left out (with
 * --split fitted: not that). */
static Status fit_deployments(Session *session, const ServingRows *rows)
{
    static const char *const KINDS[] = {"first token", "time per token", "throughput"};
    const CommandLine *line = &session->line;
    const ForecastOptions options = session_forecast_options(session);
    const int crossed = line->split == NULL;
    Error error = {0};
    for (size_t i = 0; i < line->fit_count; i++) {
        DeploymentFit fit;
        const Status status =
            deployment_fit(rows, engine_named(line->fits[i]), crossed, &options, &fit, &error);
        session_progress_clear(session);
        if (status != STATUS_OK)
            return session_fail(session, &error);
        printf("# engine-%s.yaml: %zu rows, mean error of ln %.3f -> %.3f\n", fit.engine, fit.rows,
               fit.before, fit.after);
        for (size_t kind = 0; crossed && kind < sizeof KINDS / sizeof KINDS[0]; kind++)
            printf("# each fold of %d left out once: %-15s %4zu rows, median %.1f%%, p90 %.1f%%\n",
                   SERVING_FOLDS, KINDS[kind], fit.crossed[kind].n,
                   100 * fit.crossed[kind].median_abs, 100 * fit.crossed[kind].p90_abs);
        for (size_t j = 0; j < DEPLOYMENT_PARAMETERS; j++) {
            char value[UNITS_TEXT_BYTES];
            units_format(DEPLOYMENT_PARAMETER[j].seconds ? DIMENSION_SECONDS : DIMENSION_FRACTION,
                         three_digits(fit.values[j]), value);
            printf("%s: {value: %s, source: \"fitted to %zu rows of deployments.csv\"}\n",
                   DEPLOYMENT_PARAMETER[j].key, value, fit.rows);
        }
    }
    return session_flush(session);
}

/* A kind of table: how it is read, and how engines are fitted to it. */
typedef Status (*EnginesFit)(Session *session, const ServingRows *rows);
typedef Status (*ServingReader)(const ConfigPaths *paths, const CsvTable *table,
                                const char *const *sets, size_t set_count, ServingRows *rows,
                                Error *error);

static Status validate_rows(Session *session, const CsvTable *table, ServingReader read,
                            EnginesFit fit)
{
    const CommandLine *line = &session->line;
    const ForecastOptions options = session_forecast_options(session);
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
        status = read(&session->paths, table, line->sets, line->set_count, &rows, &error);
    if (status == STATUS_OK && line->fit_count > 0) {
        status = fit(session, &rows);
        serving_rows_free(&rows);
        return status;
    }
    if (status == STATUS_OK)
        status = serving_validate(&rows, part, table->file, &options, &result, &error);
    session_progress_clear(session);
    status = status == STATUS_OK ? report(session, table, &result) : session_fail(session, &error);
    kernel_validation_free(&result);
    serving_rows_free(&rows);
    return status;
}

Status validate_serving(Session *session, const CsvTable *table)
{
    return validate_rows(session, table, serving_rows_read, fit_engines);
}

Status validate_deployments(Session *session, const CsvTable *table)
{
    return validate_rows(session, table, serving_points_read, fit_deployments);
}
