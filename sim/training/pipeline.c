#include "sim/training/pipeline.h"

#include <math.h>
#include <stdlib.h>

static const double NOT_READY = -1.0;

/* One stage of one replica. Its tasks are known in advance (the order); a task starts when the
 * stage is free and what it needs has arrived, so one event a task is enough: its end. */
typedef struct Worker {
    double forward_s, backward_s;
    double started_s; /* the task under way */
    double *ready_s;  /* by task: when its input is here, NOT_READY before that is known */
    const unsigned *order;
    unsigned position; /* in the order */
    unsigned stage;
    bool busy;
} Worker;

/* One stage over all replicas: the members of its data-parallel collectives. */
typedef struct StageGroup {
    size_t finished;         /* replicas whose last backward is done */
    double first_forward_s;  /* earliest start of the step's work here */
    double first_gradient_s; /* all replicas have the gradient of the layer that comes first */
} StageGroup;

struct Pipeline {
    Engine *engine;
    const StepInput *input;
    const PipelineCase *run;
    Worker *workers; /* [replica][stage] */
    double *ready_s;
    unsigned *orders; /* [stage][2 * microbatches] */
    StageGroup *groups;
    size_t workers_capacity, ready_capacity, orders_capacity, groups_capacity;
    size_t stages, tasks; /* tasks of one stage: 2 * microbatches */
    PipelineSchedule ordered_schedule;
    size_t ordered_stages, ordered_tasks; /* what `orders` holds */
    size_t reduced;                       /* stages whose gradients are reduced */
    size_t spans;
    double makespan_s;
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
    free(pipeline->ready_s);
    free(pipeline->orders);
    free(pipeline->groups);
    free(pipeline);
}

/* Room for `count` elements; contents are not kept. */
static Status reserve(void **memory, size_t *capacity, size_t count, size_t element_bytes,
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

/* An invalid time makes engine_schedule stop the engine, and engine_run then reports it. */

static void task_end(Engine *engine, void *context, uint64_t index);
static void gradients_reduced(Engine *engine, void *context, uint64_t stage);
static void parameters_updated(Engine *engine, void *context, uint64_t stage);
static void parameters_gathered(Engine *engine, void *context, uint64_t stage);

static void start_next(Pipeline *pipeline, size_t index)
{
    Worker *worker = &pipeline->workers[index];
    if (worker->busy || worker->position == pipeline->tasks)
        return;
    unsigned task = worker->order[worker->position];
    double ready_s = worker->ready_s[task];
    if (ready_s < 0.0)
        return;
    double now_s = engine_now(pipeline->engine);
    worker->started_s = ready_s > now_s ? ready_s : now_s;
    worker->busy = true;
    double duration_s = (task & 1U) != 0 ? worker->backward_s : worker->forward_s;
    engine_schedule(pipeline->engine, worker->started_s + duration_s, task_end, pipeline, index);
}

static void record_span(Pipeline *pipeline, const Worker *worker, unsigned task, double end_s)
{
    pipeline->run->spans[pipeline->spans++] = (StepSpan){
        .stage = worker->stage,
        .microbatch = task / 2,
        .backward = (int)(task & 1U),
        .start_s = worker->started_s,
        .end_s = end_s,
    };
}

static double stage_layers(const StageTime *stage)
{
    return fmax(stage->layers, 1.0);
}

/* The reduction of a stage's gradients begins when every replica has reached that point. With
 * overlap it goes layer by layer behind the last backward: two servers in tandem with L equal jobs
 * each (backward b/L, collective G/L), whose end is the later of "first gradient + G" and "last
 * gradient + G/L". */
static void last_backward_done(Pipeline *pipeline, const Worker *worker, double end_s)
{
    const StageTime *time = &pipeline->input->stage[worker->stage];
    StageGroup *group = &pipeline->groups[worker->stage];
    double layers = stage_layers(time);

    double first_gradient_s = worker->started_s + (end_s - worker->started_s) / layers;
    group->first_gradient_s = fmax(group->first_gradient_s, first_gradient_s);
    if (++group->finished < pipeline->run->replicas)
        return;

    pipeline->makespan_s = fmax(pipeline->makespan_s, end_s);
    double reduced_s = end_s;
    if (pipeline->run->data_parallel && pipeline->input->overlap_grad_reduce != 0)
        reduced_s = fmax(group->first_gradient_s + time->grad_reduce_s,
                         end_s + time->grad_reduce_s / layers);
    else if (pipeline->run->data_parallel)
        reduced_s = end_s + time->grad_reduce_s;
    engine_schedule(pipeline->engine, reduced_s, gradients_reduced, pipeline, worker->stage);
}

static void task_end(Engine *engine, void *context, uint64_t index)
{
    Pipeline *pipeline = context;
    Worker *worker = &pipeline->workers[index];
    double now_s = engine_now(engine);
    unsigned task = worker->order[worker->position++];
    worker->busy = false;

    if (pipeline->run->spans != NULL && index < pipeline->stages)
        record_span(pipeline, worker, task, now_s);
    if (worker->position == 1 &&
        worker->started_s < pipeline->groups[worker->stage].first_forward_s)
        pipeline->groups[worker->stage].first_forward_s = worker->started_s;

    bool is_backward = (task & 1U) != 0;
    if (!is_backward && worker->stage + 1 == pipeline->stages) {
        worker->ready_s[task + 1] = now_s; /* the loss: this microbatch turns round */
    } else if (!is_backward) {
        worker[1].ready_s[task] = now_s + pipeline->run->send_s;
        start_next(pipeline, index + 1);
    } else if (worker->stage > 0) {
        worker[-1].ready_s[task] = now_s + pipeline->run->send_s;
        start_next(pipeline, index - 1);
    }

    if (worker->position < pipeline->tasks)
        start_next(pipeline, index);
    else
        last_backward_done(pipeline, worker, now_s);
}

/* The gradient is clipped by its norm over all stages, so no optimizer starts before the last
 * reduction. */
static void gradients_reduced(Engine *engine, void *context, uint64_t stage)
{
    (void)stage;
    Pipeline *pipeline = context;
    if (++pipeline->reduced < pipeline->stages)
        return;
    for (size_t i = 0; i < pipeline->stages; i++) {
        double optimizer_s = pipeline->run->optimizer ? pipeline->input->stage[i].optimizer_s : 0.0;
        engine_schedule(engine, engine_now(engine) + optimizer_s, parameters_updated, pipeline, i);
    }
}

/* What the gather of a stage's parameters adds to the step. With overlap it runs layer by layer
 * beside the next step's first forward here, which begins `first_forward_s` after that step does;
 * the same tandem as above with the collective in front: the first layer waits for G/L, the last
 * for G less the L - 1 layers before it. */
static double exposed_gather_s(const Pipeline *pipeline, size_t stage)
{
    const StageTime *time = &pipeline->input->stage[stage];
    if (!pipeline->run->data_parallel)
        return 0.0;
    if (pipeline->input->overlap_param_gather == 0)
        return time->param_gather_s;
    double layers = stage_layers(time);
    double first_wait_s = time->param_gather_s / layers;
    double last_wait_s = time->param_gather_s - time->forward.total_s * (layers - 1.0) / layers;
    return fmax(0.0, fmax(first_wait_s, last_wait_s) - pipeline->groups[stage].first_forward_s);
}

static void parameters_updated(Engine *engine, void *context, uint64_t stage)
{
    Pipeline *pipeline = context;
    double ready_s = engine_now(engine) + exposed_gather_s(pipeline, stage);
    engine_schedule(engine, ready_s, parameters_gathered, pipeline, stage);
}

/* The step ends with the last of these: the clock is all that is needed. */
static void parameters_gathered(Engine *engine, void *context, uint64_t stage)
{
    (void)engine;
    (void)context;
    (void)stage;
}

static Status check_size(const StepInput *input, size_t replicas, Error *error)
{
    if (input->stages == 0 || input->stages > MAX_STAGES || input->microbatches == 0 ||
        replicas == 0)
        return error_set(error, STATUS_INVALID,
                         "a step needs 1 to %d stages, microbatches and replicas", MAX_STAGES);
    if (input->microbatches > STEP_MAX_TASKS / input->stages / replicas) {
        error_set(error, STATUS_INVALID,
                  "a step of %zu replicas x %zu stages x %zu microbatches is too large to simulate",
                  replicas, input->stages, input->microbatches);
        error_hint(error, "use --detail folded, a larger micro batch, or fewer stages");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static Status prepare_orders(Pipeline *pipeline, const StepInput *input, Error *error)
{
    size_t tasks = 2 * input->microbatches;
    if (pipeline->ordered_schedule == input->schedule &&
        pipeline->ordered_stages == input->stages && pipeline->ordered_tasks == tasks)
        return STATUS_OK;
    pipeline->ordered_stages = 0;
    Status status = reserve((void **)&pipeline->orders, &pipeline->orders_capacity,
                            input->stages * tasks, sizeof *pipeline->orders, error);
    for (size_t i = 0; status == STATUS_OK && i < input->stages; i++)
        status = step_schedule(input->schedule, input->stages, i, input->microbatches,
                               pipeline->orders + i * tasks, error);
    if (status == STATUS_OK) {
        pipeline->ordered_schedule = input->schedule;
        pipeline->ordered_stages = input->stages;
        pipeline->ordered_tasks = tasks;
    }
    return status;
}

static Status prepare_memory(Pipeline *pipeline, const StepInput *input, size_t replicas,
                             Error *error)
{
    size_t workers = input->stages * replicas;
    Status status = prepare_orders(pipeline, input, error);
    if (status == STATUS_OK)
        status = reserve((void **)&pipeline->workers, &pipeline->workers_capacity, workers,
                         sizeof *pipeline->workers, error);
    if (status == STATUS_OK)
        status = reserve((void **)&pipeline->ready_s, &pipeline->ready_capacity,
                         workers * 2 * input->microbatches, sizeof *pipeline->ready_s, error);
    if (status == STATUS_OK)
        status = reserve((void **)&pipeline->groups, &pipeline->groups_capacity, input->stages,
                         sizeof *pipeline->groups, error);
    return status;
}

/* Noise multiplies what the GPU computes; what it waits for has its own causes. */
static double with_factor(const StagePhase *phase, double factor)
{
    return phase->total_s + (factor - 1.0) * (phase->compute_s + phase->recompute_s);
}

static void place_workers(Pipeline *pipeline, const StepInput *input,
                          const PipelineCase *pipeline_case)
{
    size_t workers = pipeline->stages * pipeline_case->replicas;
    for (size_t i = 0; i < workers; i++) {
        size_t stage = i % pipeline->stages;
        double factor = pipeline_case->factors != NULL ? pipeline_case->factors[i] : 1.0;
        pipeline->workers[i] = (Worker){
            .forward_s = with_factor(&input->stage[stage].forward, factor),
            .backward_s = with_factor(&input->stage[stage].backward, factor),
            .ready_s = pipeline->ready_s + i * pipeline->tasks,
            .order = pipeline->orders + stage * pipeline->tasks,
            .stage = (unsigned)stage,
        };
    }
    for (size_t i = 0; i < workers * pipeline->tasks; i++)
        pipeline->ready_s[i] = NOT_READY;
    for (size_t i = 0; i < pipeline->stages; i++)
        pipeline->groups[i] = (StageGroup){.first_forward_s = HUGE_VAL};
}

/* Every microbatch waits in front of the first stage when the step begins. */
static void feed_first_stages(Pipeline *pipeline)
{
    for (size_t r = 0; r < pipeline->run->replicas; r++) {
        size_t first = r * pipeline->stages;
        for (size_t task = 0; task < pipeline->tasks; task += 2)
            pipeline->workers[first].ready_s[task] = 0.0;
        start_next(pipeline, first);
    }
}

Status pipeline_simulate(Pipeline *pipeline, const StepInput *input,
                         const PipelineCase *pipeline_case, PipelineOutcome *outcome, Error *error)
{
    Status status = check_size(input, pipeline_case->replicas, error);
    if (status == STATUS_OK)
        status = prepare_memory(pipeline, input, pipeline_case->replicas, error);
    if (status != STATUS_OK)
        return status;

    engine_reset(pipeline->engine);
    pipeline->input = input;
    pipeline->run = pipeline_case;
    pipeline->stages = input->stages;
    pipeline->tasks = 2 * input->microbatches;
    pipeline->reduced = 0;
    pipeline->spans = 0;
    pipeline->makespan_s = 0.0;
    uint64_t events_before = engine_events_run(pipeline->engine);
    place_workers(pipeline, input, pipeline_case);

    feed_first_stages(pipeline);
    status = engine_run(pipeline->engine, HUGE_VAL, error);
    if (status != STATUS_OK)
        return status;
    if (pipeline->reduced < pipeline->stages)
        return error_set(error, STATUS_INVALID, "the pipeline schedule waits for itself");

    *outcome = (PipelineOutcome){
        .seconds = engine_now(pipeline->engine),
        .makespan_s = pipeline->makespan_s,
        .events = engine_events_run(pipeline->engine) - events_before,
        .spans = pipeline->spans,
    };
    return STATUS_OK;
}
