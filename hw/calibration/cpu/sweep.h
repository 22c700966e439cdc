/* The micro-benchmarks of calibration on this machine's CPU, and the points they write. */
#ifndef HW_CALIBRATION_CPU_SWEEP_H
#define HW_CALIBRATION_CPU_SWEEP_H

#include "hw/calibration/cpu/sampler.h"

#include <stdint.h>

/* How many calls of sampler_progress a sweep makes. */
size_t sweep_count(int quick, int threads);

/* Runs all of them. 0, or -1 without memory. */
int sweep_run(Sampler *sampler, uint64_t seed);

/* What several kinds of work share. Weights are taken in turn from so many bytes, so that work
 * finds its own no longer in the near caches: "cold" on a CPU means rotated. */
size_t sweep_rotated_bytes(int quick);
float *sweep_floats(size_t count, uint64_t *state);
CalPoint sweep_point(CalOp op, CalPass pass, const char *impl);

/* sweep_layer.c: whole layers, which give the points of their stages too. */
size_t sweep_layer_count(int quick);
int sweep_layers(Sampler *sampler, uint64_t seed);

#endif
