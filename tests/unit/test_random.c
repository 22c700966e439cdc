#include "sim/engine/random.h"
#include "sim/engine/ziggurat_tables.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_randist.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define assert_near(value, exact, tolerance) assert_true(fabs((value) - (exact)) <= (tolerance))

/* --- published outputs --------------------------------------------------------------------- */

/* First outputs of the authors' xoshiro256plusplus.c (prng.di.unimi.it) from the state {1, 2, 3,
 * 4}; the same numbers stand in the tests of the Rust crate rand_xoshiro. */
static void test_xoshiro256pp_reference(void **state)
{
    (void)state;
    static const uint64_t EXPECTED[] = {
        41943041u,
        58720359u,
        3588806011781223u,
        3591011842654386u,
        9228616714210784205u,
        9973669472204895162u,
        14011001112246962877u,
        12406186145184390807u,
        15849039046786891736u,
        10450023813501588000u,
    };
    RandomStream stream = {{1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof EXPECTED / sizeof EXPECTED[0]; i++)
        assert_true(random_u64(&stream) == EXPECTED[i]);
}

static gsl_rng *new_generator(unsigned long seed)
{
    gsl_rng *generator = gsl_rng_alloc(random_gsl_xoshiro256pp);
    assert_non_null(generator);
    gsl_rng_set(generator, seed);
    return generator;
}

static uint64_t state_word(const gsl_rng *generator, size_t word)
{
    uint64_t value;
    memcpy(&value, (const char *)gsl_rng_state(generator) + word * sizeof value, sizeof value);
    return value;
}

/* Vigna's splitmix64.c from the seed 1477776061723855037 (as in rand_xoshiro's tests). The
 * generator for GSL is seeded by it, so the outputs are its four words. */
static void test_splitmix64_reference(void **state)
{
    (void)state;
    static const uint64_t EXPECTED[] = {1985237415132408290u, 2979275885539914483u,
                                        13511426838097143398u, 8488337342461049707u};
    gsl_rng *generator = new_generator(1477776061723855037u);
    for (size_t i = 0; i < 4; i++)
        assert_true(state_word(generator, i) == EXPECTED[i]);
    gsl_rng_free(generator);
}

/* FNV-1a, 64 bits, of "", "a", "foobar" (test vectors of Noll), then one output of SplitMix64. */
static void test_hash(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t fnv1a;
    } KNOWN[] = {
        {"", 0xcbf29ce484222325u}, {"a", 0xaf63dc4c8601ec8cu}, {"foobar", 0x85944171f73967e8u}};
    for (size_t i = 0; i < 3; i++) {
        gsl_rng *generator = new_generator(KNOWN[i].fnv1a);
        assert_true(random_hash(KNOWN[i].text) == state_word(generator, 0));
        gsl_rng_free(generator);
    }
}

/* --- addresses ----------------------------------------------------------------------------- */

static void test_streams_are_addressed(void **state)
{
    (void)state;
    RandomStream streams[] = {
        random_stream(1, "failures", 0),
        random_stream(1 + (UINT64_C(1) << 32), "failures", 0), /* differs above 32 bits only */
        random_stream(1 + (UINT64_C(1) << 63), "failures", 0),
        random_stream(2, "failures", 0),
        random_stream(1, "failures", 1),
        random_stream(1, "failures", UINT64_C(1) << 32),
        random_stream(1, "failure", 0),
        random_stream(1, "jitter", 0),
        random_stream(1, "", 0),
        random_stream(0, "", 0),
    };
    enum { COUNT = sizeof streams / sizeof streams[0], DRAWS = 64 };
    RandomStream again = random_stream(1, "failures", 0);
    assert_memory_equal(&again, &streams[0], sizeof again);

    uint64_t drawn[COUNT][DRAWS];
    for (size_t s = 0; s < COUNT; s++)
        for (size_t i = 0; i < DRAWS; i++)
            drawn[s][i] = random_u64(&streams[s]);
    for (size_t s = 0; s < COUNT * DRAWS; s++)
        for (size_t t = 0; t < s; t++)
            assert_true(drawn[s / DRAWS][s % DRAWS] != drawn[t / DRAWS][t % DRAWS]);
}

/* Correlation of uniforms drawn side by side: r sqrt(n) is standard normal. */
static void test_streams_are_uncorrelated(void **state)
{
    (void)state;
    enum { DRAWS = 200000 };
    const RandomStream base = random_stream(9, "a", 0);
    const RandomStream others[] = {random_stream(9, "b", 0), random_stream(9, "a", 1),
                                   random_stream(10, "a", 0),
                                   random_stream(9 + (UINT64_C(1) << 32), "a", 0)};
    for (size_t s = 0; s < sizeof others / sizeof others[0]; s++) {
        RandomStream x = base, y = others[s];
        double product = 0;
        for (int i = 0; i < DRAWS; i++)
            product += (random_uniform(&x) - 0.5) * (random_uniform(&y) - 0.5);
        assert_true(fabs(product * 12 / sqrt(DRAWS)) < 5);
    }
}

/* --- distributions ------------------------------------------------------------------------- */

typedef double (*Sampler)(RandomStream *stream);
typedef double (*Quantile)(double p);

static double uniform_quantile(double p)
{
    return p;
}

static double exponential_quantile(double p)
{
    return -log1p(-p);
}

static const struct {
    const char *name;
    Sampler draw;
    Quantile quantile;
    double raw_moments[4], eighth_moment; /* eighth: for the error of the fourth */
} DISTRIBUTIONS[] = {
    {"uniform", random_uniform, uniform_quantile, {1 / 2.0, 1 / 3.0, 1 / 4.0, 1 / 5.0}, 1 / 9.0},
    {"open uniform",
     random_uniform_open,
     uniform_quantile,
     {1 / 2.0, 1 / 3.0, 1 / 4.0, 1 / 5.0},
     1 / 9.0},
    {"exponential", random_exponential, exponential_quantile, {1, 2, 6, 24}, 40320},
    {"normal", random_normal, gsl_cdf_ugaussian_Pinv, {0, 1, 0, 3}, 105},
};
enum { DISTRIBUTION_COUNT = sizeof DISTRIBUTIONS / sizeof DISTRIBUTIONS[0] };

static void test_moments(void **state)
{
    (void)state;
    enum { DRAWS = 1000000 };
    for (size_t d = 0; d < DISTRIBUTION_COUNT; d++) {
        RandomStream stream = random_stream(11, DISTRIBUTIONS[d].name, 0);
        double sums[4] = {0}, sixth = 0;
        for (int i = 0; i < DRAWS; i++) {
            double x = DISTRIBUTIONS[d].draw(&stream), power = 1;
            for (int m = 0; m < 4; m++)
                sums[m] += power *= x;
            sixth += power * x * x;
        }
        const double *exact = DISTRIBUTIONS[d].raw_moments;
        /* Var(mean of x^m) = (E x^2m - (E x^m)^2) / n; the sixth moment from the sample is good
         * enough. */
        double squares[4] = {exact[1], exact[3], sixth / DRAWS, DISTRIBUTIONS[d].eighth_moment};
        for (int m = 0; m < 4; m++) {
            double error = sqrt((squares[m] - exact[m] * exact[m]) / DRAWS);
            if (fabs(sums[m] / DRAWS - exact[m]) > 5 * error)
                fail_msg("%s: moment %d is %g, exact %g, error %g", DISTRIBUTIONS[d].name, m + 1,
                         sums[m] / DRAWS, exact[m], error);
        }
    }
}

/* Chi-square over bins of equal probability, which a wrong strip of a ziggurat cannot pass: with b
 * - 1 degrees of freedom the statistic is about normal with variance 2 (b - 1). The last bin is
 * split to look into the tails. */
static void test_bins(void **state)
{
    (void)state;
    enum { DRAWS = 4000000, BINS = 1000 };
    static unsigned counts[BINS];
    static double edges[BINS - 1];
    for (size_t d = 0; d < DISTRIBUTION_COUNT; d++) {
        memset(counts, 0, sizeof counts);
        for (int i = 1; i < BINS; i++)
            edges[i - 1] = DISTRIBUTIONS[d].quantile((double)i / BINS);
        double far_edge = DISTRIBUTIONS[d].quantile(1 - 1e-4);
        size_t far = 0;
        RandomStream stream = random_stream(12, DISTRIBUTIONS[d].name, 0);
        for (int i = 0; i < DRAWS; i++) {
            double x = DISTRIBUTIONS[d].draw(&stream);
            size_t low = 0, high = BINS - 1;
            while (low < high) {
                size_t middle = (low + high) / 2;
                if (x < edges[middle])
                    high = middle;
                else
                    low = middle + 1;
            }
            counts[low]++;
            far += x > far_edge;
        }
        double expected = (double)DRAWS / BINS, chi_square = 0;
        for (int i = 0; i < BINS; i++)
            chi_square += (counts[i] - expected) * (counts[i] - expected) / expected;
        if (fabs(chi_square - (BINS - 1)) > 5 * sqrt(2.0 * (BINS - 1)))
            fail_msg("%s: chi-square %g of %d", DISTRIBUTIONS[d].name, chi_square, BINS - 1);
        if (fabs((double)far - DRAWS * 1e-4) > 5 * sqrt(DRAWS * 1e-4))
            fail_msg("%s: %zu beyond the 1 - 1e-4 quantile, expected %g", DISTRIBUTIONS[d].name,
                     far, DRAWS * 1e-4);
    }
}

/* A stream whose first output is 2^64 - 256: the lowest strip of a ziggurat, at its right end,
 * which is in the tail. The output is rotl(s0 + s3, 23) + s0; s1 and s2 are free. */
static RandomStream stream_in_tail(RandomStream *source)
{
    uint64_t wanted = UINT64_MAX - 255;
    return (RandomStream){{0, random_u64(source), random_u64(source), wanted >> 23 | wanted << 41}};
}

/* Beyond the start r of its tail the exponential starts over (mean and variance 1); the normal has
 * the mean m = phi(r) / Q(r) there (the inverse Mills ratio) and the variance 1 + r m - m^2. */
static void test_tails(void **state)
{
    (void)state;
    enum { DRAWS = 200000 };
    RandomStream source = random_stream(13, "tails", 0);
    RandomStream check = stream_in_tail(&source);
    assert_true(random_u64(&check) == UINT64_MAX - 255);

    double r = NORMAL_X[1];
    double mills = gsl_ran_ugaussian_pdf(r) / gsl_cdf_ugaussian_Q(r);
    double variance = 1 + r * mills - mills * mills;
    double exponential = 0, square = 0, normal = 0;
    for (int i = 0; i < DRAWS; i++) {
        RandomStream stream = stream_in_tail(&source);
        double x = random_exponential(&stream) - EXPONENTIAL_X[1];
        assert_true(x >= 0);
        exponential += x;
        square += x * x;
        stream = stream_in_tail(&source);
        x = random_normal(&stream);
        assert_true(fabs(x) > r);
        normal += fabs(x);
    }
    assert_near(exponential / DRAWS, 1, 5 / sqrt(DRAWS));
    assert_near(square / DRAWS, 2, 5 * sqrt(20.0 / DRAWS));
    assert_near(normal / DRAWS, mills, 5 * sqrt(variance / DRAWS));
}

static void test_ranges(void **state)
{
    (void)state;
    /* The extreme draws: all bits zero, all bits one. */
    RandomStream zeros = {{0, 0, 0, 0}};
    assert_true(random_uniform(&zeros) == 0);
    assert_true(random_uniform_open(&zeros) == 0x1p-53);
    RandomStream ones = {{UINT64_MAX, 0, 0, 0}}; /* rotl(-1 + 0, 23) + -1 = -2 */
    RandomStream ones_again = ones;
    assert_true(random_uniform(&ones) == 1 - 0x1p-53);
    assert_true(random_uniform_open(&ones_again) == 1 - 0x1p-53);
}

/* --- tables -------------------------------------------------------------------------------- */

/* Marsaglia & Tsang 2000, section 4: strips of equal area v = r f(r) + tail(r), x_i =
 * f^-1(f(x_{i-1}) + v / x_{i-1}). */
static void check_table(const double *x, const double *f, double r, double (*density)(double),
                        double (*inverse)(double), double tail_area)
{
    double area = r * density(r) + tail_area;
    assert_near(x[1], r, 1e-14 * r);
    assert_near(x[0], area / density(r), 1e-13 * x[0]);
    for (int i = 1; i < 255; i++)
        assert_near(x[i + 1], inverse(density(x[i]) + area / x[i]), 1e-11);
    assert_near(density(x[255]) + area / x[255], 1, 1e-13); /* the strips close at the top */
    assert_true(x[256] == 0 && f[256] == 1);
    for (int i = 0; i <= 256; i++)
        assert_near(f[i], density(x[i]), 1e-15 + 1e-14 * density(x[i]));
}

static double exponential_density(double x)
{
    return exp(-x);
}

static double exponential_inverse(double y)
{
    return -log(y);
}

static double normal_density(double x)
{
    return exp(-x * x / 2);
}

static double normal_inverse(double y)
{
    return sqrt(-2 * log(y));
}

/* r as published there: 7.69711747013104972 and 3.6541528853610088. */
static void test_tables(void **state)
{
    (void)state;
    double r = 7.69711747013104972;
    check_table(EXPONENTIAL_X, EXPONENTIAL_F, r, exponential_density, exponential_inverse, exp(-r));
    r = 3.6541528853610088;
    check_table(NORMAL_X, NORMAL_F, r, normal_density, normal_inverse,
                sqrt(acos(0.0)) * erfc(r / sqrt(2)));
}

/* --- GSL ----------------------------------------------------------------------------------- */

static void test_gsl_plug(void **state)
{
    (void)state;
    enum { DRAWS = 500000 };
    assert_string_equal(random_gsl_xoshiro256pp->name, "xoshiro256++");
    gsl_rng *generator = new_generator(4);
    gsl_rng *high =
        new_generator(4 + (1UL << 32)); /* GSL's own generators would not tell these apart */
    RandomStream stream;
    memcpy(&stream, gsl_rng_state(generator), sizeof stream);
    for (int i = 0; i < 100; i++) {
        unsigned long value = gsl_rng_get(generator);
        assert_true(value == random_u64(&stream));
        assert_true(value != gsl_rng_get(high));
    }
    assert_true(gsl_rng_uniform(generator) == random_uniform(&stream));

    gsl_rng_set(generator, 5);
    double sum = 0, smallest = 1;
    for (int i = 0; i < DRAWS; i++) {
        double x = gsl_ran_exponential(generator, 3.0);
        sum += x;
        smallest = x < smallest ? x : smallest;
    }
    assert_true(fabs(sum / DRAWS - 3) < 5 * 3 / sqrt(DRAWS));
    assert_true(smallest > 0);

    unsigned counts[6] = {0};
    for (int i = 0; i < DRAWS; i++)
        counts[gsl_rng_uniform_int(generator, 6)]++;
    for (int i = 0; i < 6; i++)
        assert_true(fabs(counts[i] - DRAWS / 6.0) < 5 * sqrt(DRAWS * 5.0 / 36));

    gsl_rng *copy = gsl_rng_clone(generator);
    assert_true(gsl_rng_get(copy) == gsl_rng_get(generator));
    gsl_rng_free(copy);
    gsl_rng_free(high);
    gsl_rng_free(generator);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xoshiro256pp_reference),
        cmocka_unit_test(test_splitmix64_reference),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_streams_are_addressed),
        cmocka_unit_test(test_streams_are_uncorrelated),
        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_bins),
        cmocka_unit_test(test_tails),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_gsl_plug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
