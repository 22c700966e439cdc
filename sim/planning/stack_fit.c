#include "sim/planning/stack_fit.h"

#include "sim/engine/parallel.h"
#include "sim/planning/measured_step.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_multimin.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRAINING(field) offsetof(TrainingSpec, field)

const FitParameterSpec FIT_PARAMETER_SPECS[FIT_PARAMETERS] = {
    [FIT_KERNEL_OVERHEAD] = {"", "kernel_overhead", TRAINING(kernel_overhead), 0, 0, 1, 0.01, "%"},
    [FIT_LAUNCH] = {"", "launch", TRAINING(launch_s), 0, 0, 150e-6, 1e-6, "us"},
    [FIT_FUSED] = {"", "fused", TRAINING(fused), 0, 0, 0.9, 0.01, "%"},
    [FIT_TENSOR_OVERLAP] = {"parallel", "tensor_overlap", TRAINING(parallel.tensor_overlap), 0.5, 0,
                            1, 0.01, "%"},
    [FIT_EXPERT_OVERLAP] = {"parallel", "expert_overlap", TRAINING(parallel.expert_overlap), 0, 0,
                            1, 0.01, "%"},
};

/* The loss: see stack_fit.h. */
static const double robust_log_error = 0.3, beyond_weight = 0.25;
/* A parameter stays where the loss would grow by more than this share without it. */
static const double worth_keeping = 0.03;
/* The simplex, in shares of the parameters' ranges. */
static const double first_size = 0.15, last_size = 2e-4;
static const double starts[] = {0.05, 0.25, 0.6};
enum { STARTS = 3, MOST_ITERATIONS = 160, MOST_RESTARTS = 3 };

/* ---- rows --------------------------------------------------------------------------------------
 */

typedef struct FitRow {
    const Measurement *row;
    const MeasuredBase *base;
    Scenario *scenario; /* NULL: skipped */
    double measured, penalty_share;
    double log_error; /* at the parameters last asked for */
} FitRow;

typedef struct Fitting {
    const ForecastOptions *options;
    const MeasuredRules *rules;
    MeasuredStep **steps;
    size_t threads;
    FitRow *rows; /* of the group at work */
    size_t row_count;
    int active[FIT_PARAMETERS];
    double value[FIT_PARAMETERS];
    size_t done, total; /* stacks, for progress */
    Status status;      /* of an evaluation inside the simplex */
    Error error;
} Fitting;

static void put_parameters(const int *active, const double *value, Scenario *scenario)
{
    for (int i = 0; i < FIT_PARAMETERS; i++)
        if (active[i] != 0)
            *(double *)((char *)&scenario->training + FIT_PARAMETER_SPECS[i].offset) = value[i];
}

/* Neutral values for what the stack does; what it does not do (no overlap) stays off. */
static void put_neutral(Scenario *scenario)
{
    for (int i = 0; i < FIT_PARAMETERS; i++) {
        double *field = (double *)((char *)&scenario->training + FIT_PARAMETER_SPECS[i].offset);
        if (i != FIT_TENSOR_OVERLAP || *field > 0)
            *field = FIT_PARAMETER_SPECS[i].neutral;
    }
}

/* Rows that cannot be predicted are those that a validation skips. */
static Status prepare_row(void *context, size_t index, size_t worker, Error *error)
{
    Fitting *fitting = context;
    FitRow *row = &fitting->rows[index];
    MeasuredStep *step = fitting->steps[worker];
    Error reason = {0};
    unsigned defaults;
    const unsigned long long seed = fitting->options->seed;
    Status status = measured_scenario(row->base, row->row, &step->scenario, &defaults, &reason);
    put_neutral(&step->scenario);
    if (status == STATUS_OK)
        status = measured_tokens_per_s(fitting->rules, row->row, &step->scenario, &row->measured,
                                       &defaults, &reason);
    if (status == STATUS_OK)
        status = measured_step_penalty(step, seed, &row->penalty_share, &reason);
    if (status == STATUS_ENVIRONMENT)
        *error = reason;
    if (status != STATUS_OK)
        return status == STATUS_ENVIRONMENT ? status : STATUS_OK;
    row->scenario = malloc(sizeof *row->scenario);
    if (row->scenario == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    *row->scenario = step->scenario;
    return STATUS_OK;
}

static Status predict_row(void *context, size_t index, size_t worker, Error *error)
{
    Fitting *fitting = context;
    FitRow *row = &fitting->rows[index];
    MeasuredStep *step = fitting->steps[worker];
    double rate;
    step->scenario = *row->scenario;
    put_parameters(fitting->active, fitting->value, &step->scenario);
    Status status =
        measured_step_rate(step, fitting->options->seed, row->penalty_share, &rate, error);
    if (status == STATUS_OK)
        row->log_error = log(rate / row->measured);
    return status;
}

static double robust(double log_error)
{
    const double size = fabs(log_error);
    return fmin(size, robust_log_error) + beyond_weight * fmax(0, size - robust_log_error);
}

static Status evaluate(Fitting *fitting, double *loss, Error *error)
{
    Status status = parallel_for(fitting->row_count, fitting->threads, predict_row, fitting, error);
    *loss = 0;
    for (size_t i = 0; status == STATUS_OK && i < fitting->row_count; i++)
        *loss += robust(fitting->rows[i].log_error) / (double)fitting->row_count;
    const ForecastOptions *options = fitting->options;
    if (status == STATUS_OK && options->progress != NULL &&
        options->progress(options->progress_context, fitting->done, fitting->total) != 0)
        status = error_set(error, STATUS_INTERRUPTED, "interrupted after %zu of %zu stacks",
                           fitting->done, fitting->total);
    return status;
}

/* ---- search ------------------------------------------------------------------------------------
 */

static double clamp(double value, double low, double high)
{
    return fmin(fmax(value, low), high);
}

/* Positions are shares of the parameters' ranges; outside of them the loss climbs. */
static double loss_at(const gsl_vector *position, void *context)
{
    static const double wall = 1, failed = 1e3;
    Fitting *fitting = context;
    double outside = 0, loss = failed;
    size_t at = 0;
    for (int i = 0; i < FIT_PARAMETERS; i++) {
        if (fitting->active[i] == 0)
            continue;
        const FitParameterSpec *spec = &FIT_PARAMETER_SPECS[i];
        const double share = gsl_vector_get(position, at++), inside = clamp(share, 0, 1);
        outside += fabs(share - inside);
        fitting->value[i] = spec->low + inside * (spec->high - spec->low);
    }
    if (fitting->status == STATUS_OK)
        fitting->status = evaluate(fitting, &loss, &fitting->error);
    return fitting->status == STATUS_OK ? loss + wall * outside : failed;
}

typedef struct Optimum {
    double loss;
    double value[FIT_PARAMETERS];
} Optimum;

static void share_of_range(const Fitting *fitting, const double *value, gsl_vector *position)
{
    size_t at = 0;
    for (int i = 0; i < FIT_PARAMETERS; i++) {
        const FitParameterSpec *spec = &FIT_PARAMETER_SPECS[i];
        if (fitting->active[i] != 0)
            gsl_vector_set(position, at++, (value[i] - spec->low) / (spec->high - spec->low));
    }
}

/* One simplex from `best`, which it replaces when it finds better. The first corner points into the
 * range, whichever end it starts from. */
static Status descend(Fitting *fitting, gsl_multimin_fminimizer *minimizer, gsl_vector *position,
                      gsl_vector *sizes, Optimum *best, Error *error)
{
    gsl_multimin_function function = {.f = loss_at, .n = position->size, .params = fitting};
    share_of_range(fitting, best->value, position);
    for (size_t i = 0; i < position->size; i++)
        gsl_vector_set(sizes, i, gsl_vector_get(position, i) > 0.5 ? -first_size : first_size);
    int code = gsl_multimin_fminimizer_set(minimizer, &function, position, sizes);
    for (int i = 0; i < MOST_ITERATIONS && code == GSL_SUCCESS; i++) {
        code = gsl_multimin_fminimizer_iterate(minimizer);
        if (gsl_multimin_fminimizer_size(minimizer) < last_size)
            break;
    }
    const double loss = fitting->status == STATUS_OK ? loss_at(minimizer->x, fitting) : 0;
    if (fitting->status != STATUS_OK) {
        if (error != NULL)
            *error = fitting->error;
        return fitting->status;
    }
    if (loss < best->loss) {
        best->loss = loss;
        memcpy(best->value, fitting->value, sizeof best->value);
    }
    return STATUS_OK;
}

/* The least loss over the active parameters, from `start` and, with `widely`, from the fixed
 * starts; the simplex is set up anew where it ended until that gains nothing. */
static Status search(Fitting *fitting, const double *start, int widely, Optimum *best, Error *error)
{
    size_t dimensions = 0;
    for (int i = 0; i < FIT_PARAMETERS; i++)
        dimensions += fitting->active[i] != 0;
    memcpy(best->value, start, sizeof best->value);
    memcpy(fitting->value, start, sizeof best->value);
    Status status = evaluate(fitting, &best->loss, error);
    if (status != STATUS_OK || dimensions == 0)
        return status;

    gsl_vector *position = gsl_vector_alloc(dimensions), *sizes = gsl_vector_alloc(dimensions);
    gsl_multimin_fminimizer *minimizer =
        gsl_multimin_fminimizer_alloc(gsl_multimin_fminimizer_nmsimplex2, dimensions);
    if (position == NULL || sizes == NULL || minimizer == NULL)
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
    for (int s = 0; widely && status == STATUS_OK && s < STARTS; s++) {
        Optimum tried = {.loss = HUGE_VAL};
        for (int i = 0; i < FIT_PARAMETERS; i++) {
            const FitParameterSpec *spec = &FIT_PARAMETER_SPECS[i];
            tried.value[i] = fitting->active[i] != 0
                                 ? spec->low + starts[s] * (spec->high - spec->low)
                                 : start[i];
        }
        status = descend(fitting, minimizer, position, sizes, &tried, error);
        if (status == STATUS_OK && tried.loss < best->loss)
            *best = tried;
    }
    for (int restart = 0; status == STATUS_OK && restart < MOST_RESTARTS; restart++) {
        const double before = best->loss;
        status = descend(fitting, minimizer, position, sizes, best, error);
        if (best->loss > before * (1 - worth_keeping / 30))
            break;
    }
    if (minimizer != NULL)
        gsl_multimin_fminimizer_free(minimizer);
    if (sizes != NULL)
        gsl_vector_free(sizes);
    if (position != NULL)
        gsl_vector_free(position);
    return status;
}

/* Parameters whose neutral value costs least go first, until each that is left is worth it. */
static Status search_and_thin(Fitting *fitting, Optimum *best, Error *error)
{
    double neutral[FIT_PARAMETERS];
    for (int i = 0; i < FIT_PARAMETERS; i++)
        neutral[i] = FIT_PARAMETER_SPECS[i].neutral;
    Status status = search(fitting, neutral, 1, best, error);
    const double best_of_all = best->loss;
    while (status == STATUS_OK) {
        int least = -1;
        Optimum least_optimum = {.loss = HUGE_VAL};
        for (int i = 0; status == STATUS_OK && i < FIT_PARAMETERS; i++) {
            if (fitting->active[i] == 0)
                continue;
            Optimum without, from = *best;
            from.value[i] = neutral[i];
            fitting->active[i] = 0;
            status = search(fitting, from.value, 0, &without, error);
            fitting->active[i] = 1;
            if (status == STATUS_OK && without.loss < least_optimum.loss) {
                least = i;
                least_optimum = without;
            }
        }
        if (status != STATUS_OK || least < 0 ||
            least_optimum.loss > best_of_all * (1 + worth_keeping))
            break;
        fitting->active[least] = 0;
        *best = least_optimum;
        best->value[least] = neutral[least];
    }
    return status;
}

/* ---- groups of stacks --------------------------------------------------------------------------
 */

static const char *plain_name(const char *stack)
{
    static const char prefix[] = "stack-";
    return strncmp(stack, prefix, sizeof prefix - 1) == 0 ? stack + sizeof prefix - 1 : stack;
}

static const char *table_cell(const CsvTable *table, size_t row, const char *column)
{
    const int index = csv_column(table, column);
    return index >= 0 ? table->rows[row].cells[index].text : "";
}

/* Whose parameters a stack has: its own unless the table says otherwise. */
static const char *root_of(const CsvTable *shared, const char *stack)
{
    for (size_t i = 0; i < shared->row_count; i++)
        if (strcmp(table_cell(shared, i, "stack"), stack) == 0)
            return table_cell(shared, i, "with");
    return stack;
}

static int compare_fits(const void *a, const void *b)
{
    return strcmp(((const StackFit *)a)->stack, ((const StackFit *)b)->stack);
}

static StackFit *find_fit(const StackFits *fits, const char *stack)
{
    for (size_t i = 0; i < fits->count; i++)
        if (strcmp(fits->fits[i].stack, stack) == 0)
            return &fits->fits[i];
    return NULL;
}

static int is_wanted(const char *root, const CsvTable *shared, const char *const *names,
                     size_t name_count)
{
    for (size_t i = 0; i < name_count; i++) {
        char full[NAME_BYTES];
        if (strcmp(names[i], "all") == 0)
            return 1;
        snprintf(full, sizeof full, "stack-%.*s", NAME_BYTES - 8, plain_name(names[i]));
        if (strcmp(root_of(shared, full), root) == 0)
            return 1;
    }
    return 0;
}

/* What ids begin with, each once, as long as there is room. */
static void add_family(char *families, const char *id)
{
    char family[32];
    snprintf(family, sizeof family, "%.*s", (int)fmin(31, (double)strcspn(id, "-")), id);
    const size_t length = strlen(families);
    for (const char *at = families; *at != '\0'; at += strcspn(at, " "), at += *at == ' ')
        if (strncmp(at, family, strlen(family)) == 0 && strcspn(at, " ") == strlen(family))
            return;
    if (length + strlen(family) + 2 < FIT_FAMILIES_BYTES)
        snprintf(families + length, FIT_FAMILIES_BYTES - length, "%s%s", length > 0 ? " " : "",
                 family);
}

static void activate(Fitting *fitting)
{
    const int everywhere[FIT_PARAMETERS] = {
        [FIT_KERNEL_OVERHEAD] = 1, [FIT_LAUNCH] = 1, [FIT_FUSED] = 1};
    memcpy(fitting->active, everywhere, sizeof everywhere);
    for (size_t i = 0; i < fitting->row_count; i++) {
        const Scenario *scenario = fitting->rows[i].scenario;
        const ParallelSpec *parallel = &scenario->training.parallel;
        if (parallel->tensor > 1 && parallel->tensor_overlap > 0)
            fitting->active[FIT_TENSOR_OVERLAP] = 1;
        if (scenario->model.experts > 1 && parallel->expert > 1)
            fitting->active[FIT_EXPERT_OVERLAP] = 1;
    }
}

/* Errors of each stack at the parameters that the rows were last predicted with. */
static void count_errors(const Fitting *fitting, StackFits *fits, int after, double *scratch)
{
    for (size_t s = 0; s < fits->count; s++) {
        StackFit *fit = &fits->fits[s];
        size_t count = 0;
        for (size_t i = 0; i < fitting->row_count; i++)
            if (strcmp(measured_base_stack(fitting->rows[i].base), fit->stack) == 0)
                scratch[count++] = exp(fitting->rows[i].log_error) - 1;
        if (count == 0)
            continue;
        *(after ? &fit->after : &fit->before) = error_statistics(scratch, count);
        fit->rows = count;
    }
}

/* `scratch` is room for all rows. */
static Status fit_group(Fitting *fitting, StackFits *fits, double *scratch, Error *error)
{
    Optimum best = {0};
    double loss;
    size_t kept = 0;
    Status status = parallel_for(fitting->row_count, fitting->threads, prepare_row, fitting, error);
    for (size_t i = 0; i < fitting->row_count; i++)
        if (fitting->rows[i].scenario != NULL) {
            const FitRow row = fitting->rows[i];
            fitting->rows[i].scenario = NULL;
            fitting->rows[kept++] = row;
        }
    fitting->row_count = kept;
    if (status == STATUS_OK && kept == 0)
        return STATUS_OK;
    activate(fitting);
    const int none[FIT_PARAMETERS] = {0};
    int active[FIT_PARAMETERS];
    memcpy(active, fitting->active, sizeof active);
    memcpy(fitting->active, none, sizeof none);
    if (status == STATUS_OK)
        status = evaluate(fitting, &loss, error);
    if (status == STATUS_OK)
        count_errors(fitting, fits, 0, scratch);
    memcpy(fitting->active, active, sizeof active);
    if (status == STATUS_OK)
        status = search_and_thin(fitting, &best, error);
    memcpy(fitting->value, best.value, sizeof best.value);
    if (status == STATUS_OK)
        status = evaluate(fitting, &loss, error);
    if (status != STATUS_OK)
        return status;
    count_errors(fitting, fits, 1, scratch);
    char families[FIT_FAMILIES_BYTES] = "";
    for (size_t i = 0; i < kept; i++)
        add_family(families, fitting->rows[i].row->id);
    for (size_t i = 0; i < kept; i++) {
        StackFit *fit = find_fit(fits, measured_base_stack(fitting->rows[i].base));
        fit->fit_rows = kept;
        memcpy(fit->families, families, sizeof families);
        memcpy(fit->fitted, fitting->active, sizeof fit->fitted);
        memcpy(fit->value, best.value, sizeof fit->value);
    }
    return STATUS_OK;
}

static void release_rows(Fitting *fitting, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(fitting->rows[i].scenario);
    memset(fitting->rows, 0, count * sizeof *fitting->rows);
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

static Status list_stacks(const MeasurementFile *file, const MeasuredRules *rules,
                          const CsvTable *shared, const char *const *names, size_t name_count,
                          StackFits *fits, Error *error)
{
    fits->fits = calloc(file->count + 1, sizeof *fits->fits);
    if (fits->fits == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    for (size_t i = 0; i < file->count; i++) {
        int assumed;
        const char *stack = rules_stack(rules, &file->rows[i], &assumed);
        if (strcmp(file->rows[i].split, "pool") != 0 || stack == NULL ||
            find_fit(fits, stack) != NULL || strlen(stack) >= NAME_BYTES)
            continue;
        const char *root = root_of(shared, stack);
        if (!is_wanted(root, shared, names, name_count))
            continue;
        StackFit *fit = &fits->fits[fits->count++];
        snprintf(fit->stack, sizeof fit->stack, "%s", stack);
        if (strcmp(root, stack) != 0)
            snprintf(fit->with, sizeof fit->with, "%.*s", NAME_BYTES - 1, root);
    }
    if (fits->count == 0)
        return error_set(error, STATUS_INVALID, "no row of the split 'pool' has the stack '%.60s'",
                         name_count > 0 ? names[0] : "");
    qsort(fits->fits, fits->count, sizeof *fits->fits, compare_fits);
    return STATUS_OK;
}

/* All rows whose stack has `root`'s parameters. */
static Status find_group(const MeasurementFile *file, const CsvTable *shared, const char *root,
                         MeasuredBases *bases, Fitting *fitting, Error *error)
{
    fitting->row_count = 0;
    for (size_t i = 0; i < file->count; i++) {
        const MeasuredBase *base = NULL;
        const Measurement *row = &file->rows[i];
        int assumed;
        const char *stack = rules_stack(bases->rules, row, &assumed);
        if (strcmp(row->split, "pool") != 0 || stack == NULL ||
            strcmp(root_of(shared, stack), root) != 0)
            continue;
        Error reason = {0};
        Status status = measured_base(bases, row, &base, &reason);
        if (status == STATUS_ENVIRONMENT || status == STATUS_USAGE) {
            *error = reason;
            return status;
        }
        if (status == STATUS_OK)
            fitting->rows[fitting->row_count++] = (FitRow){.row = row, .base = base};
    }
    return STATUS_OK;
}

static Status read_shared(const ConfigPaths *paths, CsvTable *shared, Error *error)
{
    char path[ERROR_PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/calibration/fit_with.csv", paths->root);
    Status status = csv_read(path, shared, error);
    if (status == STATUS_OK && (csv_column(shared, "stack") < 0 || csv_column(shared, "with") < 0))
        status =
            error_set(error, STATUS_INVALID, "'%.200s' needs the columns stack and with", path);
    return status;
}

Status stack_fit(const ConfigPaths *paths, const MeasurementFile *file, const char *const *names,
                 size_t name_count, const ForecastOptions *options, StackFits *fits, Error *error)
{
    CsvTable shared = {0};
    MeasuredRules rules = {0};
    MeasuredBases bases = {.paths = paths, .rules = &rules};
    Fitting fitting = {
        .options = options, .rules = &rules, .threads = parallel_threads(options->threads)};
    double *scratch = malloc((file->count + 1) * sizeof *scratch);
    fitting.rows = calloc(file->count + 1, sizeof *fitting.rows);
    fitting.steps = measured_steps_create(fitting.threads, error);
    *fits = (StackFits){0};
    Status status = scratch == NULL || fitting.rows == NULL || fitting.steps == NULL
                        ? error_set(error, STATUS_ENVIRONMENT, "out of memory")
                        : measured_rules_read(paths, &rules, error);
    if (status == STATUS_OK)
        status = read_shared(paths, &shared, error);
    if (status == STATUS_OK)
        status = list_stacks(file, &rules, &shared, names, name_count, fits, error);
    fitting.total = fits->count;
    for (size_t i = 0; status == STATUS_OK && i < fits->count; i++, fitting.done++) {
        const StackFit *fit = &fits->fits[i];
        const char *root = fit->with[0] != '\0' ? fit->with : fit->stack;
        if (fit->fit_rows > 0) /* done with another of its group */
            continue;
        status = find_group(file, &shared, root, &bases, &fitting, error);
        if (status == STATUS_OK)
            status = fit_group(&fitting, fits, scratch, error);
        release_rows(&fitting, file->count);
    }
    csv_free(&shared);
    measured_bases_free(&bases);
    measured_rules_free(&rules);
    measured_steps_free(fitting.steps, fitting.threads);
    free(fitting.rows);
    free(scratch);
    return status;
}

void stack_fits_free(StackFits *fits)
{
    free(fits->fits);
    *fits = (StackFits){0};
}
