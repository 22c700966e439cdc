#include "sim/training/fold.h"

#include "sim/training/dualpipe.h"
#include "sim/training/line.h"
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
    double *scratch; /* of special forms */
    size_t nodes_capacity, orders_capacity, positions_capacity, ready_capacity, times_capacity,
        free_capacity, start_capacity, ends_capacity, scratch_capacity;
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
    free(fold->scratch);
    free(fold);
}

/* `fmax` without its care for what is not a number: all times here are checked. */
static inline double later(double one, double other)
{
    return one > other ? one : other;
}

/* ---- memory and times ---- */

static size_t scratch_numbers(const ScheduleShape *shape)
{
    return shape->schedule == SCHEDULE_DUALPIPE ? dualpipe_scratch(shape) : line_scratch(shape);
}

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
        status = pipeline_reserve((void **)&fold->scratch, &fold->scratch_capacity,
                                  scratch_numbers(shape), sizeof *fold->scratch, error);
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

/* Every task becomes the mean task of its kind. */
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

/* Makes room, and finds what each task takes. */
static Status prepare(Fold *fold, const StepInput *input, ScheduleShape *shape,
                      FoldOutcome *outcome, Error *error)
{
    Status status = step_shape(input, 1, shape, error);
    if (status == STATUS_OK)
        status = reserve_stages(fold, shape, error);
    if (status == STATUS_OK)
        status = fill_times(fold, shape, input, error);
    if (status == STATUS_OK)
        *outcome = (FoldOutcome){
            .shape = *shape,
            .ends = {.first_start_s = fold->first_start_s, .chunk = fold->chunk_ends},
        };
    return status;
}

static Status run_generally(Fold *fold, const StepInput *input, FoldDetail detail, StepSpan *spans,
                            FoldOutcome *outcome, Error *error)
{
    const ScheduleShape *shape = &outcome->shape;
    Status status = lay_out(fold, shape, error);
    if (status != STATUS_OK)
        return status;
    double stages = (double)shape->stages;
    outcome->spans = spans != NULL ? shape->stages * shape->tasks : 0;
    if (detail == FOLD_CAUSES) {
        outcome->work_s = run_nodes(fold, input, 0.0, NULL) / stages;
        outcome->instant_s = pipeline_makespan(shape, &outcome->ends);
        outcome->hidden_s = hidden_seconds(fold, shape, outcome->work_s);
        average_times(fold, shape);
        outcome->ideal_work_s = run_nodes(fold, input, 0.0, NULL) / stages;
        outcome->ideal_s = pipeline_makespan(shape, &outcome->ends);
        status = fill_times(fold, shape, input, error);
    }
    outcome->work_s = run_nodes(fold, input, input->send_s, spans) / stages;
    outcome->makespan_s = pipeline_makespan(shape, &outcome->ends);
    return status;
}

Status fold_evaluate_generally(Fold *fold, const StepInput *input, StepSpan *spans,
                               FoldOutcome *outcome, Error *error)
{
    ScheduleShape shape;
    Status status = prepare(fold, input, &shape, outcome, error);
    if (status == STATUS_OK)
        status = run_generally(fold, input, FOLD_CAUSES, spans, outcome, error);
    return status;
}

/* ---- schedules with special forms ---- */

/* With L layers the first gradient of the last task comes after 1/L of it. */
static void place_first_gradients(const FoldOutcome *outcome, const StepInput *input)
{
    const ScheduleShape *shape = &outcome->shape;
    for (size_t i = 0; i < shape->stages; i++) {
        for (size_t j = 0; j < shape->chunks; j++) {
            ChunkEnd *end = &outcome->ends.chunk[i * shape->chunks + j];
            double layers = step_end_layers(shape, input, i, j), began_s = end->first_gradient_s;
            end->first_gradient_s = began_s + (end->end_s - began_s) / layers;
        }
    }
}

static Status run_specially(Fold *fold, const StepInput *input, FoldDetail detail,
                            FoldOutcome *outcome, Error *error)
{
    const ScheduleShape *shape = &outcome->shape;
    const Line line = {
        .shape = shape, .times = fold->times, .scratch = fold->scratch, .ends = outcome->ends};
    Status status = STATUS_OK;
    outcome->work_s = outcome->ideal_work_s = line_work_s(&line);
    if (detail == FOLD_CAUSES) {
        line_run(&line, 0.0);
        outcome->instant_s = pipeline_makespan(shape, &outcome->ends);
        if (line_has_ideal(shape)) {
            outcome->ideal_s = line_ideal_s(&line);
        } else {
            average_times(fold, shape);
            line_run(&line, 0.0);
            outcome->ideal_s = pipeline_makespan(shape, &outcome->ends);
            status = fill_times(fold, shape, input, error);
        }
    }
    line_run(&line, input->send_s);
    outcome->makespan_s = pipeline_makespan(shape, &outcome->ends);
    place_first_gradients(outcome, input);
    return status;
}

/* ---- DualPipe ---- */

static double run_dualpipe(const Fold *fold, const FoldOutcome *outcome, StreamRates rates,
                           double send_s)
{
    const DualPipe pipe = {.shape = &outcome->shape,
                           .times = fold->times,
                           .send_s = send_s,
                           .rates = rates,
                           .scratch = fold->scratch};
    return dualpipe_run(&pipe, &outcome->ends);
}

static Status run_both_ways(Fold *fold, const StepInput *input, FoldDetail detail,
                            FoldOutcome *outcome, Error *error)
{
    const ScheduleShape *shape = &outcome->shape;
    Status status = STATUS_OK;
    if (detail == FOLD_CAUSES) {
        outcome->work_s = run_dualpipe(fold, outcome, input->block_rates, 0.0);
        outcome->instant_s = pipeline_makespan(shape, &outcome->ends);
        outcome->hidden_s = hidden_seconds(fold, shape, outcome->work_s);
        average_times(fold, shape);
        outcome->ideal_work_s = run_dualpipe(fold, outcome, input->block_rates, 0.0);
        outcome->ideal_s = pipeline_makespan(shape, &outcome->ends);
        status = fill_times(fold, shape, input, error);
    }
    outcome->work_s = run_dualpipe(fold, outcome, input->block_rates, input->send_s);
    outcome->makespan_s = pipeline_makespan(shape, &outcome->ends);
    place_first_gradients(outcome, input);
    return status;
}

Status fold_evaluate(Fold *fold, const StepInput *input, FoldDetail detail, StepSpan *spans,
                     FoldOutcome *outcome, Error *error)
{
    ScheduleShape shape;
    Status status = prepare(fold, input, &shape, outcome, error);
    if (status != STATUS_OK)
        return status;
    if (spans == NULL && line_knows(&shape))
        return run_specially(fold, input, detail, outcome, error);
    if (spans == NULL && shape.schedule == SCHEDULE_DUALPIPE)
        return run_both_ways(fold, input, detail, outcome, error);
    return run_generally(fold, input, detail, spans, outcome, error);
}
