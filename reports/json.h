/* JSON documents of the command-line contract (keys in DESIGN.md's section 6 are held by tests).
 * Text is malloc'ed, sorted keys, two-space indent, %.17g reals, '\n' at the end; NULL and a filled
 * error when memory is short. */
#ifndef REPORTS_JSON_H
#define REPORTS_JSON_H

#include "reports/provenance.h"
#include "sim/planning/audit.h"

char *json_train(const Scenario *scenario, const TrainForecast *forecast,
                 const Provenance *provenance, Error *error);
char *json_serve(const Scenario *scenario, const ServeForecast *forecast,
                 const Provenance *provenance, Error *error);
char *json_audit(const AuditResult *audit, const Provenance *provenance, Error *error);
char *json_errors(const ErrorList *errors,
                  Error *error); /* {"errors":[{file,line,column,message,hint}]} */
char *json_resolved(const char *name, const ResolvedList *values, const char *sha256, Error *error);

#endif
