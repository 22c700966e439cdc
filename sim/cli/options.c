#include "sim/cli/options.h"

#include "configs/reader/suggest.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(name) offsetof(CommandLine, name)

// clang-format off
const OptionSpec OPTION_SPECS[] = {
    {"set", 0, OPTION_SET, "KEY=VALUE", 0, 0, NULL, OPTIONS_INPUT,
     "override one input (repeatable): training.parallel.pipeline=12, prices.gpu_hour=$2/h"},
    {"seed", 0, OPTION_SEED, "N", FIELD(seed), UINT64_MAX, NULL, OPTIONS_SIMULATE | OPTIONS_VALIDATE | OPTIONS_CALIBRATE, "seed of all random streams (default 1)"},
    {"reps", 'n', OPTION_COUNT, "N", FIELD(reps), 1000000, NULL, OPTIONS_SIMULATE | OPTIONS_VALIDATE,
     "Monte Carlo replications (default 1000; of a row of reliability results 100)"},
    {"precision", 0, OPTION_PRECISION, "TARGET", FIELD(precision), 0, NULL, OPTIONS_PRECISION,
     "go on beyond --reps until a result is known well enough: p95(cost.usd)=1%, mean(run.days)=0.5%"},
    {"jobs", 'j', OPTION_COUNT, "N", FIELD(jobs), 1024, NULL, OPTIONS_SIMULATE | OPTIONS_VALIDATE | OPTIONS_CALIBRATE,
     "threads (default: all processors; results do not depend on it; calibrate measures a CPU with 1)"},
    {"detail", 0, OPTION_CHOICE, "LEVEL", FIELD(detail), 0, "folded replicas gpus", OPTIONS_SIMULATE,
     "step simulated as one replica, all replicas (default) or every GPU"},
    {"quick", 0, OPTION_FLAG, NULL, FIELD(quick), 0, NULL, OPTIONS_SIMULATE | OPTIONS_CALIBRATE,
     "100 replications instead of 1000; calibrate: fewer and smaller measurements"},
    {"out", 'o', OPTION_TEXT, "DIR", FIELD(out_directory), 0, NULL, OPTIONS_OUTPUT | OPTIONS_VALIDATE | OPTIONS_CALIBRATE, "write report, JSON, CSV, workbook and plots to DIR"},
    {"report", 0, OPTION_FLAG, NULL, FIELD(report), 0, NULL, OPTIONS_OUTPUT, "the same, to out/NAME"},
    {"db", 0, OPTION_TEXT, "FILE", FIELD(database), 0, NULL, OPTIONS_OUTPUT | OPTIONS_CALIBRATE, "store the run in an SQLite file"},
    {"backend", 0, OPTION_CHOICE, "NAME", FIELD(backend), 0, "auto cpu cuda", OPTIONS_CALIBRATE,
     "what to measure: a GPU (cuda), this machine's CPU (cpu), or the first of them that is there (auto, default)"},
    {"import", 0, OPTION_TEXT, "FILE", FIELD(import_file), 0, NULL, OPTIONS_CALIBRATE, "fit points measured elsewhere (JSON lines or CSV) instead of measuring"},
    {"split", 0, OPTION_TEXT, "NAME", FIELD(split), 0, NULL, OPTIONS_VALIDATE, "only rows whose column 'split' says NAME (or NAME,NAME); tables of kernels: fitted or held-back"},
    {"fit", 0, OPTION_FIT, "NAME", 0, 0, NULL, OPTIONS_VALIDATE,
     "fit a software stack (unknown: those of sources that no table knows), a GPU's kernels, or a node's or fabric's collectives (or all), to the rows not held back (repeatable); with --out: its file"},
    {"folds", 0, OPTION_COUNT, "N", FIELD(folds), 100, NULL, OPTIONS_VALIDATE,
     "with --fit of stacks: also hold out an Nth of the models in turn, and print the errors on what was held out"},
    {"leave-out", 0, OPTION_CHOICE, "WHAT", FIELD(leave_out), 0, "nothing source", OPTIONS_VALIDATE,
     "training steps: predict the rows of each source (what ids begin with) as those of one that nobody knows, with stacks fitted without it"},
    {"fail-above", 0, OPTION_FRACTION, "ERROR", FIELD(fail_above), 0, NULL, OPTIONS_VALIDATE,
     "exit 1 when the median absolute error is larger (expert loads: the share of rows that disagree), e.g. 0.05"},
    {"plot", 0, OPTION_FLAG, NULL, FIELD(plot), 0, NULL, OPTIONS_VALIDATE, "with --out: predicted against measured as a figure"},
    {"load", 0, OPTION_TEXT, "RATE", FIELD(load), 0, NULL, OPTIONS_LOAD, "requests per second that arrive, of all replicas together: 25, 1.5k"},
    {"trace", 0, OPTION_TEXT, "FILE", FIELD(trace), 0, NULL, OPTIONS_LOAD, "replay the requests of a CSV file (columns arrival_s, input_tokens, output_tokens) in place of drawn ones; with --load: stretched to that mean rate"},
    {"skip-bad", 0, OPTION_FLAG, NULL, FIELD(skip_bad), 0, NULL, OPTIONS_LOAD, "with --trace: pass over bad rows and count them, where they are an error otherwise"},
    {"slo", 0, OPTION_TEXT, "LIMITS", FIELD(slo), 0, NULL, OPTIONS_LOAD, "latencies to hold: ttft<2s,tpot.p90<33ms,e2e.mean<1min (time to first token, per further token, of the whole answer; p50, p90, p95, p99 or mean; p99 unless said); exit 1 when one is missed"},
    {"find", 0, OPTION_CHOICE, "WHAT", FIELD(find), FIND_RATE, "rate gpus price ratio", OPTIONS_LOAD,
     "search among what holds --slo: rate, the largest load of this cluster; gpus, the fewest GPUs that serve --load; price, the lowest cost of a token over layouts, batches and loads, and that cost against reading speed; ratio, the best split of a disaggregated cluster into prefill and decode replicas"},
    {"margin", 0, OPTION_FRACTION, "SHARE", FIELD(margin), 0, NULL, OPTIONS_LOAD, "with --find price: also the price per token that leaves this gross margin, e.g. 0.6 or 60%"},
    {"fleet", 0, OPTION_FLAG, NULL, FIELD(fleet), 0, NULL, OPTIONS_LOAD, "simulate the scenario's fleet over its day: datacentres, regions, routing, autoscaling, outages; with --load: at that mean rate"},
    {"canonical", 0, OPTION_FLAG, NULL, FIELD(canonical), 0, NULL, OPTIONS_CANONICAL, "print the canonical form that the hash is taken of"},
    {"json", 0, OPTION_FLAG, NULL, FIELD(json), 0, NULL, OPTIONS_COMMON, "one JSON document on standard output, nothing else"},
    {"quiet", 'q', OPTION_FLAG, NULL, FIELD(quiet), 0, NULL, OPTIONS_COMMON, "no progress, no notes"},
    {"help", 'h', OPTION_FLAG, NULL, FIELD(help), 0, NULL, OPTIONS_COMMON, "this help"},
};
// clang-format on
const size_t OPTION_SPEC_COUNT = sizeof OPTION_SPECS / sizeof OPTION_SPECS[0];

const Verb *verb_find(const char *name)
{
    for (size_t i = 0; i < VERB_COUNT; i++)
        if (strcmp(VERBS[i].name, name) == 0)
            return &VERBS[i];
    return NULL;
}

static Status unknown_verb(const char *name, Error *error)
{
    Suggestion nearest = {.word = name};
    for (size_t i = 0; i < VERB_COUNT; i++)
        suggest_offer(&nearest, VERBS[i].name);
    error_set(error, STATUS_USAGE, "unknown command '%.60s'", name);
    if (nearest.best != NULL)
        error_hint(error, "did you mean '%s'?", nearest.best);
    else
        error_hint(error, "'flopcast help' lists the commands");
    return STATUS_USAGE;
}

static const OptionSpec *find_option(const Verb *verb, const char *name, size_t length)
{
    for (size_t i = 0; i < OPTION_SPEC_COUNT; i++) {
        const OptionSpec *spec = &OPTION_SPECS[i];
        if ((spec->group & verb->options) != 0 && strlen(spec->name) == length &&
            strncmp(spec->name, name, length) == 0)
            return spec;
    }
    return NULL;
}

static const OptionSpec *find_letter(const Verb *verb, char letter)
{
    for (size_t i = 0; i < OPTION_SPEC_COUNT; i++)
        if ((OPTION_SPECS[i].group & verb->options) != 0 && OPTION_SPECS[i].letter == letter)
            return &OPTION_SPECS[i];
    return NULL;
}

static Status unknown_option(const Verb *verb, const char *text, size_t length, Error *error)
{
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)(length < 60 ? length : 60), text);
    Suggestion nearest = {.word = word};
    for (size_t i = 0; i < OPTION_SPEC_COUNT; i++)
        if ((OPTION_SPECS[i].group & verb->options) != 0)
            suggest_offer(&nearest, OPTION_SPECS[i].name);
    error_set(error, STATUS_USAGE, "'%s' has no option '--%s'", verb->name, word);
    if (nearest.best != NULL)
        error_hint(error, "did you mean '--%s'?", nearest.best);
    else
        error_hint(error, "'flopcast help %s' lists its options", verb->name);
    return STATUS_USAGE;
}

/* A whole number: digits only, no sign, no blanks, no trailing text. */
static Status parse_whole(const OptionSpec *spec, const char *text, unsigned long long *value,
                          Error *error)
{
    char *end;
    errno = 0;
    unsigned long long minimum = spec->kind == OPTION_COUNT ? 1 : 0;
    *value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno == ERANGE ||
        *value > spec->maximum || *value < minimum) {
        error_set(error, STATUS_USAGE, "--%s: '%.60s' is not a whole number that is allowed here",
                  spec->name, text);
        error_hint(error, "%llu to %llu", minimum, spec->maximum);
        return STATUS_USAGE;
    }
    return STATUS_OK;
}

/* A plain number of at least 0, or a percentage. */
static Status parse_fraction(const OptionSpec *spec, const char *text, double *value, Error *error)
{
    char *end = NULL;
    int plain = text[0] != '\0' && strspn(text, "0123456789.eE+-%") == strlen(text);
    double number = plain ? strtod(text, &end) : 0;
    int is_percent = plain && strcmp(end, "%") == 0;
    if (!plain || end == text || (*end != '\0' && !is_percent) || !(number >= 0 && number < 1e6)) {
        error_set(error, STATUS_USAGE, "--%s: '%.60s' is not a share", spec->name, text);
        error_hint(error, "for example 0.05, or 5%%");
        return STATUS_USAGE;
    }
    *value = is_percent ? number / 100 : number;
    return STATUS_OK;
}

/* "p95(cost.usd)=1%": half the 95% interval over the value. */
static Status parse_precision(const OptionSpec *spec, const char *text, PrecisionTarget *target,
                              Error *error)
{
    static const char *const words[] = {[STATISTIC_MEAN] = "mean",
                                        [STATISTIC_P5] = "p5",
                                        [STATISTIC_P50] = "p50",
                                        [STATISTIC_P95] = "p95"};
    const char *open = strchr(text, '('), *close = strstr(text, ")=");
    size_t bytes = open != NULL && close > open ? (size_t)(close - open) - 1 : 0;
    int known = STATISTIC_COUNT;
    for (int i = 0; bytes > 0 && i < STATISTIC_COUNT; i++)
        if (strlen(words[i]) == (size_t)(open - text) &&
            strncmp(words[i], text, strlen(words[i])) == 0)
            known = i;
    if (known == STATISTIC_COUNT || bytes >= sizeof target->metric) {
        error_set(error, STATUS_USAGE, "--%s: '%.60s' is not a target", spec->name, text);
        error_hint(error, "for example p95(cost.usd)=1%%; mean, p5, p50 or p95 of a result");
        return STATUS_USAGE;
    }
    Status status = parse_fraction(spec, close + 2, &target->relative, error);
    if (status != STATUS_OK)
        return status;
    const double finest = 1e-5;
    if (target->relative < finest) {
        error_set(error, STATUS_USAGE, "--%s: '%.60s' is finer than any simulation", spec->name,
                  text);
        error_hint(error, "at least 0.001%%");
        return STATUS_USAGE;
    }
    target->statistic = (Statistic)known;
    memcpy(target->metric, open + 1, bytes);
    target->metric[bytes] = '\0';
    return STATUS_OK;
}

static Status parse_choice(const OptionSpec *spec, const char *text, int *value, Error *error)
{
    int index = 0;
    for (const char *at = spec->choices; *at != '\0'; index++) {
        size_t length = strcspn(at, " ");
        if (strlen(text) == length && strncmp(at, text, length) == 0) {
            *value = (int)spec->maximum + index;
            return STATUS_OK;
        }
        at += length;
        at += *at == ' ';
    }
    error_set(error, STATUS_USAGE, "--%s: '%.60s' is not a choice", spec->name, text);
    error_hint(error, "one of: %s", spec->choices);
    return STATUS_USAGE;
}

static Status apply_option(const OptionSpec *spec, const char *value, CommandLine *line,
                           Error *error)
{
    void *field = (char *)line + spec->offset;
    unsigned long long whole = 0;
    Status status = STATUS_OK;
    switch (spec->kind) {
    case OPTION_FLAG:
        *(int *)field = 1;
        break;
    case OPTION_TEXT:
        if (value[0] == '\0')
            return error_set(error, STATUS_USAGE, "--%s needs a %s that is not empty", spec->name,
                             spec->argument);
        *(const char **)field = value;
        break;
    case OPTION_COUNT:
        status = parse_whole(spec, value, &whole, error);
        *(size_t *)field = (size_t)whole;
        break;
    case OPTION_SEED:
        status = parse_whole(spec, value, &whole, error);
        *(unsigned long long *)field = whole;
        break;
    case OPTION_PRECISION:
        status = parse_precision(spec, value, (PrecisionTarget *)field, error);
        break;
    case OPTION_FRACTION:
        status = parse_fraction(spec, value, (double *)field, error);
        break;
    case OPTION_SET:
        if (strchr(value, '=') == NULL || value[0] == '=') {
            error_set(error, STATUS_USAGE, "--set: '%.80s' is not KEY=VALUE", value);
            error_hint(error, "for example --set reliability.interval=20min");
            return STATUS_USAGE;
        }
        if (line->set_count == MAX_SETS)
            return error_set(error, STATUS_USAGE, "--set can be given %d times at most", MAX_SETS);
        line->sets[line->set_count++] = value;
        break;
    case OPTION_FIT:
        if (line->fit_count == MAX_FITS)
            return error_set(error, STATUS_USAGE, "--fit can be given %d times at most", MAX_FITS);
        line->fits[line->fit_count++] = value;
        break;
    case OPTION_CHOICE: {
        int choice = 0;
        status = parse_choice(spec, value, &choice, error);
        if (status == STATUS_OK)
            memcpy(field, &choice, sizeof choice);
        break;
    }
    }
    return status;
}

Status command_line_parse(int argc, char *const *argv, CommandLine *line, Error *error)
{
    memset(line, 0, sizeof *line);
    line->seed = 1;
    line->detail = DETAIL_REPLICAS;
    line->fail_above = -1;
    line->margin = -1;
    if (argc < 2)
        return error_set(error, STATUS_USAGE, "no command given");
    line->verb = verb_find(argv[1]);
    if (line->verb == NULL)
        return unknown_verb(argv[1], error);

    int only_operands = 0;
    for (int i = 2; i < argc; i++) {
        const char *word = argv[i];
        const OptionSpec *spec;
        const char *value = NULL;
        if (only_operands || word[0] != '-' || word[1] == '\0') {
            if (line->operand_count == MAX_OPERANDS)
                return error_set(error, STATUS_USAGE, "too many operands (at most %d)",
                                 MAX_OPERANDS);
            line->operands[line->operand_count++] = word;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            only_operands = 1;
            continue;
        }
        if (word[1] == '-') {
            size_t length = strcspn(word + 2, "=");
            spec = find_option(line->verb, word + 2, length);
            if (spec == NULL)
                return unknown_option(line->verb, word + 2, length, error);
            if (word[2 + length] == '=')
                value = word + 2 + length + 1;
        } else {
            spec = find_letter(line->verb, word[1]);
            if (spec == NULL)
                return unknown_option(line->verb, word + 1, strlen(word + 1), error);
            if (word[2] != '\0')
                value = word + 2;
        }
        if (spec->kind == OPTION_FLAG && value != NULL)
            return error_set(error, STATUS_USAGE, "--%s takes no value", spec->name);
        if (spec->kind != OPTION_FLAG && value == NULL) {
            if (i + 1 >= argc)
                return error_set(error, STATUS_USAGE, "--%s needs a value (%s)", spec->name,
                                 spec->argument);
            value = argv[++i];
        }
        Status status = apply_option(spec, value, line, error);
        if (status != STATUS_OK)
            return status;
    }
    if (line->help)
        return STATUS_OK;
    if (line->operand_count < line->verb->minimum_operands) {
        error_set(error, STATUS_USAGE, "'%s' needs %s", line->verb->name, line->verb->operands);
        error_hint(error, "for example: %s", line->verb->example);
        return STATUS_USAGE;
    }
    if (line->operand_count > line->verb->maximum_operands) {
        error_set(error, STATUS_USAGE, "'%s' takes %zu operand%s at most; '%.60s' is one too many",
                  line->verb->name, line->verb->maximum_operands,
                  line->verb->maximum_operands == 1 ? "" : "s",
                  line->operands[line->verb->maximum_operands]);
        error_hint(error, "for example: %s", line->verb->example);
        return STATUS_USAGE;
    }
    return STATUS_OK;
}
