/* What the wave fronts of wave.c and wave_ahead.c have in common. Inside sim/training only. */
#ifndef SIM_TRAINING_WAVE_PARTS_H
#define SIM_TRAINING_WAVE_PARTS_H

#include "sim/training/wave.h"

/* `fmax` without its care for what is not a number. */
static inline double later(double one, double other)
{
    return one > other ? one : other;
}

/* Fronts are worked off in whole vectors. In the places beside the stages, and in those of stages
 * that do not take part yet, stands a time so long before the step that nothing added to it by any
 * path comes near to 0: nobody waits for what is there. */
enum { LANES = 4 };

static inline size_t padded(size_t count)
{
    return (count + LANES - 1) / LANES * LANES;
}

static inline size_t least(size_t one, size_t other)
{
    return one < other ? one : other;
}

static inline size_t most(size_t one, size_t other)
{
    return one > other ? one : other;
}

/* No path is longer than all tasks and a send after each. */
static inline double long_before_s(const Wave *wave)
{
    const ScheduleShape *shape = wave->shape;
    const size_t kinds = shape->stages * shape->chunks * shape->kinds;
    double all_s = (double)kinds * wave->send_s;
    for (size_t i = 0; i < kinds; i++)
        all_s += wave->times[i].total_s;
    return -2.0 * (double)(shape->rounds + shape->stages) * all_s;
}

/* Forwards before the first backward of a stage come as in a flow shop: forward k of stage i ends
 * at (the first one) + k (the longest forward up to stage i). */
typedef struct FlowShop {
    double first_s, longest_s;
} FlowShop;

static inline void next_stage(FlowShop *flow, double forward_s)
{
    flow->longest_s = later(flow->longest_s, forward_s);
    flow->first_s += forward_s;
}

static inline double forward_end_s(const FlowShop *flow, size_t forward)
{
    return flow->first_s + (double)forward * flow->longest_s;
}

/* Interleaved and ZB-2P: what wave_run does, and the numbers of scratch that it takes. */
size_t wave_ahead_scratch(const ScheduleShape *shape);
void wave_ahead_run(const Wave *wave, ChunkEnd *ends);

#endif
