/* What tests look at inside the engine: that memory does not grow, and how often entries move. */
#ifndef SIM_ENGINE_ENGINE_INTERNAL_H
#define SIM_ENGINE_ENGINE_INTERNAL_H

#include "sim/engine/engine.h"

typedef struct EngineStatistics {
    size_t record_capacity; /* event records in the pool */
    size_t block_capacity;  /* blocks of queue entries in the reserve */
    size_t stale;           /* entries of cancelled events that are still in the queue */
    uint64_t moves;         /* queue entries moved from place to place, since creation */
} EngineStatistics;

EngineStatistics engine_statistics(const Engine *engine);

#endif
