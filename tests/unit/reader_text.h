/* A scenario in text with named parts, shared by the tests of the reader. */
#ifndef TESTS_UNIT_READER_TEXT_H
#define TESTS_UNIT_READER_TEXT_H

#include "configs/reader/reader.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Runs in the folder that holds configs/, as `make test` does. */
static const ConfigPaths READER_PATHS = {.root = "configs"};

#define READER_HEAD                                                                                \
    "schema: 1\nkind: training\nmodel: gpt4-leak\nhardware: {base: a100-80g-hdr, gpus: 64}\n"
#define READER_TRAINING                                                                            \
    "training:\n  tokens: 1T\n  batch_tokens: 4M\n  sequence_length: 2048\n  attention: flash2\n"  \
    "  reserved: 4GB\n  parallel: {tensor: 8, pipeline: 8}\n"
#define READER_RELIABILITY                                                                         \
    "reliability:\n  classes: [{name: node, unit: node, rate: 6.5e-3/d, detection: 30s}]\n"        \
    "  replacement: 5min\n  init: 2min\n  state_bytes_per_param: 14\n"                             \
    "  read_bandwidth: 100GB/s\n  write_bandwidth: 100GB/s\n  interval: 30min\n"
#define READER_PRICES   "prices: {gpu_hour: $1/h, energy: $0.08/kWh, pue: 1.2, co2: 0.4kg/kWh}\n"
#define READER_SCENARIO READER_HEAD READER_TRAINING READER_RELIABILITY READER_PRICES

typedef struct Reading {
    Status status;
    Scenario scenario;
    ErrorList errors;
    ResolvedList resolved; /* free it with resolved_list_free */
    char sha256[SHA256_HEX_BYTES];
} Reading;

static inline void read_scenario(Reading *reading, const char *text, const char *const *sets,
                                 size_t set_count)
{
    memset(reading, 0, sizeof *reading);
    reading->status = scenario_read_text(&READER_PATHS, "test.yaml", text, strlen(text), sets,
                                         set_count, &reading->scenario, &reading->resolved,
                                         reading->sha256, &reading->errors);
}

/* The first problem as "file:line:column: message (hint)", or "none". */
static inline const char *first_problem(const Reading *reading)
{
    static char text[2048];
    const Error *error = &reading->errors.errors[0];
    if (reading->errors.count == 0)
        return "none";
    snprintf(text, sizeof text, "%s:%d:%d: %s (%s)", error->file, error->line, error->column,
             error->message, error->hint);
    return text;
}

static inline const ResolvedValue *find_value(const Reading *reading, const char *path)
{
    for (size_t i = 0; i < reading->resolved.count; i++)
        if (strcmp(reading->resolved.values[i].path, path) == 0)
            return &reading->resolved.values[i];
    fail_msg("no resolved value '%s'", path);
    return NULL;
}

static inline void near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-12 * fabs(expected)))
        fail_msg("%.17g is not %.17g", value, expected);
}

#endif
