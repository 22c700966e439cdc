#include "sim/planning/expression.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 32, MAX_ARGUMENTS = 8 };

typedef struct Parser {
    const char *text;
    const char *at;
    const ExpressionScope *scope;
    Error *error;
    int depth;
} Parser;

static Status parse_comparison(Parser *parser, ExpressionValue *value);
static Status parse_sum(Parser *parser, ExpressionValue *value);

void expression_value_free(ExpressionValue *value)
{
    free(value->values);
    value->values = NULL;
    value->count = 0;
}

static Status fail(const Parser *parser, const char *at, const char *what)
{
    error_set(parser->error, STATUS_INVALID, "expression '%.120s%s': %s", parser->text,
              strlen(parser->text) > 120 ? "..." : "", what);
    if (parser->error != NULL)
        parser->error->column = (int)(at - parser->text) + 1;
    return STATUS_INVALID;
}

static void skip_blanks(Parser *parser)
{
    while (*parser->at == ' ' || *parser->at == '\t' || *parser->at == '\n')
        parser->at++;
}

static bool accept(Parser *parser, char wanted)
{
    skip_blanks(parser);
    if (*parser->at != wanted)
        return false;
    parser->at++;
    return true;
}

static Status value_allocate(const Parser *parser, size_t count, ExpressionValue *value)
{
    value->values = calloc(count, sizeof *value->values);
    value->count = value->values != NULL ? count : 0;
    if (value->values == NULL)
        return error_set(parser->error, STATUS_ENVIRONMENT, "out of memory");
    return STATUS_OK;
}

static double entry(const ExpressionValue *value, size_t index)
{
    return value->values[value->count == 1 ? 0 : index];
}

typedef enum BinaryOperator {
    ADD,
    SUBTRACT,
    MULTIPLY,
    DIVIDE,
    MINIMUM,
    MAXIMUM,
    LESS,
    LESS_EQUAL,
    GREATER,
    GREATER_EQUAL
} BinaryOperator;

static double apply(BinaryOperator operation, double a, double b)
{
    switch (operation) {
    case ADD:
        return a + b;
    case SUBTRACT:
        return a - b;
    case MULTIPLY:
        return a * b;
    case DIVIDE:
        return a / b;
    case MINIMUM:
        return fmin(a, b);
    case MAXIMUM:
        return fmax(a, b);
    case LESS:
        return a < b;
    case LESS_EQUAL:
        return a <= b;
    case GREATER:
        return a > b;
    case GREATER_EQUAL:
        return a >= b;
    }
    return (double)NAN;
}

/* left = left (operation) right, element by element; frees right. */
static Status combine(const Parser *parser, const char *at, BinaryOperator operation,
                      ExpressionValue *left, ExpressionValue *right)
{
    ExpressionValue result = {0, NULL};
    Status status = STATUS_OK;
    if (left->count != right->count && left->count != 1 && right->count != 1) {
        char text[120];
        snprintf(text, sizeof text,
                 "combines %zu draws with %zu (give the scenarios the same reps)", left->count,
                 right->count);
        status = fail(parser, at, text);
        goto cleanup;
    }
    status =
        value_allocate(parser, left->count > right->count ? left->count : right->count, &result);
    if (status != STATUS_OK)
        goto cleanup;
    for (size_t i = 0; i < result.count; i++) {
        result.values[i] = apply(operation, entry(left, i), entry(right, i));
        if (!isfinite(result.values[i])) {
            status = fail(parser, at, "the result is not a finite number (division by zero?)");
            goto cleanup;
        }
    }
    expression_value_free(left);
    *left = result;
    result.values = NULL;
cleanup:
    free(result.values);
    expression_value_free(right);
    return status;
}

static Status collapse(const Parser *parser, const char *name, ExpressionValue *value)
{
    Summary summary;
    Status status = statistics_summary(value->values, value->count, &summary, parser->error);
    if (status != STATUS_OK)
        return status;
    const struct {
        const char *name;
        double value;
    } table[] = {
        {"p5", summary.p5}, {"p50", summary.p50}, {"p95", summary.p95}, {"mean", summary.mean}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(name, table[i].name) == 0)
            value->values[0] = table[i].value;
    value->count = 1;
    return STATUS_OK;
}

static const char *const FUNCTIONS[] = {"min",  "max",    "p5",     "p50", "p95",
                                        "mean", "argmin", "argmax", "if"};

static bool is_function(const char *name)
{
    for (size_t i = 0; i < sizeof FUNCTIONS / sizeof FUNCTIONS[0]; i++)
        if (strcmp(name, FUNCTIONS[i]) == 0)
            return true;
    return false;
}

static Status position_of_extreme(const Parser *parser, const char *name,
                                  ExpressionValue *arguments, size_t count, ExpressionValue *value)
{
    bool want_least = strcmp(name, "argmin") == 0;
    double best = 0;
    size_t position = 0;
    for (size_t i = 0; i < count; i++) {
        Summary summary;
        Status status =
            statistics_summary(arguments[i].values, arguments[i].count, &summary, parser->error);
        if (status != STATUS_OK)
            return status;
        if (i == 0 || (want_least ? summary.p50 < best : summary.p50 > best)) {
            best = summary.p50;
            position = i + 1;
        }
    }
    Status status = value_allocate(parser, 1, value);
    if (status == STATUS_OK)
        value->values[0] = (double)position;
    return status;
}

static Status parse_call(Parser *parser, const char *name, const char *start,
                         ExpressionValue *value)
{
    ExpressionValue arguments[MAX_ARGUMENTS];
    size_t count = 0;
    Status status = STATUS_OK;
    memset(arguments, 0, sizeof arguments);
    do {
        if (count == MAX_ARGUMENTS) {
            status = fail(parser, parser->at, "too many arguments (at most 8)");
            goto cleanup;
        }
        status = parse_comparison(parser, &arguments[count++]);
        if (status != STATUS_OK)
            goto cleanup;
    } while (accept(parser, ','));
    if (!accept(parser, ')')) {
        status = fail(parser, parser->at, "')' expected");
        goto cleanup;
    }
    if (strcmp(name, "min") == 0 || strcmp(name, "max") == 0) {
        *value = arguments[0];
        arguments[0].values = NULL;
        for (size_t i = 1; i < count && status == STATUS_OK; i++)
            status =
                combine(parser, start, name[1] == 'i' ? MINIMUM : MAXIMUM, value, &arguments[i]);
    } else if (strcmp(name, "argmin") == 0 || strcmp(name, "argmax") == 0) {
        status = position_of_extreme(parser, name, arguments, count, value);
    } else if (strcmp(name, "if") == 0) {
        /* if(c, a, b) = c a + (1 - c) b for c in {0, 1} */
        if (count != 3) {
            status = fail(parser, start, "if takes a condition and two values");
            goto cleanup;
        }
        ExpressionValue one = {0, NULL};
        status = value_allocate(parser, 1, &one);
        if (status != STATUS_OK)
            goto cleanup;
        one.values[0] = 1;
        ExpressionValue negated = {0, NULL};
        status = value_allocate(parser, arguments[0].count, &negated);
        if (status != STATUS_OK) {
            expression_value_free(&one);
            goto cleanup;
        }
        memcpy(negated.values, arguments[0].values, arguments[0].count * sizeof(double));
        status = combine(parser, start, SUBTRACT, &one, &negated);
        if (status == STATUS_OK)
            status = combine(parser, start, MULTIPLY, &arguments[0], &arguments[1]);
        if (status == STATUS_OK)
            status = combine(parser, start, MULTIPLY, &one, &arguments[2]);
        if (status == STATUS_OK)
            status = combine(parser, start, ADD, &arguments[0], &one);
        expression_value_free(&one);
        if (status == STATUS_OK) {
            *value = arguments[0];
            arguments[0].values = NULL;
        }
    } else {
        if (count != 1) {
            status = fail(parser, start, "a quantile or mean takes one argument");
            goto cleanup;
        }
        status = collapse(parser, name, &arguments[0]);
        if (status == STATUS_OK) {
            *value = arguments[0];
            arguments[0].values = NULL;
        }
    }
cleanup:
    for (size_t i = 0; i < MAX_ARGUMENTS; i++)
        free(arguments[i].values);
    return status;
}

/* The metric whose name shares the longest beginning with what was asked for. */
static const char *nearest_metric(const MetricSet *set, const char *name)
{
    const char *best = NULL;
    size_t best_length = 0;
    for (size_t i = 0; i < set->count; i++) {
        size_t length = 0;
        while (name[length] != '\0' && name[length] == set->metrics[i].name[length])
            length++;
        if (best == NULL || length > best_length) {
            best = set->metrics[i].name;
            best_length = length;
        }
    }
    return best;
}

static Status look_up(Parser *parser, const char *name, const char *start, ExpressionValue *value)
{
    const char *dot = strchr(name, '.');
    if (dot == NULL)
        return fail(parser, start, "a name is written scenario.metric");
    for (size_t i = 0; i < parser->scope->count; i++) {
        size_t length = strlen(parser->scope->names[i]);
        if (length != (size_t)(dot - name) || strncmp(name, parser->scope->names[i], length) != 0)
            continue;
        const MetricSet *set = parser->scope->metrics[i];
        const Metric *metric = set != NULL ? metrics_find(set, dot + 1) : NULL;
        if (metric == NULL) {
            Status status = fail(parser, start, "no such metric");
            const char *nearest = set != NULL ? nearest_metric(set, dot + 1) : NULL;
            error_hint(parser->error, "scenario '%s' has %s%s%s", parser->scope->names[i],
                       nearest != NULL ? "for example '" : "no metrics",
                       nearest != NULL ? nearest : "", nearest != NULL ? "'" : "");
            return status;
        }
        Status status = value_allocate(parser, metric->count, value);
        if (status == STATUS_OK)
            memcpy(value->values, metric->values, metric->count * sizeof *value->values);
        return status;
    }
    Status status = fail(parser, start, "no such scenario");
    if (parser->scope->count > 0)
        error_hint(parser->error, "scenarios here: %s%s%s%s", parser->scope->names[0],
                   parser->scope->count > 1 ? ", " : "",
                   parser->scope->count > 1 ? parser->scope->names[1] : "",
                   parser->scope->count > 2 ? ", ..." : "");
    return status;
}

static Status parse_factor(Parser *parser, ExpressionValue *value)
{
    skip_blanks(parser);
    const char *start = parser->at;
    if (++parser->depth > MAX_DEPTH) {
        parser->depth--;
        return fail(parser, start, "nested too deeply (at most 32)");
    }
    Status status = STATUS_OK;
    if (accept(parser, '-')) {
        status = parse_factor(parser, value);
        for (size_t i = 0; status == STATUS_OK && i < value->count; i++)
            value->values[i] = -value->values[i];
    } else if (accept(parser, '(')) {
        status = parse_comparison(parser, value);
        if (status == STATUS_OK && !accept(parser, ')'))
            status = fail(parser, parser->at, "')' expected");
    } else if (isdigit((unsigned char)*start)) {
        char *end;
        double number = strtod(start, &end);
        if (!isfinite(number) || isalpha((unsigned char)*end) || strncmp(start, "0x", 2) == 0) {
            status = fail(parser, start, "not a plain number");
        } else {
            parser->at = end;
            status = value_allocate(parser, 1, value);
            if (status == STATUS_OK)
                value->values[0] = number;
        }
    } else if (isalpha((unsigned char)*start)) {
        char name[160];
        size_t length = 0;
        while (isalnum((unsigned char)parser->at[0]) || *parser->at == '_' || *parser->at == '.') {
            if (length + 1 < sizeof name)
                name[length++] = *parser->at;
            parser->at++;
        }
        name[length] = '\0';
        if (accept(parser, '('))
            status = is_function(name)
                         ? parse_call(parser, name, start, value)
                         : fail(parser, start,
                                "no such function (min max p5 p50 p95 mean argmin argmax if)");
        else
            status = look_up(parser, name, start, value);
    } else {
        status = fail(parser, start,
                      *start == '\0' ? "ends too early" : "a number, a name or '(' expected");
    }
    parser->depth--;
    return status;
}

static Status parse_product(Parser *parser, ExpressionValue *value)
{
    Status status = parse_factor(parser, value);
    while (status == STATUS_OK) {
        skip_blanks(parser);
        const char *at = parser->at;
        if (*at != '*' && *at != '/')
            break;
        parser->at++;
        ExpressionValue right = {0, NULL};
        status = parse_factor(parser, &right);
        if (status == STATUS_OK)
            status = combine(parser, at, *at == '*' ? MULTIPLY : DIVIDE, value, &right);
        else
            expression_value_free(&right);
    }
    return status;
}

static Status parse_sum(Parser *parser, ExpressionValue *value)
{
    Status status = parse_product(parser, value);
    while (status == STATUS_OK) {
        skip_blanks(parser);
        const char *at = parser->at;
        if (*at != '+' && *at != '-')
            break;
        parser->at++;
        ExpressionValue right = {0, NULL};
        status = parse_product(parser, &right);
        if (status == STATUS_OK)
            status = combine(parser, at, *at == '+' ? ADD : SUBTRACT, value, &right);
        else
            expression_value_free(&right);
    }
    return status;
}

static Status parse_comparison(Parser *parser, ExpressionValue *value)
{
    Status status = parse_sum(parser, value);
    if (status != STATUS_OK)
        return status;
    skip_blanks(parser);
    const char *at = parser->at;
    if (*at != '<' && *at != '>')
        return STATUS_OK;
    parser->at++;
    bool with_equal = *parser->at == '=';
    if (with_equal)
        parser->at++;
    BinaryOperator operation =
        *at == '<' ? (with_equal ? LESS_EQUAL : LESS) : (with_equal ? GREATER_EQUAL : GREATER);
    ExpressionValue right = {0, NULL};
    status = parse_sum(parser, &right);
    if (status == STATUS_OK)
        status = combine(parser, at, operation, value, &right);
    else
        expression_value_free(&right);
    return status;
}

Status expression_evaluate(const char *text, const ExpressionScope *scope, ExpressionValue *value,
                           Error *error)
{
    Parser parser = {text, text, scope, error, 0};
    *value = (ExpressionValue){0, NULL};
    Status status = parse_comparison(&parser, value);
    if (status == STATUS_OK) {
        skip_blanks(&parser);
        if (*parser.at != '\0')
            status = fail(&parser, parser.at, "unexpected text after the expression");
    }
    if (status != STATUS_OK)
        expression_value_free(value);
    return status;
}
