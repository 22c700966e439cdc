/* For tests: the shipped models, hardware and measurements, ranges at their midpoints. */
#ifndef TESTS_UNIT_SHIPPED_H
#define TESTS_UNIT_SHIPPED_H

#include "configs/reader/reader.h"
#include "configs/reader/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Doubles that differ by more than `tolerance` fail with both values. */
#define assert_near(got, expected, tolerance)                                                      \
    assert_near_at((got), (expected), (tolerance), #got, __FILE__, __LINE__)

static inline void assert_near_at(double got, double expected, double tolerance, const char *text,
                                  const char *file, int line)
{
    const double difference = got > expected ? got - expected : expected - got;
    if (difference <= tolerance)
        return;
    print_error("%s = %.10g, expected %.10g\n", text, got, expected);
    _fail(file, line);
}

static inline Scenario shipped_part(const char *kind, const char *name)
{
    ConfigPaths paths;
    Error error = {0};
    ErrorList *errors = calloc(1, sizeof *errors);
    Scenario *read = calloc(1, sizeof *read);
    Scenario middle;
    assert_non_null(errors);
    assert_non_null(read);
    if (config_paths_find(NULL, &paths, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    if (part_read(&paths, kind, name, NULL, 0, read, NULL, NULL, errors) != STATUS_OK)
        fail_msg("%s: %s:%d: %s", name, errors->errors[0].file, errors->errors[0].line,
                 errors->errors[0].message);
    scenario_midpoint(read, &middle);
    free(read);
    free(errors);
    return middle;
}

static inline ModelSpec shipped_model(const char *name)
{
    return shipped_part("models", name).model;
}

static inline HardwareSpec shipped_hardware(const char *name)
{
    return shipped_part("hw", name).hardware;
}

static inline GpuSpec shipped_gpu(const char *name)
{
    return shipped_part("hw", name).hardware.gpu;
}

/* A shipped table, opened behind its header line. */
static inline FILE *shipped_measurements(const char *name)
{
    ConfigPaths paths;
    Error error = {0};
    char path[2 * ERROR_PATH_BYTES];
    char header[512];
    if (config_paths_find(NULL, &paths, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    snprintf(path, sizeof path, "%s/measurements/%s", paths.root, name);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail_msg("cannot open %s", path);
    assert_non_null(fgets(header, sizeof header, file));
    return file;
}

/* Relative errors of one group of rows. */
typedef struct ErrorSummary {
    const char *name;
    size_t rows;
    double absolute, signed_sum, largest;
} ErrorSummary;

static inline void summary_add(ErrorSummary *summary, double predicted, double measured)
{
    const double relative = predicted / measured - 1;
    const double absolute = relative < 0 ? -relative : relative;
    summary->rows++;
    summary->absolute += absolute;
    summary->signed_sum += relative;
    if (absolute > summary->largest)
        summary->largest = absolute;
}

/* Prints the group and holds its mean error against the bound. */
static inline void summary_check(const ErrorSummary *summary, size_t rows, double bound)
{
    assert_int_equal(summary->rows, rows);
    const double mean = summary->absolute / (double)summary->rows;
    print_message("  %-44s %4zu rows: mean error %4.1f%%, bias %+5.1f%%, largest %3.0f%%\n",
                  summary->name, summary->rows, 100 * mean,
                  100 * summary->signed_sum / (double)summary->rows, 100 * summary->largest);
    if (!(mean <= bound))
        fail_msg("%s: mean error %.4f is above %.4f", summary->name, mean, bound);
}

#endif
