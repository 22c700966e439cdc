/* "M_min=600;tau_min=30" to checked numbers in SI, by the model's table of parameters. */
#include "sim/training/reliability.h"

#include "configs/reader/suggest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMETERS_BYTES = 1024 };

typedef struct TimeUnit {
    const char *suffix;
    double seconds;
} TimeUnit;

static const TimeUnit TIME_UNITS[] = {
    {"s", 1.0},       {"min", 60.0},     {"h", 3600.0},    {"d", 86400.0},
    {"day", 86400.0}, {"days", 86400.0}, {"hour", 3600.0},
};

static const TimeUnit *unit_named(const char *suffix)
{
    for (size_t i = 0; i < sizeof TIME_UNITS / sizeof TIME_UNITS[0]; i++)
        if (strcmp(TIME_UNITS[i].suffix, suffix) == 0)
            return &TIME_UNITS[i];
    return NULL;
}

static int takes_unit(QuantityKind kind)
{
    return kind == QUANTITY_TIME || kind == QUANTITY_RATE || kind == QUANTITY_TIMES;
}

/* Whether `text` is `name` with a unit where the kind has one; the unit's value in SI. */
static int is_named(const char *text, const char *name, QuantityKind kind, double *unit)
{
    size_t length = strlen(name);
    *unit = 1.0;
    if (strncmp(text, name, length) != 0)
        return 0;
    if (!takes_unit(kind))
        return text[length] == '\0';
    const TimeUnit *found = text[length] == '_' ? unit_named(text + length + 1) : NULL;
    if (found == NULL)
        return 0;
    *unit = kind == QUANTITY_RATE ? 1.0 / found->seconds : found->seconds;
    return 1;
}

/* A copy of `text` without the unit at its end, to look for the nearest name. */
static void without_unit(const char *text, char *name, size_t name_bytes)
{
    snprintf(name, name_bytes, "%s", text);
    char *underscore = strrchr(name, '_');
    if (underscore != NULL && unit_named(underscore + 1) != NULL)
        *underscore = '\0';
}

static void hint_nearest(Suggestion *nearest, const char *what, Error *error)
{
    if (nearest->best != NULL)
        error_hint(error, "did you mean '%s'?", nearest->best);
    else if (what != NULL)
        error_hint(error, "%s", what);
}

Status reliability_model_find(const char *name, const ReliabilityModel **model, Error *error)
{
    Suggestion nearest = {.word = name};
    for (size_t i = 0; i < RELIABILITY_MODEL_COUNT; i++) {
        if (strcmp(RELIABILITY_MODELS[i].name, name) == 0) {
            *model = &RELIABILITY_MODELS[i];
            return STATUS_OK;
        }
        suggest_offer(&nearest, RELIABILITY_MODELS[i].name);
    }
    error_set(error, STATUS_INVALID, "unknown model '%.40s'", name);
    hint_nearest(&nearest, NULL, error);
    return STATUS_INVALID;
}

Status reliability_metric_find(const ReliabilityModel *model, const char *name,
                               const ReliabilityMetric **metric, double *unit_s, Error *error)
{
    char bare[RELIABILITY_NAME_BYTES];
    without_unit(name, bare, sizeof bare);
    Suggestion nearest = {.word = bare};
    for (const ReliabilityMetric *m = model->metrics; m->name != NULL; m++) {
        if (is_named(name, m->name, m->kind, unit_s)) {
            *metric = m;
            return STATUS_OK;
        }
        suggest_offer(&nearest, m->name);
        if (strcmp(bare, m->name) == 0 && takes_unit(m->kind))
            return error_set(error, STATUS_INVALID, "metric '%.40s' needs a unit: %s_min", name,
                             m->name);
    }
    error_set(error, STATUS_INVALID, "%s has no metric '%.40s'", model->name, name);
    hint_nearest(&nearest, model->metrics->name, error);
    return STATUS_INVALID;
}

/* ---- values ------------------------------------------------------------------------------------
 */

static Status bad_value(const ParameterSpec *spec, const char *text, const char *allowed,
                        Error *error)
{
    return error_set(error, STATUS_INVALID, "%s: '%.40s' is not %s", spec->name, text, allowed);
}

static Status in_bounds(const ParameterSpec *spec, const char *text, double value, Error *error)
{
    char allowed[64];
    if (value >= spec->low && value <= spec->high)
        return STATUS_OK;
    int has_unit = takes_unit(spec->kind) || spec->kind == QUANTITY_BATCHES;
    snprintf(allowed, sizeof allowed, "in %g .. %g%s", spec->low, spec->high,
             !has_unit                                                     ? ""
             : spec->kind == QUANTITY_TIME || spec->kind == QUANTITY_TIMES ? " s"
                                                                           : " per s");
    return bad_value(spec, text, allowed, error);
}

/* A number that ends where `end` says it may; NaN and infinities are none. */
static int number_until(const char **text, const char *end, double *value)
{
    char *stop;
    *value = strtod(*text, &stop);
    if (stop == *text || !isfinite(*value) || (*stop != '\0' && strchr(end, *stop) == NULL))
        return 0;
    *text = stop;
    return 1;
}

static Status read_number(const ParameterSpec *spec, const char *text, double unit, double *value,
                          Error *error)
{
    const char *at = text;
    if (spec->words != NULL && strcmp(text, spec->words) == 0) {
        *value = HUGE_VAL;
        return STATUS_OK;
    }
    if (!number_until(&at, "", value))
        return bad_value(spec, text, "a number", error);
    if (spec->kind == QUANTITY_WHOLE && *value != floor(*value))
        return bad_value(spec, text, "a whole number", error);
    *value *= unit;
    return in_bounds(spec, text, *value, error);
}

static Status read_word(const ParameterSpec *spec, const char *text, double *value, Error *error)
{
    char words[128], *rest = NULL;
    int index = 0;
    snprintf(words, sizeof words, "%s", spec->words);
    for (char *word = strtok_r(words, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        if (strcmp(word, text) == 0) {
            *value = index;
            return STATUS_OK;
        }
        index++;
    }
    char allowed[160];
    snprintf(allowed, sizeof allowed, "one of: %s", spec->words);
    return bad_value(spec, text, allowed, error);
}

static Status read_times(const ParameterSpec *spec, const char *text, double unit,
                         ReliabilityCase *result, Error *error)
{
    const char *at = text;
    for (;; at++) {
        double value;
        if (result->list_count == RELIABILITY_MAX_LIST || !number_until(&at, "/", &value))
            return bad_value(spec, text, "a list as 0.2/0.4", error);
        Status status = in_bounds(spec, text, value * unit, error);
        if (status != STATUS_OK)
            return status;
        result->list[result->list_count++] = value * unit;
        if (*at == '\0')
            return STATUS_OK;
    }
}

/* Half a unit of the last digit that was printed, of at least four: "0.3234" is 0.32335 .. 0.32345,
 * and 0.463 stands for 0.4630. */
static double rounding(const char *text, double value)
{
    enum { LEAST_DIGITS = 4 };
    int digits = 0;
    for (const char *c = text + strspn(text, " 0."); *c == '.' || (*c >= '0' && *c <= '9'); c++)
        digits += *c != '.';
    if (digits < LEAST_DIGITS)
        digits = LEAST_DIGITS;
    return value > 0.0 ? 0.5 * pow(10.0, floor(log10(value)) + 1.0 - digits) : 0.0;
}

/* RATE "/" UNIT " x " WHOLE, joined by "+". */
static Status read_batches(const ParameterSpec *spec, const char *text, ReliabilityCase *result,
                           Error *error)
{
    static const char *const ALLOWED = "a sum as 0.32/h x 1 + 0.001/h x 32";
    const char *at = text;
    for (;; at++) {
        double rate, size;
        char unit[8];
        int length = 0;
        const char *number = at;
        if (result->list_count == RELIABILITY_MAX_LIST || !number_until(&at, "/", &rate) ||
            sscanf(at, "/%7[a-z] x%n", unit, &length) != 1 || length == 0 ||
            unit_named(unit) == NULL)
            return bad_value(spec, text, ALLOWED, error);
        at += length;
        if (!number_until(&at, " +", &size) || !(size >= 1.0 && size <= 1e6 && size == floor(size)))
            return bad_value(spec, text, ALLOWED, error);
        result->list_slack[result->list_count] = rounding(number, rate) / unit_named(unit)->seconds;
        rate /= unit_named(unit)->seconds;
        Status status = in_bounds(spec, text, rate, error);
        if (status != STATUS_OK)
            return status;
        result->list[result->list_count] = rate;
        result->list_sizes[result->list_count++] = size;
        at += strspn(at, " ");
        if (*at == '\0')
            return STATUS_OK;
        if (*at != '+')
            return bad_value(spec, text, ALLOWED, error);
    }
}

static Status read_value(const ParameterSpec *spec, const char *text, double unit, double *value,
                         ReliabilityCase *result, Error *error)
{
    if (spec->kind == QUANTITY_WORD)
        return read_word(spec, text, value, error);
    if (spec->kind == QUANTITY_TIMES || spec->kind == QUANTITY_BATCHES) {
        *value = 0.0;
        return spec->kind == QUANTITY_TIMES ? read_times(spec, text, unit, result, error)
                                            : read_batches(spec, text, result, error);
    }
    return read_number(spec, text, unit, value, error);
}

/* ---- assignments -------------------------------------------------------------------------------
 */

static Status unknown_parameter(const ReliabilityModel *model, const char *name, Error *error)
{
    char bare[RELIABILITY_NAME_BYTES];
    without_unit(name, bare, sizeof bare);
    Suggestion nearest = {.word = bare};
    for (const ParameterSpec *spec = model->parameters; spec->name != NULL; spec++) {
        if (strcmp(spec->name, bare) == 0 && takes_unit(spec->kind))
            return error_set(error, STATUS_INVALID, "parameter '%.40s' needs a unit: %s%s", name,
                             spec->name, spec->kind == QUANTITY_RATE ? "_h" : "_min");
        suggest_offer(&nearest, spec->name);
    }
    error_set(error, STATUS_INVALID, "%s has no parameter '%.40s'", model->name, name);
    hint_nearest(&nearest, NULL, error);
    return STATUS_INVALID;
}

static Status read_assignment(const ReliabilityModel *model, char *assignment,
                              ReliabilityCase *result, int *given, Error *error)
{
    char *value = strchr(assignment, '=');
    if (value == NULL)
        return error_set(error, STATUS_INVALID, "'%.40s' is not name=value", assignment);
    *value++ = '\0';
    for (size_t i = 0; model->parameters[i].name != NULL; i++) {
        const ParameterSpec *spec = &model->parameters[i];
        double unit;
        if (!is_named(assignment, spec->name, spec->kind, &unit))
            continue;
        if (given[i])
            return error_set(error, STATUS_INVALID, "%s is given twice", spec->name);
        given[i] = 1;
        return read_value(spec, value, unit, &result->values[i], result, error);
    }
    return unknown_parameter(model, assignment, error);
}

Status reliability_case_read(const ReliabilityModel *model, const char *parameters,
                             ReliabilityCase *result, Error *error)
{
    char text[PARAMETERS_BYTES], *rest = NULL;
    int given[RELIABILITY_MAX_PARAMETERS] = {0};
    *result = (ReliabilityCase){.model = model};
    if (strlen(parameters) >= sizeof text)
        return error_set(error, STATUS_INVALID, "parameters are longer than %d bytes",
                         PARAMETERS_BYTES);
    memcpy(text, parameters, strlen(parameters) + 1);
    for (char *one = strtok_r(text, ";", &rest); one != NULL; one = strtok_r(NULL, ";", &rest)) {
        Status status = read_assignment(model, one + strspn(one, " "), result, given, error);
        if (status != STATUS_OK)
            return status;
    }
    for (size_t i = 0; model->parameters[i].name != NULL; i++) {
        const ParameterSpec *spec = &model->parameters[i];
        if (!given[i] && !spec->optional)
            return error_set(error, STATUS_INVALID, "%s needs a parameter '%s'", model->name,
                             spec->name);
        if (!given[i])
            result->values[i] = spec->otherwise;
    }
    return STATUS_OK;
}

/* A time and a word may share a name: repair_h=24;repair=exponential. */
static double named_value(const ReliabilityCase *input, const char *name, int is_word)
{
    for (size_t i = 0; input->model->parameters[i].name != NULL; i++) {
        const ParameterSpec *spec = &input->model->parameters[i];
        if ((spec->kind == QUANTITY_WORD) == is_word && strcmp(spec->name, name) == 0)
            return input->values[i];
    }
    return nan("");
}

double reliability_value(const ReliabilityCase *input, const char *name)
{
    return named_value(input, name, 0);
}

int reliability_word(const ReliabilityCase *input, const char *name)
{
    return (int)named_value(input, name, 1);
}

void reliability_case_scale(ReliabilityCase *input, double factor)
{
    for (size_t i = 0; input->model->parameters[i].name != NULL; i++) {
        const QuantityKind kind = input->model->parameters[i].kind;
        if (kind == QUANTITY_TIME)
            input->values[i] *= factor;
        if (kind == QUANTITY_RATE)
            input->values[i] /= factor;
        for (size_t j = 0; kind == QUANTITY_TIMES && j < input->list_count; j++)
            input->list[j] *= factor;
        for (size_t j = 0; kind == QUANTITY_BATCHES && j < input->list_count; j++) {
            input->list[j] /= factor;
            input->list_slack[j] /= factor;
        }
    }
}
