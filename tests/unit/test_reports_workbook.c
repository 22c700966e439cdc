#include "tests/unit/report_directory.h"
#include "tests/unit/report_fixture.h"

#include "reports/workbook_book.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void names_that_are_cells_are_no_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"A100",      "H100", "a100", "TP8",  "PP15", "XFD1048576",
                                      "R",         "c",    "R1C1", "r2c",  "C7",   "2x",
                                      "gpu hours", "a-b",  "",     "TRUE", "Q1",   "p\"x"};
    static const char *const good[] = {"price_a100",   "tp_degree",        "run_days",
                                       "run_days_p95", "claim_cost_usd",   "gpu_count",
                                       "_A1",          "train_flops_sixnd"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(workbook_name_is_safe(bad[i]));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(workbook_name_is_safe(good[i]));
    assert_true(workbook_sheet_name_is_safe("Summary"));
    assert_false(workbook_sheet_name_is_safe(""));
    assert_false(workbook_sheet_name_is_safe("a/b"));
    assert_false(workbook_sheet_name_is_safe("a name that is longer than 31 characters"));
    assert_false(workbook_sheet_name_is_safe("'quoted'"));
    assert_false(workbook_sheet_name_is_safe("History"));
}

static void number_formats_follow_unit_and_size(void **state)
{
    (void)state;
    const double none = (double)NAN;
    const struct {
        const char *unit;
        double values[3];
        const char *format;
    } cases[] = {
        {"days", {217.68, 164.2, none}, "#,##0.0"},
        {"USD", {130400438.9, 63e6, 0}, "$#,##0"},
        {"USD", {0.0049, none, 0.0021}, "$0.00000"},
        {"USD/kWh", {0.0832, 0, 0}, "$0.0000"},
        {"fraction", {0.149, 0.32, 0.36}, "0.0%"},
        {"FLOP/s", {312e12, 0, 0}, "0.00E+00"},
        {"bytes", {30e9, none, 40e9}, "#,##0.0,,,\" GB\""},
        {"parameters", {1.8e12, 111e9, 0}, "#,##0.00,,,,\" T\""},
        {"parameters", {111e9, 55e9, 0}, "#,##0.0,,,\" B\""},
        {"GPU-hours", {130400438.9, 0, 0}, "#,##0"},
        {"GPUs", {24960, 25000, none}, "#,##0"},
        {"experts", {16, 15.716, 15.716}, "#,##0.00"},
        {"ways", {-3, none, none}, "#,##0"},
        {"", {0.8349, none, none}, "0.0###"},
        {"", {3e-6, none, none}, "0.00E+00"},
        {"anything", {none, (double)INFINITY, none}, "#,##0"},
        {"s", {0.0015, 0, 0}, "0.0000"},
        {"s", {39.21, 0.0015, 0}, "#,##0.00"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(number_format_of(cases[i].unit, cases[i].values, 3), cases[i].format);
}

static void lines_are_counted_word_by_word(void **state)
{
    (void)state;
    /* a width of 10 has room for 11 characters */
    assert_int_equal(book_lines("", 10), 1);
    assert_int_equal(book_lines("hello world", 10), 1);
    assert_int_equal(book_lines("hello worlds", 10), 2);
    assert_int_equal(book_lines("a b c d e f g h i j", 10), 2);
    assert_int_equal(book_lines("abcdefghijkABCDEFGHIJK1", 10), 3);
}

static void two_builds_have_the_same_bytes(void **state)
{
    (void)state;
    char directory[TEST_PATH_BYTES];
    size_t first_bytes = 0, second_bytes = 0;
    Fixture *fixture = fixture_make();
    directory_make(directory);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(workbook_audit(directory, i == 0 ? "one.xlsx" : "two.xlsx",
                                        &fixture->audit, &fixture->inputs, &fixture->provenance,
                                        NULL),
                         STATUS_OK);
        if (i == 0)
            sleep(2); /* longer than the two seconds in which a zip archive counts */
    }
    char *first = fixture_read(directory, "one.xlsx", &first_bytes);
    char *second = fixture_read(directory, "two.xlsx", &second_bytes);
    assert_non_null(first);
    assert_non_null(second);
    assert_int_equal(first_bytes, second_bytes);
    assert_memory_equal(first, second, first_bytes);
    assert_int_equal(directory_count(directory, 1), 0);
    free(first);
    free(second);
    directory_remove(directory);
    fixture_free(fixture);
}

static void a_place_that_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    Fixture *fixture = fixture_make();
    Error error = {0};
    assert_int_equal(
        workbook_audit("/dev/null", "x.xlsx", &fixture->audit, NULL, &fixture->provenance, &error),
        STATUS_ENVIRONMENT);
    assert_non_null(strstr(error.message, "cannot write the workbook"));
    fixture_free(fixture);
}

static void a_file_without_training_headline_still_gives_a_workbook(void **state)
{
    (void)state;
    char directory[TEST_PATH_BYTES];
    Fixture *fixture = fixture_make();
    directory_make(directory);
    fixture->audit.headline = &fixture->scenarios[2];
    assert_int_equal(workbook_audit(directory, "s.xlsx", &fixture->audit, &fixture->inputs,
                                    &fixture->provenance, NULL),
                     STATUS_OK);
    fixture->audit.headline = NULL;
    assert_int_equal(
        workbook_audit(directory, "n.xlsx", &fixture->audit, NULL, &fixture->provenance, NULL),
        STATUS_OK);
    directory_remove(directory);
    fixture_free(fixture);
}

/* The number behind `label` in column `column` (1-based) of a sheet exported as CSV. */
static double cell(const char *directory, const char *file, const char *label, int column)
{
    char *text = fixture_read(directory, file, NULL), wanted[128];
    assert_non_null(text);
    snprintf(wanted, sizeof wanted, "%s,", label);
    const char *at = text;
    while (at != NULL && strncmp(at, wanted, strlen(wanted)) != 0) {
        at = strchr(at, '\n');
        at = at != NULL ? at + 1 : NULL;
    }
    assert_non_null(at);
    at += strlen(wanted);
    for (int i = 1; i < column; i++)
        at = strchr(at, ',') + 1;
    char *end = NULL;
    double value = strtod(at, &end);
    assert_ptr_not_equal(end, at);
    free(text);
    return value;
}

static void expect_near(double actual, double wanted)
{
    if (!(fabs(actual - wanted) <= 1e-9 * fabs(wanted)))
        fail_msg("%.12g is not %.12g", actual, wanted);
}

static void need_ssconvert(void)
{
    if (system("command -v ssconvert >/dev/null 2>&1") == 0)
        return;
    print_message("skipped: no ssconvert (apt-get install gnumeric) to recalculate with\n");
    skip();
}

/* All caches are 999, so what the export shows has been computed from the formulas. */
static void formulas_recalculate_to_the_simulated_numbers(void **state)
{
    (void)state;
    char directory[TEST_PATH_BYTES], command[4 * TEST_PATH_BYTES];
    need_ssconvert();
    Fixture *fixture = fixture_make();
    directory_make(directory);
    Book wrong = book_of_audit(&fixture->audit, &fixture->inputs, &fixture->provenance);
    wrong.wrong_caches = 1;
    assert_int_equal(book_write(&wrong, directory, "wrong.xlsx", NULL), STATUS_OK);
    assert_int_equal(workbook_audit(directory, "right.xlsx", &fixture->audit, &fixture->inputs,
                                    &fixture->provenance, NULL),
                     STATUS_OK);
    snprintf(command, sizeof command,
             "cd %s && for f in 'echo wrong' 'again --recalc wrong' 'cached right'; do set -- $f; "
             "ssconvert $( [ $1 = again ] && echo --recalc ) -S -T Gnumeric_stf:stf_assistant "
             "-O 'format=raw separator=,' $( [ $1 = again ] && echo $3 || echo $2 ).xlsx "
             "$1-%%s.csv >/dev/null 2>&1 || exit 1; done",
             directory);
    assert_int_equal(system(command), 0);

    /* without recalculation the wrong caches show: the check below is no echo */
    assert_true(cell(directory, "echo-Cost.csv", "GPU-hours", 1) == 999);
    const char *const files[] = {"again-Cost.csv", "cached-Cost.csv"};
    for (size_t i = 0; i < 2; i++) {
        const char *file = files[i];
        const double days = 104, gpus = 24960;
        expect_near(cell(directory, file, "GPU-hours", 1), days * 24 * gpus);
        expect_near(cell(directory, file, "Rent", 1), days * 24 * gpus * 1);
        expect_near(cell(directory, file, "Energy", 1), gpus / 8 * 5.5 * 1.15 * days * 24);
        expect_near(cell(directory, file, "Cost", 1), days * 24 * gpus);
        expect_near(cell(directory, file, "\"Effective MFU, 6ND\"", 1),
                    2.176e25 / (days * 86400 * gpus * 312e12));
        const Metric *metric = metrics_find(&fixture->scenarios[0].train.metrics, "run.gpu_hours");
        Summary hours;
        assert_int_equal(metrics_summary(metric, &hours, NULL), STATUS_OK);
        expect_near(cell(directory, file, "GPU-hours", 2), hours.p5);
        expect_near(cell(directory, file, "GPU-hours", 3), hours.p95);
        /* 90 and 100 days and $63M are 35.4, 31.9 and 30.4% at 25,000 GPUs and 2.15e25 FLOPs */
        expect_near(cell(directory, file, "\"Published duration, low\"", 3),
                    2.15e25 / (90 * 86400.0 * 25000 * 312e12));
        expect_near(cell(directory, file, "\"Published duration, high\"", 3),
                    2.15e25 / (100 * 86400.0 * 25000 * 312e12));
        expect_near(cell(directory, file, "\"What the published cost pays for\"", 1), 105);
        expect_near(cell(directory, file, "\"What the published cost pays for\"", 3),
                    2.15e25 / (105 * 86400.0 * 25000 * 312e12));
        assert_true(
            cell(directory, file, "\"Sum of checks (0 while Inputs are as simulated)\"", 3) == 0);
    }
    assert_true(cell(directory, "again-Summary.csv", "reproduced", 1) == 6);
    expect_near(cell(directory, "again-Summary.csv", "Step", 1), 39.21);
    directory_remove(directory);
    fixture_free(fixture);
}

/* A run of one's own: the same arithmetic, and nothing of claims. */
static void a_training_run_has_a_workbook_of_its_own(void **state)
{
    (void)state;
    char directory[TEST_PATH_BYTES], command[2 * TEST_PATH_BYTES];
    need_ssconvert();
    Fixture *fixture = fixture_make();
    directory_make(directory);
    const AuditScenario *run = &fixture->scenarios[0];
    Book wrong = book_of_train(&run->scenario, &run->train, &fixture->inputs, &fixture->provenance);
    wrong.wrong_caches = 1;
    assert_int_equal(book_write(&wrong, directory, "run.xlsx", NULL), STATUS_OK);
    snprintf(command, sizeof command,
             "cd %s && ssconvert --recalc -S -T Gnumeric_stf:stf_assistant "
             "-O 'format=raw separator=,' run.xlsx run-%%s.csv >/dev/null 2>&1",
             directory);
    assert_int_equal(system(command), 0);
    const double days = 104, gpus = 24960;
    expect_near(cell(directory, "run-Cost.csv", "GPU-hours", 1), days * 24 * gpus);
    expect_near(cell(directory, "run-Cost.csv", "Cost", 1), days * 24 * gpus);
    assert_true(cell(directory, "run-Cost.csv",
                     "\"Sum of checks (0 while Inputs are as simulated)\"", 3) == 0);
    expect_near(cell(directory, "run-Summary.csv", "Step", 1), 39.21);
    assert_null(fixture_read(directory, "run-Claims.csv", NULL));
    char *cost = fixture_read(directory, "run-Cost.csv", NULL);
    assert_non_null(cost);
    assert_null(strstr(cost, "ublished"));
    free(cost);
    directory_remove(directory);
    fixture_free(fixture);
}

/* The sheet recalculated from 999s is the sheet as it was written, and its prices are those of the
 * simulation where only one value stands behind each. */
static void a_serving_scenario_has_a_workbook_of_its_own(void **state)
{
    (void)state;
    char directory[TEST_PATH_BYTES], command[4 * TEST_PATH_BYTES];
    need_ssconvert();
    Fixture *fixture = fixture_make();
    directory_make(directory);
    Scenario *scenario = &fixture->scenarios[2].scenario;
    const struct {
        const char *name, *unit;
        double value;
    } values[] = {
        {"throughput.input_tokens_per_s", "tokens/s", 8000},
        {"throughput.output_tokens_per_s", "tokens/s", 2000},
        {"plan.gpus", "GPUs", 16},
        {"cost.usd_per_gpu_hour", "USD/h", 3},
        /* 48 dollars an hour for half of 28.8 M and 7.2 M tokens, 30% of it for the input */
        {"cost.usd_per_1m_input", "USD", 48 * 0.3 / 14.4},
        {"cost.usd_per_1m_output", "USD", 48 * 0.7 / 3.6},
    };
    MetricSet metrics;
    metrics_init(&metrics);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_int_equal(
            metrics_set(&metrics, values[i].name, values[i].unit, values[i].value, NULL),
            STATUS_OK);
    scenario->serving.utilisation = 0.5;
    scenario->prices.energy_included = 1;
    scenario->prices.basis = PRICE_HOURLY;
    scenario->prices.list_per_1k_input_usd = 0.002;
    scenario->prices.list_per_1k_output_usd = 0.01;
    Book book = book_of_serve(scenario, &metrics, NULL, &fixture->provenance);
    assert_int_equal(book_write(&book, directory, "right.xlsx", NULL), STATUS_OK);
    Book wrong = book_of_serve(scenario, &metrics, NULL, &fixture->provenance);
    wrong.wrong_caches = 1;
    assert_int_equal(book_write(&wrong, directory, "wrong.xlsx", NULL), STATUS_OK);
    snprintf(command, sizeof command,
             "cd %s && for f in '--recalc wrong' ' right'; do ssconvert $f.xlsx -S "
             "-T Gnumeric_stf:stf_assistant -O 'format=raw separator=,' ${f#* }-%%s.csv "
             ">/dev/null 2>&1 || exit 1; done",
             directory);
    assert_int_equal(system(command), 0);
    static const char *const files[] = {"wrong-Cost.csv", "right-Cost.csv"};
    for (size_t i = 0; i < 2; i++) {
        expect_near(cell(directory, files[i], "\"Cost of an hour\"", 1), 48);
        expect_near(cell(directory, files[i], "\"Cost per 1k tokens, input and output\"", 1),
                    48 / 18e3);
        expect_near(cell(directory, files[i], "\"Cost per 1M input tokens\"", 1), 1);
        expect_near(cell(directory, files[i], "\"Cost per 1M output tokens\"", 1), 48 * 0.7 / 3.6);
        expect_near(cell(directory, files[i], "\"Income of an hour at the list price\"", 1),
                    14.4 * 2 + 3.6 * 10);
        expect_near(cell(directory, files[i], "Margin", 1), 1 - 48 / 64.8);
        expect_near(cell(directory, files[i], "1", 1), 48 / 36e3);
        expect_near(cell(directory, files[i], "0.1", 3), 48 * 0.7 / 0.72);
        expect_near(cell(directory, files[i], "Deployments", 1), 1);
        expect_near(cell(directory, files[i], "GPUs", 1), 16);
        expect_near(cell(directory, files[i], "\"Cost of 30 days\"", 1), 48 * 24 * 30);
        expect_near(cell(directory, files[i], "\"Cost per 1k tokens of the demand\"", 1),
                    48 / 18e3);
    }
    metrics_free(&metrics);
    directory_remove(directory);
    fixture_free(fixture);
}

/* As a reader sees them: no number with more than six digits in a row. */
static void every_number_is_shown_in_its_format(void **state)
{
    (void)state;
    static const char *const sheets[] = {"Summary", "Inputs", "Cost", "Claims"};
    static const struct {
        const char *file, *shown;
    } expected[] = {
        {"Summary.csv", "\nDuration,104.0,"},
        {"Summary.csv", "\nCost,\"$62,300,160\","},
        {"Summary.csv", "USD,\"$63,000,000\",\"$63,000,000\",reproduced"},
        {"Summary.csv", ",fraction,32.0%,36.0%,explained"},
        {"Inputs.csv", ",3.12E+14,FLOP/s,"},
        {"Inputs.csv", ",$0.0800,USD/kWh,"},
        {"Cost.csv", "\"What the published cost pays for\",105.0,\"$63,000,000\",30.4%,"},
        {"Claims.csv", ",\"1.80 T\",\"1.80 T\",parameters,\"1.83 T\","},
        {"Claims.csv", ",$0.00490,$0.00490,USD,"},
        {"Claims.csv", ",\"30.0 GB\",bytes,"},
    };
    char directory[TEST_PATH_BYTES], command[4 * TEST_PATH_BYTES], name[64];
    if (system("command -v ssconvert >/dev/null 2>&1") != 0) {
        print_message("skipped: no ssconvert (apt-get install gnumeric) to show cells with\n");
        skip();
    }
    Fixture *fixture = fixture_make();
    directory_make(directory);
    assert_int_equal(workbook_audit(directory, "w.xlsx", &fixture->audit, &fixture->inputs,
                                    &fixture->provenance, NULL),
                     STATUS_OK);
    snprintf(command, sizeof command,
             "cd %s && LC_ALL=C ssconvert -S -T Gnumeric_stf:stf_assistant "
             "-O 'format=preserve separator=,' w.xlsx %%s.csv >/dev/null 2>&1",
             directory);
    assert_int_equal(system(command), 0);
    for (size_t i = 0; i < sizeof sheets / sizeof *sheets; i++) {
        snprintf(name, sizeof name, "%s.csv", sheets[i]);
        char *text = fixture_read(directory, name, NULL);
        assert_non_null(text);
        for (const char *at = text; *at != '\0';) {
            size_t digits = strspn(at, "0123456789");
            if (digits > 6)
                fail_msg("%s shows %.*s", name, (int)digits, at);
            at += digits > 0 ? digits : 1;
        }
        free(text);
    }
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        char *text = fixture_read(directory, expected[i].file, NULL);
        assert_non_null(text);
        if (strstr(text, expected[i].shown) == NULL)
            fail_msg("%s lacks %s:\n%s", expected[i].file, expected[i].shown, text);
        free(text);
    }
    directory_remove(directory);
    fixture_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_are_cells_are_no_names),
        cmocka_unit_test(number_formats_follow_unit_and_size),
        cmocka_unit_test(lines_are_counted_word_by_word),
        cmocka_unit_test(two_builds_have_the_same_bytes),
        cmocka_unit_test(a_place_that_cannot_be_written_is_an_error),
        cmocka_unit_test(a_file_without_training_headline_still_gives_a_workbook),
        cmocka_unit_test(every_number_is_shown_in_its_format),
        cmocka_unit_test(formulas_recalculate_to_the_simulated_numbers),
        cmocka_unit_test(a_training_run_has_a_workbook_of_its_own),
        cmocka_unit_test(a_serving_scenario_has_a_workbook_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
