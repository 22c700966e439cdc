/* The table reader: RFC 4180 and its bounds. */
#include "configs/reader/csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static CsvTable read_text(const char *text)
{
    CsvTable table;
    Error error = {0};
    if (csv_read_text("t.csv", text, strlen(text), &table, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    return table;
}

/* The examples of RFC 4180, section 2. */
static void test_rfc4180(void **state)
{
    (void)state;
    CsvTable table = read_text("a,b,c\r\n\"aaa\",\"b \r\nbb\",\"c\"\"cc\"\r\nzzz,,xxx");
    assert_int_equal(table.columns, 3);
    assert_int_equal(table.row_count, 2);
    assert_string_equal(table.rows[0].cells[0].text, "aaa");
    assert_string_equal(table.rows[0].cells[1].text, "b \r\nbb");
    assert_string_equal(table.rows[0].cells[2].text, "c\"cc");
    assert_string_equal(table.rows[1].cells[1].text, "");
    assert_string_equal(table.rows[1].cells[2].text, "xxx");
    assert_int_equal(table.rows[1].line, 4);
    assert_int_equal(table.rows[1].cells[2].column, 6);
    assert_int_equal(csv_column(&table, "c"), 2);
    assert_int_equal(csv_column(&table, "d"), -1);
    csv_free(&table);
}

static void test_blank_lines_and_mark(void **state)
{
    (void)state;
    CsvTable table = read_text("\xEF\xBB\xBF\n\r\nid,x\n\n1,2\n\n");
    assert_string_equal(table.header[0].text, "id");
    assert_int_equal(table.header[0].line, 3);
    assert_int_equal(table.row_count, 1);
    assert_string_equal(table.rows[0].cells[1].text, "2");
    csv_free(&table);
}

static void test_bad_records_stay_alone(void **state)
{
    (void)state;
    CsvTable table = read_text("a,b\n1\n1,2,3\n\"x\"y,2\nq\"q,2\n3,4\n");
    assert_int_equal(table.row_count, 5);
    for (size_t i = 0; i < 4; i++)
        assert_true(table.rows[i].problem[0] != '\0');
    assert_string_equal(table.rows[4].problem, "");
    assert_string_equal(table.rows[4].cells[1].text, "4");
    assert_string_equal(table.rows[0].cells[1].text, "");
    csv_free(&table);
}

static void refuse(const char *text, size_t bytes, int line, int column)
{
    CsvTable table;
    Error error = {0};
    assert_int_equal(csv_read_text("t.csv", text, bytes, &table, &error), STATUS_INVALID);
    assert_string_equal(error.file, "t.csv");
    assert_int_equal(error.line, line);
    assert_int_equal(error.column, column);
    assert_null(table.buffer);
}

static void test_refused(void **state)
{
    (void)state;
    refuse("", 0, 1, 1);
    refuse("\n\n", 2, 1, 1);
    refuse("a,b\n1,\"2\n3", 10, 2, 3);
    refuse("a\0b\n", 4, 1, 1);
    refuse("a,a\n", 4, 1, 1);
    char *wide = malloc(CSV_MAX_COLUMNS + 2);
    assert_non_null(wide);
    memset(wide, ',', CSV_MAX_COLUMNS + 1);
    refuse(wide, CSV_MAX_COLUMNS + 1, 1, 1);
    free(wide);
}

static void test_numbers(void **state)
{
    (void)state;
    static const char *const BAD[] = {"",    " ",     "x",   "1x",  "nan", "inf",
                                      "0x1", "1e999", "1 2", "1,5", "-",   "--1"};
    double value = 0;
    assert_true(csv_number(" -1.5e3 ", &value) && value > -1500.1 && value < -1499.9);
    assert_true(csv_number("7", &value) && value > 6.9 && value < 7.1);
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++)
        if (csv_number(BAD[i], &value))
            fail_msg("'%s' was taken for a number", BAD[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc4180),
        cmocka_unit_test(test_blank_lines_and_mark),
        cmocka_unit_test(test_bad_records_stay_alone),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
