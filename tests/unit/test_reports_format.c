#include "reports/ascii.h"
#include "reports/format.h"
#include "reports/terminal.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void quantities_have_few_digits_and_a_unit(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *unit, *text;
    } cases[] = {
        {98.76, "days", "98.8 days"},
        {102.04, "days", "102.0 days"},
        {63e6, "USD", "$63.0M"},
        {0.0049, "USD", "$0.00490"},
        {1.5, "USD/h", "$1.50/h"},
        {0.0049, "USD per 1k tokens", "$0.00490 per 1k tokens"},
        {-2.5e9, "USD", "-$2.50B"},
        {0.34, "fraction", "34.0%"},
        {0.0123, "s", "12.3 ms"},
        {0, "s", "0.00 s"},
        {7500, "s", "2.08 h"},
        {30e9, "bytes", "30.0 GB"},
        {560e9, "FLOPs", "560.0 GFLOPs"},
        {2.15e25, "FLOPs", "2.15e25 FLOPs"},
        {312e12, "FLOP/s", "312.0 TFLOP/s"},
        {1.8e12, "parameters", "1.80T parameters"},
        {24960, "GPUs", "24960 GPUs"},
        {120, "layers", "120 layers"},
        {3.1, "ratio", "3.10 ratio"},
        {4e11, "bit/s", "400.0 Gb/s"},
        {2.5, "", "2.50"},
        {(double)NAN, "days", "n/a"},
        {(double)INFINITY, "USD", "n/a"},
        {1e300, "days", "1e300 days"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        format_quantity(cases[i].value, cases[i].unit, text, sizeof text);
        assert_string_equal(text, cases[i].text);
    }
}

static void an_interval_shares_scale_and_unit(void **state)
{
    (void)state;
    char text[96];
    const Summary days = {.p50 = 102, .p5 = 95.51, .p95 = 108.27};
    format_summary(&days, "days", text, sizeof text);
    assert_string_equal(text, "102.0 days [95.5 .. 108.3]");
    const Summary cost = {.p50 = 61e6, .p5 = 59e6, .p95 = 123e6};
    format_summary(&cost, "USD", text, sizeof text);
    assert_string_equal(text, "$61.0M [59.0 .. 123.0]");
    const Summary exact = {.p50 = 120, .p5 = 120, .p95 = 120};
    format_summary(&exact, "layers", text, sizeof text);
    assert_string_equal(text, "120 layers");
}

static void published_figures_keep_their_digits(void **state)
{
    (void)state;
    char text[96];
    Claim claim = {.has_low = 1, .has_high = 1, .low = 90, .high = 100, .unit = "days"};
    format_claim_range(&claim, text, sizeof text);
    assert_string_equal(text, "90 .. 100 days");
    claim = (Claim){.has_low = 1, .has_high = 1, .low = 0.32, .high = 0.36, .unit = "fraction"};
    format_claim_range(&claim, text, sizeof text);
    assert_string_equal(text, "32 .. 36%");
    claim = (Claim){.has_low = 1, .has_high = 1, .low = 2.15e25, .high = 2.15e25, .unit = "FLOPs"};
    format_claim_range(&claim, text, sizeof text);
    assert_string_equal(text, "2.15e25 FLOPs");
    claim = (Claim){.has_high = 1, .high = 30e9, .unit = "bytes"};
    format_claim_range(&claim, text, sizeof text);
    assert_string_equal(text, "up to 30 GB");
    claim = (Claim){.has_low = 1, .low = 2, .unit = "ratio"};
    format_claim_range(&claim, text, sizeof text);
    assert_string_equal(text, "at least 2 ratio");
    claim = (Claim){.unit = "text"};
    format_claim_range(&claim, text, sizeof text);
    assert_string_equal(text, "-");
}

static void shares_without_a_unit_are_shown_as_percent(void **state)
{
    (void)state;
    const Metric mfu = {.name = "run.mfu_effective_6nd"}, plain = {.name = "plan.zero_stage"};
    const Metric days = {.name = "run.days", .unit = "days"};
    assert_string_equal(metric_display_unit(&mfu), "fraction");
    assert_string_equal(metric_display_unit(&plain), "");
    assert_string_equal(metric_display_unit(&days), "days");
}

static void counts_are_grouped(void **state)
{
    (void)state;
    char text[32], small[5];
    format_count(24960, text, sizeof text);
    assert_string_equal(text, "24,960");
    format_count(-1234567, text, sizeof text);
    assert_string_equal(text, "-1,234,567");
    format_count(7, text, sizeof text);
    assert_string_equal(text, "7");
    format_count(123456, small, sizeof small); /* cut, never past the end */
    assert_true(strlen(small) < sizeof small);
}

static void foreign_text_cannot_move_the_cursor(void **state)
{
    (void)state;
    char text[64], short_text[4];
    ascii_copy("a\033[2Jb\tc\xC3\xA9\xFF", text, sizeof text);
    assert_string_equal(text, "a?[2Jb c??");
    ascii_copy("abcdef", short_text, sizeof short_text);
    assert_string_equal(short_text, "abc");
}

static void wrapped_lines_stay_within_the_screen(void **state)
{
    (void)state;
    char *text = NULL;
    size_t bytes = 0;
    char words[1200];
    for (size_t i = 0; i < sizeof words; i++) /* words of 1 to 20 letters, and one of 300 */
        words[i] = i > 800 && i < 1100 ? 'x' : i % (7 + i % 13) == 0 ? ' ' : 'a';
    words[sizeof words - 1] = '\0';
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    ascii_wrap(out, words, 5);
    assert_int_equal(fclose(out), 0);
    size_t letters = 0, wanted = 0;
    for (const char *c = words; *c != '\0'; c++)
        wanted += *c != ' ';
    for (const char *line = text; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        assert_true(length <= SCREEN_COLUMNS);
        assert_memory_equal(line, "     ", 5);
        for (size_t i = 0; i < length; i++)
            letters += line[i] != ' ';
        line += length + 1;
    }
    assert_int_equal(letters, wanted); /* nothing is lost */
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantities_have_few_digits_and_a_unit),
        cmocka_unit_test(an_interval_shares_scale_and_unit),
        cmocka_unit_test(published_figures_keep_their_digits),
        cmocka_unit_test(shares_without_a_unit_are_shown_as_percent),
        cmocka_unit_test(counts_are_grouped),
        cmocka_unit_test(foreign_text_cannot_move_the_cursor),
        cmocka_unit_test(wrapped_lines_stay_within_the_screen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
