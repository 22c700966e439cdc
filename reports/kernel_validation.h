/* Predicted against published timings of single kernels, for people and for programs. */
#ifndef REPORTS_KERNEL_VALIDATION_H
#define REPORTS_KERNEL_VALIDATION_H

#include "reports/provenance.h"
#include "reports/terminal.h"
#include "sim/planning/kernel_validation.h"

#include <stdio.h>

/* The worst rows, the errors by group (of all rows and of those held back), what was skipped. */
void terminal_kernel_validation(FILE *out, const KernelValidation *result,
                                const Provenance *provenance, TerminalStyle style);

/* One document; malloc'ed. `measured` and `predicted` are in seconds. */
char *json_kernel_validation(const KernelValidation *result, const Provenance *provenance,
                             Error *error);

/* validation.csv: one line a predicted row. */
Status csv_kernel_validation(const char *directory, const KernelValidation *result, Error *error);

/* validation.gp, .dat, .svg, .png: predicted against measured time, log-log, with lines at +-10%,
 * a series for each of the largest groups of the first kind. STATUS_ENVIRONMENT with one clear line
 * when gnuplot is missing (script and data are written). */
Status plot_kernel_validation(const char *directory, const KernelValidation *result,
                              const Provenance *provenance, Error *error);

#endif
