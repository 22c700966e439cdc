#include "models/memory.h"

#include "models/architecture.h"
#include "models/plan_check.h"
#include "models/vision.h"

#include <math.h>
#include <stddef.h>

/* Activations are kept in 16 bits, dropout masks in 8, the loss in 32 (Korthikanti et al. 2022);
 * inputs of matrix products in 8 where the products are in fp8 and the stack keeps that copy only.
 */
static const double activation_bytes = 2;
static const double mask_bytes = 1;
static const double loss_bytes = 4;
static const double fp8_bytes = 1;

/* ---- layers and parameters of a stage ---- */

void stage_layout(const ModelSpec *model, size_t stages, StageLayout *layout)
{
    if (stages < 1)
        stages = 1;
    if (stages > MAX_STAGES)
        stages = MAX_STAGES;
    const double even = floor(model->layers / (double)stages);
    size_t remainder = (size_t)(model->layers - even * (double)stages);
    layout->stages = stages;
    for (size_t i = 0; i < stages; i++)
        layout->layers[i] = (unsigned)even;

    /* From the last but one backwards (late stages keep fewer microbatches), then the last, then
     * the first: embedding and head add to those two. */
    for (size_t i = stages; i-- > 2 && remainder > 0; remainder--)
        layout->layers[i - 1]++;
    if (remainder > 0 && stages > 1) {
        layout->layers[stages - 1]++;
        remainder--;
    }
    if (remainder > 0)
        layout->layers[0]++;
    layout->before[0] = 0;
    for (size_t i = 1; i < stages; i++)
        layout->before[i] = layout->before[i - 1] + layout->layers[i - 1];
}

void plan_layout(const Scenario *scenario, size_t stages, StageLayout *layout)
{
    const HardwareSpec *hardware = &scenario->hardware;
    const size_t older = (size_t)fmin(hardware->older_stages, (double)stages);
    const double of_older = (double)older * hardware->older_layers;
    if (!(of_older > 0) || older >= stages || of_older >= scenario->model.layers) {
        stage_layout(&scenario->model, stages, layout);
        return;
    }
    ModelSpec rest = scenario->model;
    rest.layers -= of_older;
    stage_layout(&rest, stages - older, layout);
    layout->stages = stages;
    for (size_t i = stages - older; i < stages; i++) {
        layout->layers[i] = (unsigned)hardware->older_layers;
        layout->before[i] = layout->before[i - 1] + layout->layers[i - 1];
    }
}

int stage_is_older(const Scenario *scenario, size_t stages, size_t stage)
{
    return (double)(stages - stage) <= scenario->hardware.older_stages;
}

/* Replicas on older GPUs hold the same as the others. */
double stage_capacity_bytes(const Scenario *scenario, size_t stages, size_t stage)
{
    const HardwareSpec *hardware = &scenario->hardware;
    const double newer = hardware->gpu.memory_bytes * hardware->gpu.memory_usable;
    const double older = hardware->older_gpu.memory_bytes * hardware->older_gpu.memory_usable;
    if (stage_is_older(scenario, stages, stage))
        return older;
    return hardware->older_replicas > 0 ? fmin(newer, older) : newer;
}

/* Parameters on one GPU by how ZeRO may divide them: those copied over all ranks that share a
 * gradient, and those of experts that are spread and so have fewer copies. */
typedef struct ParameterSplit {
    double common, spread;
    double largest_layer; /* common and spread parameters of one layer */
    double tables;        /* common: embedding and head */
} ParameterSplit;

double stage_cross_layers(const ModelSpec *model, const StageLayout *layout, size_t stage)
{
    const double first = layout->before[stage];
    return model_cross_layers_before(model, first + layout->layers[stage]) -
           model_cross_layers_before(model, first);
}

double encoder_parameters(const Scenario *scenario)
{
    return vision_parameters(&scenario->model).encoder / scenario->training.parallel.tensor;
}

double cross_layer_parameters(const Scenario *scenario)
{
    return vision_parameters(&scenario->model).cross_per_layer / scenario->training.parallel.tensor;
}

double stage_expert_layers(const ModelSpec *model, const StageLayout *layout, size_t stage)
{
    const double before = layout->before[stage];
    return model_expert_layers_before(model, before + layout->layers[stage]) -
           model_expert_layers_before(model, before);
}

/* Attention of one layer on one of the tensor ranks: projections to and from heads are cut, key and
 * value heads while there are enough of them, products down to latents not. */
static double attention_parameters(const ModelSpec *model, double attention_per_layer,
                                   double tensor)
{
    if (model_has_latent_attention(model)) {
        const double whole =
            model->d_model * (model->kv_lora_rank + model->rope_head_dim + model->q_lora_rank);
        return whole + (attention_per_layer - whole) / tensor;
    }
    const double query = 2 * model->d_model * model->heads * model->head_dim / tensor;
    return query + 2 * model->d_model * model_kv_heads_on_rank(model, tensor) * model->head_dim;
}

static PartParameters layer_of(const Scenario *scenario, const ModelParameters *count, int experts)
{
    const ModelSpec *model = &scenario->model;
    const ParallelSpec *parallel = &scenario->training.parallel;
    const double tensor = parallel->tensor;
    const double attention = attention_parameters(model, count->attention_per_layer, tensor);
    if (!experts)
        return (PartParameters){.common = attention + count->dense_mlp_per_layer / tensor +
                                          count->norms_per_layer};

    const double routed = model->experts / fmax(1, parallel->expert) * count->expert_per_layer /
                          plan_expert_tensor_ways(parallel);
    PartParameters part = {.common = attention + count->shared_per_layer / tensor +
                                     count->other_per_layer};
    if (plan_experts_are_spread(parallel))
        part.spread = routed;
    else
        part.common += routed;
    return part;
}

PartParameters layer_parameters(const Scenario *scenario, int experts)
{
    const ModelParameters count = model_parameters(&scenario->model);
    return layer_of(scenario, &count, experts);
}

double table_parameters(const Scenario *scenario)
{
    return ceil(scenario->model.vocab_size / scenario->training.parallel.tensor) *
           scenario->model.d_model;
}

/* Layers with experts of a stage: all or none in most models. */
static double expert_layers(const MemoryParts *parts, const StageLayout *layout, size_t stage)
{
    const ModelSpec *model = &parts->scenario->model;
    if (parts->expert_layers >= model->layers)
        return layout->layers[stage];
    return parts->expert_layers > 0 ? stage_expert_layers(model, layout, stage) : 0;
}

static double larger(double one, double other)
{
    return one > other ? one : other;
}

static double smaller(double one, double other)
{
    return one < other ? one : other;
}

static ParameterSplit stage_split(const MemoryParts *parts, const StageLayout *layout, size_t stage)
{
    const ModelSpec *model = &parts->scenario->model;
    const double layers = layout->layers[stage];
    const double with_experts = expert_layers(parts, layout, stage);
    const int first = stage == 0;
    const int last = stage + 1 == layout->stages;
    const PartParameters *dense = &parts->dense, *moe = &parts->moe;

    const double table = parts->table;
    const int one_copy = model->tied_embeddings && first && last;
    ParameterSplit split = {.tables = (first ? table : 0) + (last && !one_copy ? table : 0)};
    const double seeing = parts->sees ? stage_cross_layers(model, layout, stage) *
                                                cross_layer_parameters(parts->scenario) +
                                            (first ? encoder_parameters(parts->scenario) : 0)
                                      : 0;
    split.common = (layers - with_experts) * dense->common + with_experts * moe->common +
                   split.tables + (last ? model->d_model : 0) +
                   (first ? model->learned_positions * model->d_model : 0) + seeing;
    split.spread = with_experts * moe->spread;
    split.largest_layer = larger(with_experts < layers ? dense->common : 0,
                                 with_experts > 0 ? moe->common + moe->spread : 0);
    return split;
}

/* The part of `parts` that parameters depend on. */
static MemoryParts parameter_parts(const Scenario *scenario)
{
    const ModelParameters count = model_parameters(&scenario->model);
    return (MemoryParts){.scenario = scenario,
                         .sees = model_sees(&scenario->model),
                         .expert_layers = model_expert_layers(&scenario->model),
                         .dense = layer_of(scenario, &count, 0),
                         .moe = layer_of(scenario, &count, 1),
                         .table = table_parameters(scenario)};
}

PartParameters stage_part_parameters(const MemoryParts *parts, const StageLayout *layout,
                                     size_t stage)
{
    const ParameterSplit split = stage_split(parts, layout, stage);
    return (PartParameters){.common = split.common, .spread = split.spread};
}

double stage_parameters(const Scenario *scenario, const StageLayout *layout, size_t stage)
{
    const MemoryParts parts = parameter_parts(scenario);
    const ParameterSplit split = stage_split(&parts, layout, stage);
    return split.common + split.spread;
}

double stage_spread_parameters(const Scenario *scenario, const StageLayout *layout, size_t stage)
{
    const MemoryParts parts = parameter_parts(scenario);
    return stage_split(&parts, layout, stage).spread;
}

/* ---- activations ---- */

double stage_in_flight(const Scenario *scenario, size_t stages, size_t stage, double microbatches)
{
    const ParallelSpec *parallel = &scenario->training.parallel;
    const double p = (double)stages, chunks = larger(1, parallel->virtual_stages);
    const double behind = p - 1 - (double)stage;
    double in_flight = behind + 1;
    switch (parallel->schedule) {
    case SCHEDULE_GPIPE:
        in_flight = microbatches;
        break;
    case SCHEDULE_INTERLEAVED:
        if (chunks > 1)
            in_flight = (2 * behind + (chunks - 1) * p + 1) / chunks;
        break;
    case SCHEDULE_ZB_H1: /* what has gone backward waits for its weight gradients */
        in_flight = p;
        break;
    case SCHEDULE_ZB_2P:
        in_flight = 2 * p - 1;
        break;
    case SCHEDULE_DUALPIPE:
        in_flight = p + 1;
        break;
    case SCHEDULE_1F1B:
        break;
    }
    return smaller(microbatches, in_flight);
}

/* Bytes that one layer keeps for the backward pass of one microbatch, on one GPU. */
typedef struct LayerActivations {
    double input;  /* of the layer: all that full recomputation keeps */
    double linear; /* everything but the scores */
    double scores; /* softmax, its mask and its dropped-out copy; fused kernels keep none */
    /* what is kept of it all with these scopes of recomputation */
    double by_operators, by_modules, by_experts, but_qkv;
} LayerActivations;

/* Vectors of one token that tensor parallelism cuts in attention: Q, K, V and the output. Latent
 * attention keeps the latents besides, whole on each rank unless sequence parallelism cuts them. */
static double attention_channels(const ModelSpec *model, double tensor)
{
    if (!model_has_latent_attention(model))
        return 2 * model->heads * model->head_dim / tensor +
               2 * model_kv_heads_on_rank(model, tensor) * model->head_dim;
    return 2 * model->heads * (model_query_head_dim(model) + model->v_head_dim) / tensor;
}

static double latent_channels(const ModelSpec *model)
{
    if (!model_has_latent_attention(model))
        return 0;
    return 2 * (model->q_lora_rank + model->kv_lora_rank) + model->rope_head_dim;
}

/* Channels of attention's output, which the projection back takes in. */
static double attention_output(const ModelSpec *model, double tensor)
{
    const double head_dim = model_has_latent_attention(model) ? model->v_head_dim : model->head_dim;
    return model->heads * head_dim / tensor;
}

static LayerActivations layer_activations(const Scenario *scenario, int experts)
{
    const ModelSpec *model = &scenario->model;
    const TrainingSpec *training = &scenario->training;
    const ParallelSpec *parallel = &training->parallel;
    const double tensor = parallel->tensor;
    const double context = plan_context_ways(parallel);
    const double tokens = training->sequence_length * parallel->micro_batch / context;
    const double d = model->d_model;
    const double matrices = model->gated_mlp ? 3 : 2;
    const double factor = training->capacity_factor > 0 ? training->capacity_factor : 1;
    const double routed = experts ? model->experts_per_token * factor : 0;
    const double whole_share = parallel->sequence_parallel ? 1 / tensor : 1;

    /* Rows of experts on a rank for each of its tokens: routed / tensor copies of those that it
     * dispatches, times the expert-tensor ranks that gather each other's. */
    const double expert_rows = routed * plan_expert_tensor_ways(parallel) / tensor;
    const double expert_hidden =
        expert_rows * matrices * model_expert_width(model) / plan_expert_tensor_ways(parallel);
    const double common_width = experts              ? model_shared_width(model)
                                : model->experts > 1 ? model->d_ff
                                                     : model->d_ff + model_shared_width(model);
    const double hidden = expert_hidden + matrices * common_width / tensor;
    const double attention = attention_channels(model, tensor);
    const double mixed = attention_output(model, tensor);

    /* Korthikanti et al. 2022, eq. 2 and 4, for one token of a dense layer of width h: tensor
     * parallelism cuts Q, K, V and the attention output (8 h) and the MLP's two hidden vectors (16
     * h); the inputs of both norms, of QKV and of the MLP (8 h) and two dropout masks (2 h) are cut
     * by sequence parallelism only. In all 34 h / t. A token of an MoE layer keeps the hidden
     * vectors of each expert that it visits, its permuted copies and the outputs that the router
     * weights. */
    double cut = activation_bytes * (attention + hidden);
    double whole = d * 4 * activation_bytes + 2 * routed * d * activation_bytes +
                   latent_channels(model) * activation_bytes;
    if (training->dropout == DROPOUT_MASKED)
        whole += d * 2 * mask_bytes;
    /* Products keep their input for the weight gradient: attention's output, the last hidden vector
     * of each MLP, the normed inputs of QKV and MLP, the experts' copies. Transformer Engine keeps
     * it quantised (module/layernorm_linear.py, linear.py, grouped_linear.py). */
    const int quantised = training->precision == PRECISION_FP8 && training->fp8_inputs;
    const double input_bytes = quantised ? fp8_bytes : activation_bytes;
    cut -= (activation_bytes - input_bytes) * (mixed + hidden / matrices);
    whole -= (activation_bytes - input_bytes) * d * (experts ? 1 + routed : 2);

    LayerActivations layer = {.input = tokens * d * activation_bytes * whole_share,
                              .linear = tokens * (cut + whole * whole_share)};
    /* The layer's input, attention's output and every second of the products' outputs: Q, K and V,
     * the projection back, the MLP's first (both, where gated) and its last (torchtitan,
     * activation_checkpoint.py, selective by operators). */
    const double product_outputs = (attention - mixed) + hidden * (matrices - 1) / matrices;
    const double narrow_outputs = d * (experts ? 1 + routed : 2);
    const double kept = training->precision == PRECISION_FP8 ? 0 : 0.5; /* fp8: not in its list */
    layer.by_operators =
        tokens * activation_bytes *
        (mixed + kept * product_outputs + (d + kept * narrow_outputs) * whole_share);
    /* Outputs of norms and of activation functions are products' inputs, computed again from what
     * went into them (Megatron-Core, recompute_modules layernorm and moe_act). */
    const double light_cut = hidden / matrices;
    const double light_whole = 2 * d;
    layer.by_modules =
        layer.linear - tokens * input_bytes * (light_cut + light_whole * whole_share);
    /* Attention keeps all but its normed input, an MLP or its experts only what goes into them; a
     * layer without experts has none to leave out. */
    const double normed = tokens * input_bytes * 2 * d * whole_share;
    layer.by_experts = layer.linear - normed;
    if (experts)
        layer.by_experts = tokens * (activation_bytes * (attention + 2 * d * whole_share) -
                                     (activation_bytes - input_bytes) * mixed);
    layer.but_qkv = tokens * activation_bytes * (attention - mixed + d * whole_share);
    /* 5 a s^2 b / t: softmax output and its dropped-out copy (2 bytes each), mask (1 byte). */
    if (training->attention == ATTENTION_UNFUSED)
        layer.scores = (2 * activation_bytes + mask_bytes) * model->heads / tensor * tokens *
                       training->sequence_length;
    return layer;
}

static KeptActivations kept_activations(const Scenario *scenario, int experts)
{
    const LayerActivations layer = layer_activations(scenario, experts);
    const ParallelSpec *parallel = &scenario->training.parallel;
    const double everything = layer.linear + layer.scores;
    const KeptActivations by_scope[] = {
        [SELECTIVE_SCORES] = {layer.linear, layer.scores},
        [SELECTIVE_OPERATORS] = {layer.by_operators, everything},
        [SELECTIVE_MODULES] = {layer.by_modules + layer.scores, layer.linear - layer.by_modules},
        [SELECTIVE_EXPERTS] = {layer.by_experts + layer.scores, layer.linear - layer.by_experts},
        [SELECTIVE_BUT_QKV] = {layer.but_qkv, everything},
    };
    const KeptActivations by_mode[] = {
        [RECOMPUTE_NONE] = {everything, 0},
        [RECOMPUTE_SELECTIVE] = by_scope[parallel->selective_scope],
        [RECOMPUTE_FULL] = {layer.input, everything},
    };
    return by_mode[parallel->recompute];
}

/* The same of images. An encoder layer and a cross-attention layer as layers of a transformer
 * without experts; the vectors of the images are there once on every stage that attends to them. */
static double vision_activations(const Scenario *scenario, const StageLayout *layout, size_t stage,
                                 double in_flight)
{
    const ModelSpec *model = &scenario->model;
    const VisionSpec *vision = &model->vision;
    const ParallelSpec *parallel = &scenario->training.parallel;
    const double tensor = parallel->tensor;
    const double crossing = stage_cross_layers(model, layout, stage);
    const double encoding = stage == 0 ? vision->layers : 0;
    if (!(crossing + encoding > 0))
        return 0;
    const double whole_share = parallel->sequence_parallel ? 1 / tensor : 1;
    const double norms = 8; /* inputs of two norms and of two products, in 16 bits */
    const int full = parallel->recompute == RECOMPUTE_FULL;

    const double patches = vision->patches * vision->images * parallel->micro_batch;
    const double encoder_input = patches * vision->d_model * activation_bytes * whole_share;
    const double encoder =
        patches * (activation_bytes * (4 * vision->d_model + 2 * vision->d_ff) / tensor +
                   norms * vision->d_model * whole_share);

    const double tokens =
        scenario->training.sequence_length * parallel->micro_batch / plan_context_ways(parallel);
    const double images = model_image_tokens(model) * vision->images * parallel->micro_batch;
    const double hidden = (model->gated_mlp ? 3 : 2) * vision->cross_d_ff;
    const double cross_input = tokens * model->d_model * activation_bytes * whole_share;
    const double keys = images * 2 * model_cross_kv_width(model) * activation_bytes / tensor;
    const double cross =
        tokens * (activation_bytes * (2 * model->heads * model->head_dim + hidden) / tensor +
                  norms * model->d_model * whole_share) +
        keys;
    const double vectors =
        images * model_image_width(model) * activation_bytes * whole_share * (crossing > 0);
    const double kept = vectors + crossing * (full ? cross_input : cross) +
                        encoding * (full ? encoder_input : encoder);
    const double working = full ? fmax(crossing > 0 ? cross : 0, encoding > 0 ? encoder : 0) : 0;
    return in_flight * kept + working;
}

/* The last stage holds one microbatch's logits in 16 bits and, for the loss, in 32, unless its loss
 * needs less. */
static double logits_bytes(const Scenario *scenario)
{
    const TrainingSpec *training = &scenario->training;
    const double tokens = training->sequence_length * training->parallel.micro_batch /
                          plan_context_ways(&training->parallel);
    const double vocabulary = ceil(scenario->model.vocab_size / training->parallel.tensor);
    return tokens * vocabulary *
           (training->logit_bytes > 0 ? training->logit_bytes : loss_bytes + activation_bytes);
}

static double stage_activations(const MemoryParts *parts, const StageLayout *layout, size_t stage)
{
    const double layers = layout->layers[stage];
    const double with_experts = expert_layers(parts, layout, stage);
    const KeptActivations *dense = &parts->dense_kept, *moe = &parts->moe_kept;
    const double in_flight =
        stage_in_flight(parts->scenario, layout->stages, stage, parts->microbatches);
    double bytes =
        in_flight * ((layers - with_experts) * dense->kept + with_experts * moe->kept) +
        larger(with_experts < layers ? dense->working : 0, with_experts > 0 ? moe->working : 0) +
        (parts->sees ? vision_activations(parts->scenario, layout, stage, in_flight) : 0);
    if (stage + 1 == layout->stages)
        bytes += parts->logits_bytes;
    return bytes;
}

/* ---- a stage ---- */

/* fp8 weights are kept twice, by rows for the forward and by columns for the backward product,
 * since Hopper's fp8 products take one layout only; the exact weights are the optimizer's fp32
 * masters (Transformer Engine, fp8_model_init; Megatron-LM, --fp8-param-gather). */
static double weight_bytes(Precision precision)
{
    return precision == PRECISION_FP8 ? 2 * precision_bytes(precision) : precision_bytes(precision);
}

/* Parameters that ZeRO-3 holds whole: of one layer at work and of the next one coming (or of a
 * table, where that is larger), and the gradient of the one at work until it is reduced. With a
 * limit it gathers matrix by matrix: those at work and what was fetched ahead (DeepSpeed,
 * stage3_max_live_parameters). */
typedef struct GatheredParameters {
    double weights, gradients;
} GatheredParameters;

static GatheredParameters gathered_parameters(const MemoryParts *parts, const ParameterSplit *split)
{
    const ModelSpec *model = &parts->scenario->model;
    const ParallelSpec *parallel = &parts->scenario->training.parallel;
    const double table = smaller(split->tables, parts->table);
    const double unit = larger(split->largest_layer, table);
    GatheredParameters gathered = {.weights = unit + split->largest_layer, .gradients = unit};
    if (parallel->gather_limit > 0) {
        const double matrix =
            model->d_model * fmax(model->d_ff, model_expert_width(model)) / parallel->tensor;
        const double one = fmin(unit, fmax(matrix, table));
        gathered.weights = fmin(gathered.weights, one + parallel->gather_limit);
        gathered.gradients = one;
    }
    return gathered;
}

static StageMemory one_stage_memory(const MemoryParts *parts, const StageLayout *layout,
                                    size_t stage)
{
    const TrainingSpec *training = &parts->scenario->training;
    const ParallelSpec *parallel = &training->parallel;
    const ParameterSplit split = stage_split(parts, layout, stage);
    StageMemory memory = {.parameters = split.common + split.spread,
                          .overhead_bytes = training->reserved_bytes};

    /* What is left of a state on one GPU when ZeRO divides it. */
    const double divided = split.common / parts->shards + split.spread / parts->spread_shards;
    const double weight = parts->weight_bytes, gradient = parts->gradient_bytes;
    memory.weights_bytes = weight * (parallel->zero_stage >= 3 ? divided : memory.parameters);
    const double trained = 1 - training->frozen;
    memory.gradients_bytes =
        trained * gradient * (parallel->zero_stage >= 2 ? divided : memory.parameters);
    memory.optimizer_bytes = trained * training->optimizer_bytes_per_param *
                             (parallel->zero_stage >= 1 ? divided : memory.parameters);
    if (parallel->zero_stage >= 3) {
        const GatheredParameters gathered = gathered_parameters(parts, &split);
        memory.weights_bytes += weight * gathered.weights;
        memory.gradients_bytes += trained * precision_bytes(PRECISION_BF16) * gathered.gradients;
    }
    memory.activations_bytes = stage_activations(parts, layout, stage);
    memory.total_bytes = memory.weights_bytes + memory.gradients_bytes + memory.optimizer_bytes +
                         memory.activations_bytes + memory.overhead_bytes;
    return memory;
}

/* A DualPipe GPU holds a stage and the one opposite; their parameters are on twice as many GPUs,
 * and the microbatches in flight are those of both together. */
static StageMemory mirrored_memory(const MemoryParts *parts, const StageLayout *layout,
                                   size_t stage)
{
    const StageMemory here = one_stage_memory(parts, layout, stage);
    const StageMemory there = one_stage_memory(parts, layout, layout->stages - 1 - stage);
    const double zero_stage = parts->scenario->training.parallel.zero_stage;
    StageMemory memory = {
        .parameters = here.parameters + there.parameters,
        .weights_bytes = here.weights_bytes + there.weights_bytes,
        .gradients_bytes =
            (here.gradients_bytes + there.gradients_bytes) / (zero_stage >= 2 ? 2 : 1),
        .optimizer_bytes =
            (here.optimizer_bytes + there.optimizer_bytes) / (zero_stage >= 1 ? 2 : 1),
        .activations_bytes = (here.activations_bytes + there.activations_bytes) / 2,
        .overhead_bytes = here.overhead_bytes,
    };
    memory.total_bytes = memory.weights_bytes + memory.gradients_bytes + memory.optimizer_bytes +
                         memory.activations_bytes + memory.overhead_bytes;
    return memory;
}

MemoryParts memory_parts(const Scenario *scenario)
{
    MemoryParts parts = parameter_parts(scenario);
    parts.dense_kept = kept_activations(scenario, 0);
    parts.moe_kept = kept_activations(scenario, 1);
    parts.microbatches = plan_microbatches(&scenario->training);
    parts.logits_bytes = logits_bytes(scenario);
    /* ZeRO divides over all copies, or over those inside a sharding group. */
    const TrainingSpec *training = &scenario->training;
    parts.shards = plan_shard_ranks(&training->parallel);
    parts.spread_shards = fmin(parts.shards, plan_expert_copies(&training->parallel));
    parts.weight_bytes = weight_bytes(training->precision);
    parts.gradient_bytes = training->gradient_bytes_per_param > 0
                               ? training->gradient_bytes_per_param
                               : precision_bytes(training->gradient_precision);
    return parts;
}

StageMemory memory_of_stage(const MemoryParts *parts, const StageLayout *layout, size_t stage)
{
    if (parts->scenario->training.parallel.schedule == SCHEDULE_DUALPIPE)
        return mirrored_memory(parts, layout, stage);
    return one_stage_memory(parts, layout, stage);
}

StageMemory stage_memory(const Scenario *scenario, const StageLayout *layout, size_t stage)
{
    const MemoryParts parts = memory_parts(scenario);
    return memory_of_stage(&parts, layout, stage);
}
