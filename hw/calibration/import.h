/* Measured points into the planner: what a measuring program wrote (JSON lines, records.h), the
 * table that calibrate writes of it, or a published table of matrix products or MoE layers.
 *
 * Points tables have the keys of records.h as columns, device and class beside them; m_loads are
 * separated by blanks. The unit of the times stands in the column's name and is one of us, ms, s
 * for all of them: us_med, us_mad, us_p10, us_p90 or ms_... or s_....
 *
 * A row that cannot be a measurement is rejected with its line and the reason, and the rest is
 * read; a file that contradicts itself, is cut short, or of which no row is left is an error.
 */
#ifndef HW_CALIBRATION_IMPORT_H
#define HW_CALIBRATION_IMPORT_H

#include "configs/reader/reader.h"
#include "hw/calibration/records.h"
#include "hw/moe_layer.h"

enum {
    CAL_MAX_POINTS = 20000,
    CAL_MAX_FILE_BYTES = 64 << 20,
    CAL_MAX_REJECTED = 200,
    CAL_REASON_BYTES = 160
};

/* What a device can do at best: datasheet. A time below what this allows is an error of units. */
typedef struct CalLimits {
    double flops_per_s, bytes_per_s; /* 0: unknown, and anything goes */
} CalLimits;

/* How the caller knows devices: STATUS_NO with the reason when it does not know this one. `dtype`
 * chooses the peak. */
typedef Status (*CalLimitsOf)(void *context, CalClass device_class, const char *device,
                              const char *dtype, CalLimits *limits, Error *error);

/* How the caller knows kernels of MoE layers: the tiles that this one keeps to at a layer of the
 * shape (all 0: it chooses them), `width` that of an expert. STATUS_NO: an unknown device. */
typedef Status (*CalTilesOf)(void *context, const char *device, const char *kernel,
                             const char *dtype, double experts, double width, MoeTiles *tiles,
                             Error *error);

/* What is known besides the points; any of it may be NULL. */
typedef struct CalCatalogue {
    CalLimitsOf limits;
    CalTilesOf tiles;
    void *context;
} CalCatalogue;

/* A point and where it comes from. */
typedef struct CalSample {
    CalPoint point;
    char device[CAL_NAME_BYTES];
    MoeTiles tiles;                 /* of a published layer */
    char model[2 * CAL_NAME_BYTES]; /* whose shape it is; empty: not said */
    int line;
} CalSample;

typedef struct CalRejected {
    int line;
    char reason[CAL_REASON_BYTES];
} CalRejected;

typedef struct CalPoints {
    CalProvenance provenance;
    char file[ERROR_PATH_BYTES];
    char sha256[SHA256_HEX_BYTES]; /* of the text as read */
    int measured;                  /* 1: a measuring program's points; 0: published */
    size_t count, capacity;
    CalSample *samples;
    size_t rejected_total, rejected_count;
    CalRejected rejected[CAL_MAX_REJECTED];
    double sentinel_drift; /* largest over smallest sentinel, less one; negative: none */
} CalPoints;

/* `catalogue` may be NULL. STATUS_INVALID with file and line, STATUS_ENVIRONMENT. On failure
 * nothing is held. */
Status cal_points_read(const char *path, const CalCatalogue *catalogue, CalPoints *points,
                       Error *error);
Status cal_points_read_text(const char *label, const char *text, size_t bytes,
                            const CalCatalogue *catalogue, CalPoints *points, Error *error);
void cal_points_free(CalPoints *points);

/* One line of a measuring program. `progress` is filled by a progress line. */
typedef struct CalProgress {
    double done, of, left_s;
    char what[CAL_NAME_BYTES];
} CalProgress;
int cal_progress_line(const char *line, size_t bytes, CalProgress *progress); /* 1: it was one */

/* The table that cal_points_read reads again. */
void cal_points_csv(FILE *out, const CalPoints *points);

#endif
