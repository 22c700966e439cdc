#include "models/plan_rules.h"

#include "models/architecture.h"
#include "models/memory.h"

#include <math.h>
#include <stdint.h>

static int is_whole(double value)
{
    return fabs(value) < 0x1p52 ? (double)(int64_t)value == value : isfinite(value);
}

Status plan_check_divisible(const Divisibility *rules, size_t count, Error *error)
{
    for (size_t i = 0; i < count; i++) {
        const Divisibility *rule = &rules[i];
        if (plan_divides(rule->part, rule->whole))
            continue;
        error_set(error, STATUS_INVALID, "%s = %g does not divide %s = %g", rule->part_key,
                  rule->part, rule->whole_key, rule->whole);
        error_hint(error, "choose %s among the divisors of %g", rule->part_key, rule->whole);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

Status plan_check_counts(const Count *counts, size_t number, Error *error)
{
    for (size_t i = 0; i < number; i++) {
        const double value = counts[i].value;
        if (!counts[i].applies || (value >= counts[i].least && is_whole(value)))
            continue;
        return error_set(error, STATUS_INVALID, "%s = %g is not a whole number of at least %g",
                         counts[i].key, value, counts[i].least);
    }
    return STATUS_OK;
}

Status plan_check_model(const ModelSpec *model, Error *error)
{
    const Divisibility rules[] = {
        {"model.kv_heads", "model.heads", model->kv_heads, model->heads},
    };
    const Status status = plan_check_divisible(rules, sizeof rules / sizeof rules[0], error);
    if (status != STATUS_OK)
        return status;
    if (model->experts > 1 && model->experts_per_token > model->experts)
        return error_set(error, STATUS_INVALID,
                         "model.experts_per_token = %g is more than model.experts = %g",
                         model->experts_per_token, model->experts);
    if (model->experts > 1 && model_expert_layers(model) < 1)
        return error_set(error, STATUS_INVALID,
                         "model.dense_layers = %g and model.moe_every = %g leave none of %g layers "
                         "with experts",
                         model->dense_layers, model->moe_every, model->layers);
    if (model_has_latent_attention(model) && model->kv_heads != model->heads)
        return error_set(error, STATUS_INVALID,
                         "model.kv_heads = %g: latent attention has keys for each of %g heads",
                         model->kv_heads, model->heads);
    if (model->sparse_keys > 0 && model->q_lora_rank <= 0)
        return error_set(error, STATUS_INVALID,
                         "model.sparse_keys = %g: the indexer's queries come from the latent of "
                         "model.q_lora_rank, which is 0",
                         model->sparse_keys);
    if (model->linear_layers >= model->layers)
        return error_set(error, STATUS_INVALID,
                         "model.linear_layers = %g leaves none of %g layers that look back",
                         model->linear_layers, model->layers);
    if (model->linear_layers > 0 &&
        (model_has_latent_attention(model) || model->attention_window > 0))
        return error_set(error, STATUS_INVALID,
                         "model.linear_layers = %g goes with plain attention alone, not with "
                         "model.kv_lora_rank or model.attention_window",
                         model->linear_layers);
    if (model->sparse_keys > 0 && model->attention_window > 0)
        return error_set(
            error, STATUS_INVALID,
            "model.sparse_keys = %g and model.attention_window = %g exclude each other",
            model->sparse_keys, model->attention_window);
    return STATUS_OK;
}

/* What tensor and pipeline ways must agree with, in training and in serving alike. */
Status plan_check_split(const Scenario *scenario, const char *tensor_key, double tensor,
                        const char *pipeline_key, double pipeline, Error *error)
{
    const ModelSpec *model = &scenario->model;
    const double node = scenario->hardware.node.gpus;
    const Divisibility rules[] = {
        {tensor_key, "model.heads", tensor, model->heads},
        {tensor_key, "model.d_ff", tensor, model->d_ff},
    };
    const Status status = plan_check_divisible(rules, sizeof rules / sizeof rules[0], error);
    if (status != STATUS_OK)
        return status;
    if (!plan_divides(tensor, model->kv_heads) && !plan_divides(model->kv_heads, tensor))
        return error_set(error, STATUS_INVALID,
                         "%s = %g and model.kv_heads = %g: neither divides the other", tensor_key,
                         tensor, model->kv_heads);
    if (!plan_divides(tensor, node) && !plan_divides(node, tensor))
        return error_set(error, STATUS_INVALID,
                         "%s = %g does not fill whole nodes or whole parts of a node of %g GPUs",
                         tensor_key, tensor, node);
    if (pipeline > model->layers)
        return error_set(error, STATUS_INVALID, "%s = %g is more than model.layers = %g",
                         pipeline_key, pipeline, model->layers);
    if (pipeline > MAX_STAGES)
        return error_set(error, STATUS_INVALID, "%s = %g is more than %d", pipeline_key, pipeline,
                         MAX_STAGES);
    return STATUS_OK;
}
