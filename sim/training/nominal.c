#include "sim/training/nominal.h"

#include "hw/gemm.h"
#include "models/architecture.h"
#include "models/plan_check.h"
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

Status nominal_metrics(const Scenario *midpoint, const MemoryPlan *memory, MetricSet *metrics,
                       Error *error)
{
    Status status = model_metrics(midpoint, memory, metrics, error);
    if (status == STATUS_OK)
        status = memory_metrics(memory, metrics, error);
    if (status == STATUS_OK)
        status = plan_metrics(midpoint, metrics, error);
    return status;
}
