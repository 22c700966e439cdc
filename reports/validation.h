/* A validation against published measurements, for people and for programs. */
#ifndef REPORTS_VALIDATION_H
#define REPORTS_VALIDATION_H

#include "reports/json_build.h"
#include "reports/provenance.h"
#include "reports/terminal.h"
#include "sim/planning/validate.h"

#include <stdio.h>

/* The worst rows, the errors by group, what was skipped and why. */
void terminal_validation(FILE *out, const ValidationResult *result, const Provenance *provenance,
                         TerminalStyle style);

/* One document; malloc'ed. `result` may hold no predicted row. */
char *json_validation(const ValidationResult *result, const Provenance *provenance, Error *error);

/* {"n","median_abs_error","mean_abs_error","p90_abs_error","max_abs_error","bias"} */
json_t *json_error_statistics(JsonBuilder *builder, const ErrorStatistics *statistics);

/* validation.csv: one line a predicted row. */
Status csv_validation(const char *directory, const ValidationResult *result, Error *error);

/* validation.gp, .dat, .svg, .png: predicted against measured, log-log, with lines at +-10%.
 * STATUS_ENVIRONMENT with one clear line when gnuplot is missing (script and data are written). */
Status plot_validation(const char *directory, const ValidationResult *result,
                       const Provenance *provenance, Error *error);

#endif
