/* Summaries of a validation. Inside sim/planning only. */
#ifndef SIM_PLANNING_VALIDATE_SUMMARY_H
#define SIM_PLANNING_VALIDATE_SUMMARY_H

#include "sim/planning/validate.h"

/* Fills summary, groups and skip_kinds from rows and skipped. */
Status validation_summarise(ValidationResult *result, Error *error);

#endif
