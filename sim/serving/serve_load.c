#include "sim/serving/serve_load.h"

#include "configs/reader/sample.h"
#include "sim/serving/arrivals.h"
#include "sim/serving/latency_histogram.h"
#include "sim/serving/serve_outcome.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A line so long that its requests wait for hours is past any load; a trace is then given up. */
enum { SATURATED_REQUESTS = 2000, SATURATED_TURNS = 4, MOST_SATURATED = 200000 };
enum { BISECTIONS = 14 };
static const double warm_up_share = 0.1;
static const double lowest_share = 0.01; /* of the stable maximum: where the search begins */
static const double highest_share = 0.995;

/* Everything that one simulated load needs; allocated once for all of them. */
typedef struct LoadRun {
    const Scenario *scenario;
    const LoadOptions *options;
    double overhead_s;
    PrefixTree *shared; /* beginnings of prompts */
    size_t unit_count;
    ServingUnit *units[MAX_LOAD_REPLICAS];
    LatencyHistogram latency[LATENCY_KINDS];
    double finished, input_tokens, output_tokens; /* all */
    double counted, good;                         /* of requests behind the warm-up */
    TransferUse transfers;                        /* of all units */
    /* saturation only */
    ArrivalStream *stream;
    ServingUnit *saturated;
    uint64_t backlog_left;
    double first_s, first_finished, last_s, last_finished, begin_finished;
    Status status; /* of the stream, with its error; bad rows that are passed over leave none */
    Error error;
} LoadRun;

static double statistic_of(const LatencyHistogram *histogram, LatencyStatistic statistic)
{
    static const double QUANTILES[LATENCY_STATISTICS] = {0.5, 0.9, 0.95, 0.99, 0};
    return statistic == LATENCY_MEAN ? histogram_mean(histogram)
                                     : histogram_quantile(histogram, QUANTILES[statistic]);
}

static double limit_value(const LoadRun *run, const SloLimit *limit)
{
    return statistic_of(&run->latency[limit->kind], limit->statistic);
}

static void on_finished(void *context, const QueuedRequest *request, double now_s)
{
    LoadRun *run = context;
    const double decoded = request->output - 1.0;
    const double values[LATENCY_KINDS] = {
        [LATENCY_TTFT] = request->first_s - request->arrival_s + run->overhead_s,
        [LATENCY_TPOT] = decoded > 0 ? (now_s - request->first_s) / decoded : 0,
        [LATENCY_E2E] = now_s - request->arrival_s + run->overhead_s,
    };
    run->finished++;
    run->input_tokens += request->prompt;
    run->output_tokens += request->output;
    if (!request->tag)
        return;
    int good = 1;
    for (size_t kind = 0; kind < LATENCY_KINDS; kind++)
        if (kind != LATENCY_TPOT || decoded > 0) /* one token has no time between tokens */
            histogram_add(&run->latency[kind], values[kind]);
    for (size_t i = 0; i < run->options->slo.count; i++)
        good &= values[run->options->slo.limits[i].kind] < run->options->slo.limits[i].limit_s;
    run->counted++;
    run->good += good;
}

static QueuedRequest queued(const Arrival *arrival, double at_s, int counts)
{
    return (QueuedRequest){.arrival_s = at_s,
                           .first_s = -1,
                           .prompt = (uint32_t)arrival->prompt,
                           .output = (uint32_t)arrival->output,
                           .prefix = arrival->prefix,
                           .tag = counts != 0};
}

/* ---- the stable maximum: a line that is never empty ---------------------------------------------
 */

static void offer_next(LoadRun *run, double now_s)
{
    int more = 0;
    Arrival arrival;
    while (run->backlog_left > 0) {
        run->backlog_left--;
        run->status = arrivals_next(run->stream, &arrival, &more, &run->error);
        if (run->status != STATUS_OK || !more) {
            run->backlog_left = 0;
            return;
        }
        const QueuedRequest request = queued(&arrival, now_s, 0);
        run->status = unit_offer(run->saturated, &request, &run->error);
        if (run->status == STATUS_OK)
            return;
        if (run->status != STATUS_NO) {
            run->backlog_left = 0;
            return;
        }
        run->status = STATUS_OK; /* too long for any replica: the next one */
    }
}

static void on_saturated(void *context, const QueuedRequest *request, double now_s)
{
    LoadRun *run = context;
    (void)request;
    run->finished++;
    if (run->finished <= run->begin_finished) {
        run->first_s = now_s;
        run->first_finished = run->finished;
    }
    if (run->backlog_left > 0) {
        run->last_s = now_s;
        run->last_finished = run->finished;
    }
    offer_next(run, now_s);
}

static Status open_stream(const LoadRun *run, double rate_per_s, double stretch,
                          TraceReader **trace, ArrivalStream *stream, Error *error)
{
    const LoadOptions *options = run->options;
    *trace = NULL;
    if (options->trace == NULL) {
        *stream = arrivals_drawn(run->scenario, rate_per_s, options->requests, options->seed);
        return STATUS_OK;
    }
    const Status status = trace_open(options->trace, options->skip_bad, trace, error);
    if (status == STATUS_OK)
        *stream = arrivals_replayed(*trace, stretch);
    if (status == STATUS_OK && run->scenario->serving.prefix_cache)
        trace_share(*trace, run->shared);
    return status;
}

/* What is drawn inside a unit has a seed for each of them. */
static uint64_t seed_of_unit(const LoadRun *run, size_t index)
{
    RandomStream seeds = random_stream(run->options->seed, "unit", index);
    return random_u64(&seeds);
}

/* Requests in flight at most: by the admission limit, and by memory at the mean length. */
static double most_in_flight(const LoadRun *run, const ServingUnit *unit)
{
    const ServingSpec *serving = &run->scenario->serving;
    double sum = 0;
    for (int side = 0; side < SERVING_SIDES; side++) {
        const SideUse use = unit_side(unit, (ServingSide)side);
        const ReplicaMemory *memory = &use.memory;
        const double length = run->options->trace != NULL
                                  ? memory->block_tokens
                                  : serving->prompt_tokens + serving->output_tokens;
        if (use.replicas > 0)
            sum += use.replicas *
                   fmin(memory->sequences, memory->blocks * memory->block_tokens / length + 1);
    }
    return sum;
}

/* Of one unit, or of `side` of it if the other took no time (SERVING_SIDES: of both as they are).
 */
static Status find_stable_maximum(LoadRun *run, ServingSide side, double *per_s, Error *error)
{
    const LaneSink sink = {.finished = on_saturated, .context = run};
    TraceReader *trace = NULL;
    ArrivalStream stream;
    *per_s = 0;
    Status status = side == SERVING_SIDES
                        ? unit_create(run->scenario, &sink, 0, &run->saturated, error)
                        : unit_create_side(run->scenario, side, &sink, &run->saturated, error);
    if (status == STATUS_OK)
        status = open_stream(run, 1, 1, &trace, &stream, error);
    if (status != STATUS_OK)
        goto cleanup;
    unit_seed(run->saturated, seed_of_unit(run, 0));
    status = unit_share(run->saturated, run->shared, error);
    if (status != STATUS_OK)
        goto cleanup;

    const double in_flight = most_in_flight(run, run->saturated);
    const double backlog = fmin(MOST_SATURATED, SATURATED_REQUESTS + SATURATED_TURNS * in_flight);
    if (run->options->trace == NULL)
        stream.left = (uint64_t)backlog;
    run->stream = &stream;
    run->backlog_left = (uint64_t)backlog;
    run->begin_finished = fmin(in_flight, backlog / 4);
    run->finished = run->last_finished = run->first_finished = 0;
    run->first_s = run->last_s = 0;
    for (double i = 0; i < fmin(2 * in_flight, backlog / 2); i++)
        offer_next(run, 0);
    status = unit_advance(run->saturated, HUGE_VAL, error);
    if (status == STATUS_OK && run->status != STATUS_OK) {
        *error = run->error;
        status = run->status;
    }
    if (status == STATUS_OK && run->finished < 1)
        status = error_set(error, STATUS_NO, "no request of this mix fits in KV memory");
    if (status != STATUS_OK)
        goto cleanup;
    /* A trace too short to fill the replica twice: over its whole run. */
    *per_s = run->last_finished > run->first_finished && run->last_s > run->first_s
                 ? (run->last_finished - run->first_finished) / (run->last_s - run->first_s)
                 : run->finished / unit_now(run->saturated);
    *per_s *= (double)run->unit_count;
cleanup:
    trace_close(trace);
    unit_destroy(run->saturated);
    run->saturated = NULL;
    return status;
}

/* ---- one load -----------------------------------------------------------------------------------
 */

typedef struct Snapshot {
    double at_s, finished, input_tokens, output_tokens;
} Snapshot;

static Snapshot snapshot(const LoadRun *run, double at_s)
{
    return (Snapshot){at_s, run->finished, run->input_tokens, run->output_tokens};
}

/* Share of the money that prompts take: of the GPUs that read them, or of the time that they add
 * where the same GPUs answer. */
static double prefill_share(const LoadRun *run, const ReplicaCounters *counters)
{
    const ServingSpec *serving = &run->scenario->serving;
    if (serving_is_disaggregated(serving))
        return serving_side_replicas(serving, SIDE_PREFILL) *
               serving_side_gpus(serving, SIDE_PREFILL) / serving_gpus(serving);
    return counters->busy_s > 0 ? counters->prefill_s / counters->busy_s : 0;
}

/* One side of all units over `seconds` of all units together. */
static void fill_side(const SideUse *use, double seconds, SideLoad *load)
{
    const double replica_seconds = use->replicas * seconds;
    load->busy = use->counters.busy_s / replica_seconds;
    load->kv_occupancy = use->counters.block_seconds / replica_seconds / use->memory.blocks;
    load->decoding = use->counters.sequence_iterations / fmax(1, use->counters.iterations);
    load->preempted = use->counters.preempted;
}

static void fill_use(const LoadRun *run, LoadPoint *point)
{
    SideUse sides[SERVING_SIDES] = {{0}};
    ReplicaCounters all = {0};
    double seconds = 0, gpus = 0;

    for (size_t i = 0; i < run->unit_count; i++) {
        seconds += unit_now(run->units[i]);
        for (int side = 0; side < SERVING_SIDES; side++) {
            const SideUse use = unit_side(run->units[i], (ServingSide)side);
            replica_counters_add(&sides[side].counters, &use.counters);
            replica_counters_add(&all, &use.counters);
            sides[side].replicas = use.replicas;
            sides[side].gpus = use.gpus;
            sides[side].memory = use.memory;
        }
    }
    point->iterations = all.iterations;
    point->preempted = all.preempted;
    point->swapped = all.swapped;
    point->largest_line = all.largest_line;
    if (!(seconds > 0))
        return;
    for (int side = 0; side < SERVING_SIDES; side++) {
        if (sides[side].replicas <= 0)
            continue;
        const double share = sides[side].replicas * sides[side].gpus;
        fill_side(&sides[side], seconds, &point->sides[side]);
        point->busy += share * point->sides[side].busy;
        gpus += share;
    }
    point->busy /= gpus;
    point->cache_hit_share = all.cache_asked > 0 ? all.cache_hit / all.cache_asked : 0;
    point->swap_share = all.swap_s / seconds;
    point->tokens_per_round = all.rounds > 0 ? all.round_tokens / all.rounds : 0;
    point->decoding = point->sides[SIDE_DECODE].decoding;
    point->kv_occupancy = point->sides[SIDE_DECODE].kv_occupancy;
    point->mfu = all.flops / (seconds * unit_peak_flops_per_s(run->scenario));
    point->mbu = all.bytes / (seconds * gpus * run->scenario->hardware.gpu.memory_bytes_per_s);
    point->served = (ServedLoad){.gpus = gpus * (double)run->unit_count,
                                 .use = {point->busy, point->mbu, point->mfu},
                                 .input_share = prefill_share(run, &all),
                                 .input_tokens_per_s = point->input_tokens_per_s,
                                 .output_tokens_per_s = point->output_tokens_per_s};
    economics_of(run->scenario, &point->served, &point->economics);
}

static void fill_statistics(const LatencyHistogram *histogram, double out_s[LATENCY_STATISTICS])
{
    for (size_t i = 0; i < LATENCY_STATISTICS; i++)
        out_s[i] = statistic_of(histogram, (LatencyStatistic)i);
}

static void fill_transfer(LoadRun *run, LoadPoint *point)
{
    TransferUse *sum = &run->transfers;
    double seconds = 0;
    memset(sum, 0, sizeof *sum);
    for (size_t i = 0; i < run->unit_count; i++) {
        const TransferUse *use = unit_transfers(run->units[i]);
        if (use == NULL)
            return;
        seconds += unit_now(run->units[i]);
        sum->count += use->count;
        sum->bytes += use->bytes;
        histogram_merge(&sum->wait_s, &use->wait_s);
        histogram_merge(&sum->network_s, &use->network_s);
        histogram_merge(&sum->total_s, &use->total_s);
        for (int side = 0; side < SERVING_SIDES; side++)
            sum->ports_bytes_per_s[side] = use->ports_bytes_per_s[side];
    }
    TransferLoad *load = &point->transfer;
    load->count = sum->count;
    fill_statistics(&sum->total_s, load->total_s);
    fill_statistics(&sum->wait_s, load->wait_s);
    fill_statistics(&sum->network_s, load->network_s);
    if (!(seconds > 0))
        return;
    load->bytes_per_s = sum->bytes * (double)run->unit_count / seconds;
    for (int side = 0; side < SERVING_SIDES; side++)
        load->ports_busy[side] =
            sum->bytes / seconds /
            (sum->ports_bytes_per_s[side] *
             serving_side_replicas(&run->scenario->serving, (ServingSide)side));
}

static void fill_point(LoadRun *run, const Snapshot *from, const Snapshot *to, LoadPoint *point)
{
    const double seconds = to->at_s - from->at_s;
    point->finished = run->finished;
    point->seconds = to->at_s;
    if (seconds > 0) {
        point->requests_per_s = (to->finished - from->finished) / seconds;
        point->input_tokens_per_s = (to->input_tokens - from->input_tokens) / seconds;
        point->output_tokens_per_s = (to->output_tokens - from->output_tokens) / seconds;
    }
    for (size_t kind = 0; kind < LATENCY_KINDS; kind++)
        for (size_t statistic = 0; statistic < LATENCY_STATISTICS; statistic++) {
            const SloLimit which = {(LatencyKind)kind, (LatencyStatistic)statistic, 0};
            point->latency_s[kind][statistic] = limit_value(run, &which);
        }
    point->goodput_per_s = run->counted > 0 ? point->requests_per_s * run->good / run->counted : 0;
    point->holds = point->stable;
    for (size_t i = 0; i < run->options->slo.count; i++)
        point->holds &=
            limit_value(run, &run->options->slo.limits[i]) < run->options->slo.limits[i].limit_s;
    fill_use(run, point);
    fill_transfer(run, point);
}

/* Offers one request after the other to the replicas in turn. */
static Status offer_all(LoadRun *run, ArrivalStream *stream, Snapshot *from, Snapshot *to,
                        LoadPoint *point, Error *error)
{
    const uint64_t warm_up =
        stream->trace != NULL ? 0 : (uint64_t)(warm_up_share * (double)stream->left);
    Arrival arrival = {0};
    int more = 0;
    for (uint64_t i = 0;; i++) {
        Status status = arrivals_next(stream, &arrival, &more, error);
        if (status != STATUS_OK || !more)
            return status;
        ServingUnit *unit = run->units[i % run->unit_count];
        const QueuedRequest request =
            queued(&arrival, arrival.at_s + run->overhead_s, i >= warm_up);
        status = unit_advance(unit, request.arrival_s, error);
        if (status != STATUS_OK)
            return status;
        if (i == warm_up)
            *from = snapshot(run, request.arrival_s);
        *to = snapshot(run, request.arrival_s);
        point->offered++;
        if (unit_waiting(unit) >= MAX_WAITING) {
            point->stable = 0;
            return STATUS_OK;
        }
        if (unit_offer(unit, &request, error) != STATUS_OK) {
            if (error->status != STATUS_NO)
                return error->status;
            point->rejected++;
        }
    }
}

static void close_units(LoadRun *run)
{
    for (size_t i = 0; i < run->unit_count; i++) {
        unit_destroy(run->units[i]);
        run->units[i] = NULL;
    }
}

static Status simulate_point(LoadRun *run, double rate_per_s, double stretch, double maximum_per_s,
                             LoadForecast *forecast, LoadPoint *point, Error *error)
{
    const LaneSink sink = {.finished = on_finished, .context = run};
    TraceReader *trace = NULL;
    ArrivalStream stream;
    Snapshot from = {0}, to = {0};
    Status status = STATUS_OK;

    memset(point, 0, sizeof *point);
    memset(run->latency, 0, sizeof run->latency);
    run->finished = run->input_tokens = run->output_tokens = run->counted = run->good = 0;
    point->rate_per_s = rate_per_s;
    point->stable = rate_per_s < maximum_per_s;
    for (size_t i = 0; i < run->unit_count && status == STATUS_OK; i++) {
        status = unit_create(run->scenario, &sink, 0, &run->units[i], error);
        if (status == STATUS_OK)
            unit_seed(run->units[i], seed_of_unit(run, i));
        if (status == STATUS_OK)
            status = unit_share(run->units[i], run->shared, error);
    }
    if (status == STATUS_OK)
        status = open_stream(run, rate_per_s, stretch, &trace, &stream, error);
    if (status == STATUS_OK)
        status = offer_all(run, &stream, &from, &to, point, error);
    for (size_t i = 0; i < run->unit_count && status == STATUS_OK; i++)
        status = unit_advance(run->units[i], HUGE_VAL, error);
    if (status == STATUS_OK) {
        fill_point(run, &from, &to, point);
        if (trace != NULL)
            forecast->rows_skipped = trace_rows_skipped(trace);
    }
    trace_close(trace);
    close_units(run);
    return status;
}

/* Mean rate of a trace as recorded; one reading. */
static Status trace_rate(const LoadOptions *options, double *per_s, Error *error)
{
    TraceReader *trace = NULL;
    TraceRow row = {0};
    double rows = 0, last_s = 0;
    int more = 1;
    Status status = trace_open(options->trace, options->skip_bad, &trace, error);
    while (status == STATUS_OK && more) {
        status = trace_next(trace, &row, &more, error);
        if (status == STATUS_OK && more) {
            rows++;
            last_s = row.at_s;
        }
    }
    trace_close(trace);
    if (status == STATUS_OK && !(rows >= 2 && last_s > 0))
        return error_set(error, STATUS_INVALID,
                         "%.200s holds %.0f requests over %g s: no rate can be told",
                         options->trace, rows, last_s);
    *per_s = (rows - 1) / last_s;
    return status;
}

static Status report_progress(const LoadOptions *options, size_t done, size_t total, Error *error)
{
    if (options->progress != NULL && options->progress(options->progress_context, done, total))
        return error_set(error, STATUS_INTERRUPTED, "interrupted after %zu of %zu loads", done,
                         total);
    return STATUS_OK;
}

/* Bisection on the logarithm of the rate; the same requests at every rate. */
static Status find_rate(LoadRun *run, double recorded_per_s, LoadForecast *forecast, Error *error)
{
    const double maximum = forecast->stable_maximum_per_s;
    double low = lowest_share * maximum, high = highest_share * maximum;
    Status status = STATUS_OK;
    for (size_t i = 0; i < BISECTIONS && status == STATUS_OK; i++) {
        const double rate = i == 0 ? low : i == 1 ? high : sqrt(low * high);
        LoadPoint *point = &forecast->tried[forecast->tried_count++];
        status = report_progress(run->options, i, BISECTIONS, error);
        if (status == STATUS_OK)
            status =
                simulate_point(run, rate, recorded_per_s / rate, maximum, forecast, point, error);
        if (status != STATUS_OK)
            break;
        if (point->holds && (i == 0 || rate > low || !forecast->found)) {
            forecast->found = 1;
            forecast->point = *point;
            low = rate;
        } else {
            high = rate;
        }
        if (i == 0 && !point->holds) {
            forecast->point = *point;
            break;
        }
        if (i == 1 && point->holds)
            break;
    }
    return status;
}

/* What one unit is made of. */
static Status describe_unit(LoadRun *run, LoadForecast *forecast, Error *error)
{
    const Scenario *scenario = run->scenario;
    const LaneSink sink = {.finished = on_finished, .context = run};
    ServingUnit *probe = NULL;
    const Status status = unit_create(scenario, &sink, 0, &probe, error);
    if (status != STATUS_OK)
        return status;
    forecast->replicas = (double)run->unit_count;
    forecast->gpus = forecast->replicas * serving_gpus(&scenario->serving);
    forecast->memory = *unit_memory(probe);
    forecast->disaggregated = serving_is_disaggregated(&scenario->serving);
    for (int side = 0; forecast->disaggregated && side < SERVING_SIDES; side++) {
        const SideUse use = unit_side(probe, (ServingSide)side);
        forecast->sides[side] =
            (SideForecast){.replicas = use.replicas, .gpus = use.gpus, .memory = use.memory};
    }
    unit_destroy(probe);
    return STATUS_OK;
}

const double UTILISATIONS[UTILISATION_COUNT] = {0.25, 0.5, 0.75, 1};

static void fill_prices(const Scenario *scenario, LoadForecast *forecast)
{
    const LoadPoint *point = &forecast->point;
    if (!(point->requests_per_s > 0))
        return;
    for (size_t i = 0; i < UTILISATION_COUNT; i++)
        forecast->usd_per_1k_by_utilisation[i] = economics_usd_per_1k_at(
            scenario, &point->served,
            UTILISATIONS[i] * forecast->stable_maximum_per_s / point->requests_per_s);
}

/* Up to the batch that memory and the admission limit allow at the mean length. */
static Status map_speculation(const Scenario *scenario, LoadForecast *forecast, Error *error)
{
    const ServingSpec *serving = &scenario->serving;
    const ReplicaMemory *memory = &forecast->memory;
    const double mean =
        fmin(serving->prompt_tokens + serving->output_tokens / 2, serving->context_limit);
    const double most =
        fmax(1, fmin(memory->sequences, memory->blocks * memory->block_tokens / mean));
    if (serving->speculation.length <= 0)
        return STATUS_OK;
    SpeculationScratch *scratch = calloc(1, sizeof *scratch);
    if (scratch == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    const Status status = speculation_map(scenario, most, scratch, &forecast->speculation, error);
    free(scratch);
    return status;
}

/* Shared beginnings of the mix, one piece each, cut to whole blocks; those of a trace come with its
 * rows. */
static Status plant_prefixes(const Scenario *scenario, const LoadOptions *options, PrefixTree *tree,
                             Error *error)
{
    const ServingSpec *serving = &scenario->serving;
    Status status = STATUS_OK;
    if (!serving->prefix_cache)
        return STATUS_OK;
    if (options->trace != NULL) {
        tree->piece_tokens = (uint32_t)serving->prefix_piece;
        return STATUS_OK;
    }
    tree->piece_tokens = (uint32_t)(floor(serving->prefix_tokens / serving->kv_block_tokens) *
                                    serving->kv_block_tokens);
    for (double i = 1; i <= serving->prefixes && status == STATUS_OK; i++)
        status = prefix_tree_add(tree, (uint32_t)i, 0, error);
    return status;
}

Status serve_load(const Scenario *given, const LoadOptions *options, LoadForecast *forecast,
                  Error *error)
{
    Scenario *scenario = malloc(sizeof *scenario);
    LoadRun *run = calloc(1, sizeof *run);
    double recorded_per_s = 1;
    PrefixTree shared = {0};
    Status status = STATUS_OK;

    memset(forecast, 0, sizeof *forecast);
    if (scenario == NULL || run == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    scenario_midpoint(given, scenario);
    run->scenario = scenario;
    run->options = options;
    run->shared = &shared;
    run->overhead_s = scenario->serving.request_overhead_s;
    run->unit_count = (size_t)fmax(1, scenario->serving.replicas);
    if (run->unit_count > MAX_LOAD_REPLICAS) {
        status =
            error_set(error, STATUS_INVALID, "serving.replicas is %zu: at most %d under a load",
                      run->unit_count, (int)MAX_LOAD_REPLICAS);
        goto cleanup;
    }
    status = describe_unit(run, forecast, error);
    if (status != STATUS_OK)
        goto cleanup;

    status = map_speculation(scenario, forecast, error);
    if (status == STATUS_OK)
        status = plant_prefixes(scenario, options, &shared, error);
    if (status != STATUS_OK)
        goto cleanup;

    if (options->trace != NULL)
        status = trace_rate(options, &recorded_per_s, error);
    if (status == STATUS_OK)
        status = find_stable_maximum(run, SERVING_SIDES, &forecast->stable_maximum_per_s, error);
    for (int side = 0; forecast->disaggregated && side < SERVING_SIDES && status == STATUS_OK;
         side++)
        status = find_stable_maximum(run, (ServingSide)side, &forecast->sides[side].maximum_per_s,
                                     error);
    if (status != STATUS_OK)
        goto cleanup;
    if (options->find_rate) {
        status = find_rate(run, recorded_per_s, forecast, error);
        goto cleanup;
    }
    if (options->trace == NULL && options->requests == 0)
        goto cleanup; /* the stable maximum alone was asked for */
    const double unasked = options->trace != NULL
                               ? recorded_per_s
                               : scenario->serving.utilisation * forecast->stable_maximum_per_s;
    const double rate = options->rate_per_s > 0 ? options->rate_per_s : unasked;
    status = simulate_point(run, rate, recorded_per_s / rate, forecast->stable_maximum_per_s,
                            forecast, &forecast->point, error);
cleanup:
    prefix_tree_free(&shared);
    if (status == STATUS_OK)
        fill_prices(scenario, forecast);
    free(run);
    free(scenario);
    return status;
}
