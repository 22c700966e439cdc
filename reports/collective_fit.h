/* Constants of nodes and fabrics fitted to a table of collectives, for people and for programs. */
#ifndef REPORTS_COLLECTIVE_FIT_H
#define REPORTS_COLLECTIVE_FIT_H

#include "reports/provenance.h"
#include "sim/planning/collective_fit.h"

#include <stdio.h>

/* The keys as they stand in a file of configs/hw, with the errors on either part of the rows. */
void yaml_collective_fits(FILE *out, const CollectiveFits *fits);

/* One document; malloc'ed. */
char *json_collective_fits(const CollectiveFits *fits, const Provenance *provenance, Error *error);

/* DIR/collective_fits.yaml. */
Status write_collective_fits(const char *directory, const CollectiveFits *fits, Error *error);

#endif
