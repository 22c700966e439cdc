/* Tables of points: calibrate's own, and the published tables of matrix products and MoE layers. */
#include "hw/calibration/import_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double us_per_s = 1e6;

static const char *cell(const CsvRow *row, int column)
{
    return column >= 0 ? row->cells[column].text : "";
}

/* An empty cell leaves the value as it is. 0: rejected. */
static int number(CalImport *import, const CsvTable *table, const CsvRow *row, int column,
                  double *value)
{
    if (cell(row, column)[0] == '\0' || csv_number(cell(row, column), value))
        return 1;
    cal_reject(import, row->line, "'%.40s' in column %.40s is not a number", cell(row, column),
               table->header[column].text);
    return 0;
}

static Status missing(CalImport *import, const CsvTable *table, const char *name)
{
    error_set(import->error, STATUS_INVALID, "missing column '%s'", name);
    snprintf(import->error->file, sizeof import->error->file, "%s", table->file);
    import->error->line = 1;
    return STATUS_INVALID;
}

/* ---- units of the times ------------------------------------------------------------------------
 */

typedef struct TimeUnit {
    const char *name;
    double us;
} TimeUnit;

static const TimeUnit TIME_UNITS[] = {{"us", 1}, {"ms", 1e3}, {"s", us_per_s}};
static const char *const TIME_STATISTICS[] = {"med", "mad", "p10", "p90"};
enum { TIME_UNIT_COUNT = 3, STATISTIC_COUNT = 4 };

typedef struct TimeColumns {
    int column[STATISTIC_COUNT];
    double us; /* of one unit */
} TimeColumns;

/* Time columns in one unit. A column like `med` or `time` without a unit, or columns in two units,
 * say nothing. */
static Status find_times(CalImport *import, const CsvTable *table, TimeColumns *times)
{
    const TimeUnit *unit = NULL;
    const char *first = "";
    for (int s = 0; s < STATISTIC_COUNT; ++s)
        times->column[s] = -1;
    for (int u = 0; u < TIME_UNIT_COUNT; ++u)
        for (int s = 0; s < STATISTIC_COUNT; ++s) {
            char name[32];
            snprintf(name, sizeof name, "%s_%s", TIME_UNITS[u].name, TIME_STATISTICS[s]);
            const int column = csv_column(table, name);
            if (column < 0)
                continue;
            if (unit != NULL && unit != &TIME_UNITS[u]) {
                error_set(import->error, STATUS_INVALID,
                          "times in two units: columns '%s' and '%s'", first, name);
                error_hint(import->error, "one unit for all of them: us, ms or s");
                snprintf(import->error->file, sizeof import->error->file, "%s", table->file);
                import->error->line = 1;
                return STATUS_INVALID;
            }
            unit = &TIME_UNITS[u];
            first = table->header[column].text;
            times->column[s] = column;
        }
    times->us = unit != NULL ? unit->us : 0;
    return times->column[0] >= 0 ? STATUS_OK : missing(import, table, "us_med");
}

/* ---- calibrate's own table ---------------------------------------------------------------------
 */

typedef struct PointColumn {
    const char *name;
    size_t offset; /* of a double in CalPoint */
} PointColumn;

static const PointColumn POINT_COLUMNS[] = {
    {"m", offsetof(CalPoint, m)},
    {"n", offsetof(CalPoint, n)},
    {"k", offsetof(CalPoint, k)},
    {"groups", offsetof(CalPoint, groups)},
    {"experts", offsetof(CalPoint, experts)},
    {"top_k", offsetof(CalPoint, top_k)},
    {"reps", offsetof(CalPoint, reps)},
    {"dropped", offsetof(CalPoint, dropped)},
    {"flops", offsetof(CalPoint, flops)},
    {"bytes", offsetof(CalPoint, bytes)},
    {"moved_bytes", offsetof(CalPoint, moved_bytes)},
    {"reread_bytes", offsetof(CalPoint, reread_bytes)},
};
static const size_t STATISTIC_OFFSETS[STATISTIC_COUNT] = {
    offsetof(CalPoint, us_med), offsetof(CalPoint, us_mad), offsetof(CalPoint, us_p10),
    offsetof(CalPoint, us_p90)};
enum { POINT_COLUMN_COUNT = sizeof POINT_COLUMNS / sizeof POINT_COLUMNS[0] };

static double *member(CalPoint *point, size_t offset)
{
    return (double *)((char *)point + offset);
}

static int read_loads(CalImport *import, const CsvRow *row, const char *text, CalPoint *point)
{
    while (*(text += strspn(text, " ")) != '\0') {
        char *end;
        const unsigned long load = strtoul(text, &end, 10);
        if (end == text || (*end != ' ' && *end != '\0') || *text == '-' || load > 1000000000UL ||
            point->load_count == CAL_MAX_LOADS) {
            cal_reject(import, row->line, "m_loads is not a list of at most %d counts",
                       CAL_MAX_LOADS);
            return 0;
        }
        point->loads[point->load_count++] = (unsigned)load;
        text = end;
    }
    return 1;
}

/* A word of a list; an empty cell is the first. */
static int read_word(CalImport *import, const CsvTable *table, const CsvRow *row,
                     const char *column_name, const char *const *names, int count, int *index)
{
    const int column = csv_column(table, column_name);
    const char *text = cell(row, column);
    *index = text[0] == '\0' ? 0 : cal_name_index(names, count, text);
    if (*index >= 0)
        return 1;
    cal_reject(import, row->line, "unknown %s '%.40s'", column_name, text);
    return 0;
}

static Status read_points(CalImport *import, const CsvTable *table)
{
    static const char *const NEEDED[] = {"op", "device", "class", "flops", "bytes"};
    TimeColumns times;
    for (size_t i = 0; i < sizeof NEEDED / sizeof NEEDED[0]; ++i)
        if (csv_column(table, NEEDED[i]) < 0)
            return missing(import, table, NEEDED[i]);
    Status status = find_times(import, table, &times);
    for (size_t r = 0; r < table->row_count && status == STATUS_OK; ++r) {
        const CsvRow *row = &table->rows[r];
        CalSample sample = {.line = row->line};
        CalPoint *point = &sample.point;
        int op, pass, role, device_class, sound = 1;
        double gated = 0, cold = 0;
        if (row->problem[0] != '\0') {
            cal_reject(import, row->line, "%.120s", row->problem);
            continue;
        }
        if (!read_word(import, table, row, "op", CAL_OP_NAMES, CAL_OPS, &op) ||
            !read_word(import, table, row, "pass", CAL_PASS_NAMES, CAL_PASSES, &pass) ||
            !read_word(import, table, row, "role", CAL_ROLE_NAMES, CAL_ROLES, &role) ||
            !read_word(import, table, row, "class", CAL_CLASS_NAMES, CAL_CLASSES, &device_class))
            continue;
        point->op = (CalOp)op, point->pass = (CalPass)pass, point->role = (CalRole)role;
        for (int i = 0; i < POINT_COLUMN_COUNT && sound; ++i)
            sound = number(import, table, row, csv_column(table, POINT_COLUMNS[i].name),
                           member(point, POINT_COLUMNS[i].offset));
        for (int i = 0; i < STATISTIC_COUNT && sound; ++i) {
            sound =
                number(import, table, row, times.column[i], member(point, STATISTIC_OFFSETS[i]));
            *member(point, STATISTIC_OFFSETS[i]) *= times.us;
        }
        sound = sound && number(import, table, row, csv_column(table, "gated"), &gated) &&
                number(import, table, row, csv_column(table, "cold"), &cold) &&
                read_loads(import, row, cell(row, csv_column(table, "m_loads")), point);
        if (!sound)
            continue;
        point->gated = gated != 0, point->cold = cold != 0;
        snprintf(point->impl, sizeof point->impl, "%.47s", cell(row, csv_column(table, "impl")));
        snprintf(point->dtype, sizeof point->dtype, "%.47s", cell(row, csv_column(table, "dtype")));
        snprintf(point->skew, sizeof point->skew, "%.47s", cell(row, csv_column(table, "skew")));
        snprintf(sample.device, sizeof sample.device, "%.47s",
                 cell(row, csv_column(table, "device")));
        CalProvenance *provenance = &import->points->provenance;
        if (provenance->device[0] == '\0') {
            snprintf(provenance->device, sizeof provenance->device, "%s", sample.device);
            provenance->device_class = (CalClass)device_class;
        } else if (provenance->device_class != (CalClass)device_class) {
            cal_reject(import, row->line, "CPU and GPU points in one table");
            continue;
        }
        status = cal_keep(import, (CalClass)device_class, &sample);
    }
    import->points->measured = 1;
    return status;
}

static void put_cell(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; ++text) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text >= ' ' && *text <= '~' ? *text : ' ', out);
    }
    fputs("\",", out);
}

void cal_points_csv(FILE *out, const CalPoints *points)
{
    fputs("class,device,op,impl,dtype,pass,role,skew,", out);
    for (int i = 0; i < POINT_COLUMN_COUNT; ++i)
        fprintf(out, "%s,", POINT_COLUMNS[i].name);
    for (int i = 0; i < STATISTIC_COUNT; ++i)
        fprintf(out, "us_%s,", TIME_STATISTICS[i]);
    fputs("gated,cold,m_loads\r\n", out);
    for (size_t r = 0; r < points->count; ++r) {
        CalPoint point = points->samples[r].point;
        fprintf(out, "%s,", CAL_CLASS_NAMES[points->provenance.device_class]);
        put_cell(out, points->samples[r].device);
        fprintf(out, "%s,", CAL_OP_NAMES[point.op]);
        put_cell(out, point.impl);
        put_cell(out, point.dtype);
        fprintf(out, "%s,%s,", CAL_PASS_NAMES[point.pass], CAL_ROLE_NAMES[point.role]);
        put_cell(out, point.skew);
        for (int i = 0; i < POINT_COLUMN_COUNT; ++i)
            fprintf(out, "%.12g,", *member(&point, POINT_COLUMNS[i].offset));
        for (int i = 0; i < STATISTIC_COUNT; ++i)
            fprintf(out, "%.12g,", *member(&point, STATISTIC_OFFSETS[i]));
        fprintf(out, "%d,%d,", point.gated != 0, point.cold != 0);
        for (size_t e = 0; e < point.load_count; ++e)
            fprintf(out, "%s%u", e > 0 ? " " : "", point.loads[e]);
        fputs("\r\n", out);
    }
}

/* ---- published tables --------------------------------------------------------------------------
 */

typedef struct DtypeBytes {
    const char *name;
    double bytes; /* of an operand */
} DtypeBytes;

static const DtypeBytes DTYPES[] = {
    {"bf16", 2}, {"fp16", 2},   {"bfloat16", 2},  {"float16", 2}, {"fp32", 4},
    {"fp8", 1},  {"float8", 1}, {"fp8_block", 1}, {"tf32", 4},    {"fp8_static", 1}};

static double dtype_bytes(const char *name)
{
    for (size_t i = 0; i < sizeof DTYPES / sizeof DTYPES[0]; ++i)
        if (strcmp(DTYPES[i].name, name) == 0)
            return DTYPES[i].bytes;
    return 0;
}

static const double output_bytes = 2; /* of a result, whatever the operands */

static int read_dtype(CalImport *import, const CsvTable *table, const CsvRow *row, CalPoint *point,
                      double *bytes)
{
    const char *dtype = cell(row, csv_column(table, "dtype"));
    snprintf(point->dtype, sizeof point->dtype, "%.47s", dtype);
    *bytes = dtype_bytes(dtype);
    if (*bytes > 0)
        return 1;
    cal_reject(import, row->line, "dtype '%.40s' is not one whose bytes are known", dtype);
    return 0;
}

/* "moe_tp=8; kernel moe_torch_flow": the word behind `key`. */
static void word_behind(const char *notes, const char *key, char *word, size_t bytes)
{
    const char *found = strstr(notes, key);
    const char *start = found != NULL ? found + strlen(key) : "";
    const size_t length = strcspn(start, "; ,");
    snprintf(word, bytes, "%.*s", (int)length, start);
}

/* Columns of a published table under the one or the other name. */
static int either(const CsvTable *table, const char *a, const char *b)
{
    const int column = csv_column(table, a);
    return column >= 0 ? column : csv_column(table, b);
}

/* What is always so in a published table. 0: the row is rejected. */
static int begin_published(CalImport *import, const CsvTable *table, const CsvRow *row,
                           CalSample *sample, double *bytes)
{
    *sample = (CalSample){.line = row->line};
    sample->point.role = CAL_FIT;
    if (row->problem[0] != '\0') {
        cal_reject(import, row->line, "%.120s", row->problem);
        return 0;
    }
    snprintf(sample->device, sizeof sample->device, "%.47s", cell(row, csv_column(table, "gpu")));
    return read_dtype(import, table, row, &sample->point, bytes) &&
           number(import, table, row, csv_column(table, "time_us"), &sample->point.us_med);
}

static Status read_published_gemms(CalImport *import, const CsvTable *table)
{
    const int columns[] = {csv_column(table, "M"), csv_column(table, "N"), csv_column(table, "K"),
                           csv_column(table, "groups_or_batch")};
    Status status = STATUS_OK;
    for (size_t r = 0; r < table->row_count && status == STATUS_OK; ++r) {
        const CsvRow *row = &table->rows[r];
        CalSample sample;
        CalPoint *point = &sample.point;
        double bytes = 0, groups = 0;
        if (!begin_published(import, table, row, &sample, &bytes) ||
            !number(import, table, row, columns[0], &point->m) ||
            !number(import, table, row, columns[1], &point->n) ||
            !number(import, table, row, columns[2], &point->k) ||
            !number(import, table, row, columns[3], &groups))
            continue;
        if (groups > 1 || strcmp(cell(row, csv_column(table, "op")), "gemm") != 0) {
            cal_reject(import, row->line, "not one matrix product");
            continue;
        }
        point->op = CAL_GEMM;
        snprintf(point->impl, sizeof point->impl, "%.47s", cell(row, csv_column(table, "source")));
        point->flops = 2 * point->m * point->n * point->k;
        point->bytes = bytes * (point->m * point->k + point->k * point->n) +
                       output_bytes * point->m * point->n;
        status = cal_keep(import, CAL_GPU, &sample);
    }
    return status;
}

/* What the layer has to do, its rows spread evenly. 0: the row is rejected. */
static int put_layer_work(CalImport *import, CalSample *sample, double element_bytes)
{
    CalPoint *point = &sample->point;
    const CalCatalogue *catalogue = &import->catalogue;
    Error reason;
    if (catalogue->tiles != NULL &&
        catalogue->tiles(catalogue->context, sample->device, point->impl, point->dtype,
                         point->experts, point->n, &sample->tiles, &reason) != STATUS_OK) {
        cal_reject(import, sample->line, "%.150s", reason.message);
        return 0;
    }
    const MoeLayerShape shape = {
        .tokens = point->m, .hidden = point->k, .inter = point->n, .gated = point->gated};
    const double rows = point->m * point->top_k, touched = fmin(point->experts, rows);
    const double tiled_rows = touched * moe_tiled_rows(&sample->tiles, point->m, point->experts,
                                                       touched > 0 ? rows / touched : 0);
    const MoeLayerWork work =
        moe_layer_work(&shape, &sample->tiles, element_bytes, rows, tiled_rows, touched);
    point->flops = work.flops;
    point->bytes = work.bytes;
    point->moved_bytes = work.moved_bytes;
    point->reread_bytes = work.reread_bytes;
    return 1;
}

/* Rows whose experts are loaded unevenly are kept to be predicted, never fitted: how the load was
 * spread is not in the table. */
static Status read_published_layers(CalImport *import, const CsvTable *table)
{
    const int tokens = csv_column(table, "tokens"), hidden = csv_column(table, "hidden");
    const int inter = either(table, "inter", "ffn"), top_k = either(table, "topk", "top_k");
    const int experts = csv_column(table, "experts"), ranks = either(table, "n_gpus_ep", "ep");
    const int skew = either(table, "distribution", "skew"), tensor = csv_column(table, "tp");
    const int notes = csv_column(table, "notes"), kernel = csv_column(table, "kernel");
    const int flag = csv_column(table, "flag");
    const int model = csv_column(table, "model_shape");
    Status status = STATUS_OK;
    for (size_t r = 0; r < table->row_count && status == STATUS_OK; ++r) {
        const CsvRow *row = &table->rows[r];
        CalSample sample;
        CalPoint *point = &sample.point;
        char word[CAL_NAME_BYTES];
        double bytes = 0, ways = 1, ep = 1;
        if (csv_column(table, "kind") >= 0 &&
            strcmp(cell(row, csv_column(table, "kind")), "moe_layer_latency") != 0) {
            cal_reject(import, row->line, "not the time of a MoE layer");
            continue;
        }
        if (cell(row, flag)[0] != '\0') {
            cal_reject(import, row->line, "flagged by its table: %.120s", cell(row, flag));
            continue;
        }
        if (!begin_published(import, table, row, &sample, &bytes) ||
            !number(import, table, row, tokens, &point->m) ||
            !number(import, table, row, hidden, &point->k) ||
            !number(import, table, row, inter, &point->n) ||
            !number(import, table, row, top_k, &point->top_k) ||
            !number(import, table, row, experts, &point->experts) ||
            !number(import, table, row, tensor, &ways) || !number(import, table, row, ranks, &ep))
            continue;
        word_behind(cell(row, notes), "moe_tp=", word, sizeof word);
        if (word[0] != '\0')
            ways = strtod(word, NULL);
        if (!(ways >= 1) || ep != 1) {
            cal_reject(import, row->line, "one rank of %g: what it was loaded with is not given",
                       ep);
            continue;
        }
        point->op = CAL_LAYER;
        point->gated = 1;
        point->n /= ways;
        snprintf(point->skew, sizeof point->skew, "%.47s", cell(row, skew));
        point->role = strcmp(point->skew, "balanced") == 0 ? CAL_FIT : CAL_CHECK;
        word_behind(cell(row, notes), "kernel ", word, sizeof word);
        snprintf(point->impl, sizeof point->impl, "%.47s",
                 word[0] != '\0' ? word : cell(row, kernel));
        if (cell(row, model)[0] != '\0')
            snprintf(sample.model, sizeof sample.model, "%.47s", cell(row, model));
        else
            snprintf(sample.model, sizeof sample.model, "%gx%g E%g top-%g", point->k, point->n,
                     point->experts, point->top_k);
        if (put_layer_work(import, &sample, bytes))
            status = cal_keep(import, CAL_GPU, &sample);
    }
    return status;
}

/* ---- which table it is -------------------------------------------------------------------------
 */

Status cal_import_table(CalImport *import, const CsvTable *table)
{
    CalProvenance *provenance = &import->points->provenance;
    provenance->host_load = -1;
    if (csv_column(table, "op") >= 0 && csv_column(table, "flops") >= 0)
        return read_points(import, table);
    snprintf(provenance->device, sizeof provenance->device, "published");
    const int time = csv_column(table, "time_us"), gpu = csv_column(table, "gpu");
    if (time >= 0 && gpu >= 0 && csv_column(table, "dtype") >= 0) {
        if (csv_column(table, "M") >= 0 && csv_column(table, "N") >= 0 &&
            csv_column(table, "K") >= 0 && csv_column(table, "op") >= 0)
            return read_published_gemms(import, table);
        if (csv_column(table, "tokens") >= 0 && csv_column(table, "hidden") >= 0 &&
            csv_column(table, "experts") >= 0 && either(table, "inter", "ffn") >= 0 &&
            either(table, "topk", "top_k") >= 0 && either(table, "distribution", "skew") >= 0)
            return read_published_layers(import, table);
    }
    error_set(import->error, STATUS_INVALID, "not a table of points");
    error_hint(import->error,
               "columns of calibrate's points.csv (op, device, us_med, flops, bytes, "
               "...), or of configs/measurements/gemm.csv or moe_layers.csv");
    snprintf(import->error->file, sizeof import->error->file, "%s", table->file);
    import->error->line = 1;
    return STATUS_INVALID;
}
