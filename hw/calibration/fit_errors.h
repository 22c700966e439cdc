/* Shared by fit.c and fit_errors.c. */
#ifndef HW_CALIBRATION_FIT_ERRORS_H
#define HW_CALIBRATION_FIT_ERRORS_H

#include "hw/calibration/fit.h"

/* From the fit's curve, `used` and scatter: covariance, standard errors and what is identified.
 * STATUS_ENVIRONMENT without memory. */
Status cal_standard_errors(const CalObservation *observations, size_t count, CalFit *fit,
                           Error *error);

#endif
