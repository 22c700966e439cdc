/* Fuzz target of points measured elsewhere: any bytes give points that can be measurements,
 * rejected rows or one located error; what is kept can be fitted, and its table is read again. */
#include "hw/calibration/fit.h"

#include <gsl/gsl_errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_FITTED = 64 };

/* A broken promise of the reader must look like a crash. */
static void require(bool promise)
{
    if (!promise)
        abort();
}

static Status limits_of(void *context, CalClass device_class, const char *device, const char *dtype,
                        CalLimits *limits, Error *error)
{
    (void)context, (void)device_class, (void)dtype;
    if (device[0] == '?')
        return error_set(error, STATUS_NO, "unknown device");
    *limits = (CalLimits){1e15, 4e12};
    return STATUS_OK;
}

static Status tiles_of(void *context, const char *device, const char *kernel, const char *dtype,
                       double experts, double width, MoeTiles *tiles, Error *error)
{
    (void)context, (void)device, (void)dtype, (void)experts, (void)width, (void)error;
    *tiles = kernel[0] == 't' ? (MoeTiles){64, 64, 16, 4e7} : (MoeTiles){0};
    return STATUS_OK;
}

static void check_points(const CalPoints *points)
{
    require(points->count > 0 && points->count <= CAL_MAX_POINTS);
    for (size_t i = 0; i < points->count; ++i) {
        const CalPoint *point = &points->samples[i].point;
        require(isfinite(point->us_med) && point->us_med > 0);
        require(isfinite(point->flops) && point->flops >= 0 && isfinite(point->bytes) &&
                point->bytes >= 0 && point->moved_bytes >= 0 && point->reread_bytes >= 0);
        require(point->load_count <= CAL_MAX_LOADS);
    }
}

/* The table of what was read has as many points, but those of published layers, which it does not
 * give whole. */
static void read_again(const CalPoints *points)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    require(out != NULL);
    cal_points_csv(out, points);
    require(fclose(out) == 0);
    CalPoints again;
    Error error = {0};
    const Status status = cal_points_read_text("again", text, bytes, NULL, &again, &error);
    require(status == STATUS_OK && again.count + again.rejected_total == points->count);
    cal_points_free(&again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const CalCatalogue catalogue = {.limits = limits_of, .tiles = tiles_of};
    CalPoints points;
    CalFits fits;
    Error error = {0};
    gsl_set_error_handler_off();
    char *text = calloc(1, size + 1);
    require(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    const Status status = cal_points_read_text("fuzz", text, size, &catalogue, &points, &error);
    free(text);
    if (status != STATUS_OK) {
        require(error.message[0] != '\0' && points.samples == NULL);
        return 0;
    }
    check_points(&points);
    read_again(&points);
    if (points.count <= MOST_FITTED &&
        cal_fit_points(&points, &catalogue, &fits, &error) == STATUS_OK)
        cal_fits_free(&fits);
    cal_points_free(&points);
    return 0;
}
