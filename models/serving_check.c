/* Do the numbers of a serving scenario go together? */
#include "models/expert_choice.h"
#include "models/plan_check.h"
#include "models/plan_rules.h"
#include "models/serving_side.h"
#include "models/speculation.h"
#include "models/weight_format.h"

#include <math.h>

Status plan_check_serving_counts(const ServingSpec *serving, Error *error)
{
    const Count counts[] = {
        {"serving.tensor", serving->tensor, 1, 1},
        {"serving.pipeline", serving->pipeline, 1, 1},
    };
    return plan_check_counts(counts, sizeof counts / sizeof counts[0], error);
}

static Status check_served_model(const ModelSpec *model, Error *error)
{
    const struct {
        const char *key;
        double value;
    } features[] = {
        {"model.vision.cross_every", model->vision.cross_every},
        {"model.vision.layers", model->vision.layers},
    };
    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++)
        if (features[i].value > 0)
            return error_set(error, STATUS_INVALID,
                             "%s = %g: serving of such a model is not simulated", features[i].key,
                             features[i].value);
    return STATUS_OK;
}

/* Groups of attention and ranks that share whole experts divide the tensor ways; a group cuts
 * heads. */
static Status check_served_split(const Scenario *scenario, Error *error)
{
    const ServingSpec *serving = &scenario->serving;
    const double groups = fmax(1, serving->attention_data), expert = fmax(1, serving->expert);
    const Divisibility rules[] = {
        {"serving.attention_data", "serving.tensor", groups, serving->tensor},
        {"serving.expert", "serving.tensor", expert, serving->tensor},
    };
    Status status = plan_check_divisible(rules, sizeof rules / sizeof rules[0], error);
    if (status != STATUS_OK)
        return status;
    if (groups > 1 && serving->kv_sharding == KV_BY_BATCH)
        return error_set(error, STATUS_INVALID,
                         "serving.attention_data = %g with kv_sharding: by_batch: either divides "
                         "the sequences",
                         groups);
    if (groups <= 1)
        return plan_check_split(scenario, "serving.tensor", serving->tensor, "serving.pipeline",
                                serving->pipeline, error);
    const double node = scenario->hardware.node.gpus;
    if (!plan_divides(serving->tensor, node) && !plan_divides(node, serving->tensor))
        return error_set(error, STATUS_INVALID,
                         "serving.tensor = %g does not fill whole nodes or whole parts of a node "
                         "of %g GPUs",
                         serving->tensor, node);
    return plan_check_split(scenario, "serving.tensor / attention_data", serving->tensor / groups,
                            "serving.pipeline", serving->pipeline, error);
}

static Status check_speculation(const Scenario *scenario, Error *error)
{
    const SpeculationSpec *speculation = &scenario->serving.speculation;
    Status status = speculation_check(scenario, error);
    if (status != STATUS_OK || speculation->length <= 0 || speculation->draft.layers <= 0)
        return status;
    Error found = {0};
    status = plan_check_model(&speculation->draft, &found);
    if (status == STATUS_OK)
        status = check_served_model(&speculation->draft, &found);
    if (status != STATUS_OK) {
        error_set(error, status, "the draft model: %s", found.message);
        error_hint(error, "%s", found.hint);
    }
    return status;
}

/* Each side is a plan of its own. */
static Status check_sides(const Scenario *scenario, Error *error)
{
    Scenario one;
    for (int side = 0; side < SERVING_SIDES; side++) {
        serving_side_scenario(scenario, (ServingSide)side, &one);
        Error found = {0};
        const Status status = plan_check(&one, &found);
        if (status == STATUS_OK)
            continue;
        error_set(error, status, "serving.disaggregated.%s: %s", SERVING_SIDE_WORDS[side],
                  found.message);
        error_hint(error, "%s", found.hint);
        return status;
    }
    return STATUS_OK;
}

/* Popularity is worked out expert by expert. */
static Status check_expert_load(const Scenario *scenario, Error *error)
{
    const ServingSpec *serving = &scenario->serving;
    const double experts = scenario->model.experts + serving->redundant_experts;
    const int alike = serving->expert_load.model == EXPERT_LOAD_BALANCED ||
                      serving->expert_load.model == EXPERT_LOAD_UNIFORM;
    if (alike || experts <= MOST_CHOSEN_EXPERTS)
        return STATUS_OK;
    return error_set(error, STATUS_INVALID,
                     "serving.expert_load: model.experts + serving.redundant_experts = %g is more "
                     "than %d",
                     experts, MOST_CHOSEN_EXPERTS);
}

Status plan_check_serving(const Scenario *scenario, Error *error)
{
    const ServingSpec *serving = &scenario->serving;
    const Status served = check_served_model(&scenario->model, error);
    if (served != STATUS_OK)
        return served;
    const Status status = check_served_split(scenario, error);
    if (status != STATUS_OK)
        return status;
    const Status loaded = check_expert_load(scenario, error);
    if (loaded != STATUS_OK)
        return loaded;
    const double mean_length = serving->prompt_tokens + serving->output_tokens;
    if (mean_length > serving->context_limit)
        return error_set(error, STATUS_INVALID,
                         "serving.prompt_tokens + serving.output_tokens = %g is more than "
                         "serving.context_limit = %g",
                         mean_length, serving->context_limit);
    const Status stored = weight_format_check(scenario, error);
    if (stored != STATUS_OK)
        return stored;
    if (serving->batching == BATCH_STATIC && serving->speculation.length > 0)
        return error_set(error, STATUS_INVALID,
                         "serving.batching: static and serving.speculation.length = %g exclude "
                         "each other",
                         serving->speculation.length);
    if (serving->preemption == PREEMPT_SWAP && scenario->hardware.node.host_bytes_per_s <= 0) {
        error_set(error, STATUS_INVALID,
                  "serving.preemption: swap needs hardware.node.host_bandwidth");
        error_hint(error, "bytes a second between one GPU and host memory, for example 32GB/s");
        return STATUS_INVALID;
    }
    if (serving->disaggregated.decode.prefix_cache > 1) { /* 1 + whether */
        error_set(error, STATUS_INVALID,
                  "serving.disaggregated.decode.prefix_cache: keys and values of prompts come from "
                  "the prefill side");
        error_hint(error, "serving.disaggregated.prefill.prefix_cache: true");
        return STATUS_INVALID;
    }
    if (serving->batching == BATCH_STATIC && serving_is_disaggregated(serving))
        return error_set(error, STATUS_INVALID,
                         "serving.batching: static and serving.disaggregated exclude each other");
    if (serving_is_disaggregated(serving)) {
        const Status sides = check_sides(scenario, error);
        if (sides != STATUS_OK)
            return sides;
    }
    return check_speculation(scenario, error);
}
