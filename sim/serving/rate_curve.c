#include "sim/serving/rate_curve.h"

#include <math.h>
#include <string.h>

static const double day_s = 86400, hour_s = 3600;
enum { SWING_STEPS = 144, CURVE_STEPS_PER_HOUR = 12 };

/* The mean of 1 + swing * cos(2 pi (t - peak) / day) over a step that ends at `end_s`. */
static double swing_mean(double swing, double peak_s, double start_s, double end_s)
{
    const double w = 2 * M_PI / day_s;
    return 1 + swing * (sin(w * (end_s - peak_s)) - sin(w * (start_s - peak_s))) /
                   (w * (end_s - start_s));
}

/* The rate of curve `number` at a local hour; the points are in order. */
static double rate_at(const FleetSpec *fleet, double number, double hour)
{
    double rate = 0;
    for (size_t i = 0; i < fleet->curve_count; i++)
        if (fleet->curves[i].curve == number && fleet->curves[i].hour <= hour)
            rate = fleet->curves[i].rate;
    return rate;
}

/* Whole days that hold all points of the curve; 0: it has none or they are out of order. */
static double curve_days(const FleetSpec *fleet, double number)
{
    double last = -1;
    for (size_t i = 0; i < fleet->curve_count; i++) {
        if (fleet->curves[i].curve != number)
            continue;
        if (!(fleet->curves[i].hour > last) || (last < 0 && fleet->curves[i].hour > 0))
            return 0;
        last = fleet->curves[i].hour;
    }
    return last < 0 ? 0 : floor(last / 24) + 1;
}

static Status table(const FleetSpec *fleet, const RegionSpec *region, RateCurve *curve,
                    Error *error)
{
    const double days = curve_days(fleet, region->curve);
    if (!(days >= 1 && days <= 7))
        return error_set(
            error, STATUS_INVALID,
            "fleet.regions: '%.40s' wants curve %.0f: its points must begin at hour 0, "
            "rise, and end within 7 days",
            region->name, region->curve);
    curve->step_s = hour_s / CURVE_STEPS_PER_HOUR;
    curve->count = (size_t)(days * 24 * CURVE_STEPS_PER_HOUR);
    for (size_t i = 0; i < curve->count; i++) {
        const double local_s = ((double)i + 0.5) * curve->step_s + region->zone_s;
        const double period_s = days * day_s;
        const double within_s = local_s - period_s * floor(local_s / period_s);
        curve->relative[i] = rate_at(fleet, region->curve, within_s / hour_s);
    }
    return STATUS_OK;
}

Status rate_curve_of_region(const FleetSpec *fleet, const RegionSpec *region, RateCurve *curve,
                            Error *error)
{
    double sum = 0;
    memset(curve, 0, sizeof *curve);
    if (region->curve > 0) {
        const Status status = table(fleet, region, curve, error);
        if (status != STATUS_OK)
            return status;
    } else {
        curve->count = SWING_STEPS;
        curve->step_s = day_s / SWING_STEPS;
        for (size_t i = 0; i < curve->count; i++) {
            const double start_s = (double)i * curve->step_s + region->zone_s;
            curve->relative[i] = fmax(
                0, swing_mean(region->swing, region->peak_s, start_s, start_s + curve->step_s));
        }
    }
    for (size_t i = 0; i < curve->count; i++)
        sum += curve->relative[i];
    if (!(sum > 0))
        return error_set(error, STATUS_INVALID, "fleet.regions: the curve of '%.40s' is always 0",
                         region->name);
    for (size_t i = 0; i < curve->count; i++)
        curve->relative[i] *= (double)curve->count / sum;
    return STATUS_OK;
}

double rate_curve_time(const RateCurve *curve, double rate_per_s, RateCursor *cursor, double units)
{
    for (;;) {
        const double rate = rate_per_s * curve->relative[cursor->step % curve->count];
        const double delivered = rate * curve->step_s;
        const double left = units - cursor->units;
        if (left <= delivered && rate > 0)
            return (double)cursor->step * curve->step_s + fmax(0, left) / rate;
        cursor->units += delivered;
        cursor->step++;
    }
}
