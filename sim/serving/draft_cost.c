#include "sim/serving/draft_cost.h"

#include <math.h>
#include <stdlib.h>

void draft_scenario(const Scenario *scenario, Scenario *own)
{
    const SpeculationSpec *speculation = &scenario->serving.speculation;
    ServingSpec *serving = &own->serving;
    *own = *scenario;
    own->model = speculation->draft;
    if (speculation->draft_tensor > 0)
        serving->tensor = speculation->draft_tensor;
    serving->pipeline = 1;
    serving->expert = 1;
    serving->step_overhead_s *= speculation->draft_overhead;
    serving->sequence_overhead_s *= speculation->draft_overhead;
}

Status draft_cost_prepare(DraftCost *draft, const Scenario *scenario, Error *error)
{
    const SpeculationSpec *speculation = &scenario->serving.speculation;
    draft->length = speculation->length;
    draft->share = speculation->draft_share;
    draft->has_model = speculation->length > 0 && speculation->draft.layers > 0;
    if (!draft->has_model)
        return STATUS_OK;
    Scenario *own = malloc(sizeof *own);
    if (own == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    draft_scenario(scenario, own);
    stage_layout(&own->model, 1, &draft->layout);
    stage_cost_prepare(&draft->cost, own);
    free(own);
    return STATUS_OK;
}

/* One pass of what drafts. */
static double step_s(DraftCost *draft, StageCost *target, const StageLayout *layout,
                     const PassLoad *load)
{
    double stage_s[MAX_STAGES];
    double all_s = 0;
    ServeStageTime slowest;
    if (draft->has_model) {
        stage_cost_pipeline(&draft->cost, &draft->layout, load, stage_s, &slowest);
        return stage_s[0];
    }
    if (draft->share <= 0)
        return 0;
    stage_cost_pipeline(target, layout, load, stage_s, &slowest);
    for (size_t i = 0; i < layout->stages; i++)
        all_s += stage_s[i];
    return draft->share * all_s;
}

double draft_cost_s(DraftCost *draft, StageCost *target, const StageLayout *layout,
                    const PassLoad *load)
{
    PassLoad first = *load;
    first.drafts = 0;
    if (load->drafts <= 0)
        first.decode = 0; /* only the prompts are read */
    if (load->draft_prefill > 0) {
        first.prefill += load->draft_prefill;
        first.prefill_context = (load->prefill * load->prefill_context +
                                 load->draft_prefill * load->draft_prefill_context) /
                                first.prefill;
    }
    if (draft->length <= 0 || (first.decode <= 0 && first.prefill <= 0))
        return 0;
    double seconds = step_s(draft, target, layout, &first);
    if (load->drafts > 1) {
        PassLoad later = first;
        later.prefill = 0;
        seconds += (load->drafts - 1) * step_s(draft, target, layout, &later);
    }
    return seconds;
}

double draft_cost_bytes(DraftCost *draft, const PassLoad *load)
{
    PassLoad step = *load;
    const double passes = load->drafts > 0 ? load->drafts : load->prefill > 0;
    step.drafts = 0;
    if (!draft->has_model || passes <= 0)
        return 0;
    /* Prompts hardly add to it: their keys and values stay where they are made. */
    const TokenCost tokens = stage_cost_tokens(&draft->cost, fmax(1, step.decode));
    return passes * draft->cost.key.tensor *
           (stage_cost_weight_bytes(&draft->cost, draft->layout.layers[0], &tokens) +
            draft->layout.layers[0] * stage_cost_kv_bytes(&draft->cost, &step) +
            tokens.head.weights_bytes);
}

/* The part of each stage. */
static double part_s(DraftCost *draft, StageCost *target, const StageLayout *layout,
                     const PassLoad *load)
{
    return draft == NULL || draft->length <= 0
               ? 0
               : draft_cost_s(draft, target, layout, load) / (double)layout->stages;
}

size_t draft_cost_pipeline(DraftCost *draft, StageCost *target, const StageLayout *layout,
                           const PassLoad *load, double *stage_s, ServeStageTime *slowest)
{
    const size_t at = stage_cost_pipeline(target, layout, load, stage_s, slowest);
    const double drafts_s = part_s(draft, target, layout, load);
    if (drafts_s <= 0)
        return at;
    for (size_t i = 0; i < layout->stages; i++)
        stage_s[i] += drafts_s;
    slowest->drafts_s = drafts_s;
    slowest->total_s += drafts_s;
    return at;
}

double draft_cost_stage_s(DraftCost *draft, StageCost *target, const StageLayout *layout,
                          size_t stage, const PassLoad *load)
{
    return stage_cost_stage_s(target, layout, stage, load) + part_s(draft, target, layout, load);
}
