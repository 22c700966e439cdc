/* Reports of serving under a load. */
#ifndef REPORTS_SERVE_LOAD_H
#define REPORTS_SERVE_LOAD_H

#include "reports/provenance.h"
#include "reports/terminal.h"
#include "sim/serving/serve_load.h"

/* `plain`: the same load without speculation, where the scenario speculates; else NULL. */
void terminal_serve_load(FILE *out, const Scenario *scenario, const LoadForecast *forecast,
                         const LoadForecast *plain, const LoadOptions *options,
                         const Provenance *provenance, TerminalStyle style);

char *json_serve_load(const Scenario *scenario, const LoadForecast *forecast,
                      const LoadForecast *plain, const LoadOptions *options,
                      const Provenance *provenance, Error *error);

#endif
