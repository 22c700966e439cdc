/* Comparisons between rows of a validation. Inside sim/planning only. */
#ifndef SIM_PLANNING_VALIDATE_RATIOS_H
#define SIM_PLANNING_VALIDATE_RATIOS_H

#include "sim/planning/validate.h"

/* Fills ratios and choices, with their summaries, from rows. */
Status validation_compare(ValidationResult *result, Error *error);

#endif
