/* Runs independent replications on several threads. Which thread runs which index is unspecified;
 * a body writes only to what belongs to its index, so results do not depend on `threads`. */
#ifndef SIM_ENGINE_PARALLEL_H
#define SIM_ENGINE_PARALLEL_H

#include "configs/reader/error.h"

#include <stddef.h>

/* `worker` is 0..threads-1: a body may keep scratch memory per worker. */
typedef Status (*ParallelBody)(void *context, size_t index, size_t worker, Error *error);

/* Stops handing out indices after the first failure (the one of the lowest index is reported).
 * `threads` == 0 means the number of processors; the result says the number used (>= 1). */
size_t parallel_threads(size_t threads);
Status parallel_for(size_t count, size_t threads, ParallelBody body, void *context, Error *error);

#endif
