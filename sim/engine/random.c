#include "sim/engine/random.h"

#include "sim/engine/ziggurat_tables.h"

#include <math.h>
#include <stddef.h>

_Static_assert(sizeof(unsigned long) == sizeof(uint64_t), "gsl_rng_set passes a whole seed");

/* --- xoshiro256++ and SplitMix64 ----------------------------------------------------------- */

/* Steele, Lea, Flood 2014; constants of Vigna's splitmix64.c. A bijection of 64 bits. */
static uint64_t splitmix64(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t mix(uint64_t value)
{
    return splitmix64(&value);
}

/* Blackman & Vigna 2021. The four words are never all zero: SplitMix64 gives zero for one state
 * only. */
static void fill_state(uint64_t state[4], uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        state[i] = splitmix64(&seed);
}

static uint64_t rotate_left(uint64_t value, int bits)
{
    return value << bits | value >> (64 - bits);
}

static inline uint64_t next(uint64_t state[4])
{
    uint64_t result = rotate_left(state[0] + state[3], 23) + state[0];
    uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate_left(state[3], 45);
    return result;
}

/* The upper 53 bits as a double in [0, 1). */
static inline double unit_interval(uint64_t bits)
{
    return (double)(int64_t)(bits >> 11) * 0x1p-53;
}

/* --- streams ------------------------------------------------------------------------------- */

uint64_t random_hash(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a, Fowler, Noll, Vo */
    for (const unsigned char *byte = (const unsigned char *)text; *byte != 0; byte++)
        hash = (hash ^ *byte) * UINT64_C(0x100000001b3);
    return mix(hash);
}

RandomStream random_stream(uint64_t seed, const char *name, uint64_t replication)
{
    /* Each step is a bijection of what came before and of what is added, so two addresses that
     * differ in one part only never meet. */
    uint64_t address = mix(mix(mix(seed) + random_hash(name)) + replication);
    RandomStream stream;
    fill_state(stream.state, address);
    return stream;
}

uint64_t random_u64(RandomStream *stream)
{
    return next(stream->state);
}

double random_uniform(RandomStream *stream)
{
    return unit_interval(next(stream->state));
}

double random_uniform_open(RandomStream *stream)
{
    /* Midpoints of 2^52 cells: neither end can be rounded to. */
    return ((double)(int64_t)(next(stream->state) >> 12) + 0.5) * 0x1p-52;
}

/* --- ziggurats ----------------------------------------------------------------------------- */

/* One draw of 64 bits gives the strip (low 8 bits) and the place in it (high 53 bits); the normal
 * takes its sign from bit 8. No bit serves twice (Doornik 2005 on what happens otherwise). */

/* What the fast paths below leave: about 1.2 draws in 100. Kept apart so that those stay short. */
static double exponential_rest(RandomStream *stream, size_t strip, double x)
{
    double passed = 0; /* tails gone through: beyond X[1] the exponential starts over */
    for (;;) {
        if (x < EXPONENTIAL_X[strip + 1])
            return passed + x;
        if (strip == 0) {
            passed += EXPONENTIAL_X[1];
        } else {
            double height = EXPONENTIAL_F[strip + 1] - EXPONENTIAL_F[strip];
            if (EXPONENTIAL_F[strip] + unit_interval(next(stream->state)) * height < exp(-x))
                return passed + x;
        }
        uint64_t bits = next(stream->state);
        strip = bits & 255;
        x = unit_interval(bits) * EXPONENTIAL_X[strip];
    }
}

double random_exponential(RandomStream *stream)
{
    uint64_t bits = next(stream->state);
    size_t strip = bits & 255;
    double x = unit_interval(bits) * EXPONENTIAL_X[strip];
    return x < EXPONENTIAL_X[strip + 1] ? x : exponential_rest(stream, strip, x);
}

/* Marsaglia 1964: the normal beyond `start`. */
static double normal_tail(RandomStream *stream, double start)
{
    for (;;) {
        double beyond = -log(random_uniform_open(stream)) / start;
        double bound = -log(random_uniform_open(stream));
        if (2 * bound > beyond * beyond)
            return start + beyond;
    }
}

double random_normal(RandomStream *stream)
{
    for (;;) {
        uint64_t bits = next(stream->state);
        size_t strip = bits & 255;
        double sign = (bits & 256) != 0 ? -1.0 : 1.0;
        double x = unit_interval(bits) * NORMAL_X[strip];
        if (x < NORMAL_X[strip + 1])
            return sign * x;
        if (strip == 0)
            return sign * normal_tail(stream, NORMAL_X[1]);
        double height = NORMAL_F[strip + 1] - NORMAL_F[strip];
        if (NORMAL_F[strip] + unit_interval(next(stream->state)) * height < exp(-x * x / 2))
            return sign * x;
    }
}

/* --- GSL ----------------------------------------------------------------------------------- */

static void gsl_set(void *state, unsigned long seed)
{
    fill_state(state, seed);
}

static unsigned long gsl_get(void *state)
{
    return next(state);
}

static double gsl_get_double(void *state)
{
    return unit_interval(next(state));
}

static const gsl_rng_type XOSHIRO256PP = {
    .name = "xoshiro256++",
    .max = UINT64_MAX,
    .min = 0,
    .size = sizeof(uint64_t[4]),
    .set = gsl_set,
    .get = gsl_get,
    .get_double = gsl_get_double,
};

const gsl_rng_type *const random_gsl_xoshiro256pp = &XOSHIRO256PP;

void random_shuffle(double *values, size_t count, RandomStream *stream)
{
    for (size_t i = count; i > 1; i--) {
        const size_t other = (size_t)(random_uniform(stream) * (double)i);
        const double value = values[i - 1];
        values[i - 1] = values[other];
        values[other] = value;
    }
}
