/* Loops compiled twice: as everything else, and for processors with AVX2, whose vectors are twice
 * as wide; which of the two runs is settled when the program starts. Sums and maxima of doubles are
 * the same to the last bit either way (no multiplication is fused with an addition:
 * -ffp-contract=off). Inside sim/training only. */
#ifndef SIM_TRAINING_WIDE_H
#define SIM_TRAINING_WIDE_H

#include <stdlib.h> /* says which C library it is */

/* Sanitizers are not set up yet when the choice is made; it needs glibc's loader. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WIDE_NOT 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__x86_64__) ||       \
    !defined(__GLIBC__)
#define WIDE_NOT 1
#endif

#ifdef WIDE_NOT
#define WIDE static
#else
#define WIDE __attribute__((target_clones("avx2", "default"))) static
#endif

/* Before a loop: no turn of it reads what another one writes. Compilers forget `restrict` where
 * functions become part of others. */
#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

/* What such loops call: part of each of the two. */
#define WITHIN static inline __attribute__((always_inline))

#endif
