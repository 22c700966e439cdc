#include "sim/training/block_set.h"

#include "models/architecture.h"
#include "models/operators.h"
#include "models/plan_check.h"

#include <math.h>
#include <stdlib.h>

static int has_dense_layers(const ModelSpec *model)
{
    return model->experts > 1.0 && model_expert_layers(model) < model->layers;
}

static void fill_demands(Clock *clock)
{
    const HardwareSpec *hardware = &clock->scenario->hardware;
    const ParallelSpec *parallel = &clock->scenario->training.parallel;
    const double ring = plan_context_ways(parallel);
    clock->tensor_demand = stream_demand(hardware, COLLECTIVE_ALL_GATHER, parallel->tensor,
                                         clock->tensor_ranks_per_node);
    clock->expert_demand = stream_demand(hardware, COLLECTIVE_ALL_TO_ALL, parallel->expert,
                                         clock->expert_ranks_per_node);
    if (parallel->dispatch == DISPATCH_NODES && parallel->expert > 1.0) /* a kernel told to */
        clock->expert_demand.multiprocessors = parallel->dispatch_sms / hardware->gpu.sms;
    clock->ring_demand =
        stream_demand(hardware, COLLECTIVE_ALL_GATHER, ring, clock->ring_in_node ? ring : 1.0);
}

static BlockPhases phases_of(const Clock *clock, const OperatorList *list)
{
    const BlockTime block = block_time(clock, list);
    return (BlockPhases){block.forward, block.backward};
}

static void fill(const Scenario *scenario, const ExpertLoad *load, double *rows,
                 ProductMemo *products, BlockTimes *times, BlockSet *blocks)
{
    const TrainingSpec *training = &scenario->training;
    const ParallelSpec *parallel = &training->parallel;
    const double node_gpus = scenario->hardware.node.gpus;
    const double slices = plan_expert_tensor_ways(parallel);
    Clock clock = {
        .scenario = scenario,
        .gpu = gpu_at_sustained_clock(&scenario->hardware.gpu),
        .precision = training->precision,
        .load = load,
        .rows = rows,
        .products = products,
        .tensor_ranks_per_node = fmin(parallel->tensor, node_gpus),
        .expert_ranks_per_node = fmin(parallel->expert, fmax(1.0, floor(node_gpus / slices))),
        .expert_tensor_ranks_per_node = fmin(slices, node_gpus),
        .ring_in_node = parallel->tensor * plan_context_ways(parallel) <= node_gpus,
    };
    fill_demands(&clock);
    OperatorList list;
    times->dense = times->cross = times->encoder_layer = (BlockTime){0};

    blocks->draws = load->draws > 0 ? load->draws : 1;
    blocks->dropped_share = load->dropped;
    blocks->expert_max_over_mean = load->max_over_mean;
    blocks->rank_max_over_mean = load->rank_max_over_mean;
    operators_layer_forward(scenario, &list);
    block_times(&clock, &list, blocks->draws, times->layer);
    blocks->memory_share = block_memory_share(&times->layer[0]);
    blocks->rates = stream_rates(&scenario->hardware.gpu,
                                 parallel->expert > 1.0 ? clock.expert_demand : clock.tensor_demand,
                                 blocks->memory_share);
    if (has_dense_layers(&scenario->model)) {
        operators_dense_layer_forward(scenario, &list);
        times->dense = block_time(&clock, &list);
    }

    if (scenario->model.vision.cross_every > 0.0) {
        operators_cross_forward(scenario, &list);
        times->cross = block_time(&clock, &list);
    }

    /* Embedding, encoder and logits stay in 16 bits where the layers run in fp8. */
    if (clock.precision == PRECISION_FP8)
        clock.precision = PRECISION_BF16;
    operators_embedding(scenario, &list);
    blocks->embedding = phases_of(&clock, &list);
    if (scenario->model.vision.layers > 0.0) {
        operators_encoder_layer(scenario, &list);
        times->encoder_layer = block_time(&clock, &list);
    }
    operators_head(scenario, &list);
    blocks->head = phases_of(&clock, &list);
}

void block_set_recompute(const BlockTimes *times, const ParallelSpec *parallel,
                         const BlockSet *other, BlockSet *blocks)
{
    blocks->draws = other->draws;
    blocks->dropped_share = other->dropped_share;
    blocks->expert_max_over_mean = other->expert_max_over_mean;
    blocks->rank_max_over_mean = other->rank_max_over_mean;
    blocks->memory_share = other->memory_share;
    blocks->rates = other->rates;
    blocks->embedding = other->embedding;
    blocks->head = other->head;
    for (size_t draw = 0; draw < blocks->draws; draw++)
        blocks->layer[draw] = block_with_recomputation(parallel, &times->layer[draw]);
    blocks->dense = block_with_recomputation(parallel, &times->dense);
    blocks->cross = block_with_recomputation(parallel, &times->cross);
    blocks->encoder_layer = block_with_recomputation(parallel, &times->encoder_layer);
}

Status block_set_fill(const Scenario *scenario, unsigned long long seed,
                      unsigned long long replication, const BlockMemo *memo, BlockTimes *times,
                      BlockSet *blocks, Error *error)
{
    ExpertLoad drawn = {0};
    const ExpertLoad *load = &drawn;
    double *rows = NULL;
    Status status = memo != NULL
                        ? expert_load_find(memo->loads, scenario, seed, replication, &load, error)
                        : expert_load_draw(scenario, seed, replication, &drawn, error);
    if (status != STATUS_OK)
        goto cleanup;
    rows = calloc(load->experts, sizeof *rows);
    if (rows == NULL) {
        status =
            error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu experts", load->experts);
        goto cleanup;
    }
    fill(scenario, load, rows, memo != NULL ? memo->products : NULL, times, blocks);
    block_set_recompute(times, &scenario->training.parallel, blocks, blocks);

cleanup:
    free(rows);
    expert_load_free(&drawn);
    return status;
}
