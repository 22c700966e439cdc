/* One claim against the numbers of the simulations. See audit.h for the rule. */
#ifndef SIM_PLANNING_VERDICT_H
#define SIM_PLANNING_VERDICT_H

#include "sim/planning/audit.h"
#include "sim/planning/expression.h"

/* STATUS_INVALID when an expression of the claim names nothing that exists. */
Status claim_judge(const Claim *claim, const ExpressionScope *scope, ClaimResult *result,
                   Error *error);

/* "2.15e25", "98.4", "0.0049": four significant digits, powers of ten outside 1e-4 .. 1e6. */
void claim_format_number(double value, char *text, size_t text_bytes);

#endif
