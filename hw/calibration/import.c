#include "hw/calibration/import.h"

#include "configs/reader/canonical.h"
#include "configs/reader/file.h"
#include "hw/calibration/import_internal.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A clock read too early or too late by this share is no error of units. */
static const double limit_tolerance = 0.05;
static const double longest_us = 1e9, largest_size = 1e9, largest_work = 1e18;

void cal_reject(CalImport *import, int line, const char *format, ...)
{
    CalPoints *points = import->points;
    points->rejected_total++;
    if (points->rejected_count == CAL_MAX_REJECTED)
        return;
    CalRejected *rejected = &points->rejected[points->rejected_count++];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(rejected->reason, sizeof rejected->reason, format, arguments);
    va_end(arguments);
    rejected->line = line;
}

int cal_name_index(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; ++i)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

/* ---- what is kept ------------------------------------------------------------------------------
 */

/* NULL: nothing is wrong with its numbers. */
static const char *number_problem(const CalPoint *point)
{
    const double sizes[] = {point->m,      point->n,       point->k,
                            point->groups, point->experts, point->top_k};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i)
        if (!(sizes[i] >= 0 && sizes[i] <= largest_size))
            return "a size is negative, not a number or above 1e9";
    const int product =
        point->op == CAL_GEMM || point->op == CAL_MOE_GEMM || point->op == CAL_LAYER;
    if (product && !(point->m > 0 && point->n > 0 && point->k > 0))
        return "a product or layer without rows, columns or depth";
    const double work[] = {point->flops, point->bytes, point->moved_bytes, point->reread_bytes};
    for (size_t i = 0; i < sizeof work / sizeof work[0]; ++i)
        if (!(work[i] >= 0 && work[i] <= largest_work))
            return "flops or bytes are negative, not a number or above 1e18";
    if (!(point->us_med > 0 && point->us_med <= longest_us))
        return "the time is not above zero and at most 1000 s";
    if (point->us_p10 > point->us_p90 * (1 + limit_tolerance))
        return "the 10th percentile is above the 90th";
    double rows = 0;
    for (size_t e = 0; e < point->load_count; ++e)
        rows += point->loads[e];
    if (point->op == CAL_MOE_GEMM && point->load_count > 0 && rows != point->m)
        return "m is not the sum of m_loads";
    return NULL;
}

static Status grow(CalPoints *points, Error *error)
{
    if (points->count < points->capacity)
        return STATUS_OK;
    if (points->count == CAL_MAX_POINTS)
        return error_set(error, STATUS_INVALID, "more than %d points", CAL_MAX_POINTS);
    const size_t capacity = points->capacity > 0 ? 2 * points->capacity : 64;
    CalSample *samples = realloc(points->samples, capacity * sizeof *samples);
    if (samples == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu points", capacity);
    points->samples = samples;
    points->capacity = capacity;
    return STATUS_OK;
}

Status cal_keep(CalImport *import, CalClass device_class, const CalSample *sample)
{
    const CalPoint *point = &sample->point;
    const char *problem = number_problem(point);
    CalLimits limits = {0};
    Error reason;
    if (problem != NULL) {
        cal_reject(import, sample->line, "%s", problem);
        return STATUS_OK;
    }
    if (import->catalogue.limits != NULL) {
        const Status known =
            import->catalogue.limits(import->catalogue.context, device_class, sample->device,
                                     point->dtype, &limits, &reason);
        if (known == STATUS_ENVIRONMENT)
            return error_set(import->error, known, "%s", reason.message);
        if (known != STATUS_OK) {
            cal_reject(import, sample->line, "%.150s", reason.message);
            return STATUS_OK;
        }
    }
    const double seconds = 1e-6 * point->us_med * (1 + limit_tolerance);
    if (limits.flops_per_s > 0 && point->flops > limits.flops_per_s * seconds) {
        cal_reject(import, sample->line,
                   "%.4g us for %.4g FLOPs is %.0f TFLOP/s, above the device's %.0f", point->us_med,
                   point->flops, 1e-6 * point->flops / point->us_med, 1e-12 * limits.flops_per_s);
        return STATUS_OK;
    }
    if (point->cold && limits.bytes_per_s > 0 && point->bytes > limits.bytes_per_s * seconds) {
        cal_reject(import, sample->line,
                   "%.4g us for %.4g bytes is %.0f GB/s, above the device's %.0f", point->us_med,
                   point->bytes, 1e-3 * point->bytes / point->us_med, 1e-9 * limits.bytes_per_s);
        return STATUS_OK;
    }
    const Status status = grow(import->points, import->error);
    if (status == STATUS_OK)
        import->points->samples[import->points->count++] = *sample;
    return status;
}

/* ---- JSON lines --------------------------------------------------------------------------------
 */

typedef struct NumberKey {
    const char *key;
    size_t offset; /* in CalPoint */
    int needed;
} NumberKey;

#define NUMBER(KEY, NEEDED)                                                                        \
    {                                                                                              \
#KEY, offsetof(CalPoint, KEY), NEEDED                                                      \
    }
static const NumberKey NUMBERS[] = {
    NUMBER(m, 0),       NUMBER(n, 0),      NUMBER(k, 0),           NUMBER(groups, 0),
    NUMBER(experts, 0), NUMBER(top_k, 0),  NUMBER(us_med, 1),      NUMBER(us_mad, 0),
    NUMBER(us_p10, 0),  NUMBER(us_p90, 0), NUMBER(reps, 0),        NUMBER(dropped, 0),
    NUMBER(flops, 1),   NUMBER(bytes, 1),  NUMBER(moved_bytes, 0), NUMBER(reread_bytes, 0),
};

static void put_text(const json_t *object, const char *key, char *text, size_t bytes)
{
    const char *value = json_string_value(json_object_get(object, key));
    snprintf(text, bytes, "%s", value != NULL ? value : "");
}

#define PUT_TEXT(OBJECT, KEY, PLACE) put_text(OBJECT, KEY, PLACE, sizeof(PLACE))

static int put_loads(const json_t *object, CalPoint *point)
{
    const json_t *loads = json_object_get(object, "m_loads");
    if (loads == NULL)
        return 1;
    if (!json_is_array(loads) || json_array_size(loads) > CAL_MAX_LOADS)
        return 0;
    point->load_count = json_array_size(loads);
    for (size_t e = 0; e < point->load_count; ++e) {
        const json_t *load = json_array_get(loads, e);
        if (!json_is_integer(load) || json_integer_value(load) < 0 ||
            json_integer_value(load) > (json_int_t)largest_size)
            return 0;
        point->loads[e] = (unsigned)json_integer_value(load);
    }
    return 1;
}

/* NULL, or what is wrong with a point's object. */
static const char *read_point(const json_t *object, CalPoint *point)
{
    char op[CAL_NAME_BYTES], pass[CAL_NAME_BYTES], role[CAL_NAME_BYTES];
    *point = (CalPoint){.pass = CAL_FORWARD};
    PUT_TEXT(object, "op", op);
    PUT_TEXT(object, "pass", pass);
    PUT_TEXT(object, "role", role);
    PUT_TEXT(object, "impl", point->impl);
    PUT_TEXT(object, "dtype", point->dtype);
    PUT_TEXT(object, "skew", point->skew);
    const int op_index = cal_name_index(CAL_OP_NAMES, CAL_OPS, op);
    const int pass_index = pass[0] == '\0' ? 0 : cal_name_index(CAL_PASS_NAMES, CAL_PASSES, pass);
    const int role_index = role[0] == '\0' ? 0 : cal_name_index(CAL_ROLE_NAMES, CAL_ROLES, role);
    if (op_index < 0)
        return "unknown or missing op";
    if (pass_index < 0 || role_index < 0)
        return "unknown pass or role";
    point->op = (CalOp)op_index;
    point->pass = (CalPass)pass_index;
    point->role = (CalRole)role_index;
    for (size_t i = 0; i < sizeof NUMBERS / sizeof NUMBERS[0]; ++i) {
        const json_t *value = json_object_get(object, NUMBERS[i].key);
        if (value == NULL && !NUMBERS[i].needed)
            continue;
        if (!json_is_number(value))
            return "us_med, flops and bytes must be there, and numbers be numbers";
        *(double *)((char *)point + NUMBERS[i].offset) = json_number_value(value);
    }
    point->gated = json_number_value(json_object_get(object, "gated")) != 0;
    point->cold = json_number_value(json_object_get(object, "cold")) != 0;
    return put_loads(object, point) ? NULL : "m_loads is not a list of at most 1024 counts";
}

static Status read_provenance(CalImport *import, const json_t *object, int line)
{
    CalProvenance *provenance = &import->points->provenance;
    char device_class[CAL_NAME_BYTES];
    PUT_TEXT(object, "class", device_class);
    PUT_TEXT(object, "device", provenance->device);
    PUT_TEXT(object, "backend", provenance->backend);
    PUT_TEXT(object, "library", provenance->library);
    PUT_TEXT(object, "driver", provenance->driver);
    PUT_TEXT(object, "runtime", provenance->runtime);
    PUT_TEXT(object, "uuid", provenance->uuid);
    PUT_TEXT(object, "clocks", provenance->clocks);
    PUT_TEXT(object, "utc", provenance->utc);
    PUT_TEXT(object, "command", provenance->command);
    PUT_TEXT(object, "version", provenance->version);
    PUT_TEXT(object, "note", provenance->note);
    provenance->threads = json_number_value(json_object_get(object, "threads"));
    const json_t *load = json_object_get(object, "host_load");
    provenance->host_load = load != NULL ? json_number_value(load) : -1;
    const int index = cal_name_index(CAL_CLASS_NAMES, CAL_CLASSES, device_class);
    if (index < 0 || provenance->device[0] == '\0') {
        error_set(import->error, STATUS_INVALID, "the provenance names no class and device");
        error_hint(import->error, "\"class\": \"gpu\" or \"cpu\", \"device\": its name");
        import->error->line = line;
        return STATUS_INVALID;
    }
    provenance->device_class = (CalClass)index;
    return STATUS_OK;
}

typedef enum RecordKind {
    RECORD_PROVENANCE,
    RECORD_PROGRESS,
    RECORD_POINT,
    RECORD_END,
    RECORDS
} RecordKind;
static const char *const RECORD_NAMES[RECORDS] = {"provenance", "progress", "point", "end"};

static Status fail_at(CalImport *import, int line, const char *message)
{
    error_set(import->error, STATUS_INVALID, "%s", message);
    import->error->line = line;
    return STATUS_INVALID;
}

/* One record; `seen` counts the points met, *ended is set by the end. */
static Status read_record(CalImport *import, const json_t *object, int line, size_t *seen,
                          int *ended)
{
    char record[CAL_NAME_BYTES];
    PUT_TEXT(object, "record", record);
    const int kind = cal_name_index(RECORD_NAMES, RECORDS, record);
    const json_t *version = json_object_get(object, "v");
    CalSample sample = {.line = line};
    if (json_integer_value(version) != CAL_VERSION)
        return fail_at(import, line, "not a record of version 1 (key v)");
    if (kind < 0)
        return fail_at(import, line, "unknown record: provenance, progress, point or end");
    if (*ended)
        return fail_at(import, line, "a record behind the end");
    if (kind == RECORD_PROVENANCE) {
        if (import->points->provenance.device[0] != '\0')
            return fail_at(import, line, "a second provenance");
        return read_provenance(import, object, line);
    }
    if (import->points->provenance.device[0] == '\0')
        return fail_at(import, line, "the first record is no provenance");
    if (kind == RECORD_END) {
        *ended = 1;
        if (json_number_value(json_object_get(object, "points")) != (double)*seen)
            return fail_at(import, line, "the end counts other points than there are: lines lost");
    }
    if (kind != RECORD_POINT)
        return STATUS_OK;
    ++*seen;
    const char *problem = read_point(object, &sample.point);
    if (problem != NULL) {
        cal_reject(import, line, "%s", problem);
        return STATUS_OK;
    }
    snprintf(sample.device, sizeof sample.device, "%.*s", CAL_NAME_BYTES - 1,
             import->points->provenance.device);
    return cal_keep(import, import->points->provenance.device_class, &sample);
}

static Status read_lines(CalImport *import, const char *text, size_t bytes)
{
    size_t seen = 0;
    int ended = 0, line = 0;
    for (size_t at = 0; at < bytes;) {
        const char *newline = memchr(text + at, '\n', bytes - at);
        const size_t length = newline != NULL ? (size_t)(newline - text) - at : bytes - at;
        ++line;
        if (length > 0) {
            json_error_t problem;
            json_t *object = json_loadb(text + at, length, JSON_REJECT_DUPLICATES, &problem);
            if (object == NULL || !json_is_object(object)) {
                char message[ERROR_TEXT_BYTES];
                snprintf(message, sizeof message, "%s: %.100s",
                         newline == NULL ? "the last line is cut short" : "not a JSON object",
                         object == NULL ? problem.text : "another kind of value");
                json_decref(object);
                return fail_at(import, line, message);
            }
            const Status status = read_record(import, object, line, &seen, &ended);
            json_decref(object);
            if (status != STATUS_OK)
                return status;
        }
        at += length + 1;
    }
    if (!ended)
        return fail_at(import, line, "no end record: the output was cut short");
    import->points->measured = 1;
    return STATUS_OK;
}

int cal_progress_line(const char *line, size_t bytes, CalProgress *progress)
{
    json_t *object = json_loadb(line, bytes, 0, NULL);
    const char *record = json_string_value(json_object_get(object, "record"));
    const int found = record != NULL && strcmp(record, "progress") == 0;
    if (found) {
        progress->done = json_number_value(json_object_get(object, "done"));
        progress->of = json_number_value(json_object_get(object, "of"));
        progress->left_s = json_number_value(json_object_get(object, "left_s"));
        PUT_TEXT(object, "what", progress->what);
    }
    json_decref(object);
    return found;
}

/* ---- both --------------------------------------------------------------------------------------
 */

static double sentinel_drift(const CalPoints *points)
{
    double least = HUGE_VAL, most = 0;
    for (size_t i = 0; i < points->count; ++i) {
        const CalPoint *point = &points->samples[i].point;
        if (point->role != CAL_SENTINEL)
            continue;
        least = fmin(least, point->us_med);
        most = fmax(most, point->us_med);
    }
    return most > 0 ? most / least - 1 : -1;
}

Status cal_points_read_text(const char *label, const char *text, size_t bytes,
                            const CalCatalogue *catalogue, CalPoints *points, Error *error)
{
    static const CalCatalogue NOTHING = {0};
    CalImport import = {points, catalogue != NULL ? *catalogue : NOTHING, error};
    CsvTable table = {0};
    Error local;
    if (error == NULL)
        import.error = &local;
    *points = (CalPoints){0};
    snprintf(points->file, sizeof points->file, "%s", label);
    Status status = STATUS_OK;
    const size_t blank = strspn(text, " \t\r\n");
    if (text[blank] == '{') {
        status = read_lines(&import, text, bytes);
        canonical_sha256(text, points->sha256);
    } else {
        status = csv_read_text(label, text, bytes, &table, import.error);
        memcpy(points->sha256, table.sha256, sizeof points->sha256);
        if (status == STATUS_OK)
            status = cal_import_table(&import, &table);
    }
    csv_free(&table);
    if (status == STATUS_OK && points->count == 0) {
        status = error_set(import.error, STATUS_INVALID, "no point is left of %zu rows",
                           points->rejected_total);
        if (points->rejected_count > 0) {
            import.error->line = points->rejected[0].line;
            error_hint(import.error, "the first: %s", points->rejected[0].reason);
        }
    }
    if (status != STATUS_OK) {
        if (import.error->file[0] == '\0' && status == STATUS_INVALID)
            snprintf(import.error->file, sizeof import.error->file, "%s", label);
        cal_points_free(points);
        return status;
    }
    points->sentinel_drift = sentinel_drift(points);
    return STATUS_OK;
}

Status cal_points_read(const char *path, const CalCatalogue *catalogue, CalPoints *points,
                       Error *error)
{
    FileText text = {0};
    *points = (CalPoints){0};
    Status status = file_read_bounded(path, CAL_MAX_FILE_BYTES, &text, error);
    if (status == STATUS_OK)
        status = cal_points_read_text(path, text.bytes, text.count, catalogue, points, error);
    free(text.bytes);
    return status;
}

void cal_points_free(CalPoints *points)
{
    free(points->samples);
    *points = (CalPoints){0};
}
