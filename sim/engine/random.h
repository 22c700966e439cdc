/* Named random streams.
 *
 * A stream is addressed by (seed, name, replication): the same address gives the same numbers on
 * any thread and in any order of use, and two names never share numbers, so that changing one
 * setting leaves every other cause untouched (common random numbers). GSL's own generators take
 * 32-bit seeds; this plugs xoshiro256++ (Blackman & Vigna 2021, seeded through SplitMix64) in as a
 * gsl_rng_type, so that all of gsl_randist works on it. Doubles carry 53 bits.
 */
#ifndef SIM_ENGINE_RANDOM_H
#define SIM_ENGINE_RANDOM_H

#include <gsl/gsl_rng.h>
#include <stddef.h>
#include <stdint.h>

typedef struct RandomStream {
    uint64_t state[4];
} RandomStream;

/* Type for gsl_rng_alloc. gsl_rng_set takes all 64 bits of a seed where this builds, and seeds as
 * Vigna advises; to follow a named stream, seed it with random_u64 of that stream. */
extern const gsl_rng_type *const random_gsl_xoshiro256pp;

RandomStream random_stream(uint64_t seed, const char *name, uint64_t replication);
uint64_t random_hash(const char *text); /* FNV-1a, 64 bits, finished by SplitMix64 */

uint64_t random_u64(RandomStream *stream);
double random_uniform(RandomStream *stream);      /* [0, 1) with 53 bits */
double random_uniform_open(RandomStream *stream); /* (0, 1) with 52 bits */

/* Ziggurats of 256 strips (Marsaglia & Tsang 2000). */
double random_exponential(RandomStream *stream); /* mean 1, [0, inf) */
double random_normal(RandomStream *stream);      /* mean 0, standard deviation 1 */

/* Values in random order (Fisher & Yates). */
void random_shuffle(double *values, size_t count, RandomStream *stream);

#endif
