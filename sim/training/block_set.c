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

static void fill(const Scenario *scenario, const ExpertLoad *load, double *rows,
                 ProductMemo *products, BlockSet *blocks)
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

    *blocks = (BlockSet){.draws = load->draws > 0 ? load->draws : 1,
                         .dropped_share = load->dropped,
                         .expert_max_over_mean = load->max_over_mean,
                         .rank_max_over_mean = load->rank_max_over_mean};
    operators_layer_forward(scenario, &list);
    block_times(&clock, &list, blocks->draws, blocks->layer);
    blocks->memory_share = block_memory_share(&blocks->layer[0]);
    blocks->rates = stream_rates(&scenario->hardware.gpu,
                                 parallel->expert > 1.0 ? clock.expert_demand : clock.tensor_demand,
                                 blocks->memory_share);
    if (has_dense_layers(&scenario->model)) {
        operators_dense_layer_forward(scenario, &list);
        blocks->dense = block_time(&clock, &list);
    }

    if (scenario->model.vision.cross_every > 0.0) {
        operators_cross_forward(scenario, &list);
        blocks->cross = block_time(&clock, &list);
    }

    /* Embedding, encoder and logits stay in 16 bits where the layers run in fp8. */
    if (clock.precision == PRECISION_FP8)
        clock.precision = PRECISION_BF16;
    operators_embedding(scenario, &list);
    blocks->embedding = block_time(&clock, &list);
    if (scenario->model.vision.layers > 0.0) {
        operators_encoder_layer(scenario, &list);
        blocks->encoder_layer = block_time(&clock, &list);
    }
    operators_head(scenario, &list);
    blocks->head = block_time(&clock, &list);
}

void block_set_recompute(const BlockSet *without, const ParallelSpec *parallel, BlockSet *blocks)
{
    if (blocks != without)
        *blocks = *without;
    for (size_t draw = 0; draw < blocks->draws; draw++)
        block_add_recomputation(parallel, &blocks->layer[draw]);
    block_add_recomputation(parallel, &blocks->dense);
    block_add_recomputation(parallel, &blocks->cross);
    block_add_recomputation(parallel, &blocks->encoder_layer);
}

Status block_set_fill(const Scenario *scenario, unsigned long long seed,
                      unsigned long long replication, const BlockMemo *memo, BlockSet *blocks,
                      Error *error)
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
    fill(scenario, load, rows, memo != NULL ? memo->products : NULL, blocks);
    block_set_recompute(blocks, &scenario->training.parallel, blocks);

cleanup:
    free(rows);
    expert_load_free(&drawn);
    return status;
}
