#include "sim/planning/serving_layouts.h"

#include "configs/reader/sample.h"

#include <string.h>

/* The values that a key may take. */
static size_t choices_of(const Scenario *scenario, const char *path, double named,
                         double choices[MAX_CHOICES])
{
    for (size_t i = 0; i < scenario->uncertain_count; i++) {
        const UncertainInput *input = &scenario->uncertain[i];
        if (strcmp(input->path, path) != 0 || input->distribution != DRAW_CHOICE)
            continue;
        memcpy(choices, input->choices, input->choice_count * sizeof *choices);
        return input->choice_count;
    }
    choices[0] = named;
    return 1;
}

size_t serving_layouts(const Scenario *scenario, ServingLayout layouts[MAX_SERVING_LAYOUTS])
{
    double tensors[MAX_CHOICES], pipelines[MAX_CHOICES];
    const ServingSpec *serving = &scenario->serving;
    const size_t tensor_count = choices_of(scenario, "serving.tensor", serving->tensor, tensors);
    const size_t pipeline_count =
        choices_of(scenario, "serving.pipeline", serving->pipeline, pipelines);
    for (size_t t = 0; t < tensor_count; t++)
        for (size_t p = 0; p < pipeline_count; p++)
            layouts[t * pipeline_count + p] = (ServingLayout){tensors[t], pipelines[p]};
    return tensor_count * pipeline_count;
}

void serving_laid_out(const Scenario *scenario, const ServingLayout *layout, double max_batch,
                      Scenario *out)
{
    scenario_midpoint(scenario, out);
    out->serving.tensor = layout->tensor;
    out->serving.pipeline = layout->pipeline;
    if (max_batch > 0)
        out->serving.max_batch = max_batch;
}
