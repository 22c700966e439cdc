#include "sim/planning/stack_search.h"

#include "sim/engine/parallel.h"
#include "sim/engine/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRAINING(field) offsetof(TrainingSpec, field)

const FitParameterSpec FIT_PARAMETER_SPECS[FIT_PARAMETERS] = {
    [FIT_KERNEL_OVERHEAD] = {"", "kernel_overhead", TRAINING(kernel_overhead), 0, 0, 1, 1, 0.01,
                             "%"},
    [FIT_LAUNCH] = {"", "launch", TRAINING(launch_s), 0, 0, 150e-6, 1, 1e-6, "us"},
    [FIT_FUSED] = {"", "fused", TRAINING(fused), 0, 0, 0.9, 1, 0.01, "%"},
    [FIT_TENSOR_OVERLAP] = {"parallel", "tensor_overlap", TRAINING(parallel.tensor_overlap), 0.5, 0,
                            1, 0, 0.01, "%"},
    [FIT_EXPERT_OVERLAP] = {"parallel", "expert_overlap", TRAINING(parallel.expert_overlap), 0.5, 0,
                            1, 0, 0.01, "%"},
};

static const char common_stack[] = "stack-common";

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
const char *fit_root_of(const CsvTable *shared, const char *stack)
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
        if (strcmp(fit_root_of(shared, full), root) == 0)
            return 1;
    }
    return 0;
}

void fit_add_family(char families[FIT_FAMILIES_BYTES], const char *id)
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

/* What a row can tell. */
static void add_told(const FitRow *row, int told[FIT_PARAMETERS])
{
    const Scenario *scenario = row->scenario;
    const ParallelSpec *parallel = &scenario->training.parallel;
    const int tells[FIT_PARAMETERS] = {
        [FIT_KERNEL_OVERHEAD] = 1,
        [FIT_LAUNCH] = 1,
        [FIT_FUSED] = 1,
        [FIT_TENSOR_OVERLAP] = parallel->tensor > 1 && parallel->tensor_overlap > 0,
        [FIT_EXPERT_OVERLAP] =
            scenario->model.experts > 1 && parallel->expert > 1 && parallel->expert_overlap > 0,
    };
    for (int i = 0; i < FIT_PARAMETERS; i++)
        if (tells[i] && row->stated[i] == 0)
            told[i] = 1;
}

void fit_search_activate(FitSearch *search)
{
    memset(search->active, 0, sizeof search->active);
    for (size_t i = 0; i < search->row_count; i++)
        add_told(&search->rows[i], search->active);
}

/* Errors of all rows, and room for the work on a group. */
typedef struct Gathered {
    size_t folds, rows;
    double *after, *held_out, *scratch;
    FitRow *aside;
} Gathered;

/* Rows of one model in one source share a fold: they differ in little. */
static size_t fold_of(const Measurement *row, size_t folds)
{
    char key[512];
    snprintf(key, sizeof key, "%.*s %.300s", (int)strcspn(row->id, "-"), row->id, row->model);
    return (size_t)(random_hash(key) % folds);
}

/* Rows of the fold to the end; returns how many others there are. */
static size_t set_aside(FitRow *rows, size_t count, size_t fold, FitRow *scratch)
{
    size_t others = 0, aside = 0;
    for (size_t i = 0; i < count; i++)
        if (rows[i].fold == fold)
            scratch[aside++] = rows[i];
        else
            rows[others++] = rows[i];
    memcpy(rows + others, scratch, aside * sizeof *rows);
    return others;
}

/* Each fold with the constants of the others; a fold that holds all rows with those of the centre.
 */
static Status hold_out(FitSearch *search, size_t folds, FitRow *scratch, Error *error)
{
    const size_t rows = search->row_count;
    Status status = STATUS_OK;
    for (size_t i = 0; i < rows; i++)
        search->rows[i].fold = fold_of(search->rows[i].row, folds);
    for (size_t fold = 0; status == STATUS_OK && fold < folds; fold++) {
        FitOptimum best = {0};
        double loss;
        const size_t others = set_aside(search->rows, rows, fold, scratch);
        if (others == rows)
            continue;
        memcpy(best.value, search->centre, sizeof best.value);
        fit_search_activate(search);
        search->row_count = others;
        if (others > 0)
            status = fit_search_run(search, &best, error);
        memcpy(search->value, best.value, sizeof best.value);
        search->row_count = rows;
        if (status == STATUS_OK)
            status = fit_search_evaluate(search, &loss, error);
        for (size_t i = others; status == STATUS_OK && i < rows; i++)
            search->rows[i].held_out_error = exp(search->rows[i].log_error) - 1;
    }
    search->row_count = rows;
    return status;
}

typedef enum Errors { ERRORS_BEFORE, ERRORS_AFTER, ERRORS_HELD_OUT } Errors;

/* Errors of each stack at the parameters that the rows were last predicted with. */
static void count_errors(const FitSearch *search, StackFits *fits, Errors which, double *scratch)
{
    for (size_t s = 0; s < fits->count; s++) {
        StackFit *fit = &fits->fits[s];
        ErrorStatistics *const to[] = {&fit->before, &fit->after, &fit->held_out};
        size_t count = 0;
        for (size_t i = 0; i < search->row_count; i++) {
            const FitRow *row = &search->rows[i];
            if (strcmp(measured_base_stack(row->base), fit->stack) == 0)
                scratch[count++] =
                    which == ERRORS_HELD_OUT ? row->held_out_error : exp(row->log_error) - 1;
        }
        if (count == 0)
            continue;
        *to[which] = error_statistics(scratch, count);
        fit->rows = count;
    }
}

static void name_families(const FitSearch *search, char families[FIT_FAMILIES_BYTES])
{
    families[0] = '\0';
    for (size_t i = 0; i < search->row_count; i++)
        fit_add_family(families, search->rows[i].row->id);
}

/* Rows at neutral values. */
static Status predict_before(FitSearch *search, Error *error)
{
    static const int none[FIT_PARAMETERS] = {0};
    double loss;
    memcpy(search->active, none, sizeof none);
    return fit_search_evaluate(search, &loss, error);
}

/* Rows with what fits them best. */
static Status predict_after(FitSearch *search, FitOptimum *best, Error *error)
{
    double loss;
    fit_search_activate(search);
    Status status = fit_search_run(search, best, error);
    memcpy(search->value, best->value, sizeof best->value);
    return status == STATUS_OK ? fit_search_evaluate(search, &loss, error) : status;
}

static Status fit_group(FitSearch *search, StackFits *fits, Gathered *gathered, Error *error)
{
    FitOptimum best = {0};
    Status status = fit_search_prepare(search, error);
    if (status == STATUS_OK && search->row_count == 0)
        return STATUS_OK;
    if (status == STATUS_OK)
        status = predict_before(search, error);
    if (status == STATUS_OK)
        count_errors(search, fits, ERRORS_BEFORE, gathered->scratch);
    if (status == STATUS_OK)
        status = predict_after(search, &best, error);
    if (status != STATUS_OK)
        return status;
    count_errors(search, fits, ERRORS_AFTER, gathered->scratch);
    char families[FIT_FAMILIES_BYTES];
    name_families(search, families);
    for (size_t i = 0; i < search->row_count; i++) {
        StackFit *fit = find_fit(fits, measured_base_stack(search->rows[i].base));
        fit->fit_rows = search->row_count;
        memcpy(fit->families, families, sizeof families);
        add_told(&search->rows[i], fit->fitted);
        memcpy(fit->value, best.value, sizeof fit->value);
        gathered->after[gathered->rows + i] = exp(search->rows[i].log_error) - 1;
    }
    if (gathered->folds > 1) {
        status = hold_out(search, gathered->folds, gathered->aside, error);
        count_errors(search, fits, ERRORS_HELD_OUT, gathered->scratch);
    }
    for (size_t i = 0; i < search->row_count; i++)
        gathered->held_out[gathered->rows++] = search->rows[i].held_out_error;
    return status;
}

/* How many rows have `root`'s parameters. */
static size_t rows_of_root(const FitSearch *search, const CsvTable *shared, const char *root)
{
    size_t count = 0;
    for (size_t i = 0; i < search->row_count; i++)
        count += strcmp(fit_root_of(shared, measured_base_stack(search->rows[i].base)), root) == 0;
    return count;
}

static ErrorStatistics statistics_of_all(const FitSearch *search, double *scratch)
{
    for (size_t i = 0; i < search->row_count; i++)
        scratch[i] = exp(search->rows[i].log_error) - 1;
    return error_statistics(scratch, search->row_count);
}

/* What kernels cost in all stacks, each counting alike however many rows it has. Overlaps are
 * fitted beside it and belong to no stack. */
static Status fit_common(FitSearch *search, const CsvTable *shared, double *scratch, StackFit *fit,
                         Error *error)
{
    FitOptimum best = {0};
    Status status = fit_search_prepare(search, error);
    if (status == STATUS_OK && search->row_count == 0)
        return STATUS_OK;
    for (size_t i = 0; i < search->row_count; i++) {
        const char *root = fit_root_of(shared, measured_base_stack(search->rows[i].base));
        search->rows[i].weight = 1.0 / (double)rows_of_root(search, shared, root);
    }
    if (status == STATUS_OK)
        status = predict_before(search, error);
    fit->before = statistics_of_all(search, scratch);
    if (status == STATUS_OK)
        status = predict_after(search, &best, error);
    fit->after = statistics_of_all(search, scratch);
    fit->rows = fit->fit_rows = search->row_count;
    name_families(search, fit->families);
    for (int i = 0; i < FIT_PARAMETERS; i++) {
        fit->fitted[i] = FIT_PARAMETER_SPECS[i].common;
        fit->value[i] = best.value[i];
    }
    return status;
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
        const char *stack = rules_stack(rules, &file->rows[i], NULL, NULL, &assumed);
        if (strcmp(file->rows[i].split, "pool") != 0 || stack == NULL ||
            find_fit(fits, stack) != NULL || strlen(stack) >= NAME_BYTES)
            continue;
        const char *root = fit_root_of(shared, stack);
        if (!is_wanted(root, shared, names, name_count))
            continue;
        StackFit *fit = &fits->fits[fits->count++];
        snprintf(fit->stack, sizeof fit->stack, "%s", stack);
        if (strcmp(root, stack) != 0)
            snprintf(fit->with, sizeof fit->with, "%.*s", NAME_BYTES - 1, root);
    }
    if (is_wanted(common_stack, shared, names, name_count) && find_fit(fits, common_stack) == NULL)
        snprintf(fits->fits[fits->count++].stack, NAME_BYTES, "%s", common_stack);
    if (fits->count == 0)
        return error_set(error, STATUS_INVALID, "no row of the split 'pool' has the stack '%.60s'",
                         name_count > 0 ? names[0] : "");
    qsort(fits->fits, fits->count, sizeof *fits->fits, compare_fits);
    return STATUS_OK;
}

/* All rows whose stack has `root`'s parameters; NULL: of all stacks. */
static Status find_group(const MeasurementFile *file, const CsvTable *shared, const char *root,
                         MeasuredBases *bases, FitSearch *search, Error *error)
{
    search->row_count = 0;
    for (size_t i = 0; i < file->count; i++) {
        const MeasuredBase *base = NULL;
        const Measurement *row = &file->rows[i];
        int assumed;
        const char *stack = rules_stack(bases->rules, row, NULL, NULL, &assumed);
        if (strcmp(row->split, "pool") != 0 || stack == NULL ||
            (root != NULL && strcmp(fit_root_of(shared, stack), root) != 0))
            continue;
        Error reason = {0};
        Status status = measured_base(bases, row, &base, &reason);
        if (status == STATUS_ENVIRONMENT || status == STATUS_USAGE) {
            *error = reason;
            return status;
        }
        if (status == STATUS_OK)
            search->rows[search->row_count++] = (FitRow){.row = row, .base = base, .weight = 1};
    }
    return STATUS_OK;
}

Status fit_shared_read(const ConfigPaths *paths, CsvTable *shared, Error *error)
{
    char path[ERROR_PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/calibration/fit_with.csv", paths->root);
    Status status = csv_read(path, shared, error);
    if (status == STATUS_OK && (csv_column(shared, "stack") < 0 || csv_column(shared, "with") < 0))
        status =
            error_set(error, STATUS_INVALID, "'%.200s' needs the columns stack and with", path);
    return status;
}

Status fit_centre_read(const ConfigPaths *paths, double centre[FIT_PARAMETERS], Error *error)
{
    Scenario *common = calloc(1, sizeof *common);
    ErrorList *errors = calloc(1, sizeof *errors);
    Status status =
        common == NULL || errors == NULL
            ? error_set(error, STATUS_ENVIRONMENT, "out of memory")
            : part_read(paths, "calibration", common_stack, NULL, 0, common, NULL, NULL, errors);
    if (errors != NULL && errors->count > 0 && error != NULL)
        *error = errors->errors[0];
    for (int i = 0; status == STATUS_OK && i < FIT_PARAMETERS; i++) {
        const FitParameterSpec *spec = &FIT_PARAMETER_SPECS[i];
        centre[i] = spec->common ? *(const double *)((const char *)&common->training + spec->offset)
                                 : (spec->low + spec->high) / 2;
    }
    free(common);
    free(errors);
    return status;
}

static void gathered_free(Gathered *gathered)
{
    free(gathered->after);
    free(gathered->held_out);
    free(gathered->scratch);
    free(gathered->aside);
}

static int gathered_allocate(Gathered *gathered, size_t rows)
{
    gathered->after = malloc((rows + 1) * sizeof *gathered->after);
    gathered->held_out = malloc((rows + 1) * sizeof *gathered->held_out);
    gathered->scratch = malloc((rows + 1) * sizeof *gathered->scratch);
    gathered->aside = malloc((rows + 1) * sizeof *gathered->aside);
    return gathered->after != NULL && gathered->held_out != NULL && gathered->scratch != NULL &&
           gathered->aside != NULL;
}

Status stack_fit(const ConfigPaths *paths, const MeasurementFile *file, const char *const *names,
                 size_t name_count, size_t folds, const ForecastOptions *options, StackFits *fits,
                 Error *error)
{
    CsvTable shared = {0};
    MeasuredRules rules = {0};
    MeasuredBases bases = {.paths = paths, .rules = &rules};
    FitSearch search = {
        .options = options, .rules = &rules, .threads = parallel_threads(options->threads)};
    Gathered gathered = {.folds = folds};
    search.rows = calloc(file->count + 1, sizeof *search.rows);
    search.steps = measured_steps_create(search.threads, error);
    *fits = (StackFits){0};
    Status status =
        !gathered_allocate(&gathered, file->count) || search.rows == NULL || search.steps == NULL
            ? error_set(error, STATUS_ENVIRONMENT, "out of memory")
            : measured_rules_read(paths, &rules, error);
    if (status == STATUS_OK)
        status = fit_shared_read(paths, &shared, error);
    if (status == STATUS_OK)
        status = list_stacks(file, &rules, &shared, names, name_count, fits, error);
    if (status == STATUS_OK)
        status = fit_centre_read(paths, search.centre, error);
    search.total = fits->count;
    StackFit *common = find_fit(fits, common_stack);
    if (status == STATUS_OK && common != NULL) {
        status = find_group(file, &shared, NULL, &bases, &search, error);
        if (status == STATUS_OK)
            status = fit_common(&search, &shared, gathered.scratch, common, error);
        fit_search_release(&search, file->count);
        for (int i = 0; i < FIT_PARAMETERS; i++)
            if (FIT_PARAMETER_SPECS[i].common && common->fit_rows > 0)
                search.centre[i] = common->value[i];
    }
    search.pull = FIT_ROBUST_LOG_ERROR;
    for (size_t i = 0; status == STATUS_OK && i < fits->count; i++, search.done++) {
        const StackFit *fit = &fits->fits[i];
        const char *root = fit->with[0] != '\0' ? fit->with : fit->stack;
        if (fit->fit_rows > 0) /* done with another of its group */
            continue;
        status = find_group(file, &shared, root, &bases, &search, error);
        if (status == STATUS_OK)
            status = fit_group(&search, fits, &gathered, error);
        fit_search_release(&search, file->count);
    }
    if (status == STATUS_OK && gathered.rows > 0) {
        fits->after = error_statistics(gathered.after, gathered.rows);
        if (folds > 1)
            fits->held_out = error_statistics(gathered.held_out, gathered.rows);
    }
    csv_free(&shared);
    measured_bases_free(&bases);
    measured_rules_free(&rules);
    measured_steps_free(search.steps, search.threads);
    gathered_free(&gathered);
    free(search.rows);
    return status;
}

void stack_fits_free(StackFits *fits)
{
    free(fits->fits);
    *fits = (StackFits){0};
}
