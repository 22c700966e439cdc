#include "sim/serving/occupancy.h"

#include <math.h>
#include <string.h>

static const double shortest_part_s = 1.0 / 1024;

static void add(OccupancyPart *sum, double seconds, const OccupancyPart *now)
{
    sum->kv_blocks += seconds * now->kv_blocks;
    sum->running += seconds * now->running;
    sum->waiting += seconds * now->waiting;
}

/* Two parts become one of twice the length. */
static void join(OccupancySeries *series)
{
    const size_t half = OCCUPANCY_PARTS / 2;
    for (size_t i = 0; i < half; i++) {
        const OccupancyPart second = series->parts[2 * i + 1];
        series->parts[i] = series->parts[2 * i];
        add(&series->parts[i], 1, &second);
    }
    memset(&series->parts[half], 0, (OCCUPANCY_PARTS - half) * sizeof series->parts[0]);
    series->part_s *= 2;
}

void occupancy_add(OccupancySeries *series, double from_s, double to_s, const OccupancyPart *now)
{
    if (!(to_s > from_s) || !(from_s >= 0) || !isfinite(to_s))
        return;
    if (series->part_s <= 0)
        series->part_s = shortest_part_s;
    while (to_s > OCCUPANCY_PARTS * series->part_s)
        join(series);
    series->end_s = fmax(series->end_s, to_s);
    size_t part = (size_t)(from_s / series->part_s);
    for (double at_s = from_s; at_s < to_s && part < OCCUPANCY_PARTS; part++) {
        const double until_s = fmin(to_s, (double)(part + 1) * series->part_s);
        add(&series->parts[part], until_s - at_s, now);
        at_s = until_s;
    }
}

size_t occupancy_count(const OccupancySeries *series)
{
    return series->part_s > 0 ? (size_t)ceil(series->end_s / series->part_s) : 0;
}

OccupancyPart occupancy_mean(const OccupancySeries *series, size_t part)
{
    const double begin_s = (double)part * series->part_s;
    const double seconds = fmin(series->part_s, series->end_s - begin_s);
    OccupancyPart mean = {0};
    if (seconds > 0)
        add(&mean, 1 / seconds, &series->parts[part]);
    return mean;
}
