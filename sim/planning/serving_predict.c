#include "sim/engine/random.h"
#include "sim/planning/serving_rows.h"
#include "sim/serving/serve_load.h"
#include "sim/serving/stage_cost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const SERVING_METRIC_WORDS[SERVING_METRICS] = {
    [METRIC_BATCH_S] = "batch latency",
    [METRIC_FIRST_S] = "first token",
    [METRIC_TOKEN_S] = "token time",
    [METRIC_TOKEN_SHARE_S] = "token time / batch",
    [METRIC_INPUT_PER_S] = "input rate",
    [METRIC_OUTPUT_PER_S] = "output rate",
    [METRIC_STEADY_PER_S_PER_GPU] = "steady rate / GPU",
    [METRIC_REQUESTS_PER_S] = "request rate",
    [METRIC_TTFT_MEAN_S] = "TTFT mean",
    [METRIC_TTFT_P99_S] = "TTFT p99",
    [METRIC_TPOT_MEAN_S] = "TPOT mean",
    [METRIC_TPOT_P99_S] = "TPOT p99",
    [METRIC_FITS] = "fits"};

enum { CLOSED_LOOP_TURNS = 10, OPEN_LOOP_REQUESTS = 6000 };

/* Requests on their way to the scheduler, in the order of their coming, and sums over those that
 * are finished. A client has at most one under way. */
typedef struct Clients {
    ServingUnit *unit;
    size_t count, coming, first; /* of the ring: room, used, its head */
    QueuedRequest *ring;
    double intake_s;
    double intake_free_s;
    double to_ask;
    double prompt, output, shortest;
    RandomStream lengths;
    double finished, before_s, first_sum_s, tpot_sum_s, last_s;
} Clients;

static uint32_t draw(Clients *clients, double longest)
{
    if (clients->shortest >= 1)
        return (uint32_t)longest;
    const double share =
        clients->shortest + (1 - clients->shortest) * random_uniform(&clients->lengths);
    return (uint32_t)fmax(1, round(share * longest));
}

static void ask(Clients *clients, double now_s)
{
    const uint32_t prompt = draw(clients, clients->prompt);
    const double at_s = fmax(clients->intake_free_s, now_s) + clients->intake_s;
    QueuedRequest *request = &clients->ring[(clients->first + clients->coming++) % clients->count];
    *request = (QueuedRequest){.arrival_s = at_s,
                               .first_s = -1,
                               .prompt = prompt,
                               .output = draw(clients, clients->output)};
    clients->intake_free_s = at_s;
    clients->before_s += at_s - now_s;
    clients->to_ask--;
}

static void on_answer(void *context, const QueuedRequest *request, double now_s)
{
    Clients *clients = context;
    clients->finished++;
    clients->first_sum_s += request->first_s - request->arrival_s;
    if (request->output > 1)
        clients->tpot_sum_s += (now_s - request->first_s) / (request->output - 1.0);
    clients->last_s = fmax(clients->last_s, now_s);
    if (clients->to_ask > 0) {
        ask(clients, now_s);
        unit_hold(clients->unit, clients->ring[clients->first].arrival_s);
    }
}

/* Lets requests come and the unit work until all are answered. */
static Status serve_clients(Clients *clients, Error *error)
{
    for (;;) {
        const QueuedRequest *next = &clients->ring[clients->first];
        Status status =
            unit_advance(clients->unit, clients->coming > 0 ? next->arrival_s : HUGE_VAL, error);
        if (status != STATUS_OK || clients->coming == 0)
            return status;
        next = &clients->ring[clients->first];
        status = unit_offer(clients->unit, next, error);
        if (status != STATUS_OK)
            return status;
        clients->first = (clients->first + 1) % clients->count;
        clients->coming--;
    }
}

/* `at_once` clients, `turns` requests of each. */
static Status run_clients(const Scenario *scenario, double at_once, double turns, double shortest,
                          Clients *clients, Error *error)
{
    const LaneSink sink = {.finished = on_answer, .context = clients};
    memset(clients, 0, sizeof *clients);
    clients->count = (size_t)at_once;
    clients->to_ask = at_once * turns;
    clients->intake_s = scenario->serving.request_intake_s;
    clients->prompt = scenario->serving.prompt_tokens;
    clients->output = scenario->serving.output_tokens;
    clients->shortest = shortest;
    clients->lengths = random_stream(1, "lengths of clients", 0);
    clients->ring = calloc(clients->count + 1, sizeof *clients->ring);
    if (clients->ring == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    Status status = unit_create(scenario, &sink, 0, &clients->unit, error);
    for (size_t i = 0; i < clients->count; i++)
        ask(clients, 0);
    if (status == STATUS_OK)
        status = serve_clients(clients, error);
    unit_destroy(clients->unit);
    free(clients->ring);
    return status;
}

static double client_metric(const ServingRow *row, const Scenario *scenario, const Clients *clients)
{
    const ServingSpec *serving = &scenario->serving;
    const double overhead_s = serving->request_overhead_s;
    const double batch_s = clients->last_s + overhead_s;
    const double rate = clients->finished / batch_s * row->replicas;
    const double first_s =
        (clients->before_s + clients->first_sum_s) / clients->finished + overhead_s;
    const double token_s = clients->tpot_sum_s / clients->finished;
    const double output = serving->output_tokens * (1 + row->shortest) / 2;
    const double values[SERVING_METRICS] = {
        [METRIC_BATCH_S] = batch_s,
        [METRIC_FIRST_S] = first_s,
        [METRIC_TOKEN_S] = token_s,
        [METRIC_TOKEN_SHARE_S] = token_s / row->batch,
        [METRIC_OUTPUT_PER_S] = rate * serving->output_tokens / row->gpus * row->rate_of,
        [METRIC_STEADY_PER_S_PER_GPU] =
            row->batch * output / (first_s + (output - 1) * token_s) / row->gpus,
        [METRIC_REQUESTS_PER_S] = rate,
        [METRIC_TTFT_MEAN_S] = first_s,
        [METRIC_TPOT_MEAN_S] = token_s,
    };
    return values[row->metric];
}

static double load_metric(const ServingRow *row, const Scenario *scenario,
                          const LoadForecast *forecast)
{
    const LoadPoint *point = &forecast->point;
    const double requests = row->what == CASE_SATURATED ? forecast->stable_maximum_per_s
                            : row->what == CASE_LARGEST && !forecast->found ? 0
                                                                            : point->rate_per_s;
    const double rate = requests * row->replicas;
    const double values[SERVING_METRICS] = {
        [METRIC_OUTPUT_PER_S] = rate * scenario->serving.output_tokens / row->gpus * row->rate_of,
        [METRIC_REQUESTS_PER_S] = rate,
        [METRIC_TTFT_MEAN_S] = point->latency_s[LATENCY_TTFT][LATENCY_MEAN],
        [METRIC_TTFT_P99_S] = point->latency_s[LATENCY_TTFT][LATENCY_P99],
        [METRIC_TPOT_MEAN_S] = point->latency_s[LATENCY_TPOT][LATENCY_MEAN],
        [METRIC_TPOT_P99_S] = point->latency_s[LATENCY_TPOT][LATENCY_P99],
    };
    return values[row->metric];
}

static Status predict_load(const ServingRow *row, const Scenario *scenario, double *predicted,
                           Error *error)
{
    LoadForecast *forecast = calloc(1, sizeof *forecast);
    LoadOptions options = {.requests = OPEN_LOOP_REQUESTS, .seed = 1};
    if (forecast == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    options.find_rate = row->what == CASE_LARGEST;
    options.rate_per_s = row->rate_per_s / row->replicas;
    if (row->ttft_limit_s > 0)
        options.slo.limits[options.slo.count++] =
            (SloLimit){LATENCY_TTFT, LATENCY_P99, row->ttft_limit_s};
    if (row->tpot_limit_s > 0)
        options.slo.limits[options.slo.count++] =
            (SloLimit){LATENCY_TPOT, LATENCY_P99, row->tpot_limit_s};
    if (row->what == CASE_SATURATED)
        options.requests = 0; /* the stable maximum alone */
    const Status status = serve_load(scenario, &options, forecast, error);
    if (status == STATUS_OK)
        *predicted = load_metric(row, scenario, forecast);
    free(forecast);
    return status;
}

/* Tokens per second of one pass that is repeated without end: prompts as many as the row or else
 * the engine takes at once, or sequences in the middle of their answers. */
static Status predict_pass(const ServingRow *row, const Scenario *scenario, double *predicted,
                           Error *error)
{
    const ServingSpec *serving = &scenario->serving;
    StageCost *cost = calloc(1, sizeof *cost);
    StageLayout layout;
    double stage_s[MAX_STAGES];
    ServeStageTime slowest;
    if (cost == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    const double at_once = row->batch > 0 ? row->batch : serving->iteration_tokens * row->gpus;
    const double tokens = at_once / row->replicas;
    const PassLoad load =
        row->what == CASE_PROMPTS
            ? (PassLoad){.prefill = tokens, .prefill_context = serving->prompt_tokens / 2}
            : (PassLoad){.decode = tokens,
                         .context = serving->prompt_tokens + serving->output_tokens / 2};
    stage_layout(&scenario->model, (size_t)serving->pipeline, &layout);
    stage_cost_prepare(cost, scenario);
    stage_cost_pipeline(cost, &layout, &load, stage_s, &slowest);
    *predicted = at_once / slowest.total_s / row->gpus * row->rate_of;
    free(cost);
    return STATUS_OK;
}

static double fits(const ServingRow *row, const Scenario *scenario)
{
    ServeMemory memory;
    serve_memory(scenario, &memory);
    const double needed =
        row->batch * (scenario->serving.prompt_tokens + scenario->serving.output_tokens);
    return memory.kv_capacity_tokens < needed ? 1 : 2;
}

size_t serving_rows_together(const ServingRows *rows, size_t first)
{
    const ServingRow *row = &rows->rows[first];
    size_t count = 1;
    while (first + count < rows->count && count < MOST_TOGETHER &&
           row[count].scenario == row->scenario && row[count].what == row->what &&
           row->what == CASE_CLOSED_LOOP)
        count++;
    return count;
}

Status serving_rows_predict(const ServingRow *together, size_t count, const Scenario *scenario,
                            double *predicted, Error *error)
{
    Clients clients;
    Status status = STATUS_OK;
    memset(predicted, 0, count * sizeof *predicted);
    if (together->what == CASE_MEMORY) {
        *predicted = fits(together, scenario);
        return STATUS_OK;
    }
    if (together->what == CASE_PROMPTS || together->what == CASE_TOKENS)
        return predict_pass(together, scenario, predicted, error);
    const int whole_run = together->what == CASE_SATURATED && together->requests > 0;
    const int turns = together->what == CASE_CLOSED_LOOP ? CLOSED_LOOP_TURNS : 1;
    if (together->what != CASE_STATIC && together->what != CASE_CLOSED_LOOP && !whole_run)
        return predict_load(together, scenario, predicted, error);
    const double at_once =
        whole_run ? ceil(together->requests / together->replicas) : together->batch;
    status = run_clients(scenario, at_once, turns, together->shortest, &clients, error);
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        predicted[i] = client_metric(&together[i], scenario, &clients);
    return status;
}
