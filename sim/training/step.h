/* One optimizer step, event by event: every pipeline stage of every replica is an entity that works
 * through its list of forward and backward microbatches as activations and gradients arrive.
 *
 * The schedule is data (step_schedule); the simulation does not know which one it runs. With equal
 * stages, no send time and no jitter, 1F1B and GPipe both take (m + p - 1)(f + b), i.e. a bubble of
 * (p-1)/(m+p-1) (Narayanan et al. 2021, section 2.2).
 */
#ifndef SIM_TRAINING_STEP_H
#define SIM_TRAINING_STEP_H

#include "sim/engine/engine.h"
#include "sim/engine/forecast_options.h"
#include "sim/training/stage_time.h"

/* Largest replicas * stages * microbatches of one simulation. */
enum { STEP_MAX_TASKS = 1 << 23 };

/* Sums to the step time exactly; each cause is what the step loses by it when causes are added in
 * this order (ideal pipeline, uneven stages, sends, data-parallel communication, optimizer, expert
 * loads that differ between microbatches, jitter). */
typedef struct StepBreakdown {
    double compute_s, recompute_s, tensor_s, expert_s, expert_imbalance_s;
    double bubble_s;          /* of the schedule with equal stages: 1F1B (p-1)(f+b) */
    double stage_imbalance_s; /* stages that differ */
    double pipeline_send_s;
    double data_parallel_s; /* exposed gradient reduction and parameter gather, ZeRO-3 traffic */
    double optimizer_s;
    double expert_jitter_s; /* microbatches whose tokens meet at few experts, along the pipeline */
    double jitter_s;        /* the slowest replica against one without noise */
} StepBreakdown;

/* One executed microbatch of one stage, for the timeline plot (replica 0 of the folded run). */
typedef struct StepSpan {
    unsigned stage, microbatch;
    int backward; /* 0 forward, 1 backward, 2 the weight gradient where schedules split it off */
    double start_s, end_s;
    unsigned chunk; /* of the stage; microbatches count within it */
} StepSpan;

typedef struct StepResult {
    double seconds;
    double makespan_s;      /* of the pipeline alone, folded, no jitter */
    double bubble_fraction; /* idle share of stage-time within the pipeline's makespan, folded */
    double tokens, mfu, hfu, tflops_per_gpu, tokens_per_s_per_gpu;
    StepBreakdown breakdown;
    uint64_t events;
    size_t span_count; /* 0 unless asked for */
    StepSpan *spans;
} StepResult;

/* Memory for repeated simulations: schedules, entities, the engine. Grows to what it was last asked
 * for. */
typedef struct StepSimulator StepSimulator;
StepSimulator *step_simulator_create(Error *error);
void step_simulator_destroy(StepSimulator *simulator);

/* Simulates one step. DETAIL_FOLDED runs one replica without jitter (jitter_s is 0). The others run
 * all replicas; the step ends with the slowest. Differences between GPUs persist through a step
 * (per-kernel noise averages out over its thousands of kernels), so jitter is one factor a GPU:
 * lognormal with mean 1 and relative standard deviation `jitter`, on its compute. The slowest
 * tensor-parallel rank sets the pace of its stage: DETAIL_GPUS draws every rank, DETAIL_REPLICAS
 * draws the maximum of the ranks at once from its own distribution. Stream: (seed, "jitter",
 * replication). Microbatches differ in the time of their experts, as much as their tokens do
 * (expert_variance_s2; a sum over layers, so normal), each stage, microbatch and expert-parallel
 * group on its own: stream (seed, "expert noise", n), replications 2n - 1 and 2n mirror each
 * other so that their mean is right with few of them. `want_spans` fills spans (caller frees them
 * with step_result_free). */
Status step_simulate(StepSimulator *simulator, const StepInput *input, SimulationDetail detail,
                     unsigned long long seed, unsigned long long replication, int want_spans,
                     StepResult *result, Error *error);
void step_result_free(StepResult *result);

/* DETAIL_FOLDED for a search: the same seconds, makespan, bubble and rates without their causes
 * (the breakdown stays 0). */
Status step_fold(StepSimulator *simulator, const StepInput *input, StepResult *result,
                 Error *error);

/* Standard deviation of a microbatch's forward and backward together between microbatches, mean
 * over stages. */
double step_expert_deviation_s(const StepInput *input);

#endif
