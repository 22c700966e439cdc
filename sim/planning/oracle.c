#include "sim/planning/oracle.h"

#include "sim/engine/parallel.h"
#include "sim/engine/random.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMN_ID, COLUMN_MODEL, COLUMN_PARAMETERS, COLUMN_METRIC, COLUMN_VALUE, COLUMNS };
static const char *const COLUMN_NAMES[COLUMNS] = {"id", "model", "parameters", "metric", "value"};

/* A row on its way: a result or a reason. */
typedef struct Task {
    const CsvRow *row;
    int skipped;
    char reason[SKIP_REASON_BYTES];
    OracleRow outcome;
} Task;

typedef struct Worker {
    RunSimulator *simulator;
    ReliabilitySums *sums;
} Worker;

typedef struct Validation {
    const CsvTable *table;
    int columns[COLUMNS];
    const FailureMix *mix;
    const char *mix_problem; /* empty: there is a mix */
    const ForecastOptions *options;
    size_t replications;
    Task *tasks;
    Worker *workers;
    atomic_size_t done;
} Validation;

/* What a row asks for. */
typedef struct Question {
    const ReliabilityMetric *metric;
    double unit; /* of the metric, in SI */
    ReliabilityCase input;
} Question;

static const char *cell(const Validation *validation, const CsvRow *row, int column)
{
    return row->cells[validation->columns[column]].text;
}

/* ---- one row -----------------------------------------------------------------------------------
 */

static Status read_question(const Validation *validation, Task *task, Question *question,
                            Error *error)
{
    const ReliabilityModel *model;
    OracleRow *row = &task->outcome;
    if (task->row->problem[0] != '\0')
        return error_set(error, STATUS_INVALID, "%s", task->row->problem);
    row->line = task->row->line;
    row->model = cell(validation, task->row, COLUMN_MODEL);
    row->metric = cell(validation, task->row, COLUMN_METRIC);
    row->parameters = cell(validation, task->row, COLUMN_PARAMETERS);
    Status status = reliability_model_find(row->model, &model, error);
    if (status == STATUS_OK)
        status =
            reliability_metric_find(model, row->metric, &question->metric, &question->unit, error);
    if (status == STATUS_OK)
        status = reliability_case_read(model, row->parameters, &question->input, error);
    if (status != STATUS_OK)
        return status;
    question->input.mix = validation->mix;
    if (question->metric->needs_mix && validation->mix == NULL)
        return error_set(error, STATUS_INVALID, "classes of failures: %.100s",
                         validation->mix_problem);
    const char *value = cell(validation, task->row, COLUMN_VALUE);
    if (!csv_number(value, &row->expected))
        return error_set(error, STATUS_INVALID, "value: '%.40s' is not a number", value);
    return STATUS_OK;
}

/* Rows of the same content draw the same numbers, whatever their place and name. */
static unsigned long long seed_of(const Validation *validation, const OracleRow *row)
{
    return validation->options->seed ^ random_hash(row->model) ^
           (random_hash(row->parameters) * 3u) ^ (random_hash(row->metric) * 5u);
}

static Status check_interrupted(Validation *validation, size_t worker, size_t done, Error *error)
{
    const ForecastOptions *options = validation->options;
    if (worker != 0 || options->progress == NULL ||
        options->progress(options->progress_context, done, validation->table->row_count) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_INTERRUPTED, "interrupted after %zu of %zu rows", done,
                     validation->table->row_count);
}

static Status simulate(Validation *validation, const Question *question, size_t worker,
                       OracleRow *row, Error *error)
{
    enum { LOOK_UP_EVERY = 256 };
    Worker *own = &validation->workers[worker];
    ReliabilityReplication draw = {.simulator = own->simulator,
                                   .input = &question->input,
                                   .seed = seed_of(validation, row),
                                   .replications = validation->replications,
                                   .events = ORACLE_EVENTS};
    Status status = STATUS_OK;
    for (size_t i = 0; i < validation->replications && status == STATUS_OK; i++) {
        draw.replication = i;
        own->sums[i] = (ReliabilitySums){0};
        status = question->metric->process(&draw, &own->sums[i], error);
        if (status == STATUS_OK && i % LOOK_UP_EVERY == LOOK_UP_EVERY - 1)
            status = check_interrupted(validation, worker, atomic_load(&validation->done), error);
    }
    if (status != STATUS_OK)
        return status;
    reliability_estimate(question->metric->estimator, own->sums, validation->replications,
                         &row->simulated, &row->standard_error);
    row->simulated /= question->unit;
    row->standard_error /= question->unit;
    if (!isfinite(row->simulated) || !isfinite(row->standard_error))
        return error_set(error, STATUS_NO, "too rare to simulate");
    double difference = row->simulated - row->closed_form;
    /* Replications that all say the same leave rounding. */
    double spread = fmax(row->standard_error, 1e-9 * fabs(row->closed_form));
    row->has_simulation = 1;
    row->z = difference == 0.0 ? 0.0 : difference / spread;
    return STATUS_OK;
}

/* Relative error that the closed form may have. */
static Status allowed_error(const Question *question, const OracleRow *row, double *allowed,
                            Error *error)
{
    ReliabilityCase input = question->input;
    *allowed = ORACLE_RELATIVE;
    for (size_t i = 0; i < input.list_count; i++) {
        double moved;
        if (!(input.list_slack[i] > 0.0))
            continue;
        input.list[i] += input.list_slack[i];
        Status status = question->metric->form(&input, &moved, error);
        if (status != STATUS_OK)
            return status;
        input.list[i] = question->input.list[i];
        *allowed +=
            fabs(moved / question->unit - row->closed_form) / fmax(fabs(row->expected), 1e-300);
    }
    return STATUS_OK;
}

static Status validate_row(Validation *validation, Task *task, size_t worker, Error *error)
{
    Question question;
    OracleRow *row = &task->outcome;
    Status status = read_question(validation, task, &question, error);
    if (status == STATUS_OK)
        status = question.metric->form(&question.input, &row->closed_form, error);
    if (status != STATUS_OK)
        return status;
    row->closed_form /= question.unit;
    if (!isfinite(row->closed_form))
        return error_set(error, STATUS_INVALID, "the closed form leaves the range of numbers");
    row->error = row->closed_form == row->expected
                     ? 0.0
                     : (row->closed_form - row->expected) / fmax(fabs(row->expected), 1e-300);

    status = allowed_error(&question, row, &row->allowed_error, error);
    if (status == STATUS_OK && question.metric->process != NULL)
        status = simulate(validation, &question, worker, row, error);
    if (status == STATUS_NO || status == STATUS_INVALID) {
        snprintf(row->note, sizeof row->note, "not simulated: %.140s", error->message);
        status = STATUS_OK;
    }
    row->ok = fabs(row->error) <= row->allowed_error &&
              (!row->has_simulation || fabs(row->z) < ORACLE_STANDARD_ERRORS);
    return status;
}

static Status validate_index(void *context, size_t index, size_t worker, Error *error)
{
    Validation *validation = context;
    Task *task = &validation->tasks[index];
    Error reason = {0};
    Status status = validate_row(validation, task, worker, &reason);
    if (status == STATUS_INVALID || status == STATUS_NO) {
        task->skipped = 1;
        snprintf(task->reason, sizeof task->reason, "%.110s%s%.40s", reason.message,
                 reason.hint[0] != '\0' ? "; " : "", reason.hint);
    } else if (status != STATUS_OK) {
        *error = reason;
        return status;
    }
    return check_interrupted(validation, worker, atomic_fetch_add(&validation->done, 1) + 1, error);
}

/* ---- all rows ----------------------------------------------------------------------------------
 */

static Status find_columns(Validation *validation, Error *error)
{
    for (int i = 0; i < COLUMNS; i++) {
        validation->columns[i] = csv_column(validation->table, COLUMN_NAMES[i]);
        if (validation->columns[i] >= 0)
            continue;
        error_set(error, STATUS_INVALID, "no column '%s'", COLUMN_NAMES[i]);
        error_hint(error,
                   "a table of reliability results needs id, model, parameters, metric, value");
        snprintf(error->file, sizeof error->file, "%s", validation->table->file);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static Status workers_create(Validation *validation, size_t threads, Error *error)
{
    validation->workers = calloc(threads, sizeof *validation->workers);
    if (validation->workers == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    for (size_t i = 0; i < threads; i++) {
        Worker *worker = &validation->workers[i];
        worker->simulator = run_simulator_create(error);
        worker->sums = calloc(validation->replications, sizeof *worker->sums);
        if (worker->simulator == NULL || worker->sums == NULL)
            return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    }
    return STATUS_OK;
}

static void workers_free(Validation *validation, size_t threads)
{
    for (size_t i = 0; validation->workers != NULL && i < threads; i++) {
        run_simulator_destroy(validation->workers[i].simulator);
        free(validation->workers[i].sums);
    }
    free(validation->workers);
}

static void count_row(OracleResult *result, const OracleRow *row)
{
    OracleGroup *group = NULL;
    for (size_t i = 0; i < result->group_count; i++)
        if (strcmp(result->groups[i].model, row->model) == 0)
            group = &result->groups[i];
    if (group == NULL)
        return;
    group->rows++;
    group->ok += row->ok != 0;
    result->ok += row->ok != 0;
    group->max_abs_error = fmax(group->max_abs_error, fabs(row->error));
    result->not_simulated += row->note[0] != '\0';
    if (!row->has_simulation)
        return;
    group->simulated++;
    group->max_abs_z = fmax(group->max_abs_z, fabs(row->z));
    result->simulated++;
    result->max_abs_z = fmax(result->max_abs_z, fabs(row->z));
    result->mean_z2 += row->z * row->z;
}

static Status summarise(OracleResult *result, Error *error)
{
    double *errors = calloc(result->row_count + 1, sizeof *errors);
    result->groups = calloc(RELIABILITY_MODEL_COUNT, sizeof *result->groups);
    if (errors == NULL || result->groups == NULL) {
        free(errors);
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    }
    for (size_t i = 0; i < RELIABILITY_MODEL_COUNT; i++)
        result->groups[result->group_count++].model = RELIABILITY_MODELS[i].name;
    for (size_t i = 0; i < result->row_count; i++) {
        errors[i] = result->rows[i].error;
        count_row(result, &result->rows[i]);
    }
    if (result->simulated > 0)
        result->mean_z2 /= (double)result->simulated;
    result->summary = error_statistics(errors, result->row_count);
    free(errors);

    size_t kept = 0; /* models that the table has */
    for (size_t i = 0; i < result->group_count; i++)
        if (result->groups[i].rows > 0)
            result->groups[kept++] = result->groups[i];
    result->group_count = kept;
    return STATUS_OK;
}

static Status collect(const Validation *validation, OracleResult *result, Error *error)
{
    size_t count = validation->table->row_count;
    result->rows = calloc(count + 1, sizeof *result->rows);
    result->skipped = calloc(count + 1, sizeof *result->skipped);
    if (result->rows == NULL || result->skipped == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    for (size_t i = 0; i < count; i++) {
        Task *task = &validation->tasks[i];
        task->outcome.id = cell(validation, task->row, COLUMN_ID);
        if (!task->skipped) {
            result->rows[result->row_count++] = task->outcome;
            continue;
        }
        SkippedRow *skipped = &result->skipped[result->skipped_count++];
        skipped->line = task->row->line;
        skipped->id = task->outcome.id;
        memcpy(skipped->reason, task->reason, sizeof skipped->reason);
    }
    return summarise(result, error);
}

static Status no_usable_row(const Validation *validation, const OracleResult *result, Error *error)
{
    error_set(error, STATUS_INVALID, "no row of %zu can be checked", validation->table->row_count);
    if (result->skipped_count > 0)
        error_hint(error, "the first (%.60s): %s", result->skipped[0].id,
                   result->skipped[0].reason);
    snprintf(error->file, sizeof error->file, "%s", validation->table->file);
    return STATUS_INVALID;
}

Status oracle_validate(const ConfigPaths *paths, const CsvTable *table,
                       const ForecastOptions *options, OracleResult *result, Error *error)
{
    *result = (OracleResult){0};
    FailureMix mix;
    Error mix_error = {0};
    Validation validation = {.table = table, .options = options, .mix_problem = mix_error.message};
    validation.replications = options->reps > 0 ? options->reps : ORACLE_REPLICATIONS;
    result->replications = validation.replications;
    atomic_init(&validation.done, 0);
    if (oracle_read_mix(paths, &mix, &mix_error) == STATUS_OK)
        validation.mix = &mix;
    size_t threads = parallel_threads(options->threads);

    Status status = find_columns(&validation, error);
    if (status != STATUS_OK)
        return status;
    validation.tasks = calloc(table->row_count + 1, sizeof *validation.tasks);
    if (validation.tasks == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    for (size_t i = 0; i < table->row_count; i++)
        validation.tasks[i].row = &table->rows[i];
    status = workers_create(&validation, threads, error);
    if (status == STATUS_OK)
        status = parallel_for(table->row_count, threads, validate_index, &validation, error);
    if (status == STATUS_OK)
        status = collect(&validation, result, error);
    if (status == STATUS_OK && result->row_count == 0)
        status = no_usable_row(&validation, result, error);
cleanup:
    workers_free(&validation, threads);
    free(validation.tasks);
    return status;
}

void oracle_free(OracleResult *result)
{
    free(result->rows);
    free(result->skipped);
    free(result->groups);
    *result = (OracleResult){0};
}
