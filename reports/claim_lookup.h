/* Which claim is about a metric: how screens and figures find published numbers without knowing a
 * claim file's ids. */
#ifndef REPORTS_CLAIM_LOOKUP_H
#define REPORTS_CLAIM_LOOKUP_H

#include "sim/planning/audit.h"

/* The first claim whose quantity is exactly "scenario.metric" (blanks around it allowed); NULL when
 * none is. */
const ClaimResult *claim_about(const AuditResult *audit, const char *scenario, const char *metric);

#endif
