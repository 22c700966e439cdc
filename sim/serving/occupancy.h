/* What a load has in memory and in line over time: exact means over equal parts of the time, their
 * number bounded however long the run is.
 *
 * A part is a power of two of seconds long. When the run outgrows the last one, parts are joined
 * two by two, so that a run of any length that is not very short ends with 129 to 256 of them.
 * Several replicas may write into one series: their values add up. */
#ifndef SIM_SERVING_OCCUPANCY_H
#define SIM_SERVING_OCCUPANCY_H

#include <stddef.h>

enum { OCCUPANCY_PARTS = 256 };

/* Means over a part, or while they are collected values times seconds. */
typedef struct OccupancyPart {
    double kv_blocks; /* in use, also by what is under way; not what a cache keeps unused */
    double running;   /* sequences with a place in the batch */
    double waiting;   /* requests in line or thrown out to host memory */
} OccupancyPart;

typedef struct OccupancySeries {
    double part_s; /* 0: nothing was collected */
    double end_s;  /* of what was collected */
    OccupancyPart parts[OCCUPANCY_PARTS];
} OccupancySeries;

/* `now` held from from_s to to_s; nothing when that is no time. */
void occupancy_add(OccupancySeries *series, double from_s, double to_s, const OccupancyPart *now);

/* Parts up to the end, and the means over one of them (the last ends with end_s). */
size_t occupancy_count(const OccupancySeries *series);
OccupancyPart occupancy_mean(const OccupancySeries *series, size_t part);

#endif
