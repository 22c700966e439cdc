/* Points into groups, a fit for each, and how well it predicts what it was not shown. */
#include "hw/calibration/fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double s_per_us = 1e-6;
enum { MAX_FITS = 256 };

CalWork cal_point_work(const CalPoint *point)
{
    return (CalWork){point->flops, point->bytes, point->moved_bytes, point->reread_bytes};
}

static int same_tiles(const MoeTiles *a, const MoeTiles *b)
{
    return a->rows == b->rows && a->columns == b->columns && a->few_rows == b->few_rows;
}

static int same_group(const CalFit *fit, const CalSample *sample)
{
    return fit->op == sample->point.op && strcmp(fit->device, sample->device) == 0 &&
           strcmp(fit->impl, sample->point.impl) == 0 &&
           strcmp(fit->dtype, sample->point.dtype) == 0 && same_tiles(&fit->tiles, &sample->tiles);
}

/* Whole layers of a measuring program are put together from their parts, not fitted. */
static int may_be_fitted(const CalPoints *points, const CalSample *sample)
{
    return sample->point.role == CAL_FIT && !(points->measured && sample->point.op == CAL_LAYER);
}

static CalObservation observation(const CalSample *sample)
{
    return (CalObservation){cal_point_work(&sample->point), s_per_us * sample->point.us_med};
}

typedef struct Group {
    const CalPoints *points;
    const CalFits *fits;
    const CalCatalogue *catalogue;
    size_t index;
    CalObservation *observations; /* room for all points */
} Group;

/* Observations of a group, of all models or all but one. */
static size_t collect(const Group *group, size_t index, const char *left_out)
{
    size_t count = 0;
    for (size_t i = 0; i < group->points->count; ++i) {
        const CalSample *sample = &group->points->samples[i];
        if (group->fits->fit_of[i] == index && may_be_fitted(group->points, sample) &&
            (left_out == NULL || strcmp(sample->model, left_out) != 0))
            group->observations[count++] = observation(sample);
    }
    return count;
}

static Status limits_of(const Group *group, size_t index, CalLimits *limits, Error *error)
{
    const CalCatalogue *catalogue = group->catalogue;
    const CalFit *fit = &group->fits->fits[index];
    *limits = (CalLimits){0};
    if (catalogue == NULL || catalogue->limits == NULL)
        return STATUS_OK;
    return catalogue->limits(catalogue->context, group->points->provenance.device_class,
                             fit->device, fit->dtype, limits, error);
}

/* The same kernels of published layers in the precision with most points; the group itself when it
 * is that. */
static size_t sibling_of(const Group *group)
{
    const CalFits *fits = group->fits;
    const CalFit *fit = &fits->fits[group->index];
    size_t best = group->index, best_count = collect(group, group->index, NULL);
    for (size_t i = 0; i < fits->count && fit->op == CAL_LAYER; ++i) {
        const CalFit *other = &fits->fits[i];
        if (other->op != CAL_LAYER || strcmp(other->device, fit->device) != 0 ||
            strcmp(other->impl, fit->impl) != 0 || !same_tiles(&other->tiles, &fit->tiles))
            continue;
        const size_t count = collect(group, i, NULL);
        if (count > best_count) {
            best = i;
            best_count = count;
        }
    }
    return best;
}

/* A fit of the group to all models or all but one, its sibling's to the same models. STATUS_NO: too
 * few points. */
static Status fit_models(const Group *group, const char *left_out, CalFit *fit, Error *error)
{
    const size_t sibling = sibling_of(group);
    CalLimits limits;
    CalFit other;
    const CalFit *near = NULL;
    Status status = limits_of(group, sibling, &limits, error);
    if (status == STATUS_OK && sibling != group->index) {
        status = cal_fit_curve(group->observations, collect(group, sibling, left_out), &limits,
                               NULL, &other, error);
        near = status == STATUS_OK ? &other : NULL;
        if (status == STATUS_OK || status == STATUS_NO)
            status = limits_of(group, group->index, &limits, error);
    }
    if (status == STATUS_OK)
        status = cal_fit_curve(group->observations, collect(group, group->index, left_out), &limits,
                               near, fit, error);
    return status;
}

static double relative_error(const CalCurve *curve, const CalSample *sample)
{
    const CalObservation each = observation(sample);
    return cal_curve_seconds(curve, &each.work) / each.seconds - 1;
}

/* Every model in turn predicted by a fit to the others. */
static Status leave_one_out(const Group *group, CalFit *fit, Error *error)
{
    const size_t total = group->points->count;
    double *errors = malloc((total + 1) * sizeof *errors);
    size_t count = 0;
    if (errors == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    Status status = STATUS_OK;
    for (size_t i = 0; i < total && status == STATUS_OK; ++i) {
        const char *model = group->points->samples[i].model;
        int seen = group->fits->fit_of[i] != group->index || model[0] == '\0' ||
                   !may_be_fitted(group->points, &group->points->samples[i]);
        for (size_t j = 0; j < i && !seen; ++j)
            seen = group->fits->fit_of[j] == group->index &&
                   may_be_fitted(group->points, &group->points->samples[j]) &&
                   strcmp(group->points->samples[j].model, model) == 0;
        if (seen)
            continue;
        CalFit other;
        status = fit_models(group, model, &other, error);
        if (status == STATUS_NO) {
            status = STATUS_OK;
            continue;
        }
        for (size_t j = i; j < total && status == STATUS_OK; ++j)
            if (group->fits->fit_of[j] == group->index &&
                may_be_fitted(group->points, &group->points->samples[j]) &&
                strcmp(group->points->samples[j].model, model) == 0)
                errors[count++] = relative_error(&other.curve, &group->points->samples[j]);
    }
    cal_errors_of(errors, count, &fit->held_out);
    free(errors);
    return status;
}

/* Rows of uneven load, which were not fitted. */
static void predict_uneven(const Group *group, CalFit *fit)
{
    double *errors = malloc((group->points->count + 1) * sizeof *errors);
    size_t count = 0;
    for (size_t i = 0; errors != NULL && i < group->points->count; ++i)
        if (group->fits->fit_of[i] == group->index &&
            group->points->samples[i].point.role == CAL_CHECK)
            errors[count++] = relative_error(&fit->curve, &group->points->samples[i]);
    cal_errors_of(errors, count, &fit->uneven);
    free(errors);
}

/* The group of each point; groups in the order in which they are met. */
static Status make_groups(const CalPoints *points, CalFits *fits, Error *error)
{
    for (size_t i = 0; i < points->count; ++i) {
        const CalSample *sample = &points->samples[i];
        fits->fit_of[i] = CAL_NO_FIT;
        if (sample->point.role == CAL_SENTINEL ||
            (points->measured && sample->point.op == CAL_LAYER))
            continue;
        size_t g = 0;
        while (g < fits->count && !same_group(&fits->fits[g], sample))
            ++g;
        if (g == MAX_FITS)
            return error_set(error, STATUS_INVALID, "more than %d kinds of kernels", MAX_FITS);
        if (g == fits->count) {
            CalFit *fit = &fits->fits[fits->count++];
            *fit = (CalFit){.op = sample->point.op};
            memcpy(fit->device, sample->device, sizeof fit->device);
            memcpy(fit->impl, sample->point.impl, sizeof fit->impl);
            memcpy(fit->dtype, sample->point.dtype, sizeof fit->dtype);
            fit->tiles = sample->tiles;
        }
        fits->fit_of[i] = g;
    }
    return STATUS_OK;
}

static Status fit_group(const Group *group, CalFit *fit, Error *error)
{
    CalFit found;
    const Status status = fit_models(group, NULL, &found, error);
    if (status != STATUS_OK)
        return status;
    found.op = fit->op;
    found.tiles = fit->tiles;
    memcpy(found.device, fit->device, sizeof found.device);
    memcpy(found.impl, fit->impl, sizeof found.impl);
    memcpy(found.dtype, fit->dtype, sizeof found.dtype);
    *fit = found;
    predict_uneven(group, fit);
    return leave_one_out(group, fit, error);
}

/* Groups without a fit leave the list. */
static void drop_group(CalFits *fits, const CalPoints *points, size_t index)
{
    memmove(&fits->fits[index], &fits->fits[index + 1],
            (fits->count - index - 1) * sizeof *fits->fits);
    fits->count--;
    for (size_t i = 0; i < points->count; ++i)
        if (fits->fit_of[i] == index)
            fits->fit_of[i] = CAL_NO_FIT;
        else if (fits->fit_of[i] != CAL_NO_FIT && fits->fit_of[i] > index)
            fits->fit_of[i]--;
}

Status cal_fit_points(const CalPoints *points, const CalCatalogue *catalogue, CalFits *fits,
                      Error *error)
{
    *fits = (CalFits){.fits = calloc(MAX_FITS, sizeof *fits->fits),
                      .fit_of = calloc(points->count + 1, sizeof *fits->fit_of),
                      .predicted = calloc(points->count + 1, sizeof *fits->predicted)};
    Group group = {.points = points,
                   .fits = fits,
                   .catalogue = catalogue,
                   .observations = calloc(points->count + 1, sizeof *group.observations)};
    Status status = STATUS_OK;
    if (fits->fits == NULL || fits->fit_of == NULL || fits->predicted == NULL ||
        group.observations == NULL)
        status =
            error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu points", points->count);
    if (status == STATUS_OK)
        status = make_groups(points, fits, error);
    while (status == STATUS_OK && group.index < fits->count) {
        status = fit_group(&group, &fits->fits[group.index], error);
        if (status == STATUS_NO) {
            drop_group(fits, points, group.index);
            fits->too_few++;
            status = STATUS_OK;
        } else {
            group.index++;
        }
    }
    for (size_t i = 0; status == STATUS_OK && i < points->count; ++i)
        if (fits->fit_of[i] != CAL_NO_FIT) {
            const CalWork work = cal_point_work(&points->samples[i].point);
            fits->predicted[i] = cal_curve_seconds(&fits->fits[fits->fit_of[i]].curve, &work);
        }
    free(group.observations);
    if (status != STATUS_OK)
        cal_fits_free(fits);
    return status;
}

void cal_fits_free(CalFits *fits)
{
    free(fits->fits);
    free(fits->fit_of);
    free(fits->predicted);
    *fits = (CalFits){0};
}

const CalFit *cal_fits_find(const CalFits *fits, CalOp op, const char *device, const char *impl,
                            const char *dtype)
{
    const CalFit *best = NULL;
    for (size_t i = 0; i < fits->count; ++i) {
        const CalFit *fit = &fits->fits[i];
        if (fit->op == op && (device == NULL || strcmp(fit->device, device) == 0) &&
            (impl == NULL || strcmp(fit->impl, impl) == 0) &&
            (dtype == NULL || strcmp(fit->dtype, dtype) == 0) &&
            (best == NULL || fit->errors.n > best->errors.n))
            best = fit;
    }
    return best;
}
