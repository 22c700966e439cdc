#include "sim/planning/verdict.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *const VERDICT_NAMES[VERDICT_COUNT] = {"reproduced", "explained", "contradicted",
                                                         "untestable"};

const char *verdict_name(Verdict verdict)
{
    return VERDICT_NAMES[verdict];
}

void claim_format_number(double value, char *text, size_t text_bytes)
{
    double magnitude = fabs(value);
    if (magnitude != 0 && (magnitude < 1e-4 || magnitude >= 1e6))
        snprintf(text, text_bytes, "%.3e", value);
    else
        snprintf(text, text_bytes, "%.*g", magnitude >= 1000 ? 6 : 4, value);
    /* 2.150e+25 reads better as 2.15e25 */
    char *exponent = strchr(text, 'e');
    if (exponent == NULL)
        return;
    char *digits = exponent + 1;
    bool negative = *digits == '-';
    while (*digits == '+' || *digits == '-' || *digits == '0')
        digits++;
    char *mantissa_end = exponent;
    while (mantissa_end > text && mantissa_end[-1] == '0')
        mantissa_end--;
    if (mantissa_end > text && mantissa_end[-1] == '.')
        mantissa_end--;
    char shortened[64];
    snprintf(shortened, sizeof shortened, "%.*se%s%s", (int)(mantissa_end - text), text,
             negative ? "-" : "", digits);
    snprintf(text, text_bytes, "%s", shortened);
}

/* Text that grows to a bound and never past it. */
typedef struct Text {
    char *bytes;
    size_t capacity, length;
} Text;

static void append(Text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void append(Text *text, const char *format, ...)
{
    if (text->length + 1 >= text->capacity)
        return;
    va_list arguments;
    va_start(arguments, format);
    int written =
        vsnprintf(text->bytes + text->length, text->capacity - text->length, format, arguments);
    va_end(arguments);
    if (written > 0)
        text->length += (size_t)written;
    if (text->length >= text->capacity)
        text->length = text->capacity - 1;
}

static void append_number(Text *text, double value)
{
    char number[48];
    claim_format_number(value, number, sizeof number);
    append(text, "%s", number);
}

static void append_summary(Text *text, const Summary *summary)
{
    append_number(text, summary->p50);
    if (summary->p5 < summary->p95) {
        append(text, " [");
        append_number(text, summary->p5);
        append(text, " .. ");
        append_number(text, summary->p95);
        append(text, "]");
    }
}

/* The published range times `scale`, widened by the rounding of the figure. An absent side is
 * infinite. */
typedef struct PublishedRange {
    double low, high;
} PublishedRange;

static PublishedRange published_range(const Claim *claim, double scale)
{
    PublishedRange range = {-HUGE_VAL, HUGE_VAL};
    if (claim->has_low)
        range.low = scale * claim->low - claim->tolerance * fabs(scale * claim->low);
    if (claim->has_high)
        range.high = scale * claim->high + claim->tolerance * fabs(scale * claim->high);
    return range;
}

static void append_published(Text *text, const Claim *claim, double scale)
{
    if (claim->has_low && claim->has_high && claim->low == claim->high) {
        append_number(text, scale * claim->low);
    } else if (claim->has_low && claim->has_high) {
        append_number(text, scale * claim->low);
        append(text, " .. ");
        append_number(text, scale * claim->high);
    } else {
        append(text, claim->has_low ? ">= " : "<= ");
        append_number(text, scale * (claim->has_low ? claim->low : claim->high));
    }
}

static bool overlaps(const Summary *summary, PublishedRange range)
{
    return summary->p5 <= range.high && summary->p95 >= range.low;
}

/* How far the simulated median is from the nearest edge of the published figure, as a ratio. */
static double ratio_to_nearest(const Claim *claim, double scale, double median)
{
    double low = claim->has_low ? scale * claim->low : scale * claim->high;
    double high = claim->has_high ? scale * claim->high : scale * claim->low;
    double nearest = fabs(median - low) < fabs(median - high) ? low : high;
    return nearest != 0 ? median / nearest : HUGE_VAL;
}

static double share_inside(const ExpressionValue *value, PublishedRange range)
{
    size_t inside = 0;
    for (size_t i = 0; i < value->count; i++)
        inside += value->values[i] >= range.low && value->values[i] <= range.high;
    return (double)inside / (double)value->count;
}

/* A published figure that is a power of 1000 away from the simulated one is a slip of its unit: the
 * simulated band must meet the figure once it is rescaled. Returns that scale, or 0. */
static double unit_slip(const Claim *claim, const Summary *simulated)
{
    static const double SLIPS[] = {1e-3, 1e3, 1e-6, 1e6};
    if (!claim->has_low || !claim->has_high)
        return 0; /* a one-sided figure meets anything once rescaled */
    for (size_t i = 0; i < sizeof SLIPS / sizeof SLIPS[0]; i++)
        if (overlaps(simulated, published_range(claim, SLIPS[i])))
            return SLIPS[i];
    return 0;
}

/* Another meaning of the published figure: does it meet the simulation, and is it possible at all?
 */
static Status judge_reading(const Claim *claim, const ClaimReading *reading,
                            const ExpressionScope *scope, Text *reason, Verdict *verdict,
                            Error *error)
{
    ExpressionValue value = {0, NULL}, bound = {0, NULL};
    Summary simulated, floor;
    Status status = expression_evaluate(
        reading->quantity[0] != '\0' ? reading->quantity : claim->quantity, scope, &value, error);
    if (status == STATUS_OK)
        status = statistics_summary(value.values, value.count, &simulated, error);
    if (status == STATUS_OK && reading->impossible_below[0] != '\0') {
        status = expression_evaluate(reading->impossible_below, scope, &bound, error);
        if (status == STATUS_OK)
            status = statistics_summary(bound.values, bound.count, &floor, error);
    }
    if (status != STATUS_OK)
        goto cleanup;

    PublishedRange range = published_range(claim, reading->scale);
    append(reason, "; read as %s: published ", reading->label);
    append_published(reason, claim, reading->scale);
    append(reason, " against simulated ");
    append_summary(reason, &simulated);
    if (bound.values != NULL && range.high < floor.p50) {
        append(reason, ", impossible: %.3gx below the bound ",
               floor.p50 / range.high * (1 + claim->tolerance));
        append_number(reason, floor.p50);
    } else if (overlaps(&simulated, range)) {
        append(reason, ", which agrees");
        if (*verdict == VERDICT_CONTRADICTED)
            *verdict = VERDICT_EXPLAINED;
    } else {
        append(reason, ", a factor of %.3g apart",
               ratio_to_nearest(claim, reading->scale, simulated.p50));
    }
cleanup:
    expression_value_free(&value);
    expression_value_free(&bound);
    return status;
}

static Status judge_number(const Claim *claim, const ExpressionScope *scope, Text *reason,
                           ClaimResult *result, Error *error)
{
    ExpressionValue value = {0, NULL};
    Status status = expression_evaluate(claim->quantity, scope, &value, error);
    if (status == STATUS_OK)
        status = statistics_summary(value.values, value.count, &result->simulated, error);
    if (status != STATUS_OK)
        goto cleanup;
    result->has_simulated = 1;

    PublishedRange range = published_range(claim, 1);
    double ratio = ratio_to_nearest(claim, 1, result->simulated.p50);
    append(reason, "simulated ");
    append_summary(reason, &result->simulated);
    append(reason, " %s against published ", claim->unit);
    append_published(reason, claim, 1);
    if (overlaps(&result->simulated, range)) {
        result->verdict = VERDICT_REPRODUCED;
        if (result->simulated.p5 < result->simulated.p95)
            append(reason, ": the published range holds %.0f%% of the draws",
                   100 * share_inside(&value, range));
        else if (fabs(ratio - 1) < 5e-4)
            append(reason, ": equal");
        else if (result->simulated.p50 >= (claim->has_low ? claim->low : -HUGE_VAL) &&
                 result->simulated.p50 <= (claim->has_high ? claim->high : HUGE_VAL))
            append(reason, ": inside");
        else
            append(reason, ": %+.1f%%, inside the rounding of %.0f%%", 100 * (ratio - 1),
                   100 * claim->tolerance);
    } else {
        result->verdict = VERDICT_CONTRADICTED;
        double slip = unit_slip(claim, &result->simulated);
        if (slip != 0) {
            result->verdict = VERDICT_EXPLAINED;
            append(reason,
                   ": the published figure is %.4gx the simulated one, a slip of its unit by %.0e "
                   "(rescaled, it differs by %+.1f%%)",
                   1 / ratio, 1 / slip,
                   100 * (ratio_to_nearest(claim, slip, result->simulated.p50) - 1));
        } else {
            append(reason, ": %.3g times the nearest published value", ratio);
        }
    }
cleanup:
    expression_value_free(&value);
    return status;
}

/* A statement: true in which share of the draws? */
static Status judge_statement(const Claim *claim, const ExpressionScope *scope, Text *reason,
                              ClaimResult *result, Error *error)
{
    ExpressionValue value = {0, NULL};
    Summary summary;
    Status status = expression_evaluate(claim->holds, scope, &value, error);
    if (status == STATUS_OK)
        status = statistics_summary(value.values, value.count, &summary, error);
    if (status != STATUS_OK)
        goto cleanup;
    if (reason->length > 0)
        append(reason, "; ");
    append(reason, "the statement ");
    double share = summary.mean;
    if (value.count == 1)
        append(reason, share > 0.5 ? "holds" : "does not hold");
    else
        append(reason, "holds in %.0f%% of the draws", 100 * share);
    result->verdict = share >= 0.95   ? VERDICT_REPRODUCED
                      : share <= 0.05 ? VERDICT_CONTRADICTED
                                      : VERDICT_EXPLAINED;
    if (!result->has_simulated)
        result->simulated = summary;
    result->has_simulated = 1;
cleanup:
    expression_value_free(&value);
    return status;
}

static Status append_evidence(const Claim *claim, const ExpressionScope *scope, Text *reason,
                              ClaimResult *result, Error *error)
{
    for (size_t i = 0; i < claim->evidence_count; i++) {
        const ClaimEvidence *evidence = &claim->evidence[i];
        Summary *summary = &result->evidence[i];
        ExpressionValue value = {0, NULL};
        Status status = expression_evaluate(evidence->quantity, scope, &value, error);
        if (status == STATUS_OK)
            status = statistics_summary(value.values, value.count, summary, error);
        expression_value_free(&value);
        if (status != STATUS_OK)
            return status;
        append(reason, "; %s: ", evidence->label);
        append_summary(reason, summary);
        if (evidence->unit[0] != '\0')
            append(reason, " %s", evidence->unit);
    }
    return STATUS_OK;
}

Status claim_judge(const Claim *claim, const ExpressionScope *scope, ClaimResult *result,
                   Error *error)
{
    memset(result, 0, sizeof *result);
    result->claim = claim;
    result->verdict = VERDICT_UNTESTABLE;
    Text reason = {result->reason, sizeof result->reason, 0};
    Status status = STATUS_OK;

    bool has_number = claim->quantity[0] != '\0' && (claim->has_low || claim->has_high);
    if (has_number)
        status = judge_number(claim, scope, &reason, result, error);
    if (status == STATUS_OK && claim->holds[0] != '\0')
        status = judge_statement(claim, scope, &reason, result, error);
    for (size_t i = 0; i < claim->reading_count && status == STATUS_OK; i++)
        status = judge_reading(claim, &claim->readings[i], scope, &reason, &result->verdict, error);
    if (status == STATUS_OK && !has_number && claim->holds[0] == '\0')
        append(&reason, "%s",
               claim->untestable[0] != '\0' ? claim->untestable
                                            : "no quantity is given for this claim");
    if (status == STATUS_OK)
        status = append_evidence(claim, scope, &reason, result, error);
    if (status == STATUS_OK && (has_number || claim->holds[0] != '\0') &&
        claim->untestable[0] != '\0')
        append(&reason, "; not simulated: %s", claim->untestable);
    return status;
}
