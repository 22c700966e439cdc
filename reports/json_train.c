#include "reports/json.h"

#include "reports/json_build.h"

#include <string.h>

/* What may be uncertain is an object whatever the number of draws, so that its type never changes.
 */
static int always_quantity(const char *name)
{
    return strncmp(name, "run.", 4) == 0
               ? strncmp(name, "run.flops", 9) != 0
               : strncmp(name, "cost.", 5) == 0 || strncmp(name, "phase.", 6) == 0;
}

/* The plan alone says these; they are no draws. */
static int planned_step(const char *name)
{
    return strcmp(name, "step.tokens") == 0 || strcmp(name, "step.bubble_closed_form") == 0;
}

/* Draws of a step's quantities stand beside the nominal step, whose keys are plain numbers. */
static void put_metrics(JsonBuilder *builder, const MetricSet *metrics)
{
    static const char step[] = "step.", distribution[] = "step.distribution.";
    for (size_t i = 0; i < metrics->count; i++) {
        const Metric *metric = &metrics->metrics[i];
        char path[METRIC_NAME_BYTES + 32];
        int drawn_step = strncmp(metric->name, step, sizeof step - 1) == 0 &&
                         strncmp(metric->name, distribution, sizeof distribution - 1) != 0 &&
                         !planned_step(metric->name);
        if (strncmp(metric->name, "input.", 6) == 0)
            continue;
        snprintf(path, sizeof path, "%s%s", drawn_step ? distribution : "",
                 metric->name + (drawn_step ? sizeof step - 1 : 0));
        json_put_metric(builder, builder->root, path, metric,
                        drawn_step || always_quantity(metric->name));
    }
}

static void put_memory(JsonBuilder *builder, const MemoryPlan *memory)
{
    json_t *root = builder->root;
    const StageMemory *worst = &memory->worst;
    json_put(builder, root, "memory.weights_bytes", json_number(worst->weights_bytes));
    json_put(builder, root, "memory.gradients_bytes", json_number(worst->gradients_bytes));
    json_put(builder, root, "memory.optimizer_bytes", json_number(worst->optimizer_bytes));
    json_put(builder, root, "memory.activations_bytes", json_number(worst->activations_bytes));
    json_put(builder, root, "memory.overhead_bytes", json_number(worst->overhead_bytes));
    json_put(builder, root, "memory.total_bytes", json_number(worst->total_bytes));
    json_put(builder, root, "memory.capacity_bytes", json_number(memory->capacity_bytes));
    json_put(builder, root, "memory.worst_stage", json_count(memory->worst_stage));
    json_put(builder, root, "memory.fits", json_truth(memory->fits));
    json_put(builder, root, "memory.remedy", json_text(memory->remedy));
}

static const char *schedule_name(PipelineSchedule schedule)
{
    static const char *const names[] = {[SCHEDULE_1F1B] = "1f1b",
                                        [SCHEDULE_GPIPE] = "gpipe",
                                        [SCHEDULE_INTERLEAVED] = "interleaved",
                                        [SCHEDULE_ZB_H1] = "zb_h1",
                                        [SCHEDULE_ZB_2P] = "zb_2p",
                                        [SCHEDULE_DUALPIPE] = "dualpipe"};
    return (size_t)schedule < sizeof names / sizeof *names ? names[schedule] : "unknown";
}

static void put_pipeline(JsonBuilder *builder, const TrainForecast *forecast)
{
    const StepInput *input = &forecast->step_input;
    json_t *root = builder->root;
    json_t *stages = json_array();
    for (size_t i = 0; i < input->stages && i < MAX_STAGES; i++) {
        const StageTime *stage = &input->stage[i];
        json_append(builder, stages,
                    json_pack("{s:o, s:o, s:o, s:o}", "forward_s",
                              json_number(stage->forward.total_s), "backward_s",
                              json_number(stage->backward.total_s), "params",
                              json_number(stage->parameters), "memory_bytes",
                              json_number(stage->memory_bytes)));
    }
    json_put(builder, root, "step.pipeline.stages", stages);
    json_put(builder, root, "step.pipeline.schedule", json_text(schedule_name(input->schedule)));
    json_put(builder, root, "step.pipeline.microbatches", json_count(input->microbatches));
    json_put(builder, root, "step.pipeline.send_s", json_number(input->send_s));
    json_put(builder, root, "step.pipeline.makespan_s", json_number(forecast->step.makespan_s));
}

static void put_step(JsonBuilder *builder, const StepResult *step)
{
    const StepBreakdown *parts = &step->breakdown;
    const struct {
        const char *path;
        double value;
    } numbers[] = {
        {"seconds", step->seconds},
        {"tokens", step->tokens},
        {"mfu", step->mfu},
        {"hfu", step->hfu},
        {"tflops_per_gpu", step->tflops_per_gpu},
        {"tokens_per_s_per_gpu", step->tokens_per_s_per_gpu},
        {"bubble_fraction", step->bubble_fraction},
        {"breakdown_s.compute", parts->compute_s},
        {"breakdown_s.recompute", parts->recompute_s},
        {"breakdown_s.tensor", parts->tensor_s},
        {"breakdown_s.expert", parts->expert_s},
        {"breakdown_s.expert_imbalance", parts->expert_imbalance_s},
        {"breakdown_s.bubble", parts->bubble_s},
        {"breakdown_s.stage_imbalance", parts->stage_imbalance_s},
        {"breakdown_s.pipeline_send", parts->pipeline_send_s},
        {"breakdown_s.data_parallel", parts->data_parallel_s},
        {"breakdown_s.optimizer", parts->optimizer_s},
        {"breakdown_s.expert_jitter", parts->expert_jitter_s},
        {"breakdown_s.jitter", parts->jitter_s},
    };
    json_t *object = json_object_get(builder->root, "step");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_put(builder, object, numbers[i].path, json_number(numbers[i].value));
}

char *json_train(const Scenario *scenario, const TrainForecast *forecast,
                 const Provenance *provenance, Error *error)
{
    JsonBuilder builder;
    json_start(&builder, provenance);
    if (builder.failed)
        return json_finish(&builder, error);
    json_put(&builder, builder.root, "title", json_text(scenario->title));
    json_put_evidence(&builder, &scenario->hardware.gpu);
    put_metrics(&builder, &forecast->metrics);
    put_memory(&builder, &forecast->memory);
    if (forecast->step.seconds > 0) { /* a plan that does not fit has no step */
        put_pipeline(&builder, forecast);
        put_step(&builder, &forecast->step);
    }
    json_put_inputs(&builder, &forecast->metrics);
    json_put(&builder, builder.root, "dropped_choices", json_count(forecast->dropped_choices));
    json_put(&builder, builder.root, "dropped_note", json_text(forecast->dropped_note));
    return json_finish(&builder, error);
}
