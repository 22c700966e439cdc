#include "sim/planning/validate.h"

#include "models/memory.h"
#include "models/plan_check.h"
#include "sim/engine/parallel.h"
#include "sim/planning/measured_step.h"
#include "sim/planning/validate_ratios.h"
#include "sim/planning/validate_summary.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one row -----------------------------------------------------------------------------------
 */

/* A row on its way: which base, then either a prediction or a reason. */
typedef struct Task {
    const Measurement *row;
    const MeasuredBase *base;
    int skipped;
    char reason[SKIP_REASON_BYTES];
    ValidatedRow outcome;
} Task;

typedef struct Validation {
    const MeasuredRules *rules;
    const ForecastOptions *options;
    Task *tasks;
    size_t task_count;
    MeasuredStep **workers;
    atomic_size_t done;
} Validation;

static void fill_setup(const Scenario *scenario, double setup[SETUP_FEATURES])
{
    const TrainingSpec *training = &scenario->training;
    const ParallelSpec *parallel = &training->parallel;
    const NodeSpec *node = &scenario->hardware.node;
    const int has_experts = scenario->model.experts > 1;
    setup[SETUP_GPUS] = scenario->hardware.gpus;
    setup[SETUP_DATA] = parallel->data;
    setup[SETUP_BATCH] = training->batch_tokens / training->sequence_length;
    setup[SETUP_SEQUENCE] = training->sequence_length;
    setup[SETUP_MICRO] = parallel->micro_batch;
    setup[SETUP_TENSOR] = parallel->tensor;
    setup[SETUP_PIPELINE] = parallel->pipeline;
    setup[SETUP_CONTEXT] = plan_context_ways(parallel);
    setup[SETUP_EXPERT] = has_experts ? parallel->expert : 1;
    setup[SETUP_EXPERT_TENSOR] = has_experts ? plan_expert_tensor_ways(parallel) : 1;
    setup[SETUP_ZERO] = parallel->zero_stage;
    setup[SETUP_SHARDS] = plan_shard_ranks(parallel);
    setup[SETUP_SCHEDULE] = parallel->schedule;
    setup[SETUP_CHUNKS] = fmax(1, parallel->virtual_stages);
    setup[SETUP_RECOMPUTE] = parallel->recompute;
    setup[SETUP_PRECISION] = training->precision;
    setup[SETUP_NETWORK] = node->nics * node->nic_bytes_per_s;
}

static Status validate_row(MeasuredStep *worker, const Validation *validation, Task *task,
                           Error *error)
{
    ValidatedRow *outcome = &task->outcome;
    const unsigned long long seed = validation->options->seed;
    double penalty_share = 0;
    MemoryPlan memory;
    outcome->row = task->row;
    outcome->hardware = measured_base_hardware(task->base);
    outcome->stack = measured_base_stack(task->base);
    Status status =
        measured_scenario(task->base, task->row, &worker->scenario, &outcome->defaults, error);
    if (status == STATUS_OK)
        status = measured_tokens_per_s(validation->rules, task->row, &worker->scenario,
                                       &outcome->measured, &outcome->defaults, error);
    if (status == STATUS_OK)
        status = measured_step_penalty(worker, seed, &penalty_share, error);
    if (status == STATUS_OK)
        status = measured_step_rate(worker, seed, penalty_share, &outcome->predicted, error);
    if (status != STATUS_OK)
        return status;
    memory_plan(&worker->scenario, &memory);
    fill_setup(&worker->scenario, outcome->setup);
    outcome->fits = memory.fits;
    outcome->memory_bytes = memory.worst.total_bytes;
    outcome->capacity_bytes = memory.capacity_bytes;
    outcome->error = outcome->predicted / outcome->measured - 1.0;
    measured_layout(&worker->scenario, outcome->layout);
    return STATUS_OK;
}

static void skip(Task *task, const Error *error)
{
    task->skipped = 1;
    snprintf(task->reason, sizeof task->reason, "%.*s", SKIP_REASON_BYTES - 1, error->message);
}

static Status validate_index(void *context, size_t index, size_t worker, Error *error)
{
    Validation *validation = context;
    const ForecastOptions *options = validation->options;
    Task *task = &validation->tasks[index];
    Error reason = {0};
    if (!task->skipped) {
        Status status = validate_row(validation->workers[worker], validation, task, &reason);
        if (status == STATUS_ENVIRONMENT) {
            *error = reason;
            return status;
        }
        if (status != STATUS_OK)
            skip(task, &reason);
    }
    size_t done = atomic_fetch_add(&validation->done, 1) + 1;
    if (worker != 0 || options->progress == NULL ||
        options->progress(options->progress_context, done, validation->task_count) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_INTERRUPTED, "interrupted after %zu of %zu rows", done,
                     validation->task_count);
}

/* Whether `name` is one of the names in `list`, commas between them. */
static int is_listed(const char *list, const char *name)
{
    const size_t length = strlen(name);
    for (const char *at = list;; at++) {
        const size_t here = strcspn(at, ",");
        if (here == length && strncmp(at, name, length) == 0)
            return 1;
        at += here;
        if (*at == '\0')
            return 0;
    }
}

/* ---- all rows ----------------------------------------------------------------------------------
 */

/* Bases are read one after the other; the rows of one base then share it between threads. */
static Status find_bases(Validation *validation, MeasuredBases *bases, Error *error)
{
    for (size_t i = 0; i < validation->task_count; i++) {
        Task *task = &validation->tasks[i];
        Error reason = {0};
        Status status = measured_base(bases, task->row, &task->base, &reason);
        if (status == STATUS_INVALID)
            skip(task, &reason);
        else if (status != STATUS_OK) {
            *error = reason;
            return status;
        }
    }
    return STATUS_OK;
}

static Status collect(const Validation *validation, const MeasurementFile *file, const char *split,
                      ValidationResult *result, Error *error)
{
    result->rows = calloc(validation->task_count + 1, sizeof *result->rows);
    result->skipped =
        calloc(validation->task_count + file->skipped_count + 1, sizeof *result->skipped);
    if (result->rows == NULL || result->skipped == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    /* Rows that could not be read: which split they are of may be unreadable too. */
    for (size_t i = 0; split == NULL && i < file->skipped_count; i++)
        result->skipped[result->skipped_count++] = file->skipped[i];
    for (size_t i = 0; i < validation->task_count; i++) {
        const Task *task = &validation->tasks[i];
        if (!task->skipped) {
            result->not_fitting += task->outcome.fits == 0;
            result->rows[result->row_count++] = task->outcome;
            continue;
        }
        SkippedRow *skipped = &result->skipped[result->skipped_count++];
        skipped->line = task->row->line;
        skipped->id = task->row->id;
        memcpy(skipped->reason, task->reason, sizeof skipped->reason);
    }
    Status status = validation_summarise(result, error);
    return status == STATUS_OK ? validation_compare(result, error) : status;
}

static Status no_usable_row(const MeasurementFile *file, const ValidationResult *result,
                            const char *split, Error *error)
{
    if (split != NULL && result->skipped_count == 0)
        error_set(error, STATUS_INVALID, "no row has the split '%.60s'", split);
    else
        error_set(error, STATUS_INVALID, "no row of %zu can be predicted",
                  file->count + file->skipped_count);
    if (result->skipped_count > 0)
        error_hint(error, "the first (%.60s): %s", result->skipped[0].id,
                   result->skipped[0].reason);
    if (error != NULL)
        snprintf(error->file, sizeof error->file, "%s", file->table.file);
    return STATUS_INVALID;
}

Status validate_training(const ConfigPaths *paths, const MeasurementFile *file, const char *split,
                         const char *const *sets, size_t set_count, const ForecastOptions *options,
                         ValidationResult *result, Error *error)
{
    *result = (ValidationResult){0};
    result->bases = (MeasuredBases){
        .paths = paths, .rules = &result->rules, .sets = sets, .set_count = set_count};
    Validation validation = {.rules = &result->rules, .options = options};
    size_t threads = parallel_threads(options->threads);
    atomic_init(&validation.done, 0);
    Status status = measured_rules_read(paths, &result->rules, error);
    if (status != STATUS_OK)
        return status;
    validation.tasks = calloc(file->count + 1, sizeof *validation.tasks);
    validation.workers = measured_steps_create(threads, error);
    if (validation.tasks == NULL || validation.workers == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    for (size_t i = 0; i < file->count; i++)
        if (split == NULL || is_listed(split, file->rows[i].split))
            validation.tasks[validation.task_count++].row = &file->rows[i];
    status = find_bases(&validation, &result->bases, error);
    if (status == STATUS_OK)
        status = parallel_for(validation.task_count, threads, validate_index, &validation, error);
    if (status == STATUS_OK)
        status = collect(&validation, file, split, result, error);
    if (status == STATUS_OK && result->row_count == 0)
        status = no_usable_row(file, result, split, error);
cleanup:
    measured_steps_free(validation.workers, threads);
    free(validation.tasks);
    return status;
}

void validation_free(ValidationResult *result)
{
    free(result->rows);
    free(result->skipped);
    free(result->groups);
    free(result->ratios);
    free(result->choices);
    free(result->skip_kinds);
    measured_bases_free(&result->bases);
    measured_rules_free(&result->rules);
    *result = (ValidationResult){0};
}
