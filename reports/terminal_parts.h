/* Blocks that several screens share. */
#ifndef REPORTS_TERMINAL_PARTS_H
#define REPORTS_TERMINAL_PARTS_H

#include "reports/losses.h"
#include "reports/terminal.h"

/* One row of "name, seconds, percent, bar"; `largest` is the share of the longest bar. */
void terminal_bar(FILE *out, const char *label, const char *amount, double share, double largest);

/* The `limit` largest parts of the nominal step, one line each, largest first. */
void terminal_step_bars(FILE *out, const TrainForecast *forecast, size_t limit);

/* "duration moves with recompute (+0.81), node.rate (+0.42)": one line; a failure class by its
 * name. */
void terminal_drivers(FILE *out, const char *what, const Scenario *scenario, const Driver *drivers,
                      size_t count);

/* "  label                      value unit": one line. */
void terminal_quantity(FILE *out, const char *label, double value, const char *unit);

/* How many inputs with a range stand at its middle, where there are any. */
void terminal_midpoints(FILE *out, const Scenario *scenario);

/* Runs, seed, the first digits of the scenario's hash and the version: one line. */
void terminal_provenance(FILE *out, const Provenance *provenance, TerminalStyle style);

/* A summary of a metric as text; "-" when there is none. */
void terminal_metric(const MetricSet *metrics, const char *name, char *text, size_t text_bytes);

/* What the times of the device rest on, where a profile stands in for the catalogue's published
 * fits; without one nothing (JSON says it always). */
void terminal_evidence(FILE *out, const GpuSpec *gpu);

#endif
