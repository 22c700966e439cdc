/* What was measured and fitted, for people and for programs. */
#ifndef REPORTS_CALIBRATION_H
#define REPORTS_CALIBRATION_H

#include "reports/provenance.h"
#include "sim/engine/metrics.h"
#include "sim/planning/calibration.h"

#include <stdio.h>

/* The fits with standard errors, what is not identified, the layers, the worst points. */
void terminal_calibration(FILE *out, const Calibration *calibration, const Provenance *provenance);

/* One document; malloc'ed. */
char *json_calibration(const Calibration *calibration, const Provenance *provenance, Error *error);

/* points.csv and a profile NAME.yaml a device. */
Status files_calibration(const char *directory, const Calibration *calibration, Error *error);

/* calibration.gp, .dat, .svg, .png: points, curve and band of one kernel at its shapes.
 * STATUS_ENVIRONMENT with one clear line when gnuplot is missing. */
Status plot_calibration(const char *directory, const Calibration *calibration,
                        const Provenance *provenance, Error *error);

/* Every parameter of every fit and every point's median, for the store. */
Status metrics_calibration(const Calibration *calibration, MetricSet *metrics, Error *error);

#endif
