/* What a terminal shows: 80 columns, the answer first. Text goes to a FILE; nothing else is
 * printed. */
#ifndef REPORTS_TERMINAL_H
#define REPORTS_TERMINAL_H

#include "reports/provenance.h"
#include "sim/planning/audit.h"

#include <stdio.h>

typedef struct TerminalStyle {
    int color; /* ANSI colours allowed */
} TerminalStyle;

/* At most 24 lines: days, dollars, MFU, goodput with intervals beside the published figures and
 * verdicts, where the time goes, the count of verdicts, what dominates the uncertainty, provenance,
 * what to run next. */
void terminal_audit_screen(FILE *out, const AuditResult *audit, const Provenance *provenance,
                           TerminalStyle style);

/* Every claim with its simulated p5/p50/p95, verdict and wrapped reason: the text report. */
void terminal_audit_full(FILE *out, const AuditResult *audit, const Provenance *provenance,
                         TerminalStyle style);

void terminal_train(FILE *out, const Scenario *scenario, const TrainForecast *forecast,
                    const Provenance *provenance, TerminalStyle style);
void terminal_serve(FILE *out, const Scenario *scenario, const ServeForecast *forecast,
                    const Provenance *provenance, TerminalStyle style);

/* "98.8", "1.2 M", "$63.0M", "12.3 ms": three or four significant digits with a unit that fits the
 * metric's unit. */
void format_quantity(double value, const char *unit, char *text, size_t text_bytes);

#endif
