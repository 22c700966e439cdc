#include "sim/training/nominal.h"

#include "hw/gemm.h"
#include "models/architecture.h"
#include "models/plan_check.h"
#include "models/scaling_law.h"
#include "sim/training/schedule.h"

typedef struct NamedValue {
    const char *name, *unit;
    double value;
} NamedValue;

static Status set_all(MetricSet *metrics, const NamedValue *values, size_t count, Error *error)
{
    Status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = metrics_set(metrics, values[i].name, values[i].unit, values[i].value, error);
    return status;
}

static Status model_metrics(const Scenario *midpoint, const MemoryPlan *memory, MetricSet *metrics,
                            Error *error)
{
    const ModelSpec *model = &midpoint->model;
    const double length = midpoint->training.sequence_length;
    ModelParameters parameters = model_parameters(model);
    ModelFlops flops = model_flops_per_token(model, length);
    const NamedValue values[] = {
        {"model.params_total", "parameters", parameters.total},
        {"model.params_active", "parameters", parameters.active},
        {"model.params_per_expert", "parameters", parameters.mlp_per_expert},
        {"model.params_mlp", "parameters", parameters.mlp},
        {"model.params_attention", "parameters", parameters.attention},
        {"model.params_embedding", "parameters", parameters.embedding},
        {"model.params_vision", "parameters", parameters.vision},
        {"model.params_per_gpu", "parameters", memory->worst.parameters},
        {"model.layers", "layers", model->layers},
        {"model.experts", "experts", model->experts},
        {"model.experts_per_token", "experts", model->experts_per_token},
        {"model.kv_heads", "heads", model->kv_heads},
        {"model.kv_bytes_per_token", "bytes",
         model_kv_bytes_per_token(model, precision_bytes(PRECISION_BF16))},
        {"model.flops_per_token_forward", "FLOPs", flops.forward},
        {"model.flops_per_token_forward_2n", "FLOPs", 2.0 * parameters.active},
        {"model.flops_per_token_dense_forward", "FLOPs", 2.0 * parameters.total},
        {"model.flops_per_token_training", "FLOPs", flops.training},
        {"model.flops_per_token_training_6nd", "FLOPs", model_flops_6nd(model)},
        {"model.flops_per_token_training_palm", "FLOPs", model_flops_palm(model, length)},
        {"model.flops_per_token_training_megatron", "FLOPs", model_flops_megatron(model, length)},
    };
    return set_all(metrics, values, sizeof values / sizeof values[0], error);
}

static Status memory_metrics(const MemoryPlan *memory, MetricSet *metrics, Error *error)
{
    const StageMemory *worst = &memory->worst;
    const NamedValue values[] = {
        {"memory.weights_bytes", "bytes", worst->weights_bytes},
        {"memory.gradients_bytes", "bytes", worst->gradients_bytes},
        {"memory.optimizer_bytes", "bytes", worst->optimizer_bytes},
        {"memory.activations_bytes", "bytes", worst->activations_bytes},
        {"memory.overhead_bytes", "bytes", worst->overhead_bytes},
        {"memory.total_bytes", "bytes", worst->total_bytes},
        {"memory.capacity_bytes", "bytes", memory->capacity_bytes},
        {"memory.fits", "", memory->fits != 0 ? 1.0 : 0.0},
        {"memory.worst_stage", "", (double)memory->worst_stage},
    };
    return set_all(metrics, values, sizeof values / sizeof values[0], error);
}

static Status plan_metrics(const Scenario *midpoint, MetricSet *metrics, Error *error)
{
    const TrainingSpec *training = &midpoint->training;
    const ParallelSpec *parallel = &training->parallel;
    double microbatches = plan_microbatches(training);
    double tokens = plan_step_tokens(training);
    const NamedValue values[] = {
        {"hardware.peak_flops_per_s", "FLOP/s",
         gpu_peak_flops_per_s(&midpoint->hardware.gpu, midpoint->training.precision)},
        {"hardware.memory_bytes_per_s", "bytes/s", midpoint->hardware.gpu.memory_bytes_per_s},
        {"plan.gpus", "GPUs", plan_gpus(parallel)},
        {"plan.tensor", "ways", parallel->tensor},
        {"plan.context", "ways", plan_context_ways(parallel)},
        {"plan.pipeline", "ways", parallel->pipeline},
        {"plan.data", "ways", parallel->data},
        {"plan.expert", "ways", parallel->expert},
        {"plan.zero_stage", "", parallel->zero_stage},
        {"plan.microbatches", "microbatches", microbatches},
        {"plan.sequences", "sequences", tokens / training->sequence_length},
        {"plan.sequence_length", "tokens", training->sequence_length},
        {"plan.tokens", "tokens", training->tokens},
        {"plan.older_share", "", plan_older_share(midpoint)},
        {"plan.tokens_per_expert", "tokens",
         tokens * midpoint->model.experts_per_token / midpoint->model.experts},
        {"step.tokens", "tokens", tokens},
    };
    Status status = set_all(metrics, values, sizeof values / sizeof values[0], error);
    double bubble = step_bubble_closed_form(parallel->schedule, parallel->pipeline,
                                            parallel->virtual_stages, microbatches);
    if (status == STATUS_OK && bubble >= 0.0)
        status = metrics_set(metrics, "step.bubble_closed_form", "", bubble, error);
    return status;
}

/* Labelled estimates of published laws, and the data mix; 0 and left out where the scenario has
 * neither. */
static Status law_metrics(const Scenario *midpoint, MetricSet *metrics, Error *error)
{
    const LawSpec *law = &midpoint->law;
    const ModelParameters parameters = model_parameters(&midpoint->model);
    const double tokens = midpoint->training.tokens;
    const double expansion = law_expansion(&midpoint->model);
    /* with the MLP of one expert of those a token uses */
    const double base =
        parameters.active -
        (midpoint->model.experts > 1.0 ? (midpoint->model.experts_per_token - 1.0) : 0.0) *
            parameters.mlp_per_expert;
    double mixed = 0.0, unique = 0.0, worth = 0.0;
    for (size_t i = 0; i < midpoint->data.part_count; i++) {
        const DataPart *part = &midpoint->data.parts[i];
        mixed += part->unique_tokens * part->epochs;
        unique += part->unique_tokens;
        worth += law_repeated_tokens(law, part->unique_tokens, part->epochs);
    }
    const NamedValue values[] = {
        {"law.tokens_rule_active", "tokens", law->tokens_per_parameter * parameters.active},
        {"law.tokens_rule_total", "tokens", law->tokens_per_parameter * parameters.total},
        {"law.tokens_optimal_active", "tokens",
         law_optimal_tokens(&law->parametric, parameters.active)},
        {"law.tokens_optimal_total", "tokens",
         law_optimal_tokens(&law->parametric, parameters.total)},
        {"law.loss_parametric", "",
         law_parametric_loss(&law->parametric, parameters.active, tokens)},
        {"law.loss_routed", "", law_routed_loss(&law->routed, base, expansion)},
        {"law.loss_joint", "", law_joint_loss(&law->joint, parameters.active, tokens, expansion)},
        {"law.expansion", "", law->tokens_per_parameter > 0.0 ? expansion : 0.0},
        {"data.text_bytes_per_token", "bytes", midpoint->data.text_bytes_per_token},
        {"data.image_bytes_per_patch", "bytes",
         midpoint->model.vision.patches > 0.0
             ? midpoint->model.vision.bytes / midpoint->model.vision.patches
             : 0.0},
        {"data.mix_tokens", "tokens", mixed},
        {"data.unique_tokens", "tokens", unique},
        {"data.worth_tokens", "tokens", law->repeat_worth > 0.0 ? worth : 0.0},
    };
    Status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < sizeof values / sizeof values[0]; i++)
        if (values[i].value > 0.0)
            status = set_all(metrics, &values[i], 1, error);
    return status;
}

Status nominal_metrics(const Scenario *midpoint, const MemoryPlan *memory, MetricSet *metrics,
                       Error *error)
{
    Status status = model_metrics(midpoint, memory, metrics, error);
    if (status == STATUS_OK)
        status = memory_metrics(memory, metrics, error);
    if (status == STATUS_OK)
        status = plan_metrics(midpoint, metrics, error);
    if (status == STATUS_OK)
        status = law_metrics(midpoint, metrics, error);
    return status;
}
