/* Arithmetic over metrics, draw by draw.
 *
 *   expression  = sum [ ("<" | "<=" | ">" | ">=") sum ]          a comparison gives 1 or 0
 *   sum         = product { ("+" | "-") product }
 *   product     = factor { ("*" | "/") factor }
 *   factor      = number | name | call | "(" sum ")" | "-" factor
 *   call        = ("min" | "max" | "p5" | "p50" | "p95" | "mean" | "argmin" | "argmax" | "if") "("
 * sum { "," sum } ")" name        = scenario "." metric, e.g. a100.run.days
 *
 * min and max go element by element; p5 .. mean collapse the draws of their argument to one number;
 * argmin and argmax give the position (from 1) of the least or greatest of their arguments'
 * medians. Metrics of different scenarios combine draw by draw (the same draw number shares its
 * streams); a scalar combines with any length; two vectors must have equal lengths.
 */
#ifndef SIM_PLANNING_EXPRESSION_H
#define SIM_PLANNING_EXPRESSION_H

#include "configs/reader/error.h"
#include "sim/engine/metrics.h"

typedef struct ExpressionScope {
    size_t count;
    const char *const *names;        /* scenario names */
    const MetricSet *const *metrics; /* NULL: that scenario gave none */
} ExpressionScope;

typedef struct ExpressionValue {
    size_t count;   /* 1 or the number of draws */
    double *values; /* expression_value_free */
} ExpressionValue;

/* STATUS_INVALID with the column (from 1, in error->column) and the nearest valid name; division by
 * zero and overflow are STATUS_INVALID too. Depth and length are bounded. */
Status expression_evaluate(const char *text, const ExpressionScope *scope, ExpressionValue *value,
                           Error *error);
void expression_value_free(ExpressionValue *value);

#endif
