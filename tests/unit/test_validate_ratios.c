/* Pairs and choices among rows made by hand, whose ratios and regrets are known. */
#include "sim/planning/validate_ratios.h"
#include "tests/unit/shipped.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_ROWS = 8 };

typedef struct Table {
    Measurement measurements[MOST_ROWS];
    ValidatedRow rows[MOST_ROWS];
    ValidationResult result;
} Table;

/* One job: 64 GPUs, a batch of 128 sequences, TP 8. */
static ValidatedRow *add_row(Table *table, double measured, double predicted)
{
    const size_t index = table->result.row_count++;
    ValidatedRow *row = &table->rows[index];
    assert_true(index < MOST_ROWS);
    table->measurements[index] =
        (Measurement){.id = "row", .source = "a paper", .locator = "table 1", .year = 2024};
    *row = (ValidatedRow){.row = &table->measurements[index],
                          .hardware = "h100-ndr",
                          .stack = "stack-nemo-2024",
                          .measured = measured,
                          .predicted = predicted};
    row->setup[SETUP_GPUS] = 64;
    row->setup[SETUP_DATA] = 8;
    row->setup[SETUP_SHARDS] = 8;
    row->setup[SETUP_BATCH] = 128;
    row->setup[SETUP_TENSOR] = 8;
    row->setup[SETUP_PIPELINE] = 1;
    row->setup[SETUP_MICRO] = 1;
    return row;
}

static void scale(ValidatedRow *row, double replicas)
{
    row->setup[SETUP_GPUS] = 8 * replicas;
    row->setup[SETUP_DATA] = row->setup[SETUP_SHARDS] = replicas;
    row->setup[SETUP_BATCH] = 16 * replicas;
}

static void compare(Table *table)
{
    Error error;
    table->result.rows = table->rows;
    assert_int_equal(validation_compare(&table->result, &error), STATUS_OK);
}

static void release(Table *table)
{
    free(table->result.ratios);
    free(table->result.choices);
}

/* Measured 100, 90, 80; predicted 110, 99, 80: the median is the reference, so the ratios are
 * 100/90 against 110/99, which is exact, and 80/90 against 80/99, which is 9.09% low. */
static void test_scaling_against_the_median(void **state)
{
    (void)state;
    Table table = {0};
    scale(add_row(&table, 100, 110), 8);
    scale(add_row(&table, 80, 80), 64);
    scale(add_row(&table, 90, 99), 16);
    compare(&table);
    const ValidationResult *result = &table.result;
    assert_int_equal(result->ratio_count, 2);
    assert_int_equal(result->ratio_kinds[RATIO_SCALING].n, 2);
    assert_int_equal(result->ratios[0].reference, 2);
    assert_int_equal(result->ratios[0].row, 0);
    assert_near(result->ratios[0].error, 0, 1e-12);
    assert_near(result->ratios[1].error, 90.0 / 99 - 1, 1e-12);
    assert_near(result->ratio_summary.median_abs, (1 - 90.0 / 99) / 2, 1e-12);
    assert_int_equal(result->choice_count, 0); /* another batch is another job */
    release(&table);
}

/* Rows of another table, stack or model are no pair, nor are rows that differ in two things. */
static void test_what_is_no_pair(void **state)
{
    (void)state;
    Table table = {0};
    add_row(&table, 100, 100);
    ValidatedRow *two = add_row(&table, 50, 100);
    two->setup[SETUP_MICRO] = 4;
    two->setup[SETUP_BATCH] = 256;
    ValidatedRow *other = add_row(&table, 50, 100);
    other->setup[SETUP_MICRO] = 2;
    table.measurements[2].locator = "table 2";
    add_row(&table, 50, 100)->stack = "stack-nemo-2025";
    add_row(&table, 50, 100);
    table.measurements[4].layers = 12;
    add_row(&table, 90, 100); /* measured again: the same setup */
    compare(&table);
    assert_int_equal(table.result.ratio_count, 0);
    assert_int_equal(table.result.choice_count, 0);
    release(&table);
}

static void test_each_kind_by_itself(void **state)
{
    (void)state;
    Table table = {0};
    add_row(&table, 100, 100);
    add_row(&table, 110, 130)->setup[SETUP_MICRO] = 2;
    add_row(&table, 80, 70)->setup[SETUP_RECOMPUTE] = 2;
    add_row(&table, 150, 140)->setup[SETUP_PRECISION] = 1;
    ValidatedRow *layout = add_row(&table, 95, 97);
    layout->setup[SETUP_TENSOR] = 4;
    layout->setup[SETUP_PIPELINE] = 2;
    compare(&table);
    const ErrorStatistics *kinds = table.result.ratio_kinds;
    assert_int_equal(kinds[RATIO_MICROBATCH].n, 1);
    assert_near(kinds[RATIO_MICROBATCH].max_abs, 1.3 / 1.1 - 1, 1e-12);
    assert_int_equal(kinds[RATIO_PRECISION].n, 1);
    assert_near(kinds[RATIO_PRECISION].bias, 1.4 / 1.5 - 1, 1e-12);
    assert_int_equal(kinds[RATIO_RECOMPUTE].n, 1);
    assert_near(kinds[RATIO_RECOMPUTE].max_abs, 1 - 0.7 / 0.8, 1e-12);
    assert_int_equal(kinds[RATIO_LAYOUT].n, 1);
    assert_int_equal(kinds[RATIO_SCALING].n, 0);
    release(&table);
}

/* Layouts measured at 100 (twice: 104 and 96), 120 and 90; predicted 130, 125 and 80: picked is the
 * first, the best is the second: 20% lost. */
static void test_regret(void **state)
{
    (void)state;
    Table table = {0};
    add_row(&table, 104, 130);
    ValidatedRow *best = add_row(&table, 120, 125);
    best->setup[SETUP_TENSOR] = 4;
    best->setup[SETUP_PIPELINE] = 2;
    add_row(&table, 96, 130);
    add_row(&table, 90, 80)->setup[SETUP_RECOMPUTE] = 2;
    compare(&table);
    const ValidationResult *result = &table.result;
    assert_int_equal(result->choice_count, 1);
    assert_int_equal(result->choices[0].layouts, 3);
    assert_int_equal(result->choices[0].picked, 0);
    assert_int_equal(result->choices[0].best, 1);
    assert_near(result->choices[0].picked_measured, 100, 1e-12);
    assert_near(result->choices[0].regret, 0.2, 1e-12);
    assert_near(result->mean_regret, 0.2, 1e-12);
    release(&table);
}

static void test_no_rows(void **state)
{
    (void)state;
    Table table = {0};
    compare(&table);
    assert_int_equal(table.result.ratio_count, 0);
    assert_int_equal(table.result.choice_count, 0);
    release(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scaling_against_the_median),
        cmocka_unit_test(test_what_is_no_pair),
        cmocka_unit_test(test_each_kind_by_itself),
        cmocka_unit_test(test_regret),
        cmocka_unit_test(test_no_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
