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
    unsigned before[MAX_STAGES]; /* layers of all stages before */
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

/* The same for a plan, some of whose stages may have a number of layers of their own: the last
 * older_stages of them, on older GPUs. */
void plan_layout(const Scenario *scenario, size_t stages, StageLayout *layout);

/* Does this stage run on older GPUs? Then with what memory? */
int stage_is_older(const Scenario *scenario, size_t stages, size_t stage);
double stage_capacity_bytes(const Scenario *scenario, size_t stages, size_t stage);

/* Parameters on one GPU of a stage: layers by tensor (and expert) parallelism, embedding on the
 * first stage, output head on the last. */
double stage_parameters(const Scenario *scenario, const StageLayout *layout, size_t stage);

/* Those of `stage_parameters` that belong to experts laid out otherwise than the rest (see
 * plan_experts_are_spread); 0 when none are. */
double stage_spread_parameters(const Scenario *scenario, const StageLayout *layout, size_t stage);

/* Parameters on one GPU of the parts of a stage: of one layer with and without experts (common:
 * copied over all gradient ranks; spread: over fewer), and of the embedding and head tables. */
typedef struct PartParameters {
    double common, spread;
} PartParameters;
PartParameters layer_parameters(const Scenario *scenario, int experts);
double table_parameters(const Scenario *scenario);       /* input embedding or head */
double encoder_parameters(const Scenario *scenario);     /* of images, on the first stage */
double cross_layer_parameters(const Scenario *scenario); /* one cross-attention layer */

/* Layers with experts of a stage whose layers follow those of the stages before. */
double stage_expert_layers(const ModelSpec *model, const StageLayout *layout, size_t stage);

/* Cross-attention layers of such a stage. */
double stage_cross_layers(const ModelSpec *model, const StageLayout *layout, size_t stage);

/* Microbatches whose activations stage i keeps at once, at most m: 1F1B p - i; GPipe m; interleaved
 * (2 (p - 1 - i) + (V - 1) p + 1) / V, on the first stage p (1 + (p - 1)/(p V)) (Korthikanti et al.
 * 2022, section 4.2.3); ZB-H1 p and ZB-2p 2p - 1 on every stage (Qi et al. 2023, table 2); DualPipe
 * p + 1, of both of a GPU's stages together (DeepSeek-V3 technical report, table 2). */
double stage_in_flight(const Scenario *scenario, size_t stages, size_t stage, double microbatches);

StageMemory stage_memory(const Scenario *scenario, const StageLayout *layout, size_t stage);

/* What all stages of a plan have in common, worked out once; `stage_memory` is both in one. */
typedef struct KeptActivations {
    double kept, working; /* bytes for each microbatch in flight; once while one layer works */
} KeptActivations;
typedef struct MemoryParts {
    const Scenario *scenario;
    PartParameters dense, moe; /* of one layer */
    KeptActivations dense_kept, moe_kept;
    double table;                 /* parameters of embedding or head */
    double microbatches;          /* of a step */
    double logits_bytes;          /* on the last stage */
    int sees;                     /* images */
    double expert_layers;         /* of the model */
    double shards, spread_shards; /* ranks among which ZeRO divides; of experts that are spread */
    double weight_bytes, gradient_bytes; /* of one parameter that is held, of one that is trained */
} MemoryParts;
MemoryParts memory_parts(const Scenario *scenario);
PartParameters stage_part_parameters(const MemoryParts *parts, const StageLayout *layout,
                                     size_t stage);
StageMemory memory_of_stage(const MemoryParts *parts, const StageLayout *layout, size_t stage);

/* The worst stage against the GPU's memory; fills `remedy` by trying single changes of the plan in
 * the order recomputation, gradient precision, ZeRO stage, micro batch, pipeline and tensor ways
 * (data ways shrink so that the GPUs stay the same), then pairs of them. Never fails on a checked
 * scenario. */
void memory_plan(const Scenario *scenario, MemoryPlan *plan);

/* The same without looking for remedies. */
void memory_worst(const MemoryParts *parts, MemoryPlan *plan);

/* Does the worst stage fit? Without looking for remedies. */
int memory_fits(const Scenario *scenario);

/* One line with stage, bytes needed and had, and the remedy, for the error message. */
void memory_explain(const MemoryPlan *plan, char *text, size_t text_bytes);

#endif
