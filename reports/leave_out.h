/* Sources left out one after the other, for people and for programs. */
#ifndef REPORTS_LEAVE_OUT_H
#define REPORTS_LEAVE_OUT_H

#include "reports/provenance.h"
#include "sim/planning/stack_unknown.h"

#include <stdio.h>

/* A line for each source, then all. */
void terminal_leave_out(FILE *out, const LeaveOut *result, const Provenance *provenance);

/* One document; malloc'ed. */
char *json_leave_out(const LeaveOut *result, const Provenance *provenance, Error *error);

#endif
