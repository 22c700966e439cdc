#include "sim/training/stage_time.h"

#include "hw/collective.h"
#include "hw/gemm.h"
#include "models/architecture.h"
#include "models/operators.h"
#include "models/plan_check.h"
#include "models/vision.h"
#include "sim/training/block_time.h"
#include "sim/training/chunk_time.h"
#include "sim/training/data_parallel.h"
#include "sim/training/expert_load.h"
#include "sim/training/sharding.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void add_phase(StagePhase *sum, const StagePhase *part)
{
    sum->compute_s += part->compute_s;
    sum->recompute_s += part->recompute_s;
    sum->tensor_s += part->tensor_s;
    sum->expert_s += part->expert_s;
    sum->expert_imbalance_s += part->expert_imbalance_s;
    sum->sharding_s += part->sharding_s;
    sum->weight_s += part->weight_s;
}

static void add_block(StageTime *stage, const BlockTime *block)
{
    add_phase(&stage->forward, &block->forward);
    add_phase(&stage->backward, &block->backward);
}

static void total_phase(StagePhase *phase)
{
    phase->total_s = phase->compute_s + phase->recompute_s + phase->tensor_s + phase->expert_s +
                     phase->expert_imbalance_s + phase->sharding_s;
}

/* Blocks of a stage as ZeRO-3 sees them: it keeps neither weights nor gradients whole, so every
 * microbatch gathers the weights of a block in the forward and again in the backward, and reduces
 * its gradients at once; none of it is left for the end of the step. */
typedef struct StageSum {
    StageTime *stage;
    int sharded;
    ShardingSum sharding;
} StageSum;

static ShardedUnit sharded_unit(const Scenario *scenario, const BlockTime *block,
                                PartParameters part)
{
    const DataParallelTime time =
        data_parallel_layer_time(scenario, part.common + part.spread, part.spread);
    StagePhase forward = block->forward, backward = block->backward;
    total_phase(&forward);
    total_phase(&backward);
    return (ShardedUnit){.forward_s = forward.total_s,
                         .backward_s = backward.total_s,
                         .gather_s = time.gather_s,
                         .reduce_s = time.reduce_s};
}

static void add_unit(StageSum *sum, const BlockTime *block, const ShardedUnit *unit)
{
    add_block(sum->stage, block);
    if (sum->sharded)
        sharding_add(&sum->sharding, unit);
}

/* `alike`: a finished stage with the same layers, embedding and head, or NULL. */
static void finish_stage(const Scenario *scenario, const StageLayout *layout, size_t index,
                         const ShardingSum *sharding, const StageTime *alike, StageTime *stage)
{
    const ParallelSpec *parallel = &scenario->training.parallel;
    const int sharded = parallel->zero_stage >= 3.0;
    if (alike != NULL) {
        stage->parameters = alike->parameters;
        stage->optimizer_s = alike->optimizer_s;
        stage->grad_reduce_s = alike->grad_reduce_s;
        stage->param_gather_s = alike->param_gather_s;
    } else {
        stage->parameters = stage_parameters(scenario, layout, index);
        const DataParallelTime time = data_parallel_time(
            scenario, stage->parameters, stage_spread_parameters(scenario, layout, index));
        stage->optimizer_s = time.optimizer_s;
        stage->grad_reduce_s = sharded ? 0.0 : time.reduce_s;
        stage->param_gather_s = sharded ? 0.0 : time.gather_s;
    }
    if (sharded) {
        stage->forward.sharding_s = sharding_forward_s(sharding);
        stage->backward.sharding_s = sharding_backward_s(sharding);
    }
    total_phase(&stage->forward);
    total_phase(&stage->backward);
}

/* The kinds of blocks that stages are made of. */
typedef struct Blocks {
    size_t draws; /* of expert loads: so many kinds of layers with experts */
    double dropped_share;
    BlockTime layer[MAX_LOAD_DRAWS];
    BlockTime dense, cross, embedding, head; /* the embedding with the image encoder */
    ShardedUnit layer_unit[MAX_LOAD_DRAWS], dense_unit, cross_unit, embedding_unit, head_unit;
} Blocks;

static void fill_blocks(const Scenario *scenario, const ExpertLoad *load, double *rows,
                        Blocks *blocks)
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
        .tensor_ranks_per_node = fmin(parallel->tensor, node_gpus),
        .expert_ranks_per_node = fmin(parallel->expert, fmax(1.0, floor(node_gpus / slices))),
        .expert_tensor_ranks_per_node = fmin(slices, node_gpus),
        .ring_in_node = parallel->tensor * plan_context_ways(parallel) <= node_gpus,
    };
    OperatorList list;

    *blocks = (Blocks){.draws = load->draws > 0 ? load->draws : 1, .dropped_share = load->dropped};
    operators_layer_forward(scenario, &list);
    for (size_t draw = 0; draw < blocks->draws; draw++) {
        clock.draw = draw;
        blocks->layer[draw] = block_time(&clock, &list);
        block_add_recomputation(parallel->recompute, &blocks->layer[draw]);
    }
    if (model_expert_layers(&scenario->model) < scenario->model.layers &&
        scenario->model.experts > 1.0) {
        operators_dense_layer_forward(scenario, &list);
        blocks->dense = block_time(&clock, &list);
        block_add_recomputation(parallel->recompute, &blocks->dense);
    }

    if (scenario->model.vision.cross_every > 0.0) {
        operators_cross_forward(scenario, &list);
        blocks->cross = block_time(&clock, &list);
        block_add_recomputation(parallel->recompute, &blocks->cross);
    }

    /* Embedding, encoder and logits stay in 16 bits where the layers run in fp8. */
    if (clock.precision == PRECISION_FP8)
        clock.precision = PRECISION_BF16;
    operators_embedding(scenario, &list);
    blocks->embedding = block_time(&clock, &list);
    if (scenario->model.vision.layers > 0.0) {
        operators_encoder_layer(scenario, &list);
        BlockTime encoder = block_time(&clock, &list);
        block_add_recomputation(parallel->recompute, &encoder);
        for (double layer = 0.0; layer < scenario->model.vision.layers; layer++) {
            add_phase(&blocks->embedding.forward, &encoder.forward);
            add_phase(&blocks->embedding.backward, &encoder.backward);
        }
    }
    operators_head(scenario, &list);
    blocks->head = block_time(&clock, &list);
}

static void fill_sharded_units(const Scenario *scenario, Blocks *blocks)
{
    const PartParameters layer = layer_parameters(scenario, scenario->model.experts > 1.0);
    const PartParameters dense = layer_parameters(scenario, 0);
    const PartParameters cross = {.common = cross_layer_parameters(scenario)};
    const PartParameters table = {.common = table_parameters(scenario)};
    const PartParameters input = {.common = table.common + encoder_parameters(scenario)};
    for (size_t draw = 0; draw < blocks->draws; draw++)
        blocks->layer_unit[draw] = sharded_unit(scenario, &blocks->layer[draw], layer);
    blocks->dense_unit = sharded_unit(scenario, &blocks->dense, dense);
    blocks->cross_unit = sharded_unit(scenario, &blocks->cross, cross);
    blocks->embedding_unit = sharded_unit(scenario, &blocks->embedding, input);
    blocks->head_unit = sharded_unit(scenario, &blocks->head, table);
}

/* What stages on one kind of GPU are made of. */
typedef struct StageKind {
    const Scenario *scenario; /* with that GPU */
    Blocks *blocks;           /* NULL: there are none such */
} StageKind;

/* Replicas on older GPUs hold up the others: a step is as long as that of the slower kind. */
static const StageKind *kind_of_stage(const Scenario *scenario, const StageKind *newer,
                                      const StageKind *older, size_t stages, size_t stage)
{
    if (older->blocks == NULL)
        return newer;
    if (scenario->hardware.older_replicas > 0.0)
        return older->blocks->layer[0].forward.compute_s > newer->blocks->layer[0].forward.compute_s
                   ? older
                   : newer;
    return stage_is_older(scenario, stages, stage) ? older : newer;
}

static void fill_stages(const StageKind *newer, const StageKind *older, int with_memory,
                        StepInput *input)
{
    const Scenario *plan = newer->scenario;
    const ModelSpec *model = &plan->model;
    const ParallelSpec *parallel = &plan->training.parallel;
    const int sharded = parallel->zero_stage >= 3.0;
    const int all_have_experts = model_expert_layers(model) >= model->layers;
    if (sharded)
        fill_sharded_units(newer->scenario, newer->blocks);
    if (sharded && older->blocks != NULL)
        fill_sharded_units(older->scenario, older->blocks);

    input->dropped_share = newer->blocks->dropped_share;
    StageLayout layout;
    plan_layout(plan, input->stages, &layout);
    const StageKind *kind_before = newer;
    double crossing_before = 0.0;
    size_t layer_index = 0, draw_index = 0, dense_before = 0;
    size_t twin_of[MAX_LOAD_DRAWS] = {0}; /* by first draw: a finished inner stage, 0: none yet */
    const int layers_alike =
        (all_have_experts || model->experts <= 1.0) && !(model->vision.cross_every > 0.0);
    for (size_t i = 0; i < input->stages; i++) {
        StageTime *stage = &input->stage[i];
        const StageKind *kind = kind_of_stage(plan, newer, older, input->stages, i);
        const Scenario *scenario = kind->scenario;
        const Blocks *blocks = kind->blocks;
        const double crossing = stage_cross_layers(model, &layout, i);
        if (kind != kind_before)
            memset(twin_of, 0, sizeof twin_of);
        const int inner = i > 0 && i + 1 < input->stages && layers_alike;
        size_t *twin = &twin_of[draw_index % blocks->draws];
        if (inner && *twin > 0 && layout.layers[*twin] == layout.layers[i]) {
            *stage = input->stage[*twin];
            layer_index += layout.layers[i];
            draw_index += layout.layers[i];
            if (with_memory)
                stage->memory_bytes = stage_memory(scenario, &layout, i).total_bytes;
            chunk_times(input, i, NULL, NULL, NULL, NULL);
            kind_before = kind;
            crossing_before = crossing;
            continue;
        }
        if (inner)
            *twin = i;
        *stage = (StageTime){.layers = layout.layers[i]};
        StageSum sum = {.stage = stage,
                        .sharded = sharded,
                        .sharding = {.overlap_gather = parallel->overlap_param_gather,
                                     .overlap_reduce = parallel->overlap_grad_reduce}};
        size_t dense = 0;
        if (i == 0)
            add_unit(&sum, &blocks->embedding, &blocks->embedding_unit);
        for (unsigned j = 0; j < layout.layers[i]; j++, layer_index++) {
            if (model_cross_layers_before(model, (double)layer_index + 1.0) >
                model_cross_layers_before(model, (double)layer_index))
                add_unit(&sum, &blocks->cross, &blocks->cross_unit);
            if (!all_have_experts && model->experts > 1.0 &&
                !model_layer_has_experts(model, (double)layer_index)) {
                dense++;
                add_unit(&sum, &blocks->dense, &blocks->dense_unit);
                continue;
            }
            const size_t draw = draw_index++ % blocks->draws;
            add_unit(&sum, &blocks->layer[draw], &blocks->layer_unit[draw]);
        }
        if (i + 1 == input->stages)
            add_unit(&sum, &blocks->head, &blocks->head_unit);
        const int alike = i > 1 && i + 1 < input->stages && dense == dense_before &&
                          layout.layers[i] == layout.layers[i - 1] && kind == kind_before &&
                          !(crossing > crossing_before) && !(crossing < crossing_before);
        finish_stage(scenario, &layout, i, &sum.sharding, alike ? stage - 1 : NULL, stage);
        if (with_memory)
            stage->memory_bytes = stage_memory(scenario, &layout, i).total_bytes;
        dense_before = dense;
        kind_before = kind;
        crossing_before = crossing;
        chunk_times(input, i, &blocks->embedding.forward, &blocks->embedding.backward,
                    &blocks->head.forward, &blocks->head.backward);
    }
}

/* Activations of one microbatch; sequence parallelism leaves each tensor rank its share of the
 * tokens. Stages are the outermost way of the layout, so neighbours share a node only when the
 * whole job does. */
static double send_seconds(const Scenario *scenario, double gpus)
{
    const TrainingSpec *training = &scenario->training;
    const ParallelSpec *parallel = &training->parallel;
    if (parallel->pipeline <= 1.0)
        return 0.0;
    double tokens = parallel->micro_batch * training->sequence_length;
    double bytes = tokens * scenario->model.d_model * precision_bytes(PRECISION_BF16) /
                   plan_context_ways(parallel);
    /* What the encoder on the first stage makes of the images travels along. */
    if (scenario->model.vision.cross_every > 0.0)
        bytes += parallel->micro_batch * scenario->model.vision.images *
                 model_image_tokens(&scenario->model) * model_image_width(&scenario->model) *
                 precision_bytes(PRECISION_BF16);
    if (parallel->sequence_parallel != 0)
        bytes /= parallel->tensor;
    /* Where stages are the outermost way, some neighbours may lie in different segments. */
    const double extent =
        parallel->outermost == OUTERMOST_DATA ? gpus / fmax(1.0, parallel->data) : gpus;
    return p2p_seconds_of(&scenario->hardware, bytes, gpus <= scenario->hardware.node.gpus, extent);
}

/* FLOPs that the GPUs do: the model's own, and what layers do again. The head is not recomputed. */
static double hardware_flops_per_token(const Scenario *scenario, const ModelFlops *flops)
{
    double head = 2.0 * scenario->model.d_model * scenario->model.vocab_size;
    double again = 0.0;
    if (scenario->training.parallel.recompute == RECOMPUTE_FULL)
        again = flops->forward - head;
    else if (scenario->training.parallel.recompute == RECOMPUTE_SELECTIVE)
        again = flops->attention_causal;
    return flops->training + again;
}

static Status check_counts(const Scenario *scenario, Error *error)
{
    const ParallelSpec *parallel = &scenario->training.parallel;
    double limit =
        1e9; /* of what a size_t and the memory of a simulation can hold with room to spare */
    struct {
        const char *key;
        double value, maximum;
    } counts[] = {
        {"training.parallel.tensor", parallel->tensor, limit},
        {"training.parallel.pipeline", parallel->pipeline, MAX_STAGES},
        {"training.parallel.data", parallel->data, limit},
        {"training.parallel.context", plan_context_ways(parallel), limit},
        {"training.parallel.micro_batch", parallel->micro_batch, limit},
        {"training.batch_tokens", plan_microbatches(&scenario->training), limit},
    };
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (!(counts[i].value >= 1.0 && counts[i].value <= counts[i].maximum))
            return error_set(error, STATUS_INVALID, "%s: %g is not between 1 and %g", counts[i].key,
                             counts[i].value, counts[i].maximum);
    return STATUS_OK;
}

/* ---- blocks that many plans share ---- */

enum { CACHE_ENTRIES = 64 };

/* What blocks are worked out from: a scenario without the fields that only say how many stages,
 * replicas and microbatches there are, and what happens at the end of a step. */
typedef struct BlockKey {
    ModelSpec model;
    HardwareSpec hardware;
    TrainingSpec training;
    unsigned long long seed, replication; /* of the expert loads */
} BlockKey;

typedef struct CacheEntry {
    int filled;
    BlockKey key;
    Blocks blocks;
} CacheEntry;

struct StepInputCache {
    BlockKey wanted;
    CacheEntry entries[CACHE_ENTRIES];
};

StepInputCache *step_input_cache_create(Error *error)
{
    StepInputCache *cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        error_set(error, STATUS_ENVIRONMENT, "out of memory");
    return cache;
}

void step_input_cache_destroy(StepInputCache *cache)
{
    free(cache);
}

static void fill_key(const Scenario *scenario, unsigned long long seed,
                     unsigned long long replication, BlockKey *key)
{
    key->model = scenario->model;
    key->hardware = scenario->hardware;
    key->training = scenario->training;
    const int drawn = scenario->training.expert_load_sigma > 0.0;
    key->seed = drawn ? seed : 0;
    key->replication = drawn ? replication : 0;

    ParallelSpec *parallel = &key->training.parallel;
    key->hardware.gpus = 0.0;
    key->training.tokens = key->training.batch_tokens = 0.0;
    key->training.optimizer_bytes_per_param = key->training.reserved_bytes = 0.0;
    key->training.gradient_precision = PRECISION_BF16;
    parallel->pipeline = parallel->data = parallel->virtual_stages = 0.0;
    parallel->zero_stage = parallel->shard_group = 0.0;
    parallel->schedule = SCHEDULE_1F1B;
    parallel->overlap_grad_reduce = parallel->overlap_param_gather = 0;
}

/* The place of the cache for these blocks: filled when they are there. */
static CacheEntry *cache_entry(StepInputCache *cache, const Scenario *scenario,
                               unsigned long long seed, unsigned long long replication)
{
    fill_key(scenario, seed, replication, &cache->wanted);
    const ParallelSpec *parallel = &scenario->training.parallel;
    const double mix[] = {parallel->tensor, parallel->expert, parallel->micro_batch,
                          plan_context_ways(parallel), (double)parallel->recompute};
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof mix / sizeof mix[0]; i++)
        hash = hash * 31 + (uint64_t)mix[i];
    CacheEntry *entry = &cache->entries[hash % CACHE_ENTRIES];
    if (entry->filled && memcmp(&entry->key, &cache->wanted, sizeof entry->key) != 0)
        entry->filled = 0;
    return entry;
}

static Status draw_blocks(const Scenario *scenario, unsigned long long seed,
                          unsigned long long replication, Blocks *blocks, Error *error)
{
    ExpertLoad load = {0};
    double *rows = NULL;
    Status status = expert_load_draw(scenario, seed, replication, &load, error);
    if (status != STATUS_OK)
        goto cleanup;
    rows = calloc(load.experts, sizeof *rows);
    if (rows == NULL) {
        status =
            error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu experts", load.experts);
        goto cleanup;
    }
    fill_blocks(scenario, &load, rows, blocks);

cleanup:
    free(rows);
    expert_load_free(&load);
    return status;
}

/* Two generations of GPUs: the same layers with the same expert loads, timed on each. */
static Status fill_mixed_stages(const Scenario *scenario, unsigned long long seed,
                                unsigned long long replication, StepInput *input, Error *error)
{
    typedef struct Mixed {
        Scenario older;
        Blocks newer_blocks, older_blocks;
    } Mixed;
    Mixed *mixed = calloc(1, sizeof *mixed);
    if (mixed == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    mixed->older = *scenario;
    mixed->older.hardware.gpu = scenario->hardware.older_gpu;
    const StageKind newer = {scenario, &mixed->newer_blocks};
    const StageKind older = {&mixed->older, &mixed->older_blocks};
    Status status = draw_blocks(scenario, seed, replication, newer.blocks, error);
    if (status == STATUS_OK)
        status = draw_blocks(&mixed->older, seed, replication, older.blocks, error);
    if (status == STATUS_OK)
        fill_stages(&newer, &older, 1, input);
    free(mixed);
    return status;
}

Status step_input(const Scenario *scenario, unsigned long long seed, unsigned long long replication,
                  StepInput *input, Error *error)
{
    return step_input_cached(NULL, scenario, seed, replication, input, error);
}

Status step_input_cached(StepInputCache *cache, const Scenario *scenario, unsigned long long seed,
                         unsigned long long replication, StepInput *input, Error *error)
{
    const TrainingSpec *training = &scenario->training;
    const ParallelSpec *parallel = &training->parallel;
    Status status = check_counts(scenario, error);
    if (status != STATUS_OK)
        return status;

    input->stages = (size_t)parallel->pipeline;
    input->microbatches = (size_t)plan_microbatches(training);
    input->replicas = (size_t)parallel->data;
    input->schedule = parallel->schedule;
    input->virtual_stages = (size_t)fmax(1.0, parallel->virtual_stages);
    input->gpus = plan_gpus(parallel);
    input->send_s = send_seconds(scenario, input->gpus);
    input->jitter = scenario->hardware.gpu.jitter;
    input->overlap_grad_reduce = parallel->overlap_grad_reduce;
    input->overlap_param_gather = parallel->overlap_param_gather;
    input->tokens = plan_step_tokens(training);

    ModelFlops flops = model_flops_per_token(&scenario->model, training->sequence_length);
    input->model_flops = flops.training * input->tokens;
    input->hardware_flops = hardware_flops_per_token(scenario, &flops) * input->tokens;
    const double older_share = plan_older_share(scenario);
    input->peak_flops_per_s =
        input->gpus *
        ((1.0 - older_share) * gpu_peak_flops_per_s(&scenario->hardware.gpu, training->precision) +
         older_share * gpu_peak_flops_per_s(&scenario->hardware.older_gpu, training->precision));

    if (older_share > 0.0)
        return fill_mixed_stages(scenario, seed, replication, input, error);
    const StageKind none = {0};
    if (cache == NULL) {
        Blocks blocks;
        const StageKind newer = {scenario, &blocks};
        status = draw_blocks(scenario, seed, replication, &blocks, error);
        if (status == STATUS_OK)
            fill_stages(&newer, &none, 1, input);
        return status;
    }
    CacheEntry *entry = cache_entry(cache, scenario, seed, replication);
    if (!entry->filled)
        status = draw_blocks(scenario, seed, replication, &entry->blocks, error);
    if (status != STATUS_OK)
        return status;
    entry->key = cache->wanted;
    entry->filled = 1;
    const StageKind newer = {scenario, &entry->blocks};
    fill_stages(&newer, &none, 0, input);
    return STATUS_OK;
}
