#include "models/memory.h"

#include "models/architecture.h"
#include "models/plan_check.h"

#include <math.h>
#include <stddef.h>

/* Activations are kept in 16 bits, dropout masks in 8, the loss in 32 (Korthikanti et al. 2022). */
static const double activation_bytes = 2;
static const double mask_bytes = 1;
static const double loss_bytes = 4;

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
}

/* Parameters on one GPU by how ZeRO may divide them: those copied over all data-parallel ranks, and
 * those of experts, copied over data / expert ranks only. */
typedef struct ParameterSplit {
    double common, expert;
    double largest_layer; /* common and expert parameters of one layer */
} ParameterSplit;

static ParameterSplit stage_split(const Scenario *scenario, const StageLayout *layout, size_t stage)
{
    const ModelSpec *model = &scenario->model;
    const ParallelSpec *parallel = &scenario->training.parallel;
    const ModelParameters count = model_parameters(model);
    const double tensor = parallel->tensor;
    const double layers = layout->layers[stage];
    const int first = stage == 0;
    const int last = stage + 1 == layout->stages;

    /* Query and output projections are cut; key and value heads while there are enough of them. */
    const double query = 2 * model->d_model * model->heads * model->head_dim / tensor;
    const double kv = 2 * model->d_model * model_kv_heads_on_rank(model, tensor) * model->head_dim;
    const double shared = model->shared_experts * count.expert_per_layer / tensor;
    const double common_layer = query + kv + shared + count.other_per_layer;
    const double spread = model->experts > 1 ? parallel->expert : 1;
    const double expert_layer = model->experts / spread * count.expert_per_layer / tensor;

    const double table = ceil(model->vocab_size / tensor) * model->d_model;
    const int one_copy = model->tied_embeddings && first && last;
    const double tables = (first ? table : 0) + (last && !one_copy ? table : 0);

    ParameterSplit split = {.common = layers * common_layer + tables + (last ? model->d_model : 0),
                            .expert = layers * expert_layer,
                            .largest_layer = common_layer + expert_layer};
    /* A dense MLP is copied over all data-parallel ranks like everything else. */
    if (model->experts <= 1) {
        split.common += split.expert;
        split.expert = 0;
    }
    return split;
}

double stage_parameters(const Scenario *scenario, const StageLayout *layout, size_t stage)
{
    const ParameterSplit split = stage_split(scenario, layout, stage);
    return split.common + split.expert;
}

/* ---- activations ---- */

double stage_in_flight(const Scenario *scenario, size_t stages, size_t stage, double microbatches)
{
    if (scenario->training.parallel.schedule == SCHEDULE_GPIPE)
        return microbatches;
    return fmin(microbatches, (double)(stages - stage));
}

/* Bytes that one layer keeps for the backward pass of one microbatch, on one GPU. */
typedef struct LayerActivations {
    double input;  /* of the layer: all that full recomputation keeps */
    double linear; /* everything but the scores */
    double scores; /* softmax, its mask and its dropped-out copy; fused kernels keep none */
} LayerActivations;

static LayerActivations layer_activations(const Scenario *scenario)
{
    const ModelSpec *model = &scenario->model;
    const TrainingSpec *training = &scenario->training;
    const double tensor = training->parallel.tensor;
    const double tokens = training->sequence_length * training->parallel.micro_batch;
    const double d = model->d_model;
    const double query = model->heads * model->head_dim / tensor;
    const double kv = model_kv_heads_on_rank(model, tensor) * model->head_dim;
    const double hidden = (model->gated_mlp ? 3 : 2) * model->d_ff / tensor;
    const double routed = model->experts > 1 ? model->experts_per_token : 0;
    const double paths = model->experts > 1 ? routed + model->shared_experts : 1;

    /* Korthikanti et al. 2022, eq. 2 and 4, for one token of a dense layer of width h: tensor
     * parallelism cuts Q, K, V and the attention output (8 h) and the MLP's two hidden vectors (16
     * h); the inputs of both norms, of QKV and of the MLP (8 h) and two dropout masks (2 h) are cut
     * by sequence parallelism only. In all 34 h / t. A token of an MoE layer keeps the hidden
     * vectors of each expert that it visits, its permuted copies and the outputs that the router
     * weights. */
    const double cut = activation_bytes * (2 * query + 2 * kv + paths * hidden);
    const double whole =
        d * (4 * activation_bytes + 2 * mask_bytes) + 2 * routed * d * activation_bytes;
    const double whole_share = training->parallel.sequence_parallel ? 1 / tensor : 1;

    LayerActivations layer = {.input = tokens * d * activation_bytes * whole_share,
                              .linear = tokens * (cut + whole * whole_share)};
    /* 5 a s^2 b / t: softmax output and its dropped-out copy (2 bytes each), mask (1 byte). */
    if (training->attention == ATTENTION_UNFUSED)
        layer.scores = (2 * activation_bytes + mask_bytes) * model->heads / tensor * tokens *
                       training->sequence_length;
    return layer;
}

static double stage_activations(const Scenario *scenario, const StageLayout *layout, size_t stage)
{
    const TrainingSpec *training = &scenario->training;
    const LayerActivations layer = layer_activations(scenario);
    const double everything = layer.linear + layer.scores;
    /* What a layer keeps for each microbatch in flight, and what exists once while one layer works.
     */
    const struct {
        double kept, working;
    } by_mode[] = {
        [RECOMPUTE_NONE] = {everything, 0},
        [RECOMPUTE_SELECTIVE] = {layer.linear, layer.scores},
        [RECOMPUTE_FULL] = {layer.input, everything},
    };
    const double in_flight =
        stage_in_flight(scenario, layout->stages, stage, plan_microbatches(training));
    double bytes = in_flight * layout->layers[stage] * by_mode[training->parallel.recompute].kept +
                   by_mode[training->parallel.recompute].working;

    /* The last stage holds one microbatch's logits in 16 bits and, for the loss, in 32. */
    if (stage + 1 == layout->stages) {
        const double tokens = training->sequence_length * training->parallel.micro_batch;
        const double vocabulary = ceil(scenario->model.vocab_size / training->parallel.tensor);
        bytes += tokens * vocabulary * (loss_bytes + activation_bytes);
    }
    return bytes;
}

/* ---- a stage ---- */

/* fp8 weights are kept twice, by rows for the forward and by columns for the backward product, since
 * Hopper's fp8 products take one layout only; the exact weights are the optimizer's fp32 masters
 * (Transformer Engine, fp8_model_init; Megatron-LM, --fp8-param-gather). */
static double weight_bytes(Precision precision)
{
    return precision == PRECISION_FP8 ? 2 * precision_bytes(precision) : precision_bytes(precision);
}

StageMemory stage_memory(const Scenario *scenario, const StageLayout *layout, size_t stage)
{
    const TrainingSpec *training = &scenario->training;
    const ParallelSpec *parallel = &training->parallel;
    const ParameterSplit split = stage_split(scenario, layout, stage);
    const double spread = scenario->model.experts > 1 ? parallel->expert : 1;
    StageMemory memory = {.parameters = split.common + split.expert,
                          .overhead_bytes = training->reserved_bytes};

    /* What is left of a state on one GPU when ZeRO divides it over its copies. */
    const double divided = split.common / parallel->data + split.expert / (parallel->data / spread);
    const double weight = weight_bytes(training->precision);
    memory.weights_bytes = weight * (parallel->zero_stage >= 3 ? divided : memory.parameters);
    if (parallel->zero_stage >= 3) /* one layer at work, gathered, and the next one coming */
        memory.weights_bytes += 2 * weight * split.largest_layer;
    memory.gradients_bytes = precision_bytes(training->gradient_precision) *
                             (parallel->zero_stage >= 2 ? divided : memory.parameters);
    memory.optimizer_bytes = training->optimizer_bytes_per_param *
                             (parallel->zero_stage >= 1 ? divided : memory.parameters);
    memory.activations_bytes = stage_activations(scenario, layout, stage);
    memory.total_bytes = memory.weights_bytes + memory.gradients_bytes + memory.optimizer_bytes +
                         memory.activations_bytes + memory.overhead_bytes;
    return memory;
}
