/* Runs CUDA kernels on the CPU, for tests: what the tests set and read of it. Every CUDA thread is
 * a fiber; one OS thread runs them all, and the order in which it does is chosen here. What a GPU
 * leaves to chance is made as bad as it can be: fresh memory is NaN, background copies land as
 * late (or, in reverse order, as early) as they may. Misuse ends the process with a message and
 * status EMULATOR_FAILED: a barrier that a thread never reaches, lanes of a warp that disagree, a
 * wrong direction of a copy, an operand outside of its allocation.
 */
#ifndef TESTS_EMULATION_EMULATOR_H
#define TESTS_EMULATION_EMULATOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { EMULATOR_FAILED = 70 };

typedef enum EmulatorOrder {
    EMULATOR_FORWARD, /* blocks and warps ascending, a warp as far as it gets */
    EMULATOR_REVERSE,
    EMULATOR_RANDOM, /* blocks, warps and lanes; a warp is left at random points */
    EMULATOR_ORDERS
} EmulatorOrder;

void emulator_order(EmulatorOrder order, uint64_t seed);

/* One of the mistakes that the sources know by number (PLANTED); 0: none. */
void emulator_plant(int bug);

/* GPUs that the machine pretends to have; 0: no driver either. 1 at the start. */
void emulator_devices(int count);

/* Fails the nth allocation of device memory from now on; 0: none. */
void emulator_fail_allocation(int number);

size_t emulator_live_allocations(void);

typedef struct EmulatorCounts {
    uint64_t launches, blocks, threads, switches, warp_operations, products;
} EmulatorCounts;
EmulatorCounts emulator_counts(void);

#ifdef __cplusplus
}
#endif

#endif
