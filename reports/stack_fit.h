/* Fitted parameters of software stacks, for people and for programs. */
#ifndef REPORTS_STACK_FIT_H
#define REPORTS_STACK_FIT_H

#include "reports/provenance.h"
#include "sim/planning/stack_fit.h"

#include <stdio.h>

/* Errors before and after, and the values. */
void terminal_stack_fits(FILE *out, const StackFits *fits, const Provenance *provenance);

/* One document; malloc'ed. */
char *json_stack_fits(const StackFits *fits, const Provenance *provenance, Error *error);

/* DIR/stack-NAME.yaml for every stack. */
Status yaml_stack_fits(const char *directory, const ConfigPaths *paths, const StackFits *fits,
                       Error *error);

#endif
