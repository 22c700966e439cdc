#include "tests/unit/report_fixture.h"

#include "reports/terminal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { WHAT_SCREEN, WHAT_FULL, WHAT_TRAIN, WHAT_SERVE };

static char *show(const Fixture *fixture, int what, int color)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    const TerminalStyle style = {.color = color};
    assert_non_null(out);
    switch (what) {
    case WHAT_SCREEN:
        terminal_audit_screen(out, &fixture->audit, &fixture->provenance, style);
        break;
    case WHAT_FULL:
        terminal_audit_full(out, &fixture->audit, &fixture->provenance, style);
        break;
    case WHAT_TRAIN:
        terminal_train(out, &fixture->scenarios[0].scenario, &fixture->scenarios[0].train,
                       &fixture->provenance, style);
        break;
    default:
        terminal_serve(out, &fixture->scenarios[2].scenario, &fixture->scenarios[2].serve,
                       &fixture->provenance, style);
    }
    assert_int_equal(fclose(out), 0);
    return text;
}

/* Every line at most 80 columns of printable ASCII; returns how many there are. */
static size_t check_lines(const char *text)
{
    size_t lines = 0;
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        assert_true(length <= 80);
        for (size_t i = 0; i < length; i++)
            assert_in_range((unsigned char)text[i], 0x20, 0x7E);
        lines++;
        text += length + (text[length] == '\n');
    }
    return lines;
}

static void first_screen_answers_first(void **state)
{
    (void)state;
    Fixture *fixture = fixture_make();
    char *text = show(fixture, WHAT_SCREEN, 0);
    assert_in_range(check_lines(text), 10, 24);
    const char *days = strstr(text, "104.0 days [87.8 .. 120.2]");
    assert_non_null(days);
    assert_true(days < strstr(text, "pipeline bubble"));
    /* each quantity beside its published figure and verdict */
    assert_non_null(strstr(text,
                           "duration               104.0 days [87.8 .. 120.2]    90 .. 100 days "
                           "reproduced\n"));
    assert_non_null(strstr(text, "$62.3M [52.6 .. 72.0]         $63M           reproduced"));
    assert_non_null(strstr(text, "effective MFU (6ND)    31.1% "));
    assert_non_null(strstr(text, "32 .. 36%      explained"));
    assert_non_null(strstr(text, "goodput                93.1% [90.7 .. 95.5]          -\n"));
    assert_non_null(strstr(text, "h100 duration"));
    assert_non_null(strstr(text, "serve_a100 $/1k tokens $0.00410"));
    assert_non_null(strstr(text, "6 reproduced, 1 explained, 1 contradicted, 2 untestable"));
    assert_non_null(strstr(text, "kernel_overhead (+0.82)"));
    assert_non_null(strstr(text, "seed 1"));
    assert_null(strchr(text, '\033'));
    free(text);
    fixture_free(fixture);
}

static void colours_come_only_when_asked_for(void **state)
{
    (void)state;
    Fixture *fixture = fixture_make();
    char *text = show(fixture, WHAT_SCREEN, 1);
    assert_non_null(strstr(text, "\033[31mcontradicted\033[0m"));
    free(text);
    fixture_free(fixture);
}

static void a_file_without_headline_shows_its_first_claims(void **state)
{
    (void)state;
    Fixture *fixture = fixture_make();
    fixture->audit.headline = NULL;
    fixture->audit.driver_count = 0;
    char *text = show(fixture, WHAT_SCREEN, 0);
    assert_in_range(check_lines(text), 5, 24);
    assert_non_null(strstr(text, "C01 total parameters"));
    assert_non_null(strstr(text, "1.83T parameters"));
    free(text);
    fixture_free(fixture);
}

static void hostile_and_long_texts_stay_on_their_lines(void **state)
{
    (void)state;
    Fixture *fixture = fixture_make();
    memset(fixture->file.title, 'W', sizeof fixture->file.title - 1);
    fixture->file.title[3] = '\033';
    fixture->file.title[4] = '\n';
    snprintf(fixture->scenarios[0].scenario.title, TITLE_BYTES, "%s", fixture->file.title);
    memset(fixture->file.claims[0].claim, 'V', TITLE_BYTES - 1);
    memset(fixture->results[0].reason, 'x', REASON_BYTES - 1);
    fixture->provenance.scenario = "a/very/long/path/to/a/file/of/claims/that/will/not/fit/on/any/"
                                   "line/of/a/terminal/gpt4-leak.yaml";
    TrainForecast *train = &fixture->scenarios[0].train;
    train->dropped_choices = 1;
    memset(train->dropped_note, 'y', sizeof train->dropped_note - 1);
    for (int what = WHAT_SCREEN; what <= WHAT_SERVE; what++) {
        char *text = show(fixture, what, 0);
        size_t lines = check_lines(text);
        if (what == WHAT_SCREEN)
            assert_true(lines <= 24);
        if (what >= WHAT_TRAIN)
            assert_true(lines <= 30);
        free(text);
    }
    fixture_free(fixture);
}

static void full_report_has_every_claim_under_its_topic(void **state)
{
    (void)state;
    Fixture *fixture = fixture_make();
    char *text = show(fixture, WHAT_FULL, 0);
    check_lines(text);
    for (size_t i = 0; i < FIXTURE_CLAIMS; i++) {
        char heading[32];
        snprintf(heading, sizeof heading, "\n%s  ", fixture->file.claims[i].id);
        assert_non_null(strstr(text, heading));
    }
    const char *model = strstr(text, "== model ==");
    const char *training = strstr(text, "== training ==");
    const char *serving = strstr(text, "== serving ==");
    assert_true(model != NULL && training > model && serving > training);
    assert_true(strstr(text, "C27  ") > serving && strstr(text, "C19  ") < serving);
    assert_non_null(strstr(text, "published: up to 30 GB"));
    free(text);
    fixture_free(fixture);
}

static void train_and_serve_say_what_counts(void **state)
{
    (void)state;
    Fixture *fixture = fixture_make();
    char *text = show(fixture, WHAT_TRAIN, 0);
    assert_in_range(check_lines(text), 10, 30);
    assert_non_null(
        strstr(text, "24,960 GPUs a100-sxm-80g: TP 8 x PP 15 x DP 208, 36 microbatches"));
    assert_non_null(strstr(text, "stage 1 of 15 needs 73.9 GB of 79.0 GB"));
    free(text);
    text = show(fixture, WHAT_SERVE, 0);
    assert_in_range(check_lines(text), 10, 30);
    assert_non_null(strstr(text, "at most 1098 sequences"));
    free(text);
    fixture->scenarios[2].serve.memory.fits = 0;
    snprintf(fixture->scenarios[2].serve.memory.reason,
             sizeof fixture->scenarios[2].serve.memory.reason, "the weights need 60 GB of 40 GB");
    text = show(fixture, WHAT_SERVE, 0);
    assert_non_null(strstr(text, "does not fit:\n  the weights need 60 GB of 40 GB"));
    free(text);
    fixture_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_screen_answers_first),
        cmocka_unit_test(colours_come_only_when_asked_for),
        cmocka_unit_test(a_file_without_headline_shows_its_first_claims),
        cmocka_unit_test(hostile_and_long_texts_stay_on_their_lines),
        cmocka_unit_test(full_report_has_every_claim_under_its_topic),
        cmocka_unit_test(train_and_serve_say_what_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
