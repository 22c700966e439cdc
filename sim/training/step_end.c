#include "sim/training/step_end.h"

#include <math.h>

/* `fmax` without its care for what is not a number. */
static inline double later(double one, double other)
{
    return one > other ? one : other;
}

bool schedule_has_barrier(PipelineSchedule schedule)
{
    /* ZB-2p updates at once and takes an update back when the gradient's norm turns out too large
     * (Qi et al. 2023, section 4). */
    return schedule != SCHEDULE_ZB_2P;
}

double pipeline_makespan(const ScheduleShape *shape, const PipelineEnds *ends)
{
    bool barrier = schedule_has_barrier(shape->schedule);
    double makespan_s = 0.0;
    for (size_t i = 0; i < shape->stages * shape->chunks; i++) {
        double from_s = barrier ? 0.0 : ends->first_start_s[i / shape->chunks];
        makespan_s = later(makespan_s, ends->chunk[i].end_s - from_s);
    }
    return makespan_s;
}

/* The stage whose parameters a chunk holds: DualPipe's second copy is that of the opposite stage.
 */
static const StageTime *stage_of_chunk(const ScheduleShape *shape, const StepInput *input,
                                       size_t stage, size_t chunk)
{
    bool mirrored = shape->schedule == SCHEDULE_DUALPIPE && chunk == 1;
    return &input->stage[mirrored ? shape->stages - 1 - stage : stage];
}

double step_end_layers(const ScheduleShape *shape, const StepInput *input, size_t stage,
                       size_t chunk)
{
    double layers = shape->schedule == SCHEDULE_INTERLEAVED
                        ? input->chunk[chunk * shape->stages + stage].layers
                        : stage_of_chunk(shape, input, stage, chunk)->layers;
    return later(layers, 1.0);
}

/* The share of its stage's parameters that a chunk holds, by layers. */
static double chunk_share(const ScheduleShape *shape, const StepInput *input, size_t stage,
                          size_t chunk)
{
    if (shape->schedule != SCHEDULE_INTERLEAVED)
        return 1.0;
    double layers = input->stage[stage].layers;
    return layers > 0.0 ? input->chunk[chunk * shape->stages + stage].layers / layers
                        : 1.0 / (double)shape->chunks;
}

/* A stage's backward from its first gradient on, and what of the reduction can run beside it: all
 * but the last layer's of the chunk that ends last. */
typedef struct ReduceWindow {
    double compute_s, communication_s;
} ReduceWindow;

static ReduceWindow reduce_window(const ScheduleShape *shape, const StepInput *input,
                                  const PipelineEnds *ends, size_t stage)
{
    const ChunkEnd *chunks = &ends->chunk[stage * shape->chunks];
    double first_s = HUGE_VAL, end_s = 0.0, reduce_s = 0.0, last_s = 0.0;
    if (input->overlap_grad_reduce == 0)
        return (ReduceWindow){0};
    for (size_t i = 0; i < shape->chunks; i++) {
        double chunk_s = stage_of_chunk(shape, input, stage, i)->grad_reduce_s *
                         chunk_share(shape, input, stage, i);
        reduce_s += chunk_s;
        if (chunks[i].first_gradient_s < first_s)
            first_s = chunks[i].first_gradient_s;
        if (chunks[i].end_s >= end_s) {
            end_s = chunks[i].end_s;
            last_s = chunk_s / step_end_layers(shape, input, stage, i);
        }
    }
    return (ReduceWindow){.compute_s = end_s - first_s, .communication_s = reduce_s - last_s};
}

/* By how much the last backwards of the stages behind this one end later for the reductions beside
 * them: the last microbatch comes down the stages without waiting, so delays add up. Where weight
 * gradients are split off, what a neighbour waits for has left before. */
static bool delays_add_up(const ScheduleShape *shape)
{
    return shape->kinds <= TASK_WEIGHT;
}

/* The reduction of a chunk's gradients begins when every replica has reached that point and the
 * chunk before it is through. With overlap it goes layer by layer behind the last gradients: two
 * servers in tandem with L equal jobs each (gradient b/L, collective G/L), whose end is the later
 * of "first gradient + G" and "last gradient + G/L", and later still by what the two streams lose
 * to each other. */
static double stage_reduced_s(const ScheduleShape *shape, const StepInput *input,
                              const PipelineEnds *ends, const ReduceWindow *window, size_t stage)
{
    const ChunkEnd *chunks = &ends->chunk[stage * shape->chunks];
    bool overlap = input->overlap_grad_reduce != 0;
    /* Chunks end from the last to the first when interleaved. */
    bool ascending = shape->schedule == SCHEDULE_DUALPIPE && chunks[0].end_s < chunks[1].end_s;
    double free_s = 0.0, end_s = 0.0;
    for (size_t i = 0; i < shape->chunks; i++)
        end_s = later(end_s, chunks[i].end_s);
    for (size_t i = 0; i < shape->chunks; i++) {
        size_t chunk = ascending ? i : shape->chunks - 1 - i;
        double reduce_s = stage_of_chunk(shape, input, stage, chunk)->grad_reduce_s *
                          chunk_share(shape, input, stage, chunk);
        double layers = step_end_layers(shape, input, stage, chunk);
        double first_s = overlap ? chunks[chunk].first_gradient_s : end_s;
        double last_s = overlap ? chunks[chunk].end_s + reduce_s / layers : 0.0;
        free_s = later(later(free_s, first_s) + reduce_s, last_s);
    }
    return free_s +
           overlap_contention_s(input->data_rates, window->compute_s, window->communication_s);
}

/* What the gather of a stage's parameters adds to the step. With overlap it runs layer by layer
 * beside the next step's first forward here, which begins `first_forward_s` after that step does;
 * the same tandem as above with the collective in front: the first layer waits for G/L, the last
 * for G less the L - 1 layers before it; what is left when the forward begins competes with it. */
static double exposed_gather_s(const ScheduleShape *shape, const StepInput *input, size_t stage,
                               double first_forward_s)
{
    double gather_s = 0.0, forward_s = 0.0, all_layers = 0.0;
    size_t copies = shape->schedule == SCHEDULE_DUALPIPE ? 2 : 1;
    for (size_t copy = 0; copy < copies; copy++) {
        const StageTime *time = stage_of_chunk(shape, input, stage, copy);
        gather_s += time->param_gather_s;
        forward_s += time->forward.total_s;
        all_layers += time->layers;
    }
    if (input->overlap_param_gather == 0)
        return gather_s;
    double layers = later(all_layers, 1.0);
    double first_wait_s = gather_s / layers;
    double beside_s = forward_s * (layers - 1.0) / layers;
    double last_wait_s = gather_s - beside_s;
    double left_s = later(0.0, gather_s - later(first_wait_s, first_forward_s));
    return later(0.0, later(first_wait_s, last_wait_s) - first_forward_s) +
           overlap_contention_s(input->data_rates, beside_s, left_s);
}

static double stage_optimizer_s(const ScheduleShape *shape, const StepInput *input, size_t stage)
{
    double seconds = input->stage[stage].optimizer_s;
    if (shape->schedule == SCHEDULE_DUALPIPE)
        seconds += stage_of_chunk(shape, input, stage, 1)->optimizer_s;
    return seconds;
}

/* The gradient is clipped by its norm over all stages, so with a barrier no optimizer starts before
 * the last reduction. */
double step_end_seconds(const ScheduleShape *shape, const StepInput *input,
                        const PipelineEnds *ends, double *without_optimizer_s)
{
    bool barrier = schedule_has_barrier(shape->schedule);
    double all_reduced_s = 0.0, seconds = 0.0, without_s = 0.0, late_s = 0.0;
    for (size_t i = shape->stages; barrier && i-- > 0;) {
        const ReduceWindow window = reduce_window(shape, input, ends, i);
        all_reduced_s =
            later(all_reduced_s, stage_reduced_s(shape, input, ends, &window, i) + late_s);
        if (delays_add_up(shape))
            late_s += overlap_delay_s(input->data_rates, window.compute_s, window.communication_s);
    }
    for (size_t i = 0; i < shape->stages; i++) {
        double start_s = ends->first_start_s[i];
        double reduced_s = all_reduced_s;
        if (!barrier) {
            const ReduceWindow window = reduce_window(shape, input, ends, i);
            reduced_s = stage_reduced_s(shape, input, ends, &window, i);
        }
        double updated_s = reduced_s + stage_optimizer_s(shape, input, i);
        double gather_s = exposed_gather_s(shape, input, i, barrier ? start_s : 0.0);
        double from_s = barrier ? 0.0 : start_s;
        seconds = later(seconds, updated_s + gather_s - from_s);
        without_s = later(without_s, reduced_s + gather_s - from_s);
    }
    if (without_optimizer_s != NULL)
        *without_optimizer_s = without_s;
    return seconds;
}
