/* Rows of serving held against their predictions, as many at a time as there are threads. */
#include "sim/engine/parallel.h"
#include "sim/planning/serving_rows.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The numbers of one row of the table, which share a simulation. */
typedef struct Task {
    size_t first, count;
    double predicted[MOST_TOGETHER];
    Status status; /* STATUS_NO: the plan does not fit, and `reason` says why */
    char reason[128];
} Task;

typedef struct Validation {
    const ServingRows *rows;
    const ForecastOptions *options;
    size_t task_count;
    Task *tasks;
    atomic_size_t done;
} Validation;

/* Adds one predicted row. */
static void add_row(const ServingRow *row, double predicted, KernelValidation *result)
{
    const int rate = row->metric == METRIC_INPUT_PER_S || row->metric == METRIC_OUTPUT_PER_S ||
                     row->metric == METRIC_STEADY_PER_S_PER_GPU ||
                     row->metric == METRIC_REQUESTS_PER_S;
    const int token = row->metric == METRIC_TOKEN_S || row->metric == METRIC_TOKEN_SHARE_S ||
                      row->metric == METRIC_TPOT_MEAN_S || row->metric == METRIC_TPOT_P99_S;
    KernelRow added = {.line = row->line,
                       .measured_s = row->measured,
                       .predicted_s = predicted,
                       .held_back = row->held_back};
    /* An open loop of the table is the largest rate its limits allowed: at saturation. */
    const char *const kind = row->what == CASE_OPEN_LOOP     ? "latency at saturation"
                             : rate                          ? "throughput"
                             : token                         ? "time per token"
                             : row->metric == METRIC_BATCH_S ? "whole batch"
                             : row->metric == METRIC_FITS    ? "memory"
                             : row->queued                   ? "first token, queued"
                                                             : "first token";
    const char *const labels[] = {kind, SERVING_METRIC_WORDS[row->metric], row->engine, row->gpu,
                                  row->model};
    memcpy(added.id, row->label, sizeof added.id);
    memcpy(added.assumed, row->assumed, sizeof added.assumed);
    for (size_t j = 0; j < sizeof labels / sizeof *labels; j++)
        strncpy(added.group[j], labels[j], KERNEL_LABEL_BYTES - 1);
    kernel_validation_add(result, &added);
}

static Status validate_task(void *context, size_t index, size_t worker, Error *error)
{
    Validation *validation = context;
    const ForecastOptions *options = validation->options;
    Task *task = &validation->tasks[index];
    const ServingRow *row = &validation->rows->rows[task->first];
    Error reason = {0};
    task->status = serving_rows_predict(row, task->count, row->scenario, task->predicted, &reason);
    if (task->status != STATUS_OK && task->status != STATUS_NO) {
        *error = reason;
        return task->status;
    }
    snprintf(task->reason, sizeof task->reason, "%.100s", reason.message);
    const size_t done = atomic_fetch_add(&validation->done, 1) + 1;
    if (worker != 0 || options->progress == NULL ||
        options->progress(options->progress_context, done, validation->task_count) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_INTERRUPTED, "interrupted after %zu of %zu rows", done,
                     validation->task_count);
}

static void list_tasks(Validation *validation, KernelPart part)
{
    const ServingRows *rows = validation->rows;
    size_t count;
    for (size_t i = 0; i < rows->count; i += count) {
        count = serving_rows_together(rows, i);
        if (kernel_part_has(part, rows->rows[i].held_back))
            validation->tasks[validation->task_count++] = (Task){.first = i, .count = count};
    }
}

static void add_task(const Validation *validation, const Task *task, KernelValidation *result)
{
    const ServingRow *row = &validation->rows->rows[task->first];
    for (size_t j = 0; j < task->count; j++)
        if (task->status == STATUS_NO || !(task->predicted[j] > 0))
            kernel_validation_skip(result, row[j].line, row[j].id, "%.100s",
                                   task->status == STATUS_NO ? task->reason
                                                             : "no rate holds the latency limits");
        else
            add_row(&row[j], task->predicted[j], result);
}

Status serving_validate(const ServingRows *rows, KernelPart part, const char *file,
                        const ForecastOptions *options, KernelValidation *result, Error *error)
{
    static const char *const GROUPS[] = {"kind", "metric", "engine", "GPU", "model", NULL};
    Validation validation = {.rows = rows, .options = options};
    Status status = kernel_validation_start(result, "serving", GROUPS,
                                            rows->count + rows->skipped_count, error);
    validation.tasks = calloc(rows->count + 1, sizeof *validation.tasks);
    if (status == STATUS_OK && validation.tasks == NULL)
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
    if (status != STATUS_OK)
        goto cleanup;
    list_tasks(&validation, part);
    status =
        parallel_for(validation.task_count, options->threads, validate_task, &validation, error);
    for (size_t i = 0; i < validation.task_count && status == STATUS_OK; i++)
        add_task(&validation, &validation.tasks[i], result);
    for (size_t i = 0; i < rows->skipped_count && status == STATUS_OK; i++)
        kernel_validation_skip(result, rows->skipped[i].line, rows->skipped[i].id, "%s",
                               rows->skipped[i].reason);
    if (status == STATUS_OK)
        status = kernel_validation_summarise(result, file, error);
cleanup:
    free(validation.tasks);
    return status;
}
