#include "sim/planning/calibration.h"

#include <stdlib.h>
#include <string.h>

static const double us_per_s = 1e6;

static Status name_devices(Calibration *calibration, MeasuredDevices *devices, Error *error)
{
    const CalClass device_class = calibration->points.provenance.device_class;
    calibration->hw_of_fit = calloc(calibration->fits.count + 1, sizeof *calibration->hw_of_fit);
    if (calibration->hw_of_fit == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    Status status = STATUS_OK;
    for (size_t i = 0; i < calibration->fits.count && status == STATUS_OK; ++i)
        status = measured_device_name(devices, device_class, calibration->fits.fits[i].device,
                                      calibration->hw_of_fit[i], error);
    return status;
}

static void make_profiles(Calibration *calibration)
{
    for (size_t i = 0; i < calibration->fits.count; ++i) {
        const char *hw = calibration->hw_of_fit[i];
        size_t known = 0;
        while (known < calibration->profile_count &&
               strcmp(calibration->profiles[known].gpu, hw) != 0)
            ++known;
        if (known < calibration->profile_count || known == CALIBRATION_PROFILES)
            continue;
        cal_profile(&calibration->points, &calibration->fits, calibration->hw_of_fit, hw,
                    &calibration->profiles[calibration->profile_count++]);
    }
}

Status calibration_fit(Calibration *calibration, MeasuredDevices *devices, Error *error)
{
    const CalPoints *points = &calibration->points;
    const CalCatalogue catalogue = measured_catalogue(devices);
    Status status = cal_fit_points(points, &catalogue, &calibration->fits, error);
    if (status == STATUS_OK && calibration->fits.count == 0) {
        status =
            error_set(error, STATUS_INVALID, "%zu points are too few for a fit", points->count);
        error_hint(error, "a kernel needs more points than its four parameters, at two shapes");
    }
    if (status == STATUS_OK)
        status = name_devices(calibration, devices, error);
    if (status != STATUS_OK)
        return status;
    make_profiles(calibration);
    if (points->measured && calibration->profile_count > 0)
        cal_predict_layers(points, &calibration->profiles[0], &calibration->fits,
                           &calibration->layers, &calibration->unseen);
    return STATUS_OK;
}

void calibration_free(Calibration *calibration)
{
    cal_points_free(&calibration->points);
    cal_fits_free(&calibration->fits);
    free(calibration->hw_of_fit);
    calibration->hw_of_fit = NULL;
}

void calibration_residuals(const Calibration *calibration, CalErrors *errors)
{
    const CalPoints *points = &calibration->points;
    double *values = malloc((points->count + 1) * sizeof *values);
    size_t count = 0;
    for (size_t i = 0; values != NULL && i < points->count; ++i)
        if (calibration->fits.fit_of[i] != CAL_NO_FIT && points->samples[i].point.role == CAL_FIT &&
            calibration->fits.predicted[i] > 0)
            values[count++] =
                us_per_s * calibration->fits.predicted[i] / points->samples[i].point.us_med - 1;
    cal_errors_of(values, count, errors);
    free(values);
}
