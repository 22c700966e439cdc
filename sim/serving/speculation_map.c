#include "sim/serving/speculation_map.h"

#include "models/speculation.h"
#include "sim/serving/serve_outcome.h"

#include <math.h>
#include <string.h>

typedef struct MapRun {
    const Scenario *scenario;
    SpeculationScratch *scratch;
    StageLayout layout;
    double context;
} MapRun;

/* Seconds between two passes of a sequence when `batch` decode. */
static double pass_s(const MapRun *run, double batch, double drafts, double *draft_s)
{
    const double microbatches = fmin((double)run->layout.stages, batch);
    const PassLoad load = {
        .decode = batch / microbatches, .context = run->context + drafts / 2, .drafts = drafts};
    double stage_s[MAX_STAGES];
    ServeStageTime slowest;
    StageCost *cost = &run->scratch->cost;
    *draft_s = draft_cost_s(&run->scratch->draft, cost, &run->layout, &load);
    draft_cost_pipeline(&run->scratch->draft, cost, &run->layout, &load, stage_s, &slowest);
    return serve_cycle_s(stage_s, run->layout.stages, microbatches);
}

/* Speed-up with `length` drafts, and the parts that it comes from. */
static double speedup(const MapRun *run, double batch, double length, SpeculationPoint *point)
{
    SpeculationSpec tried = run->scenario->serving.speculation;
    AcceptedTokens tokens;
    double none_s;
    tried.length = length;
    speculation_tokens(&tried, &tokens);
    point->batch = batch;
    point->plain_s = pass_s(run, batch, 0, &none_s);
    point->round_s = pass_s(run, batch, length, &point->draft_s);
    point->speedup = point->plain_s * tokens.mean / point->round_s;
    return point->speedup;
}

static void find_best(const MapRun *run, SpeculationPoint *point)
{
    const SpeculationSpec *speculation = &run->scenario->serving.speculation;
    const double known =
        speculation->position_count > 0 ? (double)speculation->position_count : MAX_DRAFT_TOKENS;
    point->best_speedup = 1;
    for (double length = 1; length <= fmin(MAX_COMPARED_LENGTH, known); length++) {
        SpeculationPoint tried;
        const double gain = speedup(run, point->batch, length, &tried);
        if (gain > point->best_speedup) {
            point->best_speedup = gain;
            point->best_length = length;
        }
    }
}

/* The last whole batch that gains, between one that does and one that does not. */
static double last_gain(const MapRun *run, double helps, double fails)
{
    const double length = run->scenario->serving.speculation.length;
    SpeculationPoint point;
    while (fails - helps > 1) {
        const double middle = floor((helps + fails) / 2);
        if (speedup(run, middle, length, &point) > 1)
            helps = middle;
        else
            fails = middle;
    }
    return helps;
}

Status speculation_map(const Scenario *scenario, double most, SpeculationScratch *scratch,
                       SpeculationMap *map, Error *error)
{
    const ServingSpec *serving = &scenario->serving;
    const double length = serving->speculation.length;
    MapRun run = {.scenario = scenario, .scratch = scratch};
    AcceptedTokens tokens;

    memset(map, 0, sizeof *map);
    if (length <= 0)
        return STATUS_OK;
    const Status status = draft_cost_prepare(&scratch->draft, scenario, error);
    if (status != STATUS_OK)
        return status;
    stage_cost_prepare(&scratch->cost, scenario);
    stage_layout(&scenario->model, (size_t)serving->pipeline, &run.layout);
    run.context = fmin(serving->prompt_tokens + serving->output_tokens / 2, serving->context_limit);
    speculation_tokens(&serving->speculation, &tokens);
    map->tokens_per_round = tokens.mean;
    map->context = run.context;

    double batch = 1;
    while (batch <= most && map->count < MAX_SPECULATION_POINTS) {
        SpeculationPoint *point = &map->points[map->count++];
        memset(point, 0, sizeof *point);
        speedup(&run, batch, length, point);
        find_best(&run, point);
        /* The largest batch ends the map. */
        batch = batch < floor(most) ? fmin(2 * batch, floor(most)) : most + 1;
    }
    for (size_t i = 0; i < map->count; i++) {
        const int helps = map->points[i].speedup > 1;
        if (helps && map->helps_from <= 0)
            map->helps_from = map->points[i].batch;
        if (helps)
            map->helps_to = i + 1 < map->count
                                ? last_gain(&run, map->points[i].batch, map->points[i + 1].batch)
                                : map->points[i].batch;
    }
    map->to_the_end = map->count > 0 && map->points[map->count - 1].speedup > 1;
    return STATUS_OK;
}
