#include "sim/training/dualpipe.h"

#include "sim/training/steady.h"

/* ---- what a stage does: step_schedule's order as a short program ---- */

typedef enum BlockKind {
    FORWARD,
    BACKWARD,
    WEIGHT,
    WHOLE_BACKWARD,
    OVERLAPPED,
    BLOCK_KINDS
} BlockKind;

/* Overlapped: the forward of `chunk` with the whole backward of the other one. */
typedef struct Block {
    unsigned char kind, chunk;
} Block;

enum { MOST_SEGMENTS = 11, MOST_BLOCKS = 3, QUEUED = 2 };

/* `blocks` one after the other, `times` times. */
typedef struct Segment {
    size_t times;
    unsigned char count;
    Block blocks[MOST_BLOCKS];
} Segment;

typedef struct StageRun {
    Segment segments[MOST_SEGMENTS];
    size_t segment_count, segment, round, block; /* where it stands */
    size_t loop;                                 /* segment of overlapped blocks only */
    size_t before_loop;                          /* of its rounds that are done one by one */
    double seconds[BLOCK_KINDS][2];              /* by chunk */
    double free_s;
    bool started;
    unsigned char near;          /* the direction that enters at this half's end */
    size_t put_off, taken;       /* weight gradients put off in pairs, and done since */
    unsigned char first_put_off; /* chunk of the first of those */
    size_t done[2][2];           /* forwards and backwards so far, by chunk */
    size_t arrived[2][2];        /* inputs of those */
} StageRun;

static void add_segment(StageRun *run, size_t times, size_t count, Block one, Block two,
                        Block three)
{
    if (times > 0)
        run->segments[run->segment_count++] =
            (Segment){.times = times, .count = (unsigned char)count, .blocks = {one, two, three}};
}

/* The phases of write_dualpipe (schedule.c). */
static void write_program(StageRun *run, size_t stages, size_t rounds, size_t stage)
{
    const bool second_half = stage >= stages / 2;
    const unsigned char near = second_half ? 1 : 0, far = 1 - near;
    const size_t half = second_half ? stages - 1 - stage : stage, inner = stages / 2 - half - 1;
    const Block none = {0};
    const Block forward_near = {FORWARD, near}, forward_far = {FORWARD, far};
    const Block backward_near = {BACKWARD, near}, backward_far = {BACKWARD, far};
    const Block whole_near = {WHOLE_BACKWARD, near}, whole_far = {WHOLE_BACKWARD, far};
    const Block both_near = {OVERLAPPED, near}, both_far = {OVERLAPPED, far};
    const Block weight_far = {WEIGHT, far}, weight_queued = {WEIGHT, QUEUED};
    const size_t overlapped = rounds - stages + half + 1, pairs = (half + 1) / 2;

    run->near = near;
    add_segment(run, 2 * inner, 1, forward_near, none, none);
    add_segment(run, half + 1, 2, forward_near, forward_far, none);
    add_segment(run, inner, 3, backward_far, weight_far, forward_far);
    if (inner == 0) /* the middle pair wait for each other: one after the other */
        add_segment(run, 1, 3, forward_near, whole_far, both_far);
    run->loop = run->segment_count;
    run->before_loop = inner == 0 ? 0 : 1;
    add_segment(run, inner == 0 ? overlapped - 1 : overlapped, 2, both_near, both_far, none);
    add_segment(run, inner, 2, whole_far, both_far, none);

    add_segment(run, pairs, 2, whole_far, whole_near, none);
    if (half % 2 == 0)
        add_segment(run, 1, 2, whole_far, backward_near, none);
    const size_t later_pairs = half + 1 - pairs - (half % 2 == 0 ? 1 : 0);
    add_segment(run, later_pairs, 2, backward_far, backward_near, none);
    run->put_off = 2 * later_pairs + (half % 2 == 0 ? 1 : 0);
    run->first_put_off = half % 2 == 0 ? near : far;
    add_segment(run, inner, 2, weight_queued, backward_near, none);
    add_segment(run, run->put_off, 1, weight_queued, none, none);
}

static void fill_seconds(const DualPipe *pipe, size_t stage, StageRun *run)
{
    const ScheduleShape *shape = pipe->shape;
    const TaskTime *times = pipe->times + stage * shape->chunks * shape->kinds;
    for (unsigned chunk = 0; chunk < 2; chunk++) {
        const unsigned first = chunk * (unsigned)shape->kinds;
        const unsigned other = (1 - chunk) * (unsigned)shape->kinds;
        const unsigned whole[] = {first + TASK_BACKWARD, first + TASK_WEIGHT};
        const unsigned both[] = {first + TASK_FORWARD, other + TASK_BACKWARD, other + TASK_WEIGHT};
        run->seconds[FORWARD][chunk] = times[first + TASK_FORWARD].total_s;
        run->seconds[BACKWARD][chunk] = times[first + TASK_BACKWARD].total_s;
        run->seconds[WEIGHT][chunk] = times[first + TASK_WEIGHT].total_s;
        run->seconds[WHOLE_BACKWARD][chunk] = block_seconds(shape, pipe->rates, times, whole, 2);
        run->seconds[OVERLAPPED][chunk] = block_seconds(shape, pipe->rates, times, both, 3);
    }
}

/* ---- all stages ---- */

typedef struct Runs {
    size_t stages, rounds;
    double send_s;
    StageRun *run;
    double *arrives_s; /* [stage][chunk][kind][round] */
    const PipelineEnds *ends;
} Runs;

size_t dualpipe_memory_bytes(const ScheduleShape *shape)
{
    /* runs; inputs; ends of the overlapped blocks, as they are and as they were */
    return shape->stages * (sizeof(StageRun) + (4 * shape->rounds + 4) * sizeof(double));
}

static double *inputs(const Runs *runs, size_t stage, size_t chunk, size_t kind)
{
    return runs->arrives_s + ((stage * 2 + chunk) * 2 + kind) * runs->rounds;
}

/* Raises *start_s to when the next input of a kind is here; false when that is not known yet. */
static bool wait_for(const Runs *runs, size_t stage, size_t chunk, size_t kind, double *start_s)
{
    const StageRun *run = &runs->run[stage];
    const size_t next = run->done[chunk][kind];
    if (kind == TASK_FORWARD && stage == (chunk == 0 ? 0 : runs->stages - 1))
        return true;
    if (next >= run->arrived[chunk][kind])
        return false;
    const double arrives_s = inputs(runs, stage, chunk, kind)[next];
    *start_s = arrives_s > *start_s ? arrives_s : *start_s;
    return true;
}

static void hand_on(const Runs *runs, size_t stage, size_t chunk, size_t kind, double end_s)
{
    runs->run[stage].done[chunk][kind]++;
    const bool up = (kind == TASK_FORWARD) == (chunk == 0);
    size_t to = stage, as = kind;
    if (stage != (up ? runs->stages - 1 : 0)) {
        to = up ? stage + 1 : stage - 1;
        end_s += runs->send_s;
    } else if (kind == TASK_FORWARD) {
        as = TASK_BACKWARD; /* the loss: this microbatch turns round */
    } else {
        return;
    }
    inputs(runs, to, chunk, as)[runs->run[to].arrived[chunk][as]++] = end_s;
}

static size_t queued_chunk(StageRun *run)
{
    const size_t index = run->taken++;
    if (index >= run->put_off)
        return run->near;
    return index % 2 == 0 ? run->first_put_off : 1U - run->first_put_off;
}

/* The next block of a stage; false when it waits. */
static bool run_block(const Runs *runs, size_t stage, double *work_s)
{
    StageRun *run = &runs->run[stage];
    const Block block = run->segments[run->segment].blocks[run->block];
    size_t chunk = block.chunk;
    const bool forward = block.kind == FORWARD || block.kind == OVERLAPPED;
    const bool backward = block.kind != FORWARD && block.kind != WEIGHT;
    const size_t back = block.kind == OVERLAPPED ? 1 - chunk : chunk;
    double start_s = run->free_s;
    if ((forward && !wait_for(runs, stage, chunk, TASK_FORWARD, &start_s)) ||
        (backward && !wait_for(runs, stage, back, TASK_BACKWARD, &start_s)))
        return false;
    if (chunk == QUEUED)
        chunk = queued_chunk(run);
    const double taken_s = run->seconds[block.kind][chunk], end_s = start_s + taken_s;
    *work_s += taken_s;
    run->free_s = end_s;
    if (!run->started)
        runs->ends->first_start_s[stage] = start_s;
    run->started = true;
    if (forward)
        hand_on(runs, stage, chunk, TASK_FORWARD, end_s);
    if (backward)
        hand_on(runs, stage, back, TASK_BACKWARD, end_s);
    if (block.kind != FORWARD && block.kind != BACKWARD) /* the last block ends with a weight */
        runs->ends->chunk[2 * stage + (block.kind == OVERLAPPED ? back : chunk)] =
            (ChunkEnd){.first_gradient_s = start_s, .end_s = end_s};
    return true;
}

static void advance(StageRun *run)
{
    const Segment *segment = &run->segments[run->segment];
    if (++run->block < segment->count)
        return;
    run->block = 0;
    if (++run->round < segment->times)
        return;
    run->round = 0;
    run->segment++;
}

/* Sweeps over the stages, each as far as its inputs are known; those before the loop stop in front
 * of it where that is wanted. False when no stage can go on. */
static bool run_blocks(const Runs *runs, bool to_the_loop, double *work_s)
{
    bool upwards = true; /* microbatches go both ways */
    for (size_t left = runs->stages; left > 0; upwards = !upwards) {
        bool moved = false;
        left = runs->stages;
        for (size_t j = 0; j < runs->stages; j++) {
            const size_t i = upwards ? j : runs->stages - 1 - j;
            StageRun *run = &runs->run[i];
            for (;;) {
                const bool there = to_the_loop && run->segment == run->loop &&
                                   run->round == run->before_loop && run->block == 0;
                if (there || run->segment == run->segment_count) {
                    left--;
                    break;
                }
                if (!run_block(runs, i, work_s))
                    break;
                advance(run);
                moved = true;
            }
        }
        if (!moved && left > 0)
            return false;
    }
    return true;
}

/* ---- the loop, all stages together ----
 *
 * In round n of its loop a stage i of the first half does the overlapped block X of the near
 * forward, then Y of the far one. X waits for X of stage i - 1 in round n - 1, Y for Y of stage i +
 * 1 in the same round, in the middle for X of the other half's; the other half is its mirror image.
 */

/* What arrived for X of the next round, and how many blocks of each kind are done. */
static void leave_loop(const Runs *runs, const double *x_s, size_t rounds)
{
    for (size_t i = 0; i < runs->stages; i++) {
        StageRun *run = &runs->run[i];
        const size_t near = run->near, far = 1 - near;
        const bool outer = i == (near == 0 ? 0 : runs->stages - 1);
        const double arrives_s =
            outer ? run->free_s : x_s[near == 0 ? i - 1 : i + 1] + runs->send_s;
        run->round += rounds;
        for (size_t chunk = 0; chunk < 2; chunk++)
            for (size_t kind = 0; kind < 2; kind++) {
                run->done[chunk][kind] += rounds;
                run->arrived[chunk][kind] += rounds;
            }
        if (!outer)
            inputs(runs, i, near, TASK_FORWARD)[run->done[near][TASK_FORWARD]] = arrives_s;
        inputs(runs, i, far, TASK_BACKWARD)[run->done[far][TASK_BACKWARD]] = arrives_s;
    }
}

static void run_loop(const Runs *runs, size_t rounds, double *state_s, double *work_s)
{
    const size_t p = runs->stages, middle = p / 2;
    double *x_s = state_s, *y_s = state_s + p;
    Steady steady = {
        .parts = {{state_s, 2 * p}}, .part_count = 1, .saved = state_s + 2 * p, .most_patience = p};
    for (size_t i = 0; i < p; i++) {
        const StageRun *run = &runs->run[i];
        const size_t near = run->near;
        y_s[i] = run->free_s;
        /* X of round 0 reached the next stage inwards; the middle's is not asked for again */
        const size_t inwards = near == 0 ? i + 1 : i - 1;
        const bool central = near == 0 ? inwards == middle : inwards + 1 == middle;
        x_s[i] = central ? run->free_s
                         : inputs(runs, inwards, near,
                                  TASK_FORWARD)[runs->run[inwards].done[near][TASK_FORWARD]] -
                               runs->send_s;
        *work_s += (double)rounds * (run->seconds[OVERLAPPED][0] + run->seconds[OVERLAPPED][1]);
    }
    steady_begin(&steady);
    for (size_t round = 0; round < rounds; round++) {
        for (size_t j = middle; j-- > 0;) {
            const size_t mirror = p - 1 - j;
            const double one_s = j > 0 ? x_s[j - 1] + runs->send_s : 0.0;
            const double other_s = j > 0 ? x_s[mirror + 1] + runs->send_s : 0.0;
            x_s[j] = (one_s > y_s[j] ? one_s : y_s[j]) + runs->run[j].seconds[OVERLAPPED][0];
            x_s[mirror] = (other_s > y_s[mirror] ? other_s : y_s[mirror]) +
                          runs->run[mirror].seconds[OVERLAPPED][1];
        }
        double one_s = x_s[middle], other_s = x_s[middle - 1];
        for (size_t j = middle; j-- > 0;) {
            const size_t mirror = p - 1 - j;
            one_s += runs->send_s;
            other_s += runs->send_s;
            one_s = (one_s > x_s[j] ? one_s : x_s[j]) + runs->run[j].seconds[OVERLAPPED][1];
            other_s = (other_s > x_s[mirror] ? other_s : x_s[mirror]) +
                      runs->run[mirror].seconds[OVERLAPPED][0];
            y_s[j] = one_s;
            y_s[mirror] = other_s;
        }
        round += steady_skip(&steady, rounds - 1 - round);
    }
    for (size_t i = 0; i < p; i++)
        runs->run[i].free_s = y_s[i];
    leave_loop(runs, x_s, rounds);
}

double dualpipe_run(const DualPipe *pipe, const PipelineEnds *ends)
{
    const size_t stages = pipe->shape->stages;
    StageRun *run = pipe->memory;
    const Runs runs = {.stages = stages,
                       .rounds = pipe->shape->rounds,
                       .send_s = pipe->send_s,
                       .run = run,
                       .arrives_s = (double *)(void *)(run + stages),
                       .ends = ends};
    for (size_t i = 0; i < stages; i++) {
        run[i] = (StageRun){0};
        write_program(&run[i], stages, runs.rounds, i);
        fill_seconds(pipe, i, &run[i]);
    }
    /* the outer stages have the fewest rounds */
    const size_t together = runs.rounds - stages;
    double work_s = 0.0, *state_s = runs.arrives_s + 4 * stages * runs.rounds;
    if (together > 1) {
        if (!run_blocks(&runs, true, &work_s))
            return -1.0;
        run_loop(&runs, together, state_s, &work_s);
        for (size_t i = 0; i < stages; i++) {
            StageRun *at = &run[i];
            if (at->round < at->segments[at->loop].times)
                continue;
            at->round = 0;
            at->segment++;
        }
    }
    return run_blocks(&runs, false, &work_s) ? work_s / (double)stages : -1.0;
}
