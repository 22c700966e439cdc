#include "sim/training/fold.h"

#include "sim/training/step_end.h"

#include <math.h>
#include <stdlib.h>

enum { NOWHERE = -1 };

/* A task in the order in which the recurrence meets it. */
typedef struct Node {
    unsigned task; /* with TASK_JOINED */
    unsigned stage;
    unsigned slot;  /* of its TaskTime */
    unsigned ready; /* of its input: stage * tasks + task */
    int target;     /* of its output, or NOWHERE */
    bool hop;
    bool last_of_chunk;
} Node;

struct Fold {
    ScheduleShape shape;
    bool laid_out; /* `nodes` are those of `shape` */
    Node *nodes;
    unsigned *orders;
    size_t *positions;
    double *ready_s; /* by stage and task: when its input is here */
    TaskTime *times; /* [stage][chunk][kind] */
    double *free_s;
    double *first_start_s;
    ChunkEnd *chunk_ends;
    double (*lanes)[2]; /* special forms: scratch */
    size_t nodes_capacity, orders_capacity, positions_capacity, ready_capacity, times_capacity,
        free_capacity, start_capacity, ends_capacity, lanes_capacity;
};

Fold *fold_create(Error *error)
{
    Fold *fold = calloc(1, sizeof *fold);
    if (fold == NULL)
        error_set(error, STATUS_ENVIRONMENT, "out of memory");
    return fold;
}

void fold_destroy(Fold *fold)
{
    if (fold == NULL)
        return;
    free(fold->nodes);
    free(fold->orders);
    free(fold->positions);
    free(fold->ready_s);
    free(fold->times);
    free(fold->free_s);
    free(fold->first_start_s);
    free(fold->chunk_ends);
    free(fold->lanes);
    free(fold);
}

/* `fmax` without its care for what is not a number: all times here are checked. */
static inline double later(double one, double other)
{
    return one > other ? one : other;
}

/* ---- memory and times ---- */

static Status reserve_stages(Fold *fold, const ScheduleShape *shape, Error *error)
{
    size_t stages = shape->stages, chunks = stages * shape->chunks;
    Status status = pipeline_reserve((void **)&fold->times, &fold->times_capacity,
                                     chunks * shape->kinds, sizeof *fold->times, error);
    if (status == STATUS_OK)
        status = pipeline_reserve((void **)&fold->free_s, &fold->free_capacity, stages,
                                  sizeof *fold->free_s, error);
    if (status == STATUS_OK)
        status = pipeline_reserve((void **)&fold->first_start_s, &fold->start_capacity, stages,
                                  sizeof *fold->first_start_s, error);
    if (status == STATUS_OK)
        status = pipeline_reserve((void **)&fold->chunk_ends, &fold->ends_capacity, chunks,
                                  sizeof *fold->chunk_ends, error);
    if (status == STATUS_OK)
        status = pipeline_reserve((void **)&fold->lanes, &fold->lanes_capacity, 2 * stages,
                                  sizeof *fold->lanes, error);
    return status;
}

static Status fill_times(Fold *fold, const ScheduleShape *shape, const StepInput *input,
                         Error *error)
{
    size_t per_stage = shape->chunks * shape->kinds;
    for (size_t i = 0; i < shape->stages; i++) {
        TaskTime *times = fold->times + i * per_stage;
        task_times_of_stage(shape, input, i, 1.0, times);
        for (size_t j = 0; j < per_stage; j++)
            if (!(times[j].total_s >= 0.0 && times[j].total_s < HUGE_VAL))
                return error_set(error, STATUS_INVALID, "stage %zu takes %g s for one microbatch",
                                 i + 1, times[j].total_s);
    }
    return STATUS_OK;
}

/* ---- any schedule ---- */

static Status reserve_tasks(Fold *fold, const ScheduleShape *shape, Error *error)
{
    size_t tasks = shape->stages * shape->tasks;
    Status status = pipeline_reserve((void **)&fold->nodes, &fold->nodes_capacity, tasks,
                                     sizeof *fold->nodes, error);
    if (status == STATUS_OK)
        status = pipeline_reserve((void **)&fold->orders, &fold->orders_capacity, tasks,
                                  sizeof *fold->orders, error);
    if (status == STATUS_OK)
        status = pipeline_reserve((void **)&fold->ready_s, &fold->ready_capacity, tasks,
                                  sizeof *fold->ready_s, error);
    if (status == STATUS_OK)
        status = pipeline_reserve((void **)&fold->positions, &fold->positions_capacity,
                                  shape->stages, sizeof *fold->positions, error);
    return status;
}

static bool block_is_ready(const Fold *fold, const ScheduleShape *shape, size_t stage,
                           const unsigned *block, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (fold->ready_s[stage * shape->tasks + (block[i] & ~TASK_JOINED)] < 0.0)
            return false;
    return true;
}

/* Appends the blocks of one stage that can run, up to the first that waits. */
static size_t lay_out_stage(Fold *fold, const ScheduleShape *shape, size_t stage, size_t count)
{
    const unsigned *order = fold->orders + stage * shape->tasks;
    size_t per_stage = shape->chunks * shape->kinds;
    while (fold->positions[stage] < shape->tasks) {
        const unsigned *block = order + fold->positions[stage];
        size_t length = block_length(block);
        if (!block_is_ready(fold, shape, stage, block, length))
            break;
        for (size_t i = 0; i < length; i++) {
            TaskTarget target = schedule_target(shape, stage, block[i] & ~TASK_JOINED);
            Node *node = &fold->nodes[count++];
            *node = (Node){
                .task = block[i],
                .stage = (unsigned)stage,
                .slot = (unsigned)(stage * per_stage + (block[i] & ~TASK_JOINED) % per_stage),
                .ready = (unsigned)(stage * shape->tasks + (block[i] & ~TASK_JOINED)),
                .target = NOWHERE,
                .hop = target.hop};
            if (!target.exists)
                continue;
            node->target = (int)(target.stage * shape->tasks + target.task);
            fold->ready_s[node->target] = 0.0;
        }
        fold->positions[stage] += length;
    }
    return count;
}

/* The last gradient of every chunk of every stage, from the end. */
static void mark_last(Fold *fold, const ScheduleShape *shape)
{
    for (size_t i = 0; i < shape->stages * shape->chunks; i++)
        fold->chunk_ends[i].end_s = NOWHERE;
    for (size_t i = shape->stages * shape->tasks; i-- > 0;) {
        Node *node = &fold->nodes[i];
        ChunkEnd *end = &fold->chunk_ends[node->stage * shape->chunks +
                                          task_chunk(shape, node->task & ~TASK_JOINED)];
        node->last_of_chunk = end->end_s < 0.0;
        end->end_s = 0.0;
    }
}

/* Sweeps over the stages; each goes as far as its inputs are known. */
static Status lay_out(Fold *fold, const ScheduleShape *shape, Error *error)
{
    if (fold->laid_out && schedule_shapes_equal(&fold->shape, shape))
        return STATUS_OK;
    fold->laid_out = false;
    fold->shape = *shape;
    Status status = reserve_tasks(fold, shape, error);
    for (size_t i = 0; status == STATUS_OK && i < shape->stages; i++) {
        status = step_schedule(shape, i, fold->orders + i * shape->tasks, error);
        fold->positions[i] = 0;
        for (unsigned task = 0; task < shape->tasks; task++)
            fold->ready_s[i * shape->tasks + task] =
                schedule_has_source(shape, i, task) ? NOWHERE : 0.0;
    }
    if (status != STATUS_OK)
        return status;

    size_t count = 0, before;
    do {
        before = count;
        for (size_t i = 0; i < shape->stages; i++)
            count = lay_out_stage(fold, shape, i, count);
    } while (count > before);
    if (count < shape->stages * shape->tasks)
        return error_set(error, STATUS_INVALID, "the pipeline schedule waits for itself");
    mark_last(fold, shape);
    fold->laid_out = true;
    return STATUS_OK;
}

static double joined_seconds(const Fold *fold, StreamRates rates, const Node *block, size_t length)
{
    const ScheduleShape *shape = &fold->shape;
    unsigned tasks[LONGEST_BLOCK] = {0};
    for (size_t i = 0; i < length && i < LONGEST_BLOCK; i++)
        tasks[i] = block[i].task;
    return block_seconds(shape, rates, fold->times + block->stage * shape->chunks * shape->kinds,
                         tasks, length);
}

static void record_span(const ScheduleShape *shape, const Node *node, double start_s, double end_s,
                        StepSpan *span)
{
    unsigned task = node->task & ~TASK_JOINED;
    *span = (StepSpan){
        .stage = node->stage,
        .microbatch = (unsigned)task_microbatch(shape, task),
        .backward = (int)task_kind(shape, task),
        .start_s = start_s,
        .end_s = end_s,
        .chunk = (unsigned)task_chunk(shape, task),
    };
}

/* Fills first_start_s and chunk_ends; the sum of all blocks' times is returned. Inputs that no task
 * provides stay at 0, all others are written before they are read. */
static double run_nodes(Fold *fold, const StepInput *input, double send_s, StepSpan *spans)
{
    const ScheduleShape *shape = &fold->shape;
    const double hop_s[2] = {0.0, send_s};
    double work_s = 0.0;
    for (size_t i = 0; i < shape->stages; i++) {
        fold->free_s[i] = 0.0;
        fold->first_start_s[i] = NOWHERE;
    }
    const Node *past = fold->nodes + shape->stages * shape->tasks;
    size_t length;
    for (const Node *block = fold->nodes; block < past; block += length) {
        size_t stage = block->stage;
        double start_s = later(fold->free_s[stage], fold->ready_s[block->ready]);
        for (length = 1; (block[length - 1].task & TASK_JOINED) != 0; length++)
            start_s = later(start_s, fold->ready_s[block[length].ready]);
        double duration_s = length == 1 ? fold->times[block->slot].total_s
                                        : joined_seconds(fold, input->block_rates, block, length);
        double end_s = start_s + duration_s;
        work_s += duration_s;
        fold->free_s[stage] = end_s;
        if (fold->first_start_s[stage] < 0.0)
            fold->first_start_s[stage] = start_s;
        for (size_t i = 0; i < length; i++) {
            if (block[i].target >= 0)
                fold->ready_s[block[i].target] = end_s + hop_s[block[i].hop];
            if (spans != NULL)
                record_span(shape, &block[i], start_s, end_s, spans++);
            if (!block[i].last_of_chunk)
                continue;
            size_t chunk = task_chunk(shape, block[i].task & ~TASK_JOINED);
            double layers = step_end_layers(shape, input, stage, chunk);
            fold->chunk_ends[stage * shape->chunks + chunk] = (ChunkEnd){
                .first_gradient_s = start_s + (end_s - start_s) / layers, .end_s = end_s};
        }
    }
    return work_s;
}

/* What the tasks would take one after the other, less what they take. */
static double hidden_seconds(const Fold *fold, const ScheduleShape *shape, double work_s)
{
    double all_s = 0.0;
    if (shape->schedule != SCHEDULE_DUALPIPE)
        return 0.0;
    for (size_t i = 0; i < shape->stages * shape->chunks * shape->kinds; i++)
        all_s += fold->times[i].total_s;
    return all_s * (double)shape->rounds / (double)shape->stages - work_s;
}

static void average_times(Fold *fold, const ScheduleShape *shape)
{
    size_t per_stage = shape->chunks * shape->kinds, slots = shape->stages * shape->chunks;
    TaskTime mean[MAX_TASK_KINDS] = {{0}};
    for (size_t i = 0; i < shape->stages * per_stage; i++) {
        mean[i % shape->kinds].total_s += fold->times[i].total_s / (double)slots;
        mean[i % shape->kinds].busy_s += fold->times[i].busy_s / (double)slots;
    }
    for (size_t i = 0; i < shape->stages * per_stage; i++)
        fold->times[i] = mean[i % shape->kinds];
}

Status fold_evaluate_generally(Fold *fold, const StepInput *input, StepSpan *spans,
                               FoldOutcome *outcome, Error *error)
{
    ScheduleShape shape;
    Status status = step_shape(input, 1, &shape, error);
    if (status == STATUS_OK)
        status = reserve_stages(fold, &shape, error);
    if (status == STATUS_OK)
        status = lay_out(fold, &shape, error);
    if (status == STATUS_OK)
        status = fill_times(fold, &shape, input, error);
    if (status != STATUS_OK)
        return status;

    double stages = (double)shape.stages;
    *outcome = (FoldOutcome){
        .shape = shape,
        .ends = {.first_start_s = fold->first_start_s, .chunk = fold->chunk_ends},
        .spans = spans != NULL ? shape.stages * shape.tasks : 0,
    };
    outcome->work_s = run_nodes(fold, input, 0.0, NULL) / stages;
    outcome->instant_s = pipeline_makespan(&shape, &outcome->ends);
    outcome->hidden_s = hidden_seconds(fold, &shape, outcome->work_s);
    average_times(fold, &shape);
    outcome->ideal_work_s = run_nodes(fold, input, 0.0, NULL) / stages;
    outcome->ideal_s = pipeline_makespan(&shape, &outcome->ends);
    status = fill_times(fold, &shape, input, error);
    run_nodes(fold, input, input->send_s, spans);
    outcome->makespan_s = pipeline_makespan(&shape, &outcome->ends);
    return status;
}

/* ---- 1F1B and GPipe ---- */

/* Where a one-chunk pipeline stands: times are [stage][2], forward and backward. */
typedef struct Line {
    size_t stages, microbatches;
    const TaskTime *times;
    double send_s;
    double *first_start_s;
    ChunkEnd *ends;
} Line;

static double forward_s(const Line *line, size_t stage)
{
    return line->times[2 * stage + TASK_FORWARD].total_s;
}

static double backward_s(const Line *line, size_t stage)
{
    return line->times[2 * stage + TASK_BACKWARD].total_s;
}

/* A flow shop with m equal jobs on stages in a row ends stage i at (sum up to i) + (m - 1) (max up
 * to i), sends aside: forwards up the stages, then, when the last one is through with them,
 * backwards down. By then every stage has long finished its forwards. */
static double gpipe_ends(const Line *line, double send_s)
{
    double again = (double)line->microbatches - 1.0, sum_s = 0.0, most_s = 0.0;
    for (size_t i = 0; i < line->stages; i++) {
        sum_s += forward_s(line, i) + (i > 0 ? send_s : 0.0);
        most_s = later(most_s, forward_s(line, i));
    }
    double turn_s = sum_s + again * most_s;
    sum_s = most_s = 0.0;
    for (size_t i = line->stages; i-- > 0;) {
        sum_s += backward_s(line, i) + (i + 1 < line->stages ? send_s : 0.0);
        most_s = later(most_s, backward_s(line, i));
        line->ends[i].end_s = turn_s + sum_s + again * most_s;
    }
    return line->ends[0].end_s;
}

static bool equal_stages(const Line *line)
{
    for (size_t i = 1; i < line->stages; i++)
        if (line->times[2 * i].total_s != line->times[0].total_s ||
            line->times[2 * i + 1].total_s != line->times[1].total_s)
            return false;
    return true;
}

/* Equal stages: the longest path computes (m + p - 1)(f + b). A microbatch that turns round at the
 * last stage and comes back d stages meets the forward of the microbatch d + 1 behind it there, so
 * each d + 1 microbatches of the path may hold 2 d sends, d at most p - 1: beside the first way up
 * and the last way down m - 1 - ceil((m - 1) / p) pairs of sends. The last microbatch then goes
 * down without waiting. */
static double equal_1f1b_ends(const Line *line, double send_s)
{
    double m = (double)line->microbatches, p = (double)line->stages;
    double pairs = p - 1.0 + (m - 1.0) - ceil((m - 1.0) / p);
    double end_s =
        (m + p - 1.0) * (forward_s(line, 0) + backward_s(line, 0)) + 2.0 * send_s * pairs;
    for (size_t i = 0; i < line->stages; i++)
        line->ends[i].end_s = end_s - (double)i * (backward_s(line, 0) + send_s);
    return end_s;
}

/* Different stages, with sends and without beside each other (two lanes). In round k stage i runs
 * its forward k and its backward k - (p - 1 - i), whose gradient stage i + 1 finished in the round
 * before. */
static double general_1f1b_ends(const Line *line, double (*lanes)[2], double *instant_s)
{
    size_t stages = line->stages, microbatches = line->microbatches;
    double(*free_s)[2] = lanes, (*gradient_s)[2] = lanes + stages;
    const double send_s = line->send_s;
    for (size_t i = 0; i < 2 * stages; i++)
        lanes[i][0] = lanes[i][1] = 0.0;

    for (size_t k = 0; k < microbatches + stages - 1; k++) {
        double with_s = 0.0, without_s = 0.0; /* when the activation arrives */
        for (size_t i = 0; k < microbatches && i < stages; i++) {
            double taken_s = line->times[2 * i].total_s;
            double start_s = later(free_s[i][0], with_s);
            free_s[i][0] = start_s + taken_s;
            with_s = start_s + (taken_s + send_s); /* one addition less in the chain of stages */
            without_s = later(free_s[i][1], without_s) + taken_s;
            free_s[i][1] = without_s;
        }
        /* backward k - (p - 1 - i) exists from stage p - 1 - k to stage m - 1 - k + p - 1 */
        size_t from = k < stages ? stages - 1 - k : 0;
        size_t past = k < microbatches ? stages : microbatches + stages - 1 - k;
        for (size_t i = from; i < past; i++) {
            double taken_s = line->times[2 * i + 1].total_s;
            double arrives_s = i + 1 < stages ? gradient_s[i + 1][0] + send_s : 0.0;
            double arrives_instantly_s = i + 1 < stages ? gradient_s[i + 1][1] : 0.0;
            free_s[i][0] = gradient_s[i][0] = later(free_s[i][0], arrives_s) + taken_s;
            free_s[i][1] = gradient_s[i][1] = later(free_s[i][1], arrives_instantly_s) + taken_s;
        }
    }
    double end_s = 0.0;
    *instant_s = 0.0;
    for (size_t i = 0; i < stages; i++) {
        line->ends[i].end_s = free_s[i][0];
        end_s = later(end_s, free_s[i][0]);
        *instant_s = later(*instant_s, free_s[i][1]);
    }
    return end_s;
}

static void fill_line_ends(const Line *line, const StepInput *input)
{
    double start_s = 0.0;
    for (size_t i = 0; i < line->stages; i++) {
        line->first_start_s[i] = start_s;
        start_s = start_s + forward_s(line, i) + line->send_s;
        ChunkEnd *end = &line->ends[i];
        double began_s = end->end_s - backward_s(line, i);
        double layers = later(input->stage[i].layers, 1.0);
        end->first_gradient_s = began_s + (end->end_s - began_s) / layers;
    }
}

/* (m + p - 1)(f + b) of the mean stage, both schedules. */
static void line_ideal(const Line *line, FoldOutcome *outcome)
{
    double one_s = 0.0, stages = (double)line->stages;
    for (size_t i = 0; i < line->stages; i++)
        one_s += (forward_s(line, i) + backward_s(line, i)) / stages;
    outcome->work_s = outcome->ideal_work_s = one_s * (double)line->microbatches;
    outcome->ideal_s = one_s * ((double)line->microbatches + stages - 1.0);
}

Status fold_evaluate(Fold *fold, const StepInput *input, StepSpan *spans, FoldOutcome *outcome,
                     Error *error)
{
    ScheduleShape shape;
    Status status = step_shape(input, 1, &shape, error);
    if (status != STATUS_OK)
        return status;
    bool gpipe = shape.schedule == SCHEDULE_GPIPE;
    if (spans != NULL || (!gpipe && shape.schedule != SCHEDULE_1F1B))
        return fold_evaluate_generally(fold, input, spans, outcome, error);
    status = reserve_stages(fold, &shape, error);
    if (status == STATUS_OK)
        status = fill_times(fold, &shape, input, error);
    if (status != STATUS_OK)
        return status;

    Line line = {.stages = shape.stages,
                 .microbatches = shape.rounds,
                 .times = fold->times,
                 .send_s = input->send_s,
                 .first_start_s = fold->first_start_s,
                 .ends = fold->chunk_ends};
    *outcome = (FoldOutcome){
        .shape = shape,
        .ends = {.first_start_s = fold->first_start_s, .chunk = fold->chunk_ends},
    };
    line_ideal(&line, outcome);
    if (gpipe) {
        outcome->instant_s = gpipe_ends(&line, 0.0);
        outcome->makespan_s = gpipe_ends(&line, line.send_s);
    } else if (equal_stages(&line)) {
        outcome->instant_s = equal_1f1b_ends(&line, 0.0);
        outcome->makespan_s = equal_1f1b_ends(&line, line.send_s);
    } else {
        outcome->makespan_s = general_1f1b_ends(&line, fold->lanes, &outcome->instant_s);
    }
    fill_line_ends(&line, input);
    return STATUS_OK;
}
