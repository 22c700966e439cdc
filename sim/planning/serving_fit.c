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

/* Rows that a fit leaves out: a fold, a source, or none. */
typedef struct LeftOut {
    int fold;        /* -1: none */
    uint64_t source; /* 0: none */
} LeftOut;
static const LeftOut NOTHING = {.fold = -1};

static int left_out(const LeftOut *left, const ServingRow *row)
{
    return row->fold == left->fold || (left->source != 0 && row->source == left->source);
}

static int used(const ServingRow *row, const char *engine)
{
    return strcmp(row->engine, engine) == 0 && !row->held_back && row->what != CASE_LARGEST &&
           row->what != CASE_OPEN_LOOP && row->what != CASE_MEMORY;
}

/* Errors of rows, relative. */
typedef struct Judged {
    double *errors; /* NULL: not wanted */
    size_t count;
} Judged;

/* Mean |ln(predicted / measured)| of the rows that are left out (`of_left`) or of the others. */
static double objective(const ServingRows *rows, const char *engine, const LeftOut *left,
                        int of_left, const double *values, Scenario *scratch, size_t *count,
                        Judged *judged)
{
    double sum = 0;
    *count = 0;
    size_t together;
    for (size_t i = 0; i < rows->count; i += together) {
        const ServingRow *row = &rows->rows[i];
        double predicted[MOST_TOGETHER];
        together = serving_rows_together(rows, i);
        if (!used(row, engine) || left_out(left, row) != of_left)
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
                if (judged != NULL)
                    judged->errors[judged->count++] = predicted[j] / row[j].measured - 1;
            }
    }
    return *count > 0 ? sum / (double)*count : HUGE_VAL;
}

/* Of a launch that is there at all: never none. */
static int is_share(const EngineParameter *what)
{
    return !what->seconds && what->start >= 1;
}

/* One parameter's candidates around its value, the best kept. */
static int improve(const ServingRows *rows, const LeftOut *left, size_t index, Scenario *scratch,
                   EngineFit *fit)
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
        if (is_share(what))
            tried[index] = fmax(0.05, tried[index]);
        if (tried[index] == fit->values[index])
            continue;
        const double error = objective(rows, fit->engine, left, 0, tried, scratch, &count, NULL);
        if (error < fit->after - least_gain) {
            fit->after = error;
            fit->values[index] = tried[index];
            better = 1;
        }
    }
    return better;
}

/* From fit->values on; fills rows, before and after. */
static Status search(const ServingRows *rows, const LeftOut *left, const ForecastOptions *options,
                     Scenario *scratch, EngineFit *fit, Error *error)
{
    int better = 1;
    fit->before = fit->after =
        objective(rows, fit->engine, left, 0, fit->values, scratch, &fit->rows, NULL);
    for (size_t round = 0; round < MOST_ROUNDS && better && fit->rows > 0; round++) {
        better = 0;
        if (options->progress != NULL &&
            options->progress(options->progress_context, round, MOST_ROUNDS) != 0)
            return error_set(error, STATUS_INTERRUPTED, "interrupted after %zu rounds of the fit",
                             round);
        for (size_t i = 0; i < ENGINE_PARAMETERS && i * ROWS_PER_PARAMETER < fit->rows; i++)
            better |= improve(rows, left, i, scratch, fit);
    }
    return STATUS_OK;
}

/* The rows that `left` leaves out, predicted by a fit without them. It begins with an engine that
 * costs nothing: what is shipped has seen them. */
static Status judge(const ServingRows *rows, const LeftOut *left, const ForecastOptions *options,
                    const char *engine, Scenario *scratch, Judged *judged, Error *error)
{
    EngineFit fit = {0};
    size_t count;
    strncpy(fit.engine, engine, sizeof fit.engine - 1);
    for (size_t i = 0; i < ENGINE_PARAMETERS; i++)
        fit.values[i] = is_share(&ENGINE_PARAMETER[i]) ? 1 : 0;
    const Status status = search(rows, left, options, scratch, &fit, error);
    if (status == STATUS_OK && fit.rows > 0)
        objective(rows, fit.engine, left, 1, fit.values, scratch, &count, judged);
    return status;
}

static Status cross_validate(const ServingRows *rows, const ForecastOptions *options,
                             Scenario *scratch, EngineFit *fit, Error *error)
{
    Judged folds = {calloc(rows->count + 1, sizeof(double)), 0};
    Judged sources = {calloc(rows->count + 1, sizeof(double)), 0};
    Status status = STATUS_OK;
    if (folds.errors == NULL || sources.errors == NULL)
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
    for (int fold = 0; fold < SERVING_FOLDS && status == STATUS_OK; fold++) {
        const LeftOut left = {.fold = fold};
        status = judge(rows, &left, options, fit->engine, scratch, &folds, error);
    }
    for (size_t i = 0; i < rows->count && status == STATUS_OK; i++) {
        const LeftOut left = {.fold = -1, .source = rows->rows[i].source};
        int seen = !used(&rows->rows[i], fit->engine);
        for (size_t j = 0; j < i && !seen; j++)
            seen = used(&rows->rows[j], fit->engine) && rows->rows[j].source == left.source;
        if (seen)
            continue;
        fit->sources++;
        status = judge(rows, &left, options, fit->engine, scratch, &sources, error);
    }
    if (status == STATUS_OK && folds.count > 0)
        fit->by_fold = error_statistics(folds.errors, folds.count);
    if (status == STATUS_OK && fit->sources > 1 && sources.count > 0)
        fit->by_source = error_statistics(sources.errors, sources.count);
    free(folds.errors);
    free(sources.errors);
    return status;
}

Status serving_fit(const ServingRows *rows, const char *engine, int crossed,
                   const ForecastOptions *options, EngineFit *fit, Error *error)
{
    Scenario *scratch = malloc(sizeof *scratch);
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
    Status status = search(rows, &NOTHING, options, scratch, fit, error);
    if (status == STATUS_OK && fit->rows == 0)
        status =
            error_set(error, STATUS_INVALID, "the engine %.60s has no row to be fitted to", engine);
    if (status == STATUS_OK && crossed)
        status = cross_validate(rows, options, scratch, fit, error);
    free(scratch);
    return status;
}
