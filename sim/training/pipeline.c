#include "sim/training/pipeline.h"

#include "sim/training/step_end.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double NOT_READY = -1.0;

static const unsigned NO_TARGET = 0xffffffffU;

/* An entry of an order with what follows from it worked out. */
typedef struct Entry {
    unsigned task;       /* with TASK_JOINED */
    unsigned target;     /* the task that waits for it, or NO_TARGET */
    int receiver;        /* stages from here to the one that runs the target */
    unsigned pass;       /* of a microbatch through a chunk: place of its noise */
    unsigned short slot; /* of its TaskTime: chunk and kind */
    bool hop, last_of_chunk;
} Entry;

/* One stage of the replica under way. Its tasks are known in advance (the order); a block of them
 * starts when the stage is free and what it needs has arrived, so one event a block is enough: its
 * end. */
typedef struct Worker {
    const TaskTime *times; /* [chunk][kind] */
    double started_s;      /* the block under way */
    double *ready_s;       /* by task: when its input is here, NOT_READY before that is known */
    const Entry *order;
    const double *expert_noise; /* of its stage and group, or NULL */
    const double *deviations;   /* of its experts: [chunk][kind] */
    unsigned position;          /* in the order */
    unsigned stage;
    bool busy;
} Worker;

struct Pipeline {
    Engine *engine;
    const StepInput *input;
    const PipelineCase *run;
    ScheduleShape shape;
    Worker *workers; /* [stage] of the replica under way */
    TaskTime *times; /* [stage][chunk][kind] of that replica */
    double *ready_s;
    Entry *orders;         /* [stage][task] */
    unsigned *order;       /* of one stage, while `orders` is filled */
    double *first_ready_s; /* [stage][task]: 0 where nothing is waited for, else NOT_READY */
    double *first_start_s;
    ChunkEnd *chunk_ends;
    double *deviations; /* [stage][chunk][kind]: expert_variance_s2 as seconds */
    size_t workers_capacity, times_capacity, ready_capacity, orders_capacity, order_capacity,
        first_ready_capacity, start_capacity, ends_capacity, deviations_capacity;
    bool ordered; /* `orders` and `first_ready_s` are those of `shape` */
    size_t replica, finished, spans;
    uint64_t events; /* of all replicas */
};

Pipeline *pipeline_create(Error *error)
{
    Pipeline *pipeline = calloc(1, sizeof *pipeline);
    if (pipeline == NULL) {
        error_set(error, STATUS_ENVIRONMENT, "out of memory");
        return NULL;
    }
    pipeline->engine = engine_create(1024, error);
    if (pipeline->engine == NULL) {
        free(pipeline);
        return NULL;
    }
    return pipeline;
}

void pipeline_destroy(Pipeline *pipeline)
{
    if (pipeline == NULL)
        return;
    engine_destroy(pipeline->engine);
    free(pipeline->workers);
    free(pipeline->times);
    free(pipeline->ready_s);
    free(pipeline->orders);
    free(pipeline->order);
    free(pipeline->first_ready_s);
    free(pipeline->first_start_s);
    free(pipeline->chunk_ends);
    free(pipeline->deviations);
    free(pipeline);
}

Status pipeline_reserve(void **memory, size_t *capacity, size_t count, size_t element_bytes,
                        Error *error)
{
    if (count <= *capacity)
        return STATUS_OK;
    free(*memory);
    *capacity = 0;
    *memory = calloc(count, element_bytes);
    if (*memory == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory for a step of %zu entries",
                         count);
    *capacity = count;
    return STATUS_OK;
}

/* ---- size and times ---- */

Status step_shape(const StepInput *input, size_t replicas, ScheduleShape *shape, Error *error)
{
    Status status = schedule_shape(input->schedule, input->stages, input->virtual_stages,
                                   input->microbatches, shape, error);
    if (status != STATUS_OK)
        return status;
    size_t virtual_stages = shape->schedule == SCHEDULE_INTERLEAVED ? shape->chunks : 1;
    if (input->stages * virtual_stages > MAX_STAGES)
        return error_set(error, STATUS_INVALID, "%zu stages of %zu chunks are more than %d",
                         input->stages, virtual_stages, MAX_STAGES);
    if (replicas > STEP_MAX_TASKS / input->stages / virtual_stages ||
        input->microbatches > STEP_MAX_TASKS / (input->stages * virtual_stages * replicas)) {
        error_set(error, STATUS_INVALID,
                  "a step of %zu replicas x %zu stages x %zu microbatches is too large to simulate",
                  replicas, input->stages, input->microbatches);
        error_hint(error, "use --detail folded, a larger micro batch, or fewer stages");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static TaskTime phase_time(const StagePhase *phase, double compute_s, double factor)
{
    double more_s = (factor - 1.0) * compute_s;
    /* Waiting for the busiest expert rank is that rank's computing. */
    return (TaskTime){.total_s = phase->total_s + more_s,
                      .busy_s = phase->compute_s + phase->recompute_s + phase->expert_imbalance_s +
                                more_s};
}

/* What `chunk` of a stage does forward and backward. */
typedef struct ChunkPhases {
    const StagePhase *forward, *backward;
} ChunkPhases;

static ChunkPhases chunk_phases(const ScheduleShape *shape, const StepInput *input, size_t stage,
                                size_t chunk)
{
    if (shape->schedule == SCHEDULE_INTERLEAVED) {
        const ChunkTime *time = &input->chunk[chunk * shape->stages + stage];
        return (ChunkPhases){&time->forward, &time->backward};
    }
    const StageTime *time = &input->stage[stage];
    if (shape->schedule == SCHEDULE_DUALPIPE && chunk == 1)
        time = &input->stage[shape->stages - 1 - stage];
    return (ChunkPhases){&time->forward, &time->backward};
}

void task_times_of_stage(const ScheduleShape *shape, const StepInput *input, size_t stage,
                         double factor, TaskTime *times)
{
    for (size_t chunk = 0; chunk < shape->chunks; chunk++, times += shape->kinds) {
        const ChunkPhases phases = chunk_phases(shape, input, stage, chunk);
        const StagePhase *forward = phases.forward, *backward = phases.backward;
        times[TASK_FORWARD] =
            phase_time(forward, forward->compute_s + forward->recompute_s, factor);
        TaskTime whole = phase_time(backward, backward->compute_s + backward->recompute_s, factor);
        times[TASK_BACKWARD] = whole;
        if (shape->kinds <= TASK_WEIGHT)
            continue;
        double weight_s = backward->weight_s * factor;
        times[TASK_WEIGHT] = (TaskTime){.total_s = weight_s, .busy_s = weight_s};
        times[TASK_BACKWARD] =
            (TaskTime){.total_s = whole.total_s - weight_s, .busy_s = whole.busy_s - weight_s};
    }
}

double block_seconds(const ScheduleShape *shape, StreamRates rates, const TaskTime *times,
                     const unsigned *block, size_t length)
{
    double forward_s = 0.0, backward_s = 0.0, busy_s = 0.0;
    for (size_t i = 0; i < length; i++) {
        unsigned task = block[i] & ~TASK_JOINED;
        const TaskTime *time = &times[task % (shape->kinds * shape->chunks)];
        if (task_kind(shape, task) == TASK_FORWARD)
            forward_s += time->total_s;
        else
            backward_s += time->total_s;
        busy_s += time->busy_s;
    }
    if (!(forward_s > 0.0) || !(backward_s > 0.0))
        return forward_s + backward_s;
    double idle_s = forward_s + backward_s - busy_s;
    return fmax(overlap_seconds(rates, busy_s, idle_s), fmax(forward_s, backward_s));
}

/* ---- events ---- */

/* An invalid time makes engine_schedule stop the engine, and engine_run then reports it. */

static void block_end(Engine *engine, void *context, uint64_t index);

static double joined_seconds(const Pipeline *pipeline, const Worker *worker, const Entry *block)
{
    unsigned tasks[LONGEST_BLOCK] = {0};
    size_t length = 0;
    do
        tasks[length] = block[length].task;
    while ((block[length++].task & TASK_JOINED) != 0 && length < LONGEST_BLOCK);
    return block_seconds(&pipeline->shape, pipeline->input->block_rates, worker->times, tasks,
                         length);
}

/* What the tokens of this microbatch add to or take from the mean of its experts' time. */
static double expert_noise_s(const Worker *worker, const Entry *entry)
{
    return worker->expert_noise[entry->pass] * worker->deviations[entry->slot];
}

static void start_next(Pipeline *pipeline, size_t index)
{
    Worker *worker = &pipeline->workers[index];
    const ScheduleShape *shape = &pipeline->shape;
    if (worker->busy || worker->position == shape->tasks)
        return;
    const Entry *block = worker->order + worker->position;
    double start_s = engine_now(pipeline->engine);
    for (const Entry *entry = block;; entry++) {
        double ready_s = worker->ready_s[entry->task & ~TASK_JOINED];
        if (ready_s < 0.0)
            return;
        start_s = ready_s > start_s ? ready_s : start_s;
        if ((entry->task & TASK_JOINED) == 0)
            break;
    }
    worker->started_s = start_s;
    worker->busy = true;
    double duration_s = (block->task & TASK_JOINED) == 0 ? worker->times[block->slot].total_s
                                                         : joined_seconds(pipeline, worker, block);
    if (worker->expert_noise != NULL) {
        const Entry *entry = block;
        do
            duration_s += expert_noise_s(worker, entry);
        while ((entry++->task & TASK_JOINED) != 0);
        duration_s = fmax(0.0, duration_s);
    }
    engine_schedule(pipeline->engine, start_s + duration_s, block_end, pipeline, index);
}

static void record_span(Pipeline *pipeline, const Worker *worker, unsigned task, double end_s)
{
    const ScheduleShape *shape = &pipeline->shape;
    pipeline->run->spans[pipeline->spans++] = (StepSpan){
        .stage = worker->stage,
        .microbatch = (unsigned)task_microbatch(shape, task),
        .backward = (int)task_kind(shape, task),
        .start_s = worker->started_s,
        .end_s = end_s,
        .chunk = (unsigned)task_chunk(shape, task),
    };
}

/* With L layers the first gradient of the last task comes after 1/L of it. */
static double first_gradient_s(const Pipeline *pipeline, const Worker *worker, size_t chunk,
                               double end_s)
{
    return worker->started_s + (end_s - worker->started_s) / step_end_layers(&pipeline->shape,
                                                                             pipeline->input,
                                                                             worker->stage, chunk);
}

static void chunk_done(Pipeline *pipeline, const Worker *worker, unsigned task, double now_s)
{
    const ScheduleShape *shape = &pipeline->shape;
    size_t chunk = task_chunk(shape, task);
    ChunkEnd *end = &pipeline->chunk_ends[worker->stage * shape->chunks + chunk];
    end->end_s = fmax(end->end_s, now_s);
    end->first_gradient_s =
        fmax(end->first_gradient_s, first_gradient_s(pipeline, worker, chunk, now_s));
}

static void task_done(Pipeline *pipeline, size_t index, const Entry *entry, double now_s)
{
    const Worker *worker = &pipeline->workers[index];
    if (entry->last_of_chunk)
        chunk_done(pipeline, worker, entry->task & ~TASK_JOINED, now_s);
    if (pipeline->run->spans != NULL && pipeline->replica == 0)
        record_span(pipeline, worker, entry->task & ~TASK_JOINED, now_s);
    if (entry->target == NO_TARGET)
        return;
    size_t receiver =
        entry->receiver < 0 ? index - (size_t)-entry->receiver : index + (size_t)entry->receiver;
    pipeline->workers[receiver].ready_s[entry->target] =
        entry->hop ? now_s + pipeline->run->send_s : now_s;
    if (receiver != index)
        start_next(pipeline, receiver);
}

static void block_end(Engine *engine, void *context, uint64_t index)
{
    Pipeline *pipeline = context;
    Worker *worker = &pipeline->workers[index];
    double now_s = engine_now(engine);
    const Entry *entry = worker->order + worker->position;
    worker->busy = false;
    if (worker->position == 0)
        pipeline->first_start_s[worker->stage] =
            fmin(pipeline->first_start_s[worker->stage], worker->started_s);

    bool joined;
    do {
        joined = (entry->task & TASK_JOINED) != 0;
        worker->position++;
        task_done(pipeline, index, entry++, now_s);
    } while (joined);
    if (worker->position < pipeline->shape.tasks)
        start_next(pipeline, index);
    else
        pipeline->finished++;
}

/* ---- one run ---- */

static Entry make_entry(const ScheduleShape *shape, size_t stage, unsigned ordered)
{
    unsigned task = ordered & ~TASK_JOINED;
    TaskTarget target = schedule_target(shape, stage, task);
    return (Entry){
        .task = ordered,
        .target = target.exists ? target.task : NO_TARGET,
        .receiver = target.exists ? (int)target.stage - (int)stage : 0,
        .pass = task / (unsigned)shape->kinds,
        .slot = (unsigned short)(task % (shape->chunks * shape->kinds)),
        .hop = target.hop,
    };
}

static void fill_entries(Pipeline *pipeline, const ScheduleShape *shape, size_t stage)
{
    Entry *entries = pipeline->orders + stage * shape->tasks;
    double *first_ready_s = pipeline->first_ready_s + stage * shape->tasks;
    bool seen[MAX_STAGES] = {false}; /* chunks, from the end */
    for (size_t i = shape->tasks; i-- > 0;) {
        entries[i] = make_entry(shape, stage, pipeline->order[i]);
        size_t chunk = task_chunk(shape, entries[i].task & ~TASK_JOINED);
        entries[i].last_of_chunk = !seen[chunk];
        seen[chunk] = true;
    }
    for (unsigned task = 0; task < shape->tasks; task++)
        first_ready_s[task] = schedule_has_source(shape, stage, task) ? NOT_READY : 0.0;
}

static Status prepare_orders(Pipeline *pipeline, const ScheduleShape *shape, Error *error)
{
    if (pipeline->ordered && schedule_shapes_equal(&pipeline->shape, shape))
        return STATUS_OK;
    pipeline->ordered = false;
    pipeline->shape = *shape;
    size_t tasks = shape->stages * shape->tasks;
    Status status = pipeline_reserve((void **)&pipeline->orders, &pipeline->orders_capacity, tasks,
                                     sizeof *pipeline->orders, error);
    if (status == STATUS_OK)
        status =
            pipeline_reserve((void **)&pipeline->first_ready_s, &pipeline->first_ready_capacity,
                             tasks, sizeof *pipeline->first_ready_s, error);
    if (status == STATUS_OK)
        status = pipeline_reserve((void **)&pipeline->order, &pipeline->order_capacity,
                                  shape->tasks, sizeof *pipeline->order, error);
    for (size_t i = 0; status == STATUS_OK && i < shape->stages; i++) {
        status = step_schedule(shape, i, pipeline->order, error);
        if (status == STATUS_OK)
            fill_entries(pipeline, shape, i);
    }
    pipeline->ordered = status == STATUS_OK;
    return status;
}

static Status prepare_memory(Pipeline *pipeline, const ScheduleShape *shape, Error *error)
{
    size_t workers = shape->stages, chunks = shape->stages * shape->chunks;
    Status status = prepare_orders(pipeline, shape, error);
    if (status == STATUS_OK)
        status = pipeline_reserve((void **)&pipeline->workers, &pipeline->workers_capacity, workers,
                                  sizeof *pipeline->workers, error);
    if (status == STATUS_OK)
        status = pipeline_reserve((void **)&pipeline->times, &pipeline->times_capacity,
                                  chunks * shape->kinds, sizeof *pipeline->times, error);
    if (status == STATUS_OK)
        status = pipeline_reserve((void **)&pipeline->ready_s, &pipeline->ready_capacity,
                                  workers * shape->tasks, sizeof *pipeline->ready_s, error);
    if (status == STATUS_OK)
        status = pipeline_reserve((void **)&pipeline->first_start_s, &pipeline->start_capacity,
                                  shape->stages, sizeof *pipeline->first_start_s, error);
    if (status == STATUS_OK)
        status = pipeline_reserve((void **)&pipeline->chunk_ends, &pipeline->ends_capacity, chunks,
                                  sizeof *pipeline->chunk_ends, error);
    if (status == STATUS_OK)
        status = pipeline_reserve((void **)&pipeline->deviations, &pipeline->deviations_capacity,
                                  chunks * shape->kinds, sizeof *pipeline->deviations, error);
    return status;
}

static const double *noise_of(const ScheduleShape *shape, const PipelineCase *pipeline_case,
                              size_t replica, size_t stage)
{
    if (pipeline_case->expert_noise == NULL)
        return NULL;
    const size_t group = replica / pipeline_case->group_replicas;
    return pipeline_case->expert_noise +
           (group * shape->stages + stage) * shape->rounds * shape->chunks;
}

static void fill_deviations(Pipeline *pipeline, const StepInput *input)
{
    const ScheduleShape *shape = &pipeline->shape;
    double *deviations = pipeline->deviations;
    for (size_t stage = 0; stage < shape->stages; stage++)
        for (size_t chunk = 0; chunk < shape->chunks; chunk++, deviations += shape->kinds) {
            const ChunkPhases phases = chunk_phases(shape, input, stage, chunk);
            for (size_t kind = 0; kind < shape->kinds; kind++)
                deviations[kind] = 0.0;
            deviations[TASK_FORWARD] = sqrt(phases.forward->expert_variance_s2);
            deviations[TASK_BACKWARD] = sqrt(phases.backward->expert_variance_s2);
        }
}

static void place_workers(Pipeline *pipeline)
{
    const ScheduleShape *shape = &pipeline->shape;
    const PipelineCase *run = pipeline->run;
    for (size_t stage = 0; stage < shape->stages; stage++) {
        const size_t place = pipeline->replica * shape->stages + stage;
        TaskTime *times = pipeline->times + stage * shape->chunks * shape->kinds;
        task_times_of_stage(shape, pipeline->input, stage,
                            run->factors != NULL ? run->factors[place] : 1.0, times);
        pipeline->workers[stage] = (Worker){
            .times = times,
            .ready_s = pipeline->ready_s + stage * shape->tasks,
            .order = pipeline->orders + stage * shape->tasks,
            .expert_noise = noise_of(shape, run, pipeline->replica, stage),
            .deviations = pipeline->deviations + stage * shape->chunks * shape->kinds,
            .stage = (unsigned)stage,
        };
    }
    memcpy(pipeline->ready_s, pipeline->first_ready_s,
           shape->stages * shape->tasks * sizeof *pipeline->ready_s);
}

/* Replicas meet at the end of the step only, so that they may run one after the other, each with
 * what it touches at hand. */
static Status run_replica(Pipeline *pipeline, size_t replica, Error *error)
{
    const size_t stages = pipeline->shape.stages;
    engine_reset(pipeline->engine);
    pipeline->replica = replica;
    pipeline->finished = 0;
    place_workers(pipeline);
    for (size_t i = 0; i < stages; i++)
        start_next(pipeline, i);
    Status status = engine_run(pipeline->engine, HUGE_VAL, error);
    pipeline->events += engine_events_run(pipeline->engine);
    if (status == STATUS_OK && pipeline->finished < stages)
        status = error_set(error, STATUS_INVALID, "the pipeline schedule waits for itself");
    return status;
}

static void clear_ends(Pipeline *pipeline)
{
    const ScheduleShape *shape = &pipeline->shape;
    for (size_t i = 0; i < shape->stages; i++)
        pipeline->first_start_s[i] = HUGE_VAL;
    for (size_t i = 0; i < shape->stages * shape->chunks; i++)
        pipeline->chunk_ends[i] = (ChunkEnd){0};
}

Status pipeline_simulate(Pipeline *pipeline, const StepInput *input,
                         const PipelineCase *pipeline_case, PipelineOutcome *outcome, Error *error)
{
    ScheduleShape shape;
    Status status = step_shape(input, pipeline_case->replicas, &shape, error);
    if (status == STATUS_OK)
        status = prepare_memory(pipeline, &shape, error);
    if (status != STATUS_OK)
        return status;

    pipeline->input = input;
    pipeline->run = pipeline_case;
    pipeline->spans = 0;
    pipeline->events = 0;
    fill_deviations(pipeline, input);
    clear_ends(pipeline);
    for (size_t i = 0; status == STATUS_OK && i < pipeline_case->replicas; i++)
        status = run_replica(pipeline, i, error);
    if (status != STATUS_OK)
        return status;

    *outcome = (PipelineOutcome){
        .shape = shape,
        .events = pipeline->events,
        .spans = pipeline->spans,
        .ends = {.first_start_s = pipeline->first_start_s, .chunk = pipeline->chunk_ends},
    };
    outcome->makespan_s = pipeline_makespan(&shape, &outcome->ends);
    return STATUS_OK;
}
