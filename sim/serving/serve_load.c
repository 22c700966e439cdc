#include "sim/serving/load_run.h"

#include "configs/reader/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* The load that was just simulated is the answer. */
static void keep_point(const LoadRun *run, const LoadPoint *point, LoadForecast *forecast)
{
    forecast->point = *point;
    memcpy(forecast->over_time, run->over_time, sizeof forecast->over_time);
}

/* Of a unit that is only looked at. */
static void on_nothing(void *context, const QueuedRequest *request, double now_s)
{
    (void)context;
    (void)request;
    (void)now_s;
}

/* What one unit is made of. */
static Status describe_unit(LoadRun *run, LoadForecast *forecast, Error *error)
{
    const Scenario *scenario = run->scenario;
    const LaneSink sink = {.finished = on_nothing};
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
    if (!serving_keeps_prefixes(serving))
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
        status = load_stable_maximum(run, SERVING_SIDES, &forecast->stable_maximum_per_s, error);
    for (int side = 0; forecast->disaggregated && side < SERVING_SIDES && status == STATUS_OK;
         side++)
        status = load_stable_maximum(run, (ServingSide)side, &forecast->sides[side].maximum_per_s,
                                     error);
    if (status != STATUS_OK)
        goto cleanup;
    if (options->find_rate) {
        status = load_find_rate(run, recorded_per_s, forecast, error);
        goto cleanup;
    }
    if (options->trace == NULL && options->requests == 0)
        goto cleanup; /* the stable maximum alone was asked for */
    const double unasked = options->trace != NULL
                               ? recorded_per_s
                               : scenario->serving.utilisation * forecast->stable_maximum_per_s;
    const double rate = options->rate_per_s > 0 ? options->rate_per_s : unasked;
    LoadPoint point;
    status = load_simulate_point(run, rate, recorded_per_s / rate, forecast->stable_maximum_per_s,
                                 forecast, &point, error);
    if (status == STATUS_OK)
        keep_point(run, &point, forecast);
cleanup:
    prefix_tree_free(&shared);
    if (status == STATUS_OK)
        fill_prices(scenario, forecast);
    free(run);
    free(scenario);
    return status;
}
