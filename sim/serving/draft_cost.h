/* Seconds that drafting takes in one iteration: `drafts` small decode steps of the draft model one
 * behind the other, the first of which also reads the prompts that the iteration reads (the draft
 * keeps keys and values of its own; so it does with prompts that came from replicas without the
 * draft), then the model's own pass. In a pipeline every stage has the
 * draft model, and each batch that circulates drafts on the GPUs of another stage: all stages bear
 * the same part of it. Without a draft model a step costs a share of the model's pass: drafting
 * heads, or nothing (look-up in the prompt). */
#ifndef SIM_SERVING_DRAFT_COST_H
#define SIM_SERVING_DRAFT_COST_H

#include "sim/serving/stage_cost.h"

typedef struct DraftCost {
    double length; /* 0: no speculation, all else is unused */
    double share;
    int has_model;
    StageLayout layout; /* one stage */
    StageCost cost;
} DraftCost;

/* The draft model with its ways and overheads in the place of the model; `own` and `scenario` must
 * not be the same. Only for a scenario with a draft model. */
void draft_scenario(const Scenario *scenario, Scenario *own);

/* STATUS_ENVIRONMENT without memory. */
Status draft_cost_prepare(DraftCost *draft, const Scenario *scenario, Error *error);

double draft_cost_s(DraftCost *draft, StageCost *target, const StageLayout *layout,
                    const PassLoad *load);

/* Weights and KV that drafting reads on all its GPUs; of drafting heads nothing is known: 0. */
double draft_cost_bytes(DraftCost *draft, const PassLoad *load);

/* The model's stages, each with its part of the drafting: as stage_cost_pipeline and
 * stage_cost_stage_s. `draft` may be NULL. */
size_t draft_cost_pipeline(DraftCost *draft, StageCost *target, const StageLayout *layout,
                           const PassLoad *load, double *stage_s, ServeStageTime *slowest);
double draft_cost_stage_s(DraftCost *draft, StageCost *target, const StageLayout *layout,
                          size_t stage, const PassLoad *load);

#endif
