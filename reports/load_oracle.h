/* Expert loads held against a reference, for people and for programs. */
#ifndef REPORTS_LOAD_ORACLE_H
#define REPORTS_LOAD_ORACLE_H

#include "reports/provenance.h"
#include "reports/terminal.h"
#include "sim/planning/load_oracle.h"

#include <stdio.h>

/* The rows farthest apart, counts by quantity, what was skipped and why. */
void terminal_load_oracle(FILE *out, const LoadOracle *oracle, const Provenance *provenance,
                          TerminalStyle style);

/* One document; malloc'ed. */
char *json_load_oracle(const LoadOracle *oracle, const Provenance *provenance, Error *error);

#endif
