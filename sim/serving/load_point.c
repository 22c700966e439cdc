/* One load, simulated. */
#include "sim/serving/load_run.h"

#include "models/serving_side.h"
#include "sim/serving/serve_outcome.h"

#include <math.h>
#include <string.h>

static const double warm_up_share = 0.1;

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
    return counters->slowest.total_s > 0 ? counters->prefill_s / counters->slowest.total_s : 0;
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
            load_queued(&arrival, arrival.at_s + run->overhead_s, i >= warm_up);
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

Status load_simulate_point(LoadRun *run, double rate_per_s, double stretch, double maximum_per_s,
                           LoadForecast *forecast, LoadPoint *point, Error *error)
{
    const LaneSink sink = {.finished = on_finished, .context = run};
    TraceReader *trace = NULL;
    ArrivalStream stream;
    Snapshot from = {0}, to = {0};
    Status status = STATUS_OK;

    memset(point, 0, sizeof *point);
    memset(run->latency, 0, sizeof run->latency);
    memset(run->over_time, 0, sizeof run->over_time);
    run->finished = run->input_tokens = run->output_tokens = run->counted = run->good = 0;
    point->rate_per_s = rate_per_s;
    point->stable = rate_per_s < maximum_per_s;
    for (size_t i = 0; i < run->unit_count && status == STATUS_OK; i++) {
        status = unit_create(run->scenario, &sink, 0, &run->units[i], error);
        if (status == STATUS_OK)
            unit_seed(run->units[i], load_unit_seed(run, i));
        if (status == STATUS_OK)
            status = unit_share(run->units[i], run->shared, error);
        if (status == STATUS_OK && run->options->over_time)
            unit_watch(run->units[i], run->over_time);
    }
    if (status == STATUS_OK)
        status = load_open_stream(run, rate_per_s, stretch, &trace, &stream, error);
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
