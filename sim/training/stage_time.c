#include "sim/training/stage_time.h"

#include "hw/collective.h"
#include "hw/gemm.h"
#include "models/architecture.h"
#include "models/operators.h"
#include "models/plan_check.h"
#include "models/vision.h"
#include "sim/training/chunk_time.h"
#include "sim/training/data_parallel.h"
#include "sim/training/sharding.h"
#include "sim/training/step_input.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void add_phase(StagePhase *restrict sum, const StagePhase *restrict part)
{
    sum->compute_s += part->compute_s;
    sum->recompute_s += part->recompute_s;
    sum->tensor_s += part->tensor_s;
    sum->expert_s += part->expert_s;
    sum->expert_imbalance_s += part->expert_imbalance_s;
    sum->sharding_s += part->sharding_s;
    sum->total_s += part->total_s; /* made anew from the causes in the end */
    sum->weight_s += part->weight_s;
    sum->expert_variance_s2 += part->expert_variance_s2; /* layers route on their own */
}

static void add_block(StageTime *stage, const BlockPhases *block)
{
    add_phase(&stage->forward, &block->forward);
    add_phase(&stage->backward, &block->backward);
}

/* By fields: a stage is too short for what a processor does to copy or clear many bytes. */
static void copy_phase(StagePhase *restrict to, const StagePhase *restrict from)
{
    to->compute_s = from->compute_s;
    to->recompute_s = from->recompute_s;
    to->tensor_s = from->tensor_s;
    to->expert_s = from->expert_s;
    to->expert_imbalance_s = from->expert_imbalance_s;
    to->sharding_s = from->sharding_s;
    to->total_s = from->total_s;
    to->weight_s = from->weight_s;
    to->expert_variance_s2 = from->expert_variance_s2;
}

static const StageTime no_time;

static void copy_stage(StageTime *restrict to, const StageTime *restrict from)
{
    to->layers = from->layers;
    to->parameters = from->parameters;
    to->memory_bytes = from->memory_bytes;
    copy_phase(&to->forward, &from->forward);
    copy_phase(&to->backward, &from->backward);
    to->grad_reduce_s = from->grad_reduce_s;
    to->param_gather_s = from->param_gather_s;
    to->optimizer_s = from->optimizer_s;
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

static ShardedUnit sharded_unit(const BlockPhases *block, const DataParallelTime *time)
{
    StagePhase forward = block->forward, backward = block->backward;
    total_phase(&forward);
    total_phase(&backward);
    return (ShardedUnit){.forward_s = forward.total_s,
                         .backward_s = backward.total_s,
                         .gather_s = time->gather_s,
                         .reduce_s = time->reduce_s,
                         .gather_copies_s = time->gather_copies_s,
                         .reduce_copies_s = time->reduce_copies_s};
}

static DataParallelTime unit_time(const DataParallelGroups *groups, PartParameters part)
{
    return data_parallel_layer_time(groups, part.common + part.spread, part.spread);
}

static void add_unit(StageSum *sum, const BlockPhases *block, const ShardedUnit *unit)
{
    add_block(sum->stage, block);
    if (sum->sharded)
        sharding_add(&sum->sharding, unit);
}

/* `held`: parameters of the stage. `alike`: a finished stage that holds as many, or NULL. */
static void finish_stage(const DataParallelGroups *groups, PartParameters held,
                         const ShardingSum *sharding, const StageTime *alike, StageTime *stage)
{
    const int sharded = groups->scenario->training.parallel.zero_stage >= 3.0;
    stage->parameters = held.common + held.spread;
    if (alike != NULL) {
        stage->optimizer_s = alike->optimizer_s;
        stage->grad_reduce_s = alike->grad_reduce_s;
        stage->param_gather_s = alike->param_gather_s;
    } else {
        const DataParallelTime time = data_parallel_time(groups, stage->parameters, held.spread);
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

/* Blocks of a plan as ZeRO-3 sees them. */
typedef struct ShardedUnits {
    ShardedUnit layer[MAX_LOAD_DRAWS], dense, cross, embedding, head;
} ShardedUnits;

/* What stages on one kind of GPU are made of. */
typedef struct StageKind {
    const Scenario *scenario; /* with that GPU */
    const BlockSet *blocks;   /* NULL: there are none such */
    const BlockPhases *input; /* embedding, and encoder of images */
    BlockPhases with_encoder;
    DataParallelGroups groups;
    ShardedUnits units;
} StageKind;

/* Sharded units are filled in where the plan has them. */
static void fill_kind(const Scenario *scenario, const BlockSet *blocks, StageKind *kind)
{
    kind->scenario = scenario;
    kind->blocks = blocks;
    if (blocks == NULL)
        return;
    kind->groups = data_parallel_groups(scenario);
    kind->input = &blocks->embedding;
    if (!(scenario->model.vision.layers > 0.0))
        return;
    kind->with_encoder = blocks->embedding;
    for (double layer = 0.0; layer < scenario->model.vision.layers; layer++) {
        add_phase(&kind->with_encoder.forward, &blocks->encoder_layer.forward);
        add_phase(&kind->with_encoder.backward, &blocks->encoder_layer.backward);
    }
    kind->input = &kind->with_encoder;
}

static void fill_sharded_units(const MemoryParts *parts, StageKind *kind)
{
    const Scenario *scenario = kind->scenario;
    const BlockSet *blocks = kind->blocks;
    ShardedUnits *units = &kind->units;
    const PartParameters layer = scenario->model.experts > 1.0 ? parts->moe : parts->dense;
    const DataParallelTime layer_time = unit_time(&kind->groups, layer);
    const DataParallelTime dense_time = unit_time(&kind->groups, parts->dense);
    const DataParallelTime table_time =
        unit_time(&kind->groups, (PartParameters){.common = parts->table});
    for (size_t draw = 0; draw < blocks->draws; draw++)
        units->layer[draw] = sharded_unit(&blocks->layer[draw], &layer_time);
    units->dense = sharded_unit(&blocks->dense, &dense_time);
    units->embedding = sharded_unit(kind->input, &table_time);
    units->head = sharded_unit(&blocks->head, &table_time);
    if (!model_sees(&scenario->model))
        return;
    const DataParallelTime cross_time =
        unit_time(&kind->groups, (PartParameters){.common = cross_layer_parameters(scenario)});
    const DataParallelTime input_time = unit_time(
        &kind->groups, (PartParameters){.common = parts->table + encoder_parameters(scenario)});
    units->cross = sharded_unit(&blocks->cross, &cross_time);
    units->embedding = sharded_unit(kind->input, &input_time);
}

/* Replicas on older GPUs hold up the others: a step is as long as that of the slower kind. */
static const StageKind *kind_of_stage(const StageKind *newer, const StageKind *older, size_t stages,
                                      size_t stage)
{
    if (older->blocks == NULL)
        return newer;
    if (newer->scenario->hardware.older_replicas > 0.0)
        return older->blocks->layer[0].forward.compute_s > newer->blocks->layer[0].forward.compute_s
                   ? older
                   : newer;
    return stage_is_older(newer->scenario, stages, stage) ? older : newer;
}

/* Adds embedding, layers and head of one stage, in the order of the forward pass. */
static void fill_stage(const StageKind *kind, int mixed, const StageLayout *layout, size_t index,
                       StageSum *sum)
{
    const ModelSpec *model = &kind->scenario->model;
    const BlockSet *blocks = kind->blocks;
    const ShardedUnits *units = &kind->units;
    const int crossing = model->vision.cross_every > 0.0;
    const double first = layout->before[index];
    size_t draw = (size_t)(mixed ? model_expert_layers_before(model, first) : first);
    if (index == 0)
        add_unit(sum, kind->input, &units->embedding);
    for (unsigned i = 0; i < layout->layers[index]; i++) {
        if (crossing && model_cross_layers_before(model, first + i + 1.0) >
                            model_cross_layers_before(model, first + i))
            add_unit(sum, &blocks->cross, &units->cross);
        if (mixed && !model_layer_has_experts(model, first + i)) {
            add_unit(sum, &blocks->dense, &units->dense);
            continue;
        }
        const size_t layer = draw++ % blocks->draws;
        add_unit(sum, &blocks->layer[layer], &units->layer[layer]);
    }
    if (index + 1 == layout->stages)
        add_unit(sum, &blocks->head, &units->head);
}

/* A finished stage between the first and the last that has the same layers, of the same kinds in
 * the same order; 0 when there is none. `twin_of` by the draw that a stage begins with. */
static size_t find_twin(const StageLayout *layout, size_t index, size_t draws,
                        size_t twin_of[MAX_LOAD_DRAWS])
{
    if (index == 0 || index + 1 == layout->stages)
        return 0;
    size_t *twin = &twin_of[layout->before[index] % (unsigned)draws];
    if (*twin > 0 && layout->layers[*twin] == layout->layers[index])
        return *twin;
    *twin = index;
    return 0;
}

/* `older->blocks` is NULL where all GPUs are alike. */
static void fill_stages(const MemoryParts *parts, const StageLayout *layout, StageKind *newer,
                        StageKind *older, StepInput *input)
{
    const Scenario *plan = newer->scenario;
    const ParallelSpec *parallel = &plan->training.parallel;
    const int sharded = parallel->zero_stage >= 3.0;
    if (sharded)
        fill_sharded_units(parts, newer);
    if (sharded && older->blocks != NULL)
        fill_sharded_units(parts, older);

    const BlockSet *leading = newer->blocks;
    input->block_rates = leading->rates;
    input->data_rates = stream_rates(&plan->hardware.gpu, data_parallel_demand(&newer->groups),
                                     leading->memory_share);
    input->dropped_share = leading->dropped_share;
    input->expert_max_over_mean = leading->expert_max_over_mean;
    input->rank_max_over_mean = leading->rank_max_over_mean;
    input->expert_group_replicas = (size_t)plan_expert_group_replicas(parallel);
    const ModelSpec *model = &plan->model;
    const int mixed = model->experts > 1.0 && model_expert_layers(model) < model->layers;
    const int layers_alike = !mixed && !(model->vision.cross_every > 0.0);
    size_t twin_of[MAX_LOAD_DRAWS] = {0};
    PartParameters held_before = {0};
    const StageKind *kind_before = newer;
    for (size_t i = 0; i < input->stages; i++) {
        StageTime *stage = &input->stage[i];
        const StageKind *kind = kind_of_stage(newer, older, input->stages, i);
        const int same_kind = kind == kind_before;
        kind_before = kind;
        if (!same_kind)
            memset(twin_of, 0, sizeof twin_of);
        const size_t twin = layers_alike ? find_twin(layout, i, kind->blocks->draws, twin_of) : 0;
        if (twin > 0) {
            copy_stage(stage, &input->stage[twin]);
            chunk_times(input, i, NULL, NULL, NULL, NULL);
            continue;
        }
        copy_stage(stage, &no_time);
        stage->layers = layout->layers[i];
        StageSum sum;
        sum.stage = stage;
        sum.sharded = sharded;
        if (sharded)
            sharding_begin(&sum.sharding, parallel->overlap_param_gather,
                           parallel->overlap_grad_reduce, input->data_rates);
        fill_stage(kind, mixed, layout, i, &sum);
        const PartParameters held = stage_part_parameters(parts, layout, i);
        const int alike = i > 0 && same_kind && held.common == held_before.common &&
                          held.spread == held_before.spread;
        finish_stage(&kind->groups, held, &sum.sharding, alike ? stage - 1 : NULL, stage);
        held_before = held;
        chunk_times(input, i, &kind->input->forward, &kind->input->backward,
                    &kind->blocks->head.forward, &kind->blocks->head.backward);
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

/* Frozen weights have no gradient, which is a third of the products' FLOPs. */
static double trained_flops(const Scenario *scenario, const ModelFlops *flops)
{
    return flops->training - scenario->training.frozen * flops->matmul;
}

/* Of layers that are done again whole. */
static double whole_flops(const Scenario *scenario, const ModelFlops *flops, double head)
{
    const double whole = flops->forward - head;
    return scenario->training.parallel.recompute_stops != 0
               ? whole - operators_marked_flops(scenario, MARK_LAST)
               : whole;
}

/* By scope: attention; every second product of the layers; none but what is too light to count; the
 * experts'; all but queries, keys and values. */
static double selective_flops(const Scenario *scenario, const ModelFlops *flops, double head)
{
    switch (scenario->training.parallel.selective_scope) {
    case SELECTIVE_SCORES:
        return flops->attention_causal;
    case SELECTIVE_OPERATORS:
        return scenario->training.precision == PRECISION_FP8
                   ? whole_flops(scenario, flops, head) - flops->attention_causal
                   : (flops->matmul - head) / 2.0;
    case SELECTIVE_EXPERTS:
        return operators_marked_flops(scenario, MARK_EXPERTS);
    case SELECTIVE_BUT_QKV:
        return whole_flops(scenario, flops, head) - operators_marked_flops(scenario, MARK_QKV);
    case SELECTIVE_MODULES:
    case SELECTIVE_SCOPES:
        break;
    }
    return 0.0;
}

/* FLOPs that the GPUs do: the model's own, and what layers do again. The head is not recomputed. */
static double hardware_flops_per_token(const Scenario *scenario, const ModelFlops *flops)
{
    double head = 2.0 * scenario->model.d_model * scenario->model.vocab_size;
    double again = 0.0;
    if (scenario->training.parallel.recompute == RECOMPUTE_FULL)
        again = whole_flops(scenario, flops, head);
    else if (scenario->training.parallel.recompute == RECOMPUTE_SELECTIVE)
        again = selective_flops(scenario, flops, head);
    return trained_flops(scenario, flops) + again;
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

Status step_input_of_blocks(const Scenario *scenario, const MemoryParts *parts,
                            const BlockSet *blocks, const OlderBlocks *older,
                            const ModelFlops *flops, StepInput *input, Error *error)
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
    input->model_flops = trained_flops(scenario, flops) * input->tokens;
    input->hardware_flops = hardware_flops_per_token(scenario, flops) * input->tokens;
    const double older_share = plan_older_share(scenario);
    input->peak_flops_per_s =
        input->gpus *
        ((1.0 - older_share) * gpu_peak_flops_per_s(&scenario->hardware.gpu, training->precision) +
         older_share * gpu_peak_flops_per_s(&scenario->hardware.older_gpu, training->precision));

    StageLayout layout;
    plan_layout(scenario, input->stages, &layout);
    StageKind newer, others;
    fill_kind(scenario, blocks, &newer);
    fill_kind(older != NULL ? &older->scenario : scenario, older != NULL ? &older->blocks : NULL,
              &others);
    fill_stages(parts, &layout, &newer, &others, input);
    return STATUS_OK;
}

/* The same layers with the same expert loads, timed on the older GPUs; NULL where there are none.
 */
static Status older_blocks_create(const Scenario *scenario, unsigned long long seed,
                                  unsigned long long replication, OlderBlocks **older, Error *error)
{
    *older = NULL;
    if (!(plan_older_share(scenario) > 0.0))
        return STATUS_OK;
    *older = calloc(1, sizeof **older);
    if (*older == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    (*older)->scenario = *scenario;
    (*older)->scenario.hardware.gpu = scenario->hardware.older_gpu;
    BlockTimes times;
    return block_set_fill(&(*older)->scenario, seed, replication, NULL, &times, &(*older)->blocks,
                          error);
}

Status step_input(const Scenario *scenario, unsigned long long seed, unsigned long long replication,
                  StepInput *input, Error *error)
{
    return step_input_sharing(scenario, seed, replication, NULL, input, error);
}

Status step_input_sharing(const Scenario *scenario, unsigned long long seed,
                          unsigned long long replication, struct ExpertLoadMemo *loads,
                          StepInput *input, Error *error)
{
    const BlockMemo memo = {.loads = loads};
    BlockTimes times;
    BlockSet blocks;
    OlderBlocks *older = NULL;
    MemoryParts parts;
    ModelFlops flops;
    StageLayout layout;
    Status status = check_counts(scenario, error);
    if (status == STATUS_OK)
        status = block_set_fill(scenario, seed, replication, loads != NULL ? &memo : NULL, &times,
                                &blocks, error);
    if (status == STATUS_OK)
        status = older_blocks_create(scenario, seed, replication, &older, error);
    if (status != STATUS_OK)
        goto cleanup;
    parts = memory_parts(scenario);
    flops = model_flops_per_token(&scenario->model, scenario->training.sequence_length);
    status = step_input_of_blocks(scenario, &parts, &blocks, older, &flops, input, error);
    if (status != STATUS_OK)
        goto cleanup;
    plan_layout(scenario, input->stages, &layout);
    for (size_t i = 0; i < input->stages; i++)
        input->stage[i].memory_bytes = memory_of_stage(&parts, &layout, i).total_bytes;
cleanup:
    free(older);
    return status;
}
