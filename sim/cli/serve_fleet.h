/* `serve --fleet`: a day of the scenario's datacentres. */
#ifndef SIM_CLI_SERVE_FLEET_H
#define SIM_CLI_SERVE_FLEET_H

#include "sim/cli/session.h"
#include "sim/serving/serve_load.h"

/* Simulates at the rate, objective and seed of `load`, prints and writes what was asked for. */
Status serve_fleet(Session *session, const Scenario *scenario, const LoadOptions *load,
                   const Provenance *provenance);

#endif
