#include "hw/calibration/profile.h"

#include "hw/moe_layer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double us_per_s = 1e6;

/* Which operator fills which group of the profile. A part of an implementation's name where two
 * kernels of one operator differ. */
typedef struct ProfileGroup {
    const char *key;
    CalOp op;
    const char *impl;
    size_t offset; /* in CalibrationSpec */
} ProfileGroup;

#define GROUP_AT(KEY, MEMBER, OP, IMPL)                                                            \
    {                                                                                              \
        KEY, OP, IMPL, offsetof(CalibrationSpec, MEMBER)                                           \
    }
#define GROUP(KEY, OP, IMPL) GROUP_AT(#KEY, KEY, OP, IMPL)
static const ProfileGroup GROUPS[] = {
    GROUP(gemm, CAL_GEMM, NULL),
    GROUP(moe_gemm, CAL_MOE_GEMM, NULL),
    GROUP_AT("moe_layer", moe_layer.products, CAL_LAYER, NULL),
    GROUP(router, CAL_ROUTER, NULL),
    GROUP(permute, CAL_PERMUTE, NULL),
    GROUP(activation, CAL_ACTIVATION, "silu"),
    GROUP(activation_plain, CAL_ACTIVATION, "gelu"),
    GROUP(combine, CAL_COMBINE, NULL),
    GROUP(copy, CAL_COPY, NULL),
};
enum { GROUP_COUNT = sizeof GROUPS / sizeof GROUPS[0] };

typedef struct DtypeSize {
    const char *part; /* of its name */
    double bytes;
    int rank; /* larger is preferred; 0: never */
} DtypeSize;

static const DtypeSize DTYPES[] = {{"bf", 2, 3},   {"fp16", 2, 3},    {"float16", 2, 3},
                                   {"fp32", 4, 2}, {"float32", 4, 2}, {"byte", 1, 1}};

static const DtypeSize *dtype_of(const char *dtype)
{
    for (size_t i = 0; i < sizeof DTYPES / sizeof DTYPES[0]; ++i)
        if (strstr(dtype, DTYPES[i].part) != NULL)
            return &DTYPES[i];
    return NULL;
}

static const CalFit *choose(const CalFits *fits, char (*hw_of_fit)[NAME_BYTES], const char *hw,
                            const ProfileGroup *group)
{
    const CalFit *best = NULL;
    int best_rank = 0;
    for (size_t i = 0; i < fits->count; ++i) {
        const CalFit *fit = &fits->fits[i];
        const DtypeSize *dtype = dtype_of(fit->dtype);
        if (fit->op != group->op || strcmp(hw_of_fit[i], hw) != 0 || dtype == NULL ||
            fit->curve.value[CAL_BANDWIDTH] <= 0 ||
            (group->impl != NULL && strstr(fit->impl, group->impl) == NULL))
            continue;
        if (best == NULL || dtype->rank > best_rank ||
            (dtype->rank == best_rank && fit->errors.n > best->errors.n)) {
            best = fit;
            best_rank = dtype->rank;
        }
    }
    return best;
}

static MeasuredKernel *kernel_of(CalibrationSpec *profile, const ProfileGroup *group)
{
    return (MeasuredKernel *)((char *)profile + group->offset);
}

void cal_profile(const CalPoints *points, const CalFits *fits, char (*hw_of_fit)[NAME_BYTES],
                 const char *hw, CalibrationSpec *profile)
{
    const char *device = points->provenance.device;
    *profile = (CalibrationSpec){
        .tier = points->measured ? TIER_MEASURED : TIER_PUBLISHED,
        .device_class = points->provenance.device_class == CAL_CPU ? DEVICE_CPU : DEVICE_GPU};
    snprintf(profile->gpu, sizeof profile->gpu, "%s", hw);
    snprintf(profile->name, sizeof profile->name, "%.52s-calibrated", hw);
    for (int g = 0; g < GROUP_COUNT; ++g) {
        const CalFit *fit = choose(fits, hw_of_fit, hw, &GROUPS[g]);
        if (fit == NULL)
            continue;
        if (!points->measured)
            device = fit->device;
        *kernel_of(profile, &GROUPS[g]) =
            (MeasuredKernel){.launch_s = fit->curve.value[CAL_ALPHA],
                             .bytes_per_s = fit->curve.value[CAL_BANDWIDTH],
                             .flops_per_s = fit->curve.value[CAL_PEAK],
                             .overlap_exponent = fit->curve.value[CAL_OVERLAP],
                             .element_bytes = dtype_of(fit->dtype)->bytes};
        if (fit->op == CAL_LAYER) {
            profile->moe_layer.moved_bytes_per_s = fit->curve.value[CAL_ROWS];
            profile->moe_layer.reread_share = fit->curve.value[CAL_REREAD];
            profile->moe_layer.tiles = fit->tiles;
        }
    }
    snprintf(profile->device, sizeof profile->device, "%.*s", TITLE_BYTES - 1, device);
}

/* ---- layers ------------------------------------------------------------------------------------
 */

double cal_profile_layer_seconds(const CalibrationSpec *profile, const CalPoint *layer)
{
    double *rows = calloc(layer->load_count + 1, sizeof *rows);
    if (rows == NULL)
        return 0;
    for (size_t e = 0; e < layer->load_count; ++e)
        rows[e] = layer->loads[e];
    const MeasuredLayer shape = {.tokens = layer->m,
                                 .hidden = layer->k,
                                 .inter = layer->n,
                                 .gated = layer->gated,
                                 .backward = layer->pass == CAL_TRAINING};
    const double seconds = gpu_measured_layer_seconds(profile, &shape, rows, layer->load_count);
    free(rows);
    return seconds;
}

void cal_predict_layers(const CalPoints *points, const CalibrationSpec *profile, CalFits *fits,
                        CalErrors *all, CalErrors *unseen)
{
    double *errors = malloc((2 * points->count + 1) * sizeof *errors);
    double *held = errors != NULL ? errors + points->count : NULL;
    size_t count = 0, held_count = 0;
    for (size_t i = 0; errors != NULL && i < points->count; ++i) {
        const CalPoint *point = &points->samples[i].point;
        if (point->op != CAL_LAYER || !points->measured)
            continue;
        fits->predicted[i] = cal_profile_layer_seconds(profile, point);
        if (!(fits->predicted[i] > 0))
            continue;
        errors[count] = us_per_s * fits->predicted[i] / point->us_med - 1;
        if (point->role == CAL_CHECK)
            held[held_count++] = errors[count];
        ++count;
    }
    cal_errors_of(errors, count, all);
    cal_errors_of(held, held_count, unseen);
    free(errors);
}

/* ---- file --------------------------------------------------------------------------------------
 */

/* Text inside double quotes or a comment: ASCII without quotes and backslashes. */
static void put_plain(FILE *out, const char *text)
{
    for (; *text != '\0'; ++text)
        fputc(*text >= ' ' && *text <= '~' && *text != '"' && *text != '\\' ? *text : ' ', out);
}

static void put_fact(FILE *out, const char *name, const char *value)
{
    if (value[0] == '\0')
        return;
    fprintf(out, "#   %s: ", name);
    put_plain(out, value);
    fputc('\n', out);
}

static void put_provenance(FILE *out, const CalPoints *points, const char *program_version,
                           const char *date_utc)
{
    const CalProvenance *from = &points->provenance;
    fputs("# Written by flopcast calibrate; every number is a fit to the points named here.\n",
          out);
    put_fact(out, "points", points->file);
    put_fact(out, "sha256 of the points", points->sha256);
    put_fact(out, "device", from->device);
    put_fact(out, "backend", from->backend);
    put_fact(out, "library", from->library);
    put_fact(out, "driver", from->driver);
    put_fact(out, "runtime", from->runtime);
    put_fact(out, "uuid", from->uuid);
    put_fact(out, "clocks", from->clocks);
    if (from->threads > 0)
        fprintf(out, "#   threads: %g\n", from->threads);
    if (from->host_load >= 0 && points->measured)
        fprintf(out, "#   host load: %.2f\n", from->host_load);
    put_fact(out, "measured at", from->utc);
    put_fact(out, "measured by", from->command);
    put_fact(out, "version of that program", from->version);
    put_fact(out, "note", from->note);
    put_fact(out, "fitted at", date_utc);
    put_fact(out, "program version", program_version);
    if (points->sentinel_drift >= 0)
        fprintf(out, "#   sentinel: its time changed by %.1f%% between first, middle and last\n",
                100 * points->sentinel_drift);
    fprintf(out, "#   rows rejected: %zu\n", points->rejected_total);
}

/* What whole layers have besides. */
static void put_layer(FILE *out, const MeasuredLayerKernels *layer)
{
    const MoeTiles *tiles = &layer->tiles;
    if (layer->moved_bytes_per_s > 0)
        fprintf(out, "  row_bandwidth: %.6gGB/s\n", 1e-9 * layer->moved_bytes_per_s);
    if (tiles->rows > 0)
        fprintf(out,
                "  tile_rows: %g\n  few_tile_rows: %g\n  tile_columns: %g\n  cache: %gMB\n"
                "  reread_share: %.6g\n",
                tiles->rows, tiles->few_rows, tiles->columns, 1e-6 * tiles->cache_bytes,
                layer->reread_share);
}

static void put_group(FILE *out, const ProfileGroup *group, const CalFit *fit,
                      const MeasuredKernel *kernel, const MeasuredLayerKernels *layer)
{
    fprintf(out, "%s:\n", group->key);
    fprintf(out, "  launch: %.6gus\n", 1e6 * kernel->launch_s);
    fprintf(out, "  bandwidth: %.6gGB/s\n", 1e-9 * kernel->bytes_per_s);
    if (kernel->flops_per_s > 0) {
        fprintf(out, "  peak: %.6gTFLOP/s\n", 1e-12 * kernel->flops_per_s);
        fprintf(out, "  overlap_exponent: %.6g\n", kernel->overlap_exponent);
    }
    fprintf(out, "  element: %gB\n", kernel->element_bytes);
    if (fit->op == CAL_LAYER)
        put_layer(out, layer);
    fprintf(out, "  source: \"fit to %zu points (", fit->errors.n);
    put_plain(out, fit->impl);
    fputs(", ", out);
    put_plain(out, fit->dtype);
    fprintf(out, "): median error %.1f%%, mean %.1f%%, largest %.0f%%",
            100 * fit->errors.median_abs, 100 * fit->errors.mean_abs, 100 * fit->errors.max_abs);
    if (fit->held_out.n > 0)
        fprintf(out, "; leaving one model out: mean %.1f%%", 100 * fit->held_out.mean_abs);
    for (int p = 0; p < CAL_PARAMETERS; ++p)
        if (fit->used[p] && !fit->identified[p])
            fprintf(out, "; %s not identified", CAL_PARAMETER_NAMES[p]);
    fputs("\"\n", out);
}

static void put_residuals(FILE *out, const CalPoints *points, const CalFits *fits,
                          char (*hw_of_fit)[NAME_BYTES], const char *hw)
{
    fputs(
        "\n# Residuals: op impl dtype pass role m n k, measured us (spread), predicted us, error\n",
        out);
    for (size_t i = 0; i < points->count; ++i) {
        const CalPoint *point = &points->samples[i].point;
        const double predicted_us = us_per_s * fits->predicted[i];
        const int of_fit = fits->fit_of[i] != CAL_NO_FIT;
        if (!(predicted_us > 0) || (of_fit && strcmp(hw_of_fit[fits->fit_of[i]], hw) != 0))
            continue;
        fprintf(out, "# %s ", CAL_OP_NAMES[point->op]);
        put_plain(out, point->impl);
        fputc(' ', out);
        put_plain(out, point->dtype);
        fprintf(out, " %s %s %g %g %g  %.6g (%.2g)  %.6g  %+.1f%%\n", CAL_PASS_NAMES[point->pass],
                CAL_ROLE_NAMES[point->role], point->m, point->n, point->k, point->us_med,
                point->us_mad, predicted_us, 100 * (predicted_us / point->us_med - 1));
    }
}

void cal_profile_write(FILE *out, const CalPoints *points, const CalFits *fits,
                       char (*hw_of_fit)[NAME_BYTES], const CalibrationSpec *profile,
                       const char *program_version, const char *date_utc)
{
    static const char *const TIERS[] = {"datasheet", "published", "measured"};
    CalibrationSpec copy = *profile;
    put_provenance(out, points, program_version, date_utc);
    fprintf(out, "schema: 1\npart: calibration\n\ngpu: %s\ndevice: \"", profile->gpu);
    put_plain(out, profile->device);
    fprintf(out, "\"\nclass: %s\ntier: %s\n", profile->device_class == DEVICE_CPU ? "cpu" : "gpu",
            TIERS[profile->tier]);
    for (int g = 0; g < GROUP_COUNT; ++g) {
        const CalFit *fit = choose(fits, hw_of_fit, profile->gpu, &GROUPS[g]);
        if (fit != NULL)
            put_group(out, &GROUPS[g], fit, kernel_of(&copy, &GROUPS[g]), &copy.moe_layer);
    }
    put_residuals(out, points, fits, hw_of_fit, profile->gpu);
}
