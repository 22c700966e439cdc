/* Memory of one GPU in each pipeline stage. Source: Korthikanti et al. 2022 (activations, sequence
 * parallelism, recomputation), Rajbhandari et al. 2020 (ZeRO). */
#ifndef MODELS_MEMORY_H
#define MODELS_MEMORY_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"

enum { MAX_STAGES = 1024 };

/* Which layers sit on which stage: as even as can be, the remainder to the stages in the
 * middle-to-last order that leaves the first and the last (embedding, head) light. */
typedef struct StageLayout {
    size_t stages;
    unsigned layers[MAX_STAGES];
} StageLayout;

typedef struct StageMemory {
    double weights_bytes, gradients_bytes, optimizer_bytes, activations_bytes, overhead_bytes,
        total_bytes;
    double parameters; /* on one GPU of this stage */
} StageMemory;

typedef struct MemoryPlan {
    size_t stages;
    size_t worst_stage;
    double capacity_bytes;
    int fits;
    StageMemory worst;
    char remedy[256]; /* when it does not fit: the smallest change found that makes it fit, or that
                         none of those tried does */
} MemoryPlan;

void stage_layout(const ModelSpec *model, size_t stages, StageLayout *layout);

/* Parameters on one GPU of a stage: layers by tensor (and expert) parallelism, embedding on the
 * first stage, output head on the last. */
double stage_parameters(const Scenario *scenario, const StageLayout *layout, size_t stage);

/* Microbatches whose activations stage i keeps at once: 1F1B min(m, p - i), GPipe m. */
double stage_in_flight(const Scenario *scenario, size_t stages, size_t stage, double microbatches);

StageMemory stage_memory(const Scenario *scenario, const StageLayout *layout, size_t stage);

/* The worst stage against the GPU's memory; fills `remedy` by trying single changes of the plan in
 * the order recomputation, gradient precision, ZeRO stage, micro batch, pipeline and tensor ways
 * (data ways shrink so that the GPUs stay the same), then pairs of them. Never fails on a checked
 * scenario. */
void memory_plan(const Scenario *scenario, MemoryPlan *plan);

/* One line with stage, bytes needed and had, and the remedy, for the error message. */
void memory_explain(const MemoryPlan *plan, char *text, size_t text_bytes);

#endif
