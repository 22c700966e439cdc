#include "sim/training/wave.h"

#include "sim/training/steady.h"
#include "sim/training/wave_parts.h"
#include "sim/training/wide.h"

bool wave_knows(const ScheduleShape *shape)
{
    if (shape->schedule == SCHEDULE_INTERLEAVED && shape->rounds % shape->stages != 0)
        return false; /* the last group is not whole */
    return shape->schedule == SCHEDULE_1F1B || shape->schedule == SCHEDULE_ZB_H1 ||
           shape->schedule == SCHEDULE_INTERLEAVED || shape->schedule == SCHEDULE_ZB_2P;
}

/* ---- 1F1B and ZB-H1 ----
 *
 * Stage i runs p - 1 - i microbatches ahead of its backwards. Its forward k belongs to front 2 k +
 * i, its backward q to front 2 q + 2 p - 1 - i: what a task waits for belongs to the front before,
 * and stages of one parity go forward while the others go backward. So in a front a stage that goes
 * forward (`upper`) and the one before it, which goes backward (`lower`), exchange what they did
 * last, and nobody else looks at either: one number a stage is all that there is. A weight gradient
 * leaves it as it is and is added where its own stage goes on. */

/* Stages of one parity: stage i at number i / 2 of row i % 2; one place before, some behind. */
typedef struct Row {
    double *end_s; /* of the stage's last forward or backward */
    double *forward_s, *backward_s, *weight_s;
    double *due_s;   /* weight_s, once there is one behind each backward */
    double *begun_s; /* end_s before the first backward */
} Row;

enum { ROW_ARRAYS = 6 };

static size_t row_length(const ScheduleShape *shape)
{
    return 1 + padded(shape->stages / 2 + 1);
}

size_t wave_scratch(const ScheduleShape *shape)
{
    const size_t saved = 2 * shape->stages; /* of the rows, see run_halves */
    return most(2 * ROW_ARRAYS * row_length(shape) + saved, wave_ahead_scratch(shape));
}

static void fill_rows(const Wave *wave, Row row[2])
{
    const ScheduleShape *shape = wave->shape;
    const bool split = shape->kinds > TASK_WEIGHT;
    const size_t length = row_length(shape), p = shape->stages;
    const double before_s = long_before_s(wave);
    double *memory = wave->scratch;
    for (size_t parity = 0; parity < 2; parity++) {
        double **arrays[ROW_ARRAYS] = {&row[parity].end_s,      &row[parity].forward_s,
                                       &row[parity].backward_s, &row[parity].weight_s,
                                       &row[parity].due_s,      &row[parity].begun_s};
        for (size_t i = 0; i < ROW_ARRAYS; i++, memory += length) {
            *arrays[i] = memory + 1;
            for (size_t j = 0; j < length; j++)
                memory[j] = i < 3 ? before_s : 0.0;
        }
    }
    FlowShop flow = {0};
    for (size_t i = 0; i < p; i++, flow.first_s += wave->send_s) {
        const TaskTime *times = wave->times + i * shape->kinds;
        const Row *own = &row[i % 2];
        own->forward_s[i / 2] = times[TASK_FORWARD].total_s;
        own->backward_s[i / 2] = times[TASK_BACKWARD].total_s;
        own->weight_s[i / 2] = split ? times[TASK_WEIGHT].total_s : 0.0;
        next_stage(&flow, times[TASK_FORWARD].total_s);
        own->begun_s[i / 2] = forward_end_s(&flow, least(p - 1 - i, shape->rounds - 1));
    }
}

/* A front: stage 2 h + parity at upper[h], the one before it at lower[h]. */
typedef struct Pairs {
    double *upper, *lower;
    const double *forward_s, *upper_due_s;  /* of upper[h] */
    const double *backward_s, *lower_due_s; /* of lower[h] */
} Pairs;

static Pairs pairs_of(const Row row[2], size_t parity)
{
    const Row *upper = &row[parity], *lower = &row[1 - parity];
    const ptrdiff_t before = parity == 0 ? -1 : 0;
    return (Pairs){.upper = upper->end_s,
                   .lower = lower->end_s + before,
                   .forward_s = upper->forward_s,
                   .upper_due_s = upper->due_s,
                   .backward_s = lower->backward_s + before,
                   .lower_due_s = lower->due_s + before};
}

WITHIN void exchange(const Pairs *pairs, double send_s, size_t first, size_t count)
{
    double *restrict upper = pairs->upper + first, *restrict lower = pairs->lower + first;
    const double *restrict forward_s = pairs->forward_s + first;
    const double *restrict backward_s = pairs->backward_s + first;
    INDEPENDENT
    for (size_t h = 0; h < count; h++) {
        const double up_s = lower[h] + send_s, down_s = upper[h] + send_s;
        upper[h] = later(upper[h], up_s) + forward_s[h];
        lower[h] = later(lower[h], down_s) + backward_s[h];
    }
}

/* The same with a weight gradient behind what the upper stage did last. */
WITHIN void exchange_split(const Pairs *pairs, double send_s, size_t first, size_t count)
{
    double *restrict upper = pairs->upper + first, *restrict lower = pairs->lower + first;
    const double *restrict forward_s = pairs->forward_s + first;
    const double *restrict backward_s = pairs->backward_s + first;
    const double *restrict due_s = pairs->upper_due_s + first;
    INDEPENDENT
    for (size_t h = 0; h < count; h++) {
        const double up_s = lower[h] + send_s, down_s = upper[h] + send_s;
        upper[h] = later(upper[h] + due_s[h], up_s) + forward_s[h];
        lower[h] = later(lower[h], down_s) + backward_s[h];
    }
}

/* Behind the forwards of the lower stage. */
WITHIN void go_backward(const Pairs *pairs, double send_s, size_t first, size_t past)
{
    double *restrict lower = pairs->lower;
    const double *restrict upper = pairs->upper, *restrict backward_s = pairs->backward_s;
    const double *restrict due_s = pairs->lower_due_s;
    INDEPENDENT
    for (size_t h = first; h < past; h++)
        lower[h] = later(lower[h] + due_s[h], upper[h] + send_s) + backward_s[h];
}

/* A stage takes part from its first backward on; the weight gradient of i microbatches ago follows
 * the backward of stage i. */
WITHIN void begin_front(const Row row[2], size_t stages, bool split, size_t front)
{
    const size_t parity = front % 2;
    if (front < 2 * stages) {
        const size_t stage = 2 * stages - 1 - front;
        row[1 - parity].end_s[stage / 2] = row[1 - parity].begun_s[stage / 2];
    } else if (split && front < 3 * stages) {
        const size_t place = front / 2 - stages;
        row[parity].due_s[place] = row[parity].weight_s[place];
    }
}

/* Fronts from `begin` on in which some stages have no forwards any more. */
WITHIN void drain(const Wave *wave, const Row row[2], size_t begin)
{
    const size_t p = wave->shape->stages, m = wave->shape->rounds, fronts = 2 * (m + p - 1);
    const bool split = wave->shape->kinds > TASK_WEIGHT;
    const Pairs pairs[2] = {pairs_of(row, 0), pairs_of(row, 1)};
    for (size_t front = begin; front < fronts; front++) {
        const size_t parity = front % 2;
        const Pairs *at = &pairs[parity];
        begin_front(row, p, split, front);
        /* Upper stages: forward (front - i) / 2 exists from stage front - 2 (m - 1) on, backward
         * (front + i + 1 - 2 p) / 2 of a lower stage from 2 p - 1 - front on, m of them. */
        const size_t up_from = front - 2 * (m - 1);
        const size_t down_from = front < 2 * p ? 2 * p - front : 1;
        const size_t down_past = least(p, fronts - front) + 1;
        go_backward(at, wave->send_s, (down_from + 1 - parity) / 2,
                    (least(up_from, down_past) + 1 - parity) / 2);
        const size_t first = (most(up_from, down_from) + 1 - parity) / 2;
        const size_t past = (p + 2 - parity) / 2;
        if (first < past && split)
            exchange_split(at, wave->send_s, first, past - first);
        else if (first < past)
            exchange(at, wave->send_s, first, past - first);
    }
}

WIDE void run_halves(const Wave *wave, ChunkEnd *ends)
{
    const ScheduleShape *shape = wave->shape;
    const size_t p = shape->stages, m = shape->rounds, forwards = 2 * (m - 1);
    const bool split = shape->kinds > TASK_WEIGHT;
    const double send_s = wave->send_s;
    Row row[2];
    fill_rows(wave, row);
    const Pairs pairs[2] = {pairs_of(row, 0), pairs_of(row, 1)};
    /* from `whole` on every stage does all of its slot, as long as the first one has forwards */
    const size_t whole = split ? 3 * p : 2 * p, begin = whole + whole % 2;
    Steady steady = {.parts = {{row[0].end_s, (p + 1) / 2}, {row[1].end_s, p / 2}},
                     .part_count = 2,
                     .saved = wave->scratch + 2 * ROW_ARRAYS * row_length(shape),
                     .most_patience = p};
    const size_t vectors = padded(p / 2 + 1) / LANES;
    size_t front = p;
    for (; front <= forwards; front++) {
        if (front == begin)
            steady_begin(&steady);
        else if (front % 2 == 0 && front > begin)
            front += 2 * steady_skip(&steady, (forwards - front) / 2);
        const Pairs *at = &pairs[front % 2];
        begin_front(row, p, split, front);
        const size_t idle = front < 2 * p ? (2 * p - front) / 2 / LANES : 0;
        if (split)
            exchange_split(at, send_s, idle * LANES, (vectors - idle) * LANES);
        else
            exchange(at, send_s, idle * LANES, (vectors - idle) * LANES);
    }
    drain(wave, row, front);
    for (size_t i = 0; i < p; i++) {
        const Row *own = &row[i % 2];
        double end_s = own->end_s[i / 2], last_s = own->backward_s[i / 2];
        if (split) {
            last_s = own->weight_s[i / 2];
            end_s += (double)(m > i ? i + 1 : m) * last_s; /* with the one behind the last */
        }
        ends[i] = (ChunkEnd){.first_gradient_s = end_s - last_s, .end_s = end_s};
    }
}

void wave_run(const Wave *wave, ChunkEnd *ends)
{
    const PipelineSchedule schedule = wave->shape->schedule;
    if (schedule == SCHEDULE_INTERLEAVED || schedule == SCHEDULE_ZB_2P)
        wave_ahead_run(wave, ends);
    else
        run_halves(wave, ends);
}
