/* Expert loads of published benchmarks. */
#include "sim/planning/kernel_load.h"
#include "tests/unit/shipped.h"

#include <math.h>

static double sum_of(const double *rows, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += rows[i];
    return sum;
}

static void balanced(void **state)
{
    (void)state;
    double rows[KERNEL_LOAD_DRAWS * KERNEL_MAX_EXPERTS];
    /* By hand: 10 tokens, 2 of 4 experts each: tokens 0..9 go to t and t + 2 modulo 4. */
    KernelLoad load = {.tokens = 10, .experts = 4, .top_k = 2, .ranks = 1};
    assert_int_equal(kernel_load_draw(&load, "a", rows), 1);
    for (size_t i = 0; i < 4; i++)
        assert_near(rows[i], 5, 0);
    load.tokens = 11; /* token 10 adds to experts 2 and 0 */
    kernel_load_draw(&load, "a", rows);
    assert_near(rows[0], 6, 0);
    assert_near(rows[1], 5, 0);
    assert_near(rows[2], 6, 0);
    /* Fewer tokens than a stride: 2 tokens of 8 out of 256 touch 16 experts once. */
    load = (KernelLoad){.tokens = 2, .experts = 256, .top_k = 8, .ranks = 1};
    kernel_load_draw(&load, "a", rows);
    size_t touched = 0;
    for (size_t i = 0; i < 256; i++)
        touched += rows[i] > 0;
    assert_int_equal(touched, 16);
    assert_near(sum_of(rows, 256), 16, 0);
    /* The same as walking every token, for many shapes. */
    for (size_t tokens = 1; tokens < 600; tokens += 37)
        for (size_t top_k = 1; top_k <= 8; top_k++) {
            double walked[24] = {0};
            const size_t stride = (24 + top_k - 1) / top_k;
            load =
                (KernelLoad){.tokens = (double)tokens, .experts = 24, .top_k = top_k, .ranks = 1};
            kernel_load_draw(&load, "a", rows);
            for (size_t t = 0; t < tokens; t++)
                for (size_t i = 0; i < top_k; i++)
                    walked[((tokens >= stride ? t : t * stride / tokens) + i * stride) % 24] += 1;
            for (size_t e = 0; e < 24; e++)
                assert_near(rows[e], walked[e], 0);
        }
}

static void power_law(void **state)
{
    (void)state;
    static double rows[KERNEL_LOAD_DRAWS * KERNEL_MAX_EXPERTS];
    static double again[KERNEL_LOAD_DRAWS * KERNEL_MAX_EXPERTS];
    const double alphas[] = {0.6, 1.01, 1.2};
    for (size_t a = 0; a < 3; a++)
        for (double tokens = 1; tokens <= 16384; tokens *= 8)
            for (size_t experts = 8; experts <= 256; experts *= 4) {
                const KernelLoad load = {.tokens = tokens,
                                         .experts = experts,
                                         .top_k = experts == 8 ? 2 : 8,
                                         .ranks = 1,
                                         .alpha = alphas[a]};
                assert_int_equal(kernel_load_draw(&load, "key", rows), KERNEL_LOAD_DRAWS);
                for (size_t draw = 0; draw < KERNEL_LOAD_DRAWS; draw++) {
                    const double *each = rows + draw * experts;
                    assert_near(sum_of(each, experts), tokens * (double)load.top_k, 0);
                    for (size_t e = 0; e < experts; e++) {
                        assert_true(each[e] >= 0 && each[e] <= tokens);
                        assert_near(each[e], floor(each[e]), 0);
                    }
                }
                kernel_load_draw(&load, "key", again);
                assert_memory_equal(rows, again, KERNEL_LOAD_DRAWS * experts * sizeof *rows);
            }
}

/* Mean over 400 keys of the fullest rank over the mean, with 256 experts, 8,192 tokens, 32 ranks.
 * Expected: a separate simulation of the same generator in another language. */
static void fullest_rank(void **state)
{
    (void)state;
    const double alphas[] = {1.01, 1.2}, expected[] = {2.69, 3.72};
    for (size_t a = 0; a < 2; a++) {
        const KernelLoad load = {
            .tokens = 8192, .experts = 256, .top_k = 8, .ranks = 32, .alpha = alphas[a]};
        double rows[KERNEL_LOAD_DRAWS * 8], sum = 0;
        for (int key = 0; key < 400; key++) {
            char name[16];
            snprintf(name, sizeof name, "%d", key);
            const size_t draws = kernel_load_draw(&load, name, rows);
            sum += sum_of(rows, draws * 8) / (double)draws / (8192.0 * 8 / 32) / 400;
        }
        print_message("  alpha %.2f: fullest rank %.2f of the mean\n", alphas[a], sum);
        assert_near(sum, expected[a], 0.06 * expected[a]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(balanced),
        cmocka_unit_test(power_law),
        cmocka_unit_test(fullest_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
