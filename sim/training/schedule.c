/* Pipeline schedules as data: the order in which one stage works through its microbatches. */
#include "sim/training/step.h"

static unsigned forward(size_t microbatch)
{
    return (unsigned)(2 * microbatch);
}

static unsigned backward(size_t microbatch)
{
    return (unsigned)(2 * microbatch + 1);
}

/* `ahead` forwards, then one forward and one backward in turn, then the backwards that are left.
 * 1F1B lets stage i run p - 1 - i microbatches ahead of its first backward (Narayanan et al. 2021,
 * figure 4); GPipe lets every stage run all m ahead (Huang et al. 2019, figure 2c). */
static void fill_order(size_t ahead, size_t microbatches, unsigned *order)
{
    size_t entry = 0;
    for (size_t i = 0; i < ahead; i++)
        order[entry++] = forward(i);
    for (size_t i = ahead; i < microbatches; i++) {
        order[entry++] = forward(i);
        order[entry++] = backward(i - ahead);
    }
    for (size_t i = microbatches - ahead; i < microbatches; i++)
        order[entry++] = backward(i);
}

Status step_schedule(PipelineSchedule schedule, size_t stages, size_t stage, size_t microbatches,
                     unsigned *order, Error *error)
{
    if (stage >= stages || microbatches == 0 || microbatches > STEP_MAX_TASKS)
        return error_set(error, STATUS_INVALID,
                         "no schedule for stage %zu of %zu with %zu microbatches", stage, stages,
                         microbatches);

    size_t ahead = microbatches;
    if (schedule == SCHEDULE_1F1B && stages - 1 - stage < microbatches)
        ahead = stages - 1 - stage;
    fill_order(ahead, microbatches, order);
    return STATUS_OK;
}
