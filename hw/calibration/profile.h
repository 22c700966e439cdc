/* A profile: what the fits say of one device, as a part of a configuration (`part: calibration`)
 * that stands beside its catalogue entry: hardware.gpu.calibration. */
#ifndef HW_CALIBRATION_PROFILE_H
#define HW_CALIBRATION_PROFILE_H

#include "hw/calibration/fit.h"

/* From the fits for which hw_of_fit is `hw` (the catalogue's name): of each operator the one with
 * most points, 16-bit operands before 32-bit ones, 8-bit ones never. */
void cal_profile(const CalPoints *points, const CalFits *fits, char (*hw_of_fit)[NAME_BYTES],
                 const char *hw, CalibrationSpec *profile);

/* Seconds of a measured layer (CAL_LAYER), put together from the profile's parts by the loads that
 * were stored; 0: the profile lacks a part. */
double cal_profile_layer_seconds(const CalibrationSpec *profile, const CalPoint *layer);

/* Predicts the layers among the points into fits->predicted; the errors of those of a shape that no
 * fitted point has (role check) go into `unseen`, of all into `all`. */
void cal_predict_layers(const CalPoints *points, const CalibrationSpec *profile, CalFits *fits,
                        CalErrors *all, CalErrors *unseen);

/* The file, with provenance, standard errors and every residual in comments. */
void cal_profile_write(FILE *out, const CalPoints *points, const CalFits *fits,
                       char (*hw_of_fit)[NAME_BYTES], const CalibrationSpec *profile,
                       const char *program_version, const char *date_utc);

#endif
