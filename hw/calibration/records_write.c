#include "hw/calibration/records.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const CAL_OP_NAMES[CAL_OPS] = {
    "gemm", "moe_gemm", "router", "permute",    "activation", "combine",    "attention", "copy",
    "sync", "launch",   "layer",  "all_to_all", "all_reduce", "all_gather", "send_recv",
};
const char *const CAL_PASS_NAMES[CAL_PASSES] = {"forward", "dgrad", "wgrad", "backward",
                                                "training"};
const char *const CAL_ROLE_NAMES[CAL_ROLES] = {"fit", "check", "sentinel"};
const char *const CAL_CLASS_NAMES[CAL_CLASSES] = {"gpu", "cpu"};

/* JSON text: quotes and backslashes escaped, everything beyond printable ASCII becomes a blank. */
static void put_text(FILE *out, const char *key, const char *text)
{
    if (text[0] == '\0')
        return;
    fprintf(out, ",\"%s\":\"", key);
    for (const char *at = text; *at != '\0'; ++at) {
        if (*at == '"' || *at == '\\')
            fputc('\\', out);
        fputc(*at >= ' ' && *at <= '~' ? *at : ' ', out);
    }
    fputc('"', out);
}

static void put_number(FILE *out, const char *key, double value)
{
    if (isfinite(value))
        fprintf(out, ",\"%s\":%.12g", key, value);
}

static void put_positive(FILE *out, const char *key, double value)
{
    if (value > 0)
        put_number(out, key, value);
}

static int begin(FILE *out, const char *record)
{
    return fprintf(out, "{\"v\":%d,\"record\":\"%s\"", CAL_VERSION, record);
}

static int end_line(FILE *out)
{
    fputs("}\n", out);
    return fflush(out) == 0 && !ferror(out) ? 0 : -1;
}

int cal_write_provenance(FILE *out, const CalProvenance *provenance)
{
    begin(out, "provenance");
    put_text(out, "class", CAL_CLASS_NAMES[provenance->device_class]);
    put_text(out, "device", provenance->device);
    put_text(out, "backend", provenance->backend);
    put_text(out, "library", provenance->library);
    put_text(out, "driver", provenance->driver);
    put_text(out, "runtime", provenance->runtime);
    put_text(out, "uuid", provenance->uuid);
    put_positive(out, "threads", provenance->threads);
    put_text(out, "clocks", provenance->clocks);
    if (provenance->host_load >= 0)
        put_number(out, "host_load", provenance->host_load);
    put_text(out, "utc", provenance->utc);
    put_text(out, "command", provenance->command);
    put_text(out, "version", provenance->version);
    put_text(out, "note", provenance->note);
    return end_line(out);
}

int cal_write_progress(FILE *out, size_t done, size_t of, double left_s, const char *what)
{
    begin(out, "progress");
    put_number(out, "done", (double)done);
    put_number(out, "of", (double)of);
    put_number(out, "left_s", left_s);
    put_text(out, "what", what);
    return end_line(out);
}

int cal_write_point(FILE *out, const CalPoint *point)
{
    begin(out, "point");
    put_text(out, "op", CAL_OP_NAMES[point->op]);
    put_text(out, "impl", point->impl);
    put_text(out, "dtype", point->dtype);
    put_text(out, "pass", CAL_PASS_NAMES[point->pass]);
    put_text(out, "role", CAL_ROLE_NAMES[point->role]);
    put_text(out, "skew", point->skew);
    put_positive(out, "m", point->m);
    put_positive(out, "n", point->n);
    put_positive(out, "k", point->k);
    put_positive(out, "groups", point->groups);
    put_positive(out, "experts", point->experts);
    put_positive(out, "top_k", point->top_k);
    if (point->load_count > 0) {
        fputs(",\"m_loads\":[", out);
        for (size_t i = 0; i < point->load_count && i < CAL_MAX_LOADS; ++i)
            fprintf(out, "%s%u", i > 0 ? "," : "", point->loads[i]);
        fputc(']', out);
    }
    if (point->gated)
        put_number(out, "gated", 1);
    put_number(out, "cold", point->cold != 0);
    put_number(out, "us_med", point->us_med);
    put_number(out, "us_mad", point->us_mad);
    put_number(out, "us_p10", point->us_p10);
    put_number(out, "us_p90", point->us_p90);
    put_number(out, "reps", point->reps);
    put_number(out, "dropped", point->dropped);
    put_number(out, "flops", point->flops);
    put_number(out, "bytes", point->bytes);
    put_positive(out, "moved_bytes", point->moved_bytes);
    put_positive(out, "reread_bytes", point->reread_bytes);
    return end_line(out);
}

int cal_write_end(FILE *out, size_t points)
{
    begin(out, "end");
    put_number(out, "points", (double)points);
    return end_line(out);
}

/* ---- statistics --------------------------------------------------------------------------------
 */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Between the two nearest of sorted values. */
static double quantile(const double *sorted, size_t count, double share)
{
    const double place = share * (double)(count - 1);
    const size_t below = (size_t)place;
    const size_t above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (place - (double)below) * (sorted[above] - sorted[below]);
}

void cal_statistics(double *samples_us, size_t count, CalPoint *point)
{
    point->reps = (double)count;
    point->us_med = point->us_mad = point->us_p10 = point->us_p90 = 0;
    if (count == 0)
        return;
    qsort(samples_us, count, sizeof *samples_us, by_value);
    point->us_med = quantile(samples_us, count, 0.5);
    point->us_p10 = quantile(samples_us, count, 0.1);
    point->us_p90 = quantile(samples_us, count, 0.9);
    for (size_t i = 0; i < count; ++i)
        samples_us[i] = fabs(samples_us[i] - point->us_med);
    qsort(samples_us, count, sizeof *samples_us, by_value);
    point->us_mad = quantile(samples_us, count, 0.5);
}
