#include "reports/calibration.h"

#include "reports/ascii.h"
#include "reports/files.h"
#include "reports/json_build.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WORST_POINTS = 8 };

static const double us_per_s = 1e6;
static const double SHOWN_UNITS[CAL_PARAMETERS] = {1e-6, 1e9, 1e12, 1, 1e9, 1};
static const char *const SHOWN_SUFFIXES[CAL_PARAMETERS] = {"us", "GB/s", "TFLOP/s", "", "GB/s", ""};

/* ---- terminal ----------------------------------------------------------------------------------
 */

static void print_fit(FILE *out, const CalFit *fit, const char *hw)
{
    ascii_linef(out, "%s %.44s %s on %s", CAL_OP_NAMES[fit->op], fit->impl, fit->dtype, hw);
    if (fit->op == CAL_LAYER && !(fit->tiles.rows > 0))
        ascii_linef(out, "  tiles chosen by shape");
    else if (fit->tiles.rows > 0)
        ascii_linef(out, "  tiles of %g x %g, of %g rows with few tokens", fit->tiles.rows,
                    fit->tiles.columns, fit->tiles.few_rows);
    ascii_linef(out, "  %zu points, median error %.1f%%, mean %.1f%%, largest %.0f%%",
                fit->errors.n, 100 * fit->errors.median_abs, 100 * fit->errors.mean_abs,
                100 * fit->errors.max_abs);
    for (int p = 0; p < CAL_PARAMETERS; p++) {
        const double unit = SHOWN_UNITS[p];
        if (fit->used[p] && fit->identified[p])
            ascii_linef(out, "  %-17s %10.4g +- %-9.2g %s", CAL_PARAMETER_NAMES[p],
                        fit->curve.value[p] / unit, fit->error[p] / unit, SHOWN_SUFFIXES[p]);
        else if (fit->used[p])
            ascii_linef(out, "  %-17s %10.4g not identified by these points",
                        CAL_PARAMETER_NAMES[p], fit->curve.value[p] / unit);
    }
    if (fit->held_out.n > 0)
        ascii_linef(out, "  leaving one model out: %zu rows, median %.1f%%, mean %.1f%%",
                    fit->held_out.n, 100 * fit->held_out.median_abs, 100 * fit->held_out.mean_abs);
    if (fit->uneven.n > 0)
        ascii_linef(out, "  not fitted, uneven load: %zu rows, median %.1f%%, mean %.1f%%",
                    fit->uneven.n, 100 * fit->uneven.median_abs, 100 * fit->uneven.mean_abs);
}

static double error_of(const Calibration *calibration, size_t point)
{
    const double measured_us = calibration->points.samples[point].point.us_med;
    const double predicted_us = us_per_s * calibration->fits.predicted[point];
    return predicted_us > 0 ? predicted_us / measured_us - 1 : 0;
}

static void print_worst(FILE *out, const Calibration *calibration)
{
    size_t shown[WORST_POINTS], count = 0;
    for (size_t i = 0; i < calibration->points.count; i++) {
        size_t place = count < WORST_POINTS ? count++ : WORST_POINTS - 1;
        if (place == WORST_POINTS - 1 && count == WORST_POINTS && i >= WORST_POINTS &&
            fabs(error_of(calibration, i)) <= fabs(error_of(calibration, shown[place])))
            continue;
        for (; place > 0 &&
               fabs(error_of(calibration, i)) > fabs(error_of(calibration, shown[place - 1]));
             place--)
            shown[place] = shown[place - 1];
        shown[place] = i;
    }
    ascii_linef(out, "%-44s %11s %11s %6s", "worst points", "measured us", "fitted us", "error");
    for (size_t i = 0; i < count; i++) {
        const CalPoint *point = &calibration->points.samples[shown[i]].point;
        char label[128];
        snprintf(label, sizeof label, "%s %s %s m %g n %g k %g", CAL_OP_NAMES[point->op],
                 CAL_PASS_NAMES[point->pass], point->dtype, point->m, point->n, point->k);
        ascii_linef(out, "%-44.44s %11.4g %11.4g %+5.0f%%", label, point->us_med,
                    us_per_s * calibration->fits.predicted[shown[i]],
                    100 * error_of(calibration, shown[i]));
    }
}

void terminal_calibration(FILE *out, const Calibration *calibration, const Provenance *provenance)
{
    const CalPoints *points = &calibration->points;
    ascii_linef(out, "%s: %s, %zu points", calibration->backend, points->provenance.device,
                points->count);
    if (calibration->reason[0] != '\0')
        ascii_wrap(out, calibration->reason, 2);
    if (points->measured && points->provenance.note[0] != '\0')
        ascii_wrap(out, points->provenance.note, 2);
    if (points->sentinel_drift >= 0)
        ascii_linef(out, "sentinel: its time changed by %.1f%% in the run%s",
                    100 * points->sentinel_drift,
                    points->sentinel_drift > 0.03 ? ": the machine was not steady" : "");
    for (size_t i = 0; i < calibration->fits.count; i++)
        print_fit(out, &calibration->fits.fits[i], calibration->hw_of_fit[i]);
    if (calibration->fits.too_few > 0)
        ascii_linef(out, "%zu kinds of kernels have too few points for a fit",
                    calibration->fits.too_few);
    if (calibration->unseen.n > 0)
        ascii_linef(out, "layers of a shape never fitted: %zu, median error %.1f%%, largest %.0f%%",
                    calibration->unseen.n, 100 * calibration->unseen.median_abs,
                    100 * calibration->unseen.max_abs);
    if (calibration->layers.n > 0)
        ascii_linef(out, "all layers from their parts: %zu, median error %.1f%%, largest %.0f%%",
                    calibration->layers.n, 100 * calibration->layers.median_abs,
                    100 * calibration->layers.max_abs);
    print_worst(out, calibration);
    if (points->rejected_total > 0)
        ascii_linef(out, "%zu rows rejected; the first: line %d: %s", points->rejected_total,
                    points->rejected[0].line, points->rejected[0].reason);
    ascii_linef(out, "points sha256 %.12s, flopcast %s", provenance->sha256, PROGRAM_VERSION);
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

static json_t *errors_object(JsonBuilder *builder, const CalErrors *errors)
{
    json_t *object = json_object();
    json_put(builder, object, "n", json_count(errors->n));
    json_put(builder, object, "median_abs_error", json_number(errors->median_abs));
    json_put(builder, object, "mean_abs_error", json_number(errors->mean_abs));
    json_put(builder, object, "p90_abs_error", json_number(errors->p90_abs));
    json_put(builder, object, "max_abs_error", json_number(errors->max_abs));
    json_put(builder, object, "bias", json_number(errors->bias));
    return object;
}

static json_t *point_object(JsonBuilder *builder, const Calibration *calibration, size_t index)
{
    const CalSample *sample = &calibration->points.samples[index];
    const CalPoint *point = &sample->point;
    json_t *object = json_object();
    json_put(builder, object, "op", json_text(CAL_OP_NAMES[point->op]));
    json_put(builder, object, "impl", json_text(point->impl));
    json_put(builder, object, "dtype", json_text(point->dtype));
    json_put(builder, object, "pass", json_text(CAL_PASS_NAMES[point->pass]));
    json_put(builder, object, "role", json_text(CAL_ROLE_NAMES[point->role]));
    json_put(builder, object, "device", json_text(sample->device));
    json_put(builder, object, "model", json_text(sample->model));
    json_put(builder, object, "skew", json_text(point->skew));
    json_put(builder, object, "m", json_number(point->m));
    json_put(builder, object, "n", json_number(point->n));
    json_put(builder, object, "k", json_number(point->k));
    json_put(builder, object, "experts", json_number(point->experts));
    json_put(builder, object, "us_med", json_number(point->us_med));
    json_put(builder, object, "us_mad", json_number(point->us_mad));
    json_put(builder, object, "us_p10", json_number(point->us_p10));
    json_put(builder, object, "us_p90", json_number(point->us_p90));
    json_put(builder, object, "reps", json_number(point->reps));
    json_put(builder, object, "dropped", json_number(point->dropped));
    json_put(builder, object, "flops", json_number(point->flops));
    json_put(builder, object, "bytes", json_number(point->bytes));
    if (point->moved_bytes > 0) {
        json_put(builder, object, "moved_bytes", json_number(point->moved_bytes));
        json_put(builder, object, "reread_bytes", json_number(point->reread_bytes));
    }
    if (calibration->fits.predicted[index] > 0) {
        json_put(builder, object, "us_predicted",
                 json_number(us_per_s * calibration->fits.predicted[index]));
        json_put(builder, object, "error", json_number(error_of(calibration, index)));
    }
    return object;
}

static json_t *fit_object(JsonBuilder *builder, const CalFit *fit, const char *hw)
{
    json_t *object = json_object();
    json_put(builder, object, "op", json_text(CAL_OP_NAMES[fit->op]));
    json_put(builder, object, "impl", json_text(fit->impl));
    json_put(builder, object, "dtype", json_text(fit->dtype));
    json_put(builder, object, "gpu", json_text(hw));
    json_put(builder, object, "tile_rows", json_number(fit->tiles.rows));
    json_put(builder, object, "solver", json_text(fit->solver));
    for (int p = 0; p < CAL_PARAMETERS; p++) {
        json_t *parameter = json_object();
        if (!fit->used[p]) {
            json_decref(parameter);
            continue;
        }
        json_put(builder, parameter, "value", json_number(fit->curve.value[p]));
        json_put(builder, parameter, "standard_error", json_number(fit->error[p]));
        json_put(builder, parameter, "identified", json_truth(fit->identified[p]));
        json_put(builder, object, CAL_PARAMETER_NAMES[p], parameter);
    }
    json_put(builder, object, "flops_low", json_number(fit->flops_low));
    json_put(builder, object, "flops_high", json_number(fit->flops_high));
    json_put(builder, object, "bytes_low", json_number(fit->bytes_low));
    json_put(builder, object, "bytes_high", json_number(fit->bytes_high));
    json_put(builder, object, "errors", errors_object(builder, &fit->errors));
    json_put(builder, object, "leaving_one_model_out", errors_object(builder, &fit->held_out));
    json_put(builder, object, "uneven", errors_object(builder, &fit->uneven));
    return object;
}

char *json_calibration(const Calibration *calibration, const Provenance *provenance, Error *error)
{
    JsonBuilder builder;
    json_start(&builder, provenance);
    if (builder.failed)
        return json_finish(&builder, error);
    json_t *points = json_array(), *parameters = json_array(), *rejected = json_array();
    json_t *profiles = json_array(), *root = builder.root;
    CalErrors residuals;
    calibration_residuals(calibration, &residuals);
    for (size_t i = 0; i < calibration->points.count; i++)
        json_append(&builder, points, point_object(&builder, calibration, i));
    for (size_t i = 0; i < calibration->fits.count; i++)
        json_append(&builder, parameters,
                    fit_object(&builder, &calibration->fits.fits[i], calibration->hw_of_fit[i]));
    for (size_t i = 0; i < calibration->points.rejected_count; i++) {
        json_t *object = json_object();
        json_put(&builder, object, "line", json_number(calibration->points.rejected[i].line));
        json_put(&builder, object, "reason", json_text(calibration->points.rejected[i].reason));
        json_append(&builder, rejected, object);
    }
    for (size_t i = 0; i < calibration->profile_count; i++)
        json_append(&builder, profiles, json_text(calibration->profiles[i].name));
    json_put(&builder, root, "backend", json_text(calibration->backend));
    json_put(&builder, root, "backend_reason", json_text(calibration->reason));
    json_put(&builder, root, "device", json_text(calibration->points.provenance.device));
    json_put(&builder, root, "library", json_text(calibration->points.provenance.library));
    json_put(&builder, root, "measured_utc", json_text(calibration->points.provenance.utc));
    json_put(&builder, root, "note", json_text(calibration->points.provenance.note));
    json_put(&builder, root, "sentinel_drift",
             calibration->points.sentinel_drift >= 0
                 ? json_number(calibration->points.sentinel_drift)
                 : json_null());
    json_put(&builder, root, "points", points);
    json_put(&builder, root, "rejected", rejected);
    json_put(&builder, root, "rejected_total", json_count(calibration->points.rejected_total));
    json_put(&builder, root, "fit.parameters", parameters);
    json_put(&builder, root, "fit.residual_median", json_number(residuals.median_abs));
    json_put(&builder, root, "fit.residual_max", json_number(residuals.max_abs));
    json_put(&builder, root, "layers.all", errors_object(&builder, &calibration->layers));
    json_put(&builder, root, "layers.unseen", errors_object(&builder, &calibration->unseen));
    json_put(&builder, root, "profiles", profiles);
    return json_finish(&builder, error);
}

/* ---- files -------------------------------------------------------------------------------------
 */

Status files_calibration(const char *directory, const Calibration *calibration, Error *error)
{
    TextFile file;
    char date[32] = "", name[NAME_BYTES + 8];
    const time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc) != NULL)
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    Status status = files_begin(&file, error);
    if (status == STATUS_OK) {
        cal_points_csv(file.out, &calibration->points);
        status = files_finish(&file, directory, "points.csv", error);
    }
    for (size_t i = 0; i < calibration->profile_count && status == STATUS_OK; i++) {
        snprintf(name, sizeof name, "%s.yaml", calibration->profiles[i].name);
        status = files_begin(&file, error);
        if (status != STATUS_OK)
            break;
        cal_profile_write(file.out, &calibration->points, &calibration->fits,
                          calibration->hw_of_fit, &calibration->profiles[i], PROGRAM_VERSION, date);
        status = files_finish(&file, directory, name, error);
    }
    return status;
}

Status metrics_calibration(const Calibration *calibration, MetricSet *metrics, Error *error)
{
    static const char *const UNITS[CAL_PARAMETERS] = {"s", "bytes/s", "FLOP/s",
                                                      "1", "bytes/s", "1"};
    char name[METRIC_NAME_BYTES];
    Status status = STATUS_OK;
    for (size_t i = 0; i < calibration->fits.count && status == STATUS_OK; i++) {
        const CalFit *fit = &calibration->fits.fits[i];
        for (int p = 0; p < CAL_PARAMETERS && status == STATUS_OK; p++) {
            snprintf(name, sizeof name, "fit.%zu.%s.%s", i, CAL_OP_NAMES[fit->op],
                     CAL_PARAMETER_NAMES[p]);
            if (fit->used[p])
                status = metrics_set(metrics, name, UNITS[p], fit->curve.value[p], error);
        }
        snprintf(name, sizeof name, "fit.%zu.%s.median_error", i, CAL_OP_NAMES[fit->op]);
        if (status == STATUS_OK)
            status = metrics_set(metrics, name, "1", fit->errors.median_abs, error);
    }
    for (size_t i = 0; i < calibration->points.count && status == STATUS_OK; i++) {
        const CalPoint *point = &calibration->points.samples[i].point;
        snprintf(name, sizeof name, "point.%05zu.%s.%s", i, CAL_OP_NAMES[point->op],
                 CAL_PASS_NAMES[point->pass]);
        status = metrics_set(metrics, name, "s", point->us_med / us_per_s, error);
    }
    return status;
}
