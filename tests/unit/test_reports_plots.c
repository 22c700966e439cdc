#include "tests/unit/report_directory.h"
#include "tests/unit/report_fixture.h"

#include "reports/gnuplot.h"
#include "reports/losses.h"
#include "reports/plots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *const names[] = {"step-waterfall", "step-timeline", "cost-days", "failure-map"};

static int has(const char *directory, const char *name, const char *suffix)
{
    char path[2 * TEST_PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s%s", directory, name, suffix);
    return access(path, R_OK) == 0;
}

static void losses_add_up_exactly(void **state)
{
    (void)state;
    Fixture *fixture = fixture_make();
    LossLadder ladder;
    assert_int_equal(losses_ladder(&fixture->scenarios[0].train, &ladder, NULL), STATUS_OK);
    double level = 1;
    for (size_t i = 0; i < ladder.step_count; i++)
        level -= ladder.step[i].share;
    assert_true(fabs(level - 0.345) < 1e-12);
    for (size_t i = 0; i < ladder.run_count; i++)
        level -= ladder.run[i].share;
    Summary effective;
    assert_int_equal(
        metrics_summary(metrics_find(&fixture->scenarios[0].train.metrics, "run.mfu_effective"),
                        &effective, NULL),
        STATUS_OK);
    assert_true(fabs(level - effective.p50) < 1e-12);
    assert_true(ladder.effective_mfu == effective.p50);
    /* slow nodes first: 2% of the step's MFU, as the fixture's run has it */
    assert_string_equal(ladder.run[0].key, "slowdown");
    assert_true(fabs(ladder.run[0].share - 0.02 * 0.345) < 1e-12);
    fixture_free(fixture);
}

static void user_text_is_quoted_for_gnuplot(void **state)
{
    (void)state;
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    gnuplot_quote(out, "it's `touch x` \"$y\"\n");
    fclose(out);
    assert_string_equal(text, "'it''s `touch x` \"$y\" '");
    free(text);
}

static void figures_are_drawn_beside_script_and_data(void **state)
{
    (void)state;
    char directory[TEST_PATH_BYTES], outside[2 * TEST_PATH_BYTES];
    if (system("command -v gnuplot >/dev/null 2>&1") != 0) {
        print_message("skipped: no gnuplot (apt-get install gnuplot-nox) to draw with\n");
        skip();
    }
    Fixture *fixture = fixture_make();
    size_t made = 0;
    Error error = {0};
    directory_make(directory);
    /* a name that would run a command if it reached a double-quoted string */
    snprintf(fixture->file.scenarios[0].scenario, ERROR_PATH_BYTES, "it's `touch %.100s/ran` \"x\"",
             directory);
    Status status = plots_audit(directory, &fixture->audit, &fixture->provenance, &made, &error);
    if (status != STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(made, 4);
    snprintf(outside, sizeof outside, "%s/ran", directory);
    assert_int_not_equal(access(outside, F_OK), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char file[64];
        size_t png_bytes = 0, svg_bytes = 0;
        assert_true(has(directory, names[i], ".gp") && has(directory, names[i], ".dat"));
        snprintf(file, sizeof file, "%s.png", names[i]);
        char *png = fixture_read(directory, file, &png_bytes);
        assert_true(png_bytes > 5000);
        assert_memory_equal(png, "\x89PNG", 4);
        snprintf(file, sizeof file, "%s.svg", names[i]);
        char *svg = fixture_read(directory, file, &svg_bytes);
        assert_non_null(strstr(svg, "</svg>"));
        free(png);
        free(svg);
    }
    assert_int_equal(directory_count(directory, 0), 17); /* four of each figure, one table */
    directory_remove(directory);
    fixture_free(fixture);
}

static void the_timeline_has_every_box(void **state)
{
    (void)state;
    Fixture *fixture = fixture_make();
    const PlotInput input = {.scenario = &fixture->scenarios[0].scenario,
                             .forecast = &fixture->scenarios[0].train,
                             .provenance = &fixture->provenance};
    char *script = NULL, *data = NULL;
    size_t script_bytes = 0, data_bytes = 0, boxes = 0;
    FILE *script_out = open_memstream(&script, &script_bytes);
    FILE *data_out = open_memstream(&data, &data_bytes);
    assert_int_equal(plot_timeline(&input, script_out, data_out, NULL), STATUS_OK);
    fclose(script_out);
    fclose(data_out);
    for (const char *line = data; line != NULL && *line != '\0';) {
        boxes += *line >= '0' && *line <= '9';
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    /* idle, data-parallel and optimizer of each stage, and 2 x 36 x 15 microbatches */
    assert_int_equal(boxes, 3 * FIXTURE_STAGES + 2 * FIXTURE_STAGES * FIXTURE_MICROBATCHES);
    /* (p - 1) / (m + p - 1) = 14 / 50 */
    assert_non_null(strstr(script, "28.3% of stage time is idle; equal stages without sends would "
                                   "idle 28.0%"));
    free(script);
    free(data);
    fixture_free(fixture);
}

static void without_gnuplot_scripts_and_data_are_left(void **state)
{
    (void)state;
    char directory[TEST_PATH_BYTES];
    Fixture *fixture = fixture_make();
    size_t made = 7;
    Error error = {0};
    const char *old = getenv("PATH");
    char *path = old != NULL ? strdup(old) : NULL;
    directory_make(directory);
    setenv("PATH", directory, 1);
    Status status = plots_train(directory, &fixture->scenarios[0].scenario,
                                &fixture->scenarios[0].train, &fixture->provenance, &made, &error);
    if (path != NULL)
        setenv("PATH", path, 1);
    free(path);
    assert_int_equal(status, STATUS_ENVIRONMENT);
    assert_int_equal(made, 0);
    assert_string_equal(error.message,
                        "gnuplot not found: 4 figures skipped (apt-get install gnuplot-nox)");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_true(has(directory, names[i], ".gp") && has(directory, names[i], ".dat") &&
                    !has(directory, names[i], ".svg"));
    assert_int_equal(directory_count(directory, 0), 9);
    directory_remove(directory);
    fixture_free(fixture);
}

static void a_script_that_fails_leaves_no_picture(void **state)
{
    (void)state;
    char directory[TEST_PATH_BYTES];
    int missing = 0;
    Error error = {0};
    if (system("command -v gnuplot >/dev/null 2>&1") != 0)
        skip();
    directory_make(directory);
    assert_int_equal(files_write_text(directory, "bad.gp",
                                      "set terminal svg\nset output svg_file\nplot 'absent.dat'\n",
                                      NULL),
                     STATUS_OK);
    assert_int_equal(gnuplot_run(directory, "bad", &missing, &error), STATUS_ENVIRONMENT);
    assert_int_equal(missing, 0);
    assert_non_null(strstr(error.message, "bad.gp"));
    assert_int_equal(directory_count(directory, 0), 1);
    directory_remove(directory);
}

static void one_draw_and_no_headline_are_no_trouble(void **state)
{
    (void)state;
    char directory[TEST_PATH_BYTES];
    Fixture *fixture = fixture_make();
    size_t made = 0;
    Error error = {0};
    MetricSet *metrics = &fixture->scenarios[0].train.metrics;
    directory_make(directory);
    fixture_set(metrics, "run.days", "days", 100);
    fixture_set(metrics, "cost.usd", "USD", 6e7);
    fixture_set(metrics, "run.mfu_effective", "", 0.33);
    fixture_set(metrics, "run.mfu_effective_6nd", "", 0.31);
    if (system("command -v gnuplot >/dev/null 2>&1") == 0) {
        Status status =
            plots_train(directory, &fixture->scenarios[0].scenario, &fixture->scenarios[0].train,
                        &fixture->provenance, &made, &error);
        if (status != STATUS_OK)
            fail_msg("%s", error.message);
        assert_int_equal(made, 4);
    }
    fixture->audit.headline = NULL;
    assert_int_equal(plots_audit(directory, &fixture->audit, &fixture->provenance, &made, &error),
                     STATUS_OK);
    assert_int_equal(made, 0);
    directory_remove(directory);
    fixture_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_add_up_exactly),
        cmocka_unit_test(user_text_is_quoted_for_gnuplot),
        cmocka_unit_test(figures_are_drawn_beside_script_and_data),
        cmocka_unit_test(the_timeline_has_every_box),
        cmocka_unit_test(without_gnuplot_scripts_and_data_are_left),
        cmocka_unit_test(a_script_that_fails_leaves_no_picture),
        cmocka_unit_test(one_draw_and_no_headline_are_no_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
