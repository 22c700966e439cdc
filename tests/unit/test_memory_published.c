/* Which published configurations fit in memory: those that ran do, those that ran out do not, and
 * what was read off the GPUs is near what is predicted. */
#include "models/memory.h"
#include "sim/planning/measured_scenario.h"
#include "tests/unit/shipped.h"

static const double gigabyte = 1e9, gibibyte = 1073741824.0;

typedef struct Fixture {
    ConfigPaths paths;
    MeasurementFile file;
    MeasuredRules rules;
    MeasuredBases bases;
    Error error;
} Fixture;

static void open_table(Fixture *fixture, const char *name)
{
    char path[2 * ERROR_PATH_BYTES];
    *fixture = (Fixture){0};
    if (config_paths_find(NULL, &fixture->paths, &fixture->error) != STATUS_OK)
        fail_msg("%s", fixture->error.message);
    snprintf(path, sizeof path, "%s/measurements/%s", fixture->paths.root, name);
    if (measurements_read(path, &fixture->file, &fixture->error) != STATUS_OK ||
        measured_rules_read(&fixture->paths, &fixture->rules, &fixture->error) != STATUS_OK)
        fail_msg("%s: %s", name, fixture->error.message);
    fixture->bases = (MeasuredBases){.paths = &fixture->paths, .rules = &fixture->rules};
}

static void close_table(Fixture *fixture)
{
    measured_bases_free(&fixture->bases);
    measured_rules_free(&fixture->rules);
    measurements_free(&fixture->file);
}

/* 0: the row lacks what a scenario needs. */
static int plan_of_row(Fixture *fixture, const Measurement *row, MemoryPlan *plan)
{
    const MeasuredBase *base = NULL;
    Scenario scenario;
    DefaultsTaken defaults = {0};
    if (measured_base(&fixture->bases, row, &base, &fixture->error) != STATUS_OK ||
        measured_scenario(base, row, &scenario, &defaults, &fixture->error) != STATUS_OK)
        return 0;
    memory_plan(&scenario, plan);
    return 1;
}

static void what_ran_fits(void **state)
{
    (void)state;
    Fixture fixture;
    MemoryPlan plan;
    size_t simulated = 0, wrong = 0;
    open_table(&fixture, "training_validation.csv");
    for (size_t i = 0; i < fixture.file.count; i++) {
        const Measurement *row = &fixture.file.rows[i];
        if (!plan_of_row(&fixture, row, &plan))
            continue;
        simulated++;
        if (plan.fits)
            continue;
        wrong++;
        print_error("  %s ran and is judged to need %.1f of %.1f GB\n", row->id,
                    plan.worst.total_bytes / gigabyte, plan.capacity_bytes / gigabyte);
    }
    print_message("  %zu rows that ran, %zu judged not to fit\n", simulated, wrong);
    assert_true(simulated >= 400);
    assert_int_equal(wrong, 0);
    close_table(&fixture);
}

/* Ran out of memory although it seems to fit: 206B parameters, where 203B in the same layout and
 * table were read at 67 GiB of 80. */
static const char *const unexplained[] = {"memory-bf16-oom-6"};

static int is_unexplained(const char *id)
{
    for (size_t i = 0; i < sizeof unexplained / sizeof unexplained[0]; i++)
        if (strcmp(id, unexplained[i]) == 0)
            return 1;
    return 0;
}

static void what_ran_out_does_not_fit(void **state)
{
    (void)state;
    Fixture fixture;
    MemoryPlan plan;
    open_table(&fixture, "out_of_memory.csv");
    assert_int_equal(fixture.file.skipped_count, 0);
    for (size_t i = 0; i < fixture.file.count; i++) {
        const Measurement *row = &fixture.file.rows[i];
        if (!plan_of_row(&fixture, row, &plan))
            fail_msg("%s: %s", row->id, fixture.error.message);
        print_message("  %-26s %6.1f of %.1f GB\n", row->id, plan.worst.total_bytes / gigabyte,
                      plan.capacity_bytes / gigabyte);
        if (plan.fits != is_unexplained(row->id))
            fail_msg("%s is judged %s", row->id, plan.fits ? "to fit" : "not to fit");
    }
    close_table(&fixture);
}

/* nvidia-smi of BLOOM's trials: what PyTorch keeps for itself counts there as used. */
static void readings_are_near(void **state)
{
    (void)state;
    Fixture fixture;
    MemoryPlan plan;
    ErrorSummary summary = {.name = "GPU memory of BLOOM's trials"};
    open_table(&fixture, "memory.csv");
    assert_int_equal(fixture.file.skipped_count, 0);
    for (size_t i = 0; i < fixture.file.count; i++) {
        const Measurement *row = &fixture.file.rows[i];
        if (!plan_of_row(&fixture, row, &plan))
            fail_msg("%s: %s", row->id, fixture.error.message);
        print_message("  %-18s TP%g PP%g DP%g mb%g: %5.1f GB, read %5.1f\n", row->id, row->tensor,
                      row->pipeline, row->data, row->micro_batch, plan.worst.total_bytes / gigabyte,
                      row->value * gibibyte / gigabyte);
        assert_true(plan.fits);
        summary_add(&summary, plan.worst.total_bytes, row->value * gibibyte);
    }
    summary_check(&summary, 35, 0.08);
    close_table(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_ran_fits),
        cmocka_unit_test(what_ran_out_does_not_fit),
        cmocka_unit_test(readings_are_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
