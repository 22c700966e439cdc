#include "sim/training/wave.h"

#include "sim/training/steady.h"
#include "sim/training/wide.h"

/* `fmax` without its care for what is not a number. */
static inline double later(double one, double other)
{
    return one > other ? one : other;
}

static bool doubled(PipelineSchedule schedule)
{
    return schedule == SCHEDULE_INTERLEAVED || schedule == SCHEDULE_ZB_2P;
}

bool wave_knows(const ScheduleShape *shape)
{
    if (shape->schedule == SCHEDULE_INTERLEAVED && shape->rounds % shape->stages != 0)
        return false; /* the last group is not whole */
    return shape->schedule == SCHEDULE_1F1B || shape->schedule == SCHEDULE_ZB_H1 ||
           doubled(shape->schedule);
}

/* Backwards that a stage does before the weight gradient of the first of them (write_one_chunk). */
static size_t behind(const ScheduleShape *shape, size_t stage)
{
    return shape->schedule == SCHEDULE_ZB_2P ? 2 * stage : stage;
}

/* Stages with numbers of their own, in two rows by parity: stage i at row[i % 2][i / 2]. One place
 * before and one behind each row stand for neighbours that the first and the last stage lack. */
typedef struct Row {
    double *free_s;        /* when the stage is through with what it did last */
    double *up_s, *down_s; /* when its last forward, its last backward is at the neighbour's */
    double *forward_s, *forward_and_send_s, *backward_s, *weight_s;
} Row;

enum { ROW_ARRAYS = 7, ROW_MARGIN = 2, STATE_ARRAYS = 3 };

size_t wave_scratch(const ScheduleShape *shape)
{
    size_t half = shape->stages / 2 + 1 + ROW_MARGIN;
    size_t rows = 2 * ROW_ARRAYS * half, saved = STATE_ARRAYS * shape->stages;
    size_t fronts = (3 + 3 * shape->chunks) * shape->stages + 2; /* see Fronts */
    return (rows > fronts ? rows : fronts) + saved;
}

/* ---- 1F1B and ZB-H1 ----
 *
 * Stage i runs p - 1 - i microbatches ahead of its backwards. Its forward k belongs to front 2 k +
 * i, its backward q to front 2 q + 2 p - 1 - i: what a task waits for belongs to the front before,
 * and stages of one parity go forward while the others go backward. */

static void fill_rows(const Wave *wave, Row row[2])
{
    const ScheduleShape *shape = wave->shape;
    const bool split = shape->kinds > TASK_WEIGHT;
    size_t half = shape->stages / 2 + 1 + ROW_MARGIN;
    double *memory = wave->scratch;
    for (size_t i = 0; i < 2 * ROW_ARRAYS * half; i++)
        memory[i] = 0.0;
    for (size_t parity = 0; parity < 2; parity++) {
        double **arrays[ROW_ARRAYS] = {&row[parity].free_s,
                                       &row[parity].up_s,
                                       &row[parity].down_s,
                                       &row[parity].forward_s,
                                       &row[parity].backward_s,
                                       &row[parity].weight_s,
                                       &row[parity].forward_and_send_s};
        for (size_t i = 0; i < ROW_ARRAYS; i++, memory += half)
            *arrays[i] = memory + 1;
    }
    for (size_t i = 0; i < shape->stages; i++) {
        const TaskTime *times = wave->times + i * shape->kinds;
        const Row *own = &row[i % 2];
        own->forward_s[i / 2] = times[TASK_FORWARD].total_s;
        own->forward_and_send_s[i / 2] = times[TASK_FORWARD].total_s + wave->send_s;
        own->backward_s[i / 2] = times[TASK_BACKWARD].total_s;
        own->weight_s[i / 2] = split ? times[TASK_WEIGHT].total_s : 0.0;
    }
}

/* Places first..past - 1 of one parity go forward; `below[h]`: arrivals from the stage before. */
WIDE void go_forward(const Row *own, const double *restrict below, size_t first, size_t past)
{
    double *restrict free_s = own->free_s, *restrict up_s = own->up_s;
    const double *restrict forward_s = own->forward_s;
    const double *restrict forward_and_send_s = own->forward_and_send_s;
    for (size_t h = first; h < past; h++) {
        double start_s = later(free_s[h], below[h]);
        free_s[h] = start_s + forward_s[h];
        up_s[h] = start_s + forward_and_send_s[h];
    }
}

WIDE void go_backward(const Row *own, const double *restrict above, double send_s, size_t first,
                      size_t past)
{
    double *restrict free_s = own->free_s, *restrict down_s = own->down_s;
    const double *restrict backward_s = own->backward_s;
    for (size_t h = first; h < past; h++) {
        double end_s = later(free_s[h], above[h]) + backward_s[h];
        free_s[h] = end_s;
        down_s[h] = end_s + send_s;
    }
}

/* The same with a weight gradient behind each backward. */
WIDE void go_backward_whole(const Row *own, const double *restrict above, double send_s,
                            size_t first, size_t past)
{
    double *restrict free_s = own->free_s, *restrict down_s = own->down_s;
    const double *restrict backward_s = own->backward_s, *restrict weight_s = own->weight_s;
    for (size_t h = first; h < past; h++) {
        double end_s = later(free_s[h], above[h]) + backward_s[h];
        down_s[h] = end_s + send_s;
        free_s[h] = end_s + weight_s[h];
    }
}

/* Places of stages from..past - 1 that have this parity. */
typedef struct Places {
    size_t first, past;
} Places;

static Places places(size_t from, size_t past, size_t parity)
{
    return (Places){.first = (from + 1 - parity) / 2, .past = (past + 1 - parity) / 2};
}

static void run_halves(const Wave *wave, ChunkEnd *ends)
{
    const ScheduleShape *shape = wave->shape;
    const size_t p = shape->stages, m = shape->rounds, fronts = 2 * (m + p - 1);
    const bool split = shape->kinds > TASK_WEIGHT;
    Row row[2];
    fill_rows(wave, row);
    /* from `whole` on every stage does all of its slot, as long as the first one has forwards */
    const size_t whole = split ? 3 * p : 2 * p, forwards = 2 * (m - 1);
    Steady steady = {.part_count = 2 * STATE_ARRAYS,
                     .saved = wave->scratch + 2 * ROW_ARRAYS * (p / 2 + 1 + ROW_MARGIN),
                     .most_patience = p};
    for (size_t i = 0; i < 2; i++) {
        double *const state[STATE_ARRAYS] = {row[i].free_s, row[i].up_s, row[i].down_s};
        for (size_t j = 0; j < STATE_ARRAYS; j++)
            steady.parts[i * STATE_ARRAYS + j] = (SteadyPart){state[j], (p + 1 - i) / 2};
    }
    for (size_t front = 0; front < fronts; front++) {
        const size_t parity = front % 2, other = 1 - parity;
        if (parity == 0 && front == whole + whole % 2)
            steady_begin(&steady);
        else if (parity == 0 && front > whole && front < forwards)
            front += 2 * steady_skip(&steady, (forwards - front) / 2);
        /* forward (front - i) / 2 exists from stage front - 2 (m - 1) to stage front */
        size_t from = front > 2 * (m - 1) ? front - 2 * (m - 1) : 0;
        size_t past = front < p ? front + 1 : p;
        Places at = places(from, past, parity);
        go_forward(&row[parity], row[other].up_s + (parity == 0 ? -1 : 0), at.first, at.past);

        /* backward (front + i + 1 - 2 p) / 2 from stage 2 p - 1 - front, m of them */
        from = front < 2 * p - 1 ? 2 * p - 1 - front : 0;
        past = 2 * p + 2 * m - 2 > front ? 2 * p + 2 * m - 2 - front : 0;
        past = past < p ? past : p;
        at = places(from, past, other);
        const double *above = row[parity].down_s + (other == 0 ? 0 : 1);
        if (split && front + 1 >= 2 * p) {
            /* the weight gradient of `behind` microbatches ago: stages up to front + 1 - 2 p */
            const size_t with = front + 2 - 2 * p < past ? front + 2 - 2 * p : past;
            const Places whole_at = places(from, with > from ? with : from, other);
            go_backward_whole(&row[other], above, wave->send_s, whole_at.first, whole_at.past);
            at.first = whole_at.past;
        }
        go_backward(&row[other], above, wave->send_s, at.first, at.past);
    }
    for (size_t i = 0; i < p; i++) {
        const Row *own = &row[i % 2];
        double end_s = own->free_s[i / 2], last_s = own->backward_s[i / 2];
        if (split) {
            size_t left = behind(shape, i) < m ? behind(shape, i) : m;
            last_s = own->weight_s[i / 2];
            end_s += (double)left * last_s;
        }
        ends[i] = (ChunkEnd){.first_gradient_s = end_s - last_s, .end_s = end_s};
    }
}

/* ---- interleaved and ZB-2p ----
 *
 * Stage i runs 2 (p - 1 - i) + (V - 1) p tasks ahead. Slot k of stage i, its k-th forward with the
 * backward that follows, belongs to front k + i. Forwards of a front are taken from the last stage
 * down and backwards from the first up, so that neighbours still show the front before. Groups of p
 * microbatches pass through chunk 0, chunk 1, ...; backwards begin with the last chunk. */

typedef struct Fronts {
    size_t stages, chunks, all; /* all: tasks of one kind of one stage */
    double send_s;
    double *free_s, *up_s, *down_s;            /* up_s[-1], down_s[stages]: what comes from afar */
    double *forward_s, *backward_s, *weight_s; /* [chunk][stage] */
} Fronts;

static Fronts fill_fronts(const Wave *wave)
{
    const ScheduleShape *shape = wave->shape;
    const bool split = shape->kinds > TASK_WEIGHT;
    const size_t p = shape->stages, slots = p * shape->chunks, states = 3 * p + 2;
    double *memory = wave->scratch;
    Fronts fronts = {.stages = p,
                     .chunks = shape->chunks,
                     .all = shape->rounds * shape->chunks,
                     .send_s = p > 1 ? wave->send_s : 0.0,
                     .free_s = memory,
                     .up_s = memory + p + 1,
                     .down_s = memory + 2 * p + 1,
                     .forward_s = memory + states,
                     .backward_s = memory + states + slots,
                     .weight_s = memory + states + 2 * slots};
    for (size_t i = 0; i < states; i++)
        memory[i] = 0.0;
    for (size_t i = 0; i < p; i++) {
        for (size_t chunk = 0; chunk < shape->chunks; chunk++) {
            const TaskTime *times = wave->times + (i * shape->chunks + chunk) * shape->kinds;
            fronts.forward_s[chunk * p + i] = times[TASK_FORWARD].total_s;
            fronts.backward_s[chunk * p + i] = times[TASK_BACKWARD].total_s;
            fronts.weight_s[chunk * p + i] = split ? times[TASK_WEIGHT].total_s : 0.0;
        }
    }
    return fronts;
}

/* Stages from..past - 1, all in the same chunk. */
WIDE void stages_forward(const Fronts *fronts, const double *forward_s, size_t from, size_t past)
{
    for (size_t i = past; i-- > from;) {
        double end_s = later(fronts->free_s[i], fronts->up_s[(ptrdiff_t)i - 1]) + forward_s[i];
        fronts->free_s[i] = end_s;
        fronts->up_s[i] = end_s + fronts->send_s;
    }
}

WIDE void stages_backward(const Fronts *fronts, const double *backward_s, size_t from, size_t past)
{
    for (size_t i = from; i < past; i++) {
        double end_s = later(fronts->free_s[i], fronts->down_s[i + 1]) + backward_s[i];
        fronts->free_s[i] = end_s;
        fronts->down_s[i] = end_s + fronts->send_s;
    }
}

/* Forward k = front - i; k / p is front / p up to stage front % p and one less behind it. */
static void front_forward(const Fronts *fronts, size_t front)
{
    const size_t p = fronts->stages, chunks = fronts->chunks, group = front / p;
    const size_t turn = chunks > 1 ? front % p + 1 : p; /* one chunk has one row of times */
    const size_t from = front + 1 > fronts->all ? front + 1 - fronts->all : 0;
    const size_t past = front < p ? front + 1 : p;
    /* a later chunk begins with what the last stage handed on one front before */
    fronts->up_s[-1] = group % chunks > 0 ? fronts->up_s[p - 1] : 0.0;
    if (past > turn)
        stages_forward(fronts, fronts->forward_s + (group + chunks - 1) % chunks * p,
                       from > turn ? from : turn, past);
    stages_forward(fronts, fronts->forward_s + group % chunks * p, from, past < turn ? past : turn);
}

/* Backward q = front - ahead + i, `ahead` the slots of the first stage before its first one; q / p
 * rises by one at stage `turn`. */
static void front_backward(const Fronts *fronts, size_t front, size_t ahead, ChunkEnd *ends)
{
    const size_t p = fronts->stages, chunks = fronts->chunks;
    const size_t from = front < ahead ? ahead - front : 0;
    const size_t start = front < ahead ? 0 : front - ahead;
    size_t past = fronts->all + ahead > front ? fronts->all + ahead - front : 0;
    past = past < p ? past : p;
    if (from >= past)
        return;
    const size_t group = start / p, turn = front < ahead ? p : p - start % p;
    const size_t last_group = turn < p ? group + 1 : group;
    /* the gradient of an earlier chunk left the first stage one front before; that of the last
     * chunk turns round here */
    fronts->down_s[p] = last_group % chunks > 0 ? fronts->down_s[0] : 0.0;
    const double *backward_s = fronts->backward_s + (chunks - 1 - group % chunks) * p;
    stages_backward(fronts, backward_s, from, past < turn ? past : turn);
    if (turn < past)
        stages_backward(fronts, fronts->backward_s + (chunks - 1 - last_group % chunks) * p,
                        from > turn ? from : turn, past);

    /* the last microbatch of the last group through a chunk of the stage before the turn */
    const size_t stage = turn - 1, backward = group * p + p - 1;
    if (front < ahead || stage < from || stage >= past || backward + p * chunks < fronts->all)
        return;
    const double end_s = fronts->free_s[stage];
    ends[stage * chunks + chunks - 1 - group % chunks] =
        (ChunkEnd){.first_gradient_s = end_s - backward_s[stage], .end_s = end_s};
}

/* Stages 0..past - 1 go backward, each with a weight gradient behind it. */
WIDE void stages_backward_whole(const Fronts *fronts, size_t past)
{
    double *restrict free_s = fronts->free_s, *restrict down_s = fronts->down_s;
    const double *restrict backward_s = fronts->backward_s, *restrict weight_s = fronts->weight_s;
    for (size_t i = 0; i < past; i++) {
        double end_s = later(free_s[i], down_s[i + 1]) + backward_s[i];
        free_s[i] = end_s + weight_s[i];
        down_s[i] = end_s + fronts->send_s;
    }
}

/* ZB-2p, one chunk: the weight gradient of 2 i microbatches ago follows the backward of stage i. */
static void front_split(const Fronts *fronts, size_t front, size_t ahead)
{
    const size_t p = fronts->stages;
    const size_t from = front < ahead ? ahead - front : 0;
    size_t past = fronts->all + ahead > front ? fronts->all + ahead - front : 0;
    past = past < p ? past : p;
    size_t with = front < ahead ? 0 : front + 1 - ahead;
    with = with < past ? with : past;
    fronts->down_s[p] = 0.0; /* turns round here */
    stages_backward_whole(fronts, with);
    stages_backward(fronts, fronts->backward_s, from > with ? from : with, past);
}

static void run_fronts(const Wave *wave, ChunkEnd *ends)
{
    const ScheduleShape *shape = wave->shape;
    const bool split = shape->kinds > TASK_WEIGHT;
    const size_t p = shape->stages, ahead = 2 * (p - 1) + (shape->chunks - 1) * p;
    const Fronts fronts = fill_fronts(wave);
    /* one round: all chunks of p microbatches, or where there is one chunk one microbatch */
    const size_t round = shape->chunks > 1 ? p * shape->chunks : 1;
    const size_t whole = ahead + (split ? p : 0);
    Steady steady = {.parts = {{fronts.free_s, p}, {fronts.up_s, p}, {fronts.down_s, p}},
                     .part_count = STATE_ARRAYS,
                     .saved = fronts.weight_s + shape->chunks * p,
                     .most_patience = p};
    for (size_t front = 0; front < fronts.all + ahead; front++) {
        if (front == whole)
            steady_begin(&steady);
        else if (front > whole && front < fronts.all && (front - whole) % round == 0)
            front += round * steady_skip(&steady, (fronts.all - front) / round);
        if (front < fronts.all + p - 1)
            front_forward(&fronts, front);
        if (split)
            front_split(&fronts, front, ahead);
        else
            front_backward(&fronts, front, ahead, ends);
    }
    for (size_t i = 0; split && i < p; i++) {
        size_t left = behind(shape, i) < shape->rounds ? behind(shape, i) : shape->rounds;
        double end_s = fronts.free_s[i] + (double)left * fronts.weight_s[i];
        ends[i] = (ChunkEnd){.first_gradient_s = end_s - fronts.weight_s[i], .end_s = end_s};
    }
}

void wave_run(const Wave *wave, ChunkEnd *ends)
{
    if (doubled(wave->shape->schedule))
        run_fronts(wave, ends);
    else
        run_halves(wave, ends);
}
