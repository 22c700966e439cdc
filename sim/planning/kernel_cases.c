#include "sim/planning/kernel_cases.h"

#include "configs/reader/sample.h"
#include "sim/engine/parallel.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- tables ------------------------------------------------------------------------------------
 */

static Status read_table(const ConfigPaths *paths, const char *name, const char *const *columns,
                         CsvTable *table, Error *error)
{
    char path[ERROR_PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/measurements/%s", paths->root, name);
    Status status = csv_read(path, table, error);
    for (size_t i = 0; status == STATUS_OK && columns[i] != NULL; i++)
        if (csv_column(table, columns[i]) < 0)
            status =
                error_set(error, STATUS_INVALID, "'%.200s' has no column '%s'", path, columns[i]);
    for (size_t i = 0; status == STATUS_OK && i < table->row_count; i++)
        if (table->rows[i].problem[0] != '\0')
            status = error_set(error, STATUS_INVALID, "%.200s:%d: %s", path, table->rows[i].line,
                               table->rows[i].problem);
    return status;
}

static const char *cell(const CsvTable *table, size_t row, const char *column)
{
    const int index = csv_column(table, column);
    return index >= 0 ? table->rows[row].cells[index].text : "";
}

static int matches(const CsvTable *table, size_t row, const char *column, const char *text)
{
    const char *pattern = cell(table, row, column);
    return pattern[0] == '\0' || fnmatch(pattern, text, 0) == 0;
}

const char *kernel_form_find(const CsvTable *table, const KernelWords *words, const char *column)
{
    for (size_t i = 0; i < table->row_count; i++)
        if (matches(table, i, "kernel", words->kernel) &&
            matches(table, i, "dtype", words->dtype) &&
            matches(table, i, "source", words->source) && matches(table, i, "hw", words->hw) &&
            matches(table, i, "shape", words->shape))
            return cell(table, i, column);
    return NULL;
}

const char *kernel_form_cell(const KernelCases *cases, const KernelWords *words, const char *column)
{
    return kernel_form_find(&cases->kernel_forms, words, column);
}

Status kernel_gpus_read(const ConfigPaths *paths, CsvTable *table, Error *error)
{
    static const char *const COLUMNS[] = {"gpu", "hw", NULL};
    return read_table(paths, "kernel_gpus.csv", COLUMNS, table, error);
}

Status kernel_forms_read(const ConfigPaths *paths, CsvTable *table, Error *error)
{
    static const char *const COLUMNS[] = {"kernel",    "dtype",    "source", "hw", "shape",
                                          "precision", "operands", "group",  NULL};
    return read_table(paths, "kernel_forms.csv", COLUMNS, table, error);
}

int kernel_source_fits(const KernelCases *cases, const char *source)
{
    const CsvTable *table = &cases->sources;
    for (size_t i = 0; i < table->row_count; i++)
        if (matches(table, i, "source", source))
            return strcmp(cell(table, i, "fit"), "yes") == 0;
    return 0;
}

/* ---- cases -------------------------------------------------------------------------------------
 */

Status kernel_cases_start(KernelCases *cases, const ConfigPaths *paths, const CsvTable *table,
                          const char *const *sets, size_t set_count, Error *error)
{
    static const char *const SOURCES[] = {"source", "fit", NULL};
    static const char *const NO_GROUPS[] = {NULL};
    *cases = (KernelCases){.paths = paths, .sets = sets, .set_count = set_count};
    cases->cases = calloc(table->row_count + 1, sizeof *cases->cases);
    if (cases->cases == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    Status status =
        kernel_validation_start(&cases->skipped, "", NO_GROUPS, table->row_count, error);
    if (status == STATUS_OK)
        status = kernel_gpus_read(paths, &cases->gpus, error);
    if (status == STATUS_OK)
        status = read_table(paths, "kernel_sources.csv", SOURCES, &cases->sources, error);
    if (status == STATUS_OK)
        status = kernel_forms_read(paths, &cases->kernel_forms, error);
    return status;
}

void kernel_cases_free(KernelCases *cases)
{
    if (cases->free_shapes != NULL)
        cases->free_shapes(cases->shapes);
    else
        free(cases->shapes);
    free(cases->cases);
    kernel_validation_free(&cases->skipped);
    csv_free(&cases->gpus);
    csv_free(&cases->sources);
    csv_free(&cases->kernel_forms);
    *cases = (KernelCases){0};
}

static Status read_machine(KernelCases *cases, const char *name, Error *error)
{
    Scenario *read = calloc(2, sizeof *read);
    ErrorList *errors = calloc(1, sizeof *errors);
    Status status = STATUS_OK;
    if (read == NULL || errors == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    status = part_read(cases->paths, "hw", name, cases->sets, cases->set_count, read, NULL, NULL,
                       errors);
    if (status != STATUS_OK) {
        if (error != NULL)
            *error = errors->errors[0];
        goto cleanup;
    }
    KernelMachine *machine = &cases->machines[cases->machine_count++];
    scenario_midpoint(&read[0], &read[1]);
    machine->gpu = read[1].hardware.gpu;
    snprintf(machine->name, sizeof machine->name, "%s", name);
cleanup:
    free(read);
    free(errors);
    return status;
}

Status kernel_machine(KernelCases *cases, const CsvRow *row, const char *gpu, size_t *machine,
                      Error *error)
{
    const char *name = NULL;
    for (size_t i = 0; name == NULL && i < cases->gpus.row_count; i++)
        if (matches(&cases->gpus, i, "gpu", gpu))
            name = cell(&cases->gpus, i, "hw");
    if (name == NULL || name[0] == '\0' || strlen(name) >= NAME_BYTES) {
        kernel_validation_skip(&cases->skipped, row->line, "",
                               "gpu '%.40s' is not in the catalogue", gpu);
        return STATUS_NO;
    }
    for (*machine = 0; *machine < cases->machine_count; ++*machine)
        if (strcmp(cases->machines[*machine].name, name) == 0)
            return STATUS_OK;
    if (cases->machine_count == KERNEL_MACHINES) {
        kernel_validation_skip(&cases->skipped, row->line, "", "more than %d kinds of GPUs",
                               KERNEL_MACHINES);
        return STATUS_NO;
    }
    return read_machine(cases, name, error);
}

const char *kernel_text(const CsvRow *row, int column)
{
    return column >= 0 ? row->cells[column].text : "";
}

int kernel_number(KernelCases *cases, const CsvTable *table, const CsvRow *row, int column,
                  double low, double high, double *value)
{
    const char *text = kernel_text(row, column);
    if (csv_number(text, value) != 0 && *value >= low && *value <= high)
        return 1;
    const char *name = column >= 0 ? table->header[column].text : "";
    if (text[0] == '\0')
        kernel_validation_skip(&cases->skipped, row->line, "", "%.40s is not stated", name);
    else
        kernel_validation_skip(&cases->skipped, row->line, "",
                               "%.40s '%.40s' is no number from %g to %g", name, text, low, high);
    return 0;
}

/* ---- validation --------------------------------------------------------------------------------
 */

static Status predict_case(void *context, size_t index, size_t worker, Error *error)
{
    KernelCases *cases = context;
    KernelCase *each = &cases->cases[index];
    (void)worker;
    (void)error;
    each->row.predicted_s =
        cases->predict(cases->shapes, each->shape, &cases->machines[each->machine].gpu);
    return STATUS_OK;
}

Status kernel_cases_validate(KernelCases *cases, KernelPart part, const char *file,
                             const ForecastOptions *options, KernelValidation *result, Error *error)
{
    const KernelValidation *skipped = &cases->skipped;
    Status status = kernel_validation_start(result, cases->what, cases->group_names,
                                            cases->count + skipped->skipped_count, error);
    if (status == STATUS_OK)
        status = parallel_for(cases->count, parallel_threads(options->threads), predict_case, cases,
                              error);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < cases->count; i++) {
        const KernelRow *row = &cases->cases[i].row;
        if (!(isfinite(row->predicted_s) && row->predicted_s > 0))
            kernel_validation_skip(result, row->line, "", "gpu '%.24s' has no constants of %s",
                                   cases->machines[cases->cases[i].machine].name,
                                   cases->forms[cases->cases[i].form].group);
        else if (kernel_part_has(part, row->held_back))
            kernel_validation_add(result, row);
    }
    for (size_t i = 0; i < skipped->skipped_count; i++)
        kernel_validation_skip(result, skipped->skipped[i].line, skipped->skipped[i].id, "%s",
                               skipped->skipped[i].reason);
    return kernel_validation_summarise(result, file, error);
}

/* ---- fit ---------------------------------------------------------------------------------------
 */

/* The cases that one fit looks at. */
typedef struct FitRows {
    const KernelCases *cases;
    const KernelForm *form;
    size_t *index; /* of cases */
} FitRows;

static double *parameter_of(GpuSpec *gpu, const KernelForm *form, size_t parameter)
{
    return (double *)((char *)gpu + form->offset + form->parameters[parameter].offset);
}

static double predict_with(const void *context, const double *values, size_t row)
{
    const FitRows *rows = context;
    const KernelCase *each = &rows->cases->cases[rows->index[row]];
    GpuSpec gpu = rows->cases->machines[each->machine].gpu;
    for (size_t i = 0; i < rows->form->parameter_count; i++)
        *parameter_of(&gpu, rows->form, i) = values[i];
    return rows->cases->predict(rows->cases->shapes, each->shape, &gpu);
}

static double measured_of(const void *context, size_t row)
{
    const FitRows *rows = context;
    return rows->cases->cases[rows->index[row]].row.measured_s;
}

/* Errors of a part with `values`. `scratch` is room for all cases. */
static ErrorStatistics part_errors(const FitRows *rows, size_t count, const double *values,
                                   double *scratch)
{
    for (size_t i = 0; i < count; i++)
        scratch[i] = predict_with(rows, values, i) / measured_of(rows, i) - 1;
    return error_statistics(scratch, count);
}

static size_t rows_of(FitRows *rows, size_t machine, size_t form, int held_back)
{
    size_t count = 0;
    for (size_t i = 0; i < rows->cases->count; i++) {
        const KernelCase *each = &rows->cases->cases[i];
        if (each->fit && each->machine == machine && each->form == form &&
            (each->row.held_back != 0) == held_back)
            rows->index[count++] = i;
    }
    return count;
}

static Status fit_form(KernelCases *cases, size_t machine, size_t form, FitRows *rows,
                       double *scratch, const ForecastOptions *options, KernelFits *fits,
                       Error *error)
{
    enum { LEAST_ROWS = 24 };
    KernelFit *fit = &fits->fits[fits->count];
    double loss;
    rows->form = &cases->forms[form];
    const size_t used = rows_of(rows, machine, form, 0);
    if (used < LEAST_ROWS)
        return STATUS_OK;
    *fit = (KernelFit){.form = rows->form};
    snprintf(fit->gpu, sizeof fit->gpu, "%s", cases->machines[machine].name);
    snprintf(fit->source, sizeof fit->source, "%s", cases->cases[rows->index[0]].source);
    for (size_t i = 0; i < rows->form->parameter_count; i++)
        fit->shipped[i] = fit->value[i] =
            *parameter_of(&cases->machines[machine].gpu, rows->form, i);
    const KernelFitProblem problem = {.parameters = rows->form->parameters,
                                      .parameter_count = rows->form->parameter_count,
                                      .row_count = used,
                                      .predict = predict_with,
                                      .measured = measured_of,
                                      .context = rows};
    Status status = kernel_fit(&problem, options, fit->value, &loss, error);
    if (status != STATUS_OK)
        return status;
    fit->fitted_before = part_errors(rows, used, fit->shipped, scratch);
    fit->fitted_after = part_errors(rows, used, fit->value, scratch);
    const size_t held = rows_of(rows, machine, form, 1);
    fit->held_before = part_errors(rows, held, fit->shipped, scratch);
    fit->held_after = part_errors(rows, held, fit->value, scratch);
    fits->count++;
    return STATUS_OK;
}

static int is_named(const char *const *names, size_t count, const char *gpu, const char *group)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], "all") == 0 || strcmp(names[i], gpu) == 0 ||
            strcmp(names[i], group) == 0)
            return 1;
    return 0;
}

Status kernel_cases_fit(KernelCases *cases, const char *const *names, size_t name_count,
                        const ForecastOptions *options, KernelFits *fits, Error *error)
{
    FitRows rows = {.cases = cases, .index = calloc(cases->count + 1, sizeof *rows.index)};
    double *scratch = calloc(cases->count + 1, sizeof *scratch);
    Status status = STATUS_OK;
    *fits = (KernelFits){
        .fits = calloc(cases->machine_count * cases->form_count + 1, sizeof *fits->fits)};
    if (rows.index == NULL || scratch == NULL || fits->fits == NULL)
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
    for (size_t machine = 0; status == STATUS_OK && machine < cases->machine_count; machine++)
        for (size_t form = 0; status == STATUS_OK && form < cases->form_count; form++)
            if (is_named(names, name_count, cases->machines[machine].name,
                         cases->forms[form].group))
                status = fit_form(cases, machine, form, &rows, scratch, options, fits, error);
    if (status == STATUS_OK && fits->count == 0) {
        status = error_set(error, STATUS_INVALID, "no rows to fit '%.60s' to", names[0]);
        error_hint(error,
                   "--fit takes all, a GPU of configs/hw or a group of its constants such "
                   "as %s",
                   cases->forms[0].group);
    }
    free(scratch);
    free(rows.index);
    return status;
}

void kernel_fits_free(KernelFits *fits)
{
    free(fits->fits);
    *fits = (KernelFits){0};
}
