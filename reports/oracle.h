/* Reliability results held against closed forms and simulations, for people and for programs. */
#ifndef REPORTS_ORACLE_H
#define REPORTS_ORACLE_H

#include "reports/provenance.h"
#include "reports/terminal.h"
#include "sim/planning/oracle.h"

#include <stdio.h>

/* Rows that are not ok, the largest z, a line a model, what was not simulated or skipped and why.
 */
void terminal_oracle(FILE *out, const OracleResult *result, const Provenance *provenance,
                     TerminalStyle style);

/* One document; malloc'ed. `measured` is the table's value, `predicted` the closed form. */
char *json_oracle(const OracleResult *result, const Provenance *provenance, Error *error);

/* validation.csv: one line a row. */
Status csv_oracle(const char *directory, const OracleResult *result, Error *error);

#endif
