/* Reports of a fleet's day. */
#ifndef REPORTS_FLEET_H
#define REPORTS_FLEET_H

#include "reports/provenance.h"
#include "reports/terminal.h"
#include "sim/serving/fleet.h"

void terminal_fleet(FILE *out, const Scenario *scenario, const FleetResult *result,
                    const FleetOptions *options, const Provenance *provenance, TerminalStyle style);

char *json_fleet(const Scenario *scenario, const FleetResult *result, const FleetOptions *options,
                 const Provenance *provenance, Error *error);

/* fleet-day.csv: each datacentre and all of them over the day. */
Status csv_fleet(const char *directory, const FleetResult *result, Error *error);

/* fleet-day.{gp,dat,svg,png}: requests asked, replicas and KV memory in use over the day. */
Status plot_fleet(const char *directory, const Scenario *scenario, const FleetResult *result,
                  const Provenance *provenance, Error *error);

#endif
