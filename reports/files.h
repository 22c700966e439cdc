/* Files for people: CSV, workbook, plots, text report, JSON, each written beside its final name and
 * renamed, so that a full disk or a kill leaves the old file or the new one, never half of either.
 */
#ifndef REPORTS_FILES_H
#define REPORTS_FILES_H

#include "reports/provenance.h"
#include "sim/planning/audit.h"

#include <stdio.h>

/* Creates `directory` and its parents. */
Status files_make_directory(const char *directory, Error *error);

/* Writes text atomically (temporary name, fsync, rename). */
Status files_write_text(const char *directory, const char *name, const char *text, Error *error);

/* For files that a library or another program writes: the temporary path beside `name` to let it
 * write to, and then the fsync and rename that make it the real one. files_discard removes what is
 * left after a failure. */
Status files_temporary(const char *directory, const char *name, char *path, size_t path_bytes,
                       Error *error);
Status files_commit(const char *directory, const char *name, const char *temporary, Error *error);
void files_discard(const char *temporary);

/* A stream into memory, so that a report is made in full before any file is touched. files_finish
 * closes the stream and writes the text as files_write_text does; it owns stream and text from then
 * on. */
typedef struct TextFile {
    FILE *out;
    char *text;
    size_t bytes;
} TextFile;
Status files_begin(TextFile *file, Error *error);
Status files_finish(TextFile *file, const char *directory, const char *name, Error *error);
void files_abandon(TextFile *file);

/* What every result leaves in its directory, made when it is missing: the document as `json_name`,
 * and what the terminal shows as report.txt. Owns `report` from then on. */
Status files_result(const char *directory, const char *json_name, const char *json,
                    TextFile *report, Error *error);

/* A text field of a CSV file: quoted, ASCII, and never a formula to a spreadsheet. */
void csv_put_text(FILE *out, const char *text);

/* claims.csv, metrics.csv (every metric of every scenario: mean, p5, p50, p95), runs.csv (one row a
 * replication of the headline scenario). RFC 4180, '.' decimals, %.17g, units in the header. */
Status csv_audit(const char *directory, const AuditResult *audit, const Provenance *provenance,
                 Error *error);
Status csv_train(const char *directory, const TrainForecast *forecast, const Provenance *provenance,
                 Error *error);
/* failure-map.csv: goodput, MFU, days and cost for each failure rate, save and restart time of the
 * figure of that name. */
Status csv_failure_map(const char *directory, const Scenario *scenario,
                       const TrainForecast *forecast, const Provenance *provenance, Error *error);
Status csv_serve(const char *directory, const ServeForecast *forecast, const Provenance *provenance,
                 Error *error);

/* Sheets Summary, Inputs, Cost (live formulas over Inputs), Claims, Provenance. Byte-identical for
 * the same input. `inputs` are the resolved values of the headline scenario, NULL when there are
 * none. */
Status workbook_audit(const char *directory, const char *name, const AuditResult *audit,
                      const ResolvedList *inputs, const Provenance *provenance, Error *error);

/* The same of one training run, without Claims: the Cost sheet follows what is changed in Inputs.
 */
Status workbook_train(const char *directory, const char *name, const Scenario *scenario,
                      const TrainForecast *forecast, const ResolvedList *inputs,
                      const Provenance *provenance, Error *error);

/* Of a serving scenario: its Cost sheet follows Inputs too, by what is sold and for a demand.
 * `metrics` are those of a forecast or of a load (load_metrics.h), `load` the latter or NULL: what
 * it has in memory and in line over time is a sheet of its own. */
struct LoadForecast;
Status workbook_serve(const char *directory, const char *name, const Scenario *scenario,
                      const MetricSet *metrics, const struct LoadForecast *load,
                      const ResolvedList *inputs, const Provenance *provenance, Error *error);

/* step-waterfall, step-timeline, cost-days, failure-map (with its CSV): NAME.gp + NAME.dat +
 * NAME.svg + NAME.png. STATUS_ENVIRONMENT with one clear line when gnuplot is missing (scripts and
 * data are still written); `made` counts figures. */
Status plots_audit(const char *directory, const AuditResult *audit, const Provenance *provenance,
                   size_t *made, Error *error);
Status plots_train(const char *directory, const Scenario *scenario, const TrainForecast *forecast,
                   const Provenance *provenance, size_t *made, Error *error);

#endif
