#include "sim/training/dualpipe.h"

#include "sim/training/steady.h"

/* Directions of a stage of this half: NEAR enters at the half's outer end, stage 0, and goes
 * inwards; FAR comes out from the middle. Gradients go the other way. */
enum { NEAR, FAR };

typedef enum BlockKind {
    FORWARD,
    BACKWARD,
    WEIGHT,
    WHOLE_BACKWARD,
    OVERLAPPED, /* the forward of a direction with the whole backward of the other one */
    BLOCK_KINDS
} BlockKind;

/* Everything by stage of this half. Times of outputs are those at which they leave. */
typedef struct Half {
    size_t stages, rounds;
    double send_s;
    double *seconds[BLOCK_KINDS][2]; /* of a block, by direction */
    double *free_s;                  /* when the stage is through with what it did last */
    double *near_forward_s, *near_forward_before_s; /* the last output, and the one before */
    double *far_forward_s, *near_backward_s, *far_backward_s;
    double *saved;     /* what the loop looks back at */
    ChunkEnd *ends[2]; /* of the last block with a weight gradient */
} Half;

enum { TIME_ARRAYS = 6, SAVED_ARRAYS = 2, END_ARRAYS = 2 * 2 };

size_t dualpipe_scratch(const ScheduleShape *shape)
{
    return shape->stages / 2 * (2 * BLOCK_KINDS + TIME_ARRAYS + SAVED_ARRAYS + END_ARRAYS);
}

static void fill_seconds(const DualPipe *pipe, size_t stage, const Half *half)
{
    const ScheduleShape *shape = pipe->shape;
    const TaskTime *times = pipe->times + stage * shape->chunks * shape->kinds;
    for (unsigned way = NEAR; way <= FAR; way++) { /* the near chunk of this half comes first */
        const unsigned first = way * (unsigned)shape->kinds;
        const unsigned other = (1 - way) * (unsigned)shape->kinds;
        const unsigned whole[] = {first + TASK_BACKWARD, first + TASK_WEIGHT};
        const unsigned both[] = {first + TASK_FORWARD, other + TASK_BACKWARD, other + TASK_WEIGHT};
        half->seconds[FORWARD][way][stage] = times[first + TASK_FORWARD].total_s;
        half->seconds[BACKWARD][way][stage] = times[first + TASK_BACKWARD].total_s;
        half->seconds[WEIGHT][way][stage] = times[first + TASK_WEIGHT].total_s;
        half->seconds[WHOLE_BACKWARD][way][stage] =
            block_seconds(shape, pipe->rates, times, whole, 2);
        half->seconds[OVERLAPPED][way][stage] = block_seconds(shape, pipe->rates, times, both, 3);
    }
}

static Half make_half(const DualPipe *pipe)
{
    const size_t stages = pipe->shape->stages / 2;
    Half half = {.stages = stages, .rounds = pipe->shape->rounds, .send_s = pipe->send_s};
    double *memory = pipe->scratch;
    for (size_t kind = 0; kind < BLOCK_KINDS; kind++)
        for (size_t way = NEAR; way <= FAR; way++, memory += stages)
            half.seconds[kind][way] = memory;
    double **const arrays[TIME_ARRAYS] = {&half.free_s,          &half.near_forward_s,
                                          &half.far_forward_s,   &half.near_forward_before_s,
                                          &half.near_backward_s, &half.far_backward_s};
    for (size_t i = 0; i < TIME_ARRAYS; i++, memory += stages)
        *arrays[i] = memory;
    half.saved = memory;
    memory += SAVED_ARRAYS * stages;
    for (size_t way = NEAR; way <= FAR; way++, memory += 2 * stages)
        half.ends[way] = (ChunkEnd *)(void *)memory;
    for (size_t i = 0; i < stages; i++) {
        half.free_s[i] = 0.0;
        fill_seconds(pipe, i, &half);
    }
    return half;
}

/* ---- one block ---- */

static inline double later(double one, double other)
{
    return one > other ? one : other;
}

/* When it ends. */
static inline double run_block(const Half *half, size_t stage, double ready_s, BlockKind kind,
                               int way)
{
    const double end_s = later(half->free_s[stage], ready_s) + half->seconds[kind][way][stage];
    half->free_s[stage] = end_s;
    return end_s;
}

/* The same of a block with a weight gradient, which may be the last of its chunk. */
static inline double run_weight(const Half *half, size_t stage, double ready_s, BlockKind kind,
                                int way)
{
    const double start_s = later(half->free_s[stage], ready_s);
    const double end_s = start_s + half->seconds[kind][way][stage];
    half->free_s[stage] = end_s;
    half->ends[way][stage] = (ChunkEnd){.first_gradient_s = start_s, .end_s = end_s};
    return end_s;
}

/* What the stage before handed on; the outer one has nothing to wait for but its own block before:
 * the loss, where a far forward turns round. */
static inline double from_outside(const Half *half, const double *output_s, size_t stage)
{
    return stage > 0 ? output_s[stage - 1] + half->send_s : 0.0;
}

/* What the stage behind handed on; behind the middle one lies its opposite, which sends what this
 * one does. */
static inline double from_inside(const Half *half, const double *output_s, const double *crossing_s,
                                 size_t stage)
{
    return (stage + 1 < half->stages ? output_s[stage + 1] : crossing_s[stage]) + half->send_s;
}

/* ---- the phases of write_dualpipe (schedule.c) ----
 *
 * Of stage i among P of this half, I = P - 1 - i further inwards. Each phase is worked off in an
 * order in which every input is the last output of a neighbour (or that before the last, where it
 * says so). */

/* 2 I near forwards, of which number k of stage i ends as in a flow shop at (the first one) + k
 * (the longest up to stage i); then i + 1 pairs of a near and a far one. The stage before is two
 * near forwards ahead, and one pair. */
static void warm_up(const Half *half)
{
    const size_t p = half->stages;
    double first_s = 0.0, longest_s = 0.0;
    for (size_t i = 0; i < p; i++) {
        const double task_s = half->seconds[FORWARD][NEAR][i];
        const double ahead = 2.0 * (double)(p - 1 - i);
        longest_s = later(longest_s, task_s);
        first_s += task_s;
        half->near_forward_before_s[i] = first_s + (ahead - 2.0) * longest_s;
        half->near_forward_s[i] = half->free_s[i] = first_s + (ahead - 1.0) * longest_s;
        first_s += half->send_s;
    }
    half->near_forward_before_s[p - 1] = half->near_forward_s[p - 1] = half->free_s[p - 1] = 0.0;
    const double *restrict near_s = half->seconds[FORWARD][NEAR];
    const double *restrict far_s = half->seconds[FORWARD][FAR];
    double *restrict before_s = half->near_forward_before_s;
    double *restrict last_s = half->near_forward_s;
    double *restrict end_s = half->far_forward_s, *restrict free_s = half->free_s;
    for (size_t pair = 0; pair < p; pair++) {
        double inside_s = 0.0; /* what the stage behind handed on */
        for (size_t i = p; i-- > pair;) {
            const double outside_s = i > 0 ? before_s[i - 1] + half->send_s : 0.0;
            const double up_s = later(free_s[i], outside_s) + near_s[i];
            before_s[i] = last_s[i];
            last_s[i] = up_s;
            if (i + 1 == p)
                inside_s = up_s; /* the opposite stage's */
            inside_s = later(up_s, inside_s + half->send_s) + far_s[i];
            free_s[i] = end_s[i] = inside_s;
        }
    }
}

/* I times a far backward, its weight gradient and a far forward. */
static void first_backwards(const Half *half)
{
    const double *restrict backward_s = half->seconds[BACKWARD][FAR];
    const double *restrict weight_s = half->seconds[WEIGHT][FAR];
    const double *restrict forward_s = half->seconds[FORWARD][FAR];
    double *restrict back_s = half->far_backward_s, *restrict up_s = half->far_forward_s;
    double *restrict free_s = half->free_s;
    for (size_t round = 0; round + 1 < half->stages; round++) {
        double outside_s = 0.0; /* what the stage before handed on, sent */
        for (size_t i = 0; i + 1 < half->stages - round; i++) {
            const double end_s = later(free_s[i], outside_s) + backward_s[i];
            back_s[i] = end_s;
            outside_s = end_s + half->send_s;
            free_s[i] = up_s[i] =
                later(end_s + weight_s[i], up_s[i + 1] + half->send_s) + forward_s[i];
        }
    }
}

/* Two overlapped blocks: X of the near forward with the far backward, and Y of the others. X waits
 * for X of the stage before in the round before, Y for Y of the stage behind in the same round, at
 * the middle for X of the opposite stage. As x_s the end of X is kept in far_backward_s; that of Y
 * is free_s. */
static void loop_round(const Half *half, size_t from)
{
    const size_t p = half->stages, middle = p - 1;
    double *x_s = half->far_backward_s, *y_s = half->free_s;
    const double *const near_s = half->seconds[OVERLAPPED][NEAR];
    const double *const far_s = half->seconds[OVERLAPPED][FAR];
    for (size_t i = p; i-- > from;)
        x_s[i] = later(y_s[i], from_outside(half, x_s, i)) + near_s[i];
    double end_s = x_s[middle];
    for (size_t i = p; i-- > from;) {
        end_s = later(end_s + half->send_s, x_s[i]) + far_s[i];
        y_s[i] = end_s;
    }
}

/* The first round: what X waits for left its stage as two blocks, and the middle stages, which wait
 * for each other, do X one after the other. */
static void first_round(const Half *half)
{
    const size_t p = half->stages, middle = p - 1;
    for (size_t i = p; i-- > 0;) {
        const double forward_s = from_outside(half, half->near_forward_s, i);
        const double back_s = from_outside(half, half->far_backward_s, i);
        if (i == middle) {
            run_block(half, i, forward_s, FORWARD, NEAR);
            half->far_backward_s[i] = run_block(half, i, back_s, WHOLE_BACKWARD, FAR);
        } else {
            half->far_backward_s[i] =
                run_block(half, i, later(forward_s, back_s), OVERLAPPED, NEAR);
        }
    }
    for (size_t i = p; i-- > 0;)
        run_block(half, i, from_inside(half, half->free_s, half->far_backward_s, i), OVERLAPPED,
                  FAR);
}

/* m - 2 P + 1 rounds of all stages, then i more of stage i. */
static void run_loop(const Half *half)
{
    const size_t p = half->stages, together = half->rounds - 2 * p;
    Steady steady = {.parts = {{half->far_backward_s, p}, {half->free_s, p}},
                     .part_count = SAVED_ARRAYS,
                     .saved = half->saved,
                     .most_patience = 2 * p};
    first_round(half);
    steady_begin(&steady);
    for (size_t round = 0; round < together; round++) {
        loop_round(half, 0);
        round += steady_skip(&steady, together - 1 - round);
    }
    for (size_t from = 1; from < p; from++)
        loop_round(half, from);
}

/* I times a whole far backward and an overlapped far forward. */
static void last_forwards(const Half *half)
{
    const double *restrict whole_s = half->seconds[WHOLE_BACKWARD][FAR];
    const double *restrict both_s = half->seconds[OVERLAPPED][FAR];
    double *restrict back_s = half->far_backward_s, *restrict free_s = half->free_s;
    for (size_t round = 0; round + 1 < half->stages; round++) {
        double outside_s = 0.0;
        for (size_t i = 0; i + 1 < half->stages - round; i++) {
            const double end_s = later(free_s[i], outside_s) + whole_s[i];
            back_s[i] = end_s;
            outside_s = end_s + half->send_s;
            free_s[i] = later(end_s, free_s[i + 1] + half->send_s) + both_s[i];
        }
    }
    for (size_t i = 0; i < half->stages; i++)
        half->near_backward_s[i] = free_s[i];
}

/* Of the i + 1 last pairs of backwards, those that are whole; the weight gradients of the others
 * are put off. */
static size_t whole_pairs(size_t stage, int way)
{
    return way == FAR ? stage / 2 + 1 : (stage + 1) / 2;
}

static int put_off(size_t stage, size_t index)
{
    return index <= stage && (index + stage) % 2 == 1 ? FAR : NEAR;
}

/* i + 1 pairs of a far and a near backward. */
static void last_pairs(const Half *half)
{
    for (size_t pair = 0; pair < half->stages; pair++)
        for (size_t i = half->stages; i-- > pair;) {
            const double far_s = from_outside(half, half->far_backward_s, i);
            half->far_backward_s[i] = pair < whole_pairs(i, FAR)
                                          ? run_weight(half, i, far_s, WHOLE_BACKWARD, FAR)
                                          : run_block(half, i, far_s, BACKWARD, FAR);
            const double near_s = from_inside(half, half->near_backward_s, half->far_backward_s, i);
            half->near_backward_s[i] = pair < whole_pairs(i, NEAR)
                                           ? run_weight(half, i, near_s, WHOLE_BACKWARD, NEAR)
                                           : run_block(half, i, near_s, BACKWARD, NEAR);
        }
}

/* I times a weight gradient that was put off and a near backward, then the weight gradients that
 * are left: i + 1 of the pairs, and those of these backwards. */
static void last_weights(const Half *half)
{
    const size_t p = half->stages;
    for (size_t round = 0; round + 1 < p; round++)
        for (size_t i = 0; i + 1 < p - round; i++) {
            run_weight(half, i, 0.0, WEIGHT, put_off(i, round));
            const double near_s = half->near_backward_s[i + 1] + half->send_s;
            half->near_backward_s[i] = run_block(half, i, near_s, BACKWARD, NEAR);
        }
    for (size_t i = 0; i < p; i++)
        for (size_t index = p - 1 - i; index < p; index++)
            run_weight(half, i, 0.0, WEIGHT, put_off(i, index));
}

/* ---- all of it ---- */

/* What a stage works in all phases. */
static double work_seconds(const Half *half, size_t stage)
{
    const size_t inner = half->stages - 1 - stage, middle = inner == 0 ? 1 : 0;
    const size_t rounds = half->rounds - 2 * half->stages + stage + 1; /* of the loop */
    const size_t far_off = stage + 1 - whole_pairs(stage, FAR);
    const size_t near_off = stage + 1 - whole_pairs(stage, NEAR) + inner;
    const size_t times[BLOCK_KINDS][2] = {
        [FORWARD] = {2 * inner + stage + 1 + middle, stage + 1 + inner},
        [BACKWARD] = {near_off, inner + far_off},
        [WEIGHT] = {near_off, inner + far_off},
        [WHOLE_BACKWARD] = {whole_pairs(stage, NEAR), middle + inner + whole_pairs(stage, FAR)},
        [OVERLAPPED] = {rounds - middle, rounds + inner},
    };
    double work_s = 0.0;
    for (size_t kind = 0; kind < BLOCK_KINDS; kind++)
        for (size_t way = NEAR; way <= FAR; way++)
            work_s += (double)times[kind][way] * half->seconds[kind][way][stage];
    return work_s;
}

double dualpipe_run(const DualPipe *pipe, const PipelineEnds *ends)
{
    const size_t stages = pipe->shape->stages;
    const Half half = make_half(pipe);
    double start_s = 0.0, work_s = 0.0;
    for (size_t i = 0; i < half.stages; i++) { /* the first microbatch finds every stage free */
        ends->first_start_s[i] = ends->first_start_s[stages - 1 - i] = start_s;
        start_s = start_s + half.seconds[FORWARD][NEAR][i] + half.send_s;
    }
    warm_up(&half);
    first_backwards(&half);
    run_loop(&half);
    last_forwards(&half);
    last_pairs(&half);
    last_weights(&half);
    for (size_t i = 0; i < half.stages; i++) {
        const size_t opposite = stages - 1 - i;
        ends->chunk[2 * i + NEAR] = ends->chunk[2 * opposite + FAR] = half.ends[NEAR][i];
        ends->chunk[2 * i + FAR] = ends->chunk[2 * opposite + NEAR] = half.ends[FAR][i];
        work_s += work_seconds(&half, i);
    }
    return work_s / (double)half.stages;
}
