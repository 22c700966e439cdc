/* What speculation does to a load, and at which batches it helps. */
#ifndef REPORTS_SPECULATION_H
#define REPORTS_SPECULATION_H

#include "reports/json_build.h"
#include "sim/serving/serve_load.h"

/* `plain` is the same load without speculation. */
void terminal_speculation(FILE *out, const SpeculationSpec *speculation,
                          const LoadForecast *forecast, const LoadForecast *plain);

/* speculation.speedup_tpot, .speedup_e2e, .stable_ratio, .tokens_per_round, .helps_from, .helps_to,
 * .points[]. */
void json_put_speculation(JsonBuilder *builder, const SpeculationSpec *speculation,
                          const LoadForecast *forecast, const LoadForecast *plain);

/* speculation.csv: the map, RFC 4180. */
Status csv_speculation(const char *directory, const LoadForecast *forecast,
                       const Provenance *provenance, Error *error);

/* speculation.gp, .dat, .svg, .png. STATUS_ENVIRONMENT with one clear line when gnuplot is missing
 * (script and data are written). */
Status plot_speculation(const char *directory, const SpeculationSpec *speculation,
                        const LoadForecast *forecast, const Provenance *provenance, Error *error);

#endif
