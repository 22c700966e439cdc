/* Points from elsewhere: what is written is read back, and what cannot be a measurement is turned
 * away with its line and the reason. */
#include "tests/unit/shipped.h"

#include "hw/calibration/import.h"

#include <math.h>

static const char HEAD[] =
    "{\"v\":1,\"record\":\"provenance\",\"class\":\"gpu\",\"device\":\"Known 1\"}\n";
static const char POINT[] = "{\"v\":1,\"record\":\"point\",\"op\":\"gemm\",\"impl\":\"x\","
                            "\"dtype\":\"bf16\",\"m\":64,\"n\":1024,\"k\":1024,\"cold\":1,"
                            "\"us_med\":50,\"flops\":134217728,\"bytes\":2359296}\n";
static const char END[] = "{\"v\":1,\"record\":\"end\",\"points\":1}\n";

/* One device, of 100 TFLOP/s and 1 TB/s. */
static Status one_device(void *context, CalClass device_class, const char *device,
                         const char *dtype, CalLimits *limits, Error *error)
{
    (void)context, (void)device_class, (void)dtype;
    if (strcmp(device, "Known 1") != 0)
        return error_set(error, STATUS_NO, "unknown device '%s'", device);
    *limits = (CalLimits){1e14, 1e12};
    return STATUS_OK;
}

static Status read_text(const char *text, CalPoints *points, Error *error)
{
    *error = (Error){0};
    const CalCatalogue catalogue = {.limits = one_device};
    return cal_points_read_text("given", text, strlen(text), &catalogue, points, error);
}

static void assert_refused(const char *text, int line, const char *part)
{
    CalPoints *points = calloc(1, sizeof *points);
    Error error;
    assert_non_null(points);
    const Status status = read_text(text, points, &error);
    if (status != STATUS_INVALID || strstr(error.message, part) == NULL || error.line != line)
        fail_msg("status %d, line %d: '%s' (wanted line %d, '%s')", status, error.line,
                 error.message, line, part);
    assert_null(points->samples); /* nothing is half-read */
    free(points);
}

static void assert_rejected(const char *text, const char *part)
{
    CalPoints *points = calloc(1, sizeof *points);
    Error error;
    assert_non_null(points);
    if (read_text(text, points, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(points->rejected_total, 1);
    if (strstr(points->rejected[0].reason, part) == NULL || points->rejected[0].line != 3)
        fail_msg("line %d: '%s' (wanted '%s')", points->rejected[0].line,
                 points->rejected[0].reason, part);
    cal_points_free(points);
    free(points);
}

static char *joined(const char *a, const char *b, const char *c, const char *d)
{
    static char text[8192];
    snprintf(text, sizeof text, "%s%s%s%s", a, b, c, d);
    return text;
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    char *text = NULL, *table = NULL;
    size_t bytes = 0, table_bytes = 0;
    CalProvenance from = {.device_class = CAL_CPU,
                          .device = "A \"B\" \\ C",
                          .threads = 2,
                          .host_load = 0.5,
                          .utc = "2026-01-02T03:04:05Z"};
    CalPoint point = {.op = CAL_MOE_GEMM,
                      .pass = CAL_DGRAD,
                      .role = CAL_CHECK,
                      .impl = "loop",
                      .dtype = "fp32",
                      .skew = "zipf1.0",
                      .m = 512,
                      .n = 3584,
                      .k = 1024,
                      .experts = 4,
                      .load_count = 4,
                      .loads = {300, 150, 62, 0},
                      .cold = 1,
                      .us_med = 12.5,
                      .us_mad = 0.25,
                      .us_p10 = 12,
                      .us_p90 = 13.5,
                      .reps = 30,
                      .dropped = 2,
                      .flops = 3758096384.0,
                      .bytes = 53477376};
    FILE *out = open_memstream(&text, &bytes);
    assert_int_equal(cal_write_provenance(out, &from), 0);
    assert_int_equal(cal_write_progress(out, 1, 2, 0.5, "half"), 0);
    assert_int_equal(cal_write_point(out, &point), 0);
    assert_int_equal(cal_write_end(out, 1), 0);
    fclose(out);
    CalPoints *points = calloc(2, sizeof *points);
    Error error;
    assert_int_equal(cal_points_read_text("lines", text, bytes, NULL, &points[0], &error),
                     STATUS_OK);
    out = open_memstream(&table, &table_bytes);
    cal_points_csv(out, &points[0]);
    fclose(out);
    assert_int_equal(cal_points_read_text("table", table, table_bytes, NULL, &points[1], &error),
                     STATUS_OK);
    for (int i = 0; i < 2; ++i) {
        assert_int_equal(points[i].count, 1);
        assert_int_equal(points[i].rejected_total, 0);
        assert_string_equal(points[i].provenance.device, "A \"B\" \\ C");
        assert_int_equal(points[i].provenance.device_class, CAL_CPU);
        assert_memory_equal(&points[i].samples[0].point, &point, sizeof point);
        assert_int_equal(strlen(points[i].sha256), 64);
        cal_points_free(&points[i]);
    }
    free(points);
    free(text);
    free(table);
}

static void progress_lines_are_known(void **state)
{
    (void)state;
    CalProgress progress;
    const char line[] = "{\"v\":1,\"record\":\"progress\",\"done\":3,\"of\":9,\"left_s\":1.5,"
                        "\"what\":\"copy\"}";
    assert_int_equal(cal_progress_line(line, strlen(line), &progress), 1);
    assert_near(progress.done + progress.of + progress.left_s, 13.5, 0);
    assert_string_equal(progress.what, "copy");
    assert_int_equal(cal_progress_line("{\"record\":\"end\"}", 16, &progress), 0);
    assert_int_equal(cal_progress_line("{\"rec", 5, &progress), 0);
}

static void lines_that_are_cut_short_are_refused(void **state)
{
    (void)state;
    assert_refused(joined(HEAD, POINT, "", ""), 2, "no end record");
    assert_refused(joined(HEAD, POINT, "{\"v\":1,\"reco", ""), 3, "cut short");
    assert_refused(joined(HEAD, END, "", ""), 2, "lines lost");
    assert_refused(joined(HEAD, POINT, END, POINT), 4, "behind the end");
    assert_refused(joined(HEAD, HEAD, "", ""), 2, "second provenance");
    assert_refused(joined(POINT, END, "", ""), 1, "no provenance");
    assert_refused("{\"v\":2,\"record\":\"end\"}\n", 1, "version 1");
    assert_refused("{\"v\":1,\"record\":\"result\"}\n", 1, "unknown record");
    assert_refused("{\"v\":1,\"record\":\"provenance\",\"class\":\"tpu\",\"device\":\"x\"}\n", 1,
                   "class and device");
    assert_refused("{\"v\":1} trailing\n", 1, "not a JSON object");
}

static const char TWO[] = "{\"v\":1,\"record\":\"end\",\"points\":2}\n";

static void points_that_cannot_be_are_rejected(void **state)
{
    (void)state;
    static const struct {
        const char *point, *reason;
    } CASES[] = {
        {"\"op\":\"gemm\",\"m\":64,\"n\":1024,\"k\":1024,\"us_med\":0.05,\"flops\":134217728,"
         "\"bytes\":2e6",
         "above the device's"},
        {"\"op\":\"copy\",\"cold\":1,\"us_med\":1,\"flops\":0,\"bytes\":1e9", "above the device's"},
        {"\"op\":\"copy\",\"us_med\":0,\"flops\":0,\"bytes\":1", "time"},
        {"\"op\":\"copy\",\"us_med\":-3,\"flops\":0,\"bytes\":1", "time"},
        {"\"op\":\"copy\",\"us_med\":5e9,\"flops\":0,\"bytes\":1", "time"},
        {"\"op\":\"copy\",\"us_med\":\"5\",\"flops\":0,\"bytes\":1", "numbers be numbers"},
        {"\"op\":\"copy\",\"us_med\":5,\"flops\":0", "must be there"},
        {"\"op\":\"copied\",\"us_med\":5,\"flops\":0,\"bytes\":1", "unknown or missing op"},
        {"\"op\":\"gemm\",\"pass\":\"sideways\",\"us_med\":5,\"flops\":0,\"bytes\":1",
         "unknown pass"},
        {"\"op\":\"gemm\",\"m\":0,\"n\":8,\"k\":8,\"us_med\":5,\"flops\":0,\"bytes\":1",
         "without rows"},
        {"\"op\":\"gemm\",\"m\":1e300,\"n\":8,\"k\":8,\"us_med\":5,\"flops\":0,\"bytes\":1",
         "size"},
        {"\"op\":\"moe_gemm\",\"m\":5,\"n\":8,\"k\":8,\"m_loads\":[3,1],\"us_med\":5,\"flops\":1,"
         "\"bytes\":1",
         "sum of m_loads"},
        {"\"op\":\"moe_gemm\",\"m\":5,\"n\":8,\"k\":8,\"m_loads\":[3,-1],\"us_med\":5,\"flops\":1,"
         "\"bytes\":1",
         "list of at most"},
        {"\"op\":\"copy\",\"us_med\":5,\"us_p10\":9,\"us_p90\":4,\"flops\":0,\"bytes\":1",
         "percentile"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; ++i) {
        char bad[1024];
        snprintf(bad, sizeof bad, "{\"v\":1,\"record\":\"point\",%s}\n", CASES[i].point);
        assert_rejected(joined(HEAD, POINT, bad, TWO), CASES[i].reason);
    }
}

static void an_unknown_device_leaves_no_point(void **state)
{
    (void)state;
    char text[2048];
    snprintf(text, sizeof text,
             "{\"v\":1,\"record\":\"provenance\",\"class\":\"gpu\",\"device\":\"Other\"}\n%s%s",
             POINT, END);
    assert_refused(text, 2, "no point is left");
}

#define COLUMNS "class,device,op,impl,dtype,m,n,k,flops,bytes,"
#define CELLS   "gpu,Known 1,gemm,x,bf16,64,1024,1024,134217728,2359296,"

static void units_stand_in_the_names_of_columns(void **state)
{
    (void)state;
    static const struct {
        const char *column, *value;
    } SAME[] = {{"us_med", "50"}, {"ms_med", "0.05"}, {"s_med", "5e-5"}};
    for (size_t i = 0; i < 3; ++i) {
        char text[512];
        CalPoints *points = calloc(1, sizeof *points);
        Error error;
        snprintf(text, sizeof text, COLUMNS "%s\n" CELLS "%s\n", SAME[i].column, SAME[i].value);
        assert_int_equal(read_text(text, points, &error), STATUS_OK);
        assert_near(points->samples[0].point.us_med, 50, 1e-9);
        cal_points_free(points);
        free(points);
    }
    assert_refused(COLUMNS "us_med,ms_p90\n" CELLS "50,0.06\n", 1, "two units");
    assert_refused(COLUMNS "med\n" CELLS "50\n", 1, "us_med");
    assert_refused("a,b\n1,2\n", 1, "not a table of points");
}

static void rows_of_tables_that_cannot_be_are_rejected(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "gpu,Known 1,gemm,x,bf16,64,1024,1024,134217728,2359296,0.05",
        "gpu,Known 1,gemm,x,bf16,64,1024,1024,134217728,2359296,nan",
        "gpu,Known 1,gemm,x,bf16,64,1024,1024,134217728,2359296,50us",
        "gpu,Unknown,gemm,x,bf16,64,1024,1024,134217728,2359296,50",
        "cpu,Known 1,gemm,x,bf16,64,1024,1024,134217728,2359296,50",
        "gpu,Known 1,gem,x,bf16,64,1024,1024,134217728,2359296,50",
        "gpu,Known 1,gemm,x,bf16,64,1024",
    };
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; ++i) {
        char text[1024];
        snprintf(text, sizeof text, COLUMNS "us_med\n" CELLS "50\n%s\n", BAD[i]);
        assert_rejected(text, "");
    }
}

static void statistics_are_of_order(void **state)
{
    (void)state;
    double samples[] = {5, 1, 100, 3, 2, 4, 6, 7, 8, 9, 10};
    CalPoint point = {0};
    cal_statistics(samples, 11, &point);
    assert_near(point.us_med, 6, 0);
    assert_near(point.us_p10, 2, 1e-12);
    assert_near(point.us_p90, 10, 1e-12);
    assert_near(point.us_mad, 3, 0);
    cal_statistics(samples, 0, &point);
    assert_near(point.us_med, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(progress_lines_are_known),
        cmocka_unit_test(lines_that_are_cut_short_are_refused),
        cmocka_unit_test(points_that_cannot_be_are_rejected),
        cmocka_unit_test(an_unknown_device_leaves_no_point),
        cmocka_unit_test(units_stand_in_the_names_of_columns),
        cmocka_unit_test(rows_of_tables_that_cannot_be_are_rejected),
        cmocka_unit_test(statistics_are_of_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
