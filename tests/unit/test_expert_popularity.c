/* Popularity models and the rows that tokens bring: probabilities in closed form, exact against
 * approximate draws, published imbalance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "models/expert_choice.h"
#include "sim/training/expert_load.h"
#include "sim/training/expert_popularity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_EXPERTS = 256 };

static RowSampler *sampler_of(size_t experts, size_t top_k, const double *popularity)
{
    RowSampler *sampler = row_sampler_create(experts, top_k, NULL);
    assert_non_null(sampler);
    row_sampler_set(sampler, popularity);
    return sampler;
}

static void draw_popularity(ExpertLoadSpec spec, size_t experts, unsigned long long replication,
                            double *popularity)
{
    RandomStream stream = random_stream(11, "test popularity", replication);
    popularity_draw(&spec, experts, &stream, popularity);
}

static void assert_relative(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance * fabs(expected)))
        fail_msg("%.10g, expected %.10g within %g", got, expected, tolerance);
}

/* Of all ordered choices without putting back, one after the other. */
static void add_orders(const double *popularity, size_t experts, size_t k, unsigned taken,
                       double left, double chance, double *inclusion)
{
    for (size_t i = 0; i < experts; i++) {
        if ((taken >> i & 1u) != 0)
            continue;
        const double here = chance * popularity[i] / left;
        inclusion[i] += here;
        if (k > 1)
            add_orders(popularity, experts, k - 1, taken | 1u << i, left - popularity[i], here,
                       inclusion);
    }
}

static void test_inclusion_by_enumeration(void **state)
{
    (void)state;
    double popularity[8];
    const double exponents[] = {0, 0.5, 1, 2};
    for (size_t s = 0; s < sizeof exponents / sizeof *exponents; s++)
        for (size_t k = 1; k <= 8; k++) {
            double expected[8] = {0}, sum = 0;
            draw_popularity((ExpertLoadSpec){.model = EXPERT_LOAD_ZIPF, .exponent = exponents[s]},
                            8, s, popularity);
            add_orders(popularity, 8, k, 0, 1, 1, expected);
            RowSampler *sampler = sampler_of(8, k, popularity);
            const double *inclusion = row_sampler_inclusion(sampler);
            for (size_t i = 0; i < 8; i++) {
                assert_relative(inclusion[i], expected[i], 2e-3);
                sum += inclusion[i];
            }
            assert_relative(sum, (double)k, 1e-4);
            row_sampler_destroy(sampler);
        }
}

/* Limits for many tokens: the largest inclusion over k / E. 16 experts, top 2, Zipf 0.25, 0.5, 1,
 * 1.2: 1.552, 2.290, 4.168, 4.940 by exact inclusion probabilities. */
static void test_limits_of_zipf(void **state)
{
    (void)state;
    const double exponents[] = {0.25, 0.5, 1, 1.2}, limits[] = {1.552, 2.290, 4.168, 4.940};
    for (size_t s = 0; s < 4; s++) {
        double popularity[16], rows[16];
        RandomStream stream = random_stream(5, "test rows", s);
        draw_popularity((ExpertLoadSpec){.model = EXPERT_LOAD_ZIPF, .exponent = exponents[s]}, 16,
                        s, popularity);
        RowSampler *sampler = sampler_of(16, 2, popularity);
        row_sampler_draw(sampler, 1e8, &stream, rows);
        assert_relative(expert_load_most(rows, 16, 16), limits[s], 1e-3);
        row_sampler_destroy(sampler);
    }
}

/* Independent draws of a density x^-a between 1 and S have the mean (S^(2-a) - 1)(1-a) /
 * (S^(1-a) - 1)(2-a), and the typical layer's upper half the share of it that lies above the
 * median: held against an integral in steps. At a = 1 and 2 the powers go over into logarithms. */
static void test_power_law(void **state)
{
    (void)state;
    enum { STEPS = 200000, EXPERTS = 64 };
    const double exponents[] = {0, 0.5, 1, 1.2, 2, 3}, span = 1000;
    for (size_t s = 0; s < sizeof exponents / sizeof *exponents; s++) {
        const double a = exponents[s];
        double area = 0, mass = 0, upper = 0, low_area = 0, popularity[EXPERTS], half = 0;
        const double median = expert_power_law_quantile(a, span, 0.5);
        for (int i = 0; i < STEPS; i++) { /* in steps of the logarithm */
            const double x = exp((i + 0.5) / STEPS * log(span)), width = x * log(span) / STEPS;
            area += width * pow(x, -a);
            mass += width * pow(x, 1 - a);
            low_area += x < median ? width * pow(x, -a) : 0;
            upper += x < median ? 0 : width * pow(x, 1 - a);
        }
        assert_relative(low_area / area, 0.5, 1e-3);
        assert_relative(expert_power_law_quantile(a, span, 0), 1, 1e-12);
        assert_relative(expert_power_law_quantile(a, span, 1), span, 1e-9);
        const ExpertLoadSpec spec = {.model = EXPERT_LOAD_POWER_LAW, .exponent = a, .span = span};
        expert_popularity_typical(&spec, EXPERTS, popularity);
        for (size_t i = 0; i < EXPERTS / 2; i++) {
            half += popularity[i];
            assert_true(popularity[i] >= popularity[i + 1]);
        }
        assert_relative(half, upper / mass, 1e-3);
        /* drawn: popularity over the least of all is x, to within 1 / 4096 of its range */
        double drawn[4096] = {0}, least = 1, above = 0;
        draw_popularity(spec, 4096, s, drawn);
        for (size_t i = 0; i < 4096; i++)
            least = fmin(least, drawn[i]);
        for (size_t i = 0; i < 4096; i++)
            above += drawn[i] > median * least;
        assert_true(fabs(above / 4096 - 0.5) < 4 * 0.5 / 64); /* four standard errors */
    }
}

/* Means and variances over draws, of tokens drawn one by one and of many at once: T pi and
 * T pi (1 - pi), and every draw has exactly k rows a token. */
static void check_moments(size_t experts, size_t top_k, double tokens)
{
    enum { DRAWS = 4000 };
    double popularity[MOST_EXPERTS], rows[MOST_EXPERTS];
    double sum[MOST_EXPERTS] = {0}, squares[MOST_EXPERTS] = {0};
    RandomStream stream = random_stream(17, "test rows", (unsigned long long)tokens);
    draw_popularity((ExpertLoadSpec){.model = EXPERT_LOAD_LOGNORMAL, .sigma = 0.7}, experts, 3,
                    popularity);
    RowSampler *sampler = sampler_of(experts, top_k, popularity);
    for (int draw = 0; draw < DRAWS; draw++) {
        double all = 0;
        row_sampler_draw(sampler, tokens, &stream, rows);
        for (size_t i = 0; i < experts; i++) {
            assert_true(rows[i] >= 0 && rows[i] <= tokens && rows[i] == floor(rows[i]));
            all += rows[i];
            sum[i] += rows[i];
            squares[i] += rows[i] * rows[i];
        }
        assert_true(all == tokens * (double)top_k);
    }
    const double *inclusion = row_sampler_inclusion(sampler);
    for (size_t i = 0; i < experts; i++) {
        const double mean = sum[i] / DRAWS, variance = squares[i] / DRAWS - mean * mean;
        const double expected = tokens * inclusion[i] * (1 - inclusion[i]);
        const double error = sqrt(expected / DRAWS) + 2e-3 * tokens * inclusion[i] / 5;
        if (!(fabs(mean - tokens * inclusion[i]) <= 5 * error))
            fail_msg("mean %g, expected %g +- %g", mean, tokens * inclusion[i], error);
        /* of 4,000 draws a variance is known to sqrt(2 / 4000) = 2.2%; rounding adds 1/12 */
        assert_true(fabs(variance - expected) <= 0.12 * expected + 0.2);
    }
    row_sampler_destroy(sampler);
}

static void test_moments(void **state)
{
    (void)state;
    check_moments(16, 1, 500);
    check_moments(16, 2, 500);
    check_moments(16, 2, 50000);
    check_moments(64, 6, 300);
    check_moments(64, 6, 30000);
}

/* Means of what makes steps slow, token by token and many at once, where the two meet: 512 tokens
 * of top 8 are drawn one by one, 513 are not. */
static void test_both_ways_meet(void **state)
{
    (void)state;
    enum { DRAWS = 3000, EXPERTS = 128 };
    double most[2] = {0}, dropped[2] = {0}, rows[EXPERTS], popularity[EXPERTS];
    draw_popularity((ExpertLoadSpec){.model = EXPERT_LOAD_DIRICHLET, .concentration = 10}, EXPERTS,
                    1, popularity);
    RowSampler *sampler = sampler_of(EXPERTS, 8, popularity);
    for (int side = 0; side < 2; side++) {
        RandomStream stream = random_stream(23, "test rows", (unsigned long long)side);
        for (int draw = 0; draw < DRAWS; draw++) {
            row_sampler_draw(sampler, 512 + side, &stream, rows);
            most[side] += expert_load_most(rows, EXPERTS, 16) / DRAWS;
            dropped[side] += expert_load_dropped(rows, EXPERTS, 1.27) / DRAWS;
        }
    }
    assert_relative(most[1], most[0], 0.01);
    assert_relative(dropped[1], dropped[0], 0.03);
    row_sampler_destroy(sampler);
}

static void test_bounds_of_popularity(void **state)
{
    (void)state;
    const ExpertLoadSpec specs[] = {
        {.model = EXPERT_LOAD_LOGNORMAL, .sigma = 5},
        {.model = EXPERT_LOAD_AUXILIARY_LOSS, .sigma = 0.2},
        {.model = EXPERT_LOAD_DIRICHLET, .concentration = 0.001},
        {.model = EXPERT_LOAD_ZIPF, .exponent = 10},
        {.model = EXPERT_LOAD_UNIFORM},
    };
    double popularity[MOST_EXPERTS], drifted[MOST_EXPERTS], rows[MOST_EXPERTS];
    for (size_t s = 0; s < sizeof specs / sizeof *specs; s++) {
        RandomStream stream = random_stream(29, "test rows", s);
        draw_popularity(specs[s], MOST_EXPERTS, s, popularity);
        popularity_drift(5, MOST_EXPERTS, &stream, popularity, drifted);
        RowSampler *sampler = sampler_of(MOST_EXPERTS, 8, drifted);
        const double counts[] = {0, 1, 100, 1e5};
        for (size_t t = 0; t < 4; t++) {
            double sum = 0, all = 0;
            row_sampler_draw(sampler, counts[t], &stream, rows);
            for (size_t i = 0; i < MOST_EXPERTS; i++) {
                assert_true(drifted[i] > 0 && rows[i] >= 0 && rows[i] <= counts[t]);
                sum += drifted[i];
                all += rows[i];
            }
            assert_relative(sum, 1, 1e-9);
            assert_relative(all, 8 * counts[t], 1e-2);
        }
        row_sampler_destroy(sampler);
    }
    assert_null(row_sampler_create(0, 1, NULL));
    assert_null(row_sampler_create(MAX_EXPERTS + 1, 1, NULL));
    assert_null(row_sampler_create(8, 0, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inclusion_by_enumeration),
        cmocka_unit_test(test_limits_of_zipf),
        cmocka_unit_test(test_power_law),
        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_both_ways_meet),
        cmocka_unit_test(test_bounds_of_popularity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
