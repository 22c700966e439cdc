#include "sim/planning/kernel_moe.h"

#include "hw/moe_layer.h"
#include "sim/planning/kernel_load.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the constants are fitted: enough tokens that a layer is more than its launches, and groups
 * in which a rank has more than a few experts. */
static const double least_tokens = 64, most_ranks = 32;

enum { MOST_LOADS = 1 << 26, MOST_TOP_K = 64, LONGEST_US = 1000000000, MAX_WIDTH = 1 << 20 };

typedef struct MoeCase {
    MoeLayerShape layer;
    size_t experts; /* of the rank */
    size_t draws, first_row;
    size_t fit_offset; /* of its constants in GpuSpec */
} MoeCase;

typedef struct MoeShapes {
    MoeCase *cases;
    double *rows;
    size_t row_count, row_capacity;
    size_t drawn; /* loads of all experts of all rows; MOST_LOADS at most */
} MoeShapes;

/* ---- constants that a fit finds ----------------------------------------------------------------
 */

#define AT(member) offsetof(MoeLayerFit, member)

/* Grouped products may do better than plain ones, but not than the peak: the plain ones reach about
 * 0.8 of either. */
static const KernelParameter PARAMETERS[] = {
    {"launch", AT(launch_s), 1e-7, 1e-3, 1, 1.5e-5, 1e-6, "us", 1},
    {"compute_efficiency", AT(compute_efficiency), 0.1, 1.2, 1, 0.8, 1, "", 1},
    {"memory_efficiency", AT(memory_efficiency), 0.1, 1.25, 1, 1, 1, "", 1},
    {"overlap_exponent", AT(overlap_exponent), 1, 20, 1, 1.5, 1, "", 1},
    {"row_passes", AT(row_passes), 0, 20, 0, 1, 1, "", 1},
    {"token_passes", AT(token_passes), 0, 20, 0, 1, 1, "", 1},
};

/* Kernels that keep to their tiles, which are facts and not fitted. */
static const KernelParameter TILED_PARAMETERS[] = {
    {"launch", AT(launch_s), 1e-7, 1e-3, 1, 1.5e-5, 1e-6, "us", 1},
    {"compute_efficiency", AT(compute_efficiency), 0.1, 1.2, 1, 0.6, 1, "", 1},
    {"memory_efficiency", AT(memory_efficiency), 0.1, 1.25, 1, 1, 1, "", 1},
    {"overlap_exponent", AT(overlap_exponent), 1, 20, 1, 1.5, 1, "", 1},
    {"row_passes", AT(row_passes), 0, 20, 0, 1, 1, "", 1},
    {"token_passes", AT(token_passes), 0, 20, 0, 1, 1, "", 1},
    {"tile_rows", AT(tile_rows), 0, 0, 0, 0, 1, "", 1},
    {"tile_columns", AT(tile_columns), 0, 0, 0, 0, 1, "", 1},
    {"few_tile_rows", AT(few_tile_rows), 0, 0, 0, 0, 1, "", 1},
    {"few_tile_columns", AT(few_tile_columns), 0, 0, 0, 0, 1, "", 1},
    {"tile_traffic", AT(tile_traffic), 0, 1, 0, 0.15, 1, "", 1},
};

#define FORM(NAME)                                                                                 \
    {                                                                                              \
#NAME, offsetof(GpuSpec, NAME), PARAMETERS, sizeof PARAMETERS / sizeof PARAMETERS[0]       \
    }
#define TILED_FORM(NAME)                                                                           \
    {                                                                                              \
#NAME, offsetof(GpuSpec, NAME), TILED_PARAMETERS,                                          \
            sizeof TILED_PARAMETERS / sizeof TILED_PARAMETERS[0]                                   \
    }

static const KernelForm FORMS[] = {FORM(moe_cutlass_bf16), FORM(moe_cutlass_fp8),
                                   FORM(moe_cutlass_fp8_block), TILED_FORM(moe_triton_bf16),
                                   FORM(moe_triton_tuned_bf16)};

enum { FORM_COUNT = sizeof FORMS / sizeof FORMS[0] };

static const MoeLayerFit *fit_of(const GpuSpec *gpu, size_t offset)
{
    return (const MoeLayerFit *)((const char *)gpu + offset);
}

const MoeLayerFit *kernel_moe_constants(const GpuSpec *gpu, const char *group)
{
    for (size_t i = 0; i < FORM_COUNT; i++)
        if (strcmp(FORMS[i].group, group) == 0)
            return fit_of(gpu, FORMS[i].offset);
    return NULL;
}

/* The mean over the draws of the loads. */
static double predict(const void *shapes, size_t shape, const GpuSpec *gpu)
{
    const MoeShapes *all = shapes;
    const MoeCase *each = &all->cases[shape];
    double seconds = 0;
    for (size_t draw = 0; draw < each->draws; draw++)
        seconds += gpu_moe_layer_seconds(gpu, fit_of(gpu, each->fit_offset), &each->layer,
                                         all->rows + each->first_row + draw * each->experts,
                                         each->experts) /
                   (double)each->draws;
    return seconds;
}

static void free_shapes(void *shapes)
{
    MoeShapes *all = shapes;
    if (all == NULL)
        return;
    free(all->cases);
    free(all->rows);
    free(all);
}

/* ---- columns -----------------------------------------------------------------------------------
 */

enum {
    COLUMN_GPU,
    COLUMN_DTYPE,
    COLUMN_TOKENS,
    COLUMN_HIDDEN,
    COLUMN_TOP_K,
    COLUMN_EXPERTS,
    COLUMN_RANKS,
    COLUMN_INTER,
    COLUMN_LOADS,
    COLUMN_TIME,
    NEEDED_COLUMNS,
    COLUMN_KIND = NEEDED_COLUMNS,
    COLUMN_KERNEL,
    COLUMN_TENSOR,
    COLUMN_NOTES,
    COLUMN_FLAG,
    COLUMN_SOURCE,
    COLUMN_MODEL,
    COLUMNS
};

/* Both tables' words. */
static const char *const COLUMN_NAMES[COLUMNS][2] = {
    [COLUMN_GPU] = {"gpu", "gpu"},
    [COLUMN_DTYPE] = {"dtype", "dtype"},
    [COLUMN_TOKENS] = {"tokens", "tokens"},
    [COLUMN_HIDDEN] = {"hidden", "hidden"},
    [COLUMN_TOP_K] = {"topk", "top_k"},
    [COLUMN_EXPERTS] = {"experts", "experts"},
    [COLUMN_RANKS] = {"n_gpus_ep", "ep"},
    [COLUMN_INTER] = {"inter", "ffn"},
    [COLUMN_LOADS] = {"distribution", "skew"},
    [COLUMN_TIME] = {"time_us", "time_us"},
    [COLUMN_KIND] = {"kind", "kind"},
    [COLUMN_KERNEL] = {"kernel", "kernel"},
    [COLUMN_TENSOR] = {"tp", "tp"},
    [COLUMN_NOTES] = {"notes", "notes"},
    [COLUMN_FLAG] = {"flag", "flag"},
    [COLUMN_SOURCE] = {"source", "source"},
    [COLUMN_MODEL] = {"model_shape", "model_shape"},
};

typedef struct MoeTable {
    const CsvTable *table;
    int column[COLUMNS];
    MoeShapes *shapes;
} MoeTable;

static Status find_columns(MoeTable *from, Error *error)
{
    for (int i = 0; i < COLUMNS; i++) {
        from->column[i] = csv_column(from->table, COLUMN_NAMES[i][0]);
        if (from->column[i] < 0)
            from->column[i] = csv_column(from->table, COLUMN_NAMES[i][1]);
        if (from->column[i] >= 0 || i >= NEEDED_COLUMNS)
            continue;
        error_set(error, STATUS_INVALID, "no column '%s' in this table of MoE layers",
                  COLUMN_NAMES[i][0]);
        snprintf(error->file, sizeof error->file, "%s", from->table->file);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

/* ---- one row -----------------------------------------------------------------------------------
 */

/* Groups of rows; all but the first and the last are of rows in the domain. */
enum { GROUP_DOMAIN, GROUP_PRECISION_OF_GPU, GROUP_KERNEL, GROUP_LOADS, GROUP_WAYS, GROUP_OUTSIDE };

/* What a row says of its layer. */
typedef struct MoeRow {
    KernelLoad load;
    double hidden, inter, tensor, time_us;
    const char *kernel, *group, *precision;
} MoeRow;

static const char *text_of(const MoeTable *from, const CsvRow *row, int column)
{
    return kernel_text(row, from->column[column]);
}

/* Rows that are no layer, or that their table says not to trust. */
static int is_refused(KernelCases *cases, const MoeTable *from, const CsvRow *row)
{
    const char *kind = text_of(from, row, COLUMN_KIND), *flag = text_of(from, row, COLUMN_FLAG);
    const char *notes = text_of(from, row, COLUMN_NOTES);
    if (row->problem[0] != '\0')
        kernel_validation_skip(&cases->skipped, row->line, "", "%s", row->problem);
    else if (kind[0] != '\0' && strcmp(kind, "moe_layer_latency") != 0)
        kernel_validation_skip(&cases->skipped, row->line, "",
                               "kind '%.60s' is no time of one layer's experts", kind);
    else if (flag[0] != '\0')
        kernel_validation_skip(&cases->skipped, row->line, "", "flagged: %.120s", flag);
    else if (strstr(notes, "ARTEFACT") != NULL)
        kernel_validation_skip(&cases->skipped, row->line, "", "flagged: %.120s",
                               strstr(notes, "ARTEFACT"));
    else
        return 0;
    return 1;
}

/* "balanced", "power_law_1.2". */
static int read_alpha(KernelCases *cases, const MoeTable *from, const CsvRow *row, double *alpha)
{
    static const char power_law[] = "power_law_";
    const char *loads = text_of(from, row, COLUMN_LOADS);
    *alpha = 0;
    if (strcmp(loads, "balanced") == 0)
        return 1;
    if (strncmp(loads, power_law, sizeof power_law - 1) == 0 &&
        csv_number(loads + sizeof power_law - 1, alpha) != 0 && *alpha > 0 && *alpha <= 10 &&
        fabs(*alpha - 1) > 1e-6)
        return 1;
    kernel_validation_skip(&cases->skipped, row->line, "",
                           "expert loads '%.40s' are neither balanced nor a power law", loads);
    return 0;
}

/* Tensor ways of an expert: a column, or in the notes. */
static int read_tensor(KernelCases *cases, const MoeTable *from, const CsvRow *row, double *tensor)
{
    static const char word[] = "moe_tp=";
    const char *said = strstr(text_of(from, row, COLUMN_NOTES), word);
    *tensor = 1;
    if (text_of(from, row, COLUMN_TENSOR)[0] != '\0')
        return kernel_number(cases, from->table, row, from->column[COLUMN_TENSOR], 1, 1024, tensor);
    if (said == NULL)
        return 1;
    *tensor = strtod(said + sizeof word - 1, NULL);
    if (*tensor >= 1 && *tensor <= 1024)
        return 1;
    kernel_validation_skip(&cases->skipped, row->line, "", "'%.20s' is no number of tensor ways",
                           said);
    return 0;
}

static int read_whole(KernelCases *cases, const MoeTable *from, const CsvRow *row, int column,
                      double high, size_t *value)
{
    double number;
    if (!kernel_number(cases, from->table, row, from->column[column], 1, high, &number))
        return 0;
    *value = (size_t)number;
    return 1;
}

/* 0: skipped. */
static int read_layer(KernelCases *cases, const MoeTable *from, const CsvRow *row, MoeRow *out)
{
    const CsvTable *table = from->table;
    KernelLoad *load = &out->load;
    *out = (MoeRow){0};
    if (!read_alpha(cases, from, row, &load->alpha) ||
        !kernel_number(cases, table, row, from->column[COLUMN_TOKENS], 1, KERNEL_MAX_TOKENS,
                       &load->tokens) ||
        !read_whole(cases, from, row, COLUMN_EXPERTS, KERNEL_MAX_EXPERTS, &load->experts) ||
        !read_whole(cases, from, row, COLUMN_TOP_K, fmin(MOST_TOP_K, (double)load->experts),
                    &load->top_k) ||
        !read_whole(cases, from, row, COLUMN_RANKS, (double)load->experts, &load->ranks) ||
        !kernel_number(cases, table, row, from->column[COLUMN_HIDDEN], 1, MAX_WIDTH,
                       &out->hidden) ||
        !kernel_number(cases, table, row, from->column[COLUMN_INTER], 1, MAX_WIDTH, &out->inter) ||
        !kernel_number(cases, table, row, from->column[COLUMN_TIME], 1e-3, LONGEST_US,
                       &out->time_us) ||
        !read_tensor(cases, from, row, &out->tensor))
        return 0;
    if (load->experts % load->ranks != 0) {
        kernel_validation_skip(&cases->skipped, row->line, "", "%zu experts on %zu ranks",
                               load->experts, load->ranks);
        return 0;
    }
    return 1;
}

/* "... kernel NAME", NAME alone. */
static const char *kernel_in_notes(const char *notes)
{
    static const char word[] = "kernel ";
    const char *found = strstr(notes, word);
    return found != NULL ? found + sizeof word - 1 : "";
}

/* Which kernel family ran it; Triton's is tuned for some shapes. 0: skipped. */
static int read_kernel(KernelCases *cases, const MoeTable *from, const CsvRow *row, const char *hw,
                       MoeRow *layer)
{
    char shape[KERNEL_LABEL_BYTES];
    KernelWords words = {.kernel = text_of(from, row, COLUMN_KERNEL),
                         .dtype = text_of(from, row, COLUMN_DTYPE),
                         .source = text_of(from, row, COLUMN_SOURCE),
                         .hw = hw,
                         .shape = shape};
    if (words.kernel[0] == '\0')
        words.kernel = kernel_in_notes(text_of(from, row, COLUMN_NOTES));
    snprintf(shape, sizeof shape, "E=%zu,N=%.0f", layer->load.experts / layer->load.ranks,
             ceil(layer->inter / layer->tensor));
    layer->kernel = words.kernel;
    layer->group = kernel_form_cell(cases, &words, "group");
    layer->precision = kernel_form_cell(cases, &words, "precision");
    if (layer->group != NULL && strncmp(layer->group, "moe_", 4) == 0)
        return 1;
    kernel_validation_skip(&cases->skipped, row->line, "",
                           "kernel '%.60s' in %.20s is no MoE layer that is priced", words.kernel,
                           words.dtype);
    return 0;
}

static int in_domain(const MoeRow *row)
{
    return row->load.tokens >= least_tokens && (double)row->load.ranks <= most_ranks;
}

static void label_row(const KernelCases *cases, const MoeTable *from, const CsvRow *row,
                      const MoeRow *layer, KernelCase *each)
{
    const char *name = cases->machines[each->machine].name;
    const char *kernel = layer->group + strlen("moe_");
    const char *loads = text_of(from, row, COLUMN_LOADS);
    const char *model = text_of(from, row, COLUMN_MODEL);
    const KernelLoad *load = &layer->load;
    KernelRow *out = &each->row;
    char key[2 * KERNEL_ID_BYTES], shape[KERNEL_LABEL_BYTES];
    snprintf(shape, sizeof shape, "%.0fx%.0f k%zu/%zu", layer->hidden, layer->inter, load->top_k,
             load->experts);
    snprintf(key, sizeof key, "%.24s %.24s %.40s T%.0f EP%zu TP%.0f %.24s", name, kernel, shape,
             load->tokens, load->ranks, layer->tensor, loads);
    out->held_back = kernel_held_back(key);
    snprintf(out->id, sizeof out->id, "%.8s %.16s %.15s T%.0f E%zu T%.0f %.16s", name, kernel,
             model[0] != '\0' ? model : shape, load->tokens, load->ranks, layer->tensor, loads);
    const int inside = in_domain(layer);
    snprintf(out->group[GROUP_DOMAIN], sizeof out->group[0], "%s",
             inside ? "T >= 64, EP <= 32" : "outside");
    snprintf(out->group[inside ? GROUP_KERNEL : GROUP_OUTSIDE], sizeof out->group[0], "%.20s %.24s",
             name, kernel);
    if (inside) {
        snprintf(out->group[GROUP_PRECISION_OF_GPU], sizeof out->group[0], "%.20s %.20s", name,
                 text_of(from, row, COLUMN_DTYPE));
        snprintf(out->group[GROUP_LOADS], sizeof out->group[0], "%.24s", loads);
        snprintf(out->group[GROUP_WAYS], sizeof out->group[0], "EP %zu, TP %.0f", load->ranks,
                 layer->tensor);
    }
    snprintf(each->source, sizeof each->source, "%.48s, %.40s", text_of(from, row, COLUMN_SOURCE),
             layer->kernel);
}

/* Room for the loads of one more row. 0: the row is skipped; -1: out of memory. */
static int reserve_rows(KernelCases *cases, MoeShapes *shapes, const KernelLoad *load,
                        const CsvRow *row)
{
    const size_t draws = load->alpha > 0 ? KERNEL_LOAD_DRAWS : load->top_k;
    const size_t wanted = KERNEL_LOAD_DRAWS * (load->experts / load->ranks);
    shapes->drawn += draws * load->experts;
    if (shapes->drawn > MOST_LOADS) {
        kernel_validation_skip(&cases->skipped, row->line, "",
                               "the table has more expert loads than %d", MOST_LOADS);
        return 0;
    }
    if (shapes->row_count + wanted <= shapes->row_capacity)
        return 1;
    const size_t capacity = 2 * (shapes->row_count + wanted);
    double *grown = realloc(shapes->rows, capacity * sizeof *grown);
    if (grown == NULL)
        return -1;
    shapes->rows = grown;
    shapes->row_capacity = capacity;
    return 1;
}

/* STATUS_OK also when the row is skipped. */
static Status read_row(KernelCases *cases, const MoeTable *from, const CsvRow *row, Error *error)
{
    KernelCase *each = &cases->cases[cases->count];
    MoeShapes *shapes = from->shapes;
    MoeCase *shape = &shapes->cases[cases->count];
    MoeRow layer;
    if (is_refused(cases, from, row))
        return STATUS_OK;
    const Status status =
        kernel_machine(cases, row, text_of(from, row, COLUMN_GPU), &each->machine, error);
    if (status != STATUS_OK)
        return status == STATUS_NO ? STATUS_OK : status;
    if (!read_layer(cases, from, row, &layer) ||
        !read_kernel(cases, from, row, cases->machines[each->machine].name, &layer))
        return STATUS_OK;
    for (each->form = 0; each->form < FORM_COUNT; each->form++)
        if (strcmp(FORMS[each->form].group, layer.group) == 0)
            break;
    if (each->form == FORM_COUNT) {
        kernel_validation_skip(&cases->skipped, row->line, "", "no constants are called '%.40s'",
                               layer.group);
        return STATUS_OK;
    }
    const size_t experts = layer.load.experts / layer.load.ranks;
    const int room = reserve_rows(cases, shapes, &layer.load, row);
    if (room < 0)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    if (room == 0)
        return STATUS_OK;
    each->row.line = row->line;
    each->row.measured_s = 1e-6 * layer.time_us;
    each->shape = cases->count;
    each->fit = in_domain(&layer) && kernel_source_fits(cases, text_of(from, row, COLUMN_SOURCE));
    label_row(cases, from, row, &layer, each);
    *shape = (MoeCase){
        .layer = {.precision = strcmp(layer.precision, "fp8") == 0 ? PRECISION_FP8 : PRECISION_BF16,
                  .tokens = layer.load.tokens,
                  .hidden = layer.hidden,
                  .inter = ceil(layer.inter / layer.tensor),
                  .gated = 1},
        .experts = experts,
        .first_row = shapes->row_count,
        .fit_offset = FORMS[each->form].offset};
    shape->draws = kernel_load_draw(&layer.load, each->row.id, shapes->rows + shapes->row_count);
    shapes->row_count += shape->draws * experts;
    cases->count++;
    return STATUS_OK;
}

Status kernel_moe_read(const ConfigPaths *paths, const CsvTable *table, const char *const *sets,
                       size_t set_count, KernelCases *cases, Error *error)
{
    static const char *const GROUPS[] = {
        [GROUP_DOMAIN] = "domain", [GROUP_PRECISION_OF_GPU] = "gpu",
        [GROUP_KERNEL] = "kernel", [GROUP_LOADS] = "loads",
        [GROUP_WAYS] = "ways",     [GROUP_OUTSIDE] = "outside"};
    MoeTable from = {.table = table};
    Status status = kernel_cases_start(cases, paths, table, sets, set_count, error);
    if (status == STATUS_OK)
        status = find_columns(&from, error);
    if (status != STATUS_OK)
        return status;
    from.shapes = calloc(1, sizeof *from.shapes);
    cases->shapes = from.shapes;
    cases->free_shapes = free_shapes;
    if (from.shapes != NULL)
        from.shapes->cases = calloc(table->row_count + 1, sizeof *from.shapes->cases);
    if (from.shapes == NULL || from.shapes->cases == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    cases->what = "MoE layers";
    cases->group_names = GROUPS;
    cases->forms = FORMS;
    cases->form_count = FORM_COUNT;
    cases->predict = predict;
    for (size_t i = 0; status == STATUS_OK && i < table->row_count; i++)
        status = read_row(cases, &from, &table->rows[i], error);
    return status;
}
