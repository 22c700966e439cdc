#include "sim/planning/stack_unknown.h"

#include "sim/engine/parallel.h"
#include "sim/planning/measured_laying.h"
#include "sim/planning/stack_search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char unknown[] = "stack-unknown";

/* Rows of a real stack that the fits of a left-out source take: of many stacks, and of one. */
enum { MOST_OF_MANY = 10, MOST_OF_ONE = 40 };

/* ---- names -------------------------------------------------------------------------------------
 */

static const char *plain_name(const char *stack)
{
    static const char prefix[] = "stack-";
    return strncmp(stack, prefix, sizeof prefix - 1) == 0 ? stack + sizeof prefix - 1 : stack;
}

int stack_is_unknown(const char *name)
{
    return strncmp(plain_name(name), plain_name(unknown), strlen(plain_name(unknown))) == 0;
}

static int only_unknown(const void *context, const char *stack)
{
    (void)context;
    return stack_is_unknown(stack);
}

static void source_of(const Measurement *row, char name[LEFT_OUT_NAME_BYTES])
{
    snprintf(name, LEFT_OUT_NAME_BYTES, "%.*s",
             (int)fmin(LEFT_OUT_NAME_BYTES - 1, (double)strcspn(row->id, "-")), row->id);
}

static int is_of_source(const Measurement *row, const char *name)
{
    char own[LEFT_OUT_NAME_BYTES];
    source_of(row, own);
    return strcmp(own, name) == 0;
}

/* ---- rows --------------------------------------------------------------------------------------
 */

/* The pool's rows, ready to be predicted: as themselves and as rows of an unknown source. */
typedef struct Pool {
    FitSearch search; /* its rows are those at work */
    MeasuredRules rules;
    MeasuredBases own, as_unknown, struck;
    size_t own_count, unknown_count;
    FitRow *own_rows, *unknown_rows;
    const char **own_stacks; /* of unknown_rows: what they count alike by */
    CsvTable shared;         /* configs/calibration/fit_with.csv */
    size_t most;
    double centre[FIT_PARAMETERS]; /* of the files */
} Pool;

static void release_rows(FitRow *rows, size_t count)
{
    for (size_t i = 0; rows != NULL && i < count; i++)
        free(rows[i].scenario);
    free(rows);
}

static void pool_free(Pool *pool)
{
    release_rows(pool->own_rows, pool->own_count);
    release_rows(pool->unknown_rows, pool->unknown_count);
    free(pool->own_stacks);
    csv_free(&pool->shared);
    free(pool->search.rows);
    measured_steps_free(pool->search.steps, pool->search.threads);
    measured_bases_free(&pool->own);
    measured_bases_free(&pool->as_unknown);
    measured_bases_free(&pool->struck);
    measured_rules_free(&pool->rules);
    *pool = (Pool){0};
}

/* Reads the bases of the pool's rows and lays the rows over them. */
static Status prepare(Pool *pool, const MeasurementFile *file, MeasuredBases *bases, FitRow **rows,
                      size_t *count, Error *error)
{
    FitSearch *search = &pool->search;
    FitRow *kept = search->rows;
    Status status = STATUS_OK;
    *rows = calloc(pool->most + 1, sizeof **rows);
    if (*rows == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    search->rows = *rows;
    search->row_count = 0;
    for (size_t i = 0; status == STATUS_OK && i < file->count; i++) {
        const MeasuredBase *base = NULL;
        Error reason = {0};
        if (strcmp(file->rows[i].split, "pool") != 0)
            continue;
        const Status read = measured_base(bases, &file->rows[i], &base, &reason);
        if (read == STATUS_OK) {
            search->rows[search->row_count++] =
                (FitRow){.row = &file->rows[i], .base = base, .weight = 1};
        } else if (read != STATUS_INVALID) {
            *error = reason;
            status = read;
        }
    }
    if (status == STATUS_OK)
        status = fit_search_prepare(search, error);
    *count = search->row_count;
    search->rows = kept;
    search->row_count = 0;
    return status;
}

static Status pool_read(Pool *pool, const ConfigPaths *paths, const MeasurementFile *file,
                        const ForecastOptions *options, Error *error)
{
    FitSearch *search = &pool->search;
    *pool = (Pool){.most = file->count};
    pool->own = pool->as_unknown = pool->struck =
        (MeasuredBases){.paths = paths, .rules = &pool->rules};
    pool->as_unknown.filter = only_unknown;
    *search = (FitSearch){
        .options = options, .rules = &pool->rules, .threads = parallel_threads(options->threads)};
    search->rows = calloc(file->count + 1, sizeof *search->rows);
    search->steps = measured_steps_create(search->threads, error);
    pool->own_stacks = calloc(file->count + 1, sizeof(const char *));
    Status status = search->rows == NULL || search->steps == NULL || pool->own_stacks == NULL
                        ? error_set(error, STATUS_ENVIRONMENT, "out of memory")
                        : measured_rules_read(paths, &pool->rules, error);
    if (status == STATUS_OK)
        status = fit_shared_read(paths, &pool->shared, error);
    if (status == STATUS_OK)
        status = fit_centre_read(paths, pool->centre, error);
    if (status == STATUS_OK)
        status = prepare(pool, file, &pool->own, &pool->own_rows, &pool->own_count, error);
    if (status == STATUS_OK)
        status = prepare(pool, file, &pool->as_unknown, &pool->unknown_rows, &pool->unknown_count,
                         error);
    for (size_t i = 0; status == STATUS_OK && i < pool->unknown_count; i++) {
        int assumed;
        pool->own_stacks[i] =
            rules_stack(&pool->rules, pool->unknown_rows[i].row, NULL, NULL, &assumed);
    }
    return status;
}

/* ---- fits --------------------------------------------------------------------------------------
 */

/* Whether a base has the same fitted parameters as a stack. */
static int has_parameters_of(const Pool *pool, const MeasuredBase *base, const char *stack)
{
    return strcmp(fit_root_of(&pool->shared, measured_base_stack(base)),
                  fit_root_of(&pool->shared, stack)) == 0;
}

/* The work's rows so weighted that those of one real stack weigh as much as those of another.
 * Returns how many real stacks there are. */
static double weigh_alike(FitSearch *search, const char *const *stacks)
{
    double count = 0;
    for (size_t i = 0; i < search->row_count; i++) {
        size_t same = 0;
        for (size_t j = 0; j < search->row_count; j++)
            same += strcmp(stacks[i], stacks[j]) == 0;
        search->rows[i].weight = 1.0 / (double)same;
        count += search->rows[i].weight;
    }
    return count;
}

/* The work: rows whose base has the parameters of `stack` (NULL: any), without those of a source
 * (NULL: with). `stacks` are the real stacks of what was taken. */
static void take(Pool *pool, const FitRow *rows, size_t count, const char *stack,
                 const char *without, const char **stacks)
{
    FitSearch *search = &pool->search;
    search->row_count = 0;
    for (size_t i = 0; i < count; i++) {
        if ((without != NULL && is_of_source(rows[i].row, without)) ||
            (stack != NULL && !has_parameters_of(pool, rows[i].base, stack)))
            continue;
        stacks[search->row_count] =
            rows == pool->unknown_rows ? pool->own_stacks[i] : measured_base_stack(rows[i].base);
        search->rows[search->row_count++] = rows[i];
    }
}

/* Of each real stack's rows at most `most`, evenly spread: fits in which stacks count alike, and
 * that are repeated for every source, gain little from more. */
static void thin(FitSearch *search, size_t most, const char **stacks)
{
    size_t kept = 0;
    for (size_t i = 0; i < search->row_count; i++) {
        size_t same = 0, before = 0;
        for (size_t j = 0; j < search->row_count; j++) {
            same += strcmp(stacks[i], stacks[j]) == 0;
            before += j < i && strcmp(stacks[i], stacks[j]) == 0;
        }
        search->rows[i].weight = same <= most || (before + 1) * most / same > before * most / same;
    }
    for (size_t i = 0; i < search->row_count; i++)
        if (search->rows[i].weight > 0) {
            stacks[kept] = stacks[i];
            search->rows[kept++] = search->rows[i];
        }
    search->row_count = kept;
}

typedef enum Work {
    WORK_CENTRE, /* of all stacks: drawn to nothing */
    WORK_ONE,    /* of one stack, or of those that share its parameters */
    WORK_UNKNOWN /* of an unknown one: what is known are stacks, not rows, and the pull is as a
                    stack's */
} Work;

static Status fit_work(Pool *pool, Work work, const double *centre, int widely, const char **stacks,
                       FitOptimum *best, Error *error)
{
    FitSearch *search = &pool->search;
    const double count = weigh_alike(search, stacks);
    fit_search_activate(search);
    memcpy(search->centre, centre, sizeof search->centre);
    search->pull = work == WORK_CENTRE ? 0 : FIT_ROBUST_LOG_ERROR;
    if (work == WORK_UNKNOWN && count > 0)
        search->pull *= (double)search->row_count / count;
    if (search->row_count > 0)
        return widely ? fit_search_run(search, best, error)
                      : fit_search_refine(search, centre, best, error);
    memset(search->active, 0, sizeof search->active);
    memcpy(best->value, centre, sizeof best->value);
    return STATUS_OK;
}

static ErrorStatistics statistics_of(const FitSearch *search, double *scratch)
{
    for (size_t i = 0; i < search->row_count; i++)
        scratch[i] = exp(search->rows[i].log_error) - 1;
    return error_statistics(scratch, search->row_count);
}

static int is_named(const char *stack, const char *const *names, size_t name_count)
{
    for (size_t i = 0; i < name_count; i++)
        if (strncmp(plain_name(stack), plain_name(names[i]), strlen(plain_name(names[i]))) == 0)
            return 1;
    return 0;
}

static StackFit *add_fit(StackFits *fits, const char *stack)
{
    for (size_t i = 0; i < fits->count; i++)
        if (strcmp(fits->fits[i].stack, stack) == 0)
            return NULL;
    StackFit *fit = &fits->fits[fits->count++];
    snprintf(fit->stack, sizeof fit->stack, "%.*s", NAME_BYTES - 1, stack);
    return fit;
}

static Status fit_one(Pool *pool, StackFit *fit, const char **stacks, double *scratch, Error *error)
{
    FitSearch *search = &pool->search;
    FitOptimum best = {0};
    double loss;
    take(pool, pool->unknown_rows, pool->unknown_count, fit->stack, NULL, stacks);
    memset(search->active, 0, sizeof search->active);
    Status status = fit_search_evaluate(search, &loss, error);
    fit->before = statistics_of(search, scratch);
    if (status == STATUS_OK)
        status = fit_work(pool, WORK_UNKNOWN, pool->centre, 1, stacks, &best, error);
    memcpy(search->value, best.value, sizeof search->value);
    if (status == STATUS_OK)
        status = fit_search_evaluate(search, &loss, error);
    fit->after = statistics_of(search, scratch);
    fit->rows = fit->fit_rows = search->row_count;
    memcpy(fit->fitted, search->active, sizeof fit->fitted);
    memcpy(fit->value, best.value, sizeof fit->value);
    for (size_t i = 0; i < search->row_count; i++)
        fit_add_family(fit->families, search->rows[i].row->id);
    return status;
}

Status stack_unknown_fit(const ConfigPaths *paths, const MeasurementFile *file,
                         const char *const *names, size_t name_count,
                         const ForecastOptions *options, StackFits *fits, Error *error)
{
    Pool pool;
    *fits = (StackFits){0};
    Status status = pool_read(&pool, paths, file, options, error);
    const char **stacks = calloc(file->count + 1, sizeof(const char *));
    double *scratch = calloc(file->count + 1, sizeof *scratch);
    fits->fits = calloc(file->count + 1, sizeof *fits->fits);
    if (status == STATUS_OK && (stacks == NULL || scratch == NULL || fits->fits == NULL))
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
    for (size_t i = 0; status == STATUS_OK && i < pool.unknown_count; i++) {
        const char *stack = measured_base_stack(pool.unknown_rows[i].base);
        StackFit *fit = is_named(stack, names, name_count) ? add_fit(fits, stack) : NULL;
        if (fit != NULL)
            status = fit_one(&pool, fit, stacks, scratch, error);
    }
    if (status == STATUS_OK && fits->count == 0)
        status = error_set(error, STATUS_INVALID,
                           "no row of the split 'pool' is read with the stack '%.60s'",
                           name_count > 0 ? names[0] : "");
    free(stacks);
    free(scratch);
    pool_free(&pool);
    return status;
}

/* ---- one source after the other ----------------------------------------------------------------
 */

/* Stacks whose parameters others than one source have enough rows of; those that nobody is, too. */
typedef struct Others {
    const Pool *pool;
    const char *without;
} Others;

static int is_of_others(const void *context, const char *stack)
{
    const Others *others = context;
    if (stack_is_unknown(stack))
        return 1;
    size_t rows = 0;
    for (size_t i = 0; i < others->pool->own_count; i++)
        rows += !is_of_source(others->pool->own_rows[i].row, others->without) &&
                has_parameters_of(others->pool, others->pool->own_rows[i].base, stack);
    return rows >= FIT_LEAST_ROWS;
}

typedef struct Leaving {
    Pool *pool;
    Measurement *struck; /* rows of the source, without id and source */
    FitRow *rows;        /* the same, laid */
    size_t count;
    const char **stacks;
    double *scratch;
    FitRow *work; /* room for `rows` at work */
} Leaving;

/* Rows of the source as rows of one that nobody knows. */
static Status strike(Leaving *leaving, const MeasurementFile *file, LeftOutSource *source,
                     Error *error)
{
    Pool *pool = leaving->pool;
    FitSearch *search = &pool->search;
    const Others others = {pool, source->name};
    Status status = STATUS_OK;
    size_t of_source = 0;
    measured_bases_free(&pool->struck);
    pool->struck.filter = is_of_others;
    pool->struck.filter_context = &others;
    search->row_count = 0;
    for (size_t i = 0; status == STATUS_OK && i < file->count; i++) {
        const MeasuredBase *base = NULL;
        Error reason = {0};
        if (strcmp(file->rows[i].split, "pool") != 0 || !is_of_source(&file->rows[i], source->name))
            continue;
        Measurement *row = &leaving->struck[of_source++];
        *row = file->rows[i];
        row->id = row->source = row->stack = "";
        const Status read = measured_base(&pool->struck, row, &base, &reason);
        if (read == STATUS_OK) {
            search->rows[search->row_count++] = (FitRow){.row = row, .base = base, .weight = 1};
        } else if (read != STATUS_INVALID) {
            *error = reason;
            status = read;
        }
    }
    if (status == STATUS_OK)
        status = fit_search_prepare(search, error);
    leaving->count = search->row_count;
    source->skipped = of_source - leaving->count;
    memcpy(leaving->rows, search->rows, leaving->count * sizeof *leaving->rows);
    memset(search->rows, 0, leaving->count * sizeof *search->rows);
    search->row_count = 0;
    return status;
}

/* The source's rows that chose `stack`, with the constants that the others give it. */
static Status predict_stack(Leaving *leaving, const LeftOutSource *source, const double *centre,
                            const char *stack, LeaveOut *result, Error *error)
{
    Pool *pool = leaving->pool;
    FitSearch *search = &pool->search;
    FitOptimum best = {0};
    double loss;
    const int is_unknown = stack_is_unknown(stack);
    take(pool, is_unknown ? pool->unknown_rows : pool->own_rows,
         is_unknown ? pool->unknown_count : pool->own_count, stack, source->name, leaving->stacks);
    thin(search, is_unknown ? MOST_OF_MANY : MOST_OF_ONE, leaving->stacks);
    Status status = fit_work(pool, is_unknown ? WORK_UNKNOWN : WORK_ONE, centre, 0, leaving->stacks,
                             &best, error);
    search->row_count = 0;
    for (size_t i = 0; i < leaving->count; i++)
        if (strcmp(measured_base_stack(leaving->rows[i].base), stack) == 0)
            search->rows[search->row_count++] = leaving->rows[i];
    /* What the others do not tell is as the stack's file documents it. */
    for (size_t i = 0; i < search->row_count; i++)
        for (int p = 0; p < FIT_PARAMETERS; p++)
            if (search->active[p] == 0) {
                const size_t offset = FIT_PARAMETER_SPECS[p].offset;
                const Scenario *documented = &search->rows[i].base->scenario;
                *(double *)((char *)&search->rows[i].scenario->training + offset) =
                    *(const double *)((const char *)&documented->training + offset);
            }
    memcpy(search->value, best.value, sizeof search->value);
    if (status == STATUS_OK)
        status = fit_search_evaluate(search, &loss, error);
    for (size_t i = 0; status == STATUS_OK && i < search->row_count; i++) {
        LeftOutRow *row = &result->rows[result->row_count++];
        row->row = search->rows[i].row;
        row->error = exp(search->rows[i].log_error) - 1;
        snprintf(row->stack, sizeof row->stack, "%.*s", NAME_BYTES - 1, stack);
    }
    return status;
}

static int chosen_before(const Leaving *leaving, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(measured_base_stack(leaving->rows[i].base),
                   measured_base_stack(leaving->rows[index].base)) == 0)
            return 1;
    return 0;
}

static const Measurement *row_of_line(const MeasurementFile *file, int line)
{
    size_t i = 0;
    while (i + 1 < file->count && file->rows[i].line != line)
        i++;
    return &file->rows[i];
}

static Status leave_out(Leaving *leaving, const MeasurementFile *file, LeftOutSource *source,
                        LeaveOut *result, Error *error)
{
    Pool *pool = leaving->pool;
    FitOptimum centre = {0};
    source->first = result->row_count;
    Status status = strike(leaving, file, source, error);
    take(pool, pool->own_rows, pool->own_count, NULL, source->name, leaving->stacks);
    thin(&pool->search, MOST_OF_MANY, leaving->stacks);
    if (status == STATUS_OK && leaving->count > 0)
        status = fit_work(pool, WORK_CENTRE, pool->centre, 0, leaving->stacks, &centre, error);
    for (int i = 0; i < FIT_PARAMETERS; i++)
        if (!FIT_PARAMETER_SPECS[i].common)
            centre.value[i] = pool->centre[i];
    for (size_t i = 0; status == STATUS_OK && i < leaving->count; i++)
        if (!chosen_before(leaving, i))
            status = predict_stack(leaving, source, centre.value,
                                   measured_base_stack(leaving->rows[i].base), result, error);
    for (size_t i = 0; i < leaving->count; i++) {
        free(leaving->rows[i].scenario);
        leaving->rows[i].scenario = NULL;
    }
    source->count = result->row_count - source->first;
    for (size_t i = 0; i < source->count; i++) {
        LeftOutRow *row = &result->rows[source->first + i];
        row->row = row_of_line(file, row->row->line); /* outlives the copy */
        leaving->scratch[i] = row->error;
    }
    source->errors = error_statistics(leaving->scratch, source->count);
    result->skipped += source->skipped;
    return status;
}

static void add_source(LeaveOut *result, const Measurement *row)
{
    for (size_t i = 0; i < result->source_count; i++)
        if (is_of_source(row, result->sources[i].name))
            return;
    source_of(row, result->sources[result->source_count++].name);
}

Status stack_leave_out(const ConfigPaths *paths, const MeasurementFile *file,
                       const ForecastOptions *options, LeaveOut *result, Error *error)
{
    Pool pool;
    Leaving leaving = {.pool = &pool};
    *result = (LeaveOut){0};
    Status status = pool_read(&pool, paths, file, options, error);
    const size_t most = file->count + 1;
    result->sources = calloc(most, sizeof *result->sources);
    result->rows = calloc(most, sizeof *result->rows);
    leaving.struck = calloc(most, sizeof *leaving.struck);
    leaving.rows = calloc(most, sizeof *leaving.rows);
    leaving.stacks = calloc(most, sizeof(const char *));
    leaving.scratch = calloc(most, sizeof *leaving.scratch);
    if (status == STATUS_OK &&
        (result->sources == NULL || result->rows == NULL || leaving.struck == NULL ||
         leaving.rows == NULL || leaving.stacks == NULL || leaving.scratch == NULL))
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
    for (size_t i = 0; status == STATUS_OK && i < file->count; i++)
        if (strcmp(file->rows[i].split, "pool") == 0)
            add_source(result, &file->rows[i]);
    if (status == STATUS_OK && result->source_count == 0)
        status = error_set(error, STATUS_INVALID, "no row has the split 'pool'");
    pool.search.total = result->source_count;
    for (size_t i = 0; status == STATUS_OK && i < result->source_count; i++, pool.search.done++) {
        status = leave_out(&leaving, file, &result->sources[i], result, error);
    }
    if (status == STATUS_OK) {
        for (size_t i = 0; i < result->row_count; i++)
            leaving.scratch[i] = result->rows[i].error;
        result->all = error_statistics(leaving.scratch, result->row_count);
    }
    free(leaving.struck);
    free(leaving.rows);
    free(leaving.stacks);
    free(leaving.scratch);
    pool_free(&pool);
    return status;
}

void leave_out_free(LeaveOut *result)
{
    free(result->sources);
    free(result->rows);
    *result = (LeaveOut){0};
}
