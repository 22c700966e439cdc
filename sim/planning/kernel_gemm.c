#include "sim/planning/kernel_gemm.h"

#include "hw/gemm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct GemmShape {
    Precision precision;
    int quantised; /* operands come in 8 bits */
    double m, n, k;
    size_t groups; /* 0: a plain product; else m rows in each */
} GemmShape;

enum { MAX_GROUPS = 1024, MAX_DIMENSION = 1 << 24, LONGEST_US = 1000000000 };

/* ---- constants that a fit finds ----------------------------------------------------------------
 */

#define AT(member) offsetof(GemmFit, member)

static const KernelParameter BF16_PARAMETERS[] = {
    {"launch", AT(launch_s), 1e-6, 2e-5, 1, 4e-6, 1e-6, "us", 1},
    {"compute_efficiency", AT(compute_efficiency), 0.3, 1.2, 1, 0.8, 1, "", 1},
    {"memory_efficiency", AT(memory_efficiency), 0.3, 1.2, 1, 0.8, 1, "", 1},
    {"k_overhead", AT(k_overhead), 1, 1000, 1, 150, 1, "", 1},
    {"tile_penalty", AT(tile_penalty), 0, 200, 0, 30, 1, "", 1},
    {"split_k_cost", AT(split_k_cost), 0, 2, 0, 0.3, 1, "", 1},
    {"overlap_exponent", AT(overlap_exponent), 1, 20, 1, 4, 1, "", 1},
    {"wave_quantisation", AT(wave_quantisation), 0, 1, 0, 0.2, 1, "", 1},
    {"quantise_cost", AT(quantise_cost), 0, 0, 0, 0, 1, "", 0},
};

/* Eight bits: small tiles and waves cost nothing that the rows would tell, but the operand is
 * quantised. What is not fitted stays as the file has it. */
static const KernelParameter FP8_PARAMETERS[] = {
    {"launch", AT(launch_s), 1e-6, 5e-5, 1, 1e-5, 1e-6, "us", 1},
    {"compute_efficiency", AT(compute_efficiency), 0.3, 1.2, 1, 0.8, 1, "", 1},
    {"memory_efficiency", AT(memory_efficiency), 0.3, 1.2, 1, 0.8, 1, "", 1},
    {"k_overhead", AT(k_overhead), 1, 1000, 1, 150, 1, "", 1},
    {"tile_penalty", AT(tile_penalty), 0, 0, 0, 0, 1, "", 1},
    {"split_k_cost", AT(split_k_cost), 0, 2, 0, 0.1, 1, "", 1},
    {"overlap_exponent", AT(overlap_exponent), 1, 20, 1, 4, 1, "", 1},
    {"wave_quantisation", AT(wave_quantisation), 0, 0, 0, 0, 1, "", 1},
    {"quantise_cost", AT(quantise_cost), 0, 30, 0, 5, 1, "", 0},
};

enum { BF16_FORM, FP8_FORM };

static const KernelForm FORMS[] = {
    [BF16_FORM] = {"gemm_bf16", offsetof(GpuSpec, gemm_bf16), BF16_PARAMETERS,
                   sizeof BF16_PARAMETERS / sizeof BF16_PARAMETERS[0]},
    [FP8_FORM] = {"gemm_fp8", offsetof(GpuSpec, gemm_fp8), FP8_PARAMETERS,
                  sizeof FP8_PARAMETERS / sizeof FP8_PARAMETERS[0]},
};

static double predict(const void *shapes, size_t shape, const GpuSpec *gpu)
{
    const GemmShape *each = (const GemmShape *)shapes + shape;
    double rows[MAX_GROUPS];
    GpuSpec given;
    if (each->quantised) {
        given = gpu_with_quantised_operands(gpu);
        gpu = &given;
    }
    if (each->groups == 0)
        return gpu_gemm_seconds(gpu, each->precision, each->m, each->n, each->k);
    for (size_t i = 0; i < each->groups; i++)
        rows[i] = each->m;
    return gpu_grouped_gemm_seconds(gpu, each->precision, rows, each->groups, each->n, each->k);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

enum {
    COLUMN_GPU,
    COLUMN_DTYPE,
    COLUMN_M,
    COLUMN_N,
    COLUMN_K,
    COLUMN_TIME,
    NEEDED_COLUMNS,
    COLUMN_SOURCE = NEEDED_COLUMNS,
    COLUMN_NOTES,
    COLUMN_OP,
    COLUMN_GROUPS,
    COLUMNS
};

static const char *const COLUMN_NAMES[COLUMNS] = {
    [COLUMN_GPU] = "gpu",       [COLUMN_DTYPE] = "dtype",
    [COLUMN_M] = "M",           [COLUMN_N] = "N",
    [COLUMN_K] = "K",           [COLUMN_TIME] = "time_us",
    [COLUMN_SOURCE] = "source", [COLUMN_NOTES] = "notes",
    [COLUMN_OP] = "op",         [COLUMN_GROUPS] = "groups_or_batch",
};

typedef struct GemmTable {
    const CsvTable *table;
    int column[COLUMNS];
    GemmShape *shapes;
} GemmTable;

/* Which product the row is of; 0: skipped. */
static int read_shape(KernelCases *cases, const GemmTable *from, const CsvRow *row,
                      const KernelWords *words, GemmShape *shape)
{
    static const char *const PRECISIONS[] = {"bf16", "fp8"};
    const char *op = kernel_text(row, from->column[COLUMN_OP]);
    const int grouped = strcmp(op, "grouped_gemm") == 0;
    double groups = 0;
    *shape = (GemmShape){0};
    const char *precision = kernel_form_cell(cases, words, "precision");
    const int fp8 = precision != NULL && strcmp(precision, PRECISIONS[1]) == 0;
    if (precision == NULL || (!fp8 && strcmp(precision, PRECISIONS[0]) != 0)) {
        kernel_validation_skip(&cases->skipped, row->line, "",
                               "dtype '%.40s' is none that products are priced in", words->dtype);
        return 0;
    }
    shape->precision = fp8 ? PRECISION_FP8 : PRECISION_BF16;
    shape->quantised = fp8 && strcmp(kernel_form_cell(cases, words, "operands"), "quantised") == 0;
    if (!kernel_number(cases, from->table, row, from->column[COLUMN_M], 1, MAX_DIMENSION,
                       &shape->m) ||
        !kernel_number(cases, from->table, row, from->column[COLUMN_N], 1, MAX_DIMENSION,
                       &shape->n) ||
        !kernel_number(cases, from->table, row, from->column[COLUMN_K], 1, MAX_DIMENSION,
                       &shape->k))
        return 0;
    if (grouped && !kernel_number(cases, from->table, row, from->column[COLUMN_GROUPS], 1,
                                  MAX_GROUPS, &groups))
        return 0;
    shape->groups = (size_t)groups;
    return 1;
}

static void label_row(const KernelCases *cases, const GemmTable *from, const CsvRow *row,
                      const GemmShape *shape, KernelCase *each)
{
    const char *dtype = kernel_text(row, from->column[COLUMN_DTYPE]);
    const char *source = kernel_text(row, from->column[COLUMN_SOURCE]);
    const char *notes = kernel_text(row, from->column[COLUMN_NOTES]);
    const char *name = cases->machines[each->machine].name;
    char groups[32] = "";
    if (shape->groups > 0)
        snprintf(groups, sizeof groups, "%zu of ", shape->groups);
    KernelRow *out = &each->row;
    snprintf(out->id, sizeof out->id, "%.24s %.12s %s%.0fx%.0fx%.0f", name, dtype, groups, shape->m,
             shape->n, shape->k);
    out->held_back = kernel_held_back(out->id);
    snprintf(out->group[0], sizeof out->group[0], "%.24s %.12s%s", name, dtype,
             shape->groups > 0 ? " grouped" : "");
    snprintf(out->group[1], sizeof out->group[1], "%.47s", source);
    snprintf(out->group[2], sizeof out->group[2], "%s",
             out->measured_s < 1e-5 ? "under 10 us"
                                    : (out->measured_s < 1e-4 ? "10 to 100 us" : "over 100 us"));
    snprintf(each->source, sizeof each->source, "%.48s%s%.40s", source,
             notes[0] != '\0' ? ", " : "", notes);
}

/* STATUS_OK also when the row is skipped. */
static Status read_row(KernelCases *cases, const GemmTable *from, const CsvRow *row, Error *error)
{
    KernelCase *each = &cases->cases[cases->count];
    GemmShape *shape = &from->shapes[cases->count];
    double time_us;
    if (row->problem[0] != '\0') {
        kernel_validation_skip(&cases->skipped, row->line, "", "%s", row->problem);
        return STATUS_OK;
    }
    const char *op = kernel_text(row, from->column[COLUMN_OP]);
    if (op[0] != '\0' && strcmp(op, "gemm") != 0 && strcmp(op, "grouped_gemm") != 0) {
        kernel_validation_skip(&cases->skipped, row->line, "", "op '%.40s' is no matrix product",
                               op);
        return STATUS_OK;
    }
    const Status status = kernel_machine(cases, row, kernel_text(row, from->column[COLUMN_GPU]),
                                         &each->machine, error);
    if (status != STATUS_OK)
        return status == STATUS_NO ? STATUS_OK : status;
    const KernelWords words = {.kernel = "gemm",
                               .dtype = kernel_text(row, from->column[COLUMN_DTYPE]),
                               .source = kernel_text(row, from->column[COLUMN_SOURCE]),
                               .hw = cases->machines[each->machine].name,
                               .shape = ""};
    if (!read_shape(cases, from, row, &words, shape) ||
        !kernel_number(cases, from->table, row, from->column[COLUMN_TIME], 1e-3, LONGEST_US,
                       &time_us))
        return STATUS_OK;
    const GpuSpec *gpu = &cases->machines[each->machine].gpu;
    if (shape->precision == PRECISION_FP8 && !(gpu->gemm_fp8.compute_efficiency > 0)) {
        kernel_validation_skip(&cases->skipped, row->line, "", "gpu '%.24s' has no 8-bit products",
                               cases->machines[each->machine].name);
        return STATUS_OK;
    }
    each->row.line = row->line;
    each->row.measured_s = 1e-6 * time_us;
    each->form = shape->precision == PRECISION_FP8 ? FP8_FORM : BF16_FORM;
    each->shape = cases->count;
    each->fit = shape->groups == 0 && kernel_source_fits(cases, words.source) &&
                strcmp(kernel_form_cell(cases, &words, "group"), FORMS[each->form].group) == 0;
    label_row(cases, from, row, shape, each);
    cases->count++;
    return STATUS_OK;
}

Status kernel_gemm_read(const ConfigPaths *paths, const CsvTable *table, const char *const *sets,
                        size_t set_count, KernelCases *cases, Error *error)
{
    static const char *const GROUPS[] = {"gpu", "source", "time", NULL};
    GemmTable from = {.table = table};
    Status status = kernel_cases_start(cases, paths, table, sets, set_count, error);
    if (status != STATUS_OK)
        return status;
    for (int i = 0; i < COLUMNS; i++) {
        from.column[i] = csv_column(table, COLUMN_NAMES[i]);
        if (from.column[i] >= 0 || i >= NEEDED_COLUMNS)
            continue;
        error_set(error, STATUS_INVALID, "no column '%s' in this table of matrix products",
                  COLUMN_NAMES[i]);
        snprintf(error->file, sizeof error->file, "%s", table->file);
        return STATUS_INVALID;
    }
    from.shapes = calloc(table->row_count + 1, sizeof *from.shapes);
    if (from.shapes == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    cases->what = "matrix products";
    cases->group_names = GROUPS;
    cases->forms = FORMS;
    cases->form_count = sizeof FORMS / sizeof FORMS[0];
    cases->predict = predict;
    cases->shapes = from.shapes;
    for (size_t i = 0; status == STATUS_OK && i < table->row_count; i++)
        status = read_row(cases, &from, &table->rows[i], error);
    return status;
}
