/* Predicted against published speeds of serving engines. */
#ifndef REPORTS_SERVING_VALIDATION_H
#define REPORTS_SERVING_VALIDATION_H

#include "reports/provenance.h"
#include "reports/terminal.h"
#include "sim/planning/kernel_validation.h"

/* The worst rows, errors by group (all rows and those held back), what was skipped. */
void terminal_serving_validation(FILE *out, const KernelValidation *result,
                                 const Provenance *provenance, TerminalStyle style);

/* `measured` and `predicted` are in seconds or per second, by metric. */
char *json_serving_validation(const KernelValidation *result, const Provenance *provenance,
                              Error *error);

#endif
