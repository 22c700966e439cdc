#include "sim/training/steady.h"
#include "sim/training/wave_parts.h"
#include "sim/training/wide.h"

#include <stdint.h>
#include <string.h>

/* ---- interleaved and ZB-2P ----
 *
 * Stage i runs 2 (p - 1 - i) + (V - 1) p tasks ahead. Slot k of stage i, its k-th forward with the
 * backward that follows, belongs to front k + i, and waits for the neighbours' slots in the front
 * before. */

/* What the stages did in one front; up_s[-1] and down_s[stages] stand for what comes from afar. */
typedef struct Front {
    double *up_s;   /* end of the forward */
    double *down_s; /* end of what came last, weight gradients aside */
} Front;

enum { FRONT_ARRAYS = 4, SPLIT_ARRAYS = 6, LANE_ARRAYS = 7 };

/* See fill_fronts, fill_groups, fill_split_times, fill_lanes. */
static size_t numbers_before_saved(const ScheduleShape *shape)
{
    const bool split = shape->kinds > TASK_WEIGHT;
    const size_t arrays = FRONT_ARRAYS + (split ? SPLIT_ARRAYS + LANE_ARRAYS : 2 * shape->chunks);
    const size_t beside = split ? (2 * FRONT_ARRAYS + 1) * LANES : 0;
    return arrays * (padded(shape->stages) + 1) + beside;
}

size_t wave_ahead_scratch(const ScheduleShape *shape)
{
    return numbers_before_saved(shape) + 2 * padded(shape->stages); /* of a front */
}

static void fill_fronts(const Wave *wave, double start_s, Front fronts[2])
{
    const size_t length = padded(wave->shape->stages) + 1;
    double *const memory = wave->scratch;
    fronts[0] = (Front){memory + 1, memory + length};
    fronts[1] = (Front){memory + 2 * length + 1, memory + 3 * length};
    for (size_t i = 0; i < FRONT_ARRAYS * length; i++)
        memory[i] = start_s;
}

/* Stages from..past - 1: own_s[i] is when stage i is through with the slot before. */
WITHIN void whole_slots(const Front *before, const Front *after, const double *restrict forward_s,
                        const double *restrict backward_s, double send_s, size_t from, size_t past)
{
    const double *restrict below_s = before->up_s - 1, *restrict own_s = before->down_s;
    const double *restrict above_s = before->down_s + 1;
    double *restrict next_up_s = after->up_s, *restrict next_down_s = after->down_s;
    INDEPENDENT
    for (size_t i = from; i < past; i++) {
        const double up_s = later(own_s[i], below_s[i] + send_s) + forward_s[i];
        next_up_s[i] = up_s;
        next_down_s[i] = later(up_s, above_s[i] + send_s) + backward_s[i];
    }
}

WITHIN void forward_slots(const Front *before, const Front *after, const double *restrict forward_s,
                          double send_s, size_t from, size_t past)
{
    const double *restrict below_s = before->up_s - 1, *restrict own_s = before->down_s;
    double *restrict next_up_s = after->up_s, *restrict next_down_s = after->down_s;
    INDEPENDENT
    for (size_t i = from; i < past; i++)
        next_up_s[i] = next_down_s[i] = later(own_s[i], below_s[i] + send_s) + forward_s[i];
}

WITHIN void backward_slots(const Front *before, const Front *after,
                           const double *restrict backward_s, double send_s, size_t from,
                           size_t past)
{
    const double *restrict own_s = before->down_s, *restrict above_s = before->down_s + 1;
    double *restrict next_down_s = after->down_s;
    INDEPENDENT
    for (size_t i = from; i < past; i++)
        next_down_s[i] = later(own_s[i], above_s[i] + send_s) + backward_s[i];
}

/* ---- ZB-2P: one chunk; the weight gradient of 2 i microbatches ago follows the backward of stage
 * i ---- */

typedef struct SplitTimes {
    double *forward_s, *backward_s, *weight_s;
    double *due_s;              /* weight_s, once there is one behind each backward */
    double *up_s, *up_before_s; /* end of the last forward before the first backward, and of the
                                   one before */
} SplitTimes;

static SplitTimes fill_split_times(const Wave *wave, double start_s, double *memory)
{
    const size_t p = wave->shape->stages, last = wave->shape->rounds - 1, length = padded(p);
    SplitTimes split = {memory,
                        memory + length,
                        memory + 2 * length,
                        memory + 3 * length,
                        memory + 4 * length,
                        memory + 5 * length};
    for (size_t i = 0; i < 4 * length; i++)
        memory[i] = i < 2 * length ? start_s : 0.0;
    FlowShop flow = {0};
    for (size_t i = 0; i < p; i++, flow.first_s += wave->send_s) {
        const TaskTime *times = wave->times + i * wave->shape->kinds;
        const size_t ahead = 2 * (p - 1 - i);
        split.forward_s[i] = times[TASK_FORWARD].total_s;
        split.backward_s[i] = times[TASK_BACKWARD].total_s;
        split.weight_s[i] = times[TASK_WEIGHT].total_s;
        next_stage(&flow, times[TASK_FORWARD].total_s);
        split.up_s[i] = ahead < 1 ? 0.0 : forward_end_s(&flow, least(ahead - 1, last));
        split.up_before_s[i] = ahead < 2 ? 0.0 : forward_end_s(&flow, least(ahead - 2, last));
    }
    return split;
}

WITHIN void split_slots(const Front *before, const Front *after, const SplitTimes *split,
                        double send_s, size_t first, size_t count)
{
    const double *restrict below_s = before->up_s - 1 + first;
    const double *restrict own_s = before->down_s + first;
    const double *restrict above_s = before->down_s + 1 + first;
    const double *restrict forward_s = split->forward_s + first;
    const double *restrict backward_s = split->backward_s + first;
    const double *restrict due_s = split->due_s + first;
    double *restrict next_up_s = after->up_s + first, *restrict next_down_s = after->down_s + first;
    INDEPENDENT
    for (size_t i = 0; i < count; i++) {
        const double up_s = later(own_s[i] + due_s[i], below_s[i] + send_s) + forward_s[i];
        next_up_s[i] = up_s;
        next_down_s[i] = later(up_s, above_s[i] + send_s) + backward_s[i];
    }
}

WITHIN void split_backward_slots(const Front *before, const Front *after, const SplitTimes *split,
                                 double send_s, size_t from, size_t past)
{
    const double *restrict own_s = before->down_s, *restrict above_s = before->down_s + 1;
    const double *restrict backward_s = split->backward_s, *restrict due_s = split->due_s;
    double *restrict next_down_s = after->down_s;
    INDEPENDENT
    for (size_t i = from; i < past; i++)
        next_down_s[i] = later(own_s[i] + due_s[i], above_s[i] + send_s) + backward_s[i];
}

/* A stage takes part from its first backward on; the one before shows its last forward. */
WITHIN void begin_split_front(const Front *before, const SplitTimes *split, size_t stages,
                              size_t front)
{
    const size_t ahead = 2 * (stages - 1);
    if (front <= ahead) {
        const size_t stage = ahead - front;
        before->up_s[stage] = before->down_s[stage] = split->up_s[stage];
        if (stage > 0)
            before->up_s[stage - 1] = split->up_before_s[stage - 1];
    } else if (front <= ahead + stages) {
        const size_t stage = front - ahead - 1;
        split->due_s[stage] = split->weight_s[stage];
    }
}

/* The last backward of a stage, and the weight gradients that are left behind it. */
static void set_split_end(const SplitTimes *split, const double *down_s, size_t rounds,
                          size_t stage, ChunkEnd *ends)
{
    const size_t left = rounds > 2 * stage ? 2 * stage + 1 : rounds; /* with its own */
    const double end_s = down_s[stage] + (double)left * split->weight_s[stage];
    ends[stage] = (ChunkEnd){.first_gradient_s = end_s - split->weight_s[stage], .end_s = end_s};
}

/* While every stage has a slot: stage j rows + k in lane j of vector k, so that neighbours are
 * whole vectors apart, and what the last row hands on to the first one of the next lane stands in a
 * vector before (up) or behind (down). */
typedef struct Lanes {
    size_t rows;
    Front front[2];
    double *forward_s, *backward_s, *due_s;
} Lanes;

static inline size_t place_in_lanes(const Lanes *lanes, size_t stage)
{
    return stage % lanes->rows * LANES + stage / lanes->rows;
}

static Lanes fill_lanes(const SplitTimes *split, size_t stages, double start_s, double *memory)
{
    const size_t count = padded(stages), length = count + 2 * LANES;
    memory += (LANES - (uintptr_t)memory / sizeof *memory % LANES) % LANES;
    Lanes lanes = {.rows = count / LANES,
                   .front = {{memory + LANES, memory + length + LANES},
                             {memory + 2 * length + LANES, memory + 3 * length + LANES}},
                   .forward_s = memory + 4 * length,
                   .backward_s = memory + 4 * length + count,
                   .due_s = memory + 4 * length + 2 * count};
    for (size_t i = 0; i < 4 * length + 2 * count; i++)
        memory[i] = start_s;
    for (size_t i = 0; i < count; i++)
        lanes.due_s[i] = 0.0;
    for (size_t i = 0; i < stages; i++) {
        const size_t place = place_in_lanes(&lanes, i);
        lanes.forward_s[place] = split->forward_s[i];
        lanes.backward_s[place] = split->backward_s[i];
    }
    return lanes;
}

WITHIN void lanes_go(const Front *before, const Front *after, const Lanes *lanes, double send_s)
{
    const size_t count = lanes->rows * LANES;
    for (size_t lane = 1; lane < LANES; lane++) {
        before->up_s[(ptrdiff_t)lane - LANES] = before->up_s[count - LANES + lane - 1];
        before->down_s[count + lane - 1] = before->down_s[lane];
    }
    const double *restrict below_s = before->up_s - LANES, *restrict own_s = before->down_s;
    const double *restrict above_s = before->down_s + LANES;
    const double *restrict forward_s = lanes->forward_s, *restrict backward_s = lanes->backward_s;
    const double *restrict due_s = lanes->due_s;
    double *restrict next_up_s = after->up_s, *restrict next_down_s = after->down_s;
    INDEPENDENT
    for (size_t i = 0; i < count; i++) {
        const double up_s = later(own_s[i] + due_s[i], below_s[i] + send_s) + forward_s[i];
        next_up_s[i] = up_s;
        next_down_s[i] = later(up_s, above_s[i] + send_s) + backward_s[i];
    }
}

/* begin_split_front in lanes. */
static inline void begin_lanes(const Lanes *lanes, const Front *before, const SplitTimes *split,
                               size_t stages, size_t front)
{
    const size_t ahead = 2 * (stages - 1);
    if (front <= ahead) {
        const size_t stage = ahead - front;
        before->down_s[place_in_lanes(lanes, stage)] = split->up_s[stage];
        before->up_s[place_in_lanes(lanes, stage)] = split->up_s[stage];
        if (stage > 0)
            before->up_s[place_in_lanes(lanes, stage - 1)] = split->up_before_s[stage - 1];
    } else if (front <= ahead + stages) {
        const size_t stage = front - ahead - 1;
        lanes->due_s[place_in_lanes(lanes, stage)] = split->weight_s[stage];
    }
}

/* To stages in a row, of which some have no forwards any more. */
static void leave_lanes(const Lanes *lanes, const Front *from, const SplitTimes *split,
                        size_t stages, const Front *to)
{
    for (size_t i = 0; i < stages; i++) {
        const size_t place = place_in_lanes(lanes, i);
        to->up_s[i] = from->up_s[place];
        to->down_s[i] = from->down_s[place];
        split->due_s[i] = lanes->due_s[place];
    }
}

WIDE void run_split_fronts(const Wave *wave, ChunkEnd *ends)
{
    const size_t p = wave->shape->stages, m = wave->shape->rounds, ahead = 2 * (p - 1);
    const size_t fronts = m + ahead, whole = ahead + p;
    const double send_s = wave->send_s, start_s = long_before_s(wave);
    Front front_of[2];
    fill_fronts(wave, start_s, front_of);
    double *memory = wave->scratch + FRONT_ARRAYS * (padded(p) + 1);
    const SplitTimes split = fill_split_times(wave, start_s, memory);
    const Lanes lanes = fill_lanes(&split, p, start_s, memory + SPLIT_ARRAYS * padded(p));
    Steady steady = {.part_count = 2,
                     .saved = wave->scratch + numbers_before_saved(wave->shape),
                     .most_patience = p};
    size_t front = p - 1, turn = 0;
    for (; front + 1 < m; front++, turn = 1 - turn) { /* every stage has a forward */
        const Front before = lanes.front[turn], after = lanes.front[1 - turn];
        steady.parts[0] = (SteadyPart){before.up_s, padded(p)};
        steady.parts[1] = (SteadyPart){before.down_s, padded(p)};
        if (front == whole)
            steady_begin(&steady);
        else if (front > whole)
            front += steady_skip(&steady, m - 1 - front);
        if (front + 1 == m)
            break;
        begin_lanes(&lanes, &before, &split, p, front);
        lanes_go(&before, &after, &lanes, send_s);
    }
    leave_lanes(&lanes, &lanes.front[turn], &split, p, &front_of[turn]);
    for (; front < fronts; front++, turn = 1 - turn) { /* from stage `up_from` on */
        const Front before = front_of[turn], after = front_of[1 - turn];
        begin_split_front(&before, &split, p, front);
        const size_t from = front < ahead ? ahead - front : 0, past = least(p, fronts - front);
        const size_t up_from = most(from, front + 1 > m ? front + 1 - m : 0);
        split_backward_slots(&before, &after, &split, send_s, from, least(up_from, past));
        if (up_from < past)
            split_slots(&before, &after, &split, send_s, up_from, past - up_from);
        if (front + p >= fronts)
            set_split_end(&split, after.down_s, m, fronts - 1 - front, ends);
    }
}

/* ---- interleaved: groups of p microbatches pass through chunk 0, chunk 1, ...; backwards begin
 * with the last chunk ---- */

typedef struct Groups {
    size_t stages, chunks, all;     /* all: tasks of one kind of one stage */
    size_t ahead;                   /* slots of the first stage before its first backward */
    double *forward_s, *backward_s; /* [chunk][stage] */
} Groups;

static Groups fill_groups(const Wave *wave, double *memory)
{
    const ScheduleShape *shape = wave->shape;
    const size_t p = shape->stages, chunks = shape->chunks;
    const Groups groups = {.stages = p,
                           .chunks = chunks,
                           .all = shape->rounds * chunks,
                           .ahead = 2 * (p - 1) + (chunks - 1) * p,
                           .forward_s = memory,
                           .backward_s = memory + p * chunks};
    for (size_t i = 0; i < p; i++)
        for (size_t chunk = 0; chunk < chunks; chunk++) {
            const TaskTime *times = wave->times + (i * chunks + chunk) * shape->kinds;
            groups.forward_s[chunk * p + i] = times[TASK_FORWARD].total_s;
            groups.backward_s[chunk * p + i] = times[TASK_BACKWARD].total_s;
        }
    return groups;
}

static inline size_t nearer(size_t past, size_t from, size_t mark)
{
    return from < mark && mark < past ? mark : past;
}

/* The last microbatch of the last group is through a chunk of the stage before the turn. */
static void set_chunk_end(const Groups *groups, const double *down_s, const double *backward_s,
                          size_t group, size_t stage, ChunkEnd *ends)
{
    const size_t p = groups->stages, chunks = groups->chunks;
    if (group * p + p - 1 + p * chunks < groups->all)
        return;
    const double end_s = down_s[stage];
    ends[stage * chunks + chunks - 1 - group % chunks] =
        (ChunkEnd){.first_gradient_s = end_s - backward_s[stage], .end_s = end_s};
}

/* All stages that have begun and are not through; nobody looks at the others. */
WIDE void run_group_fronts(const Wave *wave, ChunkEnd *ends)
{
    Front front_of[2];
    fill_fronts(wave, 0.0, front_of);
    const size_t p = wave->shape->stages;
    const Groups groups = fill_groups(wave, wave->scratch + FRONT_ARRAYS * (padded(p) + 1));
    const size_t chunks = groups.chunks, all = groups.all, ahead = groups.ahead;
    const size_t round = p * chunks; /* all chunks of p microbatches */
    const double send_s = p > 1 ? wave->send_s : 0.0;
    Steady steady = {.part_count = 2,
                     .saved = wave->scratch + numbers_before_saved(wave->shape),
                     .most_patience = p};
    size_t turn = 0;
    for (size_t front = 0; front < all + ahead; front++, turn = 1 - turn) {
        const Front before = front_of[turn], after = front_of[1 - turn];
        steady.parts[0] = (SteadyPart){before.up_s, p};
        steady.parts[1] = (SteadyPart){before.down_s, p};
        if (front == ahead)
            steady_begin(&steady);
        else if (front > ahead && front < all && (front - ahead) % round == 0)
            front += round * steady_skip(&steady, (all - front) / round);
        /* Forward k = front - i; k / p is front / p up to stage front % p, one less behind it. */
        const size_t group = front / p, up_turn = front % p + 1;
        const size_t up_from = front < all ? 0 : front + 1 - all;
        const double *const forward_s = groups.forward_s + group % chunks * p;
        const double *const turned_forward_s = groups.forward_s + (group + chunks - 1) % chunks * p;
        /* Backward q = front - ahead + i; q / p rises by one at a stage. */
        const size_t start = front < ahead ? 0 : front - ahead, back = start / p;
        const size_t down_from = front < ahead ? ahead - front : 0;
        const size_t down_turn = front < ahead ? p : p - start % p;
        const double *const backward_s = groups.backward_s + (chunks - 1 - back % chunks) * p;
        const double *const turned_backward_s =
            groups.backward_s + (chunks - 1 - (back + 1) % chunks) * p;
        /* A later chunk begins with what the last stage handed on one front before; the gradient of
         * an earlier chunk left the first stage one front before, that of the last chunk turns
         * round. */
        before.up_s[-1] = group % chunks > 0 ? before.up_s[p - 1] : -send_s;
        before.down_s[p] = (start + p - 1) / p % chunks > 0 ? before.down_s[0] : -send_s;

        const size_t past = least(least(front + 1, p), all + ahead - front);
        for (size_t from = 0, next; from < past; from = next) {
            next = nearer(nearer(past, from, up_from), from, up_turn);
            next = nearer(nearer(next, from, down_from), from, down_turn);
            const double *const up = from < up_turn ? forward_s : turned_forward_s;
            const double *const down = from < down_turn ? backward_s : turned_backward_s;
            if (from >= up_from && from >= down_from)
                whole_slots(&before, &after, up, down, send_s, from, next);
            else if (from >= up_from)
                forward_slots(&before, &after, up, send_s, from, next);
            else if (from >= down_from)
                backward_slots(&before, &after, down, send_s, from, next);
            else
                memcpy(after.down_s + from, before.down_s + from, (next - from) * sizeof(double));
        }
        if (front >= ahead && down_turn <= past)
            set_chunk_end(&groups, after.down_s, backward_s, back, down_turn - 1, ends);
    }
}

void wave_ahead_run(const Wave *wave, ChunkEnd *ends)
{
    if (wave->shape->schedule == SCHEDULE_ZB_2P)
        run_split_fronts(wave, ends);
    else
        run_group_fronts(wave, ends);
}
