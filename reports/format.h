/* Numbers as people read them: a prefix, three or four digits, a scale and the unit.
 *
 * A scale is chosen once for numbers that stand side by side, so that an interval reads
 * "98.8 days [95.5 .. 102.0]" and not with a unit behind each. */
#ifndef REPORTS_FORMAT_H
#define REPORTS_FORMAT_H

#include "configs/reader/claims.h"
#include "sim/engine/metrics.h"

typedef struct QuantityScale {
    const char *prefix; /* "$" or "" */
    char suffix[48];    /* " days", "M", "%", " GB" */
    double factor;      /* shown number = value * factor */
    int decimals;       /* after the point; -1: exponent form */
} QuantityScale;

QuantityScale quantity_scale(double value, const char *unit);
void format_scaled(double value, const QuantityScale *scale, char *text, size_t text_bytes);

/* "98.8 days [95.5 .. 102.0]"; one number when the interval has no width. */
void format_summary(const Summary *summary, const char *unit, char *text, size_t text_bytes);

/* "90 .. 100 days", "$63.0M", "up to 30 GB", "-" when the claim has no number. */
void format_claim_range(const Claim *claim, char *text, size_t text_bytes);

/* The unit to show a metric in: shares of one (MFU, goodput) carry none of their own and read best
 * as percent. */
const char *metric_display_unit(const Metric *metric);

/* "24,960" */
void format_count(double value, char *text, size_t text_bytes);

#endif
