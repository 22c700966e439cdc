/* From measured points to profiles: fits, which device of the catalogue each belongs to, and the
 * layers that the profile predicts. */
#ifndef SIM_PLANNING_CALIBRATION_H
#define SIM_PLANNING_CALIBRATION_H

#include "hw/calibration/profile.h"
#include "sim/planning/measured_device.h"

enum { CALIBRATION_PROFILES = 16 };

typedef struct Calibration {
    char backend[CAL_NAME_BYTES];  /* "cpu", "cuda", "import" */
    char reason[ERROR_TEXT_BYTES]; /* why this backend and not another; empty: it was asked for */
    CalPoints points;
    CalFits fits;
    char (*hw_of_fit)[NAME_BYTES]; /* [fits.count] */
    size_t profile_count;
    CalibrationSpec profiles[CALIBRATION_PROFILES];
    CalErrors layers, unseen; /* of measured layers: all, and those of a shape never fitted */
} Calibration;

/* Fills everything behind `points`. Free it whatever happens. */
Status calibration_fit(Calibration *calibration, MeasuredDevices *devices, Error *error);
void calibration_free(Calibration *calibration);

/* Errors of all points that were fitted: relative, model over measured less one. */
void calibration_residuals(const Calibration *calibration, CalErrors *errors);

#endif
