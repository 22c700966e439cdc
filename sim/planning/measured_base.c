/* Scenarios that rows of one GPU, software stack and set of facts start from. */
#include "configs/reader/sample.h"
#include "configs/reader/text.h"
#include "sim/planning/measured_laying.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *measured_base_hardware(const MeasuredBase *base)
{
    return base->hardware;
}

const char *measured_base_stack(const MeasuredBase *base)
{
    return base->stack;
}

void measured_bases_free(MeasuredBases *bases)
{
    for (size_t i = 0; i < bases->count; i++)
        free(bases->bases[i]);
    free(bases->bases);
    bases->bases = NULL;
    bases->count = bases->capacity = 0;
}

int measured_base_has_fact(const MeasuredBase *base, const char *key)
{
    size_t length = strlen(key);
    for (size_t i = 0; i < base->fact_count; i++)
        if (strncmp(base->facts[i], key, length) == 0 && base->facts[i][length] == '=')
            return 1;
    return 0;
}

static int same_base(const MeasuredBase *a, const MeasuredBase *b)
{
    if (strcmp(a->hardware, b->hardware) != 0 || strcmp(a->stack, b->stack) != 0 ||
        a->hardware_assumed != b->hardware_assumed || a->unmeasured != b->unmeasured ||
        a->stack_assumed != b->stack_assumed || a->fact_count != b->fact_count)
        return 0;
    for (size_t i = 0; i < a->fact_count; i++)
        if (strcmp(a->facts[i], b->facts[i]) != 0)
            return 0;
    return 1;
}

/* A name that may be written into a configuration as it is. */
static int is_plain_name(const char *name)
{
    return name[0] != '\0' && strlen(name) < NAME_BYTES &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
               strlen(name);
}

/* The job's own numbers stand for themselves until a row is laid over them. */
static Status read_base(const MeasuredBases *bases, MeasuredBase *base, Error *error)
{
    char text[1024 + ERROR_PATH_BYTES];
    const char **sets = malloc((MAX_FACTS + bases->set_count) * sizeof *sets);
    ErrorList *errors = calloc(1, sizeof *errors);
    Scenario *read = malloc(sizeof *read);
    Status status = STATUS_ENVIRONMENT;
    if (sets == NULL || errors == NULL || read == NULL) {
        error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    snprintf(text, sizeof text,
             "schema: 1\nbase: '%s/measurements/training_base.yaml'\n"
             "hardware: {base: %s, gpus: 1}\n"
             "training: {base: %s, tokens: 1T, batch_tokens: 1, sequence_length: 1}\n",
             bases->paths->root, base->hardware, base->stack);
    size_t count = 0;
    for (size_t i = 0; i < base->fact_count; i++)
        sets[count++] = base->facts[i];
    for (size_t i = 0; i < bases->set_count; i++)
        sets[count++] = bases->sets[i];
    status = scenario_read_text(bases->paths, "measured row", text, strlen(text), sets, count, read,
                                NULL, NULL, errors);
    if (status == STATUS_OK) {
        scenario_midpoint(read, &base->scenario);
    } else if (error != NULL) {
        *error = errors->errors[0];
        /* A fact that does not hold for this program is a reason to skip its rows. */
        for (size_t i = 0; status == STATUS_USAGE && i < base->fact_count; i++)
            if (strstr(error->file, base->facts[i]) != NULL)
                status = error->status = STATUS_INVALID;
        error->file[0] = '\0'; /* the text above is no file that a reader could open */
        error->line = error->column = 0;
    }
cleanup:
    free(sets);
    free(errors);
    free(read);
    return status;
}

static Status reserve_base(MeasuredBases *bases, Error *error)
{
    if (bases->count < bases->capacity)
        return STATUS_OK;
    size_t wanted = bases->capacity == 0 ? 32 : 2 * bases->capacity;
    MeasuredBase **grown = realloc(bases->bases, wanted * sizeof(MeasuredBase *));
    if (grown == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    bases->bases = grown;
    bases->capacity = wanted;
    return STATUS_OK;
}

Status measured_base(MeasuredBases *bases, const Measurement *row, const MeasuredBase **base,
                     Error *error)
{
    char brief[TEXT_BRIEF_BYTES];
    *base = NULL;
    MeasuredBase *wanted = calloc(1, sizeof *wanted);
    if (wanted == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    HardwareRule hardware = {"", "", 0, 0};
    const int known = rules_hardware(bases->rules, row, &hardware);
    const char *stack = rules_stack(bases->rules, row, bases->filter, bases->filter_context,
                                    &wanted->stack_assumed);
    Status status = STATUS_OK;
    if (row->gpu[0] == '\0')
        status = error_set(error, STATUS_INVALID, "gpu is not stated");
    else if (!known)
        status = error_set(error, STATUS_INVALID, "gpu '%s' is none of those in gpus.csv",
                           text_brief(brief, row->gpu));
    else if (!is_plain_name(hardware.hw))
        status = error_set(error, STATUS_INVALID, "gpu '%s' is none of those in gpus.csv (%.60s)",
                           text_brief(brief, row->gpu), hardware.why);
    else if (stack == NULL || !is_plain_name(stack))
        status =
            error_set(error, STATUS_INVALID, "no software stack for this source in stacks.csv");
    if (status != STATUS_OK) {
        free(wanted);
        return status;
    }
    wanted->rules = bases->rules;
    wanted->hardware_assumed = hardware.assumed;
    wanted->unmeasured = hardware.unmeasured;
    snprintf(wanted->hardware, sizeof wanted->hardware, "%s", hardware.hw);
    snprintf(wanted->stack, sizeof wanted->stack, "%s", stack);
    wanted->fact_count = rules_facts(bases->rules, row, wanted->facts);
    for (size_t i = 0; i < bases->count; i++)
        if (same_base(bases->bases[i], wanted)) {
            free(wanted);
            *base = bases->bases[i];
            if ((*base)->status != STATUS_OK && error != NULL)
                *error = (*base)->error;
            return (*base)->status;
        }
    status = reserve_base(bases, error);
    if (status != STATUS_OK) {
        free(wanted);
        return status;
    }
    bases->bases[bases->count++] = wanted;
    wanted->status = read_base(bases, wanted, &wanted->error);
    if (wanted->status != STATUS_OK && error != NULL)
        *error = wanted->error;
    *base = wanted;
    return wanted->status;
}
