#include "sim/training/schedule.h"

#include "sim/training/step.h"

#include <math.h>

/* ---- shapes ---- */

const char *schedule_objection(PipelineSchedule schedule, double stages, double virtual_stages,
                               double microbatches)
{
    if (virtual_stages > 1.0 && schedule != SCHEDULE_INTERLEAVED)
        return "only the interleaved schedule has several chunks a stage";
    if (schedule == SCHEDULE_INTERLEAVED && virtual_stages > 1.0 &&
        fmod(microbatches, stages) != 0.0)
        return "the interleaved schedule works in groups of as many microbatches as stages";
    if (schedule == SCHEDULE_DUALPIPE && fmod(stages, 2.0) != 0.0)
        return "DualPipe pairs stages: their number must be even";
    if (schedule == SCHEDULE_DUALPIPE && fmod(microbatches, 2.0) != 0.0)
        return "DualPipe feeds both ends alike: the number of microbatches must be even";
    if (schedule == SCHEDULE_DUALPIPE && microbatches < 2.0 * stages)
        return "DualPipe needs at least two microbatches a stage";
    return NULL;
}

static bool splits_backward(PipelineSchedule schedule)
{
    return schedule == SCHEDULE_ZB_H1 || schedule == SCHEDULE_ZB_2P ||
           schedule == SCHEDULE_DUALPIPE;
}

Status schedule_shape(PipelineSchedule schedule, size_t stages, size_t virtual_stages,
                      size_t microbatches, ScheduleShape *shape, Error *error)
{
    size_t chunks = schedule == SCHEDULE_INTERLEAVED && virtual_stages > 1 ? virtual_stages : 1;
    if (stages == 0 || microbatches == 0 || stages > MAX_STAGES || chunks > MAX_STAGES ||
        microbatches > STEP_MAX_TASKS / chunks)
        return error_set(error, STATUS_INVALID,
                         "no schedule for %zu stages of %zu chunks with %zu microbatches", stages,
                         chunks, microbatches);
    const char *objection =
        schedule_objection(schedule, (double)stages, (double)chunks, (double)microbatches);
    if (objection != NULL)
        return error_set(error, STATUS_INVALID, "%zu stages with %zu microbatches: %s", stages,
                         microbatches, objection);

    bool both_ways = schedule == SCHEDULE_DUALPIPE;
    *shape = (ScheduleShape){
        /* one chunk a stage is plain 1F1B */
        .schedule = schedule == SCHEDULE_INTERLEAVED && chunks == 1 ? SCHEDULE_1F1B : schedule,
        .stages = stages,
        .chunks = both_ways ? 2 : chunks,
        .rounds = both_ways ? microbatches / 2 : microbatches,
        .kinds = splits_backward(schedule) ? 3 : 2,
    };
    shape->tasks = shape->rounds * shape->chunks * shape->kinds;
    return STATUS_OK;
}

/* Model chunks in the order in which a microbatch meets them: interleaved chunk c of stage i is
 * number c p + i; DualPipe's chunk 0 runs up the stages and its chunk 1 down. */
TaskTarget schedule_target(const ScheduleShape *shape, size_t stage, unsigned task)
{
    size_t last = shape->stages - 1, chunk = task_chunk(shape, task);
    TaskKind kind = task_kind(shape, task);
    bool down = shape->schedule == SCHEDULE_DUALPIPE && chunk == 1;
    bool upwards = (kind == TASK_FORWARD) != down;
    size_t end = upwards ? last : 0;

    if (kind == TASK_WEIGHT)
        return (TaskTarget){.exists = false};
    if (stage != end)
        return (TaskTarget){
            .exists = true, .hop = true, .stage = upwards ? stage + 1 : stage - 1, .task = task};
    bool deals = shape->schedule == SCHEDULE_INTERLEAVED;
    unsigned next_chunk = (unsigned)shape->kinds;
    if (deals && kind == TASK_FORWARD && chunk + 1 < shape->chunks)
        return (TaskTarget){.exists = true, .hop = last > 0, .stage = 0, .task = task + next_chunk};
    if (deals && kind == TASK_BACKWARD && chunk > 0)
        return (TaskTarget){
            .exists = true, .hop = last > 0, .stage = last, .task = task - next_chunk};
    if (kind == TASK_FORWARD) /* the loss: this microbatch turns round */
        return (TaskTarget){
            .exists = true, .stage = stage, .task = task + TASK_BACKWARD - TASK_FORWARD};
    return (TaskTarget){.exists = false};
}

bool schedule_has_source(const ScheduleShape *shape, size_t stage, unsigned task)
{
    size_t chunk = task_chunk(shape, task);
    if (task_kind(shape, task) != TASK_FORWARD)
        return task_kind(shape, task) == TASK_BACKWARD;
    if (shape->schedule == SCHEDULE_DUALPIPE)
        return stage != (chunk == 0 ? 0 : shape->stages - 1);
    return stage != 0 || chunk != 0;
}

bool schedule_shapes_equal(const ScheduleShape *one, const ScheduleShape *other)
{
    return one->schedule == other->schedule && one->stages == other->stages &&
           one->chunks == other->chunks && one->rounds == other->rounds;
}

/* ---- orders ---- */

/* An order under construction. */
typedef struct Writer {
    const ScheduleShape *shape;
    unsigned *order;
    size_t count;
    size_t done[2][MAX_TASK_KINDS]; /* DualPipe: microbatches so far by chunk and kind */
} Writer;

static void put(Writer *writer, TaskKind kind, size_t chunk, size_t microbatch)
{
    const ScheduleShape *shape = writer->shape;
    writer->order[writer->count++] =
        (unsigned)((microbatch * shape->chunks + chunk) * shape->kinds + kind);
}

/* `ahead` forwards, then one forward and one backward in turn, then the backwards that are left.
 * 1F1B lets stage i run p - 1 - i microbatches ahead of its first backward (Narayanan et al. 2021,
 * figure 4); GPipe lets every stage run all m ahead (Huang et al. 2019, figure 2c). Schedules that
 * split the backward follow each backward with the weight gradient of `behind` microbatches ago,
 * and end with those that are left. ZB-H1 keeps as many activations as 1F1B does on its first
 * stage: p on every stage, of which i wait for weight gradients. ZB-2p runs twice as far ahead, so
 * that the first backward comes when the first gradient does (Qi et al. 2023, figure 3). */
static void write_one_chunk(Writer *writer, size_t ahead, size_t behind)
{
    size_t rounds = writer->shape->rounds;
    bool split = writer->shape->kinds > 2;
    for (size_t i = 0; i < ahead; i++)
        put(writer, TASK_FORWARD, 0, i);
    for (size_t i = 0; i < rounds; i++) {
        if (ahead + i < rounds)
            put(writer, TASK_FORWARD, 0, ahead + i);
        put(writer, TASK_BACKWARD, 0, i);
        if (split && i >= behind)
            put(writer, TASK_WEIGHT, 0, i - behind);
    }
    for (size_t i = rounds > behind ? rounds - behind : 0; split && i < rounds; i++)
        put(writer, TASK_WEIGHT, 0, i);
}

/* Groups of p microbatches go through chunk 0, then chunk 1, ...; backwards begin with the last
 * chunk. Warm-up: 2 (p - 1 - i) + (V - 1) p (Narayanan et al. 2021, section 2.2; Megatron-LM,
 * forward_backward_pipelining_with_interleaving). */
static void put_virtual(Writer *writer, TaskKind kind, size_t index)
{
    size_t stages = writer->shape->stages, chunks = writer->shape->chunks;
    size_t group = index / (stages * chunks), within = index % (stages * chunks);
    size_t chunk = within / stages;
    put(writer, kind, kind == TASK_FORWARD ? chunk : chunks - 1 - chunk,
        group * stages + within % stages);
}

static void write_interleaved(Writer *writer, size_t stage)
{
    const ScheduleShape *shape = writer->shape;
    size_t all = shape->rounds * shape->chunks;
    size_t ahead = 2 * (shape->stages - 1 - stage) + (shape->chunks - 1) * shape->stages;
    if (ahead > all)
        ahead = all;
    for (size_t i = 0; i < ahead; i++)
        put_virtual(writer, TASK_FORWARD, i);
    for (size_t i = 0; i < all; i++) {
        if (ahead + i < all)
            put_virtual(writer, TASK_FORWARD, ahead + i);
        put_virtual(writer, TASK_BACKWARD, i);
    }
}

static void put_next(Writer *writer, TaskKind kind, size_t chunk)
{
    put(writer, kind, chunk, writer->done[chunk][kind]++);
}

static void join(Writer *writer)
{
    writer->order[writer->count - 1] |= TASK_JOINED;
}

/* The whole backward at once: its gradient leaves when the weights' is done too. */
static void put_whole_backward(Writer *writer, size_t chunk)
{
    put_next(writer, TASK_BACKWARD, chunk);
    join(writer);
    put_next(writer, TASK_WEIGHT, chunk);
}

/* A forward of one direction and a backward of the other, each computing while the other
 * communicates. */
static void put_overlapped(Writer *writer, size_t forward, size_t backward)
{
    put_next(writer, TASK_FORWARD, forward);
    join(writer);
    put_whole_backward(writer, backward);
}

/* The eight phases of DualPipe (DeepSeek-V3 technical report, figure 5; deepseek-ai/DualPipe,
 * dualpipe.py, step): `near` is the direction that enters at this half's end, `half` the distance
 * from that end. */
static void write_dualpipe(Writer *writer, size_t stage)
{
    size_t stages = writer->shape->stages, pairs = stages / 2;
    bool second_half = stage >= pairs;
    size_t near = second_half ? 1 : 0, far = 1 - near;
    size_t half = second_half ? stages - 1 - stage : stage, inner = pairs - half - 1;

    for (size_t i = 0; i < 2 * inner; i++)
        put_next(writer, TASK_FORWARD, near);
    for (size_t i = 0; i <= half; i++) {
        put_next(writer, TASK_FORWARD, near);
        put_next(writer, TASK_FORWARD, far);
    }
    for (size_t i = 0; i < inner; i++) {
        put_next(writer, TASK_BACKWARD, far);
        put_next(writer, TASK_WEIGHT, far);
        put_next(writer, TASK_FORWARD, far);
    }
    for (size_t i = 0; i < writer->shape->rounds - stages + half + 1; i++) {
        if (i == 0 && inner == 0) { /* the middle pair wait for each other: one after the other */
            put_next(writer, TASK_FORWARD, near);
            put_whole_backward(writer, far);
        } else {
            put_overlapped(writer, near, far);
        }
        put_overlapped(writer, far, near);
    }
    for (size_t i = 0; i < inner; i++) {
        put_whole_backward(writer, far);
        put_overlapped(writer, far, near);
    }
    /* From the middle of these on weight gradients wait, those put off first in front. */
    unsigned char queue[2 * MAX_STAGES]; /* their chunks */
    size_t head = 0, tail = 0;
    bool put_off = false;
    for (size_t i = 0; i <= half; i++) {
        for (size_t j = 0; j < 2; j++) {
            size_t chunk = j == 0 ? far : near;
            if (i == (half + 1) / 2 && j == (half % 2 == 1 ? 0U : 1U))
                put_off = true;
            if (put_off) {
                put_next(writer, TASK_BACKWARD, chunk);
                queue[tail++] = (unsigned char)chunk;
            } else {
                put_whole_backward(writer, chunk);
            }
        }
    }
    for (size_t i = 0; i < inner; i++) {
        put_next(writer, TASK_WEIGHT, queue[head++]);
        put_next(writer, TASK_BACKWARD, near);
        queue[tail++] = (unsigned char)near;
    }
    while (head < tail)
        put_next(writer, TASK_WEIGHT, queue[head++]);
}

Status step_schedule(const ScheduleShape *shape, size_t stage, unsigned *order, Error *error)
{
    if (stage >= shape->stages)
        return error_set(error, STATUS_INVALID, "no stage %zu among %zu", stage, shape->stages);
    Writer writer = {.shape = shape, .order = order};
    size_t behind_last = shape->stages - 1 - stage;
    const size_t rounds = shape->rounds;
    switch (shape->schedule) {
    case SCHEDULE_INTERLEAVED:
        write_interleaved(&writer, stage);
        break;
    case SCHEDULE_DUALPIPE:
        write_dualpipe(&writer, stage);
        break;
    case SCHEDULE_GPIPE:
        write_one_chunk(&writer, rounds, 0);
        break;
    case SCHEDULE_ZB_2P:
        write_one_chunk(&writer, 2 * behind_last < rounds ? 2 * behind_last : rounds, 2 * stage);
        break;
    case SCHEDULE_ZB_H1:
    case SCHEDULE_1F1B:
        write_one_chunk(&writer, behind_last < rounds ? behind_last : rounds, stage);
        break;
    }
    return STATUS_OK;
}

double step_bubble_closed_form(PipelineSchedule schedule, double stages, double virtual_stages,
                               double microbatches)
{
    bool stated =
        schedule == SCHEDULE_1F1B || schedule == SCHEDULE_GPIPE || schedule == SCHEDULE_INTERLEAVED;
    double chunks = schedule == SCHEDULE_INTERLEAVED ? virtual_stages : 1.0;
    double bubble = (stages - 1.0) / chunks;
    return stated ? bubble / (microbatches + bubble) : -1.0;
}
