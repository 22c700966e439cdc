#include "sim/planning/load_oracle.h"

#include "sim/engine/parallel.h"
#include "sim/training/expert_load.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_DRAWS = 1000, /* of each shape */
    FEWEST_DRAWS = 50,
    WORK_OF_A_DRAW = 1024 /* experts * top-k that still get most draws */
};

static const double MOST_ORACLE_TOKENS = 1e9;

/* ---- what is asked -----------------------------------------------------------------------------
 */

enum {
    COLUMN_MODEL,
    COLUMN_PARAM,
    COLUMN_EXPERTS,
    COLUMN_TOP_K,
    COLUMN_TOKENS,
    COLUMN_QUANTITY,
    COLUMN_MEAN,
    COLUMN_ERROR,
    COLUMN_DRAWS,
    COLUMN_COUNT
};
static const char *const COLUMN_NAMES[COLUMN_COUNT] = {
    "model", "param", "experts", "top_k", "tokens", "quantity", "methodB", "seB", "nB"};

/* Popularity models by name, and where their parameter goes. */
typedef struct ModelName {
    const char *name;
    ExpertLoadModel model;
    size_t parameter; /* offset in ExpertLoadSpec, or NO_PARAMETER */
} ModelName;
static const size_t NO_PARAMETER = sizeof(ExpertLoadSpec);
static const ModelName MODEL_NAMES[] = {
    {"uniform", EXPERT_LOAD_UNIFORM, sizeof(ExpertLoadSpec)},
    {"lognormal", EXPERT_LOAD_LOGNORMAL, offsetof(ExpertLoadSpec, sigma)},
    {"dirichlet", EXPERT_LOAD_DIRICHLET, offsetof(ExpertLoadSpec, concentration)},
    {"zipf", EXPERT_LOAD_ZIPF, offsetof(ExpertLoadSpec, exponent)},
};

typedef struct Shape {
    ExpertLoadModel model;
    double parameter, experts, top_k, tokens;
} Shape;

/* ---- quantities of one draw --------------------------------------------------------------------
 */

static double mean_of(const double *rows, size_t experts)
{
    double sum = 0.0;
    for (size_t i = 0; i < experts; i++)
        sum += rows[i];
    return sum / (double)experts;
}

static double most(const double *rows, size_t experts, double parameter)
{
    (void)parameter;
    return expert_load_most(rows, experts, experts);
}

static double least(const double *rows, size_t experts, double parameter)
{
    (void)parameter;
    double least = rows[0];
    for (size_t i = 1; i < experts; i++)
        least = fmin(least, rows[i]);
    return least / mean_of(rows, experts);
}

static double variation(const double *rows, size_t experts, double parameter)
{
    (void)parameter;
    const double mean = mean_of(rows, experts);
    double squares = 0.0;
    for (size_t i = 0; i < experts; i++)
        squares += (rows[i] - mean) * (rows[i] - mean);
    return sqrt(squares / (double)experts) / mean;
}

static double hit(const double *rows, size_t experts, double parameter)
{
    (void)parameter;
    double count = 0.0;
    for (size_t i = 0; i < experts; i++)
        count += rows[i] > 0.0;
    return count;
}

static double dropped(const double *rows, size_t experts, double factor)
{
    return expert_load_dropped(rows, experts, factor);
}

static double padded(const double *rows, size_t experts, double tile)
{
    double sum = 0.0;
    for (size_t i = 0; i < experts; i++)
        sum += ceil(rows[i] / tile) * tile;
    return sum / (double)experts / mean_of(rows, experts);
}

static double most_of_ranks(const double *rows, size_t experts, double ranks)
{
    return expert_load_most(rows, experts, (size_t)ranks);
}

/* A name, or the start of one that a number follows. */
typedef struct Quantity {
    const char *name;
    int has_parameter;
    double (*of)(const double *rows, size_t experts, double parameter);
} Quantity;
static const Quantity QUANTITIES[] = {
    {"max_over_mean", 0, most},       {"min_over_mean", 0, least}, {"cv", 0, variation},
    {"hit_experts", 0, hit},          {"drop_cf", 1, dropped},     {"pad_tile", 1, padded},
    {"maxrank_EP", 1, most_of_ranks},
};

/* ---- rows --------------------------------------------------------------------------------------
 */

typedef struct Task {
    const CsvRow *row;
    Shape shape;
    const Quantity *quantity;
    double parameter, reference_draws;
    double sum, squares; /* over the draws */
    size_t draws;
    LoadRow outcome;
} Task;

/* The reason, with what the row says in quotes; returns 0. */
static int refuse(char *reason, const char *text, const char *why)
{
    snprintf(reason, LOAD_REASON_BYTES, "'%.40s' %s", text, why);
    return 0;
}

static int read_number(const CsvRow *row, const int *columns, int column, double low, double high,
                       double *value, char *reason)
{
    const char *text = row->cells[columns[column]].text;
    if (csv_number(text, value) && *value >= low && *value <= high)
        return 1;
    snprintf(reason, LOAD_REASON_BYTES, "%s '%.40s' is not a number from %g to %g",
             COLUMN_NAMES[column], text, low, high);
    return 0;
}

static const ModelName *find_model(const char *name)
{
    for (size_t i = 0; i < sizeof MODEL_NAMES / sizeof *MODEL_NAMES; i++)
        if (strcmp(MODEL_NAMES[i].name, name) == 0)
            return &MODEL_NAMES[i];
    return NULL;
}

static const Quantity *find_quantity(const char *name, double *parameter)
{
    for (size_t i = 0; i < sizeof QUANTITIES / sizeof *QUANTITIES; i++) {
        const size_t length = strlen(QUANTITIES[i].name);
        *parameter = 0.0;
        if (QUANTITIES[i].has_parameter ? strncmp(name, QUANTITIES[i].name, length) == 0 &&
                                              csv_number(name + length, parameter)
                                        : strcmp(name, QUANTITIES[i].name) == 0)
            return &QUANTITIES[i];
    }
    return NULL;
}

/* Fills `task`, or says in `reason` why the row cannot be used. */
static int read_row(const CsvRow *row, const int *columns, Task *task, char *reason)
{
    Shape *shape = &task->shape;
    if (row->problem[0] != '\0') {
        snprintf(reason, LOAD_REASON_BYTES, "%s", row->problem);
        return 0;
    }
    const char *name = row->cells[columns[COLUMN_MODEL]].text;
    const char *quantity = row->cells[columns[COLUMN_QUANTITY]].text;
    const ModelName *model = find_model(name);
    if (model == NULL)
        return refuse(reason, name, "is not one of uniform, lognormal, dirichlet, zipf");
    task->quantity = find_quantity(quantity, &task->parameter);
    if (task->quantity == NULL)
        return refuse(reason, quantity, "is no quantity that is known");
    const int needs_positive = model->model == EXPERT_LOAD_DIRICHLET;
    if (!read_number(row, columns, COLUMN_PARAM, needs_positive ? 1e-3 : 0.0,
                     needs_positive ? 1e6 : 10.0, &shape->parameter, reason) ||
        !read_number(row, columns, COLUMN_EXPERTS, 1.0, MAX_EXPERTS, &shape->experts, reason) ||
        !read_number(row, columns, COLUMN_TOP_K, 1.0, shape->experts, &shape->top_k, reason) ||
        !read_number(row, columns, COLUMN_TOKENS, 1.0, MOST_ORACLE_TOKENS, &shape->tokens,
                     reason) ||
        !read_number(row, columns, COLUMN_MEAN, -HUGE_VAL, HUGE_VAL, &task->outcome.measured,
                     reason) ||
        !read_number(row, columns, COLUMN_ERROR, 0.0, HUGE_VAL, &task->outcome.measured_error,
                     reason) ||
        !read_number(row, columns, COLUMN_DRAWS, 2.0, 1e12, &task->reference_draws, reason))
        return 0;
    if (floor(shape->experts) < shape->experts || floor(shape->top_k) < shape->top_k ||
        floor(shape->tokens) < shape->tokens)
        return refuse(reason, row->cells[columns[COLUMN_TOKENS]].text,
                      "tokens: experts, top_k and tokens must be whole numbers");
    if (task->quantity->of == most_of_ranks &&
        !(task->parameter >= 1.0 && task->parameter <= shape->experts &&
          fmod(shape->experts, task->parameter) <= 0.0))
        return refuse(reason, quantity, "has ranks that do not divide the experts");
    if (task->quantity->has_parameter && !(task->parameter > 0.0))
        return refuse(reason, quantity, "needs a positive number");
    shape->model = model->model;
    if (model->parameter == NO_PARAMETER)
        shape->parameter = 0.0;
    task->row = row;
    task->outcome.line = row->line;
    task->outcome.quantity = quantity;
    snprintf(task->outcome.id, sizeof task->outcome.id,
             "%.12s %.5g, %.0f experts, top %.0f, %.0f tokens: %.24s", name, shape->parameter,
             shape->experts, shape->top_k, shape->tokens, quantity);
    return 1;
}

/* ---- one shape ---------------------------------------------------------------------------------
 */

typedef struct Run {
    const ForecastOptions *options;
    Task *tasks;
    size_t *order; /* tasks by shape */
    size_t *first; /* [shape], and one behind the last: into `order` */
    size_t shapes;
    atomic_size_t done;
} Run;

static double draws_of(const Shape *shape)
{
    const double work = shape->experts * shape->top_k;
    return fmax(FEWEST_DRAWS, floor(MOST_DRAWS * fmin(1.0, WORK_OF_A_DRAW / work)));
}

static ExpertLoadSpec spec_of(const Shape *shape)
{
    ExpertLoadSpec spec = {.model = shape->model};
    for (size_t i = 0; i < sizeof MODEL_NAMES / sizeof *MODEL_NAMES; i++)
        if (MODEL_NAMES[i].model == shape->model && MODEL_NAMES[i].parameter != NO_PARAMETER)
            memcpy((char *)&spec + MODEL_NAMES[i].parameter, &shape->parameter,
                   sizeof shape->parameter);
    return spec;
}

static RandomStream stream_of(const Shape *shape, unsigned long long seed)
{
    char text[128];
    snprintf(text, sizeof text, "%d %.17g %.17g %.17g %.17g", (int)shape->model, shape->parameter,
             shape->experts, shape->top_k, shape->tokens);
    return random_stream(seed, "expert load oracle", random_hash(text));
}

static void judge(Task *task)
{
    LoadRow *row = &task->outcome;
    const double draws = (double)task->draws, reference = task->reference_draws;
    const double mean = task->sum / draws;
    const double variance = fmax(0.0, task->squares / draws - mean * mean) * draws / (draws - 1.0);
    const double deviation = fmax(sqrt(variance), row->measured_error * sqrt(reference));
    row->predicted = mean;
    row->predicted_error = sqrt(variance / draws);
    /* the table's digits, six of them, and the sum of squares' */
    const double rounding = 1e-5 * fabs(row->measured);
    const double standard = deviation * sqrt(1.0 / draws + 1.0 / reference);
    const double difference = fmax(0.0, fabs(mean - row->measured) - rounding);
    row->apart = difference > 0.0 ? difference / fmax(standard, 1e-300) : 0.0;
    row->ok = row->apart <= LOAD_AGREEMENT;
    row->error = row->measured > 0.0 ? mean / row->measured - 1.0 : nan("");
}

static Status run_shape(void *context, size_t index, size_t worker, Error *error)
{
    Run *run = context;
    const size_t from = run->first[index], past = run->first[index + 1];
    const Shape *shape = &run->tasks[run->order[from]].shape;
    const size_t experts = (size_t)shape->experts;
    const ExpertLoadSpec spec = spec_of(shape);
    RandomStream stream = stream_of(shape, run->options->seed);
    const int fixed = shape->model == EXPERT_LOAD_UNIFORM || shape->model == EXPERT_LOAD_ZIPF;
    Status status = STATUS_OK;
    double *rows = calloc(2 * experts, sizeof *rows);
    RowSampler *sampler = row_sampler_create(experts, (size_t)shape->top_k, error);
    if (rows == NULL || sampler == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu experts", experts);
        goto cleanup;
    }
    double *popularity = rows + experts;
    const double draws = draws_of(shape);
    for (double draw = 0.0; draw < draws; draw += 1.0) {
        if (draw < 1.0 || !fixed) {
            popularity_draw(&spec, experts, &stream, popularity);
            row_sampler_set(sampler, popularity);
        }
        row_sampler_draw(sampler, shape->tokens, &stream, rows);
        if (fixed) /* the same popularities, dealt out to the ranks anew */
            random_shuffle(rows, experts, &stream);
        for (size_t i = from; i < past; i++) {
            Task *task = &run->tasks[run->order[i]];
            const double value = task->quantity->of(rows, experts, task->parameter);
            task->sum += value;
            task->squares += value * value;
            task->draws++;
        }
    }
    for (size_t i = from; i < past; i++)
        judge(&run->tasks[run->order[i]]);
    const size_t done = atomic_fetch_add(&run->done, 1) + 1;
    if (worker == 0 && run->options->progress != NULL &&
        run->options->progress(run->options->progress_context, done, run->shapes) != 0)
        status = error_set(error, STATUS_INTERRUPTED, "interrupted after %zu of %zu shapes", done,
                           run->shapes);
cleanup:
    row_sampler_destroy(sampler);
    free(rows);
    return status;
}

/* ---- all ---------------------------------------------------------------------------------------
 */

typedef struct Sorted {
    Shape shape;
    size_t index;
} Sorted;

static int compare_shapes(const Shape *a, const Shape *b)
{
    const double left[] = {(double)a->model, a->parameter, a->experts, a->top_k, a->tokens};
    const double right[] = {(double)b->model, b->parameter, b->experts, b->top_k, b->tokens};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        if (left[i] < right[i] || left[i] > right[i])
            return left[i] < right[i] ? -1 : 1;
    return 0;
}

static int compare_sorted(const void *a, const void *b)
{
    const Sorted *left = a, *right = b;
    const int order = compare_shapes(&left->shape, &right->shape);
    return order != 0 ? order : (left->index > right->index) - (left->index < right->index);
}

/* Rows of one shape stand together in `order`. */
static Status group(Run *run, size_t count, Error *error)
{
    Sorted *sorted = calloc(count + 1, sizeof *sorted);
    run->order = calloc(count + 1, sizeof *run->order);
    run->first = calloc(count + 1, sizeof *run->first);
    if (sorted == NULL || run->order == NULL || run->first == NULL) {
        free(sorted);
        return error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu rows", count);
    }
    for (size_t i = 0; i < count; i++)
        sorted[i] = (Sorted){.shape = run->tasks[i].shape, .index = i};
    qsort(sorted, count, sizeof *sorted, compare_sorted);
    for (size_t i = 0; i < count; i++) {
        run->order[i] = sorted[i].index;
        if (i == 0 || compare_shapes(&sorted[i - 1].shape, &sorted[i].shape) != 0)
            run->first[run->shapes++] = i;
    }
    run->first[run->shapes] = count;
    free(sorted);
    return STATUS_OK;
}

static Status summarise(const Task *tasks, size_t count, LoadOracle *oracle, Error *error)
{
    double *errors = calloc(count + 1, sizeof *errors);
    size_t known = 0;
    oracle->rows = calloc(count + 1, sizeof *oracle->rows);
    if (errors == NULL || oracle->rows == NULL) {
        free(errors);
        return error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu rows", count);
    }
    for (size_t i = 0; i < count; i++) {
        oracle->rows[oracle->row_count++] = tasks[i].outcome;
        oracle->not_ok += tasks[i].outcome.ok == 0;
        if (isfinite(tasks[i].outcome.error))
            errors[known++] = tasks[i].outcome.error;
    }
    oracle->summary = error_statistics(errors, known);
    free(errors);
    return STATUS_OK;
}

static Status find_columns(const CsvTable *table, int *columns, Error *error)
{
    for (int i = 0; i < COLUMN_COUNT; i++) {
        columns[i] = csv_column(table, COLUMN_NAMES[i]);
        if (columns[i] >= 0)
            continue;
        error_set(error, STATUS_INVALID, "no column '%s'", COLUMN_NAMES[i]);
        if (error != NULL)
            snprintf(error->file, sizeof error->file, "%s", table->file);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

Status load_oracle_run(const CsvTable *table, const ForecastOptions *options, LoadOracle *oracle,
                       Error *error)
{
    int columns[COLUMN_COUNT];
    size_t count = 0;
    Run run = {.options = options};
    *oracle = (LoadOracle){0};
    atomic_init(&run.done, 0);
    Status status = find_columns(table, columns, error);
    if (status != STATUS_OK)
        return status;
    run.tasks = calloc(table->row_count + 1, sizeof *run.tasks);
    oracle->skipped = calloc(table->row_count + 1, sizeof *oracle->skipped);
    if (run.tasks == NULL || oracle->skipped == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    for (size_t i = 0; i < table->row_count; i++) {
        SkippedLoad *skipped = &oracle->skipped[oracle->skipped_count];
        run.tasks[count] = (Task){0};
        if (read_row(&table->rows[i], columns, &run.tasks[count], skipped->reason)) {
            count++;
            continue;
        }
        skipped->line = table->rows[i].line;
        oracle->skipped_count++;
    }
    if (count == 0) {
        status = error_set(error, STATUS_INVALID, "no row of %zu can be used", table->row_count);
        if (oracle->skipped_count > 0)
            error_hint(error, "line %d: %s", oracle->skipped[0].line, oracle->skipped[0].reason);
        if (error != NULL)
            snprintf(error->file, sizeof error->file, "%s", table->file);
        goto cleanup;
    }
    status = group(&run, count, error);
    if (status == STATUS_OK)
        status = parallel_for(run.shapes, options->threads, run_shape, &run, error);
    if (status == STATUS_OK)
        status = summarise(run.tasks, count, oracle, error);
cleanup:
    free(run.tasks);
    free(run.order);
    free(run.first);
    return status;
}

void load_oracle_free(LoadOracle *oracle)
{
    free(oracle->rows);
    free(oracle->skipped);
    *oracle = (LoadOracle){0};
}
