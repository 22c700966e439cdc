/* Time of a serving stage as a function of the tokens in a pass, cheap enough to be asked for at
 * every pass: matrix products and collectives depend on the number of tokens only and are worked
 * out once on a grid of token counts; attention depends on contexts and is evaluated each time. */
#ifndef SIM_SERVING_STAGE_COST_H
#define SIM_SERVING_STAGE_COST_H

#include "configs/reader/scenario.h"
#include "models/architecture.h"
#include "models/memory.h"
#include "sim/serving/token_cost.h"

/* Token counts 0..16 one by one, then 8 points an octave. Between points costs are interpolated:
 * for a layer of 16 experts on 8 A100 and 1 to 9,000 tokens within 3.4% of the exact cost, 0.3% in
 * the mean. A replication fills some dozens of points. */
enum { TOKEN_GRID_EXACT = 16, TOKEN_GRID_PER_OCTAVE = 8, TOKEN_GRID_OCTAVES = 24 };
enum { TOKEN_GRID_POINTS = TOKEN_GRID_EXACT + TOKEN_GRID_PER_OCTAVE * TOKEN_GRID_OCTAVES + 1 };

typedef struct StageCost {
    StageCostKey key;
    ExpertChoice choice; /* of the key's model and load */
    KvSharding kv_sharding;
    double kv_element_bytes;
    double step_overhead_s, sequence_overhead_s;
    double layer_overhead_s[LAYER_KINDS], layer_host_s[LAYER_KINDS];
    double graph_sequences;
    int graphs_in_groups;
    double kernel_share; /* 1 + share of added time */
    double long_pass_tokens, long_pass_share;
    double compute_share, routed_share; /* likewise */
    AttentionKernel attention;
    double grouped_heads, grouped_head_dim; /* what the engine's decode kernel for groups serves */
    int two_batch_overlap;
    double expert_share; /* of all layers, those with experts */
    unsigned char filled[TOKEN_GRID_POINTS];
    TokenCost grid[TOKEN_GRID_POINTS];
    double last_tokens; /* asked for last; 0: nothing yet */
    TokenCost last;
    double last_sequences, last_context, last_decode_s; /* likewise of decode attention */
} StageCost;

/* One stage, one microbatch. The parts add up to total_s:
 * weights_s     reading the weights that the tokens use at the speed that large reads reach
 * kv_s          decode attention (reading keys and values)
 * compute_s     what FLOPs add beyond the weight reads, prompt attention, norms and activations
 * collective_s  tensor-parallel collectives and the send to the next stage
 * overhead_s    the engine: per layer and per step, and moving keys and values to the host and back
 * drafts_s      its part of the drafting (draft_cost.h) */
typedef struct ServeStageTime {
    double weights_s, kv_s, compute_s, collective_s, overhead_s, drafts_s, total_s;
} ServeStageTime;

enum { STATE_BYTES = 4 }; /* of an element of linear layers' state: fp32, as engines keep it */

/* One pass of one microbatch. */
typedef struct PassLoad {
    double decode, context;          /* sequences, mean tokens of KV each reads */
    double prefill, prefill_context; /* prompt tokens, mean tokens that each attends to */
    double drafts; /* tokens that each sequence has checked beyond its next one; 0: none */
    double draft_prefill, draft_prefill_context; /* prompts that the draft model alone reads */
    double swapped; /* tokens whose KV goes to host memory or comes from it before the pass */
} PassLoad;

/* A zeroed StageCost or one used before: the grid is kept when nothing it depends on has changed.
 */
void stage_cost_prepare(StageCost *cost, const Scenario *scenario);

/* Tokens that pass the matrix products, and of these the ones whose logits are wanted. */
static inline double pass_tokens(const PassLoad *load)
{
    return load->decode * (1 + load->drafts) + load->prefill;
}
static inline double pass_logits(const PassLoad *load)
{
    return load->decode * (1 + load->drafts);
}

TokenCost stage_cost_tokens(StageCost *cost, double tokens);

/* The layers of a stage in the middle of the pipeline, send included; kinds of layers in the mean
 * mix of the model. */
ServeStageTime stage_cost_time(StageCost *cost, double layers, const PassLoad *load);

/* Weights that one GPU reads in `layers` layers of the mean mix for these tokens; bytes. */
double stage_cost_weight_bytes(const StageCost *cost, double layers, const TokenCost *tokens);

/* KV that one GPU reads in one layer for this load; bytes. */
double stage_cost_kv_bytes(const StageCost *cost, const PassLoad *load);

/* `layers` of the model on one stage; decode tokens at a mean `context`; prompt tokens, each of
 * which attends to `prefill_context` tokens in the mean (half the prompt when it is read from its
 * start). Tokens between two points of the grid are interpolated (exact up to 16
 * and at the points). */
ServeStageTime serve_stage_time(const Scenario *scenario, double layers, double decode_sequences,
                                double context, double prefill_tokens, double prefill_context);

/* sum + times * part, part by part. */
void stage_time_add(ServeStageTime *sum, const ServeStageTime *part, double times);

/* total_s[i]: seconds of stage i for one pass; the last stage has the output head in place of the
 * send. Returns the stage that takes longest; `slowest`: its parts. */
size_t stage_cost_pipeline(StageCost *cost, const StageLayout *layout, const PassLoad *load,
                           double *total_s, ServeStageTime *slowest);

/* Seconds of one stage for one pass. */
double stage_cost_stage_s(StageCost *cost, const StageLayout *layout, size_t stage,
                          const PassLoad *load);

/* KV heads whose keys and values one tensor rank keeps when they are not cut by sequences. */
double serve_kv_heads_on_rank(const ServingSpec *serving, const ModelSpec *model);

/* Elements of keys and values of one token in one layer on that rank: of its heads, or the latent
 * and the rotary key, which every rank has whole. */
double serve_kv_elements_on_rank(const ServingSpec *serving, const ModelSpec *model);

#endif
