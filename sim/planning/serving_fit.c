#include "sim/planning/serving_rows.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const EngineParameter ENGINE_PARAMETER[ENGINE_PARAMETERS] = {
    {"step_overhead", offsetof(ServingSpec, step_overhead_s), 1e-3, 0.1, 1},
    {"layer_overhead", offsetof(ServingSpec, layer_overhead_s), 2e-5, 1e-3, 1},
    {"layer_host", offsetof(ServingSpec, layer_host_s), 2e-4, 1e-2, 1},
    {"expert_layer_host", offsetof(ServingSpec, expert_layer_host_s), 2e-4, 1e-2, 1},
    {"sequence_overhead", offsetof(ServingSpec, sequence_overhead_s), 5e-6, 1e-3, 1},
    {"request_overhead", offsetof(ServingSpec, request_overhead_s), 5e-3, 0.5, 1},
    {"kernel_overhead", offsetof(ServingSpec, kernel_overhead), 0.02, 1, 0},
    {"long_pass_overhead", offsetof(ServingSpec, long_pass_overhead), 0.1, 2, 0},
    {"kernel_launch", offsetof(ServingSpec, kernel_launch), 1, 1, 0},
    {"collective_start", offsetof(ServingSpec, collective_start), 1, 1, 0},
};

enum { MOST_ROUNDS = 40, ROWS_PER_PARAMETER = 4 }; /* an engine with few rows moves few constants */
static const double least_gain = 1e-4;

static double *parameter(Scenario *scenario, size_t index)
{
    char *const serving = (char *)&scenario->serving;
    return (double *)(void *)(serving + ENGINE_PARAMETER[index].offset);
}

static int used(const ServingRow *row, const char *engine)
{
    return strcmp(row->engine, engine) == 0 && !row->held_back && row->what != CASE_LARGEST &&
           row->what != CASE_OPEN_LOOP && row->what != CASE_MEMORY;
}

static double objective(const ServingRows *rows, const char *engine, const double *values,
                        Scenario *scratch, size_t *count)
{
    double sum = 0;
    *count = 0;
    size_t together;
    for (size_t i = 0; i < rows->count; i += together) {
        const ServingRow *row = &rows->rows[i];
        double predicted[MOST_TOGETHER];
        together = serving_rows_together(rows, i);
        if (!used(row, engine))
            continue;
        *scratch = *row->scenario;
        for (size_t j = 0; j < ENGINE_PARAMETERS; j++)
            *parameter(scratch, j) = values[j];
        if (serving_rows_predict(row, together, scratch, predicted, NULL) != STATUS_OK)
            continue;
        for (size_t j = 0; j < together; j++)
            if (predicted[j] > 0) {
                sum += fabs(log(predicted[j] / row[j].measured));
                ++*count;
            }
    }
    return *count > 0 ? sum / (double)*count : HUGE_VAL;
}

/* One parameter's candidates around its value, the best kept. */
static int improve(const ServingRows *rows, size_t index, Scenario *scratch, EngineFit *fit)
{
    static const double FACTORS[] = {0, 0.5, 0.75, 0.9, 1.1, 1.33, 2};
    const EngineParameter *what = &ENGINE_PARAMETER[index];
    const double value = fit->values[index];
    int better = 0;
    for (size_t i = 0; i < sizeof FACTORS / sizeof FACTORS[0]; i++) {
        const double from = value > 0 ? value * FACTORS[i] : what->start * FACTORS[i];
        double tried[ENGINE_PARAMETERS];
        size_t count;
        memcpy(tried, fit->values, sizeof tried);
        tried[index] = fmin(what->maximum, from);
        if (!what->seconds && what->start >= 1)
            tried[index] = fmax(0.05, tried[index]);
        if (tried[index] == fit->values[index])
            continue;
        const double error = objective(rows, fit->engine, tried, scratch, &count);
        if (error < fit->after - least_gain) {
            fit->after = error;
            fit->values[index] = tried[index];
            better = 1;
        }
    }
    return better;
}

Status serving_fit(const ServingRows *rows, const char *engine, const ForecastOptions *options,
                   EngineFit *fit, Error *error)
{
    Scenario *scratch = malloc(sizeof *scratch);
    int better = 1;
    if (scratch == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    memset(fit, 0, sizeof *fit);
    strncpy(fit->engine, engine, sizeof fit->engine - 1);
    for (size_t i = 0; i < rows->count; i++)
        if (used(&rows->rows[i], engine)) {
            *scratch = *rows->rows[i].scenario;
            for (size_t j = 0; j < ENGINE_PARAMETERS; j++)
                fit->values[j] = *parameter(scratch, j);
        }
    fit->before = fit->after = objective(rows, engine, fit->values, scratch, &fit->rows);
    for (size_t round = 0; round < MOST_ROUNDS && better && fit->rows > 0; round++) {
        better = 0;
        if (options->progress != NULL &&
            options->progress(options->progress_context, round, MOST_ROUNDS) != 0) {
            free(scratch);
            return error_set(error, STATUS_INTERRUPTED, "interrupted after %zu rounds of the fit",
                             round);
        }
        for (size_t i = 0; i < ENGINE_PARAMETERS && i * ROWS_PER_PARAMETER < fit->rows; i++)
            better |= improve(rows, i, scratch, fit);
    }
    free(scratch);
    return fit->rows > 0 ? STATUS_OK
                         : error_set(error, STATUS_INVALID,
                                     "the engine %.60s has no row to be fitted to", engine);
}
