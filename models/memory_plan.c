/* Does the plan fit in memory, and if not, what change would make it fit? */
#include "models/architecture.h"
#include "models/memory.h"
#include "models/plan_check.h"
#include "models/vision.h"

#include <math.h>
#include <stdio.h>

static const double gigabyte = 1e9;

/* An inner stage that holds what the inner stage before it holds needs no more than that one: it
 * has no more microbatches in flight (stage_in_flight never rises with the stage). Where GPUs hold
 * a second stage, those must be alike too. */
static int needs_no_more_than_before(const MemoryParts *parts, const StageLayout *layout,
                                     int layers_alike, size_t stage)
{
    const ModelSpec *model = &parts->scenario->model;
    const int mirrored = parts->scenario->training.parallel.schedule == SCHEDULE_DUALPIPE;
    const size_t last = layout->stages - 1;
    if (parts->sees || parts->scenario->hardware.older_stages > 0)
        return 0;
    if (stage < 2 || stage >= last || layout->layers[stage] != layout->layers[stage - 1])
        return 0;
    if (mirrored && layout->layers[last - stage] != layout->layers[last - stage + 1])
        return 0;
    return layers_alike || (!mirrored && stage_expert_layers(model, layout, stage) ==
                                             stage_expert_layers(model, layout, stage - 1));
}

void memory_worst(const MemoryParts *parts, MemoryPlan *plan)
{
    const Scenario *scenario = parts->scenario;
    const int layers_alike =
        parts->expert_layers <= 0 || parts->expert_layers >= scenario->model.layers;
    StageLayout layout;
    plan_layout(scenario, (size_t)scenario->training.parallel.pipeline, &layout);
    plan->stages = layout.stages;
    plan->worst_stage = 0;
    plan->worst = memory_of_stage(parts, &layout, 0);
    plan->capacity_bytes = stage_capacity_bytes(scenario, layout.stages, 0);
    plan->remedy[0] = '\0';
    for (size_t stage = 1; stage < layout.stages; stage++) {
        if (needs_no_more_than_before(parts, &layout, layers_alike, stage))
            continue;
        const StageMemory memory = memory_of_stage(parts, &layout, stage);
        const double capacity_bytes = stage_capacity_bytes(scenario, layout.stages, stage);
        /* the stage with the least room left */
        if (memory.total_bytes - capacity_bytes > plan->worst.total_bytes - plan->capacity_bytes) {
            plan->worst = memory;
            plan->worst_stage = stage;
            plan->capacity_bytes = capacity_bytes;
        }
    }
    plan->fits = plan->worst.total_bytes <= plan->capacity_bytes;
}

static void worst_stage(const Scenario *scenario, MemoryPlan *plan)
{
    const MemoryParts parts = memory_parts(scenario);
    memory_worst(&parts, plan);
}

/* ---- changes to try ---- */

enum { REMEDY_TEXT_BYTES = 80 };

/* Changes `scenario` and describes the change; 0 when the change is none or is not possible. */
typedef int (*Change)(Scenario *scenario, char *text, size_t text_bytes);

static int recompute_at_least(Scenario *scenario, Recompute mode, const char *name, char *text,
                              size_t text_bytes)
{
    if (scenario->training.parallel.recompute >= mode)
        return 0;
    scenario->training.parallel.recompute = mode;
    snprintf(text, text_bytes, "training.parallel.recompute: %s", name);
    return 1;
}

static int recompute_selective(Scenario *scenario, char *text, size_t text_bytes)
{
    return recompute_at_least(scenario, RECOMPUTE_SELECTIVE, "selective", text, text_bytes);
}

static int recompute_full(Scenario *scenario, char *text, size_t text_bytes)
{
    return recompute_at_least(scenario, RECOMPUTE_FULL, "full", text, text_bytes);
}

static int gradients_bf16(Scenario *scenario, char *text, size_t text_bytes)
{
    if (scenario->training.gradient_precision != PRECISION_FP32)
        return 0;
    scenario->training.gradient_precision = PRECISION_BF16;
    snprintf(text, text_bytes, "training.gradient_precision: bf16");
    return 1;
}

static int zero_at_least(Scenario *scenario, double stage, char *text, size_t text_bytes)
{
    ParallelSpec *parallel = &scenario->training.parallel;
    if (parallel->data < 2 || parallel->zero_stage >= stage)
        return 0;
    parallel->zero_stage = stage;
    snprintf(text, text_bytes, "training.parallel.zero_stage: %g", stage);
    return 1;
}

static int zero_1(Scenario *scenario, char *text, size_t text_bytes)
{
    return zero_at_least(scenario, 1, text, text_bytes);
}

static int zero_2(Scenario *scenario, char *text, size_t text_bytes)
{
    return zero_at_least(scenario, 2, text, text_bytes);
}

static int zero_3(Scenario *scenario, char *text, size_t text_bytes)
{
    return zero_at_least(scenario, 3, text, text_bytes);
}

static int micro_batch_1(Scenario *scenario, char *text, size_t text_bytes)
{
    ParallelSpec *parallel = &scenario->training.parallel;
    if (parallel->micro_batch <= 1)
        return 0;
    parallel->micro_batch = 1;
    snprintf(text, text_bytes, "training.parallel.micro_batch: 1");
    return 1;
}

/* The least number of stages above the present one that keeps the GPUs (data ways shrink), and
 * fits. */
static int more_stages(Scenario *scenario, char *text, size_t text_bytes)
{
    ParallelSpec *parallel = &scenario->training.parallel;
    const double groups = parallel->pipeline * parallel->data;
    const double most = fmin(fmin(scenario->model.layers, MAX_STAGES), groups);
    for (double pipeline = parallel->pipeline + 1; pipeline <= most; pipeline++) {
        if (fmod(groups, pipeline) != 0)
            continue;
        Scenario trial = *scenario;
        trial.training.parallel.pipeline = pipeline;
        trial.training.parallel.data = groups / pipeline;
        MemoryPlan plan;
        if (plan_check(&trial, NULL) != STATUS_OK)
            continue;
        worst_stage(&trial, &plan);
        if (!plan.fits)
            continue;
        *scenario = trial;
        snprintf(text, text_bytes, "training.parallel.pipeline: %g with data: %g", pipeline,
                 groups / pipeline);
        return 1;
    }
    return 0;
}

static int double_tensor(Scenario *scenario, char *text, size_t text_bytes)
{
    ParallelSpec *parallel = &scenario->training.parallel;
    if (fmod(parallel->data, 2) != 0)
        return 0;
    parallel->tensor *= 2;
    parallel->data /= 2;
    snprintf(text, text_bytes, "training.parallel.tensor: %g with data: %g", parallel->tensor,
             parallel->data);
    return plan_check(scenario, NULL) == STATUS_OK;
}

static const Change changes[] = {
    recompute_selective, recompute_full, gradients_bf16, zero_1, zero_2, zero_3,
    micro_batch_1,       more_stages,    double_tensor,
};

enum { CHANGE_COUNT = sizeof changes / sizeof changes[0] };

static int fits_after(const Scenario *scenario, MemoryPlan *plan)
{
    worst_stage(scenario, plan);
    return plan->fits;
}

/* First single changes, then pairs; the first that fits is named. */
static void find_remedy(const Scenario *scenario, MemoryPlan *plan)
{
    char first_text[REMEDY_TEXT_BYTES], second_text[REMEDY_TEXT_BYTES];
    MemoryPlan after;
    for (size_t i = 0; i < CHANGE_COUNT; i++) {
        Scenario trial = *scenario;
        if (!changes[i](&trial, first_text, sizeof first_text) || !fits_after(&trial, &after))
            continue;
        snprintf(plan->remedy, sizeof plan->remedy, "%s would fit (%.1f GB)", first_text,
                 after.worst.total_bytes / gigabyte);
        return;
    }
    for (size_t i = 0; i < CHANGE_COUNT; i++) {
        Scenario once = *scenario;
        if (!changes[i](&once, first_text, sizeof first_text))
            continue;
        for (size_t j = i + 1; j < CHANGE_COUNT; j++) {
            Scenario trial = once;
            if (!changes[j](&trial, second_text, sizeof second_text) || !fits_after(&trial, &after))
                continue;
            snprintf(plan->remedy, sizeof plan->remedy,
                     "no single change fits; %s together with %s would (%.1f GB)", first_text,
                     second_text, after.worst.total_bytes / gigabyte);
            return;
        }
    }
    snprintf(plan->remedy, sizeof plan->remedy,
             "no one or two changes of recomputation, gradient precision, ZeRO stage, micro batch, "
             "pipeline or tensor ways would fit");
}

void memory_plan(const Scenario *scenario, MemoryPlan *plan)
{
    *plan = (MemoryPlan){0};
    worst_stage(scenario, plan);
    if (!plan->fits)
        find_remedy(scenario, plan);
}

int memory_fits(const Scenario *scenario)
{
    MemoryPlan plan;
    return fits_after(scenario, &plan);
}

void memory_explain(const MemoryPlan *plan, char *text, size_t text_bytes)
{
    const StageMemory *worst = &plan->worst;
    snprintf(
        text, text_bytes,
        "stage %zu of %zu needs %.1f GB of %.1f GB usable on each GPU (weights %.1f, gradients "
        "%.1f, optimizer %.1f, activations %.1f, reserved %.1f)%s%s",
        plan->worst_stage + 1, plan->stages, worst->total_bytes / gigabyte,
        plan->capacity_bytes / gigabyte, worst->weights_bytes / gigabyte,
        worst->gradients_bytes / gigabyte, worst->optimizer_bytes / gigabyte,
        worst->activations_bytes / gigabyte, worst->overhead_bytes / gigabyte,
        plan->fits ? "" : "; ", plan->fits ? "" : plan->remedy);
}
