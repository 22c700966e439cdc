/* For tests of tables of kernels: a text or a shipped table, read and validated. */
#ifndef TESTS_UNIT_KERNEL_FIXTURE_H
#define TESTS_UNIT_KERNEL_FIXTURE_H

#include "sim/planning/kernel_gemm.h"
#include "sim/planning/kernel_moe.h"
#include "tests/unit/shipped.h"

typedef Status (*KernelReader)(const ConfigPaths *paths, const CsvTable *table,
                               const char *const *sets, size_t set_count, KernelCases *cases,
                               Error *error);

typedef struct KernelFixture {
    ConfigPaths paths;
    CsvTable table;
    KernelCases cases;
    KernelValidation result;
    Error error;
} KernelFixture;

/* `text` NULL: the shipped table `name`. */
static inline Status kernel_fixture(KernelFixture *fixture, KernelReader read, const char *name,
                                    const char *text, KernelPart part)
{
    const ForecastOptions options = {.seed = 1, .threads = 1};
    char path[2 * ERROR_PATH_BYTES];
    *fixture = (KernelFixture){0};
    assert_int_equal(config_paths_find(NULL, &fixture->paths, &fixture->error), STATUS_OK);
    snprintf(path, sizeof path, "%s/measurements/%s", fixture->paths.root, name);
    Status status = text != NULL
                        ? csv_read_text(name, text, strlen(text), &fixture->table, &fixture->error)
                        : csv_read(path, &fixture->table, &fixture->error);
    if (status == STATUS_OK)
        status = read(&fixture->paths, &fixture->table, NULL, 0, &fixture->cases, &fixture->error);
    if (status == STATUS_OK)
        status = kernel_cases_validate(&fixture->cases, part, name, &options, &fixture->result,
                                       &fixture->error);
    return status;
}

static inline void kernel_fixture_free(KernelFixture *fixture)
{
    kernel_validation_free(&fixture->result);
    kernel_cases_free(&fixture->cases);
    csv_free(&fixture->table);
}

typedef struct KernelTarget {
    size_t kind; /* of groups */
    const char *label;
    size_t least_rows;
    double bound; /* mean absolute error of the rows held back */
} KernelTarget;

static inline void kernel_targets_hold(const KernelValidation *result, const KernelTarget *targets,
                                       size_t count)
{
    for (size_t t = 0; t < count; t++) {
        const KernelGroup *group = NULL;
        for (size_t i = 0; i < result->group_count; i++)
            if (result->groups[i].kind == targets[t].kind &&
                strcmp(result->groups[i].label, targets[t].label) == 0)
                group = &result->groups[i];
        if (group == NULL)
            fail_msg("no group '%s'", targets[t].label);
        const ErrorStatistics *held = &group->held_back;
        print_message("  %-32s %4zu rows held back: mean error %4.1f%%, bias %+5.1f%%\n",
                      targets[t].label, held->n, 100 * held->mean_abs, 100 * held->bias);
        assert_true(held->n >= targets[t].least_rows);
        if (!(held->mean_abs <= targets[t].bound))
            fail_msg("%s: mean error %.4f is above %.4f", targets[t].label, held->mean_abs,
                     targets[t].bound);
    }
}

#endif
